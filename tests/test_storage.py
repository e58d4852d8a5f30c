"Files and folders on disk: whole or absent, ours replaced, others' never, damage found"
import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time

from textgraft.library import storage
from textgraft.library.storage import (
    MANIFEST,
    check_writable,
    compare,
    fingerprint,
    load_folder,
    load_weights,
    save_folder,
    save_weights,
    write_whole,
)

import pytest
import torch
from torch import nn


def save(folder, words='good bad', **options):
    options = dict(kind='words', config={'size': 3}) | options
    return save_folder(folder, files={'words.txt': lambda path: path.write_text(words)}, **options)


def names(folder): return sorted(path.name for path in folder.iterdir())


def test_a_folder_comes_back_as_it_was_saved(tmp_path):
    folder = save(tmp_path/'new'/'model', config={'sizes': (1, 2), 'rate': .1}, about={'seed': 1})
    kept = load_folder(folder, 'words', {'seed': 1})
    assert (kept.folder, kept.kind, kept.about) == (folder, 'words', {'seed': 1})
    assert kept.config == {'sizes': [1, 2], 'rate': .1}
    assert names(folder) == [MANIFEST, 'words.txt'] and names(tmp_path/'new') == ['model']


def test_files_in_subfolders_and_files_that_a_writer_adds_are_under_checksum(tmp_path):
    def write_two(path):
        path.write_text('one')
        (path.parent/'beside.txt').write_text('two')
    folder = save_folder(tmp_path/'m', 'words', {}, {'inside/one.txt': write_two})
    assert load_folder(folder)
    (folder/'inside'/'beside.txt').write_text('tow')
    with pytest.raises(ValueError, match='beside.txt is damaged'): load_folder(folder)


@pytest.mark.parametrize('about, message', [
    ({'seed': 2}, 'seed is 1 there and 2 here'), ({}, 'seed is 1 there and None here')])
def test_another_origin_is_named(tmp_path, about, message):
    with pytest.raises(ValueError, match=message):
        load_folder(save(tmp_path/'m', about={'seed': 1}), about=about)
    with pytest.raises(ValueError, match='Delete it, or use another folder'):
        compare({'a': 1}, {'a': 2}, tmp_path)


def test_other_kinds_formats_and_places_are_refused(tmp_path, monkeypatch):
    folder = save(tmp_path/'m')
    with pytest.raises(ValueError, match='holds a words, not a corpus'):
        load_folder(folder, 'corpus')
    with pytest.raises(FileNotFoundError, match='no corpus at'):
        load_folder(tmp_path/'no', 'corpus')
    with pytest.raises(ValueError, match='Textgraft did not save it'): load_folder(tmp_path)
    with pytest.raises(ValueError, match='Textgraft did not save it'):
        load_folder(folder/'words.txt')
    monkeypatch.setattr(storage, 'FORMAT', 2)
    with pytest.raises(ValueError, match='has format 1.*reads format 2'): load_folder(folder)


def test_config_must_be_json(tmp_path):
    with pytest.raises(TypeError, match='config must be'): save(tmp_path/'m', config={'x': {1}})
    with pytest.raises(TypeError, match='about must be'):
        save(tmp_path/'m', about={'x': float('nan')})
    assert names(tmp_path) == []


def test_a_folder_of_ours_is_replaced_and_others_never(tmp_path):
    folder = save(tmp_path/'m', 'old words')
    save(folder, 'new words')
    assert (folder/'words.txt').read_text() == 'new words' and names(tmp_path) == ['m']
    (folder/'.DS_Store').write_text('clutter')
    save(folder, 'newer words')
    (folder/'notes.txt').write_text('three months of work')
    with pytest.raises(FileExistsError, match='notes.txt'): save(folder)
    with pytest.raises(FileExistsError, match='words.txt|notes.txt'):
        write_whole(folder, lambda part: part.mkdir())
    assert (folder/'notes.txt').exists() and (folder/'words.txt').read_text() == 'newer words'


def test_others_folders_and_files_are_refused_before_anything_is_written(tmp_path):
    thesis, file = tmp_path/'thesis', tmp_path/'file'
    thesis.mkdir()
    (thesis/'chapter.tex').write_text('text')
    file.write_text('text')
    called = []
    for path in (thesis, file):
        with pytest.raises(FileExistsError): save_folder(path, 'words', {}, {'a': called.append})
    assert not called and names(tmp_path) == ['file', 'thesis']
    (tmp_path/'empty').mkdir()
    assert load_folder(save(tmp_path/'empty'))


def test_a_link_is_followed(tmp_path):
    folder = save(tmp_path/'disk'/'m')
    (tmp_path/'link').symlink_to(folder)
    save(tmp_path/'link', 'new')
    assert (tmp_path/'link').is_symlink() and (folder/'words.txt').read_text() == 'new'


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path/'home'))
    monkeypatch.chdir(tmp_path)
    assert save('~/m') == tmp_path/'home'/'m' and load_folder('~/m')
    assert write_whole('~/note', lambda part: part.write_text('x')) == tmp_path/'home'/'note'
    layer = load_weights(nn.Linear(2, 2), save_weights(nn.Linear(2, 2), '~/weights'))
    assert not layer.training and not (tmp_path/'~').exists()


def test_damage_anywhere_is_found(tmp_path):
    "Flipped bits, cuts and zeros in every file: refused, or the folder reads the same"
    folder = save(tmp_path/'m', 'word '*50, config={'classes': ['a', 'b']}, about={'seed': 1})
    before, draw = load_folder(folder), random.Random(1)
    for file in (folder/'words.txt', folder/MANIFEST):
        whole = file.read_bytes()
        for _ in range(100):
            at = draw.randrange(len(whole))
            damaged = draw.choice([
                whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at+1:],
                whole[:at], whole[:at] + bytes(9) + whole[at+9:]])
            file.write_bytes(damaged)
            try: assert load_folder(folder) == before and damaged.split() == whole.split()
            except ValueError as error: assert file.name in str(error)
        file.write_bytes(whole)
    (folder/'words.txt').unlink()
    with pytest.raises(ValueError, match='words.txt is missing'): load_folder(folder)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    def fail(part):
        part.write_text('half')
        raise OSError(errno.ENOSPC, 'No space left on device')
    def fail_like_torch(part): raise RuntimeError('unexpected pos 704 vs 598')
    file = write_whole(tmp_path/'checkpoint.pt', lambda part: part.write_text('old'))
    with pytest.raises(OSError, match='checkpoint.pt'): write_whole(file, fail)
    with pytest.raises(OSError, match='checkpoint.pt.*disk full'):
        write_whole(file, fail_like_torch)
    assert names(tmp_path) == ['checkpoint.pt'] and file.read_text() == 'old'


def test_a_folder_that_cannot_be_written_is_named_before_work(tmp_path, monkeypatch):
    (tmp_path/'file').write_text('text')
    with pytest.raises(ValueError, match='file.*cannot be written'):
        check_writable(tmp_path/'file'/'answers.csv')
    def read_only(dir): raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))
    monkeypatch.setattr(storage.tempfile, 'TemporaryFile', read_only)
    with pytest.raises(ValueError, match='answers.csv cannot be written:.*Read-only file system'):
        check_writable(tmp_path/'new'/'answers.csv')
    assert names(tmp_path) == ['file']


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write all')
def test_a_folder_without_permission_is_named_before_work(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ValueError, match='m cannot be written'): check_writable(tmp_path/'m')
    finally: tmp_path.chmod(0o700)


def test_a_folder_that_vanishes_is_made_again(tmp_path):
    "What was computed meanwhile is not lost"
    folder = check_writable(tmp_path/'out'/'m')
    save(folder)
    shutil.rmtree(tmp_path/'out')
    assert load_folder(save(folder)) and names(tmp_path/'out') == ['m']


def test_a_folder_that_vanishes_while_it_is_written_is_an_error_that_names_it(tmp_path):
    def vanish(path): shutil.rmtree(tmp_path/'out')
    with pytest.raises(OSError, match='out.m'):
        save_folder(tmp_path/'out'/'m', 'words', {}, {'words.txt': vanish})


def save_and_die(folder, step):
    "Save in a process that is killed before its `step`-th rename"
    steps = []
    def deadly(rename):
        def call(old, new):
            steps.append(new)
            if len(steps) == step: os.kill(os.getpid(), signal.SIGKILL)
            rename(old, new)
        return call
    os.rename, os.replace = deadly(os.rename), deadly(os.replace)
    save(folder, 'new')


@pytest.mark.skipif(sys.platform == 'win32', reason='needs SIGKILL')
@pytest.mark.parametrize('step', [1, 2, 3])
def test_a_kill_while_a_folder_is_replaced_leaves_one_of_both(tmp_path, step):
    folder = save(tmp_path/'m', 'old')
    process = multiprocessing.get_context('fork').Process(target=save_and_die, args=(folder, step))
    process.start()
    process.join()
    assert load_folder(folder) and (folder/'words.txt').read_text() in ('old', 'new')
    for part in tmp_path.glob('.m.*'): os.utime(part, (0, 0))
    for part in tmp_path.glob('.m.*/*'): os.utime(part, (0, 0))
    save(folder, 'newest')
    assert names(tmp_path) == ['m'] and (folder/'words.txt').read_text() == 'newest'


def test_an_old_folder_is_found_again_and_a_living_one_left_alone(tmp_path):
    folder = save(tmp_path/'m', 'old')
    folder.rename(tmp_path/'.m.12345678.old')
    (tmp_path/'.m.abcdefgh.part').write_text('another process writes here')
    (tmp_path/'.m.mine.part').write_text('a name of somebody else')
    assert load_folder(folder) and names(tmp_path) == ['.m.abcdefgh.part', '.m.mine.part', 'm']
    save(folder, 'new')
    assert names(tmp_path) == ['.m.abcdefgh.part', '.m.mine.part', 'm']


def save_often(folder):
    for number in range(40):
        save(folder, 'x'*number)
        load_folder(folder)
    return True


def test_two_processes_may_save_the_same_folder(tmp_path):
    with multiprocessing.get_context('fork').Pool(2) as pool:
        assert pool.map(save_often, [tmp_path/'m']*2) == [True, True]
    assert load_folder(tmp_path/'m') and names(tmp_path) == ['m']


def test_the_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    order = []
    def put(part, path):
        order.append('rename')
        os.replace(part, path)
    monkeypatch.setattr(storage.os, 'fsync', lambda handle: order.append('fsync'))
    monkeypatch.setattr(storage, '_put', put)
    save(tmp_path/'m')
    # Two files and their folder, the name, the folder above
    assert order == ['fsync', 'fsync', 'fsync', 'rename', 'fsync']


def test_weights_that_are_no_numbers_are_neither_saved_nor_loaded(tmp_path):
    from safetensors.torch import save_file
    layer = nn.Linear(2, 2)
    file = save_weights(layer, tmp_path/'weights')
    before = file.read_bytes()
    layer.weight.data[0, 0] = float('inf')
    with pytest.raises(ValueError, match='1 weights of weight.*lower learning rate'):
        save_weights(layer, file)
    assert file.read_bytes() == before and names(tmp_path) == ['weights']
    save_file(layer.state_dict(), file)
    with pytest.raises(ValueError, match='no finite numbers'): load_weights(nn.Linear(2, 2), file)
    layer.weight.data[0, 0] = 0
    layer.register_buffer('mask', torch.tensor([0., float('-inf')]))
    assert save_weights(layer, file) == file


def test_a_fingerprint_depends_on_everything():
    parts = [('a', 'b'), ('ab',), (['a', 'b'],), ('b', 'a'), ({'a': 1},), ({'a': 2},)]
    assert len({fingerprint(*part) for part in parts}) == len(parts)
    assert fingerprint({'a': 1, 'b': 2}) == fingerprint({'b': 2, 'a': 1})


def test_saving_is_quick_beside_many_files(tmp_path):
    for number in range(3000): (tmp_path/f'{number}.txt').touch()
    start = time.perf_counter()
    save(tmp_path/'m')
    assert time.perf_counter() - start < 1
    assert json.loads((tmp_path/'m'/MANIFEST).read_text())['kind'] == 'words'
