"""Training the language model: ours beside stock fastai, from the same weights on the same texts.

    python -m bench.lm_training [--data imdb.tar.xz] [--texts 3000] [--size cpu]
        [--set lm.emb=128 ...] [--no-record]

Tokens a second and perplexity, one epoch each, in one run. Stock fastai gets its texts as tensors
in memory, which is the quickest way it has, and our optimizer settings, so that the perplexities
can be compared; on a GPU both train in half precision. `sampled` scores some of the words, `bf16`
multiplies in bfloat16 (left out where the processor cannot).
"""
import argparse
import tempfile
import time
import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.full import changed
from bench.record import record
from textgraft.batching import lm_dataloaders
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import choose_settings
from textgraft.library.fastai_fixes import bfloat16_works
from textgraft.library.ids_on_disk import cached_ids
from textgraft.library.training import own_randomness
from textgraft.lm_finetune import lm_learner, new_lm, split_texts, unigram_perplexity

import torch
from fastai.callback.core import Callback
from fastai.callback.training import GradientClip
from fastai.data.core import DataLoaders
from fastai.metrics import Perplexity, accuracy
from fastai.optimizer import Adam
from fastai.text.data import LMDataLoader
from fastai.text.learner import language_model_learner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_lm_config


class TrainClock(Callback):
    "Seconds of training, without validation"
    def before_train(self): self.start = time.perf_counter()

    def after_train(self):
        if torch.cuda.is_available(): torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.start


def stock(cfg, lm, ids, valid):
    "fastai's own learner, loaders and loss"
    loaders = []
    for part in (ids, valid):
        tensors = [torch.from_numpy(text) for text in part]
        shuffle = part is ids
        loaders.append(LMDataLoader(tensors, bs=cfg.lm.bs, seq_len=cfg.lm.seq_len, shuffle=shuffle))
    dls = DataLoaders(*loaders, device=cfg.device)
    dls.vocab = lm.vocab.tokens
    sizes = dict(emb_sz=cfg.lm.emb, n_hid=cfg.lm.hidden, n_layers=cfg.lm.layers)
    learn = language_model_learner(
        dls, AWD_LSTM, config=awd_lstm_lm_config | sizes, drop_mult=cfg.lm.drop, pretrained=False,
        opt_func=partial(Adam, eps=1e-8), alpha=0., beta=0., metrics=[accuracy, Perplexity()],
        cbs=GradientClip(.5))
    learn.model.load_state_dict(lm.model.state_dict())
    return learn.to_fp16() if cfg.device == 'cuda' else learn


def ours(cfg, lm, ids, valid, sampled=0, bf16=False):
    "The learner of chapter 3"
    dls = lm_dataloaders(ids, valid, lm.vocab, cfg.lm.bs, cfg.lm.seq_len, cfg.seed)
    return lm_learner(lm, dls, sampled=sampled, bf16=bf16)


def measured(learn, cfg, tokens):
    "Tokens a second and perplexity after one epoch"
    clock = TrainClock()
    with learn.no_bar(), learn.no_logging(), own_randomness(cfg.seed):
        learn.fit_one_cycle(1, cfg.lm.lr, cbs=clock)
    perplexity = float(learn.recorder.values[-1][-1])
    return dict(tokens_per_second=tokens/clock.seconds, perplexity=perplexity)


def learners(cfg, sampled):
    "Who is measured, by name"
    ways = {'stock fastai': stock, 'ours': ours,
            f'ours, {sampled} words sampled': partial(ours, sampled=sampled)}
    if cfg.device == 'cpu' and bfloat16_works():
        ways[f'ours, {sampled} words sampled, bf16'] = partial(ours, sampled=sampled, bf16=True)
    return ways


def compare(cfg, texts, valid_texts, sampled, folder):
    "Figures of every learner, and of the text"
    words = dict(min_freq=cfg.min_freq, max_vocab=cfg.max_vocab)
    ids = cached_ids(texts, Path(folder)/'train.ids', progress=False, **words)
    valid, n_tokens = ids.vocab.encode_texts(valid_texts), len(ids.ids)
    sizes = (cfg.lm.emb, cfg.lm.hidden, cfg.lm.layers, cfg.lm.drop)
    figures = dict(
        threads=torch.get_num_threads(), texts=len(texts), tokens=n_tokens,
        vocabulary=len(ids.vocab),
        unigram_perplexity=unigram_perplexity(ids, valid, len(ids.vocab)),
        gpu=torch.cuda.get_device_name() if cfg.device == 'cuda' else None)
    for name, way in learners(cfg, sampled).items():
        lm = new_lm(ids.vocab, *sizes, seed=cfg.seed)
        found = measured(way(cfg, lm, ids, valid), cfg, n_tokens)
        if way is stock: stock_speed = found['tokens_per_second']
        found['times_as_fast'] = found['tokens_per_second']/stock_speed
        print(name, found, flush=True)
        figures[name] = found
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', help='IMDB: a folder or an archive; without: generated')
    parser.add_argument('--texts', type=int, default=3000)
    parser.add_argument('--size', help='small, cpu or full; default: what this machine can do')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', help='as lm.epochs=3')
    parser.add_argument('--sampled', type=int, default=512, help='words drawn for the loss')
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', message='.*torch.jit.script.*')
    cfg = changed(choose_settings(args.size, args.data), args.set)
    corpus = load_corpus(cfg.changed(train=1000, test=100, unlabelled=args.texts))
    texts, valid_texts = split_texts(corpus.texts()[-args.texts:], seed=cfg.seed)
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(cfg, texts, valid_texts, args.sampled, folder)
    figures['settings'] = dict(asdict(cfg.lm), max_vocab=cfg.max_vocab, seed=cfg.seed)
    if not args.no_record: print(record(f'lm-training-{cfg.name}', figures))


if __name__ == '__main__': main()
