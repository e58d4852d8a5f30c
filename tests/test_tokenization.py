"What the chapter on tokenization cannot show: hard strings, languages, processes, and broken files"
import base64
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product

from textgraft.course.reviews import small_reviews
from textgraft.library.chunk_memo import ChunkMemo
from textgraft.library.ids_on_disk import cached_ids, fingerprint, read_ids
from textgraft.library.languages import LANGUAGES, Language
from textgraft.library.storage import save_json
from textgraft.library.subwords import Subwords, learn_pieces
from textgraft.tokenization import (
    RULES,
    SPECIAL_TOKENS,
    Tokenizer,
    Vocab,
    choose_min_freq,
    memo_of,
    tokenize,
    tokenize_one,
    word_splitter,
)

import numpy as np
import pandas as pd
import pytest
import spacy
from fastai.text.core import SubwordTokenizer as FastaiSubwordTokenizer
from fastai.text.core import Tokenizer as FastaiTokenizer
from fastai.text.core import TokenizeWithRules, WordTokenizer
from fastai.text.data import Numericalize
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import DATA, real
from spacy.tokenizer import Tokenizer as SpacyTokenizer

FASTAI = TokenizeWithRules(tok=WordTokenizer())


def fastai_tokens(texts): return [list(tokens) for tokens in FASTAI(texts)]


def first_difference(texts):
    "The first text on which we and fastai disagree, with both answers; None if there is none"
    for text, ours, theirs in zip(
        texts, tokenize(texts, n_workers=0), fastai_tokens(texts), strict=True
    ):
        if ours != theirs: return text, ours, theirs


WHITE = [
    ' ', '  ', '\n', '\t', '\r\n', '\n\n', ' \n', '\n ', '\x0b', '\x0c', '\x1c', '\x85', '\xa0',
    '\u2003', '\u2028', '\u3000',
]
HARD = [
    '', ' ', '\n', ' \t\n ', '\u3000', 'a', 'A', '.', '...', '....', '!!!', '!! !!', '\x00',
    'a\x00b', '\ufeffgood', 'a\r\nb\rc', 'It was very very very very good.',
    'no no no, never never never!', 'no  no\nno no', 'very very\nvery very', 'ha ha ha-ha',
    'ha ha haha', 'Very very very', 'VERY VERY VERY', '333 3', '3 333', '333 333 333', '3 3 333',
    '3 3 3333 3', 'aaa aaa aaa', 'a a a', '1' * 111 + ' 1 1', '1' * 111, ' '.join(['1' * 111] * 3),
    ' '.join(['so'] * 111), '- - -', '. . .', '_ _ _', '__ __ __ __', 'so so so/so',
    'so so so\u0301', 'https://www.example.com/a/b?c=d#e', 'www.imdb.com', 'http://a.b/c_(d)',
    'me@example.com.', 'ftp://x.y', 'a.b.c', 'C:\\new\\folder', '&amp;amp;lt;', '&lt;b&gt;',
    '&#39;tis', '#39;', 'amp;', '&nbsp;x', 'x\\ny', '\\"q\\"', '<br />', '<br /><br />',
    'a<br />/b', 'a<br />#1', '/<br />/', ' @.@ ', 'x @-@ y', 'a @.@ @-@ b', '<unk> <unk>',
    '&notit;', '&copy', '&#x41;&#0;&#55296;', '&bogus;', '&amp;quot;', 'USA', 'U.S.A.', "AT&T's",
    'R2-D2', '3D', 'A1', 'B', "I'M", "I'm", "I'LL", 'McDonald', 'iPhone', 'ÀÉ', 'École', 'ΣΑΣ ΣΑΣ.',
    'İstanbul', 'ǅ', 'ßẞ', 'Ⅷ', 'XXX', "don't", "Don't", 'dont', 'cannot', 'gonna', "y'all",
    "o'clock", "'cause", "rock'n'roll", "it's", "IT'S", "he'd've", "'tis", "''", "''highway",
    '10km', '5%', '$9.50', '£1,000.00', '1990s', "'90s", '9-5', '50/50', '8:30pm', '8pm.', 'No.1',
    '#1', 'a+b', '<3', 'e.g.', 'i.e.,', 'Mr.Smith', 'films,i.e.', ':)', ':-)', 'see:)', 'great:).',
    '(spoiler!!):', 'a :) b', ': )', ':) )', '( :', 'finale): ) x', 'finale): - ) x', '8 finale):',
    '(╯°□°）╯︵┻━┻', 'ಠ_ಠ', '¯\\(ツ)/¯', 'x:( (', '=) :', "('don't')", '"I said \'no\'"', '(((a)))',
    '[a](b)', '“curly” ‘quotes’', '«a»', 'a--b', 'a—b', 'a–b', 'well-made', 'must-see,so',
    'end.Start', 'end.\n\nStart', 'a,b', 'a;b', '1,2', 'A.B', '👍👍👍', '👨‍👩‍👧 ok', '🏳️‍🌈',
    'e\u0301e\u0301e\u0301', 'Zalgơ̴', '日本語のテキスト', '電影很好看。真的！',
    'هذا الفيلم جميل جدا',
    'Это очень очень очень хорошо', '한국어 영화', '\u200bzero', 'a\u200db', '\u202erev',
    'xxbos xxmaj word', 'xxrep 3 a', 'xxpad', 'xxbos', 'xxbos xxbos xxbos', 'xxunk.', '(xxup)',
    'XXBOS', '▁', 'a▁b', '▁▁▁', '\n▁', '\U0010ffff', '\ue000', '\u2581 \u2581 \u2581',
    ":):):) (: :( :((", 'finale): ))) :) - )', 'so:) so:) so:) so so:)', 'good.) good:). good!:)',
    'a:b :c d: ::: :-:', '(a) c: e:) g;) :D p:]', 'x.x X.X x.X.', "'s 's 's n't n't n't",
    "Ma'am 'em 'EM ain't AIN'T won't", 'Mr. Ph.D.s a.m. etc. 5pm. 12a.m.', "O'Neill's y'all'd've",
    '$1,000.00USD US$5 5km/h -5C 5°C', "''quoted'' ``so`` \"'x'\"", '٣٣٣ ٣٣٣ ٣٣٣ １２３ ⅣⅣⅣ',
    '🇩🇪🇩🇪🇩🇪 👩🏽‍🚀👩🏽‍🚀👩🏽‍🚀', '&#128512;&lt;br /&gt;<br/>', 'no-no-no no no. No No NO',
    'WW2 XII B2B 4X4', 'don´t don`t don＇t', '\\\\ \\n\\n\\n \\"\\"\\"',
    '\x00\x00\x00 a\x00\x00\x00b', 'a/', '/a', '/', '//', '///', '# #', '\\', 'a / b', 'and/or  #1',
    '\n/\n', '\t#a\t/', 'x \n/ y', '()' * 200, '.,' * 100, 'a' * 3000, 'ab' * 2000,
    'x-' * 300 + 'x', 'Ab' * 40,
]


def test_hard_strings(): assert first_difference(HARD) is None


def test_white_space_in_every_mix():
    texts = [
        a + 'Good' + b + c + '/bad' + d
        for a, b, c, d in product(['', ' ', '\n '], WHITE, WHITE, ['', ' \n', '\t'])
    ]
    assert first_difference(texts) is None


def test_a_direct_call_of_fastais_tokenizer():
    texts = [t for t in HARD if t] + ['a \n b\n c', 'a\xa0 \n\t d']
    tokenizer = FastaiTokenizer(WordTokenizer())
    assert tokenize(texts, space=' ') == [list(tokenizer(t)) for t in texts]


PARTS = [
    ':)', ':(', '(:', '):', '8)', 'finale', 'film,', 'end.', 'a', 'A', 'the', 'The', 'NO', 'so',
    'so so', "n't", "'s", '.', '...', '!', '!!!', ',', ':', ')', '(', '-', '/', '#', '\\', '3',
    '33', '$', '&', '&amp;', '<br />', ';', '@', 'x', 'xx', 'xxrep', 'é', 'İ', 'Σ', '日', '👍',
    '\u200d', '\u0301', '▁', '_', '=', '8', '"', '\x00', *WHITE, ' ', ' ', ' ',
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=14).map(''.join), min_size=1, max_size=8))
def test_random_mixtures_of_hard_parts(texts): assert first_difference(texts) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_random_text(texts): assert first_difference([t for t in texts]) is None


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_each_rule_is_fastais(text):
    for ours, theirs in zip(RULES, FASTAI.rules, strict=True): assert ours(text) == theirs(text)


def test_real_reviews(imdb_archive):
    with tarfile.open(imdb_archive) as archive:
        files = islice((m for m in archive if m.isfile() and m.name.endswith('.txt')), 0, 1200, 20)
        texts = [archive.extractfile(member).read().decode() for member in files]
    assert len(texts) == 60 and first_difference(texts) is None


def test_the_splitter_is_what_the_memo_assumes():
    splitter, memo = word_splitter(), memo_of(LANGUAGES['en'])
    spans_a_space = [
        rule for rule in splitter.rules if rule.strip() and any(map(str.isspace, rule))
    ]
    assert splitter.token_match is None and not spans_a_space
    letters = [''.join(word) for word in product('abcdefghijklmnopqrstuvwxyz', repeat=2)]
    plain = [word for word in letters + small_words() if word not in splitter.rules]
    # why plain words leave early, and the other short cut
    assert all([token.text for token in splitter(word)] == [word] for word in plain)
    closed = [
        word + sign for word in plain for sign in '.,:;!?' if word + sign not in splitter.rules
    ]
    for word in closed: assert [token.text for token in splitter(word)] == [word[:-1], word[-1]]
    # how the sequences are found that spaCy merges
    bare = SpacyTokenizer(splitter.vocab, prefix_search=splitter.prefix_search,
                          suffix_search=splitter.suffix_search,
                          infix_finditer=splitter.infix_finditer, url_match=splitter.url_match)
    for rule in splitter.rules:
        if not rule.isspace():
            assert list(memo.peel(rule, {})) == [token.text for token in bare(rule)]


def small_words():
    words = ' '.join(small_reviews(200, 10, 10).texts()).lower().split()
    return sorted({word for word in words if word.isascii() and word.isalpha()})


# Other languages

SENTENCES = dict(
    de="GROẞE Gefühle, z.B. Ärger & Über-Mut... Das war's, Herr Müller-Lüdenscheidt! 20.000 € :-)",
    fr="L'ÉCOLE n'est-elle pas ouverte aujourd'hui ? « Oui », dit-il : c'est-à-dire à 9h30, 10%.",
    es='¿Qué? ¡HOLA! La película costó $5 y el Sr. Pérez no la vio... ÁNGEL fue a EE.UU. p.m.',
    ru='ОЧЕНЬ хороший фильм, т.е. Шедевр! В 1990-х гг. «Жар-птица» и д-р Иванов; он-то и т.д.',
    ar='هذا الفيلم جميل جداً، أليس كذلك؟ نعم! 20٪ من ب.م والسيد د. أحمد :)',
    he='הסרט הזה נפלא, לא? כן! צה"ל וד"ר כהן; 50% של ש"ח 3.5',
    tr="ISPARTA'da IŞIK yoktu; İstanbul'a gittik: Iğdır, İLE vb. 3'üncü Dr. Öz'ün 2.5'i",
    el="Η ΤΑΙΝΙΑ ήταν υπέροχη, π.χ. ο κ. Παπαδόπουλος δεν θα 'ρθει; ΟΔΥΣΣΕΑΣ! 10ο 'ναι $5.000",
    hu='A FILM jó volt, pl. dr. Kovács-féle 10-én 5%-kal. Óriási!',
    nl="'s Avonds in IJmuiden, d.w.z. Z'n huis",
    it="L'Aquila è bella, dott. Rossi: 20° C, un po' d'acqua. È VERO!",
    ko='이 영화는 정말 재미있어요! 10% A급',
    vi='Bộ PHIM này rất hay, phải không? Đúng!',
    xx='Pax TIBI, u.s.w.',
)


def spacys_tokens(text, lang):
    "Rules and spaCy, one text at a time: right, but slow"
    rules = RULES if lang == 'en' else RULES[:5] + LANGUAGES[lang].capitals
    return tokenize_one(text, memo_of(LANGUAGES[lang]).splitter, rules)


@pytest.mark.parametrize('lang', SENTENCES)
def test_the_memo_of_every_language_is_exact(lang):
    rules = memo_of(LANGUAGES[lang]).splitter.rules
    exceptions = [rule for rule in rules if not rule.isspace()][::7]
    rng = np.random.default_rng(0)
    mixed = [''.join(rng.choice([*exceptions, *PARTS], 6)) for _ in range(300)]
    texts = [SENTENCES[lang], *SENTENCES.values(), ' '.join(exceptions[:200]), *HARD, *mixed]
    for text, tokens in zip(texts, Tokenizer(lang)(texts, n_workers=0), strict=True):
        assert tokens == spacys_tokens(text, lang), text


@pytest.mark.parametrize('lang', ['en', 'de', 'fr', 'ru', 'tr', 'el'])
def test_the_splitter_of_a_language_is_spacys(lang):
    ours, theirs = LANGUAGES[lang].splitter(), spacy.blank(lang).tokenizer
    lower = LANGUAGES[lang].lower
    spans_a_space = [rule for rule in theirs.rules if rule.strip() and ' ' in rule]
    for text in [*SENTENCES.values(), *HARD]:
        text = lower(text)
        if any(lower(rule) in text for rule in spans_a_space): continue # these we leave out
        assert [token.text for token in ours(text)] == [token.text for token in theirs(text)]


def test_german_tweets():
    with tarfile.open(real(DATA/'tables.tar.xz')) as archive:
        table = pd.read_csv(archive.extractfile('germeval2018/train.csv'))
    texts = table.text.tolist()[:400]
    tokens = Tokenizer('de')(texts)
    assert tokens == [spacys_tokens(text, 'de') for text in texts]
    assert sum('xxmaj' in row for row in tokens) > 350
    umlauts = [
        row[i + 1] for row in tokens for i, token in enumerate(row) if token in ('xxmaj', 'xxup')
    ]
    assert any(word[0] in 'äöü' for word in umlauts)


def test_capitals_of_every_script():
    def tokens(text, lang): return Tokenizer(lang)([text])[0][1:]
    assert tokens('ÜBER Äpfel', 'de') == ['xxup', 'über', 'xxmaj', 'äpfel']
    assert tokens('ОНА Его', 'ru') == ['xxup', 'она', 'xxmaj', 'его']
    assert tokens('ΟΔΥΣΣΕΑΣ Όχι', 'el') == ['xxup', 'οδυσσεας', 'xxmaj', 'όχι']
    assert tokens('ISPARTA İzmir ılık ile', 'tr') == [
        'xxup',
        'ısparta',
        'xxmaj',
        'izmir',
        'ılık',
        'ile',
    ]
    assert tokens('שלום עולם', 'he') == ['שלום', 'עולם']
    assert tokens('ÜBER', 'en') == ['über'] # fastai's rules know A to Z only
    for text in ('ISPARTA İzmir ılık ile', 'İLE Işık'):
        tok = Tokenizer('tr')
        assert tok.text(tok([text])[0]) == text


@pytest.mark.parametrize(
    'lang, message',
    [
        ('zh', r"Chinese has no spaces between words: Tokenizer.learn\(texts, lang='zh'\)"),
        ('th', 'Thai has no spaces'),
        ('ja', 'Japanese'),
        ('German', "write 'de'"),
        ('tlh', r"Tokenizer\('xx'\)"),
        ('', 'no language has the code'),
        (None, 'no language has the code'),
    ],
)
def test_languages_that_need_something_else(lang, message):
    with pytest.raises(ValueError, match=message): Tokenizer(lang)


@pytest.fixture
def toy():
    LANGUAGES['toy'] = Language('toy', 'Toy', make_splitter=lambda: spacy.blank('xx').tokenizer)
    yield 'toy'
    del LANGUAGES['toy']


def test_a_language_of_ones_own(toy):
    texts = ['ĈIU libro, estas Bona!'] * 3
    right = ['xxbos', 'xxup', 'ĉiu', 'libro', ',', 'estas', 'xxmaj', 'bona', '!']
    tok = Tokenizer(toy)
    assert tok(texts, n_workers=2) == [right] * 3 # workers would not know it
    assert Vocab.from_config(tok.vocab(texts).config).tokenizer == tok
    LANGUAGES[toy] = Language(
        'toy', 'Toy', spacy_code='xx', lower=lambda text: text.lower().replace('ĉ', 'c')
    )
    assert Tokenizer(toy)(texts)[0][2] == 'ciu' # another entry, another memo


# One object that travels

def test_equal_tokenizers_are_equal():
    german, learned = Tokenizer('de'), Tokenizer.learn(['ein Film'] * 9, 'de')
    for tok in (german, learned, Tokenizer()):
        for same in (
            pickle.loads(pickle.dumps(tok)),
            Tokenizer.from_config(json.loads(json.dumps(tok.config))),
        ):
            assert (
                same == tok
                and hash(same) == hash(tok)
                and same(['Ein Film.']) == tok(['Ein Film.'])
            )
    assert len({german, learned, Tokenizer('de'), Tokenizer('en'), Tokenizer()}) == 3
    vocab = german.vocab(['Ein Film.'])
    assert vocab != Vocab(vocab.tokens) and pickle.loads(pickle.dumps(vocab)) == vocab
    assert repr(german) == "Tokenizer('de')" and 'learned parts' in repr(learned)


def test_another_spacy_is_said():
    config = Tokenizer('de').config
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        Tokenizer.from_config({**config, 'spacy': '9.9'})  # cuts the same
    with pytest.warns(
        UserWarning, match=r'made with spaCy 9.9, and spaCy .* cuts German otherwise'
    ):
        Tokenizer.from_config({**config, 'spacy': '9.9', 'check': '0'})
    for bad in (None, [], {}, {'lang': 3}):
        with pytest.raises(ValueError, match='not the configuration of a tokenizer'):
            Tokenizer.from_config(bad)


def test_a_vocabulary_grows_with_the_text():
    mails = [f'My parcel {i} has not arrived. Where is order {i * 7}?' for i in range(60)]
    vocab = Tokenizer('en').vocab(mails)
    assert vocab.unknown_share(mails) == 0 and len(vocab) > 100
    assert [choose_min_freq(Counter({'a': n})) for n in (10, 50_000, 10**6)] == [1, 2, 3]
    with pytest.warns(UserWarning, match=r'% of these tokens are not in the vocabulary of'):
        Tokenizer('en').vocab([f'word{i} other{i}' for i in range(60)], min_freq=3)
    with pytest.warns(UserWarning, match='stand there only once'):
        Tokenizer('en').vocab([f'word{i} other{i}' for i in range(150)])
    with pytest.warns(
        UserWarning, match=r"look like Chinese.*Tokenizer.for_texts\(texts, lang='zh'\)"
    ):
        Tokenizer('en').vocab([f'这部电影非常好看，我很喜欢{i}' for i in range(20)])


def test_a_vocabulary_is_extended():
    old = Tokenizer('en').vocab(['a good film'] * 3)
    new = old.extended(['a bad film and a bad plot', 'bad plot'], min_freq=2)
    assert (
        new.tokens[: len(old)] == old.tokens
        and {'bad', 'plot'} <= set(new.tokens)
        and len(new) % 8 == 0
    )
    assert 'and' not in new and old.extended(['bad'], max_vocab=len(old)) == old
    assert [new[token] for token in old.tokens if token != 'xxfake'] == [
        old[t] for t in old.tokens if t != 'xxfake'
    ]
    learned = Tokenizer.learn(['a good film'] * 9)
    assert learned.vocab([]).extended(['anything']) == learned.vocab([])


# Reserved words in a text

def test_a_text_that_spells_padding():
    text = 'xxpad the film xxpad'
    assert tokenize([text]) == fastai_tokens([text]) # the tokens are fastai's
    vocab = Vocab.from_tokens(tokenize(['the film']), min_freq=1)
    ids, = vocab.encode_texts([text])
    assert vocab['xxpad'] == 1 and vocab.decode(ids) == [
        'xxbos',
        'xxunk',
        'the',
        'film',
        'xxunk',
    ]  # not the ids
    learned = Tokenizer.learn([' '.join(SPECIAL_TOKENS * 9)] * 99, vocab_size=400)
    every = ' '.join([*SPECIAL_TOKENS, 'xxfake'])
    tokens, = learned([every])
    assert {*SPECIAL_TOKENS, 'xxfake'} & {*tokens} == {'xxbos'} and tokens.count('xxbos') == 1
    assert learned.text(tokens) == every


# Constant memory, linear time, interruptions

def test_a_stream_of_new_words_does_not_fill_the_memory():
    splitter = word_splitter()
    memo = ChunkMemo(RULES, splitter, plain_words=True, limit=5000)
    for start in range(0, 60_000, 1000):
        words = ['-'.join(str(i)) + 'x' for i in range(start, start + 1000)] # no runs of one digit
        texts = [f'{word} film' for word in words]
        tokens, numbers, lens = memo.encode(texts)
        assert lens[::100].tolist() == [len(tokenize_one(t, splitter)) for t in texts[::100]]
        assert len(memo.table) <= 7000
    assert memo_of(LANGUAGES['en']).limit <= 300_000


@pytest.mark.parametrize(
    'piece',
    [
        'a',
        'AB',
        '12',
        '1.',
        'sooo ',
        '☃☂',
        '()',
        ':)(',
        '.,',
        'x-',
        'a:b.',
        'a@b:',
        '😀👍',
        'so ',
        'good:) film ',
        'http://a.b/',
        '\n a',
        '111 ',
        '&amp;',
        '/a',
    ],
)
def test_time_grows_with_the_length(piece):
    def seconds(n):
        text = (piece * (n // len(piece) + 1))[:n] + ' end'
        memo_of.cache_clear()
        tokenize(['warm'], n_workers=0)
        start = time.process_time()
        tokenize([text], n_workers=0)
        return time.process_time() - start
    once, four_times = seconds(3000), seconds(12_000)
    assert four_times < 2 and (four_times < .2 or four_times < 9 * once) # squared: 16


def test_long_web_addresses_are_spacys():
    memo, splitter = memo_of(LANGUAGES['en']), word_splitter()
    long = 'x' * 50 + '/y' * 500
    for word in (
        'http://a.example/' + long,
        'me:secret@a.example/' + long,
        'a@b@c.example/' + long,
        'a.b/' + long,
        '@a.example/' + long,
        'http://@/' + long,
        'a.b@' + long,
        'x' * 2000 + '.de',
        'http://me@a.example:80/' + long,
    ):
        assert memo.is_url(word) == bool(splitter.url_match(word)), word[:30]


def test_interruptions_leave_the_memo_right():
    stop_at = [0]
    def interrupted(text):
        stop_at[0] -= 1
        if stop_at[0] == 0: raise KeyboardInterrupt
        return RULES[6](text)
    memo = ChunkMemo([*RULES[:6], interrupted, RULES[7]], word_splitter(), plain_words=True)
    text = 'Well-made, Fine and Good, funny:) no no no'
    for n in range(1, 6):
        stop_at[0] = n
        with pytest.raises(KeyboardInterrupt):
            memo.encode([text, f'Another{n} One{n} Yes{n} No{n} Oh{n}'])
        stop_at[0] = 0
        tokens, numbers, _ = memo.encode([text])
        assert [tokens[n] for n in numbers] == fastai_tokens([text])[0]


def in_a_daemon(texts): return len(tokenize(texts, n_workers=2))


def test_inside_a_pool_worker():
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else None)
    with context.Pool(1) as pool: assert pool.apply(in_a_daemon, [['A good film.'] * 50]) == 50


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_a_copy_of_a_busy_process_is_not_stuck():
    memo = memo_of(LANGUAGES['en'])
    with memo.lock:
        process = multiprocessing.get_context('fork').Process(
            target=tokenize, args=(['A good film.'],)
        )
        process.start()
        process.join(20)
    assert process.exitcode == 0


def test_long_and_broken_texts():
    long = 'a good film ' * 100_000 # fastai stops at a million characters
    assert len(tokenize([long])[0]) == 300_001
    with pytest.raises(ValueError, match='text 1 has half a character .* at place 4'):
        tokenize(['fine', 'good\ud83d'])
    with pytest.raises(TypeError, match='text 2 is None'): tokenize(['a', 'b', None])
    with pytest.raises(TypeError, match=r'write \[text\]'): tokenize('a text')
    with pytest.raises(TypeError, match='a generator'): tokenize(text for text in 'ab')
    assert tokenize([]) == [] and tokenize(('', ' \n ')) == [['xxbos'], ['xxbos']]


def test_processes_change_nothing():
    texts = HARD * 3
    for tok in (Tokenizer('en'), Tokenizer('ru'), Tokenizer.learn(texts, vocab_size=500)):
        assert tok(texts, n_workers=2) == tok(texts, n_workers=0)
        assert len(list(tok.batches(texts, size=50))) == -(-len(texts) // 50)


@pytest.mark.parametrize('method', sorted({'spawn', multiprocessing.get_start_method()} - {'fork'}))
def test_a_script_without_a_guard_may_use_processes(tmp_path, method):
    script = tmp_path/'script.py'
    script.write_text(textwrap.dedent(f"""
        import multiprocessing
        multiprocessing.set_start_method('{method}')
        from textgraft.tokenization import tokenize
        print(tokenize(['A good film.', 'No.'], n_workers=2))
    """))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert (
        done.stdout == "[['xxbos', 'a', 'good', 'film', '.'], ['xxbos', 'xxmaj', 'no', '.']]\n"
    ), done.stderr


def test_threads_share_a_memo():
    memo, texts = ChunkMemo(RULES, word_splitter(), limit=500), small_reviews(400, 10, 10).texts()
    def tokens(part):
        tokens, numbers, _ = memo.encode(part)
        return [tokens[n] for n in numbers]
    parts = [texts[i::8] for i in range(8)]
    with ThreadPoolExecutor(4) as pool: found = list(pool.map(tokens, parts))
    for part, mine in zip(parts, found):
        assert mine == [token for tokens in tokenize(part) for token in tokens]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([*'abcdefghijklm', 'xxmaj', 'xxpad', 'xxfake']), max_size=20),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 4),
    st.integers(10, 25),
)
def test_vocab_is_numericalizes(token_lists, min_freq, max_vocab):
    theirs = Numericalize(min_freq=min_freq, max_vocab=max_vocab)
    theirs.setup(token_lists)
    if theirs.vocab.count('xxfake') and any('xxfake' in tokens for tokens in token_lists):
        return  # a word that nobody writes
    with warnings.catch_warnings(action='ignore', category=UserWarning): # few words, many unknown
        ours = Vocab.from_tokens(token_lists, min_freq, max_vocab)
    assert ours.tokens == list(theirs.vocab)
    for tokens in token_lists: # but for a text that spells padding
        same = [0 if i == 1 else i for i in theirs(tokens).tolist()]
        assert ours.encode(tokens).tolist() == same


def test_a_vocabulary_file_that_is_none(tmp_path):
    path = tmp_path/'vocab.json'
    for text in [
        '',
        '[]',
        '{"tokens": 3}',
        '{',
        '{"words": []}',
        '{"tokens": ["the"]}',
        '{"tokens": [1]}',
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match='vocab.json is no vocabulary'): Vocab.load(path)
    path.write_text(json.dumps({'tokens': SPECIAL_TOKENS})) # of the first edition: no checksum
    with pytest.raises(ValueError, match='save again'): Vocab.load(path)
    save_json(path.with_name('made-up'), 'vocabulary', {'tokens': ['the']})
    with pytest.raises(ValueError, match='not a saved vocabulary'):
        Vocab.load(path.with_name('made-up'))
    path.unlink()
    german = Tokenizer('de').vocab(['Ein Film'])
    assert Vocab.load(german.save(path)) == german
    with pytest.raises(ValueError, match='begins with'): Vocab(['the', 'a'])
    with pytest.raises(ValueError, match='stand twice'): Vocab([*SPECIAL_TOKENS, 'a', 'a'])
    with pytest.raises(ValueError, match='max_vocab=9'): Vocab.from_tokens([['a']], max_vocab=9)
    with pytest.raises(ValueError, match='outside this vocabulary'): german.decode([2, len(german)])


# Sub-words

@pytest.fixture(scope='module')
def learned(): return Tokenizer.learn(small_reviews(300, 10, 10).texts(), 'en', 600)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_subwords_restore_any_text(learned, text):
    vocab = learned.vocab([])
    ids, = vocab.encode_texts([text])
    assert vocab.text(ids) == text and 0 not in ids and vocab.unknown_share([text]) == 0


def test_subwords_restore_hard_texts(learned):
    vocab, texts = (
        learned.vocab([]),
        [*HARD, *SENTENCES.values(), 'naïve ▁ 日本', '\0', '▁', '\uf8fd1▁', '<0x41>', '<unk>'],
    )
    for text, ids in zip(texts, vocab.encode_texts(texts), strict=True):
        assert vocab.text(ids) == text
    assert len(vocab.tokens) == len(set(vocab.tokens) - {'xxfake'}) + vocab.tokens.count('xxfake')
    assert {*vocab.tokens} == {*SPECIAL_TOKENS, *learned.engine.pieces, 'xxfake'} and len(
        learned.engine.pieces
    ) == 599


def test_subwords_are_learned_the_same_twice(learned):
    assert Tokenizer.learn(small_reviews(300, 10, 10).texts(), 'en', 600) == learned
    assert learn_pieces(['a good film'] * 20_000, max_chars=1000) == learn_pieces(
        ['a good film'] * 20_000, max_chars=1000
    )


def test_subwords_say_what_is_wrong():
    with pytest.raises(ValueError, match='need at least'):
        Tokenizer.learn(['a good film'] * 9, vocab_size=100)
    with pytest.raises(ValueError, match='no text to learn'): Tokenizer.learn(['', ' '])
    with pytest.raises(TypeError, match=r'write \[text\]'): Tokenizer.learn('a good film')
    assert Tokenizer.for_texts(['这部电影'] * 9, 'zh').model and Tokenizer.for_texts(
        ['ein Film'], 'de'
    ) == Tokenizer('de')


def test_fastai_cuts_with_our_model_too(learned, tmp_path):
    path = tmp_path/'600.model'
    path.write_bytes(base64.b64decode(learned.config['model']))
    theirs = FastaiSubwordTokenizer(sp_model=path, cache_dir=tmp_path)
    texts = ['The film is a delight, and I loved it.', 'Never again!']
    assert [['xxbos', *tokens] for tokens in theirs(texts)] == learned(texts)


def test_subwords_make_no_files_and_no_noise(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert len(Subwords(learn_pieces(['one two'] * 50)).pieces) > 256 and not list(
        tmp_path.iterdir()
    )
    assert capfd.readouterr() == ('', '')


def test_two_threads_cut_with_one_model(learned):
    texts = small_reviews(100, 10, 10).texts()
    with ThreadPoolExecutor(4) as pool: found = list(pool.map(learned, [texts] * 4))
    assert found == [learned(texts)] * 4


# Ids on disk

CACHE = textwrap.dedent("""
    import sys
    from textgraft.library.ids_on_disk import cached_ids
    texts = [f'A good film, number {i}: well-made{i} and word{i}.' for i in range(30_000)]
    print('ready', flush=True)
    cached_ids(texts, sys.argv[1], min_freq=1, n_workers=0, progress=False)
""")


def test_a_killed_run_leaves_nothing(tmp_path):
    path = tmp_path/'train.ids'
    process = subprocess.Popen([sys.executable, '-c', CACHE, path], stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    ids = cached_ids(['A good film.'], path, min_freq=1, progress=False)
    assert ids.vocab.decode(ids[0]) == ['xxbos', 'a', 'good', 'film', '.'] and [
        p.name for p in tmp_path.iterdir()
    ] == ['train.ids']


KILLED = textwrap.dedent("""
    import os, signal, sys
    import numpy as np
    from textgraft.library.ids_on_disk import write_ids
    from textgraft.tokenization import SPECIAL_TOKENS, Vocab
    def blocks():
        yield np.full(1000, 9)
        os.kill(os.getpid(), signal.SIGKILL)
    write_ids(sys.argv[1], 'key', Vocab([*SPECIAL_TOKENS, 'film']), np.array([2000]), blocks())
""")


def test_a_run_that_is_killed_while_it_writes(tmp_path):
    path = tmp_path/'train.ids'
    subprocess.run([sys.executable, '-c', KILLED, path])
    left, = tmp_path.iterdir()
    assert left.name.endswith('.part')
    os.utime(left, (0, 0)) # long ago: nobody writes it any more
    ids = cached_ids(['A good film.'], path, min_freq=1, progress=False)
    assert len(ids) == 1 and [p.name for p in tmp_path.iterdir()] == ['train.ids']


def test_processes_at_the_same_time(tmp_path):
    path, script = tmp_path/'train.ids', CACHE.replace('30_000', '3_000')
    runs = [
        subprocess.Popen([sys.executable, '-c', script, path], stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [run.wait() for run in runs] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ['train.ids']
    texts = [f'A good film, number {i}: well-made{i} and word{i}.' for i in range(3_000)]
    before, ids = (
        path.stat().st_mtime_ns,
        cached_ids(texts, path, min_freq=1, n_workers=0, progress=False),
    )
    assert (
        path.stat().st_mtime_ns == before and len(ids) == 3000
    )  # found, and what both would have made
    assert ids[2999].tolist() == ids.vocab.encode(tokenize(texts[-1:])[0]).tolist()


def test_another_tokenizer_is_seen(tmp_path, capsys):
    path, german = tmp_path/'train.ids', Tokenizer('de')

    def again(**kwargs):
        return cached_ids(['A ÜBER film.'], path, min_freq=1, progress=False, **kwargs)

    again()
    assert 'xxup' not in again().vocab.decode(again()[0]) and capsys.readouterr().out == ''
    ids = again(tokenizer=german)
    assert (
        capsys.readouterr().out
        == f'{path}: the texts, the tokenizer or the settings have changed, tokenizing again\n'
    )
    assert ids.vocab.tokenizer == german and 'xxup' in ids.vocab.decode(ids[0])
    assert again(vocab=ids.vocab).vocab == ids.vocab  # its tokenizer
    with pytest.raises(ValueError, match='belongs to'):
        again(vocab=ids.vocab, tokenizer=Tokenizer('fr'))
    learned = Tokenizer.learn(['A film.'] * 9)
    assert (
        learned.text(again(tokenizer=learned).vocab.decode(again(tokenizer=learned)[0]))
        == 'A ÜBER film.'
    )


def test_progress_is_shown(tmp_path, capsys):
    cached_ids(['A good film.'] * 50, tmp_path/'train.ids', progress=True)
    assert 'tokens: 100%' in capsys.readouterr().err
    cached_ids(['A good film.'] * 50, tmp_path/'train.ids', progress=True)
    assert capsys.readouterr().err == '' # nothing to wait for


def test_a_folder_is_not_overwritten(tmp_path):
    (tmp_path/'mine'/'precious.txt').parent.mkdir()
    (tmp_path/'mine'/'precious.txt').write_text('keep')
    with pytest.raises(ValueError, match='is a folder'):
        cached_ids(['A good film.'], tmp_path / 'mine')
    assert (tmp_path/'mine'/'precious.txt').read_text() == 'keep'


def test_runs_at_the_same_time(tmp_path):
    texts, path = small_reviews(300, 10, 10).texts(), tmp_path/'train.ids'
    with ThreadPoolExecutor(3) as pool:
        made = list(
            pool.map(lambda _: cached_ids(texts, path, n_workers=0, progress=False), range(3))
        )
    for ids in made: assert ids.ids.tolist() == made[0].ids.tolist() and ids.vocab == made[0].vocab


def test_every_change_is_seen(tmp_path, capsys):
    texts, path = ['A good film.', 'A bad film.'], tmp_path/'train.ids'

    def again(texts, **kwargs):
        return cached_ids(texts, path, **{'min_freq': 1, 'progress': False, **kwargs})

    again(texts)
    assert capsys.readouterr().out == ''
    for change in [
        (texts[::-1], {}),
        (['A good film.', 'A bad film!'], {}),
        (texts[:1], {}),
        ([*texts, ''], {}),
        (texts, {'min_freq': 2}),
        (texts, {'max_vocab': 12}),
        (texts, {'vocab': Vocab([*SPECIAL_TOKENS, 'film'])}),
    ]:
        ids = again(change[0], **change[1])
        assert 'have changed, tokenizing again' in capsys.readouterr().out and len(ids) == len(
            change[0]
        )
        again(change[0], **change[1])
        assert capsys.readouterr().out == '' # found
    raw = bytearray(path.read_bytes())
    for place in (
        0,
        7,
        200,
        raw.index(b'film'),
        raw.index(b'"en'),
        len(raw) - 1,
        -1,
        -100,
        -len(raw),
    ):
        broken = bytearray(raw)
        if place >= 0: broken[place] ^= 0x55
        else: del broken[place:] # truncated
        path.unlink()
        path.write_bytes(broken)
        ids = again(texts, vocab=Vocab([*SPECIAL_TOKENS, 'film']))
        assert 'tokenizing again' in capsys.readouterr().out and ids.vocab.decode(ids[1])[-2:] == [
            'film',
            'xxunk',
        ]
    not_ours = bytearray(raw)
    not_ours[9] ^= 0x55 # nothing says any more that the file is ours
    path.unlink()
    path.write_bytes(not_ours)
    with pytest.raises(FileExistsError, match='train.ids'): again(texts)
    path.write_bytes(raw)
    assert read_ids(path).ids.dtype == np.uint16 and fingerprint(
        texts, Tokenizer(), []
    ) != fingerprint(texts[::-1], Tokenizer(), [])


def test_threads_that_begin_together():
    texts = ['A warm film, soooo funny.', "It's no no no good."]*20
    right = tokenize(texts, n_workers=0)
    for _ in range(3):
        memo_of.cache_clear()  # both threads make the memo
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(lambda _: tokenize(texts, n_workers=0), range(2))) == [
                right,
                right,
            ]
