"Text from elsewhere becomes a corpus, or an error that says what is wrong"
import gzip
import io
import os
import subprocess
import sys
import tarfile
import time
import warnings
from pathlib import Path

import textgraft.library.fastai_fixes
from textgraft import corpus as chapter
from textgraft.corpus import Corpus, imdb
from textgraft.course.reviews import load_corpus, reading_corpus, small_reviews
from textgraft.course.settings import CPU
from textgraft.library.inputs import as_labels, as_texts, class_names
from textgraft.library.splits import choose_test_rows, class_sizes, same_text, sample_table

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PARTS = ('train', 'test', 'unlabelled')


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


def layout(**changed):
    "The files of a sound corpus, with changes: None removes a file, '__' stands for '/'"
    files = {'train/pos/0.txt': 'Good.', 'train/neg/0.txt': 'Bad.', 'test/pos/0.txt': 'Fine.',
             'test/neg/0.txt': 'Dull.', 'unsup/0.txt': 'Seen.'}
    files |= {name.replace('__', '/')+'.txt': text for name, text in changed.items()}
    return {name: text for name, text in files.items() if text is not None}


def pack(archive, files, mode='w:gz', top='imdb/'):
    "A tar archive with these files"
    with tarfile.open(archive, mode) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(top+name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return archive


def same_tables(one, other):
    for part in PARTS: pd.testing.assert_frame_equal(getattr(one, part), getattr(other, part))


def silently(call):
    "What `call` returns; a warning is an error"
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        return call()


# What counts as texts and as labels

def test_filtered_columns_and_numpy_strings_are_texts():
    table = pd.DataFrame({'text': ['a', 'b', 'c']})
    assert as_texts(table.text[table.text > 'a']) == ['b', 'c']
    assert [type(text) for text in as_texts(np.array(['a']))] == [str]
    assert as_texts({'x': 'a'}.values()) == ['a'] and as_texts([]) == []


@pytest.mark.parametrize('texts', [
    'a', b'a', 3, None, {'a'}, {'a': 'b'}, iter(['a']), pd.DataFrame({'text': ['a']}),
    np.array([['a']]), [['a']], ['a', 3], ['a', None], ['a', b'b'], pd.Series(['a', float('nan')])])
def test_what_is_no_list_of_texts_is_refused(texts):
    with pytest.raises(TypeError): as_texts(texts)


@pytest.mark.parametrize('dtype', ['int64', 'int8', 'uint16', 'bool'])
def test_labels_keep_the_type_of_an_array(dtype):
    labels = np.array([0, 1, 1], dtype=dtype)
    assert as_labels(labels).dtype == as_labels(pd.Series(labels)).dtype == dtype
    labels[0] = 1
    assert as_labels(pd.Series(labels).astype('category')).tolist() == labels.tolist()


@pytest.mark.parametrize('labels,error', [
    ([1, None], ValueError), ([1, pd.NA], ValueError), ([1, float('nan')], ValueError),
    (['a', ' '], ValueError), ([1, 'a'], ValueError), ([True, 1], ValueError),
    ([.5, 1.], ValueError),
    ([['a'], ['b']], TypeError), ([(1, 2)], TypeError), ([pd.Timestamp('2026-01-01')], TypeError),
    (pd.DataFrame({'y': [1]}), TypeError), ('ab', TypeError), (np.array([[1]]), TypeError)])
def test_what_cannot_be_labels_is_refused(labels, error):
    with pytest.raises(error): as_labels(labels)


def test_names_of_classes_clash_with_nothing():
    assert class_names([3, 1, 3]) == ['3', '1']
    names = class_names(['label', 'class label', 'known'])
    assert len({*names, 'label', 'known'}) == 5


# Files

@pytest.mark.parametrize('mode', ['w', 'w:gz', 'w:bz2', 'w:xz'])
def test_archive_and_folder_are_the_same_corpus(tmp_path, mode):
    files = layout(train__so__1='So so.', train__so__2='So.', test__so__9='Or so.', unsup__1='Two.')
    folder = Corpus.from_folder(write(tmp_path/'own', files))
    before = sorted(tmp_path.rglob('*'))
    archive = Corpus.from_folder(pack(tmp_path/'own.tar', files, mode))
    assert archive.classes == folder.classes == ['neg', 'pos', 'so']
    same_tables(archive, folder)
    assert sorted(tmp_path.rglob('*')) == sorted([*before, tmp_path/'own.tar']) # none unpacked
    assert folder.train.text.tolist() == ['Bad.', 'Good.', 'So so.', 'So.']


@pytest.mark.parametrize('top', ['', 'mails/', './mails/deeper/'])
def test_class_folders_without_a_split(tmp_path, top):
    files = {f'{label}/{n}.txt': f'{label} {n}' for label in ('post', 'money') for n in range(10)}
    files['unsup/0.txt'] = 'Hello?'
    folder = Corpus.from_folder(write(tmp_path/'own', files))
    same_tables(folder, Corpus.from_folder(pack(tmp_path/'own.tgz', files, top=top)))
    assert folder.test.label.value_counts().to_dict() == {'post': 2, 'money': 2}
    assert (len(folder.train), folder.unlabelled.text.tolist()) == (16, ['Hello?'])
    assert len(Corpus.from_folder(tmp_path/'own', test=10).test) == 10


def test_a_share_of_the_training_folder(tmp_path):
    files = {f'train/{label}/{n}.txt': f'{label} {n}' for label in ('a', 'b') for n in range(5)}
    with pytest.raises(ValueError, match='test=.2'): Corpus.from_folder(write(tmp_path, files))
    assert len(Corpus.from_folder(tmp_path, test=.4).test) == 4


def test_unsup_inside_train_as_in_the_original_archive(tmp_path):
    files = layout(unsup__0=None, train__unsup__0='Seen.', train__unsup__1='Twice.')
    corpus = Corpus.from_folder(write(tmp_path, files))
    assert corpus.classes == ['neg', 'pos']
    assert corpus.unlabelled.text.tolist() == ['Seen.', 'Twice.']


def test_other_names_and_no_unlabelled_texts(tmp_path):
    write(tmp_path, {'learn/a/x.txt': '1', 'learn/b/x.txt': '2', 'valid/a/x.txt': '3',
                     'valid/b/x.txt': '4'})
    corpus = Corpus.from_folder(tmp_path, train='learn', test='valid')
    assert (corpus.classes, corpus.texts(), len(corpus.unlabelled)) == (['a', 'b'], ['1', '2'], 0)


def test_byte_order_mark_line_ends_and_capitals(tmp_path):
    files = layout(train__pos__0=b'\xef\xbb\xbfGood.\r\nYes.\rNo.') | {'train/pos/1.TXT': 'Loud.'}
    corpus = silently(lambda: Corpus.from_folder(write(tmp_path, files)))
    assert corpus.train.text.tolist() == ['Bad.', 'Good.\nYes.\nNo.', 'Loud.']


def test_links_are_read_and_do_not_go_round(tmp_path):
    folder = write(tmp_path/'own', layout())
    write(tmp_path/'elsewhere', {'more.txt': 'More.', 'folder/0.txt': 'Flat.'})
    (folder/'train/pos/9.txt').symlink_to(tmp_path/'elsewhere/more.txt')
    (folder/'train/odd').symlink_to(tmp_path/'elsewhere/folder')
    (folder/'train/pos/round').symlink_to(folder/'train')
    (folder/'train/neg/broken.txt').symlink_to(tmp_path/'nowhere')
    with pytest.warns(UserWarning) as heard: corpus = Corpus.from_folder(folder)
    assert [word in str(heard[n].message) for n, word in enumerate(['broken link', 'no test text'])]
    assert sorted(corpus.train.text) == ['Bad.', 'Flat.', 'Good.', 'More.']
    assert corpus.classes == ['neg', 'odd', 'pos']


LEFT_OUT = ['train/pos/.ipynb_checkpoints/0-checkpoint.txt', 'unsup/.ipynb_checkpoints/0.txt',
            'train/.ipynb_checkpoints/0.txt', 'train/pos/._0.txt', 'train/pos/note.md',
            'train/deep/pos/0.txt']


@pytest.mark.parametrize('name', LEFT_OUT)
@pytest.mark.parametrize('packed', [False, True])
def test_what_is_left_out_is_said(tmp_path, name, packed):
    folder = write(tmp_path/'own', layout() | {name: 'x'})
    if packed: folder = pack(tmp_path/'own.tgz', layout() | {name: 'x'})
    with pytest.warns(UserWarning, match=f'left out.*{Path(name).name}'):
        assert Corpus.from_folder(folder).texts() == ['Bad.', 'Good.', 'Seen.']


def test_what_lies_beside_the_class_folders_is_nothing_new(tmp_path):
    beside = {'README.md': 'x', 'train/labeledBow.feat': 'x', 'imdb.vocab': 'x', '.DS_Store': 'x'}
    silently(lambda: Corpus.from_folder(write(tmp_path, layout() | beside)))


def test_names_that_are_not_utf8(tmp_path):
    folder = write(tmp_path, layout())
    with open(os.fsencode(folder/'train/pos')+b'/caf\xe9.txt', 'wb') as file: file.write(b'Yes.')
    assert Corpus.from_folder(folder).train.text.tolist() == ['Bad.', 'Good.', 'Yes.']
    with open(os.fsencode(folder/'train/pos')+b'/caf\xe8.txt', 'wb') as file: file.write(b' ')
    with pytest.raises(ValueError, match='udce8') as raised: Corpus.from_folder(folder)
    str(raised.value).encode() # the message can be printed
    os.rename(os.fsencode(folder/'train/pos'), os.fsencode(folder/'train')+b'/caf\xe9')
    with pytest.raises(ValueError, match='rename it'): Corpus.from_folder(folder)


def test_letters_with_accents_are_one_class(tmp_path):
    composed, decomposed = 'caf\u00e9', 'cafe\u0301'
    files = {f'train/{composed}/0.txt': '1', 'train/b/0.txt': '2', f'test/{decomposed}/0.txt': '3',
             'test/b/0.txt': '4'}
    assert Corpus.from_folder(write(tmp_path, files)).classes == ['b', composed]


def test_odd_paths_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write(tmp_path/'my [notes]* é 漢', layout())
    corpus = Corpus.from_folder('~/my [notes]* é 漢')
    corpus.save('~/kept')
    same_tables(Corpus.load('~/kept'), corpus)
    assert (tmp_path/'kept').is_dir()
    write(tmp_path/'my [notes]* é 漢', {'a [1].csv': 'text,label\na,x\nb,x\nc,y\nd,y\n'})
    assert len(Corpus.from_csv('~/my [notes]* é 漢/a [1].csv', test=.5).train) == 2


def test_a_text_of_over_a_million_characters(tmp_path):
    corpus = Corpus.from_folder(write(tmp_path, layout(unsup__0='word '*250_000)))
    assert len(corpus.unlabelled.text[0]) == 1_250_000


ABOVE = {f'imdb/{name}': text for name, text in layout().items()}
BROKEN = {
    'missing folder': (None, FileNotFoundError, 'no folder and no archive at'),
    'empty folder': ({}, ValueError, 'it holds nothing'),
    'folder above': (ABOVE, ValueError, 'it holds imdb'),
    'no training texts': (layout(train__pos__0=None, train__neg__0=None), ValueError,
                          'no file train/<class>'),
    'no test texts': (layout(test__pos__0=None, test__neg__0=None), ValueError,
                      'no file test/<class>'),
    'one class': (layout(train__neg__0=None, test__neg__0=None), ValueError,
                  'there is nothing to tell'),
    'class not in train': (layout(train__neg__0=None), ValueError, 'it occurs in test only'),
    'empty file': (layout(unsup__0=''), ValueError, 'no text in row unsup/0.txt.*on_empty='),
    'white space': (layout(train__pos__1=' \n\t '), ValueError, 'train/pos/1.txt'),
    'not utf-8': (layout(test__pos__0='café'.encode('latin-1')), ValueError,
                  'test/pos/0.txt is not utf-8: byte 0xe9 at position 3.*encoding='),
    'utf-16': (layout(test__pos__0='a film'.encode('utf-16')), ValueError, "encoding='utf-16'"),
    'utf-16 without a mark': (layout(test__pos__0='a film'.encode('utf-16-be')), ValueError,
                              'utf-16'),
    'no class folders': ({'train/0.txt': 'x', 'test/0.txt': 'y'}, ValueError,
                         'no file train/<class>'),
}


@pytest.mark.parametrize('case', BROKEN)
@pytest.mark.filterwarnings('ignore:.*outside a class folder')
def test_broken_folder(tmp_path, case):
    files, error, message = BROKEN[case]
    folder = tmp_path/'own'
    if files is not None: folder.mkdir()
    with pytest.raises(error, match=message): Corpus.from_folder(write(folder, files or {}))


def test_dropping_empty_files_is_said(tmp_path):
    folder = write(tmp_path, layout(train__pos__1='', train__pos__2=' '))
    with pytest.warns(UserWarning, match='train: 2 empty texts left out'):
        assert len(Corpus.from_folder(folder, on_empty='drop').train) == 2
    with pytest.raises(ValueError, match="on_empty='keep'"):
        Corpus.from_folder(folder, on_empty='keep')


def test_another_encoding(tmp_path):
    folder = write(tmp_path, layout(test__pos__0='café'.encode('latin-1')))
    assert Corpus.from_folder(folder, encoding='latin-1').test.text[1] == 'café'
    with pytest.raises(ValueError, match='no encoding'):
        Corpus.from_folder(folder, encoding='latin-one')
    wide = write(tmp_path/'wide', layout(test__pos__0='a film'.encode('utf-16')))
    with pytest.warns(UserWarning, match='utf-16'): Corpus.from_folder(wide, encoding='latin-1')


# Archives from strangers

@pytest.mark.parametrize('name,kind', [
    ('../out.txt', tarfile.REGTYPE), ('imdb/../../out.txt', tarfile.REGTYPE),
    ('/out.txt', tarfile.REGTYPE), ('imdb/train/pos/9.txt', tarfile.SYMTYPE),
    ('imdb/train/pos/9.txt', tarfile.LNKTYPE), ('imdb/pipe', tarfile.FIFOTYPE),
    ('imdb/device', tarfile.CHRTYPE)])
def test_unsafe_archive_is_refused(tmp_path, name, kind):
    archive = pack(tmp_path/'own.tar', layout(), 'w')
    with tarfile.open(archive, 'a') as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, '/etc/passwd'
        tar.addfile(info)
    with pytest.raises(ValueError, match='refused'): Corpus.from_folder(archive)
    assert [path.name for path in tmp_path.rglob('*')] == ['own.tar']


@pytest.mark.parametrize('name', ['imdb/train/pos/9.txt', 'imdb/beside.bin'])
def test_an_archive_that_grows_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(textgraft.library.files, '_MAX_BYTES', 2**20)
    with tarfile.open(tmp_path/'bomb.tgz', 'w:gz') as tar:
        info = tarfile.TarInfo(name)
        info.size = 2**21
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(ValueError, match='refused'): Corpus.from_folder(tmp_path/'bomb.tgz')


def test_a_table_that_grows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(textgraft.library.files, '_MAX_BYTES', 2**20)
    (tmp_path/'bomb.csv.gz').write_bytes(gzip.compress(b'text,label\n' + bytes(2**21)))
    with pytest.raises(ValueError, match='refused'): Corpus.from_csv(tmp_path/'bomb.csv.gz')


def test_files_with_holes_are_refused(tmp_path):
    archive = pack(tmp_path/'own.tar', layout(), 'w')
    with tarfile.open(archive, 'a', format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo('imdb/train/pos/9.txt')
        info.type = tarfile.GNUTYPE_SPARSE # a terabyte that takes no room
        block = info.tobuf(tarfile.GNU_FORMAT)
        block = block[:483] + b'%011o\0' % 2**40 + block[495:]
        total = sum(block[:148]) + 8*32 + sum(block[156:])
        tar.fileobj.seek(tar.offset)
        tar.fileobj.write(block[:148] + b'%06o\0 ' % total + block[156:])
        tar.offset += 512
    with pytest.raises(ValueError, match='refused'): Corpus.from_folder(archive)


def test_an_archive_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(textgraft.library.files, '_MAX_ENTRIES', 4)
    archive = pack(tmp_path/'own.tgz', layout())
    with pytest.raises(ValueError, match='more than 4 entries'): Corpus.from_folder(archive)


@pytest.mark.parametrize('mode', ['w:gz', 'w:xz', 'w:bz2'])
@pytest.mark.parametrize('share', [0.5, 0.98, .9999])
def test_half_an_archive_is_refused(tmp_path, mode, share):
    rng = np.random.default_rng(0)
    files = layout() | {f'unsup/{n}.txt': rng.bytes(600).hex() for n in range(100)}
    archive = pack(tmp_path/'own.tar', files, mode)
    archive.write_bytes(archive.read_bytes()[:int(archive.stat().st_size*share)])
    with pytest.raises(ValueError, match='cannot be read to its end'): Corpus.from_folder(archive)


@pytest.mark.parametrize('content', [b'', b'no archive at all', b'\x1f\x8b\x08broken', b'PK\x03',
                                     b'BZhx'])
def test_no_archive(tmp_path, content):
    (tmp_path/'own.tgz').write_bytes(content)
    with pytest.raises(ValueError): Corpus.from_folder(tmp_path/'own.tgz')


# Tables

GOOD = pd.DataFrame({'text': ['Good.', 'Bad.'], 'label': ['pos', 'neg']})
NEW = pd.DataFrame({'text': ['Fine.', 'Dull.'], 'label': ['pos', 'neg']})


@pytest.mark.parametrize('column,value,error,message', [
    ('text', None, ValueError, 'train: no text in row b'),
    ('text', ' ', ValueError, 'no text in row b'),
    ('text', float('nan'), ValueError, 'no text in row b'),
    ('text', 3, TypeError, r'\(row b\) is 3'), ('text', b'x', TypeError, r'\(row b\)'),
    ('text', '\ud83d', ValueError, 'surrogate'),
    ('label', None, ValueError, "train: no label in row b.*unlabelled='rows'"),
    ('label', ' ', ValueError, 'no label in row b'), ('label', 3, ValueError, 'row b'),
    ('label', ['pos'], TypeError, 'row b'), ('label', .5, ValueError, 'row b')])
def test_bad_cell_is_named(column, value, error, message):
    table = GOOD.set_axis(['a', 'b']).astype(object)
    table.at['b', column] = value
    with pytest.raises(error, match=message): Corpus.from_df(table, test=NEW)


TYPES = {'int': [5, 1, 5, 1], 'bool': [True, False, True, False], 'str': ['5', '1', '5', '1'],
         'int8': np.array([5, 1, 5, 1], 'int8'), 'category': pd.Categorical(['x', 'y', 'x', 'y']),
         'ordered': pd.Categorical([2, 9, 2, 9], [9, 2, 5], ordered=True),
         'nullable': pd.array([5, 1, 5, 1], 'Int64'), 'whole': [5., 1., 5., 1.]}


@pytest.mark.parametrize('name', TYPES)
def test_labels_keep_their_type_and_survive_a_folder(tmp_path, name):
    labels = pd.Series(TYPES[name])
    table = pd.DataFrame({'text': ['Good.', 'Bad.', 'Nice.', 'Odd.'], 'label': labels.array})
    corpus = Corpus.from_df(table, test=.5)
    kind = {int: 'i', bool: 'b', str: 'U', float: 'i'}.get(type(corpus.classes[0]))
    assert np.array(corpus.classes).dtype.kind == kind
    assert sorted(corpus.classes) == corpus.classes == sorted(set(labels.tolist()))
    if name in ('int', 'bool', 'int8'): assert corpus.train.label.dtype == labels.dtype
    if name in ('category', 'ordered'): assert corpus.train.label.cat.ordered == labels.cat.ordered
    again = Corpus.load(corpus.save(tmp_path/'kept'))
    same_tables(again, corpus)
    assert again.name == corpus.name
    assert [type(each) for each in again.classes] == [type(each) for each in corpus.classes]


def test_table_with_other_columns_and_index():
    table = pd.DataFrame({'Review': ['Good.', 'Bad.', 'Good!'], 'stars': [5, 1, 5], 'id': 7},
                         index=[3, 3, 3])
    test = table.assign(Review=['Fine.', 'Flat.', 'Fair.'])
    corpus = Corpus.from_df(table, text='Review', label='stars', test=test)
    assert corpus.classes == [1, 5] and list(corpus.train) == ['text', 'label']
    assert list(corpus.train.index) == [0, 1, 2]
    with pytest.raises(ValueError, match="train has no column 'text'. It has 'Review', 'stars'"):
        Corpus.from_df(table, test=test)
    with pytest.raises(ValueError, match="do you mean 'Review'"):
        Corpus.from_df(table, text='review ', label='stars')
    assert list(table) == ['Review', 'stars', 'id'] # the caller's table is as it was


def test_odd_names_of_columns(tmp_path):
    rows = {'text': ['pos', 'neg']*3, 'label': [f'Film {n}' for n in range(6)]} # turned round
    assert Corpus.from_df(pd.DataFrame(rows), text='label', label='text').classes == ['neg', 'pos']
    numbered = pd.DataFrame(rows)
    numbered.columns = [0, 1]
    assert Corpus.from_df(numbered, text=1, label=0).classes == ['neg', 'pos']
    double = pd.DataFrame([['a', 'b', 'c']], columns=['text', 'text', 'label'])
    with pytest.raises(ValueError, match='several columns'): Corpus.from_df(double)
    odd = {'Текст, "цитата"': ['a', 'b', 'c', 'd'], ' Метка ': [1, 1, 2, 2]}
    pd.DataFrame(odd).to_csv(tmp_path/'odd.csv', index=False)
    text, label = odd
    corpus = Corpus.from_csv(tmp_path/'odd.csv', text, label, test=.5)
    assert corpus.classes == [1, 2]


def test_several_columns_of_text_are_joined(tmp_path):
    table = pd.DataFrame({'title': ['A', 'B', None, 'D'], 'body': ['one', 'two', 'three', ''],
                          'label': [0, 0, 1, 1]})
    corpus = Corpus.from_df(table, text=['title', 'body'], test=.5)
    assert sorted(corpus.texts(test=True)) == ['A\n\none', 'B\n\ntwo', 'D', 'three']
    table.to_csv(tmp_path/'t.csv', index=False)
    same_tables(Corpus.from_csv(tmp_path/'t.csv', text=['title', 'body'], test=.5), corpus)
    with pytest.raises(ValueError, match="no column 'bod'.*mean 'body'"):
        Corpus.from_df(table, text=['title', 'bod'])


def test_rows_without_a_label():
    labels = 5*[1.] + 5*[0.] + 2*[None] # pandas makes numbers with a point of 1 and 0
    table = pd.DataFrame({'text': [f'Text {n}' for n in range(12)], 'label': labels})
    with pytest.raises(ValueError, match="no label in row 10, 11.*unlabelled='rows'"):
        Corpus.from_df(table)
    corpus = Corpus.from_df(table, unlabelled='rows')
    assert corpus.classes == [0, 1] and corpus.train.label.dtype.kind == 'i'
    assert corpus.unlabelled.text.tolist() == ['Text 10', 'Text 11']
    with pytest.raises(ValueError, match='test: no label in row 10'):
        Corpus.from_df(table[:10], test=table, unlabelled='rows')


@pytest.mark.parametrize('more', [['More.', 'New.'], pd.Series(['More.', 'New.']),
                                  pd.DataFrame({'text': ['More.', 'New.']})])
def test_more_texts_without_a_label(more):
    corpus = Corpus.from_df(GOOD, test=NEW, unlabelled=more)
    assert corpus.unlabelled.text.tolist() == ['More.', 'New.']
    with pytest.raises(ValueError, match='from_csv reads files'):
        Corpus.from_df(GOOD, test=NEW, unlabelled='more.csv')


@pytest.mark.parametrize('test', [0, 1., -1, 2., 'half', None, True, 4])
def test_a_test_part_that_cannot_be(test):
    table = pd.concat([GOOD, NEW])
    with pytest.raises((ValueError, TypeError), match='test='): Corpus.from_df(table, test=test)


@pytest.mark.parametrize('train,test,message', [
    (GOOD, NEW.assign(label=['pos', 'odd']), 'it occurs in test only'),
    (GOOD, NEW.assign(label=[1, 0]), 'two types'),
    (GOOD.assign(label='pos'), .5, 'nothing to tell'),
    (GOOD[:0], GOOD, 'no labelled texts in train'),
    (GOOD[:0], .2, 'no labelled texts in train'), (GOOD, GOOD[:0], 'no labelled texts in test'),
    (GOOD, .5, 'two different texts')])
def test_parts_that_make_no_task(train, test, message):
    with pytest.raises(ValueError, match=message): Corpus.from_df(train, test=test)


def test_a_class_that_is_never_tested_is_said():
    with pytest.warns(UserWarning, match='1 classes have no test text'):
        Corpus.from_df(GOOD, test=NEW[:1])
    with pytest.raises(TypeError, match='from_csv reads files'): Corpus.from_df('mails.csv')


def test_dropping_from_a_table():
    table = pd.concat([GOOD, pd.DataFrame({'text': ['', None], 'label': ['pos', None]})])
    with pytest.warns(UserWarning, match='train: 2 empty texts'):
        assert len(Corpus.from_df(table, test=NEW, on_empty='drop').train) == 2


# Splits

TEXTS = st.sampled_from(['x', 'X ', 'y', 'z', 'u', 'v', 'w'])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from('abcd'), TEXTS), min_size=4, max_size=60),
       st.floats(.05, .95), st.integers(0, 9))
def test_copies_never_lie_on_both_sides(rows, share, seed):
    labels, texts = map(list, zip(*rows))
    try: is_test = choose_test_rows(texts, labels, share, seed)
    except ValueError as error:
        assert 'no class has two' in str(error)
        return
    known = {same_text(text) for text, chosen in zip(texts, is_test) if not chosen}
    asked = {same_text(text) for text, chosen in zip(texts, is_test) if chosen}
    assert known and asked and not known & asked
    np.testing.assert_array_equal(is_test, choose_test_rows(texts, labels, share, seed))


def test_a_split_keeps_shares_and_every_class():
    labels = 900*['common'] + 90*['rare'] + 9*['few'] + ['single']
    table = pd.DataFrame({'text': [f'Text {n}' for n in range(1000)], 'label': labels})
    with pytest.warns(UserWarning, match=r'1 classes have no test text \(single\)'):
        corpus = Corpus.from_df(table)
    assert corpus.test.label.value_counts().to_dict() == dict(common=180, rare=18, few=2)
    with pytest.warns(UserWarning): other = Corpus.from_df(table, seed=7)
    assert set(other.test.text) != set(corpus.test.text)
    with pytest.warns(UserWarning): assert len(Corpus.from_df(table, test=30).test) == 30


TEST = pd.DataFrame({'text': ['good. ', 'Odd.'], 'label': ['pos', 'neg']})


@pytest.mark.parametrize('on_overlap,n_train', [('warn', 4), ('drop', 3)])
def test_a_given_split_is_counted_and_kept_unless_we_are_asked(on_overlap, n_train):
    train = pd.concat([GOOD, NEW])
    with pytest.warns(UserWarning, match='1 texts of the train part also stand in the test part'):
        corpus = Corpus.from_df(train, test=TEST, on_overlap=on_overlap)
    assert len(corpus.train) == n_train
    silently(lambda: Corpus.from_df(train, test=TEST, on_overlap='keep'))
    with pytest.raises(ValueError, match='choose one of'): Corpus.from_df(train, on_overlap='x')


def test_unlabelled_texts_that_are_drawn_for_the_test_are_left_out():
    table = pd.concat([GOOD, NEW])
    with pytest.warns(UserWarning, match='2 texts of the unlabelled part.*left out'):
        corpus = Corpus.from_df(table, test=.5, unlabelled=[*table.text.str.upper(), 'New.'])
    assert len(corpus.unlabelled) == 3 and len(corpus.train) == len(corpus.test) == 2


@pytest.mark.parametrize('n_classes', [10, 2000])
def test_any_number_of_classes_in_linear_time(n_classes):
    table = pd.DataFrame({'text': [f'text {i}' for i in range(40_000)],
                          'label': [str(i % n_classes) for i in range(40_000)]})
    start = time.process_time()
    assert len(sample_table(table, 5000, 'seed')) == 5000
    corpus = Corpus.from_df(table)
    assert len(corpus.classes) == n_classes and len(corpus.test) == 8000
    assert time.process_time() - start < 3 # it takes half a second


def test_more_classes_than_a_share_has_texts():
    rows = {'text': [f'text {i}' for i in range(300)], 'label': [i % 150 for i in range(300)]}
    table = pd.DataFrame(rows)
    corpus = Corpus.from_df(table)
    assert len(corpus.test) == len(corpus.train) == 150
    with pytest.warns(UserWarning, match='140 classes'): few = Corpus.from_df(table, test=10)
    assert len(few.test) == 10


# Tables in files

CELLS = ['NA', 'null', 'nan', 'None', 'N/A', '=1+1', '@cmd', '-3', 'a "quoted" word', 'two\nlines',
         'comma, semicolon; tab\t|']


def test_cells_are_read_as_they_stand(tmp_path):
    table = pd.DataFrame({'text': CELLS*2, 'label': ['None']*11 + ['NA']*11})
    table.to_csv(tmp_path/'t.csv', index=False)
    corpus = Corpus.from_csv(tmp_path/'t.csv', test=.5, on_overlap='keep')
    assert corpus.classes == ['NA', 'None']
    assert set(corpus.texts(test=True)) == set(table.text)


LABELS = {'int': (['1', '0', '1', '0'], [0, 1]),
          'bool': (['True', 'False', 'True', 'False'], [False, True]),
          'codes': (['01', '2', '01', '2'], ['01', '2']),
          'mixed': (['1', 'x', '1', 'x'], ['1', 'x']),
          'shares': (['.5', '1', '.5', '1'], ['.5', '1']),
          'points': (['1.0', '2.0', '1.0', '2.0'], [1, 2]),
          'large': (['9'*30, '1', '9'*30, '1'], ['1', '9'*30])}


@pytest.mark.parametrize('name', LABELS)
def test_types_of_labels_in_a_file(tmp_path, name):
    written, classes = LABELS[name]
    rows = [f'text {n},{label}' for n, label in enumerate(written)]
    (tmp_path/'t.csv').write_text('\n'.join(['text,label', *rows]), encoding='utf-8')
    found = Corpus.from_csv(tmp_path/'t.csv', test=.5).classes
    assert found == classes and list(map(type, found)) == list(map(type, classes))


def test_labels_of_several_files_have_one_type(tmp_path):
    write(tmp_path, {'a.csv': 'text,label\na,1\nb,2\n', 'b.csv': 'text,label\nc,1\nd,x\nf,2\n',
                     'c.csv': 'text,label\ne,2\ng,1\n'})
    with pytest.warns(UserWarning, match='no test text'):
        corpus = Corpus.from_csv([tmp_path/'a.csv', tmp_path/'b.csv'], test=tmp_path/'c.csv')
    assert corpus.classes == ['1', '2', 'x'] and corpus.test.label.tolist() == ['2', '1']
    assert Corpus.from_csv(tmp_path/'a.csv', test=tmp_path/'c.csv').test.label.tolist() == [2, 1]
    with pytest.raises(ValueError, match='no label'):
        write(tmp_path, {'b.csv': 'text,label\nc,\nd,x\n'})
        Corpus.from_csv(str(tmp_path/'[ab].csv'))


FORMATS = ['t.csv', 't.TSV', 't.csv.gz', 't.tsv.xz', 't.parquet']


@pytest.mark.parametrize('name', FORMATS)
def test_formats_of_tables(tmp_path, name):
    table = pd.DataFrame({'Text': [f'Text "{n}",\tyes' for n in range(6)], 'y': [7, 8, 9]*2})
    more = pd.DataFrame({'Text': ['More.']})
    def save(table, path):
        if '.parquet' in path.name: return table.to_parquet(path)
        table.to_csv(path, index=False, sep='\t' if 'tsv' in path.name.lower() else ',')
    save(table, tmp_path/name)
    unread = tmp_path/f'more{name[1:]}'
    save(more, unread)
    corpus = Corpus.from_csv(str(tmp_path/name), 'Text', 'y', test=.5, unlabelled=unread)
    assert corpus.classes == [7, 8, 9] and corpus.unlabelled.text.tolist() == ['More.']
    assert sorted(corpus.texts(test=True)) == sorted([*table.Text, 'More.'])


@pytest.mark.parametrize('sep', [';', '\t', '|'])
def test_the_separator_is_read_off_the_first_line(tmp_path, sep):
    table = pd.DataFrame({'a, b': ['x', 'y', 'z', 'u'], 'q': [1, 2, 1, 2]})
    table.to_csv(tmp_path/'t.csv', sep=sep, index=False)
    assert Corpus.from_csv(tmp_path/'t.csv', 'a, b', 'q', test=.5).classes == [1, 2]


def test_tables_in_other_encodings(tmp_path):
    content = 'text,label\nété,a\nhiver,b\nété 2,a\nhiver 2,b\n'
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16', 'latin-1'):
        (tmp_path/'t.csv').write_bytes(content.encode(encoding))
        name = 'utf-8' if encoding == 'utf-8-sig' else encoding
        assert 'été' in Corpus.from_csv(tmp_path/'t.csv', test=.5, encoding=name).texts(test=True)
    with pytest.raises(ValueError, match='0xe9 in line 2'): Corpus.from_csv(tmp_path/'t.csv')
    (tmp_path/'t.csv').write_bytes(content.encode('utf-16'))
    with pytest.raises(ValueError, match="encoding='utf-16'"): Corpus.from_csv(tmp_path/'t.csv')
    with pytest.raises(ValueError, match='no encoding'):
        Corpus.from_csv(tmp_path/'t.csv', encoding='x')


@pytest.mark.parametrize('name,content,message', [
    ('t.csv', '', 'not a whole table'), ('t.csv', 'text,label\n"a,b\n', 'not a whole table'),
    ('t.csv', 'text,label\na,b\nc,d,e\n', 'line 3'), ('t.csv', 'text,label\na,b,c\n', 'more cells'),
    ('t.csv', 'text,label\n', 'no labelled texts'), ('t.parquet', 'x', 'not a whole table'),
    ('t.csv', 'text,label\na,\nb,x\n', 'no label in row 0'),
    ('t.csv', 'text,label\n,x\n', 'no text in row 0'), ('t.xlsx', 'x', 'save as CSV'),
    ('t.csv.gz', b'\x1f\x8bx', 'not a whole table')])
def test_broken_tables_are_named(tmp_path, name, content, message):
    write(tmp_path, {name: content})
    with pytest.raises(ValueError, match=message): Corpus.from_csv(tmp_path/name)


def test_a_field_of_a_hundred_megabytes(tmp_path):
    with open(tmp_path/'t.csv', 'w', encoding='utf-8') as file:
        file.write('text,label\na,x\nb,y\nc,x\n"')
        for _ in range(100): file.write('a'*2**20)
        file.write('",y\n')
    corpus = Corpus.from_csv(tmp_path/'t.csv', test=.5)
    assert max(map(len, corpus.texts(test=True))) == 100*2**20


# Samples

@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 500), min_size=1,
                       max_size=6), st.data())
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
    too_many = [dict(train=2001), dict(test=1001), dict(unlabelled=8001)]
    for wanted in (*too_many, dict(train=-1), dict(train=1)):
        with pytest.raises(ValueError, match='texts asked for: there are'): small.sample(**wanted)


def test_the_language_model_does_not_read_the_test_texts(small):
    written_twice = set(small.test.text) & {*small.train.text, *small.unlabelled.text}
    assert set(small.texts()) & set(small.test.text) == written_twice
    assert len(small.texts(test=True)) == len(small.texts()) + len(small.test)


# What a run reads

def test_saved_corpus_is_whole_or_not_there(tmp_path, small, monkeypatch):
    part = small.sample(train=10, test=10, unlabelled=10)
    same_tables(Corpus.load(part.save(tmp_path/'new'/'part')), part)
    monkeypatch.setattr(pd.Series, 'tolist', lambda self: 1/0)
    with pytest.raises(ZeroDivisionError): part.save(tmp_path/'new'/'other')
    assert [path.name for path in (tmp_path/'new').iterdir()] == ['part']


def test_saving_replaces_nothing_of_others_and_reads_nothing_damaged(tmp_path, small):
    part = small.sample(train=10, test=10, unlabelled=10)
    write(tmp_path, {'thesis/chapter.txt': 'three months of work'})
    with pytest.raises(FileExistsError): part.save(tmp_path/'thesis')
    folder = part.save(tmp_path/'part')
    content = (folder/'train.parquet').read_bytes()
    (folder/'train.parquet').write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match='train.parquet is damaged'): Corpus.load(folder)
    with pytest.raises(FileNotFoundError): Corpus.load(tmp_path/'nothing')


def test_load_corpus_keeps_the_part_of_an_archive(tmp_path, monkeypatch):
    more = [(label, n) for label in ('neg', 'pos') for n in range(1, 9)]
    files = layout() | {f'train/{label}/{n}.txt': f'{label} {n}' for label, n in more}
    archive = pack(tmp_path/'own.tgz', files)
    cfg = CPU.changed(data=archive, train=6, test=2, unlabelled=1, stages=tmp_path/'stages')
    first = load_corpus(cfg)
    with monkeypatch.context() as patched:
        patched.setattr(Corpus, 'from_folder', None) # the second time, the archive is not read
        pd.testing.assert_frame_equal(load_corpus(cfg).train, first.train)
    assert len(load_corpus(cfg.changed(train=8)).train) == 8
    pack(cfg.data, files | layout(train__pos__0='Another.', train__pos__1='Another one.'))
    assert len(load_corpus(cfg).train) == 6
    assert len(list(cfg.stages.iterdir())) == 3 # another archive under the same name
    folder = cfg.changed(data=write(tmp_path/'own', files), stages=tmp_path/'other')
    pd.testing.assert_frame_equal(load_corpus(folder).train, first.train)


@pytest.mark.filterwarnings('ignore:.*also stand in the test part')
@pytest.mark.parametrize('telegrams', [None, 10])
def test_a_course_reads_no_test_text(tmp_path, telegrams):
    more = {f'train/{label}/{n}.txt': f'{label} {n}' for label in ('neg', 'pos') for n in '34'}
    files = layout(train__pos__9='Fine.', unsup__9='Fine.') | more
    cfg = CPU.changed(train=4, test=2, unlabelled=1, stages=tmp_path, telegrams=telegrams)
    for data in (write(tmp_path/'own', files), pack(tmp_path/'own.tgz', files)):
        corpus = reading_corpus(cfg.changed(data=data))
        read = {*corpus.train.text, *corpus.unlabelled.text}
        assert len(read) == 5 and not read & set(corpus.test.text)


def test_imdb_is_counted(tmp_path, monkeypatch):
    folder = write(tmp_path, layout(train__pos__0='Fine.')) # in both parts, as some of IMDB's
    with pytest.raises(ValueError, match="'train': 2.*Unpacked in part.*call Corpus.from_folder"):
        imdb(folder)
    monkeypatch.setattr(chapter, 'IMDB_SIZE', dict(train=2, test=2, unlabelled=1))
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
    code = "import sys, textgraft.corpus; sys.exit(bool({'fastai', 'torch'} & set(sys.modules)))"
    subprocess.run([sys.executable, '-c', code], check=True)


# Real data, where a checkout has it

@pytest.mark.filterwarnings('ignore:.*also stand in the test part')
def test_real_imdb(imdb_archive, tmp_path):
    cfg = CPU.changed(data=imdb_archive, train=200, test=100, unlabelled=300, stages=tmp_path)
    corpus = load_corpus(cfg)
    assert corpus.train.label.value_counts().to_dict() == {'neg': 100, 'pos': 100}
    assert (len(corpus.test), len(corpus.unlabelled)) == (100, 300)
    pd.testing.assert_frame_equal(load_corpus(cfg).unlabelled, corpus.unlabelled)


@pytest.fixture(scope='module')
def real_tables(tmp_path_factory):
    "Six tables of other people, unpacked"
    from real_data import DATA, real
    folder = tmp_path_factory.mktemp('tables')
    with tarfile.open(real(DATA/'tables.tar.xz')) as packed:
        packed.extractall(folder, filter='data')
    return folder


REAL = {'trec6': 6, 'banking77': 77, 'ag_news_test': 4, 'sst2': 2, 'chnsenticorp': 2,
        'germeval2018': 2}


@pytest.mark.filterwarnings('ignore:.*also stand in the test part')
@pytest.mark.parametrize('name', REAL)
def test_real_tables(real_tables, tmp_path, name):
    folder = real_tables/name
    train = folder/'all.csv' if (folder/'all.csv').exists() else folder/'train.csv'
    test = folder/'test.csv' if (folder/'test.csv').exists() else .2
    corpus = Corpus.from_csv(train, test=test)
    assert len(corpus.classes) == REAL[name] and set(corpus.test.label) == set(corpus.classes)
    own = Corpus.from_csv(folder/'*.csv', test=.2) # all of it, split anew
    known, asked = ({same_text(text) for text in part.text} for part in (own.train, own.test))
    assert not known & asked
    assert .18 < len(own.test) / (len(own.train)+len(own.test)) < .22
    same_tables(Corpus.load(corpus.save(tmp_path/name)), corpus)
