"""Real reviews without a GPU: every method with few labels, and ULMFiT with half an hour of language-model training on two cores.

    python -m bench.two_cores --data imdb.tar.xz [--labels 20 100 500 2000] [--draws 3] [--whole] [--set lm_epochs=1 ...] [--name two-cores]

The language model reads the training and the unlabelled reviews, no test review. It reads telegrams (appendix "Two cores"); with
`--whole` it reads the reviews as they are. Each draw takes other labels and another head. The language model is kept as a stage in
TEXTGRAFT_HOME, with the seconds that it took, tokenization included; it goes on from its last epoch if it was stopped, and its seconds
are then unknown.
"""
import argparse
import json
from dataclasses import asdict, replace
from functools import partial

from bench.full import changed, epochs_of, timed
from bench.record import record
from textgraft.classifier import all_at_once, finetune_classifier, ladder, thaw_plan, worker_pool
from textgraft.corpus import majority_baseline, nb_baseline, tfidf_baseline
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import choose_settings
from textgraft.course.stages import review_lm, stage_of
from textgraft.library.ids_on_disk import read_ids
from textgraft.library.telegrams import telegram_corpus
from textgraft.lm_finetune import new_lm, unigram_perplexity

import numpy as np

SIZES = dict(train=None, unlabelled=None, test=5000, pretrained=False, max_vocab=12000, emb=128, hidden=256, layers=2, lm_bs=64, seq_len=72,
             lm_epochs=4, lm_lr=1e-2, lm_sampled=512, lm_bf16=True, clas_bs=25, clas_lr=1e-2, clas_drop=.1)


def epochs_for(labels):
    "The more labels, the fewer passes over them"
    return 8 if labels <= 100 else 4 if labels <= 500 else 2


def accuracies(cfg, lm, few, test):
    "The network from scratch and ULMFiT, learning from the same labels"
    plan = thaw_plan(cfg.lm.layers, epochs_for(len(few)), cfg.clas.lr)
    part = dict(bs=min(cfg.clas.bs, len(few)//2), drop_mult=cfg.clas.drop, max_len=cfg.clas.max_len, seed=cfg.seed, quiet=True)
    random = new_lm(lm.vocab, cfg.lm.emb, cfg.lm.hidden, cfg.lm.layers, seed=cfg.seed)
    scratch = finetune_classifier(random, few, None, all_at_once(plan, cfg.clas.lr), **part).accuracy(test)
    return scratch, finetune_classifier(lm, few, None, plan, **part).accuracy(test)


def with_labels(cfg, n, draws, lm, whole, read):
    "Accuracy of each method with `n` labels, one per draw; `read` is what the networks read of the reviews, `whole` all of it"
    pool, found = worker_pool(cfg.device), {}
    jobs = [pool.submit(accuracies, cfg.changed(seed=i), lm, read.sample(train=n, seed=i).train, read.test) for i in range(draws)]
    for i, job in enumerate(jobs):
        scratch, ulmfit = job.result()
        row = {'larger class': majority_baseline(whole), 'TF-IDF and logistic regression': tfidf_baseline(whole, n, i),
               'NB-weighted word pairs': nb_baseline(whole, n, i)}
        if read is not whole: row['TF-IDF on telegrams'] = tfidf_baseline(read, n, i)
        row |= {'same network from scratch': scratch, 'ULMFiT': ulmfit}
        for name, accuracy in row.items(): found.setdefault(name, []).append(accuracy)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', help='IMDB: a folder or an archive; without it, reviews are generated')
    parser.add_argument('--labels', type=int, nargs='+', default=[20, 100, 500, 2000])
    parser.add_argument('--draws', type=int, default=3)
    parser.add_argument('--whole', action='store_true', help='read whole reviews instead of telegrams')
    parser.add_argument('--name', default='two-cores', help='file in results/')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', help='settings to change')
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    sizes = SIZES if args.data else dict(SIZES, train=2000, test=500, unlabelled=2000)
    cfg = changed(replace(choose_settings('cpu' if args.data else 'small', args.data), **sizes), args.set)
    whole, reading = timed(lambda: load_corpus(cfg))
    read = whole if args.whole else telegram_corpus(whole)
    folder, _ = stage_of(cfg, read)
    kept = folder.with_suffix('.kept')
    taken_up = folder.exists() or kept.exists()
    lm, seconds = timed(lambda: review_lm(cfg, read))
    clock = kept/'seconds.json'
    if not taken_up: clock.write_text(json.dumps(seconds))
    epochs, (ids, valid) = epochs_of(kept, ['thawed'])['thawed'], (read_ids(kept/f'{part}.ids') for part in ('train', 'valid'))
    figures = dict(reads='whole reviews' if args.whole else 'telegrams', test_reviews=len(read.test), language_model=dict(
        seconds=json.loads(clock.read_text()) if clock.exists() else None, texts=len(ids), tokens=len(ids.ids), vocabulary=len(lm.vocab),
        perplexity=epochs[-1][-1], unigram_perplexity=unigram_perplexity(ids, valid, len(lm.vocab)),
        epochs=dict(columns=['train loss', 'valid loss', 'accuracy', 'perplexity'], thawed=epochs)))
    print(figures, flush=True)
    for n in args.labels:
        found, seconds = timed(partial(with_labels, cfg, n, args.draws, lm, whole, read))
        print(f'{n} labels, {seconds:.0f} s\n{ladder(found).round(3).to_string()}', flush=True)
        figures[f'{n} labels'] = {name: dict(mean=float(np.mean(a)), lowest=min(a), highest=max(a), each=a) for name, a in found.items()}
    figures |= dict(reading_seconds=reading, settings={name: value for name, value in asdict(cfg).items() if name not in ('data', 'stages') and not name.startswith('gpt2')})
    if not args.no_record: print(record(args.name, figures))


if __name__ == '__main__': main()
