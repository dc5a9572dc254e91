"""A dataset: comparisons with a name, a fingerprint and a card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from calf.errors import DataError
from calf.hashing import digest
from calf.types import Comparison

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import datasets

__all__ = ["MANY", "Dataset", "as_record", "limited_groups", "sign"]

MANY = 8_000
"""From more comparisons on, a Parquet file is streamed, and intervals pool groups (`calf.runs.facts.Facts`)."""


@dataclass(frozen=True)
class Dataset:
    """Comparisons of one origin.

    Attributes:
        name: the known name, or the file's stem.
        comparisons: in the file's order; ids are unique.
        notes: sentences that every table made from it must say (e.g. "constructed labels").
        source: where it was read from, as the user can give it to `--dataset` again.
        mapping: how its columns were read, as `--map` gives it.

    Raises:
        DataError: two comparisons have one id.
    """

    name: str
    comparisons: Sequence[Comparison]
    notes: tuple[str, ...] = ()
    source: str = ""
    card: str = field(default="", compare=False)
    mapping: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if len({c.id for c in self.comparisons}) < len(self.comparisons):
            counts = Counter(c.id for c in self.comparisons)
            raise DataError(f"dataset {self.name!r}: the id {counts.most_common(1)[0][0]!r} is not unique")

    def __len__(self) -> int:
        return len(self.comparisons)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that the comparisons hold, in order: 64 hexadecimal digits."""
        sha = hashlib.sha256()
        for comparison in self.comparisons:
            sha.update(sign(comparison))
        return sha.hexdigest()

    @cached_property
    def ids(self) -> Sequence[str]:
        """The comparisons' ids."""
        return [c.id for c in self.comparisons]

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The comparisons' languages, sorted."""
        return tuple(sorted(set(self.values("language"))))

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len({c.group for c in self.comparisons})

    @property
    def extra_names(self) -> Collection[str]:
        """The names of all other columns of the file."""
        return {name for c in self.comparisons for name in c.extra}

    def values(self, column: str) -> list[Any]:
        """One field of every comparison, or another column of the file (None where it is not there)."""
        if column in Comparison.__dataclass_fields__:
            return [getattr(c, column) for c in self.comparisons]
        return [c.extra.get(column) for c in self.comparisons]

    def to_hf(self) -> datasets.Dataset:
        """As a `datasets.Dataset` with typed features; see `calf.datasets.writing.to_hf`."""
        from calf.datasets.writing import to_hf

        return to_hf(self)

    def replace(self, comparisons: Sequence[Comparison]) -> Dataset:
        """The same dataset with other comparisons; itself if they are the same."""
        if len(comparisons) == len(self) and all(map(operator.is_, comparisons, self.comparisons)):
            return self
        return dataclasses.replace(self, comparisons=tuple(comparisons))

    def select(
        self,
        *,
        settings: Sequence[str] = (),
        subjects: Sequence[str] = (),
        languages: Sequence[str] = (),
        limit: int | None = None,
        seed: int = 0,
    ) -> Dataset:
        """The comparisons that pass every filter (an empty filter passes all), in order.

        Args:
            settings, subjects, languages: values to keep.
            limit: whole groups, in the order of a hash of (seed, group), as long as they hold at most this many
                comparisons together, but never less than one group. A larger limit keeps all that a smaller
                one keeps.
            seed: for the hash.
        """
        kept = [
            c
            for c in self.comparisons
            if (not settings or c.setting in settings)
            and (not subjects or c.subject in subjects)
            and (not languages or c.language in languages)
        ]
        if limit is not None and limit < len(kept):
            chosen = limited_groups([c.group for c in kept], limit, seed)
            kept = [c for c in kept if c.group in chosen]
        return self.replace(kept)


def limited_groups(groups: Sequence[str], limit: int, seed: int) -> set[str]:
    """Which groups `Dataset.select` keeps with a limit, from the group of every comparison."""
    sizes: dict[str, int] = {}
    for name in groups:
        sizes[name] = sizes.get(name, 0) + 1
    chosen: set[str] = set()
    total = 0
    for group in sorted(sizes, key=lambda name: digest(seed, name)):
        if chosen and total + sizes[group] > limit:
            break
        chosen.add(group)
        total += sizes[group]
    return chosen


def sign(comparison: Comparison) -> bytes:
    """What a dataset's fingerprint is made of: all that a comparison holds, as one line."""
    line = json.dumps(as_record(comparison), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return line.encode("utf-8", "surrogatepass") + b"\n"


def as_record(comparison: Comparison) -> dict[str, Any]:
    """A comparison as CALF's JSON object: the fields by name, `extra` columns beside them, annotations as objects."""
    record: dict[str, Any] = {
        name: getattr(comparison, name)
        for name in comparison.__dataclass_fields__
        if name not in ("annotations", "extra")
    }
    record["annotations"] = [{"annotator": a.annotator, "label": a.label, **a.extra} for a in comparison.annotations]
    return {**comparison.extra, **record}
