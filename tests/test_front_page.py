"README as a reader with a table of their own follows it: its code and its commands, as they stand"
import json
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

README = (Path(__file__).resolve().parent.parent/'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```(python)?\n(.*?)```', README, flags=re.DOTALL)
PYTHON = [block for kind, block in BLOCKS if kind]
COMMANDS = [line for kind, block in BLOCKS if not kind for line in block.splitlines()]
MAILS = {
    'billing': ['I was charged twice for order {}', 'Please send me the invoice for order {}',
                'The amount on my bill of order {} is wrong', 'My card was charged for {} again'],
    'delivery': ['My parcel {} has not arrived', 'Order {} came to the wrong address',
                 'Where is my package {}? It is a week late', 'The courier lost parcel {}'],
    'account': ['I cannot log in since update {}', 'How do I change the password of account {}?',
                'Please delete my account {}', 'The login code {} never reaches me'],
}
ENDS = ['', ' Thank you!', ' This is the second time I write.', ' Please answer soon.']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "A folder with the two tables that README names"
    made, rng = tmp_path_factory.mktemp('mails'), random.Random(1)
    rows = []
    for i in range(120):
        queue = rng.choice(list(MAILS))
        rows.append((rng.choice(MAILS[queue]).format(i) + rng.choice(ENDS), queue))
    table = pd.DataFrame(rows, columns=['body', 'queue'])
    table.to_csv(made/'mails.csv', index=False)
    table[['body']].head(7).to_csv(made/'new.csv', index=False)
    return made


@pytest.fixture(scope='module')
def tiny_gpt2(tmp_path_factory):
    "A folder with a GPT-2 of random weights: one layer, a byte a token"
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

    made = tmp_path_factory.mktemp('hub')/'tiny'
    made.mkdir()
    letters = ['<|endoftext|>', *sorted(ByteLevel.alphabet())]
    vocab = {letter: number for number, letter in enumerate(letters)}
    (made/'vocab.json').write_text(json.dumps(vocab), encoding='utf-8')
    (made/'merges.txt').write_text('#version: 0.2\n')
    tokenizer = GPT2TokenizerFast(str(made/'vocab.json'), str(made/'merges.txt'))
    tokenizer.save_pretrained(made)
    with torch.random.fork_rng():
        config = GPT2Config(vocab_size=len(vocab), n_embd=16, n_layer=1, n_head=2, n_positions=128,
                            bos_token_id=0, eos_token_id=0)
        GPT2LMHeadModel(config).save_pretrained(made)
    return made


def test_code_of_the_story(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names = {}
    *lines, last = PYTHON[0].strip().splitlines()
    exec('\n'.join(lines), names)
    printed = capsys.readouterr().out
    assert 'larger class' in printed and 'ULMFiT' in printed and 'macro-F1' in printed
    answer, = eval(last, names)
    assert answer == 'billing'
    assert (folder/'mails-model').is_dir()


def test_code_of_the_parts(folder, monkeypatch, tiny_gpt2):
    monkeypatch.chdir(folder)
    (folder/'gpt2').symlink_to(tiny_gpt2) # a name that is a folder is taken from there
    import textgraft as tg

    corpus = tg.Corpus.from_csv('mails.csv', text='body', label='queue', test=.2)
    names = dict(tg=tg, corpus=corpus)
    exec(PYTHON[1], names)
    answer, = names['clf'].predict(['I was charged twice'])
    assert answer in MAILS
    assert isinstance(names['gpt'].generate('With great power comes great'), str)


def test_commands_of_the_story(folder):
    commands = [line for line in COMMANDS if line.startswith('textgraft ')]
    assert [line.split()[1] for line in commands] == ['fit', 'predict']
    for line in commands:
        program = [sys.executable, '-m', *shlex.split(line)]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
        assert not done.returncode, done.stdout + done.stderr
        if 'fit' in program: assert 'larger class' in done.stdout
    answers = pd.read_csv(folder/'answers.csv')
    assert len(answers) == 7 and set(answers.label) <= set(MAILS) and 'known' in answers
    assert set(MAILS) <= {column.removeprefix('probability ').strip() for column in answers}


def test_commands_of_the_course_are_those_of_the_makefile():
    targets = {line.split(':')[0] for line in Path(__file__).parents[1].joinpath('Makefile')
               .read_text().splitlines() if re.match('[a-z]+:', line)}
    commands = [line for line in COMMANDS if line.startswith('make ')]
    assert commands == ['make course', 'make test'] and {'course', 'test'} <= targets
