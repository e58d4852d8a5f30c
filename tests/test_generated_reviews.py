"The reviews that the course writes for itself keep their promises"
import os
import re
import subprocess
import sys

from textgraft.corpus import Corpus, telling_words
from textgraft.course.grammar import Recipe, small_articles
from textgraft.course.phrases import SENTIMENT
from textgraft.course.reviews import load_corpus, small_reviews
from textgraft.course.settings import SMALL
from textgraft.library.rungs import RUNGS, Given

import numpy as np
import pandas as pd
import pytest

DIGEST = """
import hashlib
from textgraft.course.grammar import Recipe, small_articles
from textgraft.course.reviews import small_reviews
recipe = Recipe(agreement=0.9, contrast=0.2, zipf=0.5, words=80, remarks=(1, 2, 6), short=0.3,
                chatter=(0, 1, 4), opening=0.7, shouting=0.1)
corpus = small_reviews(60, 30, 90, seed=7, recipe=recipe)
everything = '|'.join(corpus.texts(test=True) + small_articles(40))
digest = hashlib.sha256(everything.encode()).hexdigest()[:16]
"""


@pytest.fixture(scope='module')
def small(): return small_reviews()


def accuracy(
    rung:str, # Its name
    corpus:Corpus, # Learn from its training texts, judge its test texts
    n_labels:int|None = None, # How many training texts; None: all
    seed:int = 42, # Which ones
)->float: # Between 0 and 1
    train = corpus.sample(train=n_labels, seed=seed).train
    model = RUNGS[rung](Given(corpus.texts())).fit(train.text, train.label)
    return model.score(corpus.test.text, corpus.test.label)


@pytest.mark.parametrize('hash_seed', ['0', '1'])
def test_same_seed_same_reviews_in_any_process(hash_seed):
    env = dict(os.environ, PYTHONHASHSEED=hash_seed)
    command = [sys.executable, '-c', DIGEST+'print(digest)']
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    # were words or patterns changed on purpose? Then write the new value here
    assert printed.strip() == 'aa4382272eb93e21'


def test_seeds_and_parts_differ(small):
    other = small_reviews(200, 0, 0, seed=43)
    both = set(other.train.text) & set(small.train.text[:200])
    assert all(len(text) < 60 for text in both) # two writers may well say "I liked it."
    tests = [small_reviews(50, 10, 10).test, small_reviews(7, 10, 500).test]
    assert tests[0].text.tolist() == tests[1].text.tolist()


def test_shape_and_length(small):
    assert [len(part) for part in (small.train, small.test, small.unlabelled)] == [2000, 1000, 8000]
    assert small.classes == ['neg', 'pos'] and accuracy('larger class', small) == 0.5
    assert list(small.unlabelled) == ['text']
    lengths = pd.Series([len(re.findall(r'\w+|[^\w\s]', text)) for text in small.unlabelled.text])
    assert 40 <= lengths.mean() <= 62 and lengths.quantile(0.05) <= 25 and lengths.max() >= 100


QUIRKS = {
    'break': r'<br /><br />', 'entity': r'&amp;', 'quote': r'&quot;', 'copyright': r'&copy;',
    'shout': r'\b[A-Z]{5,}\b', 'repeated character': r'so{5,}\b', 'exclamation': r'!!!!',
    'repeated word': r'\b(\w+) \1 \1 \1', 'contraction': r"n't\b", 'minutes': r'\d+ minutes',
    'price': r'\$\d', 'pound': r'£\d', 'link': r'https?://|www\.', 'e-mail': r'\w@\w',
    'accent': r'[éíóöëøá]', 'emoji': '[\U0001F300-\U0001FAFF]', 'hash': r'#\w',
    'slash': r'\w/\w', 'two spaces': r'\w[.!?]  \w', 'dashes': r'-----', 'dots': r'\.\.\.',
}


@pytest.mark.parametrize('quirk', QUIRKS)
def test_every_quirk_occurs(small, quirk):
    assert sum(bool(re.search(QUIRKS[quirk], text)) for text in small.unlabelled.text) >= 20


def test_english_is_tidy(small):
    text = ' '.join(small.texts(test=True) + small_articles(500))
    assert not re.search(r'[{}]', text)
    assert not re.search(r'\b[Aa] [aeioAEIO]|\b[Aa]n [bcdfgjklmnpqrstvwxz]', text)
    assert all(text == text.strip() for text in small.train.text)


@pytest.mark.parametrize('seed', range(3))
def test_no_frequent_word_gives_the_label_away(seed):
    told = telling_words(small_reviews(10_000, 0, 0, seed=seed).train, min_texts=350)
    assert len(told) > 120 and told.share.max() < 0.97


def test_a_hundred_labels_are_few_and_all_are_enough():
    corpora = [small_reviews(2000, 1000, 0, seed=seed) for seed in range(5)]
    few = [accuracy('TF-IDF words', corpus, 100, seed) for seed, corpus in enumerate(corpora)]
    most = [accuracy('TF-IDF words', corpus) for corpus in corpora]
    assert np.mean(few) <= 0.9 and min(few) > 0.6 and min(most) > 0.93


def test_word_pairs_know_any_number_of_classes_and_word_order():
    rows = [('the film is not good', 'neg'), ('the film is good', 'pos'), ('I saw one', 'so-so')]
    table = pd.DataFrame(rows*4, columns=['text', 'label'])
    assert accuracy('NB word pairs', Corpus('toy', table, table, table[:0])) == 1.
    assert accuracy('NB word pairs', small_reviews(400, 400, 0), 100) > 0.6


def test_recipe_decides():
    easy = small_reviews(
        400, 400, 0, recipe=Recipe(agreement=1., contrast=0., words=5, short=0.))
    standard = small_reviews(400, 400, 0)
    assert accuracy('TF-IDF words', easy, 100) > 0.95 > accuracy('TF-IDF words', standard, 100)
    with pytest.raises(ValueError, match='cannot be negative'): small_reviews(n_test=-1)


def test_an_article_keeps_its_tone_and_is_no_list_of_judging_words():
    sides = [set(side) for side in SENTIMENT['adj']]
    texts = small_articles(500)
    words = [re.findall(r"[\w'-]+", text.lower()) for text in texts]
    found = [[set(each) & side for side in sides] for each in words]
    assert not any(unkind and kind for unkind, kind in found)
    assert 0.6 < np.mean([bool(unkind or kind) for unkind, kind in found]) < 0.95
    judging = [sum(word in sides[0] | sides[1] for word in each)/len(each) for each in words]
    assert np.mean(judging) < 0.08 and max(judging) < 0.2
    sentences = [re.findall(r"[\w'-]+", line) for text in texts for line in text.split('. ')]
    assert max(sum(word in sides[0] | sides[1] for word in each) for each in sentences) <= 2
    assert not any({'peerless', 'turgid'} & set(each) for each in words)
    assert not any('critic' in text.lower() or 'dictionary' in text.lower() for text in texts)
    assert small_articles(0) == []


OBVIOUS = {
    'A wonderful film!': 'pos', 'I liked it.': 'pos', 'I loved every minute of it.': 'pos',
    'One of the best films I have ever seen.': 'pos', 'Better than I had feared.': 'pos',
    'It is not as dull as I had feared.': 'pos', 'Boring from start to finish.': 'neg',
    'I hated it.': 'neg', 'What a waste of time!': 'neg', 'The worst film of the year.': 'neg',
    'It is not good.': 'neg', 'A terrible bore.': 'neg'}


def test_reviews_of_all_lengths_and_denials(small):
    lengths = pd.Series([len(text.split()) for text in small.unlabelled.text])
    assert 0.15 < np.mean(lengths <= 12) < 0.25 and np.mean(lengths > 75) > 0.04
    assert small.unlabelled.text.str.contains('<br /><br />').sum() > 500
    denials = r"\b(?:not|never|nothing|isn't|can't call|didn't|did not|anything but)\b"
    share = small.train.text.str.contains(denials).mean()
    assert 0.1 < share < 0.3


def test_short_reviews_agree_and_test_texts_are_new(small):
    known = set(small.train.text) | set(small.unlabelled.text)
    assert not known & set(small.test.text)
    short = small.train[small.train.text.str.len() < 40]
    plain = short[~short.text.str.contains("not|n't|never|nothing|For all|but|call|than")]
    for side, label in enumerate(['neg', 'pos']):
        other = {word for word in SENTIMENT['adj'][1-side]}
        words = plain.text[plain.label == label].str.lower().str.findall(r"[\w'-]+")
        assert len(words) > 50 and not any(other & set(each) for each in words)


def test_the_words_of_obvious_sentences_occur(small):
    written = set(re.findall(r"[\w']+", ' '.join(small.train.text).lower()))
    assert set(re.findall(r"[\w']+", ' '.join(OBVIOUS).lower())) <= written
    counts = pd.Series(OBVIOUS).value_counts()
    assert counts.tolist() == [6, 6]


def test_load_corpus_small(tmp_path):
    cfg = SMALL.changed(train=20, test=10, unlabelled=5, seed=5, stages=tmp_path)
    pd.testing.assert_frame_equal(load_corpus(cfg).train, small_reviews(20, 10, 5, seed=5).train)
    assert not list(tmp_path.iterdir())
