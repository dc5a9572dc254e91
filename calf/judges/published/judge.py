"""Judges whose weights were trained to judge: their own prompt, their own written form of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.errors import OptionError
from calf.judges.answers import answer_of
from calf.judges.base import Judge
from calf.judges.prompt import choose
from calf.judges.published.form import Form
from calf.judges.published.readers import PAIRS, PLACES, SCORES, PairForm, ScoreForm, meaning_of
from calf.judges.tokens import shares_at
from calf.models.chat import Turns  # noqa: TC001 - the annotations of options are read when it runs
from calf.types import LABELS, Failure, Opinion, Score

if TYPE_CHECKING:
    from calf.decide import OrderChoice
    from calf.engine.request import Choice, Request
    from calf.judges.answers import Unread
    from calf.judges.asking import Read
    from calf.metrics.base import Pair, Response
    from calf.types import Verdict

__all__ = [
    "PublishedPairwise",
    "PublishedPairwiseWithoutReference",
    "PublishedScore",
    "PublishedScoreWithoutReference",
]


class Published(Judge):
    """What published evaluators share.

    Args:
        turns: how their conversations are written for a model in this process.
        others: see `Judge`.
    """

    family = "trained"

    def __init__(self, turns: Turns = "chat", **others: Any) -> None:
        self.turns = turns
        super().__init__(**others)
        if turns == "plain" and self.retries_unread:
            raise OptionError("retries_unread must be 0: this evaluator knows no conversations")


class PublishedPairwise(Published):
    """A published evaluator that compares two responses, with the reference.

    It judges in both orders unless told otherwise. An answer that cannot be read is not asked for again unless
    `retries_unread` says so: these evaluators were trained on single questions, not on conversations.

    Args:
        prompt_en, prompt_zh: the prompts (`calf.judges.published.form`), with `${question}`, `${response_a}`,
            `${response_b}`, perhaps `${context}` and `${rubric}`, and `${reference}`; the Chinese one is for language
            "zh", the English one for all others.
        form: which written form answers have (`calf.judges.published.readers`).
        rubric: what `${rubric}` stands for.
        turns: see `calf.models.chat.Turns`; for a model in this process.
        others: see `Judge`.

    Verdicts have probabilities where the server honours logprobs and the form names the verdict in one token (not
    Auto-J's and CritiqueLLM's).
    """

    default_order: OrderChoice = "both"

    def __init__(
        self,
        prompt_en: str,
        prompt_zh: str,
        form: PairForm,
        rubric: str = "",
        turns: Turns = "chat",
        retries_unread: int = 0,
        **others: Any,
    ) -> None:
        super().__init__(turns, retries_unread=retries_unread, **others)
        needs, allows = {"question", "response_a", "response_b"}, {"context", "rubric"}
        (needs if self.needs_reference else set()).add("reference")
        self._english = Form.of(prompt_en, "prompt_en", needs, allows)
        self._chinese = Form.of(prompt_zh, "prompt_zh", needs, allows)
        self._form: PairForm = form
        self._rubric = rubric.strip()

    async def judge_one(self, item: Pair) -> Opinion | Failure:
        """What the evaluator says of two responses, in the order in which they are shown."""
        (request,) = self.forecast(item)
        prompt = choose(item.language, self._english, self._chinese)
        read: Read[Verdict] | Failure = await self.read(request, self._read, prompt)
        if isinstance(read, Failure):
            return read
        choice = read.choices[0]
        probabilities = self._probabilities(choice, read.value)
        return Opinion(read.value, probabilities, _said(choice), read.usage, read.seconds)

    def forecast(self, item: Pair) -> list[Request]:
        """The request that judging the item sends."""
        texts = {
            "question": item.question,
            "context": item.context,
            "reference": item.reference if self.needs_reference else None,
            "response_a": item.response_a,
            "response_b": item.response_b,
            "rubric": self._rubric,
        }
        messages = choose(item.language, self._english, self._chinese).messages(texts)
        return [self.request(messages, logprobs=self.top_logprobs, repeat=item.repeat)]

    def _read(self, choice: Choice) -> Verdict | Unread:
        return PAIRS[self._form](choice.text, choice.finish)

    def _probabilities(self, choice: Choice, verdict: Verdict) -> tuple[float, float, float] | None:
        place = PLACES.get(self._form)
        if place is None or "logprobs" not in self.honours:
            return None
        shares = shares_at(choice, place, meaning_of)
        if shares is None or not shares.get(verdict):
            return None
        a, b, same = (shares.get(label, 0.0) for label in LABELS)
        return a, b, same


class PublishedPairwiseWithoutReference(PublishedPairwise):
    """A published evaluator that compares two responses, without a reference."""

    needs_reference = False


class PublishedScore(Published):
    """A published evaluator that scores one response, with the reference.

    Args:
        prompt_en, prompt_zh: as `PublishedPairwise`'s, with `${response}` in place of the two.
        form: which written form answers have (`calf.judges.published.readers`); it names the scale.
        rubric, turns, others: as `PublishedPairwise`'s.
    """

    def __init__(
        self,
        prompt_en: str,
        prompt_zh: str,
        form: ScoreForm,
        rubric: str = "",
        turns: Turns = "chat",
        retries_unread: int = 0,
        **others: Any,
    ) -> None:
        super().__init__(turns, retries_unread=retries_unread, **others)
        needs, allows = {"question", "response"}, {"context", "rubric"}
        (needs if self.needs_reference else set()).add("reference")
        self._english = Form.of(prompt_en, "prompt_en", needs, allows)
        self._chinese = Form.of(prompt_zh, "prompt_zh", needs, allows)
        self._form: ScoreForm = form
        self._rubric = rubric.strip()

    async def score_one(self, item: Response) -> Score | Failure:
        """The evaluator's score."""
        (request,) = self.forecast(item)
        read = await self.read(request, self._read, choose(item.language, self._english, self._chinese))
        if isinstance(read, Failure):
            return read
        return Score(read.value, _said(read.choices[0]), read.usage, read.seconds)

    def forecast(self, item: Response) -> list[Request]:
        """The request that scoring the item sends."""
        texts = {
            "question": item.question,
            "context": item.context,
            "reference": item.reference if self.needs_reference else None,
            "response": item.response,
            "rubric": self._rubric,
        }
        messages = choose(item.language, self._english, self._chinese).messages(texts)
        return [self.request(messages, repeat=item.repeat)]

    def _read(self, choice: Choice) -> float | Unread:
        return SCORES[self._form](choice.text, choice.finish)


class PublishedScoreWithoutReference(PublishedScore):
    """A published evaluator that scores one response, without a reference."""

    needs_reference = False


def _said(choice: Choice) -> str | None:
    """The whole answer, without what the model thought before it."""
    text = answer_of(choice.text, choice.finish)
    return text if isinstance(text, str) else choice.reasoning
