from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from made_comparisons import made_examples
from sklearn.linear_model import LogisticRegression

from calf.errors import UserError
from calf.training.estimators import ESTIMATORS, Estimator, fit_estimator, log_odds, probability


@pytest.fixture(autouse=True, scope="module")
def _few_trees() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calf.training.estimators._TREES", 60)  # quicker
        yield


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def fitted(request: pytest.FixtureRequest) -> Estimator:
    examples = made_examples(240)
    return fit_estimator(request.param, examples.pairs.odd.values, examples.pairs.even.values, examples.label)


def test_swapping_turns_the_margin_and_keeps_the_tie_to_the_last_bit(fitted: Estimator) -> None:
    pairs = made_examples(100, seed=1).pairs
    which, tie = fitted.margins(pairs.odd.values, pairs.even.values)
    other_which, other_tie = fitted.margins(pairs.swapped().odd.values, pairs.even.values)
    assert np.array_equal(which, -other_which)
    assert np.array_equal(tie, other_tie)
    assert np.ptp(which) > 0.1
    assert np.ptp(tie) > 0.1


def test_what_is_said_of_one_does_not_depend_on_its_neighbours(fitted: Estimator) -> None:
    pairs = made_examples(37, seed=2).pairs
    odd, even = pairs.odd.values, pairs.even.values
    together = fitted.margins(odd, even)
    for row in range(len(pairs)):
        alone = fitted.margins(odd[row : row + 1], even[row : row + 1])
        assert (alone[0][0], alone[1][0]) == (together[0][row], together[1][row])


def test_it_learns_both_what_is_better_and_what_is_the_same(fitted: Estimator) -> None:
    unseen = made_examples(600, seed=3)
    which, tie = fitted.margins(unseen.pairs.odd.values, unseen.pairs.even.values)
    decided = unseen.label != 2
    assert ((which > 0) == (unseen.label == 0))[decided].mean() > 0.65
    assert tie[~decided].mean() - tie[decided].mean() > 0.1


@pytest.mark.parametrize("kind", list(ESTIMATORS))
def test_the_same_examples_in_the_other_order_teach_the_same(kind: str) -> None:
    examples = made_examples(240)
    odd, even = examples.pairs.odd.values, examples.pairs.even.values
    mirror = np.array([1, 0, 2], dtype=np.int8)
    probe = made_examples(50, seed=4).pairs
    one = fit_estimator(kind, odd, even, examples.label).margins(probe.odd.values, probe.even.values)
    two = fit_estimator(kind, -odd, even, mirror[examples.label]).margins(probe.odd.values, probe.even.values)
    if kind == "logistic":  # trees draw splits from what comes first
        np.testing.assert_allclose(one[0], two[0], atol=2e-3)
    assert (np.sign(one[0]) == np.sign(two[0])).mean() > 0.8
    np.testing.assert_allclose(one[1], two[1], atol=1e-9)


def test_the_linear_estimator_is_scikit_learn_s_on_all_examples_and_their_mirror_images() -> None:
    examples = made_examples(200)
    odd, even = examples.pairs.odd.values, examples.pairs.even.values
    ours = fit_estimator("logistic", odd, even, examples.label)
    decided = examples.label != 2
    scaled = odd[decided] / np.sqrt((odd**2).mean(axis=0))
    better = (examples.label[decided] == 0).astype(int)
    theirs = LogisticRegression(C=ours.which.C / 2, tol=1e-10).fit(  # each example stands there twice
        np.vstack([scaled, -scaled]), np.concatenate([better, 1 - better])
    )
    assert abs(theirs.intercept_[0]) < 1e-6
    np.testing.assert_allclose(ours.which.coef_, theirs.coef_, atol=1e-3)


def test_without_ties_only_their_share_is_known() -> None:
    examples = made_examples(200)
    rows = examples.rows(examples.label != 2)
    fitted = fit_estimator("logistic", rows.pairs.odd.values, rows.pairs.even.values, rows.label)
    assert fitted.tie is None
    tie = fitted.margins(rows.pairs.odd.values, rows.pairs.even.values)[1]
    assert np.ptp(tie) == 0
    assert probability(tie)[0] == pytest.approx(0.5 / (len(rows) + 1))


def test_too_few_examples_and_no_features_are_said() -> None:
    examples = made_examples(60)
    few = examples.rows(np.arange(60) < 15)
    with pytest.raises(UserError, match="20 are needed"):
        fit_estimator("logistic", few.pairs.odd.values, few.pairs.even.values, few.label)
    with pytest.raises(UserError, match="no features that tell"):
        fit_estimator("logistic", np.zeros((60, 0)), examples.pairs.even.values, examples.label)


def test_log_odds_and_probabilities_are_each_other_s_inverse_without_overflow() -> None:
    shares = np.linspace(1e-5, 1 - 1e-5, 999)
    np.testing.assert_allclose(probability(log_odds(shares)), shares, rtol=1e-9)
    assert probability(np.array([-1e9, 1e9])).tolist() == [0.0, 1.0]
