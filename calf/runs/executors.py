"""Where a metric works that does not ask many at once: worker processes, or a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import uuid
from typing import TYPE_CHECKING

import calf
from calf.errors import MissingDependencyError, UserError
from calf.metrics.adapters import code_digest
from calf.runs.processes import open_processes
from calf.runs.workers import Setup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calf.metrics.base import Preparation
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.chunks import Workers

__all__ = ["check_executor", "open_workers", "reach"]

LOCAL, DASK = "local", "dask"


def check_executor(metric: LoadedMetric, jobs: int, executor: str) -> None:
    """Says what cannot be before anything is begun.

    Raises:
        UserError: there is no such executor, or the metric is not for one.
        MissingDependencyError: Dask is not installed.
    """
    name, colon, address = executor.partition(":")
    if name not in (LOCAL, DASK) or (colon and (name == LOCAL or not address)):
        raise UserError(f"unknown executor {executor!r}; known: local, dask, dask:ADDRESS")
    if metric.concurrent and (jobs > 1 or name == DASK):
        option = "--jobs" if name == LOCAL else f"--executor {name}"
        raise UserError(f"metric {metric.name!r} asks many at once in one process; {option} is not for it")
    if name == DASK and importlib.util.find_spec("distributed") is None:
        raise MissingDependencyError("--executor dask", "distributed", "dask")


def reach(executor: str) -> None:
    """Makes sure that a cluster answers, if one is named.

    Raises:
        UserError: it does not.
    """
    address = executor.partition(":")[2]
    if address:
        from calf.runs.dask import probe

        probe(address)


@contextlib.contextmanager
def open_workers(metric: LoadedMetric, preparation: Preparation, jobs: int, executor: str) -> Iterator[Workers]:
    """Workers that judge with a metric, until the block ends: then they are stopped, whatever they do.

    Args:
        metric: not one that asks many at once.
        preparation: what it may look at; sent once to each worker, if the metric has `prepare`.
        jobs: how many worker processes; a cluster that is named has its own.
        executor: local, dask or dask:ADDRESS.

    Raises:
        UserError: a cluster does not answer, or has no workers.
    """
    setup = Setup(
        key=uuid.uuid4().hex,
        recipe=metric.recipe,
        kind=metric.kind,
        batch_size=metric.traits.batch_size,
        secrets=metric.secret_values,
        preparation=preparation if hasattr(metric.cls, "prepare") else None,
        code=(calf.__version__, code_digest(metric.cls)),
    )
    name, _, address = executor.partition(":")
    if name == LOCAL:
        opened = open_processes(setup, jobs)
    else:
        from calf.runs.dask import open_dask

        opened = open_dask(setup, jobs, address)
    with opened as workers:
        yield workers
