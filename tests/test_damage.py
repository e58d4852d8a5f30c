"""Damaged files: what is read is what was saved, or a `ValueError` names the file and what to do.

A few damages of each kind of file are tried; `DAMAGES=120 python -m pytest tests/test_damage.py`
tries 120 of each, `SEED=2` draws others."""
import os
import random
import re
import warnings

from textgraft.classifier import TextClassifier
from textgraft.corpus import Corpus
from textgraft.course.reviews import small_reviews
from textgraft.gpt2 import load_decoder, new_gpt2, train_bpe
from textgraft.library.ids_on_disk import cached_ids, read_ids
from textgraft.library.rungs import RUNGS, Given, as_model, load
from textgraft.library.training import read_checkpoint, weights_digest
from textgraft.lm_finetune import LanguageModel
from textgraft.tokenization import Tokenizer, Vocab

import pytest
import torch

DAMAGES = int(os.environ.get('DAMAGES', 8)) # of each kind of file
SEED = int(os.environ.get('SEED', 1))
REVIEWS = small_reviews(60, 20, 20, seed=1)
TEXTS, LABELS = list(REVIEWS.train.text), (REVIEWS.train.label == 'pos').astype(int)
ASKED = ['a good film', 'a dull film']
QUICK = dict(epochs=1, bs=4, seq_len=20)
ONE_EPOCH = [dict(first=0, epochs=1, lr=1e-2, lr_low=1e-2)]


def plain(value):
    "Tensors as lists, so that whole checkpoints can be compared"
    if isinstance(value, torch.Tensor): return value.dtype, value.tolist()
    if isinstance(value, dict): return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)): return [plain(each) for each in value]
    return value


def seen_corpus(path):
    corpus = Corpus.load(path)
    return corpus.name, [part.to_dict() for part in (corpus.train, corpus.test, corpus.unlabelled)]


def seen_lm(path):
    lm = LanguageModel.load(path)
    return lm.config, lm.vocab.config, weights_digest(lm.model)


def seen_classifier(path):
    model = load(path)
    shown = model.classes_.tolist(), model.class_shares_.tolist(), model.recipe_, model.config_
    return *shown, model.get_params(), model.vocab_.config, weights_digest(model.network_)


def seen_pipeline(path):
    model = load(path)
    return model.name, model.classes_.tolist(), model.predict_proba(ASKED).tolist()


def seen_decoder(path):
    decoder = load_decoder(path, device='cpu')
    words = sorted(decoder.tokenizer.get_vocab().items())
    return words, decoder.model.config.to_dict(), weights_digest(decoder.model)


def seen_ids(path):
    ids = read_ids(path)
    return [text.tolist() for text in ids], ids.vocab.config


def seen_vocab(path): return Vocab.load(path).config


def seen_checkpoint(path): return plain(read_checkpoint(path))


def new_lm(): return LanguageModel.new(TEXTS, emb=8, hidden=8, layers=1)


def make_corpus(path): return Corpus.from_df(REVIEWS.train, test=.2).save(path)


def make_lm(path): return new_lm().save(path)


def make_stage(path): return new_lm().save(path, about=dict(texts='abc', seed=1))


def make_classifier(path):
    return TextClassifier(new_lm(), plan=ONE_EPOCH, bs=16).fit(TEXTS, LABELS).save(path)


def make_pipeline(path):
    rung = RUNGS['NB word pairs'](Given(TEXTS))
    return as_model(rung.fit(TEXTS, LABELS), 'NB word pairs').save(path)


def make_decoder(path):
    return new_gpt2(train_bpe(TEXTS, 300), layers=1, width=16, heads=2, context=32).save(path)


def make_ids(path): return cached_ids(TEXTS, path, progress=False) and path


def make_vocab(path): return Tokenizer('en').vocab(TEXTS).save(path)


def make_subwords(path): return Tokenizer.learn(TEXTS, 'en', 400).vocab(TEXTS).save(path)


def make_lm_checkpoint(path):
    new_lm().finetune(TEXTS, folder=path, frozen_epochs=0, **QUICK)
    return path/'thawed.pt'


def make_classifier_checkpoint(path):
    TextClassifier(new_lm(), plan=ONE_EPOCH, bs=16, folder=path).fit(TEXTS, LABELS)
    return path/'step-0.pt'


KINDS = {
    'corpus': (make_corpus, seen_corpus), 'language model': (make_lm, seen_lm),
    'course stage': (make_stage, seen_lm), 'classifier': (make_classifier, seen_classifier),
    'pipeline': (make_pipeline, seen_pipeline), 'decoder': (make_decoder, seen_decoder),
    'ids with vocabulary': (make_ids, seen_ids), 'vocabulary': (make_vocab, seen_vocab),
    'sub-words': (make_subwords, seen_vocab),
    'checkpoint of a language model': (make_lm_checkpoint, seen_checkpoint),
    'checkpoint of a classifier': (make_classifier_checkpoint, seen_checkpoint)}


def damaged(whole, rng):
    "The bytes of a file with one of five damages, and which"
    kind = rng.choice(['flip', 'cut', 'zeros', 'more', 'digit'])
    place = rng.randrange(len(whole))
    if kind == 'flip':
        flipped = bytes([whole[place] ^ 1 << rng.randrange(8)])
        return kind, whole[:place] + flipped + whole[place+1:]
    if kind == 'cut': return kind, whole[:place]
    if kind == 'zeros':
        n = rng.randint(1, 64)
        return kind, whole[:place] + bytes(len(whole[place:place+n])) + whole[place+n:]
    if kind == 'more': return kind, whole + rng.randbytes(rng.randint(1, 100))
    digits = [match.start() for match in re.finditer(rb'[0-9]', whole)]
    place = rng.choice(digits or [0])
    return kind, whole[:place] + rng.choice(b'0123456789').to_bytes(1, 'big') + whole[place+1:]


def verdict(read, path, before, file):
    "What comes of reading after the damage"
    try: found = read(path)
    except ValueError as error:
        message = str(error)
        helps = file.name in message and re.search('again|delete|remove|install', message)
        return 'refused' if helps else f'refused without help: {error}'
    except Exception as error: return f'raw error: {type(error).__name__}: {error}'
    return 'the same' if found == before else 'read as something else'


@pytest.mark.parametrize('kind', KINDS)
def test_damage_is_refused_or_changes_nothing(tmp_path, kind):
    make, read = KINDS[kind]
    rng, counts = random.Random(f'{SEED} {kind}'), {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore') # tiny vocabularies
        path = make(tmp_path/'saved')
        before = read(path)
        files = sorted(path.rglob('*')) if path.is_dir() else [path]
        for number in range(DAMAGES):
            file = files[number % len(files)]
            whole = file.read_bytes()
            what, content = damaged(whole, rng)
            file.write_bytes(content)
            result = verdict(read, path, before, file)
            file.write_bytes(whole)
            counts[result] = counts.get(result, 0) + 1
            assert result in ('refused', 'the same'), f'{file.name}, {what}: {result}'
        assert read(path) == before
    print(f'{kind}: {counts}')
