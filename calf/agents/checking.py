"""Checks each response against each point of a checklist, alone, with tools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from calf.agents.prompts import block, joined
from calf.agents.reading import ToolCall, check_reader, check_schema
from calf.agents.session import Call, EndedError
from calf.agents.tools import use_tool
from calf.judges.prompt import mark_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.agents.prompts import Request
    from calf.agents.session import Heard, Member, Session
    from calf.agents.steps import Step
    from calf.judges.prompt import Messages
    from calf.types import Failure

__all__ = ["check_all"]

_WORDS = {"en": ("met", "not met", "not checked", "The tool {name} says:", "No tool may be used any more. Decide now."),
          "zh": ("满足", "不满足", "未能检查", "工具 {name} 的结果：", "不能再使用工具，请现在作出判断。")}  # fmt: skip


@dataclass(slots=True)
class _Check:
    """One response and one point: the conversation so far, the tools used, and what came of it."""

    side: str
    number: int
    material: Mapping[str, str | None]
    messages: Messages
    new: Messages
    used: int = 0
    met: bool | None = None
    failure: Failure | None = None
    done: bool = False


async def check_all(session: Session, member: Member, request: Request, step: Step) -> str:
    """The results as a text: each point, and for each response whether it is met.

    A check sees one response alone, whichever it is, so that both orders ask the same. Checks go on side by side, all
    that are not done one turn further at a time. One that cannot be read is not counted; a judgment needs more than
    half of the checks of each response.

    Raises:
        EndedError: too few checks could be read, or a limit is reached.
        StoppedError: no request can be sent any more.
    """
    language = "zh" if session.language.lower().startswith("zh") else "en"
    checks = [
        _begin(session, member, request, side, number)
        for number in range(len(session.points))
        for side in ("response_a", "response_b")
    ]
    prompt = request.prompt(session.language)
    while waiting := [check for check in checks if not check.done]:
        calls = []
        for check in waiting:
            tools = step.tools if check.used < step.most_tools else ()
            about = {"response": check.side, "point": check.number + 1}
            reader, schema = check_reader(bool(tools)), check_schema(tools)
            calls.append(Call(member, check.messages, check.new, prompt, reader, "check", schema, about=about))
        for check, heard in zip(waiting, await session.ask(calls), strict=True):
            _go_on(session, check, heard, step, language)
    for side in ("response_a", "response_b"):
        mine = [check for check in checks if check.side == side]
        if 2 * sum(check.met is not None for check in mine) <= len(mine):
            failure = next(check.failure for check in mine if check.failure is not None)
            raise EndedError(replace(failure, message=f"{member.name} (check): {failure.message}"))
    return _results(session, checks, language)


def _begin(session: Session, member: Member, request: Request, side: str, number: int) -> _Check:
    material = {name: session.material[name] for name in ("question", "context", "reference")}
    material["response"] = session.material[side]
    messages = member.opening.messages(session.language, material)
    text = request.text(session.language, material, (), item=session.points[number])
    messages = joined(messages, text)
    return _Check(side, number, material, messages, messages)


def _go_on(session: Session, check: _Check, heard: Heard, step: Step, language: str) -> None:
    """Takes the result, or uses the tool and tells the checker what it says."""
    if not isinstance(heard.value, ToolCall):
        check.met, check.failure, check.done = heard.value, heard.failure, True
        heard.record["met"] = heard.value
        return
    check.used += 1
    call = heard.value
    result = use_tool(call.name, call.text, step.tools, session.item.context)
    heard.record["tool"] = {"name": call.name, "input": call.text, "result": result}
    words = _WORDS[language]
    # What stands in the context, or in what the checker wrote, is no instruction either.
    shown = block("result", result, mark_for({**check.material, "result": result}))
    text = f"{words[3].format(name=call.name if call.name in step.tools else '')}\n{shown}"
    if check.used == step.most_tools:
        text += f"\n\n{words[4]}"
    check.new = (("user", text),)
    check.messages = (*check.messages, ("assistant", heard.answer), *check.new)


def _results(session: Session, checks: list[_Check], language: str) -> str:
    yes, no, unknown = _WORDS[language][:3]
    lines = []
    for number, point in enumerate(session.points):
        lines.append(f"{number + 1}. {point}")
        for check in checks:
            if check.number == number:
                word = unknown if check.met is None else yes if check.met else no
                lines.append(f"   {check.side[-1].upper()}: {word}")
    return "\n".join(lines)
