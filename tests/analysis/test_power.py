from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from simulated import examples
from statsmodels.stats.power import NormalIndPower

from calf.analysis import paired
from calf.analysis.paired import paired_tests
from calf.analysis.power import paired_power

BINARY = st.sampled_from([0.0, 1.0])
SIXTHS = st.integers(0, 6).map(lambda sixths: sixths / 6)


def as_arrays(rows):
    a, b, group = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(a, float), np.array(b, float), np.array(group, np.int64)


def drawn(right=BINARY, least=0, most=25):
    return st.lists(st.tuples(right, right, st.integers(-3, 4)), min_size=least, max_size=most).map(as_arrays)


def two_metrics(groups, seed, advantage=0.0):
    """Groups of 1 to 5 comparisons of which whole groups suit one metric; a is better by `advantage` on average."""
    chance = np.random.default_rng([seed, groups])
    group = np.repeat(np.arange(groups), chance.integers(1, 6, groups))
    suits = chance.choice([0.3, -0.3], groups)[group]
    a = chance.random(group.size) < 0.5 + (suits + advantage) / 2
    b = chance.random(group.size) < 0.5 - (suits + advantage) / 2
    return a.astype(float), b.astype(float), group


@examples(80)
@given(st.one_of(drawn(least=1), drawn(SIXTHS, least=1)))
def test_standard_error_is_the_clustered_one_of_a_regression_on_a_constant(seen):
    a, b, group = seen
    found = paired_power(a, b, group)
    assert found.observed == pytest.approx(np.mean(a - b), abs=1e-9)
    if np.unique(group).size < 2:
        assert found.standard_error is None
        assert found.undefined == "fewer than 2 groups"
        return
    codes = np.unique(group, return_inverse=True)[1]
    # statsmodels multiplies the variance by G/(G-1) (n-1)/(n-k), where k = 1.
    fit = sm.OLS(a - b, np.ones(a.size)).fit(cov_type="cluster", cov_kwds={"groups": codes})
    assert found.standard_error == pytest.approx(math.sqrt(max(fit.cov_params()[0, 0], 0.0)), abs=1e-9)
    if found.standard_error > 0:
        naive = stats.sem(a - b) ** 2
        assert found.design_effect == pytest.approx(found.standard_error**2 / naive, rel=1e-6)


@examples(80)
@given(drawn(), st.floats(0.01, 1), st.floats(0.3, 0.99), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_plan_keeps_its_promises(seen, difference, power, alpha):
    a, b, group = seen
    found = paired_power(a, b, group, alpha=alpha, power=power, difference=difference)
    swapped = paired_power(b, a, group, alpha=alpha, power=power, difference=difference)
    assert found.n == a.size
    assert found.groups == len(set(group.tolist()))
    assert found.difference == difference
    if found.undefined:
        assert found.standard_error in (None, 0.0)
        assert (found.design_effect, found.smallest_difference, found.power) == (None, None, None)
        assert (found.groups_needed, found.comparisons_needed) == (None, None)
        return
    assert swapped.smallest_difference == found.smallest_difference
    assert swapped.observed == -found.observed

    def reached(groups):
        """The power with so many groups, from the definition."""
        error = found.standard_error * math.sqrt(found.groups / groups)
        return stats.norm.sf(stats.norm.isf(alpha / 2), loc=difference / error)

    assert found.power == pytest.approx(reached(found.groups), abs=1e-9)
    assert reached(found.groups_needed) >= power - 1e-6
    if found.groups_needed > 2:
        assert reached(found.groups_needed - 1) <= power + 1e-6
    assert found.comparisons_needed == math.ceil(found.groups_needed * found.n / found.groups)
    if found.smallest_difference <= 1:
        here = paired_power(a, b, group, alpha=alpha, power=power, difference=found.smallest_difference)
        assert here.power == pytest.approx(power, abs=1e-9)
        assert here.groups_needed == found.groups


def test_smallest_difference_equals_that_of_statsmodels_where_every_comparison_is_a_group():
    a, b, _ = two_metrics(200, 4)
    n = a.size
    found = paired_power(a, b, np.arange(n), power=0.9, difference=0.07)
    spread = np.std(a - b, ddof=1)
    # ratio=0 is one sample. One side of a two-sided test at 5 %: the other one is the wrong direction.
    plan, test = NormalIndPower(), {"alpha": 0.025, "ratio": 0, "alternative": "larger"}
    assert plan.power(found.smallest_difference / spread, n, **test) == pytest.approx(0.9, abs=1e-9)
    assert found.power == pytest.approx(plan.power(0.07 / spread, n, **test), abs=1e-9)
    assert found.groups_needed == found.comparisons_needed
    assert plan.power(0.07 / spread, found.groups_needed - 1, **test) < 0.9
    assert plan.power(0.07 / spread, found.groups_needed, **test) >= 0.9
    assert found.design_effect == pytest.approx(1, rel=1e-12)


def test_copies_of_every_comparison_add_nothing():
    a, b, group = two_metrics(80, 1)
    once = paired_power(a, b, group)
    twice = paired_power(np.tile(a, 2), np.tile(b, 2), np.tile(group, 2))
    assert twice.standard_error == pytest.approx(once.standard_error, rel=1e-12)
    assert twice.design_effect > 1.9 * once.design_effect > 1.9


def test_the_order_of_the_rows_and_the_names_of_the_groups_change_nothing():
    a, b, group = two_metrics(60, 2)
    a = a / 3
    order = np.random.default_rng(0).permutation(a.size)
    names = np.random.default_rng(1).permutation(60) * 5 - 17
    found = paired_power(a, b, group, difference=0.1)
    assert paired_power(a[order], b[order], group[order], difference=0.1) == found
    renamed = paired_power(a, b, names[group], difference=0.1)
    assert renamed.standard_error == pytest.approx(found.standard_error, rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "group", "reason"),
    [
        ([], [], [], "no comparison"),
        ([1, 0], [0, 1], [7, 7], "fewer than 2 groups"),
        ([1], [0], [7], "fewer than 2 groups"),
        ([1, 0, 1], [1, 0, 1], [1, 2, 3], "the difference is the same in every group"),
        ([1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 2, 2], "the difference is the same in every group"),
        ([1 / 3, 1 / 3, 2 / 3], [0, 0, 1 / 3], [1, 1, 2], "the difference is the same in every group"),
    ],
)
def test_what_is_undefined_says_why(a, b, group, reason):
    found = paired_power(np.array(a, float), np.array(b, float), np.array(group, np.int64), difference=0.1)
    assert found.undefined == reason
    assert found.smallest_difference is found.power is found.groups_needed is found.comparisons_needed is None


def test_no_plan_is_below_two_groups():
    right = np.ones(100)
    found = paired_power(right, (np.arange(100) > 0) * 1.0, np.arange(100), difference=1.0)
    assert found.smallest_difference < 0.05
    assert (found.groups_needed, found.comparisons_needed) == (2, 2)


def test_no_difference_asked_for_gives_no_plan():
    found = paired_power(*two_metrics(50, 3))
    assert found.undefined == ""
    assert found.smallest_difference > 0
    assert found.difference is found.power is found.groups_needed is found.comparisons_needed is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right_a": np.array([0.0, 1.5])}, "right_a must be from 0 to 1"),
        ({"right_b": np.array([0.0, math.nan])}, "right_b must be from 0 to 1"),
        ({"right_b": np.array([0.0])}, r"right_b must have the shape \(2,\)"),
        ({"alpha": 0.0}, "alpha and power"),
        ({"power": 1.0}, "alpha and power"),
        ({"power": 0.04}, "alpha and power"),
        ({"difference": 0.0}, "difference must be from 0.000001 to 1"),
        ({"difference": math.nan}, "difference must be from"),
        ({"difference": 1.01}, "difference must be from"),
    ],
)
def test_values_outside_of_the_contract_are_refused(change, message):
    given = {"right_a": np.array([0.0, 1.0]), "right_b": np.array([1.0, 1.0]), "group": np.array([0, 1])} | change
    with pytest.raises(ValueError, match=message):
        paired_power(**given)


def test_the_sign_flip_test_finds_a_difference_as_often_as_planned(monkeypatch):
    """Plan from stored runs of one size, and ask the test on new data of the planned size."""
    advantage, wanted = 0.12, 0.8
    pilot = paired_power(*two_metrics(4000, 0), power=wanted, difference=advantage)
    assert pilot.design_effect > 1.15  # groups matter here: a plan from comparisons alone would fall short
    monkeypatch.setattr(paired, "FLIPS", 1000)  # a p-value of 0.05 is within 0.007 all the same
    runs, found, found_by_chance = 250, 0, 0
    for run in range(runs):
        for true in (advantage, 0.0):
            a, b, group = two_metrics(pilot.groups_needed, run + 1, true)
            tests = paired_tests(np.stack([a, b], axis=1), np.ones((a.size, 2), bool), group)
            rejected = tests.p_permutation[0] <= 0.05
            found += rejected and true > 0
            found_by_chance += rejected and true == 0
    # Three standard errors of a share of so many runs: 0.076 and 0.041.
    assert found / runs == pytest.approx(wanted, abs=3 * math.sqrt(wanted * (1 - wanted) / runs))
    assert found_by_chance / runs == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / runs))
    # What the formula says of the power at that size is what was planned.
    here = paired_power(*two_metrics(pilot.groups_needed, 1), difference=advantage)
    assert here.power == pytest.approx(wanted, abs=0.1)
    assert NormalDist().inv_cdf(0.975) * here.standard_error < advantage
