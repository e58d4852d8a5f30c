"Rungs: estimators over texts, in any script, with labels of any kind, saved without pickle"
import time
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
from textgraft.library.word_vectors import DocumentVectors, MeanVectors
from textgraft.lm_finetune import LanguageModel

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
from sklearn.preprocessing import Normalizer

COUNTED = ['larger class', 'TF-IDF words', 'TF-IDF characters', 'NB word pairs', 'TF-IDF + SVD',
           'word vectors', 'document vectors', 'self-training']
REVIEWS = small_reviews(200, 100, 100, seed=3)
TEXTS, LABELS = REVIEWS.train.text.to_numpy(object), REVIEWS.train.label.to_numpy(object)


@pytest.fixture(scope='module')
def given():
    "Vectors of few numbers, learned in three passes, are quick"
    made = Given(REVIEWS.texts())
    settings = dict(size=16, epochs=3, min_freq=1, pattern=word_pattern())
    for name, kind in (('word_vectors', MeanVectors), ('document_vectors', DocumentVectors)):
        setattr(made, name, make_pipeline(kind(**settings).fit(made.texts), Normalizer()))
    return made


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
    assert scores.mean() > (.45 if 'vectors' in name else .6) # these have hardly read


def test_self_training_keeps_no_text_and_learns_from_those_without_label(given, tmp_path):
    rung = RUNGS['self-training'](given)
    few = np.r_[np.flatnonzero(LABELS == 'pos')[:5], np.flatnonzero(LABELS == 'neg')[:5]]
    alone = clone(rung).set_params(texts=()).fit(TEXTS[few], LABELS[few])
    both = clone(rung).set_params(sure=.6).fit(TEXTS[few], LABELS[few])
    assert (alone.predict_proba(TEXTS) != both.predict_proba(TEXTS)).any()
    again = load(as_model(both, 'self-training').save(tmp_path/'m'))
    assert again.pipeline.texts == () and both.texts


def test_both_directions_are_the_mean_and_can_be_saved(tmp_path):
    given = Given(list(TEXTS[:60]))
    for name, backwards in (('lm', False), ('lm_backwards', True)):
        lm = LanguageModel.new(given.texts, emb=8, hidden=8, layers=1, backwards=backwards)
        setattr(given, name, lm)
    rung = RUNGS['ULMFiT both ways'](given)
    assert RUNGS['ULMFiT backwards'](given).lm is given.lm_backwards
    for network in (rung.forward, rung.backward): network.set_params(epochs=1)
    model = as_model(clone(rung).fit(TEXTS[:60], LABELS[:60]), 'both')
    parts = [each.predict_proba(TEXTS[:9]) for each in (model.forward_, model.backward_)]
    again = load(model.save(tmp_path/'m'))
    np.testing.assert_allclose(again.predict_proba(TEXTS[:9]), sum(parts)/2)
    assert again.table(pd.Series(['a film'], index=[4])).index.tolist() == [4]
    assert 0 <= again.score(TEXTS[:9], LABELS[:9]) <= 1


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
    ours = CharacterCounts()
    texts = [*TEXTS[:50], '', 'Straße 猫が好き 🎬']
    asked = [*TEXTS[50:60], '', ' \n ', 'Straße 猫', 'never seen: ђѓ']

    def in_order(counts): return np.sort(counts.toarray(), axis=1) # columns stand in other orders
    assert (in_order(ours.fit_transform(texts)) == in_order(theirs.fit_transform(texts))).all()
    assert (in_order(ours.transform(asked)) == in_order(theirs.transform(asked))).all()
    few = CharacterCounts(max_features=100).fit(texts)
    assert few.transform(asked).shape == (14, 100)
    assert (few.transform(texts) != few.fit_transform(texts)).nnz == 0
    with pytest.raises(ValueError, match='no word'): CharacterCounts().fit(['', ' '])


def test_texts_without_spaces_are_counted_quickly():
    draw = np.random.default_rng(0)
    letters = np.array([chr(0x4e00 + i) for i in range(2000)])
    texts = [''.join(draw.choice(letters, 100)) for _ in range(2000)]
    start = time.process_time()
    CharacterCounts().fit(texts)
    assert time.process_time() - start < 10 # about 1 second


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
