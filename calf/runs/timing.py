"""What a run took: `timing.json`, one record per call that judged something."""

from __future__ import annotations

import contextlib
import datetime
import time
from typing import TYPE_CHECKING, Any

import calf
from calf.engine.request import total
from calf.runs.identity import code_revision
from calf.runs.usage import Spender
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.runs.plan import Outcome
    from calf.runs.store import RunFolder

__all__ = ["Session"]

_WRITE_SECONDS = 2.0


class Session:
    """Times one call, and adds up the usage (tokens, costs: whatever the metric counts) of what it judged.

    A `Spender` says itself what it sent and paid: what no judgment came of is in it too.
    Of judgments that sent requests, it also adds up how long they waited for the answers: `waited`. The record is
    written every two seconds, so that little is forgotten of a process that is killed.

    Args:
        folder: the run's.
        metric: the instance that judges.
        jobs: worker processes.
        earlier: the run's record of what was judged before; None: nothing was, or its judgments were not kept.
    """

    def __init__(self, folder: RunFolder, metric: Any, jobs: int, earlier: Mapping[str, Any] | None) -> None:
        self._folder = folder
        self._metric = metric
        self._earlier = [] if earlier is None else earlier["sessions"]
        self._started = self._written = time.perf_counter()
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
            self._record |= {"concurrency": metric.concurrency, "currency": metric.prices and metric.prices.currency}

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
        if time.perf_counter() - self._written > _WRITE_SECONDS:
            self.write()

    def _spent(self) -> Mapping[str, float] | None:
        """What the metric says that it sent and paid; None for one that does not say."""
        return self._metric.spent if isinstance(self._metric, Spender) else None

    def write(self) -> None:
        """Writes the record beside the earlier ones; a disk that is full costs the record, nothing else."""
        self._written = time.perf_counter()
        self._record["seconds"] = round(self._written - self._started, 3)
        spent = self._spent()
        if spent is not None:
            self._record["usage"] = dict(spent)
        with contextlib.suppress(OSError):
            sessions = [*self._earlier, self._record]
            self._folder.write(
                "timing",
                {
                    "seconds": round(sum(session["seconds"] for session in sessions), 3),
                    "judged": sum(session["judged"] for session in sessions),
                    "usage": total(*(session["usage"] for session in sessions)),
                    "waited": total(*(session.get("waited", {}) for session in sessions)),
                    "sessions": sessions,
                },
            )
