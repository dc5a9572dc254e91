"""Definitions of metrics: the TOML files of the workspace and of CALF, and the entry points of installed packages."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import DataError, UnknownNameError
from calf.metrics.huggingface_code import local_script
from calf.workspace import builtin_folder, find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

__all__ = [
    "ENTRY_POINTS",
    "HUGGING_FACE",
    "TRAINED",
    "Definition",
    "definition_files",
    "find_definition",
    "from_entry_point",
    "from_hugging_face",
    "origin_of",
    "plug_ins",
    "read_definition",
]

ENTRY_POINTS = "calf.metrics"
HUGGING_FACE = "hf:"
TRAINED = "trained:"
_KEYS = {"adapter", "summary", "verified", "parameters", "options", "files"}


@dataclass(frozen=True, slots=True)
class Definition:
    """What a name stands for.

    Attributes:
        adapter: `package.module:Name` or `path/to/file.py:Name`.
        origin: "built-in", "workspace", "plug-in DISTRIBUTION VERSION" or "code".
        parameters: constructor arguments that are fixed here.
        files: of these, the ones that are texts of files (prompts) or tables of such, by name; the signature has their
            digest.
        options: defaults that a user may override.
        verified: whether its answers were seen with the weights that it is made for.
    """

    name: str
    adapter: str
    origin: str
    summary: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    verified: bool = True


def find_definition(name: str, seen: tuple[str, ...] = ()) -> Definition:
    """What `name` stands for.

    Args:
        name: a metric's name, an adapter, `hf:` and a module of Hugging Face's evaluate, or `trained:` and a folder.
        seen: names on the way here, to find circles.

    Raises:
        UnknownNameError: there is no such metric.
        DataError: its file is not as it must be.
    """
    if name.startswith(HUGGING_FACE):
        return from_hugging_face(name, Path.cwd())
    if name.startswith(TRAINED):
        folder = {"folder": str(Path(name.removeprefix(TRAINED)).expanduser())}
        return Definition(name, "calf.metrics.trained:TrainedEvaluator", "code", parameters=folder)
    if ":" in name:
        return Definition(name, name, "code")
    files = definition_files()
    if name in files:
        return read_definition(name, files[name], seen)
    points = plug_ins()
    for point in points:
        if point.name == name:
            return from_entry_point(point)
    raise UnknownNameError("metric", name, {*files, *(p.name for p in points)}, "`calf metrics list` shows all")


def definition_files() -> dict[str, Path]:
    """The definition files by metric name; a workspace's hides one that CALF brings."""
    files: dict[str, Path] = {}
    for place in find_workspace().definitions:
        for path in sorted((place / "metrics").glob("*.toml")):
            if path.is_file():
                files.setdefault(path.stem, path)
    return files


def origin_of(path: Path) -> str:
    """Where a definition file is from."""
    return "built-in" if path.is_relative_to(builtin_folder()) else "workspace"


def read_definition(name: str, path: Path, seen: tuple[str, ...] = ()) -> Definition:
    """A definition file; an `adapter` that names another metric takes over its adapter and settings."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"not a TOML file: {error}", path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path) from None
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise DataError(f"unknown key {unknown[0]!r}; a metric's keys: {', '.join(sorted(_KEYS))}", path)
    adapter = table.get("adapter")
    if not isinstance(adapter, str):
        raise DataError("the key 'adapter' is missing: package.module:Name, file.py:Name or a metric's name", path)
    parameters, options, files = (table.get(key, {}) for key in ("parameters", "options", "files"))
    if not all(isinstance(part, dict) for part in (parameters, options, files)):
        raise DataError("'parameters', 'options' and 'files' must be tables", path)
    parameters = {**parameters, **{key: _texts_of(value, path) for key, value in files.items()}}
    summary = str(table.get("summary", ""))
    verified = table.get("verified", True)
    if not isinstance(verified, bool):
        raise DataError("'verified' must be true or false", path)
    if ":" not in adapter or adapter.startswith(HUGGING_FACE):
        if adapter in (*seen, name):
            raise DataError(f"the adapter {adapter!r} leads back to itself", path)
        of_evaluate = adapter.startswith(HUGGING_FACE)
        base = from_hugging_face(adapter, path.parent) if of_evaluate else find_definition(adapter, (*seen, name))
        return Definition(
            name, base.adapter, origin_of(path), summary or base.summary,
            {**base.parameters, **parameters}, {**base.options, **options}, base.files | set(files),
            verified and base.verified,
        )  # fmt: skip
    module, _, attribute = adapter.rpartition(":")
    if module.endswith(".py"):
        adapter = f"{(path.parent / module).resolve()}:{attribute}"
    return Definition(name, adapter, origin_of(path), summary, parameters, options, frozenset(files), verified)


def _texts_of(file: Any, definition: Path) -> Any:
    """The text of a file, or of a table of files the same table of texts."""
    if isinstance(file, dict):
        return {key: _texts_of(value, definition) for key, value in file.items()}
    return _text_of(file, definition)


def _text_of(file: Any, definition: Path) -> str:
    """The text of a file that a definition names, from the definition's folder."""
    path = definition.parent / str(file)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError("not UTF-8", path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror} (named by {definition.name})", path) from None


def plug_ins() -> list[EntryPoint]:
    """The entry points of installed packages, by name; nothing of theirs is imported."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)


def from_hugging_face(name: str, folder: Path) -> Definition:
    """What `hf:PATH_OR_NAME` stands for; a path counts from `folder`. Whether there is such a module is seen later."""
    module = name.removeprefix(HUGGING_FACE)
    script = local_script(module, folder) if module else None
    adapter = "calf.metrics.huggingface:EvaluateModule"
    return Definition(name, adapter, "code", parameters={"module": str(script or module)})


def from_entry_point(point: EntryPoint) -> Definition:
    """What an entry point stands for."""
    origin = f"plug-in {point.dist.name} {point.dist.version}" if point.dist else "plug-in"
    return Definition(point.name, f"{point.module}:{point.attr}", origin)
