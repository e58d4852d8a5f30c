"""Measure the notebooks against the style of this course, and say which rules are broken.

    python tools/gate.py [NOTEBOOK ...]

Broken rules are listed and make the exit status 1. A figure with a star is outside the range that
we aim for; it fails nothing, but for the cells, words and longest run of a chapter, which is to be
read in an evening. "checks" is the share of lines in demonstration cells that are checks.
"""
import ast
import re
import statistics
import sys
from pathlib import Path

import nbformat
import stamp

ROOT = Path(__file__).resolve().parent.parent
AIM, MAX_LINES, MAX_KB = 25, 60, 200 # a line per parameter makes signatures long
MAX_CELLS, MAX_WORDS, MAX_RUN = 40, 50, 3 # of a chapter, questions and exercises left out
FORBIDDEN = {
    r'^\s*[%!]\s*pip': 'installs packages',
    r'\bos\.(environ|getenv|chdir)|\bchdir\(': 'touches the environment or the working folder',
    r'CUDA_VISIBLE_DEVICES|rcParams\[|logging\.disable\(': 'changes global settings',
    r'(simplefilter|filterwarnings)\(.ignore.(?![^)]*message)':
        'silences warnings that it does not name',
    r'google\.colab': 'asks for Colab: only the stamped cell does',
}
# The places that do: settings, where models lie, what an engine is told.
MAY = dict.fromkeys(['settings', 'runner', 'smollm', 'scale', 'distributed'],
                    'touches the environment or the working folder')
MACHINE = re.compile(r'(?<![\w.:/])/(home|root|tmp|work|Users|private)/[\w.-]+'
                     r'|\b[A-Z]:\\\\?(Users|Windows|Temp)\b')
# What a cell prints where no Jupyter kernel shows tables and bars; what every run changes.
NOT_A_KERNEL = re.compile(r'^epoch +train_loss|<IPython\.core\.display|<fastprogress', re.MULTILINE)
AFTER_THE_LESSON = re.compile('^## (Questions|Exercises)', re.MULTILINE)
NOISE = re.compile(r'\bat 0x[0-9a-f]{6,}')


def lines(cell):
    "The lines of code in a cell"
    found = cell.source.splitlines()
    return [line for line in found if line.strip() and not line.startswith('#|')]


def exported(cell): return bool(re.search(r'^#\|\s*exports?\b', cell.source, re.MULTILINE))


def tree(cell):
    "The syntax tree of a cell, without notebook magics"
    return ast.parse(re.sub(r'^([ \t]*)[%!].*', r'\1pass', cell.source, flags=re.MULTILINE))


def is_data(node):
    "A block to be looked up, not to be followed: imports, literals, the fields of a dataclass"
    if isinstance(node, (ast.Import, ast.ImportFrom)): return True
    if isinstance(node, ast.ClassDef):
        return all(isinstance(n, (ast.AnnAssign, ast.Expr)) for n in node.body)
    if not isinstance(node, (ast.Assign, ast.AnnAssign)): return False
    code = (ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.FunctionDef)
    return not any(isinstance(n, code) for n in ast.walk(node))


def public_names(cell):
    "What an exported cell promises; methods that are patched in belong to their class"
    for node in tree(cell).body:
        decorators = getattr(node, 'decorator_list', [])
        if any(getattr(d, 'id', '').startswith('patch') for d in decorators): continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        else: names = []
        yield from (name for name in names if not name.startswith('_'))


def asserts(node):
    "Is it a check that can fail?"
    if isinstance(node, ast.Assert): return True
    if not isinstance(node, ast.Call): return False
    name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
    return name.startswith(('test_', 'expect_fail', 'assert_'))


def asserted_names(cells):
    "All names that stand in a cell with a check"
    for cell in cells:
        nodes = list(ast.walk(tree(cell)))
        if not any(asserts(n) for n in nodes): continue
        for n in nodes: yield getattr(n, 'attr', getattr(n, 'id', None))


def longest_run(cells):
    "Code cells in a row without a word between them"
    run = best = 0
    for cell in cells:
        run = run+1 if cell.cell_type == 'code' else 0
        best = max(best, run)
    return best


def opening(cells):
    "One title, and under it one sentence that says what the notebook promises"
    text = '\n'.join(c.source for c in cells if c.cell_type == 'markdown')
    titles = re.findall('^# ', re.sub('```.*?```', '', text, flags=re.DOTALL), re.MULTILINE)
    if len(titles) != 1: yield f'{len(titles)} titles'
    if not re.match(r'# .+\n+> .+', cells[0].source):
        yield 'the first cell is not a title and a > line'


def output_faults(nb):
    "What a published output must not hold"
    code = [c for c in nb.cells if c.cell_type == 'code']
    for number, cell in enumerate(code, start=1):
        for fault in (fault for out in cell.outputs for fault in one_output(out)):
            yield f'In [{number}] {fault}'


def one_output(out):
    "What is wrong with one output of a cell"
    if out.output_type == 'error': yield 'shows an error'
    if out.get('name') == 'stderr': yield f'writes to stderr: {out.text.splitlines()[0][:60]}'
    data = out.get('data', {})
    shown = [str(value) for kind, value in data.items() if not kind.startswith('image/p')]
    text = ' '.join([out.get('text', ''), *shown])
    if found := MACHINE.search(text): yield f'shows a path of this machine: {found[0]}'
    if found := NOISE.search(text): yield f'shows what every run changes: {found[0]}'
    if 'text/html' not in data and (found := NOT_A_KERNEL.search(text)):
        yield f'was not run in a Jupyter kernel: {found[0]}'


def format_faults(nb):
    "What keeps programs from reading the notebook"
    try: nbformat.validate(nb)
    except nbformat.ValidationError as error:
        yield f'not a valid notebook: {str(error).splitlines()[0]}'
    if 'widgets' in nb.metadata: yield 'metadata.widgets: GitHub would not show the notebook'
    if (nb.nbformat, nb.nbformat_minor) != (4, 5):
        yield f'nbformat {nb.nbformat}.{nb.nbformat_minor}, not 4.5'


def path_faults(cells):
    "Absolute paths in what the author wrote"
    for number, cell in enumerate(cells):
        if found := MACHINE.search(cell.source):
            yield f'cell {number} names a path of one machine: {found[0]}'


def shows_picture(cell):
    "Does a cell show a picture without saying what is on it?"
    kinds = [kind for out in cell.outputs for kind in out.get('data', {})]
    picture = any(kind.startswith('image/') for kind in kinds)
    return picture and not re.search(r'^#\|\s*fig-alt: *\S', cell.source, re.MULTILINE)


def cell_faults(cell, stem):
    "The rules that a cell of code breaks"
    nodes, count = tree(cell).body, len(lines(cell))
    if count > MAX_LINES and not all(is_data(node) for node in nodes): yield f'has {count} lines'
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    if any(node.names[0].name == '*' for node in imports): yield 'imports *'
    if shows_picture(cell):
        yield 'shows a picture: say what is on it, in lines that begin "#| fig-alt: "'
    for pattern, what in FORBIDDEN.items():
        if MAY.get(stem) != what and re.search(pattern, cell.source, re.MULTILINE): yield what


def extent(nb):
    "Of a lesson: its cells of code, the words between them for each, the longest run without one"
    cells = list(lesson(nb.cells))
    n_code = sum(c.cell_type == 'code' for c in cells)
    words = sum(len(prose(c.source).split()) for c in cells if c.cell_type == 'markdown')
    return n_code, words/max(n_code, 1), longest_run(cells)


def lesson_faults(nb):
    "What makes a chapter too long to be read"
    n_code, words, run = extent(nb)
    if n_code > MAX_CELLS: yield f'{n_code} cells of code before the exercises, not {MAX_CELLS}'
    if words > MAX_WORDS: yield f'{words:.1f} words for each cell of code, not {MAX_WORDS}'
    if run > MAX_RUN: yield f'{run} cells of code without a word between them, not {MAX_RUN}'


def faults(path, nb):
    "The rules that a notebook breaks"
    code = [c for c in nb.cells if c.cell_type == 'code']
    yield from format_faults(nb)
    yield from opening(nb.cells)
    yield from output_faults(nb)
    yield from path_faults(nb.cells)
    if stamp.is_chapter(path): yield from lesson_faults(nb)
    if stamp.is_chapter(path) and not any(c.outputs for c in code):
        yield 'no outputs: run it with "textgraft run --inplace"'
    for number, cell in enumerate(code, start=1):
        if stamp.is_stamp(cell): continue
        for fault in cell_faults(cell, path.stem): yield f'In [{number}] {fault}'
    known = set(asserted_names(c for c in code if not exported(c)))
    promised = [name for cell in code if exported(cell) for name in public_names(cell)]
    missing = dict.fromkeys(name for name in promised if name not in known)
    if missing: yield f'exported but in no cell with an assertion: {", ".join(missing)}'
    if path.stat().st_size > MAX_KB*1000: yield f'{path.stat().st_size//1000} KB'


def check_share(cells):
    "Of the lines in demonstration cells: the percentage that are checks"
    total = checks = 0
    for cell in cells:
        if exported(cell): continue
        statements = tree(cell).body
        total += sum(node.end_lineno-node.lineno+1 for node in statements)
        for node in statements:
            if any(asserts(n) for n in ast.walk(node)): checks += node.end_lineno-node.lineno+1
    return 100*checks/max(total, 1)


def lesson(cells):
    "The cells before questions and exercises; stamped ones do not count"
    for cell in cells:
        if stamp.is_stamp(cell): continue
        if cell.cell_type == 'markdown' and (end := AFTER_THE_LESSON.search(cell.source)):
            yield nbformat.v4.new_markdown_cell(cell.source[:end.start()])
            return
        yield cell


def prose(text):
    "What is read: no tables, no pictures, no addresses of links"
    text = re.sub(r'```.*?```|!\[[^\]]*\]\([^)]*\)', '', text, flags=re.DOTALL)
    text = re.sub(r'\]\([^)]*\)', ']', text)
    return '\n'.join(line for line in text.splitlines() if not line.startswith('|'))


def measures(path, nb):
    "The figures of the table, those outside our range with a star"
    cells = list(lesson(nb.cells))
    code = [c for c in cells if c.cell_type == 'code']
    counts = sorted(len(lines(c)) for c in code) or [0]
    n_code, words, run = extent(nb)
    figures = [ # value, lowest and highest that we aim for
        (n_code, 0, MAX_CELLS),
        (statistics.median(counts), 2, 6),
        (counts[int(.9*(len(counts)-1))], 0, 12),
        (counts[-1], 0, AIM),
        (words, 25, MAX_WORDS),
        (run, 0, MAX_RUN),
        (check_share(code), 0, 20 if stamp.is_chapter(path) else 100),
        (path.stat().st_size/1000, 0, MAX_KB),
    ]
    return [f'{value:.0f}{"" if low <= value <= high else "*"}' for value, low, high in figures]


def main(paths):
    rows = [['notebook', 'cells', 'median', 'p90', 'max', 'words/cell', 'run', 'checks', 'KB']]
    broken = []
    for path in paths or [*stamp.notebooks(), ROOT/'nbs/index.ipynb']:
        nb, name = nbformat.read(path, as_version=4), stamp.place(path)[4:-6]
        rows.append([name, *measures(path, nb)])
        broken += [f'{name}: {fault}' for fault in faults(path, nb)]
    for name, *figures in rows: print(f'{name:<26}', *(f'{figure:>10}' for figure in figures))
    print(*broken, sep='\n', end='\n' if broken else '')
    return bool(broken)


if __name__ == '__main__': sys.exit(main([Path(name).resolve() for name in sys.argv[1:]]))
