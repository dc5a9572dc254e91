"""Scripted agents: a server that knows by a prompt who is asked in which step, and the systems that ask it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from calf.datasets.dataset import Dataset
from calf.engine.budget import Spending
from calf.metrics.base import Pair, Preparation
from calf.metrics.registry import load_metric
from calf.types import Comparison

FRESH = Spending(cache=False)

Play = Callable[[str, dict[str, Any]], Any]
"""An answer, from the persona that is asked and the body."""

PERSONAS = {
    "You are the general public": "public",
    "You are the critic": "critic",
    "You are a news author": "author",
    "You keep the minutes": "summariser",
    "You are the advocate of response A": "advocate-a",
    "You are the advocate of response B": "advocate-b",
    "You are the judge of a debate": "judge",
    "You prepare the checking": "planner",
    "You check whether": "checker",
    "You compare two responses": "judge",
}


def pair(first: str = "It rains in June.", second: str = "It is dry.", **changes: Any) -> Pair:
    item = Pair(
        id="c1", question="When does it rain?", context="", reference="In June.", response_a=first, response_b=second,
        language="en", setting="model_vs_model", subject=None, source_a=None, source_b=None, order="given", repeat=0,
    )  # fmt: skip
    return dataclasses.replace(item, **changes)


def comparisons(count: int, label: Callable[[int], str] = lambda i: "response_a", groups: int | None = None) -> Dataset:
    return Dataset(
        "made",
        tuple(
            Comparison(
                f"c{i}", f"Question {i}?", f"Context {i}.", f"Reference {i}.", f"First {i}.", f"Second {i}.",
                "model_vs_model", label(i), "en", group=f"g{i % (groups or count)}",  # type: ignore[arg-type]  # a label
            )
            for i in range(count)
        ),
    )  # fmt: skip


def made(name: str, url: str, **options: Any) -> Any:
    return load_metric(name, **{"model": "m", "base_url": url, **options}).instance


def ask(metric: Any, items: Iterable[Any], spending: Spending = FRESH) -> list[Any]:
    """What the metric says of each item, all asked at once."""
    metric.prepare(Preparation((), 0, spending=spending))

    async def run() -> list[Any]:
        try:
            return await asyncio.gather(*map(metric.judge_one, items))
        finally:
            await metric.close()

    return asyncio.run(run())


def who(body: dict[str, Any]) -> str:
    """The role that a request is for."""
    system = body["messages"][0]["content"]
    return next(name for begins, name in PERSONAS.items() if system.startswith(begins))


def acting(play: Play) -> Callable[[dict[str, Any]], Any]:
    """The answers of a server, by who is asked."""
    return lambda body: play(who(body), body)


def last(body: dict[str, Any]) -> str:
    """What the role is told now."""
    return str(body["messages"][-1]["content"])


def heard(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Who is shown to have said what, in the newest message."""
    blocks = re.findall(r"^([^\n]+):\n<said_(\w+)>\n(.*?)\n</said_\2>", last(body), re.S | re.M)
    return [(speaker, text) for speaker, _, text in blocks]


def turn(body: dict[str, Any]) -> int:
    """Which turn of the role it is, from 1."""
    return 1 + sum(message["role"] == "assistant" for message in body["messages"])


def says(verdict: str, why: str = "Because.") -> str:
    return f"{why}\nVerdict: {verdict}"


def block(body: dict[str, Any], name: str) -> str:
    """What stands in a block of the first user message."""
    text = next(message["content"] for message in body["messages"] if message["role"] == "user")
    found = re.search(rf"<{name}_(\w+)>\n(.*?)\n</{name}_\1>", text, re.S)
    assert found, name
    return found[2]


def told(outcome: Any) -> list[tuple[str, str, str | None]]:
    """Step, role and verdict of each turn of a transcript."""
    return [(turn["step"], turn["role"], turn.get("verdict")) for turn in outcome.transcript]


def as_json(**values: Any) -> str:
    return json.dumps(values)


def write(data: Dataset, path: Path) -> None:
    """The dataset as a file."""
    names = [
        "id",
        "question",
        "context",
        "reference",
        "response_a",
        "response_b",
        "setting",
        "label",
        "language",
        "group",
    ]
    path.write_text("".join(json.dumps({name: getattr(c, name) for name in names}) + "\n" for c in data))
