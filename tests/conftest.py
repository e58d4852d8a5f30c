"What all tests share: a clean environment, and real data where a checkout has it"
import os
import tempfile

import pytest
from real_data import DATA, real

# Read once, when fastai and huggingface_hub are imported: no weights of this person's, no network.
os.environ['FASTAI_HOME'] = tempfile.mkdtemp(prefix='fastai-home-')
os.environ['HF_HUB_OFFLINE'] = '1'


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path_factory):
    "No setting of the person who runs the tests reaches them; nothing is written to their home"
    for name in ['TEXTGRAFT_SIZE', 'TEXTGRAFT_DATA', 'IN_TEST']:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('TEXTGRAFT_HOME', str(tmp_path_factory.mktemp('textgraft-home')))


@pytest.fixture
def imdb_archive():
    "The archive with all of IMDB, in fastai's layout"
    return real(DATA/'imdb.tar.xz')


@pytest.fixture
def gpt2_vocab_folder():
    "The vocabulary and merges of the published GPT-2"
    return real(DATA/'gpt2')
