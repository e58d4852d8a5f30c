"A browser, a JupyterLab, and the site, for the tests that need to see what a reader sees"
import functools
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT/'screenshots'
BROWSERS = ['chromium', 'chromium-browser', 'google-chrome']
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']
# All cells are in the page, not only those in view; no question about news; no look at other hosts.
LAB = {
    'apputils-extension/notification': {'fetchNews': 'false', 'checkForUpdates': False},
    'notebook-extension/tracker': {'windowingMode': 'none'},
}


def pytest_ignore_collect(config):
    "Only `make browser` runs these tests: they need a browser, and packages that the others do not"
    return None if any('tests/browser' in argument for argument in config.args) else True


@pytest.fixture(scope='session')
def browser():
    "Debian's chromium, or whichever of its kind is installed"
    from playwright.sync_api import sync_playwright
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, 'no browser: "bash tests/browser/install.sh" installs one'
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def shot(request):
    "Where to keep a screenshot of this test"
    SHOTS.mkdir(exist_ok=True)
    name = re.sub(r'[^\w-]', '-', request.node.name.removeprefix('test_')).strip('-')

    def take(page, what='', **options):
        file = f'{name}-{what}.png' if what else f'{name}.png'
        page.screenshot(path=SHOTS/file, **options)
    return take


@pytest.fixture
def open_page(browser):
    "A function that opens an address, and remembers what went wrong in it"
    contexts = []

    def opened(url, width=1200, height=900, **options):
        context = browser.new_context(viewport={'width': width, 'height': height}, **options)
        context.set_default_timeout(90_000) # a busy machine is slow, not broken
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        host = url.split('/')[2]
        own = (f'http://{host}/', f'ws://{host}/', 'data:', 'blob:')

        def on_request(request):
            if not request.url.startswith(own):
                page.faults.append(f'request to another host: {request.url}')

        def on_response(response):
            if response.status < 400: return
            page.faults.append(f'status {response.status}: {response.url}')

        page.on('pageerror', lambda error: page.faults.append(f'script error: {error}'))
        page.on('request', on_request)
        page.on('response', on_response)
        page.goto(url)
        return page
    yield opened
    for context in contexts: context.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope='session')
def site():
    "The address of the site that `make site` has built"
    folder = ROOT/'_site/html'
    assert (folder/'index.html').exists(), 'run "make site" first'
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://localhost:{server.server_port}'
    server.shutdown()


def free_port():
    with socket.socket() as opened:
        opened.bind(('127.0.0.1', 0))
        return opened.getsockname()[1]


class Lab:
    "A JupyterLab of its own, with its own home, over a copy of the notebooks"
    def __init__(self, folder):
        self.notebooks, home, port = folder/'nbs', folder/'home', free_port()
        shutil.copytree(ROOT/'nbs', self.notebooks, ignore=shutil.ignore_patterns('.*'))
        shutil.copytree(ROOT/'images', folder/'images')
        for name, setting in LAB.items():
            file = home/f'settings/@jupyterlab/{name}.jupyterlab-settings'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(setting))
        self.url, self.log = f'http://localhost:{port}', (folder/'lab.log').open('w+')
        own = {
            'HOME': str(home),
            'JUPYTER_PREFER_ENV_PATH': '1',
            'JUPYTERLAB_SETTINGS_DIR': str(home/'settings'),
            'JUPYTERLAB_WORKSPACES_DIR': str(home/'workspaces'),
            'TEXTGRAFT_SIZE': 'small',
            'TEXTGRAFT_HOME': str(home/'textgraft'),
        }
        options = [
            '--no-browser', '--allow-root', f'--port={port}', '--ServerApp.ip=127.0.0.1',
            f'--ServerApp.root_dir={folder}', '--IdentityProvider.token=',
            '--ServerApp.disable_check_xsrf=True',
            '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
        ]
        command = [sys.executable, '-m', 'jupyterlab', *options]
        self.process = subprocess.Popen(command, env={**os.environ, **own}, stderr=self.log)

    def ask(self, path):
        with urllib.request.urlopen(self.url + path, timeout=5) as answer: return json.load(answer)

    def until(self, true, seconds, what):
        "Wait until `true()`; its connection may fail meanwhile"
        end = time.time() + seconds
        while time.time() < end:
            try:
                if true(): return
            except OSError: pass
            time.sleep(.5)
        self.log.seek(0)
        raise TimeoutError(f'{what}: not within {seconds} s\n{self.log.read()[-3000:]}')

    def idle(self):
        "Has every kernel that runs nothing left to do?"
        kernels = self.ask('/api/kernels')
        return kernels and all(kernel['execution_state'] == 'idle' for kernel in kernels)

    def stop_kernels(self):
        for session in self.ask('/api/sessions'):
            address = f'{self.url}/api/sessions/{session["id"]}'
            request = urllib.request.Request(address, method='DELETE')
            urllib.request.urlopen(request, timeout=30)


@pytest.fixture(scope='session')
def lab(tmp_path_factory):
    started = Lab(tmp_path_factory.mktemp('lab'))
    try:
        started.until(lambda: started.ask('/api/status'), 90, 'start of JupyterLab')
        yield started
    finally:
        started.process.terminate()
        started.process.wait()
