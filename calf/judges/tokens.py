"""Probabilities of what an answer says, from those of the token that says it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from calf.engine.request import Choice

__all__ = ["shares_at"]

T = TypeVar("T")


def shares_at(choice: Choice, place: re.Pattern[str], meaning: Callable[[str], T | None]) -> dict[T, float] | None:
    """How probable each meaning was, at the token where the answer says what it says.

    The alternatives of that token are summed by what they mean; what means nothing is left out, and the rest sums to
    1 (G-Eval: Liu et al. 2023, arXiv 2303.16634, section 2, whose scores are weighted so).

    Args:
        choice: an answer with the probabilities of its tokens.
        place: finds the place; its last match counts, and its group 1 begins there.
        meaning: what a text that begins there means; None if nothing.

    Returns:
        None if the answer has no probabilities, or not at that place.
    """
    text = "".join(token.text for token in choice.tokens)
    matches = list(place.finditer(text))
    if not matches:
        return None
    start = matches[-1].start(1)
    at = 0
    for token in choice.tokens:
        if at <= start < at + len(token.text):
            break
        at += len(token.text)
    before = token.text[: start - at]  # what the token has of the text before, a quotation mark perhaps
    logprobs = dict(token.alternatives)
    logprobs.setdefault(token.text, token.logprob)
    sums: dict[T, float] = {}
    for alternative, logprob in logprobs.items():
        said = meaning(alternative.removeprefix(before).lstrip())
        if said is not None:
            sums[said] = sums.get(said, 0.0) + math.exp(min(logprob, 0.0))
    whole = math.fsum(sums.values())
    return {said: share / whole for said, share in sums.items()} if whole > 0 else None
