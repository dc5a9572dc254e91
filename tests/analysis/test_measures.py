from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from few_resamples import with_few_resamples
from hypothesis import given
from hypothesis import strategies as st
from simulated import annotated, examples, make, observations, simulate, whole

from calf.analysis import STATISTICS, Observations, measure
from calf.analysis.annotators import Annotations, leave_one_out
from calf.analysis.bootstrap import multiplicities
from calf.analysis.counts import COUNT_STATISTICS
from calf.analysis.measures import keys

CORRELATIONS = ("kendall_tau", "tau_c", "spearman", "pearson")
CLASSES = ("response_a", "response_b", "same")
PER_CLASS = {f"{name}_{label}" for name in ("precision", "recall", "f1") for label in CLASSES}
AGREEMENTS = {"pairwise_agreement", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha"}
NAMES = {
    *("coverage", "accuracy", "accuracy_failed_right", "decided_accuracy", "macro_f1", "macro_f1_symmetric", "kappa"),
    *("kappa_symmetric", "tie_rate", "acc_eq", "acc_eq_cv", "acc_eq_gap"),
    *CORRELATIONS,
    *(f"{name}_symmetric" for name in CORRELATIONS),
    *("flip_rate", "accuracy_consistent", "first_position_rate", "retest_agreement"),
    *("accuracy_longer_preferred", "accuracy_shorter_preferred", "accuracy_length_balanced", "length_log_loss_gain"),
    *("human_preferred_rate", "human_preferred_rate_people"),
    *("accuracy_low_overlap", "accuracy_high_overlap", "overlap_gap", "accuracy_leave_one_out"),
    *PER_CLASS,
    *AGREEMENTS,
}
CONFUSION = [f"confusion_{label}_{verdict}" for label in CLASSES for verdict in (*CLASSES, "failed")]
CHANCE = ("acc_eq_chance", "acc_eq_cv_chance")
SHARES = {
    *("acc_eq", "acc_eq_cv", "flip_rate", "accuracy_consistent", "first_position_rate", "retest_agreement"),
    *("accuracy_longer_preferred", "accuracy_shorter_preferred", "length_log_loss_gain"),
    *("human_preferred_rate", "human_preferred_rate_people", "accuracy_low_overlap", "accuracy_high_overlap"),
    "accuracy_leave_one_out",
}
SIZES = {f"{name}_n" for name in SHARES}
FEW = "fewer than 10 groups have such a comparison"
ALTERNATIVE = ("alt_winning_rate", "alt_advantage", "alt_annotators")
PLAIN = {"tie_threshold", "rerun_variance", *CHANCE, *ALTERNATIVE, *CONFUSION, *SIZES}
OF_LABELS = {"macro_f1", "kappa", *CORRELATIONS, *PER_CLASS}
"""What depends on which response of a comparison stands first."""

CHANGE = np.array([1, 0, 2, 3, -1], dtype=np.int8)  # the last is for -1


def swapped(seen: Observations, rows: np.ndarray | None = None) -> Observations:
    """The responses change places in all rows, or in those of the mask: the order given is then the other one."""
    other = dataclasses.replace(
        seen,
        label=CHANGE[seen.label],
        verdict=CHANGE[seen.verdict],
        difference=-seen.difference,
        given=CHANGE[seen.swapped],
        swapped=CHANGE[seen.given],
        length_a=seen.length_b,
        length_b=seen.length_a,
        human=np.where(seen.human < 0, seen.human, 1 - seen.human).astype(np.int8),
    )
    if rows is None:
        return other
    fields = [field.name for field in dataclasses.fields(seen)]
    return Observations(*(np.where(rows, getattr(other, name), getattr(seen, name)) for name in fields))


def swapped_people(annotations: Annotations | None, comparisons: np.ndarray | None = None) -> Annotations | None:
    """The same of people's labels, of all comparisons or of these."""
    if annotations is None:
        return None
    rows = slice(None) if comparisons is None else np.isin(annotations.comparison, comparisons)
    label = annotations.label.copy()
    label[rows] = CHANGE[label[rows]]
    return dataclasses.replace(annotations, label=label)


def of_people(annotations: Annotations) -> Observations:
    """People against each other, as the rows of the metric human are made."""
    others = leave_one_out(annotations)
    verdict = annotations.label[others.row]
    group = annotations.group[others.row]
    return make(others.target, verdict, None, group, others.weight, fold=group % 3)


def reasons_of(row: dict[str, object]) -> dict[str, str]:
    """The reason for each name; no name has two."""
    pairs = [
        (name, reason)
        for names, _, reason in (part.partition(": ") for part in str(row["undefined"]).split("; ") if part)
        for name in names.split(", ")
    ]
    assert len(pairs) == len(dict(pairs))
    assert all(reason for _, reason in pairs)
    return dict(pairs)


def check(row: dict[str, object]) -> None:
    """What every row keeps: plain finite values, an interval or a reason why there is none, shares from -1 to 1."""
    json.dumps(row, allow_nan=False)
    assert tuple(row) == keys()
    assert all(type(value) in (float, int, str, bool, type(None)) for value in row.values())
    assert type(row["n"]) is type(row["groups"]) is int
    assert row["few_groups"] is (row["groups"] < 50)
    reasons = reasons_of(row)
    intervals = {f"{name}_{end}" for name in STATISTICS for end in ("low", "high")}
    missing = {key for key, value in row.items() if value is None and key not in intervals}
    assert missing == {name for name in reasons if not name.startswith("interval of ")}
    assert {name.removeprefix("interval of ") for name in reasons} <= {*STATISTICS, *PLAIN}
    for name in STATISTICS:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        assert (low is None) == (high is None) == (name in reasons or f"interval of {name}" in reasons)
        assert low is None or low <= high
        if row[name] is not None and name != "length_log_loss_gain":
            least = -1.0 if name.endswith("_gap") or name in {*AGREEMENTS, "kappa", "kappa_symmetric"} else 0.0
            least = -1.0 if name.removesuffix("_symmetric") in CORRELATIONS else least
            assert least - 1e-12 <= row[name] <= 1.0 + 1e-12, name
            assert low is None or least - 1e-12 <= low <= high <= 1.0 + 1e-12, name
    for name in SHARES:
        assert row[f"{name}_n"] is None or 0.0 <= row[f"{name}_n"] <= row["n"] + 1e-9
        assert (not row[f"{name}_n"]) == (row[name] is None), name
    if row["groups"] == 1:
        assert all(row[f"{name}_low"] is None for name in STATISTICS)
    else:
        assert "fewer than 2 groups" not in row["undefined"]


def test_keys():
    assert set(STATISTICS) == NAMES
    assert len(STATISTICS) == len(NAMES)
    expected = [key for name in STATISTICS for key in (name, f"{name}_low", f"{name}_high")]
    for seen in (make([], []), simulate(30, 0)):
        row = measure(seen)
        assert list(row) == list(keys())
        assert set(keys()) == {"n", "groups", "few_groups", *expected, *PLAIN, "alt_epsilon", "undefined"}
        assert len(keys()) == len(set(keys()))
        check(row)


@examples(40)
@given(annotated())
@with_few_resamples
def test_values_are_plain_and_every_missing_one_has_a_reason(drawn):
    seen, annotations = drawn
    with np.errstate(all="raise", under="ignore"):
        row = measure(seen, annotations=annotations)
    check(row)
    assert row["n"] == round(seen.weight.sum())
    assert row["groups"] == len({*seen.group.tolist()})
    assert sum(row[name] or 0.0 for name in CONFUSION) == pytest.approx(row["n"], abs=1e-7)
    for code, label in enumerate(CLASSES):
        for verdict, name in enumerate((*CLASSES, "failed")):
            cell = seen.weight[(seen.label == code) & (seen.verdict == verdict)].sum()
            assert (row[f"confusion_{label}_{name}"] or 0.0) == pytest.approx(cell, abs=1e-8)


@examples(25)
@given(annotated(least=1))
@with_few_resamples
def test_the_rows_of_people_are_as_plain(drawn):
    annotations = drawn[1]
    if annotations is None:
        return
    seen = of_people(annotations)
    shared = np.isin(annotations.comparison, annotations.comparison[leave_one_out(annotations).row])
    with np.errstate(all="raise", under="ignore"):
        row = measure(seen, annotations=annotations.select(shared), people=True)
    check(row)
    assert row["n"] == np.unique(annotations.comparison[shared]).size
    assert row["accuracy"] == row["accuracy_leave_one_out"]
    assert (row["pairwise_agreement"] is None) == (row["n"] == 0)
    if row["n"]:
        never = (*ALTERNATIVE, "flip_rate", "accuracy_consistent", "first_position_rate", "overlap_gap")
        assert {reasons_of(row)[name] for name in never} == {"said of metrics, not of people"}
        most = np.bincount(np.unique(annotations.comparison[shared], return_inverse=True)[1]).max()
        if most <= 3:
            assert row["accuracy"] == pytest.approx(row["pairwise_agreement"], abs=1e-12)


@examples(25)
@given(annotated(), st.randoms(use_true_random=False))
@with_few_resamples
def test_the_order_of_rows_changes_no_digit(drawn, chance):
    seen, annotations = drawn
    order = list(range(len(seen)))
    chance.shuffle(order)
    other = None
    if annotations is not None:
        places = list(range(len(annotations)))
        chance.shuffle(places)
        other = annotations.select(np.array(places, dtype=np.int64))
    before = measure(seen, annotations=annotations)
    assert measure(seen.select(np.array(order, dtype=np.int64)), annotations=other) == before


def rich(groups: int, seed: int) -> tuple[Observations, Annotations]:
    """Many rows of which everything is known."""
    seen = simulate(groups, seed)
    chance = np.random.default_rng(seed)
    n = len(seen)
    human = chance.integers(-1, 2, n).astype(np.int8)
    overlap = np.where(seen.label == 2, np.nan, chance.integers(0, 30, n) / 30)
    lengths = {f"length_{side}": chance.integers(1, 900, n) for side in "ab"}
    other = np.where(chance.random(n) < 0.7, seen.verdict, chance.integers(0, 4, n)).astype(np.int8)
    seen = dataclasses.replace(
        seen, fold=seen.group % 10, human=human, overlap=overlap, given=seen.verdict, swapped=other, **lengths
    )
    people = np.sort(np.argsort(chance.random((n, 5)), axis=1)[:, :3], axis=1)
    said = np.where(chance.random((n, 3)) < 0.7, seen.label[:, None], chance.integers(0, 3, (n, 3)))
    annotations = Annotations(
        np.repeat(np.arange(n), 3), people.ravel(), said.astype(np.int8).ravel(), np.repeat(seen.group, 3)
    )
    return seen, annotations


def test_the_order_of_rows_changes_no_digit_of_many():
    seen, annotations = rich(90, 3)
    chance = np.random.default_rng(0)
    before = measure(seen, annotations=annotations)
    check(before)
    missing = set(NAMES) - {name for name in NAMES if before[name] is not None}
    assert missing == {"retest_agreement", *AGREEMENTS}
    assert before["alt_winning_rate"] is not None
    others = annotations.select(chance.permutation(len(annotations)))
    assert measure(seen.select(chance.permutation(len(seen))), annotations=others) == before


@examples(25)
@given(annotated())
@with_few_resamples
def test_other_codes_of_the_groups_in_the_same_order_change_nothing(drawn):
    seen, annotations = drawn
    other = dataclasses.replace(seen, group=3 * seen.group + 100)
    same = None if annotations is None else dataclasses.replace(annotations, group=3 * annotations.group + 100)
    assert measure(other, annotations=same) == measure(seen, annotations=annotations)


@examples(25)
@given(annotated())
@with_few_resamples
def test_other_codes_of_folds_comparisons_and_annotators_change_nothing(drawn):
    seen, annotations = drawn
    other = dataclasses.replace(seen, fold=3 * seen.fold + 7, comparison=500 - seen.comparison)
    if annotations is not None:
        annotations = dataclasses.replace(
            annotations, comparison=500 - annotations.comparison, annotator=-annotations.annotator
        )
    before = measure(seen, annotations=drawn[1])
    after = measure(other, annotations=annotations)
    for key in keys():  # sums over comparisons in another order are rounded otherwise
        rounded = "kappa" in key or key == "rerun_variance"
        assert after[key] == (pytest.approx(before[key], abs=1e-12) if rounded else before[key]), key


def mirrored(key: str) -> str:
    """What a key of the one arrangement is in the other."""
    places = {"response_a": "response_b", "response_b": "response_a"}
    return re.sub("response_[ab]", lambda found: places[found[0]], key)


@examples(40)
@given(annotated())
@with_few_resamples
def test_which_response_stands_first_changes_no_symmetric_statistic_and_mirrors_the_others(drawn):
    """All rows change places alike: what depends on places does not change either but for rounding, except by class."""
    seen, annotations = drawn
    before, after = (
        measure(seen, annotations=annotations),
        measure(swapped(seen), annotations=swapped_people(annotations)),
    )
    for key in set(keys()) - {*CHANCE, "undefined"}:
        one, other = before[key], after[mirrored(key)]
        if one is None or other is None or isinstance(one, (str, bool)):
            assert one == other, key
        else:
            name = key.removesuffix("_low").removesuffix("_high")
            tolerance = 1e-12 if name in OF_LABELS or name in AGREEMENTS else 0.0
            assert other == pytest.approx(one, abs=tolerance, rel=0), key
    assert {mirrored(name): mirrored(reason) for name, reason in reasons_of(before).items()} == reasons_of(after)


def test_which_response_stands_first_changes_nothing_of_many():
    seen, annotations = rich(90, 5)
    before, after = (
        measure(seen, annotations=annotations),
        measure(swapped(seen), annotations=swapped_people(annotations)),
    )
    for key in set(keys()) - {"undefined"}:
        tolerance = 0.01 if key in CHANCE else 1e-12  # the shuffles are others
        assert after[mirrored(key)] == pytest.approx(before[key], abs=tolerance), key


@examples(40)
@given(annotated(least=2, most=10), st.integers(0, 2**32 - 1))
@with_few_resamples
def test_sides_drawn_anew_change_no_symmetric_statistic(drawn, seed):
    """As stored, statistics depend on which response of a comparison stands first; symmetric ones do not."""
    seen, annotations = drawn
    codes = np.unique(seen.comparison)
    turned = codes[np.random.default_rng(seed).integers(0, 2, codes.size).astype(bool)]
    mixed = swapped(seen, np.isin(seen.comparison, turned))
    before = measure(seen, annotations=annotations)
    after = measure(mixed, annotations=swapped_people(annotations, turned))
    names = (NAMES | PLAIN) - OF_LABELS - {*CHANCE, *CONFUSION}
    for name in names:
        for key in (name, f"{name}_low", f"{name}_high"):
            assert after.get(key) == before.get(key), key


def test_sides_drawn_anew_change_nothing_of_the_agreement_of_pairs():
    annotations = rich(60, 6)[1]
    turned = np.flatnonzero(np.random.default_rng(1).integers(0, 2, annotations.comparison.max() + 1))
    other = swapped_people(annotations, turned)
    before, after = (measure(of_people(some), annotations=some, people=True) for some in (annotations, other))
    for name in ("pairwise_agreement", "accuracy", "accuracy_leave_one_out", "kappa_symmetric"):
        assert after[name] == before[name]
        assert after[f"{name}_low"] == before[f"{name}_low"]


def test_negated_differences_negate_the_correlations():
    seen = simulate(60, 8)
    other = make(seen.label, seen.verdict, -seen.difference, seen.group)
    before, after = measure(seen), measure(other)
    for name in ("kendall_tau", "kendall_tau_symmetric", "tau_c", "tau_c_symmetric", "spearman", "pearson_symmetric"):
        assert after[name] == pytest.approx(-before[name], abs=1e-12)
        assert after[f"{name}_low"] == pytest.approx(-before[f"{name}_high"], abs=1e-12)
    assert all(after[name] == before[name] for name in COUNT_STATISTICS)


@examples(25)
@given(observations(least=1))
@with_few_resamples
def test_a_comparison_judged_k_times_counts_once(seen):
    """Weights 1/K give the values of rows repeated by whole numbers."""
    rows = np.repeat(np.arange(len(seen)), whole(seen))
    # Each row is then a comparison, so nothing is repeated; and six times as much weighs against a penalty of one row.
    repeated = dataclasses.replace(
        seen.select(rows), weight=np.ones(rows.size), comparison=np.arange(rows.size, dtype=np.int64)
    )
    before, after = measure(seen), measure(repeated)
    assert after["n"] == 6 * before["n"]
    for name in NAMES - {"retest_agreement", "length_log_loss_gain"}:
        assert (before[name] is None) == (after[name] is None)
        if before[name] is not None:
            assert before[name] == pytest.approx(after[name], abs=1e-9)
            if before["groups"] > 1 and before[f"{name}_low"] is not None:
                assert before[f"{name}_low"] == pytest.approx(after[f"{name}_low"], abs=1e-9)
    for name in SHARES - {"retest_agreement", "length_log_loss_gain"}:
        assert after[f"{name}_n"] == pytest.approx(6 * before[f"{name}_n"], abs=1e-9), name
    assert before["tie_threshold"] == after["tie_threshold"]


def test_what_is_known_of_a_comparison_reaches_its_statistics():
    """Each chapter has its own tests; this is that `measure` gives each what it asks for."""
    seen = rich(60, 7)[0]
    row = measure(seen)
    right, decided = seen.label == seen.verdict, seen.label < 2
    preferred, other = (np.where((seen.label == 0) == own, seen.length_a, seen.length_b) for own in (True, False))
    assert row["accuracy_longer_preferred"] == pytest.approx(right[decided & (preferred > other)].mean())
    assert row["accuracy_shorter_preferred"] == pytest.approx(right[decided & (preferred < other)].mean())
    assert abs(row["accuracy_longer_preferred"] - row["accuracy_shorter_preferred"]) > 0.001
    known = seen.human >= 0
    for name, said in (("human_preferred_rate", seen.verdict), ("human_preferred_rate_people", seen.label)):
        assert row[name] == pytest.approx((said == seen.human)[known & (said < 2)].mean())
    assert row["flip_rate"] == pytest.approx((seen.given != seen.swapped)[(seen.given < 3) & (seen.swapped < 3)].mean())
    has = ~np.isnan(seen.overlap)
    median = np.sort(seen.overlap[has])[has.sum() // 2]
    assert row["accuracy_low_overlap"] == pytest.approx(right[has & (seen.overlap < median)].mean())
    assert row["overlap_gap"] == row["accuracy_high_overlap"] - row["accuracy_low_overlap"]


@examples(40)
@given(annotated(least=1))
@with_few_resamples
def test_sizes_are_the_comparisons_that_a_share_is_about(drawn):
    """By a loop over the rows; a comparison that was judged K times or in both orders counts once."""
    seen, annotations = drawn
    row = measure(seen, annotations=annotations)
    said = [] if annotations is None else annotations.comparison.tolist()
    overlaps = sorted(
        (overlap, weight) for overlap, weight in zip(seen.overlap, seen.weight, strict=True) if not np.isnan(overlap)
    )
    half = sum(weight for _, weight in overlaps) / 2
    median = next(
        (x for k, (x, _) in enumerate(overlaps) if sum(weight for _, weight in overlaps[: k + 1]) > half + 1e-9), 2.0
    )
    expected = dict.fromkeys(SHARES - {"acc_eq", "acc_eq_cv", "length_log_loss_gain"}, 0.0)
    for place in range(len(seen)):
        label, verdict, given, other = (
            int(column[place]) for column in (seen.label, seen.verdict, seen.given, seen.swapped)
        )
        longer = np.sign(int(seen.length_a[place]) - int(seen.length_b[place])) * {0: 1, 1: -1}.get(label, 0)
        known = seen.human[place] >= 0
        about = {
            "flip_rate": given in (0, 1, 2) and other in (0, 1, 2),
            "accuracy_consistent": given in (0, 1, 2) and given == other,
            "first_position_rate": given in (0, 1) or other in (0, 1),
            "retest_agreement": (seen.comparison == seen.comparison[place]).sum() > 1,
            "accuracy_longer_preferred": longer > 0,
            "accuracy_shorter_preferred": longer < 0,
            "human_preferred_rate": known and verdict in (0, 1),
            "human_preferred_rate_people": known and label in (0, 1),
            "accuracy_low_overlap": seen.overlap[place] < median,
            "accuracy_high_overlap": seen.overlap[place] >= median,
            "accuracy_leave_one_out": said.count(int(seen.comparison[place])) > 1,
        }
        for name, whether in about.items():
            expected[name] += seen.weight[place] * bool(whether)
    assert {name: row[f"{name}_n"] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert row["acc_eq_n"] == (row["n"] if seen.judged.any() else 0)
    assert row["acc_eq_cv_n"] in (0, row["n"])
    decided = seen.judged & (seen.label < 2)
    assert row["length_log_loss_gain_n"] in (0, pytest.approx(seen.weight[decided].sum(), abs=1e-9))


@pytest.mark.parametrize("several", [9, 10])
def test_a_share_of_a_part_of_the_slice_in_few_groups_has_no_interval(several):
    """So many of 30 groups have a comparison whose preferred response is the longer one, two each."""
    group = np.repeat(np.arange(30), 2)
    longer = group < several
    chance = np.random.default_rng(5)
    verdict = chance.integers(0, 2, 60)
    label = np.zeros(60)
    row = measure(make(label, verdict, group=group, length_a=np.where(longer, 9, 4), length_b=np.full(60, 6)))
    check(row)
    assert (row["accuracy_longer_preferred_n"], row["accuracy_shorter_preferred_n"]) == (2 * several, 60 - 2 * several)
    assert row["accuracy_longer_preferred"] == pytest.approx((verdict == 0)[longer].mean())
    few = {name for name, reason in reasons_of(row).items() if reason == FEW}
    assert few == (
        {"interval of accuracy_longer_preferred", "interval of accuracy_length_balanced"} if several < 10 else set()
    )
    assert row["accuracy_shorter_preferred_low"] is not None
    # All of a slice of few groups is no part of it: `few_groups` says so already.
    small = measure(
        make(label[longer], verdict[longer], group=group[longer], length_a=group[longer], length_b=group[longer] - 1)
    )
    assert small["accuracy_longer_preferred_low"] == small["accuracy_low"] is not None
    assert FEW not in small["undefined"]


def test_asked_twice_with_one_answer_is_asked_once():
    """The penalty of the length model is one comparison's, whatever the weights' unit is."""
    seen = rich(60, 7)[0]
    twice = np.repeat(np.arange(len(seen)), 2)
    again = dataclasses.replace(seen.select(twice), weight=np.full(twice.size, 0.5))
    before, after = measure(seen), measure(again)
    assert after["retest_agreement"] == 1.0
    assert after["rerun_variance"] == 0.0
    for name in NAMES - {"retest_agreement"}:
        for key in (name, f"{name}_low", f"{name}_high"):
            assert after[key] == (before[key] if before[key] is None else pytest.approx(before[key], abs=1e-8)), key


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
    assert all(row[name] is None for name in (*STATISTICS, *PLAIN))
    assert reasons_of(row) == dict.fromkeys((*STATISTICS, *PLAIN), "no comparison")
    assert row["few_groups"] is True
    assert row["alt_epsilon"] == 0.2


def test_reasons():
    equal = dict.fromkeys([name + form for name in CORRELATIONS for form in ("", "_symmetric")])
    reasons = reasons_of(measure(make([2, 2, 2], [2, 3, 2], group=[1, 1, 2])))
    assert reasons["decided_accuracy"] == "every label is same"
    assert {reasons[name] for name in equal} == {"every score difference is equal"}
    assert reasons["recall_response_a"] == "no label is response_a"
    assert reasons["precision_response_a"] == "no verdict is response_a"
    assert reasons["f1_response_b"] == "no label and no verdict is response_b"
    assert "f1_same" not in reasons
    row = measure(make([0, 0, 0], [0, 0, 0], group=[1, 1, 2]))
    assert reasons_of(row)["kappa"] == "every label and every verdict is the same outcome"
    assert row["kappa_symmetric"] == 1.0
    assert row["kendall_tau_symmetric"] == pytest.approx(1.0)
    reasons = reasons_of(measure(make([0, 0, 0], [0, 1, 0], group=[1, 1, 2])))
    assert {reasons[name] for name in CORRELATIONS} == {"every label is equal"}
    row = measure(make([0, 1], [3, 3]))
    reasons = reasons_of(row)
    never = {*equal, "tie_rate", "acc_eq", "acc_eq_cv", "acc_eq_gap", "tie_threshold", *CHANCE, "length_log_loss_gain"}
    assert {reasons[name] for name in never} == {"no comparison was judged"}
    assert row["accuracy"] == 0.0
    assert row["accuracy_failed_right"] == 1.0
    assert row["coverage"] == 0.0
    assert row["tie_rate"] is None
    row = measure(make([0, 1, 2], [0, 1, 0], group=[5, 5, 5]))
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert row["accuracy_low"] is None
    reasons = reasons_of(row)
    of_groups = {name for name, reason in reasons.items() if reason == "fewer than 2 groups"}
    assert {"interval of accuracy", "acc_eq_cv", "acc_eq_gap", "acc_eq_cv_chance", "length_log_loss_gain"} <= of_groups
    assert not {"acc_eq", "acc_eq_chance", "accuracy"} & set(reasons)


def test_two_groups_in_one_fold_are_not_called_one_group():
    row = measure(make([0, 1, 1], [0, 1, 0], group=[1, 2, 3], fold=[4, 4, 4]))
    reasons = reasons_of(row)
    crossed = ("acc_eq_cv", "acc_eq_gap", "acc_eq_cv_chance", "length_log_loss_gain")
    assert {reasons[name] for name in crossed} == {"all judged comparisons are in one fold"}


def test_what_was_not_asked_for_is_said():
    reasons = reasons_of(measure(make([0, 1, 2, 0], [0, 1, 0, 1], group=[0, 1, 2, 3], fold=[0, 1, 2, 3])))
    assert reasons["retest_agreement"] == reasons["rerun_variance"] == "judged once"
    assert reasons["flip_rate"] == "no comparison was judged"
    assert reasons["accuracy_longer_preferred"] == "no preferred response is the longer"
    assert reasons["accuracy_length_balanced"] == "no preferred response is the longer"
    assert reasons["overlap_gap"] == "no comparison has a reference and a preferred response"
    people = ("accuracy_leave_one_out", *AGREEMENTS, *ALTERNATIVE)
    assert {reasons[name] for name in people} == {"no comparison has two annotators"}
    one_order = make([0, 1], [0, 1], given=[0, 1])
    assert reasons_of(measure(one_order))["flip_rate"] == "judged in one order"


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
    never = (
        "kendall_tau",
        "pearson_symmetric",
        "acc_eq",
        "acc_eq_gap",
        "tie_threshold",
        *CHANCE,
        "length_log_loss_gain",
    )
    reasons = reasons_of(row)
    assert {reasons[name] for name in never} == {"scores of different models are not pooled over languages"}
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
