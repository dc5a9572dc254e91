"""Asks a metric for outcomes, in this process or in several, and keeps its troubles to itself."""

from __future__ import annotations

import os
from collections.abc import Sized
from typing import TYPE_CHECKING, Any

from calf.errors import CalfError, StoppedError, UserError
from calf.runs.plan import check_outcome, precluded
from calf.runs.troubles import describe_error, redact
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from calf.metrics.base import Preparation
    from calf.metrics.registry import LoadedMetric, Recipe
    from calf.runs.plan import Outcome, Unit

__all__ = ["execute", "prepare"]


def prepare(metric: LoadedMetric, preparation: Preparation) -> None:
    """Lets the metric look at the dataset before the first item, if it wants to.

    Raises:
        CalfError: what the metric says about the dataset.
    """
    _prepare(metric.instance, preparation)


def execute(
    metric: LoadedMetric, units: Sequence[Unit], preparation: Preparation, jobs: int = 1
) -> Generator[dict[str, Outcome]]:
    """Outcomes of all units, some at a time as they come, by key.

    An exception of the metric is a failure of kind `error` of the item that raised it, not of its neighbours: the
    items of a batch that raised are asked one by one.

    Args:
        jobs: how many worker processes; with 1 the metric works in this process, where `prepare` was called.

    Raises:
        CalfError: the metric cannot work at all.
    """
    asked = []
    certain: dict[str, Outcome] = {}
    for unit in units:
        failure = precluded(metric, unit.item)
        if failure is None:
            asked.append(unit)
        else:
            certain[unit.key] = failure
    if certain:
        yield certain
    if metric.concurrent:
        if jobs > 1:
            raise UserError(f"metric {metric.name!r} asks many at once in one process; --jobs is not for it")
        from calf.runs.concurrent import ask_concurrently

        yield from ask_concurrently(metric.instance, metric.kind, asked, metric.secret_values)
        return
    size = max(1, metric.traits.batch_size)
    batches = [asked[at : at + size] for at in range(0, len(asked), size)]
    if jobs > 1 and len(batches) > 1:
        yield from _in_processes(metric, batches, preparation, min(jobs, len(batches)))
    else:
        for batch in batches:
            yield from _judge(metric.instance, metric.kind, batch, metric.secret_values)


def _judge(instance: Any, kind: str, batch: Sequence[Unit], secrets: Sequence[str]) -> Generator[dict[str, Outcome]]:
    """The outcomes of a batch one by one; falls back to single items where the batch raises.

    Where there are more or fewer outcomes than items nobody knows whose they are: the whole batch fails, also what a
    generator has given already (the last outcome of a key counts).
    """
    method = instance.score if kind == "response" else instance.judge
    done = 0
    try:
        answers = method([unit.item for unit in batch])
        if isinstance(answers, Sized) and len(answers) != len(batch):
            yield _miscounted(batch, f"{len(answers)}")
            return
        stream = iter(answers)
        for unit in batch:
            answer = next(stream, _NOTHING)
            if answer is _NOTHING:
                yield _miscounted(batch, f"{done}")
                return
            yield {unit.key: redact(check_outcome(kind, answer), secrets)}
            done += 1
        if next(stream, _NOTHING) is not _NOTHING:
            yield _miscounted(batch, f"more than {done}")
    except CalfError:
        raise
    except (Exception, SystemExit) as error:  # a metric may raise anything; its item fails, the run goes on
        rest = batch[done:]
        if len(batch) == 1:
            yield {unit.key: redact(Failure("error", describe_error(error)), secrets) for unit in rest}
        else:
            for unit in rest:
                yield from _judge(instance, kind, [unit], secrets)


_NOTHING = object()
_POLL_SECONDS = 2.0


def _miscounted(batch: Sequence[Unit], count: str) -> dict[str, Outcome]:
    failure = Failure("bad_output", f"the metric returned {count} outcomes for {len(batch)} items")
    return {unit.key: failure for unit in batch}


def _prepare(instance: Any, preparation: Preparation) -> None:
    hook = getattr(instance, "prepare", None)
    if hook is None:
        return
    try:
        hook(preparation)
    except CalfError:
        raise
    except Exception as error:
        raise UserError(f"metric {type(instance).__name__} cannot prepare: {describe_error(error)}") from error


_worker: Any = None
_secrets: Sequence[str] = ()


def _start_worker(recipe: Recipe, preparation: Preparation, secrets: Sequence[str]) -> None:
    import multiprocessing
    import signal
    import sys
    import threading

    global _worker, _secrets  # a worker process has one metric for its lifetime
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the workers
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    sys.stdout = sys.stderr  # what a metric prints is no part of the result
    _worker, _secrets = recipe.make(), secrets
    _prepare(_worker, preparation)


def _follow(parent: Any) -> None:
    """Ends this process when its parent has ended, killed perhaps."""
    parent.join()
    os._exit(1)


def _work(kind: str, batch: Sequence[Unit]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for part in _judge(_worker, kind, batch, _secrets):
        outcomes.update(part)
    return outcomes


def _in_processes(
    metric: LoadedMetric, batches: Sequence[Sequence[Unit]], preparation: Preparation, jobs: int
) -> Generator[dict[str, Outcome]]:
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (metric.recipe, preparation, metric.secret_values))
    try:
        waiting = {pool.submit(_work, metric.kind, batch) for batch in batches}
        while waiting:
            done, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            if not done and len(multiprocessing.active_children()) < jobs:
                raise BrokenProcessPool  # the pool does not always notice that one of its workers has died
    except BrokenProcessPool:
        for process in multiprocessing.active_children():
            process.kill()
        raise StoppedError(
            "a worker process died (out of memory?); what is judged is kept, and the same command continues"
        ) from None
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # nobody waits for batches that are not wanted any more
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
