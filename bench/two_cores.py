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
from textgraft.classifier import TextClassifier
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
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

LM = dict(pretrained=False, vectors=True, emb=128, hidden=256, layers=2, bs=64, seq_len=72,
          epochs=2, lr=1e-2, sampled=512)
COUNTED = ('larger class', 'TF-IDF words', 'NB word pairs', 'TF-IDF + SVD')


def tuned(cfg, lm):
    "Networks that learn as a whole: from scratch, and ULMFiT with two plans"
    random = new_lm(lm.vocab, cfg.lm.emb, cfg.lm.hidden, cfg.lm.layers, seed=cfg.seed)
    starts = {'same network from scratch': (random, 'at once'),
              'ULMFiT, thawed step by step': (lm, 'thaw'), 'ULMFiT, at once': (lm, 'at once')}
    return {name: TextClassifier(start, plan, seed=cfg.seed)
            for name, (start, plan) in starts.items()}


def readers(cfg, read):
    "What has read the same texts without labels, how its numbers vary over them; its seconds"
    texts, found, seconds = read.texts(), {}, {}
    some = read.unlabelled.text[:2000]
    words, documents = MeanVectors(epochs=5, seed=cfg.seed), DocumentVectors(seed=cfg.seed)
    for name, step in (('TF-IDF + SVD', lambda: Given(texts, seed=cfg.seed).svd),
                       ('mean word vectors', lambda: words.fit(texts)),
                       ('document vectors', lambda: documents.fit(texts))):
        fitted, seconds[name] = timed(step)
        scaler = StandardScaler().fit(fitted.transform(some))
        found[name] = fitted, scaler, scaler.transform(fitted.transform(read.test.text))
        print(f'{name}: {seconds[name]:.0f} s', flush=True)
    return found, seconds


def regression():
    "The same for all who have read; C is chosen on the training texts"
    strengths = dict(C=[.001, .01, .1, 1.])
    return GridSearchCV(LogisticRegression(max_iter=300), strengths, scoring='neg_log_loss', cv=3)


def accuracies(cfg, n_labels, lm, whole, read, given, steps, with_tuned):
    "Accuracy of each method; the networks read `read`, counting reads the whole reviews as well"
    few = {name: corpus.sample(train=n_labels, seed=cfg.seed).train
           for name, corpus in (('whole', whole), ('read', read))}
    found = {}
    for name in COUNTED:
        model = RUNGS[name](given).fit(few['whole'].text, few['whole'].label)
        found[name] = model.score(whole.test.text, whole.test.label)
    texts, labels = few['read'].text, few['read'].label
    for name, (step, scaler, of_tests) in steps.items():
        model = regression().fit(scaler.transform(step.transform(texts)), labels)
        answers = model.predict(of_tests)
        found[f'{name}, same texts'] = accuracy_score(read.test.label, answers)
    models = {}
    if read is not whole: models['TF-IDF on telegrams'] = RUNGS['TF-IDF words'](given)
    models['ULMFiT, probe'] = TextClassifier(lm, 'probe', seed=cfg.seed)
    if with_tuned: models |= tuned(cfg, lm)
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
    cfg = changed(base.changed(lm=LM, **amounts), args.set)
    whole, loading = timed(lambda: load_corpus(cfg))
    read = whole if args.whole else telegram_corpus(whole)
    lm, figures = language_model(cfg, read)
    steps, seconds = readers(cfg, read)
    given = Given(whole.texts(), seed=cfg.seed)
    _, svd_seconds = timed(lambda: given.svd)
    figures = dict(reads='whole reviews' if args.whole else 'telegrams',
                   test_reviews=len(read.test), language_model=figures)
    print(figures, flush=True)
    for n_labels in args.labels:
        draws = [accuracies(cfg.changed(seed=seed), n_labels, lm, whole, read, given, steps,
                            with_tuned=seed < args.tuned_draws)
                 for seed in range(args.draws)]
        table = pd.DataFrame(draws).agg(['mean', 'min', 'max']).T
        print(f'{n_labels} labels\n{table.round(3).to_string()}', flush=True)
        figures[f'{n_labels} labels'] = {
            name: dict(mean=float(row['mean']), lowest=float(row['min']), highest=float(row['max']),
                       each=[draw[name] for draw in draws if name in draw])
            for name, row in table.iterrows()}
    spent = {f'{name}, same texts': n for name, n in seconds.items()}
    spent['TF-IDF + SVD'] = svd_seconds
    if lm_seconds := figures['language_model']['seconds']:
        spent |= {name: lm_seconds for name in table.index if name.startswith('ULMFiT')}
    figures |= dict(seconds_of_reading=spent, loading_seconds=loading, settings=own_settings(cfg))
    if not args.no_record: print(record(args.name, figures))


if __name__ == '__main__': main()
