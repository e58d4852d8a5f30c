"Two processes on one machine: equal weights, what one process finds, killed and gone on with"
import json
import os
import re
import shutil
import subprocess
import sys
import time

from textgraft.library.distributed import from_first, is_first, joined

import pytest

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='needs SIGKILL and gloo')

TRAIN = '''
import json, os, signal, sys
from pathlib import Path
from textgraft.batching import lm_dataloaders
from textgraft.classifier import TextClassifier
from textgraft.library.distributed import from_first, joined
from textgraft.library.training import fit_plan, quiet, weights_digest
from textgraft.lm_finetune import LanguageModel, lm_learner, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab
import numpy as np
from fastai.callback.core import Callback

VOCAB = Vocab([*SPECIAL_TOKENS, *(f'w{i}' for i in range(23))])
rank = int(os.environ.get('RANK', 0))
out, tasks = Path(sys.argv[1]), sys.argv[2:]

class Kill(Callback):
    "Ends process 1 in the middle of the second epoch in which all layers learn"
    def after_batch(self):
        if rank == 1 and self.training and self.epoch == 1 and self.iter == 5:
            if all(w.requires_grad for w in self.model.parameters()):
                (out/'now').touch()
                os.kill(os.getpid(), signal.SIGKILL)

def language_model(name, drop=1., kill=False):
    rng = np.random.default_rng(0)
    texts = [np.r_[2, 9 + (rng.integers(23) + np.arange(29))%23] for _ in range(60)]
    loaders = lm_dataloaders(texts, texts[:20], VOCAB, bs=7, seq_len=10)
    learn = quiet(lm_learner(new_lm(VOCAB, 16, 16, 1, drop_mult=drop, seed=0), loaders))
    if kill: learn.add_cb(Kill())
    plan = [dict(first=-1, epochs=1, lr=1e-2), dict(first=0, epochs=3, lr=1e-2)]
    fit_plan(learn, plan, out/name)
    values = [float(value) for value in learn.recorder.values[-1]]
    return dict(digest=weights_digest(learn.model), values=values)

def classifier():
    "Some texts are longer than a step: a batch's longest may be in the other process"
    words = 'good', 'fine', 'great', 'bad', 'dull', 'poor'
    texts = [f'a {word} film' + ' of this kind'*(n*n%37) for n in range(20) for word in words]
    labels = [word in words[:3] for n in range(20) for word in words]
    made = TextClassifier(plan='at once', epochs=4, bs=7).fit(texts, labels)
    return dict(digest=weights_digest(made.network_), score=made.score(texts, labels))

def sent():
    def fail(): raise ValueError(f'from process {rank}')
    try: from_first(fail)
    except ValueError as error: failure = str(error)
    return dict(number=from_first(lambda: rank), failure=failure, hidden='RANK' not in os.environ)

DO = dict(plain=lambda: language_model('plain', drop=1e-9), # nothing is dropped
          dropout=lambda: language_model('dropout'),
          killed=lambda: language_model('killed', kill=True), copy=lambda: language_model('copy'),
          resumed=lambda: language_model('killed'), classifier=classifier, sent=sent)
with joined():
    for task in tasks: (out/f'{task} {rank}.json').write_text(json.dumps(DO[task]()))
'''


def train(out, n, *tasks):
    "Do these tasks in `n` processes"
    (out/'train.py').write_text(TRAIN)
    start = [sys.executable] if n == 1 else [
        sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n)]
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    return subprocess.run([*start, str(out/'train.py'), str(out), *tasks], env=environment,
                          capture_output=True, text=True, timeout=300)


def found(out, task, n=2):
    "What each process has found"
    return [json.loads((out/f'{task} {rank}.json').read_text()) for rank in range(n)]


def test_two_processes_find_what_one_finds(tmp_path):
    done = train(tmp_path, 2, 'plain', 'sent', 'classifier')
    assert done.returncode == 0, done.stderr
    first, second = found(tmp_path, 'plain')
    assert first == second
    for each in found(tmp_path, 'sent'):
        assert each == dict(number=0, failure='from process 0', hidden=True)
    one, other = found(tmp_path, 'classifier')
    assert one == other and one['score'] > .9
    shutil.rmtree(tmp_path/'plain') # its checkpoints
    assert train(tmp_path, 1, 'plain').returncode == 0 # the same batches, each twice a process's
    alone, = found(tmp_path, 'plain', 1)
    assert first['values'] == pytest.approx(alone['values'], rel=1e-3)


def test_a_killed_process_ends_all_with_its_name_and_the_run_goes_on(tmp_path):
    done = train(tmp_path, 2, 'dropout', 'killed')
    seconds = time.time() - (tmp_path/'now').stat().st_mtime
    assert done.returncode != 0 and seconds < 60
    assert re.search(r'rank *: 1 ', done.stderr) and re.search(r'exitcode *: -9 ', done.stderr)
    assert not list(tmp_path.glob('killed *.json'))
    shutil.copytree(tmp_path/'killed', tmp_path/'copy')
    done = train(tmp_path, 2, 'resumed')
    assert done.returncode == 0, done.stderr
    (undisturbed, _), (first, second) = found(tmp_path, 'dropout'), found(tmp_path, 'resumed')
    assert first == second
    assert first['digest'] == undisturbed['digest'] # also its dropout
    assert first['values'][1:] == undisturbed['values'][1:] # the first is smoothed since the start
    assert train(tmp_path, 1, 'copy').returncode == 0 # begun by two, finished by one
    alone, = found(tmp_path, 'copy', 1)
    assert alone['values'][1] == pytest.approx(undisturbed['values'][1], rel=.1)


def test_one_process_is_the_first_and_waits_for_nobody():
    with joined(): assert is_first() and from_first(lambda: 42) == 42
