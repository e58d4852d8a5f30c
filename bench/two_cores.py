"""Real reviews without a GPU: every method with few labels, ULMFiT after half an hour of reading.

    python -m bench.two_cores --data imdb.tar.xz [--labels 20 100 500 2000] [--draws 5] [--whole]
        [--tuned-draws 2] [--set lm.epochs=1 ...] [--name two-cores]

The language model reads the training and the unlabelled reviews, no test review. It reads telegrams
(appendix "Two cores"); with `--whole` it reads the reviews as they are. Each draw takes other
labels and another head; networks that are trained as a whole see the first draws only, for they
take minutes each. The language model is kept as a stage in TEXTGRAFT_HOME, with the seconds
that it took, tokenization included; it goes on from its last epoch if it was stopped, and its
seconds are then unknown.
"""
import argparse
import json

from bench.full import changed, epochs_of, own_settings, timed
from bench.record import record
from textgraft.classifier import TextClassifier, all_at_once, thaw_plan
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import choose_settings
from textgraft.course.stages import review_lm, stage_of
from textgraft.library.ids_on_disk import read_ids
from textgraft.library.rungs import RUNGS, Given
from textgraft.library.telegrams import telegram_corpus
from textgraft.library.word_vectors import DocumentVectors, MeanVectors
from textgraft.lm_finetune import new_lm, unigram_perplexity

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LM = dict(pretrained=False, vectors=True, emb=128, hidden=256, layers=2, bs=64, seq_len=72,
          epochs=3, lr=1e-2, sampled=512, bf16=True)
CLASSIFIER = dict(bs=25, lr=1e-2, drop=.1)
COUNTED = ('larger class', 'TF-IDF words', 'NB word pairs', 'TF-IDF + SVD')


def epochs_for(n_labels):
    "The more labels, the fewer passes over them"
    if n_labels <= 100: return 8
    return 4 if n_labels <= 500 else 2


def tuned(cfg, lm, n_labels):
    "Networks that learn as a whole: from scratch, and ULMFiT with two plans"
    layers, epochs, lr = cfg.lm.layers, epochs_for(n_labels), cfg.clas.lr
    bs = max(2, min(cfg.clas.bs, n_labels//2))
    part = dict(bs=bs, drop_mult=cfg.clas.drop, max_len=cfg.clas.max_len, seed=cfg.seed)
    random = new_lm(lm.vocab, cfg.lm.emb, cfg.lm.hidden, layers, seed=cfg.seed)
    thaw = thaw_plan(layers, epochs, lr)
    passes = sum(step['epochs'] for step in thaw) # as many for all
    scratch = TextClassifier(random, all_at_once(layers, passes, lr), **part)
    return {'same network from scratch': scratch,
            'ULMFiT, thawed step by step': TextClassifier(lm, thaw, **part),
            'ULMFiT, at once': TextClassifier(lm, all_at_once(layers, passes, 4e-3), **part)}


def readers(cfg, read):
    "What has read the same texts without labels; its rows for the test texts; its seconds"
    texts, found, seconds = read.texts(), {}, {}
    for name, step in (('TF-IDF + SVD', lambda: Given(texts, seed=cfg.seed).svd),
                       ('mean word vectors', lambda: MeanVectors(seed=cfg.seed).fit(texts)),
                       ('document vectors', lambda: DocumentVectors(seed=cfg.seed).fit(texts))):
        fitted, seconds[name] = timed(step)
        found[name] = fitted, fitted.transform(read.test.text)
        print(f'{name}: {seconds[name]:.0f} s', flush=True)
    return found, seconds


def regression():
    "The same for all who have read; C is chosen on the training texts"
    choose = GridSearchCV(LogisticRegression(max_iter=300), dict(C=[.001, .01, .1, 1.]), cv=3)
    return make_pipeline(StandardScaler(), choose)


def accuracies(cfg, n_labels, lm, whole, read, steps, with_tuned):
    "Accuracy of each method; the networks read `read`, counting reads the whole reviews as well"
    few = {name: corpus.sample(train=n_labels, seed=cfg.seed).train
           for name, corpus in (('whole', whole), ('read', read))}
    given, found = Given(whole.texts(), seed=cfg.seed), {}
    for name in COUNTED:
        model = RUNGS[name](given).fit(few['whole'].text, few['whole'].label)
        found[name] = model.score(whole.test.text, whole.test.label)
    texts, labels = few['read'].text, few['read'].label
    for name, (step, of_tests) in steps.items():
        model = regression().fit(step.transform(texts), labels)
        found[f'{name}, same texts'] = model.score(of_tests, read.test.label)
    models = {}
    if read is not whole: models['TF-IDF on telegrams'] = RUNGS['TF-IDF words'](given)
    models['ULMFiT, probe'] = TextClassifier(lm, 'probe', max_len=cfg.clas.max_len, seed=cfg.seed)
    if with_tuned: models |= tuned(cfg, lm, n_labels)
    for name, model in models.items():
        model.fit(texts, labels)
        found[name] = model.score(read.test.text, read.test.label)
    return {name: float(accuracy) for name, accuracy in found.items()}


def language_model(cfg, read):
    "The language model, and its figures"
    folder, _ = stage_of(cfg, read)
    kept = folder.with_suffix('.kept')
    clock, taken_up = kept/'seconds.json', folder.exists() or kept.exists()
    lm, seconds = timed(lambda: review_lm(cfg, read))
    if not taken_up: clock.write_text(json.dumps(seconds))
    epochs = epochs_of(kept, ['thawed'])['thawed']
    ids, valid = (read_ids(kept/f'{part}.ids') for part in ('train', 'valid'))
    columns = ['train loss', 'valid loss', 'accuracy', 'perplexity']
    return lm, dict(
        seconds=json.loads(clock.read_text()) if clock.exists() else None, texts=len(ids),
        tokens=len(ids.ids), vocabulary=len(lm.vocab), perplexity=epochs[-1][-1],
        unigram_perplexity=unigram_perplexity(ids, valid, len(lm.vocab)),
        epochs=dict(columns=columns, thawed=epochs))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', help='IMDB: a folder or an archive; without: generated')
    parser.add_argument('--labels', type=int, nargs='+', default=[20, 100, 500, 2000])
    parser.add_argument('--draws', type=int, default=5)
    parser.add_argument('--tuned-draws', type=int, default=2, help='of networks trained whole')
    parser.add_argument('--whole', action='store_true', help='whole reviews instead of telegrams')
    parser.add_argument('--name', default='two-cores', help='file in results/')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', help='as lm.epochs=1')
    parser.add_argument('--no-record', action='store_true', help='print only')
    return parser.parse_args()


def main():
    args = arguments()
    amounts = dict(train=None, unlabelled=None, test=5000, max_vocab=12000)
    if not args.data: amounts |= dict(train=2000, unlabelled=2000, test=500)
    base = choose_settings('cpu' if args.data else 'small', args.data)
    cfg = changed(base.changed(lm=LM, clas=CLASSIFIER, **amounts), args.set)
    whole, reading = timed(lambda: load_corpus(cfg))
    read = whole if args.whole else telegram_corpus(whole)
    lm, figures = language_model(cfg, read)
    steps, seconds = readers(cfg, read)
    figures = dict(reads='whole reviews' if args.whole else 'telegrams',
                   test_reviews=len(read.test), language_model=figures, rivals_seconds=seconds)
    print(figures, flush=True)
    for n_labels in args.labels:
        draws = [accuracies(cfg.changed(seed=seed), n_labels, lm, whole, read, steps,
                            with_tuned=seed < args.tuned_draws)
                 for seed in range(args.draws)]
        table = pd.DataFrame(draws).agg(['mean', 'min', 'max']).T
        print(f'{n_labels} labels\n{table.round(3).to_string()}', flush=True)
        figures[f'{n_labels} labels'] = {
            name: dict(mean=float(row['mean']), lowest=float(row['min']), highest=float(row['max']),
                       each=[draw[name] for draw in draws if name in draw])
            for name, row in table.iterrows()}
    figures |= dict(reading_seconds=reading, settings=own_settings(cfg))
    if not args.no_record: print(record(args.name, figures))


if __name__ == '__main__': main()
