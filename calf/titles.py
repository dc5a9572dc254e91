"""What runs are called in tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from calf.errors import OptionError
from calf.metrics.options import parse_spec, write_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from calf.runs.run import Run

__all__ = ["LEFT_OUT", "Shortened", "shorten", "titles_of"]

LEFT_OUT = "Options that are left out of the names, since they are the same wherever they are:"

_LONG = 40


class Shortened(NamedTuple):
    """Titles without the options that all have that could have them.

    Attributes:
        title: what to write for each of the titles.
        shared: the options that are left out, as `key=value, key=value`; "" if none is.
    """

    title: Mapping[str, str]
    shared: str

    def rename(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The rows with what to write for their `metric`, where that is one of the titles."""
        return [{**row, "metric": self.title.get(row["metric"], row["metric"])} for row in rows]


def titles_of(runs: Sequence[Run]) -> list[str]:
    """The runs' names in tables, each its own."""
    counts = Counter(run.title for run in runs)
    return [run.title if counts[run.title] == 1 else f"{run.title} #{run.id[-6:]}" for run in runs]


def shorten(titles: Iterable[str]) -> Shortened:
    """Leaves out of titles what tells none of them apart, if one is long: an option that two or more have, with one
    value, while no other variant of their metrics is without it.

    Args:
        titles: as of `titles_of`; what has no options stays as it is.
    """
    every = list(dict.fromkeys(titles))
    same = Shortened({title: title for title in every}, "")
    if max(map(len, every), default=0) <= _LONG:
        return same
    parts = {title: _parts(title) for title in every}
    shared = {}
    for key in sorted({key for _, options, _ in parts.values() for key in options}):
        having = [(name, options[key]) for name, options, _ in parts.values() if key in options]
        names = {name for name, _ in having}
        lacking = any(name in names and key not in options for name, options, _ in parts.values())
        if len(having) > 1 and len({value for _, value in having}) == 1 and not lacking:
            shared[key] = having[0][1]
    short = {
        title: write_spec(name, {key: value for key, value in options.items() if key not in shared}) + rest
        for title, (name, options, rest) in parts.items()
    }
    return Shortened(short, ", ".join(f"{key}={value}" for key, value in shared.items())) if shared else same


def _parts(title: str) -> tuple[str, dict[str, str], str]:
    """The metric's name, its options, and what follows them."""
    spec, bracket, rest = title.rpartition("]")
    if not bracket or rest[:1] not in ("", " "):  # a bracket may stand in a path
        name, space, rest = title.partition(" ")
        return name, {}, space + rest
    try:
        return *parse_spec(spec + bracket), rest
    except OptionError:  # not written by `write_spec`
        return title, {}, ""
