"""A judge that counts how many of the reference's key points a response makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.engine.request import total
from calf.judges.base import Judge
from calf.judges.parse import read_booleans, read_points
from calf.judges.prompt import Prompt, choose
from calf.types import Failure, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.engine.request import Choice, Request
    from calf.judges.answers import Unread
    from calf.metrics.base import Response

__all__ = ["KeyPoints"]


def _list_of(name: str, kind: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "array", "items": {"type": kind}}},
        "required": [name],
        "additionalProperties": False,
    }


_POINTS = _list_of("points", "string")
_COVERED = _list_of("covered", "boolean")


class KeyPoints(Judge):
    """An LLM that splits the reference into key points; the score is the share of them that a response makes.

    The reference is split once for each question, context and reference (and repeat): all responses share that request,
    which the first one pays for.

    Args:
        prompt_split_en, prompt_split_zh: with `${question}`, `${reference}`, `${mark}` and perhaps `${context}`.
        prompt_check_en, prompt_check_zh: with `${question}`, `${points}`, `${response}`, `${count}`, `${mark}` and
            perhaps `${context}`. The Chinese prompts are for language "zh", the English ones for all others.
        others: see `Judge`.
    """

    def __init__(
        self,
        prompt_split_en: str,
        prompt_split_zh: str,
        prompt_check_en: str,
        prompt_check_zh: str,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        split, check, context = {"question", "reference"}, {"question", "points", "response", "count"}, {"context"}
        self._split = (
            Prompt.load(prompt_split_en, "prompt_split_en", split, context),
            Prompt.load(prompt_split_zh, "prompt_split_zh", split, context),
        )
        self._check = (
            Prompt.load(prompt_check_en, "prompt_check_en", check, context),
            Prompt.load(prompt_check_zh, "prompt_check_zh", check, context),
        )

    async def score_one(self, item: Response) -> Score | Failure:
        """The share of the reference's points that the response makes, from 0 to 1."""
        points = await self.read(self._splitting(item), _points, choose(item.language, *self._split))
        if isinstance(points, Failure):
            return Failure(points.kind, f"splitting the reference: {points.message}", points.raw, points.usage)
        count = len(points.value)

        def covered(choice: Choice) -> tuple[bool, ...] | Unread:
            return read_booleans(choice.text, count, choice.finish)

        checked = await self.read(self._checking(item, points.value), covered, choose(item.language, *self._check))
        usage = total(points.usage, checked.usage or {})
        if isinstance(checked, Failure):
            return Failure(checked.kind, checked.message, checked.raw, usage)
        said = zip(checked.value, points.value, strict=True)
        explanation = "\n".join(f"{'+' if made else '-'} {point}" for made, point in said)
        return Score(sum(checked.value) / count, explanation, usage, points.seconds + checked.seconds)

    def forecast(self, item: Response) -> list[Request]:
        """The requests that scoring the item sends at first; the reference stands for its points, not known yet."""
        return [self._splitting(item), self._checking(item, (item.reference or "",))]

    def _splitting(self, item: Response) -> Request:
        texts = {"question": item.question, "context": item.context, "reference": item.reference}
        return self.request(choose(item.language, *self._split).messages(texts), schema=_POINTS, repeat=item.repeat)

    def _checking(self, item: Response, points: Sequence[str]) -> Request:
        texts = {
            "question": item.question,
            "context": item.context,
            "points": "\n".join(f"{number}. {point}" for number, point in enumerate(points, 1)),
            "response": item.response,
        }
        messages = choose(item.language, *self._check).messages(texts, count=len(points))
        return self.request(messages, schema=_COVERED, repeat=item.repeat)


def _points(choice: Choice) -> tuple[str, ...] | Unread:
    return read_points(choice.text, choice.finish)
