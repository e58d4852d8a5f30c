"The generated support mails: the same for the same seed, fair, and readable"
import re
from collections import Counter
from datetime import date
from random import Random

from textgraft.corpus import telling_words
from textgraft.course.mails import QUEUES, small_mails, write_mail

import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


@pytest.fixture(scope='module')
def many(): return small_mails(6000, seed=0)


def test_a_seed_stands_for_a_table():
    pd.testing.assert_frame_equal(small_mails(), small_mails())
    assert small_mails(seed=1).body.tolist() != small_mails(seed=2).body.tolist()
    first = small_mails(3).iloc[0]
    assert list(small_mails(3)) == ['date', 'subject', 'body', 'queue']
    assert (len(small_mails(3)), len(first.date)) == (3, 10)


def test_mails_without_a_queue_come_on_top():
    table = small_mails(200, unlabelled=80)
    assert table.queue.isna().sum() == 80
    labelled = table[table.queue.notna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(labelled, small_mails(200), check_dtype=False)
    assert table.date.is_monotonic_increasing


def test_an_empty_table_has_its_columns():
    assert (len(small_mails(0)), list(small_mails(0))) == (0, list(small_mails(1)))
    assert small_mails(0, unlabelled=5).queue.isna().all()


@pytest.mark.parametrize('wrong', [dict(n=-1), dict(unlabelled=-1), dict(lang='la')])
def test_wrong_tables_are_refused(wrong):
    with pytest.raises(ValueError): small_mails(**wrong)


@pytest.mark.parametrize('lang', ['en', 'de'])
@pytest.mark.parametrize('queue', QUEUES)
def test_no_place_stays_empty_in_any_case(queue, lang):
    rng = Random(5)
    for _ in range(150):
        mail = write_mail(queue, date(2025, 1 + int(rng.random()*12), 3), rng, lang)
        assert 20 <= len(mail['body'].split()) <= 80
        assert mail['subject'] and not re.search(r'[{}|]', mail['subject'] + mail['body'])


def test_queues_have_their_shares(many):
    found = many.queue.value_counts(normalize=True)
    assert set(found.index) == set(QUEUES)
    assert all(abs(found[queue] - share) < .02 for queue, share in QUEUES.items())


def test_mails_are_written_as_people_write(many):
    words = many.body.str.split().str.len()
    assert words.between(20, 80).all() and words.std() > 8
    assert .01 < many.body.duplicated().mean() < .06
    assert .05 < many.body.map(str.islower).mean() < .15
    greetings = many.body.str.split('\n').str[0].str.lower()
    assert greetings.nunique() > 10
    sentences = Counter(s for body in many.body for s in re.split(r'(?<=[.?!])\s+', body))
    assert len(sentences) > 10_000 # no text is only a choice among a few


def test_only_a_device_has_a_socket(many):
    "Sentences of one mail fit together: what stops working is never a shelf"
    stopped = many.body.str.extract(r'The ([a-z ]+) stopped working')[0].dropna()
    big = many.body.str.extract(r'The ([a-z ]+) is too big')[0].dropna()
    assert len(stopped) > 20 and not stopped.str.contains('shelf|table|chair|bin|rack').any()
    assert len(big) > 20 and not big.str.contains('kettle|radio|toaster|bowl').any()


def test_no_word_gives_a_queue_away(many):
    told = telling_words(many.rename(columns=dict(body='text', queue='label')), min_texts=100)
    assert len(told) > 150 and told.share.max() < .95


def test_a_hundred_labels_leave_room(many):
    train, test = many[:-1000], many[-1000:]
    def accuracy(n_labels, seed):
        part = train.sample(n_labels, random_state=seed)
        model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
        return model.fit(part.body, part.queue).score(test.body, test.queue)
    few, all_labels = accuracy(100, 0), accuracy(len(train), 0)
    assert few < .75 and all_labels > .9


def test_german_mails_are_german():
    text = ' '.join(small_mails(200, lang='de').body)
    assert 'ß' in text and 'ü' in text
    assert not re.search(r'\b(the|parcel|password|please)\b', text)
