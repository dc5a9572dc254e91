"""Trained on one dataset, judging another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, percentile_interval, resample_sums
from calf.analysis.counts import ratio
from calf.errors import UserError
from calf.training.fit import groups_of
from calf.training.seen import KINDS, seen_groups, seen_marks
from calf.training.studies import difference, figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.analysis.observations import Codes, Floats
    from calf.training.examples import Examples
    from calf.training.fit import CrossFitted
    from calf.training.model import Evaluator
    from calf.training.studies import Study
    from calf.types import Comparison

__all__ = ["Dropped", "Transfer", "drop_shared", "transfer"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was not trained on, since the other dataset has something of it.

    Attributes:
        comparisons, groups: how many.
        kinds: of these groups, how many were known again by each of `calf.training.seen.KINDS`.
    """

    comparisons: int
    groups: int
    kinds: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """What came of it.

    Attributes:
        at_home: the figures on the first dataset, cross-fitted, without what was dropped.
        away: on the second, trained on the first.
        drop: `difference`, `low`, `high`: the accuracy away minus that at home; the datasets' groups are resampled
            independently.
        trained_there: the figures on the second dataset, cross-fitted there; None if it is too small.
        against_trained_there: the accuracy away minus these, comparison by comparison (`calf.training.studies`).
        probabilities, verdict: on the second dataset.
    """

    at_home: dict[str, Any]
    away: dict[str, Any]
    drop: dict[str, Any]
    trained_there: dict[str, Any] | None
    against_trained_there: dict[str, Any] | None
    probabilities: Floats
    verdict: Codes

    def as_dict(self) -> dict[str, Any]:
        """The figures, for JSON."""
        names = ("at_home", "away", "drop", "trained_there", "against_trained_there")
        return {name: getattr(self, name) for name in names}


def drop_shared(
    comparisons: Sequence[Comparison], others: Sequence[Comparison]
) -> tuple[tuple[Comparison, ...], Dropped]:
    """The comparisons whose groups have nothing in common with another dataset, and what was dropped.

    In common: an id, a question, a context, a reference or a response.
    """
    shared = seen_groups(comparisons, seen_marks(others))
    kept = tuple(c for c in comparisons if c.group not in shared)
    kinds = Counter(kind for found in shared.values() for kind in found)
    counts = {kind: kinds[kind] for kind in KINDS if kinds[kind]}
    return kept, Dropped(len(comparisons) - len(kept), len(shared), counts)


def transfer(
    study: Study, home: tuple[Examples, CrossFitted], evaluator: Evaluator, there: Examples, own: Examples
) -> Transfer:
    """Judges a dataset by an evaluator trained on another.

    Args:
        study: how it was trained.
        home: what it was trained on, without what is shared, and that cross-fitted.
        evaluator: trained on all of it.
        there: the other dataset, its features made as the first one's are.
        own: the other dataset, its features made as its own are, for what training there would reach.
    """
    examples, at_home = home
    probabilities = evaluator.probabilities(there.pairs)
    verdict = evaluator.calibration.verdicts(probabilities)
    try:
        fitted = study.run(own)
    except UserError:  # too few comparisons or groups to learn from
        fitted = None
    return Transfer(
        at_home=figures(examples.label, at_home.verdict, examples.groups),
        away=figures(there.label, verdict, there.groups),
        drop=_drop((there, verdict), (examples, at_home.verdict)),
        trained_there=None if fitted is None else figures(own.label, fitted.verdict, own.groups),
        against_trained_there=(
            None if fitted is None else difference(there.label, verdict, fitted.verdict, there.groups)
        ),
        probabilities=probabilities,
        verdict=verdict,
    )


def _drop(first: tuple[Examples, Codes], second: tuple[Examples, Codes]) -> dict[str, Any]:
    """The difference of two datasets' accuracies, each with resamples of its own."""
    found, drawn = [], []
    for seed, (examples, verdict) in enumerate((first, second)):
        codes, group = np.unique(groups_of(examples.groups), return_inverse=True)
        right = (verdict == examples.label).astype(np.float64)
        sums = [np.bincount(group, weights=values, minlength=codes.size) for values in (right, np.ones(right.size))]
        table = np.stack(sums, axis=1).astype(np.float64)
        found.append(float(right.mean()))
        drawn.append(ratio(*resample_sums(table, COUNT_RESAMPLES, seed).T))
    low, high = percentile_interval(drawn[0] - drawn[1]) or (None, None)
    return {"difference": found[0] - found[1], "low": low, "high": high}
