"""Panels and votes of judges of known accuracy, what `calf compare` says of cost, and what turns change."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from agents.playing import acting, comparisons, says, turn, who, write
from engine.server import ScriptedServer

import calf
from calf.cli import main
from calf.datasets.dataset import Dataset

COUNT = 200
P = 0.7


def chance(*parts: object) -> float:
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:13], 16) / 16**13


def label(number: int) -> str:
    return "response_a" if chance("label", number) < 0.5 else "response_b"


def number_of(body: dict[str, Any]) -> int:
    found = re.search(r"Question (\d+)\?", str(body["messages"]))
    assert found
    return int(found[1])


def judged(body: dict[str, Any], judge: object) -> str:
    """A verdict that is right with probability P, whatever others say of the comparison."""
    number = number_of(body)
    right = chance("right", judge, number) < P
    letter = "A" if (label(number) == "response_a") == right else "B"
    return json.dumps({"verdict": letter})


def majority(judges: int, p: float) -> float:
    """The probability that more than half of an odd number of independent judges are right."""
    return sum(math.comb(judges, k) * p**k * (1 - p) ** (judges - k) for k in range(judges // 2 + 1, judges + 1))


def overall(run: Any) -> dict[str, Any]:
    return next(row for row in run.rows if row["slice"] == "overall")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return comparisons(COUNT, label)


@pytest.mark.parametrize("judges", [1, 5])
def test_a_panel_is_as_right_as_the_binomial_says(data: Dataset, tmp_path: Path, judges: int) -> None:
    with ScriptedServer(answer=lambda body: judged(body, body["model"]), keep=False) as server:
        models = ",".join(f"judge{number}" for number in range(judges))
        options = {"models": models, "base_url": server.url}
        run = calf.evaluate("panel", data, runs=tmp_path, order="given", options=options)
        assert server.requests == COUNT * judges
    row, expected = overall(run), majority(judges, P)
    assert row["tie_rate"] == 0
    assert row["accuracy"] == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / COUNT))
    assert row["accuracy_low"] <= expected <= row["accuracy_high"]


def test_a_vote_is_as_right_as_the_binomial_says(data: Dataset, tmp_path: Path) -> None:
    with ScriptedServer(answer=lambda body: [judged(body, n) for n in range(body["n"])], keep=False) as server:
        options = {"model": "m", "base_url": server.url, "samples": 5, "honours": "n,temperature"}
        run = calf.evaluate("judge-vote", data, runs=tmp_path, order="given", options=options)
        assert server.requests == COUNT
    row, expected = overall(run), majority(5, P)
    assert row["accuracy"] == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / COUNT))
    assert row["accuracy_low"] <= expected <= row["accuracy_high"]


# ---- compare ----------------------------------------------------------------------------------------------------


def conforming(role: str, body: dict[str, Any]) -> str:
    """Public is always right, the others at first half of the time; in the second turn they follow public."""
    right = {"response_a": "A", "response_b": "B"}[label(number_of(body))]
    if role == "public" or turn(body) == 2:
        return says(right)
    return says("A" if chance(role, number_of(body)) < 0.5 else "B")


def test_compare_shows_cost_against_accuracy_and_what_turns_change(tmp_path: Path) -> None:
    data = comparisons(60, label, groups=30)
    prices = '{"input": 1, "output": 2, "currency": "EUR"}'
    answer = acting(
        lambda role, body: conforming(who(body), body) if "referee" in str(body["messages"][0]) else judged(body, 0)
    )
    with ScriptedServer(answer=answer) as server:
        options = {"model": "m", "base_url": server.url, "prices": prices}
        runs = [
            calf.evaluate("chateval", data, runs=tmp_path, order="given", options=options),
            calf.evaluate("judge-pairwise", data, runs=tmp_path, order="given", options=options),
            calf.evaluate("always-a", data, runs=tmp_path),
        ]
        again = calf.evaluate("chateval", data, runs=tmp_path / "again", order="given", options=options)
        asked = server.requests
    assert asked == 60 * 7
    found = calf.compare(runs, data)
    debate, judge, floor = found.costs
    assert {line["unit"] for line in found.costs} == {"EUR"}
    assert debate["requests"] == 6
    assert judge["requests"] == 1
    assert floor["cost"] == floor["requests"] == 0
    usage = runs[0].timing["usage"]
    assert debate["cost"] == pytest.approx(usage["cost"] / 60)
    assert debate["tokens"] == pytest.approx((usage["input_tokens"] + usage["output_tokens"]) / 60)
    assert debate["accuracy"] == 1.0
    assert [line["on_front"] for line in (debate, floor)] == [True, True]
    assert judge["on_front"] == (judge["accuracy"] > floor["accuracy"])
    assert 0 <= judge["front_share"] <= 1 == debate["front_share"]
    # Answers from the cache cost what they cost.
    cached = calf.compare([again, runs[1]], data).costs[0]
    assert again.timing["usage"]["cache_hits"] == 360
    assert cached["cost"] == pytest.approx(debate["cost"])
    (turns,) = found.turns
    assert turns["run"] == runs[0].id
    assert turns["judgments"] == 60
    assert turns["agree_last"] == 1
    assert 0.1 < turns["agree_first"] < 0.4  # both others right by chance: a quarter
    assert turns["from_label"] == turns["elsewhere"] == 0
    assert turns["net"] == turns["to_label"] == turns["changed"] == pytest.approx(1 / 3, abs=0.1)


def test_compare_prints_both_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    data = comparisons(12, label)
    with ScriptedServer(answer=acting(lambda role, body: says("A" if turn(body) == 1 else "B"))) as server:
        options = {"model": "m", "base_url": server.url}
        one = calf.evaluate("chateval", data, runs=tmp_path, options=options)
    two = calf.evaluate("always-a", data, runs=tmp_path)
    write(data, tmp_path / "made.jsonl")
    words = ["compare", one.id, two.id, "--runs", str(tmp_path), "--dataset", str(tmp_path / "made.jsonl")]
    monkeypatch.setattr(sys, "argv", ["calf", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    assert "accuracy against cost" in said.out
    assert "tokens each" in said.out
    assert "agents' turns" in said.out
    assert "on the front" in said.out
