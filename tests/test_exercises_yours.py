"The exercises of chapter 6: each solution passes its check, tempting wrong answers do not"
import json
import re

from textgraft.corpus import Corpus
from textgraft.course.mails import small_mails
from textgraft.course.your_exercises import (
    check_how_many,
    check_rung,
    check_shares,
    check_threshold,
)

import numpy as np
import pandas as pd
import pytest
import torch
from pages import NBS, cells, folded, solutions
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

TEAMS = ['login', 'outage', 'other']
GIVEN = pd.DataFrame([[30, 6, 4], [5, 12, 3], [0, 2, 38]], index=TEAMS, columns=TEAMS)
ERRORS = {120: .28, 240: .20, 480: .14}


def shares(mine): return check_shares(GIVEN, 'login', mine)
def how_many(mine): return check_how_many(ERRORS, .07, mine)


@pytest.fixture(scope='module')
def corpus():
    "As the chapter makes it, but for the file"
    mails = small_mails(n=600, unlabelled=400)
    return Corpus.from_df(mails, text='body', label='queue', unlabelled='rows')


@pytest.fixture(scope='module')
def answers(): return solutions('06_your_text', np=np)


def test_the_readers_names_are_empty_and_every_check_says_so():
    nb = json.loads((NBS/'06_your_text.ipynb').read_text(encoding='utf-8'))
    mine = [c for c in nb['cells'] if ''.join(c['source']).startswith('my_')]
    assert len(mine) == 4
    for cell in mine:
        source = ''.join(cell['source'])
        assert re.fullmatch(r'my_\w+ = None\n(.*\n)*check_\w+\(.*\bmy_\w+.*\)', source)
        shown = [''.join(out['data']['text/plain']) for out in cell['outputs']]
        assert shown == ["'not attempted'"]


def test_the_chapter_asks_what_is_checked_here():
    text = '\n'.join(cells('06_your_text', 'code'))
    assert repr(GIVEN.to_numpy().tolist()) in text and repr(TEAMS) in text
    assert '{120: .28, 240: .20, 480: .14}' in text and 'errors_so_far, .07' in text


def test_every_question_is_answered_behind_a_fold():
    texts = cells('06_your_text', 'markdown')
    text, = [text for text in texts if text.startswith('## Questions')]
    questions = re.split(r'^\d\. ', text, flags=re.MULTILINE)[1:]
    assert 5 <= len(questions) <= 8
    for question in questions:
        assert re.fullmatch(r'.+\n<details><summary>Answer</summary>.{40,}</details>\s*', question)


def test_nothing_to_look_at_is_not_attempted(corpus):
    found = {shares(None), how_many(None), check_threshold(None), check_rung(None, corpus)}
    assert found == {'not attempted'}


def test_solutions(answers, corpus):
    assert shares(answers['my_shares']) == 'passed'
    assert how_many(answers['my_n_labels']) == 'passed'
    assert check_threshold(answers['my_threshold']) == 'passed'
    assert check_rung(answers['my_rung'], corpus) == 'passed'


@pytest.mark.parametrize('name, right, slip, hint', [
    ('my_shares', '30/(30 + 6 + 4), 30/(30 + 5 + 0)', '30/35, 30/40', 'exchanged'),
    ('my_shares', '30/(30 + 6 + 4), 30/(30 + 5 + 0)', '.8, .8', 'all classes at once'),
    ('my_shares', '30/(30 + 6 + 4), 30/(30 + 5 + 0)', '75, 85.7', 'from 0 to 1'),
    ('my_n_labels', '* 2 * 2', '* 2', 'more than twice'),
    ('my_n_labels', '480 * 2 * 2', '480 + 280', 'the curve flattens'),
    ('my_n_labels', '480 * 2 * 2', '.07', 'by which factor'),
    ('my_threshold', 'return threshold', 'return wanted', 'a probability is a claim'),
    ('my_threshold', '>= wanted: return', '> 0: return', 'are right'),
    ('my_threshold', '.mean() >= wanted', '.mean() == 1', 'are possible'),
    ('my_threshold', 'return threshold', 'threshold', 'does your function return'),
    ('my_threshold', 'in np.unique', 'in numpy.unique', 'NameError'),
])
def test_solutions_with_a_slip(name, right, slip, hint):
    check = dict(my_shares=shares, my_n_labels=how_many, my_threshold=check_threshold)[name]
    text, = [text for text in folded('06_your_text') if name in text]
    assert text.count(right) == 1
    names = dict(np=np)
    exec(text.replace(right, slip), names)
    found = check(names[name])
    assert found.startswith('wrong: expected') and hint in found, found


@pytest.mark.parametrize('mine, hint', [
    (DummyClassifier(), 'returns a new estimator'),
    (LogisticRegression, 'returns a new estimator'),
    ('TF-IDF words', 'returns a new estimator'),
    (lambda given: DummyClassifier(), 'less regularization'),
    (lambda given: LogisticRegression(), 'turns texts into numbers'),
    (lambda given: 'TF-IDF words', 'expected an estimator'),
    (lambda: DummyClassifier(), 'a function of `given`'),
])
def test_wrong_rungs(mine, hint, corpus):
    found = check_rung(mine, corpus)
    assert found.startswith('wrong: expected') and hint in found, found


@pytest.mark.parametrize('mine', [(.75, .857), [.75, 30/35], np.array([.75, .857]),
                                  torch.tensor([.75, .857]), pd.Series([.75, .857]),
                                  ('0.75', '0.86'), dict(recall=.75, precision=.857)])
def test_right_shares_of_other_types(mine): assert shares(mine) == 'passed'


@pytest.mark.parametrize('mine', [1920, 1920., np.int64(1900), [1950], '2000', torch.tensor(1900)])
def test_right_numbers_of_other_types(mine): assert how_many(mine) == 'passed'


@pytest.mark.parametrize('mine', ['many', [1, 2, 3], object, float('nan'), b'\xff', {}])
def test_answers_that_are_no_numbers_get_a_sentence(mine):
    assert shares(mine).startswith('wrong: expected two numbers')
    assert how_many(mine).startswith('wrong: expected one number')


def test_another_threshold_that_answers_the_same_mails_will_do(answers):
    lowest = answers['my_threshold']
    for convert in (float, np.float32, str, lambda value: [value], lambda value: value - .004):
        assert check_threshold(lambda *both, c=convert: c(lowest(*both))) == 'passed'


def test_a_check_leaves_the_ladder_as_it_was(answers, corpus):
    from textgraft.library.rungs import RUNGS
    before = list(RUNGS)
    texts = corpus.train.text.tolist()
    check_rung(answers['my_rung'], corpus)
    assert list(RUNGS) == before and corpus.train.text.tolist() == texts
