"The repository itself: metadata, front page, links, and the gate that measures notebooks"
import configparser
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT/'tools'), str(ROOT/'images')]
import draw  # noqa: E402
import gate  # noqa: E402
import readme  # noqa: E402
import stamp  # noqa: E402

NOTEBOOKS = [*stamp.notebooks(), ROOT/'nbs/index.ipynb']
PAGES = [ROOT/'README.md', ROOT/'CONTRIBUTING.md']
TARGETS = set(re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text(), flags=re.MULTILINE))


def settings():
    parser = configparser.ConfigParser(delimiters='=')
    parser.read(ROOT/'settings.ini', encoding='utf-8')
    return parser['DEFAULT']


def tracked():
    "Files that git knows, or all but what git ignores where this is no checkout"
    command = ['git', 'ls-files', '-co', '--exclude-standard']
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode: pytest.skip('not a git checkout')
    return [ROOT/name for name in listed.stdout.splitlines() if (ROOT/name).is_file()]


def test_metadata_has_one_source():
    installed, cfg = importlib.metadata.metadata('textgraft'), settings()
    licence = installed.get('License-Expression') or installed.get('License')
    assert [installed['Name'], installed['Version'], licence] == \
        [cfg['lib_name'], cfg['version'], cfg['license']]
    commands = importlib.metadata.entry_points(group='console_scripts', name='textgraft')
    assert [command.value for command in commands] == ['textgraft.course.command:main']


def test_constraints_satisfy_the_requirements():
    text = (ROOT/'constraints.txt').read_text()
    pins = dict(re.findall(r'^([\w.-]+)==([^\s;]+)', text, flags=re.MULTILINE))
    if not pins: pytest.skip('no constraints: the newest packages are being tested')
    kinds = [name for name in settings() if name.endswith('requirements')]
    lines = [line for kind in kinds for line in settings()[kind].splitlines() if line.strip()]
    for need in map(Requirement, lines):
        pin = pins.get(need.name)
        assert pin and need.specifier.contains(pin), f'{need}: constraints.txt has {pin}'


def test_readme_shows_figures_beside_their_baselines():
    headline = dict(name='Accuracy', value=.961, baseline_name='TF-IDF', baseline=.77, fmt='.1%')
    run = dict(chapter='04_classifier', seconds=61.2, headline=headline)
    record = dict(command='textgraft run --size small', seconds=61.2, date='2026-01-02',
                  machine=dict(cores=2, gpu=None), versions=dict(fastai='2', torch='2'),
                  chapters=[run])
    table = '| chapter | module |\n|---|---|\n| [04 C](nbs/04_classifier.ipynb) | `c` |'
    lines = readme.with_figures(table, record).splitlines()
    assert len({line.count('|') for line in lines[:3]}) == 1
    assert '| 61 | Accuracy: **96.1%** (TF-IDF: 77.0%) |' in lines[2]
    assert '61 seconds in all on 2 cores' in lines[-1]


def test_readme_shows_means_and_ranges():
    cell = dict(mean=.7, lowest=.69, highest=.71, each=[.69, .7, .71])
    columns = {name: {'larger class': cell, 'ULMFiT': cell} for name in ('20 labels', '9 labels')}
    record = dict(command='python -m bench', date='2026-01-02',
                  figures=dict(test_reviews=5000, **columns))
    lines = readme.ladder(record, 'two.json').splitlines()
    assert lines[0] == '| accuracy with | 20 labels | 9 labels |'
    assert lines[3] == '| ULMFiT | 70.0% (69.0% to 71.0%) | 70.0% (69.0% to 71.0%) |'
    assert '3 draws on 5,000 test reviews' in lines[-1] and '(results/two.json)' in lines[-1]


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.name)
def test_commands_of_the_documents_exist(path):
    text = path.read_text(encoding='utf-8')
    assert set(re.findall(r'(?:^|`)\s*make ([a-z]+)', text, flags=re.MULTILINE)) <= TARGETS
    for command in re.findall(r'\bnbdev-[a-z-]+', text):
        assert (Path(sys.executable).parent/command).exists(), command
    for file in re.findall(r'`(?:python|pytest|nbdev-test|bash) ([\w/.]+\.\w+)', text):
        assert (ROOT/file).exists(), file


@pytest.mark.parametrize('path', sorted(ROOT.glob('.github/workflows/*.yml')),
                         ids=lambda path: path.stem)
def test_workflows_run_what_there_is(path):
    jobs = yaml.safe_load(path.read_text())['jobs'].values()
    commands = [step['run'] for job in jobs for step in job['steps'] if 'run' in step]
    assert {line.split()[1] for line in commands if line.startswith('make ')} <= TARGETS
    if path.stem != 'test': return
    assert commands[0] == 'bash .ci/run' and 'make course' in commands
    python = [step['with']['python-version'] for job in jobs for step in job['steps']
              if 'python-version' in step.get('with', {})]
    assert python[0] == settings()['min_python']


def test_hooks_need_no_network_and_each_stands_once():
    repos = yaml.safe_load((ROOT/'.pre-commit-config.yaml').read_text())['repos']
    assert [repo['repo'] for repo in repos] == ['local']
    assert {hook['language'] for hook in repos[0]['hooks']} == {'system'}
    check = (ROOT/'tests/check.sh').read_text()
    assert 'pre-commit run --all-files' in check and not re.search(r'ruff|tools/|clean', check)


@pytest.mark.parametrize('path', [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_links_and_pictures_are_there(path):
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.ipynb':
        cells = nbformat.reads(text, 4).cells
        text = '\n'.join(cell.source for cell in cells if cell.cell_type == 'markdown')
    for target in re.findall(r'!?\[[^\]]*\]\(([^)\s]+)\)', text):
        if re.match(r'[a-z]+:|#|attachment:', target): continue
        assert (path.parent/target.split('#')[0]).exists(), target
    colab = r'colab\.research\.google\.com/github/[\w-]+/[\w-]+/blob/(\w+)/([\w/.]+)'
    for branch, target in re.findall(colab, text):
        assert branch == settings()['branch'] and (ROOT/target).exists()
    assert not re.findall(r'!\[\s*\]\(', text), 'a picture without alt text'


def test_no_file_names_a_machine():
    host = r'https?://(?!localhost)(\d+\.\d+|[\w.-]*(proxy|internal|mirror|index-server))'
    for path in tracked():
        if path.suffix == '.svg' or path.name in ('constraints.txt', 'LICENSE-text'): continue
        text = path.read_text(encoding='utf-8', errors='replace')
        found = gate.MACHINE.search(text) or re.search(host, text)
        assert not found or path.name in ('gate.py', 'test_repo.py'), f'{path.name}: {found[0]}'


@pytest.mark.parametrize('name', draw.FIGURES)
def test_pictures_are_what_the_code_draws_and_are_shown(name):
    svg = (ROOT/f'images/{name}.svg').read_text(encoding='utf-8')
    assert svg == draw.FIGURES[name](), 'run: python images/draw.py'
    pages = [path.read_text(encoding='utf-8') for path in [ROOT/'README.md', *NOTEBOOKS]]
    assert any(f'images/{name}.svg)' in page for page in pages)


def test_recorded_figures_are_those_of_a_whole_run():
    chapters = json.loads(readme.RESULTS.read_text(encoding='utf-8'))['chapters']
    there = [path.stem for path in stamp.notebooks() if stamp.is_chapter(path)]
    assert [run['chapter'] for run in chapters] == there, 'run: make notebooks'
    assert not [run for run in chapters if run['error'] or not run['headline']]


GOOD = ['# Title\n> What it promises.', '#| export\ndef double(x): return 2*x',
        'assert double(2) == 4\ndouble(2)']


@pytest.mark.parametrize('cells, fault', [
    (GOOD, None),
    (['# Title\n\nand no promise'], 'not a title and a > line'),
    ([*GOOD, 'from math import *'], 'In [3] imports *'),
    ([*GOOD, '%pip install fastai'], 'installs packages'),
    ([*GOOD, 'import os\nos.environ["A"] = "1"'], 'touches the environment'),
    ([*GOOD, 'folder = "/home/somebody/models"'], 'names a path of one machine: /home/somebody'),
    ([*GOOD, '\n'.join(f'print({i})' for i in range(61))], 'In [3] has 61 lines'),
    ([*GOOD[:2], 'double(2)'], 'exported but in no cell with an assertion: double'),
])
def test_gate_looks_at_sources(cells, fault, tmp_path):
    text, *code = cells
    made = [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, code)]
    nb = nbformat.v4.new_notebook(cells=made)
    nbformat.write(nb, tmp_path/'x.ipynb')
    found = list(gate.faults(tmp_path/'x.ipynb', nb))
    assert any(fault in line for line in found) if fault else not found


@pytest.mark.parametrize('n_cells, n_words, run, fault', [
    (40, 2000, 1, None),
    (41, 1000, 1, '41 cells of code before the exercises, not 40'),
    (40, 2040, 1, '51.0 words for each cell of code, not 50'),
    (40, 1000, 4, '4 cells of code without a word between them, not 3'),
])
def test_gate_keeps_chapters_short(n_cells, n_words, run, fault, tmp_path):
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    each = n_words//n_cells
    cells = [cell for _ in range(n_cells - run) for cell in (text('word '*each), code('1'))]
    cells += [text('word '*each*run), *[code('1') for _ in range(run)]]
    after = [text('## Exercises\n' + 'word '*5000), code('1'), code('1')]
    nb = nbformat.v4.new_notebook(cells=cells + after)
    assert list(gate.lesson_faults(nb)) == ([fault] if fault else [])
    path = tmp_path/'07_long.ipynb' # a number makes a chapter
    nbformat.write(nb, path)
    assert not fault or fault in list(gate.faults(path, nb))
    nbformat.write(nb, tmp_path/'room.ipynb')
    assert fault not in list(gate.faults(tmp_path/'room.ipynb', nb))


PLAIN = '<IPython.core.display.HTML object>'


@pytest.mark.parametrize('output, fault', [
    (dict(output_type='stream', name='stderr', text='look\n'), 'writes to stderr'),
    (dict(output_type='stream', name='stdout', text='/home/me/x'), 'a path of this machine'),
    (dict(output_type='error', ename='E', evalue='', traceback=[]), 'shows an error'),
    (dict(output_type='display_data', metadata={}, data={'text/plain': PLAIN}),
     'not run in a Jupyter kernel'),
    (dict(output_type='display_data', metadata={}, data={'image/png': 'AA=='}), 'shows a picture'),
    (dict(output_type='stream', name='stdout', text='42 and/or https://docs.fast.ai/home/x'), None),
])
def test_gate_looks_at_outputs(output, fault, tmp_path):
    cell = nbformat.v4.new_code_cell('1', outputs=[nbformat.from_dict(output)])
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(GOOD[0]), cell])
    nbformat.write(nb, tmp_path/'x.ipynb')
    found = list(gate.faults(tmp_path/'x.ipynb', nb))
    assert any(fault in line for line in found) if fault else not found
