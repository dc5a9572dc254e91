"""What a run took: `timing.json`, one record per call that judged something."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import calf
from calf.engine.request import total
from calf.errors import UserError
from calf.runs.identity import code_revision
from calf.runs.usage import Spender
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from calf.runs.plan import Outcome
    from calf.runs.store import RunFolder

__all__ = ["Session", "spent_before", "write_taken"]

_WRITE_SECONDS = 1.0


def spent_before(earlier: Mapping[str, Any] | None, judged: Mapping[str, float]) -> dict[str, float]:
    """What the earlier sessions of a run sent and paid, the last of which may have been killed.

    Of their record and of what their judgments say, the larger: the one may lack the last second, the other what no
    judgment came of. What was in flight when a process was killed is in neither.

    Args:
        earlier: the run's record.
        judged: the usage of all lines of its journal (`calf.runs.store.Journal.usage`).
    """
    recorded = (earlier or {}).get("usage") or {}
    both = {name: max(recorded.get(name, 0.0), judged.get(name, 0.0)) for name in {**recorded, **judged}}
    if any("cost" not in part and part.get("requests") for part in (recorded, judged)):
        both.pop("cost", None)
    return both


def write_taken(folder: RunFolder, outcomes: Iterable[Outcome]) -> None:
    """Writes into the record what the judgments of a run took, each as it stands: `taken`.

    That is no sum over sessions: what was paid for a judgment that was interrupted, or made again, is found in the
    cache by the next one, whose usage has all that it rests on.

    Args:
        folder: of a run whose metric is a `Spender`.
        outcomes: of all that it covers.
    """
    usages = [outcome.usage for outcome in outcomes if outcome.usage is not None]
    record = folder.read("timing")
    if record is not None and usages:
        folder.write("timing", {**record, "taken": total(*usages)})


class Session:
    """Times one call, and adds up the usage (tokens, costs: whatever the metric counts) of what it judged.

    A `Spender` says itself what it sent and paid: what no judgment came of is in it too. Of judgments that sent
    requests, it also adds up how long they waited for the answers: `waited`. Used with `with`; the record of a
    `Spender` is written every second in between, so that little is forgotten of a process that is killed.

    Args:
        folder: the run's.
        metric: the instance that judges.
        jobs: worker processes.
        earlier: the run's record of what was judged before; None: nothing was, or its judgments were not kept.
        spent: what earlier sessions took (`spent_before`).
        prepared: seconds that went before, in which the metric looked at the dataset.

    Raises:
        UserError: prices in another currency than those of earlier sessions.
    """

    def __init__(
        self,
        folder: RunFolder,
        metric: Any,
        jobs: int,
        earlier: Mapping[str, Any] | None,
        spent: Mapping[str, float],
        prepared: float = 0.0,
    ) -> None:
        self._before = spent
        self._folder = folder
        self._metric = metric
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._keep_writing, name="calf-timing", daemon=True)
        self._earlier = [] if earlier is None else earlier["sessions"]
        self._started = time.perf_counter() - prepared
        self._record: dict[str, Any] = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": 0.0,
            "judged": 0,
            "jobs": jobs,
            "usage": {},
            "waited": {},
            "calf": calf.__version__,
            "revision": code_revision(),
        }
        if self._spent() is not None:
            currency = metric.prices and metric.prices.currency
            other = next((s["currency"] for s in self._earlier if (s.get("currency") or currency) != currency), None)
            if currency is not None and other is not None:
                raise UserError(f"earlier sessions of run {folder.id} were paid in {other}: give prices in {other} too")
            self._record |= {"concurrency": metric.concurrency, "currency": currency}

    def add(self, outcomes: Mapping[str, Outcome]) -> None:
        """Counts some more outcomes."""
        self._record["judged"] += len(outcomes)
        if self._spent() is None:
            usages = (outcome.usage or {} for outcome in outcomes.values())
            self._record["usage"] = total(self._record["usage"], *usages)
        waited = [
            outcome.seconds
            for outcome in outcomes.values()
            if not isinstance(outcome, Failure)
            and outcome.seconds is not None
            and (outcome.usage or {}).get("requests")
        ]
        if waited:
            self._record["waited"] = total(self._record["waited"], {"judgments": len(waited), "seconds": sum(waited)})

    def __enter__(self) -> Self:
        if self._spent() is not None:
            self._write()
            self._writer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        if self._writer.is_alive():
            self._writer.join()
        self._write()

    def _keep_writing(self) -> None:
        while not self._ended.wait(_WRITE_SECONDS):
            self._write()

    def _spent(self) -> Mapping[str, float] | None:
        """What the metric says that it sent and paid; None for one that does not say."""
        return self._metric.spent if isinstance(self._metric, Spender) else None

    def _write(self) -> None:
        """Writes the record beside the earlier ones; a disk that is full costs the record, nothing else."""
        with contextlib.suppress(OSError):
            self._record["seconds"] = round(time.perf_counter() - self._started, 3)
            spent = self._spent()
            if spent is not None:
                self._record["usage"] = dict(spent)
            sessions = [*self._earlier, self._record]
            self._folder.write(
                "timing",
                {
                    "seconds": round(sum(session["seconds"] for session in sessions), 3),
                    "judged": sum(session["judged"] for session in sessions),
                    "usage": total(self._before, self._record["usage"]),
                    "waited": total(*(session.get("waited", {}) for session in sessions)),
                    "sessions": sessions,
                },
            )
