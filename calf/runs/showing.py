"""All that a run kept of one comparison: verdicts, explanations, raw failures, transcripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.datasets.load import load_dataset
from calf.decide import orders_of
from calf.errors import DataError, UnknownNameError, UserError
from calf.runs.outcomes import dataset_of
from calf.runs.plan import pair_key, response_keys
from calf.runs.run import Run
from calf.runs.store import RunFolder, read_outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calf.runs.plan import Outcome
    from calf.types import Comparison

__all__ = ["Kept", "Showing", "show_comparison"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One judgment.

    Attributes:
        about: `given` or `swapped`, of a comparison metric; `response_a` or `response_b` of a response metric.
        repeat: counted from 0.
        outcome: what the metric said, in the order shown.
    """

    about: str
    repeat: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Showing:
    """What a run kept of one comparison.

    Attributes:
        manifest: of the run.
        comparison: None where its dataset is not here.
        judgments: at least one.
    """

    manifest: Mapping[str, Any]
    comparison: Comparison | None
    judgments: tuple[Kept, ...]


def show_comparison(path: Path, name: str, dataset: str | None = None) -> Showing:
    """Reads a run's judgments of one comparison.

    Args:
        path: the run's folder.
        name: the comparison's id.
        dataset: where the run's dataset is; None: where the run read it.

    Raises:
        UnknownNameError: the run has not judged it.
        UserError: the run keeps no judgments here, or of a response metric's the dataset is not here.
    """
    folder = RunFolder(path)
    manifest = folder.read("manifest")
    if manifest is None:
        raise DataError("the run has no manifest", path)
    if not folder.journal.exists():
        raise UserError(f"run {path.name} keeps no texts of its judgments here; make it with: {manifest['command']}")
    outcomes = read_outcomes(folder.journal)
    order = manifest["order"]
    comparison, problem = _comparison(path, manifest, name, dataset)
    if manifest["kind"] == "response" and comparison is None:
        if problem is not None:
            raise problem
        raise UnknownNameError("comparison", name, ())
    found: list[Kept] = []
    repeat = 0
    while True:
        if manifest["kind"] == "response" and comparison is not None:
            keys = dict(zip(("response_a", "response_b"), response_keys(comparison, repeat), strict=True))
        else:
            keys = {shown: pair_key(name, shown, repeat) for shown in orders_of(order)}
        here = [Kept(about, repeat, outcomes[key]) for about, key in keys.items() if key in outcomes]
        if not here:
            break
        found += here
        repeat += 1
    if not found:
        known = {key.split("/", 2)[-1] for key in outcomes} if manifest["kind"] != "response" else set()
        raise UnknownNameError("comparison", name, known, f"run {path.name} has not judged it")
    return Showing(manifest, comparison, tuple(found))


def _comparison(
    path: Path, manifest: Mapping[str, Any], name: str, dataset: str | None
) -> tuple[Comparison | None, UserError | None]:
    """The comparison in the dataset, or why it cannot be looked up.

    Raises:
        UserError: the dataset that is named is not the run's.
    """
    given = None if dataset is None else load_dataset(dataset, mapping=manifest.get("dataset_mapping") or None)
    try:
        data = dataset_of([Run(path, manifest, (), (), {}, {})], given)
    except UserError as error:
        if given is not None:
            raise
        return None, error
    return next((comparison for comparison in data if comparison.id == name), None), None
