"""Verdicts in answers: the form that is asked for, their probabilities, and how several make one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from calf.judges.answers import Unread, answer_of, objects
from calf.judges.parse import read_verdict
from calf.judges.tokens import shares_at
from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.engine.request import Choice
    from calf.types import Verdict

__all__ = ["Combine", "Shares", "combined", "explanation_of", "shares_of", "verdict_in", "verdict_schema"]

Shares = tuple[float, float, float]
"""The probabilities of response_a, response_b and same."""

Combine = Literal["vote", "mean"]
"""How several verdicts make one: see `combined`."""

# Where the prompts' forms of a verdict begin: "verdict": "A", Verdict: A, [[A]]; or an answer of one word.
_PLACE = re.compile(
    r"(?:(?:\"verdict\"\s*:\s*\"\s*|^[\s*#]*(?:Final )?Verdict\s*[:：][\s*]*|\[\[\s*)(?=(?:A|B|same)\b)"
    r"|\A[\s*]*(?=(?:A|B|same)\W*\Z))(\w)",
    re.M,
)


def verdict_schema(explain: bool) -> dict[str, Any]:
    """The JSON schema of an answer with a verdict, and perhaps an explanation before it."""
    verdict = {"type": "string", "enum": ["A", "B", "same"]}
    properties = {"explanation": {"type": "string"}, "verdict": verdict} if explain else {"verdict": verdict}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def verdict_in(choice: Choice) -> Verdict | Unread:
    """The verdict of an answer, or why it has none."""
    return read_verdict(choice.text, choice.finish)


def shares_of(choice: Choice, verdict: Verdict) -> Shares | None:
    """Of A, B and same, as the token of the verdict says; None if that token is another verdict's."""
    shares = shares_at(choice, _PLACE, _meaning)
    if shares is None or shares.get(verdict, 0.0) == 0:
        return None
    a, b, same = (shares.get(label, 0.0) for label in LABELS)
    return a, b, same


def combined(
    verdicts: Sequence[Verdict], known: Sequence[Shares | None], combine: Combine = "vote"
) -> tuple[Verdict, Shares]:
    """What several verdicts come to, and the mean of their probabilities.

    Args:
        verdicts: at least one.
        known: their probabilities; None counts as certain.
        combine: vote: what most say, "same" if none has more than each of the others. mean: A counts 1, same 0, B -1,
            weighted by probabilities, and the verdict is what is nearest to the mean, "same" at exactly one half.
    """
    each = [shares or _certain(verdict) for shares, verdict in zip(known, verdicts, strict=True)]
    a, b, same = (sum(column) / len(each) for column in zip(*each, strict=True))
    if combine == "mean":
        return "response_a" if a - b > 0.5 else "response_b" if b - a > 0.5 else "same", (a, b, same)
    counts = {label: list(verdicts).count(label) for label in LABELS}
    best = [label for label in LABELS if counts[label] == max(counts.values())]
    return best[0] if len(best) == 1 else "same", (a, b, same)


def explanation_of(choice: Choice) -> str | None:
    """What the answer says besides its verdict, else the reasoning that the server shows apart."""
    text = answer_of(choice.text, choice.finish)
    if isinstance(text, Unread):
        return choice.reasoning
    for found in objects(text):
        for key, value in found.value:
            if key == "explanation" and isinstance(value, str):
                return value.strip()
    bare = re.fullmatch(r"[\s`*]*(?:json)?\s*(?:\{[^{}]*\}|[^\n]{0,40})[\s`]*", text) is not None
    return choice.reasoning if bare else text


def _meaning(text: str) -> Verdict | None:
    """The verdict that a token begins."""
    word = re.match(r"[A-Za-z]+", text)
    if word is None:
        return None
    if word[0] in ("A", "B"):
        return "response_a" if word[0] == "A" else "response_b"
    return "same" if "same".startswith(word[0].lower()) and word[0] != "S" else None


def _certain(verdict: Verdict) -> Shares:
    a, b, same = (float(label == verdict) for label in LABELS)
    return a, b, same
