"""Two small metrics: one scores single responses, the other judges two together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from calf import Failure, Opinion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from calf import Pair, Response


class BulletPoints:
    """More lines that begin with a bullet are better.

    Args:
        weight: what a bullet is worth; negative punishes them.
        mark: which bullets count.
    """

    family = "form"
    needs_reference = False
    version = 2

    def __init__(self, weight: float = 1.0, mark: Literal["dash", "star", "any"] = "any") -> None:
        self.weight = weight
        self.marks = {"dash": ("-",), "star": ("*",), "any": ("-", "*", "•")}[mark]

    def score(self, items: Sequence[Response]) -> Iterable[float]:
        """The weighted number of such lines."""
        for item in items:
            lines = item.response.splitlines()
            yield self.weight * sum(line.lstrip().startswith(self.marks) for line in lines)


class MoreDigits:
    """The response with more digits is better; texts without any cannot be judged."""

    family = "form"
    needs_reference = False

    def judge(self, items: Sequence[Pair]) -> Iterable[Opinion | Failure]:
        """One opinion per pair."""
        for item in items:
            first, second = (sum(c.isdigit() for c in text) for text in (item.response_a, item.response_b))
            if first + second == 0:
                yield Failure("no_digits", "neither response holds a digit")
            elif first == second:
                yield Opinion("same")
            else:
                yield Opinion("response_a" if first > second else "response_b")
