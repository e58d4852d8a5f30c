"Check the spelling of what people read: the sources of the notebooks, the package, the tests, the documents"
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

ROOT = Path(__file__).resolve().parent.parent


def sources(
    path:Path, # A notebook
)->str: # What its author wrote, without outputs, which hold pictures as letters
    "The text of all cells"
    return '\n\n'.join(cell.source for cell in nbformat.read(path, as_version=4).cells)+'\n'


with TemporaryDirectory() as folder:
    for path in ROOT.glob('nbs/**/[!.]*.ipynb'):
        if '.ipynb_checkpoints' not in path.parts: (Path(folder)/f'{path.stem}.ipynb.txt').write_text(sources(path), encoding='utf-8')
    config = ['--config', ROOT/'pyproject.toml', '--format', 'brief']
    plain = [ROOT/name for name in ['textgraft', 'tests', 'tools', 'images', 'bench', 'Makefile'] if (ROOT/name).exists()]
    typos = shutil.which('typos', path=Path(sys.executable).parent) or 'typos'
    sys.exit(subprocess.run([typos, *config, folder, *plain, *ROOT.glob('*.md')]).returncode)
