from __future__ import annotations

import itertools
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from simulated import examples
from statsmodels.stats.contingency_tables import mcnemar

from calf.analysis.bootstrap import COUNT_RESAMPLES, multiplicities
from calf.analysis.paired import FLIPS, PairedTests, paired_tests, ranks

P_VALUES = ("p_permutation", "p_adjusted", "p_mcnemar")


@st.composite
def tables(draw, most_groups=5, most_rows=9):
    """Few rows with ties, equal metrics, shares, failures, one group or more; failed rows hold any number."""
    n, metrics = draw(st.integers(0, most_rows)), draw(st.integers(0, 4))
    values = draw(
        st.sampled_from([[0.0, 1.0], [0.0, 1 / 3, 2 / 3, 1.0], [0.0, 0.5, 1.0], [1.0], [0.0, 0.2, 1 / 7, 1.0]])
    )
    cells = st.lists(st.sampled_from(values), min_size=metrics, max_size=metrics)
    seen = st.sampled_from(draw(st.sampled_from([[True], [True, True, True, False], [True, False], [False]])))
    right = np.array([draw(cells) for _ in range(n)]).reshape(n, metrics)
    judged = np.array([[draw(seen) for _ in range(metrics)] for _ in range(n)], dtype=bool).reshape(n, metrics)
    top = draw(st.integers(0, most_groups - 1))
    group = np.array([3 * draw(st.integers(0, top)) - 4 for _ in range(n)], dtype=np.int64)
    return np.where(judged, right, draw(st.sampled_from([np.nan, 0.5, -3.0]))), judged, group


def simulate(groups=40, metrics=5, seed=0, failing=0.1, quality=None):
    chance = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), chance.integers(1, 6, groups))
    n = group.size
    quality = np.linspace(0.5, 0.7, metrics) if quality is None else np.asarray(quality)
    hard = chance.random(groups)[group]
    right = (0.5 * hard[:, None] + 0.5 * chance.random((n, metrics)) < quality).astype(float)
    return right, chance.random((n, metrics)) >= failing, group


def exact_sums(right, judged, group):
    """D_g of every pair, from the definition, with exact fractions: {(a, b): [D_g for every group of the slice]}."""

    def difference(row, a, b):
        first, second = (Fraction(float(right[row, metric])).limit_denominator(1000) for metric in (a, b))
        return first - second

    rows = {code: np.flatnonzero(group == code) for code in np.unique(group)}
    return {
        (a, b): [
            sum((difference(row, a, b) for row in of_group if judged[row, a] and judged[row, b]), Fraction(0))
            for of_group in rows.values()
        ]
        for a, b in itertools.combinations(range(right.shape[1]), 2)
    }


def brute_force(right, judged, group):
    """Exact p values of all flips, raw and step-down max-T, in fractions: T^2 = S^2 / Q is one."""
    sums = exact_sums(right, judged, group)
    flips = list(itertools.product([1, -1], repeat=np.unique(group).size))
    squares = {pair: sum(d * d for d in sums[pair]) for pair in sums}

    def statistic(pair, signs):
        total = sum((s * d for s, d in zip(signs, sums[pair], strict=True)), Fraction(0))
        return total * total / squares[pair] if squares[pair] else Fraction(0)

    table = {pair: [statistic(pair, signs) for signs in flips] for pair in sums}
    raw = {pair: np.mean([t >= table[pair][0] for t in table[pair]]) for pair in sums}
    order = sorted(sums, key=lambda pair: -table[pair][0])
    adjusted, before = {}, 0.0
    for place, pair in enumerate(order):
        largest = [max(table[other][flip] for other in order[place:]) for flip in range(len(flips))]
        before = max(before, np.mean([t >= table[pair][0] for t in largest]))
        adjusted[pair] = before
    return raw, adjusted


@examples(80)
@given(tables())
def test_values_are_those_of_the_definition(table):
    right, judged, group = table
    tests = paired_tests(right, judged, group)
    pairs = list(itertools.combinations(range(right.shape[1]), 2))
    assert list(zip(tests.a.tolist(), tests.b.tolist(), strict=True)) == pairs
    raw, adjusted = brute_force(right, judged, group)
    for i, (a, b) in enumerate(pairs):
        both = judged[:, a] & judged[:, b]
        assert tests.n[i] == both.sum()
        assert tests.groups[i] == np.unique(group[both]).size
        if not both.any():
            names = "difference, p_permutation, p_adjusted, p_mcnemar"
            assert tests.undefined[i] == f"{names}: no comparison that both judged"
            assert all(np.isnan(getattr(tests, name)[i]) for name in ("difference", "low", "high", *P_VALUES))
            continue
        assert tests.difference[i] == pytest.approx((right[both, a] - right[both, b]).mean(), abs=1e-9)
        assert tests.p_permutation[i] == pytest.approx(raw[a, b], abs=1e-12)
        assert tests.p_adjusted[i] == pytest.approx(adjusted[a, b], abs=1e-12)
        assert tests.p_adjusted[i] >= tests.p_permutation[i]
        binary = np.isin(right[both][:, [a, b]], (0.0, 1.0)).all()
        assert np.isnan(tests.p_mcnemar[i]) == (not binary)
        assert ("p_mcnemar: right is a share" in tests.undefined[i]) == (not binary)
        if binary:
            counts = [[np.sum((right[both, a] == x) & (right[both, b] == y)) for y in (1, 0)] for x in (1, 0)]
            assert tests.p_mcnemar[i] == pytest.approx(mcnemar(counts, exact=True).pvalue, abs=1e-9)
        defined = not np.isnan([tests.low[i], tests.high[i]]).any()
        assert defined == ("interval of difference" not in tests.undefined[i])
        if tests.groups[i] == 1:
            assert "interval of difference: fewer than 2 groups" in tests.undefined[i]
        if tests.groups[i] == np.unique(group).size > 1:
            assert defined


@pytest.mark.parametrize(
    ("thirds", "group"),
    [
        # T of different pairs are equal in some flips, but not in float64.
        ([[1, 3, 1], [0, 2, 3], [3, 3, 0], [3, 3, 1]], [0, 1, 2, 3]),
        ([[3, 2, 1], [1, 3, 2], [2, 2, 0], [3, 1, 0], [3, 2, 3]], [0, 1, 2, 3, 4]),
        # Three thirds against one: rounded to 2^-32, their sum would not be 1.
        ([[0, 1], [0, 1], [0, 1], [3, 0], [3, 0], [3, 0]], [0, 1, 2, 3, 4, 4]),
    ],
)
def test_ties_of_flips_are_ties(thirds, group):
    right, group = np.array(thirds) / 3, np.array(group)
    judged = np.ones(right.shape, dtype=bool)
    tests, (raw, adjusted) = paired_tests(right, judged, group), brute_force(right, judged, group)
    for i, pair in enumerate(zip(tests.a.tolist(), tests.b.tolist(), strict=True)):
        assert tests.p_permutation[i] == pytest.approx(raw[pair], abs=1e-12)
        assert tests.p_adjusted[i] == pytest.approx(adjusted[pair], abs=1e-12)


@examples(25)
@given(tables(most_rows=12))
def test_intervals_are_percentiles_over_resampled_groups(table):
    right, judged, group = table
    tests = paired_tests(right, judged, group, seed=3)
    codes = np.unique(group)
    if codes.size < 2:
        assert np.isnan(tests.low).all()
        return
    drawn = np.concatenate(list(multiplicities(codes.size, COUNT_RESAMPLES, 3)), axis=1).astype(float)
    for i, (a, b) in enumerate(zip(tests.a, tests.b, strict=True)):
        both = judged[:, a] & judged[:, b]
        by_group = [(group == code) & both for code in codes]
        size = np.array([rows.sum() for rows in by_group]) @ drawn
        total = np.array([(right[rows, a] - right[rows, b]).sum() for rows in by_group]) @ drawn
        values = total[size > 0] / size[size > 0]
        if values.size < 0.95 * COUNT_RESAMPLES or tests.groups[i] < 2:
            assert np.isnan(tests.low[i])
        else:
            expected = np.quantile(values, [0.025, 0.975])
            np.testing.assert_allclose([tests.low[i], tests.high[i]], expected, atol=1e-9)


def test_few_groups_equal_scipys_exact_permutation_test():
    right, judged, group = simulate(groups=10, metrics=3, failing=0)
    tests = paired_tests(right, judged, group)
    for i, (a, b) in enumerate(zip(tests.a, tests.b, strict=True)):
        sums = [np.array([right[group == g, m].sum() for g in range(10)]) for m in (a, b)]
        scipy = stats.permutation_test(
            sums, lambda x, y: (x - y).sum(), permutation_type="samples", n_resamples=np.inf, vectorized=False
        )
        assert tests.p_permutation[i] == pytest.approx(scipy.pvalue, abs=1e-9)


def all_flips(right, judged, group):
    """The same exactly, in float64, for more flips than fractions can do."""
    sums = np.array([[float(d) for d in per_group] for per_group in exact_sums(right, judged, group).values()])
    groups = sums.shape[1]
    signs = 1 - 2 * (np.arange(1 << groups)[:, None] >> np.arange(groups) & 1)
    size = np.abs(signs @ sums.T)
    t = size / np.sqrt((sums**2).sum(axis=1))
    observed = t[0]
    order = np.argsort(-observed)
    steps = [(t[:, order[k:]].max(axis=1) >= observed[order[k]] - 1e-9).mean() for k in range(order.size)]
    adjusted = np.empty(order.size)
    adjusted[order] = np.maximum.accumulate(steps)
    return (size >= size[0] - 1e-9).mean(axis=0), adjusted


def test_thirteen_groups_are_enumerated_and_more_are_drawn():
    table = simulate(groups=13, metrics=4)
    exact = all_flips(*table)
    tests = paired_tests(*table, seed=5)
    np.testing.assert_allclose(tests.p_permutation, exact[0], atol=1e-12)
    np.testing.assert_allclose(tests.p_adjusted, exact[1], atol=1e-12)

    table = simulate(groups=15, metrics=4, quality=[0.4, 0.5, 0.6, 0.8])
    for values, p in zip(
        (paired_tests(*table).p_permutation, paired_tests(*table).p_adjusted), all_flips(*table), strict=True
    ):
        # c + 1 of 10,001, c binomial: five standard deviations.
        np.testing.assert_allclose(np.rint(values * (FLIPS + 1)), values * (FLIPS + 1), atol=1e-6)
        assert (np.abs(values - p) < 5 * np.sqrt(p * (1 - p) / FLIPS) + 1e-4).all()
    assert np.ptp(paired_tests(*table).p_adjusted) > 0.1  # not all alike


def test_the_smallest_p_of_drawn_flips_is_one_in_ten_thousand_and_one():
    right = np.stack([np.ones(60), np.zeros(60)], axis=1)
    tests = paired_tests(right, np.ones((60, 2), dtype=bool), np.arange(60))
    assert tests.p_permutation[0] == tests.p_adjusted[0] == 1 / (FLIPS + 1)
    assert tests.difference[0] == tests.low[0] == tests.high[0] == 1
    assert tests.p_mcnemar[0] == pytest.approx(2 * 0.5**60)


def test_the_drawn_test_is_that_of_a_large_sample():
    right, judged, group = simulate(groups=900, metrics=4, quality=[0.5, 0.501, 0.51, 0.515], failing=0.2)
    tests = paired_tests(right, judged, group)
    for i, per_group in enumerate(exact_sums(right, judged, group).values()):
        d = np.array([float(x) for x in per_group])
        p = 2 * stats.norm.sf((abs(d.sum()) - 1) / np.sqrt((d**2).sum()))  # sums go by steps of 2: minus half a step
        assert tests.p_permutation[i] == pytest.approx(p, abs=0.025)


def test_the_smallest_p_is_adjusted_by_less_than_the_number_of_pairs():
    # Eight equally good metrics, independent but for how hard a comparison is: 28 pairs, 8 metrics.
    right, judged, group = simulate(groups=300, metrics=8, seed=9, quality=[0.55] * 8, failing=0)
    tests = paired_tests(right, judged, group)
    first, last = tests.p_permutation.argmin(), tests.p_permutation.argmax()
    assert 0.001 < tests.p_permutation[first] < 0.005
    assert 8 * tests.p_permutation[first] < tests.p_adjusted[first] < 28 * tests.p_permutation[first]
    assert tests.p_adjusted[last] == tests.p_adjusted.max()


@pytest.mark.parametrize("thirds", [False, True])
def test_neither_the_order_of_the_rows_nor_the_codes_of_the_groups_change_anything(thirds):
    right, judged, group = simulate(groups=50)
    if thirds:
        right = np.random.default_rng(1).integers(0, 4, right.shape) / 3
    order = np.random.default_rng(2).permutation(group.size)
    tests, again = paired_tests(right, judged, group), paired_tests(right[order], judged[order], 7 * group[order] - 90)
    for field in fields(PairedTests):
        np.testing.assert_array_equal(getattr(tests, field.name), getattr(again, field.name))


def test_shares_without_a_common_denominator_are_rounded_and_still_add_up_exactly():
    right, judged, group = simulate(groups=50)
    right = np.random.default_rng(1).random(right.shape)
    order = np.random.default_rng(2).permutation(group.size)
    tests, again = paired_tests(right, judged, group), paired_tests(right[order], judged[order], group[order])
    np.testing.assert_array_equal(tests.low, again.low)
    np.testing.assert_array_equal(tests.p_adjusted, again.p_adjusted)
    both = judged[:, 0] & judged[:, 1]
    assert tests.difference[0] == pytest.approx((right[both, 0] - right[both, 1]).mean(), abs=1e-9)


def test_metrics_in_another_order_are_the_same_pairs_with_other_signs():
    right, judged, group = simulate(groups=50, failing=0.2)
    tests, mirrored = paired_tests(right, judged, group), paired_tests(right[:, ::-1], judged[:, ::-1], group)
    place = {(a, b): i for i, (a, b) in enumerate(zip(mirrored.a.tolist(), mirrored.b.tolist(), strict=True))}
    other = [place[4 - b, 4 - a] for a, b in zip(tests.a.tolist(), tests.b.tolist(), strict=True)]
    for name in ("n", "groups", *P_VALUES):
        np.testing.assert_array_equal(getattr(tests, name), getattr(mirrored, name)[other])
    np.testing.assert_array_equal(tests.difference, -mirrored.difference[other])
    np.testing.assert_allclose(tests.low, -mirrored.high[other], atol=1e-12)


def test_a_pair_does_not_depend_on_the_other_metrics_but_for_the_adjustment():
    right, judged, group = simulate(groups=50, metrics=6, failing=0.2)
    judged[:, :3] = True  # three that share their columns, beside three that do not
    tests = paired_tests(right, judged, group)
    for i, (a, b) in enumerate(zip(tests.a, tests.b, strict=True)):
        alone = paired_tests(right[:, [a, b]], judged[:, [a, b]], group)
        for name in ("n", "groups", "difference", "low", "high", "p_permutation", "p_mcnemar", "undefined"):
            assert getattr(alone, name)[0] == getattr(tests, name)[i]
        assert alone.p_adjusted[0] == alone.p_permutation[0] <= tests.p_adjusted[i]


def test_seeds():
    table = simulate(groups=50)
    tests, again, other = (paired_tests(*table, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(tests.p_adjusted, again.p_adjusted)
    np.testing.assert_array_equal(tests.low, again.low)
    assert (tests.p_permutation != other.p_permutation).any()
    assert (tests.low != other.low).any()


def test_equal_metrics_are_never_told_apart():
    right = np.repeat(simulate(groups=30, failing=0)[0][:, :1], 3, axis=1)
    tests = paired_tests(right, np.ones(right.shape, dtype=bool), np.arange(len(right)))
    for name in P_VALUES:
        np.testing.assert_array_equal(getattr(tests, name), 1.0)
    np.testing.assert_array_equal(ranks(tests, 3, alpha=1.0), 1)


def test_one_group_cannot_be_told_from_chance():
    tests = paired_tests(np.array([[1.0, 0.0]] * 9), np.ones((9, 2), dtype=bool), np.zeros(9, dtype=np.int64))
    assert tests.p_permutation[0] == tests.p_adjusted[0] == 1
    assert tests.undefined == ("interval of difference: fewer than 2 groups",)


def test_rare_common_rows_have_no_interval():
    right, judged = np.zeros((40, 2)), np.zeros((40, 2), dtype=bool)
    judged[:2] = judged[2:, :1] = True
    tests = paired_tests(right, judged, np.arange(40))
    assert tests.groups[0] == 2
    assert tests.undefined == ("interval of difference: undefined in more than 5 % of the resamples",)


def test_ranks_count_the_significantly_better():
    right, judged, group = simulate(groups=200, metrics=6, quality=[0.7, 0.4, 0.55, 0.69, 0.41, 0.9], failing=0.05)
    judged[:, 4] = False
    tests = paired_tests(right, judged, group)
    better = np.zeros((6, 6), dtype=bool)
    for a, b, difference, p in zip(tests.a, tests.b, tests.difference, tests.p_adjusted, strict=True):
        if p <= 0.05:
            better[(a, b) if difference > 0 else (b, a)] = True
    assert ranks(tests, 6).tolist() == [2, 5, 4, 2, 1, 1] == (1 + better.sum(axis=0)).tolist()
    assert ranks(tests, 6, alpha=1e-9).tolist() == [1] * 6
    assert ranks(paired_tests(right[:, :1], judged[:, :1], group), 1).tolist() == [1]


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1, np.inf])
def test_right_is_a_share(bad):
    right, judged, group = np.array([[bad, 1.0], [0.0, 1.0]]), np.ones((2, 2), dtype=bool), np.arange(2)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        paired_tests(right, judged, group)
    judged[0, 0] = False
    assert paired_tests(right, judged, group).n[0] == 1


@pytest.mark.parametrize("shapes", [((3,), (3,), (3,)), ((3, 2), (3, 3), (3,)), ((3, 2), (3, 2), (2,))])
def test_shapes(shapes):
    right, judged, group = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="shape"):
        paired_tests(right, judged.astype(bool), group.astype(np.int64))
