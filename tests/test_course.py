"The runner: what notebooks cannot show about running notebooks"
import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import time

from textgraft.course.runner import find_chapters, main, notebooks_folder, run_chapter, run_chapters
from textgraft.course.settings import SMALL, choose_settings

import nbformat
import pytest

HEADLINE = 'from textgraft.course.runner import headline\nheadline("Parrot", .55, "coin", .5)'


@pytest.fixture(autouse=True)
def collected():
    "A kernel that was cancelled leaves its ZeroMQ context to the garbage collector: let it come by here, where its warning is expected"
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


def test_importing_the_settings_is_light():
    heavy = "import sys, textgraft.course.runner; print([m for m in ('torch', 'IPython', 'nbformat', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, '-c', heavy], capture_output=True, text=True).stdout.strip() == '[]'


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


def test_a_wrong_size_in_the_environment_names_the_sizes(monkeypatch):
    monkeypatch.setenv('TEXTGRAFT_SIZE', 'huge')
    with pytest.raises(ValueError, match="'huge'; choose one of small, cpu, full"): choose_settings()


def test_stages_lie_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv('TEXTGRAFT_HOME', str(tmp_path))
    assert choose_settings('small').stages == tmp_path/'stages'


def test_all_chapters_run_and_the_failing_one_is_named(chapters, tmp_path, capsys):
    folder = chapters('00_parrot', HEADLINE)
    chapters('01_typo', 'reviews = []', '#| export\nnumber = 1\nnumber + revews', '"never reached"')
    chapters('02_dies', 'import os; os._exit(9)')
    chapters('03_plain', 'import os\nos.environ["TEXTGRAFT_SIZE"]')
    out, record = tmp_path/'executed', tmp_path/'results/record.json'
    status = main(['run', '--size', 'small', '--notebooks', str(folder), '--out', str(out), '--json', str(record)])
    printed = capsys.readouterr().out
    assert status == 1
    assert "In [2] number = 1\n    NameError: name 'revews' is not defined\n    failed at: number + revews" in printed
    assert "In [1] import os; os._exit(9)\n    DeadKernelError: Kernel died" in printed
    table = [line.split() for line in printed.split('\n\n')[-1].splitlines()]
    assert [row[0] for row in table[1:5]] == ['00_parrot', '01_typo', '02_dies', '03_plain']
    assert [row[2] for row in table[1:5]] == ['Parrot:', 'FAILED', 'FAILED', '-']
    assert table[1][2:] == ['Parrot:', '55.0%', 'coin:', '50.0%']
    assert nbformat.read(out/'03_plain.ipynb', as_version=4).cells[0].outputs[0].data['text/plain'] == "'small'"
    assert not [path for path in out.iterdir() if path.suffix != '.ipynb']
    assert json.loads(record.read_text())['chapters'][0]['headline']['baseline'] == .5


def test_a_chapter_that_takes_up_another_waits_for_it_and_others_do_not(chapters, tmp_path):
    log = f'from pathlib import Path\nlog = Path({str(tmp_path/"log")!r}).open("a", buffering=1)\n'
    folder = chapters('00_corpus', log+'print("00", file=log)')
    chapters('03_lm_finetune', log+'import time\ntime.sleep(4)\nprint("03", file=log)')
    chapters('04_classifier', log+'print("04", file=log)')
    runs = asyncio.run(run_chapters(sorted(folder.iterdir()), tmp_path/'out', SMALL, jobs=2))
    assert [run.chapter[:2] for run in runs] == ['00', '03', '04'] and not any(run.error for run in runs)
    assert (tmp_path/'log').read_text().split() == ['00', '03', '04']


def test_kernel_is_this_python_with_its_own_environment(chapters, tmp_path, monkeypatch):
    "Also where another kernel calls itself python3, and without touching the environment of this process"
    kernel = tmp_path/'jupyter/kernels/python3'
    kernel.mkdir(parents=True)
    (kernel/'kernel.json').write_text(json.dumps({'argv': ['/bin/false'], 'display_name': 'other', 'language': 'python'}))
    monkeypatch.setenv('JUPYTER_PATH', str(tmp_path/'jupyter'))
    monkeypatch.setenv('TEXTGRAFT_DATA', 'not for this run')
    folder = chapters('00_who', 'import os, sys\n[sys.executable, os.environ["TEXTGRAFT_SIZE"], os.environ.get("TEXTGRAFT_DATA")]')
    run = asyncio.run(run_chapter(folder/'00_who.ipynb', tmp_path, SMALL))
    assert run.error == ''
    shown = nbformat.read(tmp_path/'00_who.ipynb', as_version=4).cells[0].outputs[0].data['text/plain']
    assert shown == repr([sys.executable, 'small', None]) and 'TEXTGRAFT_SIZE' not in os.environ


def test_a_cell_without_end_is_stopped(chapters, tmp_path):
    folder = chapters('00_endless', 'while True: pass')
    run = asyncio.run(run_chapter(folder/'00_endless.ipynb', tmp_path, SMALL, timeout=2))
    assert run.error.startswith('In [1] while True: pass\n    CellTimeoutError') and run.seconds < 20


def test_in_place_keeps_the_outputs_of_a_chapter_that_fails(chapters):
    folder = chapters('00_fine', '1 + 1')
    chapters('01_typo', 'x')
    before = (folder/'01_typo.ipynb').read_bytes()
    assert main(['run', '--size', 'small', '--notebooks', str(folder), '--inplace']) == 1
    assert nbformat.read(folder/'00_fine.ipynb', as_version=4).cells[0].outputs[0].data['text/plain'] == '2'
    assert (folder/'01_typo.ipynb').read_bytes() == before


def test_wrong_arguments_stop_before_anything_runs(chapters, tmp_path, capsys):
    folder = chapters('00_fine', '1 + 1')
    assert main(['run', '--notebooks', str(folder), '--data', str(tmp_path/'none')]) == 2
    assert main(['run', '--notebooks', str(folder), '04']) == 2
    assert main(['run', '--notebooks', str(tmp_path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert 'no reviews at' in errors[0] and 'no chapter 04; there are 00_fine' in errors[1] and 'no chapters in' in errors[2]
    with pytest.raises(SystemExit): main(['run', '--size', 'huge'])
    assert not (tmp_path/'executed').exists()


def test_data_chooses_size_cpu_and_says_what_is_read(chapters, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    folder = chapters('00_fine', 'import os\nos.environ["TEXTGRAFT_DATA"]')
    archive = tmp_path/'imdb.tar.xz'
    archive.touch()
    monkeypatch.chdir(tmp_path)
    assert main(['run', '--notebooks', str(folder), '--data', 'imdb.tar.xz', '--out', 'executed']) == 0
    assert capsys.readouterr().out.startswith('Size cpu on cpu. Reviews: ')
    shown = nbformat.read(tmp_path/'executed/00_fine.ipynb', as_version=4).cells[0].outputs[0].data['text/plain']
    assert shown == repr(str(archive.resolve()))


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no SIGINT to send')
def test_ctrl_c_stops_the_kernel_and_says_so(chapters, tmp_path):
    folder = chapters('00_slow', f'import os, pathlib, time\npathlib.Path({str(tmp_path/"pid")!r}).write_text(str(os.getpid()))\ntime.sleep(60)')
    command = [sys.executable, '-c', 'import sys; from textgraft.course.runner import main; sys.exit(main())', 'run']
    process = subprocess.Popen([*command, '--size', 'small', '--notebooks', str(folder), '--out', str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) # a shell's background jobs ignore it, and so would their children
    deadline = time.monotonic()+60
    while not (tmp_path/'pid').exists() and time.monotonic() < deadline: time.sleep(.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and 'interrupted' in printed and 'Traceback' not in printed
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.kill(int((tmp_path/'pid').read_text()), 0)
            time.sleep(.1)


def test_this_repository_has_its_chapters():
    names = [path.stem for path in find_chapters(notebooks_folder())]
    assert names == ['00_corpus', '01_tokenization', '02_batching', '03_lm_finetune', '04_classifier', '05_gpt2']
