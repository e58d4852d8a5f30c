"Tables in blocks: killed, damaged, out of space, begun again; no row lost, none twice"
import errno
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

from textgraft.library import scale
from textgraft.library.scale import predict_dataset, read_blocks

import pandas as pd
import pytest

ROWS = 2000


class Lengths:
    "A model that is quick to make: the number of letters as label"
    def __init__(self, seconds=0.): self.seconds = seconds

    def table(self, texts):
        time.sleep(self.seconds)
        return pd.DataFrame({'label': [len(text) for text in texts]}, dtype='int64')


@pytest.fixture
def rows(tmp_path):
    "Two parquet files with keys"
    table = pd.DataFrame({'key': range(ROWS), 'text': ['x' * (n % 97 + 1) for n in range(ROWS)]})
    table[:1200].to_parquet(tmp_path/'a.parquet', row_group_size=400)
    table[1200:].to_parquet(tmp_path/'b.parquet', row_group_size=400)
    return table


def ask(tmp_path, model=None, files='*.parquet', **more):
    options = dict(block_rows=100, progress=False) | more
    return predict_dataset(model or Lengths(), tmp_path/files, tmp_path/'out', **options)


def check(tmp_path, rows):
    "Every row once, in order, with its own answer"
    found = pd.read_parquet(tmp_path/'out')
    assert found.key.tolist() == rows.key.tolist()
    assert found.label.tolist() == rows.text.str.len().tolist()


def test_rows_keep_their_order_and_keys(tmp_path, rows):
    assert ask(tmp_path) == dict(blocks=20, texts=ROWS, bad_rows=0, unreadable=[])
    check(tmp_path, rows)


@pytest.mark.parametrize('name', ['t.csv', 't.tsv', 't.csv.gz', 't.jsonl', 't.jsonl.gz'])
def test_every_format_gives_the_same(tmp_path, rows, name):
    if 'json' in name: rows.to_json(tmp_path/name, orient='records', lines=True)
    else: rows.to_csv(tmp_path/name, index=False, sep='\t' if 'tsv' in name else ',')
    ask(tmp_path, files=name)
    found = pd.read_parquet(tmp_path/'out')
    assert found.key.astype(int).tolist() == rows.key.tolist()
    assert found.label.tolist() == rows.text.str.len().tolist()


def test_quoted_lines_and_words_for_nothing_stay_texts(tmp_path):
    (tmp_path/'t.csv').write_text('key,text\n1,"two\nlines"\n2,NA\n3,\n')
    ask(tmp_path, files='t.csv', block_rows=2)
    assert pd.read_parquet(tmp_path/'out').text.tolist() == ['two\nlines', 'NA', '']


def counted(monkeypatch):
    "The blocks that are really asked about"
    asked, answer = [], scale.answer_block
    def count(ask, table, text):
        asked.append(table.key.iloc[0])
        return answer(ask, table, text)
    monkeypatch.setattr(scale, 'answer_block', count)
    return asked


def test_a_second_run_makes_only_what_is_missing_damaged_or_changed(tmp_path, rows, monkeypatch):
    ask(tmp_path)
    blocks = sorted((tmp_path/'out').glob('*.parquet'))
    blocks[3].unlink()
    blocks[5].write_bytes(blocks[5].read_bytes()[:-9] + b'123456789')
    (tmp_path/'out/_notes'/f'{blocks[7].stem}.json').write_text('{')
    asked = counted(monkeypatch)
    ask(tmp_path)
    assert asked == [300, 500, 700]
    rows.loc[1250, 'text'] = 'another text'
    rows[1200:].to_parquet(tmp_path/'b.parquet', row_group_size=400)
    ask(tmp_path)
    assert asked[3:] == [1200]
    check(tmp_path, rows)


def test_blocks_of_rows_that_are_gone_go_too(tmp_path, rows):
    ask(tmp_path)
    rows[1200:1500].to_parquet(tmp_path/'b.parquet')
    ask(tmp_path)
    check(tmp_path, rows[:1500])


def test_another_run_or_foreign_files_are_refused(tmp_path, rows):
    ask(tmp_path)
    with pytest.raises(ValueError, match='block_rows is 100 there and 50 here'):
        ask(tmp_path, block_rows=50)
    with pytest.raises(ValueError, match='model is'): ask(tmp_path, Lengths(1e-9))
    (tmp_path/'mine').mkdir()
    (tmp_path/'mine/diary.txt').write_text('x')
    with pytest.raises(FileExistsError, match='other files'):
        predict_dataset(Lengths(), tmp_path/'a.parquet', tmp_path/'mine')
    with pytest.raises(ValueError, match='no encoding'): ask(tmp_path, encoding='utf-9')
    with pytest.raises(ValueError, match="are Ray's"): ask(tmp_path, workers=2)
    with pytest.raises(ValueError, match="no column 'body'"):
        predict_dataset(Lengths(), tmp_path/'a.parquet', tmp_path/'o', text='body', progress=False)


def test_rows_that_are_no_texts_are_named_and_keep_their_place(tmp_path):
    lines = ['{"key": 0, "text": "a"}', '{"key": 1, "text": 5}', 'no json', '{"key": 3}',
             '{"key": 4, "text": "\\ud800"}', '{"key": 5, "text": "bb"}']
    (tmp_path/'t.jsonl').write_text('\n'.join(lines))
    done = ask(tmp_path, files='t.jsonl', block_rows=4)
    assert (done['texts'], done['bad_rows']) == (2, 4)
    found = pd.read_parquet(tmp_path/'out')
    assert found.label.fillna(0).tolist() == [1, 0, 0, 0, 0, 2]
    named = [json.loads(line) for line in (tmp_path/'out/_bad_rows.jsonl').open()]
    assert [(each['file'], each['row']) for each in named] == [('t.jsonl', n) for n in (1, 2, 3, 4)]


def test_a_damaged_part_is_named_and_the_rest_is_answered(tmp_path, rows, monkeypatch):
    file = tmp_path/'a.parquet'
    content = bytearray(file.read_bytes())
    import pyarrow.parquet as pq
    place = pq.ParquetFile(file).metadata.row_group(1).column(1).dictionary_page_offset
    content[place:place + 60] = bytes(60)
    file.write_bytes(content)
    done = ask(tmp_path)
    assert len(done['unreadable']) == 1 and '400 rows of row group 1' in done['unreadable'][0]
    rest = pd.concat([rows[:400], rows[800:]])
    check(tmp_path, rest)
    assert 'row group 1' in (tmp_path/'out/_bad_rows.jsonl').read_text()
    rows[:1200].to_parquet(file, row_group_size=400) # from a copy
    asked = counted(monkeypatch)
    assert ask(tmp_path)['unreadable'] == []
    assert asked == [400, 500, 600, 700]
    check(tmp_path, rows)


def test_answers_of_a_file_that_cannot_be_read_today_stay(tmp_path, rows):
    ask(tmp_path)
    whole = (tmp_path/'b.parquet').read_bytes()
    (tmp_path/'b.parquet').write_bytes(b'')
    assert len(ask(tmp_path)['unreadable']) == 1
    check(tmp_path, rows)
    (tmp_path/'b.parquet').write_bytes(whole)
    assert ask(tmp_path)['unreadable'] == []


def test_a_csv_whose_rows_are_too_long_is_named_not_cut(tmp_path):
    (tmp_path/'t.csv').write_text('key,text\n1,a\n2,b\n3,c,more\n')
    done = ask(tmp_path, files='t.csv', block_rows=2)
    assert done['texts'] == 2 and 'line 4' in done['unreadable'][0]
    (tmp_path/'u.csv').write_text('key,text\n3,c,more\n')
    done = predict_dataset(Lengths(), tmp_path/'u.csv', tmp_path/'u', progress=False)
    assert done['texts'] == 0 and 'more cells' in done['unreadable'][0]


def test_a_packed_file_that_breaks_off_is_an_error_in_its_place(tmp_path, rows):
    packed = gzip.compress(rows.to_csv(index=False).encode())
    (tmp_path/'t.csv.gz').write_bytes(packed[:len(packed)//2])
    *_, last = read_blocks(tmp_path/'t.csv.gz', rows=50)
    assert isinstance(last, ValueError) and 't.csv.gz' in str(last)


def test_a_full_disk_is_an_error_and_the_next_run_goes_on(tmp_path, rows, monkeypatch):
    write, written = scale.write_whole, []
    def full(path, function):
        written.append(path)
        if len(written) > 12: raise OSError(errno.ENOSPC, 'No space left on device', str(path))
        return write(path, function)
    monkeypatch.setattr(scale, 'write_whole', full)
    with pytest.raises(OSError, match='No space left'): ask(tmp_path)
    monkeypatch.setattr(scale, 'write_whole', write)
    asked = counted(monkeypatch)
    ask(tmp_path)
    assert 0 < len(asked) < 20
    check(tmp_path, rows)


SLOW = '''
import signal
import sys
from pathlib import Path
from test_scale import Lengths, ask
# who is started in the background by a shell has been told to ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
print('ready', flush=True)
ask(Path(sys.argv[1]), Lengths(.05))
'''


def start(folder):
    "The same run in a process of its own; it takes more than a second"
    process = subprocess.Popen([sys.executable, '-c', SLOW, str(folder)], text=True,
                               cwd=os.path.dirname(__file__), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.readline()
    return process


def done_blocks(folder):
    "Each block that has a note, and when it was written"
    names = [note.stem for note in (folder/'out/_notes').glob('*.json')]
    return {name: (folder/f'out/{name}.parquet').stat().st_mtime_ns for name in names}


def test_killed_at_random_and_begun_again(tmp_path, rows):
    rng, killed = random.Random(11), 0
    for _ in range(6):
        process, before = start(tmp_path), done_blocks(tmp_path)
        time.sleep(rng.uniform(0, .4))
        process.kill()
        killed += process.wait(30) == -signal.SIGKILL
        after = done_blocks(tmp_path)
        assert before.items() <= after.items() # what is done is not done again
    assert killed >= 3
    before, process = done_blocks(tmp_path), start(tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert before.items() <= done_blocks(tmp_path).items()
    check(tmp_path, rows)


def test_ctrl_c_and_begun_again(tmp_path, rows):
    process = start(tmp_path)
    while len(done_blocks(tmp_path)) < 3: time.sleep(.01)
    process.send_signal(signal.SIGINT)
    assert 'KeyboardInterrupt' in process.communicate(timeout=30)[1]
    before, process = done_blocks(tmp_path), start(tmp_path)
    assert 3 <= len(before) < 20
    assert process.wait(60) == 0
    assert before.items() <= done_blocks(tmp_path).items()
    check(tmp_path, rows)


def test_nothing_imports_ray_until_it_is_asked_for(tmp_path, rows):
    code = ('import sys\nfrom pathlib import Path\nfrom test_scale import ask\n'
            'import textgraft.library.scale\nask(Path(sys.argv[1]))\n'
            'sys.exit(any(name.partition(".")[0] == "ray" for name in sys.modules))')
    done = subprocess.run([sys.executable, '-c', code, str(tmp_path)],
                          cwd=os.path.dirname(__file__))
    assert done.returncode == 0


def test_without_ray_the_message_says_what_to_install(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(scale, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'textgraft\[scale\]'): ask(tmp_path, engine='ray')


def test_more_workers_than_cores_are_refused_not_waited_for():
    cluster = SimpleNamespace(cluster_resources=lambda: dict(CPU=4.))
    with pytest.raises(ValueError, match='5 workers, and Ray knows 4 cores'):
        scale._team(cluster, 5)


class Mortal(Lengths):
    "Kills its worker in the middle of a block, so many times"
    def __init__(self, folder, times):
        super().__init__()
        self.folder, self.times = folder, times
        folder.mkdir()

    def table(self, texts):
        deaths = len(os.listdir(self.folder))
        if len(texts[0]) > 50 and deaths < self.times:
            (self.folder/str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().table(texts)


@pytest.fixture
def on_ray(tmp_path, rows):
    "Two workers; they are sent the classes of this file, which they could not import"
    ray = pytest.importorskip('ray', reason="pip install 'textgraft[scale]'")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    def run(model):
        try: return ask(tmp_path, model, engine='ray', workers=2)
        except OSError as error:
            if 'Ray did not start' in str(error): pytest.skip(str(error)[:200])
            raise
    return run


def test_ray_gives_the_same_also_when_a_worker_is_killed(tmp_path, rows, on_ray):
    on_ray(Mortal(tmp_path/'deaths', 2))
    assert len(os.listdir(tmp_path/'deaths')) == 2
    check(tmp_path, rows)


def test_a_block_that_kills_every_worker_is_named_and_the_rest_is_kept(tmp_path, on_ray):
    with pytest.raises(OSError, match=r'block 0000\d-\d+ was given up'):
        on_ray(Mortal(tmp_path/'deaths', 1000))
    assert done_blocks(tmp_path)
