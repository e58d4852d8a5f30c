"""Plans, rates, batches and passes for the classifier, on generated reviews and on two real tables: what `training_recipe` rests on.

    python -m bench.classifier_defaults --tables FOLDER [--draws 2] [--quick] [--no-record]

FOLDER holds `trec6` and `sst2`, each with train.csv and test.csv (columns label, text). Every language model is made by
`LanguageModel.new(texts).finetune(texts)` from the training texts alone. `plans` compares plans at the chosen batch sizes and
passes with the network from scratch and with counted words; `choices` changes one choice at a time.
"""
import argparse
import time
from pathlib import Path

from bench.record import record
from textgraft.classifier import TextClassifier
from textgraft.corpus import sample_table
from textgraft.course.reviews import small_reviews
from textgraft.lm_finetune import LanguageModel

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

PLANS = {'at once, one rate': {}, 'thawed, lower layers slower': dict(plan='thaw')}
CHOICES = {
    'as chosen': {}, 'half the rate': dict(lr=2.5e-3), 'twice the rate': dict(lr=1e-2),
    'batches of 32': dict(bs=32), 'half the passes': dict(epochs=.5), 'twice the passes': dict(epochs=2),
    'more dropout': dict(drop_mult=.3)}


def tables(folder):
    "Name -> training texts, test texts, and with how many labels to learn"
    reviews = small_reviews(2000, 1000, 4000)
    found = {'generated reviews': (reviews.train, reviews.test, reviews.texts(), (20, 100))}
    for name, title, sizes in (('trec6', 'TREC-6', (200, None)), ('sst2', 'SST-2', (2000, None))):
        train, test = (pd.read_csv(Path(folder)/name/f'{part}.csv', keep_default_na=False) for part in ('train', 'test'))
        found[title] = train, test[:1000], list(train.text), sizes
    return found


def measured(model, train, test, n_labels, draws):
    "Mean accuracy over draws of labels"
    if n_labels is None: draws = 1
    samples = [sample_table(train, n_labels, f'{seed} defaults') for seed in range(draws)]
    scores = [model.fit(few.text, few.label).score(test.text, test.label) for few in samples]
    return float(np.mean(scores))


def absolute(changes, n_labels):
    "Passes are given as a factor of what is chosen"
    if 'epochs' not in changes: return changes
    from textgraft.classifier import training_recipe
    chosen = training_recipe(n_labels, dict(layers=2, hidden=64))['plan'][0]['epochs']
    return dict(changes, epochs=max(1, round(chosen*changes['epochs'])))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tables', required=True, help='the folder with trec6 and sst2')
    parser.add_argument('--draws', type=int, default=2)
    parser.add_argument('--quick', action='store_true', help='plans only')
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    plans, choices = {}, {}
    for title, (train, test, texts, sizes) in tables(args.tables).items():
        start = time.perf_counter()
        lm = LanguageModel.new(texts).finetune(texts)
        print(f'{title}: language model of {len(lm.vocab)} words after {time.perf_counter()-start:.0f} s', flush=True)
        counted = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
        for n_labels in sizes:
            n = n_labels or len(train)
            models = {name: TextClassifier(lm, **changes) for name, changes in PLANS.items()}
            models |= {'from scratch': TextClassifier(), 'TF-IDF words': counted}
            row = plans[f'{title}, {n:,} labels'] = {}
            for name, model in models.items():
                row[name] = measured(model, train, test, n_labels, args.draws)
                print(f'{title}, {n} labels, {name}: {row[name]:.3f} ({time.perf_counter()-start:.0f} s)', flush=True)
            if args.quick: continue
            row = choices[f'{title}, {n:,} labels'] = {}
            for name, changes in CHOICES.items():
                model = TextClassifier(lm, **absolute(changes, n))
                row[name] = measured(model, train, test, n_labels, args.draws)
                print(f'{title}, {n} labels, {name}: {row[name]:.3f} ({time.perf_counter()-start:.0f} s)', flush=True)
    if not args.no_record: print(record('classifier-defaults', dict(plans=plans, choices=choices)))


if __name__ == '__main__': main()
