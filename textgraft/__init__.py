"Transfer learning for text, in runnable chapters"
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version('textgraft')
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = '0+unknown'
