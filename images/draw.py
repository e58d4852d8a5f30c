"""Draw the map of the course, once for each stage with that stage lit: python images/draw.py

    map.svg             no stage lit, for the front page
    map-00.svg ...      one for the head of each chapter

The pictures bring their own light background, so that they can be read on a dark page too.
Alt text of the chapters: "The stages of the course, with stage NN, NAME, lit".
"""
import re
from pathlib import Path

from fastbook import gv

FOLDER = Path(__file__).resolve().parent
STAGES = {'00': 'Reviews', '01': 'Tokens', '02': 'Batches', '03': 'Language\\nmodel', '04': 'Classifier', '05': 'GPT-2'}
MAP = '''
bgcolor="transparent"; fontname="Helvetica"; nodesep=0.25; ranksep=0.55; pad=0.05;
node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=13 margin="0.18,0.1" height=0.62 color="#8b95a5"
      fillcolor="#ffffff" fontcolor="#1f2937" penwidth=1.2];
edge [color="#6b7280" fontname="Helvetica" fontsize=11 fontcolor="#374151" arrowsize=0.7];
subgraph cluster_panel {
  style="rounded,filled"; color="#d6dbe3"; fillcolor="#f3f5f8"; margin=14;
  %s
  wiki [label="weights from\\nWikipedia" style="rounded,filled,dashed" fillcolor="#f3f5f8" fontsize=11];
  web [label="weights from\\nthe web" style="rounded,filled,dashed" fillcolor="#f3f5f8" fontsize=11];
  n00 -> n01 [label="texts"]; n01 -> n02 [label="ids"]; n02 -> n03 [label="batches"]; n03 -> n04 [label="encoder"];
  wiki -> n03; web -> n05; n01 -> n05 [label="prompt"];
}'''


def node(number, name, lit):
    "One stage of the map"
    look = ' fillcolor="#1d4ed8" color="#1d4ed8" fontcolor="#ffffff"' if number == lit else ''
    return f'n{number} [label="{number}  {name}"{look}];'


def draw(lit=None):
    "The map with stage `lit`"
    nodes = '\n  '.join(node(number, name, lit) for number, name in STAGES.items())
    svg = gv(MAP % nodes).pipe(format='svg', encoding='utf-8')
    return re.sub(r'<!--.*?-->\n?|<title>.*?</title>\n?|<!DOCTYPE.*?>\n?', '', svg, flags=re.DOTALL)


if __name__ == '__main__':
    for lit in [None, *STAGES]: (FOLDER/(f'map-{lit}.svg' if lit else 'map.svg')).write_text(draw(lit), encoding='utf-8')
