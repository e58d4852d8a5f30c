"The contributor's guide: its commands work, the steps of tests/check.sh can fail, and the hooks do what CI does"
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(sys.executable).parent.parent
LONG = ['every module imports by itself', 'notebooks run', 'tests'] # steps that take more than seconds: on push, not on commit
PROGRAMS = r"make|python|pytest|bash|source|jupyter|pre-commit|nbdev-[a-z-]+|[A-Z]+='[^']*' bash"
# The quick commands of the guide are run here, the others by a workflow or by a step of check.sh.
QUICK = ['source .venv/bin/activate', 'pre-commit install', 'nbdev-install-hooks', 'nbdev-export', 'python tools/gate.py',
    'python tools/stamp.py', 'python tools/stamp.py --check', 'python images/draw.py', "STEPS='ruff|spelling' bash tests/check.sh"]
ELSEWHERE = {
    'make course': ('.github/workflows/test.yml', 'make course'),
    'make test': ('.ci/run', 'make test'),
    'make site': ('.github/workflows/site.yml', 'make site'),
    'make browser': ('.github/workflows/browser.yml', 'make browser'),
    'make browser ONLY=02': ('Makefile', '$(if $(ONLY),-k'),
    'make notebooks': ('.github/workflows/newest.yml', 'make notebooks'),
    'make constraints': ('.github/workflows/newest.yml', 'make constraints'),
    'nbdev-test nbs/02_batching.ipynb': ('tests/check.sh', '"$BIN/nbdev-test"'),
    'pytest tests/test_batching.py': ('tests/check.sh', '-m pytest'),
    'jupyter lab nbs': ('tests/browser/conftest.py', "'-m', 'jupyterlab'"),
    'pre-commit run --all-files': (Path(__file__).relative_to(ROOT), 'def test_hooks_pass'),
}


def commands(text):
    "What the guide tells its reader to type: code in a line, and lines of code blocks"
    found = re.findall(r'(?<!`)`([^`\n]+)`', text) + [line.strip() for block in re.findall(r'```\n(.*?)```', text, re.DOTALL) for line in block.splitlines()]
    return {line for line in found if re.match(rf'({PROGRAMS}) \S|({PROGRAMS})$', line) and line not in ('make', 'python')}


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    "A checkout of its own, with every file as it is here, committed"
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode: pytest.skip('not a git checkout')
    folder = tmp_path_factory.mktemp('clone')
    for name in filter(lambda name: (ROOT/name).is_file(), listed.stdout.splitlines()):
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT/name, folder/name)
    (folder/'.venv').symlink_to(VENV)
    for command in ['init -q', 'add -A', 'commit -q -m copy']: git(folder, command)
    return folder


def git(folder, command):
    subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@example.org', *command.split()], cwd=folder, check=True)


def run(folder, command, **env):
    "As typed in a shell in which the environment is active"
    path = f'{VENV}/bin{os.pathsep}{os.environ["PATH"]}'
    home = {'HOME': str(folder.parent), 'PRE_COMMIT_HOME': str(folder.parent/'pre-commit')}
    return subprocess.run(['bash', '-c', command], cwd=folder, env={**os.environ, 'PATH': path, **home, **env}, capture_output=True, text=True)


def steps(): return re.findall(r"^step '([^']+)'", (ROOT/'tests/check.sh').read_text(), flags=re.MULTILINE)


def test_every_command_of_the_guide_is_run():
    assert commands((ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8')) == {*QUICK, *ELSEWHERE}
    for command, (file, words) in ELSEWHERE.items(): assert words in (ROOT/file).read_text(encoding='utf-8'), f'{file} does not run {command}'


@pytest.mark.parametrize('command', QUICK)
def test_quick_commands(command, clone):
    if 'draw' in command and not shutil.which('dot'): pytest.skip('needs the dot of graphviz')
    done = run(clone, command)
    assert not done.returncode, done.stdout + done.stderr


def dirty(path):
    nb = json.loads(path.read_text(encoding='utf-8'))
    nb['cells'][0]['metadata'] = {'trusted': True}
    path.write_text(json.dumps(nb), encoding='utf-8')


def spoil(path): path.write_text(path.read_text(encoding='utf-8') + '\nmore = 1\n', encoding='utf-8')


@pytest.mark.parametrize('step, file, change', [
    ('notebooks are clean', 'nbs/library/files.ipynb', dirty),
    ('the package is what the notebooks export', 'textgraft/files.py', spoil),
    ('README.md is current', 'README.md', spoil),
])
def test_steps_can_fail(step, file, change, clone):
    before = (clone/file).read_bytes()
    try:
        good = run(clone, 'bash tests/check.sh', STEPS=step)
        assert not good.returncode, good.stdout
        change(clone/file)
        bad = run(clone, 'bash tests/check.sh', STEPS=step)
        assert bad.returncode and f'-- failed: {step}' in bad.stdout and '1 of 1 checks failed' in bad.stdout
        assert Path(file).name in bad.stdout + bad.stderr
    finally: (clone/file).write_bytes(before)


def test_hooks_are_the_steps_of_ci():
    hooks = yaml.safe_load((ROOT/'.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    on_commit = [hook['name'] for hook in hooks if 'stages' not in hook]
    assert sorted([*on_commit, *LONG]) == sorted(steps())
    assert [(hook['entry'], hook['stages']) for hook in hooks if 'stages' in hook] == [('make test', ['pre-push'])]


def test_hooks_pass(clone):
    done = run(clone, 'pre-commit run --all-files')
    assert not done.returncode and done.stdout.count('Passed') == len(steps()) - len(LONG), done.stdout + done.stderr
