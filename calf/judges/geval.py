"""A judge that scores one response, aspect by aspect."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from calf.engine.request import total
from calf.errors import OptionError
from calf.judges.base import Judge
from calf.judges.parse import read_score
from calf.judges.prompt import Prompt, choose
from calf.judges.tokens import shares_at
from calf.types import Failure, Score

if TYPE_CHECKING:
    from calf.engine.request import Choice, Request
    from calf.judges.answers import Unread
    from calf.metrics.base import Response

__all__ = ["GEval"]

_LOW, _HIGH = 1, 5
_SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer", "enum": list(range(_LOW, _HIGH + 1))}},
    "required": ["score"],
    "additionalProperties": False,
}
# Where the prompts' forms of a score begin: "score": 4, Score: 4; or an answer that is the number.
_PLACE = re.compile(
    r"(?:(?:\"score\"\s*:\s*\"?|^[\s*#]*Score\s*[:：][\s*]*)(?=[1-5]\b(?!\.\d))"
    r"|\A[\s*]*(?=[1-5](?:\s*/\s*5)?\W*\Z))(\d)",
    re.M,
)


class GEval(Judge):
    """An LLM that scores a response from 1 to 5 on factuality, completeness and clarity; the score is their mean.

    Liu et al. 2023 (G-Eval, arXiv 2303.16634): where the server honours logprobs, an aspect's score is the sum of
    p(k) k over the scores k, p being that of the score's token; else the mean of the samples.

    Args:
        prompt_factuality_en ...: a prompt for each aspect and language, with `${question}`, `${response}`, `${mark}`,
            and perhaps `${context}` and `${reference}`, which is left out where there is none; the Chinese ones are
            for language "zh", the English ones for all others.
        aspects: which ones, separated by commas.
        samples: how many answers are asked for to each aspect; more than half of them must be readable.
        others: see `Judge`.
    """

    needs_reference = False

    def __init__(
        self,
        prompt_factuality_en: str,
        prompt_factuality_zh: str,
        prompt_completeness_en: str,
        prompt_completeness_zh: str,
        prompt_clarity_en: str,
        prompt_clarity_zh: str,
        aspects: str = "factuality,completeness,clarity",
        samples: int = 1,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        if samples < 1:
            raise OptionError(f"samples must be 1 or more, not {samples}")
        if samples > 1 and self.temperature == 0 and "temperature" in self.honours:
            raise OptionError(f"{samples} samples at temperature 0 are {samples} times the same; set -o temperature=1")
        self.samples = samples
        texts = {
            "factuality": (prompt_factuality_en, prompt_factuality_zh),
            "completeness": (prompt_completeness_en, prompt_completeness_zh),
            "clarity": (prompt_clarity_en, prompt_clarity_zh),
        }
        self.aspects = tuple(dict.fromkeys(name.strip() for name in aspects.split(",") if name.strip()))
        if not self.aspects or not set(self.aspects) <= set(texts):
            raise OptionError(f"aspects must be some of {', '.join(texts)}, not {aspects!r}")
        self._prompts = {
            name: (_load(texts[name][0], f"prompt_{name}_en"), _load(texts[name][1], f"prompt_{name}_zh"))
            for name in self.aspects
        }

    async def score_one(self, item: Response) -> Score | Failure:
        """The mean of the aspects' scores; a failure if one of them fails."""
        outcomes = await asyncio.gather(
            *(
                self.read(request, _reader, choose(item.language, *self._prompts[name]))
                for name, request in zip(self.aspects, self.forecast(item), strict=True)
            ),
            return_exceptions=True,  # all are waited for: what is under way is paid for
        )
        scores: dict[str, float] = {}
        seconds, usages = 0.0, []
        failure: Failure | None = None
        for name, outcome in zip(self.aspects, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            usages.append(outcome.usage or {})
            if isinstance(outcome, Failure):
                failure = failure or Failure(outcome.kind, f"{name}: {outcome.message}", outcome.raw)
                continue
            values = outcome.values
            if "logprobs" in self.honours:
                values = tuple(_weighted(*pair) for pair in zip(outcome.choices, values, strict=True))
            scores[name] = sum(values) / len(values)
            seconds = max(seconds, outcome.seconds)
        usage = total(*usages)
        if failure is not None:
            return Failure(failure.kind, failure.message, failure.raw, usage)
        explanation = ", ".join(f"{name} {score:.4g}" for name, score in scores.items())
        return Score(sum(scores.values()) / len(scores), explanation, usage, seconds)

    def forecast(self, item: Response) -> list[Request]:
        """The requests that scoring the item sends at first, one for each aspect."""
        texts = {
            "question": item.question,
            "context": item.context,
            "reference": item.reference,
            "response": item.response,
        }
        return [
            self.request(
                choose(item.language, *self._prompts[name]).messages(texts),
                schema=_SCHEMA,
                n=self.samples,
                logprobs=self.top_logprobs,
                repeat=item.repeat,
            )
            for name in self.aspects
        ]


def _load(text: str, name: str) -> Prompt:
    return Prompt.load(text, name, {"question", "response"}, {"context", "reference"})


def _reader(choice: Choice) -> float | Unread:
    return read_score(choice.text, _LOW, _HIGH, choice.finish)


def _meaning(text: str) -> int | None:
    digits = re.match(r"[1-5](?!\d)", text)
    return int(digits[0]) if digits else None


def _weighted(choice: Choice, score: float) -> float:
    """The expected score, where the probabilities of its token are known and it is the token that was read."""
    shares = shares_at(choice, _PLACE, _meaning)
    if shares is None or score not in shares:
        return score
    return sum(share * number for number, share in shares.items())
