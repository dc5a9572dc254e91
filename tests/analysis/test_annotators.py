from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

import calf.analysis.annotators as module
from calf.analysis.annotators import AGREEMENTS, Annotations, agreement, leave_one_out, majority_of
from calf.analysis.bootstrap import multiplicities, percentile_interval
from calf.analysis.observations import integer_weights


def make(rows) -> Annotations:
    """From (comparison, annotator, label, group) each."""
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    kinds = (np.int64, np.int64, np.int8, np.int64)
    return Annotations(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


@st.composite
def annotations(draw, most: int = 8, sizes: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> Annotations:
    """Few comparisons with any number of annotators, missing labels, perfect agreement, one group or more."""
    labels = st.sampled_from(draw(st.sampled_from([(0, 1, 2), (0, 1), (0,), (2, 1), (0, 0, 0, 1)])))
    pool = draw(st.integers(max(sizes), 6))
    groups = st.integers(0, draw(st.integers(0, 5))).map(lambda code: 5 * code - 9)
    same = draw(st.booleans())
    rows = []
    for comparison in range(draw(st.integers(0, most))):
        size, group, shared = draw(st.sampled_from(sizes)), draw(groups), draw(labels)
        people = draw(st.permutations(range(pool)))[:size]
        rows += [(comparison, 3 * person - 4, shared if same else draw(labels), group) for person in people]
    return make(draw(st.permutations(rows)))


def by_comparison(seen: Annotations) -> dict[int, dict[int, int]]:
    said = {}
    for c, a, y in zip(seen.comparison.tolist(), seen.annotator.tolist(), seen.label.tolist(), strict=True):
        said.setdefault(c, {})[a] = y
    return said


def pairwise(said) -> Fraction | None:
    shares = [
        Fraction(sum(x == y for x, y in combinations(one.values(), 2)), len(one) * (len(one) - 1) // 2)
        for one in said.values()
        if len(one) > 1
    ]
    return sum(shares) / len(shares) if shares else None


def by_definition(
    said: dict[int, dict[int, int]], least: int = 10, pairs: set[tuple[int, int]] | None = None
) -> dict[str, float | None]:
    """The four from scikit-learn, from krippendorff with annotators as rows, and from Fleiss' formulas.

    `pairs` are those of whom a kappa is taken; None: who share `least` comparisons.
    """
    said = {c: one for c, one in said.items() if len(one) > 1}
    if not said:
        return dict.fromkeys(AGREEMENTS)
    people = sorted({a for one in said.values() for a in one})
    kappas = []
    for a, b in combinations(people, 2):
        both = [(one[a], one[b]) for one in said.values() if a in one and b in one]
        enough = len(both) >= least if pairs is None else (a, b) in pairs
        if enough and len({y for two in both for y in two}) > 1:
            kappas.append((len(both), cohen_kappa_score(*zip(*both, strict=True), labels=[0, 1, 2])))
    shares = Counter(y for one in said.values() for y in one.values())
    total = sum(shares.values())
    chance = sum(Fraction(count, total) ** 2 for count in shares.values())
    agreed = pairwise(said)
    matrix = np.array([[one.get(a, np.nan) for one in said.values()] for a in people])
    one_label = len(shares) == 1
    return {
        "pairwise_agreement": float(agreed),
        "cohen_kappa": sum(n * k for n, k in kappas) / sum(n for n, _ in kappas) if kappas else None,
        "fleiss_kappa": None if one_label else float((agreed - chance) / (1 - chance)),
        "krippendorff_alpha": None
        if one_label
        else krippendorff.alpha(matrix, value_domain=[0, 1, 2], level_of_measurement="nominal"),
    }


@examples(60)
@given(annotations(), st.integers(1, 4))
def test_agreement_equals_its_definitions(seen, least):
    found, said = agreement(seen, least=least), by_definition(by_comparison(seen), least)
    assert list(found)[:2] == ["annotators", "annotated"]
    assert found["annotators"] == len({*seen.annotator.tolist()})
    assert found["annotated"] == sum(len(one) > 1 for one in by_comparison(seen).values())
    for name, value in said.items():
        if value is None:
            assert found[name] is None
            assert name in found["undefined"]
            assert found[f"{name}_low"] is found[f"{name}_high"] is None
        else:
            assert found[name] == pytest.approx(value, rel=0, abs=1e-9)


@examples(40)
@given(annotations(sizes=(3,)))
def test_fleiss_equals_statsmodels(seen):
    counts = np.array([[list(one.values()).count(y) for y in range(3)] for one in by_comparison(seen).values()])
    if len({*seen.label.tolist()}) > 1:
        assert agreement(seen)["fleiss_kappa"] == pytest.approx(fleiss_kappa(counts, method="fleiss"), rel=0, abs=1e-9)


@examples(30)
@given(st.data())
def test_intervals_are_those_of_resampled_groups(data):
    seen = data.draw(annotations(most=6, sizes=(1, 2, 3, 4)))
    said = by_comparison(seen)
    group_of = dict(zip(seen.comparison.tolist(), seen.group.tolist(), strict=True))
    groups = sorted({group_of[c] for c, one in said.items() if len(one) > 1})
    resamples = 30
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COUNT_RESAMPLES", resamples)
        found = agreement(seen, seed=3, least=2)
    if len(groups) < 2:
        assert all(found[f"{name}_low"] is None for name in AGREEMENTS)
        return
    drawn = np.concatenate(list(multiplicities(len(groups), resamples, 3)), axis=1)
    # Who shares enough is seen once, not in each resample.
    shared = Counter(pair for one in said.values() for pair in combinations(sorted(one), 2))
    pairs = {pair for pair, times in shared.items() if times >= 2}
    values = {name: [] for name in AGREEMENTS}
    for times in drawn.T:
        copies = {
            (c, copy): one
            for c, one in said.items()
            if len(one) > 1
            for copy in range(times[groups.index(group_of[c])])
        }
        for name, value in by_definition(copies, pairs=pairs).items():
            values[name].append(np.nan if value is None else value)
    for name in AGREEMENTS:
        interval = percentile_interval(np.array(values[name])) if found[name] is not None else None
        assert (found[f"{name}_low"] is None) == (interval is None)
        if interval is not None:
            assert (found[f"{name}_low"], found[f"{name}_high"]) == pytest.approx(interval, rel=0, abs=1e-9)


@examples(20)
@given(annotations(), st.randoms(use_true_random=False))
def test_the_order_of_annotations_changes_nothing(seen, chance):
    order = list(range(len(seen)))
    chance.shuffle(order)
    assert agreement(seen.select(np.array(order, dtype=np.int64)), least=2) == agreement(seen, least=2)


@examples(60)
@given(annotations())
def test_leave_one_out_is_the_expected_agreement_with_the_others_majority(seen):
    found = leave_one_out(seen)
    expected = []
    said = by_comparison(seen)
    for place, (c, a) in enumerate(zip(seen.comparison.tolist(), seen.annotator.tolist(), strict=True)):
        others = Counter(y for b, y in said[c].items() if b != a)
        tied = sorted(y for y in others if others[y] == max(others.values()))
        expected += [(place, y, 1.0 / (len(said[c]) * len(tied))) for y in tied]
    assert list(zip(*(array.tolist() for array in found), strict=True)) == expected
    assert [array.dtype for array in found] == [np.int64, np.int8, np.float64]

    whole, unit = integer_weights(found.weight)
    for c, one in said.items():
        assert whole[seen.comparison[found.row] == c].sum() == (unit if len(one) > 1 else 0)


@examples(60)
@given(annotations(sizes=(1, 2, 3)))
def test_with_up_to_three_annotators_leave_one_out_is_pairwise_agreement(seen):
    row, target, weight = leave_one_out(seen)
    if not row.size:
        assert pairwise(by_comparison(seen)) is None
        return
    whole, _ = integer_weights(weight)
    right = whole[seen.label[row] == target].sum()
    assert Fraction(int(right), int(whole.sum())) == pairwise(by_comparison(seen))


def test_with_four_annotators_it_is_not():
    seen = make([(0, a, y, 0) for a, y in enumerate([0, 0, 0, 1])])
    row, target, weight = leave_one_out(seen)
    assert weight[seen.label[row] == target].sum() == pytest.approx(3 / 4)
    assert agreement(seen)["pairwise_agreement"] == pytest.approx(1 / 2)


@examples(60)
@given(annotations())
def test_majority(seen):
    said = by_comparison(seen)
    annotated, has_majority, unanimous = majority_of(seen, 9)
    assert annotated.shape == has_majority.shape == unanimous.shape == (9,)
    for c in range(9):
        labels = list(said.get(c, {}).values())
        assert annotated[c] == len(labels)
        assert has_majority[c] == any(labels.count(y) > len(labels) / 2 for y in range(3))
        assert unanimous[c] == (len(labels) > 1 and len({*labels}) == 1)


def test_a_pair_without_kappa_is_left_out():
    # Annotators 0 and 1 share two comparisons of one label; 0 and 2 differ on both of theirs.
    seen = make([(0, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 1), (1, 1, 0, 1), (2, 0, 0, 2), (2, 2, 1, 2), (3, 0, 1, 3)])
    seen = make([*zip(*(getattr(seen, name).tolist() for name in seen.__slots__), strict=True), (3, 2, 0, 3)])
    assert agreement(seen, least=2)["cohen_kappa"] == -1.0


@pytest.mark.parametrize(
    ("rows", "annotated", "defined"),
    [
        ([], 0, []),
        ([(0, 0, 0, 0)], 0, []),
        ([(0, 0, 0, 0), (1, 1, 1, 1)], 0, []),
        ([(0, 0, 2, 0), (0, 1, 2, 0)], 1, ["pairwise_agreement"]),
        ([(0, 0, 2, 0), (0, 1, 1, 0)], 1, list(AGREEMENTS)),
    ],
)
def test_small_data(rows, annotated, defined):
    found = agreement(make(rows), least=1)
    assert found["annotated"] == annotated
    assert [name for name in AGREEMENTS if found[name] is not None] == defined
    assert "nan" not in str(found)
    for name in AGREEMENTS:
        assert name in found["undefined"]  # at least the interval: there is one group


def test_reasons():
    seen = make([(c, a, 1, c) for c in range(10) for a in range(2)])
    found = agreement(seen)
    assert found["pairwise_agreement"] == found["pairwise_agreement_low"] == 1.0
    assert found["undefined"] == (
        "fleiss_kappa, krippendorff_alpha: every annotation is the same label; "
        "cohen_kappa: every pair of annotators used one and the same label"
    )


@pytest.mark.parametrize("shared", [1, 9, 10, 11])
def test_pairs_who_share_fewer_than_ten_comparisons_have_no_kappa(shared):
    """0 and 1 share `shared` comparisons, 2 and 3 twelve: only who has enough is in the mean."""
    chance = np.random.default_rng(2)
    labels = chance.integers(0, 3, (shared + 12, 2)).tolist()
    few = [(c, a, labels[c][a], c) for c in range(shared) for a in range(2)]
    many = [(c, 2 + a, labels[c][a], c) for c in range(shared, shared + 12) for a in range(2)]
    of_many = cohen_kappa_score(*zip(*labels[shared:], strict=True), labels=[0, 1, 2])
    found = agreement(make(few + many))
    if shared < 10:
        assert found["cohen_kappa"] == pytest.approx(of_many, rel=0, abs=1e-12)
        assert agreement(make(few))["cohen_kappa"] is None
        assert "cohen_kappa: no two annotators share 10 comparisons" in agreement(make(few))["undefined"]
    else:
        of_few = cohen_kappa_score(*zip(*labels[:shared], strict=True), labels=[0, 1, 2])
        assert found["cohen_kappa"] == pytest.approx(np.average([of_few, of_many], weights=[shared, 12]), abs=1e-12)
        assert found["cohen_kappa"] != pytest.approx(of_many, abs=1e-3)
    # All others are of all annotations.
    assert found["pairwise_agreement"] == pytest.approx(np.mean([one == other for one, other in labels]), abs=1e-12)


def test_many_different_numbers_of_annotators_are_still_exact():
    # Their common multiple exceeds the unit, so that shares are rounded.
    chance = np.random.default_rng(1)
    rows = [(c, a, int(chance.integers(3)), c) for c in range(25) for a in range(c)]
    found, expected = agreement(make(rows)), by_definition(by_comparison(make(rows)))
    for name in AGREEMENTS:
        assert found[name] == pytest.approx(expected[name], rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([(0, 0, 3, 0)], "label must be"),
        ([(0, 0, -1, 0)], "label must be"),
        ([(0, 0, 1, 0), (1, 0, 1, 0), (0, 0, 1, 0)], "labels a comparison twice"),
        ([(0, 0, 1, 0), (0, 1, 1, 1)], "in two groups"),
    ],
)
def test_impossible_annotations(rows, what):
    with pytest.raises(ValueError, match=what):
        make(rows)


def test_wrong_shapes_and_codes():
    with pytest.raises(ValueError, match="shape"):
        Annotations(np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(2, np.int8), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="range"):
        majority_of(make([(2, 0, 0, 0)]), 2)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "annotators", "annotated", "split"), [("squality", 4, 100, 4), ("xu2023_expert", 13, 80, 11)]
)
def test_real_annotators(shared_data, name, annotators, annotated, split):
    people, rows = {}, []
    lines = (shared_data / "preferences" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    for c, line in enumerate(lines):
        for one in json.loads(line)["annotations"]:
            person = people.setdefault(one["annotator"], len(people))
            rows.append((c, person, ["response_a", "response_b", "same"].index(one["label"]), c))
    seen = make(rows)
    found, expected = agreement(seen), by_definition(by_comparison(seen))
    assert (found["annotators"], found["annotated"], found["undefined"]) == (annotators, annotated, "")
    for key in AGREEMENTS:
        assert found[key] == pytest.approx(expected[key], rel=0, abs=1e-9)
        assert found[f"{key}_low"] < found[key] < found[f"{key}_high"]
    assert (~majority_of(seen, len(lines))[1]).sum() == split
