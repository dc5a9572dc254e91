"""An evaluator: estimators, how sure they may be, and when it says that two responses are the same.

Three outcomes follow from two log-odds: that a response is better if one is, and that none is. Swapping the responses
turns the sign of the first and leaves the second, so that the probabilities of response_a and response_b change places,
exactly. How steep both are, and from which probability on the verdict is `same`, is fitted on predictions of examples
that the estimators had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.counts import accuracy, confusion, macro_f1
from calf.errors import OptionError
from calf.hashing import folds
from calf.training.estimators import ESTIMATORS, SAME, Estimator, fit_estimator, probability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers
    from calf.training.features import Pairs

__all__ = [
    "ACCURACY",
    "MEAN",
    "MODELS",
    "OBJECTIVES",
    "Calibration",
    "Evaluator",
    "check_model",
    "check_objective",
    "fit_evaluator",
    "loss",
]

MEAN, AUTO = "mean", "auto"

MODELS: tuple[str, ...] = (*ESTIMATORS, MEAN, AUTO)
"""What can be learned: one of the estimators; the mean of the log-odds of two, whose mistakes are not the same; or what
of all these does best on unseen examples."""

_OF_MEAN = ("logistic", "trees")

ACCURACY = "accuracy"

OBJECTIVES: Mapping[str, float] = {ACCURACY: 0.0, "balanced": 0.5}
"""What the rule for `same` is to make best on unseen examples: accuracy plus so many times macro-F1. For accuracy alone
it hardly ever says `same`, which is rarely the likeliest outcome; for macro-F1 alone far too often."""

_INNER_FOLDS = 4
_LEAST_SLOPE = 1e-3  # a margin that says nothing, or the opposite, still decides, and is hardly sure of it
_STRENGTH = 1.0  # of the ridge that draws slopes towards 1
_THRESHOLDS = 400


@dataclass(frozen=True, slots=True)
class Calibration:
    """From log-odds to probabilities and verdicts.

    Attributes:
        slope: of the margin.
        tie_slope, tie_shift: of the log-odds of a tie.
        same_from: the verdict is `same` if its probability is at least so many times that of the likelier side.
    """

    slope: float = 1.0
    tie_slope: float = 1.0
    tie_shift: float = 0.0
    same_from: float = 1.0

    def probabilities(self, which: Floats, tie: Floats) -> Floats:
        """Of response_a, response_b and same, (n, 3)."""
        same = probability(self.tie_slope * tie + self.tie_shift)
        sides = [(1.0 - same) * probability(sign * (self.slope * which)) for sign in (1.0, -1.0)]
        return np.stack([*sides, same], axis=1)

    def verdicts(self, probabilities: Floats) -> Codes:
        """The places of the verdicts in `calf.types.LABELS`, (n,); two sides that are equally likely are the same."""
        first, second, same = probabilities.T
        tied = (same >= self.same_from * np.maximum(first, second)) | (first == second)
        return np.where(tied, SAME, first < second).astype(np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluator:
    """A fitted evaluator.

    Attributes:
        kind: one of `MODELS` but `auto`.
        odd, even: the names of the features, in order.
        estimators: one, or several whose log-odds are averaged.
        slopes: by which each one's margin and log-odds of a tie are multiplied before, so that they weigh alike.
        calibration: what follows.
        losses: of each candidate, the mean loss on unseen examples.
    """

    kind: str
    odd: tuple[str, ...]
    even: tuple[str, ...]
    estimators: tuple[Estimator, ...]
    slopes: tuple[tuple[float, float, float], ...]
    calibration: Calibration
    losses: Mapping[str, float]

    def probabilities(self, pairs: Pairs) -> Floats:
        """Of response_a, response_b and same, (n, 3); each row depends on its own features alone.

        Raises:
            ValueError: the features are not those that it was fitted on.
        """
        if pairs.odd.names != self.odd or pairs.even.names != self.even:
            raise ValueError("these are not the features that the evaluator was fitted on")
        return self.of_values(pairs.odd.values, pairs.even.values)

    def of_values(self, odd: Floats, even: Floats) -> Floats:
        """The same from the tables' values."""
        if not len(odd):
            return np.zeros((0, 3))
        found = [estimator.margins(odd, even) for estimator in self.estimators]
        return self.calibration.probabilities(*_mean(found, self.slopes))

    def verdicts(self, pairs: Pairs) -> Codes:
        """The places of the verdicts in `calf.types.LABELS`, (n,)."""
        return self.calibration.verdicts(self.probabilities(pairs))


def check_objective(objective: str) -> None:
    """Whether it is one of `OBJECTIVES`.

    Raises:
        OptionError: it is none.
    """
    if objective not in OBJECTIVES:
        raise OptionError(f"objective {objective!r}: give {', '.join(OBJECTIVES)}")


def check_model(model: str) -> None:
    """Whether it is one of `MODELS`.

    Raises:
        OptionError: it is none.
    """
    if model not in MODELS:
        raise OptionError(f"model {model!r}: give {', '.join(MODELS)}")


def fit_evaluator(
    pairs: Pairs,
    label: Codes,
    groups: Sequence[str],
    *,
    model: str = MEAN,
    objective: str = ACCURACY,
    seed: int = 0,
    jobs: int = 1,
) -> Evaluator:
    """Learns an evaluator.

    Slopes and the rule for `same` are fitted on predictions for four parts of the groups, each by estimators of the
    other three; `auto` takes the candidate with the least loss there. Then the estimators are fitted on all examples.

    Args:
        pairs: the features.
        label: (n,), places in `calf.types.LABELS`.
        groups: of each example; a group is never divided.
        model: one of `MODELS`.
        objective: one of `OBJECTIVES`.
        seed: for all draws.
        jobs: how many threads.

    Raises:
        UserError: there are too few examples.
        OptionError: there is no such model.
    """
    check_model(model)
    check_objective(objective)
    kinds = tuple(ESTIMATORS) if model == AUTO else _OF_MEAN if model == MEAN else (model,)
    odd, even = pairs.odd.values, pairs.even.values
    unseen = _unseen(kinds, odd, even, label, groups, seed, jobs)
    slopes = {kind: _slopes(*unseen[kind], label) for kind in kinds}
    # What is learned of slopes and the rule is judged on groups that it was not learned from either.
    fold = _folds(groups, seed + 2)
    candidates: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in kinds if model in (kind, AUTO)}
    if model in (MEAN, AUTO):
        candidates[MEAN] = _OF_MEAN
    margins = {
        name: _mean([unseen[k] for k in parts], [slopes[k] for k in parts]) for name, parts in candidates.items()
    }
    losses = {name: _held_out_loss(*values, label, fold) for name, values in margins.items()}
    kind = min(losses, key=lambda name: losses[name])
    calibration = _calibrate(*margins[kind], label, OBJECTIVES[objective])
    members = candidates[kind]
    return Evaluator(
        kind,
        pairs.odd.names,
        pairs.even.names,
        tuple(fit_estimator(member, odd, even, label, seed=seed, jobs=jobs) for member in members),
        tuple(slopes[member] for member in members),
        calibration,
        losses,
    )


def loss(probabilities: Floats, label: Codes) -> float:
    """The mean of minus the logarithm of what the label was given."""
    given = probabilities[np.arange(label.size), label]
    return float(-np.log(np.maximum(given, 1e-9)).mean())


def _folds(groups: Sequence[str], seed: int) -> Integers:
    of_group = folds(groups, seed, _INNER_FOLDS)
    return np.array([of_group[name] for name in groups], dtype=np.int64)


def _unseen(
    kinds: Sequence[str], odd: Floats, even: Floats, label: Codes, groups: Sequence[str], seed: int, jobs: int
) -> dict[str, tuple[Floats, Floats]]:
    """Each kind's two log-odds for every example, by estimators that had not seen its group."""
    fold = _folds(groups, seed + 1)
    found = {kind: (np.zeros(label.size), np.zeros(label.size)) for kind in kinds}
    for part in np.unique(fold):
        rest, own = fold != part, fold == part
        for kind in kinds:
            fitted = fit_estimator(kind, odd[rest], even[rest], label[rest], seed=seed, jobs=jobs)
            for values, said in zip(found[kind], fitted.margins(odd[own], even[own]), strict=True):
                values[own] = said
    return found


def _mean(
    found: Sequence[tuple[Floats, Floats]], slopes: Sequence[tuple[float, float, float]]
) -> tuple[Floats, Floats]:
    """The means of several estimators' log-odds, each made as sure as it may be."""
    if len(found) == 1:
        return found[0]
    which = [slope * values[0] for values, (slope, _, _) in zip(found, slopes, strict=True)]
    tie = [steep * values[1] + shift for values, (_, steep, shift) in zip(found, slopes, strict=True)]
    return np.asarray(sum(which) / len(found)), np.asarray(sum(tie) / len(found))


def _slopes(which: Floats, tie: Floats, label: Codes) -> tuple[float, float, float]:
    """How steep the margin and the log-odds of a tie are, and the shift of these, by maximum likelihood."""
    decided = label != SAME
    sign = np.where(label[decided] == 0, 1.0, -1.0)
    size = float(np.sqrt(np.mean(np.square(which)))) or 1.0
    slope = max(_steepness(which[decided] / size * sign, None)[0], _LEAST_SLOPE) / size
    if not np.ptp(tie) > 0:
        return slope, 1.0, 0.0
    tied = np.where(label == SAME, 1.0, -1.0)
    centre, spread = float(tie.mean()), float(tie.std())
    steep, shift = _steepness((tie - centre) / spread, tied)
    if steep < _LEAST_SLOPE:  # it says nothing: the share of ties is all there is
        share = (float((label == SAME).sum()) + 0.5) / (label.size + 1.0)
        return slope, 0.0, float(np.log(share) - np.log1p(-share))
    return slope, steep / spread, shift - steep * centre / spread


def _steepness(values: Floats, sign: Floats | None) -> tuple[float, float]:
    """The slope and the constant of a logistic regression on one variable, by Newton's method.

    A weak ridge draws the slope towards 1, which keeps it finite where examples are separated.

    Args:
        values: (n,), of about size 1; without `sign` they are margins of what is right, and there is no constant.
        sign: (n,), 1 or -1.
    """
    design = values[:, None] if sign is None else np.column_stack([values, np.ones(values.size)])
    turned = design if sign is None else design * sign[:, None]
    start = np.array([1.0, 0.0])[: design.shape[1]]
    ridge = np.array([_STRENGTH, 1e-3])[: design.shape[1]]
    found = start.copy()

    def objective(at: Floats) -> float:
        return float(np.logaddexp(0.0, -(turned @ at)).sum() + 0.5 * (ridge * (at - start) ** 2).sum())

    for _ in range(100):
        wrong = probability(-(turned @ found))
        gradient = -(turned * wrong[:, None]).sum(axis=0) + ridge * (found - start)
        curvature = (design * (wrong * (1.0 - wrong))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and objective(found - size * step) > objective(found):
            size /= 2.0
        found = found - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return float(found[0]), float(found[1]) if sign is not None else 0.0


def _calibrate(which: Floats, tie: Floats, label: Codes, weight: float) -> Calibration:
    plain = Calibration(*_slopes(which, tie, label))
    probabilities = plain.probabilities(which, tie)
    return Calibration(plain.slope, plain.tie_slope, plain.tie_shift, _same_from(probabilities, label, weight))


def _same_from(probabilities: Floats, label: Codes, weight: float) -> float:
    """The rule for `same` with the best accuracy plus `weight` times macro-F1 on these examples."""
    first, second, same = probabilities.T
    ratio = same / np.maximum(first, second)
    better = np.where(first >= second, 0, 1).astype(np.int8)
    # The ratio at which the verdict turns to same, from "never" on; at most so many are tried.
    tried = np.append(np.unique(np.quantile(ratio, np.linspace(0.0, 1.0, _THRESHOLDS))), np.inf)[::-1]
    nobody, ones = np.zeros(label.size, dtype=np.int64), np.ones(label.size)
    best, found = -1.0, float(ratio.max()) * 2.0 + 1.0
    for threshold in tried:
        verdict = np.where(ratio >= threshold, SAME, better).astype(np.int8)
        counts = confusion(label, verdict, ones, nobody, 1)[0]
        value = float(accuracy(counts)) + (weight * float(macro_f1(counts)) if weight else 0.0)
        if value > best + 1e-12:
            best = value
            found = float(threshold) if np.isfinite(threshold) else found
    return found


def _held_out_loss(which: Floats, tie: Floats, label: Codes, fold: Integers) -> float:
    """The loss of a candidate whose slopes are fitted on the other folds."""
    given = np.zeros((label.size, 3))
    for part in np.unique(fold):
        rest: NDArray[np.bool_] = fold != part
        given[~rest] = Calibration(*_slopes(which[rest], tie[rest], label[rest])).probabilities(
            which[~rest], tie[~rest]
        )
    return loss(given, label)
