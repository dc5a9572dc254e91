"""What is translated already, on disk: one JSON object a line, appended after every answer.

A line has `made` (translations by text key), `terms`, `again` (kinds of complaints that led to this answer), `failed`
(kind and message by text key) and `spent`. A process that is killed loses at most the line that it is writing.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from calf.engine.request import total
from calf.errors import DataError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from calf.datasets.translate.check import Complaint

__all__ = ["Ledger"]


class Ledger:
    """The file of one translation, which only one process may have open.

    Attributes:
        made: translations by text key.
        failed: what is still wrong with a text, by key.
        rounds: how many commands have given up on a text, by key: the next one asks otherwise than from the cache.
        again: how many texts were asked for again, by kind of complaint.
        spent: what all commands sent and paid.

    Args:
        path: made if absent, when the first line is written.
        read_only: for an estimate; another process may write meanwhile.

    Raises:
        UserError: another process has it open, or it cannot be used.
        DataError: it is not a ledger.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        import filelock

        self.path = path
        self.made: dict[str, str] = {}
        self.failed: dict[str, Complaint] = {}
        self.rounds: Counter[str] = Counter()
        self.again: Counter[str] = Counter()
        self.spent: dict[str, float] = {}
        self._terms: dict[str, dict[str, str]] = {}
        self._lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
        try:
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock.acquire(timeout=0)
            good = self._read()
            self._file = None if read_only else path.open("ab", buffering=0)
            if self._file is not None:
                self._file.truncate(good)
        except filelock.Timeout:
            raise UserError(
                f"another process makes this translation ({path}); wait for it, or take another --name"
            ) from None
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from None

    def add(
        self,
        keys: Iterable[str],
        *,
        made: Mapping[str, str] | None = None,
        terms: Mapping[str, str] | None = None,
        again: Iterable[str] = (),
        failed: Mapping[str, Complaint] | None = None,
        spent: Mapping[str, float] | None = None,
    ) -> None:
        """Keep what came of one request.

        Args:
            keys: of the texts that were asked for; the terms belong to their conversation.
            made, terms, again, failed, spent: see the module.

        Raises:
            UserError: the file cannot be written.
        """
        line = {
            "keys": list(keys),
            "made": dict(made or {}),
            "terms": dict(terms or {}),
            "again": list(again),
            "failed": {key: [complaint.kind, complaint.message] for key, complaint in (failed or {}).items()},
            "spent": dict(spent or {}),
        }
        text = json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)
        if self._file is None:
            raise ValueError("this ledger is read-only")
        try:
            self._file.write(text.encode("utf-8", "replace") + b"\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self._take(line)

    def terms(self, keys: Iterable[str]) -> dict[str, str]:
        """The terms of all answers about these texts, the newest last; the first translation of a term stays."""
        found: dict[str, str] = {}
        for key in keys:
            for source, made in self._terms.get(key, {}).items():
                found.setdefault(source, made)
        return found

    def close(self) -> None:
        """Close the file, and let others write to it."""
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def _read(self) -> int:
        """Takes the lines in; returns where the last whole one ends."""
        end = 0
        if not self.path.exists():
            return end
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if not raw.endswith(b"\n"):
                    break  # its writer was killed
                try:
                    self._take(json.loads(raw))
                except (KeyError, TypeError, ValueError, AttributeError):
                    raise DataError(
                        "not a line of a translation; remove the file to begin anew", self.path, number
                    ) from None
                end += len(raw)
        return end

    def _take(self, line: Mapping[str, Any]) -> None:
        from calf.datasets.translate.check import Complaint

        for key, text in line.get("made", {}).items():
            self.made[key] = text
            self.failed.pop(key, None)
        for key, (kind, message) in line.get("failed", {}).items():
            if key not in self.made:
                self.failed[key] = Complaint(kind, message)
                self.rounds[key] += 1
        terms = line.get("terms", {})
        for key in line["keys"] if terms else ():
            known = self._terms.setdefault(key, {})
            for source, made in terms.items():
                known.setdefault(source, made)
        self.again.update(line.get("again", ()))
        self.spent = total(self.spent, line.get("spent", {}))
