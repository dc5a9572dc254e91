"""What is known of a dataset's comparisons whatever the metric, as arrays, and the slices that tables show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.annotators import Annotations, majority_of
from calf.errors import UserError
from calf.hashing import folds
from calf.metrics.matching import Bag, Vocabulary, f1
from calf.metrics.tokenize import find_tokenizer, length_of
from calf.types import LABELS, SETTINGS, Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers
    from calf.datasets.dataset import Dataset

    Mask = NDArray[np.bool_]

__all__ = ["Facts", "facts_of", "slices_of"]

_SAME = LABELS.index("same")
_COLUMNS = ("setting", "language", "subject")
_OWN_SLICES = frozenset({"overall", "length", "gap", "reference", "majority", "unanimous"})
_MOST_VALUES = 50  # of a column that is asked for: more are no slices, but ids or texts
_THIRDS = {"length": ("short", "medium", "long"), "gap": ("small", "medium", "large")}


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Arrays (n,) over the comparisons of a dataset, in its order; see `calf.analysis.Observations` for their meaning.

    Attributes:
        annotations: of all comparisons that have any; `comparison` is the place in the dataset. None if there are none.
        annotated: how many annotations each comparison has.
        majority, unanimous: whether it has two or more, and more than half of them agree, or all.
    """

    label: Codes
    group: Integers
    fold: Integers
    length_a: Integers
    length_b: Integers
    human: Codes
    overlap: Floats
    annotations: Annotations | None
    annotated: Integers
    majority: Mask
    unanimous: Mask


def facts_of(dataset: Dataset) -> Facts:
    """The facts, which the metrics and floors of one command share; not to be changed."""
    key = id(dataset.comparisons)
    if key not in _kept:
        if len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = (dataset.comparisons, _facts(dataset.comparisons))  # the tuple is kept, so its id stays its own
    return _kept[key][1]


_MOST_KEPT = 4
_kept: dict[int, tuple[tuple[Comparison, ...], Facts]] = {}


def _facts(comparisons: Sequence[Comparison]) -> Facts:
    names = [c.group for c in comparisons]
    group = np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64)
    of_group = folds(names)
    lengths = _Lengths()
    annotations = _annotations(comparisons, group)
    if annotations is None:
        annotated = np.zeros(len(comparisons), dtype=np.int64)
        majority = unanimous = np.zeros(len(comparisons), dtype=np.bool_)
    else:
        annotated, majority, unanimous = majority_of(annotations, len(comparisons))
    return Facts(
        label=np.array([LABELS.index(c.label) for c in comparisons], dtype=np.int8),
        group=group,
        fold=np.array([of_group[name] for name in names], dtype=np.int64),
        length_a=np.array([lengths.of(c.response_a, c.language) for c in comparisons], dtype=np.int64),
        length_b=np.array([lengths.of(c.response_b, c.language) for c in comparisons], dtype=np.int64),
        human=np.array([_human(c) for c in comparisons], dtype=np.int8),
        overlap=_overlaps(comparisons),
        annotations=annotations,
        annotated=annotated,
        majority=majority & (annotated > 1),
        unanimous=unanimous & (annotated > 1),
    )


class _Lengths:
    """Lengths of texts, each measured once: a response may stand in many comparisons."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def of(self, text: str, language: str) -> int:
        key = (text, language)
        if key not in self._known:
            self._known[key] = length_of(text, language)
        return self._known[key]


def _human(comparison: Comparison) -> int:
    """The side that a human wrote where a model wrote the other; -1 elsewhere, and where the sources do not say."""
    humans = [source == "human" for source in (comparison.source_a, comparison.source_b)]
    return humans.index(True) if comparison.setting == "human_vs_model" and sum(humans) == 1 else -1


def _overlaps(comparisons: Sequence[Comparison]) -> Floats:
    """How high the preferred response's overlap with the reference ranks in its language, from 0 to 1.

    The overlap is the F1 of the words that both have. Languages differ in it, so only ranks within one are compared.
    NaN where there is no reference or no preferred response.
    """
    vocabulary, words = Vocabulary(), find_tokenizer("words")
    bags: dict[str, Bag] = {}

    def bag(text: str) -> Bag:
        if text not in bags:
            bags[text] = Bag(vocabulary.encode(words(text)))
        return bags[text]

    values = np.full(len(comparisons), np.nan)
    for index, c in enumerate(comparisons):
        if c.reference is not None and c.label != "same":
            reference, preferred = bag(c.reference), bag(c.response_a if c.label == "response_a" else c.response_b)
            values[index] = f1(reference.hits(preferred), reference.size, preferred.size)
    languages = np.array([c.language for c in comparisons], dtype=object)
    for language in set(languages):
        mine = (languages == language) & ~np.isnan(values)
        distinct, place = np.unique(values[mine], return_inverse=True)
        values[mine] = place / max(distinct.size - 1, 1)
    return values


def _annotations(comparisons: Sequence[Comparison], group: Integers) -> Annotations | None:
    rows = [(index, a.annotator, LABELS.index(a.label)) for index, c in enumerate(comparisons) for a in c.annotations]
    if not rows:
        return None
    index, names, labels = zip(*rows, strict=True)
    comparison = np.array(index, dtype=np.int64)
    annotator = np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64)
    return Annotations(comparison, annotator, np.array(labels, dtype=np.int8), group[comparison])


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
    reference = np.array([c.reference is not None for c in dataset], dtype=np.bool_)
    named = {"reference=yes": reference, "reference=no": ~reference}
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
        found = [getattr(c, column) for c in dataset]
    else:
        extra = {name for c in dataset for name in c.extra}
        if column not in extra:
            has = ", ".join(sorted(fields | extra))
            raise UserError(f"dataset {dataset.name!r} has no column {column!r} for --by; it has: {has}")
        found = [c.extra.get(column) for c in dataset]
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
    languages = np.array([c.language for c in dataset], dtype=object)
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
