"""Few resamples, for tests in which an interval need only be there: most of the time goes into them otherwise.

What intervals are, with all resamples, is tested in `tests/analysis` and `tests/runs`.

`python tests/few_resamples.py WORDS` is `calf WORDS` with few.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import ParamSpec

import pytest

Parameters = ParamSpec("Parameters")

RESAMPLES = {"COUNT_RESAMPLES": 500, "RANK_RESAMPLES": 50}
MODULES = ("analysis.across", "analysis.annotators", "analysis.measures", "analysis.paired", "comparing")

_floors: dict[object, object] = {}  # kept for the process, as with many resamples, but apart from those


def take_few(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone. `calf.analysis.bootstrap` stays: fewer resamples are the first of its many."""
    for name in MODULES:
        module = importlib.import_module(f"calf.{name}")
        for constant in RESAMPLES.keys() & vars(module).keys():
            patch.setattr(module, constant, RESAMPLES[constant])
    patch.setattr("calf.runs.rows._floors", _floors)


def with_few_resamples(test: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A test that takes few."""

    @functools.wraps(test)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        with pytest.MonkeyPatch.context() as patch:
            take_few(patch)
            test(*args, **kwargs)

    return wrapped


if __name__ == "__main__":
    from calf.cli import main

    take_few(pytest.MonkeyPatch())
    main()
