"Every chapter as a reader runs it: opened in JupyterLab, Run All, and looked at"
import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(path.name for path in (ROOT/'nbs').glob('[0-9]*.ipynb'))
# Remembers each kind of output that was ever in the page: a progress bar goes when training ends.
WATCH = '''
window.seen = {};
new MutationObserver(() => {
    for (const tag of ['progress', 'table', 'img', 'details'])
        if (document.querySelector('.jp-Notebook ' + tag)) seen[tag] = true;
}).observe(document, {childList: true, subtree: true});
'''


def tables_of(nb):
    "The HTML of all tables that a notebook shows"
    outputs = [output for cell in nb.cells for output in cell.get('outputs', [])]
    html = [''.join(output.get('data', {}).get('text/html', '')) for output in outputs]
    return [each for each in html if '<table' in each]


def run_all(page, lab):
    "Clear all outputs, run all cells from the menu, and wait until the last one is done"
    page.wait_for_selector('.jp-Notebook .jp-CodeCell', timeout=60_000)
    lab.until(lab.idle, 90, 'start of the kernel')
    page.get_by_role('menuitem', name='Edit', exact=True).click()
    page.get_by_text('Clear Outputs of All Cells', exact=True).click()
    page.evaluate(WATCH)
    page.get_by_role('menuitem', name='Run', exact=True).click()
    page.get_by_text('Run All Cells', exact=True).click()
    begun = '.jp-InputPrompt:text-matches("\\\\[(\\\\d+|\\\\*)\\\\]")'
    page.wait_for_selector(begun, timeout=30_000)
    prompts = "[...document.querySelectorAll('.jp-InputPrompt')]"
    done = f"!{prompts}.some(e => e.innerText.includes('*'))"
    page.wait_for_function(done, timeout=900_000)
    lab.until(lab.idle, 60, 'end of the last cell')


def saved(page, path):
    "The notebook as JupyterLab writes it"
    before = path.stat().st_mtime_ns
    page.keyboard.press('Control+s')
    for _ in range(60):
        page.wait_for_timeout(500)
        if path.stat().st_mtime_ns > before: return nbformat.read(path, as_version=4)
    raise TimeoutError(f'{path.name} was not saved')


@pytest.mark.parametrize('name', CHAPTERS, ids=lambda name: name.removesuffix('.ipynb'))
def test_chapter_runs(name, lab, open_page, shot):
    page = open_page(f'{lab.url}/lab/tree/nbs/{name}?reset', width=1300, height=1000)
    try:
        run_all(page, lab)
        nb = saved(page, lab.notebooks/name)
        for kind in ['table', 'img']:
            found = page.locator(f'.jp-OutputArea-output {kind}')
            if found.count():
                found.last.scroll_into_view_if_needed()
                page.wait_for_timeout(300)
                shot(page, kind)
    finally:
        shot(page, 'last')
        lab.stop_kernels()
    code = [cell for cell in nb.cells if cell.cell_type == 'code' and cell.source.strip()]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [f'{o.ename}: {o.evalue}' for o in outputs if o.output_type == 'error']
    assert all(cell.execution_count for cell in code)
    assert not [fault for fault in page.faults if fault.startswith(('script error', 'request to'))]
    tables, seen = tables_of(nb), page.evaluate('window.seen')
    assert page.locator('.jp-OutputArea-output table').count() >= len(tables) > 0
    published = tables_of(nbformat.read(ROOT/'nbs'/name, as_version=4))
    trains = any('train_loss' in html for html in published)
    assert any('train_loss' in html for html in tables) == trains
    assert seen['table'] and (seen.get('progress') or not trains)
    pictures = "[...document.querySelectorAll('.jp-Notebook img')]"
    assert not page.evaluate(
        f'{pictures}.filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)')
    data = [output.data for output in outputs if 'data' in output]
    plain = [each for each in data if re.search(r'<IPython|epoch +train_loss', json.dumps(each))]
    assert all('text/html' in each for each in plain), 'a table or bar shown as plain text'
