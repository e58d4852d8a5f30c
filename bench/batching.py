"""Batches a second on one core: our loaders from ids on disk, fastai's from memory and a folder.

    python -m bench.batching --data imdb.tar.xz [--texts 20000] [--no-record]

Language model: bs 64, seq_len 72, an epoch in shuffled order, on the same texts with the same ids;
the folder of token files is measured on the first 2,000 texts. Classifier: bs 64, a whole epoch.
Memory: what one epoch adds to a fresh process, for the texts and for a quarter of them.
"""
import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.record import record
from bench.tokenization import list_files, unpack

import numpy as np

BS, SEQ_LEN = 64, 72


def per_second(loader, seconds=8.):
    "Batches a second over an epoch, or as long as `seconds`"
    batches = iter(loader)
    next(batches) # what is prepared once per epoch is measured by itself
    n, start = 0, time.perf_counter()
    for _ in batches:
        n += 1
        if time.perf_counter()-start > seconds: break
    return n/(time.perf_counter()-start)


def first_batch(loader):
    "Seconds until an epoch begins"
    start = time.perf_counter()
    next(iter(loader))
    return time.perf_counter()-start


def own_memory():
    "Memory of this process that belongs to no file, in MB"
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('RssAnon'): return int(line.split()[1])/1e3


def language_model(path, root):
    "Batches a second, ours and fastai's"
    from textgraft.batching import lm_dataloaders
    from textgraft.library.ids_on_disk import read_ids

    import torch
    from fastai.text.data import LMDataLoader, TextDataLoaders
    ids = read_ids(path)
    ours = lm_dataloaders(ids, ids, ids.vocab, bs=BS, seq_len=SEQ_LEN, device='cpu').train
    memory = LMDataLoader(
        [torch.from_numpy(text) for text in ids], bs=BS, seq_len=SEQ_LEN, shuffle=True
    )
    folder = TextDataLoaders.from_folder(
        root,
        train='train',
        valid='test',
        is_lm=True,
        text_vocab=ids.vocab.tokens,
        bs=BS,
        seq_len=SEQ_LEN,
    ).train
    figures = {
        name: dict(batches_per_second=per_second(loader), first_batch_s=first_batch(loader))
        for name, loader in [
            ('ours, ids on disk', ours),
            ('fastai, tensors in memory', memory),
            ('fastai, from_folder', folder),
        ]
    }
    fast = figures['ours, ids on disk']['batches_per_second']
    for other in figures.values(): other['ours_is_times_as_fast'] = fast/other['batches_per_second']
    return figures


def classifier(path):
    "Texts a second, and how much of the batches is padding"
    from textgraft.batching import ClassifierLoader, TextIds, padding_share
    from textgraft.library.ids_on_disk import read_ids

    import torch
    from fastai.text.data import Pad_Chunk, SortedDL, TensorText
    from fastai.torch_core import TensorCategory
    ids = read_ids(path)
    targets, n = np.arange(len(ids)) % 2, len(ids)
    ours = ClassifierLoader(TextIds(ids, ids.vocab, targets, ['a', 'b']), bs=BS, shuffle=True)
    pairs = [
        (TensorText(torch.from_numpy(text)), TensorCategory(t)) for text, t in zip(ids, targets)
    ]
    theirs = SortedDL(
        pairs,
        bs=BS,
        shuffle=True,
        num_workers=0,
        before_batch=Pad_Chunk(seq_len=SEQ_LEN),
        res=[len(t) for t in ids],
    )
    seconds = {}
    for name, loader in [('ours, ids on disk', ours), ('fastai, tensors in memory', theirs)]:
        start = time.perf_counter()
        for _ in loader: pass
        seconds[name] = time.perf_counter()-start
    random = np.array_split(np.random.default_rng(0).permutation(n), len(ours))
    return dict(
        texts_per_second={name: n / s for name, s in seconds.items()},
        padding=padding_share(ours.batches(), ours.dataset.lens, 72),
        padding_of_random_batches=padding_share(random, ours.dataset.lens, 72),
    )


def memory_of_an_epoch(path, share):
    "MB that an epoch over a share of the texts adds to a process that has done nothing else"
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(added_memory, path, share).result()


def added_memory(path, share):
    "MB that an epoch over a share of the texts adds to this process"
    from textgraft.batching import LMLoader, TextIds
    from textgraft.library.ids_on_disk import TokenIds, read_ids
    ids = read_ids(path)
    n = int(len(ids)*share)
    loader = LMLoader(
        TextIds(TokenIds(ids.ids, ids.offsets[: n + 1]), ids.vocab),
        bs=BS,
        seq_len=SEQ_LEN,
        shuffle=True,
    )
    before = own_memory()
    peak = max(own_memory() for i, _ in enumerate(loader) if i % 50 == 0)
    return peak-before


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--data', type=Path, required=True, help="IMDB in fastai's layout: a folder or an archive"
    )
    parser.add_argument('--texts', type=int, default=20_000)
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', message='.*torch.jit.script.*')
    from textgraft.library.ids_on_disk import cached_ids

    import torch
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = list_files(unpack(args.data, folder/'a', args.texts))
        path = folder/'reviews.ids'
        cached_ids([file.read_text(encoding='utf-8') for file in files], path)
        few = unpack(folder/'a'/'imdb', folder/'b', 2000)
        if hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        torch.set_num_threads(1)
        figures = dict(
            texts=len(files),
            bs=BS,
            seq_len=SEQ_LEN,
            memory_mb_of_an_epoch={
                'quarter': memory_of_an_epoch(path, 0.25),
                'all': memory_of_an_epoch(path, 1),
            },
            language_model=language_model(path, few),
            classifier=classifier(path),
        )
    for name, part in figures.items(): print(name, part)
    if not args.no_record: print(record('batching', figures))


if __name__ == '__main__': main()
