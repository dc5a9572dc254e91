from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples, make, observations, simulate, whole

from calf.analysis import STATISTICS, Observations, measure
from calf.analysis.bootstrap import multiplicities
from calf.analysis.counts import COUNT_STATISTICS

NAMES = {
    *("coverage", "accuracy", "accuracy_failed_right", "decided_accuracy", "macro_f1", "macro_f1_symmetric", "kappa"),
    *("kappa_symmetric", "kendall_tau", "kendall_tau_symmetric", "spearman", "spearman_symmetric", "pearson"),
    *("pearson_symmetric", "tie_rate"),
}


def swapped(seen: Observations) -> Observations:
    change = np.array([1, 0, 2, 3], dtype=np.int8)
    return make(change[seen.label], change[seen.verdict], -seen.difference, seen.group, seen.weight, seen.scale)


def test_keys():
    assert set(STATISTICS) == NAMES
    for seen in (make([], []), simulate(30, 0)):
        row = measure(seen)
        expected = [key for name in STATISTICS for key in (name, f"{name}_low", f"{name}_high")]
        assert list(row) == ["n", "groups", *expected, "undefined"]


@examples(60)
@given(observations())
def test_values_are_plain_and_every_missing_one_has_a_reason(seen):
    with np.errstate(all="raise", under="ignore"):
        row = measure(seen)
    json.dumps(row, allow_nan=False)
    assert all(type(value) in (float, int, str, type(None)) for value in row.values())
    assert type(row["n"]) is int
    assert row["n"] == round(seen.weight.sum())
    assert row["groups"] == len({*seen.group.tolist()})
    reasons = {
        name: reason
        for names, _, reason in (part.partition(": ") for part in str(row["undefined"]).split("; ") if part)
        for name in names.split(", ")
    }
    for name in STATISTICS:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        assert (row[name] is None) == (name in reasons)
        assert (low is None) == (high is None) == (name in reasons or f"interval of {name}" in reasons)
        assert low is None or low <= high
        if row[name] is not None:
            assert -1.0 <= row[name] <= 1.0
    if row["groups"] == 1:
        assert all(row[f"{name}_low"] is None for name in STATISTICS)
    else:
        assert "fewer than 2 groups" not in row["undefined"]


@examples(40)
@given(observations(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_digit(seen, chance):
    order = list(range(len(seen)))
    chance.shuffle(order)
    assert measure(seen.select(np.array(order, dtype=np.int64))) == measure(seen)


def test_the_order_of_rows_changes_no_digit_of_many():
    seen = simulate(90, 3)
    order = np.random.default_rng(0).permutation(len(seen))
    assert measure(seen.select(order)) == measure(seen)


@examples(40)
@given(observations())
def test_other_codes_of_the_groups_in_the_same_order_change_nothing(seen):
    other = make(seen.label, seen.verdict, seen.difference, 3 * seen.group + 100, seen.weight)
    assert measure(other) == measure(seen)


@examples(60)
@given(observations())
def test_which_response_stands_first_changes_no_symmetric_statistic(seen):
    before, after = measure(seen), measure(swapped(seen))
    depends = {"macro_f1", "kappa", "kendall_tau", "spearman", "pearson"}
    for name in NAMES:
        for key in (name, f"{name}_low", f"{name}_high"):
            if before[key] is None or after[key] is None:
                assert before[key] == after[key]
            else:
                # All rows change places alike, so what depends on places does not change either, but for rounding.
                tolerance = 1e-12 if name in depends else 0.0
                assert after[key] == pytest.approx(before[key], abs=tolerance, rel=0)
    assert before["undefined"] == after["undefined"]


@examples(60)
@given(observations(least=2, most=10), st.integers(0, 2**32 - 1))
def test_sides_drawn_anew_change_no_symmetric_statistic(seen, seed):
    """As stored, statistics depend on which response of a comparison stands first; symmetric ones do not."""
    codes = np.random.default_rng(seed).integers(0, 2, len(seen)).astype(bool)
    other = swapped(seen)
    mixed = make(
        *(
            np.where(codes, getattr(other, name), getattr(seen, name))
            for name in ("label", "verdict", "difference", "group", "weight")
        )
    )
    before, after = measure(seen), measure(mixed)
    for name in NAMES - {"macro_f1", "kappa", "kendall_tau", "spearman", "pearson"}:
        for key in (name, f"{name}_low", f"{name}_high"):
            assert after[key] == before[key], key


def test_negated_differences_negate_the_correlations():
    seen = simulate(60, 8)
    other = make(seen.label, seen.verdict, -seen.difference, seen.group)
    before, after = measure(seen), measure(other)
    for name in ("kendall_tau", "kendall_tau_symmetric", "spearman", "pearson_symmetric"):
        assert after[name] == pytest.approx(-before[name], abs=1e-12)
        assert after[f"{name}_low"] == pytest.approx(-before[f"{name}_high"], abs=1e-12)
    assert all(after[name] == before[name] for name in COUNT_STATISTICS)


@examples(40)
@given(observations(least=1))
def test_a_comparison_judged_k_times_counts_once(seen):
    """Weights 1/K give the values of rows repeated by whole numbers."""
    rows = np.repeat(np.arange(len(seen)), whole(seen))
    repeated = make(seen.label[rows], seen.verdict[rows], seen.difference[rows], seen.group[rows])
    before, after = measure(seen), measure(repeated)
    assert after["n"] == 6 * before["n"]
    for name in NAMES:
        assert (before[name] is None) == (after[name] is None)
        if before[name] is not None:
            assert before[name] == pytest.approx(after[name], abs=1e-9)
            if before["groups"] > 1 and before[f"{name}_low"] is not None:
                assert before[f"{name}_low"] == pytest.approx(after[f"{name}_low"], abs=1e-9)


def test_intervals_are_percentiles_of_a_loop():
    seen = simulate(40, 11)
    row = measure(seen, seed=7)
    resampled = []
    for block in multiplicities(40, 10_000, 7):
        for times in block.T:
            again = np.repeat(seen.label == seen.verdict, times[seen.group])
            resampled.append(again.mean())
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])))
    assert measure(seen, seed=8)["accuracy_low"] != row["accuracy_low"]


def test_no_comparison():
    row = measure(make([], []))
    assert (row["n"], row["groups"]) == (0, 0)
    assert all(row[name] is None for name in STATISTICS)
    assert row["undefined"] == ", ".join(STATISTICS) + ": no comparison"


def test_reasons():
    row = measure(make([2, 2, 2], [2, 3, 2], group=[1, 1, 2]))
    for part in (
        "decided_accuracy: every label is same",
        "every score difference is equal",
        "kendall_tau, spearman, pearson, kendall_tau_symmetric, spearman_symmetric, pearson_symmetric: ",
    ):
        assert part in row["undefined"]
    row = measure(make([0, 0, 0], [0, 0, 0], group=[1, 1, 2]))
    assert "kappa: every label and every verdict is the same outcome" in row["undefined"]
    assert row["kappa_symmetric"] == 1.0
    assert row["kendall_tau_symmetric"] == pytest.approx(1.0)
    row = measure(make([0, 0, 0], [0, 1, 0], group=[1, 1, 2]))
    assert "kendall_tau, spearman, pearson: every label is equal" in row["undefined"]
    row = measure(make([0, 1], [3, 3]))
    assert "no comparison was judged" in row["undefined"]
    assert row["accuracy"] == 0.0
    assert row["accuracy_failed_right"] == 1.0
    assert row["coverage"] == 0.0
    assert row["tie_rate"] is None
    row = measure(make([0, 1, 2], [0, 1, 0], group=[5, 5, 5]))
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert row["accuracy_low"] is None
    assert "interval of accuracy" in row["undefined"]
    assert row["undefined"].endswith("fewer than 2 groups")


def test_an_interval_that_most_resamples_leave_open_is_undefined():
    """One decided comparison of three groups: 30 % of the resamples have none."""
    row = measure(make([0, 2, 2], [0, 2, 0]))
    assert row["decided_accuracy"] == 1.0
    assert row["decided_accuracy_low"] is None
    assert "interval of decided_accuracy" in row["undefined"]
    assert "undefined in more than 5 % of the resamples" in row["undefined"]
    assert row["accuracy_low"] is not None


def test_scores_of_different_models_are_not_pooled():
    seen = simulate(20, 1)
    scale = np.arange(len(seen)) % 2
    row = measure(make(seen.label, seen.verdict, seen.difference, seen.group, scale=scale))
    assert row["kendall_tau"] is None
    assert row["pearson_symmetric_high"] is None
    assert "pearson_symmetric: scores of different models are not pooled over languages" in row["undefined"]
    assert row["accuracy"] == measure(seen)["accuracy"]
    # A scale of which every judgment failed is not in the correlations.
    verdict = np.where(scale == 1, 3, seen.verdict)
    alone = measure(make(seen.label, verdict, seen.difference, seen.group, scale=scale))
    assert alone["kendall_tau"] is not None


def test_metrics_on_one_slice_share_their_resamples():
    """A metric and its complement: each resample's accuracies add up to 1, so the intervals mirror each other."""
    seen = simulate(50, 4)
    label = seen.label % 2
    verdict = seen.verdict % 2
    one, other = (measure(make(label, v, group=seen.group)) for v in (verdict, 1 - verdict))
    assert one["accuracy_low"] == pytest.approx(1 - other["accuracy_high"], abs=1e-12)


def test_the_same_bytes_on_any_number_of_threads():
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); from simulated import simulate; "
        "from calf.analysis import measure; print(json.dumps(measure(simulate(300, 1))))"
    )
    folder = __file__.rpartition("/")[0]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, folder],
            env={"OPENBLAS_NUM_THREADS": threads, "PATH": ""},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_statistics_need_numpy_alone():
    code = (
        "import sys, calf.analysis.measures; "
        "print([m for m in ('scipy', 'sklearn', 'pandas', 'datasets', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
