"""What a decision cost is what its own answers cost, however often the run was interrupted or repeated."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from agents.playing import acting, comparisons, says
from engine.server import ScriptedServer

import calf
from calf.engine.budget import Spending
from calf.errors import StoppedError

if TYPE_CHECKING:
    from pathlib import Path

PRICES = '{"input": 1000, "output": 2000}'


def test_repeating_a_run_that_fails_costs_its_decisions_nothing_more(tmp_path: Path) -> None:
    """The judge of the debate cannot be read, so that each call judges all of it again, from the cache."""
    data = comparisons(6)
    answer = acting(lambda role, body: "neither here nor there" if "judge" in role.lower() else says("A"))
    other = calf.evaluate("longer", data, runs=tmp_path)
    costs = []
    with ScriptedServer(answer=answer) as server:
        options = {"model": "m", "base_url": server.url, "prices": PRICES, "retries_unread": 0}
        for _ in range(3):
            run = calf.evaluate("debate", data, runs=tmp_path, order="given", options=options)
            costs.append(calf.compare([run, other], data).costs[0])
        sent, tokens = server.requests, sum(server.tokens.values())
    assert run.failures
    assert costs[0] == costs[1] == costs[2]
    assert costs[0]["requests"] == sent / 6
    assert costs[0]["tokens"] == tokens / 6


def test_an_interrupted_run_costs_what_its_answers_cost(tmp_path: Path) -> None:
    data = comparisons(6)
    costs = []
    for name, limits in (("whole", []), ("parts", [4, 9, 16, 30])):
        with ScriptedServer(answer=acting(lambda role, body: says("A"))) as server:
            # Another address has answers of its own in the cache.
            options = {"model": "m", "base_url": server.url, "prices": PRICES, "concurrency": 3}
            words: dict[str, Any] = {"runs": tmp_path / name, "order": "given", "options": options}
            for limit in limits:
                with pytest.raises(StoppedError):
                    calf.evaluate("chateval", data, spending=Spending(max_requests=limit), **words)
            run = calf.evaluate("chateval", data, **words)
            floor = calf.evaluate("longer", data, runs=tmp_path / name)
            assert server.requests == 36
        (line, *_) = calf.compare([run, floor], data).costs
        costs.append({key: line[key] for key in ("cost", "tokens", "requests")})
    assert costs[0] == pytest.approx(costs[1])
    assert costs[0]["requests"] == 6


def test_a_part_costs_what_it_took_though_more_is_judged(tmp_path: Path) -> None:
    data = comparisons(6, groups=6)
    with ScriptedServer(answer=acting(lambda role, body: says("A"))) as server:
        options = {"model": "m", "base_url": server.url, "concurrency": 1}
        words: dict[str, Any] = {"runs": tmp_path, "order": "given", "options": options}
        with pytest.raises(StoppedError):
            calf.evaluate("chateval", data, spending=Spending(max_requests=20), **words)
        run = calf.evaluate("chateval", data, limit=1, **words)
    floor = calf.evaluate("longer", data, runs=tmp_path)
    assert calf.compare([run, floor], data).costs[0]["requests"] == 6


def test_a_cascade_that_asks_nothing_costs_nothing(tmp_path: Path) -> None:
    data = comparisons(6).replace([dataclasses.replace(c, response_a="a b c d " * 3) for c in comparisons(6)])
    with ScriptedServer(answer='{"verdict": "A"}') as server:
        options = {"model": "m", "base_url": server.url, "prices": PRICES}
        cascade = calf.evaluate("cascade", data, runs=tmp_path, options={**options, "cheap": "longer", "share": 0.0})
        assert server.requests == 0
        judge = calf.evaluate("judge-pairwise", data, runs=tmp_path, options=options)
    costs = calf.compare([cascade, judge], data).costs
    assert [line["unit"] for line in costs] == ["USD", "USD"]
    assert costs[0]["cost"] == costs[0]["tokens"] == costs[0]["requests"] == 0
    assert costs[0]["on_front"]
    assert costs[1]["cost"] > 0
