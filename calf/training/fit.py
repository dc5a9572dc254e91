"""Nested cross-fitting: every comparison is judged by an evaluator that has seen nothing of its group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.decide import Decisions
from calf.errors import UserError
from calf.hashing import folds, uniform
from calf.training.model import ACCURACY, MEAN, Evaluator, fit_evaluator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.analysis.observations import Codes, Floats, Integers
    from calf.training.examples import Examples

__all__ = ["CrossFitted", "cross_fit", "decisions_of", "fit_on"]


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitted:
    """What evaluators say of examples that they have not seen.

    Attributes:
        probabilities: of response_a, response_b and same, (n, 3).
        verdict: int8 (n,).
        fold: (n,), in range(folds).
        evaluators: one a fold, fitted on the other folds.
    """

    probabilities: Floats
    verdict: Codes
    fold: Integers
    evaluators: tuple[Evaluator, ...]

    @property
    def decisions(self) -> Decisions:
        """As the tables of runs take them."""
        return decisions_of(self.probabilities, self.verdict)


def cross_fit(
    examples: Examples,
    *,
    model: str = MEAN,
    objective: str = ACCURACY,
    count: int = 5,
    seed: int = 0,
    jobs: int = 1,
    share: float = 1.0,
) -> CrossFitted:
    """Judges each fold of the groups by an evaluator fitted on the others.

    Everything is chosen and fitted within the other folds: the model, where it is `auto`, slopes, the rule for `same`.

    Args:
        examples: of at least two groups.
        model: one of `calf.training.model.MODELS`.
        objective: one of `calf.training.model.OBJECTIVES`.
        count: the number of folds.
        seed: for all draws.
        jobs: how many threads.
        share: of the other folds' groups, how many are learned from, chosen by hash: a larger share holds a smaller
            one.

    Raises:
        UserError: there are too few groups or comparisons.
    """
    if count < 2:
        raise UserError(f"folds must be 2 or more, not {count}")
    of_group = folds(examples.groups, seed, count)
    if len(of_group) < count:
        raise UserError(f"{len(of_group)} groups of comparisons cannot be divided into {count} folds")
    fold = np.array([of_group[name] for name in examples.groups], dtype=np.int64)
    kept = np.array([uniform("curve", seed, name) < share for name in examples.groups], dtype=np.bool_)
    probabilities = np.zeros((len(examples), 3))
    verdict = np.zeros(len(examples), dtype=np.int8)
    evaluators = []
    for part in range(count):
        own = fold == part
        evaluator = fit_on(examples.rows(~own & kept), model=model, objective=objective, seed=seed, jobs=jobs)
        probabilities[own] = evaluator.probabilities(examples.rows(own).pairs)
        verdict[own] = evaluator.calibration.verdicts(probabilities[own])
        evaluators.append(evaluator)
    return CrossFitted(probabilities, verdict, fold, tuple(evaluators))


def fit_on(
    examples: Examples, *, model: str = MEAN, objective: str = ACCURACY, seed: int = 0, jobs: int = 1
) -> Evaluator:
    """An evaluator fitted on all these examples.

    Raises:
        UserError: they are too few.
    """
    return fit_evaluator(
        examples.pairs, examples.label, examples.groups, model=model, objective=objective, seed=seed, jobs=jobs
    )


def decisions_of(probabilities: Floats, verdict: Codes) -> Decisions:
    """What `calf.runs.rows` makes tables of. In both orders an evaluator's verdict is the same."""
    n = verdict.size
    return Decisions(
        comparison=np.arange(n, dtype=np.int64),
        repeat=np.zeros(n, dtype=np.int64),
        verdict=verdict,
        difference=np.asarray(probabilities[:, 0] - probabilities[:, 1]),
        weight=np.ones(n),
        given=verdict,
        swapped=verdict,
    )


def groups_of(names: Sequence[str]) -> Integers:
    """Groups as numbers, (n,)."""
    return np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64)
