"""Few resamples, for tests in which an interval need only be there: most of the time goes into them otherwise.

Few shuffles of labels and few folds as well. What intervals, levels of chance and cross-fitted figures are, with all of
them, is tested in `tests/analysis` and `tests/runs`.

`python tests/few_resamples.py WORDS` is `calf WORDS` with few.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import ParamSpec, Protocol

from calf.hashing import folds

Parameters = ParamSpec("Parameters")

CONSTANTS = {"COUNT_RESAMPLES": 500, "RANK_RESAMPLES": 50, "_SHUFFLES": 5}
MODULES = ("analysis.across", "analysis.annotators", "analysis.measures", "analysis.paired", "comparing")

# Kept for the process, as with many resamples, but apart from those.
_floors: dict[object, object] = {}
_facts: dict[object, object] = {}


class Patch(Protocol):
    """A `pytest.MonkeyPatch`; pytest itself is not imported, which would take the processes below longer than CALF."""

    def setattr(self, target: object, name: str, value: object) -> None: ...


def take_few(patch: Patch) -> None:
    """Until the patch is undone. `calf.analysis.bootstrap` stays: fewer resamples are the first of its many."""
    for name in MODULES:
        module = importlib.import_module(f"calf.{name}")
        for constant in CONSTANTS.keys() & vars(module).keys():
            patch.setattr(module, constant, CONSTANTS[constant])
    rows, facts = (importlib.import_module(f"calf.runs.{name}") for name in ("rows", "facts"))
    patch.setattr(rows, "_floors", _floors)
    patch.setattr(facts, "folds", functools.partial(folds, count=2))
    patch.setattr(facts, "_kept", _facts)


def take_one_floor(patch: Patch) -> None:
    """For tests in which the rows of floors are of no account, after `take_few`: they take longer than a metric's."""
    rows = importlib.import_module("calf.runs.rows")
    patch.setattr(rows, "FLOORS", ("longer",))
    patch.setattr(rows, "_floors", {})


def with_few_resamples(test: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A test that takes few."""
    import pytest

    @functools.wraps(test)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        with pytest.MonkeyPatch.context() as patch:
            take_few(patch)
            test(*args, **kwargs)

    return wrapped


class _ForGood:
    def setattr(self, target: object, name: str, value: object) -> None:
        setattr(target, name, value)


if __name__ == "__main__":
    from calf.cli import main

    take_few(_ForGood())
    main()
