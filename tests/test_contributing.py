"The hooks put right what is out of step, and stop the commit"
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(sys.executable).parent.parent


def call(folder, *command):
    "Run a command in a folder, with a home of its own"
    home = {'HOME': str(folder.parent), 'PRE_COMMIT_HOME': str(folder.parent/'pre-commit')}
    return subprocess.run(command, cwd=folder, env={**os.environ, **home}, capture_output=True,
                          text=True)


@pytest.fixture
def clone(tmp_path):
    "A checkout of its own, with every file as it is here, committed"
    listed = call(ROOT, 'git', 'ls-files', '-co', '--exclude-standard')
    if listed.returncode: pytest.skip('not a git checkout')
    folder = tmp_path/'clone'
    for name in listed.stdout.splitlines():
        if not (ROOT/name).is_file(): continue
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT/name, folder/name)
    (folder/'.venv').symlink_to(VENV)
    git = ['git', '-c', 'user.name=t', '-c', 'user.email=t@example.org']
    for words in [['init', '-q'], ['add', '-A'], ['commit', '-q', '-m', 'copy']]:
        assert not call(folder, *git, *words).returncode
    return folder


def test_hooks_put_right_what_is_out_of_step(clone):
    "A dirty notebook, a package edited by hand, an old README: mended, and each hook says so"
    page, module = clone/'nbs/library/files.ipynb', clone/'textgraft/library/files.py'
    before = [path.read_bytes() for path in (page, module, clone/'README.md')]
    nb = json.loads(page.read_text(encoding='utf-8'))
    nb['cells'][0]['metadata'] = {'trusted': True}
    page.write_text(json.dumps(nb), encoding='utf-8')
    module.write_text(module.read_text(encoding='utf-8') + '\nmore = 1\n', encoding='utf-8')
    (clone/'README.md').write_text('old', encoding='utf-8')
    done = call(clone, '.venv/bin/pre-commit', 'run', '--all-files')
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.endswith('Failed')]
    assert done.returncode and len(failed) >= 3, done.stdout + done.stderr
    for what in ('notebooks are clean', 'the package is', 'README.md is'):
        assert any(line.startswith(what) for line in failed), done.stdout
    assert [path.read_bytes() for path in (page, module, clone/'README.md')] == before
