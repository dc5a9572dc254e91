"""Findings about single texts, and how long texts are."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.datasets.audit.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calf.datasets.audit.finding import Severity
    from calf.types import Comparison

__all__ = ["Texts", "describe_texts", "find_texts", "is_unfinished", "measure", "unit"]

BY_CHARACTER = frozenset({"ja", "km", "lo", "my", "th", "zh"})
"""Languages written without spaces: lengths are characters that are not white space."""

NO_FULL_STOP = frozenset({"th", "lo", "km", "my", "bo"})
"""Languages whose sentences need no mark at their end."""

_SPACE = re.compile(r"\s+")
_ENDS = frozenset(".!?…。！？｡．؟۔।॥።။")
_CLOSERS = "\"'”’»›」』〉》*_~`\ufe0f\u200d"
_BRACKETED = re.compile(r"[\[(（【〔][^\[\]()（）【】〔〕\n]{0,200}[\])）】〕]$")
_LIST_LINE = re.compile(r"\s*([-*+•·●◦|#>]|[(（]?(\d{1,3}|[a-zA-Z]|[一二三四五六七八九十]{1,3})[.)）、．:：])")
_ADDRESS = re.compile(r"(https?://|www\.)\S+$")
_LITERAL_BREAKS = re.compile(r"(\\n|\s)+$")


def unit(language: str) -> str:
    """What `measure` counts: "words", or "characters" (not white space) where words are not spaced."""
    return "characters" if language in BY_CHARACTER else "words"


def measure(text: str, language: str) -> int:
    """The length of a text in its language's `unit`."""
    return len(_SPACE.sub("", text)) if language in BY_CHARACTER else len(text.split())


def is_unfinished(text: str, language: str) -> bool:
    """Whether a text of some length seems to stop inside a sentence.

    Careful on purpose: short texts (fewer than 15 words or 30 characters) and texts that end with a list item, a
    table, code, an address, a formula, a sign or an emoji are taken as finished; closing quotes and a bracket
    after the last sentence are looked through.
    """
    if language in NO_FULL_STOP or measure(text, language) < (30 if language in BY_CHARACTER else 15):
        return False
    line = _LITERAL_BREAKS.sub("", text).rsplit("\n", 1)[-1]
    if _LIST_LINE.match(line) or _ADDRESS.search(line):
        return False
    while True:
        shorter = line.rstrip().rstrip(_CLOSERS).rstrip()
        if bracket := _BRACKETED.search(shorter):
            if bracket[0][-2] in _ENDS:
                return False
            shorter = shorter[: bracket.start()]
        if shorter == line:
            break
        line = shorter
    if not line or line[-1] in _ENDS:
        return False
    # Letters, digits, marks, and the signs that promise more.
    return unicodedata.category(line[-1])[0] in "LNM" or line[-1] in ",，、;；:：([（“‘-—"


@dataclass(frozen=True, slots=True)
class Texts:
    """The distinct texts of one source in one language.

    Attributes:
        source: as in the file; "unknown" if not named; "reference" for references.
        language, unit: "words" or "characters" (not white space).
        count: distinct texts (of one question).
        median, mean, low, high: of their lengths; `low` and `high` are the 5th and 95th percentile.
        unfinished: how many seem to stop inside a sentence (`is_unfinished`).
    """

    source: str
    language: str
    unit: str
    count: int
    median: float
    mean: float
    low: float
    high: float
    unfinished: int


def _by_source(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], dict[tuple[str, str], str]]:
    """(source, language) -> the distinct (question, text), each with the id of a comparison that has it."""
    found: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for c in comparisons:
        for source, text in ((c.source_a, c.response_a), (c.source_b, c.response_b), ("reference", c.reference)):
            if text is not None:
                found.setdefault((source or "unknown", c.language), {}).setdefault((c.question, text), c.id)
    # References last, sources by name.
    return dict(sorted(found.items(), key=lambda item: (item[0][0] == "reference", item[0])))


def describe_texts(comparisons: Sequence[Comparison]) -> tuple[Texts, ...]:
    """Lengths and unfinished texts by source and language; a text counts once a question."""
    import numpy as np

    rows = []
    for (source, language), texts in _by_source(comparisons).items():
        lengths = np.array([measure(text, language) for _, text in texts])
        low, median, high = (float(x) for x in np.percentile(lengths, (5, 50, 95)))
        unfinished = sum(is_unfinished(text, language) for _, text in texts)
        rows.append(
            Texts(source, language, unit(language), len(texts), median, float(lengths.mean()), low, high, unfinished)
        )
    return tuple(rows)


def find_texts(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    """Empty and truncated responses, missing references."""
    empty = [c for c in comparisons if not (c.response_a.strip() and c.response_b.strip())]
    if empty:
        preferred = sum(
            not (c.response_a if c.label == "response_a" else c.response_b).strip() for c in empty if c.label != "same"
        )
        yield Finding.about(
            "warning",
            "empty_responses",
            f"{len(empty)} comparisons have an empty response ({preferred} times it is the preferred one)",
            [c.id for c in empty],
        )
    yield from _truncated(comparisons)
    missing = [c.id for c in comparisons if not (c.reference or "").strip()]
    if missing:
        yield Finding.about(
            "note",
            "missing_references",
            f"{len(missing)} of {len(comparisons)} comparisons have no reference; a metric that needs one fails there",
            missing,
        )


def _truncated(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    """Sources most of whose texts end properly, and some do not; where most do not, it is their way of writing."""
    shares: dict[Severity, list[str]] = {}
    ids: dict[Severity, list[str]] = {}
    for (source, language), texts in _by_source(comparisons).items():
        cut = [name for (_, text), name in texts.items() if is_unfinished(text, language)]
        if source == "reference" or not cut or len(texts) < 10 or len(cut) > 0.4 * len(texts):
            continue
        # People leave out the last full stop; a model's text breaks off at its limit.
        severity: Severity = "note" if source == "human" or len(cut) < 0.01 * len(texts) else "warning"
        shares.setdefault(severity, []).append(
            f"{len(cut)} of {len(texts)} of {source!r} ({percent(len(cut), len(texts))})"
        )
        ids.setdefault(severity, []).extend(cut)
    for severity, parts in shares.items():
        yield Finding.about(
            severity,
            "truncated_responses",
            "responses that stop inside a sentence, where most of the same source do not (cut off?): "
            + ", ".join(parts),
            ids[severity],
        )
