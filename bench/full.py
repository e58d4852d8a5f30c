"""The whole of ULMFiT on real IMDB, in one command that can be stopped and called again.

    python -m bench.full --data imdb.tar.xz [--size full] [--protocol strict|book] [--random]
        [--directions forward backward] [--set lm.epochs=3 ...]

Language model and classifier, forward and backward, and the mean of both. Protocol 'strict': the
language model reads the training and the unlabelled reviews; 'book': also the test reviews without
their labels, as fastai's book does. `--random` starts from random weights, for machines that cannot
fetch WikiText-103's. Checkpoints lie in TEXTGRAFT_HOME, results in
results/imdb-SIZE-PROTOCOL.json. What a call takes up from an earlier one is marked as such; its
seconds are those of the last call.
"""
import argparse
import time
from ast import literal_eval
from dataclasses import asdict, fields, is_dataclass

from bench.record import record
from textgraft.classifier import TextClassifier, thaw_plan
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import choose_settings
from textgraft.course.stages import review_lm, stage_of
from textgraft.library.rungs import RUNGS, Given
from textgraft.library.training import read_checkpoint

import numpy as np
import torch

COUNTED = ('larger class', 'TF-IDF words', 'NB word pairs', 'TF-IDF + SVD')
LM_COLUMNS = ['train loss', 'valid loss', 'accuracy', 'perplexity']
CLASSIFIER_COLUMNS = ['train loss', 'test loss', 'accuracy']


def epochs_of(folder, parts):
    "Figures of every epoch, from the checkpoints: training loss, validation loss and metrics"
    files = {part: folder/f'{part}.pt' for part in parts}
    return {part: read_checkpoint(file)['figures'] for part, file in files.items() if file.exists()}


def timed(function):
    "What a function returns, and its seconds"
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def own_settings(cfg):
    "The settings of a run as a dict, without this machine's paths and without chapter 5"
    return {name: value for name, value in asdict(cfg).items()
            if name not in ('data', 'stages', 'gpt2')}


def one_direction(cfg, corpus, few, backwards):
    "Language model and classifier of one reading direction: probabilities, and figures"
    folder, _ = stage_of(cfg, corpus, backwards)
    kept = folder.with_suffix('.kept')
    taken_up = folder.exists() or kept.exists()
    lm, lm_seconds = timed(lambda: review_lm(cfg, corpus, backwards))
    plan = thaw_plan(cfg.lm.layers, cfg.clas.epochs, cfg.clas.lr)
    steps = kept/f'classifier-{len(few)}-labels'
    clas = TextClassifier(
        lm, plan=plan, bs=cfg.clas.bs, drop_mult=cfg.clas.drop, max_len=cfg.clas.max_len,
        seed=cfg.seed, folder=steps, verbose=True)
    test = corpus.test.text, corpus.test.label # they decide nothing
    _, clas_seconds = timed(lambda: clas.fit(few.text, few.label, valid=test))
    probs, asking = timed(lambda: clas.predict_proba(corpus.test.text))
    clas.save(kept/'classifier')
    lm_epochs = epochs_of(kept, ['frozen', 'thawed'])
    seconds = dict(language_model=lm_seconds, classifier=clas_seconds, predicting=asking)
    return clas.classes_, probs, dict(
        accuracy=accuracy(clas.classes_, probs, corpus), perplexity=lm_epochs['thawed'][-1][-1],
        taken_up=taken_up, seconds=seconds, vocabulary=len(lm.vocab),
        language_model_epochs=dict(columns=LM_COLUMNS, **lm_epochs),
        classifier_epochs=dict(
            columns=CLASSIFIER_COLUMNS,
            **epochs_of(steps, [f'step-{i}' for i in range(len(plan))])))


def accuracy(classes, probs, corpus):
    "Share of the test reviews that are answered rightly"
    return float((classes[probs.argmax(axis=1)] == corpus.test.label.to_numpy()).mean())


def counted(cfg, corpus, few):
    "The rivals without a network; TF-IDF + SVD has read the same texts"
    given = Given(corpus.texts(cfg.lm.read_test), seed=cfg.seed)
    found = {}
    for name in COUNTED:
        model = RUNGS[name](given).fit(few.text, few.label)
        found[name] = float(model.score(corpus.test.text, corpus.test.label))
    return found


def changed(base, pairs):
    "Settings with some numbers replaced: `seeds=2`, or `lm.epochs=3` in a section"
    for pair in pairs:
        name, equals, value = pair.partition('=')
        section, dot, inner = name.partition('.')
        part = getattr(base, section, None) if dot else base
        names = [f.name for f in fields(part)] if is_dataclass(part) else []
        if (inner if dot else name) not in names:
            there = ', '.join(names or [f.name for f in fields(base)])
            raise SystemExit(f'there is no setting {name}; there are {there}')
        try: value = literal_eval(value)
        except (ValueError, SyntaxError):
            raise SystemExit(f'{pair}: a number, True, False or None after the =') from None
        base = base.changed(**({section: {inner: value}} if dot else {name: value}))
    return base


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', help='IMDB: a folder or an archive; without: generated')
    parser.add_argument('--size', help='small, cpu or full; default: what this machine can do')
    parser.add_argument('--protocol', choices=['strict', 'book'], default='strict')
    parser.add_argument('--random', action='store_true', help='start from random weights')
    directions = ['forward', 'backward']
    parser.add_argument('--directions', nargs='+', choices=directions, default=directions)
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', help='as lm.epochs=3')
    parser.add_argument('--no-record', action='store_true', help='print only')
    return parser.parse_args()


def main():
    args = arguments()
    cfg = changed(choose_settings(args.size, args.data), args.set)
    cfg = cfg.changed(lm=dict(pretrained=not args.random, read_test=args.protocol == 'book'))
    corpus, loading = timed(lambda: load_corpus(cfg))
    few = corpus.sample(train=min(cfg.labels, len(corpus.train)), seed=cfg.seed).train
    found, answers = {}, []
    for name in args.directions:
        classes, probs, found[name] = one_direction(cfg, corpus, few, name == 'backward')
        answers.append(probs)
        print(name, found[name], flush=True)
    if len(answers) == 2:
        mean = np.mean(answers, axis=0)
        found['both, averaged'] = dict(accuracy=accuracy(classes, mean, corpus))
    found['baselines'] = counted(cfg, corpus, few)
    start = 'WikiText-103' if cfg.name == 'full' else 'our general-English articles'
    figures = dict(
        protocol=args.protocol, labels=len(few), test_reviews=len(corpus.test),
        language_model_starts_from='random weights' if args.random else start,
        gpu=torch.cuda.get_device_name() if cfg.device == 'cuda' else None,
        reading_seconds=loading, settings=own_settings(cfg), **found)
    reached = {name: part['accuracy'] for name, part in found.items() if 'accuracy' in part}
    print(reached, found['baselines'])
    what = 'imdb' if args.data else 'whole'
    if not args.no_record: print(record(f'{what}-{cfg.name}-{args.protocol}', figures))


if __name__ == '__main__': main()
