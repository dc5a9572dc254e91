"""Keeps the model libraries from writing to the terminal, and puts their errors into one line."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet", "reason"]


@contextlib.contextmanager
def quiet(*, progress: bool = False) -> Iterator[None]:
    """Without the warnings and (unless `progress`) progress bars of transformers and huggingface_hub."""
    hub: Any = importlib.import_module("huggingface_hub.utils")
    logging: Any = importlib.import_module("transformers.utils.logging")  # untyped functions

    verbosity, bars, hub_off = (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        hub.are_progress_bars_disabled(),
    )
    logging.set_verbosity_error()
    if not progress:
        logging.disable_progress_bar()
        hub.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if not hub_off:
            hub.enable_progress_bars()


def reason(error: BaseException) -> str:
    """A library's error as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
