"""Tables in blocks, from ten thousand texts on: does a text cost the same, does memory stay flat?

    python -m bench.scale [--texts 10000 100000 1000000] [--workers 1 2] [--no-record]
                          [--kept runs.jsonl]

Generated reviews, each with a number of its own at its end, as parquet: answered by NB word pairs,
and cut into tokens, by one process and by Ray with so many workers (left out where it is not
installed). Each run is a fresh process. Memory is the most that a process held (VmHWM): the one
that reads and writes, and the largest worker. What it takes to start is measured on ten texts; it
varies by seconds, so the speed once started is taken from the times at which blocks were written.
With --kept each run is written to a file when it ends, and one that stands there is not repeated.
"""
import argparse
import json
import re
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
from textgraft.library.scale import predict_dataset, tokenize_dataset
from textgraft.tokenization import Tokenizer

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FEW = 10 # texts: nothing but the start


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


def watch_workers(found, seconds=.5):
    "Append what each worker of Ray has held at most to `found`, again and again"
    while True:
        for command in Path('/proc').glob('[0-9]*/cmdline'):
            try: is_worker = command.read_bytes().startswith(b'ray::_Worker')
            except OSError: continue
            if is_worker: found.append(most_memory(command.with_name('status')))
        time.sleep(seconds)


def speed_once_started(out, workers):
    "Texts a second after each worker's first block; None where there are no more blocks"
    written = sorted((file.stat().st_mtime, pq.ParquetFile(file).metadata.num_rows)
                     for file in out.glob('*.parquet'))
    firsts = max(workers, 1)
    if len(written) <= firsts: return None
    return sum(n for _, n in written[firsts:])/(written[-1][0] - written[firsts - 1][0])


def one_run(folder, task, n, workers):
    "Work through a table in this process; print seconds and memory"
    found = [0.]
    threading.Thread(target=watch_workers, args=(found,), daemon=True).start()
    by = load(folder/'model') if task == 'scoring' else Tokenizer('en')
    run = predict_dataset if task == 'scoring' else tokenize_dataset
    engine = dict(engine='ray', workers=workers) if workers else dict(engine='one')
    with tempfile.TemporaryDirectory(dir=folder) as out:
        start, cpu = time.perf_counter(), time.process_time()
        done = run(by, folder/f'{n}.parquet', Path(out)/'out', **engine, progress=False)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        memory = most_memory(Path('/proc/self/status'))
        keys = pd.read_parquet(Path(out)/'out', columns=['key']).key
        assert keys.tolist() == list(range(n)) and done['texts'] == n
        speed = speed_once_started(Path(out)/'out', workers)
    print(json.dumps(dict(seconds=seconds, own_cpu_seconds=cpu, own_mb=memory,
                          worker_mb=max(found), texts_per_second_once_started=speed)))


def engine_name(workers):
    "As it stands in the table"
    return f'Ray, {workers} worker{"s"*(workers > 1)}' if workers else 'one process'


def measured(folder, task, n, workers, tokens):
    "One run in a fresh process, as a row of the table"
    command = [sys.executable, '-m', 'bench.scale', '--run', str(folder), task, str(n),
               str(workers)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    row = dict(task=task, engine=engine_name(workers), texts=n, **json.loads(said.splitlines()[-1]))
    seconds = row['seconds']
    row |= dict(texts_per_second=n/seconds, tokens_per_second=n*tokens/seconds,
                microseconds_per_text=1e6*seconds/n)
    print(row, flush=True)
    return row


def runs_of(kept):
    "What has been measured so far"
    return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def growth(rows):
    "Of a task and an engine: how cost and memory grow, and what workers bring at the largest size"
    found = {}
    for task, engine in dict.fromkeys((row['task'], row['engine']) for row in rows):
        by = {(row['engine'], row['texts']): row for row in rows if row['task'] == task}
        sizes = sorted(n for name, n in by if name == engine)
        few, small, large = (by[engine, n] for n in (FEW, sizes[1], sizes[-1]))
        alone = by['one process', sizes[-1]]
        workers = re.search(r'\d+', engine) # none where there is one process
        n_workers = int(workers.group()) if workers else 1
        speed = large['texts_per_second_once_started']
        found[f'{task}: {engine}'] = dict(
            seconds_to_start=few['seconds'],
            cost_of_a_text_at_most_to_least=(
                large['microseconds_per_text']/small['microseconds_per_text']),
            own_memory_at_most_to_least=large['own_mb']/small['own_mb'],
            speed_beside_one_process=alone['seconds']/large['seconds'],
            efficiency=alone['seconds']/large['seconds']/n_workers,
            efficiency_once_started=speed and speed/alone['texts_per_second']/n_workers)
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--texts', type=int, nargs='+', default=[10_000, 100_000, 1_000_000])
    parser.add_argument('--workers', type=int, nargs='*', default=[1, 2])
    parser.add_argument('--tasks', nargs='+', default=['scoring', 'tokenizing'])
    parser.add_argument('--kept', type=Path, help='file of runs, to go on after an interruption')
    parser.add_argument('--no-record', action='store_true', help='print only')
    parser.add_argument('--run', nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.run:
        folder, task, *numbers = args.run
        return one_run(Path(folder), task, *map(int, numbers))
    corpus = small_reviews()
    fitted = nb_pairs(Given(corpus.texts())).fit(corpus.train.text, corpus.train.label)
    reviews = corpus.test.text.tolist()
    cut = Tokenizer('en')([f'{review} 1' for review in reviews])
    tokens = sum(map(len, cut))/len(cut)
    workers = args.workers if find_spec('ray') else []
    wanted = [(n, task, each) for n in [FEW, *args.texts] for task in args.tasks
              for each in [0, *workers]]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        kept = args.kept or folder/'runs.jsonl'
        TextModel(fitted, 'NB word pairs').save(folder/'model')
        done = {(row['texts'], row['task'], row['engine']) for row in runs_of(kept)}
        for n, task, each in wanted:
            if (n, task, engine_name(each)) in done: continue
            table = folder/f'{n}.parquet'
            if not table.exists(): write_texts(table, reviews, n)
            row = measured(folder, task, n, each, tokens)
            with kept.open('a') as lines: lines.write(json.dumps(row) + '\n')
        rows = runs_of(kept)
    figures = dict(tokens_per_text=tokens, runs=rows, growth=growth(rows))
    print(pd.DataFrame(rows).round(2).to_string(), pd.DataFrame(figures['growth']), sep='\n')
    packages = ('textgraft', 'pandas', 'pyarrow', 'scikit-learn', *(['ray'] if workers else []))
    if not args.no_record: print(record('scale', figures, packages))


if __name__ == '__main__': main()
