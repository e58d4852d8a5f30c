"Package metadata, read from settings.ini."
from configparser import ConfigParser
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters='=')
parser.read(here/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']


def lines(name):
    "The non-empty lines of setting `name`"
    return [line for line in cfg[name].splitlines() if line.strip()]


setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    keywords=cfg['keywords'],
    author=cfg['author'],
    license=cfg['license'],
    url=f"https://github.com/{cfg['user']}/{cfg['repo']}",
    long_description=(here/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    packages=find_packages(include=['textgraft', 'textgraft.*']),
    python_requires='>=' + cfg['min_python'],
    install_requires=lines('requirements'),
    extras_require={extra: lines(f'{extra}_requirements')
                    for extra in ['dev', 'gguf', 'openvino', 'scale', 'site', 'browser']},
    data_files=[('share/textgraft/results', sorted(glob('results/*.json')))],
    entry_points={
        'console_scripts': ['textgraft=textgraft.course.command:main'],
        'nbdev': ['textgraft=textgraft._modidx:d'],
    },
)
