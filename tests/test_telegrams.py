"Texts without small words"
from textgraft.course.reviews import small_reviews
from textgraft.library.telegrams import SMALL_WORDS, TURNS, telegram, telegram_corpus

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize('text, short', [
    ("I can't, won't and DON'T.", 'not not not'),
    ('Don’t miss the director’s best film', 'not miss director best film'),
    ('Why?!? Wow!!', '? wow !'),
    ('10/10<br /><br />A+', '10 10'),
    ("'Tis rock 'n' roll", 'rock roll'),
    ('Größe, naïve & 1990s', 'größe naïve 1990s'),
    ('', ''), ('the of it', ''), ("''' ... \n\t", '')])
def test_cases(text, short): assert telegram(text) == short


@given(st.text(max_size=200))
def test_any_text(text):
    short = telegram(text)
    words = short.split(' ') if short else []
    assert not SMALL_WORDS & set(words) and telegram(short) == short


def test_what_turns_a_judgement_stays():
    assert telegram(' '.join(sorted(TURNS))) == ' '.join(sorted(TURNS))


def test_a_corpus_keeps_its_shape():
    whole = small_reviews(20, 20, 20)
    short = telegram_corpus(whole)
    for part in ('train', 'test', 'unlabelled'):
        before, after = getattr(whole, part), getattr(short, part)
        assert list(before.columns) == list(after.columns)
        assert after.text.tolist() == [telegram(text) for text in before.text]
    assert short.test.label.tolist() == whole.test.label.tolist()
    assert whole.train.text[0] != short.train.text[0] and short.name != whole.name
