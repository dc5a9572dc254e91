"""The statistics of how well a metric agrees with people, as pure functions on arrays.

Judgments that were decided (tie rule, reconciled orders) enter as `Observations`; `measure` returns all statistics of a
slice with their intervals. Beneath it, each in a module of its own:

- `counts`: what follows from counts (..., 3 labels, 4 verdicts): accuracy, macro-F1, kappa, ...
- `rank`: Kendall's tau-b, Spearman and Pearson under many weightings at once.
- `bootstrap`: resamples of groups, shared by all metrics on a slice, and percentile intervals.

Everything needs numpy alone. An undefined value is NaN inside arrays, and None with a reason in what `measure` returns.
"""

from __future__ import annotations

from calf.analysis.counts import COUNT_STATISTICS, confusion, symmetric
from calf.analysis.measures import STATISTICS, measure
from calf.analysis.observations import Observations

__all__ = ["COUNT_STATISTICS", "STATISTICS", "Observations", "confusion", "measure", "symmetric"]
