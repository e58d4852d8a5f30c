"What notebooks carry for Colab: the stamp, and that an installation there replaces nothing"
import json
import re
import sys
import types
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT.parent/'shared/data/colab/pip-freeze-2026-08.txt'
sys.path.insert(0, str(ROOT/'tools'))
import colab  # noqa: E402
import gate  # noqa: E402
import stamp  # noqa: E402

CHAPTER, APPENDIX = ROOT/'nbs/04_classifier.ipynb', ROOT/'nbs/library/files.ipynb'


@pytest.fixture
def nb():
    "A small notebook that was never stamped"
    cells = [nbformat.v4.new_markdown_cell('# Title\n> Promise.', id='a'), nbformat.v4.new_markdown_cell('![map](../images/map.svg)', id='b'),
        nbformat.v4.new_code_cell('1+1', id='c', outputs=[nbformat.v4.new_output('execute_result', {'text/plain': '2'})])]
    return json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))


def test_all_notebooks_are_stamped(): assert not stamp.main([], check=True)


@pytest.mark.parametrize('path', [CHAPTER, APPENDIX], ids=lambda path: path.stem)
def test_stamping_adds_two_cells_and_keeps_the_others(path, nb):
    made = stamp.stamped(nb, path)
    assert [cell['id'] for cell in made['cells']] == ['a', 'stamp-header', 'b', 'stamp-install', 'c']
    assert [cell for cell in made['cells'] if not cell['id'].startswith('stamp')] == nb['cells']
    assert made['metadata']['accelerator'] == 'GPU' and made['metadata']['colab']['gpuType'] == 'T4'
    assert not list(stamp.faults(made, path)) and stamp.stamped(made, path) == made
    nbformat.validate(nbformat.from_dict(made))


@pytest.mark.parametrize('change, fault', [
    (lambda made: made['cells'].pop(1), 'without the current header'),
    (lambda made: made['cells'].pop(3), 'without the current installation'),
    (lambda made: made['cells'][1].update(source=['[![Open in Colab](x)](https://example.org)']), 'without the current header'),
    (lambda made: made['cells'].append(made['cells'][3]), 'out of place, or there twice'),
    (lambda made: made['cells'].reverse(), 'out of place, or there twice'),
    (lambda made: made['metadata'].pop('accelerator'), 'metadata.accelerator'),
])
def test_check_finds(change, fault, nb):
    made = stamp.stamped(nb, CHAPTER)
    change(made)
    assert [fault in found for found in stamp.faults(made, CHAPTER)] == [True]
    if 'reverse' not in change.__code__.co_names: assert not list(stamp.faults(stamp.stamped(made, CHAPTER), CHAPTER))


def test_a_stamped_cell_keeps_its_id(nb):
    made = stamp.stamped(nb, CHAPTER)
    made['cells'][1]['id'], made['cells'][3]['id'] = 'given', 'renamed'
    made['cells'][3]['source'] = made['cells'][3]['source'][:-2]
    assert [cell['id'] for cell in stamp.stamped(made, CHAPTER)['cells']] == ['a', 'given', 'b', 'renamed', 'c']


@pytest.fixture
def shell(monkeypatch):
    "Runs a cell as Jupyter does, and remembers its magics instead of obeying them"
    made, asked = InteractiveShell(), []
    monkeypatch.setattr(made, 'run_line_magic', lambda name, line, **options: asked.append(f'{name} {line}'))
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
    for name, module in {'google': types.ModuleType('google'), 'google.colab': package, 'google.colab.drive': drive}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return mounted


@pytest.mark.parametrize('path', stamp.notebooks(), ids=lambda path: path.stem)
def test_the_cell_does_nothing_elsewhere(path, shell): assert shell(stamp.install(path)) == []


@pytest.mark.parametrize('path', stamp.notebooks(), ids=lambda path: path.stem)
def test_on_colab_it_installs_the_package_and_asks_for_nothing(path, shell, in_colab):
    cfg = stamp.settings()
    assert shell(stamp.install(path)) == [f'pip install --quiet git+https://github.com/{cfg["user"]}/{cfg["repo"]}@{cfg["branch"]}']
    assert in_colab == []


def test_drive_is_used_by_those_who_ask_for_it(shell, in_colab):
    ticked = stamp.install(CHAPTER).replace('keep_on_drive = False', 'keep_on_drive = True')
    assert ticked != stamp.install(CHAPTER)
    assert shell(ticked)[1:] == ['env TEXTGRAFT_HOME=/content/drive/MyDrive/textgraft'] and in_colab == ['/content/drive']


def test_one_address():
    cfg = stamp.settings()
    address = f'{cfg["user"]}/{cfg["repo"]}'
    urls = {stamp.colab_url(path) for path in stamp.notebooks()}
    readme = (ROOT/'README.md').read_text(encoding='utf-8')
    found = re.findall(r'https://colab\.research\.google\.com/[^)\s]+', readme)
    assert len(found) >= 6 and set(found) <= urls
    assert set(re.findall(r'git\+https://github\.com/([\w.-]+/[\w.-]+)', readme)) == {address}
    assert f'git_url = "https://github.com/{address}"' in (ROOT/'pyproject.toml').read_text(encoding='utf-8')


def test_pretended_packages_count_as_installed():
    here = {'pandas': '2.2.3', 'scikit-learn': '1.6.1'}
    assert colab.would_change(here, ['pandas>=2.2', 'scikit_learn<2']) == []
    assert 'pandas' in colab.would_change(here, ['pandas>=3'])[0]
    assert 'numpy' in colab.would_change(here, ['numpy'])[0]


def test_list_of_packages_is_read():
    text = 'numpy==2.1.3\nscikit_learn==1.6.1\nnvidia-nccl-cu13==2.31.2\ntorch @ https://example.org/torch.whl\n'
    assert colab.pins(text, ['torch==2.11.0']) == {'numpy': '2.1.3', 'scikit-learn': '1.6.1', 'torch': '2.11.0'}


@pytest.mark.skipif(not LIST.exists(), reason="needs Colab's package list in shared/data beside the checkout")
def test_an_installation_on_colab_replaces_nothing():
    packages = colab.pins(LIST.read_text(), ['torch==2.11.0'])
    assert colab.would_change(packages, colab.needed()) == []


def test_record_of_colab_is_of_these_requirements():
    record = json.loads((ROOT/'results/colab.json').read_text(encoding='utf-8'))
    assert record['requirements'] == colab.needed(), 'run tools/colab.py again'
    assert record['changes'] == [] and record['replaced'] == {}
    assert {'torch', 'numpy', 'pandas', 'fastai', 'transformers'} <= set(record['kept'])
    if 'run' not in record: pytest.skip('the chapters have not been run with these packages yet: tools/colab.py --run')
    chapters = record['run']['chapters']
    assert [run['chapter'] for run in chapters] == [path.stem for path in stamp.notebooks() if stamp.is_chapter(path)]
    assert [run['chapter'] for run in record['run']['chapter_4_alone']] == ['04_classifier']
    assert not [run for run in [*chapters, *record['run']['chapter_4_alone']] if run['error'] or not run['headline']]


def test_gate_lets_the_stamp_pass_and_nothing_like_it(nb, tmp_path):
    made, path = stamp.stamped(nb, CHAPTER), tmp_path/'chapter.ipynb'
    path.write_text(json.dumps(made))
    assert not list(gate.faults(path, nbformat.read(path, 4)))
    for source, fault in [('%pip install fastai', 'installs packages'), ('from google.colab import drive', 'asks for Colab')]:
        path.write_text(json.dumps({**made, 'cells': [*made['cells'], nbformat.v4.new_code_cell(source)]}))
        assert [fault in found for found in gate.faults(path, nbformat.read(path, 4))] == [True]
