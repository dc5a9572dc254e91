"""What a run took: `timing.json`, one record per call that judged something."""

from __future__ import annotations

import contextlib
import datetime
import time
from typing import TYPE_CHECKING, Any

import calf
from calf.engine.request import total
from calf.runs.identity import code_revision
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.runs.plan import Outcome
    from calf.runs.store import RunFolder

__all__ = ["Session"]


class Session:
    """Times one call, and adds up the usage (tokens, costs: whatever the metric counts) of what it judged.

    Of judgments that sent requests, it also adds up how long they waited for the answers: `waited`.

    Args:
        folder: the run's.
        jobs: worker processes.
        anew: whether nothing was judged before (or its judgments were not kept): earlier records do not count then.
    """

    def __init__(self, folder: RunFolder, jobs: int, anew: bool) -> None:
        self._folder = folder
        self._anew = anew
        self._started = time.perf_counter()
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

    def add(self, outcomes: Mapping[str, Outcome]) -> None:
        """Counts some more outcomes."""
        self._record["judged"] += len(outcomes)
        self._record["usage"] = total(self._record["usage"], *(outcome.usage or {} for outcome in outcomes.values()))
        waited = [
            outcome.seconds
            for outcome in outcomes.values()
            if not isinstance(outcome, Failure)
            and outcome.seconds is not None
            and (outcome.usage or {}).get("requests")
        ]
        if waited:
            self._record["waited"] = total(self._record["waited"], {"judgments": len(waited), "seconds": sum(waited)})

    def close(self) -> None:
        """Writes the record beside the earlier ones; a disk that is full costs the record, nothing else."""
        self._record["seconds"] = round(time.perf_counter() - self._started, 3)
        with contextlib.suppress(OSError):
            earlier = {} if self._anew else self._folder.read("timing") or {}
            sessions = [*earlier.get("sessions", []), self._record]
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
