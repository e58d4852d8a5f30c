"""Training the language model: ours beside stock fastai, tokens a second and perplexity, from the same weights on the same texts in one run.

    python -m bench.lm_training [--data imdb.tar.xz] [--texts 3000] [--size cpu] [--set emb=128 ...] [--no-record]

One epoch each. Stock fastai gets its texts as tensors in memory, which is the quickest way it has, and our optimizer settings, so that
the perplexities can be compared; on a GPU both train in half precision. `sampled` scores some of the words, `bf16` multiplies in bfloat16.
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
from textgraft.library.ids_on_disk import cached_ids
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
        self.seconds = time.perf_counter()-self.start


def stock(cfg, lm, ids, valid):
    "fastai's own learner, loaders and loss"
    loaders = [LMDataLoader([torch.from_numpy(text) for text in part], bs=cfg.lm.bs, seq_len=cfg.lm.seq_len, shuffle=i == 0) for i, part in enumerate((ids, valid))]
    dls = DataLoaders(*loaders, device=cfg.device)
    dls.vocab = lm.vocab.tokens
    learn = language_model_learner(
        dls, AWD_LSTM, config={**awd_lstm_lm_config, 'emb_sz': cfg.lm.emb, 'n_hid': cfg.lm.hidden, 'n_layers': cfg.lm.layers}, drop_mult=cfg.lm.drop,
        pretrained=False, opt_func=partial(Adam, eps=1e-8), alpha=0., beta=0., metrics=[accuracy, Perplexity()], cbs=GradientClip(.5))
    learn.model.load_state_dict(lm.model.state_dict())
    return learn.to_fp16() if cfg.device == 'cuda' else learn


def ours(cfg, lm, ids, valid, sampled=0, bf16=False):
    "The learner of chapter 3"
    return lm_learner(lm, lm_dataloaders(ids, valid, lm.vocab, cfg.lm.bs, cfg.lm.seq_len, cfg.seed), sampled=sampled, bf16=bf16)


def measured(learn, cfg, tokens):
    "Tokens a second and perplexity after one epoch"
    clock = TrainClock()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, cfg.lm.lr, cbs=clock)
    return dict(tokens_per_second=tokens/clock.seconds, perplexity=float(learn.recorder.values[-1][-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', help='IMDB: a folder or an archive; without it, reviews are generated')
    parser.add_argument('--texts', type=int, default=3000)
    parser.add_argument('--size', help='small, cpu or full; default: what this machine can do')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', help='settings to change')
    parser.add_argument('--sampled', type=int, default=512, help='words drawn at random for the training loss')
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', message='.*torch.jit.script.*')
    cfg = changed(choose_settings(args.size, args.data), args.set)
    texts, valid_texts = split_texts(load_corpus(cfg.changed(train=1000, test=100, unlabelled=args.texts)).lm_texts()[-args.texts:], seed=cfg.seed)
    with tempfile.TemporaryDirectory() as folder:
        ids = cached_ids(texts, Path(folder)/'train.ids', None, cfg.min_freq, cfg.max_vocab, progress=False)
        valid, tokens = [ids.vocab.encode_texts([text])[0] for text in valid_texts], len(ids.ids)
        start = partial(new_lm, ids.vocab, cfg.lm.emb, cfg.lm.hidden, cfg.lm.layers, cfg.lm.drop, seed=cfg.seed)
        ways = {'stock fastai': stock, 'ours': ours, f'ours, {args.sampled} words sampled': partial(ours, sampled=args.sampled)}
        if cfg.device == 'cpu': ways[f'ours, {args.sampled} words sampled, bf16'] = partial(ours, sampled=args.sampled, bf16=True)
        figures = {}
        for name, way in ways.items():
            figures[name] = measured(way(cfg, start(), ids, valid), cfg, tokens)
            figures[name]['times_as_fast'] = figures[name]['tokens_per_second']/figures['stock fastai']['tokens_per_second']
            print(name, figures[name], flush=True)
        about = dict(threads=torch.get_num_threads(), texts=len(texts), tokens=tokens, vocabulary=len(ids.vocab),
                     unigram_perplexity=unigram_perplexity(ids, valid, len(ids.vocab)), gpu=torch.cuda.get_device_name() if cfg.device == 'cuda' else None)
    settings = {name: value for name, value in asdict(cfg).items() if name in 'emb hidden layers lm_bs seq_len lm_lr lm_drop max_vocab seed'.split()}
    if not args.no_record: print(record(f'lm-training-{cfg.name}', dict(about, settings=settings, **figures)))


if __name__ == '__main__': main()
