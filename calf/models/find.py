"""Finds a model by what a user calls it: packaged weights, a local folder, or a hub id."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from calf.errors import UserError
from calf.models.folder import Weights, folder_revision, is_complete, read_config
from calf.models.packaged import PACKAGED, packaged_weights
from calf.models.quiet import quiet, reason

__all__ = ["find_weights"]

_TIMEOUT = 10.0  # seconds until the hub counts as out of reach


def find_weights(name: str, *, code: bool = False) -> Weights:
    """The model called `name`, on disk.

    Args:
        name: one of `PACKAGED`; else a folder; else a hub id. A model that is whole in the hub's cache is taken from
            there without asking the hub; another is downloaded into it.
        code: the Python files beside the weights belong to the model; they are not run here.

    Raises:
        UserError: there is no such model, or it cannot be had; the hub is asked once, for at most ten seconds.
        MissingDependencyError: the package that carries it is not installed.
    """
    if not name.strip():
        raise UserError("model: the name is empty")
    if name in PACKAGED:
        return packaged_weights(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        read_config(folder)
        return Weights(folder.resolve().name, folder.resolve(), folder_revision(folder, code=code))
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1:
        raise UserError(f"model {name!r}: no such folder")
    return _from_hub(name, code=code)


def _from_hub(name: str, *, code: bool) -> Weights:
    folder = _cached(name)
    if folder is None or (code and not any(folder.glob("*.py"))):
        folder = _download(name, code=code)
    return Weights(name, folder, folder.name[:12])  # the hub's cache names a folder by its commit


def _cached(name: str) -> Path | None:
    """The model's folder in the hub's cache, if it is whole."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError as error:
        raise UserError(f"model {name!r}: {reason(error)}") from error
    folder = Path(config).parent if isinstance(config, str) else None
    return folder if folder is not None and is_complete(folder) else None


def _download(name: str, *, code: bool) -> Path:
    """Downloads what the model needs, not its copies for other frameworks; one request decides if the hub is there."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        about = HfApi().model_info(name, timeout=_TIMEOUT)
        files = [file.rfilename for file in about.siblings or () if "/" not in file.rfilename]
        weights = [file for file in files if file.endswith(".safetensors")]
        weights = weights or [file for file in files if file.startswith("pytorch_model") and file.endswith(".bin")]
        endings = (".json", ".txt", ".model", *((".py",) if code else ()))
        texts = [file for file in files if file.endswith(endings)] + ["*_Pooling/config.json"]
        with quiet(progress=sys.stderr.isatty()):
            folder = Path(snapshot_download(name, allow_patterns=weights + texts))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise UserError(
            f"model {name!r} is neither a packaged model ({', '.join(PACKAGED)}) nor a folder, and the Hugging Face "
            f"hub does not give it: {reason(error)}"
        ) from error
    return folder
