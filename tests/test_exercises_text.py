"The exercises of chapters 0 to 2: each solution passes its check, tempting wrong answers do not"

import json
import re
from collections import Counter
from dataclasses import replace

from textgraft.batching import ClassifierLoader, TextIds, padding_share
from textgraft.corpus import Corpus
from textgraft.course.grammar import Recipe
from textgraft.course.phrases import SENTIMENT
from textgraft.course.reviews import small_reviews
from textgraft.course.text_exercises import (
    check_batches,
    check_corpus,
    check_look_up,
    check_majority,
    check_number_rule,
    check_padding,
    check_recipe,
    check_rows,
    check_rule,
    check_small_vocab,
    check_tokens,
    check_whole_texts,
)
from textgraft.library.rungs import RUNGS, Given
from textgraft.tokenization import (
    RULES,
    SPECIAL_TOKENS,
    Vocab,
    apply_rules,
    tokenize,
    tokenize_one,
    word_splitter,
)

import numpy as np
import pandas as pd
import pytest
from pages import NBS, cells, solutions

THREE = pd.DataFrame({'text': ['A warm, funny film. I smiled all the way home.',
                               'Two hours I will never get back.',
                               'Not the dull film I had feared: it is lovely.'],
                      'label': ['pos', 'neg', 'pos']})


@pytest.fixture(scope='module')
def small(): return small_reviews()


CHAPTERS = ['00_corpus', '01_tokenization', '02_batching', '03_lm_finetune', '04_classifier']


@pytest.mark.parametrize('chapter', CHAPTERS)
def test_the_readers_names_are_empty_and_every_check_says_so(chapter):
    nb = json.loads((NBS/f'{chapter}.ipynb').read_text())
    mine = [
        c
        for c in nb['cells']
        if c['cell_type'] == 'code' and ''.join(c['source']).startswith('my_')
    ]
    assert len(mine) >= 4
    for cell in mine:
        assert re.fullmatch(
            r'my_\w+ = None\n(.*\n)*check_\w+\(.*\bmy_\w+.*\)', ''.join(cell['source'])
        )
        assert [''.join(out['data']['text/plain']) for out in cell['outputs']] == [
            "'not attempted'"
        ]


@pytest.mark.parametrize('chapter', CHAPTERS)
def test_every_question_is_answered_behind_a_fold(chapter):
    text, = [text for text in cells(chapter, 'markdown') if text.startswith('## Questions')]
    questions = re.split(r'^\d\. ', text, flags=re.MULTILINE)[1:]
    assert 5 <= len(questions) <= 8
    for question in questions:
        assert re.fullmatch(r'.+\n<details><summary>Answer</summary>.{40,}</details>\s*', question)


# Chapter 0

WORDS = {'bread': 'knead the dough and wait', 'ships': 'hoist the sail and steer',
         'stars': 'look up at the sky at night'}
LABELS = [60*['pos'] + 30*['neg'] + 10*['so-so'], 20*['pos'] + 25*['neg'] + 5*['so-so']]


def my_texts(folder, n=12):
    for part in ('train', 'test'):
        for label, words in WORDS.items():
            (folder/part/label).mkdir(parents=True)
            for i in range(n):
                text = f'{words}, number {i} of the {part} texts'
                (folder/part/label/f'{i}.txt').write_text(text)
    return folder


@pytest.fixture
def answers_0(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    my_texts(tmp_path/'my_texts')
    return solutions('00_corpus', Recipe=Recipe, SENTIMENT=SENTIMENT, re=re, Corpus=Corpus)


def test_solutions_of_chapter_0(answers_0, small):
    assert check_majority(*LABELS, answers_0['my_accuracy']) == 'passed'
    assert check_recipe(answers_0['my_recipe']) == 'passed'
    assert check_rule(answers_0['my_rule'], small, THREE) == 'passed'
    assert check_corpus(answers_0['my_corpus']) == 'passed'
    rule = np.mean([answers_0['my_rule'](text) for text in small.test.text] == small.test.label)
    tfidf = RUNGS['TF-IDF words'](Given(small.texts())).fit(small.train.text, small.train.label)
    assert rule > tfidf.score(small.test.text, small.test.label) - 0.03 # "comes close"


@pytest.mark.parametrize('answer, hint', [
    (0.6, 'share in training'), (0.5, 'look at the test labels'), (40, 'from 0 to 1'),
    ('0.4', 'expected a number'), ([0.4, 0.6], 'expected a number'), (True, 'expected a number')])
def test_wrong_majority(answer, hint):
    found = check_majority(*LABELS, answer)
    assert found.startswith('wrong: expected') and hint in found


@pytest.mark.parametrize('answer', [2/5, np.float32(.4), np.array(.4), pd.Series([.4]).mean()])
def test_the_right_majority_in_other_types(answer):
    assert check_majority(*LABELS, answer) == 'passed'


@pytest.mark.parametrize(
    'recipe, hint',
    [
        (Recipe(), 'not 0'),
        (Recipe(agreement=1.0), 'agreement leads to'),
        (Recipe(contrast=0.0), 'contrast leads to'),
        (Recipe(chatter=(0,)), 'chatter leads to'),
        (Recipe(agreement=1.0, words=10), 'not 2'),
        (dict(words=10), 'expected a recipe'),
        (Recipe(remarks=6), 'no review can be written'),
        (Recipe(zipf='2'), 'no review can be written'),
    ],
)
def test_wrong_recipe(recipe, hint):
    found = check_recipe(recipe)
    assert found.startswith('wrong: expected') and hint in found


@pytest.mark.parametrize('recipe', [Recipe(words=10), Recipe(zipf=2.), Recipe(remarks=(6,))])
def test_more_than_one_recipe_will_do(recipe): assert check_recipe(recipe) == 'passed'


def test_wrong_rules(small):
    sides = [{word for words in SENTIMENT.values() for word in words[side]} for side in (0, 1)]

    def count(text, tie='neg'):
        words = re.findall(r"[\w'-]+", text.lower())
        score = sum((word in sides[1]) - (word in sides[0]) for word in words)
        if score == 0: return tie
        return 'pos' if score > 0 else 'neg'

    def by_heart(text): return dict(zip(THREE.text, THREE.label)).get(text, 'pos')
    assert 'what is denied' in check_rule(count, small, THREE)
    assert 'what is denied' in check_rule(lambda text: count(text, 'pos'), small, THREE)
    assert 'every word of the lists' in check_rule(by_heart, small, THREE)
    assert 'expected a function' in check_rule('pos', small, THREE)
    assert 'ZeroDivisionError' in check_rule(lambda text: 1/0, small, THREE)


def test_wrong_corpora(tmp_path, small):
    assert 'three classes' in check_corpus(small)
    assert 'Corpus.from_folder returns' in check_corpus(str(tmp_path))
    assert 'one has 3' in check_corpus(Corpus.from_folder(my_texts(tmp_path/'few', n=3)))
    good = Corpus.from_folder(my_texts(tmp_path/'good'))
    leak = replace(good, train=pd.concat([good.train, good.test[:3]]))
    assert '3 are also in train' in check_corpus(leak)
    rng = np.random.default_rng(0)
    mixed = replace(good, train=good.train.assign(label=rng.permutation(good.train.label)),
                    test=good.test.assign(text=[f'x{i}' for i in range(len(good.test))]))
    assert 'classes that differ in words' in check_corpus(mixed)


# Chapter 1

@pytest.fixture(scope='module')
def tokens(small): return tokenize(small.texts()), tokenize(small.test.text)


TRIES = [
    'A good film, a Good film!',
    'It is so so so good.',
    'The end.\nStay away.',
    'The film (funny:) )',
]


@pytest.fixture(scope='module')
def answers_1(tokens):
    counts = Counter(token for row in tokens[0] for token in row)
    return solutions(
        '01_tokenization',
        SPECIAL_TOKENS=SPECIAL_TOKENS,
        counts=counts,
        Vocab=Vocab,
        RULES=RULES,
        fix_html=RULES[0],
        re=re,
        test_tokens=tokens[1],
    )


def test_solutions_of_chapter_1(answers_1, small, tokens):
    assert check_tokens('WOW!!!! Fun, fun, fun.', answers_1['my_tokens']) == 'passed'
    assert check_small_vocab(answers_1['my_vocab'], tokens[1]) == 'passed'
    assert check_number_rule(answers_1['my_rules']) == 'passed'
    assert check_look_up(answers_1['my_look_up'], TRIES + small.texts()[:400]) == 'passed'


@pytest.mark.parametrize('answer, hint', [
    ('xxup wow xxrep 4 ! xxmaj fun , fun , fun .', 'how does every text begin'),
    ('xxbos wow xxrep 4 ! xxmaj fun , fun , fun .', 'shouted'),
    ('xxbos xxup wow ! ! ! ! xxmaj fun , fun , fun .', 'then the count, then the character'),
    ('xxbos xxup wow xxrep ! 4 xxmaj fun , fun , fun .', 'one by one'),
    ('xxbos xxup wow xxrep 4 ! xxwrep 3 fun .', 'had a capital'),
    ('xxbos xxup wow xxrep 4 ! xxmaj fun , fun , fun', 'at place 12'),
    ('xxbos xxup wow xxrep 4 ! xxmaj fun , fun , fun . .', "'.' is too much"),
    ('', 'how does every text begin'),
])
def test_wrong_tokens(answer, hint):
    found = check_tokens('WOW!!!! Fun, fun, fun.', answer)
    assert found.startswith('wrong: expected') and hint in found


def test_wrong_vocabularies(tokens):
    counts = Counter(token for row in tokens[0] for token in row)
    assert 'take more' in check_small_vocab(Vocab.from_counts(counts, 1, 200), tokens[1])
    assert 'the smallest' in check_small_vocab(Vocab.from_counts(counts), tokens[1])


@pytest.mark.parametrize(
    'place, pattern, hint',
    [
        (8, r'\d+(?:[.,]\d+)*', 'too late'),
        (0, r'\d+(?:[.,]\d+)*', 'HTML comes first'),
        (3, r'\d+(?:[.,]\d+)*', 'too late'),
        (2, r'\d+(?:[.,]\d+)*', 'too late'),
        (1, r'\d+', 'with its decimals'),
        (1, r'\d', 'with its decimals'),
        (1, 'never', 'no xxnum'),
    ],
)
def test_wrong_number_rules(place, pattern, hint):
    rules = [*RULES[:place], lambda text: re.sub(pattern, 'xxnum', text), *RULES[place:]]
    found = check_number_rule(rules)
    assert found.startswith('wrong: expected') and hint in found


def test_wrong_look_ups(small):
    texts, memo = TRIES + small.texts()[:400], {}
    def naive(text, ask):
        for chunk in text.split():
            if chunk not in memo: memo[chunk] = ask(chunk)[1:]
        return ['xxbos', *(token for chunk in text.split() for token in memo[chunk])]
    def without_rules(text, ask): return ['xxbos', *(token.text for token in word_splitter()(text))]

    assert 'what stands beside it' in check_look_up(
        naive, texts
    ) and 'what stands beside it' in check_look_up(without_rules, texts)
    assert 'remember more' in check_look_up(lambda text, ask: ask(text), texts)
    assert check_look_up(lambda text, ask: [], texts).startswith('wrong: expected')
    assert (
        tokenize_one('so so so', word_splitter()) == ['xxbos', 'xxwrep', '3', 'so']
        and apply_rules('So') == 'xxbos xxmaj so'
    )


# Chapter 2

@pytest.fixture(scope='module')
def train_lens(small, tokens):
    "As in the chapter: lengths, and the padding of its pools with bs=8"
    vocab = Vocab.from_tokens(tokens[0])
    ids = vocab.encode_texts(small.train.text)
    loader = ClassifierLoader(TextIds(ids, vocab), bs=8, shuffle=True)
    return np.array(list(map(len, ids))), padding_share(loader.batches(), loader.dataset.lens)


@pytest.fixture(scope='module')
def answers_2(): return solutions('02_batching', np=np)


def test_solutions_of_chapter_2(answers_2, train_lens):
    lens, pools = train_lens
    assert check_rows(100_000, 64, 72, answers_2['my_places']) == 'passed'
    assert check_padding([10, 7, 2], 4, answers_2['my_padding']) == 'passed'
    assert check_batches(answers_2['my_batches'], lens, 8, pools) == 'passed'
    assert check_whole_texts(answers_2['my_whole_texts']) == 'passed'


@pytest.mark.parametrize(
    'answer, hint',
    [
        ((72, 1562), 'exchanged'),
        ((72, 64 * 72), 'row by row'),
        ((1562, 64 * 72), 'where it stopped'),
        ((100_000 // 64, 64), 'goes on'),
        ((1563, 72), 'how long is a lane'),
    ],
)
def test_wrong_places(answer, hint):
    found = check_rows(100_000, 64, 72, answer)
    assert found.startswith('wrong: expected') and hint in found
    assert (
        'only a target' in check_rows(128, 64, 1, (2, 1))
        and check_rows(128, 64, 1, (1, 1)) == 'passed'
    )


@pytest.mark.parametrize(
    'answer, hint',
    [
        ((10, [0, 0, 8]), 'before the last step'),
        ((10, [0, 3, 8]), 'whole steps only'),
        ((10, [0, 0, 0]), 'padding stands before'),
        ((12, [0, 0, 8]), 'as many whole steps'),
        ((12, [2, 5, 10]), 'whole steps only'),
        ((16, [4, 8, 12]), 'before the last step'),
    ],
)
def test_wrong_padding(answer, hint):
    found = check_padding([10, 7, 2], 4, answer)
    assert found.startswith('wrong: expected') and hint in found


def test_wrong_batches(train_lens):
    lens, pools = train_lens
    n = -(-len(lens)//8)
    def sort(lens, bs, rng): return np.array_split(np.argsort(-lens, kind='stable'), n)
    def shuffled_sort(lens, bs, rng): return [sort(lens, bs, rng)[i] for i in rng.permutation(n)]

    def random(lens, bs, rng):
        return [
            b[np.argsort(-lens[b], kind='stable')]
            for b in np.array_split(rng.permutation(len(lens)), n)
        ]

    def shortest_first(lens, bs, rng): return [b[::-1] for b in sort(lens, bs, rng)]

    for draw, hint in [
        (sort, 'other companions'),
        (shuffled_sort, 'other companions'),
        (random, 'less than'),
        (shortest_first, 'longest text first'),
        (lambda *args: sort(*args)[1:], 'each text once'),
        (lambda *args: [*sort(*args), [0]], 'each text once'),
        (lambda lens, bs, rng: [np.argsort(-lens)], 'at most 8'),
    ]:
        found = check_batches(draw, lens, 8, pools)
        assert found.startswith('wrong: expected') and hint in found


def test_wrong_lanes(answers_2):
    right = answers_2['my_whole_texts']

    def in_turn(texts, bs, seq_len):
        return right_from([np.concatenate(texts[r::bs]).tolist() for r in range(bs)], seq_len)

    def as_they_come(texts, bs, seq_len):
        lanes = [[] for _ in range(bs)]
        for text in texts: min(lanes, key=len).extend(text)
        return right_from(lanes, seq_len)
    def stream(texts, bs, seq_len):
        tokens = np.concatenate(texts).tolist()
        tokens += [1]*(-len(tokens) % bs)
        return right_from(
            [tokens[r * len(tokens) // bs : (r + 1) * len(tokens) // bs] for r in range(bs)],
            seq_len,
        )

    def same(texts, bs, seq_len): return [(x, x) for x, _ in right(texts, bs, seq_len)]
    def lost(texts, bs, seq_len): return right(texts, bs, seq_len)[:-1]

    for make, hint in [
        (in_turn, 'which text goes where'),
        (as_they_come, 'which text goes where'),
        (stream, 'are torn'),
        (same, 'one token further'),
        (lost, 'every token once'),
        (lambda texts, bs, seq_len: right(texts, 1, seq_len), 'expected 4 lanes'),
    ]:
        found = check_whole_texts(make)
        assert found.startswith('wrong: expected') and hint in found


def right_from(lanes, seq_len):
    width = max(map(len, lanes))
    rows = np.array([[*lane, *[1]*(width + 1 - len(lane))] for lane in lanes])
    return [
        (rows[:, k : min(k + seq_len, width)], rows[:, k + 1 : min(k + seq_len, width) + 1])
        for k in range(0, width, seq_len)
    ]


@pytest.mark.parametrize(
    'check, answer, sentence',
    [
        (lambda a: check_tokens('Wow', a), 3, 'with spaces between'),
        (lambda a: check_small_vocab(a, [['a']]), ['a'], 'expected a Vocab'),
        (check_number_rule, 'xxnum', 'list of functions'),
        (check_number_rule, [1, 2], 'list of functions'),
        (lambda a: check_look_up(a, ['a b']), {}, 'expected a function'),
        (lambda a: check_rows(100, 4, 5, a), 'ab', 'a pair of whole numbers'),
        (lambda a: check_padding([3, 2], 2, a), 4, 'a width and a list'),
        (lambda a: check_batches(a, np.array([3, 2]), 2), [[0, 1]], 'expected a function'),
        (check_whole_texts, [], 'expected a function'),
        (check_whole_texts, lambda *args: 3, 'TypeError'),
    ],
)
def test_wrong_types_get_a_sentence(check, answer, sentence):
    found = check(answer)
    assert found.startswith('wrong: expected') and sentence in found


def second_copy(module):
    "A module once more, with classes of its own: what a reader's notebook defines"
    import importlib.util

    spec = importlib.util.find_spec(module)
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    return again


def test_classes_that_the_notebook_has_defined_itself(tokens):
    ours = second_copy('textgraft.tokenization').Vocab
    assert ours is not Vocab
    counts = Counter(token for row in tokens[0] for token in row)
    for size in range(300, len(counts)):
        mine = ours.from_counts(counts, min_freq=1, max_vocab=size)
        if mine.unknown_share(tokens[1]) <= 0.01: break
    assert check_small_vocab(mine, tokens[1]) == 'passed'
    rows = {part: pd.DataFrame([(f'about {label}, {part} {i}', label)
                                for label in WORDS for i in range(12)], columns=['text', 'label'])
            for part in ('train', 'test')}
    mine = second_copy('textgraft.corpus').Corpus('mine', **rows, unlabelled=rows['train'][:0])
    assert check_corpus(mine) == 'passed'


@pytest.mark.parametrize(
    'check, answer',
    [
        (lambda a: check_rule(a, Corpus('none', THREE, THREE, THREE), THREE), lambda text: [1]),
        (lambda a: check_rule(a, Corpus('none', THREE, THREE, THREE), THREE),
         lambda text: np.array([1, 2])),
        (lambda a: check_tokens('Wow', a), np.array([[1, 2], [3, 4]])),
        (lambda a: check_tokens('Wow', a), np.array(5)),
        (check_number_rule, np.array(5)),
        (lambda a: check_look_up(a, ['a b']), lambda text, ask: np.array([[0, 1]])),
        (lambda a: check_rows(100, 4, 5, a), [float('nan'), 1]),
        (lambda a: check_rows(100, 4, 5, a), [float('inf'), 1]),
        (lambda a: check_padding([3, 2], 2, a), [4, [float('nan'), 0]]),
        (lambda a: check_batches(a, np.array([3, 2]), 2), lambda *args: np.array([1, 2])),
    ],
)
def test_odd_values_get_a_sentence(check, answer):
    found = check(answer)
    assert found.startswith('wrong: expected') and len(found) < 300


def test_right_answers_of_another_type():
    tokens = ['xxbos', 'xxmaj', 'wow']
    assert check_tokens('Wow', tokens) == check_tokens('Wow', np.array(tokens)) == 'passed'
    assert (
        check_rows(100_000, 64, 72, np.array([1562, 72]))
        == check_rows(100_000, 64, 72, [1562.0, 72])
        == 'passed'
    )
    assert check_padding([10, 7, 2], 4, [np.int64(12), (0, 4, 8)]) == 'passed'


def test_nothing_to_look_at_is_not_attempted():
    corpus = Corpus('none', pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    assert {
        check_majority([], []),
        check_recipe(),
        check_rule(None, corpus, THREE),
        check_corpus(),
        check_tokens('x'),
        check_small_vocab(None, []),
        check_number_rule(),
        check_look_up(),
        check_rows(9, 2, 2),
        check_padding([3], 2),
        check_batches(),
        check_whole_texts(),
    } == {'not attempted'}
