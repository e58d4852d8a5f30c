"""Writing and answering beside fastai's `learn.predict`, with the same weights.

    python -m bench.lstm [--words 60] [--texts 100] [--repeat 3] [--full] [--no-record]

`LanguageModel.generate` beside `learn.predict`, `TextClassifier.predict_proba` beside
`learn.predict` in a loop. Random weights: only time is measured, and the answers of both
classifiers are compared. The ways take turns, so that a busy machine slows them all alike.
`--full` takes the published size (400 wide, three layers of 1,152) instead of the small one.
"""
import argparse
import os
import statistics
import time
import warnings

from bench.record import record
from textgraft.batching import classifier_dataloaders, lm_dataloaders
from textgraft.classifier import TextClassifier
from textgraft.course.reviews import small_reviews
from textgraft.lm_finetune import lm_learner, new_lm
from textgraft.tokenization import Vocab, tokenize

import numpy as np
import torch
from fastai.text.learner import text_classifier_learner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config

UNTRAINED = [dict(first=0, epochs=1, lr=1e-9, lr_low=1e-9)]


def median_seconds(functions, repeat):
    "Median seconds of each function; the first round warms up"
    seconds = {name: [] for name in functions}
    for turn in range(repeat+1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn: seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compare(amount, unit, ours, theirs, repeat):
    "Speeds of both and their ratio"
    seconds = median_seconds({'ours': ours, 'fastai': theirs}, repeat)
    speeds = {name: amount/s for name, s in seconds.items()}
    return {f'{unit}_per_second': speeds, 'times_as_fast': speeds['ours']/speeds['fastai']}


def writing(lm, ids, n_words, repeat):
    "Words a second: one step of the LSTM per word, against the whole text per word"
    learn = lm_learner(lm, lm_dataloaders(ids, ids[:50], lm.vocab, bs=8, seq_len=20), quiet=True)
    lm.model[1].decoder.bias.data[lm.vocab['xxbos']] = -1e4 # no text ends early
    def ours(): lm.generate('The music is', n_words)
    def theirs():
        with learn.no_bar(): learn.predict('The music is', n_words, temperature=.75, no_bar=True)
    return compare(n_words, 'words', ours, theirs, repeat)


def answering(lm, table, sizes, repeat):
    "Texts a second: all in one call, against one by one"
    texts, labels = list(table.text), list(table.label)
    clas = TextClassifier(lm, plan=UNTRAINED).fit(texts, labels)
    part = lm.vocab.encode_texts(texts), labels
    dls = classifier_dataloaders(part, part, lm.vocab, list(clas.classes_), bs=8)
    config = awd_lstm_clas_config | sizes
    learn = text_classifier_learner(dls, AWD_LSTM, pretrained=False, config=config)
    learn.model.load_state_dict(clas.network_.state_dict())
    def theirs():
        with learn.no_bar(): return np.array([learn.predict(text)[2].numpy() for text in texts])
    figures = compare(len(texts), 'texts', lambda: clas.predict_proba(texts), theirs, repeat)
    difference = float(abs(theirs() - clas.predict_proba(texts)).max())
    return dict(figures, largest_difference=difference)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--words', type=int, default=60)
    parser.add_argument('--texts', type=int, default=100)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--full', action='store_true', help='the published size')
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', message='.*torch.jit.script.*')
    width, hidden, layers = (400, 1152, 3) if args.full else (64, 64, 2)
    sizes = dict(emb_sz=width, n_hid=hidden, n_layers=layers)
    reviews = small_reviews(n_train=max(args.texts, 100), n_test=50, n_unlabelled=50)
    tokens = tokenize(list(reviews.train.text))
    vocab = Vocab.from_tokens(tokens, min_freq=2)
    lm, ids = new_lm(vocab, width, hidden, layers), [vocab.encode(text) for text in tokens]
    writes = writing(lm, ids, args.words, args.repeat)
    answers = answering(lm, reviews.train[:args.texts], sizes, args.repeat)
    figures = dict(
        threads=torch.get_num_threads(), processors=os.cpu_count(), width=width, hidden=hidden,
        layers=layers, writing=dict(words=args.words, **writes),
        answering=dict(texts=args.texts, **answers))
    for name in ('writing', 'answering'): print(name, figures[name])
    if not args.no_record: print(record('lstm-full' if args.full else 'lstm-small', figures))


if __name__ == '__main__': main()
