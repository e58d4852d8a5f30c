"""Check a built site: every link, anchor, picture and script is there, pictures say what they show, nothing comes from elsewhere.

    python site/check.py FOLDER
"""
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself; a link that a reader follows may lead anywhere.
LOADS = {('script', 'src'), ('img', 'src'), ('source', 'src'), ('iframe', 'src'), ('embed', 'src'), ('video', 'src'), ('audio', 'src'),
    ('object', 'data'), ('link', 'href'), ('image', 'href'), ('use', 'href')}
HINTS = {'canonical', 'next', 'prev', 'author', 'license', 'search', 'index'} # <link>s that fetch nothing
FOREIGN = re.compile(r'''(?:fetch|import|importScripts|open)\(\s*["'`](?:https?:)?//|\.src\s*=\s*["'`](?:https?:)?//|@import\s+(?:url\()?["']?(?:https?:)?//''')


class Page(HTMLParser):
    "The anchors of a page and what it refers to"
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads, self.styles, self.mute, self.inside = set(), [], [], [], [], None
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.inside = tag
        self.anchors.update(attributes[name] for name in ('id', 'name') if attributes.get(name))
        if attributes.get('style'): self.styles.append(attributes['style'])
        if tag == 'img' and attributes.get('alt') in (None, '', attributes.get('src')): self.mute.append(attributes.get('src') or '')
        if tag == 'link' and HINTS & set((attributes.get('rel') or '').split()): return
        for name, value in attributes.items():
            if (tag, name.removeprefix('xlink:')) in LOADS: self.loads.append(value or '')
            elif tag == 'a' and name == 'href': self.links.append(value or '')
            elif name == 'srcset': self.loads += [part.split()[0] for part in value.split(',')]

    def handle_data(self, data):
        if self.inside == 'style': self.styles.append(data)
        if self.inside == 'script' and FOREIGN.search(data): self.loads.append(FOREIGN.search(data)[0])


def in_css(text):
    "What a style sheet loads"
    return [match[2] for match in re.finditer(r'''(?:url\(|@import\s)\s*(["']?)([^"')]+)\1''', text) if not match[2].startswith(('data:', '#'))]


def faults(site):
    "One line for each thing that is missing or comes from another host"
    pages = {path: Page(path) for path in sorted(site.rglob('*.html')) if '_static' not in path.parts} # not the theme's templates
    styles = {path: in_css(path.read_text(encoding='utf-8')) for path in sorted(site.rglob('*.css'))}
    loads = [(path, target) for path, page in pages.items() for target in [*page.loads, *in_css(' '.join(page.styles))]]
    loads += [(path, target) for path, targets in styles.items() for target in targets]
    for path, target in loads:
        parts = urlsplit(target)
        if parts.scheme == 'data': continue
        if parts.scheme or parts.netloc: yield f'{path.relative_to(site)} loads {target}'
        elif not (path.parent/unquote(parts.path)).is_file(): yield f'{path.relative_to(site)}: no file {target}'
    for path, page in pages.items():
        for target in page.mute: yield f'{path.relative_to(site)}: no alt text for {target}'
        for target in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc: continue
            file = (path.parent/unquote(parts.path)).resolve() if parts.path else path
            if not file.is_file(): yield f'{path.relative_to(site)}: no page {target}'
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
                yield f'{path.relative_to(site)}: no anchor {target}'
    for path in sorted(site.rglob('*.js')):
        found = FOREIGN.search(path.read_text(encoding='utf-8'))
        if found: yield f'{path.relative_to(site)} may load from another host: {found[0]}'


if __name__ == '__main__':
    found = list(faults(Path(sys.argv[1]).resolve()))
    print(*found, sep='\n')
    sys.exit(bool(found))
