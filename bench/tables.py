"""What `textgraft fit` does to other people's tables: every rung, and the one that it chooses.

    python -m bench.tables --data tables [--only trec6 sst2] [--per-class 10] [--draws 2]
        [--minutes 10] [--no-record]

`tables` holds a folder for each table, with `train.csv` and `test.csv` (columns `label` and
`text`), or `all.csv`, of which a fifth is then set aside. Each table is measured with all labels
and with few of each class; the texts whose labels are taken away may still be read. Every run has
`--minutes`; a rung that would take longer is left out. Results are recorded after each table.
"""
import argparse
import time
from pathlib import Path

from bench.record import record
from textgraft.corpus import Corpus
from textgraft.library.ladder import ladder
from textgraft.library.rungs import OPTIONAL, RUNGS

import pandas as pd
from sklearn.model_selection import train_test_split

LANGUAGES = {'chnsenticorp': 'zh', 'germeval2018': 'de'} # others are English
MEASURED = [name for name in RUNGS if name not in OPTIONAL or name == 'network from scratch']


def read(file):
    "A table of texts and labels; an empty field is no missing one"
    return pd.read_csv(file, dtype=str, keep_default_na=False)[['text', 'label']]


def table_corpus(folder, seed):
    "The table in a folder, with the test texts that it came with, or a fifth of it"
    if (folder/'train.csv').exists():
        train, test = read(folder/'train.csv'), read(folder/'test.csv')
    else:
        whole = read(folder/'all.csv')
        train, test = train_test_split(whole, test_size=.2, stratify=whole.label, random_state=seed)
    return Corpus(folder.name, train.reset_index(drop=True), test.reset_index(drop=True),
                  pd.DataFrame(dict(text=[])))


def with_few_labels(corpus, per_class, seed):
    "The same texts, of which only some keep their labels"
    few = corpus.train.groupby('label').sample(per_class, random_state=seed)
    rest = corpus.train.drop(few.index)[['text']]
    return Corpus(corpus.name, few.reset_index(drop=True), corpus.test, rest.reset_index(drop=True))


def measured(corpus, minutes, seed):
    "Test accuracy of each rung, and of the one that cross-validation chose"
    start = time.perf_counter()
    lang = LANGUAGES.get(corpus.name, 'en')
    found = ladder(corpus, MEASURED, minutes=minutes, lang=lang, seed=seed)
    tests = found.table['test accuracy'].dropna()
    best, chosen = tests.idxmax(), found.winner.name
    return dict(
        labels=len(corpus.train), texts=len(corpus.texts()), classes=len(corpus.classes),
        seconds=time.perf_counter() - start, rungs=tests.to_dict(), chosen=chosen, best=best,
        behind=float(tests[best] - tests[chosen]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', required=True, type=Path, help='folder with a folder per table')
    parser.add_argument('--only', nargs='+', help='names of tables; else all')
    parser.add_argument('--per-class', type=int, default=10)
    parser.add_argument('--draws', type=int, default=2, help='of few labels')
    parser.add_argument('--minutes', type=float, default=10.)
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    figures = {}
    for folder in sorted(path for path in args.data.iterdir() if path.is_dir()):
        if args.only and folder.name not in args.only: continue
        corpus = table_corpus(folder, seed=42)
        runs = {f'{folder.name}, all labels': [(corpus, 42)]}
        runs[f'{folder.name}, {args.per_class} a class'] = [
            (with_few_labels(corpus, args.per_class, seed), seed) for seed in range(args.draws)]
        for name, parts in runs.items():
            print(f'\n{name}', flush=True)
            figures[name] = [measured(part, args.minutes, seed) for part, seed in parts]
            for run in figures[name]:
                behind = f'{run["behind"]:.1%} behind {run["best"]}'
                print(f'chosen {run["chosen"]}, {behind}', flush=True)
        if not args.no_record: print(record('tables', figures))


if __name__ == '__main__': main()
