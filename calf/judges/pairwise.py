"""A judge that sees two responses and says which one is better, or that they are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError
from calf.judges.base import Judge
from calf.judges.prompt import Prompt, choose
from calf.judges.verdicts import combined, explanation_of, shares_of, verdict_in, verdict_schema
from calf.types import Failure, Opinion

if TYPE_CHECKING:
    from calf.decide import OrderChoice
    from calf.engine.request import Request
    from calf.judges.asking import Read
    from calf.metrics.base import Pair
    from calf.types import Verdict

__all__ = ["PairwiseJudge", "PairwiseJudgeWithoutReference"]


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
        self._schema = verdict_schema(explain)

    async def judge_one(self, item: Pair) -> Opinion | Failure:
        """What the model says of two responses, in the order in which they are shown."""
        (request,) = self.forecast(item)
        prompt = choose(item.language, self._english, self._chinese)
        read: Read[Verdict] | Failure = await self.read(request, verdict_in, prompt)
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
        known = [shares_of(*pair) for pair in zip(read.choices, read.values, strict=True)]
        if "logprobs" not in self.honours:
            known = [None] * len(known)  # what a server gives unasked is not relied on
        verdict, shares = combined(read.values, known, self.combine)
        probabilities = shares if self.samples > 1 or known[0] is not None else None
        # The first explanation that ends as the whole does.
        chosen = read.values.index(verdict) if verdict in read.values else 0
        return Opinion(verdict, probabilities, explanation_of(read.choices[chosen]), read.usage, read.seconds)


class PairwiseJudgeWithoutReference(PairwiseJudge):
    """An LLM that compares two responses, without the reference: one is better, or they are the same."""

    needs_reference = False
