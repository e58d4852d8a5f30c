"""Write README.md from nbs/index.ipynb, with the figures of results/ in its tables.

    python tools/readme.py           write it
    python tools/readme.py --check   fail if it is not current
"""
import json
import posixpath
import re
import sys
from functools import partial
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT/'results/course-small.json'
LADDER = ROOT/'results/ladder-small.json'
TWO_CORES = ROOT/'results/two-cores.json'
COLAB = ROOT/'results/colab.json'
NOTICE = '<!-- Written by tools/readme.py from nbs/index.ipynb: edit that notebook, then run "make readme". -->\n\n'


def relink(match):
    "A link as seen from the folder above"
    target = match[1]
    return match[0] if re.match(r'[a-z]+:|#', target) else f']({posixpath.normpath("nbs/"+target)})'


def figures(record):
    "The cells that each chapter's run adds to its row of the table"
    for run in record['chapters']:
        h = run['headline']
        shown = f'{h["name"]}: **{h["value"]:{h["fmt"]}}** ({h["baseline_name"]}: {h["baseline"]:{h["fmt"]}})' if h else ''
        yield run['chapter'], [f'{run["seconds"]:.0f}', shown]


def with_figures(text, record):
    "The table of chapters with seconds, and with the figure beside its baseline"
    cells, lines = dict(figures(record)), text.splitlines()
    for i, line in enumerate(lines):
        chapter = re.match(r'\| \[.*?\]\(nbs/(\w+)\.ipynb\)', line)
        if chapter: extra = cells.get(chapter[1], ['']*2)
        elif line.startswith('| chapter |'): extra = ['seconds', 'its figure (and the simplest thing)']
        elif line.startswith('|---') and lines[i-1].startswith('| chapter |'): extra = ['---']*2
        else: continue
        lines[i] = f'{line} {" | ".join(extra)} |'
    m = record['machine']
    note = f'\nMeasured by `{record["command"]}` on {record["date"]}: {record["seconds"]:.0f} seconds in all on {m["cores"]} cores' \
        f'{" and "+m["gpu"] if m["gpu"] else ""}, with fastai {record["versions"]["fastai"]} and PyTorch {record["versions"]["torch"]}.'
    return '\n'.join([*lines, note])


def ladder(record, file, again):
    "Accuracy of each method with few labels and with more: mean over repetitions, lowest and highest"
    found = {name: methods for name, methods in record['figures'].items() if name.endswith('labels')}
    def shown(a): return f'{a["mean"]:.1%} ({a["lowest"]:.1%} to {a["highest"]:.1%})'
    methods = next(iter(found.values()))
    rows = [f'| {name} | {" | ".join(shown(column[name]) for column in found.values())} |' for name in methods]
    note = f'\nMean, lowest and highest of {len(methods["larger class"]["each"])} {again} on {record["figures"]["test_reviews"]:,} test reviews: ' \
        f'`{record["command"]}` on {record["date"]}, figures in [results](results/{file}).'
    return '\n'.join([f'| accuracy with | {" | ".join(found)} |', '|---'*(len(found)+1) + '|', *rows, note])


def on_colab(record):
    "What an installation on Colab does, and what ran on its versions"
    added = ', '.join(f'`{name}`' for name in record['added'])
    text = f'An installation replaces {"nothing" if not record["replaced"] else ", ".join(record["replaced"])} of what Colab shipped in ' \
        f'{record["month"]}: {len(record["kept"])} packages that the course needs were there and stay, new {"are" if len(record["added"]) > 1 else "is"} {added}.'
    if run := record.get('run'):
        v = run['versions']
        text += f' All chapters ran on those versions (Python {v["python"]}, fastai {v["fastai"]}, PyTorch {v["torch"]}, pandas {v["pandas"]}, ' \
            f'NumPy {v["numpy"]}) {"on a GPU" if run["machine"]["gpu"] else "without a GPU"} in {run["seconds"]:.0f} seconds, and chapter 4 alone in an empty folder.'
    return text + f' Measured by `tools/colab.py` on {record["date"]}; its command and its figures stand in [results](results/{COLAB.name}).'


def outputs(cell):
    "What a cell shows, as text"
    shown = [''.join(out.get('data', {}).get('text/plain', out.get('text', ''))) for out in cell.outputs]
    return ''.join(f'\n\n```\n{text.rstrip()}\n```' for text in shown)


def readme():
    "The text of README.md"
    record = json.loads(RESULTS.read_text(encoding='utf-8')) if RESULTS.exists() else None
    made = {'ladder': (LADDER, partial(ladder, file=LADDER.name, again='seeds')), 'two-cores': (TWO_CORES, partial(ladder, file=TWO_CORES.name, again='draws')),
            'colab': (COLAB, on_colab)}
    parts = []
    for cell in nbformat.read(ROOT/'nbs/index.ipynb', as_version=4).cells:
        if re.match(r'#\|\s*(hide|default_exp)', cell.source): continue
        if cell.cell_type == 'code': text = f'```python\n{cell.source}\n```' + outputs(cell)
        else: text = re.sub(r'\]\(([^)\s]+)\)', relink, cell.source)
        for mark, (path, say) in made.items():
            if path.exists(): text = text.replace(f'<!-- {mark} -->', say(json.loads(path.read_text(encoding='utf-8'))))
        parts.append(with_figures(text, record) if record and text.startswith('| chapter |') else text)
    return NOTICE+'\n\n'.join(parts)+'\n'


if __name__ == '__main__':
    path, text = ROOT/'README.md', readme()
    if '--check' not in sys.argv: path.write_text(text, encoding='utf-8')
    elif not path.exists() or path.read_text(encoding='utf-8') != text: sys.exit('README.md is not what nbs/index.ipynb says')
