"Real data beside the checkout; a module of its own, since tests/browser has a conftest too"
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parent.parent.parent/'shared/data'


def real(
    path:Path, # Where the data would lie
)->Path: # The same path, if it is there; otherwise the test is skipped
    "Data that is not part of the repository"
    if not path.exists():
        pytest.skip(f'needs {path.name} in the folder shared/data beside the checkout')
    return path
