"""A metric's options: read from its constructor, parsed, checked, and written the same way everywhere.

`bertscore[layer=9,model=roberta-large]` is a variant: a name and its options. Values with commas or brackets go in
double quotes.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Option",
    "check_options",
    "environment_secrets",
    "holds_secret",
    "is_secret",
    "options_of",
    "parse_pairs",
    "parse_spec",
    "shown_name",
    "write_spec",
]

_SPEC = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<options>.*)\])?", re.DOTALL)
_PAIR = re.compile(r"""\s*(?P<key>[^=,"]+?)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^,"]*))\s*(?:,|$)""")
_SECRET = re.compile(
    r"(\w+_)?(api_?key|passw(or)?d|secret)|token|(access|auth|hf|bearer)_token|authorization|credentials?|bearer",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r".*(key|token|secret|passw(or)?d)", re.IGNORECASE)
_LONGEST_NAME = 32
_LEAST = 8  # characters of what is taken for a key where it is found by accident
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"([?&][\w-]*(?:key|token|secret|password|signature)=)[^&\s]+", re.IGNORECASE)
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a metric: its name, the types it takes, and its default."""

    name: str
    annotation: Any
    default: Any
    required: bool

    @property
    def kind(self) -> str:
        """The type in words, e.g. "f1|precision|recall" or "int or none"."""
        words = []
        for part in _alternatives(self.annotation):
            if typing.get_origin(part) is Literal:
                words.append("|".join(map(str, typing.get_args(part))))
            else:
                words.append("none" if part is types.NoneType else getattr(part, "__name__", str(part)))
        return " or ".join(words)

    @property
    def is_table(self) -> bool:
        """Whether only tables or lists fit, which a definition can hold and a command line cannot."""
        return all((typing.get_origin(part) or part) in (dict, list) for part in _alternatives(self.annotation))


def is_secret(name: str) -> bool:
    """Whether an option's value must never be written anywhere (`api_key`, `token`, ...)."""
    return _SECRET.fullmatch(name) is not None


def shown_name(name: str) -> str:
    """An option's name as a message may repeat it: what cannot be one may be a key, whose end is a `=`."""
    return name if name.isidentifier() and len(name) <= _LONGEST_NAME else "(hidden)"


def environment_secrets() -> tuple[str, ...]:
    """The values of environment variables that are named like keys, tokens or passwords."""
    named = (value.strip() for name, value in os.environ.items() if _VARIABLE.fullmatch(name))
    return tuple(value for value in named if len(value) >= _LEAST)


def holds_secret(value: Any, secrets: Sequence[str]) -> bool:
    """Whether a value that is written somewhere repeats one of these; those that may be any word do not count."""
    text = str(value)
    return any(len(secret) >= _LEAST and secret in text for secret in secrets)


def options_of(metric: type[Any]) -> dict[str, Option]:
    """The options of a metric class: the keyword parameters of its constructor.

    Where the constructor takes `**others`, the options of the base class's constructor, to which it hands them, follow.

    Raises:
        OptionError: a parameter's annotation cannot be understood.
    """
    found: dict[str, Option] = {}
    for cls in metric.__mro__:
        constructor = vars(cls).get("__init__")
        if constructor is None:
            continue
        if cls is object:
            break
        try:
            hints = typing.get_type_hints(constructor)
        except Exception as error:  # an annotation may be any expression
            problem = f"an annotation of __init__ is unknown: {error}"
            raise OptionError(f"metric class {metric.__qualname__}: {problem}") from None
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            required = parameter.default is parameter.empty
            annotation = hints.get(parameter.name, str if required else _type_of(parameter.default))
            option = Option(parameter.name, annotation, None if required else parameter.default, required)
            found.setdefault(parameter.name, option)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def _type_of(default: Any) -> Any:
    return str | None if default is None else type(default)


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Splits `name[key=value,...]` into the name and its options, as text.

    Raises:
        OptionError: the brackets or a pair are malformed.
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        # Of what is in brackets nothing is repeated: a key may be in it.
        raise OptionError(f"metric {spec.partition('[')[0]!r}: brackets are malformed; write name[key=value,key=value]")
    name, inner = match["name"].strip(), match["options"]
    pairs: dict[str, str] = {}
    at = 0
    while inner and at < len(inner):
        pair = _PAIR.match(inner, at)
        if pair is None:
            which = f"option {len(pairs) + 1} in brackets"
            raise OptionError(f"metric {name!r}: cannot read {which}; write key=value, separated by commas")
        quoted = pair["quoted"]
        value = pair["plain"].strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        _add(pairs, pair["key"], value, f"metric {name!r}")
        at = pair.end()
    return name, pairs


def parse_pairs(pairs: Sequence[str], flag: str) -> dict[str, str]:
    """Reads repeated `key=value` arguments of the option `flag`.

    Raises:
        OptionError: one has no `=`, or a key stands twice.
    """
    found: dict[str, str] = {}
    for number, pair in enumerate(pairs, 1):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            what = f"{flag} number {number}" if flag == "-o" else f"{flag} {pair!r}"  # an option may be a key
            raise OptionError(f"{what}: write {flag} key=value")
        _add(found, key.strip(), value, flag)
    return found


def write_spec(name: str, options: Mapping[str, Any], secrets: Sequence[str] = ()) -> str:
    """`name[key=value,...]`, keys sorted, without secrets (known by name, or in `secrets`)."""
    parts = []
    for key in sorted(options):
        if is_secret(key) or key in secrets:
            continue
        text = write_value(options[key])
        if re.search(r'[,\[\]"\\]', text) or text != text.strip():
            text = '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
        parts.append(f"{key}={text}")
    return f"{name}[{','.join(parts)}]" if parts else name


def write_value(value: Any) -> str:
    """An option's value as text: true, false and none in lower case; without the credentials that a URL may hold."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return _QUERY.sub(r"\1...", _USER.sub("", str(value)))


def check_options(
    metric: str, known: Mapping[str, Option], given: Mapping[str, Any], secrets: Sequence[str] = ()
) -> dict[str, Any]:
    """The given options with their right types.

    Args:
        metric: the metric's name, for messages.
        known: its options.
        given: values as text (command line) or already typed (TOML, Python).
        secrets: names of options whose values no message may hold, besides those that are known by name.

    Raises:
        OptionError: an unknown name, with a suggestion, or a value of a wrong type.
    """
    checked = {}
    for name, value in given.items():
        option = known.get(name)
        if option is None:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            listed = ", ".join(sorted(known)) or "none"
            shown = shown_name(name)
            raise OptionError(f"metric {metric!r} has no option {shown!r}{hint} (its options: {listed})")
        checked[name] = _convert(metric, option, value, hidden=is_secret(name) or name in secrets)
    return checked


def _add(pairs: dict[str, str], key: str, value: str, where: str) -> None:
    if key in pairs:
        raise OptionError(f"{where}: option {key!r} is given twice")
    pairs[key] = value


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _convert(metric: str, option: Option, value: Any, *, hidden: bool) -> Any:
    """`value` as one of the option's types: text is parsed, typed values must fit."""
    parts = _alternatives(option.annotation)
    for part in sorted(parts, key=lambda p: p is str):  # text is what fits when nothing else does
        result = _as_type(part, value)
        if result is not _NO:
            return result
    shown = "(hidden)" if hidden else repr(write_value(value) if isinstance(value, str) else value)
    choices = [str(c) for part in parts if typing.get_origin(part) is Literal for c in typing.get_args(part)]
    close = difflib.get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise OptionError(f"metric {metric!r}: option {option.name}={shown} must be {option.kind}{hint}")


_NO = object()


def _as_type(part: Any, value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else None
    if part is types.NoneType:
        return None if value is None or (text is not None and text.lower() in ("none", "null")) else _NO
    if typing.get_origin(part) is Literal:
        return next((c for c in typing.get_args(part) if value == c or (text is not None and text == str(c))), _NO)
    if part is bool:
        if isinstance(value, bool):
            return value
        return True if text and text.lower() in _TRUE else False if text and text.lower() in _FALSE else _NO
    if part in (int, float):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and (part is float or value == int(value)):
            return part(value)
        try:
            return _NO if text is None else part(text)
        except ValueError:
            return _NO
    if part is str:
        return value if isinstance(value, str) else _NO
    kind = typing.get_origin(part) or part  # of list[int], list
    return value if part is Any or (isinstance(kind, type) and isinstance(value, kind)) else _NO
