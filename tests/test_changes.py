"The five changes of CONTRIBUTING.md, made with its own code, and used by the stages behind them"
import importlib
import inspect
import json
import re
from dataclasses import asdict
from pathlib import Path

from textgraft.course import settings

import pytest

TEXT = (Path(__file__).resolve().parent.parent/'CONTRIBUTING.md').read_text(encoding='utf-8')
SENTENCES = ['La hundo kuras en la ĝardeno.', 'La KATO dormas sub la tablo.',
             'Ĉiu libro estas bona libro.', 'La pano estas sur la tablo.'] * 6
SMALL = dict(emb=8, hidden=8, layers=1, min_freq=1)


def code(section):
    "The Python code of a section of the guide"
    part = TEXT.split(f'### {section}\n')[1].split('\n## ')[0].split('\n### ')[0]
    block, = re.findall(r'```python\n(.*?)```', part, flags=re.DOTALL)
    return block


@pytest.fixture
def change():
    "A function that runs a section's code; what it adds to a plug is taken away again"
    from textgraft.library.encoders import ENCODERS
    from textgraft.library.languages import LANGUAGES
    from textgraft.library.rungs import RUNGS

    plugs = [ENCODERS, LANGUAGES, RUNGS]
    before = [dict(plug) for plug in plugs]

    def run(section):
        names = {}
        exec(code(section), names)
        return names

    yield run
    for plug, entries in zip(plugs, before, strict=True):
        plug.clear()
        plug.update(entries)


def test_a_language(change, tmp_path):
    change('A language')
    import textgraft as tg

    tok = tg.Tokenizer('eo')
    tokens = tok(['ĈIU libro estas Bona.'])[0]
    assert tokens == ['xxbos', 'xxup', 'ĉiu', 'libro', 'estas', 'xxmaj', 'bona', '.']
    lm = tg.LanguageModel.new(SENTENCES, tokenizer='eo', **SMALL)
    lm.save(tmp_path/'lm')
    assert tg.LanguageModel.load(tmp_path/'lm').vocab.tokenizer == tok


def test_an_encoder(change, tmp_path):
    names = change('An encoder')
    import textgraft as tg

    lm = tg.LanguageModel.new(SENTENCES, encoder='gru', **SMALL)
    tuned = lm.finetune(SENTENCES, epochs=1, bs=4, seq_len=8)
    assert isinstance(tuned.model[0], names['GRU'])
    tuned.save(tmp_path/'lm')
    loaded = tg.LanguageModel.load(tmp_path/'lm')
    assert isinstance(loaded.model[0], names['GRU'])
    assert loaded.perplexity(SENTENCES) == pytest.approx(tuned.perplexity(SENTENCES))
    clf = tg.TextClassifier(loaded, epochs=1).fit(SENTENCES, ['a', 'b']*12)
    assert set(clf.predict(SENTENCES)) <= {'a', 'b'}


def test_a_rung(change, tmp_path):
    change('A rung')
    import textgraft as tg

    corpus = change('A data set')['weather']()
    ladder = tg.ladder(corpus, rungs=['larger class', 'naive Bayes'], folds=2, progress=False)
    assert list(ladder.names) == ['larger class', 'naive Bayes']
    ladder.best.save(tmp_path/'model')
    assert tg.load(tmp_path/'model').predict(['Snow falls on street 3']).tolist() == ['boots']


def test_a_data_set(change, tmp_path):
    corpus = change('A data set')['weather']()
    assert (corpus.name, corpus.classes) == ('weather', ['boots', 'coat', 'hat'])
    assert len(corpus.train) == 45 and len(corpus.test) == 15
    corpus.save(tmp_path/'weather')
    assert type(corpus).load(tmp_path/'weather').test.equals(corpus.test)


def test_a_setting(tmp_path, monkeypatch):
    "The line stands in a section, and is there in every size, in a changed copy and in a record"
    line = code('A setting')
    name = re.match(r'\s+(\w+):', line)[1]
    source = inspect.getsource(settings)
    place = source.index('@dataclass', source.index('class LMSettings'))
    text = source[:place].rstrip() + '\n' + line + '\n' + source[place:]
    (tmp_path/'longer_settings.py').write_text(text, encoding='utf-8')
    monkeypatch.syspath_prepend(tmp_path)
    longer = importlib.import_module('longer_settings')
    for size in longer.SIZES.values(): assert getattr(size.lm, name) == 0.
    changed = longer.SMALL.changed(lm={name: .1})
    assert getattr(changed.lm, name) == .1 and changed.lm.emb == longer.SMALL.lm.emb
    assert json.loads(json.dumps(asdict(changed), default=str))['lm'][name] == .1
