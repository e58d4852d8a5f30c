"""What other people send: archives, tables, texts, and folders that call themselves models.

Made up by hand and by hypothesis: refused with a `ValueError` (or `TypeError`), or handled."""
import io
import json
import pickle
import tarfile
import time
import warnings

from textgraft.classifier import TextClassifier
from textgraft.corpus import Corpus
from textgraft.course.reviews import small_reviews
from textgraft.gpt2 import load_decoder, new_gpt2, train_bpe
from textgraft.library.ids_on_disk import read_ids
from textgraft.library.inputs import as_labels, as_texts
from textgraft.library.ladder import Ladder, RungResult
from textgraft.library.rungs import load
from textgraft.library.storage import MANIFEST, fingerprint, load_folder, save_folder
from textgraft.library.tables import read_table
from textgraft.library.text_estimator import Explanation
from textgraft.library.training import read_checkpoint, write_checkpoint
from textgraft.lm_finetune import LanguageModel, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab, tokenize

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

REVIEWS = small_reviews(40, 10, 10)
VOCAB = Vocab([*SPECIAL_TOKENS, *(f'w{i}' for i in range(23))])
LONG = dict(deadline=None, suppress_health_check=list(HealthCheck))
ONE_EPOCH = [dict(first=0, epochs=1, lr=1e-2, lr_low=1e-2)]
EVIL = '<script>alert("1")</script>'


# Folders that call themselves models: every checksum is right, the content is made up

def forge(folder, change):
    "Change a manifest and put a right checksum under it"
    manifest = json.loads((folder/MANIFEST).read_text(encoding='utf-8'))
    change(manifest)
    manifest.pop('checksum')
    manifest['checksum'] = fingerprint(manifest)
    (folder/MANIFEST).write_text(json.dumps(manifest), encoding='utf-8')
    return folder


def saved_lm(path): return new_lm(VOCAB, 8, 8, 1).save(path)


def saved_classifier(path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = TextClassifier(new_lm(VOCAB, 8, 8, 1), plan=ONE_EPOCH, bs=16)
        return model.fit(list(REVIEWS.train.text), list(REVIEWS.train.label)).save(path)


@pytest.mark.parametrize('sizes', [
    dict(layers=10**9), dict(emb=10**9), dict(hidden=10**9, layers=2), dict(layers=-1),
    dict(emb='8'), dict(emb=None), dict(layers=1.5), dict(drop_mult='x'), dict(encoder='os.system'),
    dict(emb=10**30), dict(hidden=-3, layers=2)])
def test_absurd_sizes_cost_nothing(tmp_path, sizes):
    lm, model = saved_lm(tmp_path/'lm'), saved_classifier(tmp_path/'classifier')
    forge(lm, lambda manifest: manifest['config'].update(sizes))
    forge(model, lambda manifest: manifest['config']['config'].update(sizes))
    start = time.perf_counter()
    for folder in (lm, model):
        with pytest.raises(ValueError): load(folder)
    assert time.perf_counter() - start < 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10**20, 10**20) | st.floats(allow_nan=False)
    | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp('forged')
    made = [saved_lm(place/'lm'), saved_classifier(place/'classifier')]
    made.append(REVIEWS.save(place/'corpus'))
    return [(folder, (folder/MANIFEST).read_text(encoding='utf-8')) for folder in made]


@settings(max_examples=60, **LONG)
@given(data=st.data())
def test_made_up_manifests_end_in_a_sentence(folders, data):
    folder, right = data.draw(st.sampled_from(folders))
    def change(manifest):
        place = manifest if data.draw(st.booleans()) else manifest['config']
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    try:
        forge(folder, change)
        load(folder)
    except ValueError as error: assert str(error)
    finally: (folder/MANIFEST).write_text(right, encoding='utf-8')


@pytest.mark.parametrize('name', ['../secret', '/etc/passwd', 'a/../../secret'])
def test_a_manifest_names_no_file_outside(tmp_path, name):
    folder = forge(saved_lm(tmp_path/'lm'), lambda manifest: manifest['files'].update({name: ''}))
    with pytest.raises(ValueError, match='was not written by Textgraft'): load_folder(folder)


def test_a_decoder_that_is_absurdly_large(tmp_path):
    gpt = new_gpt2(train_bpe(REVIEWS.texts(), 300), layers=1, width=16, heads=2, context=32)
    place = tmp_path/'plain'
    gpt.tokenizer.save_pretrained(place)
    gpt.model.save_pretrained(place)
    config = json.loads((place/'config.json').read_text())
    for change in (dict(n_layer=10**9), dict(n_embd=10**7), dict(vocab_size=10**12),
                   dict(n_positions=10**9), dict(n_embd='x'), dict(n_layer=-1)):
        (place/'config.json').write_text(json.dumps(config | change))
        start = time.perf_counter()
        with pytest.raises(ValueError, match='plain'): load_decoder(place, device='cpu')
        assert time.perf_counter() - start < 5


def test_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self): return exec, (f'open({str(tmp_path/"ran")!r}, "w")',)
    file = write_checkpoint(tmp_path/'a.pt', dict(a=Evil()))
    with pytest.raises(ValueError): read_checkpoint(file)
    for kind in ('pipeline', 'language model', 'text classifier', 'corpus'):
        names = ['model.skops', 'weights.safetensors', 'vocab.json', 'train.parquet']
        files = {name: lambda path: path.write_bytes(pickle.dumps(Evil())) for name in names}
        folder = save_folder(tmp_path/kind, kind, dict(name='x', layers=1, labels={}), files)
        with pytest.raises(ValueError): load(folder)
    assert not (tmp_path/'ran').exists()


# Random bytes for every reader

@settings(max_examples=80, **LONG)
@given(content=st.binary(max_size=200), start=st.sampled_from([
    b'', b'{', b'PK\x03\x04', b'\x1f\x8b\x08', b'PAR1', b'{"textgraft": "checkpoint"}\n',
    b'text,label\n', b'\xff\xfe', b'BZh9', b'\xfd7zXZ\x00']))
def test_random_bytes_end_in_a_sentence(tmp_path, content, start):
    for name in ('a.csv', 'a.tsv', 'a.parquet', 'a.csv.gz', 'a.tar.gz', 'a.ids', 'a.pt', 'a.json'):
        file = tmp_path/name
        file.write_bytes(start + content)
        readers = {'ids': read_ids, 'pt': read_checkpoint, 'json': Vocab.load}
        ending = name.split('.')[-1]
        read = readers.get(ending, read_table)
        if '.tar' in name: read = Corpus.from_folder
        try: read(file)
        except ValueError as error: assert name in str(error)


# Archives and tables

def test_a_parquet_file_that_grows_is_refused(tmp_path):
    rows = pa.table({'text': pa.array(['same']*1000)})
    with parquet.ParquetWriter(tmp_path/'a.parquet', rows.schema) as writer:
        for _ in range(5): writer.write_table(rows)
    assert len(read_table(tmp_path/'a.parquet')) == 5000
    import textgraft.library.tables as tables
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tables, 'unpacked_limit', lambda path: 4000)
        with pytest.raises(ValueError, match='a.parquet.*far more than its size'):
            read_table(tmp_path/'a.parquet')


@pytest.mark.parametrize('kind', [
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_archives_with_more_than_files(tmp_path, kind):
    with tarfile.open(tmp_path/'a.tar', 'w') as tar:
        entry = tarfile.TarInfo('train/pos/0.txt')
        entry.type, entry.linkname = kind, '/etc/passwd'
        tar.addfile(entry, io.BytesIO())
    with pytest.raises(ValueError, match='a link, a device'): Corpus.from_folder(tmp_path/'a.tar')


def test_formulas_stay_texts(tmp_path):
    cells = ['=1+1', '+cmd|x', '@SUM(A1)', '-2+3', '=HYPERLINK("http://a.example")']
    pd.DataFrame(dict(text=cells*4, label=['=a', '@b']*10)).to_csv(tmp_path/'a.csv', index=False)
    corpus = Corpus.from_csv(tmp_path/'a.csv', test=4, on_overlap='keep')
    assert corpus.classes == ['=a', '@b'] and set(corpus.train.text) <= set(cells)


# Texts and labels

@settings(max_examples=100, **LONG)
@given(values=st.lists(st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(
    max_size=4) | st.lists(st.integers(), max_size=2), max_size=5))
def test_texts_and_labels_of_every_type(values):
    for check in (as_texts, as_labels):
        try: assert len(check(values)) == len(values)
        except (TypeError, ValueError) as error: assert str(error)


SIGNS = st.sampled_from('\0\u202e\u200f\u2066\ufeff<>&$▁\r\x1b')
RESERVED = st.sampled_from([*SPECIAL_TOKENS, 'xxrep 99999999 a', EVIL])
ODD = st.text(st.characters(codec='utf-8') | SIGNS, max_size=40) | RESERVED


@pytest.fixture(scope='module')
def model():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return TextClassifier(new_lm(VOCAB, 8, 8, 1), plan=ONE_EPOCH, bs=16).fit(
            list(REVIEWS.train.text), list(REVIEWS.train.label))


@settings(max_examples=60, **LONG)
@given(texts=st.lists(ODD, min_size=1, max_size=4))
@pytest.mark.filterwarnings('ignore')
def test_any_text_gets_an_answer(model, texts):
    assert [tokens[0] for tokens in tokenize(texts)] == ['xxbos']*len(texts)
    probs = model.predict_proba(texts)
    assert probs.shape == (len(texts), 2) and np.allclose(probs.sum(1), 1)


def test_what_is_shown_is_escaped(model):
    shown = Explanation(dict(token=[EVIL], weight=[.1]))._repr_html_()
    result = RungResult(EVIL)
    result.model = model
    shown += Ladder('name', [result])._repr_html_()
    frame = pd.DataFrame({EVIL: [EVIL]})
    assert '<script' not in shown + frame._repr_html_() and '&lt;script' in shown


def test_a_table_of_answers_escapes_its_columns():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        odd = TextClassifier(new_lm(VOCAB, 8, 8, 1), plan=ONE_EPOCH, bs=16).fit(
            list(REVIEWS.train.text), [EVIL, 'b']*20)
        assert '<script' not in odd.table([EVIL])._repr_html_()
    assert LanguageModel.new([EVIL, 'a film'], emb=8, hidden=8, layers=1)
