"""Training that is killed at any moment ends, after it is started again, bit for bit as if it had
not been; a model that is being saved when its process is killed is the old one or the new one.

`KILLS=50 python -m pytest tests/test_kills.py` kills fifty times."""
import multiprocessing
import os
import random
import signal
import sys
import time

from textgraft.library.storage import load_folder, save_folder
from textgraft.library.training import fit_plan, weights_digest
from textgraft.lm_finetune import lm_learner, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab

import numpy as np
import pytest

KILLS = int(os.environ.get('KILLS', 4))
VOCAB = Vocab([*SPECIAL_TOKENS, *(f'w{i}' for i in range(23))])
PLAN = [dict(first=-1, epochs=3, lr=1e-2), dict(first=0, epochs=4, lr=1e-2, lr_low=1e-3)]
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='needs fork and SIGKILL')


def train(folder):
    from textgraft.batching import lm_dataloaders
    from textgraft.library.training import quiet
    rng = np.random.default_rng(0)
    texts = [np.r_[2, rng.integers(9, 32, 30)] for _ in range(40)]
    loaders = lm_dataloaders(texts, texts[:10], VOCAB, bs=4, seq_len=10)
    learn = quiet(lm_learner(new_lm(VOCAB, 8, 8, 1, seed=0), loaders))
    return weights_digest(fit_plan(learn, PLAN, folder).model)


def killed_after(seconds, work, *args):
    "Run in a process of its own and kill it; True if it had not ended by then"
    process = multiprocessing.get_context('fork').Process(target=work, args=args)
    process.start()
    process.join(seconds)
    lived = process.is_alive()
    if lived: os.kill(process.pid, signal.SIGKILL)
    process.join()
    return lived


def test_killed_at_random(tmp_path):
    start = time.monotonic()
    undisturbed = train(tmp_path/'undisturbed')
    whole, rng, n_killed = time.monotonic() - start, random.Random(7), 0
    for number in range(KILLS):
        folder = tmp_path/str(number)
        for _ in range(rng.randint(1, 2)): # perhaps once more while it goes on
            n_killed += killed_after(rng.uniform(.02, whole), train, folder)
        assert train(folder) == undisturbed
        assert not [name for name in os.listdir(folder) if not name.endswith(('.pt', '.part'))]
    assert n_killed >= KILLS//3
    print(f'{n_killed} kills in {KILLS} runs, all bit for bit the same')


def save_for_ever(folder):
    for number in range(10**9):
        save_folder(folder, 'words', {'number': number}, {
            name: lambda path, n=number: path.write_text(str(n)*1000) for name in 'abc'})


def test_killed_while_saving(tmp_path):
    rng = random.Random(3)
    for _ in range(3*KILLS):
        assert killed_after(rng.uniform(.05, .2), save_for_ever, tmp_path/'model')
        kept = load_folder(tmp_path/'model', 'words') # findable, and of one piece
        words = [(tmp_path/'model'/name).read_text() for name in 'abc']
        assert words == [str(kept.config['number'])*1000]*3
