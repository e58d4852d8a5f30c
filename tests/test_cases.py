"""Faults that users of other libraries have reported in public, tried on this one.

Each test names the report that it comes from; the kinds are those of SECURITY.md. More of the same
kinds stands in the tests of the module that it is about."""
import multiprocessing
import os
import resource
import sys
import time
import warnings

from textgraft.batching import classifier_dataloaders
from textgraft.classifier import TextClassifier, classifier_learner, confident_mistakes, graft
from textgraft.corpus import Corpus
from textgraft.course.reviews import small_reviews
from textgraft.gpt2 import load_decoder, new_gpt2, train_bpe
from textgraft.library.ids_on_disk import cached_ids
from textgraft.library.rungs import load
from textgraft.library.splits import sample_table
from textgraft.library.storage import write_whole
from textgraft.library.text_loaders import label_numbers
from textgraft.lm_finetune import LanguageModel, finetune_lm, new_lm
from textgraft.tokenization import Tokenizer, Vocab, tokenize, tokenize_one, word_splitter

import numpy as np
import pandas as pd
import pytest
import torch

REVIEWS = small_reviews(60, 20, 40)
TEXTS, LABELS = list(REVIEWS.train.text), list(REVIEWS.train.label)
VOCAB = Vocab.from_tokens(tokenize(REVIEWS.texts()), min_freq=2)
IDS = VOCAB.encode_texts(REVIEWS.texts())
ONE_EPOCH = [dict(first=0, epochs=1, lr=1e-2, lr_low=1e-2)]
QUICK = dict(epochs=1, frozen_epochs=0, bs=4, seq_len=20, quiet=True)
linux = pytest.mark.skipif(sys.platform != 'linux', reason='needs fork or limits of Linux')


def language_model(seed=1): return new_lm(VOCAB, 8, 8, 1, seed=seed)


def classifier(**changes):
    return TextClassifier(language_model(), **dict(plan=ONE_EPOCH, bs=16) | changes)


@pytest.fixture(scope='module')
def clas(): return classifier().fit(TEXTS, LABELS)


@pytest.fixture(scope='module')
def gpt(): return new_gpt2(train_bpe(TEXTS, 400), layers=1, width=16, heads=2, context=64)


# C: labels of any type

LABEL_TYPES = {
    'int64': lambda up: up.astype('int64'), 'int8': lambda up: up.astype('int8'),
    'bool': lambda up: up, 'nullable': lambda up: up.astype('Int64'),
    'nullable bool': lambda up: up.astype('boolean'), 'string': lambda up: up.astype('string'),
    'category': lambda up: up.map({True: 'b', False: 'a'}).astype('category'),
    'numpy strings': lambda up: np.where(up, 'known', 'label'),
    'list': lambda up: up.astype(int).tolist()}


@pytest.mark.parametrize('name', LABEL_TYPES)
def test_labels_are_saved_and_taken_up_again(tmp_path, name):
    "simpletransformers 1077, skll 219; nerfstudio 3683, alf 1754"
    labels = LABEL_TYPES[name](REVIEWS.train.label == 'pos')
    first = classifier(folder=tmp_path/'run').fit(TEXTS, labels)
    second = classifier(folder=tmp_path/'run').fit(TEXTS, labels)
    again = TextClassifier.load(first.save(tmp_path/'model'))
    answers = first.predict(TEXTS)
    for other in (second, again):
        assert other.predict(TEXTS).tolist() == answers.tolist()
        assert other.classes_.dtype == first.classes_.dtype
    assert first.score(TEXTS, answers) == 1
    assert list(first.table(TEXTS[:2]).columns)[0] == 'label'


def test_labels_of_another_type_are_no_silent_zero():
    "mteb 4784, model2vec 226"
    written = pd.Series(LABELS).map({'pos': '1', 'neg': '0'})
    model = classifier().fit(TEXTS, written)
    for call in (model.score, lambda x, y: confident_mistakes(model, x, y)):
        with pytest.raises(ValueError, match='no label is a class'):
            call(TEXTS, written.astype(int))


# H: files left out, other encodings, two columns, many classes

@pytest.mark.parametrize('name, is_read', [
    ('9.TXT', True), ('9.Txt', True), ('9.md', False), ('9.txt~', False), ('9.txt.gz', False)])
def test_files_are_read_or_said(tmp_path, name, is_read):
    "fenn 274, datasets 4515"
    for part in ('train', 'test'):
        for label in ('neg', 'pos'):
            folder = tmp_path/part/label
            folder.mkdir(parents=True)
            for number in range(3): (folder/f'{number}.txt').write_text(f'{label} {part} {number}')
    (tmp_path/'train'/'pos'/name).write_text('one more')
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        corpus = Corpus.from_folder(tmp_path)
    assert len(corpus.train) == 6 + is_read and bool(heard) != is_read


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-16-le', 'utf-16-be', 'utf-32'])
def test_the_encoding_of_notepad_is_named(tmp_path, encoding):
    "bobbyhadz.com: can't decode byte 0xff in position 0"
    for label in ('neg', 'pos'):
        (tmp_path/label).mkdir()
        for number in range(3): (tmp_path/label/f'{number}.txt').write_text(f'{label} {number}')
    (tmp_path/'pos'/'9.txt').write_bytes('a film that is good'.encode(encoding))
    with pytest.raises(ValueError, match='(?s)9.txt.*[uU][tT][fF]-16'): Corpus.from_folder(tmp_path)
    with pytest.warns(UserWarning, match='UTF-16'): Corpus.from_folder(tmp_path, encoding='latin-1')


def test_two_columns_of_text_are_joined():
    "fastai 851"
    table = REVIEWS.train.assign(title='A title')
    corpus = Corpus.from_df(table, text=['title', 'text'])
    assert corpus.train.text.str.startswith('A title\n\n').all()


def test_thousands_of_classes_take_linear_time():
    "scikit-learn 5991"
    table = pd.DataFrame(dict(text=['x']*40_000, label=[str(i % 2000) for i in range(40_000)]))
    start = time.perf_counter()
    sample_table(table, 5000, 'seed')
    label_numbers('training', list(table.text), list(table.label), sorted(set(table.label)))
    assert time.perf_counter() - start < 3


# L: tokenizing at large

NUMBER = '.'.join(str(100 + i*37 % 900) for i in range(40))
NAME = 'host.' + '.'.join(f'searchtechnology{chr(97+i)}' for i in range(12)) + 'page:'


@pytest.mark.parametrize('text', [
    f'{NUMBER} is a long number', 'a'*300_000, NAME, '☃'*13_200 + ' https://a.example/' + 'x'*300],
    ids=['number', 'letter', 'name', 'snow'])
def test_texts_that_kept_spacy_busy(text):
    "spaCy 3002, 5440, 2835"
    start = time.perf_counter()
    tokens = tokenize([text])[0]
    assert time.perf_counter() - start < 2
    assert tokens == tokenize_one(text, word_splitter())


@pytest.mark.parametrize('lines', [
    ['这部电影非常好看，我很喜欢', '剧情很差，浪费时间'],
    ['とても良い映画だった', '退屈でひどい話だった'],
    ['หนังเรื่องนี้ดีมาก', 'หนังเรื่องนี้แย่มาก']], ids=['zh', 'ja', 'th'])
def test_a_language_without_spaces_is_said(lines):
    "ml-classify-text-js 4, multifit 3"
    texts = [lines[i % 2] + str(i) for i in range(40)]
    with pytest.warns(UserWarning, match='no spaces.*Tokenizer.for_texts'):
        TextClassifier(epochs=1).fit(texts, ['pos', 'neg']*20)


def count_big(_): return len(tokenize(['the film is good and the cast is fine. '*2500]*90))


@linux
def test_inside_a_worker_it_works_in_that_process():
    "simpletransformers 1247"
    with multiprocessing.get_context('fork').Pool(1) as pool:
        assert pool.map(count_big, [0]) == [90]


# G: reserved words in a text

@pytest.mark.parametrize('word', ['xxpad', 'xxbos', 'xxfake', 'xxunk'])
def test_a_reserved_word_moves_nobody_else(clas, word):
    "tokenizers 1347, 1850"
    others = [' '.join((['the', 'film', 'is', 'a', 'good', 'one']*60)[:n]) for n in (5, 100, 200)]
    alone = np.vstack([clas.predict_proba([text]) for text in others])
    for place in range(0, 160, 20):
        strange = ['the', 'film']*80
        strange[place] = word
        together = clas.predict_proba([*others, ' '.join(strange)])[:3]
        assert abs(together - alone).max() < 1e-5


# K: fastai's calls on our loaders, any number of texts

@pytest.mark.parametrize('n', [8, 9, 15, 16, 17])
def test_one_text_too_many(n):
    "fastai 970"
    labels = [label for _, label in zip(range(n), ['pos', 'neg']*n)]
    part = VOCAB.encode_texts(TEXTS[:n]), labels
    loaders = classifier_dataloaders(part, part, VOCAB, ['neg', 'pos'], bs=8, quiet=True)
    sizes = [len(x) for x, _ in loaders.train]
    assert sum(sizes) == n and min(sizes) > 1
    classifier(bs=8).fit(TEXTS[:n], labels)


def test_a_learner_is_exported(tmp_path):
    "Epoching-Blog 14, icevision 704, tsai 215"
    part = VOCAB.encode_texts(TEXTS), LABELS
    loaders = classifier_dataloaders(part, part, VOCAB, ['neg', 'pos'], bs=16, quiet=True)
    lm = language_model()
    learn = classifier_learner(graft(lm, 2), loaders, lm.config)
    learn.export(tmp_path/'export.pkl')
    assert (tmp_path/'export.pkl').exists()


# E: what is no number

@pytest.mark.parametrize('lr', [1e35, float('nan'), float('inf')])
def test_a_rate_that_is_too_high_is_said(lr):
    "fastai 941, simpletransformers 100"
    with pytest.raises(ValueError, match='epoch 1, step'):
        finetune_lm(language_model(), IDS[:80], IDS[80:], **QUICK | dict(lr=lr))
    with pytest.raises(ValueError, match='epoch 1, step'):
        classifier(plan=[dict(first=0, epochs=1, lr=lr, lr_low=lr)]).fit(TEXTS, LABELS)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_weights_that_are_no_numbers_are_not_kept(tmp_path, clas, gpt, value):
    lm, network = language_model(), graft(language_model(), 2)
    lm.model[0].encoder.weight.data[3, 3] = value
    network[1].layers[0][2].weight.data[0, 0] = value
    spoilt = classifier().fit(TEXTS, LABELS)
    spoilt.network_ = network
    decoder = new_gpt2(gpt.tokenizer, layers=1, width=16, heads=2, context=64)
    decoder.model.transformer.wte.weight.data[0, 0] = value
    for model in (lm, spoilt, decoder):
        with pytest.raises(ValueError, match='no .*numbers'): model.save(tmp_path/'model')
    assert not any(tmp_path.iterdir())


def test_a_decoder_that_goes_wrong_stops(gpt):
    decoder = new_gpt2(gpt.tokenizer, layers=1, width=16, heads=2, context=64)
    from textgraft.gpt2 import train_gpt2
    with pytest.raises(ValueError, match='epoch 1, step'):
        train_gpt2(decoder, TEXTS, TEXTS[:5], steps=5, bs=4, lr=1e35)


# B: a checkpoint of something else; F: the device of the optimizer is in test_training.py

def test_a_checkpoint_of_another_encoder_is_refused(tmp_path):
    "TabPFN 814"
    classifier(folder=tmp_path).fit(TEXTS, LABELS)
    others = {
        'starting weights': dict(lm=language_model(2)), 'seed': dict(seed=1),
        'batch size': dict(bs=8), 'config': dict(drop_mult=.3),
        'lr': dict(plan=[ONE_EPOCH[0] | dict(lr=2e-2)])}
    for name, changes in others.items():
        with pytest.raises(ValueError, match=f'{name} is .* there and .* here'):
            classifier(folder=tmp_path).set_params(**changes).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match='labels is'):
        classifier(folder=tmp_path).fit(TEXTS, LABELS[::-1])
    with pytest.raises(ValueError, match='texts is'):
        classifier(folder=tmp_path).fit(TEXTS[::-1], LABELS)


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path):
    words = VOCAB.tokens
    for lang in ('en', 'de'):
        lm = new_lm(Vocab(words, Tokenizer(lang)), 8, 8, 1, seed=1)
        try: finetune_lm(lm, IDS[:80], IDS[80:], **QUICK, folder=tmp_path)
        except ValueError as error: assert "tokenizer is 'en" in str(error) and "'de" in str(error)
    assert lang == 'de'


# A, M: paths

def test_home_is_home(tmp_path, monkeypatch, clas, gpt):
    "turicreate 593, pytorch-lightning 19058"
    monkeypatch.setenv('HOME', str(tmp_path/'home'))
    (tmp_path/'work').mkdir()
    monkeypatch.chdir(tmp_path/'work')
    load_decoder(gpt.save('~/gpt'))
    load_decoder('~/gpt')
    TextClassifier.load(clas.save('~/clas'))
    Vocab.load(VOCAB.save('~/vocab.json'))
    Vocab.load('~/vocab.json')
    Corpus.load(REVIEWS.save('~/corpus'))
    cached_ids(TEXTS, '~/a.ids', progress=False)
    language_model().save('~/lm')
    assert load('~/lm').vocab == VOCAB and not os.listdir('.')


@pytest.mark.parametrize('what', ['clas', 'lm', 'corpus', 'decoder'])
def test_the_readers_folder_is_left_alone(tmp_path, clas, gpt, what):
    "TextGrocery 30, Object-Detection-Metrics 83"
    project = tmp_path/'project'
    (project/'deep').mkdir(parents=True)
    (project/'deep'/'thesis.ipynb').write_text('three months of work')
    model = dict(clas=clas, lm=language_model(), corpus=REVIEWS, decoder=gpt)[what]
    with pytest.raises(FileExistsError, match='thesis.ipynb'): model.save(project)
    (tmp_path/'model').write_text('a file of mine')
    with pytest.raises(FileExistsError): model.save(tmp_path/'model')
    assert (project/'deep'/'thesis.ipynb').read_text() == 'three months of work'
    assert (tmp_path/'model').read_text() == 'a file of mine'


def test_the_readers_files_are_left_alone(tmp_path):
    "The same for what is one file"
    thesis = tmp_path/'step-0.pt'
    thesis.write_text('three months of work')
    (tmp_path/'thawed.pt').write_text('three months of work')
    with pytest.raises((ValueError, FileExistsError), match='thawed.pt'):
        finetune_lm(language_model(), IDS[:80], IDS[80:], **QUICK, folder=tmp_path)
    for call in (lambda: classifier(folder=tmp_path).fit(TEXTS, LABELS),
                 lambda: cached_ids(TEXTS, thesis, progress=False), lambda: VOCAB.save(thesis)):
        with pytest.raises((ValueError, FileExistsError), match='step-0.pt'): call()
    assert thesis.read_text() == (tmp_path/'thawed.pt').read_text() == 'three months of work'


def test_odd_names_of_folders(tmp_path, clas, gpt):
    "datasets 7468, ultralytics 24257"
    odd = tmp_path/'my [notes]* é 漢 %s {x} \' " $HOME'
    for _ in range(2):
        lm = language_model()
        finetune_lm(lm, IDS[:80], IDS[80:], **QUICK, folder=odd/'[lm]')
        classifier(folder=odd/'[clas]').fit(TEXTS, LABELS)
        cached_ids(TEXTS, odd/'[a].ids', progress=False)
        assert LanguageModel.load(lm.save(odd/'lm ?')).vocab == VOCAB
        assert load(clas.save(odd/'clas *')).classes_.tolist() == ['neg', 'pos']
        assert load_decoder(gpt.save(odd/'gpt [x]'))
        assert Corpus.load(REVIEWS.save(odd/'corpus [1-9]')).classes == ['neg', 'pos']
    assert not [name for name in os.listdir(odd) if name.startswith('.')]


@linux
def test_a_full_disk_hurts_no_checkpoint(tmp_path):
    "torchforge 568, pytorch 10577"
    def run(folder): finetune_lm(language_model(), IDS[:80], IDS[80:], **QUICK, folder=folder)
    run(tmp_path/'kept')
    file, limits = tmp_path/'kept'/'thawed.pt', resource.getrlimit(resource.RLIMIT_FSIZE)
    before = file.read_bytes()
    noise = [np.random.default_rng(i).bytes(300).hex() for i in range(100)]
    many = Corpus.from_df(pd.DataFrame(dict(text=noise, label=[0, 1]*50)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match='second.*thawed.pt'): run(tmp_path/'second')
        with pytest.raises(OSError, match='kept.*thawed.pt'):
            write_whole(file, lambda part: torch.save({'w': torch.zeros(20_000)}, part))
        with pytest.raises(OSError, match='a.ids'): cached_ids(TEXTS*40, tmp_path/'a.ids')
        with pytest.raises(OSError, match='lm'): new_lm(VOCAB, 64, 64, 1).save(tmp_path/'lm')
        with pytest.raises(OSError, match='corpus'):
            many.save(tmp_path/'corpus')
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before and os.listdir(tmp_path/'kept') == ['thawed.pt']
    assert sorted(os.listdir(tmp_path)) == ['kept', 'second'] and not os.listdir(tmp_path/'second')
    run(tmp_path/'kept')


# D: what is no list of texts

NO_TEXTS = {
    'table': REVIEWS.test[['text']], 'dict': {'a': 'b'}, 'set': {'a'}, 'one text': b'a film',
    'generator': (text for text in TEXTS), 'nested': [['a film']], 'numbers': [1, 2],
    'missing': ['a film', None], 'nan': ['a film', float('nan')], 'array': np.array([['a']])}


@pytest.mark.parametrize('name', NO_TEXTS)
def test_what_is_no_list_of_texts_is_refused(clas, gpt, name):
    "scikit-learn 34603, 16972"
    texts = NO_TEXTS[name]
    calls = [clas.predict, clas.table, tokenize, gpt.perplexity, gpt.features,
             lambda texts: gpt.generate(texts, max_new_tokens=1), language_model().perplexity,
             LanguageModel.new, lambda texts: TextClassifier().fit(texts, [0, 1])]
    for call in calls:
        if name == 'one text' and call == gpt.perplexity: continue
        with pytest.raises((TypeError, ValueError)): call(texts)


# M: two processes, and pools

def save_often(task):
    model, folder = task
    for _ in range(30): model.save(folder)
    return True


@linux
def test_two_processes_save_the_same_model(tmp_path, clas):
    "transformers 28015, axolotl 948"
    with multiprocessing.get_context('fork').Pool(2) as pool:
        assert pool.map(save_often, [(clas, tmp_path/'stage')]*2) == [True, True]
    assert TextClassifier.load(tmp_path/'stage').predict(TEXTS[:3]).tolist()
    assert os.listdir(tmp_path) == ['stage']
