"""What an audit says: findings, and strings that give a side away."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EXAMPLES", "OTHER_SIDE", "SEVERITIES", "Finding", "Giveaway", "Severity", "Side", "percent", "stands_in"]

Severity = Literal["error", "warning", "note"]
"""error: the data contradict themselves; warning: results can mislead; note: good to know."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
Side = Literal["response_a", "response_b", "human", "model"]
OTHER_SIDE: dict[Side, Side] = {
    "response_a": "response_b",
    "response_b": "response_a",
    "human": "model",
    "model": "human",
}

EXAMPLES = 5
"""How many ids a finding names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands out in a dataset.

    Attributes:
        severity: error, warning or note.
        kind: a short code, e.g. `conflicting_pairs`; the same kind may occur several times (one a setting).
        message: one line with the counts.
        ids: the first few comparisons that it concerns.
    """

    severity: Severity
    kind: str
    message: str
    ids: tuple[str, ...] = ()

    @classmethod
    def about(cls, severity: Severity, kind: str, message: str, ids: Sequence[str] = ()) -> Finding:
        """A finding that keeps the first `EXAMPLES` of `ids`."""
        return cls(severity, kind, message, tuple(ids[:EXAMPLES]))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"severity": self.severity, "kind": self.kind, "message": self.message, "ids": list(self.ids)}


def percent(part: int, whole: int) -> str:
    """`part` of `whole` as e.g. "12.5 %"."""
    return f"{100 * part / whole:.1f} %"


@dataclass(frozen=True, slots=True)
class Giveaway:
    """A string that gives a side away.

    Attributes:
        text: the string.
        begins, ends: whether it is meant at the beginning, at the end of a response only.
        side: response_a, response_b, human or model.
        where: the slice in which it was found, e.g. "subject=law"; "overall".
        hits, of: in how many responses of that side of the slice it stands, of how many.
        other_hits, other_of: the same of the other side.
        ids: the comparisons of `hits`.
    """

    text: str
    begins: bool
    ends: bool
    side: Side
    where: str
    hits: int
    of: int
    other_hits: int
    other_of: int
    ids: tuple[str, ...]

    def stands_in(self, response: str) -> bool:
        """Whether a response has it, at the place that is meant."""
        return stands_in(self.text, self.begins, self.ends, response)

    def as_finding(self, *, stripped: bool = False) -> Finding:
        """As a finding; `stripped` says that loading takes it out."""
        shown = self.text if len(self.text) <= 60 else self.text[:59] + "…"
        string = json.dumps(shown, ensure_ascii=False)
        if self.begins and self.ends:
            string += " as the whole response"
        elif self.begins or self.ends:
            string += " at the end" if self.ends else " at the beginning"
        other = OTHER_SIDE[self.side]
        positions = self.side in ("response_a", "response_b")
        who, others = (self.side, other) if positions else (f"{self.side} responses", f"{other} ones")
        return Finding.about(
            # That people and models write differently is natural, unless it shows in most responses.
            "note" if stripped or not (positions or 2 * self.hits >= self.of) else "warning",
            "gives_side_away",
            f"{string} gives {'' if positions else 'the '}{self.side} away ({self.where}): "
            f"in {self.hits} of {self.of} {who}, in {self.other_hits} of {self.other_of} {others}"
            + ("; stripped on loading" if stripped else ""),
            self.ids,
        )


def stands_in(text: str, begins: bool, ends: bool, response: str) -> bool:
    """Whether a response has a text: anywhere, or where it begins or ends (both: as a whole)."""
    if begins and ends:
        return response == text
    if begins or ends:
        return response.startswith(text) if begins else response.endswith(text)
    return text in response
