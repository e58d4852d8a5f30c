"The training loop: checkpoints that know their run, damage, devices, losses that are no numbers"
import random
import shutil
import threading

from textgraft.batching import lm_dataloaders
from textgraft.library.encoders import ENCODERS, encoder_of, state_rows
from textgraft.library.training import (
    fit_plan,
    fit_resumable,
    ids_digest,
    own_randomness,
    quiet,
    read_checkpoint,
    resume,
    weights_digest,
    write_checkpoint,
)
from textgraft.lm_finetune import lm_learner, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

VOCAB = Vocab([*SPECIAL_TOKENS, *(f'w{i}' for i in range(23))])
PLAN = [dict(first=-1, epochs=1, lr=1e-2, lr_low=1e-2),
        dict(first=0, epochs=2, lr=1e-2, lr_low=1e-3)]


def texts(n=40):
    rng = np.random.default_rng(0)
    return [np.r_[2, rng.integers(9, 32, 30)] for _ in range(n)]


def learner(seed=0, n=40, vocab=VOCAB, device=None):
    loaders = lm_dataloaders(texts(n), texts(10), vocab, bs=4, seq_len=10, device=device)
    return quiet(lm_learner(new_lm(vocab, 8, 8, 1, seed=seed), loaders))


class Stop(Callback):
    "As if the process were killed at a certain step"
    def __init__(self, epoch, step): self.where = epoch, step
    def after_batch(self):
        if self.training and (self.epoch, self.iter) == self.where: raise KeyboardInterrupt


@pytest.mark.parametrize('epoch, step', [(0, 3), (1, 0), (2, 5)])
def test_a_run_that_was_stopped_ends_bit_for_bit_as_if_it_had_not_been(tmp_path, epoch, step):
    undisturbed = fit_resumable(learner(), 3, 1e-2, tmp_path/'a.pt')
    with pytest.raises(KeyboardInterrupt):
        fit_resumable(learner().add_cb(Stop(epoch, step)), 3, 1e-2, tmp_path/'b.pt')
    resumed = fit_resumable(learner(), 3, 1e-2, tmp_path/'b.pt')
    assert weights_digest(resumed.model) == weights_digest(undisturbed.model)
    assert len(resumed.recorder.values) == 3
    assert resumed.recorder.values[-1][1:] == undisturbed.recorder.values[-1][1:]


def test_a_plan_that_was_stopped_goes_on_with_its_step(tmp_path):
    undisturbed = fit_plan(learner(), PLAN)
    with pytest.raises(KeyboardInterrupt): fit_plan(learner().add_cb(Stop(1, 2)), PLAN, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ['step-0.pt', 'step-1.pt']
    resumed = fit_plan(learner(), PLAN, tmp_path)
    assert weights_digest(resumed.model) == weights_digest(undisturbed.model)


class Vanish(Callback):
    "As if somebody deleted the folder of the checkpoints meanwhile"
    def __init__(self, folder): self.folder = folder
    def before_epoch(self):
        if self.epoch == 2: shutil.rmtree(self.folder)


def test_a_folder_that_vanishes_is_made_again(tmp_path):
    undisturbed = fit_resumable(learner(), 3, 1e-2, tmp_path/'a.pt')
    folder = tmp_path/'run'
    fit_resumable(learner().add_cb(Vanish(folder)), 3, 1e-2, folder/'b.pt')
    kept = fit_resumable(learner(), 3, 1e-2, folder/'b.pt') # it has ended: nothing is left to do
    assert weights_digest(kept.model) == weights_digest(undisturbed.model)


@pytest.mark.parametrize('other, difference', [
    (dict(seed=1), 'starting weights is'),
    (dict(n=39), 'texts is'),
    (dict(vocab=Vocab([*SPECIAL_TOKENS, *(f'w{i}' for i in reversed(range(23)))])), 'words is'),
])
def test_another_run_is_refused_and_its_difference_named(tmp_path, other, difference):
    fit_resumable(learner(), 1, 1e-2, tmp_path/'run.pt')
    before = (tmp_path/'run.pt').read_bytes()
    with pytest.raises(ValueError, match=difference):
        fit_resumable(learner(**other), 1, 1e-2, tmp_path/'run.pt')
    assert (tmp_path/'run.pt').read_bytes() == before


def test_both_starting_weights_are_named(tmp_path):
    fit_resumable(learner(), 1, 1e-2, tmp_path/'run.pt')
    first, second = (weights_digest(learner(seed).model) for seed in (0, 1))
    with pytest.raises(ValueError, match=f'{first}.* there and .*{second}.* here'):
        fit_resumable(learner(1), 1, 1e-2, tmp_path/'run.pt')


@pytest.mark.parametrize('named, changes', [
    ('epochs', dict(epochs=2)), ('lr', dict(lr=2e-2)), ('dropout', dict(about=dict(dropout=.5)))])
def test_other_settings_are_refused(tmp_path, named, changes):
    run = dict(epochs=1, lr=1e-2, about=dict(dropout=.1))
    fit_resumable(learner(), file=tmp_path/'run.pt', **run)
    with pytest.raises(ValueError, match=f'{named} is'):
        fit_resumable(learner(), file=tmp_path/'run.pt', **(run | changes))


def test_every_damage_is_noticed(tmp_path):
    file = write_checkpoint(tmp_path/'run.pt', dict(w=torch.arange(50.), figures=[[1., 2.]]))
    whole = file.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        place = rng.randrange(len(whole))
        kind = rng.choice(['cut', 'flip', 'zeros'])
        if kind == 'cut': damaged = whole[:place]
        elif kind == 'flip': damaged = whole[:place] + bytes([whole[place] ^ 8]) + whole[place+1:]
        else: damaged = whole[:place] + bytes(64) + whole[place+64:]
        if damaged == whole: continue
        file.write_bytes(damaged)
        try: again = read_checkpoint(file)
        except ValueError as error: assert 'run.pt' in str(error)
        else: assert torch.equal(again['w'], torch.arange(50.)) and again['figures'] == [[1., 2.]]


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self): return exec, (f'open({str(tmp_path/"ran")!r}, "w")',)
    file = write_checkpoint(tmp_path/'evil.pt', dict(evil=Evil()))
    with pytest.raises(ValueError, match='no checkpoint'): read_checkpoint(file)
    assert not (tmp_path/'ran').exists()


@pytest.mark.filterwarnings('ignore:.*copying from a non-meta parameter')
def test_the_optimizer_goes_where_the_weights_are(tmp_path):
    "There is no GPU on every machine that runs this: `meta` is a device that keeps no values"
    fit_resumable(learner(), 1, 1e-2, tmp_path/'run.pt')
    there = learner(device='meta')
    there.model.to('meta')
    there.model[1].decoder.weight = there.model[0].encoder.weight # `to` has untied them
    assert len(resume(there, tmp_path/'run.pt', read_checkpoint(tmp_path/'run.pt')['about'])) == 1
    states = [value for state in there.opt.state.values() for value in state.values()]
    places = {value.device.type for value in states if isinstance(value, torch.Tensor)}
    assert places == {next(there.model.parameters()).device.type} == {'meta'}


@pytest.mark.parametrize('in_epoch', [0, 1])
def test_a_loss_that_is_no_number_stops_training(tmp_path, in_epoch):
    class Spoil(Callback):
        order = -5
        def before_batch(self):
            if self.training and (self.epoch, self.iter) == (in_epoch, 2):
                self.model[0].encoder.weight.data[9:] = torch.nan
    with pytest.raises(ValueError, match=f'epoch {in_epoch + 1}, step 3, the loss is nan') as error:
        fit_resumable(learner().add_cb(Spoil()), 3, 1e-2, tmp_path/'run.pt')
    if in_epoch: assert f'last good checkpoint is {tmp_path/"run.pt"}' in str(error.value)
    else: assert 'no checkpoint was written' in str(error.value)
    resumed = fit_resumable(learner(), 3, 1e-2, tmp_path/'run.pt')
    undisturbed = fit_resumable(learner(), 3, 1e-2)
    assert weights_digest(resumed.model) == weights_digest(undisturbed.model)


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    class Spoil(Callback):
        def after_train(self): self.model[1].decoder.bias.data[12] = torch.inf
    with pytest.raises(ValueError, match='decoder.bias holds values that are not finite'):
        fit_resumable(learner().add_cb(Spoil()), 1, 1e-2, tmp_path/'run.pt')
    assert not (tmp_path/'run.pt').exists()


def state():
    "Where all random numbers of this process stand"
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_the_random_numbers_of_the_caller_stay_where_they_were(tmp_path):
    learners = [learner(), learner()]
    before = state()
    for learn in learners: fit_resumable(learn, 1, 1e-2, tmp_path/'run.pt')
    with pytest.raises(ZeroDivisionError), own_randomness(1): torch.rand(3)/(1//0)
    assert state() == before


def test_two_threads_draw_what_their_seeds_say():
    def draw(seed, into):
        with own_randomness(seed): into[seed] = [torch.rand(1).item() for _ in range(2000)]
    alone, together = {}, {}
    for seed in range(4): draw(seed, alone)
    threads = [threading.Thread(target=draw, args=(seed, together)) for seed in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert together == alone


def test_digests_tell_runs_apart():
    model = torch.nn.Linear(3, 2)
    before = weights_digest(model)
    with torch.no_grad(): model.weight[0, 0] += 1e-6
    assert weights_digest(model) != before
    assert weights_digest(torch.nn.Linear(3, 2).half()) != weights_digest(torch.nn.Linear(3, 2))
    texts = [np.array([1, 2]), np.array([3], dtype=np.int32)]
    assert ids_digest([[1, 2], [3]]) == ids_digest(texts)
    others = [[[1], [2, 3]], [[3], [1, 2]], [[1, 2, 3]]]
    assert len({ids_digest(text) for text in [texts, *others]}) == 4


def test_home_is_home(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    fit_resumable(learner(), 1, 1e-2, '~/kept/run.pt')
    assert (tmp_path/'kept/run.pt').exists() and not (tmp_path/'~').exists()
    assert len(read_checkpoint('~/kept/run.pt')['figures']) == 1


def test_an_unknown_encoder_is_named():
    with pytest.raises(ValueError, match="no encoder 'elmo', there are awd_lstm"):
        encoder_of({'encoder': 'elmo'})
    assert encoder_of({'encoder': 'awd_lstm'}) is ENCODERS['awd_lstm']


def test_rows_of_a_state_come_and_go():
    old = torch.ones(2, 3, 4)
    assert state_rows(None, 3) is None and state_rows(old, 3) is old
    assert state_rows(old, 2).shape == (2, 2, 4)
    assert state_rows(old, 5)[:, 3:].abs().sum() == 0
