"""Estimators of two things: which response is the better one if one is, and whether none is.

The first is a margin that turns its sign, exactly, when the responses are swapped; the second stays the same, exactly.
Both are log-odds. Sums go row by row, never by a matrix product, whose last digits depend on what else is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.errors import UserError
from calf.hashing import digest
from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from calf.analysis.observations import Codes, Floats

__all__ = ["ESTIMATORS", "SAME", "Estimator", "Scaling", "fit_estimator", "log_odds", "probability"]

SAME = LABELS.index("same")

FEWEST = 20
"""So many comparisons in which people preferred one response are needed to learn which one they prefer."""

_TREES = 200
_FEWEST_TIES = 5  # below, the share of ties is all that is learned of them
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """What features are divided by, so that all weigh alike.

    Attributes:
        odd: (k,); the root of the mean square: shifting would give a side an advantage.
        centre, spread: (m,), of the even features.
    """

    odd: Floats
    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, odd: Floats, even: Floats) -> Scaling:
        """From the examples."""
        return cls(_or_one(np.sqrt(np.mean(np.square(odd), axis=0))), even.mean(axis=0), _or_one(even.std(axis=0)))

    def apply(self, odd: Floats, even: Floats) -> tuple[Floats, Floats]:
        """The odd and the even features, all of about size 1."""
        symmetric = (even - self.centre) / self.spread
        antisymmetric = np.clip(odd / self.odd, -_FAR, _FAR)
        return np.ascontiguousarray(antisymmetric), np.ascontiguousarray(np.clip(symmetric, -_FAR, _FAR))


_FAR = 3.0  # spreads: a single far value must not decide, least of all in another dataset


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """A fitted estimator.

    Attributes:
        kind: one of `ESTIMATORS`.
        scaling: of the features.
        which: the scikit-learn classifier of the better response, 1 if it is response_a.
        tie: that of ties, 1 if there is one; None where there were too few to learn from.
        share: the log-odds of a tie in the examples, used where `tie` is None.
    """

    kind: str
    scaling: Scaling
    which: Any
    tie: Any
    share: float

    def margins(self, odd: Floats, even: Floats) -> tuple[Floats, Floats]:
        """The log-odds that response_a is better, if one is, and those of a tie, each (n,)."""
        antisymmetric, symmetric = self.scaling.apply(odd, even)
        with _threads(1):
            which = ESTIMATORS[self.kind].margin(self.which, antisymmetric, symmetric)
            if self.tie is None:
                return which, np.full(len(odd), self.share)
            return which, ESTIMATORS[self.kind].log_odds(self.tie, symmetric)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an estimator is made, fitted and asked.

    Attributes:
        which, tie: make the classifiers from a random state and a number of threads.
        mirrored: whether each example is shown in both orders, and each question asked in both. A linear function of
            the odd features without a constant is antisymmetric by itself.
        margin, log_odds: ask them.
    """

    which: Callable[[int, int], Any]
    tie: Callable[[int, int], Any]
    mirrored: bool
    margin: Callable[[Any, Floats, Floats], Floats]
    log_odds: Callable[[Any, Floats], Floats]


def fit_estimator(kind: str, odd: Floats, even: Floats, label: Codes, *, seed: int = 0, jobs: int = 1) -> Estimator:
    """Learns from examples.

    Args:
        kind: one of `ESTIMATORS`.
        odd, even: (n, k) and (n, m).
        label: (n,), places in `calf.types.LABELS`.
        seed: for the estimators' own draws.
        jobs: how many threads grow trees; they are the same with any number.

    Raises:
        UserError: there are fewer than 20 comparisons in which people preferred a response, or no features.
    """
    decided = int((label != SAME).sum())
    if decided < FEWEST:
        raise UserError(
            f"{decided} comparisons with a preferred response are there to learn from, after folds; {FEWEST} are needed"
        )
    if not odd.shape[1]:
        raise UserError("there are no features that tell the two responses apart; choose other families")
    with _threads(jobs):
        return _fit(kind, odd, even, label, seed, jobs)


def _fit(kind: str, odd: Floats, even: Floats, label: Codes, seed: int, jobs: int) -> Estimator:
    decided, tied = label != SAME, label == SAME
    make = ESTIMATORS[kind]
    scaling = Scaling.of(odd, even)
    antisymmetric, symmetric = scaling.apply(odd, even)
    state = int(digest("estimator", kind, seed, length=8), 16) % 2**31
    first, better = antisymmetric[decided], (label[decided] == 0).astype(np.int64)
    if make.mirrored:
        about = symmetric[decided]
        shown = np.vstack([np.hstack([first, about]), np.hstack([0.0 - first, about])])
        which = make.which(state, jobs).fit(shown, np.concatenate([better, 1 - better]))
    else:
        # A loss without a constant is the same for an example and its mirror image; both classes must only occur.
        sign = np.where(np.arange(better.size) % 2 == 0, 1.0, -1.0)[:, None]
        which = make.which(state, jobs).fit(first * sign, np.where(sign[:, 0] > 0, better, 1 - better))
    # Absolute odd features would seem to say something of ties; where they were tried they did not help.
    enough = min(tied.sum(), decided.sum()) >= _FEWEST_TIES and even.shape[1] > 0
    tie = make.tie(state, jobs).fit(symmetric, tied.astype(np.int64)) if enough else None
    for fitted in (which, tie):
        if fitted is not None and hasattr(fitted, "n_jobs"):
            fitted.n_jobs = None  # sums over trees by several threads differ in their last digits
    share = (tied.sum() + 0.5) / (label.size + 1.0)
    return Estimator(kind, scaling, which, tie, float(log_odds(np.array([share]))[0]))


def _threads(jobs: int) -> Any:
    """Keeps scikit-learn's own threads to so many: more than there are free cores wait for each other for ages."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(jobs)


def log_odds(share: Floats) -> Floats:
    """log(p / (1 - p)), of shares kept within 1e-6 of 0 and 1."""
    kept = np.clip(share, _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def probability(odds: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)))


def _or_one(spread: Floats) -> Floats:
    return np.asarray(np.where(spread > 0.0, spread, 1.0))


def _linear_margin(fitted: Any, antisymmetric: Floats, even: Floats) -> Floats:  # noqa: ARG001  # as for the mirrored
    return np.asarray((antisymmetric * fitted.coef_[0]).sum(axis=1))


def _linear_log_odds(fitted: Any, symmetric: Floats) -> Floats:
    return np.asarray((symmetric * fitted.coef_[0]).sum(axis=1) + fitted.intercept_[0])


def _mirrored_margin(fitted: Any, antisymmetric: Floats, even: Floats) -> Floats:
    """The log-odds of the mean of what is said of both orders."""
    both = [fitted.predict_proba(np.hstack([sides, even]))[:, 1] for sides in (antisymmetric, 0.0 - antisymmetric)]
    lead = np.clip(both[0] - both[1], _LEAST - 1.0, 1.0 - _LEAST)
    return np.asarray(np.log1p(lead) - np.log1p(-lead))


def _log_odds_of(fitted: Any, symmetric: Floats) -> Floats:
    return log_odds(fitted.predict_proba(symmetric)[:, 1])


def _ridge(strength: float, *, constant: bool) -> Callable[[int, int], Any]:
    def make(state: int, jobs: int) -> Any:  # noqa: ARG001  # nothing is drawn, and one thread does
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=strength, fit_intercept=constant, max_iter=2000)

    return make


def _trees(state: int, jobs: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(_TREES, min_samples_leaf=8, max_features=0.2, random_state=state, n_jobs=jobs)


def _boosting(state: int, jobs: int) -> Any:  # noqa: ARG001  # its threads are OpenMP's
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=80, max_leaf_nodes=8, min_samples_leaf=30, l2_regularization=5.0, max_features=0.3,
        early_stopping=False, random_state=state,
    )  # fmt: skip


ESTIMATORS: Mapping[str, _Kind] = {
    "logistic": _Kind(
        _ridge(0.002, constant=False), _ridge(0.01, constant=True), False, _linear_margin, _linear_log_odds
    ),
    "trees": _Kind(_trees, _trees, True, _mirrored_margin, _log_odds_of),
    "boosting": _Kind(_boosting, _boosting, True, _mirrored_margin, _log_odds_of),
}
"""The estimators: logistic regression with a strong ridge, extremely randomised trees, gradient boosting."""
