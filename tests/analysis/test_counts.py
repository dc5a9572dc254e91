from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from simulated import examples, make, observations
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, precision_recall_fscore_support

from calf.analysis.counts import COUNT_STATISTICS, confusion, symmetric
from calf.types import LABELS

SWAPPED = np.array([1, 0, 2, 3])
DEPENDS_ON_SIDES = {
    *("macro_f1", "kappa"),
    *(f"{name}_{label}" for name in ("precision", "recall", "f1") for label in ("response_a", "response_b")),
}


def counts_of(seen):
    codes, group = np.unique(seen.group, return_inverse=True)
    return confusion(seen.label, seen.verdict, seen.weight, group, codes.size)


def oracle(label, verdict, weight) -> dict[str, float]:
    """Each statistic from scikit-learn, or from its definition row by row."""
    judged, decided = verdict != 3, label != 2
    credit = (label == verdict) + 0.5 * (verdict == 2) * decided
    present = sorted({*label} | {*verdict[judged]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of what is undefined
        kappa = cohen_kappa_score(label, verdict, labels=[0, 1, 2, 3], sample_weight=weight)
        kappa = np.nan if {*label} == {*verdict} and len({*label}) == 1 else kappa
        classes = precision_recall_fscore_support(
            label, verdict, labels=[0, 1, 2], sample_weight=weight, zero_division=np.nan
        )
    return {
        "coverage": np.average(judged, weights=weight),
        "accuracy": accuracy_score(label, verdict, sample_weight=weight),
        "accuracy_failed_right": np.average((label == verdict) | ~judged, weights=weight),
        "decided_accuracy": np.average(credit[decided], weights=weight[decided]) if decided.any() else np.nan,
        "macro_f1": f1_score(label, verdict, labels=present, average="macro", sample_weight=weight, zero_division=0),
        "kappa": kappa,
        "tie_rate": np.average(verdict[judged] == 2, weights=weight[judged]) if judged.any() else np.nan,
        **{
            f"{name}_{LABELS[code]}": values[code]
            for name, values in zip(("precision", "recall", "f1"), classes[:3], strict=True)
            for code in range(3)
        },
    }


@examples(30)
@given(observations(least=1))
def test_statistics_equal_scikit_learn(seen):
    total = counts_of(seen).sum(axis=0)
    as_stored = oracle(seen.label, seen.verdict, seen.weight)
    doubled = oracle(
        np.concatenate((seen.label, SWAPPED[seen.label])),
        np.concatenate((seen.verdict, SWAPPED[seen.verdict])),
        np.concatenate((seen.weight, seen.weight)) / 2,
    )
    expected = as_stored | {f"{name}_symmetric": doubled[name] for name in ("macro_f1", "kappa")}
    assert expected.keys() == COUNT_STATISTICS.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(COUNT_STATISTICS[name](total), value, rtol=0, atol=1e-9, err_msg=name)
    # The others do not depend on which response stands first.
    for name in expected.keys() - DEPENDS_ON_SIDES:
        np.testing.assert_allclose(COUNT_STATISTICS[name](symmetric(total)), expected[name], rtol=0, atol=1e-9)


@examples(40)
@given(observations())
def test_counts_are_the_weights_of_each_group(seen):
    expected = {}
    for row in zip(seen.group, seen.label, seen.verdict, seen.weight, strict=True):
        expected[row[:3]] = expected.get(row[:3], 0.0) + row[3]
    counts = counts_of(seen)
    codes = np.unique(seen.group)
    assert counts.shape == (codes.size, 3, 4)
    found = {(codes[g], a, b): counts[g, a, b] for g, a, b in np.argwhere(counts)}
    assert found == pytest.approx(expected)


def test_leading_axes_are_kept():
    counts = np.random.default_rng(0).integers(0, 3, (5, 7, 3, 4)).astype(float)
    counts[0, 0] = 0
    for name, statistic in COUNT_STATISTICS.items():
        values = statistic(counts)
        assert values.shape == (5, 7)
        single = [[float(statistic(counts[i, j])) for j in range(7)] for i in range(5)]
        np.testing.assert_array_equal(values, single, err_msg=name)


def test_no_count_is_undefined_without_a_warning():
    with np.errstate(all="raise"):
        assert all(np.isnan(statistic(np.zeros((3, 4)))) for statistic in COUNT_STATISTICS.values())


def test_a_failed_judgment_is_wrong_and_never_a_tie():
    # Two right, one failed whose label is same.
    total = counts_of(make([0, 1, 2], [0, 1, 3])).sum(axis=0)
    values = {name: float(statistic(total)) for name, statistic in COUNT_STATISTICS.items()}
    assert values["accuracy"] == pytest.approx(2 / 3)
    assert values["accuracy_failed_right"] == 1.0
    assert values["coverage"] == pytest.approx(2 / 3)
    assert values["tie_rate"] == 0.0
    assert values["macro_f1"] == pytest.approx(2 / 3)
    assert values["decided_accuracy"] == 1.0


def test_a_class_without_labels_or_verdicts():
    # Two verdicts are response_a, of which one is right; nobody and nothing says same.
    total = counts_of(make([0, 1, 1], [0, 0, 3])).sum(axis=0)
    values = {name: float(statistic(total)) for name, statistic in COUNT_STATISTICS.items()}
    assert (values["precision_response_a"], values["recall_response_a"]) == (0.5, 1.0)
    assert values["f1_response_a"] == pytest.approx(2 / 3)
    assert np.isnan(values["precision_response_b"])
    assert (values["recall_response_b"], values["f1_response_b"]) == (0.0, 0.0)
    assert all(np.isnan(values[f"{name}_same"]) for name in ("precision", "recall", "f1"))


def test_always_a_has_symmetric_kappa_zero():
    total = counts_of(make([0] * 6 + [1] * 4, [0] * 10)).sum(axis=0)
    assert COUNT_STATISTICS["kappa"](total) == 0.0
    assert COUNT_STATISTICS["kappa_symmetric"](total) == pytest.approx(0.2)
