"Two processes on one machine: equal weights, what one process finds, killed and gone on with"
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='needs SIGKILL and gloo')
HERE = os.path.dirname(os.path.abspath(__file__))

TRAIN = '''
import json, os, signal, sys
from pathlib import Path
from textgraft.batching import lm_dataloaders
from textgraft.classifier import TextClassifier
from textgraft.library.distributed import from_first, joined
from textgraft.library.training import fit_plan, quiet, weights_digest
from textgraft.lm_finetune import lm_learner, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab
import numpy as np
from fastai.callback.core import Callback

class Kill(Callback):
    "Ends process 1 in the middle of the second epoch of the second step"
    def after_batch(self):
        if rank == 1 and self.training and self.epoch == 1 and self.iter == 5:
            if all(w.requires_grad for w in self.model.parameters()):
                os.kill(os.getpid(), signal.SIGKILL)

def language_model(folder, drop, kill):
    rng = np.random.default_rng(0)
    texts = [np.r_[2, 9 + (rng.integers(23) + np.arange(29))%23] for _ in range(60)]
    loaders = lm_dataloaders(texts, texts[:20], VOCAB, bs=8, seq_len=10)
    learn = quiet(lm_learner(new_lm(VOCAB, 16, 16, 1, drop_mult=drop, seed=0), loaders))
    if kill: learn.add_cb(Kill())
    plan = [dict(first=-1, epochs=1, lr=1e-2), dict(first=0, epochs=3, lr=1e-2)]
    fit_plan(learn, plan, folder)
    values = [float(value) for value in learn.recorder.values[-1]]
    return dict(digest=weights_digest(learn.model), values=values)

def classifier():
    words = 'good fine great', 'bad dull poor'
    texts = [f'a {word} film number {n}' for n in range(20) for each in words
             for word in each.split()]
    labels = [n//3%2 for n in range(len(texts))]
    made = TextClassifier(plan='at once', epochs=4, bs=7).fit(texts, labels)
    return dict(digest=weights_digest(made.network_), score=made.score(texts, labels))

VOCAB = Vocab([*SPECIAL_TOKENS, *(f'w{i}' for i in range(23))])
rank = int(os.environ.get('RANK', 0))
out, what, drop, kill = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4] == 'kill'
with joined():
    found = dict(sent=from_first(lambda: rank), environment='RANK' in os.environ)
    if what == 'lm': found |= language_model(out/'checkpoints', drop, kill)
    else: found |= classifier()
(out/f'{rank}.json').write_text(json.dumps(found))
'''


def train(out, n=2, what='lm', drop=1., kill=''):
    "What each process found, and the run as subprocess knows it"
    out.mkdir(exist_ok=True)
    (out/'train.py').write_text(TRAIN)
    start = [sys.executable] if n == 1 else [
        sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n)]
    command = [*start, str(out/'train.py'), str(out), what, str(drop), kill or 'live']
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    if n == 1: environment.pop('WORLD_SIZE', None)
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, env=environment)
    found = [json.loads((out/f'{rank}.json').read_text()) for rank in range(n)
             if (out/f'{rank}.json').exists()]
    return found, done


def test_two_processes_find_what_one_finds(tmp_path):
    (alone,), _ = train(tmp_path/'alone', n=1, drop=0.)
    (first, second), done = train(tmp_path/'both', drop=0.)
    assert done.returncode == 0
    assert first['digest'] == second['digest'] and first['values'] == second['values']
    assert second['sent'] == 0 and not second['environment']
    assert first['values'] == pytest.approx(alone['values'], rel=1e-3)


def test_a_killed_process_ends_all_with_its_name_and_the_run_goes_on(tmp_path):
    (undisturbed, _), _ = train(tmp_path/'undisturbed')
    start = time.monotonic()
    found, done = train(tmp_path/'killed', kill='kill')
    seconds = time.monotonic() - start
    assert done.returncode != 0 and not found and seconds < 60
    assert re.search(r'rank *: 1', done.stderr)
    assert f'exitcode  : -{signal.SIGKILL:d}' in done.stderr
    (first, second), done = train(tmp_path/'killed')
    assert done.returncode == 0, done.stderr
    assert first == second | dict(environment=first['environment'])
    assert first['digest'] == undisturbed['digest'] # also its dropout
    (alone,), _ = train(tmp_path/'killed', n=1) # nothing is left to do
    assert alone['digest'] == undisturbed['digest']


def test_a_classifier_is_the_same_in_both(tmp_path):
    (first, second), done = train(tmp_path/'both', what='classifier')
    assert done.returncode == 0, done.stderr
    assert first['digest'] == second['digest'] and first['score'] == second['score'] > .9
