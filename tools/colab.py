"""What happens to this package on Colab? Writes the answer to results/colab.json.

    python tools/colab.py LIST           would an installation replace anything that Colab ships?
    python tools/colab.py LIST --run     and do the chapters run on those versions?

LIST is the output of `pip freeze` on Colab, published at
https://github.com/googlecolab/backend-info. It names PyTorch by an address of Colab's own; --add
says which version that is. CUDA's packages are left out: Colab's PyTorch brings its own.
The first question needs an index of packages; tests/test_stamp.py asks the part of it that needs
none. The second one makes an environment of 5 GB in a temporary folder and takes some minutes.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import stamp

UV = shutil.which('uv', path=Path(sys.executable).parent) or 'uv'
CUDA = re.compile(r'nvidia-|cuda-|triton')


def pins(
    text:str, # What `pip freeze` printed
    extra:list[str]=(), # More lines of the kind `name==version`
)->dict[str, str]: # Versions by name
    "The packages of a machine"
    found = re.findall(r'^([\w.-]+)==(\S+)', '\n'.join([text, *extra]), flags=re.MULTILINE)
    return {normal(name): version for name, version in found if not CUDA.match(normal(name))}


def normal(name): return re.sub(r'[-_.]+', '-', name).lower()


def needed():
    "What an installation of this package asks for"
    return [line for line in stamp.settings()['requirements'].splitlines() if line]


def pinned(packages): return '\n'.join(f'{name}=={version}' for name, version in packages.items())


def pretend(
    packages:dict[str, str], # Versions by name
    folder:Path, # Made, if it is not there
)->Path: # The folder
    "A folder that an installer takes for a machine on which all these packages are installed"
    for name, version in packages.items():
        info = folder/f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir(parents=True)
        (info/'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        (info/'RECORD').touch()
    return folder


def would_change(
    packages:dict[str, str], # What is installed
    requirements:list[str], # What is to be installed
    python:str='3.13', # Version of Python on that machine
)->list[str]: # Lines like `- pandas==2.2.3` and `+ pandas==3.0.0`; none if nothing changes
    "What an installer would do on such a machine, without an index of packages"
    with TemporaryDirectory() as folder:
        options = ['--dry-run', '--offline', '--no-cache', '--python-version', python]
        target = ['--target', pretend(packages, Path(folder)/'packages')]
        command = [UV, 'pip', 'install', *options, *target, *requirements]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode: return [done.stderr.strip()]
    return re.findall(r'^ ([+~-] .*)$', done.stderr, flags=re.MULTILINE)


def resolved(
    packages:dict[str, str], # What is installed
    requirements:list[str], # What is to be installed
    python:str, # Version of Python on that machine
)->dict[str, str]: # Versions by name of all that is needed, directly or not
    "One solution in which no installed package changes; an error if there is none"
    with TemporaryDirectory() as folder:
        constraints = Path(folder)/'constraints.txt'
        constraints.write_text(pinned(packages))
        options = ['--quiet', '--no-header', '--no-annotate', '--python-version', python]
        command = [UV, 'pip', 'compile', *options, '--constraint', constraints, '-']
        asked = '\n'.join(requirements)
        done = subprocess.run(command, input=asked, capture_output=True, text=True)
    if done.returncode: raise SystemExit(f'No installation leaves Colab as it is:\n{done.stderr}')
    return pins(done.stdout)


def environment(packages, python, folder):
    "An environment with Colab's versions and this package, and a clone of what is committed"
    env, clone, constraints = folder/'env', folder/'clone', folder/'constraints.txt'
    constraints.write_text(pinned(packages))
    subprocess.run(['git', 'clone', '--quiet', stamp.ROOT, clone], check=True)
    subprocess.run([UV, 'venv', '--quiet', '--python', python, env], check=True)
    install = [UV, 'pip', 'install', '--quiet', '--python', env, '-c', constraints, clone]
    subprocess.run(install, check=True)
    return env, clone


def run_chapters(env, chapters, folder):
    "Run chapters in a folder of their own: the record of `textgraft run`"
    folder.mkdir()
    for path in chapters: shutil.copy(path, folder)
    options = ['--size', 'small', '--notebooks', '.', '--json', 'record.json']
    home = {'TEXTGRAFT_HOME': str(folder/'home'), 'OMP_NUM_THREADS': '1',
            'PYDEVD_DISABLE_FILE_VALIDATION': '1'}
    command = [env/'bin/textgraft', 'run', *options]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **home})
    if done.returncode: raise SystemExit('Nothing is recorded: a chapter failed.')
    return json.loads((folder/'record.json').read_text(encoding='utf-8'))


def run(packages, python, folder):
    "The records of all chapters, and of chapter 4 alone in an empty folder, on Colab's versions"
    env, clone = environment(packages, python, folder)
    chapters = [clone/stamp.place(path) for path in stamp.notebooks() if stamp.is_chapter(path)]
    every = run_chapters(env, chapters, folder/'all')
    alone = run_chapters(env, [clone/'nbs/04_classifier.ipynb'], folder/'alone')
    return every, alone


def brief(record):
    "What is kept of each chapter of a record"
    wanted = ('chapter', 'seconds', 'error', 'headline')
    return [{name: run[name] for name in wanted} for run in record['chapters']]


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('list', type=Path, metavar='LIST', help="Colab's pip freeze")
    parser.add_argument('--month', required=True,
                        help='when Colab had these versions, for instance "August 2026"')
    parser.add_argument('--add', nargs='*', default=[], metavar='NAME==VERSION',
                        help='packages that the list does not name')
    parser.add_argument('--python', default='3.13', help='the Python of Colab')
    parser.add_argument('--run', action='store_true', help='run the chapters')
    return parser.parse_args()


def installation(colab, needs, python):
    "What stays, what is replaced and what is new when `needs` are installed on such a machine"
    solution = resolved(colab, needs, python)
    known = {name: version for name, version in solution.items() if name in colab}
    return dict(
        changes=would_change(colab, needs, python),
        kept={name: version for name, version in known.items() if colab[name] == version},
        replaced={name: [colab[name], v] for name, v in known.items() if colab[name] != v},
        added=sorted(name for name in solution if name not in colab))


def main():
    args = parse_args()
    colab, needs = pins(args.list.read_text(encoding='utf-8'), args.add), needed()
    words = ['python tools/colab.py', args.list.name, f'--month "{args.month}"', '--add',
             *args.add, '--python', args.python, *['--run']*args.run]
    record = dict(command=' '.join(words), date=date.today().isoformat(), month=args.month,
                  packages=len(colab), requirements=needs)
    record |= installation(colab, needs, args.python)
    if args.run:
        with TemporaryDirectory() as folder: every, alone = run(colab, args.python, Path(folder))
        head = subprocess.run(['git', 'rev-parse', 'HEAD'], cwd=stamp.ROOT, capture_output=True,
                              text=True, check=True)
        record['run'] = {name: every[name] for name in ('machine', 'versions', 'seconds')}
        record['run'] |= dict(commit=head.stdout.strip(), chapters=brief(every),
                              chapter_4_alone=brief(alone))
    path = stamp.ROOT/'results/colab.json'
    path.write_text(json.dumps(record, indent=1)+'\n', encoding='utf-8')
    print(f'{len(record["kept"])} of the packages that we need are there and stay; '
          f'replaced: {record["replaced"] or "none"}; new: {", ".join(record["added"]) or "none"}')


if __name__ == '__main__': main()
