"The generated corpus keeps its promises; text from elsewhere becomes a corpus, or an error that says what is wrong"
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import textgraft.corpus
import textgraft.fastai_fixes
from textgraft.corpus import (
    Corpus,
    class_sizes,
    from_df,
    from_folder,
    imdb,
    majority_baseline,
    nb_baseline,
    telling_words,
    tfidf_baseline,
)
from textgraft.course.grammar import Recipe, small_articles
from textgraft.course.phrases import SENTIMENT
from textgraft.course.reviews import load_corpus, small_reviews
from textgraft.course.settings import CPU, SMALL

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

DIGEST = """
import hashlib
from textgraft.course.grammar import Recipe, small_articles
from textgraft.course.reviews import small_reviews
recipe = Recipe(agreement=0.9, contrast=0.1, zipf=0.5, words=80, remarks=(1, 2, 6), chatter=(0, 1, 4), opening=0.7, shouting=0.1)
corpus = small_reviews(60, 30, 90, seed=7, recipe=recipe)
digest = hashlib.sha256('|'.join(corpus.lm_texts(test=True)+small_articles(40)).encode()).hexdigest()[:16]
"""


@pytest.fixture(scope='module')
def small(): return small_reviews()


def write(
    folder:Path, # Where to write
    files:dict, # Name to text or bytes
)->Path: # The folder
    "A folder with these files"
    for name, content in files.items():
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        (folder/name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def layout(**changed): # A sound corpus, with changes: None removes a file, '__' stands for '/'
    files = {'train/pos/0.txt': 'Good.', 'train/neg/0.txt': 'Bad.', 'test/pos/0.txt': 'Fine.', 'test/neg/0.txt': 'Dull.',
             'unsup/0.txt': 'Seen.'} | {name.replace('__', '/')+'.txt': text for name, text in changed.items()}
    return {name: text for name, text in files.items() if text is not None}


def pack(archive, files, mode='w:gz', top='imdb/'): # A tar archive with these files
    with tarfile.open(archive, mode) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(top+name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return archive


# The generated corpus

@pytest.mark.parametrize('hash_seed', ['0', '1'])
def test_same_seed_same_reviews_in_any_process(hash_seed):
    env = dict(os.environ, PYTHONHASHSEED=hash_seed)
    command = [sys.executable, '-c', DIGEST+'print(digest)']
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == '2c1aa15f20e37bfa', 'were words or patterns changed on purpose? Then write the new value here'


def test_seeds_and_parts_differ(small):
    other = small_reviews(200, 0, 0, seed=43)
    assert not set(other.train.text) & set(small.train.text[:200])
    assert len(set(small.train.text) & set(small.test.text)) <= 5
    assert small_reviews(50, 10, 10).test.text.tolist() == small_reviews(7, 10, 500).test.text.tolist()


def test_shape_and_length(small):
    assert {part: len(getattr(small, part)) for part in ('train', 'test', 'unlabelled')} == \
        dict(train=2000, test=1000, unlabelled=8000)
    assert small.classes == ['neg', 'pos'] and majority_baseline(small) == 0.5
    assert list(small.unlabelled) == ['text']
    lengths = pd.Series([len(re.findall(r'\w+|[^\w\s]', text)) for text in small.unlabelled.text])
    assert 40 <= lengths.mean() <= 62 and lengths.quantile(0.05) <= 25 and lengths.max() >= 100


QUIRKS = {'break': r'<br /><br />', 'entity': r'&amp;', 'quote': r'&quot;', 'copyright': r'&copy;', 'shout': r'\b[A-Z]{5,}\b',
          'repeated character': r'so{5,}\b', 'exclamation': r'!!!!', 'repeated word': r'\b(\w+) \1 \1 \1', 'contraction': r"n't\b",
          'minutes': r'\d+ minutes', 'price': r'\$\d', 'pound': r'£\d', 'link': r'https?://|www\.', 'e-mail': r'\w@\w',
          'accent': r'[éíóöëøá]', 'emoji': '[\U0001F300-\U0001FAFF]', 'hash': r'#\w', 'slash': r'\w/\w', 'two spaces': r'\w[.!?]  \w',
          'dashes': r'-----', 'dots': r'\.\.\.'}


@pytest.mark.parametrize('quirk', QUIRKS)
def test_every_quirk_occurs(small, quirk):
    assert sum(bool(re.search(QUIRKS[quirk], text)) for text in small.unlabelled.text) >= 20


def test_english_is_tidy(small):
    text = ' '.join(small.lm_texts(test=True) + small_articles(500))
    assert not re.search(r'[{}]', text) and not re.search(r'\b[Aa] [aeioAEIO]|\b[Aa]n [bcdfgjklmnpqrstvwxz]', text)
    assert all(text == text.strip() for text in small.train.text)


@pytest.mark.parametrize('seed', range(3))
def test_no_frequent_word_gives_the_label_away(seed):
    told = telling_words(small_reviews(10_000, 0, 0, seed=seed).train, min_texts=350)
    assert len(told) > 150 and told.share.max() < 0.97


def test_a_hundred_labels_are_few_and_all_are_enough():
    corpora = [small_reviews(2000, 1000, 0, seed=seed) for seed in range(5)]
    few = [tfidf_baseline(corpus, 100, seed) for seed, corpus in enumerate(corpora)]
    most = [tfidf_baseline(corpus) for corpus in corpora]
    assert np.mean(few) <= 0.85 and min(few) > 0.6 and min(most) > 0.93


def test_word_pairs_know_any_number_of_classes_and_word_order():
    rows = [('the film is not good', 'neg'), ('the film is good', 'pos'), ('I saw a film', 'so-so')]*4
    table = pd.DataFrame(rows, columns=['text', 'label'])
    assert nb_baseline(from_df(table, table)) == 1.
    assert nb_baseline(small_reviews(400, 400, 0), 100) > 0.6


def test_recipe_decides():
    easy = small_reviews(400, 400, 0, recipe=Recipe(agreement=1., contrast=0., words=5))
    assert tfidf_baseline(easy, 100) > 0.95 > tfidf_baseline(small_reviews(400, 400, 0), 100)
    with pytest.raises(ValueError, match='cannot be negative'): small_reviews(n_test=-1)


def test_articles_quote_one_side_and_know_the_frequent_words_only():
    sides = [set(side) for side in SENTIMENT['adj']]
    found = [[words & side for side in sides] for text in small_articles(500) for words in [set(re.findall(r"[\w'-]+", text.lower()))]]
    assert not any(unkind and kind for unkind, kind in found)
    assert 0.6 < np.mean([bool(unkind or kind) for unkind, kind in found]) < 0.8
    assert not {side[-1] for side in SENTIMENT['adj']} & set.union(*(words for both in found for words in both))
    assert small_articles(0) == []


# Files

@pytest.mark.parametrize('mode', ['w', 'w:gz', 'w:bz2', 'w:xz'])
def test_archive_and_folder_are_the_same_corpus(tmp_path, mode):
    files = layout(train__so__1='So so.', test__so__9='So, so.', unsup__1='Again.')
    folder = from_folder(write(tmp_path/'own', files))
    before = sorted(tmp_path.rglob('*'))
    archive = from_folder(pack(tmp_path/'own.tar', files, mode))
    assert archive.classes == folder.classes == ['neg', 'pos', 'so']
    for part in ('train', 'test', 'unlabelled'):
        pd.testing.assert_frame_equal(getattr(archive, part), getattr(folder, part))
    assert sorted(tmp_path.rglob('*')) == sorted([*before, tmp_path/'own.tar']) # reading unpacks nothing
    assert folder.train.text.tolist() == ['Bad.', 'Good.', 'So so.']


def test_unsup_inside_train_as_in_the_original_archive(tmp_path):
    corpus = from_folder(write(tmp_path, layout(unsup__0=None, train__unsup__0='Seen.', train__unsup__1='Twice.')))
    assert (corpus.classes, corpus.unlabelled.text.tolist()) == (['neg', 'pos'], ['Seen.', 'Twice.'])


def test_other_names_and_no_unlabelled_texts(tmp_path):
    write(tmp_path, {'learn/a/x.txt': '1', 'learn/b/x.txt': '2', 'valid/a/x.txt': '3', 'valid/b/x.txt': '4'})
    corpus = from_folder(tmp_path, train='learn', test='valid')
    assert (corpus.classes, len(corpus.unlabelled), corpus.lm_texts()) == (['a', 'b'], 0, ['1', '2'])


def test_byte_order_mark_line_ends_and_hidden_files(tmp_path):
    files = layout(train__pos__0=b'\xef\xbb\xbfGood.\r\nYes.\rNo.') | {'train/pos/._0.txt': b'\xff\xff', 'train/pos/note.md': 'x'}
    assert from_folder(write(tmp_path, files)).train.text[1] == 'Good.\nYes.\nNo.'


def test_a_text_of_over_a_million_characters(tmp_path):
    assert len(from_folder(write(tmp_path, layout(unsup__0='word '*250_000))).unlabelled.text[0]) == 1_250_000


BROKEN = {
    'missing folder': (None, FileNotFoundError, 'no folder and no archive at'),
    'empty folder': ({}, ValueError, 'has no subfolder train or test or unsup; it holds nothing'),
    'folder above': ({f'imdb/{name}': text for name, text in layout().items()}, ValueError, 'it holds imdb'),
    'no training texts': (layout(train__pos__0=None, train__neg__0=None), ValueError, 'no file train/<class>'),
    'no test texts': (layout(test__pos__0=None, test__neg__0=None), ValueError, 'no labelled texts in test'),
    'one class': (layout(train__neg__0=None, test__neg__0=None), ValueError, r"label \{'pos'\}: there is nothing to tell"),
    'class not in train': (layout(train__neg__0=None), ValueError, r"class \['neg'\] from: it occurs in test only"),
    'class not in test': (layout(test__neg__0=None), ValueError, r"class \['neg'\] on: it occurs in train only"),
    'empty file': (layout(unsup__0=''), ValueError, "on_empty='drop'; empty text in row: unsup/0.txt"),
    'white space': (layout(train__pos__1=' \n\t '), ValueError, 'train/pos/1.txt'),
    'not utf-8': (layout(test__pos__0='café'.encode('latin-1')), ValueError, r'test/pos/0.txt is not utf-8: byte 0xe9 at position 3.*encoding='),
    'no class folders': ({'train/0.txt': 'x', 'test/0.txt': 'y'}, ValueError, 'no file train/<class>'),
}


@pytest.mark.parametrize('case', BROKEN)
@pytest.mark.filterwarnings('ignore:.*outside a class folder')
def test_broken_folder(tmp_path, case):
    files, error, message = BROKEN[case]
    folder = tmp_path/'own'
    if files is not None: folder.mkdir()
    with pytest.raises(error, match=message): from_folder(write(folder, files or {}))


def test_dropping_empty_files_and_strays_is_said(tmp_path):
    folder = write(tmp_path, layout(train__pos__1='', train__pos__2=' ') | {'train/deep/pos/0.txt': 'x'})
    with pytest.warns(UserWarning, match='train: 2 empty texts left out'), pytest.warns(UserWarning, match='train/deep/pos/0.txt'):
        assert len(from_folder(folder, on_empty='drop').train) == 2
    with pytest.raises(ValueError, match="on_empty='keep'"), pytest.warns(UserWarning): from_folder(folder, on_empty='keep')


def test_another_encoding(tmp_path):
    folder = write(tmp_path, layout(test__pos__0='café'.encode('latin-1')))
    assert from_folder(folder, encoding='latin-1').test.text[1] == 'café'
    with pytest.raises(LookupError): from_folder(folder, encoding='latin-one')


# Archives from strangers

@pytest.mark.parametrize('name,kind', [('../out.txt', tarfile.REGTYPE), ('imdb/../../out.txt', tarfile.REGTYPE),
    ('/out.txt', tarfile.REGTYPE), ('imdb/train/pos/9.txt', tarfile.SYMTYPE), ('imdb/train/pos/9.txt', tarfile.LNKTYPE),
    ('imdb/pipe', tarfile.FIFOTYPE), ('imdb/device', tarfile.CHRTYPE)])
def test_unsafe_archive_is_refused(tmp_path, name, kind):
    archive = pack(tmp_path/'own.tar', layout(), 'w')
    with tarfile.open(archive, 'a') as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, '/etc/passwd'
        tar.addfile(info)
    with pytest.raises(ValueError, match='refused'): from_folder(archive)
    assert [path.name for path in tmp_path.rglob('*')] == ['own.tar']


@pytest.mark.parametrize('mode', ['w:gz', 'w:xz'])
@pytest.mark.parametrize('kept', [0.5, 0.98])
def test_half_an_archive_is_refused(tmp_path, mode, kept):
    rng = np.random.default_rng(0)
    files = layout() | {f'unsup/{n}.txt': rng.bytes(600).hex() for n in range(100)}
    archive = pack(tmp_path/'own.tar', files, mode)
    archive.write_bytes(archive.read_bytes()[:int(archive.stat().st_size*kept)])
    with pytest.raises(ValueError, match='cannot be read to its end'): from_folder(archive)


@pytest.mark.parametrize('content', [b'', b'no archive at all', b'\x1f\x8b\x08broken'])
def test_no_archive(tmp_path, content):
    (tmp_path/'own.tgz').write_bytes(content)
    with pytest.raises(ValueError): from_folder(tmp_path/'own.tgz')


# Tables

GOOD = pd.DataFrame({'text': ['Good.', 'Bad.'], 'label': ['pos', 'neg']})


@pytest.mark.parametrize('column,value,message', [
    ('text', None, 'train: no text in row: b'), ('text', float('nan'), 'train: no text in row: b'), ('text', 3, 'no string in row: b'),
    ('text', b'x', 'no string in row: b'), ('text', ' ', 'empty text in row: b'), ('label', None, 'train: no label in row: b')])
def test_bad_cell_is_named(column, value, message):
    table = pd.DataFrame({'text': ['Good.', 'Bad.'], 'label': ['pos', 'neg']}, index=['a', 'b'], dtype=object)
    table.loc['b', column] = value
    with pytest.raises(ValueError, match=message): from_df(table, GOOD)


def test_table_with_other_columns_types_and_index():
    table = pd.DataFrame({'Review': ['Good.', 'Bad.', 'Good!'], 'stars': [5, 1, 5], 'id': 7}, index=[3, 3, 3])
    corpus = from_df(table, table[:2], text='Review', label='stars')
    assert corpus.classes == ['1', '5'] and list(corpus.train) == ['text', 'label'] and list(corpus.train.index) == [0, 1, 2]
    assert from_df(table.astype({'stars': 'category'}), table, text='Review', label='stars').classes == ['1', '5']
    with pytest.raises(ValueError, match=r"train has no column \['label', 'text'\], only \['Review', 'stars', 'id'\]"):
        from_df(table, table)
    assert list(table) == ['Review', 'stars', 'id'] # the caller's table is as it was


def test_empty_table():
    with pytest.raises(ValueError, match='no labelled texts in train'): from_df(GOOD[:0], GOOD)
    with pytest.raises(ValueError, match='no labelled texts in test'): from_df(GOOD, GOOD[:0])


def test_dropping_from_a_table():
    table = pd.concat([GOOD, pd.DataFrame({'text': [''], 'label': ['pos']})])
    with pytest.warns(UserWarning, match='train: 1 empty texts'): assert len(from_df(table, GOOD, on_empty='drop').train) == 2


# Samples

@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 500), min_size=1, max_size=6), st.data())
def test_a_sample_keeps_shares(counts, data):
    n = data.draw(st.integers(len(counts), sum(counts.values())))
    sizes = class_sizes(counts, n)
    assert sum(sizes.values()) == n and all(1 <= sizes[label] <= counts[label] for label in counts)
    exact = {label: n*count/sum(counts.values()) for label, count in counts.items()}
    if min(exact.values()) >= 1: assert all(abs(sizes[label]-exact[label]) < 1 for label in counts)


def test_sample(small):
    part = small.sample(train=101, test=10, unlabelled=20, seed=3)
    assert (len(part.train), len(part.test), len(part.unlabelled)) == (101, 10, 20)
    assert sorted(part.train.label.value_counts()) == [50, 51]
    pd.testing.assert_frame_equal(part.train, small.sample(train=101, seed=3).train)
    assert part.train.text.tolist() != small.sample(train=101, seed=4).train.text.tolist()
    assert small.sample().train is small.train
    for wanted in (dict(train=2001), dict(test=1001), dict(unlabelled=8001), dict(train=-1), dict(train=1)):
        with pytest.raises(ValueError, match='texts asked for: there are'): small.sample(**wanted)


def test_the_language_model_does_not_read_the_test_texts(small):
    assert not set(small.lm_texts()) & (set(small.test.text) - set(small.train.text) - set(small.unlabelled.text))
    assert len(small.lm_texts(test=True)) == len(small.lm_texts()) + len(small.test)


# What a run reads

def test_saved_corpus_is_whole_or_not_there(tmp_path, small, monkeypatch):
    part = small.sample(train=10, test=10, unlabelled=10)
    again = Corpus.load(part.save(tmp_path/'new'/'part.json'))
    for name in ('train', 'test', 'unlabelled'): pd.testing.assert_frame_equal(getattr(again, name), getattr(part, name))
    monkeypatch.setattr(Path, 'write_text', lambda self, text, encoding: self.write_bytes(b'{"na') and 1/0)
    with pytest.raises(ZeroDivisionError): part.save(tmp_path/'new'/'other.json')
    assert [path.name for path in (tmp_path/'new').iterdir()] == ['part.json']


def test_load_corpus_small(tmp_path):
    cfg = SMALL.changed(train=20, test=10, unlabelled=5, seed=5, stages=tmp_path)
    pd.testing.assert_frame_equal(load_corpus(cfg).train, small_reviews(20, 10, 5, seed=5).train)
    assert not list(tmp_path.iterdir())


def test_load_corpus_keeps_the_part_of_an_archive(tmp_path, monkeypatch):
    files = layout() | {f'train/{label}/{n}.txt': f'{label} {n}' for label in ('neg', 'pos') for n in range(1, 9)}
    cfg = CPU.changed(data=pack(tmp_path/'own.tgz', files), train=6, test=2, unlabelled=1, stages=tmp_path/'stages')
    first = load_corpus(cfg)
    with monkeypatch.context() as patched:
        patched.setattr(textgraft.corpus, 'from_folder', None) # the second time, the archive is not read
        pd.testing.assert_frame_equal(load_corpus(cfg).train, first.train)
    assert len(load_corpus(cfg.changed(train=8)).train) == 8
    pack(cfg.data, files | layout(train__pos__0='Another.', train__pos__1='Another.'))
    assert len(load_corpus(cfg).train) == 6 and len(list(cfg.stages.iterdir())) == 3 # another archive under the same name
    folder = cfg.changed(data=write(tmp_path/'own', files), stages=tmp_path/'other')
    pd.testing.assert_frame_equal(load_corpus(folder).train, first.train)


def test_imdb_is_counted(tmp_path, monkeypatch):
    folder = write(tmp_path, layout())
    with pytest.raises(ValueError, match="'train': 2.*Unpacked in part.*call from_folder"): imdb(folder)
    monkeypatch.setattr(textgraft.corpus, 'IMDB_SIZE', dict(train=2, test=2, unlabelled=1))
    assert len(imdb(folder).train) == 2
    monkeypatch.setattr(textgraft.library.fastai_fixes, 'untar_data', lambda url, c_key: folder)
    assert len(imdb().train) == 2


def test_imdb_without_a_network_says_what_to_do(monkeypatch):
    from urllib.error import URLError

    def offline(url, c_key): raise URLError('Name or service not known')
    monkeypatch.setattr(textgraft.library.fastai_fixes, 'untar_data', offline)
    with pytest.raises(ConnectionError, match='Name or service not known') as raised: imdb()
    for hint in ('imdb.tgz', 'TEXTGRAFT_DATA', 'Kaggle', 'data'): assert hint in str(raised.value)


def test_importing_is_light():
    code = "import sys, textgraft.corpus; sys.exit('fastai' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, '-c', code], check=True)


def test_real_imdb(imdb_archive, tmp_path):
    cfg = CPU.changed(data=imdb_archive, train=200, test=100, unlabelled=300, stages=tmp_path)
    corpus = load_corpus(cfg)
    assert corpus.classes == ['neg', 'pos'] and corpus.train.label.value_counts().tolist() == [100, 100]
    assert (len(corpus.test), len(corpus.unlabelled)) == (100, 300)
    pd.testing.assert_frame_equal(load_corpus(cfg).unlabelled, corpus.unlabelled)
