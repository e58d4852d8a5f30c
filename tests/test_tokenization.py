"What the chapter on tokenization cannot show: hard strings, random strings, processes, and broken files"
import subprocess
import sys
import tarfile
import textwrap
from itertools import product

import numpy as np
import pytest
from fastai.text.core import TokenizeWithRules, Tokenizer, WordTokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from textgraft.tokenization import RULES, ChunkMemo, tokenize

FASTAI = TokenizeWithRules(tok=WordTokenizer())


def fastai_tokens(texts): return [list(tokens) for tokens in FASTAI(texts)]


def first_difference(texts):
    "The first text on which we and fastai disagree, with both answers; None if there is none"
    for text, ours, theirs in zip(texts, tokenize(texts, n_workers=0), fastai_tokens(texts), strict=True):
        if ours != theirs: return text, ours, theirs


WHITE = [' ', '  ', '\n', '\t', '\r\n', '\n\n', ' \n', '\n ', '\x0b', '\x0c', '\x1c', '\x85', '\xa0', '\u2003', '\u2028', '\u3000']
HARD = [
    '', ' ', '\n', ' \t\n ', '\u3000', 'a', 'A', '.', '...', '....', '!!!', '!! !!', '\x00', 'a\x00b', '\ufeffgood', 'a\r\nb\rc',
    'It was very very very very good.', 'no no no, never never never!', 'no  no\nno no', 'very very\nvery very', 'ha ha ha-ha', 'ha ha haha',
    'Very very very', 'VERY VERY VERY', '333 3', '3 333', '333 333 333', '3 3 333', '3 3 3333 3', 'aaa aaa aaa', 'a a a', '1' * 111 + ' 1 1',
    '1' * 111, ' '.join(['1' * 111] * 3), ' '.join(['so'] * 111), '- - -', '. . .', '_ _ _', '__ __ __ __', 'so so so/so', 'so so so\u0301',
    'https://www.example.com/a/b?c=d#e', 'www.imdb.com', 'http://a.b/c_(d)', 'me@example.com.', 'ftp://x.y', 'a.b.c', 'C:\\new\\folder',
    '&amp;amp;lt;', '&lt;b&gt;', '&#39;tis', '#39;', 'amp;', '&nbsp;x', 'x\\ny', '\\"q\\"', '<br />', '<br /><br />', 'a<br />/b', 'a<br />#1', '/<br />/',
    ' @.@ ', 'x @-@ y', 'a @.@ @-@ b', '<unk> <unk>', '&notit;', '&copy', '&#x41;&#0;&#55296;', '&bogus;', '&amp;quot;',
    'USA', 'U.S.A.', "AT&T's", 'R2-D2', '3D', 'A1', 'B', "I'M", "I'm", "I'LL", 'McDonald', 'iPhone', 'ÀÉ', 'École', 'ΣΑΣ ΣΑΣ.', 'İstanbul', 'ǅ', 'ßẞ', 'Ⅷ', 'XXX',
    "don't", "Don't", 'dont', 'cannot', 'gonna', "y'all", "o'clock", "'cause", "rock'n'roll", "it's", "IT'S", "he'd've", "'tis", "''", "''highway",
    '10km', '5%', '$9.50', '£1,000.00', '1990s', "'90s", '9-5', '50/50', '8:30pm', '8pm.', 'No.1', '#1', 'a+b', '<3', 'e.g.', 'i.e.,', 'Mr.Smith', 'films,i.e.',
    ':)', ':-)', 'see:)', 'great:).', '(spoiler!!):', 'a :) b', ': )', ':) )', '( :', 'finale): ) x', 'finale): - ) x', '8 finale):', '(╯°□°）╯︵┻━┻', 'ಠ_ಠ', '¯\\(ツ)/¯', 'x:( (', '=) :',
    "('don't')", '"I said \'no\'"', '(((a)))', '[a](b)', '“curly” ‘quotes’', '«a»', 'a--b', 'a—b', 'a–b', 'well-made', 'must-see,so', 'end.Start', 'end.\n\nStart', 'a,b', 'a;b', '1,2', 'A.B',
    '👍👍👍', '👨‍👩‍👧 ok', '🏳️‍🌈', 'e\u0301e\u0301e\u0301', 'Zalgơ̴', '日本語のテキスト', '電影很好看。真的！', 'هذا الفيلم جميل جدا', 'Это очень очень очень хорошо', '한국어 영화', '\u200bzero', 'a\u200db', '\u202erev',
    'xxbos xxmaj word', 'xxrep 3 a', 'xxpad', 'xxbos', 'xxbos xxbos xxbos', 'xxunk.', '(xxup)', 'XXBOS', '▁', 'a▁b', '▁▁▁', '\n▁', '\U0010ffff', '\ue000', '\u2581 \u2581 \u2581',
    'a/', '/a', '/', '//', '///', '# #', '\\', 'a / b', 'and/or  #1', '\n/\n', '\t#a\t/', 'x \n/ y', '()' * 200, '.,' * 100, 'a' * 3000, 'ab' * 2000, 'x-' * 300 + 'x', 'Ab' * 40,
]


def test_hard_strings(): assert first_difference(HARD) is None


def test_white_space_in_every_mix():
    texts = [a + 'Good' + b + c + '/bad' + d for a, b, c, d in product(['', ' ', '\n '], WHITE, WHITE, ['', ' \n', '\t'])]
    assert first_difference(texts) is None


def test_a_direct_call_of_fastais_tokenizer():
    texts = [t for t in HARD if t] + ['a \n b\n c', 'a\xa0 \n\t d']
    tokenizer = Tokenizer(WordTokenizer())
    assert tokenize(texts, space=' ') == [list(tokenizer(t)) for t in texts]


PARTS = ['a', 'A', 'the', 'The', 'NO', 'so', 'so so', "n't", "'s", '.', '...', '!', '!!!', ',', ':', ')', '(', '-', '/', '#', '\\', '3', '33', '$', '&', '&amp;',
         '<br />', ';', '@', 'x', 'xx', 'xxrep', 'é', 'İ', 'Σ', '日', '👍', '\u200d', '\u0301', '▁', '_', '=', '8', '"', '\x00', *WHITE, ' ', ' ', ' ']


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=14).map(''.join), min_size=1, max_size=8))
def test_random_mixtures_of_hard_parts(texts): assert first_difference(texts) is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_random_text(texts): assert first_difference([t for t in texts]) is None


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_each_rule_is_fastais(text):
    for ours, theirs in zip(RULES, FASTAI.rules, strict=True): assert ours(text) == theirs(text)
