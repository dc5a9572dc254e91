"""Metrics that are asked about many items at once."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from calf.errors import StoppedError, UserError
from calf.metrics.base import Response
from calf.runs.concurrent import ask_concurrently
from calf.runs.plan import Unit
from calf.types import Failure, Score


def units(count: int) -> list[Unit]:
    return [Unit(f"k{i}", Response("q", "", None, str(i), "en")) for i in range(count)]


class Waiting:
    """Scores an item with its number after a while; counts how many are under way."""

    window = 7

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.now = self.most = self.begun = self.closed = 0

    async def score_one(self, item: Response) -> float:
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
            return await self.value(int(item.response))
        finally:
            self.now -= 1

    async def value(self, number: int) -> float:
        return float(number)

    async def close(self) -> None:
        self.closed += 1


def gather(metric: object, items: list[Unit], found: dict[str, object] | None = None) -> dict[str, object]:
    found = {} if found is None else found
    for part in ask_concurrently(metric, "response", items):
        assert part
        assert not set(part) & set(found)
        found.update(part)
    return found


def test_every_item_once_and_never_more_than_the_window_at_once():
    metric = Waiting()
    start = time.perf_counter()
    found = gather(metric, units(50))
    assert found == {f"k{i}": Score(float(i)) for i in range(50)}
    assert metric.most == 7
    assert metric.closed == 1
    assert time.perf_counter() - start < 50 * 0.01 * 4  # not one after the other, on however slow a machine
    assert not any(thread.name == "calf-judgments" for thread in threading.enumerate())


def test_no_item_at_all():
    assert gather(Waiting(), []) == {}


def test_an_exception_is_its_items_own():
    class Broken(Waiting):
        async def value(self, number: int) -> float:
            if number % 3 == 1:
                raise ConnectionError("gone with sk-secret")
            return float("nan") if number % 3 == 2 else 1.0

    found = {}
    for part in ask_concurrently(Broken(), "response", units(9), ["sk-secret"]):
        found.update(part)
    kinds = [getattr(found[f"k{i}"], "kind", "") for i in range(9)]
    assert kinds == ["", "error", "bad_output"] * 3
    assert found["k1"].message.startswith("ConnectionError: gone with (hidden)")


def test_when_it_cannot_go_on_what_is_under_way_is_kept():
    class Limited(Waiting):
        async def value(self, number: int) -> float:
            if number == 10:
                raise StoppedError("the budget is used up")
            await asyncio.sleep(0.05)
            return 1.0

    metric, found = Limited(), {}
    with pytest.raises(StoppedError, match="budget"):
        gather(metric, units(200), found)
    assert "k10" not in found
    assert len(found) == metric.begun - 1  # everything that was begun was waited for
    assert metric.begun < 40
    assert metric.closed == 1


def test_a_caller_that_stops_cancels_what_is_under_way():
    metric = Waiting(seconds=0.02)
    asking = ask_concurrently(metric, "response", units(1000))
    next(asking)
    asking.close()
    begun = metric.begun
    time.sleep(0.1)
    assert metric.begun == begun < 1000
    assert metric.now == 0
    assert metric.closed == 1


def test_a_metric_that_cannot_close_says_so():
    class Stuck(Waiting):
        async def close(self) -> None:
            raise UserError("cannot close")

    with pytest.raises(UserError, match="cannot close"):
        gather(Stuck(), units(2))


def test_what_a_failure_cost_is_kept():
    class Refused(Waiting):
        async def score_one(self, item: Response) -> Failure:
            return Failure("refusal", "no", "I cannot", {"output_tokens": 3})

    assert gather(Refused(), units(1))["k0"] == Failure("refusal", "no", "I cannot", {"output_tokens": 3.0})
