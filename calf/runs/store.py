"""A run's folder: what is in it, and how it survives being killed.

- `manifest.json`: what was run: metric, signature, options, dataset, order, seed, versions. Written once.
- `judgments.jsonl`: one line per outcome, appended; the last line of a key counts; a torn last line is dropped.
- `parts/`: of a streamed dataset instead of these, one file of scores per chunk of rows, each written at once.
- `scores.csv`: the judgments without texts, columns `id,order,score_a,score_b,verdict,failure`.
- `turns.csv`: of agents, who said which verdict in which turn, without texts.
- `result.json`: the rows of the tables. Depends on the judgments and the dataset alone.
- `timing.json`: times, usage and costs.
- `.lock`: held by the process that works on the run.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from calf.engine.request import total
from calf.errors import DataError
from calf.runs.scores import read_scores, write_atomically, write_scores
from calf.types import LABELS, Failure, Opinion, Score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from calf.decide import Judgment
    from calf.runs.plan import Outcome

__all__ = ["SCHEMA", "Journal", "RunFolder", "read_outcomes", "read_scores", "write_atomically"]

SCHEMA = 2
"""Of the JSON files. 1 had fewer statistics: its results are made again from the judgments, the rest is as it was."""

_SYNC_SECONDS = 5.0
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("metric", "kind", "family", "signature", "dataset", "dataset_source", "command"), str),
    **dict.fromkeys(("dataset_fingerprint", "floors"), str),
    **dict.fromkeys(("scales", "failures", "ranks", "made_from", "usage"), dict),
    **dict.fromkeys(("dataset_notes", "rows", "sessions", "pairs"), list),
    **dict.fromkeys(("comparisons", "dataset_comparisons", "dataset_groups", "seed", "repeats"), int),
    "beside": (list, type(None)),
    "seconds": (int, float),
}
_KEYS = {
    "manifest": (
        "metric", "kind", "family", "signature", "scales", "dataset", "dataset_source", "dataset_fingerprint",
        "dataset_comparisons", "dataset_groups", "dataset_notes", "order", "seed", "floors", "command",
    ),
    "result": ("comparisons", "complete", "repeats", "failures", "rows", "beside"),
    "timing": ("seconds", "sessions"),
}  # fmt: skip


class RunFolder:
    """The files of one run.

    Args:
        path: the folder `runs/ID`; need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """The run's id: the folder's name."""
        return self.path.name

    @contextlib.contextmanager
    def lock(self, waiting: Any = None) -> Iterator[None]:
        """Holds the run for this process; `waiting()` is called once if another process has it."""
        import filelock

        self.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if waiting is not None:
                waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def removed_if_empty(self) -> Iterator[None]:
        """If something goes wrong within, the folder goes too, unless more than its lock is in it."""
        try:
            yield
        except BaseException:
            if {path.name for path in self.path.iterdir()} <= {".lock"}:
                with contextlib.suppress(OSError):
                    (self.path / ".lock").unlink(missing_ok=True)
                    self.path.rmdir()
                    self.path.parent.rmdir()  # if it is empty too
            raise

    def read(self, name: str) -> dict[str, Any] | None:
        """One of the folder's JSON files; None if it is not there, or a result of an older CALF, to be made again.

        Raises:
            DataError: it is not a JSON object, or of a newer schema.
        """
        path = self.path / f"{name}.json"
        try:
            table = json.loads(path.read_bytes(), parse_constant=_refused)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON ({error}); delete the file and run again", path) from None
        schema = table.get("schema") if isinstance(table, dict) else None
        if schema == 1 and name not in ("manifest", "timing"):
            return None
        if not isinstance(table, dict) or schema not in (1, SCHEMA):
            raise DataError(f"not of schema {SCHEMA}: written by another version of CALF", path)
        absent = [key for key in _KEYS.get(name, ()) if key not in table]
        if absent:
            raise DataError(f"{absent[0]!r} is missing; delete the run's folder and run again", path)
        for key, kind in _TYPES.items():
            if key in table and not isinstance(table[key], kind):
                raise DataError(
                    f"{key!r} is {table[key]!r:.40}, which CALF never writes; delete it and run again", path
                )
        rows = [*(table.get("rows") or ()), *(table.get("beside") or ())]
        if not all(isinstance(row, dict) for row in rows):
            raise DataError("a row is no object, which CALF never writes; delete the file and run again", path)
        if any(not row.keys() >= _row_keys() for row in rows):
            return None  # of a CALF that had fewer statistics
        return table

    def write(self, name: str, table: Mapping[str, Any]) -> None:
        """Writes one of the folder's JSON files, whole or not at all."""
        items = [f" {json.dumps(key)}: {_lines(value)}" for key, value in {"schema": SCHEMA, **table}.items()]
        write_atomically(self.path / f"{name}.json", "{\n" + ",\n".join(items) + "\n}\n")

    @property
    def journal(self) -> Path:
        """The file of judgments."""
        return self.path / "judgments.jsonl"

    @property
    def parts(self) -> Path:
        """The folder of the judgments of a streamed dataset."""
        return self.path / "parts"

    def set_aside(self) -> None:
        """Starts anew: old judgments are kept as `judgments.N.jsonl` or `parts.N`, what was made of them is removed."""
        if self.journal.exists():
            number = 1
            while (kept := self.path / f"judgments.{number}.jsonl").exists():
                number += 1
            self.journal.rename(kept)
            if (timing := self.path / "timing.json").exists():
                timing.rename(self.path / f"timing.{number}.json")
        if self.parts.exists():
            number = 1
            while (kept := self.path / f"parts.{number}").exists():
                number += 1
            self.parts.rename(kept)
        for name in ("scores.csv", "turns.csv", "result.json", "timing.json"):
            (self.path / name).unlink(missing_ok=True)

    def write_scores(self, judgments: Sequence[Judgment]) -> None:
        """Writes `scores.csv`, in the order given; repeats are further lines of the same id and order."""
        write_scores(self.path / "scores.csv", judgments)

    def covered(self) -> dict[str, int]:
        """How often each comparison (by id) was judged when the run was last completed."""
        path = self.path / "scores.csv"
        if not path.exists():
            return {}
        counts: dict[tuple[str, str], int] = {}
        for judgment in read_scores(path):
            place = (judgment.id, judgment.order)
            counts[place] = counts.get(place, 0) + 1
        return {name: count for (name, _), count in counts.items()}


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


@cache
def _row_keys() -> frozenset[str]:
    from calf.analysis.measures import keys

    return frozenset({"metric", "floor", "dataset", "slice", "order", "rule", *keys()})


def _lines(value: Any) -> str:
    """A value as JSON; of a list or an object every item on a line of its own."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {_json(item)}" for item in value) + "\n ]"
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {json.dumps(key)}: {_json(item)}" for key, item in value.items()) + "\n }"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_outcomes(path: Path) -> dict[str, Outcome]:
    """What a journal holds, by key; a torn last line, which another process may be writing, is left out.

    Raises:
        DataError: a line that is not the last one cannot be read.
    """
    return dict(_read_lines(path))


def _read_lines(path: Path) -> Iterator[tuple[str, Outcome]]:
    """Every line of a journal, in order."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                record = json.loads(line)
                yield str(record["key"]), _outcome(record)
            except (ValueError, KeyError, TypeError, IndexError, RecursionError):
                raise DataError(
                    "not a judgment; delete this line to judge its item again, or use --fresh", path, number
                ) from None


class Journal:
    """The append-only file of judgments of one run.

    Opening it drops a torn last line and reads what is there; the caller holds the run's lock.

    Args:
        path: the file; made if absent.

    Attributes:
        outcomes: by key.
        usage: what all its lines took when it was opened, those that later ones replace too.

    Raises:
        DataError: a line that is not the last one cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._drop_torn_line()
        self.outcomes: dict[str, Outcome] = {}
        usages: list[Mapping[str, float]] = []
        for key, outcome in _read_lines(path):
            self.outcomes[key] = outcome
            usages.append(outcome.usage or {})
        self.usage = total(*usages)
        self._file = path.open("ab")
        self._synced = time.monotonic()

    def append(self, outcomes: Mapping[str, Outcome]) -> None:
        """Adds outcomes by key; they are handed to the operating system before this returns."""
        if not outcomes:
            return
        lines = [json.dumps(_record(key, outcome), ensure_ascii=False) + "\n" for key, outcome in outcomes.items()]
        self._file.write("".join(lines).encode("utf-8", "backslashreplace"))
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()
        self.outcomes.update(outcomes)

    def close(self) -> None:
        """Writes everything to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _drop_torn_line(self) -> None:
        with self.path.open("ab+") as file:
            end = file.tell()
            at, tail = end, b""
            while at > 0 and b"\n" not in tail:
                step = min(at, 65536)
                at -= step
                file.seek(at)
                tail = file.read(step)
            keep = at + tail.rfind(b"\n") + 1
            if keep < end:
                file.truncate(keep)


def _record(key: str, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        record: dict[str, Any] = {"failure": outcome.kind, "message": outcome.message, "raw": outcome.raw}
        record["usage"] = outcome.usage
    elif isinstance(outcome, Score):
        record = {"score": outcome.value}
    else:
        record = {"verdict": outcome.verdict, "probabilities": outcome.probabilities}
    if not isinstance(outcome, Failure):
        record.update(explanation=outcome.explanation, usage=outcome.usage, seconds=outcome.seconds)
    if not isinstance(outcome, Score):
        record["transcript"] = outcome.transcript or None
    return {"key": key, **{name: value for name, value in record.items() if value is not None}}


def _outcome(record: Mapping[str, Any]) -> Outcome:
    transcript = tuple(record.get("transcript", ()))
    if "failure" in record:
        told = (record.get("raw"), record.get("usage"), transcript)
        return Failure(str(record["failure"]), str(record.get("message", "")), *told)
    rest = (record.get("explanation"), record.get("usage"), record.get("seconds"))
    if "score" in record:
        if not math.isfinite(record["score"]):
            raise ValueError
        return Score(float(record["score"]), *rest)
    shares = record.get("probabilities")
    if record["verdict"] not in LABELS:
        raise ValueError
    probabilities = None if shares is None else (shares[0], shares[1], shares[2])
    return Opinion(record["verdict"], probabilities, *rest, transcript)
