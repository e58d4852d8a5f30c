"A small extension of Sphinx: the comments on parameters become descriptions on the API pages"
import inspect

from fastcore.docments import docments


def kind(value):
    "A constant in a few words; Python would describe its type"
    counted = hasattr(value, '__len__') and not isinstance(value, str)
    entries = f' of {len(value)}' if counted else ''
    return f'A constant: {type(value).__name__}{entries}'


def describe(app, what, name, obj, options, lines):
    "Add what the source says about each parameter and the result"
    if what == 'data' and lines == [*inspect.getdoc(type(obj)).splitlines(), '']:
        lines[:] = [kind(obj)]
    if what not in ('function', 'method', 'class', 'exception') or not callable(obj): return
    try: comments = docments(obj, full=True)
    except (OSError, TypeError, ValueError): return # no source, or no signature
    fields = []
    for parameter, about in comments.items():
        text = ' '.join((about.docment or '').split())
        field = ':returns:' if parameter == 'return' else f':param {parameter}:'
        if text: fields.append(f'{field} {text}')
    if fields: lines.extend(['', *fields, ''])


def setup(app):
    app.connect('autodoc-process-docstring', describe)
    return {'parallel_read_safe': True}
