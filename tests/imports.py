"""Import every module in a process of its own, and all that it promises. What the modules stand on is loaded once, before the processes fork."""
import importlib
import multiprocessing
import sys
from pathlib import Path

import pandas  # noqa: F401
import sklearn.model_selection  # noqa: F401
import spacy  # noqa: F401
import torch  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent


def fault(name):
    "What is wrong with a module; empty if nothing is"
    try:
        module = importlib.import_module(name)
        missing = [each for each in module.__all__ if not hasattr(module, each)]
        return f'{name} lacks {", ".join(missing)}' if missing else ''
    except Exception as error: return f'cannot import {name}: {type(error).__name__}: {error}'


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    names = [f'textgraft.{path.stem}' for path in sorted((ROOT/'textgraft').glob('[a-z]*.py'))]
    with multiprocessing.get_context('fork').Pool(2, maxtasksperchild=1) as pool: faults = [f for f in pool.map(fault, names, chunksize=1) if f]
    print(*faults, sep='\n', end='\n' if faults else '')
    sys.exit(bool(faults) or not names)
