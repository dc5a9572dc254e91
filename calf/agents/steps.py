"""Roles and steps as a definition has them: read strictly, once, before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from calf.errors import OptionError
from calf.judges.base import Judge
from calf.metrics.options import check_options, options_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROLE_OPTIONS", "Kind", "Mode", "Role", "Sees", "Step", "every_step", "read_roles", "read_steps"]

Kind = Literal["speak", "summarise", "rounds", "checklist", "check", "vote", "decide"]
Mode = Literal["one-by-one", "simultaneous"]
Sees = Literal["all", "last", "nothing"]

ROLE_OPTIONS = (
    "model", "base_url", "key_variable", "structured", "honours", "max_tokens", "max_tokens_parameter", "temperature",
    "extra", "prices", "engine",
)  # fmt: skip
"""The options of a judge that a role may have for itself."""

_ROLE_KEYS = frozenset({"prompt", "persona", "title", "copies", "each_model", *ROLE_OPTIONS})
_STEP_KEYS: Mapping[Kind, frozenset[str]] = {
    "speak": frozenset({"who", "prompt", "mode", "sees", "verdict"}),
    "summarise": frozenset({"who", "prompt"}),
    "rounds": frozenset({"steps", "times"}),
    "checklist": frozenset({"who", "prompt", "most"}),
    "check": frozenset({"who", "prompt", "tools", "most_tools"}),
    "vote": frozenset({"who", "prompt", "sees", "explain"}),
    "decide": frozenset({"who", "prompt", "sees", "explain"}),
}
_NEED_PROMPT = frozenset({"speak", "summarise", "checklist", "check", "decide"})
_ONE_ROLE = frozenset({"summarise", "checklist", "check", "decide"})


@dataclass(frozen=True, slots=True)
class Role:
    """Whom to ask.

    Attributes:
        name: in transcripts.
        prompt: the name of the prompt that opens its conversation.
        persona: the name of a text that comes before that prompt's system section; "" for none.
        title: what other roles call it, by language; English for languages that are not named, its name if none is.
        copies: how many of them there are.
        each_model: whether there is one for each of the option `models`.
        options: options of a judge that are its own.
    """

    name: str
    prompt: str
    persona: str = ""
    title: Mapping[str, str] = field(default_factory=dict)
    copies: int = 1
    each_model: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens.

    Attributes:
        kind: see the package's text.
        who: the roles that are asked.
        prompt: the name of the prompt that says what to do now; "" where nobody is asked.
        mode: whether each speaker hears those before it in the same step.
        sees: what a role is shown of the board: all that is new to it, the last of that, or nothing.
        verdict: whether speakers are to state a verdict, and are asked again if it cannot be read.
        explain: whether a vote or decision says why; a schema then has a field for it.
        steps: what rounds repeat.
        times: how often; None: the option `turns`.
        most: how many points a checklist has at most.
        tools: what a checker may use.
        most_tools: how often for one point.
    """

    kind: Kind
    who: tuple[str, ...] = ()
    prompt: str = ""
    mode: Mode = "one-by-one"
    sees: Sees = "all"
    verdict: bool = False
    explain: bool = False
    steps: tuple[Step, ...] = ()
    times: int | None = None
    most: int = 8
    tools: tuple[str, ...] = ()
    most_tools: int = 3


def every_step(steps: Sequence[Step]) -> Iterator[Step]:
    """All steps, those within rounds too."""
    for step in steps:
        yield step
        yield from every_step(step.steps)


def read_roles(tables: Mapping[str, Any], prompts: Mapping[str, Any]) -> dict[str, Role]:
    """The roles of a definition.

    Raises:
        OptionError: a key is unknown, missing or of a wrong type, or a prompt is not there.
    """
    if not tables:
        raise OptionError("roles: a system needs at least one role")
    return {name: _role(name, table, prompts) for name, table in tables.items()}


def read_steps(
    tables: Sequence[Any], roles: Mapping[str, Role], prompts: Mapping[str, Any], tools: Sequence[str]
) -> tuple[Step, ...]:
    """The steps of a definition; the last one makes the verdict.

    Args:
        tables: as TOML gives them.
        roles: what `who` may name.
        prompts: what `prompt` may name.
        tools: what `tools` may name.

    Raises:
        OptionError: a step is not as it must be.
    """
    steps = tuple(_step(table, f"step {n}", roles, prompts, tools) for n, table in enumerate(tables, 1))
    if not steps or steps[-1].kind not in ("vote", "decide"):
        raise OptionError("steps: the last step must be a vote or decide, which makes the verdict")
    flat = list(every_step(steps))
    kinds = [step.kind for step in flat]
    if "check" in kinds and "checklist" not in kinds[: kinds.index("check")]:
        raise OptionError("steps: check needs a checklist before it")
    checkers = {name for step in flat if step.kind == "check" for name in step.who}
    checks = {step.prompt for step in flat if step.kind == "check"}
    for step in flat:
        # A check's conversation is about one response, and its prompt about one point.
        if step.kind != "check" and (busy := checkers.intersection(step.who)):
            raise OptionError(f"steps: {min(busy)!r} checks single responses: another role must {step.kind}")
        if step.kind != "check" and step.prompt in checks:
            raise OptionError(f"steps: the prompt {step.prompt!r} is for check, and cannot be for {step.kind}, too")
    spoken = {name for step in flat if step.kind == "speak" and step.verdict for name in step.who}
    for step in flat:
        if step.kind == "vote" and not step.prompt and not spoken.issuperset(step.who):
            silent = min(set(step.who) - spoken)
            raise OptionError(f"steps: {silent!r} votes but is never asked for a verdict; give the vote a prompt")
    return steps


def _role(name: str, table: Any, prompts: Mapping[str, Any]) -> Role:
    where = f"role {name!r}"
    _check_keys(where, table, _ROLE_KEYS)
    title = table.get("title", {})
    if not isinstance(title, Mapping) or not all(isinstance(text, str) for text in title.values()):
        raise OptionError(f'{where}: title is a table of languages, like {{ en = "Critic" }}')
    try:
        options = check_options("", options_of(Judge), {key: table[key] for key in ROLE_OPTIONS if key in table})
    except OptionError as error:
        said = str(error).removeprefix("metric '': ")
        raise OptionError(f"{where}: {said}") from None
    role = Role(
        name,
        _prompt(where, table, "prompt", prompts),
        _prompt(where, table, "persona", prompts) if "persona" in table else "",
        title,
        _number(where, table, "copies", 1),
        _flag(where, table, "each_model"),
        options,
    )
    if role.each_model and ("model" in options or role.copies > 1):
        raise OptionError(f"{where}: each_model goes neither with model nor with copies")
    return role


def _step(table: Any, where: str, roles: Mapping[str, Role], prompts: Mapping[str, Any], tools: Sequence[str]) -> Step:
    named = table.get("kind") if isinstance(table, Mapping) else None
    kind = next((known for known in _STEP_KEYS if known == named), None)
    if kind is None:
        raise OptionError(f"{where}: its kind is one of {', '.join(_STEP_KEYS)}, not {named!r}")
    where = f"{where} ({kind})"
    _check_keys(where, table, _STEP_KEYS[kind] | {"kind"})
    if kind == "rounds":
        inner = table.get("steps", [])
        if not isinstance(inner, (list, tuple)):
            raise OptionError(f"{where}: steps is a list of steps, not {inner!r}")
        if not inner:
            raise OptionError(f"{where}: it has no steps")
        times = _number(where, table, "times", 1) if "times" in table else None
        parts = tuple(_step(one, f"{where}, step {n}", roles, prompts, tools) for n, one in enumerate(inner, 1))
        return Step("rounds", steps=parts, times=times)
    who = _list(where, table, "who")
    unknown = [name for name in who if name not in roles]
    if not who or unknown or len(set(who)) < len(who):
        what = f"no role {unknown[0]!r}" if unknown else "names roles, each once"
        raise OptionError(f"{where}: who: {what}; roles: {', '.join(roles)}")
    if kind in _ONE_ROLE and (len(who) > 1 or roles[who[0]].copies > 1 or roles[who[0]].each_model):
        raise OptionError(f"{where}: one role does this")
    has_prompt = kind in _NEED_PROMPT or "prompt" in table
    used = _list(where, table, "tools")
    wrong = [name for name in used if name not in tools]
    if wrong:
        raise OptionError(f"{where}: no tool {wrong[0]!r}; tools: {', '.join(tools)}")
    return Step(
        kind,
        who,
        _prompt(where, table, "prompt", prompts) if has_prompt else "",
        _choice(where, table, "mode", get_args(Mode), "one-by-one"),
        _choice(where, table, "sees", get_args(Sees), "all"),
        _flag(where, table, "verdict"),
        _flag(where, table, "explain"),
        most=_number(where, table, "most", 8),
        tools=used,
        most_tools=_number(where, table, "most_tools", 3),
    )


def _check_keys(where: str, table: Any, known: frozenset[str]) -> None:
    if not isinstance(table, Mapping):
        raise OptionError(f"{where}: must be a table")
    unknown = sorted(set(table) - known)
    if unknown:
        raise OptionError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")


def _prompt(where: str, table: Mapping[str, Any], key: str, prompts: Mapping[str, Any]) -> str:
    name = table.get(key)
    if not isinstance(name, str) or name not in prompts:
        raise OptionError(f"{where}: {key} names one of the prompts {', '.join(prompts) or '(none)'}, not {name!r}")
    return name


def _list(where: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"{where}: {key} is a name or a list of names, not {value!r}")
    return tuple(names)


def _flag(where: str, table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise OptionError(f"{where}: {key} is true or false, not {value!r}")
    return value


def _number(where: str, table: Mapping[str, Any], key: str, default: int) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{where}: {key} is a whole number, 1 or more, not {value!r}")
    return value


def _choice(where: str, table: Mapping[str, Any], key: str, known: Sequence[Any], default: Any) -> Any:
    value = table.get(key, default)
    if value not in known:
        raise OptionError(f"{where}: {key} is {' or '.join(known)}, not {value!r}")
    return value
