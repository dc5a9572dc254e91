"""The floors' decisions from what is known of a dataset without its texts: what judging with them would decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calf.decide import Decisions
from calf.hashing import uniform
from calf.runs.facts import facts_of
from calf.types import FAILED, LABELS, NOT_JUDGED

if TYPE_CHECKING:
    from calf.analysis.observations import Codes, Floats
    from calf.datasets.dataset import Dataset

__all__ = ["decide_floor"]

_A, _B, _SAME = range(len(LABELS))
_DIFFERENCE = np.array([1.0, -1.0, 0.0, 0.0])  # of the verdicts and of a failure


def decide_floor(name: str, dataset: Dataset, whole: Dataset, seed: int) -> Decisions:
    """The decisions of a floor of `calf.runs.rows.FLOORS`, in the order given (see `calf.metrics.floors`).

    Args:
        dataset: the selection.
        whole: all of it, which the random floor takes its prior from.
        seed: the run's.
    """
    facts = facts_of(dataset)
    n = len(dataset)
    if name in ("longer", "shorter"):
        sides = (facts.length_a, facts.length_b) if name == "longer" else (facts.length_b, facts.length_a)
        difference = np.asarray(sides[0] - sides[1], dtype=np.float64)
        return _decisions(np.select([difference > 0, difference < 0], [_A, _B], _SAME), difference, both=True)
    if name == "random":
        verdict = _drawn(dataset, whole, seed)
    elif name == "always-model":
        verdict = np.select([facts.human == _A, facts.human == _B], [_B, _A], FAILED)
    else:
        verdict = np.full(n, {"always-a": _A, "always-b": _B}[name])
    return _decisions(verdict, _DIFFERENCE[verdict])


def _drawn(dataset: Dataset, whole: Dataset, seed: int) -> Codes:
    shares = np.bincount(facts_of(whole).label, minlength=len(LABELS)) / len(whole)
    draws = np.array([uniform(seed, name, "given", 0) for name in dataset.ids])
    return np.select([draws >= shares[_A] + shares[_B], draws < shares[_A]], [_SAME, _A], _B)


def _decisions(verdict: Codes, difference: Floats, *, both: bool = False) -> Decisions:
    """`both`: the verdict is that of either order."""
    n = verdict.size
    codes = verdict.astype(np.int8)
    return Decisions(
        comparison=np.arange(n, dtype=np.int64),
        repeat=np.zeros(n, dtype=np.int64),
        verdict=codes,
        difference=difference.astype(np.float64),
        weight=np.ones(n),
        given=codes,
        swapped=codes if both else np.full(n, NOT_JUDGED, dtype=np.int8),
    )
