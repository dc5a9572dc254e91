"""One comparison before a system of agents: who has said what, what it took, and what it may take."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from calf.agents.prompts import Said
from calf.agents.reading import said_in
from calf.engine.request import total
from calf.engine.tokens import estimate_tokens
from calf.hashing import digest
from calf.judges.answers import Unread, answer_of
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.agents.prompts import Opening
    from calf.agents.reading import Reader
    from calf.engine.request import Choice, Reply, Request
    from calf.judges.asking import Read
    from calf.judges.base import Judge
    from calf.judges.prompt import Messages, Prompt
    from calf.metrics.base import Pair
    from calf.types import Verdict

__all__ = ["Bounds", "Call", "EndedError", "Heard", "Member", "Session"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one judgment may take; None: no limit. All but `turns` are looked at before answers are asked for.

    Attributes:
        turns: answers, repeated ones not counted.
        tokens: in and out, whenever they were paid for.
        cost: by the prices that are known today.
        seconds: that answers took, one after the other; of those that were asked for together the longest.
    """

    turns: int
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One whom a role stands for.

    Attributes:
        name: in transcripts.
        titles: what others call it, by language.
        voice: the judge whose settings ask for it.
        opening: what opens its conversation.
        number: which one it is of those that would ask the same.
        alike: how many these are.
    """

    name: str
    titles: Mapping[str, str]
    voice: Judge
    opening: Opening
    number: int = 0
    alike: int = 1

    def title(self, language: str) -> str:
        """What others call it."""
        return self.titles.get(language.lower().partition("-")[0]) or self.titles.get("en") or self.name


@dataclass(frozen=True, slots=True)
class Call:
    """An answer that is asked for.

    Attributes:
        member: who gives it.
        messages: the conversation.
        new: its last messages, which were not there in the member's last one.
        prompt: for its reminder.
        reader: what reads the answer.
        step: the kind of the step, for the transcript.
        schema: of the answer, where the server honours one.
        logprobs: whether probabilities are asked for, where the server honours them.
        round: of rounds, counted from 1; 0 outside of any.
        about: what else the transcript says of it.
    """

    member: Member
    messages: Messages
    new: Messages
    prompt: Prompt
    reader: Reader
    step: str
    schema: Mapping[str, Any] | None = None
    logprobs: bool = False
    round: int = 0
    about: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a call.

    Attributes:
        value: what was read; None if nothing could be.
        failure: why not.
        choice: the answer that was read.
        answer: what was said, without reasoning: at first, and when asked again.
        said: the same as others are shown it.
        record: the turn in the transcript; a caller may add to it.
    """

    value: Any
    failure: Failure | None
    choice: Choice | None
    answer: str
    said: str
    record: dict[str, Any]


class EndedError(Exception):
    """The comparison cannot be judged: what the judgment is."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


class Session:
    """The state of one judgment.

    Args:
        item: what is judged.
        bounds: what it may take.
        seed: the run's, for servers that honour seeds.

    Attributes:
        material: the texts that prompts may show.
        board: what stands there for all to see, by number; None what a summary has replaced.
        transcript: every turn so far, as plain values.
        spent: as `calf.engine.request.Reply.spent`.
        seconds: see `Bounds.seconds`.
        verdicts: what each member said last, if it was a verdict.
        points: of the checklist.
    """

    def __init__(self, item: Pair, bounds: Bounds, seed: int = 0) -> None:
        self.item = item
        self.language = item.language
        self.material: dict[str, str | None] = {
            "question": item.question,
            "context": item.context,
            "reference": item.reference,
            "response_a": item.response_a,
            "response_b": item.response_b,
        }
        self.board: list[tuple[Member, str] | None] = []
        self.transcript: list[dict[str, Any]] = []
        self.spent: dict[str, float] = {}
        self.seconds = 0.0
        self.verdicts: dict[str, Verdict | None] = {}
        self.points: tuple[str, ...] = ()
        self._bounds = bounds
        self._seed = seed
        self._tokens = 0
        self._cost = 0.0
        self._conversations: dict[str, Messages] = {}
        self._seen: dict[str, int] = {}

    # ---- who knows what ---------------------------------------------------------------------------------------

    def conversation(self, member: Member) -> Messages:
        """What was said between the member and us; () if it was not asked yet."""
        return self._conversations.get(member.name, ())

    def news(self, member: Member, sees: str) -> list[Said]:
        """What stands on the board and the member has neither seen nor said."""
        if sees == "nothing":
            return []
        since = self._seen.get(member.name, 0)
        new = [one for one in self.board[since:] if one is not None and one[0].name != member.name]
        self._seen[member.name] = len(self.board)
        return [Said(who.title(self.language), text) for who, text in (new[-1:] if sees == "last" else new)]

    def keep(self, call: Call, heard: Heard) -> None:
        """Let the member remember what it was told and what it answered, if it did."""
        if not heard.answer:
            return
        self._conversations[call.member.name] = (*call.messages, ("assistant", heard.answer))

    # ---- asking -----------------------------------------------------------------------------------------------

    async def ask(self, calls: Sequence[Call]) -> list[Heard]:
        """What comes of calls that do not depend on each other, all at once.

        Raises:
            EndedError: a limit is reached.
            StoppedError: no request can be sent any more.
        """
        self._check(len(calls))
        # All are waited for, whatever one raises: what is under way is paid for.
        outcomes = await asyncio.gather(*map(self._ask_one, calls), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        done = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        heard = [self._count(call, *outcome) for call, outcome in zip(calls, done, strict=True)]
        self.seconds += max((one.record["seconds"] for one in heard), default=0.0)
        return heard

    async def _ask_one(self, call: Call) -> tuple[Read[Any] | Failure, list[Reply]]:
        replies: list[Reply] = []
        return await call.member.voice.read(self.request(call), call.reader, call.prompt, replies), replies

    def request(self, call: Call) -> Request:
        """The request of a call: the same for the same conversation, but for copies of a role and repeats."""
        voice, member = call.member.voice, call.member
        number = self.item.repeat * member.alike + member.number
        logprobs = voice.top_logprobs if call.logprobs else 0
        request = voice.request(call.messages, schema=call.schema, logprobs=logprobs, repeat=number)
        if voice.temperature == 0:
            return request
        return replace(request, seed=int(digest("seed", self._seed, number, length=7), 16))

    def _check(self, more: int) -> None:
        """That as many more answers may be asked for.

        Raises:
            EndedError: they may not.
        """
        done, bounds = len(self.transcript), self._bounds
        for kind, name, limit, reached in (
            ("turn_limit", "max_turns", bounds.turns, done + more > bounds.turns),
            ("token_limit", "max_tokens_total", bounds.tokens, self._tokens >= (bounds.tokens or math.inf)),
            ("cost_limit", "max_cost_each", bounds.cost, self._cost >= (bounds.cost or math.inf)),
            ("time_limit", "max_seconds_each", bounds.seconds, self.seconds >= (bounds.seconds or math.inf)),
        ):
            if reached:
                raise EndedError(Failure(kind, f"{name}={limit:g} does not suffice: stopped after {done} turns"))

    def _count(self, call: Call, read: Read[Any] | Failure, replies: Sequence[Reply]) -> Heard:
        """What came of a call, written down."""
        record = self._record(call, replies)
        self.transcript.append(record)
        self.spent = total(self.spent, read.usage or {})
        # What could not be read is kept once; of what was said when asked again, what could be.
        choices = [reply.choices[0] for reply in replies[:1]]
        if len(replies) > 1 and not isinstance(read, Failure):
            choices.append(replies[-1].choices[0])
        # A lone surrogate can neither be sent nor kept: what follows must be the same when it comes from the cache.
        choices = [replace(choice, text=choice.text.encode("utf-8", "replace").decode()) for choice in choices]
        texts = [answer_of(choice.text, None) for choice in choices]
        answer = "\n\n".join(text for text in texts if not isinstance(text, Unread))
        said = "\n\n".join(filter(None, map(said_in, choices)))
        if isinstance(read, Failure):
            record |= {"failure": read.kind, "message": read.message}
            return Heard(None, read, None, answer, said, record)
        return Heard(read.value, None, read.choices[0], answer, said, record)

    def _record(self, call: Call, replies: Sequence[Reply]) -> dict[str, Any]:
        """The turn in the transcript, and what it took."""
        tokens = [0, 0]
        cost: float | None = 0.0
        prices = call.member.voice.prices
        for reply in replies:
            usage = reply.usage
            tokens[0] += usage.input
            tokens[1] += usage.output
            cost = None if cost is None or prices is None or not usage.known else cost + prices.cost(usage)
            self._tokens += usage.input + usage.output
            if not usage.known:
                self._tokens += sum(estimate_tokens(text) for _, text in call.messages)
                self._tokens += estimate_tokens(reply.choices[0].text)
        self._cost += cost or 0.0
        voice = call.member.voice
        record: dict[str, Any] = {"step": call.step, "role": call.member.name, "model": voice.model}
        if call.round:
            record["round"] = call.round
        record |= {"messages": [list(message) for message in call.new], **(call.about or {})}
        if replies:
            record["answer"] = replies[-1].choices[0].text
            if replies[-1].choices[0].reasoning:
                record["reasoning"] = replies[-1].choices[0].reasoning
        if len(replies) > 1:
            record["unread"] = [reply.choices[0].text for reply in replies[:-1]]
        record["temperature"] = voice.temperature
        if "seed" in voice.honours and (seed := self.request(call).seed) is not None:
            record["seed"] = seed
        record |= {"input_tokens": tokens[0], "output_tokens": tokens[1]}
        if cost is not None:
            record["cost"] = cost
        return record | {"seconds": round(sum(reply.seconds for reply in replies), 3)}
