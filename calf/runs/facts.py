"""What is known of a dataset's comparisons whatever the metric, as arrays, and the slices that tables show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.annotators import Annotations, majority_of
from calf.datasets.dataset import MANY
from calf.datasets.streamed import StreamedDataset
from calf.datasets.texts import overlaps_of
from calf.errors import UserError
from calf.hashing import digest, folds
from calf.metrics.tokenize import length_of
from calf.types import LABELS, SETTINGS, Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers
    from calf.datasets.dataset import Dataset

    Mask = NDArray[np.bool_]

__all__ = ["POOLED", "POOLS", "Facts", "check_columns", "facts_of", "notes_of", "slices_of"]

POOLS = 4096
"""So many pools of groups are resampled where there are many comparisons."""

POOLED = (
    f"Of more than {MANY:,} comparisons, groups are pooled by hash into at most {POOLS:,} for the intervals, and "
    "correlations are resampled to first order."
)
"""What tables say of such intervals."""

_COLUMNS = ("setting", "language", "subject")
_OWN_SLICES = frozenset({"overall", "length", "gap", "reference", "majority", "unanimous", "window"})
_MOST_VALUES = 50  # of a column that is asked for: more are no slices, but ids or texts
_THIRDS = {"length": ("short", "medium", "long"), "gap": ("small", "medium", "large")}


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Arrays (n,) over the comparisons of a dataset, in its order; see `calf.analysis.Observations` for their meaning.

    With more than `MANY` comparisons, groups are pooled: each falls into one of `POOLS` by a hash of its name, and the
    pools are what is resampled and flipped. Groups are independent of each other, hence so are pools, and a sum over
    pools has the variance of the sum over groups; there are enough of them that the variance is known to 2 %. Folds are
    two then, made of pools: each half has more than enough to choose a threshold or fit two coefficients from.

    Attributes:
        named: the groups as they are; `group` are these, or their pools.
        reference: whether there is a reference.
        many: whether groups are pooled.
        annotations: of all comparisons that have any; `comparison` is the place in the dataset. None if there are none.
        annotated: how many annotations each comparison has.
        majority, unanimous: whether it has two or more, and more than half of them agree, or all.
    """

    label: Codes
    group: Integers
    named: Integers
    fold: Integers
    length_a: Integers
    length_b: Integers
    human: Codes
    overlap: Floats
    reference: Mask
    annotations: Annotations | None
    annotated: Integers
    majority: Mask
    unanimous: Mask
    many: bool


def facts_of(dataset: Dataset) -> Facts:
    """The facts, which the metrics and floors of one command share; not to be changed."""
    key = id(dataset.comparisons)
    if key not in _kept:
        if len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        facts = _of_columns(dataset) if isinstance(dataset, StreamedDataset) else _of_texts(dataset.comparisons)
        _kept[key] = (dataset.comparisons, facts)  # the comparisons are kept, so their id stays their own
    return _kept[key][1]


def notes_of(dataset: Dataset) -> tuple[str, ...]:
    """What every table made from the dataset must say, of its intervals too where they are other ones."""
    return (*dataset.notes, POOLED) if len(dataset) > MANY else dataset.notes


_MOST_KEPT = 4
_kept: dict[int, tuple[Sequence[Comparison], Facts]] = {}


def _of_texts(comparisons: Sequence[Comparison]) -> Facts:
    lengths = _Lengths()
    rows = [(index, a.annotator, LABELS.index(a.label)) for index, c in enumerate(comparisons) for a in c.annotations]
    names = [c.group for c in comparisons]
    return _facts(
        label=np.array([LABELS.index(c.label) for c in comparisons], dtype=np.int8),
        named=np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64),
        names=names,
        lengths=(
            np.array([lengths.of(c.response_a, c.language) for c in comparisons], dtype=np.int64),
            np.array([lengths.of(c.response_b, c.language) for c in comparisons], dtype=np.int64),
        ),
        human=np.array([_human(c.setting, c.source_a, c.source_b) for c in comparisons], dtype=np.int8),
        overlap=overlaps_of(comparisons),
        language=np.array([c.language for c in comparisons], dtype=object),
        reference=np.array([c.reference is not None for c in comparisons], dtype=np.bool_),
        annotations=rows,
    )


def _of_columns(dataset: StreamedDataset) -> Facts:
    """The same, from what is kept of a streamed dataset."""
    columns, rows = dataset.columns, dataset.rows
    place = np.full(len(columns.ids), -1, dtype=np.int64)
    place[rows] = np.arange(rows.size)
    annotations = [
        (int(place[row]), annotator, label)
        for row, annotator, label in zip(columns.annotated, columns.annotator, columns.annotation, strict=True)
        if place[row] >= 0
    ]
    names = dataset.group_names()
    named = dataset.group if len(dataset) > MANY else np.unique(np.array(names, dtype=object), return_inverse=True)[1]
    setting = dataset.code("setting", ("human_vs_model",)) == 0
    humans = [dataset.code(source, ("human",)) == 0 for source in ("source_a", "source_b")]
    human = np.where(setting & (humans[0] != humans[1]), np.where(humans[0], 0, 1), -1)
    return _facts(
        label=dataset.code("label", LABELS).astype(np.int8),
        named=named.astype(np.int64),
        names=names,
        lengths=(columns.length_a[rows], columns.length_b[rows]),
        human=human.astype(np.int8),
        overlap=columns.overlap[rows],
        language=np.array(dataset.values("language"), dtype=object),
        reference=columns.reference[rows],
        annotations=annotations,
    )


def _facts(
    *,
    label: Codes,
    named: Integers,
    names: Sequence[str],
    lengths: tuple[Integers, Integers],
    human: Codes,
    overlap: Floats,
    language: NDArray[np.object_],
    reference: Mask,
    annotations: Sequence[tuple[int, str, int]],
) -> Facts:
    """From what a dataset says; `names` are the groups', `overlap` is not ranked yet."""
    many = label.size > MANY
    if many:
        group = _pools(named, names)
        fold = group % 2
    else:
        group, of_group = named, folds(names)
        fold = np.array([of_group[name] for name in names], dtype=np.int64)
    told = _annotations(annotations, group)
    if told is None:
        annotated = np.zeros(label.size, dtype=np.int64)
        majority = unanimous = np.zeros(label.size, dtype=np.bool_)
    else:
        annotated, majority, unanimous = majority_of(told, label.size)
    return Facts(
        label=label,
        group=group,
        named=named,
        fold=fold,
        length_a=lengths[0],
        length_b=lengths[1],
        human=human,
        overlap=_ranked(overlap, language),
        reference=reference,
        annotations=told,
        annotated=annotated,
        majority=majority & (annotated > 1),
        unanimous=unanimous & (annotated > 1),
        many=many,
    )


def _pools(named: Integers, names: Sequence[str]) -> Integers:
    codes, first, group = np.unique(named, return_index=True, return_inverse=True)
    pools = [int(digest("pool", names[place], length=8), 16) % POOLS for place in first.tolist()]
    return np.array(pools, dtype=np.int64)[group] if codes.size else named


class _Lengths:
    """Lengths of texts, each measured once: a response may stand in many comparisons."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def of(self, text: str, language: str) -> int:
        key = (text, language)
        if key not in self._known:
            self._known[key] = length_of(text, language)
        return self._known[key]


def _human(setting: str, source_a: str | None, source_b: str | None) -> int:
    """The side that a human wrote where a model wrote the other; -1 elsewhere, and where the sources do not say."""
    humans = [source == "human" for source in (source_a, source_b)]
    return humans.index(True) if setting == "human_vs_model" and sum(humans) == 1 else -1


def _ranked(overlap: Floats, languages: NDArray[np.object_]) -> Floats:
    """How high each overlap with the reference ranks in its language, from 0 to 1; NaN where there is none.

    Languages differ in it, so only ranks within one are compared.
    """
    values = overlap.copy()
    for language in set(languages):
        mine = (languages == language) & ~np.isnan(values)
        distinct, place = np.unique(values[mine], return_inverse=True)
        values[mine] = place / max(distinct.size - 1, 1)
    return values


def _annotations(rows: Sequence[tuple[int, str, int]], group: Integers) -> Annotations | None:
    if not rows:
        return None
    index, names, labels = zip(*rows, strict=True)
    comparison = np.array(index, dtype=np.int64)
    annotator = np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64)
    return Annotations(comparison, annotator, np.array(labels, dtype=np.int8), group[comparison])


def check_columns(dataset: Dataset, by: Sequence[str]) -> None:
    """That a dataset can be sliced by these columns; said before anything is judged.

    Raises:
        UserError: a column is not there, or cannot be sliced by.
    """
    for _ in slices_of(dataset, by):
        pass


def slices_of(dataset: Dataset, by: Sequence[str] = ()) -> Iterator[tuple[str, Mask]]:
    """The slices of a dataset: a name such as "setting=human_vs_model", and which comparisons are in it, bool (n,).

    - `overall`, `setting=...`, `language=...`, `subject=...`, and `COLUMN=...` for every column that is asked for.
    - `length=short | medium | long`: thirds by the length of the longer response, within each language.
    - `gap=small | medium | large`: thirds by how unequal the lengths are, |log((1 + a) / (1 + b))|.
    - `reference=yes | no`; `majority`, `unanimous`: two or more annotators, of whom more than half, or all, agree.

    A slice without a comparison is left out.

    Raises:
        UserError: a column of `by` is not there, or has more than 50 values, or values that are no text or numbers.
    """
    facts = facts_of(dataset)
    yield "overall", np.ones(len(dataset), dtype=np.bool_)
    for column in dict.fromkeys((*_COLUMNS, *by)):
        yield from _by_column(dataset, column)
    yield from _thirds(dataset, facts)
    named = {"reference=yes": facts.reference, "reference=no": ~facts.reference}
    for name, mask in {**named, "majority": facts.majority, "unanimous": facts.unanimous}.items():
        if mask.any():
            yield name, mask


def _by_column(dataset: Dataset, column: str) -> Iterator[tuple[str, Mask]]:
    values = _values(dataset, column)
    known = {value for value in values if value is not None}
    order = SETTINGS if column == "setting" else ()
    for value in sorted(known, key=lambda v: (order.index(v) if v in order else 0, v)):
        yield f"{column}={value}", np.array([v == value for v in values], dtype=np.bool_)


def _values(dataset: Dataset, column: str) -> list[str | None]:
    """A column as text; None where a comparison has no value."""
    if column in _OWN_SLICES or "=" in column or ":" in column:
        raise UserError(f"--by {column[:60]}: CALF has slices of such a name; rename the column")
    fields = set(Comparison.__dataclass_fields__) - {"annotations", "extra"}
    if column in fields:
        found = dataset.values(column)
    else:
        extra = set(dataset.extra_names)
        if column not in extra:
            has = ", ".join(sorted(fields | extra))
            raise UserError(f"dataset {dataset.name!r} has no column {column!r} for --by; it has: {has}")
        found = dataset.values(column)
    odd = next((value for value in found if not isinstance(value, (str, int, float, type(None)))), None)
    if odd is not None:
        raise UserError(f"--by {column}: a value is a {type(odd).__name__}, not text or a number")
    values = [None if value is None else str(value) for value in found]
    if column not in _COLUMNS and not any(value is not None for value in values):
        raise UserError(f"--by {column}: no comparison has a value there")
    if column not in _COLUMNS and len(set(values)) > _MOST_VALUES:
        raise UserError(f"--by {column}: {len(set(values))} different values; at most {_MOST_VALUES} can be slices")
    return values


def _thirds(dataset: Dataset, facts: Facts) -> Iterator[tuple[str, Mask]]:
    longer = np.maximum(facts.length_a, facts.length_b).astype(np.float64)
    gap = np.abs(np.log1p(facts.length_a) - np.log1p(facts.length_b))
    languages = np.array(dataset.values("language"), dtype=object)
    third = np.zeros(len(dataset), dtype=np.int64)
    for language in set(languages):
        mine = languages == language
        third[mine] = _third(longer[mine])
    for column, places in (("length", third), ("gap", _third(gap))):
        for place, name in enumerate(_THIRDS[column]):
            if (places == place).any():
                yield f"{column}={name}", places == place


def _third(values: Floats) -> Integers:
    """0, 1 or 2: whether a value is at most the first tertile, at most the second, or above."""
    if not values.size:
        return np.zeros(0, dtype=np.int64)
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left").astype(np.int64)
