"GPT-2: tokens, loading, choosing, generating, scoring; all on models with random weights, made here"
import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

from textgraft import gpt2 as chapter
from textgraft.course.gpt2_exercises import (
    check_beams,
    check_min_p,
    check_next_token,
    check_reader,
    check_tokenizer,
)
from textgraft.gpt2 import (
    bits_per_character,
    byte_letters,
    encode_prompts,
    filter_logits,
    generate,
    generate_ids,
    greedy_cached,
    greedy_naive,
    learn_merges,
    lm_blocks,
    load_gpt2,
    new_gpt2,
    next_tokens,
    perplexity,
    score_continuations,
    split_word,
    surprise,
    text_bits,
    train_bpe,
    train_gpt2,
)
from textgraft.library.decoders import (
    FILES,
    GPT2,
    PUBLISHED,
    check_fit,
    plot_next_tokens,
    save_gpt2,
    show_surprise,
)

import numpy as np
import pytest
import regex
import torch
from safetensors.torch import load_file, save_file
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    BertConfig,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LogitsProcessorList,
)
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

TEXTS = ['The film was a film about films.', "I didn't like it at all, did I?", 'Café scène: 3 stars!! <br />', 'A naïve 🎬🎬 film...'] * 20
STRANGE = ['', ' ', '  two  spaces ', '\n\n\tx', 'naïve café', '日本語のテキスト', '🤗🏳️‍🌈', 'a\u0301\u200b\ufeff', 'x' * 300, "'s 't DON'T", '1234567 ½', '\x00\x7f\x80']


def pair(seed=0, context=64, layers=2, width=32, heads=2, vocab=350):
    "A tokenizer and a random model whose choices are far apart"
    gpt2 = new_gpt2(train_bpe(TEXTS, vocab), layers, width, heads, context, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for weights in gpt2.model.parameters(): weights.add_(0.2*torch.randn_like(weights))
    return gpt2


@pytest.fixture(scope='module')
def gpt2(): return pair()


@pytest.fixture
def folder(gpt2, tmp_path): return save_gpt2(gpt2, tmp_path/'model')


# what transformers itself writes, and fastai's progress bar
NOISY = {'test_upstream_still_returns_an_empty_tokenizer', 'test_training_learns', 'test_the_folded_solutions_pass'}


@pytest.fixture(autouse=True)
def no_noise(request, capfd):
    "Nothing is written to stderr, and nothing warns"
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warnings.filterwarnings('ignore', 'Deprecated in 0.9.0: BPE', DeprecationWarning) # transformers 5.15 to tokenizers
        yield
    if request.function.__name__ not in NOISY: assert capfd.readouterr().err == ''


# tokens

REAL = {
    'With great power comes great': [3152, 1049, 1176, 2058, 1049],
    'With great power comes great ': [3152, 1049, 1176, 2058, 1049, 220],
    'With great power comes great responsibility': [3152, 1049, 1176, 2058, 1049, 5798],
    'With great power comes great responsibility.': [3152, 1049, 1176, 2058, 1049, 5798, 13],
    ' responsibility': [5798], 'Hello world': [15496, 995], 'Hello, my dog is cute': [15496, 11, 616, 3290, 318, 13779],
    'This movie was great!': [1212, 3807, 373, 1049, 0], ' ': [220], '  ': [220, 220], '\n': [198], '\n\n': [628],
    "Don't stop": [3987, 470, 2245], 'a  b   c': [64, 220, 275, 220, 220, 269], '日本語': [33768, 98, 17312, 105, 45739, 252],
    '🤗 hi': [8582, 97, 245, 23105], 'xxbos': [5324, 39565], '': [], '<|endoftext|>': [50256],
}
OPENAI = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""" # how OpenAI's encoder.py cuts first
RANGES = [(32, 127), (32, 127), (0, 160), (0x300, 0x370), (0x400, 0x500), (0x2000, 0x2070), (0x3000, 0x3100), (0x1f300, 0x1f700), (160, 0xd800)]


def noise(seed, n):
    "A random text of n characters: letters, controls, combining marks, other scripts, emoji"
    rng = random.Random(seed)
    return ''.join(chr(rng.randrange(*rng.choice(RANGES))) for _ in range(n))


@pytest.fixture
def real_folder(gpt2_vocab_folder, tmp_path):
    "A GPT-2 with the published vocabulary and a very narrow model, in the files that the hub has"
    model = GPT2LMHeadModel(GPT2Config(n_embd=4, n_layer=1, n_head=1, n_positions=32))
    weights = {name.removeprefix('transformer.'): w for name, w in model.state_dict().items() if name != 'lm_head.weight'}
    weights['h.0.attn.bias'] = torch.ones(1, 1, 32, 32).tril() # the published file holds the masks, too
    save_file(weights, tmp_path/'model.safetensors', metadata={'format': 'pt'})
    model.config.save_pretrained(tmp_path)
    shutil.copy(gpt2_vocab_folder/'encoder.json', tmp_path/'vocab.json')
    shutil.copy(gpt2_vocab_folder/'vocab.bpe', tmp_path/'merges.txt')
    return tmp_path, model.eval()


def test_published_vocabulary(real_folder):
    folder, model = real_folder
    gpt2 = load_gpt2(folder)
    assert {text: gpt2.tokenizer.encode(text) for text in REAL} == REAL
    assert len(gpt2.tokenizer) == 50257 and gpt2.tokenizer.pad_token_id == 50256
    for text in STRANGE: assert gpt2.tokenizer.decode(gpt2.tokenizer.encode(text)) == text
    ids = torch.tensor([REAL['Hello world']])
    torch.testing.assert_close(gpt2.model(ids).logits, model(ids).logits)
    assert encode_prompts(gpt2, 'With great power comes great ')['input_ids'].tolist() == [REAL['With great power comes great']]
    assert [gpt2.tokenizer.decode([i]) for i in gpt2.tokenizer.encode('Ralph Ralph')] == ['R', 'alph', ' Ralph']


def test_published_merges_by_hand(gpt2_vocab_folder):
    tokenizer = GPT2Tokenizer(vocab=str(gpt2_vocab_folder/'encoder.json'), merges=str(gpt2_vocab_folder/'vocab.bpe'))
    lines = (gpt2_vocab_folder/'vocab.bpe').read_text(encoding='utf-8').splitlines()[1:]
    merges, letters = [tuple(line.split()) for line in lines if line], byte_letters()
    for text in [*list(REAL)[:-1], 'Unfathomably antidisestablishmentarian', 'a\u0301 👩‍👩‍👧 \x00', *[noise(seed, 12) for seed in range(9)]]:
        words = [''.join(letters[byte] for byte in word.encode()) for word in regex.findall(OPENAI, text)]
        assert [piece for word in words for piece in split_word(word, merges)] == tokenizer.tokenize(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize('seed', range(5))
def test_merges_like_tokenizers(seed):
    rng = random.Random(seed)
    words = [''.join(rng.choice('abcdé') for _ in range(rng.randint(1, 6))) for _ in range(60)]
    letters = byte_letters()
    counts = {}
    for word in words: counts[spelled] = counts.get(spelled := ''.join(letters[b] for b in word.encode()), 0) + 1
    library = ByteLevelBPETokenizer()
    library.train_from_iterator(words, vocab_size=256+20, min_frequency=1, show_progress=False)
    learned = [tuple(p) for p in json.loads(library.to_str())['model']['merges']]
    assert learn_merges(counts, 20) == learned
    for word in counts: assert split_word(word, learned) == library.encode(bytes(
        {c: b for b, c in letters.items()}[c] for c in word).decode()).tokens


def test_round_trip(gpt2):
    for text in STRANGE + TEXTS[:4] + [noise(seed, 20) for seed in range(200)] + ['x'*100_000, '\U0010ffff\ufffd']:
        assert gpt2.tokenizer.decode(gpt2.tokenizer.encode(text)) == text


@pytest.mark.parametrize('bad', ['half a character \ud83c', 'wrong bytes \udcff', None, 5, b'bytes', ['fine', None], ['fine', '\ud800']], ids=ascii)
def test_what_is_no_text(gpt2, bad):
    for function in (generate, encode_prompts, text_bits, perplexity, lambda gpt2, bad: score_continuations(gpt2, bad, [' a']),
            lambda gpt2, bad: score_continuations(gpt2, 'A', bad), lambda _, bad: train_bpe(bad, 300)):
        with pytest.raises((ValueError, TypeError), match='half a character|not a string|iterable'): function(gpt2, bad)
    if not isinstance(bad, list):
        for function in (next_tokens, surprise):
            with pytest.raises((ValueError, TypeError), match='half a character|not a string|iterable'): function(gpt2, bad)


def test_one_text_is_a_list_of_one(gpt2):
    np.testing.assert_array_equal(text_bits(gpt2, 'A film')[0], text_bits(gpt2, ['A film'])[0])
    assert perplexity(gpt2, 'A film') == perplexity(gpt2, ['A film']) and bits_per_character(gpt2, 'A film') == bits_per_character(gpt2, ['A film'])
    assert score_continuations(gpt2, 'A film', ' is').shape == (1, 1) and score_continuations(gpt2, [], [' is']).shape == (0, 1)


def test_blocks_lose_nothing(gpt2):
    x, y = lm_blocks(TEXTS, gpt2.tokenizer, 16)
    assert torch.equal(x.flatten()[1:], y.flatten()[:-1])
    text = gpt2.tokenizer.decode(x.flatten().tolist())
    assert ''.join('<|endoftext|>' + t for t in TEXTS).startswith(text.rstrip('\ufffd'))


# loading

def test_save_and_load(gpt2, folder, tmp_path):
    again = load_gpt2(folder)
    ids = torch.tensor([gpt2.tokenizer.encode(TEXTS[0])])
    torch.testing.assert_close(again.model(ids).logits, gpt2.model(ids).logits)
    assert again.tokenizer.padding_side == 'left' and again.tokenizer.pad_token == again.tokenizer.eos_token
    assert not again.model.training and [p.name for p in tmp_path.iterdir()] == ['model']


def test_habits_of_a_folder_are_dropped(gpt2, folder):
    habits = dict(do_sample=True, temperature=0.5, max_length=9, repetition_penalty=5., no_repeat_ngram_size=1, bad_words_ids=[[5]])
    (folder/'generation_config.json').write_text(json.dumps(habits))
    again = load_gpt2(folder)
    assert generate(again, PROMPTS) == generate(gpt2, PROMPTS)
    assert generate(again, PROMPTS, temperature=1., seed=1) == generate(gpt2, PROMPTS, temperature=1., seed=1)


def test_failed_save_leaves_nothing(gpt2, tmp_path):
    class Broken:
        def save_pretrained(self, folder): raise OSError('no space left on device')
    with pytest.raises(OSError, match='no space'): save_gpt2(GPT2(gpt2.tokenizer, Broken()), tmp_path/'model')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors', 'tokenizer.json'])
def test_missing_file(folder, name):
    (folder/name).unlink()
    with pytest.raises(FileNotFoundError, match=name): load_gpt2(folder)


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors', 'tokenizer.json'])
def test_damaged_file(folder, name):
    (folder/name).write_bytes((folder/name).read_bytes()[:100])
    with pytest.raises(ValueError, match='damaged'): load_gpt2(folder)


def test_incomplete_weights(folder):
    weights = load_file(folder/'model.safetensors')
    del weights['transformer.h.1.mlp.c_fc.weight']
    save_file(weights, folder/'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(ValueError, match='h.1.mlp.c_fc.weight'): load_gpt2(folder)


def change(file, **fields):
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize('fields,problem', [(dict(n_layer=3), 'no weights for transformer.h.2'), (dict(n_layer=1), 'too many weights: transformer.h.1'),
    (dict(n_embd=64), 'another size'), (dict(n_positions=99), 'another size for transformer.wpe'), (dict(vocab_size=999), 'another size for transformer.wte'),
    (dict(n_head=3), 'damaged'), (dict(n_embd='big'), 'damaged'), (dict(model_type=None), 'type None')])
def test_configuration_of_another_model(folder, fields, problem):
    change(folder/'config.json', **fields)
    with pytest.raises(ValueError, match=problem): load_gpt2(folder)


@pytest.mark.parametrize('content', ['', '[]', '"gpt2"', '{}', '\x00'*50])
def test_configuration_that_is_none(folder, content):
    (folder/'config.json').write_text(content)
    with pytest.raises(ValueError, match='damaged'): load_gpt2(folder)


def test_weights_that_are_no_numbers(folder):
    weights = load_file(folder/'model.safetensors')
    weights['transformer.ln_f.bias'][3] = float('nan')
    save_file(weights, folder/'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(ValueError, match='ln_f.bias'): load_gpt2(folder)


def test_pickle_by_another_name(gpt2, folder):
    torch.save(gpt2.model.state_dict(), folder/'model.safetensors')
    with pytest.raises(ValueError, match='damaged'): load_gpt2(folder)


def test_damaged_tokenizer(folder):
    whole = json.loads((folder/'tokenizer.json').read_text())
    for field, value, problem in [('merges', whole['model']['merges'][:-5], 'no merges for 5 of'), ('vocab', {}, 'empty'),
            ('vocab', {token: i for token, i in whole['model']['vocab'].items() if token != 'q'}, '255 of the 256')]:
        change(folder/'tokenizer.json', model=whole['model'] | {field: value} | ({'merges': []} if not value else {}))
        with pytest.raises(ValueError, match=problem): load_gpt2(folder)
    (folder/'tokenizer.json').write_text('{}')
    with pytest.raises(ValueError, match='damaged'): load_gpt2(folder)


def test_merges_that_were_cut_short(real_folder):
    folder, _ = real_folder
    lines = (folder/'merges.txt').read_text(encoding='utf-8').splitlines()
    (folder/'merges.txt').write_text('\n'.join(lines[:40_001]), encoding='utf-8')
    with pytest.raises(ValueError, match='no merges for 10000 of its tokens'): load_gpt2(folder)


def test_foreign_tokenizer(folder):
    (folder/'tokenizer_config.json').write_text('{"tokenizer_class": "BertTokenizer"}')
    with pytest.raises(ValueError, match='damaged'): load_gpt2(folder)


def test_end_token_of_the_folder_is_the_tokenizers(gpt2, folder):
    change(folder/'config.json', eos_token_id=9999)
    assert generate(load_gpt2(folder), PROMPTS) == generate(gpt2, PROMPTS)


def test_other_model(folder):
    BertConfig().save_pretrained(folder)
    with pytest.raises(ValueError, match="'bert'"): load_gpt2(folder)


def test_tokenizer_of_another_model(gpt2, folder):
    save_gpt2(pair(vocab=300), folder.parent/'smaller')
    shutil.copy(folder/'tokenizer.json', folder.parent/'smaller')
    with pytest.raises(ValueError, match='up to 319, the model 300'): load_gpt2(folder.parent/'smaller')
    with pytest.raises(ValueError, match='empty'): check_fit(GPT2Tokenizer(), gpt2.model)


def test_pickled_weights_and_code_are_not_read(folder):
    (folder/'model.safetensors').rename(folder/'pytorch_model.bin')
    with pytest.raises(FileNotFoundError, match='safetensors'): load_gpt2(folder)
    (folder/'pytorch_model.bin').rename(folder/'model.safetensors')
    (folder/'own.py').write_text('raise SystemExit("foreign code has run")')
    config = json.loads((folder/'config.json').read_text())
    (folder/'config.json').write_text(json.dumps(config | {'auto_map': {'AutoModelForCausalLM': 'own.Model', 'AutoTokenizer': 'own.T'}}))
    assert load_gpt2(folder).model.config.n_layer == 2


def test_a_name_without_a_network_fails_at_once(): # the hub is switched off for all tests
    start = time.perf_counter()
    with pytest.raises(ConnectionError, match='connect once'): load_gpt2('gpt2')
    assert time.perf_counter() - start < 10
    for name in ['/there/is/nothing', './nothing/here/at/all']:
        with pytest.raises(FileNotFoundError, match='no folder'): load_gpt2(name)


def test_upstream_still_returns_an_empty_tokenizer():
    "If this fails, transformers has mended it: say so in chapter 5 and in the appendix"
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert GPT2Tokenizer.from_pretrained('gpt2').encode('With great power comes great ') == []


class Hub(BaseHTTPRequestHandler):
    "The few answers of a hub that has one model at one revision"
    folder, asked, revision = None, [], PUBLISHED['gpt2']

    def do_GET(self): # noqa: N802
        type(self).asked.append(f'{self.command} {self.path}')
        files, asked = list(self.folder.iterdir()), self.path.split('?')[0]
        if asked in (f'/api/models/gpt2/revision/{self.revision}', '/api/models/stalls/revision/main', '/api/models/pickled/revision/main'):
            names = [p.name for p in files if 'pickled' not in asked or p.suffix == '.bin']
            return self.reply(json.dumps({'id': 'gpt2', 'sha': self.revision, 'siblings': [{'rfilename': name} for name in names]}).encode())
        if asked.startswith('/stalls/'): return time.sleep(60) # says no more
        file = self.folder/Path(self.path).name
        if self.path == f'/gpt2/resolve/{self.revision}/{file.name}' and file.exists(): return self.reply(file.read_bytes())
        self.reply(b'{}', 404, **{'X-Error-Code': 'RepoNotFound'})

    do_HEAD = do_GET

    def reply(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in ({'Content-Length': len(body), 'X-Repo-Commit': self.revision, 'ETag': f'"{hash(body)}"'} | headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == 'GET': self.wfile.write(body)

    def log_message(self, *args): pass


ASK = """
import json, time
from textgraft.library.decoders import hub_folder, read_gpt2

def answer(name):
    try: return str(hub_folder(name))
    except OSError as error: return f'{type(error).__name__}: {error}'

print(json.dumps([answer('gpt2'), len(read_gpt2(hub_folder('gpt2')).tokenizer), answer('someone/else'), answer('pickled')]), flush=True)
start = time.perf_counter()
print(json.dumps([answer('stalls'), time.perf_counter() - start]), flush=True)
input()  # meanwhile the hub dies
print(json.dumps([answer('gpt2'), answer('another')]))
"""


def test_hub(folder, tmp_path, monkeypatch):
    "Downloaded once, at the revision that we know; then read from the cache; an unknown name and a dead hub are told apart"
    (folder/'pytorch_model.bin').write_bytes(b'never asked for')
    Hub.folder, Hub.asked = folder, []
    server = ThreadingHTTPServer(('localhost', 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {'HF_ENDPOINT': f'http://localhost:{server.server_port}', 'HF_HOME': str(tmp_path/'cache'), 'HF_HUB_OFFLINE': '0',
            'HF_HUB_DISABLE_XET': '1', 'NO_PROXY': 'localhost', 'no_proxy': 'localhost'}.items(): monkeypatch.setenv(name, value)
    with subprocess.Popen([sys.executable, '-c', ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        first, tokens, unknown, pickled = json.loads(child.stdout.readline())
        stalled, seconds = json.loads(child.stdout.readline())
        server.shutdown()
        server.server_close()
        again, dead = json.loads(child.communicate('\n', timeout=60)[0])
    assert tokens == 320 and PUBLISHED['gpt2'] in first and again == first
    assert unknown.startswith('FileNotFoundError: the hub has no model')
    assert pickled.startswith('FileNotFoundError') and 'no model.safetensors' in pickled
    assert stalled.startswith('ConnectionError: the hub stopped answering') and seconds < 30
    assert dead.startswith('ConnectionError') and 'does not answer' in dead and FILES[0] in dead
    assert sum('/gpt2/' in line and 'model.safetensors' in line for line in Hub.asked if line.startswith('GET')) == 1
    assert not any('pytorch_model.bin' in line for line in Hub.asked)


# choosing

@pytest.mark.parametrize('seed', range(4))
def test_filters_like_transformers(seed):
    logits, rng = torch.randn(3, 200, generator=torch.Generator().manual_seed(seed))*3, random.Random(seed)
    t, k, p = rng.uniform(0.3, 2), rng.randint(1, 300), rng.uniform(0.05, 0.99)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(t), TopKLogitsWarper(k), TopPLogitsWarper(p)])
    torch.testing.assert_close(filter_logits(logits, t, k, p), warpers(torch.zeros(3, 1, dtype=torch.long), logits))


def test_next_tokens(gpt2):
    table = next_tokens(gpt2, 'A film', k=1000)
    assert len(table) == len(gpt2.tokenizer) and table.probability.is_monotonic_decreasing
    assert abs(table.probability.sum() - 1) < 1e-5
    assert gpt2.tokenizer.convert_tokens_to_ids(table.token.tolist()) == table.id.tolist()
    assert next_tokens(gpt2, 'A film   ').equals(next_tokens(gpt2, 'A film'))
    assert not next_tokens(gpt2, 'A film ', strip_space=False).equals(next_tokens(gpt2, 'A film'))
    assert len(next_tokens(gpt2, 'A film', k=9, top_k=4)) == 4
    assert len(plot_next_tokens({'a': table[:5], 'b': next_tokens(gpt2, 'The')}).axes) == 2


BAD = [dict(temperature=0), dict(temperature=-1), dict(temperature=float('nan')), dict(temperature=float('inf')), dict(temperature='1'),
    dict(temperature=1, top_p=0), dict(temperature=1, top_p=1.01), dict(temperature=1, top_p=None), dict(temperature=1, top_k=-1),
    dict(temperature=1, top_k=2.5), dict(temperature=1, top_k=None)]


@pytest.mark.parametrize('bad', BAD, ids=str)
def test_bad_sampling(gpt2, bad):
    for function in (next_tokens, generate):
        with pytest.raises(ValueError, match=f'{list(bad)[-1]}='): function(gpt2, 'A film', **bad)


@pytest.mark.parametrize('bad,problem', [(dict(max_new_tokens=0), 'max_new_tokens=0'), (dict(max_new_tokens=-3), 'max_new_tokens=-3'),
    (dict(max_new_tokens=1.5), 'max_new_tokens=1.5'), (dict(max_new_tokens='9'), "max_new_tokens='9'"), (dict(num_beams=0), 'num_beams=0'),
    (dict(num_beams=2.5), 'num_beams=2.5'), (dict(repetition_penalty=0), 'repetition_penalty=0'), (dict(repetition_penalty=float('inf')), 'repetition_penalty=inf'),
    (dict(top_k=3), 'give a temperature'), (dict(top_p=0.5), 'give a temperature'), (dict(num_beams=2, temperature=1.), 'either sample'),
    (dict(stop=['.', '']), 'stop='), (dict(max_new_tokens=64), 'context of 64'), (dict(max_new_tokens=1000, truncate=True), 'context of 64')], ids=str)
def test_bad_generation(gpt2, bad, problem):
    with pytest.raises(ValueError, match=problem): generate(gpt2, 'A film', **bad)


def test_other_bad_arguments(gpt2):
    for k in (0, 1.5, '3', None):
        with pytest.raises(ValueError, match=f'k={k!r}'): next_tokens(gpt2, 'A film', k=k)
    for stride in (0, -1, 1.5, 65):
        with pytest.raises(ValueError, match=f'stride={stride}'): text_bits(gpt2, 'A film', stride)
    for name in ('layers', 'width', 'heads', 'context'):
        with pytest.raises(ValueError, match=f'{name}=0'): new_gpt2(gpt2.tokenizer, **{name: 0})
    for name in ('steps', 'bs'):
        with pytest.raises(ValueError, match=f'{name}=0'): train_gpt2(gpt2, TEXTS, TEXTS, **({'steps': 1} | {name: 0}))
    for texts in ('', [], ['fine', '']):
        with pytest.raises(ValueError, match='no text to judge'): text_bits(gpt2, texts)
    for endings in ([], ['']):
        with pytest.raises(ValueError, match='continuation'): score_continuations(gpt2, 'A film', endings)
    with pytest.raises(ValueError, match='no place for a prompt'): score_continuations(gpt2, 'A film', [' film'*64])
    with pytest.raises(TypeError, match='max_length'): generate(gpt2, 'A film', max_length=9)


@pytest.mark.parametrize('prompt', ['', '   ', [], ['fine', '']])
def test_empty_prompt(gpt2, prompt):
    for function in (generate, encode_prompts):
        with pytest.raises(ValueError, match='empty prompt'): function(gpt2, prompt)


def test_context_limit(gpt2):
    long = 'film ' * 100
    with pytest.raises(ValueError, match='truncate=True'): generate(gpt2, long)
    with pytest.raises(ValueError, match='context of 64'): next_tokens(gpt2, long)
    ids = gpt2.tokenizer.encode(long.strip())
    assert generate_ids(gpt2, long, max_new_tokens=14, truncate=True) == [cut_at_end(gpt2, greedy_naive(gpt2.model, ids[-50:], 14))]
    assert generate(gpt2, long, max_new_tokens=14, truncate=True).startswith(long.strip())
    assert next_tokens(gpt2, long, truncate=True, k=1).id[0] == next(greedy_naive(gpt2.model, ids[-64:], 1))
    n = 64 - len(gpt2.tokenizer.encode('A film'))
    assert len(list(greedy_cached(gpt2.model, gpt2.tokenizer.encode('A film'), n))) == n


# generating

def cut_at_end(gpt2, ids):
    ids, end = list(ids), gpt2.tokenizer.eos_token_id
    return ids[:ids.index(end)] if end in ids else ids


def by_transformers(gpt2, prompt, **options):
    "transformers' own call, with one prompt and no padding"
    ids, end = torch.tensor([gpt2.tokenizer.encode(prompt)]), gpt2.tokenizer.eos_token_id
    config = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=end, **options)
    out = gpt2.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return cut_at_end(gpt2, out[0, ids.shape[1]:].tolist())


def likely_end(gpt2, strength):
    "Move the row of the end token to where the hidden states are"
    bias = gpt2.model.transformer.ln_f.bias
    with torch.no_grad(): gpt2.model.transformer.wte.weight[gpt2.tokenizer.eos_token_id] += strength*bias/(bias.norm() + 1e-6)


@pytest.mark.parametrize('seed', range(6))
def test_penalty_does_not_see_padding(seed):
    "The end token, which is the padding too, is the likeliest at some step; a text of a padded prompt ends there as it does alone"
    gpt2, options = pair(seed, vocab=280, width=16), dict(max_new_tokens=12, repetition_penalty=1.5)
    chosen = by_transformers(gpt2, 'A', **options)
    with torch.no_grad(): gpt2.model.transformer.wte.weight[0] = 1.05*gpt2.model.transformer.wte.weight[chosen[len(chosen)//2]]
    alone = [by_transformers(gpt2, prompt, **options) for prompt in ['A', 'The film about the']]
    assert generate_ids(gpt2, ['A', 'The film about the'], **options) == alone and len(alone[0]) < 12


def test_penalty_and_chance(gpt2):
    "The order of penalty and temperature is transformers' own"
    ids = torch.tensor([gpt2.tokenizer.encode('The film')])
    config = GenerationConfig(max_new_tokens=20, do_sample=True, temperature=1.5, top_k=50, repetition_penalty=1.3, pad_token_id=0, eos_token_id=0)
    torch.manual_seed(5)
    expected = gpt2.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)[0, ids.shape[1]:].tolist()
    assert generate_ids(gpt2, 'The film', max_new_tokens=20, temperature=1.5, top_k=50, repetition_penalty=1.3, seed=5)[0] == cut_at_end(gpt2, expected)


PROMPTS = ['The film', 'A', "I didn't like it", '🎬', 'Café scène: 3 stars!! A naïve film']


@pytest.mark.parametrize('seed', range(20))
def test_same_tokens_as_transformers(seed):
    "Greedy, beams, penalty; alone and in a batch; weights far apart, as GPT-2 starts, or with an end token that is likely"
    rng = random.Random(seed)
    heads = rng.choice([1, 2, 4])
    sizes = dict(layers=rng.randint(1, 3), heads=heads, width=8*heads*rng.randint(1, 3), context=rng.choice([64, 80, 100]))
    tokenizer = train_bpe(TEXTS, rng.choice([257, 300, 400]))
    gpt2 = new_gpt2(tokenizer, seed=seed, **sizes) if seed % 5 == 0 else pair(seed, vocab=len(tokenizer), **sizes)
    if seed % 3 == 0: likely_end(gpt2, strength=seed/6)
    for options in [{}, dict(num_beams=rng.randint(2, 5)), dict(repetition_penalty=rng.choice([0.7, 1.4, 3.])), dict(num_beams=2, repetition_penalty=1.2)]:
        alone = [by_transformers(gpt2, prompt, max_new_tokens=20, **options) for prompt in PROMPTS]
        assert generate_ids(gpt2, PROMPTS, max_new_tokens=20, **options) == alone
        assert [generate_ids(gpt2, prompt, max_new_tokens=20, **options)[0] for prompt in PROMPTS[:2]] == alone[:2]
    for prompt in PROMPTS:
        ids = gpt2.tokenizer.encode(prompt)
        naive = list(greedy_naive(gpt2.model, ids, 20))
        assert naive == list(greedy_cached(gpt2.model, ids, 20))
        assert cut_at_end(gpt2, naive) == by_transformers(gpt2, prompt, max_new_tokens=20)


def test_text(gpt2):
    texts = generate(gpt2, PROMPTS, max_new_tokens=9)
    assert all(text.startswith(prompt) for text, prompt in zip(texts, PROMPTS))
    assert texts == [generate(gpt2, prompt, max_new_tokens=9) for prompt in PROMPTS]
    assert generate(gpt2, 'The film ', 9) == generate(gpt2, 'The film', 9)
    assert generate(gpt2, 'The film ', 9, strip_space=False).startswith('The film ')


def test_seed(gpt2):
    torch.manual_seed(7)
    first = [generate(gpt2, PROMPTS, temperature=1., seed=3) for _ in range(2)]
    state = torch.rand(3)
    torch.manual_seed(7)
    assert first[0] == first[1] != generate(gpt2, PROMPTS, temperature=1., seed=4)
    assert torch.equal(state, torch.rand(3)) # the caller's source of chance was left alone
    assert generate(gpt2, PROMPTS, temperature=1.) != generate(gpt2, PROMPTS, temperature=1.)
    assert generate(gpt2, PROMPTS, temperature=1e-4) == generate(gpt2, PROMPTS)
    assert generate(gpt2, PROMPTS, temperature=2., top_k=1, seed=1) == generate(gpt2, PROMPTS)


def test_stop(gpt2):
    whole = generate(gpt2, PROMPTS, max_new_tokens=30)
    for prompt, text in zip(PROMPTS, whole):
        new = text[len(prompt):]
        for mark in {new[len(new)//2], new[len(new)//3:len(new)//3+2]} - {'\ufffd', ''}:
            if '\ufffd' in mark: continue
            expected = prompt + new[:new.index(mark)+len(mark)]
            assert generate(gpt2, prompt, max_new_tokens=30, stop=mark) == expected
            assert generate(gpt2, PROMPTS, max_new_tokens=30, stop=[mark, 'never comes'])[PROMPTS.index(prompt)] == expected


@pytest.mark.parametrize('seed', range(5))
def test_stop_inside_a_token(seed):
    "What stands behind the mark is cut off, in the text and in the stream; a mark may begin in the prompt"
    gpt2 = pair(seed, vocab=400, context=128)
    whole = generate(gpt2, 'The film', 40, temperature=3., seed=seed)
    new = whole[len('The film'):]
    for mark in {new[i:i+2] for i in range(2, 30, 3)} - {''}:
        if '\ufffd' in mark: continue
        pieces, expected = [], whole[:whole.index(mark, len('The film')-1)+2]
        assert generate(gpt2, 'The film', 40, temperature=3., seed=seed, stop=mark, on_text=pieces.append) == expected
        assert 'The film' + ''.join(pieces) == expected
    first = next(i for i, c in enumerate(new) if c != '\ufffd')
    if first == 0: assert generate(gpt2, 'The film', 40, temperature=3., seed=seed, stop='m'+new[0]) == 'The film'+new[0]


def test_end_of_text(gpt2):
    ids = gpt2.tokenizer.encode('The film')
    first = next(greedy_naive(gpt2.model, ids, 1))
    model = GPT2LMHeadModel(gpt2.model.config)
    model.load_state_dict(gpt2.model.state_dict())
    with torch.no_grad(): model.transformer.wte.weight[gpt2.tokenizer.eos_token_id] = 5*model.transformer.wte.weight[first]
    ending = GPT2(gpt2.tokenizer, model.eval())
    assert generate(ending, 'The film') == 'The film' and generate_ids(ending, 'The film') == [[]]


@pytest.mark.parametrize('seed', range(3))
def test_streaming(seed):
    gpt2, pieces = pair(seed, vocab=257), [] # bytes only: most characters take several tokens
    text = generate(gpt2, '日本', max_new_tokens=40, on_text=pieces.append)
    assert '日本' + ''.join(pieces) == text and len(pieces) > 1
    with pytest.raises(ValueError, match='one prompt'): generate(gpt2, PROMPTS, 5, on_text=print)


# scoring

def bits_of(gpt2, ids):
    with torch.no_grad(): logp = gpt2.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [-logp[i, token].item()/np.log(2) for i, token in enumerate(ids[1:])]


def test_short_text(gpt2):
    end = gpt2.tokenizer.eos_token_id
    expected = bits_of(gpt2, [end, *gpt2.tokenizer.encode(TEXTS[2])])
    for stride in (None, 1, 64): np.testing.assert_allclose(surprise(gpt2, TEXTS[2], stride).bits, expected, rtol=1e-4)
    assert perplexity(gpt2, TEXTS[2:3]) == pytest.approx(2**np.mean(expected), rel=1e-4)


@pytest.mark.parametrize('stride', [1, 7, 32, 63, 64])
@pytest.mark.parametrize('extra', [-1, 0, 1, 40, 200])
def test_long_text_in_windows(stride, extra):
    gpt2 = pair(vocab=257)
    text = ''.join(random.Random(extra).choice('abc de') for _ in range(64+extra))
    stream, expected, start = [0, *gpt2.tokenizer.encode(text)], [], 0
    while len(expected) < len(stream)-1:
        expected += windowed(gpt2, stream, start)[len(expected)-start:]
        start += stride
    np.testing.assert_allclose(text_bits(gpt2, ['x', text], stride)[1], expected, rtol=1e-3, atol=1e-4)


def windowed(gpt2, stream, start):
    "Bits of the up to 64 tokens after position `start`"
    with torch.no_grad(): logp = gpt2.model(torch.tensor([stream[start:start+64]])).logits[0].log_softmax(-1)
    return [-logp[i, token].item()/np.log(2) for i, token in enumerate(stream[start+1:start+65])]


def test_continuations(gpt2):
    endings = [' It was good.', ' bad']
    table = score_continuations(gpt2, [*TEXTS[:4], ''], endings)
    for row, text in zip(table, [*TEXTS[:4], '']):
        for bits, ending in zip(row, endings):
            tail = gpt2.tokenizer.encode(ending)
            assert bits == pytest.approx(sum(bits_of(gpt2, [0, *gpt2.tokenizer.encode(text), *tail])[-len(tail):]), rel=1e-4)
    assert np.isfinite(score_continuations(gpt2, ['film ' * 200], endings)).all()


def test_coloured_text(gpt2):
    shown = show_surprise(surprise(gpt2, 'A <br /> film')).data
    assert '<br' not in shown and '&lt;' in shown and shown.count('<span') == len(gpt2.tokenizer.encode('A <br /> film'))


def test_training_learns():
    gpt2 = new_gpt2(train_bpe(TEXTS, 300), context=16, width=32)
    before = perplexity(gpt2, TEXTS[:4])
    learn = train_gpt2(gpt2, TEXTS, TEXTS[:20], steps=30, bs=8)
    assert perplexity(gpt2, TEXTS[:4]) < before/3 and not gpt2.model.training
    assert learn.recorder.values


CHAPTER = Path(__file__).parent.parent/'nbs/05_gpt2.ipynb'


def test_the_folded_solutions_pass():
    "The code under `Solution` in the chapter, as it stands there; chapter-sized things made small"
    text = '\n'.join(''.join(cell['source']) for cell in json.loads(CHAPTER.read_text(encoding='utf-8'))['cells'])
    solutions = re.findall(r'<summary>Solution</summary>\n+```python\n(.*?)```', text, flags=re.DOTALL)
    assert len(solutions) == 5
    reading, held_out = [*TEXTS, *(text.upper() for text in TEXTS)], TEXTS[:4]
    ours = new_gpt2(train_bpe(reading, 280), width=32, context=16)
    train_gpt2(ours, reading, held_out, steps=5)
    names = dict(vars(chapter), gpt2=ours, ours=ours, reading=reading, held_out=held_out, my_prompt='The film',
        cfg=SimpleNamespace(gpt2_vocab=280, gpt2_context=16, gpt2_steps=30))
    for solution in solutions: exec(solution, names)
    used = sum(map(len, ours.tokenizer(held_out).input_ids))
    assert {check_next_token(ours, 'The film', names['my_answer']), check_tokenizer(names['my_tokenizer'], held_out, int(.95*used)),
        check_min_p(names['my_min_p']), check_beams(names['my_beams']),
        check_reader(names['my_gpt2'], held_out, 0.9*bits_per_character(ours, held_out))} == {'passed'}


def test_exercises_begin_unanswered():
    code = [''.join(cell['source']) for cell in json.loads(CHAPTER.read_text(encoding='utf-8'))['cells'] if cell['cell_type'] == 'code']
    assert sum(len(re.findall(r'^my_\w+ = None$', cell, flags=re.MULTILINE)) for cell in code) == 5


def test_bad_training_input(gpt2):
    with pytest.raises(ValueError, match='257'): train_bpe(TEXTS, 100)
    with pytest.raises(ValueError, match='do not fill'): lm_blocks(['A'], gpt2.tokenizer, 64)
    with pytest.raises(ValueError, match='heads'): new_gpt2(gpt2.tokenizer, width=10, heads=4)


def test_the_chapter_asks_for_new_tokens_only():
    text = CHAPTER.read_text(encoding='utf-8')
    assert 'max_new_tokens' in text and 'max_length=' not in text
