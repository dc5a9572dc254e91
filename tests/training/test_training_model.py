from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_comparisons import made_examples
from sklearn.linear_model import LogisticRegression

from calf.errors import OptionError
from calf.training.estimators import ESTIMATORS
from calf.training.model import OBJECTIVES, Calibration, Evaluator, _same_from, _slopes, fit_evaluator, loss

numbers = st.floats(-60, 60, allow_nan=False)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    examples = made_examples(400)
    return fit_evaluator(examples.pairs, examples.label, examples.groups, model="logistic")


def test_swapped_pairs_get_mirrored_probabilities_and_verdicts_to_the_last_bit(evaluator: Evaluator) -> None:
    pairs = made_examples(200, seed=1).pairs
    given_, swapped = evaluator.probabilities(pairs), evaluator.probabilities(pairs.swapped())
    assert np.array_equal(given_, swapped[:, [1, 0, 2]])
    mirror = np.array([1, 0, 2])
    assert np.array_equal(evaluator.verdicts(pairs), mirror[evaluator.verdicts(pairs.swapped())])
    np.testing.assert_allclose(given_.sum(axis=1), 1.0, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20), st.floats(0.001, 5), st.floats(0.1, 3))
def test_any_calibration_is_antisymmetric(values: list[tuple[float, float]], slope: float, same_from: float) -> None:
    which, tie = np.array(values).T
    calibration = Calibration(slope, 0.7, -0.3, same_from)
    one, two = calibration.probabilities(which, tie), calibration.probabilities(-which, tie)
    assert np.array_equal(one, two[:, [1, 0, 2]])
    assert np.array_equal(calibration.verdicts(one), np.array([1, 0, 2])[calibration.verdicts(two)])
    np.testing.assert_allclose(one.sum(axis=1), 1.0, atol=1e-12)
    assert (one >= 0).all()


def test_equally_likely_sides_are_the_same() -> None:
    assert Calibration(same_from=9.0).verdicts(
        np.array([[0.45, 0.45, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]])
    ).tolist() == [2, 0, 1]
    assert Calibration(same_from=0.5).verdicts(np.array([[0.5, 0.2, 0.3], [0.6, 0.2, 0.2]])).tolist() == [2, 0]


def test_probabilities_are_calibrated_on_unseen_examples(evaluator: Evaluator) -> None:
    unseen = made_examples(6000, seed=9)
    given_ = evaluator.probabilities(unseen.pairs)
    for column in range(3):
        said = (unseen.label == column).astype(float)
        for low, high in ((0.0, 0.15), (0.15, 0.4), (0.4, 0.65), (0.65, 1.0)):
            inside = (given_[:, column] >= low) & (given_[:, column] < high)
            if inside.sum() > 200:
                assert said[inside].mean() == pytest.approx(given_[inside, column].mean(), abs=0.08)


def test_the_slopes_are_those_of_a_logistic_regression() -> None:
    chance = np.random.default_rng(0)
    which, tie = chance.normal(size=4000) * 3, chance.normal(size=4000) * 2
    tied = chance.random(4000) < 1 / (1 + np.exp(1.0 - 0.8 * tie))
    first = chance.random(4000) < 1 / (1 + np.exp(-0.5 * which))
    label = np.where(tied, 2, np.where(first, 0, 1)).astype(np.int8)
    slope, steep, shift = _slopes(which, tie, label)
    decided = label != 2
    plain = LogisticRegression(C=np.inf, tol=1e-10)
    margin = LogisticRegression(C=np.inf, tol=1e-10, fit_intercept=False).fit(which[decided, None], label[decided] == 0)
    ties = plain.fit(tie[:, None], tied)
    assert slope == pytest.approx(margin.coef_[0, 0], abs=2e-3)
    assert (steep, shift) == pytest.approx((ties.coef_[0, 0], ties.intercept_[0]), abs=2e-3)


def test_slopes_stay_finite_and_positive() -> None:
    separated = np.linspace(-2, 2, 40)
    label = (separated < 0).astype(np.int8)
    assert 1 < _slopes(separated, np.zeros(40), label)[0] < 1000
    assert 0 < _slopes(-separated, np.zeros(40), label)[0] < 0.01


def test_slopes_do_not_depend_on_the_unit_of_the_log_odds() -> None:
    chance = np.random.default_rng(3)
    which, tie = chance.normal(size=(2, 300))
    label = np.where(tie + chance.normal(size=300) > 1.5, 2, which + chance.normal(size=300) < 0).astype(np.int8)
    plain = Calibration(*_slopes(which, tie, label)).probabilities(which, tie)
    other = Calibration(*_slopes(which / 1000, tie * 50 - 7, label)).probabilities(which / 1000, tie * 50 - 7)
    np.testing.assert_allclose(plain, other, atol=1e-9)


def test_log_odds_of_ties_that_say_the_opposite_leave_their_share() -> None:
    tie = np.linspace(-2, 2, 60)
    label = np.where(tie < -0.5, 2, np.arange(60) % 2).astype(np.int8)
    steep, shift = _slopes(np.ones(60), tie, label)[1:]
    assert steep == 0
    assert 1 / (1 + np.exp(-shift)) == pytest.approx(((label == 2).sum() + 0.5) / 61)


@pytest.mark.parametrize("weight", OBJECTIVES.values())
def test_the_rule_for_same_is_the_best_one(weight: float) -> None:
    chance = np.random.default_rng(1)
    given_ = chance.dirichlet([3, 3, 1], size=300)
    label = np.array([chance.choice(3, p=row) for row in given_], dtype=np.int8)
    from sklearn.metrics import accuracy_score, f1_score

    def value(threshold: float) -> float:
        verdict = Calibration(same_from=threshold).verdicts(given_)
        f1 = f1_score(label, verdict, average="macro", zero_division=0)
        return float(accuracy_score(label, verdict) + weight * f1)

    best = value(_same_from(given_, label, weight))
    assert best >= max(value(threshold) for threshold in np.linspace(0.05, 3, 60)) - 0.01
    nobody = np.where(label == 2, 0, label).astype(np.int8)
    assert (Calibration(same_from=_same_from(given_, nobody, weight)).verdicts(given_) == 2).mean() < 0.1


def test_auto_takes_the_candidate_with_the_least_loss_and_mean_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.training.model._INNER_FOLDS", 2)  # quicker, as is
    monkeypatch.setattr("calf.training.estimators._TREES", 40)
    examples = made_examples(90)
    found = fit_evaluator(examples.pairs, examples.label, examples.groups, model="auto")
    assert set(found.losses) == {*ESTIMATORS, "mean"}
    assert found.kind == min(found.losses, key=lambda name: found.losses[name])
    mean = fit_evaluator(examples.pairs, examples.label, examples.groups, model="mean")
    assert [part.kind for part in mean.estimators] == ["logistic", "trees"]
    probe = made_examples(40, seed=5).pairs
    assert np.array_equal(mean.probabilities(probe), mean.probabilities(probe.swapped())[:, [1, 0, 2]])


def test_training_again_gives_the_same_and_another_seed_is_allowed(evaluator: Evaluator) -> None:
    examples = made_examples(400)
    again = fit_evaluator(examples.pairs, examples.label, examples.groups, model="logistic")
    probe = made_examples(40, seed=5).pairs
    assert np.array_equal(again.probabilities(probe), evaluator.probabilities(probe))
    other = fit_evaluator(examples.pairs, examples.label, examples.groups, model="logistic", seed=1)
    assert not np.array_equal(other.probabilities(probe), evaluator.probabilities(probe))


@pytest.mark.parametrize("model", ["logistic", "trees"])  # boosting takes as many as there are
def test_more_threads_change_nothing(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.training.model._INNER_FOLDS", 2)  # quicker, as is
    monkeypatch.setattr("calf.training.estimators._TREES", 20)
    examples = made_examples(90)
    probe = made_examples(30, seed=5).pairs
    found = [
        fit_evaluator(examples.pairs, examples.label, examples.groups, model=model, jobs=jobs).probabilities(probe)
        for jobs in (1, 2)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)


def test_other_features_and_models_are_refused(evaluator: Evaluator) -> None:
    pairs = made_examples(10).pairs
    named = dataclasses.replace(pairs.odd, names=tuple(reversed(pairs.odd.names)))
    with pytest.raises(ValueError, match="not the features"):
        evaluator.probabilities(dataclasses.replace(pairs, odd=named))
    with pytest.raises(OptionError, match="logistic, trees, boosting, mean, auto"):
        fit_evaluator(pairs, np.zeros(10, dtype=np.int8), ["g"] * 10, model="neural")


def test_the_loss_is_the_mean_log_loss() -> None:
    from sklearn.metrics import log_loss

    given_ = np.random.default_rng(2).dirichlet([1, 1, 1], size=50)
    label = np.arange(50, dtype=np.int8) % 3
    assert loss(given_, label) == pytest.approx(log_loss(label, given_), abs=1e-9)
