"""GPT-2 small's size with random weights: what a token costs, four ways.

    python -m bench.gpt2 [--new 40] [--prompts 6 200] [--repeat 5] [--threads N] [--no-record]

naive       reads everything again for each token, as the original lesson's code would in a loop
cached      keeps keys and values: the loop of chapter 5
ours        `Decoder.generate_ids`, which checks its arguments, pads, masks and calls
generate()  transformers, called directly

All four choose the same tokens, which is checked. The ways take turns, so that a busy machine slows
them all alike; ours is compared with generate() round by round (above 1: faster).
"""
import argparse
import statistics
import time

from bench.record import record
from textgraft.gpt2 import byte_letters, greedy_cached, greedy_naive
from textgraft.library.decoders import Decoder

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, GPT2Tokenizer


def gpt2_small(seed=42):
    "GPT-2 small's layers and vocabulary, random weights; all tokens but the bytes are made up"
    config = GPT2Config()
    tokens = [*byte_letters().values()]
    tokens += [f'madeupword{i}' for i in range(config.vocab_size - len(tokens) - 1)]
    vocab = {token: i for i, token in enumerate([*tokens, '<|endoftext|>'])}
    torch.manual_seed(seed)
    return Decoder(GPT2Tokenizer(vocab=vocab, merges=[]), GPT2LMHeadModel(config))


def ways(gpt2, prompt, new):
    "Four functions that return the same new tokens"
    ids = gpt2.tokenizer.encode(prompt)
    end = gpt2.ends[0]
    config = GenerationConfig(max_new_tokens=new, do_sample=False, pad_token_id=end,
        eos_token_id=end)
    mask = torch.ones(1, len(ids), dtype=torch.long)
    batch = dict(input_ids=torch.tensor([ids]), attention_mask=mask, generation_config=config)
    return {
        'naive': lambda: list(greedy_naive(gpt2.model, ids, new)),
        'cached': lambda: list(greedy_cached(gpt2.model, ids, new)),
        'ours': lambda: gpt2.generate_ids(prompt, max_new_tokens=new)[0],
        'generate()': lambda: gpt2.model.generate(**batch)[0, len(ids):].tolist(),
    }


def measure(functions, repeat):
    "Seconds of each function in each round, and what it returned; the first round only warms up"
    seconds, returned = {name: [] for name in functions}, {}
    for turn in range(repeat+1):
        for name, function in functions.items():
            start = time.perf_counter()
            returned[name] = function()
            if turn: seconds[name].append(time.perf_counter()-start)
    return seconds, returned


def parsed(argv):
    "The arguments of the command line"
    parser = argparse.ArgumentParser(description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--new', type=int, default=40, help='new tokens')
    parser.add_argument('--prompts', type=int, nargs='+', default=[6, 200], help='their lengths')
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--no-record', action='store_true', help='leave results/gpt2.json as it is')
    return parser.parse_args(argv)


def compared(gpt2, length, new, repeat):
    "One prompt length: tokens per second of each way, and ours against generate()"
    seconds, returned = measure(ways(gpt2, 'x'*length, new), repeat)
    speeds = {name: new/statistics.median(times) for name, times in seconds.items()}
    rounds = zip(seconds['generate()'], seconds['ours'])
    ratio = statistics.median(theirs/ours for theirs, ours in rounds)
    same = all(ids == returned['naive'] for ids in returned.values())
    return {'prompt': length, 'new tokens': new, 'same tokens': same,
        'tokens per second': speeds, 'ours against generate()': ratio}


def main(argv=None):
    args = parsed(argv)
    torch.set_num_threads(args.threads)
    gpt2, rows = gpt2_small(), []
    with torch.inference_mode():
        for length in args.prompts:
            row = compared(gpt2, length, args.new, args.repeat)
            rows.append(row)
            named = row['tokens per second'].items()
            speeds = ', '.join(f'{name} {speed:.1f}' for name, speed in named)
            print(f'prompt of {length}, {args.new} new tokens; tokens per second: {speeds}; '
                f'ours against generate(): {row["ours against generate()"]:.3f}',
                '' if row['same tokens'] else 'DIFFERENT TOKENS', flush=True)
    if not args.no_record:
        figures = {'threads': args.threads, 'rows': rows}
        print(record('gpt2', figures, ('textgraft', 'torch', 'transformers', 'tokenizers')))
    return 0 if all(row['same tokens'] for row in rows) else 1


if __name__ == '__main__': raise SystemExit(main())
