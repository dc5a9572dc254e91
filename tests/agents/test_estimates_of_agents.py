"""What a system of several models will take is counted for each of them, by its own prices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from agents.playing import says
from engine.server import ScriptedServer
from typer.testing import CliRunner

import calf
from calf.cli.app import app
from calf.datasets.load import load_dataset
from calf.datasets.selecting import select
from calf.engine.prices import Prices
from calf.engine.request import Addressed
from calf.engine.tokens import count_tokens
from calf.errors import OptionError
from calf.metrics.registry import load_metric
from calf.runs.forecasts import Counter, Forecast, Share, Tally
from calf.runs.plan import plan

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://127.0.0.1:1/v1"
CHEAP = {"input": 1.0, "output": 2.0}
DEAR = {"input": 100.0, "output": 300.0, "cached_input": 10.0}


def panel(**prices: Any) -> dict[str, Any]:
    return {
        "models": ",".join(prices) or "small,large", "model": "small", "base_url": URL, "max_tokens": 50,
        "answer_tokens": 20, "prices": json.dumps(prices),
    }  # fmt: skip


def test_each_models_requests_are_priced_as_its_own(tmp_path: Path) -> None:
    options = panel(small=CHEAP, large=DEAR)
    found = calf.estimate("panel", "sample", limit=6, options=options, runs=tmp_path, cache=False)
    assert found is not None
    metric: Any = load_metric("panel", **options).instance
    asked: dict[str, Addressed] = {}
    chosen = select(load_dataset("sample"), (), (), (), 6, 0).comparisons
    for unit in plan(load_metric("panel", **options), chosen, "both", 1):
        for server, request in metric.forecast(unit.item):
            asked[request.key(server)] = Addressed(server, request)
    least = dearest = expected = 0.0
    for server, request in asked.values():
        prices = CHEAP if server.model == "small" else DEAR
        tokens = 3 + sum(4 + count_tokens(text, server.model)[0] for _, text in request.messages)
        least += tokens * prices.get("cached_input", prices["input"]) / 1e6
        expected += (tokens * prices["input"] + 20 * prices["output"]) / 1e6
        dearest += (tokens * prices["input"] + 50 * prices["output"]) / 1e6
    assert found.requests == len(asked) == 2 * found.items
    assert {share.model: share.sent.requests for share in found.shares} == {"small": 12, "large": 12}
    assert (found.least_cost, found.expected.cost, found.most_cost) == pytest.approx((least, expected, dearest))
    assert found.currency == "USD"


def test_a_model_without_prices_leaves_the_cost_unknown(tmp_path: Path) -> None:
    options = {**panel(small=CHEAP), "models": "small,large"}
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    words += ["--metric", "panel", "--limit", "6", "--runs", str(tmp_path)]
    shown = " ".join(CliRunner().invoke(app, ["estimate", *words]).output.split())
    assert "no prices of large are known" in shown
    assert "2 models; nothing was sent" in shown
    found = json.loads(CliRunner().invoke(app, ["estimate", *words, "--format", "json"]).output)
    assert found["least_cost"] is found["most_cost"] is found["expected"]["cost"] is found["currency"] is None


def test_currencies_are_not_added() -> None:
    with pytest.raises(OptionError, match="prices are in EUR and USD, which cannot be added; give all in one"):
        _ = load_metric("panel", **panel(small=CHEAP, large={**DEAR, "currency": "EUR"})).instance


def test_the_most_that_it_can_cost_is_paid_where_all_answers_are_as_long_as_they_may_be(tmp_path: Path) -> None:
    long = says("A", "word " * 46)
    with ScriptedServer(answer=long) as server:
        options = {"model": "small", "base_url": server.url, "max_tokens": 50, "answer_tokens": 5}
        options["prices"] = json.dumps({"input": 3, "output": 3})
        most = calf.estimate("chateval", "sample", limit=6, options=options, runs=tmp_path, cache=False)
        calf.evaluate("chateval", "sample", limit=6, options=options, runs=tmp_path)
        bodies = [seen.body for seen in server.seen]
    assert most is not None
    assert most.most_cost is not None
    assert len(bodies) == 6 * most.items
    tokens = sum(3 + sum(4 + count_tokens(m["content"], "small")[0] for m in body["messages"]) for body in bodies)
    paid = (tokens + 50 * len(bodies)) * 3 / 1e6
    assert paid <= most.most_cost < 1.1 * paid


def test_nothing_costs_nothing_whatever_the_prices() -> None:
    nothing = Counter().forecast([])
    assert (nothing.sent, nothing.cost(1, 0, 5), nothing.bound(1)) == (Tally(), 0, 0)
    free = Forecast((Share("m", URL, Tally(3, 3, 30, 90), Prices(0, 0)),))
    assert (free.cost(1, 0, 5), free.currency) == (0, "USD")
