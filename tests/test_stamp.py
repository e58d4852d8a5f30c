"What notebooks carry for Colab, and that an installation there replaces nothing"
import json
import re
import sys
import types
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT.parent/'shared/data/colab/pip-freeze-2026-08.txt'
sys.path.insert(0, str(ROOT/'tools'))
import colab  # noqa: E402
import gate  # noqa: E402
import stamp  # noqa: E402

CHAPTER, OTHER = ROOT/'nbs/04_classifier.ipynb', ROOT/'nbs/library/files.ipynb'
each_kind = pytest.mark.parametrize('path', [CHAPTER, OTHER], ids=lambda path: path.stem)


@pytest.fixture
def nb():
    "A small notebook that was never stamped"
    cells = [nbformat.v4.new_markdown_cell('# Title\n> Promise.', id='a'),
             nbformat.v4.new_markdown_cell('![map](../images/map.svg)', id='b'),
             nbformat.v4.new_code_cell('1+1', id='c')]
    return json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))


@each_kind
def test_stamping_adds_two_cells_and_keeps_the_others(path, nb):
    made = stamp.stamped(nb, path)
    ids = [cell['id'] for cell in made['cells']]
    assert ids == ['a', 'stamp-header', 'b', 'stamp-install', 'c']
    assert [cell for cell in made['cells'] if not stamp.is_stamp(cell)] == nb['cells']
    assert made['metadata']['accelerator'] == 'GPU'
    assert stamp.colab_url(path).endswith(path.relative_to(ROOT).as_posix())
    nbformat.validate(nbformat.from_dict(made))


def test_stamping_again_changes_nothing_and_mends_what_is_wrong(nb):
    made = stamp.stamped(nb, CHAPTER)
    assert stamp.stamped(made, CHAPTER) == made
    spoiled = json.loads(json.dumps(made))
    spoiled['cells'][1]['source'] = ['[![Open in Colab](x)](https://example.org)']
    spoiled['cells'].append(spoiled['cells'][3])
    del spoiled['metadata']['accelerator']
    assert stamp.stamped(spoiled, CHAPTER) == made


@pytest.fixture
def shell(monkeypatch):
    "Runs a cell as Jupyter does, and remembers its magics instead of obeying them"
    made, asked = InteractiveShell(), []

    def remember(name, line, **options): asked.append(f'{name} {line}')

    monkeypatch.setattr(made, 'run_line_magic', remember)

    def execute(source):
        done = made.run_cell(source)
        assert done.success, done.error_in_exec or done.error_before_exec
        return asked
    return execute


@pytest.fixture
def in_colab(monkeypatch):
    "What Colab puts into every session; `mounted` is where Drive was asked for"
    mounted, drive = [], types.ModuleType('google.colab.drive')
    drive.mount = mounted.append
    package = types.ModuleType('google.colab')
    package.drive = drive
    modules = {'google': types.ModuleType('google'), 'google.colab': package,
               'google.colab.drive': drive}
    for name, module in modules.items(): monkeypatch.setitem(sys.modules, name, module)
    return mounted


@each_kind
def test_the_cell_does_nothing_elsewhere(path, shell): assert shell(stamp.install(path)) == []


@each_kind
def test_on_colab_it_installs_the_package_and_asks_for_nothing(path, shell, in_colab):
    address = 'git+https://github.com/{user}/{repo}@{branch}'.format(**stamp.settings())
    assert shell(stamp.install(path)) == [f'pip install --quiet {address}']
    assert in_colab == []


def test_drive_is_used_by_those_who_ask_for_it(shell, in_colab):
    ticked = stamp.install(CHAPTER).replace('keep_on_drive = False', 'keep_on_drive = True')
    assert shell(ticked)[1:] == ['env TEXTGRAFT_HOME=/content/drive/MyDrive/textgraft']
    assert in_colab == ['/content/drive']


def test_one_address():
    address = '{user}/{repo}'.format(**stamp.settings())
    urls = {stamp.colab_url(path) for path in stamp.notebooks()}
    readme = (ROOT/'README.md').read_text(encoding='utf-8')
    found = re.findall(r'https://colab\.research\.google\.com/[^)\s]+', readme)
    assert len(found) >= 6 and set(found) <= urls
    assert set(re.findall(r'git\+https://github\.com/([\w.-]+/[\w.-]+)', readme)) <= {address}
    text = (ROOT/'pyproject.toml').read_text(encoding='utf-8')
    assert f'git_url = "https://github.com/{address}"' in text


def test_gate_lets_only_the_stamp_install(nb, tmp_path):
    made, path = stamp.stamped(nb, CHAPTER), tmp_path/'chapter.ipynb'
    path.write_text(json.dumps(made))
    assert not list(gate.faults(path, nbformat.read(path, 4)))
    made['cells'].append(nbformat.v4.new_code_cell('from google.colab import drive'))
    path.write_text(json.dumps(made))
    fault, = gate.faults(path, nbformat.read(path, 4))
    assert 'asks for Colab' in fault


def test_list_of_packages_is_read_and_counts_as_installed():
    text = 'pandas==2.2.3\nscikit_learn==1.6.1\nnvidia-nccl-cu13==2.31.2\ntorch @ https://x.org/t.whl\n'
    here = colab.pins(text, ['torch==2.11.0'])
    assert here == {'pandas': '2.2.3', 'scikit-learn': '1.6.1', 'torch': '2.11.0'}
    assert colab.would_change(here, ['pandas>=2.2', 'scikit_learn<2']) == []
    assert 'pandas' in colab.would_change(here, ['pandas>=3'])[0]


@pytest.mark.skipif(not LIST.exists(), reason="needs Colab's package list in shared/data")
def test_an_installation_on_colab_replaces_nothing():
    there = colab.pins(LIST.read_text(), ['torch==2.11.0'])
    needs = [need for need in colab.needed() if colab.normal(Requirement(need).name) in there]
    assert len(needs) >= 20 and colab.would_change(there, needs) == []


def test_record_of_colab_is_of_these_requirements():
    record = json.loads((ROOT/'results/colab.json').read_text(encoding='utf-8'))
    assert record['requirements'] == colab.needed(), 'run tools/colab.py again'
    assert record['replaced'] == {} and {'torch', 'numpy', 'pandas'} <= set(record['kept'])
    if 'run' not in record: pytest.skip('chapters have not run there yet: tools/colab.py --run')
    chapters = record['run']['chapters']
    there = [path.stem for path in stamp.notebooks() if stamp.is_chapter(path)]
    assert [run['chapter'] for run in chapters] == there
    assert not [run for run in chapters if run['error'] or not run['headline']]
