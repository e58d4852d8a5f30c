"""Draw the pictures of the course: python images/draw.py

    map.svg, map-00.svg ...   the stages: none lit, for the front page, and each stage lit, for the
                              head of its chapter
    stream.svg                chapter 2: one stream cut into lanes and batches
    thaw.svg                  chapter 4: which layer learns in which step, and how fast
    cache.svg                 chapter 5: what is read again without the cache
    open-in-colab.svg         the button at the head of each notebook

The pictures bring their own light background, so that they can be read on a dark page too. The maps
need graphviz's `dot`.
"""
import re
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
STAGES = {
    '00': 'Corpus', '01': 'Tokens', '02': 'Batches', '03': 'Language\\nmodel', '04': 'Classifier',
    '05': 'GPT-2', '06': 'Your text',
}
# Stage 6 shares a column with stage 4: one column more would make every letter smaller.
MAP = '''
bgcolor="transparent"; fontname="Helvetica"; nodesep=0.25; ranksep=0.55; pad=0.05;
node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=13 margin="0.18,0.1"
      height=0.62 color="#8b95a5" fillcolor="#ffffff" fontcolor="#1f2937" penwidth=1.2];
edge [color="#6b7280" fontname="Helvetica" fontsize=11 fontcolor="#374151" arrowsize=0.7];
subgraph cluster_panel {
  style="rounded,filled"; color="#d6dbe3"; fillcolor="#f3f5f8"; margin=14;
  %s
  node [style="rounded,filled,dashed" fillcolor="#f3f5f8" fontsize=11];
  wiki [label="weights from\\nWikipedia"]; web [label="weights from\\nthe web"];
  n00 -> n01 [label="texts"]; n01 -> n02 [label="ids"]; n02 -> n03 [label="batches"];
  n03 -> n04 [label="encoder"]; n04 -> n06 [minlen=0];
  wiki -> n03; web -> n05; n01 -> n05 [label="prompt"];
}'''
PANEL, LINE, WHITE, INK = '#f3f5f8', '#8b95a5', '#ffffff', '#1f2937'
GREY, BLUE, PALE = '#4b5563', '#1d4ed8', '#dbe4ff'
LANES = ['#dbe4ff', '#d3f5e3', '#fdecc8', '#fbd9d9', '#e9ddfb', '#d0f1f7']


def node(number, name, lit):
    "One stage of the map"
    look = ' fillcolor="#1d4ed8" color="#1d4ed8" fontcolor="#ffffff"' if number == lit else ''
    return f'n{number} [label="{number}  {name}"{look}];'


def draw_map(lit=None):
    "The map with stage `lit`"
    from fastbook import gv
    nodes = '\n  '.join(node(number, name, lit) for number, name in STAGES.items())
    svg = gv(MAP % nodes).pipe(format='svg', encoding='utf-8')
    unwanted = r'<!--.*?-->\n?|<title>.*?</title>\n?|<!DOCTYPE.*?>\n?'
    return re.sub(unwanted, '', svg, flags=re.DOTALL)


def text(x, y, words, size=13, color=INK, anchor='middle', weight='normal'):
    "Words at a place"
    look = f'font-size="{size}" fill="{color}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:g}" y="{y:g}" {look}>{escape(str(words))}</text>'


def box(x, y, width, height, fill=WHITE, line=LINE, round=3, thick=1, dashed=False):
    "A rectangle with round corners"
    dashes = ' stroke-dasharray="4 3"' if dashed else ''
    where = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round}"'
    return f'<rect {where} fill="{fill}" stroke="{line}" stroke-width="{thick}"{dashes}/>'


def arrow(x, y, to_x, to_y):
    "A line with a tip"
    look = f'stroke="{GREY}" stroke-width="1.4" marker-end="url(#tip)"'
    return f'<path d="M{x:g} {y:g}L{to_x:g} {to_y:g}" {look}/>'


def svg_head(width, height):
    "The first tag of a picture"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">')


def picture(width, height, parts):
    "Parts on a light panel"
    tip = ('<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
           f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8Z" fill="{GREY}"/>'
           '</marker></defs>')
    panel = box(1, 1, width-2, height-2, PANEL, '#d6dbe3', round=10)
    return '\n'.join([svg_head(width, height), tip, panel, *parts, '</svg>', ''])


def draw_stream(bs=6, lane=15, seq_len=5):
    "A stream of `bs*lane` tokens, its lanes below each other, and the batches cut out of them"
    wide, high, gap, left, top = 33, 26, 30, 96, 128
    narrow = 712/(bs*lane) # width of a token in the stream at the top
    title = f'One stream of {bs*lane} tokens, numbered 0 to {bs*lane-1}'
    parts = [text(24, 32, title, anchor='start', weight='bold')]
    for token in range(bs*lane):
        parts.append(box(24 + token*narrow, 44, narrow, 20, LANES[token//lane], round=0, thick=.6))
    for row in range(bs):
        parts.append(text(24 + row*lane*narrow, 78, row*lane, 11, GREY, 'start'))
    title = f'is cut into {bs} lanes; a batch takes the next {seq_len} tokens of every lane'
    parts.append(text(24, 110, title, anchor='start', weight='bold'))

    def place(row, column):
        return left + column*wide + column//seq_len*gap, top + 26 + row*(high+6)

    for start in range(0, lane, seq_len):
        middle = place(0, start)[0] + seq_len*wide/2
        parts.append(text(middle, top + 14, f'batch {start//seq_len}', color=GREY))
    for row in range(bs):
        y = place(row, 0)[1] + 18
        parts.append(text(left - 14, y, f'lane {row}', color=GREY, anchor='end'))
        for column in range(lane):
            x, y = place(row, column)
            parts.append(box(x, y, wide, high, LANES[row], round=0))
            parts.append(text(x + wide/2, y + 18, row*lane + column))
            if column % seq_len == 0 and column:
                parts.append(arrow(x - gap + 4, y + high/2, x - 4, y + high/2))
    for row, column in [(1, 0), (0, seq_len)]:
        x, y = place(row, column)
        parts.append(box(x, y, seq_len*wide, high, 'none', BLUE, round=2, thick=3))
    bottom = place(bs, 0)[1]
    note = 'The two rows with a thick frame are those that most people guess wrongly.'
    parts.append(text(24, bottom + 18, note, color=GREY, anchor='start'))
    return picture(760, bottom + 34, parts)


def draw_thaw(layers=2):
    "The steps of `thaw_plan` as columns, the layers as rows: who learns, and how fast"
    from textgraft.classifier import thaw_plan
    names = ['head', *(f'LSTM {n}' for n in range(layers, 0, -1)), 'embedding']
    slower = ['', ' ÷ 2.6', ' ÷ 2.6²', ' ÷ 2.6³']
    plan = thaw_plan(layers, epochs=1, lr=1.)
    wide, high, left, top = 148, 44, 118, 66
    parts = []
    for column, step in enumerate(plan):
        x = left + column*(wide+10)
        part = round(1/step['lr'])
        epochs = ['', 'n epochs', '2n epochs'][step['epochs']]
        parts.append(text(x + wide/2, 32, f'step {column+1}', weight='bold'))
        parts.append(text(x + wide/2, 52, epochs, 12, GREY))
        for row, name in enumerate(names):
            y = top + row*(high+8)
            learns = row <= column # step by step one group more, from the head down
            # The lowest rate on the picture is that of the plan.
            if row == column: assert abs(step['lr']/2.6**row - step['lr_low']) < 1e-12
            colours = (BLUE, BLUE) if learns else (WHITE, LINE)
            parts.append(box(x, y, wide, high, *colours, dashed=not learns))
            rate = ('lr' if part == 1 else f'lr/{part}') + slower[row]
            if learns: parts.append(text(x + wide/2, y + 27, rate, 14, WHITE))
            else: parts.append(text(x + wide/2, y + 27, 'frozen', 12, GREY))
            if not column: parts.append(text(left - 14, y + 27, name, anchor='end', weight='bold'))
    bottom = top + len(names)*(high+8)
    note = ('Blue layers learn, at the rate that they show; '
            'the others keep what the language model knew.')
    parts.append(text(left, bottom + 18, note, 12, GREY, 'start'))
    return picture(left + len(plan)*(wide+10) + 10, bottom + 34, parts)


def cache_panel(left, title, cached, prompt, new):
    "One half of `cache.svg`: a row per step, a square per token"
    side, step = 25, 31
    end = left + 44 + (prompt+new)*step + 24 # the column of numbers
    reads = [1 if cached and i else prompt + i for i in range(new)]
    parts = [text(left, 34, title, 14, anchor='start', weight='bold'),
             text(left, 56, 'token', 12, GREY, 'start'), text(end, 56, 'read', 12, GREY)]
    for token in range(prompt + new):
        parts.append(text(left + 44 + token*step + side/2, 56, token, 12, GREY))
    for i, read in enumerate(reads):
        y, there = 68 + i*step, prompt + i
        parts.append(text(left, y + 18, f'step {i+1}', 12, GREY, 'start'))
        for token in range(there + 1):
            x = left + 44 + token*step
            if token == there: look = dict(fill=WHITE, line=BLUE, thick=2)
            elif token >= there - read: look = dict(fill=BLUE, line=BLUE)
            else: look = dict(fill=PALE, line=LINE)
            parts.append(box(x, y, side, side, **look))
            if token == there: parts.append(text(x + side/2, y + 18, '?', 14, BLUE, weight='bold'))
        parts.append(text(end, y + 18, read, weight='bold'))
    y = 68 + new*step + 18
    parts.append(text(end, y, sum(reads), 15, weight='bold'))
    parts.append(text(end - 22, y, 'in all', 12, GREY, 'end'))
    return parts


def draw_cache(prompt=4, new=5):
    "What each step reads: everything again, or one token and the keys and values from before"
    parts = [*cache_panel(24, 'Everything again in each step', False, prompt, new),
             *cache_panel(410, 'With the cache', True, prompt, new)]
    y = 68 + (new+1)*31 + 8
    key = [(24, BLUE, BLUE, 'read in this step'),
           (196, PALE, LINE, 'keys and values kept from before'), (452, WHITE, BLUE, 'chosen next')]
    for x, fill, line, words in key:
        parts.append(box(x, y, 16, 16, fill, line, thick=1.5))
        parts.append(text(x + 24, y + 13, words, 12, GREY, 'start'))
    return picture(780, y + 34, parts)


def draw_badge():
    "A button"
    button = box(.5, .5, 129, 27, '#374151', '#374151', round=5)
    triangle = '<path d="M12 8L21 14L12 20Z" fill="#fbbf24"/>'
    words = text(75, 18.5, 'Open in Colab', 13, WHITE)
    return '\n'.join([svg_head(130, 28), button, triangle, words, '</svg>', ''])


FIGURES = {'stream': draw_stream, 'thaw': draw_thaw, 'cache': draw_cache,
           'open-in-colab': draw_badge}


def main():
    for name, draw in FIGURES.items():
        (FOLDER/f'{name}.svg').write_text(draw(), encoding='utf-8')
    for lit in [None, *STAGES]:
        name = f'map-{lit}.svg' if lit else 'map.svg'
        (FOLDER/name).write_text(draw_map(lit), encoding='utf-8')


if __name__ == '__main__': main()
