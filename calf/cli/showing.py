"""Prints all that a run kept of one comparison."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from calf.errors import UserError
from calf.formatting import money
from calf.runs.plan import mirrored
from calf.runs.showing import show_comparison
from calf.types import LABELS, Failure, Opinion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from calf.runs.plan import Outcome
    from calf.runs.showing import Kept, Showing

__all__ = ["print_comparison"]

_INDENT = "    "
# What a model wrote must not move the cursor, rename the window, turn the line around, or fail to be written.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LETTERS = dict(zip(LABELS, ("A", "B", "same"), strict=True))


def print_comparison(path: Path, name: str, dataset: str | None, format: str) -> None:  # noqa: A002  # the option's name
    """Prints a run's judgments of one comparison, as text or, for "json", as one object.

    Raises:
        UserError: see `show_comparison`; or it is to be printed as CSV.
    """
    if format == "csv":
        raise UserError("a comparison's judgments are no table; use --format table or json")
    found = show_comparison(path, name, dataset)
    if format == "json":
        text = json.dumps(_table(path, name, found), ensure_ascii=False, indent=1)
        sys.stdout.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")
        return
    sys.stdout.writelines(f"{_UNSHOWN.sub(chr(0xFFFD), line)}\n" for line in _lines(path, name, found))


def _table(path: Path, name: str, found: Showing) -> dict[str, Any]:
    judgments = []
    for kept in found.judgments:
        told = {key: value for key, value in asdict(kept.outcome).items() if value not in (None, (), "")}
        judgments.append({"about": kept.about, "repeat": kept.repeat, **told})
    label = None if found.comparison is None else found.comparison.label
    return {"run": path.name, "comparison": name, "label": label, "judgments": judgments}


def _lines(path: Path, name: str, found: Showing) -> Iterator[str]:
    label = "" if found.comparison is None else f"; people said {found.comparison.label}"
    yield f"{path.name}: comparison {name}{label}"
    repeated = any(kept.repeat for kept in found.judgments)
    for kept in found.judgments:
        yield ""
        again = f", repeat {kept.repeat + 1}" if repeated else ""
        yield f"{_about(kept)}{again}: {_verdict(kept)}{_took(kept.outcome.usage or {}, _seconds(kept.outcome))}"
        outcome = kept.outcome
        if isinstance(outcome, Failure):
            if outcome.raw:
                yield from _indented(outcome.raw)
        elif outcome.explanation:
            yield from _indented(outcome.explanation)
        for number, turn in enumerate(() if not isinstance(outcome, (Opinion, Failure)) else outcome.transcript, 1):
            yield from _turn(number, turn)


def _about(kept: Kept) -> str:
    if kept.about == "swapped":
        return "order swapped (A is response_b)"
    return "order given" if kept.about == "given" else kept.about


def _verdict(kept: Kept) -> str:
    outcome = kept.outcome
    if isinstance(outcome, Failure):
        return f"failed, {outcome.kind}: {outcome.message}"
    if not isinstance(outcome, Opinion):
        return f"score {outcome.value:.6g}"
    swapped = kept.about == "swapped"
    shares = ""
    if outcome.probabilities is not None:
        a, b, same = outcome.probabilities
        first, second = (b, a) if swapped else (a, b)
        shares = f" (response_a {first:.2f}, response_b {second:.2f}, same {same:.2f})"
    return (mirrored(outcome.verdict) if swapped else outcome.verdict) + shares


def _seconds(outcome: Outcome) -> float | None:
    return None if isinstance(outcome, Failure) else outcome.seconds


def _took(usage: Mapping[str, Any], seconds: float | None) -> str:
    parts = []
    for key, word in (("input_tokens", "tokens in"), ("output_tokens", "out"), ("cache_hits", "from the cache")):
        if usage.get(key):
            parts.append(f"{usage[key]:,.0f} {word}")
    if usage.get("cost"):
        parts.append(f"cost {money(usage['cost'])}")
    if seconds is not None:
        parts.append(f"{seconds:.1f} s")
    return f" [{', '.join(parts)}]" if parts else ""


def _turn(number: int, turn: Mapping[str, Any]) -> Iterator[str]:
    """One turn: who, in which step, what it took, what was said, which tool was used."""
    where = f", round {turn['round']}" if turn.get("round") else ""
    model = f" ({turn['model']})" if turn.get("model") else ""
    about = "".join(f", {key} {turn[key]}" for key in ("response", "point") if key in turn)
    verdict = f": says {_LETTERS[turn['verdict']]}" if turn.get("verdict") in _LETTERS else ""
    about += "".join(f", {key} {turn[key]:.4g}" for key in ("confidence", "threshold") if key in turn)
    yield ""
    took = _took(turn, turn.get("seconds"))
    yield f"  {number}. {turn.get('role')}{model}, {turn.get('step')}{where}{about}{verdict}{took}"
    for text in turn.get("unread", ()):
        yield f"{_INDENT}(could not be read, asked again)"
        yield from _indented(text)
    if turn.get("answer"):
        yield from _indented(turn["answer"])
    if "tool" in turn:
        tool = turn["tool"]
        yield from _indented(f"-> {tool['name']}({tool['input']})")
        yield from _indented(tool["result"])
    if "failure" in turn:
        yield f"{_INDENT}failed, {turn['failure']}: {turn.get('message', '')}"


def _indented(text: str) -> Iterator[str]:
    yield from textwrap.indent(text.strip(), _INDENT).splitlines()
