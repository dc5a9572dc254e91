"""Models written once into the user's cache, from packages or files of other formats."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from calf.errors import CalfError, UserError
from calf.models.quiet import reason
from calf.workspace import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["unpack_once"]


def unpack_once(name: str, problem: str, write: Callable[[Path], None]) -> Path:
    """A folder of that name in `models/` of the user's cache, written if it is not there.

    It is written under a lock, and gets its name when it is complete, so that any number of processes may ask at once
    and an interrupted one leaves nothing that is taken for the model.

    Args:
        name: the folder's; it says all that the content depends on.
        problem: what cannot be done if writing fails, for the message.
        write: puts the files into the folder that it is given.

    Raises:
        CalfError: what `write` says.
        UserError: writing fails for another reason, or the cache folder cannot be written.
    """
    from filelock import FileLock

    folder = cache_folder() / "models" / name
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".{name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{name}.lock")):
            if folder.is_dir():  # another process was faster
                return folder
            if partial.exists():  # whoever left it is gone: we hold the lock
                shutil.rmtree(partial)
            partial.mkdir()
            try:
                write(partial)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            partial.rename(folder)
    except CalfError:
        raise
    except Exception as error:  # of a full disk or an unknown file, the libraries have errors of their own
        raise UserError(f"{problem} into {folder.parent}: {reason(error)}; CALF_CACHE names another folder") from error
    return folder
