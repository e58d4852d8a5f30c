"""What `training_recipe` rests on: plans, rates, batches and passes on generated and on real texts.

    python -m bench.classifier_defaults --tables FOLDER [--draws 2] [--quick] [--no-record]

FOLDER holds `trec6` and `sst2`, each with train.csv and test.csv (columns label, text). Their
language models are made by `LanguageModel.new(texts).finetune(texts)` from the training texts
alone; that of the generated reviews is the course's. `plans` compares plans with the network from
scratch and with counted words; `choices` changes one choice at a time.
"""
import argparse
import time
from pathlib import Path

from bench.record import record
from textgraft.classifier import TextClassifier, training_recipe
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import choose_settings
from textgraft.course.stages import review_lm
from textgraft.library.splits import sample_table
from textgraft.lm_finetune import LanguageModel, new_lm

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

PLANS = {'at once, one rate': {}, 'thawed, lower layers slower': dict(plan='thaw')}
CHOICES = {
    'as chosen': {}, 'half the rate': dict(lr=4e-3), 'twice the rate': dict(lr=1.6e-2),
    'batches of 32': dict(bs=32), 'half the passes': dict(epochs=.5),
    'twice the passes': dict(epochs=2), 'more dropout': dict(drop_mult=.3)}


def tables(folder):
    "Name, training texts, test texts, a language model, and with how many labels to learn"
    cfg = choose_settings('small')
    corpus = load_corpus(cfg)
    lm = review_lm(cfg, corpus, quiet=True)
    yield 'generated reviews', corpus.train, corpus.test, lm, (20, 100)
    for name, title, sizes in (('trec6', 'TREC-6', (200, None)), ('sst2', 'SST-2', (None,))):
        files = [Path(folder)/name/f'{part}.csv' for part in ('train', 'test')]
        train, test = (pd.read_csv(file, keep_default_na=False) for file in files)
        lm = LanguageModel.new(train.text).finetune(train.text)
        yield title, train, test[:1000], lm, sizes


def measured(model, train, test, n_labels, draws):
    "Mean accuracy over draws of labels"
    if n_labels is None: draws = 1
    samples = [sample_table(train, n_labels, f'{seed} defaults') for seed in range(draws)]
    scores = [model.fit(few.text, few.label).score(test.text, test.label) for few in samples]
    return float(np.mean(scores))


def absolute(changes, n_labels):
    "Passes are given as a factor of what is chosen"
    if 'epochs' not in changes: return changes
    step, = training_recipe(n_labels, dict(layers=2, hidden=64))['plan']
    return dict(changes, epochs=max(1, round(step['epochs']*changes['epochs'])))


def compared(title, models, train, test, n_labels, draws):
    "Accuracy of each model; printed as it comes"
    row = {}
    for name, model in models.items():
        start = time.perf_counter()
        row[name] = measured(model, train, test, n_labels, draws)
        seconds = time.perf_counter() - start
        print(f'{title}, {name}: {row[name]:.3f} ({seconds:.0f} s)', flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tables', required=True, help='the folder with trec6 and sst2')
    parser.add_argument('--draws', type=int, default=2)
    parser.add_argument('--quick', action='store_true', help='plans only')
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    plans, choices = {}, {}
    counted = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    for name, train, test, lm, sizes in tables(args.tables):
        print(f'{name}: {lm}', flush=True)
        scratch = new_lm(lm.vocab, *(lm.config[size] for size in ('emb', 'hidden', 'layers')))
        for n_labels in sizes:
            n = n_labels or len(train)
            title = f'{name}, {n:,} labels'
            data = train, test, n_labels, args.draws
            models = {key: TextClassifier(lm, **changes) for key, changes in PLANS.items()}
            models |= {'from scratch': TextClassifier(scratch), 'TF-IDF words': counted}
            plans[title] = compared(title, models, *data)
            if args.quick: continue
            models = {key: TextClassifier(lm, **absolute(changes, n))
                      for key, changes in CHOICES.items()}
            choices[title] = compared(title, models, *data)
    figures = dict(plans=plans, choices=choices)
    if not args.no_record: print(record('classifier-defaults', figures))


if __name__ == '__main__': main()
