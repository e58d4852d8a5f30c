"Classifiers: scikit-learn's rules, types of labels, odd texts, threads, resuming, saving"
import json
import pickle
import subprocess
import sys
import threading
import warnings

from textgraft.batching import classifier_dataloaders, predict_loader
from textgraft.classifier import (
    LARGE,
    WELL_READ,
    TextClassifier,
    all_at_once,
    classifier_learner,
    confident_mistakes,
    graft,
    thaw_plan,
    training_recipe,
)
from textgraft.library import probes
from textgraft.library.probes import fit_probe, pooled_states
from textgraft.library.text_estimator import NOT_KEPT, UnknownWordsWarning, readable_ids
from textgraft.library.training import fit_plan, quiet
from textgraft.lm_finetune import LanguageModel, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.interpret import ClassificationInterpretation
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

KIND, UNKIND = ['good', 'great', 'fine'], ['bad', 'dull', 'poor']
VOCAB = Vocab([*SPECIAL_TOKENS, *KIND, *UNKIND, 'film', 'a'])
ONE_EPOCH = [dict(first=0, epochs=1, lr=1e-2, lr_low=1e-2)]


def language_model(seed=1, layers=1): return new_lm(VOCAB, 16, 16, layers, .1, seed=seed)


def quick(**changes):
    return TextClassifier(**{'lm': language_model(), 'epochs': 1, 'bs': 16, **changes})


def labelled(n=64):
    rng, rows = np.random.default_rng(0), []
    for i in range(n):
        word = rng.choice(KIND if i % 2 else UNKIND)
        text = f'a {word} film ' * int(rng.integers(1, 9))
        rows.append((text, 'pos' if i % 2 else 'neg'))
    return pd.DataFrame(rows, columns=['text', 'label'])


TABLE = labelled()


@pytest.fixture(scope='module')
def clas():
    return TextClassifier(language_model(), bs=8, epochs=12, lr=2e-2).fit(TABLE.text, TABLE.label)


def test_it_learns(clas):
    assert clas.score(TABLE.text, TABLE.label) > .9
    report = classification_report(TABLE.label, clas.predict(TABLE.text), output_dict=True)
    assert report['pos']['recall'] > .9


# What scikit-learn expects

def test_parameters_are_stored_as_they_were_given():
    lm, plan = language_model(), thaw_plan(1, 1, 1e-2)
    model = TextClassifier(lm, plan=plan, seed=3)
    assert model.lm is lm and model.plan is plan
    again = clone(model)
    assert again.lm is lm and again.get_params()['seed'] == 3 and not hasattr(again, 'classes_')
    assert model.set_params(bs=7).bs == 7


def test_nothing_but_fit_sets_what_was_learned(clas):
    learned = {name for name in vars(clas) if name.endswith('_')}
    assert learned == {'classes_', 'class_shares_', 'recipe_', 'network_', 'vocab_', 'config_'}
    for ask in (TextClassifier().predict, TextClassifier().predict_proba, TextClassifier().table,
                TextClassifier().explain, TextClassifier().save):
        with pytest.raises(NotFittedError): ask(['a good film'])


def test_fitting_again_forgets(clas):
    model = quick().fit(TABLE.text, TABLE.label)
    first = model.predict_proba(TABLE.text)
    model.fit(TABLE.text, ['x', 'y']*32)
    assert model.classes_.tolist() == ['x', 'y']
    again = model.fit(TABLE.text, TABLE.label).predict_proba(TABLE.text)
    np.testing.assert_array_equal(again, first)


def test_cross_validation_grid_and_pipeline():
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    scores = cross_val_score(quick(epochs=8, lr=2e-2), list(TABLE.text), TABLE.label, cv=folds)
    assert scores.shape == (2,) and scores.mean() > .7
    pipeline = Pipeline([('as it is', 'passthrough'), ('clas', quick())])
    choices = {'clas__lr': np.array([1e-3, 2e-2]), 'clas__bs': np.array([8, 16])}
    grid = GridSearchCV(pipeline, choices, cv=2)
    grid.fit(TABLE.text, TABLE.label == 'pos')
    assert set(grid.best_params_) == {'clas__lr', 'clas__bs'}
    assert grid.predict(TABLE.text).dtype == bool


def test_what_the_grid_chose_can_be_saved(tmp_path):
    model = quick(bs=np.int64(8), lr=np.float64(1e-2)).fit(TABLE.text, TABLE.label)
    assert TextClassifier.load(model.save(tmp_path/'c')).bs == 8


@pytest.mark.parametrize('texts, labels, words', [
    (['a', 'b'], ['x'], '1 labels for 2 texts'),
    (['a', 'b', 'c'], ['x', None, 'y'], 'row 1'),
    (['a', 'b'], ['x', 1], 'two types'),
    (['a', 'b'], [['x'], ['y']], 'row 0'),
    (['a', 'b'], [.5, 1.], 'number with a point'),
    (['a', 'b'], ['x', 'x'], 'two classes'),
    ('a film', ['x'], 'not a list of texts'),
    (TABLE[['text']], TABLE.label, 'name the column'),
    ((text for text in TABLE.text), TABLE.label, 'generator'),
    (dict(enumerate(TABLE.text)), TABLE.label, 'a dict'),
    (['a', None], ['x', 'y'], 'text 1'),
])
def test_what_cannot_be_learned_from(texts, labels, words):
    with pytest.raises((ValueError, TypeError), match=words): quick().fit(texts, labels)


def test_odd_wishes():
    for wish, words in ((dict(lm=3), 'lm=3'), (dict(plan='melt'), 'melt'), (dict(bs=1), 'bs=1'),
                        (dict(plan=ONE_EPOCH, lr=1.), 'its own epochs'),
                        (dict(epochs=0), 'epochs=0')):
        with pytest.raises((ValueError, TypeError), match=words):
            TextClassifier(**{'lm': language_model(), **wish}).fit(TABLE.text, TABLE.label)


# Labels come back as they were

@pytest.mark.parametrize('labels', [
    (TABLE.label == 'pos').astype(int), (TABLE.label == 'pos').astype('int8'), TABLE.label == 'pos',
    TABLE.label, TABLE.label.astype('category'), (TABLE.label == 'pos').astype('Int64'),
    TABLE.label.map(dict(pos='known', neg='label')),
    TABLE.label.map(dict(pos='Größe', neg='空')),
])
def test_types_of_labels(labels, tmp_path):
    model = quick(folder=tmp_path/'run').fit(TABLE.text, labels)
    again = quick(folder=tmp_path/'run').fit(TABLE.text, labels) # finished: found again
    loaded = TextClassifier.load(model.save(tmp_path/'saved'))
    answers = model.predict(TABLE.text)
    for other in (again, loaded):
        assert other.predict(TABLE.text).dtype == answers.dtype
        assert other.predict(TABLE.text).tolist() == answers.tolist()
        assert type(other.classes_.tolist()[0]) is type(labels.tolist()[0])
    assert model.score(TABLE.text, pd.Series(answers)) == 1
    table = model.table(TABLE.text)
    assert table.label.tolist() == answers.tolist() and table.columns.is_unique
    np.testing.assert_allclose(table.iloc[:, 1:3].sum(axis=1), 1)


def test_labels_of_another_type_are_no_silent_zero(clas):
    model = quick().fit(TABLE.text, (TABLE.label == 'pos').astype(int))
    as_text = ['1' if label else '0' for label in model.predict(TABLE.text)]
    with pytest.raises(ValueError, match='no label is a class'): model.score(TABLE.text, as_text)
    with pytest.raises(ValueError, match='no label is a class'):
        confident_mistakes(model, TABLE.text, as_text)
    with pytest.raises(ValueError, match='no texts'): clas.score([], [])


def test_many_classes():
    labels = np.arange(64) % 16
    model = quick().fit(TABLE.text, labels)
    assert model.predict_proba(['good']).shape == (1, 16)


# A head for what the language model knows already

def probe(**changes): return TextClassifier(**{'lm': language_model(), 'plan': 'probe', **changes})


@pytest.mark.parametrize('labels', [TABLE.label, TABLE.label == 'pos', np.arange(64) % 5])
def test_a_probe_keeps_what_a_classifier_promises(labels, tmp_path):
    model = probe().fit(TABLE.text, labels)
    answers = model.predict_proba(TABLE.text)
    for other in (TextClassifier.load(model.save(tmp_path/'c')), pickle.loads(pickle.dumps(model)),
                  clone(model).fit(TABLE.text, labels)):
        np.testing.assert_allclose(other.predict_proba(TABLE.text), answers, atol=1e-6)
        assert other.predict(TABLE.text).tolist() == model.predict(TABLE.text).tolist()
    assert model.recipe_['C'] > 0 and not model.explain('a good film').empty


def test_a_probe_learns_and_changes_the_head_only():
    lm = language_model()
    model = probe(lm=lm).fit(TABLE.text, TABLE.label)
    assert model.score(TABLE.text, TABLE.label) > .9
    encoder = model.network_[0].module.state_dict()
    for name, weight in lm.model[0].state_dict().items():
        torch.testing.assert_close(encoder[name], weight)


def test_a_probe_says_what_logistic_regression_says():
    model = probe().fit(TABLE.text, TABLE.label)
    loader, places = predict_loader(readable_ids(VOCAB, list(TABLE.text)), VOCAB)
    states = pooled_states(model.network_, loader)[places]
    states = states[:, np.r_[:16, 32:48]] # the last one and the mean, not the largest values
    regression = LogisticRegression(C=model.recipe_['C'], max_iter=300)
    regression = make_pipeline(StandardScaler(), regression).fit(states, TABLE.label)
    expected = regression.predict_proba(states)
    np.testing.assert_allclose(model.predict_proba(TABLE.text), expected, atol=1e-3)


def widest_direction_tells(n, seed=0):
    "States of 20 numbers for each kind of pooling: the last state moves with the answer"
    rng = np.random.default_rng(seed)
    answers = rng.integers(0, 2, n)
    rows = rng.normal(size=(n, 60)).astype(np.float32)
    rows[:, :20] += .5*(2*answers[:, None] - 1)
    return rows, answers


def test_texts_without_labels_tell_a_probe_where_to_look(monkeypatch):
    usual, _ = widest_direction_tells(1000)
    tests, right = widest_direction_tells(1000, seed=1)
    found = {}
    for name, known in {'unknown': None, 'known': usual}.items():
        answers = []
        for seed in range(20):
            rows, labels = widest_direction_tells(8, seed=2 + seed)
            if len(set(labels)) < 2: continue
            monkeypatch.setattr(probes, 'pooled_states', lambda network, loader, rows=rows: rows)
            network = graft(new_lm(VOCAB, 20, 6, 1), 2, linear=True)
            fit_probe(network, None, np.arange(8), labels, known)
            scores = network[1].layers.eval()(torch.from_numpy(tests)).detach().numpy()
            answers.append((scores.argmax(axis=1) == right).mean())
        found[name] = np.mean(answers)
    assert found['known'] > found['unknown'] + .05


def test_too_few_texts_without_labels_change_nothing():
    first, second = language_model(), language_model()
    second.states = np.random.default_rng(0).normal(size=(99, 48)).astype(np.float32)
    answers = [probe(lm=lm).fit(TABLE.text, TABLE.label).predict_proba(TABLE.text)
               for lm in (first, second)]
    np.testing.assert_array_equal(*answers)


def test_a_probe_with_one_text_of_a_class_and_numbers_that_never_change():
    assert probe().fit(['a good film', 'a bad film', 'a film'], [0, 1, 2]).recipe_['C'] == .01
    same = probe().fit(['a film']*4, [0, 1, 0, 1]).predict_proba(['a film'])
    np.testing.assert_allclose(same, .5, atol=1e-3)


def test_a_probe_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    probe().fit(TABLE.text, TABLE.label)
    assert (torch.rand(1), np.random.rand()) == expected


def test_when_a_probe_is_the_choice():
    small = dict(layers=2, hidden=64)
    assert training_recipe(200, small | dict(texts_read=WELL_READ))['plan'] == 'probe'
    assert training_recipe(200, small | dict(texts_read=WELL_READ), epochs=3)['plan'] != 'probe'
    assert training_recipe(5_000, small | dict(texts_read=WELL_READ))['plan'] != 'probe'
    for other in (small, small | dict(texts_read=WELL_READ-1),
                  dict(layers=3, hidden=LARGE, texts_read=WELL_READ)):
        assert training_recipe(200, other)['plan'] != 'probe'
    with pytest.raises(ValueError, match='its own epochs'): training_recipe(9, small, 'probe', 3)


# Any text

def test_answers_come_in_the_order_of_the_questions(clas):
    texts = [*TABLE.text, 'good']
    order = np.random.default_rng(1).permutation(len(texts))
    whole, mixed = clas.predict_proba(texts), clas.predict_proba([texts[i] for i in order])
    np.testing.assert_allclose(mixed, whole[order], atol=1e-5)
    one_by_one = np.concatenate([clas.predict_proba([text]) for text in texts[:10]])
    np.testing.assert_allclose(one_by_one, whole[:10], atol=1e-5)


def test_a_table_goes_with_its_series(clas):
    some = TABLE.text[TABLE.label == 'pos']
    assert clas.table(some).index.equals(some.index)


def test_what_nobody_can_read(clas):
    with pytest.warns(UnknownWordsWarning, match='3 of 5 texts'):
        table = clas.table(['', '   ', 'qxy yvz', 'good', 'QXY good'])
    assert table.known[:4].tolist() == [0, 0, 0, 1] and 0 < table.known[4] < 1
    # Where nothing is known, the shares of the classes in training: one half each.
    np.testing.assert_allclose(table.iloc[:3, 1:3].astype(float), .5)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        clas.predict(['good'])
    assert clas.predict_proba([]).shape == (0, 2)
    assert len(clas.table([])) == len(clas.predict([])) == 0


def test_a_text_with_padding_in_it_moves_nobody(clas):
    others = [' '.join(['a good film']*n) for n in (2, 33, 66)]
    alone = np.concatenate([clas.predict_proba([text]) for text in others])
    for place in (0, 1, 70, 72, 143, 159):
        words = ['a', 'film']*80
        words[place] = 'xxpad'
        together = clas.predict_proba([*others, ' '.join(words)])[:3]
        np.testing.assert_allclose(together, alone, atol=1e-5)
    ids, = readable_ids(VOCAB, ['xxpad xxpad film'])
    assert VOCAB['xxpad'] not in ids


def test_questions_that_are_no_texts(clas):
    for texts in ('good', TABLE, dict(a='good'), ['good', None], [['good']], (t for t in ['good'])):
        for ask in (clas.predict, clas.predict_proba, clas.table):
            with pytest.raises((ValueError, TypeError)): ask(texts)


# Threads, processes, random numbers

def test_threads_do_not_mix(clas):
    texts = [list(TABLE.text[:20]), list(TABLE.text[20:])]*3
    alone, together = [clas.predict_proba(part) for part in texts], {}
    def ask(i): together[i] = clas.predict_proba(texts[i])
    threads = [threading.Thread(target=ask, args=[i]) for i in range(len(texts))]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    for i, answer in enumerate(alone): np.testing.assert_array_equal(together[i], answer)


def test_the_callers_random_numbers_stay(clas):
    model = quick()
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    model.fit(TABLE.text, TABLE.label).predict(TABLE.text)
    clas.explain('a good film')
    assert (torch.rand(1), np.random.rand()) == expected


def test_it_travels(clas):
    there = pickle.loads(pickle.dumps(clas))
    np.testing.assert_array_equal(there.predict_proba(TABLE.text), clas.predict_proba(TABLE.text))
    unfitted = pickle.loads(pickle.dumps(quick()))
    assert unfitted.epochs == 1


def test_loaded_in_a_fresh_process(clas, tmp_path):
    folder = clas.save(tmp_path/'c')
    code = ('from textgraft.classifier import TextClassifier; '
            f'print(TextClassifier.load({str(folder)!r}).predict_proba(["good film"]).tolist())')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    here = clas.predict_proba(['good film'])
    np.testing.assert_allclose(json.loads(done.stdout), here, rtol=1e-4)


# Sizes that are in the way

@pytest.mark.parametrize('n', range(8, 19))
def test_any_number_of_texts(n):
    assert quick(bs=8).fit(TABLE.text[:n], TABLE.label[:n]).classes_.tolist() == ['neg', 'pos']


def test_two_texts_are_enough():
    model = TextClassifier(language_model(), epochs=1).fit(['a good film', 'a bad film'], [1, 0])
    assert model.predict(['a good film']).shape == (1,)


# What it is made from

@pytest.mark.parametrize('n, bs, at_least', [(2, 2, 4), (20, 4, 10), (200, 20, 8), (20_000, 32, 2)])
def test_choices_follow_the_number_of_labels(n, bs, at_least):
    recipe = training_recipe(n, dict(layers=2, hidden=64))
    step, = recipe['plan']
    assert recipe['bs'] == bs and step['epochs'] >= at_least


def test_choices_follow_the_size_of_the_network():
    large = training_recipe(20_000, dict(layers=3, hidden=1152))
    assert len(large['plan']) == 5 and large['drop_mult'] == .5
    chosen = training_recipe(200, dict(layers=1, hidden=8), 'thaw', 8, 1e-3, 5, .2, 30)
    assert chosen == dict(plan=thaw_plan(1, 2, 1e-3), bs=5, drop_mult=.2, max_len=30)


def test_recipe_is_shown(capsys):
    model = quick(verbose=True).fit(TABLE.text, TABLE.label)
    assert str(model.recipe_['bs']) in capsys.readouterr().out


def test_from_scratch():
    model = TextClassifier(bs=8, epochs=4).fit(TABLE.text, TABLE.label)
    assert model.lm is None and 'good' in model.vocab_
    assert isinstance(model._language_model(list(TABLE.text)), LanguageModel)


def test_a_language_model_from_its_folder(tmp_path):
    folder = language_model().save(tmp_path/'lm')
    model = quick(lm=folder).fit(TABLE.text, TABLE.label)
    other = quick().fit(TABLE.text, TABLE.label)
    expected = other.predict_proba(TABLE.text)
    np.testing.assert_allclose(model.predict_proba(TABLE.text), expected, atol=1e-6)


def test_the_encoder_is_the_language_models_and_stays_there():
    lm = language_model(layers=2)
    before = {name: weight.clone() for name, weight in lm.model[0].state_dict().items()}
    grafted = graft(lm, 3)[0].module.state_dict()
    quick(lm=lm).fit(TABLE.text, TABLE.label)
    after = lm.model[0].state_dict()
    for name, weight in before.items():
        torch.testing.assert_close(grafted[name], weight)
        torch.testing.assert_close(after[name], weight)
    with pytest.raises(ValueError, match='two classes'): graft(lm, 1)


def test_plans():
    plan = thaw_plan(3, 2, 1e-2)
    assert [step['first'] for step in plan] == [-1, -2, -3, -4, 0]
    assert plan[-1]['epochs'] == 4 and plan[-1]['lr_low'] == pytest.approx(plan[-1]['lr']/2.6**4)
    assert [round(.01/step['lr']) for step in plan] == [1, 2, 4, 20, 20]
    step, = all_at_once(1, 3, 1e-2, 2.)
    assert step == dict(first=0, epochs=3, lr=1e-2, lr_low=pytest.approx(2.5e-3))


# Interrupted, damaged, mixed up

def test_an_interrupted_classifier_goes_on_where_it_was(tmp_path):
    plan = thaw_plan(1, 1, 2e-2)
    def run(folder, plan=plan, labels=TABLE.label, **changes):
        model = quick(plan=plan, epochs=None, folder=tmp_path/folder, **changes)
        return model.fit(TABLE.text, labels).predict_proba(TABLE.text)
    whole = run('whole')
    run('cut', plan[:2]) # two of three steps, then a power cut
    np.testing.assert_array_equal(run('cut'), whole)
    for other in (dict(labels=TABLE.label[::-1].to_numpy()), dict(lm=language_model(seed=2)),
                  dict(labels=TABLE.label.map(dict(neg='a', pos='b'))), dict(drop_mult=.3),
                  dict(seed=1)):
        with pytest.raises(ValueError, match='belongs to another run'): run('cut', **other)


def test_folders_that_are_damaged_or_something_else(clas, tmp_path):
    folder = clas.save(tmp_path/'c')
    weights = folder/'weights.safetensors'
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match='weights.safetensors'): TextClassifier.load(folder)
    with pytest.raises(ValueError, match='holds a language model, not a text classifier'):
        TextClassifier.load(language_model().save(tmp_path/'lm'))
    with pytest.raises(FileNotFoundError, match='no text classifier'):
        TextClassifier.load(tmp_path/'none')


def test_saving_leaves_the_readers_files_alone(clas, tmp_path):
    (tmp_path/'thesis.ipynb').write_text('three months of work')
    with pytest.raises(FileExistsError): clas.save(tmp_path)
    assert (tmp_path/'thesis.ipynb').exists()
    assert clas.save(tmp_path/'c') == clas.save(tmp_path/'c') # one of ours is replaced


def test_home_is_home(clas, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    clas.save('~/model')
    assert (tmp_path/'model').is_dir()
    assert TextClassifier.load('~/model').classes_.tolist() == ['neg', 'pos']


def test_training_once_more_needs_the_language_model(clas, tmp_path):
    loaded = TextClassifier.load(clas.save(tmp_path/'c'))
    assert loaded.lm == NOT_KEPT and loaded.recipe_ == clas.recipe_
    with pytest.raises(FileNotFoundError, match='set lm'): loaded.fit(TABLE.text, TABLE.label)
    loaded.set_params(lm=language_model(), epochs=1).fit(TABLE.text, TABLE.label)


def test_what_is_no_number_is_neither_trained_nor_saved(tmp_path):
    with pytest.raises(ValueError, match='training went wrong'):
        quick(lr=1e35).fit(TABLE.text, TABLE.label)
    model = quick().fit(TABLE.text, TABLE.label)
    torch.nn.init.constant_(model.network_[1].layers[0][2].weight, float('nan'))
    with pytest.raises(ValueError, match='no finite numbers'): model.save(tmp_path/'c')


# Looking at it

def test_mistakes(clas):
    turned = TABLE.label.map(dict(neg='pos', pos='neg'))
    wrong = confident_mistakes(clas, TABLE.text, turned, 3)
    assert len(wrong) == 3 and (wrong.label != wrong.answer).all()
    assert wrong.probability.is_monotonic_decreasing


def test_the_word_that_decides_is_found(clas):
    weights = clas.explain('a good film')
    assert weights.token[weights.weight.idxmax()] == 'good' and weights.weight[0] == 0
    page = weights.assign(token='<script>')
    assert '<script>' not in page._repr_html_() or type(page) is pd.DataFrame
    assert '&lt;' in clas.explain('a good <film')._repr_html_()
    with pytest.raises(ValueError, match='too few tokens'): clas.explain('')
    with pytest.raises(TypeError): clas.explain(['a good film'])


# fastai's own calls on our loaders

def learner():
    part = readable_ids(VOCAB, list(TABLE.text)), list(TABLE.label)
    dls = classifier_dataloaders(part, part, VOCAB, ['neg', 'pos'], bs=16, quiet=True)
    lm = language_model()
    return fit_plan(quiet(classifier_learner(graft(lm, 2), dls, lm.config)), ONE_EPOCH)


def test_fastai_interprets(capsys):
    learn = learner()
    with learn.no_bar():
        found = ClassificationInterpretation.from_learner(learn)
        assert found.confusion_matrix().sum() == len(TABLE)
        found.print_classification_report()
        assert 'pos' in capsys.readouterr().out
        found.plot_top_losses(2)


def test_fastai_exports(tmp_path):
    try: learner().export(tmp_path/'export.pkl')
    except (NotImplementedError, ValueError, TypeError) as error: assert 'save' in str(error)
    else: assert (tmp_path/'export.pkl').exists()
