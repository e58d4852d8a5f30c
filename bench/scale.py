"""Tables in blocks, from ten thousand texts on: does a text cost the same, does memory stay flat?

    python -m bench.scale [--texts 10000 100000] [--workers 1 2] [--no-record]

Generated reviews, each with a number of its own at its end, as parquet, answered by NB word pairs
and by the engines: one process, and Ray with so many workers (left out where it is not installed).
Each run is a fresh process. Memory is the most that a process held (VmHWM): the one that reads and
writes, and the largest worker. What starting Ray costs is measured on a table of ten texts.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

from bench.record import record
from textgraft.course.reviews import small_reviews
from textgraft.library.rungs import Given, TextModel, load, nb_pairs
from textgraft.library.scale import predict_dataset
from textgraft.tokenization import Tokenizer

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write_texts(path, reviews, n, group=10_000):
    "A table of `n` texts, no two alike"
    schema = pa.schema([('key', pa.int64()), ('text', pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n, group):
            keys = range(start, min(start + group, n))
            texts = [f'{reviews[key % len(reviews)]} {key}' for key in keys]
            writer.write_table(pa.table({'key': list(keys), 'text': texts}, schema))


def most_memory(status):
    "Most resident memory of a process, in MB, from its file in /proc"
    try: lines = status.read_text().splitlines()
    except OSError: return 0. # it has ended
    return max([int(line.split()[1])/1e3 for line in lines if line.startswith('VmHWM')], default=0.)


def workers_memory(found, seconds=.5):
    "Keep the most that a worker of Ray has held in `found`"
    while True:
        for command in Path('/proc').glob('[0-9]*/cmdline'):
            try: is_worker = command.read_bytes().startswith(b'ray::_Worker')
            except OSError: continue
            if is_worker: found.append(most_memory(command.with_name('status')))
        time.sleep(seconds)


def one_run(folder, n, workers):
    "Answer a table in this process; print seconds and memory"
    model, found = load(folder/'model'), [0.]
    threading.Thread(target=workers_memory, args=(found,), daemon=True).start()
    engine = dict(engine='ray', workers=workers) if workers else dict(engine='one')
    with tempfile.TemporaryDirectory(dir=folder) as out:
        start = time.perf_counter()
        done = predict_dataset(model, folder/f'{n}.parquet', Path(out)/'out', **engine,
                               progress=False)
        seconds = time.perf_counter() - start
        answers = pd.read_parquet(Path(out)/'out', columns=['key'])
        assert answers.key.tolist() == list(range(n)) and done['texts'] == n
    print(json.dumps(dict(seconds=seconds, driver_mb=most_memory(Path('/proc/self/status')),
                          worker_mb=max(found))))


def measured(folder, n, workers, tokens):
    "One run in a fresh process, as a row of the table"
    command = [sys.executable, '-m', 'bench.scale', '--run', str(folder), str(n), str(workers)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    row = dict(engine=f'Ray, {workers} workers' if workers else 'one process', texts=n)
    row |= json.loads(said.splitlines()[-1])
    seconds = row['seconds']
    row |= dict(texts_per_second=n/seconds, tokens_per_second=n*tokens/seconds,
                seconds_per_text=seconds/n)
    print(row, flush=True)
    return row


def growth(rows, most):
    "How the cost of a text grows, and what workers bring at the largest size"
    by = {(row['engine'], row['texts']): row for row in rows}
    found = {}
    for engine in dict.fromkeys(row['engine'] for row in rows):
        costs = [row['seconds_per_text'] for row in rows
                 if row['engine'] == engine and row['texts'] > 10]
        found[engine] = dict(
            cost_of_the_largest_to_the_smallest=costs[-1]/costs[0],
            times_one_process=by['one process', most]['seconds']/by[engine, most]['seconds'],
            seconds_to_start=by[engine, 10]['seconds'])
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--texts', type=int, nargs='+', default=[10_000, 100_000])
    parser.add_argument('--workers', type=int, nargs='*', default=[1, 2])
    parser.add_argument('--no-record', action='store_true', help='print only')
    parser.add_argument('--run', nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.run: return one_run(Path(args.run[0]), *map(int, args.run[1:]))
    corpus = small_reviews()
    fitted = nb_pairs(Given(corpus.texts())).fit(corpus.train.text, corpus.train.label)
    reviews = corpus.test.text.tolist()
    cut = Tokenizer('en')([f'{review} 1' for review in reviews])
    tokens = sum(map(len, cut))/len(cut)
    engines = [0, *(args.workers if find_spec('ray') else [])]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        TextModel(fitted, 'NB word pairs').save(folder/'model')
        rows = []
        for n in [10, *args.texts]:
            write_texts(folder/f'{n}.parquet', reviews, n)
            rows += [measured(folder, n, workers, tokens) for workers in engines]
    figures = dict(tokens_per_text=tokens, runs=rows, growth=growth(rows, args.texts[-1]))
    print(pd.DataFrame(rows).round(6).to_string(), figures['growth'], sep='\n')
    if not args.no_record: print(record('scale', figures, ('textgraft', 'pandas', 'pyarrow')))


if __name__ == '__main__': main()
