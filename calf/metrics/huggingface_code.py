"""Finds and loads a module of Hugging Face's library `evaluate`: its file, what identifies its code, its instance."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import os
import re
import sys
import tempfile
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import OptionError, UserError
from calf.models.quiet import reason
from calf.workspace import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Script", "at_work", "find_script", "load_module", "local_script"]

_TIMEOUT = 10.0  # seconds until the hub counts as out of reach
_KINDS = ("metric", "measurement")  # the hub's owners of modules with short names; `comparison` ones judge no response
_UNSIGNED = frozenset(
    {"datasets", "evaluate", "numpy"}
)  # every module imports them; evaluate's version is signed apart
_ONE_AT_A_TIME = threading.RLock()  # a module is seeded by numpy's global state, and its prints are sent elsewhere
_TWO_IMPORTS = re.compile(r"^import\s+[\w.]+\s*,", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """The file of a module.

    Attributes:
        path: the file; relative imports in it name files beside it.
        source: "local", or `OWNER/NAME@COMMIT` of the hub's space.
    """

    path: Path
    source: str

    @property
    def name(self) -> str:
        """The module's name: the file's."""
        return self.path.stem

    def digest(self) -> str:
        """Of all Python files of the module's folder; of a file that lies in another folder, of all beside it."""
        folder = self.path.parent
        own = folder.name == self.name or self.source != "local"
        found = hashlib.sha256()
        for path in sorted(folder.rglob("*.py") if own else folder.glob("*.py")):
            found.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
        return found.hexdigest()[:12]

    def libraries(self) -> str:
        """The versions of the distributions that the file imports, e.g. "rouge-score==0.1.2"."""
        names = {name.partition(".")[0] for name, level in self._imports() if not level}
        found = [_version_of(name) for name in sorted(names - sys.stdlib_module_names - _UNSIGNED)]
        return " ".join(version for version in found if version)

    def is_whole(self) -> bool:
        """Whether the files that it imports from beside it are there."""
        beside = {name.partition(".")[0] for name, level in self._imports() if level and name}
        return all((self.path.parent / f"{name}.py").is_file() for name in beside)

    def _imports(self) -> Iterator[tuple[str, int]]:
        """The modules that import statements name, with the number of leading dots."""
        try:
            tree = ast.parse(self.path.read_bytes())
        except (SyntaxError, ValueError) as error:
            raise UserError(f"module {self.path.name} is not Python: {reason(error)}") from error
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, 0) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module or "", node.level


def _version_of(package: str) -> str:
    """`NAME==VERSION` of the distribution that brings an importable package; "" if none does."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{package}=={version(package)}"  # mostly they have one name, and asking for all takes a while
    except PackageNotFoundError:
        return " ".join(f"{name}=={version(name)}" for name in sorted(set(_distributions().get(package, ()))))


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    from importlib.metadata import packages_distributions

    return packages_distributions()


def local_script(module: str, folder: Path) -> Path | None:
    """The file of a module that `module` names from `folder`: the file itself, or `NAME.py` in the folder `NAME`."""
    path = Path(os.path.normpath(folder / Path(module).expanduser()))
    if path.suffix != ".py":
        path /= f"{path.name}.py"
    return path if path.is_file() else None


def find_script(module: str, *, trust_remote_code: bool) -> Script:
    """The file of a module.

    Args:
        module: a local folder or file (`local_script`), else a name of the hub: `bleurt`, `owner/name`. A module that
            is in the hub's cache is taken from there without asking the hub.
        trust_remote_code: whether code of the hub may be had at all.

    Raises:
        UserError: there is no such module, its code may not be run, or the hub does not give it (which is asked for at
            most ten seconds).
    """
    path = local_script(module, Path.cwd())
    if path is not None:
        return Script(path, "local")
    name = Path(module).name
    if not name:
        raise UserError("hf: name a module: hf:FOLDER or a name of the Hugging Face hub, hf:bleurt")
    if module.startswith((".", "~", os.sep)) or module.count("/") > 1 or name.endswith(".py"):
        expected = module if name.endswith(".py") else f"{module.rstrip('/')}/{name}.py"
        raise UserError(f"hf:{module}: there is no file {expected}; a module lies in NAME/NAME.py")
    spaces = [module] if "/" in module else [f"evaluate-{kind}/{module}" for kind in _KINDS]
    if not trust_remote_code:
        raise OptionError(
            f"hf:{module}: there is no file {module}/{name}.py here, so this would run code from the Hugging Face hub: "
            f"{name}.py of the space {' or '.join(spaces)}; allow that with -o trust_remote_code=true"
        )
    return _cached(spaces, name) or _download(module, spaces, name)


def _cached(spaces: list[str], name: str) -> Script | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for space in spaces:
        try:
            found = try_to_load_from_cache(space, f"{name}.py", repo_type="space")
        except HFValidationError as error:
            raise UserError(f"hf:{space}: {reason(error)}") from error
        if isinstance(found, str):
            script = Script(Path(found), f"{space}@{Path(found).parent.name[:12]}")
            if script.is_whole():
                return script
    return None


def _download(module: str, spaces: list[str], name: str) -> Script:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    for space in spaces:
        try:
            with _silent_bars():
                HfApi().space_info(space, timeout=_TIMEOUT)  # one request decides if the hub is there
                folder = Path(snapshot_download(space, repo_type="space", allow_patterns="*.py"))
        except RepositoryNotFoundError:
            continue
        except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
            raise UserError(f"hf:{module}: the Hugging Face hub does not give it: {reason(error)}") from error
        if not (folder / f"{name}.py").is_file():
            raise UserError(f"hf:{module}: the space {space} of the Hugging Face hub has no file {name}.py")
        return Script(folder / f"{name}.py", f"{space}@{folder.name[:12]}")
    raise UserError(f"hf:{module}: no such file here, and the Hugging Face hub has no space {' or '.join(spaces)}")


def load_module(script: Script, config: str | None) -> Any:
    """An instance of the module's class (`evaluate.EvaluationModule`), ready to compute.

    evaluate copies a module's code into the user's cache and keeps inputs there. Here both are in a folder of this call
    alone, which is gone when it returns: inputs are kept in memory. What the module downloads (a checkpoint) stays in
    CALF's own cache.

    Raises:
        UserError: the module cannot be loaded.
    """
    name = f"calf_evaluate_{uuid.uuid4().hex}"  # a package of its own: evaluate's may be another folder's already
    with at_work(), tempfile.TemporaryDirectory(prefix="calf-evaluate-") as folder:
        try:
            return _load(script, config, name, folder)
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # importing it runs any code
            hint = ""
            if isinstance(error, ImportError) and _TWO_IMPORTS.search(script.path.read_text(encoding="utf-8")):
                hint = "; evaluate's loader cannot read `import a, b`: write one import a line"
            raise UserError(f"module {script.name} cannot be loaded: {reason(error)}{hint}") from error
        finally:
            if folder in sys.path:
                sys.path.remove(folder)


def _load(script: Script, config: str | None, name: str, folder: str) -> Any:
    from datasets import DownloadConfig
    from evaluate.loading import LocalEvaluationModuleFactory, import_main_class, init_dynamic_modules

    downloads = DownloadConfig(cache_dir=cache_folder() / "evaluate")
    package = init_dynamic_modules(name, folder)
    factory = LocalEvaluationModuleFactory(
        str(script.path), download_config=downloads.copy(), dynamic_modules_path=package
    )
    cls = import_main_class(factory.get_module().module_path)
    if cls is None:
        raise UserError(f"{script.path.name} has no class of evaluate.Metric")
    module = cls(config_name=config, cache_dir=folder, keep_in_memory=True, experiment_id=name, seed=0)
    module.download_and_prepare(download_config=downloads)
    return module


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """While a module loads or computes: no progress bars, and what it prints goes to stderr; one thread at a time."""
    with _ONE_AT_A_TIME, contextlib.redirect_stdout(sys.stderr), _silent_bars():
        import evaluate.utils.logging as evaluate_bars

        on = evaluate_bars.is_progress_bar_enabled()
        evaluate_bars.disable_progress_bar()
        try:
            yield
        finally:
            if on:
                evaluate_bars.enable_progress_bar()


@contextlib.contextmanager
def _silent_bars() -> Iterator[None]:
    """Without the progress bars of datasets and huggingface_hub."""
    import datasets.utils as datasets_bars
    import huggingface_hub.utils as hub_bars

    all_bars: tuple[Any, Any] = (datasets_bars, hub_bars)
    on = [bars for bars in all_bars if not bars.are_progress_bars_disabled()]
    for bars in on:
        bars.disable_progress_bars()
    try:
        yield
    finally:
        for bars in on:
            bars.enable_progress_bars()
