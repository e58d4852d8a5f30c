"Write measured figures to `results/`, with what is needed to measure them again"
import json
import os
import platform
import shlex
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent/'results'


def processor():
    "What the machine calls its processor"
    try: lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError: return platform.processor()
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def rounded(value):
    "Four significant digits are enough"
    if isinstance(value, dict): return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list): return [rounded(v) for v in value]
    return float(f'{value:.4g}') if isinstance(value, float) else value


def record(
    name, # File in `results/`, without `.json`
    figures, # What was measured
    packages=('textgraft', 'fastai', 'torch', 'spacy', 'numpy'), # Whose versions matter
    folder=RESULTS, # Where results are kept
): # The file written
    "Figures with command, machine, versions and date"
    arguments = [Path(word).name if '/' in word else word for word in sys.argv[1:]]
    command = 'python -m ' + shlex.join([sys.modules['__main__'].__spec__.name, *arguments])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    machine = dict(processor=processor(), cores=cores, python=platform.python_version())
    entry = dict(command=command, date=date.today().isoformat(), machine=machine,
                 load_at_the_end=os.getloadavg()[0], versions={p: version(p) for p in packages},
                 figures=figures)
    path = folder/f'{name}.json'
    path.write_text(json.dumps(rounded(entry), indent=1) + '\n', encoding='utf-8')
    return f'written: results/{path.name}'
