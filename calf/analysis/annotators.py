"""How far single people agree with each other: the ceiling for a metric that is to agree with people."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import lcm
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, multiplicities, resample_sums, weighted_sums
from calf.analysis.counts import ratio
from calf.analysis.row import Row
from calf.types import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers
    from calf.analysis.row import Value

__all__ = [
    "AGREEMENTS",
    "Annotations",
    "LeaveOneOut",
    "agreement",
    "agreement_row",
    "leave_one_out",
    "majority_of",
    "others_counts",
]

AGREEMENTS = ("pairwise_agreement", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha")
"""What `agreement` says with an interval, in its order."""

LEAST_SHARED = 10
"""Comparisons that two annotators must share for a Cohen's kappa of theirs."""

_LARGEST_UNIT = 1 << 32
_MOST_PAIRS = 1_000  # of which each takes as long as a kappa with 10,000 resamples
_NOT_SHARED = "no comparison has two or more annotations"
_ONE_LABEL = "every annotation is the same label"
_EACH_ONE_LABEL = "every pair of annotators used one and the same label"


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Single people's labels. All arrays have shape (k,); an annotator labels a comparison at most once.

    Attributes:
        comparison: int64; any integers.
        annotator: int64; any integers.
        label: int8; the places in `calf.types.LABELS`: 0 response_a, 1 response_b, 2 same.
        group: int64; the group of the comparison, as in `Observations`.

    Raises:
        ValueError: the shapes differ, a label is not 0, 1 or 2, an annotator labels a comparison twice, or a comparison
            is in two groups.
    """

    comparison: Integers
    annotator: Integers
    label: Codes
    group: Integers

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name).shape != (len(self),):
                raise ValueError(f"Annotations.{field.name} must have the shape ({len(self)},)")
        if len(self) == 0:
            return
        if self.label.min() < 0 or self.label.max() >= len(LABELS):
            raise ValueError("Annotations.label must be 0, 1 or 2")
        order = np.lexsort((self.annotator, self.comparison))
        comparison, annotator, group = self.comparison[order], self.annotator[order], self.group[order]
        same = comparison[1:] == comparison[:-1]
        if np.any(same & (annotator[1:] == annotator[:-1])):
            raise ValueError("Annotations: an annotator labels a comparison twice")
        if np.any(same & (group[1:] != group[:-1])):
            raise ValueError("Annotations: a comparison is in two groups")

    def __len__(self) -> int:
        return int(self.label.size)

    def select(self, rows: NDArray[np.bool_] | Integers) -> Annotations:
        """The annotations that a mask or an index names."""
        return Annotations(*(getattr(self, field.name)[rows] for field in fields(self)))


class LeaveOneOut(NamedTuple):
    """Annotations beside what the others said. All arrays have shape (r,), by rising `row`, then `target`.

    Attributes:
        row: int64; the place of the annotation that is left out and judged.
        target: int8; a most frequent label of the comparison's other annotators.
        weight: float64; 1/(m t) with m annotations of the comparison, and t labels equally frequent among the others.
    """

    row: Integers
    target: Codes
    weight: Floats


def others_counts(annotations: Annotations) -> tuple[Integers, Integers]:
    """What the others said of the comparison, for each annotation that has others.

    Returns:
        The places of the annotations of comparisons with two or more, int64 (r,), rising; and how many others gave each
        label, int64 (r, 3).
    """
    place, counts = _label_counts(annotations)
    row = np.flatnonzero(counts.sum(axis=1)[place] > 1)
    rest = counts[place[row]]
    rest[np.arange(row.size), annotations.label[row]] -= 1
    return row, rest


def leave_one_out(annotations: Annotations) -> LeaveOneOut:
    """Each annotation against the majority of the others, where a majority's ties are broken at random in expectation.

    The weights of a comparison's rows sum to 1, so the weighted accuracy is the mean over comparisons of the mean over
    their annotators of the chance to agree with the others' majority. With two or three annotators that is their
    pairwise agreement: two others who differ are each agreed with half the time. Comparisons with one annotation have
    no row. A metric is scored by the same protocol if its verdict takes the place of the annotation's label.
    """
    row, rest = others_counts(annotations)
    most_frequent = rest == rest.max(axis=1, keepdims=True)
    times = (rest.sum(axis=1) + 1) * most_frequent.sum(axis=1)
    which, target = np.nonzero(most_frequent)
    return LeaveOneOut(row[which], target.astype(np.int8), 1.0 / times[which])


def majority_of(annotations: Annotations, comparisons: int) -> tuple[Integers, NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the annotators of each comparison have a majority.

    Args:
        annotations: with comparisons in range(comparisons).
        comparisons: the number of comparisons, those without an annotation among them.

    Returns:
        Arrays of shape (comparisons,): the number of annotations; whether more than half of them are one label (always
        so for a single one, never for none); whether two or more are all one label.

    Raises:
        ValueError: a comparison is not in range(comparisons).
    """
    if len(annotations) and not 0 <= annotations.comparison.min() <= annotations.comparison.max() < comparisons:
        raise ValueError(f"Annotations.comparison must be in range({comparisons})")
    counts = _bins(annotations.comparison, annotations.label, comparisons)
    annotated, most = counts.sum(axis=1), counts.max(axis=1)
    return annotated, 2 * most > annotated, (annotated > 1) & (most == annotated)


def agreement(annotations: Annotations, *, seed: int = 0, least: int = LEAST_SHARED) -> dict[str, Value]:
    """How far annotators agree, on the comparisons with two or more annotations.

    Each of `AGREEMENTS` has a 95 % interval by bootstrap over the groups of these comparisons, 10,000 resamples:

    - `pairwise_agreement`: mean over comparisons of the share of pairs of its annotators who agree.
    - `cohen_kappa`: mean of Cohen's kappa (Cohen 1960) over pairs of annotators, weighted by how many comparisons they
      share. Pairs who share fewer than `least` are left out: their kappas are biased towards 0. So is a pair who used
      one and the same label throughout: it has none.
    - `fleiss_kappa`: Fleiss (1971): pairwise agreement beyond that of labels drawn from the shares of all labels. His
      annotators are equally many for each comparison; here a comparison may have any number.
    - `krippendorff_alpha`: nominal (Krippendorff 2019, chapter 12). The value is the package krippendorff's; as its
      coincidence matrix is a sum over comparisons, resamples follow from sums by group.

    The order of the annotations changes nothing.

    Args:
        annotations: of the slice.
        seed: of the resamples; not negative.
        least: comparisons that a pair of annotators must share for a Cohen's kappa.

    Returns:
        `annotators` (all of them), `annotated` (comparisons with two or more annotations), each of `AGREEMENTS` as
        `<name>`, `<name>_low` and `<name>_high`, None where undefined; and `undefined`: the reasons, as in `measure`.
    """
    row = agreement_row(annotations, seed=seed, least=least)
    return {**row.values, "undefined": row.reasons()}


def agreement_row(annotations: Annotations, *, seed: int = 0, least: int = LEAST_SHARED) -> Row:
    """The same, to be put into a row that says more."""
    row = Row()
    place, counts = _label_counts(annotations)
    annotated = counts.sum(axis=1) > 1
    row.plain("annotators", np.unique(annotations.annotator).size)
    row.plain("annotated", int(annotated.sum()))
    if not annotated.any():
        for name in AGREEMENTS:
            row.undefined(name, _NOT_SHARED)
    else:
        shared = annotations.select(annotated[place])
        codes, group = np.unique(shared.group, return_inverse=True)
        _put_counts(row, shared, group, codes.size, seed)
        _put_cohen(row, shared, group, codes.size, seed, least)
    return row


def _label_counts(annotations: Annotations) -> tuple[Integers, Integers]:
    """The place of each annotation's comparison among the distinct ones (k,), and their labels' counts (c, 3)."""
    codes, place = np.unique(annotations.comparison, return_inverse=True)
    return place, _bins(place, annotations.label, codes.size)


def _bins(place: Integers, label: Codes, size: int) -> Integers:
    return np.bincount(place * len(LABELS) + label, minlength=size * len(LABELS)).reshape(size, len(LABELS))


def _put_counts(row: Row, shared: Annotations, group: Integers, groups: int, seed: int) -> None:
    """What follows from how often each label was given to each comparison."""
    from krippendorff import alpha

    _, first = np.unique(shared.comparison, return_index=True)
    _, counts = _label_counts(shared)
    m = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    # Whole numbers of a unit of which all shares are multiples, or which is so small that rounding is below 2^-32.
    unit = min(lcm(*np.unique(m * (m - 1)).tolist()), _LARGEST_UNIT)
    columns = (np.ones(m.size), np.rint(agreeing * unit / (m * (m - 1))), np.rint(agreeing * unit / (m - 1)), *counts.T)
    sums = [np.bincount(group[first], weights=column, minlength=groups) for column in columns]
    table = np.stack(sums, axis=1).astype(np.float64)

    pairwise, fleiss, _ = _from_sums(table.sum(axis=0), unit)
    resampled = _from_sums(resample_sums(table, COUNT_RESAMPLES, seed), unit) if groups > 1 else (None,) * 3
    row.put("pairwise_agreement", float(pairwise), resampled[0])
    if np.isnan(fleiss):
        row.undefined("fleiss_kappa", _ONE_LABEL)
        row.undefined("krippendorff_alpha", _ONE_LABEL)
    else:
        row.put("fleiss_kappa", float(fleiss), resampled[1])
        row.put("krippendorff_alpha", float(alpha(value_counts=counts, level_of_measurement="nominal")), resampled[2])


def _from_sums(sums: Floats, unit: int) -> tuple[Floats, Floats, Floats]:
    """Pairwise agreement, Fleiss' kappa and Krippendorff's alpha, each of the leading shape.

    Args:
        sums: (..., 6): comparisons; their shares of agreeing pairs, and the coincidences of a label with itself, in
            units; labels of each kind.
        unit: what stands for 1.
    """
    comparisons, shares, coincidences, labels = sums[..., 0], sums[..., 1], sums[..., 2] / unit, sums[..., 3:]
    pairwise = ratio(shares, comparisons * unit)
    n = labels.sum(axis=-1)
    squares = (labels * labels).sum(axis=-1)
    fleiss = ratio(n * n * pairwise - squares, n * n - squares)
    alpha = 1.0 - ratio((n - 1.0) * (n - coincidences), n * n - squares)
    return pairwise, fleiss, alpha


def _put_cohen(row: Row, shared: Annotations, group: Integers, groups: int, seed: int, least: int) -> None:
    pairs = _pair_tables(shared, group, least)
    if not pairs or len(pairs) > _MOST_PAIRS:
        many = f"more than {_MOST_PAIRS} pairs of annotators"
        row.undefined("cohen_kappa", many if pairs else f"no two annotators share {least} comparisons")
        return
    value = float(_mean_cohen(pairs, np.ones((groups, 1), dtype=np.uint8))[0])
    if np.isnan(value):
        row.undefined("cohen_kappa", _EACH_ONE_LABEL)
        return
    resampled = None
    if groups > 1:
        # 10 kB a group: calls for all resamples at once are few, which counts where annotators make many small pairs.
        drawn = np.concatenate(list(multiplicities(groups, COUNT_RESAMPLES, seed)), axis=1)
        resampled = _mean_cohen(pairs, drawn)
    row.put("cohen_kappa", value, resampled)


def _pair_tables(shared: Annotations, group: Integers, least: int) -> list[tuple[Integers, Floats]]:
    """For each pair of annotators who share `least` comparisons: its groups (g,), and their sums, shape (7, g).

    The seven are: comparisons on which both agree, those with each label of the one, those with each of the other.
    """
    order = np.lexsort((shared.annotator, shared.comparison))
    comparison = shared.comparison[order]
    ones, others = [], []
    step = 1
    # In this order, annotations of one comparison stand together; those that are `step` apart make pairs.
    while (start := np.flatnonzero(comparison[step:] == comparison[:-step])).size:
        ones.append(order[start])
        others.append(order[start + step])
        step += 1
    one, other = np.concatenate(ones), np.concatenate(others)
    codes, annotator = np.unique(shared.annotator, return_inverse=True)
    pair = annotator[one] * codes.size + annotator[other]
    by_pair = np.argsort(pair, kind="stable")
    bounds = np.flatnonzero(np.diff(pair[by_pair])) + 1
    tables = []
    for rows in np.split(by_pair, bounds):
        if rows.size < least:
            continue
        groups, place = np.unique(group[one[rows]], return_inverse=True)
        a, b = shared.label[one[rows]], shared.label[other[rows]]
        labels = range(len(LABELS))
        columns = (a == b, *(a == label for label in labels), *(b == label for label in labels))
        sums = np.stack([np.bincount(place, weights=column) for column in columns])
        tables.append((groups, sums.astype(np.float64)))
    return tables


def _mean_cohen(pairs: list[tuple[Integers, Floats]], drawn: NDArray[np.uint8]) -> Floats:
    """The weighted mean of the pairs' kappas in each resample, shape (resamples,); NaN where none has one.

    Args:
        pairs: from `_pair_tables`.
        drawn: how often each group was drawn, shape (groups, resamples).
    """
    total, weight = np.zeros(drawn.shape[1]), np.zeros(drawn.shape[1])
    for groups, table in pairs:
        sums = weighted_sums(table, drawn[groups])
        n = sums[1:4].sum(axis=0)
        chance = (sums[1:4] * sums[4:]).sum(axis=0)
        kappa = ratio(n * sums[0] - chance, n * n - chance)
        defined = ~np.isnan(kappa)
        total += np.where(defined, n * kappa, 0.0)
        weight += np.where(defined, n, 0.0)
    return ratio(total, weight)
