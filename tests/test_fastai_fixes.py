"""Each work-around twice: fastai still has the problem, and ours has not.

A test that fails with 'upstream fixed' is good news: remove the work-around and its section.
"""
import shutil
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from io import StringIO

from textgraft.batching import classifier_dataloaders, lm_dataloaders
from textgraft.library import fastai_fixes
from textgraft.library.fastai_fixes import (
    bfloat16_works,
    fetch,
    load_saved,
    mixed_precision,
    show_batch,
    show_results,
)
from textgraft.tokenization import Vocab, tokenize

import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.external import URLs, fastai_path, untar_data
from fastai.data.transforms import ColReader, RandomSplitter
from fastai.text.data import TextBlock
from fastai.text.learner import language_model_learner, text_classifier_learner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config

SENTENCES = ['I loved every minute of it .', 'A dull <b>and endless film .',
             'What a wonderful cast !', 'I want my money back .']
TINY = dict(emb_sz=8, n_hid=8, n_layers=1)
FOR_LM = dict(config=awd_lstm_lm_config | TINY, pretrained=False)
FOR_CLASSIFIER = dict(config=awd_lstm_clas_config | TINY, pretrained=False)


def loaders(is_lm):
    reviews = pd.DataFrame({'text': SENTENCES*5, 'label': ['pos', 'neg']*10})
    blocks = [TextBlock.from_df('text', is_lm=is_lm, seq_len=5, min_freq=1, n_workers=0)]
    if not is_lm: blocks.append(CategoryBlock)
    block = DataBlock(blocks, get_x=ColReader('text'), get_y=None if is_lm else ColReader('label'),
        splitter=RandomSplitter(.4, seed=1))
    return block.dataloaders(reviews, bs=4, seq_len=5, num_workers=0, device='cpu')


@pytest.fixture(scope='module')
def dls_lm(): return loaders(True)


@pytest.fixture(scope='module')
def dls_clas(): return loaders(False)


@pytest.fixture
def lm(dls_lm, tmp_path):
    return lambda: language_model_learner(dls_lm, AWD_LSTM, path=tmp_path, **FOR_LM)


@pytest.fixture
def classifier(dls_clas, tmp_path):
    return text_classifier_learner(dls_clas, AWD_LSTM, path=tmp_path, **FOR_CLASSIFIER)


def fit(learn):
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    return learn


def test_show_batch(dls_lm, dls_clas):
    printed = StringIO()
    with redirect_stdout(printed): dls_lm.show_batch(max_n=2)
    assert printed.getvalue().startswith('xxbos'), 'upstream fixed: remove show_batch'
    table = show_batch(dls_lm, max_n=3)
    assert table.shape == (3, 2)
    for text, target in table.to_numpy(): assert text.split()[1:] == target.split()[:-1]
    assert set(show_batch(dls_clas.valid).target) <= {'pos', 'neg'}
    assert show_batch(dls_lm, trunc_at=2).text.str.split().str.len().max() == 2


def test_show_results(classifier, lm):
    with pytest.raises(TypeError, match="not subscriptable"), classifier.no_bar():
        classifier.show_results()
        pytest.fail("upstream fixed: remove show_results")
    table = show_results(classifier, max_n=3)
    assert list(table) == ['text', 'target', 'predicted'] and len(table) == 3
    assert set(table.predicted) <= {'pos', 'neg'}
    table = show_results(lm(), max_n=2)
    assert len(table) == 2 and table.predicted.str.split().str.len().tolist() == [5, 5]


def test_show_results_of_our_own_loaders(tmp_path):
    tokens = tokenize(SENTENCES*5)
    vocab = Vocab.from_tokens(tokens, min_freq=1)
    ids = [vocab.encode(t) for t in tokens]
    dls = lm_dataloaders(ids, ids, vocab, bs=4, seq_len=5, device='cpu')
    learn = language_model_learner(dls, AWD_LSTM, path=tmp_path, **FOR_LM)
    assert 'predicted' in show_results(learn, max_n=2)
    labels = ['pos', 'neg']*10
    part = (ids, labels)
    dls = classifier_dataloaders(part, part, vocab, ['neg', 'pos'], bs=4, device='cpu')
    learn = text_classifier_learner(dls, AWD_LSTM, path=tmp_path, **FOR_CLASSIFIER)
    assert set(show_results(learn, max_n=3).predicted) <= {'neg', 'pos'}


def test_load_saved_heeds_with_opt(lm):
    learn = fit(lm())
    saved, bare = learn.save('stage', with_opt=True), learn.save('bare', with_opt=False)
    stale = lm().load('stage', with_opt=False)
    assert stale.opt.state_dict()['state'][0], 'upstream fixed: remove load_saved'
    fresh = load_saved(lm(), saved)
    assert not fresh.opt.state_dict()['state'][0]
    weights = zip(fresh.model.parameters(), learn.model.parameters(), strict=True)
    assert all(torch.equal(new, old) for new, old in weights)
    assert load_saved(lm(), 'stage', with_opt=True).opt.state_dict()['state'][0]
    with pytest.warns(UserWarning, match="doesn't contain an optimizer"):
        load_saved(lm(), bare, with_opt=True)


def test_load_saved_runs_no_code_from_the_file(lm, tmp_path):
    class Evil:
        def __reduce__(self): return exec, (f'open({str(tmp_path/"ran")!r}, "w")',)
    torch.save(Evil(), tmp_path/'evil.pth')
    with pytest.raises(Exception, match='[Ww]eights'): load_saved(lm(), tmp_path/'evil.pth')
    assert not (tmp_path/'ran').exists()


def warned(learn):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        fit(learn)
    return [str(w.message) for w in caught]


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there: nothing to warn about')
def test_mixed_precision_is_silent_without_a_gpu(lm):
    said = warned(lm().to_fp16())
    assert any('CUDA' in text for text in said), 'upstream fixed: remove mixed_precision'
    learn = mixed_precision(lm())
    assert not [text for text in warned(learn) if 'CUDA' in text]
    assert not any(isinstance(cb, MixedPrecision) for cb in learn.cbs)


NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there: it takes fp16')
HAS_BFLOAT16 = pytest.mark.skipif(not bfloat16_works(), reason='no bfloat16 for LSTMs here')


@NO_GPU
@HAS_BFLOAT16
def test_bfloat16_in_training_only(lm):
    learn, seen = mixed_precision(lm(), bf16=True), []
    class Look(Callback):
        def after_pred(self): seen.append((self.training, torch.is_autocast_enabled('cpu')))
    fit(learn.add_cb(Look()))
    assert set(seen) == {(True, True), (False, False)} and not torch.is_autocast_enabled('cpu')
    assert all(weight.dtype == torch.float32 for weight in learn.model.parameters())


@NO_GPU
@HAS_BFLOAT16
def test_an_interrupted_batch_leaves_no_bfloat16_behind(lm):
    class Stop(Callback):
        def after_pred(self): raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): fit(mixed_precision(lm(), bf16=True).add_cb(Stop()))
    assert not torch.is_autocast_enabled('cpu')


@NO_GPU
def test_a_processor_without_bfloat16_trains_in_float32_and_says_so(lm, monkeypatch):
    monkeypatch.setattr(fastai_fixes, 'bfloat16_works', lambda: False)
    with pytest.warns(UserWarning, match='has no bfloat16 for LSTMs'):
        learn = mixed_precision(lm(), bf16=True)
    fit(learn)
    assert learn.recorder.values[0][0] > 0


def test_trying_bfloat16_raises_nothing():
    assert bfloat16_works() in (True, False)
    assert not torch.is_autocast_enabled('cpu')


def test_fetch_says_what_to_do_without_a_network(monkeypatch):
    nowhere = 'http://localhost:9/wt103-none.tgz'
    with pytest.raises(OSError) as error: untar_data(nowhere, c_key='model')
    assert 'localhost' not in str(error.value), 'upstream fixed: remove fetch'
    folder = fastai_path('model')/'wt103-none'
    with pytest.raises(ConnectionError) as error: fetch(nowhere, 'model')
    assert nowhere in str(error.value) and f'unpack the archive to {folder}' in str(error.value)


@pytest.fixture
def by_hand():
    "Folders of fastai's cache that a test fills, and that are gone after it"
    folders = [fastai_path('model')/'wt103-fwd', fastai_path('data')/'imdb']
    for folder in folders: folder.mkdir(parents=True)
    yield folders
    for folder in folders: shutil.rmtree(folder)


def test_fetch_takes_a_folder_that_was_filled_by_hand(by_hand):
    folder, data = by_hand
    with pytest.raises(FileNotFoundError, match='holds no .pth and no .pkl file: delete it'):
        fetch(URLs.WT103_FWD, 'model')
    for end in ['pth', 'pkl']: (folder/f'lstm.{end}').touch()
    assert fetch(URLs.WT103_FWD, 'model') == folder
    assert fetch(URLs.IMDB) == data


def test_importing_is_silent():
    def run(code):
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        return done.stderr
    said = run('import fastai.layers')
    assert 'torch.jit.script' in said, 'upstream fixed: remove the filter in __init__.py'
    assert run('import textgraft, fastai.layers') == ''
