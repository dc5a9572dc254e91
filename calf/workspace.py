"""Where things are: the workspace, what the package carries, and the user's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["MARKER", "Workspace", "builtin_folder", "cache_folder", "find_workspace"]

MARKER = "calf.toml"


@cache
def builtin_folder() -> Path:
    """The folder whose `data/` and `metrics/` CALF brings.

    An installed wheel has them inside the package; in a checkout (also an editable install) they are the
    repository's own.
    """
    package = Path(__file__).resolve().parent
    inside = package / "_builtin"
    return inside if inside.is_dir() else package.parent


def cache_folder() -> Path:
    """The user's cache folder for CALF: `CALF_CACHE` if set, else the platform's."""
    named = os.environ.get("CALF_CACHE")
    if named:
        return Path(named).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_cache_dir("calf", appauthor=False))


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders that a command works with.

    Attributes:
        root: the folder with the marker file `calf.toml`, or None outside any workspace.
        runs: where runs are written: `root/runs`, or `./runs` outside a workspace.
        data: where fetched and imported datasets are written: `root/data`, or the user's cache.
        definitions: folders that are searched for definitions, first wins: the workspace, the user's cache,
            what the package brings. Each may hold `data/` and `metrics/`.
    """

    root: Path | None
    runs: Path
    data: Path
    definitions: tuple[Path, ...]


def find_workspace(start: Path | None = None) -> Workspace:
    """The workspace around `start` (default: the current folder), found by walking up to a `calf.toml`."""
    here = (start or Path.cwd()).resolve()
    root = next((folder for folder in (here, *here.parents) if (folder / MARKER).is_file()), None)
    shared = (cache_folder(), builtin_folder())
    if root is None:
        return Workspace(None, here / "runs", cache_folder() / "data", shared)
    places = (root, *(place for place in shared if place != root))
    return Workspace(root, root / "runs", root / "data", places)
