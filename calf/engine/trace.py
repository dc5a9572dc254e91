"""A run's requests and replies as a file that answers them again, exactly, with no server.

One JSON object a line: `key`, `place`, `body` (what was sent), `repeat`, and `reply` or `error`. Texts are in it;
API keys and headers are not.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from calf.engine.request import AskError, Reply
from calf.errors import DataError, UserError

if TYPE_CHECKING:
    from pathlib import Path

    from calf.engine.request import Request
    from calf.engine.server import Server

__all__ = ["Recorder", "Replayer"]


class Recorder:
    """Appends every request and what came of it to a file, until it is closed. Answers from the cache are recorded too.

    Args:
        path: made if absent. A torn last line (its writer was killed) is removed.

    Raises:
        UserError: the file cannot be written, or another process records to it.
    """

    def __init__(self, path: Path) -> None:
        import filelock

        self.path = path
        self._lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), thread_local=False)
        self._written: set[str] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._file: IO[bytes] = path.open("ab+", buffering=0)
            _mend(self._file)
        except filelock.Timeout:
            raise UserError(f"{path}: another process records to it; name another file") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None

    def write(self, request: Request, server: Server, outcome: Reply | AskError) -> None:
        """Record what came of a request; of several outcomes in one run the first.

        Raises:
            UserError: the file cannot be written.
        """
        key = request.key(server)
        if key in self._written:
            return
        line: dict[str, Any] = {"key": key, "place": server.place, "repeat": request.repeat}
        line["body"] = request.body(server)
        if isinstance(outcome, Reply):
            line["reply"] = outcome.to_json()
        else:
            line["error"] = {"kind": outcome.kind, "message": outcome.message, "raw": outcome.raw}
        text = server.scrub(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
        try:
            self._file.write(text.encode("utf-8", "replace") + b"\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self._written.add(key)

    def close(self) -> None:
        """Close the file, and let others write to it."""
        self._file.close()
        self._lock.release()


class Replayer:
    """Answers from a recorded file.

    Args:
        path: the file; of several lines with one key the last counts. All answers are kept in memory.

    Raises:
        DataError: the file is absent, or is not a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._outcomes: dict[str, dict[str, Any]] = {}
        try:
            with path.open("rb") as file:
                for number, raw in enumerate(file, 1):
                    if not raw.endswith(b"\n"):
                        break  # its writer was killed; what it would have said will be missed by its key
                    try:
                        line = json.loads(raw)
                        self._outcomes[line["key"]] = {name: line[name] for name in ("reply", "error") if name in line}
                        self.answer(line["key"])
                    except AskError:
                        continue
                    except (KeyError, TypeError, ValueError):
                        raise DataError("not a line that --record wrote", path, number) from None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", path) from None

    def answer(self, key: str) -> Reply:
        """What was answered.

        Raises:
            AskError: what went wrong then; or, with kind `not_recorded`, the request is not in the file.
        """
        outcome = self._outcomes.get(key)
        if outcome is None:
            raise AskError("not_recorded", f"{self.path} has no such request: the options or the data are others")
        if "error" in outcome:
            error = outcome["error"]
            raise AskError(error["kind"], error["message"], error["raw"])
        return Reply.from_json(outcome["reply"], "replay", {})

    def close(self) -> None:
        """Nothing is open."""


def _mend(file: IO[bytes]) -> None:
    """Cut off a last line that does not end."""
    size = file.seek(0, 2)
    end = size
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        block = file.read(end - start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        file.truncate(end)
