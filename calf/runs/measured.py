"""What earlier runs of a metric really took, beside what a forecast would have said of them."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.datasets.formats.huggingface import HUB_ID
from calf.engine.request import total
from calf.errors import UserError
from calf.runs.outcomes import dataset_of
from calf.runs.plan import plan
from calf.runs.run import Run, list_runs
from calf.runs.store import RunFolder, read_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.engine.request import Addressed
    from calf.metrics.base import Pair, Response
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.forecasts import Counter, Forecast
    from calf.runs.plan import Outcome, Unit

    Forecasting = Callable[[Response | Pair], Mapping[str, Addressed]]

__all__ = ["Measured", "measured_runs"]

_MOST_RUNS = 5  # the latest say enough, and each must be forecast again


@dataclass(frozen=True, slots=True)
class Measured:
    """The judgments of one run for which something was sent.

    Attributes:
        run: its id.
        forecast: what a forecast says of them.
        requests: what was sent, repeated ones included.
        input_tokens, cached_input_tokens, output_tokens: as the server counted them; all 0 if it did not.
        cost: None if unknown.
        rate: requests that the whole run sent per second; None if nobody knows.
        concurrency: requests that it may have had in flight at once, on average; None if nobody knows.
    """

    run: str
    forecast: Forecast
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost: float | None
    rate: float | None
    concurrency: float | None


def measured_runs(
    runs: Path, metric: LoadedMetric, dataset: Dataset, forecast: Forecasting, counter: Counter
) -> list[Measured]:
    """The latest runs of this very metric with this model, finished or not, of which judgments and dataset are here.

    Args:
        runs: the folder of runs.
        metric: one that says what it will send (`calf.runs.forecasts.Forecaster`).
        dataset: one that is open already.
        forecast: what judging an item sends at first, by key.
        counter: counts the models' tokens.

    Raises:
        DataError: the files of one are broken.
    """
    known = []
    for path in list_runs(runs):
        folder = RunFolder(path)
        manifest, timing = folder.read("manifest") or {}, folder.read("timing") or {}
        sessions = [session for session in timing.get("sessions", ()) if session["usage"].get("requests")]
        if sessions and manifest["signature"] == metric.signature(sorted(manifest["scales"])):
            known.append((sessions[-1]["started"], folder, manifest, sessions))
    found: list[Measured] = []
    for _, folder, manifest, sessions in sorted(known, key=lambda run: (run[0], run[1].id), reverse=True):
        data = _dataset_of(folder, manifest, dataset)
        if data is not None and len(found) < _MOST_RUNS:
            outcomes = read_outcomes(folder.journal)
            units = _judged(metric, data, manifest["order"], outcomes)
            judged = [(forecast(unit.item), usage) for unit in units if (usage := outcomes[unit.key].usage) is not None]
            found += _measure(folder.id, judged, sessions, counter)
    return found


def _dataset_of(folder: RunFolder, manifest: Mapping[str, Any], given: Dataset) -> Dataset | None:
    """What a run judged; None where that is not on this machine as it was."""
    if manifest["dataset_fingerprint"] == given.fingerprint:
        return given
    source = manifest["dataset_source"]
    if HUB_ID.fullmatch(source) and not Path(source).exists():  # it would be looked up on the hub
        return None
    try:
        return dataset_of([Run(folder.path, manifest, (), (), {}, {})])
    except UserError:
        return None


def _judged(metric: LoadedMetric, dataset: Dataset, order: Any, outcomes: Mapping[str, Outcome]) -> Iterator[Unit]:
    """The items of a dataset that a run has judged, of as many repeats as there are."""
    before = 0
    repeats = 1
    while True:
        units = [unit for unit in plan(metric, dataset.comparisons, order, repeats) if unit.key in outcomes]
        if len(units) == before:
            yield from units
            return
        before = len(units)
        repeats += 1


def _measure(
    run: str,
    judged: Sequence[tuple[Mapping[str, Addressed], Mapping[str, float]]],
    sessions: Sequence[Mapping[str, Any]],
    counter: Counter,
) -> Iterator[Measured]:
    """The figures of a run; none if nothing was sent for what it holds.

    Judgments that found answers in the cache are left out, for these were not sent then; an answer that several
    judgments of the run share was, by one of them.

    Args:
        judged: of each judgment, what a forecast says that it sends, and what it used.
        sessions: those in which something was sent.
    """
    times = collections.Counter(key for requests, _ in judged for key in requests)
    sent = [
        (requests, usage)
        for requests, usage in judged
        if usage.get("cache_hits", 0) <= sum(times[key] > 1 for key in requests)
    ]
    usage = total(*(usage for _, usage in sent))
    if not usage.get("requests"):
        return
    distinct = {key: request for requests, _ in sent for key, request in requests.items()}
    seconds = sum(session["seconds"] for session in sessions)
    yield Measured(
        run=run,
        forecast=counter.forecast(distinct.values()),
        requests=int(usage["requests"]),
        input_tokens=int(usage.get("input_tokens", 0)),
        cached_input_tokens=int(usage.get("cached_input_tokens", 0)),
        output_tokens=int(usage.get("output_tokens", 0)),
        cost=usage.get("cost"),
        rate=sum(session["usage"]["requests"] for session in sessions) / seconds if seconds else None,
        concurrency=_concurrency(sessions),
    )


def _concurrency(sessions: Sequence[Mapping[str, Any]]) -> float | None:
    """The mean over the requests of some sessions; None if one of them does not say."""
    known = [(s["usage"]["requests"], s.get("concurrency")) for s in sessions]
    if any(most is None for _, most in known):
        return None
    return float(sum(count * most for count, most in known) / sum(count for count, _ in known))
