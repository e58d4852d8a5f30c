"Word vectors: the same each time, any ids, flat files, pipelines"
import subprocess
import sys

from textgraft.library.language_models import ENOUGH_FOR_VECTORS, start_from_vectors
from textgraft.library.word_vectors import (
    DocumentVectors,
    MeanVectors,
    WordVectors,
    centred,
    skip_gram,
)
from textgraft.lm_finetune import LanguageModel, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab

import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone

RNG = np.random.default_rng(0)
# Even ids keep company with even ones, odd ids with odd ones.
IDS = [2*RNG.integers(0, 10, 30) + side for side in (0, 1)*40]
TEXTS = [' '.join(f'w{i}' for i in ids) for ids in IDS]


def test_who_keep_company_are_alike():
    rows = centred(skip_gram(IDS, 25, size=16))
    alike = rows @ rows.T
    assert alike[0, 2:20:2].mean() > alike[0, 1:20:2].mean() + 1
    assert not rows[20:].any() # no text holds them


def test_another_process_learns_the_same():
    code = ('import numpy as np; from textgraft.library.word_vectors import *; '
            'ids = [np.arange(20)]*5; texts = ["a b c d e f"]*5; '
            'd = DocumentVectors(size=3, epochs=2).fit(texts).transform(texts[:1]); '
            'print(skip_gram(ids, 20, size=3).sum(), d.sum())')
    run = [sys.executable, '-c', code]
    first, again = (subprocess.run(run, capture_output=True, text=True, check=True).stdout
                    for _ in range(2))
    assert first == again


def test_long_texts_and_no_texts():
    assert skip_gram([np.zeros(12_000, dtype=int)], 1, size=2, epochs=1).any()
    assert not skip_gram([], 3, size=2).any() and not skip_gram([np.array([], int)], 3, 2).any()


def test_little_time_means_few_texts():
    rows = skip_gram([np.full(90_000, i) for i in range(4)], 4, size=2, seconds=1)
    assert rows[0].any() and not rows[2:].any()


@pytest.mark.parametrize('step', [MeanVectors(size=8), DocumentVectors(size=8, epochs=20)])
def test_steps_of_a_pipeline(step):
    fitted = clone(step).fit(TEXTS)
    rows = fitted.transform(TEXTS)
    assert rows.shape == (80, 8) and np.isfinite(rows).all()
    middle = rows - rows.mean(axis=0)
    assert (middle @ middle[0])[::2].mean() > (middle @ middle[0])[1::2].mean()
    trusted = [f'{type(part).__module__}.{type(part).__name__}'
               for part in (fitted, getattr(fitted, 'vectors_', fitted))]
    again = skops.io.loads(skops.io.dumps(fitted), trusted=trusted)
    np.testing.assert_array_equal(again.transform(TEXTS), rows)
    with pytest.raises(TypeError): fitted.transform('one text')


def test_folders_hold_no_pickle(tmp_path):
    words = WordVectors(['a b', 'ü\n'], np.eye(2))
    folder = words.save(tmp_path/'words')
    again = WordVectors.load(folder)
    assert again.words == words.words and (again.matrix == words.matrix).all()
    names = {path.name for path in folder.iterdir()}
    assert names == {'textgraft.json', 'words.json', 'vectors.safetensors'}
    with pytest.raises(ValueError, match='rows'): WordVectors(['a'], np.eye(2))


def test_an_embedding_starts_from_them():
    vocab = Vocab([*SPECIAL_TOKENS, *'abcdefgh'])
    model = new_lm(vocab, 4, 4, 1).model
    start_from_vectors(model, np.arange(4*len(vocab), dtype=np.float32).reshape(-1, 4))
    weight = model[0].encoder.weight.detach()
    assert model[1].decoder.weight is model[0].encoder.weight
    assert not weight[vocab['xxpad']].any() and abs(weight.std() - 1) < .2


def test_reading_starts_from_them_if_asked():
    lm = LanguageModel.new(TEXTS, emb=8, hidden=8, layers=1)
    with_them, without = (lm.finetune(TEXTS, vectors=on, epochs=1, lr=1e-9) for on in (True, False))
    default = lm.finetune(TEXTS, epochs=1, lr=1e-9) # too little text
    tables = [one.model[0].encoder.weight for one in (with_them, without, default)]
    assert not torch.allclose(tables[0], tables[1], atol=.1)
    assert sum(map(len, IDS)) < ENOUGH_FOR_VECTORS and torch.equal(tables[1], tables[2])
