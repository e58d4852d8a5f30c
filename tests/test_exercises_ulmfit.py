"Exercises of chapters 3 and 4: a solution on the page passes its check, with a slip it does not"
import ast
import builtins
from functools import cache
from types import SimpleNamespace

from textgraft.batching import lm_dataloaders
from textgraft.classifier import TextClassifier
from textgraft.corpus import Corpus
from textgraft.course.grammar import small_articles
from textgraft.course.reviews import small_reviews
from textgraft.course.ulmfit_exercises import (
    check_better_lm,
    check_enough,
    check_head_start,
    check_labels,
    check_pairs,
    check_perplexity,
    check_pool,
    check_rate,
    check_rates,
    check_surprise,
    range_test,
)
from textgraft.lm_finetune import LanguageModel, carry_over, finetune_lm, new_lm, perplexity
from textgraft.tokenization import Vocab, tokenize

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.text.models.core import masked_concat_pool
from pages import cells, folded, solutions

GIVEN = [[1/2, 1/8, 1/16], [1/4]]


@cache
def chapter_3():
    "What the solutions of chapter 3 find there, much smaller"
    reviews = small_reviews(100, 50, 100)
    cfg = SimpleNamespace(lm=SimpleNamespace(epochs=2, lr=2e-2, bs=8, seq_len=40))
    tokens, article_tokens = tokenize(reviews.texts()), tokenize(small_articles(300))
    vocab = Vocab.from_tokens(tokens, min_freq=2)
    article_vocab = Vocab.from_tokens(article_tokens, min_freq=2)
    ids = [vocab.encode(text) for text in tokens]
    valid_ids = vocab.encode_texts(list(reviews.test.text))
    article_ids = [article_vocab.encode(text) for text in article_tokens]
    general = new_lm(article_vocab, 24, 24, 1, .05)
    run = dict(epochs=1, lr=2e-2, bs=8, seq_len=40, quiet=True)
    finetune_lm(general, article_ids, article_ids[:40], frozen_epochs=0, **run)
    lm = carry_over(general, vocab)
    finetune_lm(lm, ids, valid_ids, **run)
    return dict(
        torch=torch, np=np, carry_over=carry_over, lm_dataloaders=lm_dataloaders,
        finetune_lm=finetune_lm, LanguageModel=LanguageModel, cfg=cfg, vocab=vocab, ids=ids,
        valid_ids=valid_ids, general=general, lm=lm)


@cache
def chapter_4():
    "What the solutions of chapter 4 find there; here each class has words of its own"
    rng, cfg = np.random.default_rng(0), SimpleNamespace(labels=50)
    letters = 'abcdefghijklmnopqrst'
    words = {label: [label + letter for letter in letters] for label in ('pos', 'neg')}
    rows = [(' '.join(rng.choice(words[label], 3)), label) for _ in range(500) for label in words]
    table = pd.DataFrame(rows, columns=['text', 'label'])
    corpus = Corpus('toy', table[:100], table[100:300], table[300:][['text']])
    lm = LanguageModel.new(corpus.texts(), min_freq=1, emb=16, hidden=16, layers=1)
    lm = lm.finetune(corpus.texts(), epochs=8, lr=2e-2, bs=8)
    return dict(torch=torch, np=np, pd=pd, TextClassifier=TextClassifier, cfg=cfg, corpus=corpus,
                lm=lm)


def head_start(mine):
    given = chapter_3()
    return check_head_start(mine, given['general'], given['vocab'], given['valid_ids'])


CHECKS = {
    'my_perplexity': lambda mine: check_perplexity(GIVEN, mine),
    'my_rate': check_rate,
    'my_surprise': check_surprise,
    'my_start': head_start,
    'my_rates': lambda mine: check_rates(3, .01, mine),
    'my_pool': check_pool,
    'my_n': lambda mine: check_enough(.946, .951, mine),
    'my_pairs': check_pairs,
}


def test_nothing_to_look_at_is_not_attempted():
    checks = [check(None) for check in CHECKS.values()]
    checks += [check_better_lm(None, None, []), check_labels(None, None, None, 5)]
    assert set(checks) == {'not attempted'}


def test_solutions_of_chapter_3():
    given = chapter_3()
    found = solutions('03_lm_finetune', **given)
    for name in ('my_perplexity', 'my_rate', 'my_surprise', 'my_start'):
        assert CHECKS[name](found[name]) == 'passed', name
    assert check_better_lm(found['my_lm'], given['lm'], given['valid_ids']) == 'passed'
    # Five rows of forty tokens, and the target of the last.
    text = np.concatenate(given['valid_ids'])[:201]
    by_hand = found['my_surprise'](given['lm'], text).mean().exp()
    assert np.isclose(perplexity(given['lm'], [text], bs=1), by_hand, rtol=1e-3)


def test_a_language_model_of_the_chapters_own_class_is_taken():
    "In chapter 3 the class stands in the notebook, not in the package"
    given = chapter_3()
    own = type('LanguageModel', (), {})()
    vars(own).update(vars(solutions('03_lm_finetune', **given)['my_start']))
    assert head_start(own) == 'passed'


def test_solutions_of_chapter_4():
    given = chapter_4()
    found = solutions('04_classifier', **given)
    for name in ('my_rates', 'my_pool', 'my_n', 'my_pairs'):
        assert CHECKS[name](found[name]) == 'passed', name
    corpus, lm, n_labels = given['corpus'], given['lm'], given['cfg'].labels
    assert check_labels(found['my_train'], corpus, lm, n_labels) == 'passed'

    def hardly(labelled, others):
        return TextClassifier(lm, epochs=1, lr=1e-6).fit(labelled.text, labelled.label)
    assert 'learned from the others' in check_labels(hardly, corpus, lm, n_labels)
    model = hardly(corpus.train, [])
    assert len(found['my_pairs'](model, 'posa posb nega')) == 2


def stored(nodes):
    names = [n for n in nodes if isinstance(n, ast.Name)]
    return {n.id for n in names if isinstance(n.ctx, ast.Store)}


BOTH = [('03_lm_finetune', chapter_3), ('04_classifier', chapter_4)]


@pytest.mark.parametrize('chapter, given', BOTH)
def test_solutions_use_nothing_that_the_chapter_lacks(chapter, given):
    code = [cell for cell in cells(chapter, 'code') if '%pip' not in cell]
    nodes = [node for cell in code for node in ast.walk(ast.parse(cell))]
    imports = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom))]
    there = {alias.asname or alias.name for n in imports for alias in n.names}
    there |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    there |= stored(nodes)
    assert set(given()) <= there
    mine = [n for text in folded(chapter) for n in ast.walk(ast.parse(text))]
    new = stored(mine) | {n.arg for n in mine if isinstance(n, ast.arg)}
    assert {n.id for n in mine if isinstance(n, ast.Name)} <= there | new | set(dir(builtins))


@pytest.mark.parametrize('name, right, slip, hint', [
    ('my_perplexity', '(1/4)', '(1/2)', 'first cell'),
    ('my_rate', ' / 10', ' / 3000', 'still flat'),
    ('my_surprise', '.eval()', '.train()', 'dropout'),
    ('my_start', 'bias +=', 'bias -=', 'as often'),
    ('my_start', '((comes + 1) / (expects + 1)).log()', '.01 * torch.randn(len(vocab))',
     'as often'),
    ('my_rates', '(4, 3, 2, 1, 0)', '(3, 2, 1, 0, 0)', 'once more'),
    ('my_pool', 'words * places', 'words * 1', 'last word'),
    ('my_pool', '-torch.inf', '0', 'never win'),
    ('my_pool', 'return torch.cat', 'torch.cat', '`return`'),
    ('my_pool', 'words, places = ~padding', 'words, places = padding.nonsense', 'AttributeError'),
    ('my_n', '.946*.054', '.946', 'p(1-p)/n'),
    ('my_n', 'my_n = 4', 'my_n = 1.96**2', 'not 1.96 times'),
    ('my_pairs', 'lost_alone[1:]', 'lost_alone[:-1]', 'both words go'),
    ('my_pairs', ' - lost_alone[:-1] - lost_alone[1:]', '', 'carries alone'),
])
def test_solutions_with_a_slip(name, right, slip, hint):
    chapter, given = BOTH[0] if name in list(CHECKS)[:4] else BOTH[1]
    text, = [text for text in folded(chapter) if name in text]
    assert text.count(right) == 1
    names = dict(given())
    exec(text.replace(right, slip), names)
    found = CHECKS[name](names[name])
    assert found.startswith('wrong: expected') and hint in found


@pytest.mark.parametrize('seed', range(3))
def test_right_answers_in_other_forms_to_other_questions(seed):
    rng = np.random.default_rng(seed)
    texts = [rng.uniform(.01, 1, n).tolist() for n in (1, 5, 30)]
    by_loss = torch.tensor(1/np.concatenate(texts)).log().mean().exp()
    assert check_perplexity(texts, by_loss) == 'passed'
    layers, lr = int(rng.integers(1, 6)), float(rng.uniform(1e-4, 1))
    factor = float(rng.uniform(1.5, 4))
    rates = [lr/factor**n for n in range(layers + 1, -1, -1)]
    for answer in (rates, tuple(rates), np.array(rates), torch.tensor(rates)):
        assert check_rates(layers, lr, answer, factor) == 'passed'
    p, q = rng.uniform(.5, .9), .95
    n = 4*(p*(1 - p) + q*(1 - q))/(p - q)**2
    rounded = round(n, -1 if n > 5000 else 0)
    for answer in (n, np.float64(n), [n], torch.tensor(n), str(round(n)), rounded):
        assert check_enough(p, q, answer) == check_enough(q, p, answer) == 'passed'
    rates, losses, done = range_test(float(rng.uniform(-5, 0)), seed)
    best = rates[done.argmax()]
    assert best/30 < rates[losses.argmin()] < best*30
    assert (np.diff(rates) > 0).all()


def test_fastai_passes():
    def fastai(states, padding): return masked_concat_pool(states, padding, bptt=4)
    assert check_pool(fastai) == 'passed'


def test_the_same_words_in_another_order_are_another_vocabulary():
    given = chapter_3()
    lm, tokens = given['lm'], given['vocab'].tokens
    backwards = Vocab([*tokens[:9], *reversed(tokens[9:])])
    mixed_up = LanguageModel(lm.model, backwards, lm.config)
    assert 'begin with carry_over' in head_start(mixed_up)
    assert 'not compare' in check_better_lm(mixed_up, lm, given['valid_ids'])


@pytest.mark.parametrize('answer', ['many', [], {}, object(), len, b'1', 1j])
def test_answers_of_another_type_get_a_sentence(answer):
    checks = [CHECKS[name] for name in ('my_rates', 'my_pool', 'my_n', 'my_pairs')]
    for check in checks: assert check(answer).startswith('wrong: expected')
    assert check_labels(answer, chapter_4()['corpus'], None, 20).startswith('wrong: expected')
