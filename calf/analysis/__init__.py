"""The statistics of how well metrics agree with people, as pure functions on arrays.

Judgments that were decided (tie rule, reconciled orders) enter as `Observations`; `measure` returns all statistics of a
slice with their intervals. Beneath it, each in a module of its own:

- `counts`: what follows from counts (..., 3 labels, 4 verdicts): accuracy, precision, recall, F1, kappa, ...
- `rank`: Kendall's tau-b, Stuart's tau-c, Spearman and Pearson under many weightings at once.
- `ties`: tie-calibrated accuracy; `orders`: flips, first position, reruns; `biases`, `logistic`: length, human origin,
  reference overlap.
- `annotators`: how far people agree, and metrics by the same protocol; `alternative`: the alternative annotator test.
- `across`: macro-averages and gaps over slices.
- `bootstrap`: resamples of groups, shared by all metrics on a slice, and percentile intervals.

Several metrics: `paired` (differences, sign-flip tests, ranks), `ensemble` (kappa matrix, votes), `power` (planning).

An undefined value is NaN inside arrays, and None with a reason in what `measure` returns. scipy is imported where it is
needed, the rest is numpy.
"""

from __future__ import annotations

from calf.analysis.alternative import AlternativeTest, alternative_test
from calf.analysis.annotators import Annotations, agreement, leave_one_out, majority_of
from calf.analysis.counts import COUNT_STATISTICS, confusion, symmetric
from calf.analysis.ensemble import kappa_matrix, majority_vote, oracle_right, wrong_counts
from calf.analysis.measures import STATISTICS, measure
from calf.analysis.observations import Observations
from calf.analysis.paired import PairedTests, paired_tests, ranks
from calf.analysis.power import Power, paired_power
from calf.analysis.ties import best_threshold, chance_levels, cross_fitted, verdicts_at

__all__ = [
    "COUNT_STATISTICS",
    "STATISTICS",
    "AlternativeTest",
    "Annotations",
    "Observations",
    "PairedTests",
    "Power",
    "agreement",
    "alternative_test",
    "best_threshold",
    "chance_levels",
    "confusion",
    "cross_fitted",
    "kappa_matrix",
    "leave_one_out",
    "majority_of",
    "majority_vote",
    "measure",
    "oracle_right",
    "paired_power",
    "paired_tests",
    "ranks",
    "symmetric",
    "verdicts_at",
    "wrong_counts",
]
