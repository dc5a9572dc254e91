"""A judge that sees two responses and says which one is better, or that they are the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError
from calf.judges.answers import Unread, answer_of, objects
from calf.judges.base import Judge
from calf.judges.parse import read_verdict
from calf.judges.prompt import Prompt, choose
from calf.judges.tokens import shares_at
from calf.types import LABELS, Failure, Opinion

if TYPE_CHECKING:
    from calf.decide import OrderChoice
    from calf.engine.request import Choice, Request
    from calf.judges.base import Read
    from calf.metrics.base import Pair
    from calf.types import Verdict

__all__ = ["PairwiseJudge", "PairwiseJudgeWithoutReference"]

_VERDICT = {"type": "string", "enum": ["A", "B", "same"]}

# Where the prompts' forms of a verdict begin: "verdict": "A", Verdict: A, [[A]]; or an answer of one word.
_PLACE = re.compile(
    r"(?:(?:\"verdict\"\s*:\s*\"\s*|^[\s*#]*(?:Final )?Verdict\s*[:：][\s*]*|\[\[\s*)(?=(?:A|B|same)\b)"
    r"|\A[\s*]*(?=(?:A|B|same)\W*\Z))(\w)",
    re.M,
)


class PairwiseJudge(Judge):
    """An LLM that compares two responses, with the reference: one is better, or they are the same.

    It judges in both orders unless told otherwise; both begin with the same text (instructions, question, context,
    reference), which servers can keep.

    Args:
        prompt_en, prompt_zh: the prompts, with `${question}`, `${response_a}`, `${response_b}`, `${mark}`, and perhaps
            `${context}` and `${reference}`; the Chinese one is for language "zh", the English one for all others.
        explain: whether the prompt asks for an explanation before the verdict; a schema then has a field for it.
        samples: how many answers are asked for; more than half of them must be readable.
        combine: what samples come to. vote: what most of them say, "same" if none has more than each of the others.
            mean: A counts 1, same 0, B -1, weighted by probabilities where the server gives them, and the verdict is
            what is nearest to the mean, "same" at exactly one half (Wang et al. 2025, arXiv 2503.03064, find the mean
            of a judge's distribution better than its mode).
        others: see `Judge`.

    The probabilities of the verdicts are those of the token that names the verdict, averaged over samples, where the
    server honours logprobs; else the shares of the samples; a single sample without logprobs has none.
    """

    default_order: OrderChoice = "both"

    def __init__(
        self,
        prompt_en: str,
        prompt_zh: str,
        explain: bool = False,
        samples: int = 1,
        combine: Literal["vote", "mean"] = "vote",
        **others: Any,
    ) -> None:
        super().__init__(**others)
        if samples < 1:
            raise OptionError(f"samples must be 1 or more, not {samples}")
        if samples > 1 and self.temperature == 0 and "temperature" in self.honours:
            raise OptionError(f"{samples} samples at temperature 0 are {samples} times the same; set -o temperature=1")
        needs, allows = {"question", "response_a", "response_b"}, {"context"}
        (needs if self.needs_reference else set()).add("reference")
        self._english = Prompt.load(prompt_en, "prompt_en", needs, allows)
        self._chinese = Prompt.load(prompt_zh, "prompt_zh", needs, allows)
        self.explain = explain
        self.samples = samples
        self.combine = combine
        properties = {"explanation": {"type": "string"}, "verdict": _VERDICT} if explain else {"verdict": _VERDICT}
        self._schema = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    async def judge_one(self, item: Pair) -> Opinion | Failure:
        """What the model says of two responses, in the order in which they are shown."""
        (request,) = self.forecast(item)
        prompt = choose(item.language, self._english, self._chinese)
        read: Read[Verdict] | Failure = await self.read(request, _reader, prompt)
        return read if isinstance(read, Failure) else self._opinion(read)

    def forecast(self, item: Pair) -> list[Request]:
        """The requests that judging the item sends at first."""
        prompt = choose(item.language, self._english, self._chinese)
        messages = prompt.messages(
            {
                "question": item.question,
                "context": item.context,
                "reference": item.reference if self.needs_reference else None,
                "response_a": item.response_a,
                "response_b": item.response_b,
            }
        )
        return [
            self.request(messages, schema=self._schema, n=self.samples, logprobs=self.top_logprobs, repeat=item.repeat)
        ]

    def _opinion(self, read: Read[Verdict]) -> Opinion:
        known = [_probabilities(*pair) for pair in zip(read.choices, read.values, strict=True)]
        if "logprobs" not in self.honours:
            known = [None] * len(known)  # what a server gives unasked is not relied on
        each = [shares or _certain(verdict) for shares, verdict in zip(known, read.values, strict=True)]
        a, b, same = (sum(column) / len(each) for column in zip(*each, strict=True))
        if self.combine == "mean":
            verdict: Verdict = "response_a" if a - b > 0.5 else "response_b" if b - a > 0.5 else "same"
        else:
            verdict = _most(read.values)
        probabilities = (a, b, same) if self.samples > 1 or known[0] is not None else None
        # The first explanation that ends as the whole does.
        chosen = read.values.index(verdict) if verdict in read.values else 0
        return Opinion(verdict, probabilities, _explanation(read.choices[chosen]), read.usage, read.seconds)


class PairwiseJudgeWithoutReference(PairwiseJudge):
    """An LLM that compares two responses, without the reference: one is better, or they are the same."""

    needs_reference = False


def _reader(choice: Choice) -> Verdict | Unread:
    return read_verdict(choice.text, choice.finish)


def _meaning(text: str) -> Verdict | None:
    """The verdict that a token begins."""
    word = re.match(r"[A-Za-z]+", text)
    if word is None:
        return None
    if word[0] in ("A", "B"):
        return "response_a" if word[0] == "A" else "response_b"
    return "same" if "same".startswith(word[0].lower()) and word[0] != "S" else None


def _probabilities(choice: Choice, verdict: Verdict) -> tuple[float, float, float] | None:
    """Of A, B and same, as the token of the verdict says; None if that token is another verdict's."""
    shares = shares_at(choice, _PLACE, _meaning)
    if shares is None or shares.get(verdict, 0.0) == 0:
        return None
    a, b, same = (shares.get(label, 0.0) for label in LABELS)
    return a, b, same


def _certain(verdict: Verdict) -> tuple[float, float, float]:
    a, b, same = (float(label == verdict) for label in LABELS)
    return a, b, same


def _most(verdicts: tuple[Verdict, ...]) -> Verdict:
    counts = {label: verdicts.count(label) for label in LABELS}
    best = [label for label in LABELS if counts[label] == max(counts.values())]
    return best[0] if len(best) == 1 else "same"


def _explanation(choice: Choice) -> str | None:
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
