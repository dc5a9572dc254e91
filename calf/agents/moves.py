"""The kinds of steps, played on one comparison: see the package's text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from calf.agents.checking import check_all
from calf.agents.prompts import joined
from calf.agents.reading import LETTERS, points_in, statement_in
from calf.agents.session import Call, EndedError
from calf.judges.verdicts import combined, shares_of, verdict_in, verdict_schema
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.agents.prompts import Request
    from calf.agents.reading import Reader
    from calf.agents.session import Heard, Member, Session
    from calf.agents.steps import Step
    from calf.judges.verdicts import Combine, Shares
    from calf.types import Verdict

__all__ = ["Outcome", "Players", "play"]

_POINTS = {
    "type": "object",
    "properties": {"points": {"type": "array", "items": {"type": "string"}}},
    "required": ["points"],
    "additionalProperties": False,
}

_STATED = frozenset({"unreadable", "refusal", "cut_off"})
"""Kinds of failure of an answer that says something, if no verdict."""


@dataclass(frozen=True, slots=True)
class Players:
    """What all comparisons share.

    Attributes:
        members: of each role.
        requests: what steps ask, by the name of their prompt.
        turns: how often rounds are repeated that do not say it.
        combine: how votes make a verdict.
    """

    members: Mapping[str, tuple[Member, ...]]
    requests: Mapping[str, Request]
    turns: int
    combine: Combine

    def of(self, step: Step) -> list[Member]:
        """The members of a step's roles, in order."""
        return [member for name in step.who for member in self.members[name]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a vote or decision came to."""

    verdict: Verdict
    shares: Shares | None
    explanation: str | None


async def play(session: Session, players: Players, steps: Sequence[Step], round_: int = 0) -> Outcome | None:
    """Play the steps in order; what the last vote or decision among them came to.

    Raises:
        EndedError: the comparison cannot be judged.
        StoppedError: no request can be sent any more.
    """
    outcome: Outcome | None = None
    for step in steps:
        if step.kind == "rounds":
            for number in range(1, (step.times or players.turns) + 1):
                outcome = await play(session, players, step.steps, number) or outcome
        elif step.kind == "speak":
            await _speak(session, players, step, round_)
        elif step.kind == "summarise":
            await _summarise(session, players, step, round_)
        elif step.kind == "checklist":
            await _write_checklist(session, players, step)
        elif step.kind == "check":
            (member,) = players.of(step)
            session.board.append((member, await check_all(session, member, players.requests[step.prompt], step)))
        else:
            outcome = await _vote(session, players, step, round_)
    return outcome


def _call(
    session: Session, players: Players, member: Member, step: Step, reader: Reader, round_: int, **options: Any
) -> Call:
    """What a member is told in a step: at first who it is and the material, then what is new, and what to do now."""
    before = session.conversation(member)
    request = players.requests[step.prompt]
    text = request.text(session.language, session.material, session.news(member, step.sees))
    messages = joined(before or member.opening.messages(session.language, session.material), text)
    new = messages[-1:] if before else messages
    return Call(member, messages, new, request.prompt(session.language), reader, step.kind, round=round_, **options)


async def _speak(session: Session, players: Players, step: Step, round_: int) -> None:
    members = players.of(step)
    waves = [members] if step.mode == "simultaneous" else [[member] for member in members]
    for wave in waves:
        reader: Reader = verdict_in if step.verdict else statement_in
        schema = verdict_schema(explain=True) if step.verdict else None
        calls = [_call(session, players, member, step, reader, round_, schema=schema) for member in wave]
        for call, heard in zip(calls, await session.ask(calls), strict=True):
            # A statement without a verdict that can be read is a statement all the same.
            if heard.failure is not None and not (heard.answer and heard.failure.kind in _STATED):
                raise EndedError(_named(heard.failure, call))
            if step.verdict:
                session.verdicts[call.member.name] = heard.record["verdict"] = heard.value
            session.keep(call, heard)
            session.board.append((call.member, heard.said))


async def _summarise(session: Session, players: Players, step: Step, round_: int) -> None:
    if not any(session.board):
        return
    (member,) = players.of(step)
    call = _call(session, players, member, step, statement_in, round_)
    heard = _must(call, (await session.ask([call]))[0])
    session.keep(call, heard)
    session.board[:] = [None] * len(session.board)
    session.board.append((member, heard.said))


async def _write_checklist(session: Session, players: Players, step: Step) -> None:
    (member,) = players.of(step)
    call = _call(session, players, member, step, points_in, 0, schema=_POINTS)
    heard = _must(call, (await session.ask([call]))[0])
    session.points = heard.value[: step.most]
    heard.record["points"] = list(session.points)


async def _vote(session: Session, players: Players, step: Step, round_: int) -> Outcome:
    """A vote, or the decision of one: of those who are asked, or without a prompt of what was said last."""
    members = players.of(step)
    votes: dict[str, tuple[Verdict, Shares | None]] = {}
    failures: list[Failure] = []
    reasons: list[str] = []
    if not step.prompt:
        last = {member.name: session.verdicts.get(member.name) for member in members}
        votes = {name: (verdict, None) for name, verdict in last.items() if verdict is not None}
        silent = [name for name in last if name not in votes]
        failures = [Failure("unreadable", f"{name} said no verdict that can be read") for name in silent]
    else:
        schema = verdict_schema(step.explain)
        calls = [
            _call(session, players, member, step, verdict_in, round_, schema=schema, logprobs=True)
            for member in members
        ]
        for call, heard in zip(calls, await session.ask(calls), strict=True):
            name = call.member.name
            session.verdicts[name] = heard.record["verdict"] = heard.value
            session.keep(call, heard)
            if heard.failure is not None:
                failures.append(_named(heard.failure, call))
                continue
            # What a server gives unasked is not relied on.
            known = "logprobs" in call.member.voice.honours and heard.choice is not None
            votes[name] = (heard.value, shares_of(heard.choice, heard.value) if known and heard.choice else None)
            reasons.append(heard.said)
    if 2 * len(votes) <= len(members):
        raise EndedError(failures[0])
    verdicts, shares = zip(*votes.values(), strict=True)
    verdict, mean = combined(verdicts, shares, players.combine)
    if len(members) == 1:
        return Outcome(verdict, mean if shares[0] is not None else None, reasons[0] if reasons else None)
    said = [LETTERS[votes[member.name][0]] if member.name in votes else "none" for member in members]
    counted = ", ".join(f"{member.name}: {letter}" for member, letter in zip(members, said, strict=True))
    return Outcome(verdict, mean, counted)


def _must(call: Call, heard: Heard) -> Heard:
    """What was heard.

    Raises:
        EndedError: nothing that can be read.
    """
    if heard.failure is not None:
        raise EndedError(_named(heard.failure, call))
    return heard


def _named(failure: Failure, call: Call) -> Failure:
    return replace(failure, message=f"{call.member.name} ({call.step}): {failure.message}")
