"""Generated answers: ROUGE against its definition, matching, and variety."""

import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.metrics.text import ngram_entropy, normalised, normalised_match, rouge, substring_match

TEXTS = st.lists(st.sampled_from(["red", "cat", "sat", "down", "mat"]), min_size=1, max_size=8).map(" ".join)


def common_subsequence(a, b):
    @cache
    def length(i, j):
        if i == len(a) or j == len(b):
            return 0
        return 1 + length(i + 1, j + 1) if a[i] == b[j] else max(length(i + 1, j), length(i, j + 1))

    return length(0, 0)


@given(TEXTS, TEXTS)
def test_rouge_is_its_definition(answer, reference):
    a, r = answer.split(), reference.split()
    common = common_subsequence(a, r)
    assert rouge([answer], [reference])[0] == pytest.approx(common / len(r))
    assert rouge([answer], [reference], measure="precision")[0] == pytest.approx(common / len(a))
    f1 = 2 * common / (len(a) + len(r))
    assert rouge([answer], [reference], measure="fmeasure")[0] == pytest.approx(f1)
    shared = sum((Counter(a) & Counter(r)).values())
    assert rouge([answer], [reference], kind="rouge1")[0] == pytest.approx(shared / len(r))


def test_recall_and_f1_differ_and_so_do_stems():
    """TOFU reports recall, MUSE F1: a long answer is punished by one of them only."""
    long = ["Paris is the capital of France and a large town"]
    assert rouge(long, ["Paris"])[0] == 1
    assert rouge(long, ["Paris"], measure="fmeasure")[0] == pytest.approx(0.2 / 1.1)
    assert rouge(["cats"], ["cat"])[0] == 1 and rouge(["cats"], ["cat"], stemmer=False)[0] == 0


def test_a_short_answer_is_found_in_almost_any_text():
    """Trap 13."""
    answers, gold = ["probably", "C", "b"], ["B"] * 3
    assert substring_match(answers, gold).tolist() == [1, 0, 1]
    assert normalised_match(answers, gold).tolist() == [0, 0, 1]


def test_matching_forgives_case_punctuation_articles_and_blanks_only():
    assert normalised_match(["  The U.S.  ", "5"], ["us", "50"]).tolist() == [1, 0]
    assert normalised("another theme") == "another theme"


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_variety_is_least_in_repetition_and_most_without(texts):
    for text, entropy in zip(texts, ngram_entropy(texts), strict=True):
        n = len(text.split())
        most = (2 / 3 * math.log2(max(n - 1, 1)) + 4 / 3 * math.log2(max(n - 2, 1))) / 2
        assert 0 <= entropy <= most + 1e-12
    assert ngram_entropy(["no " * 9, "one", ""]).tolist() == [0, 0, 0]
    assert ngram_entropy(["a b c d e"])[0] == pytest.approx((2 / 3 * 2 + 4 / 3 * math.log2(3)) / 2)


def test_lists_of_other_lengths_are_refused():
    for function in (rouge, normalised_match, substring_match):
        with pytest.raises(ValueError, match="`answers` holds 2 texts but `references` 1"):
            function(["a", "b"], ["a"])
    assert np.array_equal(rouge([], []), [])
