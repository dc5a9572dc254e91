"""Asks a metric for outcomes, in this process or in several, and keeps its troubles to itself."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from calf.runs.executors import open_workers
from calf.runs.plan import precluded
from calf.runs.workers import judge, prepare_instance

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from calf.metrics.base import Preparation
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.plan import Outcome, Unit

__all__ = ["execute", "prepare"]


def prepare(metric: LoadedMetric, preparation: Preparation) -> None:
    """Lets the metric look at the dataset before the first item, if it wants to.

    Raises:
        CalfError: what the metric says about the dataset.
    """
    prepare_instance(metric.instance, preparation)


def execute(
    metric: LoadedMetric, units: Iterable[Unit], preparation: Preparation, jobs: int = 1, executor: str = "local"
) -> Generator[dict[str, Outcome]]:
    """Outcomes of all units, some at a time as they come, by key.

    An exception of the metric is a failure of kind `error` of the item that raised it, not of its neighbours: the
    items of a batch that raised are asked one by one.

    Args:
        units: taken as they are needed, unless the metric asks many at once.
        jobs: how many worker processes; with 1 on this machine the metric works in this process, where `prepare` was
            called.
        executor: local, dask or dask:ADDRESS (`calf.runs.executors`).

    Raises:
        CalfError: the metric cannot work at all.
    """
    certain: dict[str, Outcome] = {}
    for part in _asked(metric, _askable(metric, units, certain), preparation, jobs, executor):
        if certain:
            yield dict(certain)
            certain.clear()
        yield part
    if certain:
        yield certain


def _askable(metric: LoadedMetric, units: Iterable[Unit], certain: dict[str, Outcome]) -> Iterator[Unit]:
    """The units that the metric can be asked about; the failures of the others are put into `certain`."""
    for unit in units:
        failure = precluded(metric, unit.item)
        if failure is None:
            yield unit
        else:
            certain[unit.key] = failure


def _asked(
    metric: LoadedMetric, units: Iterator[Unit], preparation: Preparation, jobs: int, executor: str
) -> Generator[dict[str, Outcome]]:
    if metric.concurrent:
        from calf.runs.concurrent import ask_concurrently

        yield from ask_concurrently(metric.instance, metric.kind, list(units), metric.secret_values)
        return
    size = metric.traits.batch_size
    first = list(islice(units, size + 1))
    # What is one batch is not worth a process; a cluster may be the only place where the metric can work.
    if first and (executor != "local" or (jobs > 1 and len(first) > size)):
        with open_workers(metric, preparation, jobs, executor) as workers:
            yield from workers.outcomes(chain(first, units))
    else:
        yield from judge(metric.instance, metric.kind, chain(first, units), metric.secret_values, size)
