"""Imports the class behind `package.module:Name` or `path/to/file.py:Name`."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import CalfError, UnknownNameError, UserError
from calf.metrics.base import METHODS

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator

__all__ = ["code_digest", "import_class"]


def import_class(adapter: str) -> type[Any]:
    """The class behind `package.module:Name` or `path/to/file.py:Name`; whatever its import raises is one line."""
    module_name, _, attribute = adapter.rpartition(":")
    if not module_name or not attribute:
        raise UserError(f"metric {adapter!r}: write package.module:Name or path/to/file.py:Name")
    try:
        if module_name.endswith(".py"):
            module = _import_file(Path(module_name))
        else:
            _make_importable(Path.cwd())
            module = importlib.import_module(module_name)
    except CalfError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"metric {adapter}: cannot import {module_name}: {type(error).__name__}: {error}") from error
    cls = getattr(module, attribute, None)
    if cls is None:
        raise UnknownNameError(f"class in {module_name}", attribute, _classes(module))
    if not isinstance(cls, type) or sum(hasattr(cls, method) for method in METHODS) != 1:
        raise UserError(
            f"metric {adapter}: must be a class with either score(items) (a response metric) or judge(items) "
            "(a comparison metric), or async score_one(item) or judge_one(item) instead"
        )
    if not cls.__module__.startswith("calf."):
        code_digest(cls)  # of what was imported just now
    return cls


def _make_importable(folder: Path) -> None:
    """Lets a user's code import what lies beside it; last, so that it hides nothing."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _import_file(path: Path) -> Any:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise UserError(f"metric file {path} does not exist")
    mark = hashlib.sha256(bytes(path) + b"\0" + path.read_bytes()).hexdigest()  # an edited file is another module
    name = f"calf_user_{path.stem}_{mark[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    _make_importable(path.parent)
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    if spec is None or spec.loader is None:
        raise UserError(f"metric file {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look the module up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _FromSource(importlib.machinery.SourceFileLoader):
    """Compiles what the file holds now: what Python keeps compiled is told apart by seconds and size alone."""

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _classes(module: Any) -> Iterator[str]:
    return (name for name, value in vars(module).items() if isinstance(value, type) and not name.startswith("_"))


_loaded: dict[type[Any], str] = {}


def code_digest(cls: type[Any]) -> str:
    """A digest of the class's code, so that edited code starts a new run.

    Covers the file that defines the class and, through import statements, every module of its own package and every
    module outside Python's and pip's folders: what the user writes, not what is installed.

    Raises:
        UserError: the code was edited since it was imported.
    """
    digest = hashlib.sha256()
    for path in sorted(_files_behind(cls)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    now = digest.hexdigest()[:12]
    if _loaded.setdefault(cls, now) != now:
        raise UserError(f"the code of metric {cls.__module__}:{cls.__qualname__} was edited; start Python again")
    return now


def _files_behind(cls: type[Any]) -> set[Path]:
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = cls.__module__.partition(".")[0]
    found: dict[Path, None] = {}
    waiting = [cls.__module__]
    seen = set()
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if name in seen or module is None or name.partition(".")[0] == "calf":
            continue
        seen.add(name)
        file = getattr(module, "__file__", None)
        if file is None or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        if not path.is_file():
            continue
        if name.partition(".")[0] != own and any(path.is_relative_to(folder) for folder in installed):
            continue
        found[path] = None
        waiting += _imports(path, getattr(module, "__package__", None) or "")
    return set(found)


def _imports(path: Path, package: str) -> Iterator[str]:
    """The modules that a file's import statements may name."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
