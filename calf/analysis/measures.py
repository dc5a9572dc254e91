"""All statistics of one metric on one slice, as the flat row that tables and JSON show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from calf.analysis.annotators import AGREEMENTS
from calf.analysis.biases import length_shares, origin_shares, overlap_shares
from calf.analysis.bootstrap import COUNT_RESAMPLES, RANK_RESAMPLES, resample_sums
from calf.analysis.counts import COUNT_STATISTICS, confusion, ratio
from calf.analysis.logistic import length_gain
from calf.analysis.mirrored import Mirrored
from calf.analysis.observations import integer_weights
from calf.analysis.orders import order_shares, retest
from calf.analysis.people import ALTERNATIVE, put_beside_people, put_nobody, put_people
from calf.analysis.projected import resample_projected
from calf.analysis.rank import Cells, Correlations, correlations, resample_correlations
from calf.analysis.row import FEW_GROUPS, ONE_GROUP, Row, Share
from calf.analysis.ties import chance_levels, tie_shares
from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.analysis.annotators import Annotations
    from calf.analysis.observations import Floats, Integers, Observations
    from calf.analysis.row import Value

__all__ = ["EPSILON", "STATISTICS", "blank", "keys", "measure"]

EPSILON = 0.2
"""The default epsilon of the alternative annotator test: what an annotator's work costs more than a metric's."""

_CORRELATIONS = tuple(f"{name}{form}" for name in Correlations._fields for form in ("", "_symmetric"))

# Differences and means of shares; what they are made of must be defined.
_DERIVED: Mapping[str, tuple[str, str, float, float]] = {
    "acc_eq_gap": ("acc_eq", "acc_eq_cv", 1.0, -1.0),
    "accuracy_length_balanced": ("accuracy_longer_preferred", "accuracy_shorter_preferred", 0.5, 0.5),
    "overlap_gap": ("accuracy_high_overlap", "accuracy_low_overlap", 1.0, -1.0),
}

STATISTICS: tuple[str, ...] = (
    *COUNT_STATISTICS,
    *_CORRELATIONS,
    *("acc_eq", "acc_eq_cv", "acc_eq_gap"),
    *("flip_rate", "accuracy_consistent", "first_position_rate", "retest_agreement"),
    *("accuracy_longer_preferred", "accuracy_shorter_preferred", "accuracy_length_balanced", "length_log_loss_gain"),
    *("human_preferred_rate", "human_preferred_rate_people"),
    *("accuracy_low_overlap", "accuracy_high_overlap", "overlap_gap"),
    "accuracy_leave_one_out",
    *AGREEMENTS,
)
"""The statistics of a row, in its order; each has `<name>_low` and `<name>_high`, its 95 % interval."""

_PROJECTED_FROM = 20_000
_SHUFFLES, _FEWEST_SHUFFLES, _ROWS_SHUFFLED = 200, 2, 400_000

_PLAIN = ("tie_threshold", "acc_eq_chance", "acc_eq_cv_chance", "rerun_variance", *ALTERNATIVE)
_SIZES = tuple(
    f"{name}_n"
    for name in (
        *("acc_eq", "acc_eq_cv", "flip_rate", "accuracy_consistent", "first_position_rate", "retest_agreement"),
        *("accuracy_longer_preferred", "accuracy_shorter_preferred", "length_log_loss_gain"),
        *("human_preferred_rate", "human_preferred_rate_people", "accuracy_low_overlap", "accuracy_high_overlap"),
        "accuracy_leave_one_out",
    )
)
_LEAST_GROUPS = 10
_CONFUSION = tuple(f"confusion_{label}_{verdict}" for label in LABELS for verdict in (*LABELS, "failed"))

_NO_COMPARISON = "no comparison"
_FEW = f"fewer than {_LEAST_GROUPS} groups have such a comparison"
_NOT_JUDGED = "no comparison was judged"
_EQUAL_DIFFERENCES = "every score difference is equal"
_EQUAL_LABELS = "every label is equal"
_SCALES = "scores of different models are not pooled over languages"
_ONE_FOLD = "all judged comparisons are in one fold"

_WHY_UNDEFINED = {
    "decided_accuracy": "every label is same",
    "kappa": "every label and every verdict is the same outcome",
    "kappa_symmetric": "every label and every verdict is same",
    **{f"precision_{label}": f"no verdict is {label}" for label in LABELS},
    **{f"recall_{label}": f"no label is {label}" for label in LABELS},
    **{f"f1_{label}": f"no label and no verdict is {label}" for label in LABELS},
    "tie_rate": _NOT_JUDGED,
}


def keys() -> tuple[str, ...]:
    """The keys of a row, in its order."""
    intervals = (key for name in STATISTICS for key in (name, f"{name}_low", f"{name}_high"))
    return ("n", "groups", "few_groups", *intervals, *_SIZES, *_PLAIN, "alt_epsilon", *_CONFUSION, "undefined")


def blank(
    row: Row, n: int, groups: int, reason: str, epsilon: float = EPSILON, fewest: int | None = None
) -> dict[str, Value]:
    """A row that has only what `row` holds; all else is None for that reason.

    Args:
        fewest: the groups of the smallest slice behind it, for `few_groups`; None: `groups`.
    """
    for name in STATISTICS:
        if name not in row.values:
            row.undefined(name, reason)
    for name in (*_SIZES, *_PLAIN, *_CONFUSION):
        row.undefined(name, reason, interval=False)
    return _ordered(row, n, groups, epsilon, groups if fewest is None else fewest)


def measure(
    observations: Observations,
    *,
    annotations: Annotations | None = None,
    people: bool = False,
    epsilon: float = EPSILON,
    many: bool = False,
    seed: int = 0,
) -> dict[str, Value]:
    """Every statistic of a slice with its 95 % interval by bootstrap over groups.

    10,000 resamples, 1,000 for correlations, which leave failed judgments out. The interval of a cross-fitted figure
    takes the fitted thresholds and coefficients as they are; so does that of `acc_eq`.

    Args:
        observations: the rows of the slice.
        annotations: single people's labels of these comparisons, if there are any.
        people: whether the verdicts are the annotators' own, and the labels those of the others (`leave_one_out`).
        epsilon: of the alternative annotator test.
        many: whether the slice is one of very many rows, which are to take seconds: then correlations over more than
            20,000 rows are resampled to first order (`calf.analysis.projected`), unless their differences are few, and
            labels are shuffled only so often that 400,000 rows are, but at least twice (`chance_levels`).
        seed: of the resamples and shuffles; not negative.

    Returns:
        `n` (comparisons: the sum of the weights), `groups`, `few_groups` (below 50: the intervals are too short), each
        of `STATISTICS` as `<name>`, `<name>_low` and `<name>_high`, unrounded, None where undefined; values without an
        interval, `<name>_n` among them (how many comparisons a share is about); `confusion_<label>_<verdict>`, in
        comparisons; and `undefined`: "name, name: reason; ..." for these, "" if there is none ("interval of <name>"
        where only that is).

    Raises:
        ValueError: a weight is not 1/K.
    """
    weight, unit = integer_weights(observations.weight)
    codes, group = np.unique(observations.group, return_inverse=True)
    n = round(weight.sum() / unit)
    row = Row()
    if not len(observations):
        return blank(row, 0, 0, _NO_COMPARISON, epsilon)
    _put_correlations(row, observations, weight, group, codes.size, seed, many)
    shares = _shares(row, observations, weight, unit, seed, many)
    if annotations is None or not len(annotations):
        put_nobody(row, shares, observations)
    elif people:
        put_people(row, shares, observations, weight, annotations, seed)
    else:
        put_beside_people(row, shares, observations, weight, annotations, epsilon)
    counts = confusion(observations.label, observations.verdict, weight, group, codes.size)
    columns = _Columns.of(shares, group, codes.size)
    table = np.concatenate((counts.reshape(codes.size, -1), columns.table), axis=1)
    drawn = resample_sums(table, COUNT_RESAMPLES, seed) if codes.size > 1 else None
    cells = len(_CONFUSION)
    _put_counts(
        row, counts.sum(axis=0), unit, None if drawn is None else drawn[:, :cells].reshape(-1, *counts.shape[1:])
    )
    _put_shares(row, shares, columns, None if drawn is None else drawn[:, cells:])
    for name, share in shares.items():
        # Not the denominator's own sum: shares of judgments or of pairs of them count a comparison more than once.
        row.plain(f"{name}_n", float(weight[share.denominator > 0].sum()) / unit)
    return _ordered(row, n, codes.size, epsilon, codes.size)


def _ordered(row: Row, n: int, groups: int, epsilon: float, fewest: int) -> dict[str, Value]:
    head: dict[str, Value] = {"n": n, "groups": groups, "few_groups": fewest < FEW_GROUPS}
    values = {**row.values, **head, "alt_epsilon": epsilon, "undefined": row.reasons()}
    return {key: values[key] for key in keys()}


def _put_counts(row: Row, total: Floats, unit: int, resampled: Floats | None) -> None:
    for name, statistic in COUNT_STATISTICS.items():
        value = float(statistic(total))
        if np.isnan(value):
            row.undefined(name, _WHY_UNDEFINED[name])
        else:
            row.put(name, value, None if resampled is None else statistic(resampled))
    for name, value in zip(_CONFUSION, (total / unit).ravel(), strict=True):
        row.plain(name, float(value))


def _put_correlations(
    row: Row, seen: Observations, weight: Floats, group: Integers, groups: int, seed: int, many: bool
) -> None:
    judged = seen.judged
    reason = _unpooled(seen)
    if reason:
        for name in _CORRELATIONS:
            row.undefined(name, reason)
        return
    stored = seen.difference[judged], seen.label[judged], weight[judged], group[judged]
    cells, mirrored = Cells.of(*stored, groups), Mirrored.of(*stored, groups)
    drawn: Correlations | None = None
    drawn_mirrored: Correlations | None = None
    if groups > 1 and many and cells.table is None and stored[0].size > _PROJECTED_FROM:
        drawn, drawn_mirrored = (
            resample_projected(*stored, groups, COUNT_RESAMPLES, seed, both_orders=both) for both in (False, True)
        )
    elif groups > 1:
        drawn = resample_correlations(cells, groups, RANK_RESAMPLES, seed)
        drawn_mirrored = mirrored.resample(groups, RANK_RESAMPLES, seed)
    for form, values, resampled, equal in (
        ("", correlations(cells, cells.total), drawn, cells.level_starts.size == 1),
        ("_symmetric", mirrored.correlations(), drawn_mirrored, not stored[0].any()),
    ):
        for name in Correlations._fields:
            value = float(getattr(values, name)[0])
            if np.isnan(value):
                row.undefined(name + form, _EQUAL_DIFFERENCES if equal else _EQUAL_LABELS)
            else:
                row.put(name + form, value, None if resampled is None else getattr(resampled, name))


def _unpooled(seen: Observations) -> str:
    """Why the score differences of a slice cannot be taken together; "" if they can."""
    judged = seen.judged
    if not judged.any():
        return _NOT_JUDGED
    return _SCALES if np.unique(seen.scale[judged]).size > 1 else ""


def _shares(row: Row, seen: Observations, weight: Floats, unit: int, seed: int, many: bool) -> dict[str, Share]:
    """The shares of a metric's ties, orders and biases; puts what has no interval into the row."""
    label, verdict, judged = seen.label, seen.verdict, seen.judged
    again = retest(label, verdict, weight, seen.comparison)
    row.plain_or_undefined("rerun_variance", again.variance, again.reason)
    shares = {
        **order_shares(label, seen.given, seen.swapped, weight),
        "retest_agreement": again.agreement,
        **length_shares(label, verdict, weight, seen.length_a, seen.length_b),
        **origin_shares(label, verdict, weight, seen.human),
        **overlap_shares(label, verdict, weight, seen.overlap),
    }
    reason = _unpooled(seen)
    if reason:
        nothing = Share(np.zeros(len(seen)), np.zeros(len(seen)), reason)
        for name in ("tie_threshold", "acc_eq_chance", "acc_eq_cv_chance"):
            row.undefined(name, reason, interval=False)
        return {**shares, **dict.fromkeys(("acc_eq", "acc_eq_cv", "length_log_loss_gain"), nothing)}
    lengths = seen.length_a, seen.length_b
    gain = length_gain(label, seen.difference, judged, weight, *lengths, seen.fold, unit=unit)
    ties, threshold = tie_shares(label, seen.difference, judged, weight, seen.fold)
    fitted = _one_fold({**ties, "length_log_loss_gain": gain}, seen.group)
    row.plain("tie_threshold", threshold)
    enough = max(_FEWEST_SHUFFLES, _ROWS_SHUFFLED // max(int(judged.sum()), 1)) if many else _SHUFFLES
    shuffles = min(_SHUFFLES, enough)
    chance = chance_levels(seen.difference[judged], label[judged], weight[judged], seen.fold[judged], seed, shuffles)
    for name, value in zip(("acc_eq", "acc_eq_cv"), chance, strict=True):
        # As accuracy does, it counts a failed judgment as wrong.
        level = value * float(weight[judged].sum() / weight.sum())
        row.plain_or_undefined(f"{name}_chance", level, fitted[name].reason)
    return {**shares, **fitted}


def _one_fold(shares: Mapping[str, Share], group: Integers) -> dict[str, Share]:
    """The same, with the true reason where several groups are in one fold."""
    if np.unique(group).size < 2:
        return dict(shares)
    return {
        name: replace(share, reason=_ONE_FOLD) if share.reason == ONE_GROUP else share for name, share in shares.items()
    }


class _Columns(NamedTuple):
    """The sums by group that a slice's shares are made of, each once: several shares have the same denominator.

    Attributes:
        table: shape (groups, columns).
        above, below: the columns of each share's numerator and denominator, of those that are defined.
    """

    table: Floats
    above: Mapping[str, int]
    below: Mapping[str, int]

    @classmethod
    def of(cls, shares: Mapping[str, Share], group: Integers, groups: int) -> _Columns:
        places: dict[bytes, int] = {}
        sums: list[Floats] = []
        above: dict[str, int] = {}
        below: dict[str, int] = {}
        for name, share in shares.items():
            if not share.denominator.any():
                continue
            for values, columns in ((share.numerator, above), (share.denominator, below)):
                of_groups = np.bincount(group, weights=values, minlength=groups).astype(np.float64)
                columns[name] = places.setdefault(of_groups.tobytes(), len(sums))
                if columns[name] == len(sums):
                    sums.append(of_groups)
        return cls(np.stack(sums, axis=1) if sums else np.zeros((groups, 0)), above, below)


def _put_shares(row: Row, shares: Mapping[str, Share], columns: _Columns, drawn: Floats | None) -> None:
    """All shares and what is derived from them.

    A share that is about a part of the slice, in so few groups that they say nothing of others, has no interval.
    """
    total = columns.table.sum(axis=0)
    values = dict.fromkeys(shares, float("nan"))
    resampled: dict[str, Floats | None] = dict.fromkeys(shares)
    few: set[str] = set()
    for name, above in columns.above.items():
        below = columns.below[name]
        values[name] = float(ratio(total[above], total[below]))
        resampled[name] = None if drawn is None else ratio(drawn[:, above], drawn[:, below])
        if np.count_nonzero(columns.table[:, below]) < min(_LEAST_GROUPS, columns.table.shape[0]):
            few.add(name)
    few |= {name for name, (first, second, *_) in _DERIVED.items() if few & {first, second}}
    for name, (first, second, times, more) in _DERIVED.items():
        values[name] = times * values[first] + more * values[second]
        one, other = resampled[first], resampled[second]
        resampled[name] = None if one is None or other is None else times * one + more * other
    for name, value in values.items():
        if np.isnan(value):
            of = next(
                part for part in (name, *_DERIVED.get(name, ())[:2]) if np.isnan(values[str(part)]) and part in shares
            )
            row.undefined(name, shares[str(of)].reason)
        elif name in few:
            row.without_interval(name, value, _FEW)
        else:
            row.put(name, value, resampled[name])
