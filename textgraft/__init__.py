"Transfer learning for text, in runnable chapters: `import textgraft as tg` is the front door"
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

# fastai compiles four small functions when it is imported, in a way that PyTorch has declared
# deprecated. No reader of ours can do anything about it, and it has to be said before the import.
warnings.filterwarnings('ignore', message='.*torch.jit.script.*', category=FutureWarning)

try:
    __version__ = version('textgraft')
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = '0+unknown'

# Name -> the module that holds it. Each is imported when it is first asked for, so that
# `import textgraft` does not wait for PyTorch.
_ROOMS = {
    'Corpus': 'corpus', 'Tokenizer': 'tokenization', 'LanguageModel': 'lm_finetune',
    'TextClassifier': 'classifier', 'ladder': 'library.ladder', 'load': 'library.rungs',
    'Decoder': 'gpt2', 'load_decoder': 'gpt2',
    'predict_dataset': 'library.scale', 'tokenize_dataset': 'library.scale',
    'RUNGS': 'library.rungs', 'LANGUAGES': 'library.languages', 'ENCODERS': 'library.encoders'}

__all__ = [*_ROOMS, '__version__']


def __getattr__(name):
    if name not in _ROOMS: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(import_module(f'{__name__}.{_ROOMS[name]}'), name)
    globals()[name] = value
    return value


def __dir__(): return sorted({*globals(), *__all__})
