"""Differences between metrics on the comparisons that both judged, tested with all comparisons of a group together.

The test flips signs: if two metrics are exchangeable, then in each group it is a matter of chance which of the two has
the higher sum. That each group's difference is as likely as its negative is more than that the accuracies are equal:
where one metric wins rarely but by whole groups, and the other often by little, the test rejects more often than it
should, below 100 groups twice or more as often (`tests/benchmarks/calibration.py`). Flips and resamples follow from
(seed, number of groups) alone, so all pairs of a slice share them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, resample_sums, weighted_sums
from calf.analysis.counts import ratio
from calf.analysis.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Integers

__all__ = ["FLIPS", "PairedTests", "paired_tests", "ranks"]

FLIPS = 10_000
"""Sign flips of a permutation test; all that there are, if the groups allow no more than these."""

_NO_COMPARISON = "no comparison that both judged"
_NOT_BINARY = "right is a share in a comparison judged more than once"
_TOLERANCE = 1e-12
_LARGEST_UNIT = 1 << 32
_MOST_REPEATS = 1000
_BLOCK_BYTES = 1 << 20
_FLIP_STREAM = 1
_FLIPS_AT_ONCE = 250  # so that the pairs' arrays stay in a cache


@dataclass(frozen=True, slots=True, eq=False)
class PairedTests:
    """Every pair of metrics a < b, on the rows that both judged. Arrays of shape (P,), P = M (M - 1) / 2.

    Attributes:
        a, b: int64; the metrics' columns.
        n: int64; rows that both judged.
        groups: int64; groups among these.
        difference: float64; mean of right_a - right_b over these rows.
        low, high: float64; its 95 % interval.
        p_permutation: float64; two-sided p value of the sign-flip test over groups.
        p_adjusted: float64; the same, adjusted for all pairs; not below p_permutation.
        p_mcnemar: float64; exact McNemar test. It ignores groups, so it describes and decides nothing.
        undefined: for each pair "name, name: reason; ..." for what is NaN above, "" if nothing is ("interval of
            difference" where low and high are).
    """

    a: Integers
    b: Integers
    n: Integers
    groups: Integers
    difference: Floats
    low: Floats
    high: Floats
    p_permutation: Floats
    p_adjusted: Floats
    p_mcnemar: Floats
    undefined: tuple[str, ...]


def paired_tests(right: Floats, judged: NDArray[np.bool_], group: Integers, *, seed: int = 0) -> PairedTests:
    """Compare every metric with every other, on the comparisons that both judged.

    - Interval: the 95 % percentiles of the difference in 10,000 resamples of the slice's groups, each with its own
      number of common rows. NaN if these rows are of one group.
    - p_permutation: with D_g the sum of right_a - right_b over a group's common rows and s_g = 1 or -1, the share of
      the flips s with |sum s_g D_g| >= |sum D_g|. If the slice has at most 13 groups, hence at most 10,000 flips, all
      are made and p is exact for exchangeable metrics; else 10,000 are drawn, and p = (c + 1) / 10,001 (Phipson and
      Smyth 2010).
    - p_adjusted: the step-down max-T procedure (Westfall and Young 1993, algorithm 4.1; Ge, Dudoit and Speed 2003,
      box 2) on the same flips, with T = |sum s_g D_g| / sqrt(sum D_g^2), whose denominator no flip changes. It bounds
      the chance that any pair is wrongly found different. A pair that never differs has p = 1.
    - p_mcnemar: of the rows where one metric is right (1) and the other wrong (0), two-sided binomial; 1 if there are
      none. NaN if a common row has another value.

    The order of the rows changes nothing, and swapping two metrics changes signs only: values of `right` are made whole
    numbers of a common part (their smallest common denominator; 2^-32 if there is none below), so that sums are exact
    below two million rows. Only T of different pairs are compared with a relative tolerance, of 1e-12.

    Args:
        right: how right each metric was, in [0, 1] (for repeated judgments the share that was right), shape (n, M).
            Ignored where it did not judge.
        judged: which rows each metric judged, shape (n, M).
        group: any integers, shape (n,).
        seed: of resamples and flips; not negative.

    Raises:
        ValueError: the shapes differ, or a judged row's `right` is outside of [0, 1].
    """
    if right.ndim != 2 or right.shape != judged.shape or group.shape != right.shape[:1]:
        raise ValueError("right and judged must have the shape (n, M), and group (n,)")
    whole, unit = _whole(right, judged)
    sums = _Sums.of(whole, judged, group)
    n = sums.size.sum(axis=0).astype(np.int64)[sums.mask]
    groups = np.count_nonzero(sums.size, axis=0).astype(np.int64)[sums.mask]
    total = sums.table.sum(axis=0)
    difference = ratio(total[sums.first] - total[sums.second], n * float(unit))
    p_permutation, p_adjusted = _flip_tests(sums, seed)
    p_mcnemar = _mcnemar(whole, judged, unit)[sums.a, sums.b]
    for p_values in (p_permutation, p_adjusted, p_mcnemar):
        p_values[n == 0] = np.nan

    resampled = _resampled(sums, unit, seed)
    rows = []
    for pair, (value, values) in enumerate(zip(difference.tolist(), resampled, strict=True)):
        row = Row()
        if n[pair] == 0:
            row.undefined("difference", _NO_COMPARISON)
            for name in ("p_permutation", "p_adjusted", "p_mcnemar"):
                row.undefined(name, _NO_COMPARISON, interval=False)
        else:
            row.put("difference", value, values if groups[pair] > 1 else None)
            if np.isnan(p_mcnemar[pair]):
                row.undefined("p_mcnemar", _NOT_BINARY, interval=False)
        rows.append(row)
    low, high = (np.array([row.values[f"difference_{end}"] for row in rows], np.float64) for end in ("low", "high"))
    undefined = tuple(row.reasons() for row in rows)
    return PairedTests(
        sums.a, sums.b, n, groups, difference, low, high, p_permutation, p_adjusted, p_mcnemar, undefined
    )


def ranks(tests: PairedTests, metrics: int, alpha: float = 0.05, ranked: NDArray[np.bool_] | None = None) -> Integers:
    """1 + the number of metrics that are significantly better (adjusted p at most `alpha`), shape (M,).

    Metrics that cannot be told apart may share a rank, and need not be alike in what they can be told apart from.

    Args:
        tests: of `paired_tests`.
        metrics: the number of metrics, M.
        alpha: the chance of any wrong "better" that is accepted.
        ranked: which metrics take part, shape (M,); those that do not are better than none. None: all.
    """
    worse = np.where(tests.difference > 0, tests.b, tests.a)
    told_apart = (tests.p_adjusted <= alpha) & (tests.difference != 0)
    if ranked is not None:
        told_apart &= ranked[tests.a] & ranked[tests.b]
    return 1 + np.bincount(worse[told_apart], minlength=metrics).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Sums by group from which those of every pair follow.

    Pairs with the same common rows share columns: in such a set of rows a column is the sum of one metric minus that of
    a metric of reference, so that the sum of right_a - right_b is the difference of two columns, and k metrics that
    judged the same rows need k - 1 columns for their k (k - 1) / 2 pairs.

    Attributes:
        a, b: the pairs, shape (P,).
        first, second: the columns of `table` whose difference is the pair's, shape (P,).
        mask: the column of `size` that is the pair's, shape (P,).
        table: whole numbers, shape (groups, columns); column 0 is zero: every metric of reference.
        size: number of common rows, shape (groups, distinct sets of common rows).
    """

    a: Integers
    b: Integers
    first: Integers
    second: Integers
    mask: Integers
    table: Floats
    size: Floats

    @classmethod
    def of(cls, whole: Floats, judged: NDArray[np.bool_], group: Integers) -> _Sums:
        codes, code = np.unique(group, return_inverse=True)
        order = np.argsort(code, kind="stable")
        starts = np.searchsorted(code[order], np.arange(codes.size))
        whole, judged = whole[order], judged[order]
        a, b = (place.astype(np.int64) for place in np.triu_indices(whole.shape[1], 1))
        bits = np.packbits(judged, axis=0).T
        pairs_of: dict[bytes, list[int]] = {}
        for pair, common_bits in enumerate(bits[a] & bits[b]):
            pairs_of.setdefault(common_bits.tobytes(), []).append(pair)

        first, second, mask = (np.zeros(a.size, dtype=np.int64) for _ in range(3))
        tables, sizes, columns = [np.zeros((codes.size, 1))], [np.zeros((codes.size, 0))], 1
        for index, pairs in enumerate(pairs_of.values()):
            common = (judged[:, a[pairs[0]]] & judged[:, b[pairs[0]]])[:, np.newaxis]
            members = np.union1d(a[pairs], b[pairs])
            reference, others = members[:1], members[1:]
            column = np.zeros(whole.shape[1], dtype=np.int64)
            column[others] = columns + np.arange(others.size)
            columns += others.size
            first[pairs], second[pairs], mask[pairs] = column[a[pairs]], column[b[pairs]], index
            tables.append(_by_group((whole[:, others] - whole[:, reference]) * common, starts))
            sizes.append(_by_group(common.astype(np.float64), starts))
        return cls(a, b, first, second, mask, np.concatenate(tables, axis=1), np.concatenate(sizes, axis=1))

    @property
    def groups(self) -> int:
        """The number of groups of the slice."""
        return len(self.table)


def _by_group(values: Floats, starts: Integers) -> Floats:
    """Sums of rows (n, k) that stand by group, shape (groups, k)."""
    return np.add.reduceat(values, starts, axis=0) if starts.size else np.zeros((0, values.shape[1]))


def _whole(right: Floats, judged: NDArray[np.bool_]) -> tuple[Floats, int]:
    """`right` in whole numbers of 1 / unit, 0 where not judged, and that unit.

    The unit is the least common denominator if no value needs one above 1,000 (repeats) and it is at most 2^32; else it
    is 2^32 and the values are rounded. Thirds, too, then add up to whole numbers, and flips that tie, tie exactly.
    """
    distinct, place = np.unique(np.where(judged, right, 0.0), return_inverse=True)
    if distinct.size and not (distinct[0] >= 0.0 and distinct[-1] <= 1.0):  # NaN would be last
        raise ValueError("right must be in [0, 1] where judged")
    unit = 1
    for value in distinct.tolist():
        fraction = Fraction(value).limit_denominator(_MOST_REPEATS)
        unit = lcm(unit, fraction.denominator)
        if abs(fraction - Fraction(value)) > 1e-9 or unit > _LARGEST_UNIT:
            unit = _LARGEST_UNIT
            break
    return np.rint(distinct * unit)[place].reshape(right.shape), unit


def _resampled(sums: _Sums, unit: int, seed: int) -> Iterator[Floats | None]:
    """The difference of each pair in each resample, (resamples,); None if there are fewer than 2 groups."""
    if sums.groups < 2:
        yield from (None for _ in sums.a)
        return
    columns = sums.table.shape[1]
    resampled = resample_sums(np.concatenate((sums.table, sums.size), axis=1), COUNT_RESAMPLES, seed)
    table, size = resampled[:, :columns], resampled[:, columns:] * unit
    for first, second, mask in zip(sums.first, sums.second, sums.mask, strict=True):
        yield ratio(table[:, first] - table[:, second], size[:, mask])


def _flip_tests(sums: _Sums, seed: int) -> tuple[Floats, Floats]:
    """`p_permutation` and `p_adjusted`, each (P,); 1 for a pair without common rows."""
    if sums.groups == 0:
        return np.ones(sums.a.size), np.ones(sums.a.size)
    per_group = sums.table[:, sums.first] - sums.table[:, sums.second]
    squares = np.einsum("gp,gp->p", per_group, per_group)
    scale = ratio(np.ones_like(squares), np.sqrt(squares))
    scale[squares == 0] = 0.0
    observed = np.abs(per_group.sum(axis=0))
    order = np.argsort(-observed * scale, kind="stable")
    first, second, scale = sums.first[order], sums.second[order], scale[order][:, np.newaxis]
    observed = observed[order][:, np.newaxis]
    least = observed * scale * (1.0 - _TOLERANCE)

    columns = np.ascontiguousarray(sums.table.T)
    total = columns.sum(axis=1, keepdims=True)
    extreme, extreme_of_rest, flips = np.zeros(order.size), np.zeros(order.size), 0
    for flipped in _flips(sums.groups, seed):
        signed = total - 2.0 * weighted_sums(columns, flipped)
        flips += flipped.shape[1]
        for start in range(0, flipped.shape[1], _FLIPS_AT_ONCE):
            some = signed[:, start : start + _FLIPS_AT_ONCE]
            size = some[first]
            size -= some[second]
            np.abs(size, out=size)
            extreme += np.count_nonzero(size >= observed, axis=1)
            size *= scale
            # From the last pair up: the largest T among the pairs that are not more significant.
            largest = np.maximum.accumulate(size[::-1], axis=0)[::-1]
            extreme_of_rest += np.count_nonzero(largest >= least, axis=1)
    drawn = not _all_flips(sums.groups)
    p_permutation, p_adjusted = np.empty(order.size), np.empty(order.size)
    p_permutation[order] = (extreme + drawn) / (flips + drawn)
    p_adjusted[order] = np.maximum.accumulate((extreme_of_rest + drawn) / (flips + drawn))
    return p_permutation, p_adjusted


def _all_flips(groups: int) -> bool:
    return 1 << groups <= FLIPS


def _flips(groups: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Which groups change their sign in each flip: 0 or 1, in blocks of shape (groups, some flips)."""
    if _all_flips(groups):
        yield (np.arange(1 << groups) >> np.arange(groups)[:, np.newaxis] & 1).astype(np.uint8)
        return
    size = max(1, min(FLIPS, _BLOCK_BYTES // groups))
    for index, start in enumerate(range(0, FLIPS, size)):
        # The last number keeps the stream apart from that of the resamples.
        chance = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(groups, index, _FLIP_STREAM)))
        )
        yield chance.integers(2, size=(groups, min(size, FLIPS - start)), dtype=np.uint8)


def _mcnemar(whole: Floats, judged: NDArray[np.bool_], unit: int) -> Floats:
    """Two-sided exact p of every pair, shape (M, M); NaN if a common row is neither right nor wrong."""
    from scipy.special import bdtr

    right = (judged & (whole == unit)).astype(np.float64)
    wrong = (judged & (whole == 0)).astype(np.float64)
    only_first = right.T @ wrong
    only_second = only_first.T
    fewer, discordant = np.minimum(only_first, only_second), only_first + only_second
    p = np.minimum(1.0, 2.0 * bdtr(fewer, discordant.astype(np.int64), 0.5))
    either = judged.astype(np.float64)
    between = (judged & (whole > 0) & (whole < unit)).astype(np.float64)
    p[(between.T @ either + either.T @ between) > 0] = np.nan
    return np.asarray(p)
