"Settings of Sphinx for the web site; build.py calls it"
import ast
import json
import re
import sys
from configparser import ConfigParser
from importlib.metadata import version as installed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'site'))

settings = ConfigParser(delimiters='=')
settings.read(ROOT/'settings.ini', encoding='utf-8')
cfg = settings['DEFAULT']
REPOSITORY = f'https://github.com/{cfg["user"]}/{cfg["repo"]}'

project = 'Textgraft'
author = cfg['author']
version = installed(cfg['lib_name'])
copyright = f'{author}; code: Apache-2.0, text and pictures: CC BY 4.0'
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.autosummary', 'docments']

nb_execution_mode = 'off' # the outputs are those that are committed
nb_ipywidgets_js = {} # they would come from another host
nb_merge_streams = True
myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 4
mathjax_path = 'mathjax/tex-svg.js'
# The menu of MathJax can ask for files that we do not ship.
mathjax3_config = {'options': {'enableMenu': False}}

default_role = 'literal' # docstrings are Markdown: `name` is code
nitpicky = True
# Others' names have no page here, nor have private ones.
nitpick_ignore_regex = [('py:.*', rf'(?!{cfg["lib_name"]}\.).*'), ('py:.*', r'.*\._\w+')]
autosummary_generate = False
autodoc_inherit_docstrings = False # what others say about their classes refers to their pages
autodoc_default_options = {'members': True, 'member-order': 'bysource', 'no-value': True}
autodoc_typehints = 'description'
autodoc_typehints_format = 'short'
autodoc_typehints_description_target = 'documented_params' # not `self` of a patched method
add_module_names = False
toc_object_entries_show_parents = 'hide'
python_maximum_signature_line_length = 80

html_theme = 'sphinx_book_theme'
html_title = project
html_static_path = ['static', '../_site/vendored']
html_css_files = ['site.css']
html_js_files = ['site.js']
html_show_sphinx = False
html_use_index = False
html_copy_source = True # the download button gives the notebook
html_sourcelink_suffix = ''
html_theme_options = {
    'repository_url': REPOSITORY,
    'repository_branch': cfg['branch'],
    'path_to_docs': 'nbs',
    'use_repository_button': True,
    'launch_buttons': {'colab_url': 'https://colab.research.google.com'},
    'navbar_persistent': [], # the search field stands at the side
    'show_toc_level': 2,
    'show_navbar_depth': 1,
}


def is_hidden(cell):
    "Is a cell only for programs?"
    code = ''.join(cell['source'])
    marked = re.search(r'^#\|\s*(hide|default_exp)\b', code, flags=re.MULTILINE)
    return cell['cell_type'] == 'code' and bool(marked)


def imports_only(code):
    "Does a cell do nothing but import, or little else?"
    try: statements = ast.parse(code).body
    except SyntaxError: return False # a magic command
    imports = [each for each in statements if isinstance(each, (ast.Import, ast.ImportFrom))]
    return 2*len(imports) > len(statements)


def clean(cell):
    """Take from a cell of code what is written for programs

    Its alt text goes to the picture, and a cell of imports is folded."""
    for output in cell['outputs']:
        output.get('data', {}).pop('application/vnd.textgraft.headline+json', None)
    code = ''.join(cell['source'])
    alt = re.findall(r'^#\|\s*fig-alt: *(.+)$', code, flags=re.MULTILINE)
    if alt: cell['metadata']['mystnb'] = {'image': {'alt': ' '.join(alt)}}
    cell['source'] = re.sub(r'^#\|.*\n?', '', code, flags=re.MULTILINE).strip('\n')
    if imports_only(cell['source']): cell['metadata']['tags'] = ['hide-input']


def without_directives(app, docname, source):
    "Readers see a notebook without the lines that are written for nbdev"
    if not str(app.env.doc2path(docname)).endswith('.ipynb'): return
    nb = json.loads(source[0])
    language = nb['metadata'].setdefault('language_info', {'name': 'python'})
    language.setdefault('pygments_lexer', 'ipython3')
    nb['cells'] = [cell for cell in nb['cells'] if not is_hidden(cell)]
    for cell in nb['cells']:
        if cell['cell_type'] == 'code': clean(cell)
        else: cell['source'] = ''.join(cell['source']).replace('](index.ipynb)', '](index.md)')
    source[0] = json.dumps(nb)


def from_elsewhere(app, what, name, value, skip, options):
    "Leave out what scikit-learn gives every estimator"
    return skip or bool(re.fullmatch(r'set_\w+_request', name))


def setup(app):
    app.connect('source-read', without_directives)
    app.connect('autodoc-skip-member', from_elsewhere)
