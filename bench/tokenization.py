"""From text files to ids on disk: ours beside fastai's `tokenize_folder`, on the same cores.

    python -m bench.tokenization --data imdb.tar.xz [--texts 100000] [--workers 2] [--no-record]

Both sides start from the same text files and end with ids in a file, in one run. Then every token
of every text is compared.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from bench.record import record

import numpy as np

TEXTS = ['train/neg', 'train/pos', 'test/neg', 'test/pos', 'unsup']


def peak_memory(process, until):
    "The largest sum of proportional set sizes of a process and its children, in MB"
    import psutil
    peak, root = 0, psutil.Process(process)
    while not until.is_set():
        total = 0
        for p in [root, *root.children(recursive=True)]:
            try: total += p.memory_full_info().pss
            except psutil.Error: pass
        peak = max(peak, total)
        until.wait(.25)
    return round(peak/1e6)


def unpack(data, folder, n, seed=0):
    "`n` reviews, drawn at random, as text files in IMDB's folders"
    if data.is_file():
        with tarfile.open(data) as archive: archive.extractall(folder/'all', filter='data')
        data = next((folder/'all').iterdir())
    files = sorted(f for part in TEXTS for f in (data/part).glob('*.txt'))
    for file in random.Random(seed).sample(files, min(n, len(files))):
        target = folder/'imdb'/file.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder/'imdb'


def cpu_seconds():
    "What this process and its finished children have computed: fairer than the clock"
    import resource

    return sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def list_files(root): return sorted(root.rglob('*.txt'))


def ours(root, workers, out):
    "In a fresh process: read the files, tokenize, count, write ids"
    from textgraft.library.ids_on_disk import cached_ids
    start, cpu = time.perf_counter(), cpu_seconds()
    texts = [file.read_text(encoding='utf-8') for file in list_files(root)]
    read = time.perf_counter()
    ids = cached_ids(texts, out, n_workers=workers, progress=False)
    done, cpu = time.perf_counter(), cpu_seconds()-cpu
    again = cached_ids(texts, out, progress=False)
    return dict(
        seconds=done - start,
        cpu_seconds=cpu,
        reading_s=read - start,
        cached_again_s=time.perf_counter() - done,
        tokens=len(again.ids),
        vocab=len(ids.vocab),
    )


def fastais(root, workers, out):
    "In a fresh process: `tokenize_folder`, then `Numericalize` every file of tokens and write ids"
    from fastai.basics import load_pickle
    from fastai.text.core import tokenize_folder
    from fastai.text.data import Numericalize
    start, cpu = time.perf_counter(), cpu_seconds()
    folder = tokenize_folder(root, n_workers=workers)
    tokenized = time.perf_counter()
    numericalize = Numericalize()
    numericalize.setup(type('Counted', (list,), {'counter': load_pickle(folder/'counter.pkl')})())
    tokens = 0
    with open(out, 'wb') as file:
        for path in list_files(root):
            ids = numericalize(
                (folder / path.relative_to(root)).read_text(encoding='utf-8').split(' ')
            ).numpy()
            tokens += len(ids)
            file.write(ids.astype(np.uint16).tobytes())
    return dict(
        seconds=time.perf_counter() - start,
        cpu_seconds=cpu_seconds() - cpu,
        tokenize_folder_s=tokenized - start,
        tokens=tokens,
        vocab=len(numericalize.vocab),
    )


def in_fresh_process(name, root, workers, out):
    "Run one side by itself, with its memory"
    code = (
        'import json, sys; from pathlib import Path; '
        f'from bench.tokenization import {name} as side; '
        f'print(json.dumps(side(Path(sys.argv[1]), {workers}, Path(sys.argv[2]))))'
    )
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', code, root, out], stdout=subprocess.PIPE, text=True
    )
    until, peak = threading.Event(), []
    watcher = threading.Thread(target=lambda: peak.append(peak_memory(process.pid, until)))
    watcher.start()
    printed, _ = process.communicate()
    until.set()
    watcher.join()
    if process.returncode: raise SystemExit(f'{name} failed')
    import json
    return {**json.loads(printed.splitlines()[-1]), 'peak_memory_mb': peak[0]}


def compare(root):
    "Texts whose tokens differ between ours and the files that fastai wrote"
    from textgraft.tokenization import tokenize
    files, folder, differ = list_files(root), root.parent/f'{root.name}_tok', []
    for i in range(0, len(files), 2000):
        part = files[i:i+2000]
        lists = tokenize([file.read_text(encoding='utf-8') for file in part], n_workers=0)
        theirs = [
            (folder / file.relative_to(root)).read_text(encoding='utf-8').split(' ')
            for file in part
        ]
        differ += [str(file.relative_to(root)) for file, a, b in zip(part, lists, theirs) if a != b]
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--data', type=Path, required=True, help="IMDB in fastai's layout: a folder or an archive"
    )
    parser.add_argument('--texts', type=int, default=100_000)
    parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--no-record', action='store_true', help='print only')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        root = unpack(args.data, folder, args.texts)
        list(map(Path.read_bytes, list_files(root))) # both sides find the files in memory
        mine = in_fresh_process('ours', root, args.workers, folder/'ours.ids')
        print('ours   ', mine, flush=True)
        theirs = in_fresh_process('fastais', root, args.workers, folder/'fastai.ids')
        print('fastai ', theirs, flush=True)
        differ = compare(root)
        n = len(list_files(root))
    figures = dict(
        texts=n,
        workers=args.workers,
        ours=mine,
        fastai=theirs,
        times_as_fast=theirs['seconds'] / mine['seconds'],
        times_less_computing=theirs['cpu_seconds'] / mine['cpu_seconds'],
        texts_per_second=dict(ours=n / mine['seconds'], fastai=n / theirs['seconds']),
        texts_with_other_tokens=len(differ),
    )
    print(
        f"{n:,} texts: {figures['times_as_fast']:.1f} times as fast, "
        f"{figures['times_less_computing']:.1f} times less computing; "
        f'{len(differ)} texts with other tokens {differ[:5]}'
    )
    if not args.no_record: print(record('tokenization', figures))


if __name__ == '__main__': main()
