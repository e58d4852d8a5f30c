"Decoders: tokens, loading, choosing, generating, scoring; on models with random weights, made here"
import copy
import json
import pickle
import random
import re
import shutil
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from textgraft.gpt2 import (
    byte_letters,
    greedy_cached,
    greedy_naive,
    learn_merges,
    lm_blocks,
    load_decoder,
    new_gpt2,
    split_word,
    train_bpe,
    train_gpt2,
)
from textgraft.library import decoders
from textgraft.library.decoders import PUBLISHED, Decoder, plot_next_tokens, show_surprise
from textgraft.library.openvino import engine_of, to_openvino
from textgraft.library.sampling import filter_logits

import numpy as np
import pytest
import regex
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import (
    ByteLevelBPETokenizer,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from tokenizers import decoders as token_decoders
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
)
from transformers.generation import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

TEXTS = ['The film was a film about films.', "I didn't like it at all, did I?",
    'Café scène: 3 stars!! <br />', 'A naïve 🎬🎬 film...'] * 20
STRANGE = ['', ' ', '  two  spaces ', '\n\n\tx', 'naïve café', '日本語のテキスト',
    '🤗🏳️‍🌈', 'a\u0301\u200b\ufeff', 'x' * 300, "'s 't DON'T", '1234567 ½', '\x00\x7f\x80']
PROMPTS = ['The film', 'A', "I didn't like it", '🎬', 'Café scène: 3 stars!! A naïve film']


def spread(model, seed):
    "Weights far apart, so that no two choices are nearly equal"
    torch.manual_seed(seed)
    with torch.no_grad():
        for weights in model.parameters(): weights.add_(0.2*torch.randn_like(weights))


def pair(seed=0, context=64, layers=2, width=32, heads=2, vocab=350):
    "A tokenizer and a random model whose choices are far apart"
    gpt = new_gpt2(train_bpe(TEXTS, vocab), layers, width, heads, context, seed, device='cpu')
    spread(gpt.model, seed)
    return gpt


@pytest.fixture(scope='module')
def gpt(): return pair()


def foreign(gpt, folder, **options):
    "A folder as other people write it, without our manifest"
    with decoders._no_reports():
        gpt.tokenizer.save_pretrained(folder)
        gpt.model.save_pretrained(folder, **options)
    return Path(folder)


@pytest.fixture
def folder(gpt, tmp_path): return foreign(gpt, tmp_path/'model')


@pytest.fixture(autouse=True)
def no_noise(request, capfd):
    "Nothing is written to stderr, and nothing warns"
    noisy = request.function.__name__ == 'test_training_learns' # fastai's progress bar
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        # transformers 5.15 to tokenizers
        warnings.filterwarnings('ignore', 'Deprecated in 0.9.0: BPE', DeprecationWarning)
        yield
    if not noisy: assert capfd.readouterr().err == ''


# tokens

REAL = {
    'With great power comes great': [3152, 1049, 1176, 2058, 1049],
    'With great power comes great ': [3152, 1049, 1176, 2058, 1049, 220],
    'With great power comes great responsibility.': [3152, 1049, 1176, 2058, 1049, 5798, 13],
    ' responsibility': [5798], 'Hello world': [15496, 995],
    'Hello, my dog is cute': [15496, 11, 616, 3290, 318, 13779],
    'This movie was great!': [1212, 3807, 373, 1049, 0], ' ': [220], '  ': [220, 220],
    '\n': [198], '\n\n': [628], "Don't stop": [3987, 470, 2245],
    'a  b   c': [64, 220, 275, 220, 220, 269], '日本語': [33768, 98, 17312, 105, 45739, 252],
    '🤗 hi': [8582, 97, 245, 23105], 'xxbos': [5324, 39565], '': [], '<|endoftext|>': [50256],
}
# how OpenAI's encoder.py cuts first
OPENAI = (r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""")
RANGES = [(32, 127), (32, 127), (0, 160), (0x300, 0x370), (0x400, 0x500), (0x2000, 0x2070),
    (0x3000, 0x3100), (0x1f300, 0x1f700), (160, 0xd800)]


def noise(seed, n):
    "A random text of n characters: letters, controls, combining marks, other scripts, emoji"
    rng = random.Random(seed)
    return ''.join(chr(rng.randrange(*rng.choice(RANGES))) for _ in range(n))


@pytest.fixture
def real_folder(gpt2_vocab_folder, tmp_path):
    "A GPT-2 with the published vocabulary and a very narrow model, in the files of the hub"
    model = GPT2LMHeadModel(GPT2Config(n_embd=4, n_layer=1, n_head=1, n_positions=32))
    weights = {name.removeprefix('transformer.'): w for name, w in model.state_dict().items()
        if name != 'lm_head.weight'}
    weights['h.0.attn.bias'] = torch.ones(1, 1, 32, 32).tril() # published files hold the masks
    save_file(weights, tmp_path/'model.safetensors', metadata={'format': 'pt'})
    model.config.save_pretrained(tmp_path)
    shutil.copy(gpt2_vocab_folder/'encoder.json', tmp_path/'vocab.json')
    shutil.copy(gpt2_vocab_folder/'vocab.bpe', tmp_path/'merges.txt')
    return tmp_path, model.eval()


def test_published_vocabulary(real_folder):
    folder, model = real_folder
    gpt = load_decoder(folder, device='cpu')
    assert {text: gpt.tokenizer.encode(text) for text in REAL} == REAL
    assert len(gpt.tokenizer) == 50257 and gpt.tokenizer.pad_token_id == 50256
    for text in STRANGE: assert gpt.tokenizer.decode(gpt.tokenizer.encode(text)) == text
    ids = torch.tensor([REAL['Hello world']])
    torch.testing.assert_close(gpt.logits(ids), model(ids).logits)
    without_space = gpt.encode('With great power comes great ')['input_ids'].tolist()
    assert without_space == [REAL['With great power comes great']]
    lines = (folder/'merges.txt').read_text(encoding='utf-8').splitlines()
    (folder/'merges.txt').write_text('\n'.join(lines[:40_001]), encoding='utf-8')
    with pytest.raises(ValueError, match='no merges for 10000 of its tokens'): load_decoder(folder)


def test_published_merges_by_hand(gpt2_vocab_folder):
    vocab, merges = gpt2_vocab_folder/'encoder.json', gpt2_vocab_folder/'vocab.bpe'
    tokenizer = GPT2Tokenizer(vocab=str(vocab), merges=str(merges))
    lines = merges.read_text(encoding='utf-8').splitlines()[1:]
    pairs, letters = [tuple(line.split()) for line in lines if line], byte_letters()
    made = [noise(seed, 12) for seed in range(9)]
    rare = ['Unfathomably antidisestablishmentarian', 'a\u0301 👩‍👩‍👧 \x00']
    for text in [*list(REAL)[:-1], *rare, *made]:
        words = [''.join(letters[b] for b in word.encode()) for word in regex.findall(OPENAI, text)]
        pieces = [piece for word in words for piece in split_word(word, pairs)]
        assert pieces == tokenizer.tokenize(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize('seed', range(5))
def test_merges_like_tokenizers(seed):
    rng, letters, counts = random.Random(seed), byte_letters(), {}
    words = [''.join(rng.choice('abcdé') for _ in range(rng.randint(1, 6))) for _ in range(60)]
    for word in words:
        spelled = ''.join(letters[b] for b in word.encode())
        counts[spelled] = counts.get(spelled, 0) + 1
    library = ByteLevelBPETokenizer()
    library.train_from_iterator(words, vocab_size=256+20, min_frequency=1, show_progress=False)
    learned = [tuple(p) for p in json.loads(library.to_str())['model']['merges']]
    assert learn_merges(counts, 20) == learned
    back = {letter: byte for byte, letter in letters.items()}
    for word in counts:
        text = bytes(back[letter] for letter in word).decode()
        assert split_word(word, learned) == library.encode(text).tokens


def test_round_trip(gpt):
    made = [noise(seed, 20) for seed in range(200)]
    for text in STRANGE + TEXTS[:4] + made + ['x'*100_000, '\U0010ffff\ufffd']:
        assert gpt.tokenizer.decode(gpt.ids([text])[0]) == text


BAD_TEXTS = ['half a character \ud83c', 'wrong bytes \udcff', None, 5, b'bytes', ['fine', None],
    ['fine', '\ud800'], {'a': 'text'}, {'only one'}]


@pytest.mark.parametrize('bad', BAD_TEXTS, ids=ascii)
def test_what_is_no_text(gpt, bad):
    calls = [gpt.generate, gpt.encode, gpt.bits, gpt.perplexity, gpt.bits_per_character,
        gpt.features, gpt.next_tokens, gpt.surprise, lambda bad: gpt.score(bad, [' a']),
        lambda bad: gpt.score('A', bad), lambda bad: train_bpe(bad, 300)]
    for call in calls:
        with pytest.raises((ValueError, TypeError), match='half a character|text|list|string'):
            call(bad)


def test_one_text_is_a_list_of_one(gpt):
    np.testing.assert_array_equal(gpt.bits('A film')[0], gpt.bits(['A film'])[0])
    assert gpt.perplexity('A film') == gpt.perplexity(np.array(['A film']))
    assert gpt.bits_per_character('A film') == gpt.bits_per_character(['A film'])
    assert gpt.score('A film', ' is').shape == (1, 1) and gpt.score([], [' is']).shape == (0, 1)


def test_blocks_lose_nothing(gpt):
    x, y = lm_blocks(TEXTS, gpt.tokenizer, 16)
    assert torch.equal(x.flatten()[1:], y.flatten()[:-1])
    text = gpt.tokenizer.decode(x.flatten().tolist())
    assert ''.join('<|endoftext|>' + t for t in TEXTS).startswith(text.rstrip('\ufffd'))


# other makers' decoders

def bpe_tokenizer(kind, begin=False, size=330):
    "A tokenizer of GPT-2's kind (bytes), or of Llama's (spaces as letters, bytes as a last resort)"
    special = ['<unk>', '<s>', '</s>']
    inner = Tokenizer(models.BPE(unk_token='<unk>', byte_fallback=kind == 'spaces'))
    if kind == 'bytes':
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = token_decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        special += [f'<0x{byte:02X}>' for byte in range(256)]
        inner.normalizer = normalizers.Sequence([normalizers.Prepend('▁'),
            normalizers.Replace(' ', '▁')])
        inner.decoder = token_decoders.Sequence([token_decoders.Replace('▁', ' '),
            token_decoders.ByteFallback(), token_decoders.Fuse(), token_decoders.Strip(' ', 1, 0)])
        alphabet = []
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
        initial_alphabet=alphabet)
    inner.train_from_iterator([text.replace('🎬', '') for text in TEXTS], trainer)
    if begin: inner.post_processor = TemplateProcessing('<s> $A', '<s> $A $B', [('<s>', 1)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token='<unk>', bos_token='<s>',
        eos_token='</s>')


SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
    max_position_embeddings=96)
GROUPED = SIZES | dict(num_key_value_heads=1)
# name -> kind of tokenizer, a begin token?, rows beyond the tokens, configuration
KINDS = {
    'GPT2': ('bytes', False, 0, dict(n_embd=32, n_layer=2, n_head=2, n_positions=96)),
    'Llama': ('spaces', True, 14, GROUPED),
    'Mistral': ('spaces', True, 0, GROUPED | dict(sliding_window=16)),
    'Qwen2': ('bytes', False, 22, GROUPED | dict(tie_word_embeddings=True)),
    'GPTNeoX': ('bytes', False, 6, SIZES),
    'OPT': ('bytes', True, 0, dict(hidden_size=32, ffn_dim=48, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=96, word_embed_proj_dim=32)),
    'Gemma': ('spaces', True, 0, GROUPED | dict(head_dim=16)),
    'Bloom': ('bytes', False, 0, dict(hidden_size=32, n_layer=2, n_head=2)),
}


def kind_of(name):
    "A random decoder of another architecture"
    spelling, begin, padding, sizes = KINDS[name]
    tokenizer = bpe_tokenizer(spelling, begin)
    ids = dict(bos_token_id=1, eos_token_id=2, pad_token_id=None)
    make_config = getattr(transformers, f'{name}Config')
    config = make_config(vocab_size=len(tokenizer)+padding, **ids, **sizes)
    model = AutoModelForCausalLM.from_config(config)
    spread(model, 7)
    return Decoder(tokenizer, model)


@pytest.fixture(scope='module', params=KINDS)
def other(request): return kind_of(request.param)


def by_transformers(gpt, prompt, **options):
    "transformers' own call, with one prompt and no padding; rows without a token forbidden"
    ids = torch.tensor([gpt.tokenizer.encode(prompt)])
    holes = [] if gpt.known is None else (~gpt.known).nonzero().flatten().tolist()
    config = GenerationConfig(**(dict(do_sample=False) | options), eos_token_id=gpt.ends,
        pad_token_id=gpt.ends[0], suppress_tokens=holes or None)
    out = gpt.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return cut_at_end(gpt, out[0, ids.shape[1]:].tolist())


def cut_at_end(gpt, ids):
    ids, end = list(ids), gpt.ends[0]
    return ids[:ids.index(end)] if end in ids else ids


def test_other_kinds_write_as_transformers_does(other):
    "Ids, logits, greedy, beams, penalty; alone, and in a batch with padding on the left"
    for prompt in PROMPTS:
        ids = torch.tensor([other.tokenizer.encode(prompt)])
        assert torch.equal(other.encode(prompt)['input_ids'], ids)
        expected = other.model(ids).logits
        if other.known is not None: expected[..., ~other.known] = -torch.inf
        torch.testing.assert_close(other.logits(ids), expected)
    for options in [{}, dict(num_beams=3), dict(repetition_penalty=1.4)]:
        alone = [by_transformers(other, prompt, max_new_tokens=12, **options) for prompt in PROMPTS]
        assert other.generate_ids(PROMPTS, max_new_tokens=12, **options) == alone


def test_other_kinds_sample_as_transformers_does(other):
    torch.manual_seed(5)
    expected = by_transformers(other, 'The film', max_new_tokens=12, do_sample=True,
        temperature=1.3, top_k=40, top_p=0.9)
    got = other.generate_ids('The film', 12, temperature=1.3, top_k=40, top_p=0.9, seed=5)
    assert got == [expected]


def test_other_kinds_stream_save_and_load(other, tmp_path):
    pieces = []
    text = other.generate('The film', 24, temperature=3., seed=2, on_text=pieces.append)
    assert 'The film' + ''.join(pieces) == text
    again = load_decoder(other.save(tmp_path/'a'), device='cpu')
    plain = load_decoder(foreign(other, tmp_path/'b'), device='cpu')
    expected = other.generate('The film', 9)
    assert again.generate('The film', 9) == plain.generate('The film', 9) == expected
    np.testing.assert_allclose(again.bits(TEXTS[0])[0], other.bits(TEXTS[0])[0], rtol=1e-4)


def test_other_kinds_write_beyond_the_context(other):
    "In steps of half the context, each from the end of what stands there; a mark ends it"
    step = other.context//2
    if step > 48: return # Bloom has no limit
    text = 'the film'
    for n in (step, step, 5):
        text = other.generate(text, n, truncate=True, strip_space=False)
    if '\ufffd' not in text: # of half characters each step may leave some to the next
        assert other.generate_long('the film', 2*step + 5) == text
    drawn = [other.generate_long('the film', 3*step, temperature=1., seed=1) for _ in range(2)]
    assert drawn[0] == drawn[1] and drawn[0].startswith('the film')
    mark = drawn[0][9:12]
    ended = other.generate_long('the film', 3*step, stop=mark, temperature=1., seed=1)
    assert ended.endswith(mark) and drawn[0].startswith(ended)
    with pytest.raises(ValueError, match='max_new_tokens'): other.generate_long('the film', 0)
    with pytest.raises(ValueError, match='empty'): other.generate_long(' ', 5)


def test_other_kinds_judge(other):
    "Bits, scores and features are those of the model read plainly, text by text"
    texts, close = ['The film', TEXTS[1], 'A'], dict(rtol=2e-3, atol=1e-3)
    for text, bits, state in zip(texts, other.bits(texts), other.features(texts)):
        row = [*other.start, *other.ids([text])[0]]
        expected = bits_of(other, row)[len(other.start)-1:]
        np.testing.assert_allclose(bits, expected, **close)
        out = other.model(torch.tensor([row]), output_hidden_states=True)
        np.testing.assert_allclose(state, out.hidden_states[-1][0, -1].detach(), **close)
    table = other.surprise('The film')
    assert ''.join(table.text).strip() == 'The film'
    chances = other.next_tokens('The film', k=10_000)
    assert len(chances) == len(set(other.tokenizer.get_vocab().values()))
    assert abs(chances.probability.sum() - 1) < 1e-5


needs_openvino = pytest.mark.skipif(not find_spec('openvino'), reason='OpenVINO is not installed')


@needs_openvino
@pytest.mark.parametrize('int8', [False, True])
def test_other_kinds_on_openvino(other, int8):
    "The same or nearly the same scores; whole numbers of texts, beams and threads do not mix"
    kind, model = other.model.config.model_type, copy.deepcopy(other.model)
    if kind in ('mistral', 'bloom'): # a window that slides; a mask of its own kind
        with pytest.raises(ValueError, match=f'{kind}.*go on without'): to_openvino(model, int8)
        assert engine_of(model) == 'torch'
        torch.testing.assert_close(model(torch.arange(9)[None]).logits,
            other.model(torch.arange(9)[None]).logits)
        return
    quick = Decoder(other.tokenizer, to_openvino(model, int8))
    batch = other.encode(PROMPTS)
    ids = batch['input_ids'][-1:]
    before, after = [decoder.logits(ids).nan_to_num(neginf=0) for decoder in (other, quick)]
    assert (after - before).norm() < (0.1 if int8 else 1e-4)*before.norm()
    alone = [quick.generate(prompt, 12) for prompt in PROMPTS]
    assert quick.generate(PROMPTS, 12) == alone
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda prompt: quick.generate(prompt, 12), PROMPTS)] == alone
    if int8: return
    several = {}, dict(num_beams=3), dict(temperature=1., seed=3), dict(repetition_penalty=2.)
    for options in several:
        assert quick.generate(PROMPTS, 12, **options) == other.generate(PROMPTS, 12, **options)
    assert [*greedy_cached(quick.model, ids[0].tolist(), 8)] == [
        *greedy_naive(other.model, ids[0].tolist(), 8)]


def test_engines_that_are_not_there(folder, monkeypatch):
    with pytest.raises(ValueError, match='torch, openvino, openvino-int8'):
        load_decoder(folder, engine='onnx')
    monkeypatch.setattr('textgraft.library.openvino.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'textgraft\[openvino\]'):
        load_decoder(folder, engine='openvino')


def test_sharded_weights(other, tmp_path):
    foreign(other, tmp_path, max_shard_size='10KB')
    shards = sorted(tmp_path.glob('model-*.safetensors'))
    assert len(shards) > 1
    assert load_decoder(tmp_path, device='cpu').generate('A', 5) == other.generate('A', 5)
    shards[0].unlink()
    with pytest.raises(FileNotFoundError, match=shards[0].name): load_decoder(tmp_path)


@pytest.mark.parametrize('template', ['$A </s>', '<s> $A </s>', '$A'])
def test_added_tokens_are_left_out(gpt, tmp_path, template):
    "What a tokenizer puts behind a text ends no prompt; what it puts in front is there once"
    ends = [('<s>', 1), ('</s>', 2)]
    tokenizer = bpe_tokenizer('bytes')
    inner = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    inner.post_processor = TemplateProcessing(template, special_tokens=ends)
    other = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token='<s>', eos_token='</s>')
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=32,
        n_layer=1, n_head=2))
    decoder = Decoder(other, model)
    begin = [1] if '<s>' in template else []
    ids = decoder.ids(['A film'])[0]
    assert decoder.encode('A film')['input_ids'].tolist() == [begin + ids]
    assert decoder.encode('<s>A')['input_ids'].tolist() == [[1] + decoder.ids(['A'])[0]]
    expected = bits_of(decoder, [1, *ids])
    np.testing.assert_allclose(decoder.bits('A film')[0], expected, rtol=1e-3)


def test_spaces_of_llama():
    "New tokens keep their first space, in the text and in the pieces"
    llama = kind_of('Llama')
    word = torch.tensor([llama.tokenizer.convert_tokens_to_ids('▁film')])
    class Always(torch.nn.Module):
        def forward(self, states):
            return torch.zeros(*states.shape[:2], len(llama.known)).index_fill(-1, word, 9.)
    llama.model.lm_head = Always()
    pieces = []
    assert llama.generate('A', 2, on_text=pieces.append) == 'A film film'
    assert ''.join(pieces) == ' film film' and llama.next_tokens('A', k=1).text[0] == ' film'


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single_on_a_cpu(tmp_path, kind):
    gpt = pair()
    gpt.model.to(kind)
    again = load_decoder(foreign(gpt, tmp_path), device='cpu')
    assert again.model.dtype == torch.float32
    assert again.generate('A film', max_new_tokens=3).startswith('A film')


def test_gguf(tmp_path):
    "Where the packages are missing, or the file is none, it is said"
    (tmp_path/'model.gguf').write_bytes(b'GGUF and nothing more')
    there = find_spec('gguf') and find_spec('accelerate')
    expected, problem = (ValueError, 'damaged') if there else (ImportError, 'gguf')
    with pytest.raises(expected, match=problem): load_decoder(tmp_path)


# loading

def test_save_and_load(gpt, tmp_path):
    place = gpt.save(tmp_path/'model')
    again = load_decoder(place, device='cpu')
    ids = torch.tensor(gpt.ids(TEXTS[:1]))
    torch.testing.assert_close(again.logits(ids), gpt.logits(ids))
    assert again.save(place) == place # one of ours is replaced
    assert [p.name for p in tmp_path.iterdir()] == ['model']
    changed = (place/'tokenizer.json').read_bytes().replace(b'film', b'flim')
    (place/'tokenizer.json').write_bytes(changed)
    with pytest.raises(ValueError, match='tokenizer.json'): load_decoder(place)


def test_what_is_not_ours_is_not_replaced(gpt, folder, tmp_path, monkeypatch):
    with pytest.raises(FileExistsError): gpt.save(folder)
    (tmp_path/'notes').mkdir()
    (tmp_path/'notes'/'mine.txt').write_text('mine')
    with pytest.raises(FileExistsError): gpt.save(tmp_path/'notes')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert gpt.save('~/home') == tmp_path/'home' and load_decoder('~/home')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['home', 'model', 'notes']


def test_failed_save_leaves_nothing(tmp_path, monkeypatch):
    gpt = pair()
    def broken(folder): raise OSError('no space left on device')
    monkeypatch.setattr(gpt.model, 'save_pretrained', broken)
    with pytest.raises(OSError, match='no space'): gpt.save(tmp_path/'model')
    monkeypatch.undo()
    with torch.no_grad(): gpt.model.transformer.ln_f.bias[3] = float('nan')
    with pytest.raises(ValueError, match='ln_f.bias'): gpt.save(tmp_path/'model')
    assert not list(tmp_path.iterdir())


def test_habits_of_a_folder_are_dropped(gpt, folder):
    habits = dict(do_sample=True, temperature=0.5, max_length=9, repetition_penalty=5.,
        no_repeat_ngram_size=1, bad_words_ids=[[5]])
    (folder/'generation_config.json').write_text(json.dumps(habits))
    change(folder/'config.json', eos_token_id=9999)
    again = load_decoder(folder, device='cpu')
    assert again.generate(PROMPTS) == gpt.generate(PROMPTS)
    options = dict(temperature=1., seed=1)
    assert again.generate(PROMPTS, **options) == gpt.generate(PROMPTS, **options)


def test_a_maker_may_name_several_ends(gpt, folder):
    tokenizer = gpt.tokenizer.__class__.from_pretrained(folder)
    tokenizer.add_special_tokens({'additional_special_tokens': ['<|im_end|>']})
    model = copy.deepcopy(gpt.model)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    changed = SimpleNamespace(tokenizer=tokenizer, model=model)
    model.generation_config = GenerationConfig(eos_token_id=[0, len(tokenizer)-1, 5])
    foreign(changed, folder)
    assert load_decoder(folder).ends == [0, len(tokenizer)-1] # 5 is an ordinary token


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors', 'tokenizer.json'])
def test_missing_or_damaged_file(folder, name):
    whole = (folder/name).read_bytes()
    (folder/name).write_bytes(whole[:100])
    with pytest.raises(ValueError, match='damaged'): load_decoder(folder)
    (folder/name).unlink()
    with pytest.raises(FileNotFoundError, match=name): load_decoder(folder)


def change(file, **fields):
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize('fields,problem', [
    (dict(n_layer=3), 'no weights for transformer.h.2'),
    (dict(n_layer=1), 'too many weights: transformer.h.1'), (dict(n_embd=64), 'another size'),
    (dict(n_positions=99), 'another size for transformer.wpe'), (dict(n_head=3), 'damaged'),
    (dict(vocab_size=999), 'another size for transformer.wte'), (dict(n_embd='big'), 'damaged'),
    (dict(model_type=None), 'type None'), (dict(model_type='of_my_own'), 'is not run')])
def test_configuration_of_another_model(folder, fields, problem):
    change(folder/'config.json', **fields)
    with pytest.raises(ValueError, match=problem): load_decoder(folder)


@pytest.mark.parametrize('content', ['', '[]', '"gpt2"', '\x00'*50])
def test_configuration_that_is_none(folder, content):
    (folder/'config.json').write_text(content)
    with pytest.raises(ValueError, match='damaged'): load_decoder(folder)


def test_weights_of_another_kind(gpt, folder):
    weights = load_file(folder/'model.safetensors')
    def write(changed): save_file(changed, folder/'model.safetensors', metadata={'format': 'pt'})
    lost = 'transformer.h.1.mlp.c_fc.weight'
    write({name: w for name, w in weights.items() if name != lost})
    with pytest.raises(ValueError, match=lost): load_decoder(folder)
    weights['transformer.ln_f.bias'][3] = float('nan')
    write(weights)
    with pytest.raises(ValueError, match='ln_f.bias'): load_decoder(folder)
    torch.save(gpt.model.state_dict(), folder/'model.safetensors')
    with pytest.raises(ValueError, match='damaged'): load_decoder(folder)
    (folder/'model.safetensors').rename(folder/'pytorch_model.bin')
    with pytest.raises(FileNotFoundError, match='convert it once'): load_decoder(folder)


def test_damaged_tokenizer(folder):
    model = json.loads((folder/'tokenizer.json').read_text())['model']
    no_q = {token: i for token, i in model['vocab'].items() if token != 'q'}
    for changes, problem in [(dict(merges=model['merges'][:-5]), 'no merges for 5 of'),
            (dict(vocab={}, merges=[]), 'only 0 of the 256'), (dict(vocab=no_q), '255 of the 256')]:
        change(folder/'tokenizer.json', model=model | changes)
        with pytest.raises(ValueError, match=problem): load_decoder(folder)
    (folder/'tokenizer.json').write_text('{}')
    with pytest.raises(ValueError, match='damaged'): load_decoder(folder)


def test_models_and_tokenizers_that_are_no_pair(gpt, folder, tmp_path):
    smaller = foreign(pair(vocab=300), tmp_path/'smaller')
    shutil.copy(folder/'tokenizer.json', smaller)
    with pytest.raises(ValueError, match='up to 319, the model 300'): load_decoder(smaller)
    with pytest.raises(ValueError, match='empty'): Decoder(GPT2Tokenizer(), gpt.model)
    bert = BertLMHeadModel(BertConfig(vocab_size=len(gpt.tokenizer), hidden_size=16,
        num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, is_decoder=True))
    bert.config.is_decoder = False
    foreign(SimpleNamespace(tokenizer=gpt.tokenizer, model=bert), folder)
    with pytest.raises(ValueError, match="'bert' looks ahead"): load_decoder(folder)


def test_code_beside_a_model_is_not_run(folder):
    (folder/'own.py').write_text('raise SystemExit("foreign code has run")')
    own = {'AutoModelForCausalLM': 'own.Model', 'AutoTokenizer': 'own.T'}
    change(folder/'config.json', auto_map=own)
    assert load_decoder(folder).model.config.n_layer == 2


class Hub(BaseHTTPRequestHandler):
    "The few answers of a hub that has models at one revision"
    folder, asked, revision = None, [], PUBLISHED['gpt2']

    def do_GET(self): # noqa: N802
        type(self).asked.append(f'{self.command} {self.path}')
        files, asked = list(self.folder.iterdir()), self.path.split('?')[0]
        known = [f'/api/models/{name}/revision/main' for name in ('stalls', 'pickled')]
        if asked in (f'/api/models/gpt2/revision/{self.revision}', *known):
            names = [p.name for p in files if 'pickled' not in asked or p.suffix == '.bin']
            siblings = [{'rfilename': name} for name in names]
            answer = {'id': 'gpt2', 'sha': self.revision, 'siblings': siblings}
            return self.reply(json.dumps(answer).encode())
        if asked.startswith('/stalls/'): return threading.Event().wait(60) # says no more
        file = self.folder/Path(self.path).name
        if self.path == f'/gpt2/resolve/{self.revision}/{file.name}' and file.exists():
            return self.reply(file.read_bytes())
        return self.reply(b'{}', 404, **{'X-Error-Code': 'RepoNotFound'})

    do_HEAD = do_GET

    def reply(self, body, status=200, **headers):
        self.send_response(status)
        own = {'Content-Length': len(body), 'X-Repo-Commit': self.revision,
            'ETag': f'"{hash(body)}"'}
        for name, value in (own | headers).items(): self.send_header(name, str(value))
        self.end_headers()
        if self.command == 'GET': self.wfile.write(body)

    def log_message(self, *args): pass


ASK = """
import json, time
from textgraft.library.decoders import hub_folder, read_decoder

def answer(name):
    try: return str(hub_folder(name))
    except OSError as error: return f'{type(error).__name__}: {error}'

n_tokens = len(read_decoder(hub_folder('gpt2')).tokenizer)
print(json.dumps([answer('gpt2'), n_tokens, answer('someone/else'), answer('pickled')]), flush=True)
start = time.perf_counter()
print(json.dumps([answer('stalls'), time.perf_counter() - start]), flush=True)
input()  # meanwhile the hub dies
print(json.dumps([answer('gpt2'), answer('another')]))
"""


@pytest.mark.parametrize('shard', ['1GB', '20KB'])
def test_hub(gpt, tmp_path, monkeypatch, shard):
    "Downloaded once, at the revision that we know; then from the cache; faults are told apart"
    place = foreign(gpt, tmp_path/'there', max_shard_size=shard)
    (place/'pytorch_model.bin').write_bytes(b'never asked for')
    Hub.folder, Hub.asked = place, []
    server = ThreadingHTTPServer(('localhost', 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {'HF_ENDPOINT': f'http://localhost:{server.server_port}', 'HF_HUB_OFFLINE': '0',
        'HF_HOME': str(tmp_path/'cache'), 'HF_HUB_DISABLE_XET': '1', 'NO_PROXY': 'localhost',
        'no_proxy': 'localhost'}
    for name, value in settings.items(): monkeypatch.setenv(name, value)
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, '-c', ASK], **pipes) as child:
        first, n_tokens, unknown, pickled = json.loads(child.stdout.readline())
        stalled, seconds = json.loads(child.stdout.readline())
        server.shutdown()
        server.server_close()
        again, dead = json.loads(child.communicate('\n', timeout=60)[0])
    assert n_tokens == 320 and PUBLISHED['gpt2'] in first and again == first
    assert unknown.startswith('FileNotFoundError: the hub has no model')
    assert pickled.startswith('FileNotFoundError') and 'no model.safetensors' in pickled
    assert stalled.startswith('ConnectionError: the hub stopped answering') and seconds < 30
    assert dead.startswith('ConnectionError') and 'does not answer' in dead
    got = [line for line in Hub.asked if line.startswith('GET') and '/gpt2/' in line]
    for file in place.glob('*.safetensors'):
        assert sum(line.endswith(file.name) for line in got) == 1
    assert not any('pytorch_model.bin' in line for line in Hub.asked)


def test_a_name_without_a_network_fails_at_once(): # the hub is switched off for all tests
    with pytest.raises(ConnectionError, match='connect once'): load_decoder('gpt2')
    for name in ['/there/is/nothing', './nothing/here/at/all']:
        with pytest.raises(FileNotFoundError, match='no folder'): load_decoder(name)


# choosing

@pytest.mark.parametrize('seed', range(4))
def test_filters_like_transformers(seed):
    logits = torch.randn(3, 200, generator=torch.Generator().manual_seed(seed))*3
    rng = random.Random(seed)
    t, k, p = rng.uniform(0.3, 2), rng.randint(1, 300), rng.uniform(0.05, 0.99)
    warpers = [TemperatureLogitsWarper(t), TopKLogitsWarper(k), TopPLogitsWarper(p)]
    expected = LogitsProcessorList(warpers)(torch.zeros(3, 1, dtype=torch.long), logits)
    torch.testing.assert_close(filter_logits(logits, t, k, p).exp(), expected.softmax(-1))


def test_next_tokens(gpt):
    table = gpt.next_tokens('A film', k=1000)
    assert len(table) == len(gpt.tokenizer) and table.probability.is_monotonic_decreasing
    assert abs(table.probability.sum() - 1) < 1e-5
    assert gpt.tokenizer.convert_tokens_to_ids(table.token.tolist()) == table.id.tolist()
    assert gpt.next_tokens('A film   ').equals(gpt.next_tokens('A film'))
    assert not gpt.next_tokens('A film ', strip_space=False).equals(gpt.next_tokens('A film'))
    assert len(gpt.next_tokens('A film', k=9, top_k=4)) == 4
    assert len(plot_next_tokens({'a': table[:5], 'b': gpt.next_tokens('The')}).axes) == 2


BAD = [dict(temperature=0), dict(temperature=-1), dict(temperature=float('nan')),
    dict(temperature=float('inf')), dict(temperature='1'), dict(temperature=1, top_p=0),
    dict(temperature=1, top_p=1.01), dict(temperature=1, top_p=None), dict(temperature=1, top_k=-1),
    dict(temperature=1, top_k=2.5), dict(temperature=1, top_k=None)]


@pytest.mark.parametrize('bad', BAD, ids=str)
def test_bad_sampling(gpt, bad):
    for call in (gpt.next_tokens, gpt.generate):
        with pytest.raises(ValueError, match=f'{list(bad)[-1]}='): call('A film', **bad)


@pytest.mark.parametrize('bad,problem', [(dict(max_new_tokens=0), 'max_new_tokens=0'),
    (dict(max_new_tokens=1.5), 'max_new_tokens=1.5'),
    (dict(max_new_tokens='9'), "max_new_tokens='9'"),
    (dict(num_beams=0), 'num_beams=0'), (dict(repetition_penalty=0), 'repetition_penalty=0'),
    (dict(repetition_penalty=float('inf')), 'repetition_penalty=inf'),
    (dict(top_k=3), 'give a temperature'), (dict(top_p=0.5), 'give a temperature'),
    (dict(num_beams=2, temperature=1.), 'either sample'), (dict(stop=['.', '']), 'stop='),
    (dict(max_new_tokens=64), 'context of 64'),
    (dict(max_new_tokens=1000, truncate=True), 'context of 64')], ids=str)
def test_bad_generation(gpt, bad, problem):
    with pytest.raises(ValueError, match=problem): gpt.generate('A film', **bad)


def test_other_bad_arguments(gpt):
    for k in (0, 1.5, '3', None):
        with pytest.raises(ValueError, match=f'k={k!r}'): gpt.next_tokens('A film', k=k)
    for stride in (0, -1, 1.5, 65):
        with pytest.raises(ValueError, match=f'stride={stride}'): gpt.bits('A film', stride)
    for name, own in dict(layers='n_layer', width='n_embd', heads='n_head').items():
        with pytest.raises(ValueError, match=f'{own}=0'): new_gpt2(gpt.tokenizer, **{name: 0})
    for name in ('steps', 'bs'):
        wrong = {'steps': 1} | {name: 0}
        with pytest.raises(ValueError, match=f'{name}=0'): train_gpt2(gpt, TEXTS, TEXTS, **wrong)
    for texts in ('', [], ['fine', '']):
        with pytest.raises(ValueError, match='no text to judge'): gpt.bits(texts)
    for endings in ([], ['']):
        with pytest.raises(ValueError, match='continuation'): gpt.score('A film', endings)
    with pytest.raises(ValueError, match='no place for a prompt'): gpt.score('A', [' film'*64])
    with pytest.raises(TypeError, match='max_length'): gpt.generate('A film', max_length=9)
    for prompt in ('', '   ', [], ['fine', '']):
        for call in (gpt.generate, gpt.encode):
            with pytest.raises(ValueError, match='empty prompt'): call(prompt)
    with pytest.raises(ValueError, match='one prompt'): gpt.generate(PROMPTS, 5, on_text=print)
    with pytest.raises(ValueError, match='257'): train_bpe(TEXTS, 100)
    with pytest.raises(ValueError, match='do not fill'): lm_blocks(['A'], gpt.tokenizer, 64)
    with pytest.raises(ValueError, match='heads'): new_gpt2(gpt.tokenizer, width=10, heads=4)


def test_context_limit(gpt):
    long = 'film ' * 100
    with pytest.raises(ValueError, match='truncate=True'): gpt.generate(long)
    with pytest.raises(ValueError, match='context of 64'): gpt.next_tokens(long)
    ids = gpt.ids([long.strip()])[0]
    expected = cut_at_end(gpt, greedy_naive(gpt.model, ids[-50:], 14))
    assert gpt.generate_ids(long, max_new_tokens=14, truncate=True) == [expected]
    assert gpt.generate(long, max_new_tokens=14, truncate=True).startswith(long.strip())
    likeliest = gpt.next_tokens(long, truncate=True, k=1).id[0]
    assert likeliest == next(greedy_naive(gpt.model, ids[-64:], 1))
    n = 64 - len(gpt.ids(['A film'])[0])
    assert len(list(greedy_cached(gpt.model, gpt.ids(['A film'])[0], n))) == n


# generating

@pytest.mark.parametrize('seed', range(6))
def test_penalty_does_not_see_padding(seed):
    "The end token, which is the padding too, ends a text of a padded prompt where it does alone"
    gpt, options = pair(seed, vocab=280, width=16), dict(max_new_tokens=12, repetition_penalty=1.5)
    chosen = by_transformers(gpt, 'A', **options)
    with torch.no_grad():
        rows = gpt.model.transformer.wte.weight
        rows[0] = 1.05*rows[chosen[len(chosen)//2]]
    alone = [by_transformers(gpt, prompt, **options) for prompt in ['A', 'The film about the']]
    assert gpt.generate_ids(['A', 'The film about the'], **options) == alone and len(alone[0]) < 12


def test_penalty_and_chance(gpt):
    "The order of penalty and temperature is transformers' own"
    options = dict(max_new_tokens=20, temperature=1.5, top_k=50, repetition_penalty=1.3)
    torch.manual_seed(5)
    expected = by_transformers(gpt, 'The film', do_sample=True, **options)
    assert gpt.generate_ids('The film', seed=5, **options)[0] == expected


@pytest.mark.parametrize('seed', range(8))
def test_same_tokens_as_transformers(seed):
    "Greedy, beams, penalty; alone and in a batch; weights far apart, as GPT-2 starts, likely ends"
    rng = random.Random(seed)
    heads = rng.choice([1, 2, 4])
    sizes = dict(layers=rng.randint(1, 3), heads=heads, width=8*heads*rng.randint(1, 3),
        context=rng.choice([64, 80, 100]))
    tokenizer = train_bpe(TEXTS, rng.choice([257, 300, 400]))
    gpt = new_gpt2(tokenizer, seed=seed, device='cpu', **sizes)
    if seed % 4: spread(gpt.model, seed)
    if seed % 3 == 0: # the row of the end token goes where the hidden states are
        bias, rows = gpt.model.transformer.ln_f.bias, gpt.model.transformer.wte.weight
        with torch.no_grad(): rows[gpt.ends[0]] += seed/6*bias/(bias.norm() + 1e-6)
    penalty = rng.choice([0.7, 1.4, 3.])
    for options in [{}, dict(num_beams=rng.randint(2, 5)), dict(repetition_penalty=penalty),
            dict(num_beams=2, repetition_penalty=1.2)]:
        alone = [by_transformers(gpt, prompt, max_new_tokens=20, **options) for prompt in PROMPTS]
        assert gpt.generate_ids(PROMPTS, max_new_tokens=20, **options) == alone
        assert gpt.generate_ids(PROMPTS[0], max_new_tokens=20, **options)[0] == alone[0]
    for prompt in PROMPTS:
        ids = gpt.tokenizer.encode(prompt)
        naive = list(greedy_naive(gpt.model, ids, 20))
        assert naive == list(greedy_cached(gpt.model, ids, 20))
        assert cut_at_end(gpt, naive) == by_transformers(gpt, prompt, max_new_tokens=20)


def test_text(gpt):
    texts = gpt.generate(PROMPTS, max_new_tokens=9)
    assert all(text.startswith(prompt) for text, prompt in zip(texts, PROMPTS))
    assert texts == [gpt.generate(prompt, max_new_tokens=9) for prompt in PROMPTS]
    assert gpt.generate('The film ', 9) == gpt.generate('The film', 9)
    assert gpt.generate('The film ', 9, strip_space=False).startswith('The film ')
    assert gpt.generate(np.array(['A']), 3) == gpt.generate(['A'], 3) == [gpt.generate('A', 3)]


def test_chance_follows_from_the_seed(gpt):
    "And from nothing else: the caller's random numbers are neither read nor moved"
    torch.manual_seed(7)
    first = [gpt.generate(PROMPTS, temperature=1., seed=3) for _ in range(2)]
    free = [gpt.generate(PROMPTS, temperature=1.) for _ in range(2)]
    state = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(state, torch.rand(3))
    assert first[0] == first[1] != gpt.generate(PROMPTS, temperature=1., seed=4)
    assert free[0] != free[1]
    assert gpt.generate(PROMPTS, temperature=1e-4) == gpt.generate(PROMPTS)
    assert gpt.generate(PROMPTS, temperature=2., top_k=1, seed=1) == gpt.generate(PROMPTS)


def test_threads_do_not_mix(gpt):
    "Each thread gets what it would get alone"
    def work(seed):
        sampled = gpt.generate(PROMPTS[:2], 12, temperature=1., seed=seed)
        return sampled, gpt.perplexity(TEXTS[seed % 4]), gpt.features([TEXTS[seed % 4]]).tolist()
    alone = [work(seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool: assert list(pool.map(work, range(12))) == alone


def test_copies(gpt):
    for again in (copy.deepcopy(gpt), pickle.loads(pickle.dumps(gpt))):
        assert again.generate('A', 5) == gpt.generate('A', 5)


def test_chat_templates_are_kept(tmp_path):
    "A template's prompt goes in as it is, with the line break at its end"
    gpt = pair()
    gpt.tokenizer.chat_template = ("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n"
        "{% endfor %}{% if add_generation_prompt %}A:\n{% endif %}")
    again = load_decoder(gpt.save(tmp_path/'chat'), device='cpu')
    asked = again.tokenizer.apply_chat_template([{'role': 'Q', 'content': 'a film?'}],
        tokenize=False, add_generation_prompt=True)
    assert asked == 'Q: a film?\nA:\n'
    assert again.encode(asked)['input_ids'][0].tolist() == gpt.ids([asked])[0]
    assert again.generate(asked, 5).startswith(asked)


def test_stop(gpt):
    whole = gpt.generate(PROMPTS, max_new_tokens=30)
    for prompt, text in zip(PROMPTS, whole):
        new = text[len(prompt):]
        for mark in {new[len(new)//2], new[len(new)//3:len(new)//3+2]} - {'\ufffd', ''}:
            if '\ufffd' in mark: continue
            expected = prompt + new[:new.index(mark)+len(mark)]
            assert gpt.generate(prompt, max_new_tokens=30, stop=mark) == expected
            together = gpt.generate(PROMPTS, max_new_tokens=30, stop=[mark, 'never comes'])
            assert together[PROMPTS.index(prompt)] == expected


@pytest.mark.parametrize('seed', range(3))
def test_stop_inside_a_token(seed):
    "What stands behind the mark is cut off, in the text and in the stream"
    gpt, options = pair(seed, vocab=400, context=128), dict(temperature=3., seed=seed)
    whole = gpt.generate('The film', 40, **options)
    new = whole[len('The film'):]
    for mark in {new[i:i+2] for i in range(2, 30, 3)} - {''}:
        if '\ufffd' in mark: continue
        pieces, expected = [], whole[:whole.index(mark, len('The film')-1)+2]
        written = gpt.generate('The film', 40, stop=mark, on_text=pieces.append, **options)
        assert written == expected == 'The film' + ''.join(pieces)
    if new[0] != '\ufffd': # a mark may begin in the prompt
        assert gpt.generate('The film', 40, stop='m'+new[0], **options) == 'The film' + new[0]


def test_end_of_text(gpt):
    first = next(greedy_naive(gpt.model, gpt.ids(['The film'])[0], 1))
    ending = copy.deepcopy(gpt)
    rows = ending.model.transformer.wte.weight
    with torch.no_grad(): rows[ending.ends[0]] = 5*rows[first]
    assert ending.generate('The film') == 'The film' and ending.generate_ids('The film') == [[]]


@pytest.mark.parametrize('seed', range(3))
def test_streaming(seed):
    gpt, pieces = pair(seed, vocab=257), [] # bytes only: most characters take several tokens
    text = gpt.generate('日本', max_new_tokens=40, on_text=pieces.append)
    assert '日本' + ''.join(pieces) == text and len(pieces) > 1


# scoring

def bits_of(gpt, ids):
    "Bits of every id but the first, from one plain reading; rows without a token forbidden"
    with torch.no_grad(): logits = gpt.model(torch.tensor([ids[:-1]])).logits[0]
    if gpt.known is not None: logits[:, ~gpt.known] = -torch.inf
    logs = logits.log_softmax(-1)
    return [-logs[i, token].item()/np.log(2) for i, token in enumerate(ids[1:])]


def test_short_text(gpt):
    expected = bits_of(gpt, [*gpt.start, *gpt.ids(TEXTS[2:3])[0]])
    for stride in (None, 1, 64):
        np.testing.assert_allclose(gpt.surprise(TEXTS[2], stride).bits, expected, rtol=1e-4)
    assert gpt.perplexity(TEXTS[2:3]) == pytest.approx(2**np.mean(expected), rel=1e-4)


@pytest.mark.parametrize('stride', [1, 7, 32, 63, 64])
@pytest.mark.parametrize('extra', [-1, 0, 1, 40, 200])
def test_long_text_in_windows(stride, extra):
    gpt = pair(vocab=257)
    text = ''.join(random.Random(extra).choice('abc de') for _ in range(64+extra))
    stream, expected, start = [0, *gpt.ids([text])[0]], [], 0
    while len(expected) < len(stream)-1:
        expected += bits_of(gpt, stream[start:start+65])[len(expected)-start:]
        start += stride
    np.testing.assert_allclose(gpt.bits(['x', text], stride)[1], expected, rtol=1e-3, atol=1e-4)


def test_continuations(gpt):
    endings = [' It was good.', ' bad', 's']
    texts = [*TEXTS[:4], '']
    table = gpt.score(texts, endings)
    for row, text in zip(table, texts):
        for bits, ending in zip(row, endings):
            before, whole = gpt.ids([text, text + ending])
            n = sum(a == b for a, b in zip(before, whole)) # the ending may merge with the text
            expected = sum(bits_of(gpt, [0, *whole])[n:])
            assert bits == pytest.approx(expected, rel=1e-4)
    assert np.isfinite(gpt.score(['film ' * 200], endings)).all()


def test_coloured_text(gpt):
    shown = show_surprise(gpt.surprise('A <br /> film')).data
    assert '<br' not in shown and '&lt;' in shown
    assert shown.count('<span') == len(gpt.ids(['A <br /> film'])[0])


def test_training_learns():
    gpt = new_gpt2(train_bpe(TEXTS, 300), context=16, width=32)
    before = gpt.perplexity(TEXTS[:4])
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    learn = train_gpt2(gpt, TEXTS, TEXTS[:20], steps=30, bs=8)
    assert torch.equal(torch.rand(3), expected)
    assert gpt.perplexity(TEXTS[:4]) < before/3 and not gpt.model.training
    assert learn.recorder.values


# the chapter

CHAPTER = Path(__file__).parent.parent/'nbs/05_gpt2.ipynb'


def test_exercises_begin_unanswered():
    cells = json.loads(CHAPTER.read_text(encoding='utf-8'))['cells']
    code = '\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code')
    assert len(re.findall(r'^my_\w+ = None$', code, flags=re.MULTILINE)) == 5
    assert 'max_new_tokens' in code and 'max_length=' not in code


def test_published_names_have_one_revision():
    assert set(PUBLISHED.values()) == {decoders.GPT2_REVISION}
