"The rooms of the package: who may import whom, that every module stands alone, and what is light"
import ast
import importlib
import multiprocessing
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT/'textgraft').rglob('[a-z]*.py'))


def module_name(path): return '.'.join(path.relative_to(ROOT).with_suffix('').parts)


NAMES = [module_name(path) for path in FILES]


def imported(source, name, names):
    "The modules of `names` that the module `name` imports, also those inside functions"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import): found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = name.split('.')[:-node.level] if node.level else []
            base = '.'.join([*base, *([node.module] if node.module else [])])
            found = [base, *(f'{base}.{alias.name}' for alias in node.names)]
        else: continue
        yield from (each for each in found if each in names)


def test_imports_are_found_wherever_they_stand():
    names = ['a.b', 'a.c', 'a.r.d', 'a.r.e']
    source = 'from .d import x\ndef f():\n    from ..c import y\n    import a.b\n'
    assert list(imported(source, 'a.r.e', names)) == ['a.r.d', 'a.c', 'a.b']
    assert list(imported('from a import c', 'a.b', names)) == ['a.c']


@pytest.fixture(scope='module')
def graph():
    "What each module imports of ours"
    sources = {module_name(path): path.read_text(encoding='utf-8') for path in FILES}
    return {name: set(imported(source, name, NAMES)) for name, source in sources.items()}


def test_the_library_does_not_know_the_course(graph):
    def of_course(name): return name.startswith('textgraft.course')

    for name, others in graph.items():
        known = [other for other in others if of_course(other)]
        assert of_course(name) or not known, f'{name} imports {known}'


def test_no_module_imports_itself_over_others(graph):
    try: list(TopologicalSorter(graph).static_order())
    except CycleError as error: pytest.fail(' -> '.join(error.args[1]))


def fault(name):
    "What is wrong with a module; empty if nothing is"
    try: module = importlib.import_module(name)
    except Exception as error: return f'cannot import {name}: {type(error).__name__}: {error}'
    missing = [each for each in getattr(module, '__all__', []) if not hasattr(module, each)]
    return f'{name} lacks {", ".join(missing)}' if missing else ''


EVERY_MODULE = '''
import multiprocessing, sys
import fastai.text.all, pandas, sklearn.model_selection, spacy # once, before the processes fork
from test_imports import NAMES, fault
with multiprocessing.get_context('fork').Pool(2, maxtasksperchild=1) as pool:
    faults = [found for found in pool.map(fault, NAMES, chunksize=1) if found]
sys.exit('\\n'.join(faults) or None)
'''


@pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='needs fork')
def test_every_module_imports_by_itself_and_keeps_its_promises():
    done = subprocess.run([sys.executable, '-c', EVERY_MODULE], cwd=Path(__file__).parent,
                          capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize('name', ['textgraft', 'textgraft.course.runner'])
def test_importing_is_light(name):
    heavy = ['torch', 'fastai', 'pandas', 'numpy', 'spacy', 'sklearn', 'transformers', 'IPython']
    asks = f'import sys, {name}; print([each for each in {heavy} if each in sys.modules])'
    done = subprocess.run([sys.executable, '-c', asks], capture_output=True, text=True)
    assert done.stdout.strip() == '[]', done.stderr
