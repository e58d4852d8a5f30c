"What tests read from the pages of the course"
import json
import re
from pathlib import Path

NBS = Path(__file__).resolve().parent.parent/'nbs'


def cells(
    chapter, # Name of a notebook, without its ending
    kind, # `'code'` or `'markdown'`
):
    "The sources of its cells"
    nb = json.loads((NBS/f'{chapter}.ipynb').read_text(encoding='utf-8'))
    return [''.join(cell['source']) for cell in nb['cells'] if cell['cell_type'] == kind]


def folded(chapter):
    "The solutions of a chapter, which are folded away on its page"
    text = '\n'.join(cells(chapter, 'markdown'))
    pattern = '<details><summary>Solution</summary>\n\n```python\n(.*?)```'
    found = re.findall(pattern, text, flags=re.DOTALL)
    assert len(found) >= 4
    return found


def solutions(chapter, **names):
    "What the solutions of a chapter define"
    exec('\n'.join(folded(chapter)), names)
    return names
