"The built site in a browser, on a desk and on a phone"
import re
from pathlib import Path

import pytest

HTML = Path(__file__).resolve().parents[2]/'_site/html'
PAGES = sorted(path.relative_to(HTML).as_posix() for path in HTML.rglob('*.html'))
PAGES = [page for page in PAGES if '_static' not in page]
CHAPTERS = [page for page in PAGES if page[:2].isdigit()]
OTHERS = ['library/fastai_fixes.html', 'course/runner.html', 'api/textgraft.batching.html']
# Names without digits: ONLY=00 is a chapter.
wide_or_narrow = pytest.mark.parametrize('width', [1200, 390], ids=['desk', 'phone'])


def settle(page):
    "Wait until all pictures, also those further down, are there"
    lazy = "document.querySelectorAll('img[loading=lazy]')"
    page.evaluate(lazy + ".forEach(img => img.loading = 'eager')")
    page.wait_for_load_state('networkidle')


def too_wide(page):
    "By how many pixels the page can be pushed to the side"
    widths = 'document.scrollingElement.scrollWidth - document.documentElement.clientWidth'
    return page.evaluate(widths)


@wide_or_narrow
@pytest.mark.parametrize('name', PAGES)
def test_page(name, width, site, open_page):
    page = open_page(f'{site}/{name}', width)
    settle(page)
    assert not page.faults
    assert too_wide(page) <= 0
    assert not page.evaluate('[...document.images].filter(i => !i.naturalWidth).map(i => i.src)')
    assert page.locator('h1').count() >= 1


@pytest.mark.parametrize('name', [*CHAPTERS, *OTHERS])
def test_code_does_not_scroll(name, site, open_page):
    "On a desk the longest line of code that we write fits into its column"
    page = open_page(f'{site}/{name}', 1200)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    blocks = "[...document.querySelectorAll('.bd-article pre')]"
    wide = page.evaluate(f"""{blocks}.filter(block => block.scrollWidth > block.clientWidth)
                             .map(block => block.textContent.slice(0, 60))""")
    assert not wide


@wide_or_narrow
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('name', ['index.html', *CHAPTERS, *OTHERS])
def test_looks(name, width, scheme, site, open_page, shot):
    page = open_page(f'{site}/{name}', width, color_scheme=scheme)
    settle(page)
    shot(page)
    picture = page.locator('.cell_output table, .cell_output img, dl.py').first
    if picture.count():
        picture.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        shot(page, 'below')
    assert page.evaluate('document.documentElement.dataset.theme') == scheme


@wide_or_narrow
def test_reader_finds_the_way(width, site, open_page, shot):
    "Through the chapters by the links at their ends, and by the list at the side"
    page = open_page(f'{site}/index.html', width)
    for chapter in CHAPTERS:
        page.locator('a.right-next').click()
        page.wait_for_url(f'**/{chapter}')
    page.wait_for_load_state('networkidle')
    if width < 992: page.locator('button.primary-toggle:visible').click()
    page.locator('.bd-sidebar-primary a:visible').filter(has_text='02 Batching').click()
    page.wait_for_url('**/02_batching.html')
    assert not page.faults


@wide_or_narrow
def test_search(width, site, open_page, shot):
    page = open_page(f'{site}/01_tokenization.html', width)
    page.locator('button.search-button:visible, button.search-button__button:visible').first.click()
    page.locator('input[type=search]:visible').first.fill('perplexity')
    page.keyboard.press('Enter')
    page.wait_for_selector('#search-results li a', timeout=30_000)
    shot(page)
    assert page.locator('#search-results a[href*="03_lm_finetune"]').count()
    assert not page.faults and too_wide(page) <= 0


def test_formulas_are_set(site, open_page, shot):
    page = open_page(f'{site}/05_gpt2.html')
    formula = page.locator('mjx-container svg').first
    formula.wait_for(timeout=30_000)
    formula.scroll_into_view_if_needed()
    shot(page)


@pytest.mark.parametrize('name', CHAPTERS)
def test_colab_button(name, site, open_page):
    page = open_page(f'{site}/{name}')
    target = page.locator('.dropdown-launch-buttons a[href*="colab"]').get_attribute('href')
    assert target.endswith(f'/blob/main/nbs/{name.replace(".html", ".ipynb")}')


def test_folded_answers_open(site, open_page):
    page = open_page(f'{site}/00_corpus.html')
    answer = page.locator('details:has(summary:text("Answer"))').first
    assert answer.get_attribute('open') is None
    answer.locator('summary').click()
    assert answer.get_attribute('open') is not None


@pytest.mark.parametrize('name', CHAPTERS)
def test_lit_stage_is_in_view_on_a_phone(name, site, open_page):
    svg = (HTML/f'_images/map-{name[:2]}.svg').read_text(encoding='utf-8')
    outline = re.search(r'fill="#1d4ed8"[^>]* d="([^"]+)"', svg)[1]
    lit = [float(x) for x in re.findall(r'[MC ](-?[\d.]+),', outline)]
    wide = float(re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+)', svg)[1])
    page = open_page(f'{site}/{name}', 390)
    settle(page)
    box = "document.querySelector('img[src*=\"/map-\"]').getBoundingClientRect()"
    left, width = page.evaluate(f'(r => [r.left, r.width])({box})')
    assert 0 <= left + width*min(lit)/wide and left + width*max(lit)/wide <= 390


@pytest.mark.parametrize('name', CHAPTERS)
def test_cells_for_colab_are_not_on_the_page(name, site, open_page):
    page = open_page(f'{site}/{name}')
    assert not page.get_by_text('google.colab').count()
    badge = page.locator('a[href^="https://colab."] > img')
    assert badge.count() == 1 and badge.get_attribute('alt') == 'Open in Colab'
