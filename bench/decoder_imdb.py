"""A pretrained decoder as a classifier of reviews: without any label, and with a few.

    python -m bench.decoder_imdb --data imdb.tar.xz [--test 400] [--draws 5] [--no-record]

Of each review the first and the last 60 tokens are read. Without a label: which words the decoder
expects after 'My verdict: this film is', with their bias measured on 200 training reviews whose
labels are not read or, beside it, on prompts without content. With labels: a logistic regression on
the last token's state, from other labels in each draw; TF-IDF learns from the same ones. A model of
the web may have met IMDB's reviews in its training, so the same is done on generated reviews, which
it cannot have met. GPT-2 stands beside it where it can be loaded.
"""
import argparse
import time

from bench.record import record
from textgraft.corpus import Corpus
from textgraft.course.reviews import load_corpus
from textgraft.course.settings import SMALL
from textgraft.gpt2 import load_decoder
from textgraft.library.decoder_rungs import ByWords, DecoderStates
from textgraft.library.rungs import Given, tfidf_words

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def spread(scores):
    "A cell of the recorded table"
    return {'mean': float(np.mean(scores)), 'lowest': min(scores), 'highest': max(scores),
        'each': scores}


def without_labels(name, corpus):
    "Accuracy by where the bias of the words comes from; of the labels only the names are used"
    found = {}
    for bias_from in ('texts', 'nothing'):
        asked = ByWords(name, bias_from=bias_from).fit(corpus.train.text, corpus.train.label)
        right = asked.score(corpus.test.text, corpus.test.label)
        found[f'{name}: by words, bias from {bias_from}'] = spread([right])
    return found


def from_states(name):
    "Last token's state and logistic regression"
    return make_pipeline(DecoderStates(name), StandardScaler(),
        LogisticRegression(C=.003, max_iter=1000))


def with_labels(learner, corpus, n_labels, draws):
    "Accuracy of one method, over draws of labels"
    scores = []
    for seed in range(draws):
        few = corpus.sample(train=n_labels, seed=seed).train
        learner.fit(few.text, few.label)
        scores.append(learner.score(corpus.test.text, corpus.test.label))
    return spread(scores)


def parsed(argv):
    "The arguments of the command line"
    parser = argparse.ArgumentParser(description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', required=True, help='folder or archive of IMDB')
    parser.add_argument('--test', type=int, default=400, help='test reviews')
    parser.add_argument('--draws', type=int, default=5, help='how often labels are drawn')
    parser.add_argument('--seed', type=int, default=42, help='which reviews')
    parser.add_argument('--no-record', action='store_true')
    return parser.parse_args(argv)


def main(argv=None):
    args = parsed(argv)
    sizes = dict(train=300, test=args.test, unlabelled=0, seed=args.seed)
    corpora = {'IMDB': Corpus.from_folder(args.data, on_overlap='drop').sample(**sizes),
        'generated': load_corpus(SMALL).sample(**sizes)}
    figures = {'test_reviews': args.test, 'draws': args.draws, 'seed': args.seed, 'seconds': {}}
    decoders = []
    for name in ('smollm2', 'gpt2'):
        try: load_decoder(name)
        except (FileNotFoundError, ConnectionError) as error:
            figures.setdefault('missing', {})[name] = type(error).__name__
            print(error)
        else: decoders.append(name)
    for corpus_name, corpus in corpora.items():
        start = time.perf_counter()
        table = {0: {}, 20: {}, 100: {}}
        for name in decoders: table[0] |= without_labels(name, corpus)
        for n_labels in (20, 100):
            learners = {f"{name}: last token's state": from_states(name) for name in decoders}
            learners['TF-IDF words'] = tfidf_words(Given(list(corpus.train.text)))
            for method, learner in learners.items():
                table[n_labels][method] = with_labels(learner, corpus, n_labels, args.draws)
        for n_labels, row in table.items():
            figures[f'{corpus_name}, {n_labels} labels'] = row
            print(corpus_name, n_labels, row, flush=True)
        figures['seconds'][corpus_name] = time.perf_counter() - start
    if not args.no_record: print(record('decoder-imdb', figures,
        ('textgraft', 'torch', 'transformers', 'scikit-learn')))


if __name__ == '__main__': main()
