"""`export`: a dataset as a file, or as a folder for Hugging Face's `datasets`."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from calf.datasets.writing import WRITERS, to_hf, write
from calf.errors import UserError

if TYPE_CHECKING:
    from calf.datasets.dataset import Dataset

__all__ = ["export"]


def export(dataset: Dataset, path: str | Path) -> None:
    """Write a dataset in the form that the path names.

    Args:
        dataset: any.
        path: a file with an extension of `calf.datasets.writing.WRITERS`, replaced if it exists; or, without
            extension, a folder that does not exist yet, which `datasets.load_from_disk` reads.

    Raises:
        UserError: an unknown extension, a folder that exists, or nothing can be written there.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() in WRITERS:
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a file")
        write(dataset, path)
    elif path.suffix:
        raise UserError(
            f"{path}: cannot write {path.suffix!r}; use {', '.join(WRITERS)}, or a folder's name without extension"
        )
    elif path.exists():
        raise UserError(f"{path} exists; name a new folder, or a file with one of {', '.join(WRITERS)}")
    else:
        _write_folder(dataset, path)


def _write_folder(dataset: Dataset, path: Path) -> None:
    """Made whole under a hidden name beside its place, then moved."""
    import datasets

    made = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    shown = datasets.is_progress_bar_enabled()
    try:
        datasets.disable_progress_bars()
        to_hf(dataset).save_to_disk(made)
        made.rename(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if shown:
            datasets.enable_progress_bars()
        shutil.rmtree(made, ignore_errors=True)
