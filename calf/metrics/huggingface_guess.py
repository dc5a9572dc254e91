"""Sensible guesses about a module of `evaluate`: which of its inputs gets which text, and which result is the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ROLES", "Input", "entry_of", "guess_key", "match_inputs", "numbers_of"]

ROLES: Mapping[str, tuple[str, ...]] = {
    "predictions": ("predictions", "candidates", "hypotheses", "responses", "answers", "outputs", "texts", "data"),
    "references": ("references", "targets", "ground_truths", "gold"),
    "sources": ("sources", "questions", "queries", "prompts", "inputs"),
    "contexts": ("contexts", "passages", "documents"),
}
"""What an input may be for - the response, the reference, the question, the context - and names that say so, which
count in the singular too."""

_SCORES = ("score", "scores", "f1", "f1_score")


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a module.

    Attributes:
        name: its name in the module's features.
        role: one of `ROLES`.
        as_list: whether it takes a list of texts for each response (several references).
    """

    name: str
    role: str
    as_list: bool


def match_inputs(module: str, features: Any, named: Mapping[str, str | None]) -> list[Input]:
    """What each input of a module gets.

    Args:
        module: the module's name, for messages.
        features: its `datasets.Features`, or a list of alternatives; of these the first whose inputs can all be had.
        named: by role, the input that the user says it is for; None to guess.

    Raises:
        OptionError: there is no such input, one is for nothing known or takes no text, or none takes the response.
    """
    alternatives = features if isinstance(features, list) else [features]
    listed = ", ".join(f"{name} ({_type_of(feature)})" for name, feature in alternatives[0].items())
    for role, name in named.items():
        if name is not None and name not in alternatives[0]:
            raise OptionError(f"module {module} has no input {name!r} for {role}; its inputs: {listed}")
    roles = {name: _role_of(name, named) for name in alternatives[0]}
    unknown = [name for name, role in roles.items() if role is None]
    if unknown:
        raise OptionError(
            f"module {module}: what its input {unknown[0]!r} is for cannot be guessed (its inputs: {listed}); "
            "say it with predictions=, references=, sources= (the question) or contexts= and the input's name"
        )
    given = list(roles.values())
    if "predictions" not in given:
        raise OptionError(f"module {module}: no input for the response; its inputs: {listed}; name it: predictions=...")
    twice = next((role for role in given if given.count(role) > 1), None)
    if twice is not None:
        raise OptionError(f"module {module} has two inputs for {twice}; its inputs: {listed}; name it: {twice}=...")
    for alternative in alternatives:
        kinds = {name: _kind_of(feature) for name, feature in alternative.items()}
        # A response that must come in parts (tokens) would have to be cut up in a way that nobody knows here.
        if all(kind == "text" or (kind == "texts" and roles[name] != "predictions") for name, kind in kinds.items()):
            return [Input(name, str(roles[name]), kind == "texts") for name, kind in kinds.items()]
    raise OptionError(f"module {module} does not judge texts; its inputs: {listed}")


def _role_of(name: str, named: Mapping[str, str | None]) -> str | None:
    for role, given in named.items():
        if given == name:
            return role
    word = name.lower()
    return next(
        (
            role
            for role, words in ROLES.items()
            if named.get(role) is None and word in {*words, *(w.removesuffix("s") for w in words)}
        ),
        None,
    )


def _kind_of(feature: Any) -> str:
    """ "text", "texts" (a list of them), or "" for all that is neither."""
    if getattr(feature, "dtype", None) in ("string", "large_string"):
        return "text"
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", None)
    return "texts" if inner is not None and not isinstance(inner, dict) and _kind_of(inner) == "text" else ""


def _type_of(feature: Any) -> str:
    kind = _kind_of(feature)
    return {"text": "text", "texts": "list of texts"}.get(kind) or " ".join(str(feature).split())


def guess_key(module: str, result: Any) -> str:
    """Which entry of the result for a single response is its score.

    The only entry that is a number (or a list of one number); else the one that is named like the module; else the only
    one that is called score, scores, f1 or f1_score.

    Raises:
        OptionError: there is none, or it is not clear which; the entries are listed.
    """
    entries = _entries(result)
    found = [key for key, value in entries.items() if numbers_of(value, 1) is not None]
    for names in (found, [module, f"{module}_score", f"{module}_scores"], list(_SCORES)):
        fit = [key for key in found if key in names]
        if len(fit) == 1:
            return fit[0]
    listed = ", ".join(map(str, entries)) or "none"
    if not found:
        raise OptionError(f"module {module} gives no number for a response; its result: {listed}")
    raise OptionError(f"module {module} gives {listed}: name the entry that is the score with key=...")


def _entries(result: Any) -> Mapping[str, Any]:
    return result if isinstance(result, Mapping) else {} if result is None else {"score": result}


def numbers_of(value: Any, count: int) -> list[float] | None:
    """`count` numbers, if the value is a list (or array) of so many, or for 1 a number; else None."""
    if hasattr(value, "tolist"):  # of numpy and torch
        value = value.tolist()
    values: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value] if count == 1 else []
    if len(values) != count or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        return None
    return [float(v) for v in values]


def entry_of(module: str, result: Any, key: str) -> Any:
    """An entry of a result; a bare number is the entry `score`.

    Raises:
        OptionError: there is no such entry.
    """
    entries = _entries(result)
    if key not in entries:
        listed = ", ".join(map(str, entries)) or "none"
        raise OptionError(f"module {module}: its result has no entry {key!r}; it has: {listed}")
    return entries[key]
