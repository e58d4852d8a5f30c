"Transfer learning for text, in runnable chapters"
import warnings
from importlib.metadata import PackageNotFoundError, version

# fastai compiles four small functions when it is imported, in a way that PyTorch has declared deprecated.
# No reader of ours can do anything about it, and it has to be said before fastai is imported.
warnings.filterwarnings('ignore', message='.*torch.jit.script.*', category=FutureWarning)

try:
    __version__ = version('textgraft')
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = '0+unknown'
