"""Measure the notebooks against the style of this course, and say which rules are broken.

    python tools/gate.py [NOTEBOOK ...]

Broken rules are listed and make the exit status 1. A figure with a star is outside the range that we aim for; it fails nothing.
"""
import ast
import re
import statistics
import sys
from pathlib import Path

import nbformat
import stamp

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES, MAX_KB = 25, 200
FORBIDDEN = {
    r'^\s*[%!]\s*pip|pip install': 'installs packages',
    r'\bos\.(environ|getenv|chdir)|\bchdir\(': 'touches the environment or the working folder',
    r'CUDA_VISIBLE_DEVICES|rcParams\[|logging\.disable\(': 'changes global settings',
    r'(simplefilter|filterwarnings)\(.ignore.(?![^)]*message)': 'silences warnings that it does not name',
    r'google\.colab': 'asks for Colab: only the stamped cell does',
}
MAY = {'course': 'touches the environment or the working folder'} # the one place that does
MACHINE = re.compile(r'(?<![\w.:/])/(home|root|tmp|work|Users|private)/[\w.-]+|\b[A-Z]:\\\\?(Users|Windows|Temp)\b')
# What a cell prints where no Jupyter kernel shows tables and bars, and what is different in every run.
NOT_A_KERNEL = re.compile(r'^epoch +train_loss|<IPython\.core\.display|<fastprogress', re.MULTILINE)
NOISE = re.compile(r'\bat 0x[0-9a-f]{6,}')


def lines(cell): return [line for line in cell.source.splitlines() if line.strip() and not line.startswith('#|')]


def exported(cell): return bool(re.search(r'^#\|\s*exports?\b', cell.source, re.MULTILINE))


def tree(cell):
    "The syntax tree of a cell, without notebook magics"
    return ast.parse(re.sub(r'^([ \t]*)[%!].*', r'\1pass', cell.source, flags=re.MULTILINE))


def is_data(node):
    "A block to be looked up, not code to be followed: imports, literals, settings, the fields of a dataclass"
    if isinstance(node, (ast.Import, ast.ImportFrom)): return True
    if isinstance(node, ast.ClassDef): return all(isinstance(n, (ast.AnnAssign, ast.Expr)) for n in node.body)
    if not isinstance(node, (ast.Assign, ast.AnnAssign)): return False
    return not any(isinstance(n, (ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.FunctionDef)) for n in ast.walk(node))


def public_names(cell):
    "What an exported cell promises: functions, classes, constants; methods that are patched in belong to their class"
    for node in tree(cell).body:
        if any(getattr(d, 'id', '').startswith('patch') for d in getattr(node, 'decorator_list', [])): continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): names = [node.name]
        elif isinstance(node, ast.Assign): names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        else: names = []
        yield from (name for name in names if not name.startswith('_'))


def asserts(node):
    "Is it a check that can fail?"
    if isinstance(node, ast.Assert): return True
    name = getattr(node.func, 'attr', getattr(node.func, 'id', '')) if isinstance(node, ast.Call) else ''
    return name.startswith(('test_', 'expect_fail', 'assert_'))


def asserted_names(cells):
    "All names that stand in a cell with a check"
    for cell in cells:
        nodes = list(ast.walk(tree(cell)))
        if any(map(asserts, nodes)): yield from (getattr(n, 'attr', getattr(n, 'id', None)) for n in nodes)


def longest_run(cells):
    "Code cells in a row without a word between them"
    run = best = 0
    for cell in cells:
        run = run+1 if cell.cell_type == 'code' else 0
        best = max(best, run)
    return best


def opening(cells):
    "One title, and under it one sentence that says what the notebook promises"
    titles = [line for c in cells if c.cell_type == 'markdown' for line in c.source.splitlines() if re.match('# ', line)]
    if len(titles) != 1: yield f'{len(titles)} titles'
    if not re.match(r'# .+\n+> .+', cells[0].source): yield 'the first cell is not a title and a > line'


def output_faults(nb):
    "What a published output must not hold"
    for number, cell in enumerate((c for c in nb.cells if c.cell_type == 'code'), start=1):
        for out in cell.outputs:
            if out.output_type == 'error': yield f'In [{number}] shows an error'
            if out.get('name') == 'stderr': yield f'In [{number}] writes to stderr: {out.text.splitlines()[0][:60]}'
            text = ' '.join([out.get('text', ''), *(str(v) for k, v in out.get('data', {}).items() if not k.startswith('image/p'))])
            if found := MACHINE.search(text): yield f'In [{number}] shows a path of this machine: {found[0]}'
            if found := NOISE.search(text): yield f'In [{number}] shows what every run changes: {found[0]}'
            if 'text/html' not in out.get('data', {}) and (found := NOT_A_KERNEL.search(text)):
                yield f'In [{number}] was not run in a Jupyter kernel: {found[0]}'


def format_faults(nb):
    "What keeps programs from reading the notebook"
    try: nbformat.validate(nb)
    except nbformat.ValidationError as error: yield f'not a valid notebook: {str(error).splitlines()[0]}'
    if 'widgets' in nb.metadata: yield 'metadata.widgets: GitHub would not show the notebook'
    if (nb.nbformat, nb.nbformat_minor) != (4, 5): yield f'nbformat {nb.nbformat}.{nb.nbformat_minor}, not 4.5'


def path_faults(cells):
    "Absolute paths in what the author wrote"
    for number, cell in enumerate(cells):
        if found := MACHINE.search(cell.source): yield f'cell {number} names a path of one machine: {found[0]}'


def faults(path, nb):
    "The rules that a notebook breaks"
    code = [c for c in nb.cells if c.cell_type == 'code']
    yield from format_faults(nb)
    yield from opening(nb.cells)
    yield from output_faults(nb)
    yield from path_faults(nb.cells)
    if path.stem[:2].isdigit() and not any(c.outputs for c in code): yield 'no outputs: run it with "textgraft run --inplace"'
    for number, cell in enumerate(code, start=1):
        if stamp.is_stamp(cell): continue
        where, nodes = f'In [{number}]', tree(cell).body
        if len(lines(cell)) > MAX_LINES and not all(map(is_data, nodes)): yield f'{where} has {len(lines(cell))} lines'
        if any(isinstance(n, ast.ImportFrom) and n.names[0].name == '*' for n in nodes): yield f'{where} imports *'
        if any(k.startswith('image/') for out in cell.outputs for k in out.get('data', {})) and not re.search(r'^#\|\s*fig-alt: *\S', cell.source, re.MULTILINE):
            yield f'{where} shows a picture: say what is on it, in a line "#| fig-alt: ..."'
        for pattern, what in FORBIDDEN.items():
            if re.search(pattern, cell.source, re.MULTILINE) and MAY.get(path.stem) != what: yield f'{where} {what}'
    known = set(asserted_names(c for c in code if not exported(c)))
    missing = [name for cell in code if exported(cell) for name in public_names(cell) if name not in known]
    if missing: yield f'exported but in no cell with an assertion: {", ".join(dict.fromkeys(missing))}'
    if path.stat().st_size > MAX_KB*1000: yield f'{path.stat().st_size//1000} KB'


def measures(path, nb):
    "The figures of the table, those outside our range with a star; stamped cells do not count"
    cells = [c for c in nb.cells if not stamp.is_stamp(c)]
    code = [c for c in cells if c.cell_type == 'code']
    counts = sorted(len(lines(c)) for c in code) or [0]
    words = sum(len(c.source.split()) for c in cells if c.cell_type == 'markdown')/max(len(code), 1)
    figures = [(len(code), 0, 40), (statistics.median(counts), 2, 6), (counts[int(.9*(len(counts)-1))], 0, 12),
        (counts[-1], 0, MAX_LINES), (words, 25, 70), (longest_run(cells), 0, 3), (path.stat().st_size/1000, 0, MAX_KB)]
    return [f'{value:.0f}{"" if low <= value <= high else "*"}' for value, low, high in figures]


def main(paths):
    rows = [['notebook', 'cells', 'median', 'p90', 'max', 'words/cell', 'run', 'KB']]
    broken = []
    for path in paths or sorted(p for p in ROOT.glob('nbs/**/*.ipynb') if '.ipynb_checkpoints' not in p.parts):
        nb = nbformat.read(path, as_version=4)
        rows.append([path.stem, *measures(path, nb)])
        broken += [f'{path.stem}: {fault}' for fault in faults(path, nb)]
    for row in rows: print(f'{row[0]:<18}' + ''.join(f'{figure:>11}' for figure in row[1:]))
    print(*broken, sep='\n', end='\n' if broken else '')
    return bool(broken)


if __name__ == '__main__': sys.exit(main([Path(name) for name in sys.argv[1:]]))
