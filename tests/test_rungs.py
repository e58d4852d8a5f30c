"Rungs: estimators over texts, in any script, with labels of any kind, saved without pickle"
import warnings

from textgraft.course.reviews import small_reviews
from textgraft.library.rungs import (
    RUNGS,
    CharacterCounts,
    Given,
    OneAgainstRest,
    WordCounts,
    as_model,
    load,
    word_pattern,
)
from textgraft.library.text_estimator import UnknownWordsWarning

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

COUNTED = ['larger class', 'TF-IDF words', 'TF-IDF characters', 'NB word pairs', 'TF-IDF + SVD']
REVIEWS = small_reviews(200, 100, 100, seed=3)
TEXTS, LABELS = REVIEWS.train.text.to_numpy(object), REVIEWS.train.label.to_numpy(object)


@pytest.fixture(scope='module')
def given(): return Given(REVIEWS.texts())


@pytest.mark.parametrize('name', COUNTED)
@pytest.mark.parametrize('kind', [str, bool, int])
def test_labels_keep_their_type_through_saving(given, name, kind, tmp_path):
    labels = LABELS if kind is str else (LABELS == 'pos').astype(kind)
    model = as_model(clone(RUNGS[name](given)).fit(TEXTS, labels), name)
    again = load(model.save(tmp_path/'m'))
    answers = again.predict(REVIEWS.test.text)
    assert answers.dtype == labels.dtype and set(answers.tolist()) <= set(labels.tolist())
    assert again.name == name and again.classes_.tolist() == sorted(set(labels.tolist()))
    np.testing.assert_array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))
    np.testing.assert_allclose(again.predict_proba(TEXTS).sum(axis=1), 1)


@pytest.mark.parametrize('name', COUNTED[1:])
def test_rungs_are_estimators_and_beat_the_larger_class(given, name):
    scores = cross_val_score(RUNGS[name](given), TEXTS, LABELS, cv=3)
    assert scores.mean() > .6


@pytest.mark.parametrize('name', COUNTED)
def test_few_texts_many_classes(name):
    texts = np.array([f'about {word} number {i}' for i in range(2) for word in 'abcdefgh'], object)
    labels = np.array([text[6] for text in texts])
    model = as_model(RUNGS[name](Given(list(texts))).fit(texts, labels), name)
    assert model.table(list(texts)).shape == (16, 10)


@pytest.mark.parametrize('name', COUNTED[1:])
def test_one_class_is_refused(given, name):
    with pytest.raises(ValueError, match='two classes'): RUNGS[name](given).fit(TEXTS, TEXTS == '')


@pytest.mark.parametrize('text, words', [
    ("Don't!", ['don', "'", 't', '!']), ('Größe 3', ['größe', '3']), ('हिन्दी', ['हिन्दी']),
    ('电影iPhone', ['电', '影', 'iphone']), ('映画が', ['映', '画', 'が']), ('мир', ['мир']),
    ('العَرَبِيَّة', ['العَرَبِيَّة']), ('', [])])
def test_words_in_any_script(text, words):
    assert WordCounts().build_analyzer()(text) == words
    assert CountVectorizer(token_pattern=word_pattern()).build_analyzer()(text) == words


def test_characters_are_counted_as_scikit_learn_counts_them():
    theirs = CountVectorizer(analyzer='char_wb', ngram_range=(1, 4))
    ours = CharacterCounts((1, 4))
    texts, asked = list(TEXTS[:50]), [*TEXTS[50:60], '', ' \n ', 'Straße 猫']
    assert (ours.fit_transform(texts) != theirs.fit_transform(texts)).nnz == 0
    assert (ours.transform(asked) != theirs.transform(asked)).nnz == 0
    few = CharacterCounts((1, 4), max_features=100).fit(texts)
    assert few.transform(asked).shape == (13, 100)
    assert (few.transform(texts) != few.fit_transform(texts)).nnz == 0


def test_one_against_rest_is_scikit_learns():
    counts = TfidfVectorizer().fit_transform(TEXTS)
    labels = np.array([len(text) % 3 for text in TEXTS])
    theirs = OneVsRestClassifier(LogisticRegression(C=10, solver='liblinear')).fit(counts, labels)
    ours = OneAgainstRest().fit(counts, labels)
    np.testing.assert_allclose(ours.predict_proba(counts), theirs.predict_proba(counts), atol=1e-4)
    quick = OneAgainstRest(large=0).fit(counts, labels)
    assert (quick.predict(counts) == ours.predict(counts)).mean() > .9


def test_many_classes_take_linear_time():
    draw = np.random.default_rng(0)
    counts = sparse.random(3000, 5000, .005, format='csr', random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        model = OneAgainstRest(large=0).fit(counts, draw.integers(0, 50, 3000))
    assert model.weights_.shape == (50, 5000) and model.weights_.dtype == np.float32


def test_unknown_words_are_said(given):
    model = as_model(RUNGS['TF-IDF words'](given).fit(TEXTS, LABELS), 'words')
    strange = pd.Series(['Quousque tandem abutere patientia?', TEXTS[0]], index=[7, 8])
    with pytest.warns(UnknownWordsWarning, match='1 of 2'): table = model.table(strange)
    assert table.index.tolist() == [7, 8] and table.known[7] < .5 < table.known[8] == 1
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert model.table(list(TEXTS[:2])).known.tolist() == [1, 1]


def test_pairs_that_are_new_are_no_unknown_words():
    model = as_model(RUNGS['NB word pairs'](Given(['a b', 'c d'])).fit(['a b', 'c d'], [0, 1]), 'p')
    assert model.table(['d a c b']).known.tolist() == [1]


def test_wrong_input_is_refused(given):
    model = as_model(RUNGS['TF-IDF words'](given).fit(TEXTS, LABELS), 'words')
    for wrong in ('one text', REVIEWS.test, {'a': 'b'}, [None], [3]):
        with pytest.raises(TypeError): model.predict(wrong)
    with pytest.raises(ValueError, match='no label is a class'): model.score(TEXTS[:2], [0, 1])
    assert model.predict([]).tolist() == [] and model.table([]).empty
    assert model.predict_proba(['']).shape == (1, 2)


class Stranger(ClassifierMixin, BaseEstimator):
    "A type that nobody has trusted"
    def fit(self, texts, labels):
        self.classes_ = np.unique(labels)
        return self
    def predict(self, texts): return np.array([self.classes_[0]]*len(texts))


def test_a_type_that_nobody_trusts_is_refused(tmp_path):
    saved = as_model(Stranger().fit(TEXTS, LABELS), 'mine').save(tmp_path/'m')
    name = f'{Stranger.__module__}.Stranger'
    with pytest.raises(ValueError, match=f'{name}.*nobody has trusted'): load(saved)
    assert load(saved, trusted=[name]).predict(['x']).tolist() == ['neg']


def test_a_rung_is_one_line(monkeypatch, given, tmp_path):
    ridge = make_pipeline(TfidfVectorizer(), RidgeClassifier())
    monkeypatch.setitem(RUNGS, 'ridge', lambda given: ridge)
    model = as_model(RUNGS['ridge'](given).fit(TEXTS, LABELS), 'ridge')
    table = load(model.save(tmp_path/'m')).table(list(TEXTS[:3]))
    assert table[['neg', 'pos']].sum(axis=1).tolist() == [1, 1, 1]


def test_damage_and_other_kinds_are_refused(given, tmp_path):
    model = as_model(RUNGS['larger class'](given).fit(TEXTS, LABELS), 'larger class')
    saved = model.save(tmp_path/'m')
    content = (saved/'model.skops').read_bytes()
    (saved/'model.skops').write_bytes(content[:-9])
    with pytest.raises(ValueError, match='model.skops is damaged'): load(saved)
    assert load(REVIEWS.save(tmp_path/'corpus')).train.text.tolist() == REVIEWS.train.text.tolist()
