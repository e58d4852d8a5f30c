"""GPT-2 small's size with random weights: what a token costs, four ways.

    python -m bench.gpt2 [--new 40] [--prompts 6 200] [--repeat 5] [--threads N] [--no-record]

naive       reads everything again for each token, as the original lesson's code would in a loop
cached      keeps keys and values: the loop of chapter 5
ours        `textgraft.gpt2.generate_ids`, which checks its arguments, pads, masks and calls
generate()  transformers, called directly

All four choose the same tokens, which is checked. The ways take turns, so that a busy machine slows them all alike; ours is
compared with generate() round by round (above 1: faster).
"""
import argparse
import statistics
import time

from bench.record import record
from textgraft.gpt2 import GPT2, generate_ids, greedy_cached, greedy_naive, train_bpe

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel


def gpt2_small(seed=42):
    "GPT-2 small's layers and vocabulary, random weights, and a tokenizer that knows the bytes"
    torch.manual_seed(seed)
    return GPT2(train_bpe(['bytes'], 257), GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0)).eval())


def ways(gpt2, prompt, new):
    "Four functions that return the same new tokens"
    ids = gpt2.tokenizer.encode(prompt)
    config = GenerationConfig(max_new_tokens=new, do_sample=False, pad_token_id=0, eos_token_id=0)
    batch = dict(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
    return {
        'naive': lambda: list(greedy_naive(gpt2.model, ids, new)),
        'cached': lambda: list(greedy_cached(gpt2.model, ids, new)),
        'ours': lambda: generate_ids(gpt2, prompt, max_new_tokens=new)[0],
        'generate()': lambda: gpt2.model.generate(**batch, generation_config=config)[0, len(ids):].tolist(),
    }


def measure(functions, repeat):
    "Seconds of each function in each round, and what it returned; the first round warms up and is not counted"
    seconds, returned = {name: [] for name in functions}, {}
    for turn in range(repeat+1):
        for name, function in functions.items():
            start = time.perf_counter()
            returned[name] = function()
            if turn: seconds[name].append(time.perf_counter()-start)
    return seconds, returned


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--new', type=int, default=40, help='new tokens')
    parser.add_argument('--prompts', type=int, nargs='+', default=[6, 200], help='lengths of the prompts')
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--no-record', action='store_true', help='leave results/gpt2.json as it is')
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    gpt2, rows = gpt2_small(), []
    with torch.inference_mode():
        for length in args.prompts:
            seconds, returned = measure(ways(gpt2, 'x'*length, args.new), args.repeat)
            speeds = {name: args.new/statistics.median(times) for name, times in seconds.items()}
            ratio = statistics.median(theirs/ours for theirs, ours in zip(seconds['generate()'], seconds['ours']))
            same = all(ids == returned['naive'] for ids in returned.values())
            rows.append({'prompt': length, 'new tokens': args.new, 'same tokens': same, 'tokens per second': speeds, 'ours against generate()': ratio})
            print(f'prompt of {length}, {args.new} new tokens; tokens per second:', ', '.join(f'{name} {speed:.1f}' for name, speed in speeds.items()),
                f'; ours against generate(): {ratio:.3f}', '' if same else 'DIFFERENT TOKENS', flush=True)
    if not args.no_record:
        print(record('gpt2', {'threads': args.threads, 'rows': rows}, ('textgraft', 'torch', 'transformers', 'tokenizers')))
    return 0 if all(row['same tokens'] for row in rows) else 1


if __name__ == '__main__': raise SystemExit(main())
