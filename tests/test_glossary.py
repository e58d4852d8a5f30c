"The words of the trade: in order, each once, each in the chapter that it names"
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT/'site/glossary.md').read_text(encoding='utf-8')
ENTRIES = re.findall(r'^\*\*(.+?)\*\* \(\[chapter (\d)\]\(\.\./nbs/(\w+)\.ipynb\)\): \S', TEXT,
                     flags=re.MULTILINE)


def prose_of(chapter):
    "What a chapter says between its cells of code"
    cells = json.loads((ROOT/f'nbs/{chapter}.ipynb').read_text(encoding='utf-8'))['cells']
    return ' '.join(''.join(c['source']) for c in cells if c['cell_type'] == 'markdown').lower()


def test_order():
    words = [word.lower() for word, *_ in ENTRIES]
    assert len(words) == TEXT.count('\n**') > 50
    assert words == sorted(set(words), key=lambda word: re.sub(r'[^a-z0-9]', '', word))


@pytest.mark.parametrize('chapter', sorted({chapter for *_, chapter in ENTRIES}))
def test_words_stand_in_their_chapter(chapter):
    prose = prose_of(chapter)
    for entry, number, its_chapter in ENTRIES:
        if its_chapter != chapter: continue
        assert chapter.startswith(f'0{number}_')
        missing = [word for word in re.findall(r'\w+', entry.lower()) if word not in prose]
        assert not missing, f'{entry}: {missing} not in {chapter}'
