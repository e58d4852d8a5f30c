"""Give every notebook what it needs on Colab: a badge, the versions, one cell that installs, a GPU.

    python tools/stamp.py [NOTEBOOK ...]     stamp them; without a name, all

Where the repository lies is said once, in settings.ini (`user`, `repo`, `branch`); the versions
are those of the recorded runs in results/. Stamped cells are replaced, all others keep their
sources, ids and outputs.
"""
import json
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ['library', 'course'] # the folders of nbs/ beside the chapters
BADGE = '[![Open in Colab]'
ASKS_FOR_COLAB = "if 'google.colab' in sys.modules:"
METADATA = {
    # Without these two Colab starts without a GPU.
    'accelerator': 'GPU',
    'colab': {'gpuType': 'T4', 'provenance': []},
    'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'},
}
SHOWN = {
    'python': 'Python',
    'fastai': 'fastai',
    'torch': 'PyTorch',
    'transformers': 'transformers',
}
INSTALL = '''#| hide
import sys

{asks}
    %pip install --quiet git+{repository}@{branch}'''
INSTALL_AND_KEEP = '''#| hide
import sys

# On Colab: True keeps what training saves on your Google Drive, for your next session.
# You will be asked for permission.
keep_on_drive = False #@param {{type:"boolean"}}
{asks}
    %pip install --quiet git+{repository}@{branch}
    if keep_on_drive:
        from google.colab import drive
        drive.mount('/content/drive')
        %env TEXTGRAFT_HOME=/content/drive/MyDrive/textgraft'''


def settings(root=ROOT):
    "The one source of metadata"
    parser = ConfigParser(delimiters='=')
    parser.read(root/'settings.ini', encoding='utf-8')
    return parser['DEFAULT']


def repository(): return 'https://github.com/{user}/{repo}'.format(**settings())


def notebooks():
    "Chapters, then the library and the course's own notebooks, in reading order"
    chapters = sorted((ROOT/'nbs').glob('[0-9]*.ipynb'))
    return chapters + [path for room in ROOMS for path in sorted((ROOT/'nbs'/room).glob('*.ipynb'))]


def is_chapter(path): return path.name[:2].isdigit()


def place(path):
    "Where a notebook stands in the repository"
    room = path.parent.name
    return f'nbs/{room}/{path.name}' if room in ROOMS else f'nbs/{path.name}'


def colab_url(path):
    "The address at which Colab opens a notebook of this repository"
    blob = 'https://colab.research.google.com/github/{user}/{repo}/blob/{branch}/'
    return blob.format(**settings()) + place(path)


def record(name):
    "A recorded run, or None"
    path = ROOT/f'results/{name}.json'
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else None


def versions(record):
    "The packages of a recorded run in a few words"
    return ', '.join(f'{shown} {record["versions"][name]}' for name, shown in SHOWN.items())


def version_line():
    "What the outputs were made with, and what else the chapters ran on"
    line = f'Textgraft {settings()["version"]}.'
    here, colab = record('course-small'), record('colab')
    if here: line += f' The outputs below come from {versions(here)}.'
    if colab and colab.get('run'):
        line += f' All chapters also ran on the versions that Colab had in {colab["month"]}: ' \
            f'{versions(colab["run"])}.'
    return line


def header(path):
    "The badge and the version line"
    up = '../' * place(path).count('/')
    return f'{BADGE}({up}images/open-in-colab.svg)]({colab_url(path)})\n\n{version_line()}'


def install(path):
    "The cell that installs on Colab and does nothing elsewhere; a chapter can also use Drive"
    template = INSTALL_AND_KEEP if is_chapter(path) else INSTALL
    branch = settings()['branch']
    return template.format(asks=ASKS_FOR_COLAB, repository=repository(), branch=branch)


def source(cell): return ''.join(cell['source'])


def is_stamp(cell):
    "Is it one of our two cells?"
    if cell['cell_type'] == 'code': return ASKS_FOR_COLAB in source(cell)
    return source(cell).startswith(BADGE)


def cell(kind, text, old):
    "A stamped cell with the id that it had, or one that says what it is"
    name = 'stamp-header' if kind == 'markdown' else 'stamp-install'
    ids = [each['id'] for each in old if each['cell_type'] == kind] + [name]
    lines = text.splitlines(keepends=True)
    made = {'cell_type': kind, 'id': ids[0], 'metadata': {}, 'source': lines}
    return made if kind == 'markdown' else {**made, 'execution_count': None, 'outputs': []}


def stamped(nb, path):
    "The notebook with the header under its title and the installation before its first code"
    old = [c for c in nb['cells'] if is_stamp(c)]
    cells = [c for c in nb['cells'] if not is_stamp(c)]
    first = next(i for i, c in enumerate(cells) if c['cell_type'] == 'code')
    cells[first:first] = [cell('code', install(path), old)]
    cells[1:1] = [cell('markdown', header(path), old)]
    return {**nb, 'cells': cells, 'metadata': {**nb['metadata'], **METADATA}}


def main(names):
    "Stamp these notebooks; without a name, all"
    for path in [Path(name).resolve() for name in names] or notebooks():
        nb = json.loads(path.read_text(encoding='utf-8'))
        text = json.dumps(stamped(nb, path), sort_keys=True, indent=1, ensure_ascii=False)
        path.write_text(text+'\n', encoding='utf-8')


if __name__ == '__main__': main(sys.argv[1:])
