"""Concurrency, rates, and budgets: what the server counts is within them."""

from __future__ import annotations

import asyncio
import time

import pytest
from engine.helpers import ask_all, question
from engine.server import ScriptedServer, ServerProcess
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.engine.budget import Budget
from calf.engine.engine import Engine
from calf.engine.limits import Limits
from calf.engine.prices import Prices
from calf.engine.request import AskError, Reply, Usage
from calf.engine.server import Server
from calf.errors import StoppedError, UserError

PRICES = Prices(input=2.0, cached_input=0.5, output=8.0, per=1000)


def run_rounds(limits: Limits, outcomes: list[str]) -> list[int]:
    """The concurrency after each of these requests, one after another."""

    async def run() -> list[int]:
        seen = []
        for outcome in outcomes:
            limits.leave(await limits.enter(), good=outcome == "good", limited=outcome == "limited")
            seen.append(limits.concurrency)
        return seen

    return asyncio.run(run())


def test_the_concurrency_is_halved_by_many_429s_and_grows_again() -> None:
    limits = Limits(16)
    assert run_rounds(limits, ["limited"] * 16) == [16] * 7 + [8] * 8 + [4]
    assert run_rounds(limits, ["limited"] * 24)[7::8] == [2, 1, 1]
    assert run_rounds(limits, ["good"] * 6) == [2, 2, 3, 3, 3, 4]
    assert run_rounds(limits, ["good"] * 200)[-1] == 16
    assert run_rounds(limits, ["other"] * 20)[-1] == 16


def test_429s_of_requests_in_flight_together_halve_once() -> None:
    async def run() -> None:
        limits = Limits(16)
        rounds = [await limits.enter() for _ in range(16)]
        for sent_in in rounds:
            limits.leave(sent_in, limited=True)
        assert limits.concurrency == 8

    asyncio.run(run())


def test_a_429_now_and_then_changes_nothing() -> None:
    assert min(run_rounds(Limits(16), (["good"] * 9 + ["limited"]) * 30)) == 16


def test_the_server_never_sees_more_in_flight_than_the_setting() -> None:
    with ScriptedServer(latency=0.02) as server:
        outcomes = ask_all(server.url, [question(str(i)) for i in range(60)], concurrency=7)
        assert all(isinstance(outcome, Reply) for outcome in outcomes)
        assert server.max_in_flight == 7
        assert server.connections <= 7


def test_requests_per_minute() -> None:
    with ScriptedServer() as server:
        started = time.monotonic()
        ask_all(server.url, [question(str(i)) for i in range(25)], requests_per_minute=1200)  # 20 a second
        times = [seen.at for seen in server.seen]
    assert time.monotonic() - started >= 0.2
    assert all(sum(start <= at < start + 0.5 for at in times) <= 20 + 10 + 1 for start in times)


def test_tokens_per_minute() -> None:
    with ScriptedServer(answer="word " * 50) as server:  # about 60 tokens with the prompt; 1 + 100 are expected
        started = time.monotonic()
        ask_all(server.url, [question(str(i), max_tokens=100) for i in range(20)], tokens_per_minute=30_000)
        assert 0.5 <= time.monotonic() - started < 6


def test_prices() -> None:
    assert PRICES.cost(Usage(input=1000, cached_input=400, output=100)) == pytest.approx(1.2 + 0.2 + 0.8, rel=1e-12)
    assert Prices(1.0, 2.0).cost(Usage(1_000_000, 500_000, 1_000_000)) == pytest.approx(3.0, rel=1e-12)
    with pytest.raises(UserError, match="price output"):
        Prices(1.0, -2.0)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 100), st.floats(0, 100))
@settings(deadline=None)
def test_a_bound_is_never_below_the_cost(tokens: int, cached: int, output: int, price: float, other: float) -> None:
    for prices in (Prices(price, other), Prices(price, other, cached_input=other)):
        cost = prices.cost(Usage(tokens, cached, output))
        assert 0 <= cost <= prices.bound(tokens, output) * (1 + 1e-12)


def test_the_cost_is_that_of_the_tokens_the_server_counted() -> None:
    with ScriptedServer(answer="one two three", cached_tokens=3, script=["500", "empty"]) as server:
        outcomes = ask_all(server.url, [question(f"a b c {i}") for i in range(10)], prices=PRICES)
        tokens = server.tokens
    spent = sum(outcome.spent["cost"] for outcome in outcomes if isinstance(outcome, Reply))
    assert tokens["input"] == 11 * 6  # the blank answer was paid for too
    assert spent == pytest.approx(PRICES.cost(Usage(tokens["input"], tokens["cached"], tokens["output"])), rel=1e-12)


@pytest.mark.parametrize(("script", "prices"), [(["no_usage"], PRICES), ([], None)])
def test_an_unknown_cost_is_absent(script: list[str], prices: Prices | None) -> None:
    with ScriptedServer(script=script) as server:
        (reply,) = ask_all(server.url, [question()], prices=prices)
    assert isinstance(reply, Reply)
    assert "cost" not in reply.spent


def test_the_limit_of_requests_is_never_passed() -> None:
    with ServerProcess(latency=0.05, rates={"500": 0.2, "reset": 0.1}, seed=1) as server:
        outcomes = ask_all(
            server.url, [question(str(i)) for i in range(300)], concurrency=64, budget=Budget(max_requests=150)
        )
        stats = server.stats()
    assert stats["requests"] == 150
    stopped = [outcome for outcome in outcomes if isinstance(outcome, StoppedError)]
    assert "a higher --max-requests continues" in str(stopped[0])
    answered = sum(isinstance(outcome, Reply) for outcome in outcomes)
    assert answered == len(stats["good"])  # what was paid for was given
    assert len(stopped) + answered + sum(isinstance(outcome, AskError) for outcome in outcomes) == 300


def test_the_limit_of_cost_is_never_passed_and_nearly_reached() -> None:
    limit = 40.0
    with ServerProcess(answer="word " * 90, latency=0.02) as server:
        requests = [question(f"{i} " + "word " * (i % 50), max_tokens=100) for i in range(300)]
        budget = Budget(max_cost=limit)
        outcomes = ask_all(server.url, requests, concurrency=64, prices=PRICES, budget=budget)
        stats = server.stats()
    paid = PRICES.cost(Usage(stats["tokens"]["input"], 0, stats["tokens"]["output"]))
    assert budget.cost == pytest.approx(paid, rel=1e-9)
    assert limit - 2.0 < paid <= limit  # one request may cost at most 1.6
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == len(stats["good"]) == stats["requests"]
    assert any("a higher --max-cost continues" in str(outcome) for outcome in outcomes)


def test_what_may_have_been_billed_is_charged_to_the_budget(quick: None) -> None:
    with ScriptedServer(script=["hang", "500", "half"]) as server:
        budget = Budget(max_cost=1000.0)
        (reply,) = ask_all(server.url, [question(max_tokens=10)], prices=PRICES, budget=budget, timeout=0.2)
    assert isinstance(reply, Reply)
    bound = PRICES.bound(0, 10)
    assert budget.cost > reply.spent["cost"] + 2 * bound
    assert budget.requests == 4


def test_earlier_sessions_count() -> None:
    with ScriptedServer() as server:
        budget = Budget(max_requests=5, requests=4)
        outcomes = ask_all(server.url, [question(str(i)) for i in range(3)], budget=budget)
        assert server.requests == 1
        assert sum(isinstance(outcome, StoppedError) for outcome in outcomes) == 2


def test_a_limit_of_time_stops() -> None:
    with ScriptedServer(latency=0.1) as server:
        outcomes = ask_all(
            server.url, [question(str(i)) for i in range(50)], concurrency=2, budget=Budget(max_seconds=0.0)
        )
        assert any("limit of 0 seconds" in str(outcome) for outcome in outcomes)


def test_a_limit_of_cost_needs_prices() -> None:
    with pytest.raises(UserError, match="--max-cost needs prices"):
        Engine(Server("http://127.0.0.1:1/v1", "m"), budget=Budget(max_cost=1.0))
    with pytest.raises(UserError, match="--max-requests"):
        Budget(max_requests=-1)
