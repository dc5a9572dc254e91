"""Imports the class behind `package.module:Name` or `path/to/file.py:Name`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import CalfError, UnknownNameError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["code_digest", "import_class"]


def import_class(adapter: str) -> type[Any]:
    """The class behind `package.module:Name` or `path/to/file.py:Name`; whatever its import raises is one line."""
    module_name, _, attribute = adapter.rpartition(":")
    if not module_name or not attribute:
        raise UserError(f"metric {adapter!r}: write package.module:Name or path/to/file.py:Name")
    try:
        module = (
            _import_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
        )
    except CalfError:
        raise
    except Exception as error:
        raise UserError(f"metric {adapter}: cannot import {module_name}: {type(error).__name__}: {error}") from error
    cls = getattr(module, attribute, None)
    if cls is None:
        raise UnknownNameError(f"class in {module_name}", attribute, _classes(module))
    if not isinstance(cls, type) or hasattr(cls, "score") == hasattr(cls, "judge"):
        raise UserError(
            f"metric {adapter}: must be a class with either score(items) (a response metric) or judge(items) "
            "(a comparison metric)"
        )
    return cls


def _import_file(path: Path) -> Any:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise UserError(f"metric file {path} does not exist")
    content = hashlib.sha256(path.read_bytes()).hexdigest()  # an edited file is another module
    name = f"calf_user_{path.stem}_{content[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
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


def _classes(module: Any) -> Iterator[str]:
    return (name for name, value in vars(module).items() if isinstance(value, type) and not name.startswith("_"))


def code_digest(cls: type[Any]) -> str:
    """A digest of the file that defines the class, so that edited code starts a new run."""
    try:
        path = inspect.getsourcefile(cls)
    except TypeError:
        path = None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12] if path else "unknown"
