"""Every exercise, asked with answers of the wrong kind: a sentence each, no traceback, no `passed`.
And the published solutions of chapter 5, which pass."""
from collections import Counter
from functools import cache
from types import SimpleNamespace

from textgraft.batching import padding_share
from textgraft.classifier import TextClassifier
from textgraft.corpus import Corpus
from textgraft.course import gpt2_exercises, text_exercises, ulmfit_exercises, your_exercises
from textgraft.course.grammar import Recipe
from textgraft.course.reviews import small_reviews
from textgraft.gpt2 import new_gpt2, train_bpe, train_gpt2
from textgraft.lm_finetune import LanguageModel, new_lm
from textgraft.tokenization import RULES, SPECIAL_TOKENS, Vocab

import numpy as np
import pandas as pd
import pytest
import torch
from pages import solutions

TEXTS = ['a fine film', 'a dull film', 'a fine cast', 'a dull plot']
TABLE = pd.DataFrame({'text': TEXTS, 'label': ['pos', 'neg', 'pos', 'neg']})
TOY = Corpus('toy', TABLE, TABLE, TABLE[['text']])
LENS = np.array([9, 7, 5, 3])
TEAMS = ['login', 'outage', 'other']
MATRIX = pd.DataFrame([[30, 6, 4], [5, 12, 3], [0, 2, 38]], index=TEAMS, columns=TEAMS)


def fails(*args): raise RuntimeError('as a first try does')
def answers_nothing(*args): return None
def answers_words(*args): return 'pos neg'
def answers_empty(*args): return []
def answers_nan(*args): return float('nan')
def answers_table(*args): return pd.DataFrame({'a': [1, 2]})
def takes_nothing(): return 1


class NoNumber:
    "Looks like a number until it is asked"
    def __float__(self): raise RuntimeError('not now')


ODD = {
    'a number': 7, 'below zero': -1, 'not a number': float('nan'), 'too large a number': 10**400,
    'a truth': True, 'a complex number': 1j, 'a fault behind a number': NoNumber(),
    'no word': '', 'a word': 'pos', 'bytes': b'\xff', 'a list': [], 'one nothing': [None],
    'two words': ['a', 'b'], 'unequal rows': [[1], [2, 3]], 'a set': {1, 2}, 'a dictionary': {},
    'a class': dict, 'an object': object(), 'no array': np.array([]), 'an array': np.ones((2, 2)),
    'a tensor': torch.ones(3), 'a tensor that learns': torch.ones(1, requires_grad=True),
    'an empty table': pd.DataFrame(), 'a table': TABLE, 'a series': TABLE.text, 'a date':
    pd.Timestamp('2026-11-28'), 'fails': fails, 'answers nothing': answers_nothing,
    'answers words': answers_words, 'answers nothing at all': answers_empty,
    'answers no number': answers_nan, 'answers a table': answers_table,
    'takes nothing': takes_nothing,
}


@cache
def decoder(): return new_gpt2(train_bpe(TEXTS, 257), layers=1, width=8, heads=1, context=32)


@cache
def models():
    "A vocabulary, and a language model that knows it"
    vocab = Vocab([*SPECIAL_TOKENS, *sorted(Counter(' '.join(TEXTS).split()))])
    return vocab, new_lm(vocab, 8, 8, 1)


def head_start(mine):
    vocab, lm = models()
    return ulmfit_exercises.check_head_start(mine, lm, vocab, vocab.encode_texts(TEXTS))


def better_lm(mine):
    vocab, lm = models()
    return ulmfit_exercises.check_better_lm(mine, lm, vocab.encode_texts(TEXTS))


CHECKS = {
    'majority': lambda mine: text_exercises.check_majority(['a', 'a', 'b'], ['b', 'a'], mine),
    'recipe': text_exercises.check_recipe,
    'rule': lambda mine: text_exercises.check_rule(mine, TOY, TABLE),
    'corpus': text_exercises.check_corpus,
    'tokens': lambda mine: text_exercises.check_tokens('WOW!!!! Fun', mine),
    'small vocab': lambda mine: text_exercises.check_small_vocab(mine, [['a', 'b']]),
    'number rule': text_exercises.check_number_rule,
    'look up': lambda mine: text_exercises.check_look_up(mine, TEXTS),
    'rows': lambda mine: text_exercises.check_rows(100, 4, 5, mine),
    'padding': lambda mine: text_exercises.check_padding([10, 7, 2], 4, mine),
    'batches': lambda mine: text_exercises.check_batches(mine, LENS, 2, .5),
    'whole texts': text_exercises.check_whole_texts,
    'perplexity': lambda mine: ulmfit_exercises.check_perplexity([[1/2, 1/8], [1/4]], mine),
    'rate': ulmfit_exercises.check_rate,
    'surprise': ulmfit_exercises.check_surprise,
    'head start': head_start,
    'better lm': better_lm,
    'rates': lambda mine: ulmfit_exercises.check_rates(3, .01, mine),
    'pool': ulmfit_exercises.check_pool,
    'enough': lambda mine: ulmfit_exercises.check_enough(.946, .951, mine),
    'pairs': ulmfit_exercises.check_pairs,
    'labels': lambda mine: ulmfit_exercises.check_labels(mine, TOY, models()[1], 10),
    'next token': lambda mine: gpt2_exercises.check_next_token(decoder(), 'a film', mine),
    'tokenizer': lambda mine: gpt2_exercises.check_tokenizer(mine, TEXTS, 3),
    'min-p': gpt2_exercises.check_min_p,
    'beams': gpt2_exercises.check_beams,
    'reader': lambda mine: gpt2_exercises.check_reader(mine, TEXTS, .001),
    'shares': lambda mine: your_exercises.check_shares(MATRIX, 'login', mine),
    'how many': lambda mine: your_exercises.check_how_many({120: .28, 240: .2}, .1, mine),
    'threshold': your_exercises.check_threshold,
    'rung': lambda mine: your_exercises.check_rung(mine, TOY),
}


def says_what_is_wrong(found): return found.startswith('wrong: expected ') and len(found) < 500


@pytest.mark.parametrize('odd', ODD)
@pytest.mark.parametrize('check', CHECKS)
def test_an_odd_answer_gets_a_sentence(check, odd):
    found = CHECKS[check](ODD[odd])
    assert says_what_is_wrong(found), found


@pytest.mark.parametrize('check', CHECKS)
def test_no_answer_is_not_attempted(check): assert CHECKS[check](None) == 'not attempted'


class Boaster:
    "A classifier that praises itself"
    def score(self, *args): return 'very good'
    def predict(self, texts): return ['pos', 'neg']


def parts(**changes):
    "A corpus with something missing"
    whole = dict(name='mine', train=TABLE, test=TABLE, unlabelled=TABLE[['text']])
    return Corpus(**whole | changes)


NEAR = {
    'a rule too few': ('number rule', RULES),
    'a rule that gives no text': ('number rule', [*RULES[:1], answers_nothing, *RULES[1:]]),
    'no recipe but its class': ('recipe', Recipe),
    'the recipe as it was': ('recipe', Recipe()),
    'no words': ('recipe', Recipe(words=0)),
    'a tail in words': ('recipe', Recipe(zipf='long')),
    'a share of nothing': ('recipe', Recipe(agreement=None)),
    'no remarks': ('recipe', Recipe(remarks=())),
    'remarks that are no number': ('recipe', Recipe(remarks='six')),
    'shares in an array': ('recipe', Recipe(short=np.array([.1, .2]))),
    'a corpus without columns': ('corpus', parts(train=pd.DataFrame())),
    'a corpus without a test': ('corpus', parts(test=TABLE[:0])),
    'labels of two kinds': ('corpus', parts(train=TABLE.assign(label=['a', 1, None, 2.]))),
    'a vocabulary of nothing but marks': ('small vocab', Vocab(SPECIAL_TOKENS)),
    'one token too many': ('tokens', 'xxbos xxup wow xxrep 4 ! xxmaj fun fun'),
    'all tokens but one': ('tokens', 'xxbos xxup wow xxrep 4 ! xxmaj'),
    'three places': ('rows', (24, 5, 5)),
    'halves': ('rows', (24.5, 5)),
    'one column too few': ('padding', (12, [0, 4])),
    'a text twice': ('batches', lambda lens, bs, rng: [[0, 1], [1, 2], [3]]),
    'one batch for all': ('batches', lambda lens, bs, rng: [[0, 1, 2, 3]]),
    'a batch with nothing in it': ('batches', lambda lens, bs, rng: [[], [0, 1], [2, 3]]),
    'one row': ('whole texts', lambda texts, bs, seq_len: [(np.arange(9), np.arange(1, 10))]),
    'one surprise too many': ('surprise', lambda lm, ids: np.ones(len(ids))),
    'the language model of another size': ('head start', lambda: new_lm(models()[0], 16, 8, 1)),
    'with a layer more': ('head start', lambda: new_lm(models()[0], 8, 8, 2)),
    'one that knows other words': ('better lm', lambda: LanguageModel.new(TEXTS, min_freq=1)),
    'one rate too few': ('rates', [.001, .003, .01]),
    'a table of rates': ('rates', [[.001, .003], [.01, .02]]),
    'pooled for one text': ('pool', lambda states, padding: states[0]),
    'one pair too many': ('pairs', lambda model, text: np.ones(len(text.split()))),
    'a classifier that praises itself': ('labels', lambda labelled, others: Boaster()),
    'a classifier that has not learned': ('labels', lambda labelled, others: TextClassifier()),
    'the logits as they were': ('min-p', lambda logits, p: logits),
    'one row of logits': ('min-p', lambda logits, p: logits[0]),
    'one token of six': ('beams', lambda model, ids, n, num_beams: [1]),
    'words for ids': ('beams', lambda model, ids, n, num_beams: ['a']*n),
    'the same decoder': ('reader', decoder),
    'the same tokenizer': ('tokenizer', lambda: decoder().tokenizer),
    'three shares': ('shares', (.75, .857, .8)),
    'above all': ('threshold', lambda right, sure: 2),
    'one threshold for each': ('threshold', lambda right, sure: sure),
}
MADE = ('head start', 'better lm', 'reader', 'tokenizer') # a model, made when it is needed


@pytest.mark.parametrize('name', NEAR)
def test_an_answer_of_the_right_kind_and_wrong(name):
    check, mine = NEAR[name]
    found = CHECKS[check](mine() if check in MADE else mine)
    assert says_what_is_wrong(found), found


def test_nothing_here_would_pass_by_itself():
    "The checks above are those of the chapters: with a right answer they say so"
    assert CHECKS['majority'](.5) == CHECKS['rows']((24, 5)) == 'passed'
    assert CHECKS['shares']((.75, 30/35)) == CHECKS['padding']((12, [0, 4, 8])) == 'passed'
    assert padding_share([[0, 1], [2, 3]], LENS) < .5


def test_solutions_of_chapter_5():
    corpus = small_reviews(300, 20, 0)
    reading, held_out = list(corpus.train.text), list(corpus.test.text)
    cfg = SimpleNamespace(gpt2=SimpleNamespace(vocab=300, context=32, steps=80))
    sizes = dict(layers=1, width=32, heads=2)
    ours = new_gpt2(train_bpe(reading, cfg.gpt2.vocab), context=cfg.gpt2.context, **sizes)
    train_gpt2(ours, reading, held_out, cfg.gpt2.steps)
    prompt = 'To be or not to'
    found = solutions('05_gpt2', torch=torch, gpt=ours, my_prompt=prompt, cfg=cfg, sizes=sizes,
                      reading=reading, held_out=held_out, new_gpt2=new_gpt2, train_bpe=train_bpe,
                      train_gpt2=train_gpt2)
    allowed = int(.95*sum(map(len, ours.tokenizer(held_out[:20]).input_ids)))
    goal = .95*ours.bits_per_character(held_out)
    checks = [gpt2_exercises.check_next_token(ours, prompt, found['my_answer']),
              gpt2_exercises.check_tokenizer(found['my_tokenizer'], held_out[:20], allowed),
              gpt2_exercises.check_min_p(found['my_min_p']),
              gpt2_exercises.check_beams(found['my_beams']),
              gpt2_exercises.check_reader(found['my_gpt2'], held_out, goal)]
    assert checks == ['passed']*5
    again = gpt2_exercises.check_reader(ours, held_out, goal), gpt2_exercises.check_tokenizer(
        ours.tokenizer, held_out[:20], allowed)
    assert all(map(says_what_is_wrong, again))
