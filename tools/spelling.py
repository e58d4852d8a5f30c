"Check the spelling of what people read: notebooks without outputs, the package, tests, documents"
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import stamp

ROOT = stamp.ROOT
PLAIN = ['textgraft', 'tests', 'tools', 'site', 'images', 'bench', 'Makefile']


def sources(
    path:Path, # A notebook
)->str: # What its author wrote, without outputs, which hold pictures as letters
    "The text of all cells"
    return '\n\n'.join(cell.source for cell in nbformat.read(path, as_version=4).cells)+'\n'


def main():
    "The exit status of typos over all of it"
    typos = shutil.which('typos', path=Path(sys.executable).parent) or 'typos'
    plain = [*(ROOT/name for name in PLAIN), *ROOT.glob('*.md')]
    with TemporaryDirectory() as folder:
        for path in [*stamp.notebooks(), ROOT/'nbs/index.ipynb']:
            name = stamp.place(path).replace('/', '-') + '.txt'
            (Path(folder)/name).write_text(sources(path), encoding='utf-8')
        command = [typos, '--config', ROOT/'pyproject.toml', '--format', 'brief', folder, *plain]
        return subprocess.run(command).returncode


if __name__ == '__main__': sys.exit(main())
