from __future__ import annotations

from math import isclose, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from simulated import examples
from statsmodels.stats.multitest import multipletests
from test_annotators import annotations, by_comparison, make

from calf.analysis.alternative import alternative_test


def restated(said: dict[int, dict[int, int]], verdict, epsilon: float, least: int):
    """The paper's procedure, one annotator and one comparison at a time: (annotator, n, p, advantage) each."""
    said = {c: one for c, one in said.items() if len(one) > 1}
    found = []
    for h in sorted({a for one in said.values() for a in one}):
        wins, differences = [], []
        for c, one in said.items():
            if h not in one:
                continue
            others = [y for a, y in one.items() if a != h]
            of_h = sum(y == one[h] for y in others) / len(others)
            of_f = sum(y == verdict[c] for y in others) / len(others)
            wins.append(int(of_f >= of_h))
            differences.append(int(of_h >= of_f) - wins[-1])
        n = len(wins)
        if n < least:
            continue
        mean = sum(differences) / n
        variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
        if len({*differences}) == 1:
            p = float(mean >= epsilon)
        else:
            p = student.cdf((mean - epsilon) / (variance / n) ** 0.5, n - 1)
        found.append((h, n, p, sum(wins) / n))
    return found


@examples(70)
@given(annotations(most=12), st.data())
def test_equals_the_procedure_restated(seen, data):
    verdict = np.array(data.draw(st.lists(st.integers(0, 3), min_size=12, max_size=12)), dtype=np.int8)
    epsilon, least = data.draw(st.sampled_from([0.0, 0.1, 0.2, 1.5])), data.draw(st.integers(2, 5))
    found = alternative_test(seen, verdict, epsilon=epsilon, least=least, rate=0.3)
    said = by_comparison(seen)
    expected = restated(said, verdict, epsilon, least)
    if len({a for one in said.values() if len(one) > 1 for a in one}) < 3 or not expected:
        assert found.reason
        assert isnan(found.winning_rate)
        assert isnan(found.average_advantage)
        assert found.annotators.size == found.n.size == found.p_value.size == found.rejected.size == 0
        return
    people, n, p_value, advantage = (list(column) for column in zip(*expected, strict=True))
    assert found.reason == ""
    assert found.annotators.tolist() == people
    assert found.n.tolist() == n
    np.testing.assert_allclose(found.p_value, p_value, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.advantage, advantage, rtol=0, atol=1e-12)
    assert found.average_advantage == pytest.approx(sum(advantage) / len(advantage), abs=1e-12)
    rejected, adjusted, *_ = multipletests(p_value, alpha=0.3, method="fdr_by")
    if not any(isclose(p, 0.3, abs_tol=1e-9) for p in adjusted):
        assert found.rejected.tolist() == rejected.tolist()
        assert found.winning_rate == pytest.approx(rejected.mean())


def crowd(comparisons: int, people: int, noise: float, seed: int = 0):
    """Annotators who say the true label, but with probability `noise` any of the three; and the true labels."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(3, size=comparisons).astype(np.int8)
    rows = [
        (c, a, int(chance.integers(3)) if chance.random() < noise else int(truth[c]), c)
        for c in range(comparisons)
        for a in range(people)
    ]
    return make(rows), truth


def test_a_good_metric_passes_and_a_bad_one_does_not():
    seen, truth = crowd(100, 4, 0.4)
    good = alternative_test(seen, truth)
    assert good.winning_rate == 1.0
    assert good.average_advantage > 0.9
    bad = alternative_test(seen, ((truth + 1) % 3).astype(np.int8))
    assert bad.winning_rate == 0.0
    assert bad.average_advantage < 0.5


def test_advantage_does_not_depend_on_epsilon_but_the_winning_rate_does():
    seen, truth = crowd(60, 3, 0.1)
    strict, lenient = (alternative_test(seen, truth, epsilon=epsilon) for epsilon in (-0.5, 0.5))
    assert strict.average_advantage == lenient.average_advantage
    assert (strict.winning_rate, lenient.winning_rate) == (0.0, 1.0)


def test_where_nothing_varies():
    # All people agree; a metric that agrees too ties with each always, one that does not loses always.
    seen = make([(c, a, 0, c) for c in range(30) for a in range(3)])
    same = alternative_test(seen, np.zeros(30, dtype=np.int8))
    assert (same.p_value.tolist(), same.winning_rate, same.average_advantage) == ([0.0] * 3, 1.0, 1.0)
    at_zero = alternative_test(seen, np.zeros(30, dtype=np.int8), epsilon=0.0)
    assert (at_zero.p_value.tolist(), at_zero.winning_rate) == ([1.0] * 3, 0.0)
    failed = alternative_test(seen, np.full(30, 3, dtype=np.int8))
    assert (failed.p_value.tolist(), failed.winning_rate, failed.average_advantage) == ([1.0] * 3, 0.0, 0.0)


def test_a_failed_verdict_agrees_with_nobody():
    seen, truth = crowd(50, 3, 0.3)
    some = truth.copy()
    some[:25] = 3
    assert (alternative_test(seen, some).advantage < alternative_test(seen, truth).advantage).all()


@pytest.mark.parametrize(
    ("comparisons", "people", "reason"),
    [
        (0, 0, "fewer than 3 annotators share comparisons"),
        (40, 1, "fewer than 3 annotators share comparisons"),
        (40, 2, "fewer than 3 annotators share comparisons"),
        (29, 3, "no annotator shares 30 or more comparisons with another"),
    ],
)
def test_undefined(comparisons, people, reason):
    seen, truth = crowd(comparisons, people, 0.2)
    found = alternative_test(seen, truth)
    assert found.reason == reason
    assert isnan(found.winning_rate)


def test_annotators_with_too_few_comparisons_still_count_as_others():
    seen, truth = crowd(40, 3, 0.5)
    seen = seen.select((seen.annotator != 2) | (seen.comparison < 20))
    found = alternative_test(seen, truth)
    assert (found.annotators.tolist(), found.n.tolist()) == ([0, 1], [40, 40])
    expected = restated(by_comparison(seen), truth, 0.2, 30)
    np.testing.assert_allclose(found.p_value, [p for _, _, p, _ in expected], rtol=0, atol=1e-9)


def test_wrong_arguments():
    seen, truth = crowd(5, 3, 0.5)
    with pytest.raises(ValueError, match="range"):
        alternative_test(seen, truth[:4])
    with pytest.raises(ValueError, match="verdict"):
        alternative_test(seen, np.full(5, 4, dtype=np.int8))
    with pytest.raises(ValueError, match="least"):
        alternative_test(seen, truth, least=1)
