"The sliced loss: equal to the plain one, in training as by itself"
from textgraft.batching import lm_dataloaders
from textgraft.course.reviews import small_reviews
from textgraft.library.sliced_loss import SlicedLoss, candidate_words, linear_cross_entropy
from textgraft.lm_finetune import lm_learner, new_lm
from textgraft.tokenization import SPECIAL_TOKENS, Vocab, tokenize

import numpy as np
import pytest
import torch
from fastai.losses import CrossEntropyLossFlat
from torch.nn.functional import cross_entropy, linear
from torch.testing import assert_close


@pytest.mark.parametrize('n, words', [(1, 2), (49, 10), (50, 10), (51, 10), (120, 6000)])
def test_value_and_gradients(n, words):
    torch.manual_seed(n)
    leaves = [torch.randn(n, 5), torch.randn(words, 5), torch.randn(words)]
    targets, found = torch.randint(0, words, (n,)), []
    for loss in (linear_cross_entropy, lambda s, t, b, y: cross_entropy(linear(s, t, b), y)):
        mine = [leaf.clone().requires_grad_() for leaf in leaves]
        value = loss(*mine, targets)
        (value*.5).backward()
        found.append([value.detach(), *(leaf.grad for leaf in mine)])
    for ours, theirs in zip(*found, strict=True): assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_scores_of_any_height():
    "A softmax that overflows would give nan"
    states, table = torch.tensor([[1e4]]), torch.tensor([[1.], [-1.]])
    value = linear_cross_entropy(states.requires_grad_(), table, torch.zeros(2), torch.tensor([1]))
    assert_close(value, torch.tensor(2e4))


def test_training_is_the_same_as_with_the_plain_loss():
    vocab = Vocab([*SPECIAL_TOKENS, *'abcdefg'])
    texts = [np.random.default_rng(i).integers(0, len(vocab), 200) for i in range(20)]
    def trained(plain):
        lm = new_lm(vocab, 8, 8, 1, drop_mult=1e-6)
        dls = lm_dataloaders(texts, texts[:4], vocab, bs=4, seq_len=20)
        learn = lm_learner(lm, dls, quiet=True)
        if plain: learn.loss_func = CrossEntropyLossFlat()
        assert isinstance(learn.loss_func, SlicedLoss) != plain
        if plain: learn.remove_cbs([cb for cb in learn.cbs if type(cb).__name__ == 'Sliced'])
        torch.manual_seed(0)
        learn.fit(2, 1e-2)
        return learn.recorder.values[-1], lm.model[0].encoder.weight.detach().cpu()
    (ours, table), (theirs, plain_table) = trained(False), trained(True)
    assert_close(table, plain_table, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_chance_of_a_word_to_be_scored():
    "Drawn many times, words are candidates as often as `candidate_words` says"
    torch.manual_seed(0)
    share = torch.tensor([.5, .3, .1, .05, .03, .02])
    times, rounds = torch.zeros(6), 4000
    for _ in range(rounds):
        words, log_chance = candidate_words(torch.multinomial(share, 8, replacement=True), share, 2)
        times[words] += 1
    expected = 1 - (1-2/6)*(1-share)**8
    assert_close(times/rounds, expected, rtol=0, atol=.03)
    assert_close(log_chance.exp(), expected[words])


@pytest.mark.parametrize('share', [[1., 0., 0.], [.5, .5, 0.]])
def test_words_that_never_occur_can_be_candidates(share):
    words, log_chance = candidate_words(torch.tensor([0, 0]), torch.tensor(share), 3)
    assert words.tolist() == [0, 1, 2] and log_chance.isfinite().all()


def test_sampled_training_learns_the_same():
    "Frequent words are always candidates; if that were not made up for, it would learn otherwise"
    texts = tokenize(list(small_reviews(600, 0, 0).train.text))
    vocab = Vocab.from_tokens(texts)
    ids = [vocab.encode(text) for text in texts]
    def perplexity(sampled):
        lm = new_lm(vocab, 32, 32, 1, drop_mult=1e-6)
        dls = lm_dataloaders(ids[:500], ids[500:], vocab, bs=8, seq_len=15)
        learn = lm_learner(lm, dls, quiet=True, sampled=sampled)
        torch.manual_seed(0)
        learn.fit_one_cycle(2, 1e-2)
        return learn.recorder.values[-1][-1]
    assert perplexity(30) == pytest.approx(perplexity(0), rel=.2)
