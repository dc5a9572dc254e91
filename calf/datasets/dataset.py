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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import datasets

    from calf.types import Comparison

__all__ = ["Dataset", "as_record"]


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
    comparisons: tuple[Comparison, ...]
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
            line = json.dumps(as_record(comparison), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            sha.update(line.encode("utf-8", "surrogatepass") + b"\n")
        return sha.hexdigest()

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
            sizes: dict[str, int] = {}
            for c in kept:
                sizes[c.group] = sizes.get(c.group, 0) + 1
            chosen: set[str] = set()
            total = 0
            for group in sorted(sizes, key=lambda name: digest(seed, name)):
                if chosen and total + sizes[group] > limit:
                    break
                chosen.add(group)
                total += sizes[group]
            kept = [c for c in kept if c.group in chosen]
        return self.replace(kept)


def as_record(comparison: Comparison) -> dict[str, Any]:
    """A comparison as CALF's JSON object: the fields by name, `extra` columns beside them, annotations as objects."""
    record: dict[str, Any] = {
        name: getattr(comparison, name)
        for name in comparison.__dataclass_fields__
        if name not in ("annotations", "extra")
    }
    record["annotations"] = [{"annotator": a.annotator, "label": a.label, **a.extra} for a in comparison.annotations]
    return {**comparison.extra, **record}
