"""How CALF's SQLite files are opened and removed: by any number of processes at once, and never half made."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from calf.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["open_file", "remove_file", "shrink", "size_of"]


def open_file(
    path: Path, version: int, lay_out: Callable[[sqlite3.Connection], None], *, wait: float, page: int | None = None
) -> sqlite3.Connection:
    """A connection in autocommit mode, which may be used by any thread, one at a time.

    Args:
        path: its folder is made if it is not there.
        version: of the tables. 0 stands for a new file.
        lay_out: makes the tables of a new file.
        wait: seconds to wait for another process, each time.
        page: bytes of a page of a new file; None: SQLite's default.

    Raises:
        sqlite3.Error: it cannot be read, or was made by another version of CALF.
        OSError: the folder cannot be written, or another process holds the file for longer than `wait`.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    # The lock: two processes that make a new file at once would find each other's half of it.
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=wait):
        connection = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
        try:
            if page is not None:
                connection.execute(f"PRAGMA page_size = {page}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose some, a killed process nothing
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, version):
                raise sqlite3.DatabaseError("made by another version of CALF")
            if found == 0:
                lay_out(connection)
                connection.execute(f"PRAGMA user_version = {version}")
        except BaseException:
            connection.close()
            raise
    return connection


def size_of(path: Path) -> int:
    """Bytes on the disk, with the log of what is not in the file yet.

    The third file is an index that processes share while they have the file open, this one as well: nothing is in it.
    """
    return sum(file.stat().st_size for file in _files_of(path)[:2] if file.exists())


def shrink(connection: sqlite3.Connection) -> None:
    """Give the room of what was deleted back to the disk."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remove_file(path: Path) -> None:
    """Remove a file that may be damaged, with those that belong to it.

    Raises:
        UserError: it cannot be removed.
    """
    try:
        for file in _files_of(path):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def _files_of(path: Path) -> tuple[Path, ...]:
    """The files that SQLite makes of one, whether they are there or not."""
    return tuple(path.with_name(path.name + end) for end in ("", "-wal", "-shm"))
