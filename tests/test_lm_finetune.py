"Language models: interruption by a real kill, damaged and mixed-up files, writing, odd input"
import json
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import warnings

from textgraft.batching import lm_dataloaders
from textgraft.library.encoders import ENCODERS, Encoder, classifier_around, lm_around, state_rows
from textgraft.library.language_models import network_sizes, reading_plan, within_time
from textgraft.library.training import ids_digest, read_checkpoint, weights_digest
from textgraft.lm_finetune import (
    LanguageModel,
    carry_over,
    finetune_lm,
    lm_learner,
    new_lm,
    next_word_probs,
    perplexity,
    split_texts,
    unigram_perplexity,
)
from textgraft.tokenization import SPECIAL_TOKENS, Tokenizer, Vocab

import numpy as np
import pytest
import torch
from fastai.torch_core import params
from fastcore.foundation import L
from sklearn.base import clone

WORDS = [f'w{i}' for i in range(23)]
VOCAB = Vocab([*SPECIAL_TOKENS, *WORDS])
MAILS = [f'I was charged {word} for the {thing}' for word in ('twice', 'again', 'wrongly')
         for thing in ('train', 'ticket', 'seat', 'meal', 'hotel')]
QUICK = dict(epochs=1, frozen_epochs=0, bs=4, seq_len=5, quiet=True)
RUN = '''
import sys
import numpy as np
from textgraft.lm_finetune import finetune_lm, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab
vocab = Vocab([*SPECIAL_TOKENS, *[f'w{i}' for i in range(23)]])
rng = np.random.default_rng(0)
texts = [np.r_[2, rng.integers(9, 32, 30)] for _ in range(120)]
lm = new_lm(vocab, 8, 8, 1)
learn = finetune_lm(lm, texts[20:], texts[:20], 6, 1e-2, bs=4, seq_len=5, folder=sys.argv[1])
print('END', learn.recorder.values[-1][-1])
'''


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    return [np.r_[2, rng.integers(9, 32, 30)] for _ in range(40)]


@pytest.fixture
def lm(): return new_lm(VOCAB, 8, 8, 2)


@pytest.fixture(scope='module')
def read(): return LanguageModel.new(MAILS, emb=8, hidden=8, layers=1).finetune(MAILS, epochs=2)


def same_weights(first, second): return weights_digest(first.model) == weights_digest(second.model)


def test_a_killed_run_goes_on_and_ends_where_an_undisturbed_one_does(tmp_path):
    def run(folder):
        command = [sys.executable, '-c', RUN, str(folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    killed = run(tmp_path/'killed')
    file = tmp_path/'killed/thawed.pt'
    end = time.monotonic() + 120
    while not file.exists() and killed.poll() is None and time.monotonic() < end: time.sleep(.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert 1 <= len(read_checkpoint(file)['figures']) <= 6
    said = [run(tmp_path/name).communicate(timeout=120)[0] for name in ('killed', 'undisturbed')]
    ends = [float(text.split('END')[1]) for text in said]
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)


def test_a_checkpoint_of_another_run_is_refused(tmp_path, texts, lm):
    run = dict(QUICK, folder=tmp_path)
    finetune_lm(lm, texts, texts[:5], **run)
    with pytest.raises(ValueError, match='step length is 5 there and 6 here'):
        finetune_lm(new_lm(VOCAB, 8, 8, 2), texts, texts[:5], **(run | dict(seq_len=6)))
    with pytest.raises(ValueError, match='texts is'):
        finetune_lm(new_lm(VOCAB, 8, 8, 2), texts[1:], texts[:5], **run)
    with pytest.raises(ValueError, match='starting weights is'):
        finetune_lm(new_lm(VOCAB, 8, 8, 2, seed=1), texts, texts[:5], **run)
    with pytest.raises(ValueError, match='drop_mult is'):
        finetune_lm(new_lm(VOCAB, 8, 8, 2, drop_mult=.9), texts, texts[:5], **run)


def test_a_finished_run_is_not_repeated(tmp_path, texts):
    run = dict(QUICK, epochs=2, frozen_epochs=1, folder=tmp_path)
    first, again = new_lm(VOCAB, 8, 8, 1), new_lm(VOCAB, 8, 8, 1)
    figures = finetune_lm(first, texts, texts[:5], **run).recorder.values[-1]
    before = (tmp_path/'thawed.pt').stat().st_mtime_ns
    assert finetune_lm(again, texts, texts[:5], **run).recorder.values[-1][-1] == figures[-1]
    assert (tmp_path/'thawed.pt').stat().st_mtime_ns == before
    assert same_weights(first, again)


def test_a_rate_that_is_too_high_is_said(texts, lm):
    with pytest.raises(ValueError, match=r'epoch 1, step .* Try a lower rate than lr'):
        finetune_lm(lm, texts, texts[:5], lr=1e35, **QUICK)


def test_saved_and_loaded_in_a_fresh_process(tmp_path, lm):
    lm.save(tmp_path/'lm')
    code = f'''from textgraft.lm_finetune import LanguageModel, next_word_probs
print(next_word_probs(LanguageModel.load({str(tmp_path/"lm")!r}), [2, 9]).tolist())'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), next_word_probs(lm, [2, 9]), rtol=1e-4)


@pytest.mark.parametrize(
    'name', ['weights.safetensors', 'vocab.json', 'states.safetensors', 'textgraft.json'])
def test_a_damaged_folder_is_refused(tmp_path, lm, name):
    lm.states = np.ones((3, 24), dtype=np.float32)
    file = lm.save(tmp_path/'lm')/name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=name): LanguageModel.load(tmp_path/'lm')
    file.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        LanguageModel.load(tmp_path/'lm')


def test_a_vocabulary_in_another_order_is_refused(tmp_path, lm):
    folder = lm.save(tmp_path/'lm')
    other = Vocab([*SPECIAL_TOKENS, *reversed(WORDS)])
    (folder/'vocab.json').write_text(json.dumps(other.config))
    with pytest.raises(ValueError, match='vocab.json'): LanguageModel.load(folder)


def test_saving_replaces_our_folder_and_leaves_others_alone(tmp_path, lm):
    for _ in range(2): lm.save(tmp_path/'lm')
    assert [path.name for path in tmp_path.iterdir()] == ['lm']
    thesis = tmp_path/'project/thesis.ipynb'
    thesis.parent.mkdir()
    thesis.write_text('three months of work')
    with pytest.raises(FileExistsError): lm.save(tmp_path/'project')
    assert thesis.read_text() == 'three months of work'


def test_weights_that_are_no_numbers_are_not_saved(tmp_path, lm):
    lm.model[0].encoder.weight.data[9] = torch.nan
    with pytest.raises(ValueError, match='finite|nan'): lm.save(tmp_path/'lm')


def test_new_words_get_the_mean_and_known_words_keep_theirs(lm):
    moved = carry_over(lm, Vocab([*SPECIAL_TOKENS, 'new', 'w3']))
    old, new = lm.model[0].encoder.weight, moved.model[0].encoder.weight
    torch.testing.assert_close(new[10], old[12])
    torch.testing.assert_close(new[9], old.mean(0))
    was, now = (model.model[0].rnns[0].weight_hh_l0_raw for model in (lm, moved))
    torch.testing.assert_close(now, was)


def test_fastai_weights_from_a_folder(tmp_path, lm):
    torch.save(lm.model.state_dict(), tmp_path/'lstm_wt103.pth')
    (tmp_path/'itos_wt103.pkl').write_bytes(pickle.dumps(VOCAB.tokens))
    again = LanguageModel.pretrained(folder=tmp_path)
    assert again.config['layers'] == 2 and again.vocab == VOCAB and again.config['texts_read']
    torch.testing.assert_close(next_word_probs(again, [2, 9]), next_word_probs(lm, [2, 9]))
    (tmp_path/'itos_wt103.pkl').write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match='asks for builtins.print'):
        LanguageModel.pretrained(folder=tmp_path)
    (tmp_path/'itos_wt103.pkl').unlink()
    with pytest.raises(FileNotFoundError, match='no .pkl'):
        LanguageModel.pretrained(folder=tmp_path)


def test_without_a_network_the_weights_say_where_they_belong():
    with pytest.raises(ConnectionError, match='wt103-fwd'): LanguageModel.pretrained()


def test_one_step_a_word_is_the_same_as_reading_anew(lm):
    words = [2]
    for word in np.random.default_rng(1).integers(9, 32, 12):
        words.append(int(word))
        whole = next_word_probs(lm, words)
        next_word_probs(lm, words[:-1])
        with torch.no_grad(): scores = lm.model(torch.tensor([[words[-1]]]))[0][0, -1]
        torch.testing.assert_close(scores.softmax(-1), whole, rtol=1e-4, atol=1e-7)


def test_writing_is_reproducible_and_never_unknown(lm):
    assert lm.generate('w1 w2', 20, seed=3) == lm.generate('w1 w2', 20, seed=3)
    assert 'xxunk' not in lm.generate('w1', 50, temperature=2.)
    assert lm.generate('w1 w2', 0) == 'w1 w2'


@pytest.mark.parametrize('settings', [
    dict(temperature=0.), dict(temperature=-1.), dict(top_k=-1), dict(top_p=0.), dict(top_p=1.5)])
def test_odd_settings_are_refused(lm, settings):
    with pytest.raises(ValueError, match=next(iter(settings))): lm.generate('w1', 3, **settings)


def test_the_likeliest_word_is_the_first_of_the_table(lm):
    table = lm.next_tokens('w1 w2', k=5)
    assert list(table) == ['token', 'probability'] and len(table) == 5
    assert table.probability.is_monotonic_decreasing
    ids = lm.vocab.encode_texts(['w1 w2'])[0]
    assert lm.vocab.decode([int(next_word_probs(lm, ids).argmax())]) == [table.token[0]]
    with pytest.raises(ValueError, match='k=0'): lm.next_tokens('w1', k=0)


def test_a_backward_model_reads_and_does_not_write():
    lm = LanguageModel.new(MAILS, emb=8, hidden=8, layers=1, backwards=True)
    lm = lm.finetune(MAILS, epochs=1)
    assert lm.config['backwards'] and lm.perplexity(MAILS) > 1
    with pytest.raises(ValueError, match='from the end'): lm.generate('I was')


def test_too_little_to_work_with(lm, texts):
    with pytest.raises(ValueError, match='too few'):
        lm_dataloaders(texts[:1], texts, VOCAB, bs=64)
    with pytest.raises(ValueError, match='at least two'): split_texts(['one'])
    with pytest.raises(ValueError, match='at least two'): lm.finetune(['one'])
    with pytest.raises(ValueError, match='need both'): unigram_perplexity(texts, [], 32)
    with pytest.raises(ValueError, match='each step needs one'):
        finetune_lm(lm, texts, texts, **(QUICK | dict(epochs=0)))
    with pytest.raises(ValueError, match='no text to go on from'): next_word_probs(lm, [])
    with pytest.raises(ValueError, match='tokens'):
        lm_learner(lm, lm_dataloaders(texts, texts, Vocab(SPECIAL_TOKENS + WORDS + ['x']), bs=4))


@pytest.mark.parametrize('texts', ['one string', {'a': 1}, [1, 2], (text for text in MAILS)])
def test_what_is_no_list_of_texts_is_refused(lm, texts):
    with pytest.raises(TypeError): lm.finetune(texts)
    with pytest.raises(TypeError): lm.perplexity(texts)


def test_a_model_from_texts_learns_and_the_old_one_stays(read):
    first = LanguageModel.new(MAILS, emb=8, hidden=8, layers=1)
    before = weights_digest(first.model)
    second = first.finetune(MAILS, epochs=3)
    assert weights_digest(first.model) == before and not same_weights(first, second)
    assert second.perplexity(MAILS) < first.perplexity(MAILS)
    assert (first.config['texts_read'], second.config['texts_read']) == (0, 13)
    assert clone(second) is second and 'texts read' in repr(second)
    assert first.states is None and second.states.shape == (2, 24) # texts, three kinds of pooling


def test_words_of_further_texts_are_added_and_known_ones_keep_their_rows(read):
    more = ['The espresso machine leaks', 'My espresso machine leaks again']*10
    lm = read.finetune(more, epochs=1, lr=1e-9)
    assert 'espresso' not in read.vocab and 'espresso' in lm.vocab
    assert lm.vocab.tokens[:len(read.vocab)] == read.vocab.tokens
    old, new = (model.model[0].encoder.weight.data.cpu() for model in (read, lm))
    torch.testing.assert_close(new[:len(old)], old, atol=1e-4, rtol=1e-4)
    assert same_weights(lm, read.finetune(more, epochs=1, lr=1e-9)) # follows from the seed


@pytest.mark.parametrize('lang, texts', [
    ('de', ['Die Straße nach Köln ist gesperrt', 'Ich wurde zweimal belastet']*8),
    ('ja', ['列車の切符を二回請求されました',
            '座席の予約を変更したいです']*30)])
def test_other_languages_go_from_texts_to_texts(tmp_path, lang, texts):
    lm = LanguageModel.new(texts, tokenizer=lang, emb=8, hidden=8, layers=1, min_freq=1)
    lm = LanguageModel.load(lm.finetune(texts, epochs=1).save(tmp_path/lang))
    assert lm.perplexity(texts) > 1
    assert lm.generate(texts[0], 5).startswith(texts[0])
    assert len(lm.next_tokens(texts[0], k=3)) == 3


def test_a_tokenizer_of_ones_own_is_kept(tmp_path):
    tokenizer = Tokenizer('de')
    lm = LanguageModel.new(MAILS, tokenizer=tokenizer, emb=8, hidden=8, layers=1)
    assert LanguageModel.load(lm.save(tmp_path/'lm')).vocab.tokenizer == tokenizer


def test_a_bound_in_minutes_is_kept_and_said():
    texts = [' '.join(random.Random(i).choices(WORDS, k=50)) for i in range(300)]
    lm = LanguageModel.new(texts)
    start = time.monotonic()
    with pytest.warns(UserWarning, match='there is time to read'):
        lm.finetune(texts, epochs=5000, minutes=.15)
    assert time.monotonic() - start < 30
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        lm.finetune(texts[:40], epochs=1, minutes=10)


def test_less_time_leaves_out_passes_and_then_texts():
    texts, plan = [np.arange(10)]*100, dict(epochs=6, frozen_epochs=1, bs=4)
    def left(seconds):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            some, fewer = within_time(texts, plan, 1000., seconds)
        assert fewer['bs'] == 4
        return len(some), fewer['epochs'], fewer['frozen_epochs']
    assert left(10) == (100, 6, 1)
    assert left(4) == (100, 2, 1)
    assert left(1.2) == (100, 1, 0)
    assert left(.5) == (45, 1, 0)
    with pytest.raises(TimeoutError, match='no time left to read'): left(-3)


@pytest.mark.parametrize('n', [50, 3000, 25_000, 400_000, 10**6, 10**8])
@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_plans_make_sense_for_every_amount(n, device):
    sizes = network_sizes(n, device)
    plan = reading_plan(n, max(2, n//10), min(n, 60_000), sizes['hidden'], 5, device)
    assert plan['frozen_epochs'] == 1 and plan['epochs'] >= 2
    assert 1 <= plan['bs'] <= max(1, n//20)
    assert 0 < sizes['drop_mult'] <= 1 and plan['lr'] <= .01


@pytest.mark.parametrize('n', [2, 3, 10])
def test_the_smallest_tables(n):
    lm = LanguageModel.new(MAILS[:n]).finetune(MAILS[:n])
    assert np.isfinite(lm.perplexity(MAILS[:1]))
    assert lm.generate('I was', 3).startswith('I was')


def test_perplexity_of_texts_and_of_ids_is_the_same(read):
    ids = read.vocab.encode_texts(MAILS)
    rows = sum(map(len, ids))//40
    assert read.perplexity(MAILS) == pytest.approx(perplexity(read, ids, bs=rows))
    assert read.perplexity(np.array(MAILS)) == read.perplexity(MAILS)
    assert read.perplexity(['one']) > 0


def random_state():
    "Where all random numbers of this process stand"
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_the_random_numbers_of_the_caller_stay_where_they_were(tmp_path):
    torch.manual_seed(1)
    before = random_state()
    lm = LanguageModel.new(MAILS, emb=8, hidden=8, layers=1).finetune(MAILS, epochs=1, minutes=5)
    lm = LanguageModel.load(lm.save(tmp_path/'lm'))
    lm.perplexity(MAILS)
    lm.generate('I was', 5)
    lm.next_tokens('I was')
    pickle.loads(pickle.dumps(lm))
    assert random_state() == before


def test_threads_do_not_mix(read):
    prompts = [f'{first} {second}' for first in ('I', 'the', 'was') for second in ('train', 'for')]
    def ask(prompt):
        table = read.next_tokens(prompt, 3)
        return read.generate(prompt, 15, seed=1), table.token.tolist(), read.perplexity([prompt]*3)
    alone, together = {prompt: ask(prompt) for prompt in prompts}, []
    def often():
        for prompt in prompts*3: together.append((prompt, ask(prompt)))
    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(together) == 72
    for prompt, answer in together: assert answer == alone[prompt]


def test_a_model_travels_with_its_vocabulary(read):
    twin = pickle.loads(pickle.dumps(read))
    assert twin.vocab == read.vocab and twin.config == read.config and same_weights(twin, read)
    assert twin.generate('I was', 5) == read.generate('I was', 5)
    np.testing.assert_array_equal(twin.states, read.states)


class GRU(torch.nn.Module):
    "A toy encoder"
    def __init__(self, n_words, config):
        super().__init__()
        self.encoder = torch.nn.Embedding(n_words, config['emb'], padding_idx=1)
        self.rnn = torch.nn.GRU(config['emb'], config['emb'], config['layers'], batch_first=True)
        self.reset()

    def reset(self): self.state = None

    def forward(self, ids):
        states, last = self.rnn(self.encoder(ids), state_rows(self.state, len(ids)))
        self.state = last.detach()
        return states


def test_an_encoder_is_added_in_one_place(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS, 'gru', Encoder(
        lambda n_words, config: lm_around(GRU(n_words, config), .1),
        lambda n_words, n, config: classifier_around(GRU(n_words, config), n, .1),
        lambda model: L(model[0].rnn, model[0].encoder).map(params),
        lambda model: L(model[0].module.encoder, model[0].module.rnn, model[1]).map(params)))
    classifier = pytest.importorskip('textgraft.classifier')
    lm = LanguageModel.new(MAILS, encoder='gru', emb=12, layers=1)
    read = lm.finetune(MAILS, epochs=4)
    assert read.perplexity(MAILS) < lm.perplexity(MAILS)
    again = LanguageModel.load(read.save(tmp_path/'lm'))
    assert again.generate('I was', 5) == read.generate('I was', 5)
    labels = ['food' if 'meal' in text else 'travel' for text in MAILS]
    clf = classifier.TextClassifier(again).fit(MAILS, labels)
    assert set(clf.predict(MAILS)) <= {'food', 'travel'}
    monkeypatch.delitem(ENCODERS, 'gru')
    with pytest.raises(ValueError, match="no encoder 'gru'"): LanguageModel.load(tmp_path/'lm')


def test_digest_of_texts_is_one_for_lists_and_loaders(texts):
    dls = lm_dataloaders(texts, texts, VOCAB, bs=4)
    assert ids_digest(dls.train.dataset) == ids_digest(texts)
