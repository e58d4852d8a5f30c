"Classifiers: order, unknown text, fresh processes, mixed-up folders, odd input"
import json
import pickle
import subprocess
import sys

from textgraft.classifier import (
    Classifier,
    average,
    confident_mistakes,
    finetune_classifier,
    graft,
    how_far,
    ladder,
    marked_words,
    occlusion,
    plot_ladder,
    thaw_plan,
    worker_pool,
)
from textgraft.lm_finetune import new_lm, save_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab

import numpy as np
import pandas as pd
import pytest
import torch

KIND, UNKIND = ['good', 'great', 'fine'], ['bad', 'dull', 'poor']
VOCAB = Vocab([*SPECIAL_TOKENS, *KIND, *UNKIND, 'film', 'a'])


@pytest.fixture(scope='module')
def table():
    rng = np.random.default_rng(0)
    rows = [(f'a {rng.choice(KIND if i % 2 else UNKIND)} film ' * int(rng.integers(1, 9)), 'pos' if i % 2 else 'neg') for i in range(64)]
    return pd.DataFrame(rows, columns=['text', 'label'])


@pytest.fixture(scope='module')
def clas(table):
    return finetune_classifier(new_lm(VOCAB, 16, 16, 1), table, None, thaw_plan(1, 3, 2e-2), bs=8, drop_mult=.1, quiet=True)


def test_it_learns(clas, table): assert clas.accuracy(table) > .9


def test_answers_come_in_the_order_of_the_questions(clas, table):
    texts = list(table.text) + ['good']
    order = np.random.default_rng(1).permutation(len(texts))
    whole, mixed = clas.predict(texts), clas.predict([texts[i] for i in order], bs=7)
    np.testing.assert_allclose(mixed[clas.classes], whole[clas.classes].to_numpy()[order], atol=1e-5)
    one = pd.concat([clas.predict([text]) for text in texts[:10]])
    np.testing.assert_allclose(one[clas.classes], whole[clas.classes][:10], atol=1e-5)


def test_nothing_to_go_on_is_no_answer(clas):
    answers = clas.predict(['', '   ', 'zzz yyy', 'good', 'ZZZ good'])
    assert answers.label.isna().tolist() == [True, True, True, False, False]
    assert answers.known.tolist()[2:4] == [0, 1] and 0 < answers.known[4] < 1
    assert len(clas.predict([])) == 0


def test_bad_questions(clas):
    with pytest.raises(ValueError, match='a list of texts'): clas.predict('good')
    with pytest.raises((ValueError, TypeError), match='1'): clas.predict(['good', None])
    with pytest.raises(ValueError, match='no texts'): clas.accuracy(pd.DataFrame(dict(text=[], label=[])))


def test_loaded_in_a_fresh_process(clas, tmp_path):
    clas.save(tmp_path/'c')
    code = f'from textgraft.classifier import Classifier; print(Classifier.load({str(tmp_path/"c")!r}).predict(["good film"]).pos.tolist())'
    there = json.loads(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout)
    np.testing.assert_allclose(there, clas.predict(['good film']).pos, rtol=1e-4)


def test_folders_that_are_damaged_or_something_else(clas, tmp_path):
    folder = clas.save(tmp_path/'c')
    Vocab([*SPECIAL_TOKENS, *reversed(VOCAB.tokens[len(SPECIAL_TOKENS):])]).save(folder/'vocab.json')
    with pytest.raises(ValueError, match='vocab.json is damaged, or from another stage'): Classifier.load(folder)
    with pytest.raises(ValueError, match='language model, not a classifier'): Classifier.load(save_lm(new_lm(VOCAB, 8, 8, 1), tmp_path/'lm'))
    with pytest.raises(FileNotFoundError, match='no stage'): Classifier.load(tmp_path/'nothing')


def test_more_than_two_classes(table):
    three = table.assign(label=['a', 'b', 'c', 'd'] * 16)
    clas = finetune_classifier(new_lm(VOCAB, 8, 8, 1), three, None, thaw_plan(1, 1, 1e-2), bs=8, quiet=True)
    assert clas.predict(['good'])[['a', 'b', 'c', 'd']].sum(axis=1).item() == pytest.approx(1, abs=1e-5)


def test_training_texts_that_cannot_work(table):
    lm = new_lm(VOCAB, 8, 8, 1)
    with pytest.raises(ValueError, match='two classes'): finetune_classifier(lm, table[table.label == 'pos'], None)
    with pytest.raises(ValueError, match='fewer than bs'): finetune_classifier(lm, table[:4], None, bs=8)
    with pytest.raises(ValueError, match="'meh'"): finetune_classifier(lm, table, table.assign(label='meh'), bs=8)
    with pytest.raises(ValueError, match="'pos'"): finetune_classifier(lm, table, table[table.label == 'neg'], bs=8)


def test_the_encoder_is_the_language_models(table):
    lm = new_lm(VOCAB, 8, 8, 2)
    clas = graft(lm, ['neg', 'pos'])
    for name, weight in lm.model[0].state_dict().items(): torch.testing.assert_close(clas.model[0].module.state_dict()[name], weight)
    finetune_classifier(lm, table, None, thaw_plan(2, 1, 1e-2), bs=8, quiet=True)
    for name, weight in lm.model[0].state_dict().items(): torch.testing.assert_close(clas.model[0].module.state_dict()[name], weight)


def test_the_plan_thaws_from_the_top():
    plan = thaw_plan(3, 2, 1e-2)
    assert [step['first'] for step in plan] == [-1, -2, -3, -4, -5]
    assert plan[-1]['epochs'] == 4 and plan[-1]['lr_low'] == pytest.approx(plan[-1]['lr']/2.6**4)


def test_tables_and_pictures(clas, table):
    rungs = ladder({'a': [.5, .5], 'b': [.6, .8]})
    assert rungs.loc['b', 'mean'] == pytest.approx(.7) and len(plot_ladder(rungs).axes[0].patches) == 2
    wrong = confident_mistakes(clas, table.assign(label=['neg', 'pos'][::-1] * 32), 3)
    assert len(wrong) == 3 and (wrong.label != wrong.answer).all()


def test_an_interrupted_classifier_goes_on_where_it_was(table, tmp_path):
    plan, part = thaw_plan(1, 2, 2e-2), dict(bs=8, drop_mult=.1, quiet=True)
    whole = finetune_classifier(new_lm(VOCAB, 16, 16, 1), table, None, plan, folder=tmp_path/'whole', **part)
    finetune_classifier(new_lm(VOCAB, 16, 16, 1), table, None, plan[:2], folder=tmp_path/'cut', **part) # two of three steps, then a power cut
    resumed = finetune_classifier(new_lm(VOCAB, 16, 16, 1), table, None, plan, folder=tmp_path/'cut', **part)
    assert sorted(f.name for f in (tmp_path/'cut').iterdir()) == ['step-0.pt', 'step-1.pt', 'step-2.pt']
    np.testing.assert_allclose(resumed.predict(list(table.text))[resumed.classes], whole.predict(list(table.text))[whole.classes], atol=1e-3)
    with pytest.raises(ValueError, match='labels'):
        finetune_classifier(new_lm(VOCAB, 16, 16, 1), table.assign(label=table.label[::-1].to_numpy()), None, plan, folder=tmp_path/'cut', **part)


def test_a_classifier_travels_between_processes(clas, table):
    there = pickle.loads(pickle.dumps(clas))
    pd.testing.assert_frame_equal(there.predict(list(table.text)), clas.predict(list(table.text)), rtol=1e-4)
    with worker_pool(n=1) as pool: answers = pool.submit(Classifier.predict, clas, list(table.text)).result()
    pd.testing.assert_frame_equal(answers, clas.predict(list(table.text)), rtol=1e-4)


def test_the_mean_of_two_opinions(clas, table):
    one = clas.predict(['good', '', 'bad'])
    swapped = one.assign(neg=one.pos, pos=one.neg)
    assert average([one, one]).label.fillna('-').tolist() == one.label.fillna('-').tolist()
    np.testing.assert_allclose(average([one, swapped])[['neg', 'pos']], .5, atol=1e-6)
    with pytest.raises(ValueError, match='other texts'): average([one, one.rename(columns={'pos': 'fine'})])


def test_occlusion_finds_the_word_that_decides(clas):
    weights = occlusion(clas, 'a good film')
    assert weights.token[weights.weight.idxmax()] == 'good' and weights.weight[0] == 0
    assert '<script>' not in marked_words(weights.assign(token='<script>')) and '&lt;script&gt;' in marked_words(weights.assign(token='<script>'))
    with pytest.raises(ValueError, match='too few tokens'): occlusion(clas, '')


def test_an_untrained_graft_has_not_moved():
    lm = new_lm(VOCAB, 16, 16, 2)
    assert how_far(graft(lm, ['neg', 'pos']), lm).to_dict() == {'embedding': 0, 'LSTM layer 1': 0, 'LSTM layer 2': 0}
