"Stages and language models: interruption by a real kill, damaged and mixed-up files, writing, odd input"
import json
import pickle
import signal
import subprocess
import sys
import time

from textgraft.batching import lm_dataloaders
from textgraft.lm_finetune import (
    LanguageModel,
    carry_over,
    finetune_lm,
    generate,
    load_lm,
    new_lm,
    next_word_probs,
    read_checkpoint,
    reshape_probs,
    save_lm,
    split_texts,
    unigram_perplexity,
    wikitext_lm,
)
from textgraft.tokenization import SPECIAL_TOKENS, Vocab

import numpy as np
import pytest
import torch

WORDS = [f'w{i}' for i in range(23)]
VOCAB = Vocab([*SPECIAL_TOKENS, *WORDS])
RUN = '''
import sys
import numpy as np
from textgraft.lm_finetune import finetune_lm, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab
vocab = Vocab([*SPECIAL_TOKENS, *[f'w{i}' for i in range(23)]])
rng = np.random.default_rng(0)
texts = [np.r_[2, rng.integers(9, 32, 30)] for _ in range(120)]
learn = finetune_lm(new_lm(vocab, 8, 8, 1), texts[20:], texts[:20], 6, 1e-2, bs=4, seq_len=5, folder=sys.argv[1])
print('END', learn.recorder.values[-1][-1])
'''


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    return [np.r_[2, rng.integers(9, 32, 30)] for _ in range(40)]


@pytest.fixture
def lm(): return new_lm(VOCAB, 8, 8, 2)


def test_a_killed_run_goes_on_and_ends_where_an_undisturbed_one_does(tmp_path):
    def run(folder, **kwargs): return subprocess.Popen([sys.executable, '-c', RUN, str(folder)], stdout=subprocess.PIPE, text=True, **kwargs)
    killed = run(tmp_path/'killed')
    file = tmp_path/'killed/thawed.pt'
    end = time.monotonic() + 120
    while not file.exists() and killed.poll() is None and time.monotonic() < end: time.sleep(.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 1 <= len(read_checkpoint(file)['figures']) <= 6
    ends = [float(run(tmp_path/name).communicate(timeout=120)[0].split('END')[1]) for name in ('killed', 'undisturbed')]
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_a_checkpoint_of_another_run_is_refused(tmp_path, texts, lm):
    finetune_lm(lm, texts, texts[:5], 1, 1e-2, bs=4, seq_len=5, folder=tmp_path)
    with pytest.raises(ValueError, match='seq_len is 5 there and 6 here'):
        finetune_lm(new_lm(VOCAB, 8, 8, 2), texts, texts[:5], 1, 1e-2, bs=4, seq_len=6, folder=tmp_path)
    with pytest.raises(ValueError, match='texts is'):
        finetune_lm(new_lm(VOCAB, 8, 8, 2), texts[1:], texts[:5], 1, 1e-2, bs=4, seq_len=5, folder=tmp_path)


def test_a_checkpoint_that_could_run_code_is_refused(tmp_path):
    (tmp_path/'bad.pt').write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match='not a whole checkpoint'): read_checkpoint(tmp_path/'bad.pt')


def test_a_finished_run_is_not_repeated(tmp_path, texts):
    first = finetune_lm(new_lm(VOCAB, 8, 8, 1), texts, texts[:5], 2, 1e-2, bs=4, seq_len=5, folder=tmp_path)
    before = (tmp_path/'thawed.pt').stat().st_mtime_ns
    again = finetune_lm(new_lm(VOCAB, 8, 8, 1), texts, texts[:5], 2, 1e-2, bs=4, seq_len=5, folder=tmp_path)
    assert (tmp_path/'thawed.pt').stat().st_mtime_ns == before
    assert again.recorder.values[-1][-1] == pytest.approx(first.recorder.values[-1][-1])
    for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True): torch.testing.assert_close(a, b)


def test_saved_and_loaded_in_a_fresh_process(tmp_path, lm):
    save_lm(lm, tmp_path/'lm')
    code = f'from textgraft.lm_finetune import load_lm, next_word_probs; print(next_word_probs(load_lm({str(tmp_path/"lm")!r}), [2, 9]).tolist())'
    there = json.loads(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout)
    np.testing.assert_allclose(there, next_word_probs(lm, [2, 9]).numpy(), rtol=1e-4)


@pytest.mark.parametrize('name', ['weights.safetensors', 'vocab.json', 'stage.json'])
def test_a_damaged_stage_is_refused(tmp_path, lm, name):
    file = save_lm(lm, tmp_path/'lm')/name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match='lm'): load_lm(tmp_path/'lm')
    file.unlink()
    with pytest.raises(ValueError, match='not a whole stage'): load_lm(tmp_path/'lm')


def test_a_vocabulary_in_another_order_is_refused(tmp_path, lm):
    folder = save_lm(lm, tmp_path/'lm')
    Vocab([*SPECIAL_TOKENS, *reversed(WORDS)]).save(folder/'vocab.json')
    with pytest.raises(ValueError, match='vocab.json is damaged, or from another stage'): load_lm(folder)


def test_saving_over_a_stage_replaces_it_and_leaves_nothing_else(tmp_path, lm):
    for _ in range(2): save_lm(lm, tmp_path/'lm')
    assert [p.name for p in tmp_path.iterdir()] == ['lm']


def test_new_words_get_the_mean_and_known_words_keep_theirs(lm):
    moved = carry_over(lm, Vocab([*SPECIAL_TOKENS, 'new', 'w3']))
    old, new = lm.model[0].encoder.weight, moved.model[0].encoder.weight
    torch.testing.assert_close(new[10], old[12])
    torch.testing.assert_close(new[9], old.mean(0))
    torch.testing.assert_close(moved.model[0].rnns[0].weight_hh_l0_raw, lm.model[0].rnns[0].weight_hh_l0_raw)


def test_fastai_weights_from_a_folder(tmp_path, lm):
    torch.save(lm.model.state_dict(), tmp_path/'lstm_wt103.pth')
    (tmp_path/'itos_wt103.pkl').write_bytes(pickle.dumps(VOCAB.tokens))
    again = wikitext_lm(folder=tmp_path)
    assert again.config['layers'] == 2 and again.vocab == VOCAB
    torch.testing.assert_close(next_word_probs(again, [2, 9]), next_word_probs(lm, [2, 9]))


def test_without_a_network_the_weights_say_where_they_belong():
    with pytest.raises(ConnectionError, match='wt103-fwd'): wikitext_lm()


def test_one_step_a_word_is_the_same_as_reading_anew(lm):
    rng, words = np.random.default_rng(1), [2]
    for word in rng.integers(9, 32, 12):
        words.append(int(word))
        whole = next_word_probs(lm, words)
        next_word_probs(lm, words[:-1])
        with torch.no_grad(): kept = lm.model(torch.tensor([[words[-1]]]))[0][0, -1].softmax(-1)
        torch.testing.assert_close(kept, whole, rtol=1e-4, atol=1e-7)


def test_writing_is_reproducible_and_never_unknown(lm):
    assert generate(lm, 'w1 w2', 20, seed=3) == generate(lm, 'w1 w2', 20, seed=3)
    assert 'xxunk' not in generate(lm, 'w1', 50, temperature=2.)


@pytest.mark.parametrize('settings', [dict(temperature=0.), dict(temperature=-1.), dict(top_k=0), dict(top_p=0.), dict(top_p=1.5)])
def test_odd_settings_are_refused(lm, settings):
    with pytest.raises(ValueError, match=next(iter(settings))): generate(lm, 'w1', 3, **settings)


def test_a_cold_distribution_does_not_underflow():
    cold = reshape_probs(torch.tensor([.5, .3, .2]), temperature=1e-3)
    torch.testing.assert_close(cold, torch.tensor([1., 0., 0.]))


def test_a_backward_model_does_not_write():
    with pytest.raises(ValueError, match='from the end'): generate(new_lm(VOCAB, 8, 8, 1, backwards=True), 'w1')


def test_too_little_to_work_with(lm, texts):
    with pytest.raises(ValueError, match='too few'): lm_dataloaders(texts[:1], texts, VOCAB, bs=64)
    with pytest.raises(ValueError, match='at least two'): split_texts(['one'])
    with pytest.raises(ValueError, match='need both'): unigram_perplexity(texts, [], 32)
    with pytest.raises(ValueError, match='at least one'): finetune_lm(lm, texts, texts, 0)
    with pytest.raises(ValueError, match='no text to go on from'): next_word_probs(lm, [])
    assert isinstance(lm, LanguageModel)
