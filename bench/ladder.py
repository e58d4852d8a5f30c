"""Accuracy of every method on the same labels and test reviews, over several seeds.

    python -m bench.ladder [--size small] [--data imdb.tar.xz] [--labels 100 2000] [--seeds 5]

On the generated reviews every seed writes a corpus of its own; on real ones it draws other reviews.
Each seed trains its own language model, which is kept as a stage: a run that was stopped takes up
the finished ones.
"""
import argparse
import time
from dataclasses import replace

from bench.record import record
from textgraft.classifier import TextClassifier
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import choose_settings
from textgraft.course.stages import general_lm, review_lm
from textgraft.library.rungs import RUNGS, Given
from textgraft.lm_finetune import carry_over, new_lm

import pandas as pd

COUNTED = ('larger class', 'TF-IDF words', 'TF-IDF characters', 'NB word pairs', 'TF-IDF + SVD')


def methods(cfg, corpus, lm):
    "Every method, the simplest first; TF-IDF + SVD and ULMFiT have read the same texts"
    given = Given(corpus.texts(), seed=cfg.seed)
    random = new_lm(lm.vocab, cfg.lm.emb, cfg.lm.hidden, cfg.lm.layers, seed=cfg.seed)
    general = carry_over(general_lm(cfg), lm.vocab)
    starts = {'network from scratch': (random, None), 'general English only': (general, None),
              'ULMFiT, thawed step by step': (lm, 'thaw'), 'ULMFiT, at once': (lm, 'at once')}
    found = {name: RUNGS[name](given) for name in COUNTED}
    for name, (start, plan) in starts.items():
        found[name] = TextClassifier(start, plan=plan, seed=cfg.seed)
    return found


def accuracies(cfg, corpus, lm, n_labels):
    "Accuracy of each method with `n_labels` labels"
    few = corpus.sample(train=n_labels, seed=cfg.seed).train
    found = {}
    for name, model in methods(cfg, corpus, lm).items():
        found[name] = model.fit(few.text, few.label).score(corpus.test.text, corpus.test.label)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', help='small, cpu or full; default: what this machine can do')
    parser.add_argument('--data', help='real IMDB reviews: a folder or an archive')
    parser.add_argument('--labels', type=int, nargs='+', default=[100, 2000])
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    base = choose_settings(args.size, args.data)
    found = {n: {} for n in args.labels}
    for seed in range(args.seeds):
        start, cfg = time.perf_counter(), replace(base, seed=seed)
        corpus = load_corpus(cfg)
        lm = review_lm(cfg, corpus, quiet=True)
        print(f'\nseed {seed}: language model after {time.perf_counter()-start:.0f} s', flush=True)
        for n in args.labels:
            for name, accuracy in accuracies(cfg, corpus, lm, n).items():
                found[n].setdefault(name, []).append(accuracy)
            print(f'{n} labels, {seed+1} seeds, {time.perf_counter()-start:.0f} s')
            table = pd.DataFrame(found[n]).agg(['mean', 'min', 'max']).T
            print(table.round(3).to_string(), flush=True)
    figures = dict(test_reviews=len(corpus.test))
    for n, row in found.items():
        figures[f'{n} labels'] = {
            name: dict(mean=sum(each)/len(each), lowest=min(each), highest=max(each), each=each)
            for name, each in row.items()}
    if not args.no_record: print(record(f'ladder-{base.name}', figures))


if __name__ == '__main__': main()
