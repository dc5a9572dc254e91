"""CALF: which automatic metrics for long-form answers agree with people.

    >>> import calf
    >>> run = calf.evaluate("rouge-l", "sample")
    >>> run.table()

Everything heavy is imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calf.comparing import Differences, compare
    from calf.datasets.dataset import Dataset
    from calf.datasets.load import load_dataset
    from calf.engine.budget import Spending
    from calf.errors import (
        CalfError,
        DataError,
        MissingDependencyError,
        OptionError,
        StoppedError,
        UnknownNameError,
        UserError,
    )
    from calf.estimating import Estimate, estimate
    from calf.evaluation import evaluate
    from calf.metrics.base import ComparisonMetric, Pair, Preparation, Response, ResponseMetric
    from calf.metrics.loaded import LoadedMetric
    from calf.metrics.registry import list_metrics, load_metric
    from calf.runs.run import Run
    from calf.types import Annotation, Comparison, Failure, Opinion, Score

__version__ = "0.1.0"

__all__ = [
    "Annotation",
    "CalfError",
    "Comparison",
    "ComparisonMetric",
    "DataError",
    "Dataset",
    "Differences",
    "Estimate",
    "Failure",
    "LoadedMetric",
    "MissingDependencyError",
    "Opinion",
    "OptionError",
    "Pair",
    "Preparation",
    "Response",
    "ResponseMetric",
    "Run",
    "Score",
    "Spending",
    "StoppedError",
    "UnknownNameError",
    "UserError",
    "compare",
    "estimate",
    "evaluate",
    "list_metrics",
    "load_dataset",
    "load_metric",
]

_HOMES = {
    "calf.comparing": ("Differences", "compare"),
    "calf.datasets.dataset": ("Dataset",),
    "calf.datasets.load": ("load_dataset",),
    "calf.engine.budget": ("Spending",),
    "calf.errors": (
        "CalfError",
        "DataError",
        "MissingDependencyError",
        "OptionError",
        "StoppedError",
        "UnknownNameError",
        "UserError",
    ),
    "calf.estimating": ("Estimate", "estimate"),
    "calf.evaluation": ("evaluate",),
    "calf.metrics.base": ("ComparisonMetric", "Pair", "Preparation", "Response", "ResponseMetric"),
    "calf.metrics.registry": ("LoadedMetric", "list_metrics", "load_metric"),
    "calf.runs.run": ("Run",),
    "calf.types": ("Annotation", "Comparison", "Failure", "Opinion", "Score"),
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'calf' has no attribute {name!r}")
