"""Accuracy of every method on the same labels and the same test reviews, over several seeds, with few labels and with all.

    python -m bench.ladder [--size small] [--data imdb.tar.xz] [--labels 100 2000] [--seeds 5] [--no-record]

On the generated reviews every seed writes a corpus of its own; on real ones it draws other reviews. Each seed trains its own language
model, which is kept as a stage: a run that was stopped takes up the finished ones.
"""
import argparse
import time
from dataclasses import replace

from bench.record import record
from textgraft.classifier import all_at_once, finetune_classifier, ladder, thaw_plan
from textgraft.corpus import majority_baseline, nb_baseline, tfidf_baseline
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import choose_settings
from textgraft.course.stages import general_lm, review_lm
from textgraft.lm_finetune import carry_over, new_lm


def rungs(cfg, corpus, lm, n_labels):
    "Accuracy of each method with `n_labels` labels"
    few = corpus.sample(train=n_labels, seed=cfg.seed).train
    plan = thaw_plan(cfg.lm.layers, cfg.clas.epochs if n_labels < 1000 else 1, cfg.clas.lr)
    part = dict(bs=cfg.clas.bs, drop_mult=cfg.clas.drop, max_len=cfg.clas.max_len, seed=cfg.seed, quiet=True)
    random = new_lm(lm.vocab, cfg.lm.emb, cfg.lm.hidden, cfg.lm.layers, seed=cfg.seed)
    def trained(start, steps): return finetune_classifier(start, few, None, steps, **part).accuracy(corpus.test)
    return {'larger class': majority_baseline(corpus), 'TF-IDF and logistic regression': tfidf_baseline(corpus, n_labels, cfg.seed),
            'NB-weighted word pairs': nb_baseline(corpus, n_labels, cfg.seed),
            'same network from scratch': trained(random, all_at_once(plan, cfg.clas.lr)),
            'general English only': trained(carry_over(general_lm(cfg), lm.vocab), all_at_once(plan, cfg.clas.lr)),
            'language model, thawed step by step': trained(lm, plan)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', help='small, cpu or full; default: what this machine can do')
    parser.add_argument('--data', help='real IMDB reviews: a folder or an archive')
    parser.add_argument('--labels', type=int, nargs='+', default=[100, 2000])
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    base, found = choose_settings(args.size, args.data), {n: {} for n in args.labels}
    for seed in range(args.seeds):
        start, cfg = time.perf_counter(), replace(base, seed=seed)
        corpus = load_corpus(cfg)
        lm = review_lm(cfg, corpus, quiet=True)
        print(f'\nseed {seed}: language model after {time.perf_counter()-start:.0f} s', flush=True)
        for n in args.labels:
            for name, accuracy in rungs(cfg, corpus, lm, n).items(): found[n].setdefault(name, []).append(accuracy)
            print(f'{n} labels, {seed+1} seeds, {time.perf_counter()-start:.0f} s\n{ladder(found[n]).round(3).to_string()}', flush=True)
    figures = {f'{n} labels': {name: dict(mean=sum(a)/len(a), lowest=min(a), highest=max(a), each=a) for name, a in found[n].items()} for n in found}
    if not args.no_record: print(record(f'ladder-{base.name}', dict(test_reviews=len(corpus.test), **figures)))


if __name__ == '__main__': main()
