"""Writing and answering: `generate` beside `learn.predict`, `Classifier.predict` beside `learn.predict` in a loop, with the same weights.

    python -m bench.lstm [--words 60] [--texts 100] [--repeat 3] [--full] [--no-record]

Random weights: only time is measured, and the answers of both classifiers are compared. The ways take turns, so that a busy machine
slows them all alike. `--full` takes the published size (400 wide, three layers of 1,152) instead of the small one.
"""
import argparse
import os
import statistics
import time
import warnings

from bench.record import record
from textgraft.batching import classifier_dataloaders, lm_dataloaders
from textgraft.classifier import encode_texts, graft
from textgraft.course.reviews import small_reviews
from textgraft.lm_finetune import generate, lm_learner, new_lm
from textgraft.tokenization import Vocab, tokenize

import numpy as np
import torch
from fastai.text.learner import text_classifier_learner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config


def median_seconds(functions, repeat):
    "Median seconds of each function; the first round warms up"
    seconds = {name: [] for name in functions}
    for turn in range(repeat+1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn: seconds[name].append(time.perf_counter()-start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compare(amount, unit, ours, theirs, repeat):
    "Speeds of both and their ratio"
    seconds = median_seconds({'ours': ours, 'fastai': theirs}, repeat)
    return {f'{unit}_per_second': {name: amount/s for name, s in seconds.items()}, 'times_as_fast': seconds['fastai']/seconds['ours']}


def writing(lm, ids, words, repeat):
    "Words a second: one step of the LSTM per word, against the whole text per word"
    learn = lm_learner(lm, lm_dataloaders(ids, ids[:50], lm.vocab, bs=8, seq_len=20), quiet=True)
    lm.model[1].decoder.bias.data[lm.vocab['xxbos']] = -1e4 # no text ends early
    def theirs():
        with learn.no_bar(): learn.predict('The music is', words, temperature=.75, no_bar=True)
    return compare(words, 'words', lambda: generate(lm, 'The music is', words), theirs, repeat)


def answering(lm, table, sizes, repeat):
    "Texts a second: all in one call, against one by one"
    clas, texts = graft(lm, ['neg', 'pos']), list(table.text)
    part = (encode_texts(clas, texts), list(table.label))
    learn = text_classifier_learner(classifier_dataloaders(part, part, clas.vocab, clas.classes, bs=8), AWD_LSTM, pretrained=False,
                                    config={**awd_lstm_clas_config, **sizes})
    learn.model.load_state_dict(clas.model.state_dict())
    def theirs():
        with learn.no_bar(): return np.array([learn.predict(text)[2].numpy() for text in texts])
    figures = compare(len(texts), 'texts', lambda: clas.predict(texts), theirs, repeat)
    return dict(figures, largest_difference=float(abs(theirs()-clas.predict(texts)[clas.classes].to_numpy()).max()))


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
    reviews = small_reviews(n_train=max(args.texts, 100), n_test=50, n_unlabelled=50)
    tokens = tokenize(list(reviews.train.text))
    vocab = Vocab.from_tokens(tokens, min_freq=2)
    lm = new_lm(vocab, width, hidden, layers)
    figures = dict(threads=torch.get_num_threads(), processors=os.cpu_count(), width=width, hidden=hidden, layers=layers,
                   writing=dict(words=args.words, **writing(lm, [vocab.encode(t) for t in tokens], args.words, args.repeat)),
                   answering=dict(texts=args.texts, **answering(lm, reviews.train[:args.texts], dict(emb_sz=width, n_hid=hidden, n_layers=layers), args.repeat)))
    for name in ('writing', 'answering'): print(name, figures[name])
    if not args.no_record: print(record('lstm-full' if args.full else 'lstm-small', figures))


if __name__ == '__main__': main()
