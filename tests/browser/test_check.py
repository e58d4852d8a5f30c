"The checker of the built site finds what it is there for"
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]/'site'))
import check  # noqa: E402

GOOD = {
    'index.html': '<h1 id="top">A</h1><a href="b/b.html#x">b</a><img src="p.svg" alt="p">'
                  '<a href="https://example.org">elsewhere</a>',
    'b/b.html': '<p id="x"></p><a href="../index.html#top">a</a><script src="../s.js?v=1"></script>'
                '<link rel="stylesheet" href="../s.css">',
    'p.svg': '<svg/>',
    's.css': 'a { background: url("p.svg"), url(data:image/png;base64,AA) }',
    's.js': 'fetch("b/b.html") // https://example.org',
}
AWAY = 'https://example.org'


@pytest.mark.parametrize('page, text, fault', [
    ('index.html', '', None),
    ('index.html', '<a href="c.html">c</a>', 'no page c.html'),
    ('index.html', '<a href="b/b.html#y">y</a>', 'no anchor b/b.html#y'),
    ('index.html', '<a href="#y">y</a>', 'no anchor #y'),
    ('index.html', '<img src="q.svg" alt="q">', 'no file q.svg'),
    ('index.html', f'<img src="{AWAY}/q.svg" alt="q">', f'loads {AWAY}/q.svg'),
    ('index.html', '<img src="p.svg">', 'no alt text for p.svg'),
    ('index.html', '<img src="p.svg" alt="p.svg">', 'no alt text for p.svg'),
    ('index.html', '<script src="//example.org/s.js"></script>', 'loads //example.org/s.js'),
    ('index.html', f'<link rel="preconnect" href="{AWAY}">', f'loads {AWAY}'),
    ('index.html', f'<style>@import "{AWAY}/s.css";</style>', f'loads {AWAY}/s.css'),
    ('s.css', f'@font-face {{ src: url({AWAY}/f.woff2) }}', f'loads {AWAY}/f.woff2'),
    ('s.css', 'a { background: url(none.png) }', 'no file none.png'),
    ('s.js', 'fetch("https://example.org/x")', 'may load from another host'),
])
def test_checker_finds(page, text, fault, tmp_path):
    for name, content in GOOD.items():
        (tmp_path/name).parent.mkdir(exist_ok=True)
        (tmp_path/name).write_text(content + text * (name == page))
    found = list(check.faults(tmp_path))
    assert not found if fault is None else len(found) == 1 and fault in found[0]
