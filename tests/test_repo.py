"The repository itself: metadata, front page, links, and the gate that measures notebooks"
import ast
import configparser
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(p for p in ROOT.glob('nbs/**/*.ipynb') if '.ipynb_checkpoints' not in p.parts)
sys.path[:0] = [str(ROOT/'tools'), str(ROOT/'images')]
import draw  # noqa: E402
import gate  # noqa: E402
import readme  # noqa: E402


def settings():
    parser = configparser.ConfigParser(delimiters='=')
    parser.read(ROOT/'settings.ini', encoding='utf-8')
    return parser['DEFAULT']


def requirements(name): return [Requirement(line) for line in settings()[name].splitlines() if line.strip()]


def tracked():
    "Files that git knows, or all but what git ignores where this is no checkout"
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode: pytest.skip('not a git checkout')
    return [ROOT/name for name in listed.stdout.splitlines() if (ROOT/name).is_file()]


def test_metadata_has_one_source():
    installed, cfg = importlib.metadata.metadata('textgraft'), settings()
    assert (installed['Name'], installed['Version'], installed.get('License-Expression') or installed.get('License')) == \
        (cfg['lib_name'], cfg['version'], cfg['license'])
    commands = importlib.metadata.entry_points(group='console_scripts', name='textgraft')
    assert [command.value for command in commands] == ['textgraft.course.runner:main']


def test_constraints_satisfy_the_requirements():
    pins = dict(re.findall(r'^([\w.-]+)==([^\s;]+)', (ROOT/'constraints.txt').read_text(), flags=re.MULTILINE))
    if not pins: pytest.skip('no constraints: the newest packages are being tested')
    kinds = [name for name in settings() if name.endswith('requirements')]
    assert {'requirements', 'dev_requirements', 'site_requirements', 'browser_requirements'} == set(kinds)
    for need in (need for kind in kinds for need in requirements(kind)):
        assert need.specifier.contains(pins[need.name]), f'{need}: constraints.txt has {pins[need.name]}'


def test_readme_is_what_the_index_says():
    assert (ROOT/'README.md').read_text(encoding='utf-8') == readme.readme()


def test_readme_shows_the_figures_of_a_record():
    headline = dict(name='Accuracy', value=.961, baseline_name='TF-IDF', baseline=.77, fmt='.1%')
    record = dict(command='textgraft run --size small', seconds=61.2, date='2026-01-02', machine=dict(cores=2, gpu=None),
        versions=dict(fastai='2', torch='2'), chapters=[dict(chapter='04_classifier', seconds=61.2, headline=headline)])
    table = '| chapter | module |\n|---|---|\n| [04 C](nbs/04_classifier.ipynb) | `c` |\n| [05 G](nbs/05_gpt2.ipynb) | `g` |'
    lines = readme.with_figures(table, record).splitlines()
    assert lines[0].count('|') == lines[1].count('|') == lines[2].count('|') == lines[3].count('|')
    assert '| 61 | Accuracy: **96.1%** (TF-IDF: 77.0%) |' in lines[2] and '61 seconds in all on 2 cores' in lines[-1]


def test_readme_shows_every_number_of_labels_of_a_ladder():
    def row(mean): return dict(mean=mean, lowest=mean-.01, highest=mean+.01, each=[mean-.01, mean, mean+.01])
    columns = {f'{n} labels': {'larger class': row(.5), 'ULMFiT': row(mean)} for n, mean in [(20, .7), (100, .8), (500, .9)]}
    text = readme.ladder(dict(command='python -m bench', date='2026-01-02', figures=dict(test_reviews=5000, **columns)), 'two.json', 'draws')
    lines = text.splitlines()
    assert lines[0] == '| accuracy with | 20 labels | 100 labels | 500 labels |' and {line.count('|') for line in lines[:4]} == {5}
    assert lines[3] == '| ULMFiT | 70.0% (69.0% to 71.0%) | 80.0% (79.0% to 81.0%) | 90.0% (89.0% to 91.0%) |'
    assert '3 draws on 5,000 test reviews' in lines[-1] and '(results/two.json)' in lines[-1]


def test_readme_says_of_colab_what_is_recorded():
    record = dict(month='May 2026', date='2026-05-02', replaced={}, kept={'torch': '2', 'pandas': '2'}, added=['jedi'])
    text = readme.on_colab(record)
    assert 'replaces nothing of what Colab shipped in May 2026: 2 packages' in text and 'new is `jedi`' in text and 'ran' not in text
    versions = dict(python='3.13', fastai='2.8', torch='2', pandas='2', numpy='2')
    ran = readme.on_colab({**record, 'run': dict(versions=versions, machine=dict(gpu=None), seconds=61.2)})
    assert 'All chapters ran on those versions (Python 3.13,' in ran and 'without a GPU in 61 seconds' in ran
    assert 'replaces pandas of' in readme.on_colab({**record, 'replaced': {'pandas': ['2', '3']}})


def test_example_of_the_readme_runs():
    text = (ROOT/'README.md').read_text(encoding='utf-8')
    example, = re.findall(r'```python\n(.*?)```', text, flags=re.DOTALL)
    assert len([line for line in example.splitlines() if line]) == 5
    names = {}
    *start, value = example.strip().splitlines()
    exec('\n'.join(start), names)
    shown = re.search(re.escape(example) + r'```\n\n```\n(.*?)\n```', text, flags=re.DOTALL)[1]
    assert ast.literal_eval(shown) == eval(value, names)


def test_commands_of_the_documents_exist():
    targets = re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text(), flags=re.MULTILINE)
    for name in ['README.md', 'CONTRIBUTING.md']:
        text = (ROOT/name).read_text(encoding='utf-8')
        assert set(re.findall(r'(?:^|`)\s*make ([a-z]+)', text, flags=re.MULTILINE)) <= set(targets)
        for command in re.findall(r'\bnbdev-[a-z-]+', text): assert (Path(sys.executable).parent/command).exists(), command
        for path in re.findall(r'`?python ([\w/]+\.py)', text): assert (ROOT/path).exists(), path


def links(text): return re.findall(r'!?\[[^\]]*\]\(([^)\s]+)\)', text)


@pytest.mark.parametrize('path', [ROOT/'README.md', ROOT/'CONTRIBUTING.md', *NOTEBOOKS], ids=lambda p: p.name)
def test_links_and_pictures_are_there(path):
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.ipynb': text = '\n'.join(c.source for c in nbformat.reads(text, 4).cells if c.cell_type == 'markdown')
    for target in links(text):
        if not re.match(r'[a-z]+:|#|attachment:', target): assert (path.parent/target.split('#')[0]).exists(), target
    for branch, target in re.findall(r'colab\.research\.google\.com/github/[\w-]+/[\w-]+/blob/(\w+)/([\w/.]+)', text):
        assert branch == settings()['branch'] and (ROOT/target).exists()
    assert not re.findall(r'!\[\s*\]\(', text), 'a picture without alt text'


def test_no_file_names_a_machine():
    hosts = re.compile(r'https?://(?!localhost)(\d+\.\d+|[\w.-]*(proxy|internal|mirror|index-server))')
    for path in tracked():
        if path.suffix in ('.png', '.svg') or path.name in ('constraints.txt', 'LICENSE-text'): continue
        text = path.read_text(encoding='utf-8', errors='replace')
        found = gate.MACHINE.search(text) or hosts.search(text)
        assert not found or path.name in ('gate.py', 'test_repo.py'), f'{path.name} names {found[0]}'


@pytest.mark.parametrize('name, commands', [
    ('test', ['bash .ci/run', 'make course']),
    ('newest', ['make constraints', 'bash .ci/run', 'make course', 'make notebooks']),
    ('site', ['make site']),
    ('browser', ['make browser']),
])
def test_workflows_run_what_the_documents_name(name, commands):
    flow = yaml.safe_load((ROOT/f'.github/workflows/{name}.yml').read_text())
    steps = [step for job in flow['jobs'].values() for step in job['steps']]
    ran = [step['run'] for step in steps if 'run' in step]
    assert [command for command in ran if command in commands] == commands
    targets = re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text(), flags=re.MULTILINE)
    assert {command.split()[1] for command in ran if command.startswith('make ')} <= set(targets)
    assert all(set(step) & {'run', 'uses'} for step in steps) and all('timeout-minutes' in job or 'environment' in job for job in flow['jobs'].values())


def test_every_workflow_is_looked_at(): assert {path.stem for path in ROOT.glob('.github/workflows/*.yml')} == {'test', 'newest', 'site', 'browser'}


def test_the_oldest_python_is_tested():
    oldest = yaml.safe_load((ROOT/'.github/workflows/test.yml').read_text())['jobs']['test']['strategy']['matrix']['python'][0]
    assert oldest == settings()['min_python']


GOOD = ['# Title\n> What it promises.', '#| export\ndef double(x): return 2*x', 'assert double(2) == 4\ndouble(2)']


@pytest.mark.parametrize('cells, fault', [
    (GOOD, None),
    (['No title'], '0 titles'),
    (['# Title\n\nand no promise'], 'not a title and a > line'),
    ([*GOOD, '# Another title'], '2 titles'),
    ([*GOOD, 'from math import *'], 'In [3] imports *'),
    ([*GOOD, '%pip install fastai'], 'installs packages'),
    ([*GOOD, 'import os\nos.environ["A"] = "1"'], 'touches the environment'),
    ([*GOOD, 'import warnings\nwarnings.simplefilter("ignore")'], 'silences warnings'),
    ([*GOOD, 'folder = "/home/somebody/models"'], 'names a path of one machine: /home/somebody'),
    ([*GOOD, r'folder = "C:\\Users\\somebody"'], 'names a path of one machine: C:'),
    ([*GOOD, 'if double(2):\n    %time double(3)'], None),
    ([*GOOD, '\n'.join(f'print({i})' for i in range(26))], 'In [3] has 26 lines'),
    ([*GOOD, 'table = [\n' + '\n'.join(f'    {i},' for i in range(40)) + '\n]'], None),
    (GOOD[:2], 'exported but in no cell with an assertion: double'),
    ([*GOOD[:2], 'double(2)'], 'exported but in no cell with an assertion: double'),
])
def test_gate_finds(cells, fault, tmp_path):
    "Cells that begin with '# T', '# A' or 'No' are text, the others code"
    made = [(nbformat.v4.new_markdown_cell if re.match('# [TA]|No', c) else nbformat.v4.new_code_cell)(c) for c in cells]
    nb = nbformat.v4.new_notebook(cells=made)
    nbformat.write(nb, tmp_path/'chapter.ipynb')
    found = list(gate.faults(tmp_path/'chapter.ipynb', nb))
    assert not found if fault is None else any(fault in line for line in found)


@pytest.mark.parametrize('output, fault', [
    (dict(output_type='stream', name='stderr', text='UserWarning: look\n'), 'writes to stderr'),
    (dict(output_type='stream', name='stdout', text='saved in /home/somebody/models'), 'a path of this machine'),
    (dict(output_type='error', ename='E', evalue='', traceback=[]), 'shows an error'),
    (dict(output_type='stream', name='stdout', text='epoch     train_loss  valid_loss  time\n'), 'not run in a Jupyter kernel'),
    (dict(output_type='display_data', data={'text/plain': '<IPython.core.display.HTML object>'}, metadata={}), 'not run in a Jupyter kernel'),
    (dict(output_type='display_data', data={'text/plain': '<Model at 0x7f3c5e2b90d0>'}, metadata={}), 'what every run changes'),
    (dict(output_type='display_data', data={'text/plain': '<IPython.core.display.HTML object>', 'text/html': '<p>1</p>'}, metadata={}), None),
    (dict(output_type='stream', name='stdout', text='42 and/or https://docs.fast.ai/home/x'), None),
])
def test_gate_looks_at_outputs(output, fault):
    cell = nbformat.v4.new_code_cell('1', outputs=[nbformat.from_dict(output)])
    found = list(gate.output_faults(nbformat.v4.new_notebook(cells=[cell])))
    assert not found if fault is None else fault in found[0]


@pytest.mark.parametrize('change, fault', [
    (lambda nb: None, None),
    (lambda nb: nb.metadata.update(widgets={}), 'metadata.widgets'),
    (lambda nb: nb.cells[0].update(cell_type='prose'), 'not a valid notebook'),
    (lambda nb: nb.cells[2].update(outputs=[{'output_type': 'stream', 'name': 'stdout'}]), 'not a valid notebook'),
    (lambda nb: nb.update(nbformat_minor=4), 'nbformat 4.4'),
])
def test_gate_looks_at_the_format(change, fault):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(GOOD[0]), *map(nbformat.v4.new_code_cell, GOOD[1:])])
    change(nb)
    found = list(gate.format_faults(nb))
    assert not found if fault is None else fault in ' '.join(found)


@pytest.mark.parametrize('first, fault', [('#| fig-alt: A line that falls.', False), ('#| fig-alt:', True), ('# a plot', True)])
def test_gate_wants_alt_texts(first, fault, tmp_path):
    picture = nbformat.v4.new_output('display_data', {'image/png': 'AA=='})
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(GOOD[0]), nbformat.v4.new_code_cell(f'{first}\n1', outputs=[picture])])
    nbformat.write(nb, tmp_path/'x.ipynb')
    assert any('shows a picture' in found for found in gate.faults(tmp_path/'x.ipynb', nb)) == fault


def test_gate_wants_outputs_in_chapters(tmp_path):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(GOOD[0]), nbformat.v4.new_code_cell('1')])
    for name, wanted in {'03_x.ipynb': True, 'x.ipynb': False}.items():
        nbformat.write(nb, tmp_path/name)
        assert any('no outputs' in fault for fault in gate.faults(tmp_path/name, nb)) == wanted


@pytest.mark.parametrize('name', draw.FIGURES)
def test_pictures_are_what_the_code_draws(name):
    svg = (ROOT/f'images/{name}.svg').read_text(encoding='utf-8')
    assert svg == draw.FIGURES[name](), 'run: python images/draw.py'
    ElementTree.fromstring(svg)


def test_every_picture_is_shown_somewhere():
    pages = [path.read_text(encoding='utf-8') for path in [ROOT/'README.md', *NOTEBOOKS]]
    unseen = [path.name for path in ROOT.glob('images/*.svg') if not any(f'images/{path.name})' in page for page in pages)]
    assert not unseen


def test_recorded_figures_are_those_of_a_whole_run():
    if not readme.RESULTS.exists(): pytest.skip('no run has been recorded yet')
    chapters = json.loads(readme.RESULTS.read_text(encoding='utf-8'))['chapters']
    assert [run['chapter'] for run in chapters] == [path.stem for path in NOTEBOOKS if re.match(r'\d\d_', path.stem)]
    assert not [run for run in chapters if run['error'] or not run['headline']]
