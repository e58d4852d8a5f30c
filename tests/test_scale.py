"Tables in blocks: killed, damaged, out of space, begun again; no row lost, none twice"
import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time

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


def test_a_damaged_part_is_named_and_the_rest_is_answered(tmp_path, rows):
    file = tmp_path/'a.parquet'
    content = bytearray(file.read_bytes())
    import pyarrow.parquet as pq
    place = pq.ParquetFile(file).metadata.row_group(1).column(1).dictionary_page_offset
    content[place:place + 60] = bytes(60)
    file.write_bytes(content)
    done = ask(tmp_path)
    assert len(done['unreadable']) == 1 and 'row group 1 of 400 rows' in done['unreadable'][0]
    rest = pd.concat([rows[:400], rows[800:]])
    check(tmp_path, rest)
    assert 'row group 1' in (tmp_path/'out/_bad_rows.jsonl').read_text()
    rows[:1200].to_parquet(file, row_group_size=400) # from a copy
    assert ask(tmp_path)['unreadable'] == []
    check(tmp_path, rows)


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
import sys
from pathlib import Path
from test_scale import Lengths, ask
ask(Path(sys.argv[1]), Lengths(.05))
'''


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment_and_begun_again(tmp_path, rows, how):
    here = dict(cwd=os.path.dirname(__file__), stderr=subprocess.DEVNULL)
    start = [sys.executable, '-c', SLOW, str(tmp_path)]
    for n in (2, 7, 12):
        process = subprocess.Popen(start, **here)
        notes = tmp_path/'out/_notes'
        while process.poll() is None and (not notes.is_dir() or len(os.listdir(notes)) < n):
            time.sleep(.01)
        process.send_signal(how)
        assert process.wait(30) != 0
    assert subprocess.run(start, **here).returncode == 0
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


class Mortal(Lengths):
    "Kills its worker once, in the middle of a block"
    def __init__(self, marker):
        super().__init__()
        self.marker = marker

    def table(self, texts):
        if len(texts[0]) > 50 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().table(texts)


def test_ray_gives_the_same_also_when_a_worker_is_killed(tmp_path, rows):
    pytest.importorskip('ray')
    try: ask(tmp_path, Mortal(tmp_path/'killed'), engine='ray', workers=2)
    except OSError as error: pytest.skip(str(error)[:200])
    assert (tmp_path/'killed').exists()
    check(tmp_path, rows)
