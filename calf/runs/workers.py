"""What happens in a worker process: the metric is made and prepared once, then judges chunk after chunk."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import threading
import time
from collections.abc import Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import calf
from calf.errors import CalfError, UserError
from calf.metrics.adapters import code_digest
from calf.runs.plan import check_outcome
from calf.runs.troubles import describe_error, redact
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from calf.metrics.base import Preparation
    from calf.metrics.loaded import Recipe
    from calf.runs.plan import Outcome, Unit

__all__ = ["Setup", "judge", "pack", "prepare_instance", "start_process", "unpack", "work"]


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a worker needs to judge as this process would; sent once to each.

    Attributes:
        key: of this metric in this session: a worker makes the metric once for it.
        recipe: how to make the metric.
        kind: response or comparison.
        batch_size: how many items the metric is given at once.
        secrets: what no message may hold.
        preparation: what the metric may look at; None if it has no `prepare`.
        code: of CALF and of the metric, which must be the worker's own.
    """

    key: str
    recipe: Recipe
    kind: str
    batch_size: int
    secrets: Sequence[str]
    preparation: Preparation | None
    code: tuple[str, str]


_MOST_KEPT = 2  # metrics of a worker that outlives a session
_made: dict[str, Any] = {}
_one_at_a_time = threading.Lock()  # a metric need not bear two threads
_own: Setup | None = None


def start_process(setup: Setup) -> None:
    """Makes a process a worker for its lifetime, which ends with its parent's."""
    import multiprocessing
    import signal

    global _own  # noqa: PLW0603 - a worker process has one setup for its lifetime
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the workers
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    _own = setup


def _follow(parent: Any) -> None:
    """Ends this process when its parent has ended, killed perhaps."""
    parent.join()
    os._exit(1)


def pack(units: Sequence[Unit]) -> bytes:
    """A chunk as one piece: Dask would take a list apart and handle each item by itself."""
    return pickle.dumps(units)


def work(setup: Setup | None, chunk: bytes) -> tuple[bytes, float]:
    """The outcomes of a chunk by key, as one piece too (`unpack`), and the seconds that judging it took.

    Args:
        setup: what to judge with; None: what the process was started with.
        chunk: what `pack` made.

    Raises:
        CalfError: the metric cannot work at all, or not here.
    """
    setup = setup or _own
    if setup is None:
        raise RuntimeError("a worker process without a setup")
    outcomes: dict[str, Outcome] = {}
    # What a metric prints is no part of the result.
    with _one_at_a_time, contextlib.redirect_stdout(sys.stderr):
        metric = _metric_of(setup)
        started = time.perf_counter()
        units = pickle.loads(chunk)  # noqa: S301 - from this very program
        for part in judge(metric, setup.kind, units, setup.secrets, setup.batch_size):
            outcomes.update(part)
        return pickle.dumps(outcomes), time.perf_counter() - started


def unpack(outcomes: bytes) -> dict[str, Outcome]:
    """The outcomes that `work` returned."""
    found: dict[str, Outcome] = pickle.loads(outcomes)  # noqa: S301 - as above
    return found


def _metric_of(setup: Setup) -> Any:
    if setup.key not in _made:
        metric = setup.recipe.make()
        here = (calf.__version__, code_digest(type(metric)))
        if here != setup.code:
            what = f"CALF {here[0]}, not {setup.code[0]}" if here[0] != setup.code[0] else "other code of the metric"
            raise UserError(f"a worker has {what}; give all workers the same and start them again")
        if setup.preparation is not None:
            prepare_instance(metric, setup.preparation)
        while len(_made) >= _MOST_KEPT:
            _made.pop(next(iter(_made)))
        _made[setup.key] = metric
    return _made[setup.key]


def prepare_instance(metric: Any, preparation: Preparation) -> None:
    """Lets a metric look at the dataset, if it wants to.

    Raises:
        CalfError: what the metric says about the dataset.
    """
    hook = getattr(metric, "prepare", None)
    if hook is None:
        return
    try:
        hook(preparation)
    except CalfError:
        raise
    except Exception as error:
        raise UserError(f"metric {type(metric).__name__} cannot prepare: {describe_error(error)}") from error


def judge(
    metric: Any, kind: str, units: Iterable[Unit], secrets: Sequence[str], batch_size: int
) -> Generator[dict[str, Outcome]]:
    """The outcomes of units, some at a time, by key; the metric is given `batch_size` items at once.

    An exception of the metric is a failure of kind `error` of the item that raised it, not of its neighbours: the
    items of a batch that raised are asked one by one.

    Raises:
        CalfError: the metric cannot work at all.
    """
    stream = iter(units)
    while batch := list(islice(stream, max(1, batch_size))):
        yield from _judge_batch(metric, kind, batch, secrets)


def _judge_batch(
    metric: Any, kind: str, batch: Sequence[Unit], secrets: Sequence[str]
) -> Generator[dict[str, Outcome]]:
    """The outcomes of a batch one by one; falls back to single items where the batch raises.

    Where there are more or fewer outcomes than items nobody knows whose they are: the whole batch fails, also what a
    generator has given already (the last outcome of a key counts).
    """
    method = metric.score if kind == "response" else metric.judge
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
            yield {unit.key: redact(Failure("error", describe_error(error, secrets)), secrets) for unit in rest}
        else:
            for unit in rest:
                yield from _judge_batch(metric, kind, [unit], secrets)


_NOTHING = object()


def _miscounted(batch: Sequence[Unit], count: str) -> dict[str, Outcome]:
    failure = Failure("bad_output", f"the metric returned {count} outcomes for {len(batch)} items")
    return {unit.key: failure for unit in batch}
