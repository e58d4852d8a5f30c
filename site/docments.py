"A small extension of Sphinx: the comments on parameters, fastcore's docments, become the descriptions on the API pages"
import inspect

from fastcore.docments import docments


def kind(value):
    "A constant in a few words; Python would describe its type"
    entries = f' of {len(value)}' if hasattr(value, '__len__') and not isinstance(value, str) else ''
    return f'A constant: {type(value).__name__}{entries}'


def describe(app, what, name, obj, options, lines):
    "Add what the source says about each parameter and the result"
    if what == 'data' and lines == inspect.getdoc(type(obj)).splitlines() + ['']: lines[:] = [kind(obj)]
    if what not in ('function', 'method', 'class', 'exception') or not callable(obj): return
    try: comments = docments(obj, full=True)
    except (OSError, TypeError, ValueError): return # no source, or no signature
    fields = []
    for parameter, about in comments.items():
        text = ' '.join((about.docment or '').split())
        if not text: continue
        fields.append(f':returns: {text}' if parameter == 'return' else f':param {parameter}: {text}')
    if fields: lines.extend(['', *fields, ''])


def setup(app):
    app.connect('autodoc-process-docstring', describe)
    return {'parallel_read_safe': True}
