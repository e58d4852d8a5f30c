"""What a token costs: GPT-2 small's size with random weights, and a published model in its place.

    python -m bench.gpt2 [--model smollm2] [--new 40 200] [--batch 1 8] [--repeat 3] [--no-record]

naive       reads everything again for each token, as the original lesson's code would in a loop
            (one prompt, up to 40 new tokens)
cached      keeps keys and values: the loop of chapter 5 (one prompt)
ours        `Decoder.generate_ids`, which checks its arguments, pads, masks and calls
openvino    the same on OpenVINO (`load_decoder(..., engine='openvino')`), in single precision too
openvino-int8  and with matrices of eight bits
generate()  transformers in single precision, called directly

Naive, cached, ours and generate() choose the same tokens, which is checked; OpenVINO, which adds up
in another order, is judged by its perplexity on generated reviews. The ways take turns, so that a
busy machine slows them all alike, and are compared with generate() round by round (above 1:
faster). `limit` is how many tokens a second the memory allows, as fast as it can be read here: each
step reads all weights.
"""
import argparse
import copy
import statistics
import time

from bench.record import record
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import SMALL
from textgraft.gpt2 import byte_letters, greedy_cached, greedy_naive, load_decoder
from textgraft.library.decoders import Decoder
from textgraft.library.openvino import to_openvino

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

FAST = 'openvino', 'openvino-int8'


def gpt2_small(seed=42):
    "GPT-2 small's layers and vocabulary, random weights; all tokens but the bytes are made up"
    config = GPT2Config()
    tokens = [*byte_letters().values()]
    tokens += [f'madeupword{i}' for i in range(config.vocab_size - len(tokens) - 1)]
    vocab = {token: i for i, token in enumerate([*tokens, '<|endoftext|>'])}
    torch.manual_seed(seed)
    return Decoder(GPT2Tokenizer(vocab=vocab, merges=[]), GPT2LMHeadModel(config))


def on_openvino(decoder):
    "The same decoder on both engines, and the seconds until it was there"
    made, seconds = {}, {}
    for name in FAST:
        start = time.perf_counter()
        model = to_openvino(copy.deepcopy(decoder.model), int8=name == 'openvino-int8')
        made[name], seconds[name] = Decoder(decoder.tokenizer, model), time.perf_counter() - start
    return made, seconds


def ways(decoder, quick, prompt, new, n_prompts):
    "Functions that return the new tokens of the first prompt"
    ids = decoder.encode(prompt)['input_ids'].repeat(n_prompts, 1)
    config = GenerationConfig(max_new_tokens=new, do_sample=False,
        pad_token_id=decoder.ends[0], eos_token_id=decoder.ends)
    batch = dict(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
    row, prompts, n = ids[0].tolist(), [prompt]*n_prompts, ids.shape[1]
    found = {
        'ours': lambda: decoder.generate_ids(prompts, max_new_tokens=new)[0],
        'generate()': lambda: decoder.model.generate(**batch)[0, n:].tolist(),
    }
    for name, fast in quick.items():
        found[name] = lambda fast=fast: fast.generate_ids(prompts, max_new_tokens=new)[0]
    if n_prompts == 1: found['cached'] = lambda: list(greedy_cached(decoder.model, row, new))
    if n_prompts == 1 and new <= 40:
        found['naive'] = lambda: list(greedy_naive(decoder.model, row, new))
    return found


def measure(functions, repeat):
    "Seconds of each function in each round, and what it returned; the first round only warms up"
    seconds, returned = {name: [] for name in functions}, {}
    for turn in range(repeat+1):
        for name, function in functions.items():
            start = time.perf_counter()
            returned[name] = function()
            if turn: seconds[name].append(time.perf_counter()-start)
    return seconds, returned


def bandwidth(n_bytes=400_000_000):
    "Bytes that are read in a second, at best of five"
    numbers, seconds = torch.ones(n_bytes//4), []
    for _ in range(5):
        start = time.perf_counter()
        numbers.sum()
        seconds.append(time.perf_counter() - start)
    return n_bytes/min(seconds)


def parsed(argv):
    "The arguments of the command line"
    parser = argparse.ArgumentParser(description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', help='for load_decoder; without: random weights')
    parser.add_argument('--new', type=int, nargs='+', default=[40, 200], help='new tokens')
    parser.add_argument('--batch', type=int, nargs='+', default=[1, 8], help='how many prompts')
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--no-record', action='store_true', help='leave results/ as it is')
    return parser.parse_args(argv)


def compared(decoder, quick, new, n_prompts, repeat, limit):
    "Tokens per second of each way, and each against generate()"
    functions = ways(decoder, quick, 'Once', new, n_prompts)
    seconds, returned = measure(functions, repeat)
    # where a text ends early, what counts is the time for each token
    costs = {name: [each/len(returned[name]) for each in times] for name, times in seconds.items()}
    speeds = {name: n_prompts/statistics.median(each) for name, each in costs.items()}
    ratios = {name: statistics.median(theirs/its for theirs, its in zip(costs['generate()'], each))
        for name, each in costs.items()}
    exact = [ids for name, ids in returned.items() if name not in FAST]
    return {'new tokens': new, 'prompts': n_prompts,
        'same tokens': all(ids == exact[0] for ids in exact),
        'OpenVINO chose the same': {name: returned[name] == exact[0] for name in FAST},
        'tokens per second': speeds, 'against generate()': ratios,
        'limit': {name: steps*n_prompts for name, steps in limit.items()}}


def main(argv=None):
    args = parsed(argv)
    torch.set_num_threads(args.threads)
    decoder = load_decoder(args.model, device='cpu') if args.model else gpt2_small()
    (quick, seconds), speed = on_openvino(decoder), bandwidth()
    n_weights = decoder.model.num_parameters()
    limit = {'single precision': speed/n_weights/4, 'eight bits': speed/n_weights}
    figures = {'threads': args.threads, 'model': args.model or 'GPT-2 small, random weights',
        'gigabytes per second': speed/1e9, 'seconds to compile': seconds, 'rows': []}
    if args.model:
        texts = load_corpus(SMALL).sample(test=40, seed=42).test.text.tolist()
        figures['perplexity'] = {'torch': decoder.perplexity(texts)}
        for name, fast in quick.items(): figures['perplexity'][name] = fast.perplexity(texts)
        print(figures['perplexity'], flush=True)
    with torch.inference_mode():
        for n_prompts in args.batch:
            for new in args.new:
                row = compared(decoder, quick, new, n_prompts, args.repeat, limit)
                figures['rows'].append(row)
                print(row, '' if row['same tokens'] else 'DIFFERENT TOKENS', flush=True)
    if not args.no_record:
        name = f'gpt2-{args.model}' if args.model else 'gpt2'
        print(record(name, figures, ('textgraft', 'torch', 'transformers', 'tokenizers')))
    return 0 if all(row['same tokens'] for row in figures['rows']) else 1


if __name__ == '__main__': raise SystemExit(main())
