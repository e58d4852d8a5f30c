"""Check a built site: links, anchors, pictures and scripts are there; nothing comes from elsewhere.

    python site/check.py FOLDER
"""
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself; a link that a reader follows may lead anywhere.
LOADS = {(tag, 'src') for tag in ['script', 'img', 'source', 'iframe', 'embed', 'video', 'audio']}
LOADS |= {('object', 'data'), ('link', 'href'), ('image', 'href'), ('use', 'href')}
# <link>s that fetch nothing
HINTS = {'canonical', 'next', 'prev', 'author', 'license', 'search', 'index'}
FOREIGN = re.compile(r'''(?:fetch|import|importScripts|open)\(\s*["'`](?:https?:)?//'''
                     r'''|\.src\s*=\s*["'`](?:https?:)?//'''
                     r'''|@import\s+(?:url\()?["']?(?:https?:)?//''')


class Page(HTMLParser):
    "The anchors of a page and what it refers to"
    def __init__(self, path):
        super().__init__()
        self.anchors = set()
        self.links, self.loads, self.styles = [], [], []
        self.mute = [] # pictures that do not say what they show
        self.inside = None # the tag that was opened last
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or '' for name, value in attributes}
        self.inside = tag
        self.anchors.update(attributes[name] for name in ('id', 'name') if attributes.get(name))
        if attributes.get('style'): self.styles.append(attributes['style'])
        source = attributes.get('src', '')
        if tag == 'img' and attributes.get('alt', '') in ('', source): self.mute.append(source)
        if tag == 'link' and HINTS & set(attributes.get('rel', '').split()): return
        for name, value in attributes.items():
            if (tag, name.removeprefix('xlink:')) in LOADS: self.loads.append(value)
            elif tag == 'a' and name == 'href': self.links.append(value)
            elif name == 'srcset': self.loads += [part.split()[0] for part in value.split(',')]

    def handle_data(self, data):
        if self.inside == 'style': self.styles.append(data)
        foreign = FOREIGN.search(data)
        if self.inside == 'script' and foreign: self.loads.append(foreign[0])


def in_css(text):
    "What a style sheet loads"
    found = re.findall(r'''(?:url\(|@import\s)\s*(["']?)([^"')]+)\1''', text)
    return [target for _, target in found if not target.startswith(('data:', '#'))]


def load_fault(path, target):
    "What is wrong with something that a browser would fetch; nothing, or one line"
    parts = urlsplit(target)
    if parts.scheme == 'data': return
    if parts.scheme or parts.netloc: yield f'loads {target}'
    elif not (path.parent/unquote(parts.path)).is_file(): yield f'has no file {target}'


def link_fault(path, target, pages):
    "What is wrong with a link to a page of the site; nothing, or one line"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc: return
    file = (path.parent/unquote(parts.path)).resolve() if parts.path else path
    anchor = unquote(parts.fragment)
    if not file.is_file(): yield f'has no page {target}'
    elif anchor and file in pages and anchor not in pages[file].anchors:
        yield f'has no anchor {target}'


def file_faults(path, pages):
    "What is wrong with one file of the site"
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.js':
        found = FOREIGN.search(text)
        if found: yield f'may load from another host: {found[0]}'
        return
    page = pages.get(path)
    loads = [*page.loads, *in_css(' '.join(page.styles))] if page else in_css(text)
    for target in loads: yield from load_fault(path, target)
    for target in page.mute if page else []: yield f'has no alt text for {target}'
    for target in page.links if page else []: yield from link_fault(path, target, pages)


def faults(site):
    "One line for each thing that is missing or comes from another host"
    html = [path for path in sorted(site.rglob('*.html')) if '_static' not in path.parts]
    pages = {path: Page(path) for path in html} # without the templates of the theme
    for path in [*html, *sorted(site.rglob('*.css')), *sorted(site.rglob('*.js'))]:
        for fault in file_faults(path, pages): yield f'{path.relative_to(site)} {fault}'


if __name__ == '__main__':
    found = list(faults(Path(sys.argv[1]).resolve()))
    print(*found, sep='\n')
    sys.exit(bool(found))
