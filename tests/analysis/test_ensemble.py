from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples
from sklearn.metrics import cohen_kappa_score

from calf.analysis.ensemble import kappa_matrix, majority_vote, oracle_right, wrong_counts


@st.composite
def tables(draw):
    """(n, M) verdicts with failures and constants, and n labels."""
    n, metrics = draw(st.integers(0, 9)), draw(st.integers(0, 5))
    codes = draw(st.sampled_from([[0, 1, 2, 3], [0, 1], [2], [3], [0, 3], [0, 1, 2]]))
    cells = st.lists(st.sampled_from(codes), min_size=n * metrics, max_size=n * metrics)
    labels = st.lists(st.integers(0, 2), min_size=n, max_size=n)
    return np.array(draw(cells), dtype=np.int8).reshape(n, metrics), np.array(draw(labels), dtype=np.int8)


@examples(100)
@given(tables())
def test_kappa_is_scikit_learns_on_the_rows_that_both_judged(table):
    verdict, _ = table
    kappa = kappa_matrix(verdict)
    assert kappa.shape == (verdict.shape[1],) * 2
    np.testing.assert_array_equal(kappa, kappa.T)
    for a in range(verdict.shape[1]):
        for b in range(verdict.shape[1]):
            both = (verdict[:, a] != 3) & (verdict[:, b] != 3)
            first, second = verdict[both, a], verdict[both, b]
            if np.unique(np.concatenate([first, second])).size < 2:
                assert math.isnan(kappa[a, b])
            elif a == b:
                assert kappa[a, b] == 1
            else:
                assert kappa[a, b] == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)


@examples(100)
@given(tables())
def test_votes_of_the_rest_follow_from_counting(table):
    verdict, label = table
    vote, oracle, wrong = majority_vote(verdict), oracle_right(verdict, label), wrong_counts(verdict, label)
    assert (vote.dtype, oracle.dtype, wrong.dtype) == (np.int8, np.bool_, np.int64)
    assert vote.shape == oracle.shape == wrong.shape == label.shape
    for row, truth, v, o, w in zip(verdict.tolist(), label, vote, oracle, wrong, strict=True):
        votes = Counter(code for code in row if code != 3)
        most = [code for code, times in votes.items() if times == max(votes.values())]
        assert v == (3 if not votes else most[0] if len(most) == 1 else 2)
        assert o == (truth in row)
        assert w == sum(code != truth for code in row)


def test_examples():
    verdict = np.array([[0, 0, 1], [0, 1, 3], [3, 3, 1], [3, 3, 3], [2, 2, 0], [0, 1, 2]], dtype=np.int8)
    label = np.array([1, 2, 1, 0, 2, 0], dtype=np.int8)
    assert majority_vote(verdict).tolist() == [0, 2, 1, 3, 2, 2]
    assert oracle_right(verdict, label).tolist() == [True, False, True, False, True, True]
    assert wrong_counts(verdict, label).tolist() == [2, 3, 2, 3, 1, 2]
