"What the chapter on tokenization cannot show: hard strings, random strings, processes, and broken files"
import multiprocessing
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product

from textgraft.course.reviews import small_reviews
from textgraft.library.chunk_memo import ChunkMemo
from textgraft.library.ids_on_disk import cached_ids, fingerprint, read_ids
from textgraft.tokenization import (
    RULES,
    SPECIAL_TOKENS,
    SubwordTokenizer,
    Vocab,
    shared_memo,
    tokenize,
    word_splitter,
)

import numpy as np
import pytest
from fastai.text.core import Tokenizer as FastaiTokenizer
from fastai.text.core import TokenizeWithRules, WordTokenizer
from fastai.text.data import Numericalize
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokenizer import Tokenizer

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
    ":):):) (: :( :((", 'finale): ))) :) - )', 'so:) so:) so:) so so:)', 'good.) good:). good!:)', 'a:b :c d: ::: :-:', '(a) c: e:) g;) :D p:]', 'x.x X.X x.X.', "'s 's 's n't n't n't",
    "Ma'am 'em 'EM ain't AIN'T won't", 'Mr. Ph.D.s a.m. etc. 5pm. 12a.m.', "O'Neill's y'all'd've", '$1,000.00USD US$5 5km/h -5C 5°C', "''quoted'' ``so`` \"'x'\"", '٣٣٣ ٣٣٣ ٣٣٣ １２３ ⅣⅣⅣ',
    '🇩🇪🇩🇪🇩🇪 👩🏽‍🚀👩🏽‍🚀👩🏽‍🚀', '&#128512;&lt;br /&gt;<br/>', 'no-no-no no no. No No NO', 'WW2 XII B2B 4X4', 'don´t don`t don＇t', '\\\\ \\n\\n\\n \\"\\"\\"', '\x00\x00\x00 a\x00\x00\x00b',
    'a/', '/a', '/', '//', '///', '# #', '\\', 'a / b', 'and/or  #1', '\n/\n', '\t#a\t/', 'x \n/ y', '()' * 200, '.,' * 100, 'a' * 3000, 'ab' * 2000, 'x-' * 300 + 'x', 'Ab' * 40,
]


def test_hard_strings(): assert first_difference(HARD) is None


def test_white_space_in_every_mix():
    texts = [a + 'Good' + b + c + '/bad' + d for a, b, c, d in product(['', ' ', '\n '], WHITE, WHITE, ['', ' \n', '\t'])]
    assert first_difference(texts) is None


def test_a_direct_call_of_fastais_tokenizer():
    texts = [t for t in HARD if t] + ['a \n b\n c', 'a\xa0 \n\t d']
    tokenizer = FastaiTokenizer(WordTokenizer())
    assert tokenize(texts, space=' ') == [list(tokenizer(t)) for t in texts]


PARTS = [':)', ':(', '(:', '):', '8)', 'finale', 'film,', 'end.', 'a', 'A', 'the', 'The', 'NO', 'so', 'so so', "n't", "'s", '.', '...', '!', '!!!', ',', ':', ')', '(', '-', '/', '#', '\\', '3', '33', '$', '&', '&amp;',
         '<br />', ';', '@', 'x', 'xx', 'xxrep', 'é', 'İ', 'Σ', '日', '👍', '\u200d', '\u0301', '▁', '_', '=', '8', '"', '\x00', *WHITE, ' ', ' ', ' ']


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
    splitter = word_splitter()
    assert splitter.token_match is None # `peel` does not ask it
    assert not [rule for rule in splitter.rules if rule.strip() and any(c.isspace() for c in rule)] # a merge never spans white space
    letters = [''.join(word) for word in product('abcdefghijklmnopqrstuvwxyz', repeat=2)]
    plain = [word for word in letters + small_words() if word not in splitter.rules]
    assert all([token.text for token in splitter(word)] == [word] for word in plain) # why plain words leave early
    closed = [word + sign for word in plain for sign in '.,:;!?' if word + sign not in splitter.rules]
    assert all([token.text for token in splitter(word)] == [word[:-1], word[-1]] for word in closed) # the other short cut
    bare, memo = Tokenizer(splitter.vocab, prefix_search=splitter.prefix_search, suffix_search=splitter.suffix_search,
                           infix_finditer=splitter.infix_finditer, url_match=splitter.url_match), ChunkMemo(RULES, splitter)
    for rule in splitter.rules: # how the sequences are found that spaCy merges
        if not rule.isspace(): assert list(memo.peel(rule, {})) == [token.text for token in bare(rule)]


def small_words():
    return sorted({word for text in small_reviews(200, 10, 10).lm_texts() for word in text.lower().split() if word.isascii() and word.isalpha()})


def test_long_and_broken_texts():
    long = 'a good film ' * 100_000 # fastai stops at a million characters
    assert len(tokenize([long])[0]) == 300_001
    with pytest.raises(ValueError, match='text 1 has half a character .* at place 4'): tokenize(['fine', 'good\ud83d'])
    with pytest.raises(TypeError, match='text 2 is None'): tokenize(['a', 'b', None])
    with pytest.raises(TypeError, match=r'write \[text\]'): tokenize('a text')
    assert tokenize([]) == [] and tokenize(iter(['a'])) == [['xxbos', 'a']]


def test_processes_change_nothing():
    texts = HARD * 3
    assert tokenize(texts, n_workers=2) == tokenize(texts, n_workers=0)


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
    assert done.stdout == "[['xxbos', 'a', 'good', 'film', '.'], ['xxbos', 'xxmaj', 'no', '.']]\n", done.stderr


def test_threads_share_a_memo():
    memo, texts = ChunkMemo(RULES, word_splitter()), small_reviews(400, 10, 10).lm_texts()
    with ThreadPoolExecutor(4) as pool: parts = list(pool.map(memo.encode, [texts[i::4] for i in range(4)]))
    for i, (numbers, _) in enumerate(parts):
        assert [memo.tokens[n] for n in numbers] == [token for tokens in tokenize(texts[i::4]) for token in tokens]


def test_an_interruption_leaves_the_memo_right(monkeypatch):
    memo = ChunkMemo(RULES, word_splitter())
    memo['fine']
    memo.flat.append(99) # as if interrupted between the tokens and the end of an entry
    assert [memo.tokens[n] for n in memo.encode(['well-made, fine'])[0]] == ['xxbos', 'well', '-', 'made', ',', 'fine']


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([*'abcdefghijklm', 'xxmaj', 'xxpad', 'xxfake']), max_size=20), min_size=1, max_size=8),
       st.integers(1, 4), st.integers(10, 25))
def test_vocab_is_numericalizes(token_lists, min_freq, max_vocab):
    theirs = Numericalize(min_freq=min_freq, max_vocab=max_vocab)
    theirs.setup(token_lists)
    if theirs.vocab.count('xxfake') and any('xxfake' in tokens for tokens in token_lists): return # a word that nobody writes
    ours = Vocab.from_tokens(token_lists, min_freq, max_vocab)
    assert ours.tokens == list(theirs.vocab)
    for tokens in token_lists: assert ours.encode(tokens).tolist() == theirs(tokens).tolist()


def test_a_vocabulary_file_that_is_none(tmp_path):
    path = tmp_path/'vocab.json'
    for text in ['', '[]', '{"tokens": 3}', '{', '{"words": []}']:
        path.write_text(text)
        with pytest.raises(ValueError, match='not a saved vocabulary'): Vocab.load(path)
    path.write_text('{"tokens": ["the"]}')
    with pytest.raises(ValueError, match='begins with'): Vocab.load(path)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_subwords_restore_any_text(subwords, text):
    if subwords.stand_in not in text: assert subwords.decode(subwords.encode(text)) == text


@pytest.fixture(scope='module')
def subwords(tmp_path_factory):
    return SubwordTokenizer.train(small_reviews(300, 10, 10).lm_texts(), 300, tmp_path_factory.mktemp('spm')/'300.model')


def test_two_subword_models_do_not_share_a_file(tmp_path, subwords, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = SubwordTokenizer.train(['one two'] * 50, 8, tmp_path/'new folder'/'other.model')
    assert len(subwords) == 300 and len(other) == 8
    assert [p.name for p in tmp_path.rglob('*') if p.is_file()] == ['other.model'] # nothing in the working folder
    out, err = capfd.readouterr()
    assert out == err == ''


CACHE = textwrap.dedent("""
    import sys
    from textgraft.library.ids_on_disk import cached_ids
    texts = [f'A good film, number {i}: well-made{i} and word{i}.' for i in range(30_000)]
    print('ready', flush=True)
    cached_ids(texts, sys.argv[1], n_workers=0, progress=False)
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
    assert ids.vocab.decode(ids[0]) == ['xxbos', 'a', 'good', 'film', '.'] and [p.name for p in tmp_path.iterdir()] == ['train.ids']


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
    runs = [subprocess.Popen([sys.executable, '-c', script, path], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ['train.ids']
    texts = [f'A good film, number {i}: well-made{i} and word{i}.' for i in range(3_000)]
    before, ids = path.stat().st_mtime_ns, cached_ids(texts, path, n_workers=0, progress=False)
    assert path.stat().st_mtime_ns == before and len(ids) == 3000 # found, and what both would have made
    assert ids[2999].tolist() == ids.vocab.encode(tokenize(texts[-1:])[0]).tolist()


def test_another_tokenizer_is_seen(tmp_path, capsys, monkeypatch):
    path = tmp_path/'train.ids'
    def again(): return cached_ids(['A GOOD film.'], path, min_freq=1, progress=False)
    assert 'xxup' in again().vocab.decode(again()[0])
    try:
        monkeypatch.setattr('textgraft.tokenization.RULES', [rule if rule.__name__ != 'replace_all_caps' else str for rule in RULES])
        shared_memo.cache_clear()
        ids = again()
        assert capsys.readouterr().out == 'train.ids: the texts, the tokenizer or the settings have changed, tokenizing again\n'
        assert 'xxup' not in ids.vocab.decode(ids[0])
    finally: shared_memo.cache_clear()


def test_progress_is_shown(tmp_path, capsys):
    cached_ids(['A good film.'] * 50, tmp_path/'train.ids', progress=True)
    assert 'tokens: 100%' in capsys.readouterr().err
    cached_ids(['A good film.'] * 50, tmp_path/'train.ids', progress=True)
    assert capsys.readouterr().err == '' # nothing to wait for


def test_a_folder_is_not_overwritten(tmp_path):
    (tmp_path/'mine'/'precious.txt').parent.mkdir()
    (tmp_path/'mine'/'precious.txt').write_text('keep')
    with pytest.raises(ValueError, match='is a folder'): cached_ids(['A good film.'], tmp_path/'mine')
    assert (tmp_path/'mine'/'precious.txt').read_text() == 'keep'


def test_runs_at_the_same_time(tmp_path):
    texts, path = small_reviews(300, 10, 10).lm_texts(), tmp_path/'train.ids'
    with ThreadPoolExecutor(3) as pool: made = list(pool.map(lambda _: cached_ids(texts, path, n_workers=0, progress=False), range(3)))
    for ids in made: assert ids.ids.tolist() == made[0].ids.tolist() and ids.vocab == made[0].vocab


def test_every_change_is_seen(tmp_path, capsys):
    texts, path = ['A good film.', 'A bad film.'], tmp_path/'train.ids'
    def again(texts, **kwargs): return cached_ids(texts, path, **{'min_freq': 1, 'progress': False, **kwargs})
    again(texts)
    assert capsys.readouterr().out == ''
    for change in [(texts[::-1], {}), (['A good film.', 'A bad film!'], {}), (texts[:1], {}), ([*texts, ''], {}), (texts, {'min_freq': 2}),
                   (texts, {'max_vocab': 12}), (texts, {'vocab': Vocab([*SPECIAL_TOKENS, 'film'])})]:
        ids = again(change[0], **change[1])
        assert 'have changed, tokenizing again' in capsys.readouterr().out and len(ids) == len(change[0])
        again(change[0], **change[1])
        assert capsys.readouterr().out == '' # found
    raw = bytearray(path.read_bytes())
    for place in (0, 7, 9, 200, len(raw) - 1, -1, -100, -len(raw)):
        broken = bytearray(raw)
        if place >= 0: broken[place] ^= 0x55
        else: del broken[place:] # truncated
        path.unlink()
        path.write_bytes(broken)
        ids = again(texts, vocab=Vocab([*SPECIAL_TOKENS, 'film']))
        assert 'tokenizing again' in capsys.readouterr().out and ids.vocab.decode(ids[1])[-2:] == ['film', 'xxunk']
    assert read_ids(path).ids.dtype == np.uint16 and fingerprint(texts, []) != fingerprint(texts[::-1], [])


def test_threads_that_begin_together():
    texts = ['A warm film, soooo funny.', "It's no no no good."]*20
    right = tokenize(texts, n_workers=0)
    for _ in range(3):
        shared_memo.cache_clear() # both threads make the memo
        with ThreadPoolExecutor(2) as pool: assert list(pool.map(lambda _: tokenize(texts, n_workers=0), range(2))) == [right, right]
