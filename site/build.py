"""Build the web site in _site/html from the notebooks as they are committed. Nothing is executed.

    python site/build.py

What Sphinx doubts, and every link, anchor or picture that is missing in the result, makes it fail.
"""
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import check
import conf
from sphinx.cmd.build import main as sphinx

ROOT = conf.ROOT
sys.path.insert(0, str(ROOT/'tools'))
import readme  # noqa: E402
import stamp  # noqa: E402

OUT = ROOT/'_site'
SOURCE, HTML, VENDORED = OUT/'source', OUT/'html', OUT/'vendored'
MATHJAX = 'mathjax@3.2.2'


def relink(match):
    "A link of README.md as seen from the first page of the site"
    target = match[1]
    if re.match(r'[a-z]+:|#|images/', target): return match[0]
    if re.match(r'nbs/.+\.ipynb', target): return f']({target.removeprefix("nbs/")})'
    return f']({conf.REPOSITORY}/blob/{conf.cfg["branch"]}/{target})'


def module_pages():
    "For each module, in reading order: its name, and the notebook that it comes from"
    for path in stamp.notebooks():
        cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        code = '\n'.join(''.join(cell['source']) for cell in cells)
        found = re.search(r'^#\|\s*default_exp (\S+)', code, flags=re.MULTILINE)
        name = path.relative_to(ROOT/'nbs').as_posix()
        if found: yield f'{conf.cfg["lib_name"]}.{found[1]}', name


def directive(value):
    "What autodoc calls this kind of name"
    if inspect.isclass(value): return 'autoclass'
    return 'autofunction' if inspect.isroutine(value) else 'autodata'


def api_page(name, notebook):
    "A table of the names that a module exports, then each of them with its parameters"
    module = importlib.import_module(name)
    summary = ['.. autosummary::', '   :nosignatures:', '', *(f'   {x}' for x in module.__all__)]
    blocks = [f'.. py:currentmodule:: {name}', '\n'.join(summary)]
    blocks += [f'.. {directive(getattr(module, each))}:: {each}' for each in module.__all__]
    rst = '\n\n'.join(blocks)
    about = f'{module.__doc__} It is made by [this notebook](../{notebook}).'
    return f'# {name}\n\n{about}\n\n```{{eval-rst}}\n{rst}\n```\n'


def write_api():
    "A page for each module, and one that lists them"
    modules = dict(module_pages())
    table = ['| module | what it is |', '|---|---|']
    for name, notebook in modules.items():
        (SOURCE/f'api/{name}.md').write_text(api_page(name, notebook), encoding='utf-8')
        table.append(f'| [`{name}`]({name}.md) | {importlib.import_module(name).__doc__} |')
    head = ['# The package', '', 'Every notebook is also a module; folders are packages.', '']
    toctree = ['', '```{toctree}', ':hidden:', '', *modules, '```', '']
    text = '\n'.join([*head, *table, *toctree])
    (SOURCE/'api/index.md').write_text(text, encoding='utf-8')


def write_sources():
    "The folder that Sphinx reads: notebooks, the first page, the API pages"
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT/'nbs', SOURCE, ignore=shutil.ignore_patterns('index.ipynb', '.*'))
    for folder in [OUT, SOURCE]: # notebooks look for pictures in the folder above theirs
        shutil.copytree(ROOT/'images', folder/'images', ignore=shutil.ignore_patterns('*.py'),
                        dirs_exist_ok=True)
    text = (ROOT/'README.md').read_text(encoding='utf-8').removeprefix(readme.NOTICE)
    contents = (ROOT/'site/contents.md').read_text(encoding='utf-8')
    first = re.sub(r'\]\(([^)\s]+)\)', relink, text) + contents
    (SOURCE/'index.md').write_text(first, encoding='utf-8')
    for path in [ROOT/'site/glossary.md', ROOT/'SECURITY.md']:
        text = path.read_text(encoding='utf-8').replace('](../', '](')
        page = re.sub(r'\]\(([^)\s]+)\)', relink, text)
        (SOURCE/path.name.lower()).write_text(page, encoding='utf-8')
    (SOURCE/'api').mkdir()
    write_api()


def fetch_mathjax():
    "One file of MathJax, from its package in the npm registry"
    script = VENDORED/'mathjax/tex-svg.js'
    if script.exists(): return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['npm', 'pack', MATHJAX, '--silent'], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob('*.tgz'))) as package:
            code = package.extractfile('package/es5/tex-svg.js').read()
            licence = package.extractfile('package/LICENSE').read()
    script.parent.mkdir(parents=True, exist_ok=True)
    script.with_name('LICENSE').write_bytes(licence)
    script.write_bytes(code)


if __name__ == '__main__':
    start = time.time()
    fetch_mathjax()
    write_sources()
    shutil.rmtree(HTML, ignore_errors=True)
    folders = ['-c', str(ROOT/'site'), '-d', str(OUT/'doctrees'), str(SOURCE), str(HTML)]
    status = sphinx(['-q', '-W', '--keep-going', '-E', *folders])
    faults = list(check.faults(HTML))
    print(*faults, sep='\n', end='\n' * bool(faults))
    if status or faults:
        sys.exit(f'The site has faults: {len(faults)} in its pages, and what Sphinx names above.')
    size = sum(path.stat().st_size for path in HTML.rglob('*') if path.is_file())
    pages = len(list(HTML.rglob('*.html')))
    print(f'{pages} pages, {size/1e6:.1f} MB in {HTML.relative_to(ROOT)}, '
          f'{time.time()-start:.0f} s')
