"""Good answers on disk, so that none is paid for twice: one SQLite file, for any number of processes at once."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.engine.request import Reply
from calf.errors import UserError
from calf.sqlite import open_file, remove_file, shrink, size_of
from calf.workspace import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Cache", "CacheInfo", "ModelInfo"]

_VERSION = 1
_WAIT = 60.0  # seconds that a writer waits for another process


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The answers of one model at one server; times are seconds since 1970."""

    model: str
    place: str
    answers: int
    input_tokens: int
    output_tokens: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What the cache holds: its file, the bytes of it and of its log, and the answers by model."""

    path: Path
    bytes: int
    models: tuple[ModelInfo, ...]

    @property
    def answers(self) -> int:
        """The number of answers."""
        return sum(model.answers for model in self.models)


class Cache:
    """The cache of responses. No prompt and no key is written to it: a request is known by its digest.

    Args:
        path: default: `responses.sqlite` in the user's cache folder. Opened when it is first used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / "responses.sqlite"
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> Reply | None:
        """The answer to the request with this key, if there is one.

        Raises:
            UserError: the file cannot be used.
        """
        with self._explained():
            row = self._open().execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
            return None if row is None else Reply.from_json(json.loads(row[0]), "cache", {})

    def put(self, key: str, place: str, reply: Reply) -> None:
        """Keep a good answer; the first one of a key stays.

        Raises:
            UserError: the file cannot be written.
        """
        usage = reply.usage
        row = (key, reply.model, place, time.time(), usage.input, usage.output, _dump(reply))
        with self._explained():
            self._open().execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def info(self) -> CacheInfo:
        """What is in it.

        Raises:
            UserError: the file cannot be read.
        """
        if not self.path.exists():
            return CacheInfo(self.path, 0, ())
        query = (
            "SELECT model, place, count(*), sum(input), sum(output), min(made), max(made) FROM replies"
            " GROUP BY model, place ORDER BY model, place"
        )
        with self._explained():
            models = tuple(ModelInfo(*row) for row in self._open().execute(query))
        return CacheInfo(self.path, size_of(self.path), models)

    def clear(self, model: str | None = None) -> int:
        """Remove the answers of a model (default: all, and the file with them if it is damaged); how many there were.

        Raises:
            UserError: the file cannot be written.
        """
        if not self.path.exists():
            return 0
        try:
            with self._explained():
                connection = self._open()
                if model is None:
                    count = connection.execute("DELETE FROM replies").rowcount
                else:
                    count = connection.execute("DELETE FROM replies WHERE model = ?", (model,)).rowcount
                shrink(connection)
                return count
        except UserError:
            if model is not None:
                raise
            self.close()
            remove_file(self.path)
            return 0

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_file(self.path, _VERSION, _lay_out, wait=_WAIT)
        return self._connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            advice = "`calf cache clear` removes it, " if damaged else ""
            raise UserError(f"{self.path}: {error}; {advice}--no-cache does without the cache") from None
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{self.path}: an answer in it cannot be read; `calf cache clear` empties the cache"
            ) from None


def _lay_out(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT, place TEXT, made REAL,"
        " input INTEGER, output INTEGER, reply TEXT NOT NULL) WITHOUT ROWID"
    )


def _dump(reply: Reply) -> str:
    return json.dumps(reply.to_json(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()
