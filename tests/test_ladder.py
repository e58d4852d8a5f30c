"The ladder: its time budget, its rule, its table, odd labels and languages"
import time

import textgraft as tg
from textgraft.course.reviews import small_reviews
from textgraft.library.ladder import Ladder, RungResult, best_result, is_better, ladder
from textgraft.library.rungs import OPTIONAL, RUNGS

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

CHEAP = ['larger class', 'TF-IDF words']
REVIEWS = small_reviews(80, 40, 0, seed=5)


def result(name, right, model='fitted'):
    return RungResult(name, [np.array(fold, dtype=bool) for fold in right], model=model)


class Waits(ClassifierMixin, BaseEstimator):
    "Takes a known time to learn the first class"
    def __init__(self, seconds=.1): self.seconds = seconds

    def fit(self, texts, labels):
        time.sleep(self.seconds)
        self.classes_ = np.unique(labels)
        return self

    def predict(self, texts): return np.full(len(texts), self.classes_[0])


def waits(seconds): return lambda given: Waits(seconds)


def test_a_slow_rung_does_not_starve_the_others():
    rungs = {'slow': waits(.6), 'slower': waits(.6), 'quick': waits(0.)}
    measured = ladder(REVIEWS, rungs, minutes=3/60, progress=False)
    table, slow = measured.table, measured.results[0]
    assert table.folds['quick'] == 3 and table['test accuracy'].notna().all()
    assert 0 < len(slow.folds) < 3 # time for a part of the folds, and for the fit on all texts
    assert table.seconds.sum() < 3.5


def test_what_cannot_end_in_time_is_left_out_and_said():
    corpus = tg.Corpus.from_df(pd.DataFrame({
        'text': [f'text number {i}' for i in range(1600)], 'label': [i % 2 for i in range(1600)]}))
    rungs = {'plain': waits(0.), 'slow': waits(.3)}
    measured = ladder(corpus, rungs, minutes=1/60, progress=False)
    assert measured.results[1].note.startswith('left out: a fold and a fit on all texts would take')
    assert measured.winner.name == 'plain' and 'left out' in str(measured)


def test_a_language_model_without_time_to_read_is_left_out():
    def late(given):
        time.sleep(2)
        return Waits(0.)
    rungs = {'plain': waits(0.), 'late': late, 'ULMFiT': RUNGS['ULMFiT']}
    measured = ladder(REVIEWS, rungs, minutes=1.5/60, progress=False)
    assert measured.results[2].note.startswith('left out: ') and measured.winner.name == 'plain'


def test_an_interrupt_is_not_taken_for_a_failed_rung():
    def interrupted(given): raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): ladder(REVIEWS, {'x': interrupted}, progress=False)


def test_a_failed_rung_loses_only_itself():
    rungs = {'broken': lambda given: 1/0, 'quick': waits(0.)}
    measured = ladder(REVIEWS, rungs, progress=False)
    assert measured.names == ['broken', 'quick'] and measured.winner.name == 'quick'
    assert 'ZeroDivisionError' in measured.table.note['broken']
    with pytest.raises(ValueError, match='no rung could be fitted .broken: failed'):
        ladder(REVIEWS, {'broken': rungs['broken']}, progress=False)


def test_the_rule():
    simple = result('simple', [[1, 1, 0, 0]*25])
    same = result('same', [[1, 1, 0, 0]*25])
    better = result('better', [[1, 1, 1, 0]*25])
    assert not is_better(same, simple) and is_better(better, simple)
    assert best_result([simple, same, better]).name == 'better'
    assert best_result([result('lost', [[0]*4], None), simple]).name == 'simple'
    assert not is_better(result('none', []), simple)


def test_table_and_text_say_the_same():
    measured = Ladder('mails', [result('a', [[1, 0]]), RungResult('b', note='left out: why')])
    assert measured.table['cv accuracy']['a'] == .5 and measured.table.folds['b'] == 0
    assert 'best by cross-validation: a' in str(measured)
    assert '<b>a</b>' in measured._repr_html_() and 'left out: why' in str(measured)


@pytest.mark.parametrize('labels', [
    [0, 1], [True, False], ['ja', 'nein'], pd.Categorical(['x', 'y'], categories=['y', 'x'])])
def test_answers_have_the_type_of_the_labels(labels):
    values = list(labels)
    rows = [(f'{"good fine" if i % 2 else "bad dull"} film {i}', values[i % 2]) for i in range(40)]
    table = pd.DataFrame(rows, columns=['text', 'label'])
    if isinstance(labels, pd.Categorical): table['label'] = pd.Categorical(table.label)
    measured = ladder(tg.Corpus.from_df(table), CHEAP, progress=False)
    assert measured.winner.name == 'TF-IDF words'
    assert measured.best.predict(['good film', 'bad film']).tolist() == [values[1], values[0]]


def test_classes_with_one_text_and_copies_of_texts():
    rows = [(f'{word} and {i}', word) for i in range(8) for word in ('red', 'green')]
    table = pd.DataFrame([*rows, *rows[:3]*4, ('blue once', 'blue')], columns=['text', 'label'])
    with pytest.warns(UserWarning, match='no test text'): corpus = tg.Corpus.from_df(table)
    measured = ladder(corpus, CHEAP, progress=False)
    assert set(measured.best.classes_) == {'red', 'green', 'blue'}
    only = pd.DataFrame([('one', 'a'), ('two', 'b'), ('three', 'c')], columns=['text', 'label'])
    with pytest.raises(ValueError, match='two of a class at least'):
        ladder(tg.Corpus.from_df(only, test=only), CHEAP, progress=False)


def test_long_texts():
    rows = [(f'{"word "*20_000}{"yes" if i % 2 else "no"} {i}', i % 2) for i in range(12)]
    corpus = tg.Corpus.from_df(pd.DataFrame(rows, columns=['text', 'label']))
    names = ['TF-IDF words', 'TF-IDF characters', 'NB word pairs']
    measured = ladder(corpus, names, progress=False)
    assert measured.table['test accuracy'].notna().all()


@pytest.mark.parametrize('lang, text', [
    ('zh', '这部电影很好看'), ('ja', 'この映画はとても面白い'), ('th', 'ภาพยนตร์เรื่องนี้ดีมาก')])
def test_a_forgotten_language_is_said_before_the_work(lang, text):
    rows = [(f'{text}{i}', i % 2) for i in range(20)]
    corpus = tg.Corpus.from_df(pd.DataFrame(rows, columns=['text', 'label']))
    for wrong in ('en', 'xx'):
        with pytest.raises(ValueError, match=f'--lang {lang}'):
            ladder(corpus, CHEAP, lang=wrong, progress=False)
    assert ladder(corpus, ['TF-IDF characters'], lang=lang, progress=False).names


def test_which_rungs_are_measured():
    with pytest.raises(ValueError, match='there is no rung'): ladder(REVIEWS, ['UMLFiT'])
    with pytest.raises(ValueError, match='one rung at least'): ladder(REVIEWS, [])
    assert ladder(REVIEWS, 'larger class', progress=False).names == ['larger class']
    assert OPTIONAL < set(RUNGS)
