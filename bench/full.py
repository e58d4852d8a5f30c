"""The whole of ULMFiT on real IMDB, in one command that can be stopped at any moment and called again.

    python -m bench.full --data imdb.tar.xz [--size full] [--protocol strict|book] [--random] [--directions forward backward] [--set lm_epochs=3 ...]

Language model and classifier, forward and backward, and the mean of both. Protocol 'strict': the language model reads the training and
the unlabelled reviews; 'book': also the test reviews without their labels, as fastai's book does. `--random` starts from random weights,
for machines that cannot fetch WikiText-103's. Checkpoints lie in TEXTGRAFT_HOME, results in results/imdb-SIZE-PROTOCOL.json. What a call
takes up from an earlier one is marked as such; its seconds are those of the last call.
"""
import argparse
import time
from ast import literal_eval
from dataclasses import asdict, fields, replace

from bench.record import record
from textgraft.classifier import average, finetune_classifier, right_share, thaw_plan
from textgraft.corpus import majority_baseline, nb_baseline, tfidf_baseline
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import Settings, choose_settings
from textgraft.course.stages import review_lm, stage_of
from textgraft.lm_finetune import read_checkpoint

import torch


def epochs_of(folder, parts):
    "Figures of every epoch, from the checkpoints: training loss, validation loss and metrics"
    return {part: read_checkpoint(folder/f'{part}.pt')['figures'] for part in parts if (folder/f'{part}.pt').exists()}


def timed(function):
    "What a function returns, and its seconds"
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter()-start


def one_direction(cfg, corpus, few, backwards):
    "Language model and classifier of one reading direction: answers to the test reviews, and figures"
    folder, _ = stage_of(cfg, corpus, backwards)
    kept, taken_up = folder.with_suffix('.kept'), folder.exists() or folder.with_suffix('.kept').exists()
    lm, lm_seconds = timed(lambda: review_lm(cfg, corpus, backwards))
    plan = thaw_plan(cfg.lm.layers, cfg.clas.epochs, cfg.clas.lr)
    steps = kept/f'classifier-{len(few)}-labels'
    clas, clas_seconds = timed(lambda: finetune_classifier(
        lm, few, corpus.test, plan, cfg.clas.bs, cfg.clas.drop, cfg.clas.max_len, cfg.seed, folder=steps)) # the test reviews decide nothing
    answers, asking = timed(lambda: clas.predict(list(corpus.test.text)))
    clas.save(kept/'classifier')
    lm_epochs = epochs_of(kept, ['frozen', 'thawed'])
    return answers, dict(accuracy=right_share(answers, list(corpus.test.label)), perplexity=lm_epochs['thawed'][-1][-1], taken_up=taken_up,
                         seconds=dict(language_model=lm_seconds, classifier=clas_seconds, predicting=asking), vocabulary=len(lm.vocab),
                         language_model_epochs=dict(columns=['train loss', 'valid loss', 'accuracy', 'perplexity'], **lm_epochs),
                         classifier_epochs=dict(columns=['train loss', 'test loss', 'accuracy'], **epochs_of(steps, [f'step-{i}' for i in range(len(plan))])))


def changed(base, pairs):
    "Settings with some numbers replaced: `lm_epochs=3`"
    names = [f.name for f in fields(Settings)]
    for pair in pairs:
        name, _, value = pair.partition('=')
        if name not in names: raise SystemExit(f'there is no setting {name}; there are {", ".join(names)}')
        try: base = replace(base, **{name: literal_eval(value)})
        except (ValueError, SyntaxError): raise SystemExit(f'{pair}: a number, True, False or None is expected after the equals sign') from None
    return base


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', help='IMDB: a folder or an archive; without it, reviews are generated')
    parser.add_argument('--size', help='small, cpu or full; default: what this machine can do')
    parser.add_argument('--protocol', choices=['strict', 'book'], default='strict')
    parser.add_argument('--random', action='store_true', help='start from random weights')
    parser.add_argument('--directions', nargs='+', choices=['forward', 'backward'], default=['forward', 'backward'])
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', help='settings to change')
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    cfg = changed(choose_settings(args.size, args.data), args.set)
    cfg = cfg.changed(lm=dict(pretrained=not args.random, read_test=args.protocol == "book"))
    corpus, loading = timed(lambda: load_corpus(cfg))
    few = corpus.sample(train=min(cfg.labels, len(corpus.train)), seed=cfg.seed).train
    found, tables = {}, []
    for name in args.directions:
        answers, found[name] = one_direction(cfg, corpus, few, name == 'backward')
        tables.append(answers)
        print(name, found[name], flush=True)
    if len(tables) == 2: found['both, averaged'] = dict(accuracy=right_share(average(tables), list(corpus.test.label)))
    labels = len(few)
    found['baselines'] = {'larger class': majority_baseline(corpus), 'TF-IDF and logistic regression': tfidf_baseline(corpus, labels, cfg.seed),
                          'NB-weighted word pairs': nb_baseline(corpus, labels, cfg.seed)}
    gpu = torch.cuda.get_device_name() if cfg.device == 'cuda' else None
    start = 'random weights' if args.random else 'WikiText-103' if cfg.name == 'full' else 'our general-English articles'
    settings = {name: value for name, value in asdict(cfg).items() if name not in ('data', 'stages') and not name.startswith('gpt2')}
    figures = dict(protocol=args.protocol, language_model_starts_from=start, labels=labels, test_reviews=len(corpus.test), gpu=gpu,
                   reading_seconds=loading, settings=settings, **found)
    print({name: part['accuracy'] for name, part in found.items() if 'accuracy' in part}, found['baselines'])
    if not args.no_record: print(record(f'imdb-{cfg.name}-{args.protocol}' if args.data else f'whole-{cfg.name}-{args.protocol}', figures))


if __name__ == '__main__': main()
