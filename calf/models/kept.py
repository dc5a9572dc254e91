"""Vectors of texts on disk, so that no text is encoded twice: one SQLite file, bounded, for any number of processes.

It is a convenience: whatever is wrong with the file (damaged, locked, on a full disk), a run goes on without it, with
one line on the error stream, and scores are the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from calf.errors import UserError
from calf.sqlite import open_file, remove_file, shrink, size_of
from calf.workspace import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["BOUND", "KeptInfo", "KeptModel", "KeptVectors", "bound_of_environment"]

T = TypeVar("T")

BOUND = "CALF_VECTORS_GB"
"""The environment variable that says how large the file may become; 0: nothing is kept."""

_DEFAULT_BOUND = 4.0  # 10^9 bytes
_VERSION = 1
_WAIT = 10.0  # seconds that one process waits for another's write before it goes on without
_PAGE = 32768  # bytes: rows are large, and are read page by page
_AT_ONCE = 500  # keys per query
_ROOM = 0.9  # when it is full, the oldest are removed until this share of the bound is left


@dataclass(frozen=True, slots=True)
class KeptModel:
    """What is kept of one model; times are seconds since 1970."""

    model: str
    texts: int
    bytes: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class KeptInfo:
    """What is kept: the file, its bytes on disk, the bytes that it may take, and the texts by model."""

    path: Path
    bytes: int
    bound: int
    models: tuple[KeptModel, ...]

    @property
    def texts(self) -> int:
        """The number of texts."""
        return sum(model.texts for model in self.models)


def bound_of_environment() -> int:
    """How many bytes may be kept: `CALF_VECTORS_GB` times 10^9, by default 4.

    Raises:
        UserError: it is not a number of 0 or more.
    """
    named = os.environ.get(BOUND, "").strip()
    try:
        gigabytes = float(named) if named else _DEFAULT_BOUND
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < 1e6:
        raise UserError(f"{BOUND}={named!r}: give the gigabytes that kept vectors may take, 0 for none")
    return int(gigabytes * 1e9)


class KeptVectors:
    """What was computed for texts, by key: a small head, and the vectors. No text is written to it.

    Texts that were not asked for since this object was made give way, the longest unused first. Where those that were
    asked for fill the bound, no further ones are kept: a dataset that is too large keeps a part, not each text in turn.

    All methods but `info` and `clear` raise nothing, and can be called by several threads at once.

    Args:
        path: default: `vectors.sqlite` in the user's cache folder. Opened when it is first used.
        bound: how many bytes of vectors it may hold; default: `bound_of_environment()`.
    """

    def __init__(self, path: Path | None = None, bound: int | None = None) -> None:
        self.path = path or cache_folder() / "vectors.sqlite"
        self.bound = bound_of_environment() if bound is None else bound
        self._started = time.time()
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._given_up = self.bound == 0
        self._full = False

    def heads(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The heads of those that are kept; they will not give way to others while this process works."""
        return self._forgiven(lambda connection: self._heads(connection, keys)) or {}

    def get(self, key: str) -> tuple[bytes, bytes] | None:
        """Head and vectors; None if they are not kept, or not as they were written."""
        return self._forgiven(lambda connection: _get(connection, key))

    def put(self, key: str, model: str, head: bytes, vectors: bytes) -> None:
        """Keep them, unless the bound is reached."""
        if not self._full:
            self._forgiven(lambda connection: self._put(connection, key, model, head, vectors))

    def info(self) -> KeptInfo:
        """What is in it.

        Raises:
            UserError: the file cannot be read.
        """
        if not self.path.exists():
            return KeptInfo(self.path, 0, self.bound, ())
        query = "SELECT model, count(*), sum(bytes), min(made), max(used) FROM texts GROUP BY model ORDER BY model"
        with self._lock, self._explained():
            models = tuple(KeptModel(*row) for row in self._open().execute(query))
            size = size_of(self.path)
        return KeptInfo(self.path, size, self.bound, models)

    def clear(self, model: str | None = None) -> int:
        """Remove what is kept of a model (default: all, and the file with it if it is damaged); of how many texts.

        Raises:
            UserError: the file cannot be written.
        """
        if not self.path.exists():
            return 0
        with self._lock:
            try:
                with self._explained():
                    connection = self._open()
                    with _transaction(connection):
                        chosen = ("", ()) if model is None else (" WHERE model = ?", (model,))
                        where, values = chosen
                        connection.execute(
                            f"DELETE FROM data WHERE id IN (SELECT id FROM texts{where})",  # noqa: S608  # fixed text
                            values,
                        )
                        count = connection.execute(f"DELETE FROM texts{where}", values).rowcount  # noqa: S608  # as above
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
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _heads(self, connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for at in range(0, len(keys), _AT_ONCE):
            part = list(keys[at : at + _AT_ONCE])
            marks = ",".join("?" * len(part))
            query = f"SELECT key, head FROM texts WHERE key IN ({marks})"  # noqa: S608  # question marks only
            found.update(connection.execute(query, part))
        now = time.time()
        with (
            contextlib.suppress(sqlite3.OperationalError),
            _transaction(connection),
        ):  # locked: they are here all the same
            connection.executemany(
                "UPDATE texts SET used = ? WHERE key = ? AND used < ?", ((now, key, self._started) for key in found)
            )
        return found

    def _put(self, connection: sqlite3.Connection, key: str, model: str, head: bytes, vectors: bytes) -> None:
        size = len(head) + len(vectors)
        with _transaction(connection):
            if _held(connection) + size > self.bound and not self._make_room(connection, size):
                self._full = True
                _say(f"the texts of this run fill {self.path} ({self.bound / 1e9:g} GB, {BOUND}); further are not kept")
                return
            old = connection.execute("SELECT id FROM texts WHERE key = ?", (key,)).fetchone()
            if old is not None:  # another process was faster, or it is damaged
                connection.execute("DELETE FROM data WHERE id = ?", old)
                connection.execute("DELETE FROM texts WHERE id = ?", old)
            now = time.time()
            row = connection.execute(
                "INSERT INTO texts (key, model, made, used, bytes, checksum, head) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, model, now, now, size, _checksum(head, vectors), head),
            )
            connection.execute("INSERT INTO data VALUES (?, ?)", (row.lastrowid, vectors))

    def _make_room(self, connection: sqlite3.Connection, size: int) -> bool:
        """Removes what was not used since this object was made, the longest unused first; whether there is room."""
        held = _held(connection)
        wanted = held + size - self.bound * _ROOM
        old = connection.execute(
            "SELECT id, bytes FROM texts WHERE used < ? ORDER BY used, id", (self._started,)
        ).fetchall()
        chosen, freed = [], 0
        for row, bytes_ in old:
            if freed >= wanted:
                break
            chosen.append((row,))
            freed += bytes_
        connection.executemany("DELETE FROM data WHERE id = ?", chosen)
        connection.executemany("DELETE FROM texts WHERE id = ?", chosen)
        return held - freed + size <= self.bound

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_file(self.path, _VERSION, _lay_out, wait=_WAIT, page=_PAGE)
        return self._connection

    def _forgiven(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` gives; None, and no error, once the file has given trouble."""
        with self._lock:
            if self._given_up:
                return None
            try:
                return work(self._open())
            except (sqlite3.Error, OSError) as error:
                self._given_up = True
                _say(f"{self.path}: {error}; going on without kept vectors (`calf cache clear` removes them)")
                return None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{self.path}: {error}; `calf cache clear` empties it") from None


def _lay_out(connection: sqlite3.Connection) -> None:
    """Makes the tables. The vectors stand apart: marking a text as used must not write them again."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, key TEXT UNIQUE, model TEXT, made REAL, used REAL,"
        " bytes INTEGER, checksum INTEGER, head BLOB)"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS data (id INTEGER PRIMARY KEY, vectors BLOB)")
    connection.execute("CREATE TABLE IF NOT EXISTS held (bytes INTEGER)")
    connection.execute("INSERT INTO held SELECT 0 WHERE NOT EXISTS (SELECT * FROM held)")
    for event, row, sign in (("INSERT", "new", "+"), ("DELETE", "old", "-")):  # all processes share one sum
        connection.execute(
            f"CREATE TRIGGER IF NOT EXISTS after_{event} AFTER {event} ON texts BEGIN"  # noqa: S608  # fixed words
            f" UPDATE held SET bytes = bytes {sign} {row}.bytes; END"
        )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _get(connection: sqlite3.Connection, key: str) -> tuple[bytes, bytes] | None:
    query = "SELECT head, checksum, vectors FROM texts JOIN data USING (id) WHERE key = ?"
    row = connection.execute(query, (key,)).fetchone()
    if row is None or not isinstance(row[0], bytes) or not isinstance(row[2], bytes):
        return None
    return (row[0], row[2]) if _checksum(row[0], row[2]) == row[1] else None


def _held(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT bytes FROM held").fetchone()[0])


def _checksum(head: bytes, vectors: bytes) -> int:
    return zlib.crc32(vectors, zlib.crc32(head))


def _say(message: str) -> None:
    logging.getLogger(__name__).warning("calf: %s", message)
