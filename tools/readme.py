"""Write README.md from nbs/index.ipynb, with the figures of results/ in its tables.

    python tools/readme.py
"""
import json
import posixpath
import re
from functools import partial
from pathlib import Path

from textgraft.course.records import RecordedTable

import nbformat

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT/'results/course-small.json'
TWO_CORES = ROOT/'results/two-cores.json'
COLAB = ROOT/'results/colab.json'
NOTICE = '<!-- Written by tools/readme.py from nbs/index.ipynb: edit that notebook, ' \
    'then run "make readme". -->\n\n'


def read(path): return json.loads(path.read_text(encoding='utf-8'))


def relink(match):
    "A link as seen from the folder above"
    target = match[1]
    if re.match(r'[a-z]+:|#', target): return match[0]
    return f']({posixpath.normpath("nbs/"+target)})'


def chapter_cells(run):
    "The cells that a chapter's run adds to its row of the table"
    seconds, h = f'{run["seconds"]:.0f}', run['headline']
    if not h: return [seconds, '']
    figure, baseline = (format(h[name], h['fmt']) for name in ('value', 'baseline'))
    return [seconds, f'{h["name"]}: **{figure}** ({h["baseline_name"]}: {baseline})']


def with_figures(text, record):
    "The table of chapters with seconds, and with the figure beside its baseline"
    cells = {run['chapter']: chapter_cells(run) for run in record['chapters']}
    lines = text.splitlines()
    for i, line in enumerate(lines):
        chapter = re.match(r'\| \[.*?\]\(nbs/(\w+)\.ipynb\)', line)
        if chapter: extra = cells.get(chapter[1], ['', ''])
        elif line.startswith('| chapter |'): extra = ['seconds', 'its figure (the simplest thing)']
        elif line.startswith('|---') and lines[i-1].startswith('| chapter |'): extra = ['---']*2
        else: continue
        lines[i] = f'{line} {" | ".join(extra)} |'
    machine, versions = record['machine'], record['versions']
    gpu = f' and {machine["gpu"]}' if machine['gpu'] else ''
    note = f'Measured by `{record["command"]}` on {record["date"]}: {record["seconds"]:.0f} ' \
        f'seconds in all on {machine["cores"]} cores{gpu}, with fastai {versions["fastai"]} and ' \
        f'PyTorch {versions["torch"]}.'
    return '\n'.join([*lines, '', note])


def ladder(record, file):
    "Accuracy of each method with few labels and with more: mean over repetitions, and the range"
    shown = RecordedTable(record)
    rows = [['accuracy with', *shown.table.columns], ['---']*(len(shown.table.columns) + 1),
            *shown.table.reset_index().to_numpy().tolist()]
    lines = [f'| {" | ".join(row)} |' for row in rows]
    note = f'{shown.note}: `{shown.command}` on {shown.date}, figures in [results](results/{file}).'
    return '\n'.join([*lines, '', note])


def on_colab(record):
    "What an installation on Colab does, and what ran on its versions"
    added = ', '.join(f'`{name}`' for name in record['added'])
    replaced = ', '.join(record['replaced']) or 'nothing'
    are = 'are' if len(record['added']) > 1 else 'is'
    text = f'An installation replaces {replaced} of what Colab shipped in {record["month"]}: ' \
        f'{len(record["kept"])} packages that the course needs were there and stay, ' \
        f'new {are} {added}.'
    if run := record.get('run'):
        v = run['versions']
        where = 'on a GPU' if run['machine']['gpu'] else 'without a GPU'
        text += f' All chapters ran on those versions (Python {v["python"]}, fastai ' \
            f'{v["fastai"]}, PyTorch {v["torch"]}, pandas {v["pandas"]}, NumPy {v["numpy"]}) ' \
            f'{where} in {run["seconds"]:.0f} seconds, and chapter 4 alone in an empty folder.'
    return text + f' Measured by `tools/colab.py` on {record["date"]}; its command and its ' \
        f'figures stand in [results](results/{COLAB.name}).'


# What stands in nbs/index.ipynb for a table or a paragraph: the record, and how it is told.
MARKS = {
    'two-cores': (TWO_CORES, partial(ladder, file=TWO_CORES.name)),
    'colab': (COLAB, on_colab),
}


def outputs(cell):
    "What a cell shows, as text"
    data = [out.get('data', {}).get('text/plain', out.get('text', '')) for out in cell.outputs]
    return ''.join(f'\n\n```\n{"".join(text).rstrip()}\n```' for text in data)


def cell_text(cell):
    "A cell of the notebook as a part of README.md"
    if cell.cell_type == 'code': return f'```python\n{cell.source}\n```' + outputs(cell)
    text = re.sub(r'\]\(([^)\s]+)\)', relink, cell.source)
    for mark, (path, say) in MARKS.items():
        if path.exists(): text = text.replace(f'<!-- {mark} -->', say(read(path)))
    if RESULTS.exists() and text.startswith('| chapter |'): return with_figures(text, read(RESULTS))
    return text


def readme():
    "The text of README.md"
    cells = nbformat.read(ROOT/'nbs/index.ipynb', as_version=4).cells
    shown = [cell for cell in cells if not re.match(r'#\|\s*(hide|default_exp)', cell.source)]
    return NOTICE + '\n\n'.join(cell_text(cell) for cell in shown) + '\n'


if __name__ == '__main__': (ROOT/'README.md').write_text(readme(), encoding='utf-8')
