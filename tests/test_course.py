"The runner: what notebooks cannot show about running notebooks"
import argparse
import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from textgraft.course.runner import add_run_arguments, run, run_chapter, run_chapters
from textgraft.course.settings import SMALL, choose_settings

import nbformat
import pytest

HEADLINE = 'from textgraft.course.runner import headline\nheadline("Parrot", .55, "coin", .5)'


@pytest.fixture(autouse=True)
def collected():
    "A kernel that was cancelled leaves its ZeroMQ context to the garbage collector: call it here"
    yield
    gc.collect()


@pytest.fixture
def chapters(tmp_path):
    "A function that writes a chapter of the given cells"
    folder = tmp_path/'nbs'
    folder.mkdir()

    def write(name, *sources):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder/f'{name}.ipynb')
        return folder
    return write


def textgraft_run(*words):
    "The exit status of `textgraft run` with these arguments"
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    return run(parser.parse_args([str(word) for word in words]))


def shown(path, cell=0):
    "What a cell of an executed notebook shows"
    return nbformat.read(path, as_version=4).cells[cell].outputs[0].data['text/plain']


@pytest.mark.parametrize('gpu, env, size, expected', [
    (False, {}, None, 'small'),
    (True, {}, None, 'full'),
    (False, {'TEXTGRAFT_DATA': '.'}, None, 'cpu'),
    (True, {'TEXTGRAFT_DATA': '.'}, None, 'full'),
    (True, {'IN_TEST': '1'}, None, 'small'),
    (True, {'IN_TEST': '1', 'TEXTGRAFT_SIZE': 'cpu'}, None, 'cpu'),
    (True, {'TEXTGRAFT_SIZE': 'cpu'}, 'small', 'small'),
])
def test_size_is_chosen_in_order(monkeypatch, gpu, env, size, expected):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    for name, value in env.items(): monkeypatch.setenv(name, value)
    cfg = choose_settings(size)
    assert (cfg.name, cfg.device) == (expected, 'cuda' if gpu else 'cpu')


def test_the_environment_is_checked_and_used(monkeypatch, tmp_path):
    monkeypatch.setenv('TEXTGRAFT_HOME', str(tmp_path))
    assert choose_settings('small').stages == tmp_path/'stages'
    monkeypatch.setenv('TEXTGRAFT_SIZE', 'huge')
    wanted = "'huge'; choose one of small, cpu, full"
    with pytest.raises(ValueError, match=wanted): choose_settings()


def test_all_chapters_run_and_the_failing_one_is_named(chapters, tmp_path, capsys):
    folder = chapters('00_parrot', HEADLINE)
    cells = ['reviews = []', '#| export\nnumber = 1\nnumber + revews', '"not reached"']
    chapters('01_typo', *cells)
    chapters('02_dies', 'import os; os._exit(9)')
    chapters('03_plain', 'import os\nos.environ["TEXTGRAFT_SIZE"]')
    out, record = tmp_path/'executed', tmp_path/'results/record.json'
    options = ['--size', 'small', '--notebooks', folder, '--out', out, '--json', record]
    assert textgraft_run(*options) == 1
    printed = capsys.readouterr().out
    assert "In [2] number = 1\n    NameError: name 'revews' is not defined\n" \
        "    failed at: number + revews" in printed
    assert "In [1] import os; os._exit(9)\n    DeadKernelError: Kernel died" in printed
    table = [line.split() for line in printed.split('\n\n')[-1].splitlines()]
    assert [row[0] for row in table[1:5]] == ['00_parrot', '01_typo', '02_dies', '03_plain']
    assert [row[2] for row in table[1:5]] == ['Parrot:', 'FAILED', 'FAILED', '-']
    assert table[1][2:] == ['Parrot:', '55.0%', 'coin:', '50.0%']
    assert shown(out/'03_plain.ipynb') == "'small'"
    assert not [path for path in out.iterdir() if path.suffix != '.ipynb']
    assert json.loads(record.read_text())['chapters'][0]['headline']['baseline'] == .5


def test_a_chapter_that_takes_up_another_waits_for_it(chapters, tmp_path):
    file = str(tmp_path/'log')
    log = f'from pathlib import Path\nlog = Path({file!r}).open("a", buffering=1)\n'
    folder = chapters('00_corpus', log+'print("00", file=log)')
    chapters('03_lm_finetune', log+'import time\ntime.sleep(4)\nprint("03", file=log)')
    chapters('04_classifier', log+'print("04", file=log)')
    runs = asyncio.run(run_chapters(sorted(folder.iterdir()), tmp_path/'out', SMALL, jobs=2))
    assert [done.chapter[:2] for done in runs] == ['00', '03', '04']
    assert not any(done.error for done in runs)
    assert (tmp_path/'log').read_text().split() == ['00', '03', '04']


def test_kernel_is_this_python_with_its_own_environment(chapters, tmp_path, monkeypatch):
    "Also where another kernel calls itself python3, and without touching this process"
    kernel = tmp_path/'jupyter/kernels/python3'
    kernel.mkdir(parents=True)
    spec = {'argv': ['/bin/false'], 'display_name': 'other', 'language': 'python'}
    (kernel/'kernel.json').write_text(json.dumps(spec))
    monkeypatch.setenv('JUPYTER_PATH', str(tmp_path/'jupyter'))
    monkeypatch.setenv('TEXTGRAFT_DATA', 'not for this run')
    looks = '[sys.executable, os.environ["TEXTGRAFT_SIZE"], os.environ.get("TEXTGRAFT_DATA")]'
    folder = chapters('00_who', 'import os, sys\n'+looks)
    assert asyncio.run(run_chapter(folder/'00_who.ipynb', tmp_path, SMALL)).error == ''
    assert shown(tmp_path/'00_who.ipynb') == repr([sys.executable, 'small', None])
    assert 'TEXTGRAFT_SIZE' not in os.environ


def test_a_cell_without_end_is_stopped(chapters, tmp_path):
    folder = chapters('00_endless', 'while True: pass')
    done = asyncio.run(run_chapter(folder/'00_endless.ipynb', tmp_path, SMALL, timeout=2))
    assert done.error.startswith('In [1] while True: pass\n    CellTimeoutError')
    assert done.seconds < 20


def test_in_place_keeps_the_outputs_of_a_chapter_that_fails(chapters):
    folder = chapters('00_fine', '1 + 1')
    chapters('01_typo', 'x')
    before = (folder/'01_typo.ipynb').read_bytes()
    assert textgraft_run('--size', 'small', '--notebooks', folder, '--inplace') == 1
    assert shown(folder/'00_fine.ipynb') == '2'
    assert (folder/'01_typo.ipynb').read_bytes() == before


@pytest.mark.parametrize('options, message', [
    (['--data', 'none'], 'no reviews at'),
    (['04'], 'no chapter 04; there are 00_fine'),
    (['--notebooks', 'executed'], 'no chapters in executed'),
    (['--out', 'taken'], 'taken/00_fine.ipynb cannot be written'),
    (['--json', 'folder'], 'folder is a folder: name a file'),
    (['--json', 'taken/record.json'], 'taken/record.json cannot be written'),
    (['broken.ipynb'], 'broken.ipynb cannot be read as a notebook'),
    (['latin.ipynb'], 'latin.ipynb cannot be read as a notebook'),
    (['list.ipynb'], 'list.ipynb cannot be read as a notebook'),
], ids=lambda value: ' '.join(value) if isinstance(value, list) else None)
def test_what_would_spoil_the_results_is_said_before_anything_runs(options, message, chapters,
                                                                   tmp_path, capsys, monkeypatch):
    folder = chapters('00_fine', f'from pathlib import Path\nPath({str(tmp_path/"ran")!r}).touch()')
    monkeypatch.chdir(tmp_path)
    Path('taken').touch()
    Path('folder').mkdir()
    Path('broken.ipynb').write_text('{"cells": [')
    Path('latin.ipynb').write_bytes('{"cells": "é"}'.encode('latin-1'))
    Path('list.ipynb').write_text('[]')
    assert textgraft_run('--notebooks', folder, *options) == 2
    error, = capsys.readouterr().err.splitlines()
    assert error.startswith('textgraft: ') and message in error
    assert not (tmp_path/'ran').exists()


@pytest.mark.parametrize('words', [['--size', 'huge'], ['--jobs', '0'], ['--jobs', 'two']])
def test_arguments_that_are_none(words, capsys):
    with pytest.raises(SystemExit): textgraft_run(*words)


def test_the_home_folder_may_be_written_as_a_tilde(chapters, tmp_path, monkeypatch):
    chapters('00_fine', '1 + 1')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert textgraft_run('--size', 'small', '--notebooks', '~/nbs', '--out', '~/out') == 0
    assert shown(tmp_path/'out/00_fine.ipynb') == '2'


def test_data_chooses_size_cpu_and_says_what_is_read(chapters, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    folder = chapters('00_fine', 'import os\nos.environ["TEXTGRAFT_DATA"]')
    archive = tmp_path/'imdb.tar.xz'
    archive.touch()
    monkeypatch.chdir(tmp_path)
    assert textgraft_run('--notebooks', folder, '--data', 'imdb.tar.xz') == 0
    assert capsys.readouterr().out.startswith('Size cpu on cpu. Reviews: ')
    assert shown(tmp_path/'executed/00_fine.ipynb') == repr(str(archive.resolve()))


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no SIGINT to send')
def test_ctrl_c_stops_the_kernel_and_says_so(chapters, tmp_path):
    pid = tmp_path/'pid'
    folder = chapters('00_slow', 'import os, pathlib, time\n'
                      f'pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(60)')
    command = [sys.executable, '-c', 'import sys; from test_course import textgraft_run; '
               'sys.exit(textgraft_run(*sys.argv[1:]))']
    options = ['--size', 'small', '--notebooks', str(folder), '--out', str(tmp_path)]
    # A shell's background jobs ignore SIGINT, and so would their children.
    process = subprocess.Popen(command + options, cwd=Path(__file__).parent, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic()+60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline: time.sleep(.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert 'interrupted' in printed and 'Traceback' not in printed
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.kill(int(pid.read_text()), 0)
            time.sleep(.1)
