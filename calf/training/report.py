"""What `calf train` found, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Report"]

Line = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What `train` found; everything is ready for JSON, unrounded, None where undefined. No text of the data is in it.

    Attributes:
        dataset, fingerprint, notes: of what was trained on.
        comparisons, groups: trained on and cross-fitted.
        dropped: with another dataset to judge: how many comparisons and groups were left out since it has something of
            them, by what.
        families, model, chosen, folds, seed: how; `chosen` counts what `auto` took in the folds.
        losses: of each candidate, its loss on unseen examples, when all were trained on.
        rows: of the cross-fitted verdicts, as `calf.evaluate` has them.
        floors: of the floors.
        hold_out: share of the groups that were put aside; `held_out_groups`, `held_out_comparisons` of them.
        held_out: the rows of their verdicts by the evaluator trained on all others; [] while they are closed.
        curve, ablations, importances: see `calf.training.studies`.
        consistency: see `calf.training.consistency`.
        transfer: see `calf.training.transfer`; None without another dataset.
        transferred: the rows of the other dataset's verdicts.
        scores: the runs whose scores were learned from.
        seconds: by stage, and `all`.
        peak_memory_bytes: of this process.
        stored: the evaluator's folder; None if it was not stored.
    """

    dataset: str
    fingerprint: str
    notes: tuple[str, ...]
    comparisons: int
    groups: int
    families: tuple[str, ...]
    model: str
    objective: str
    folds: int
    seed: int
    chosen: Mapping[str, int] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    dropped: Line | None = None
    rows: list[Line] = field(default_factory=list)
    floors: list[Line] = field(default_factory=list)
    hold_out: float = 0.0
    held_out_groups: int = 0
    held_out_comparisons: int = 0
    held_out: list[Line] = field(default_factory=list)
    curve: list[Line] = field(default_factory=list)
    ablations: list[Line] = field(default_factory=list)
    importances: list[Line] = field(default_factory=list)
    consistency: Line = field(default_factory=dict)
    transfer: Line | None = None
    transferred: list[Line] = field(default_factory=list)
    scores: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    stored: str | None = None
