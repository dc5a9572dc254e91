"""Findings about the two places: what depends on which response happens to stand first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.datasets.audit.finding import Finding, percent
from calf.datasets.audit.texts import measure, unit
from calf.types import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calf.types import Comparison, Setting

__all__ = ["HUMAN", "Sides", "describe_sides", "find_sides", "fixed_source"]

HUMAN = "human"
"""The source of people's responses."""

LEAN_P = 0.01
"""A lean is reported below this p of the two-sided exact binomial test against one half."""

FIXED_SHARE, FIXED_LEAST = 0.95, 20
"""A source stands on one side if it does so in this share of at least so many comparisons."""


@dataclass(frozen=True, slots=True)
class Sides:
    """How the two places differ in one setting and language.

    Attributes:
        setting, language, unit: "words" or "characters" (not white space).
        count: comparisons.
        prefers_a, prefers_b, same: how many have which label.
        mean_a, mean_b: mean lengths.
        longer_wins, decided: of the comparisons with a preference and unequal lengths, those where the longer
            response is preferred.
    """

    setting: Setting
    language: str
    unit: str
    count: int
    prefers_a: int
    prefers_b: int
    same: int
    mean_a: float
    mean_b: float
    longer_wins: int
    decided: int


def binomial_p(wins: int, losses: int) -> float:
    """The two-sided exact binomial test of `wins` against `losses`, each with probability one half."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def describe_sides(comparisons: Sequence[Comparison]) -> tuple[Sides, ...]:
    """Labels and lengths by side, for each setting and language."""
    rows = []
    slices = sorted({(SETTINGS.index(c.setting), c.language) for c in comparisons})
    for index, language in slices:
        part = [c for c in comparisons if c.setting == SETTINGS[index] and c.language == language]
        lengths = [(measure(c.response_a, language), measure(c.response_b, language)) for c in part]
        labels = Counter(c.label for c in part)
        decided = [
            (a > b) == (c.label == "response_a")
            for c, (a, b) in zip(part, lengths, strict=True)
            if c.label != "same" and a != b
        ]
        rows.append(
            Sides(
                setting=SETTINGS[index],
                language=language,
                unit=unit(language),
                count=len(part),
                prefers_a=labels["response_a"],
                prefers_b=labels["response_b"],
                same=labels["same"],
                mean_a=sum(a for a, _ in lengths) / len(part),
                mean_b=sum(b for _, b in lengths) / len(part),
                longer_wins=sum(decided),
                decided=len(decided),
            )
        )
    return tuple(rows)


def fixed_source(comparisons: Sequence[Comparison]) -> list[tuple[str, str, int, int]]:
    """Sources that (nearly) always stand on one side: (source, side, how often, of how many comparisons).

    Counted are comparisons with the source on exactly one side. In human_vs_model pairs it is enough to name the
    human; elsewhere every named source is looked at.
    """
    places: dict[str, Counter[str]] = {}
    for c in comparisons:
        sides = {"response_a": c.source_a, "response_b": c.source_b}
        if c.source_a == c.source_b:
            continue
        for side, source in sides.items():
            if source is not None and (c.setting != "human_vs_model" or source == HUMAN):
                places.setdefault(source, Counter())[side] += 1
    found = []
    for source, counts in places.items():
        side, often = counts.most_common(1)[0]
        if counts.total() >= FIXED_LEAST and often >= FIXED_SHARE * counts.total():
            found.append((source, side, often, counts.total()))
    return found


def find_sides(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    """Sources that stand on one side, labels that lean to one position, and how length goes with the label."""
    by_setting = {s: part for s in SETTINGS if (part := [c for c in comparisons if c.setting == s])}
    for setting, part in by_setting.items():
        for source, side, often, of in fixed_source(part):
            who = "the human" if source == HUMAN else repr(source)
            yield Finding.about(
                "warning",
                "source_on_one_side",
                f"{setting}: {who} is {side} in {often} of {of}; a preference for {who} and one for the position "
                "cannot be told apart unless orders are swapped",
            )
    for setting, part in by_setting.items():
        yield from _lean(setting, part)
    if len(by_setting) > 1:
        yield from _lean("overall", comparisons)
    for row in describe_sides(comparisons):
        yield from _length(row, len({c.language for c in by_setting[row.setting]}) > 1)


def _lean(name: str, part: Sequence[Comparison]) -> Iterator[Finding]:
    labels = Counter(c.label for c in part)
    a, b = labels["response_a"], labels["response_b"]
    p = binomial_p(a, b)
    if p >= LEAN_P:
        return
    message = f"{name}: labels lean to {'response_a' if a > b else 'response_b'}: {a} response_a, {b} response_b"
    message += f", {labels['same']} same (p = {p:.1g})"
    fixed = fixed_source(part) if name != "overall" else []
    if fixed:
        source, side, often, of = fixed[0]
        message += f"; {source!r} is {side} in {often} of {of}, so this may as well be a preference about {source!r}"
    elif name == "model_vs_model" and all(c.source_a in (None, c.source_b) for c in part):
        message += "; the models are not named, so the same one may stand there every time"
    yield Finding.about("warning", "label_lean", message)


def _length(row: Sides, name_language: bool) -> Iterator[Finding]:
    """Longer responses preferred, and one side longer than the other: notes, not faults."""
    where = row.setting + (f", {row.language}" if name_language else "")
    p = binomial_p(row.longer_wins, row.decided - row.longer_wins)
    if p < LEAN_P:
        which = "longer" if row.longer_wins > row.decided / 2 else "shorter"
        wins = max(row.longer_wins, row.decided - row.longer_wins)
        yield Finding.about(
            "note",
            "length_lean",
            f"{where}: the {which} response is preferred in {wins} of {row.decided} "
            f"({percent(wins, row.decided)}, p = {p:.1g})",
        )
    low, high = sorted((row.mean_a, row.mean_b))
    leans = binomial_p(row.prefers_a, row.prefers_b) < LEAN_P
    if row.count >= FIXED_LEAST and (high >= 1.5 * low or (leans and high >= 1.1 * low)):
        side = "response_a" if row.mean_a > row.mean_b else "response_b"
        message = f"{where}: {side} is longer on average ({row.mean_a:.0f} {row.unit} in response_a, "
        message += f"{row.mean_b:.0f} in response_b)"
        if leans:
            favoured = "response_a" if row.prefers_a > row.prefers_b else "response_b"
            message += f", and labels lean to the {'longer' if favoured == side else 'shorter'} side"
        yield Finding.about("note", "length_by_side", message)
