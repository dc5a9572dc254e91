"""What a run sent and paid, in every table: as the server counted it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from cli.judging import server, tiny
from engine.server import ScriptedServer

from calf.evaluation import evaluate
from calf.formatting import duration, money, whole
from calf.runs.store import RunFolder
from calf.runs.timing import Session
from calf.runs.usage import spent_of
from calf.types import Failure, Opinion

__all__ = ["server", "tiny"]


def test_every_table_says_what_the_server_counted(
    calf: Any, tiny: Any, server: ScriptedServer, workspace: Path
) -> None:
    server.script.cached_tokens = 40
    server.script.script = ["500", None, "429"]
    judge = (*tiny(server.url), "--limit", "30")
    table = calf("evaluate", *judge).stdout
    counted = server.tokens
    assert server.requests == len(server.attempts) + 2
    (run,) = json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]
    assert (run["requests"], run["retries"], run["cache_hits"]) == (server.requests, 2, 0)
    assert (run["input_tokens"], run["cached_input_tokens"]) == (counted["input"], counted["cached"])
    assert run["output_tokens"] == counted["output"]
    fresh = counted["input"] - counted["cached"]
    cost = (2.5 * fresh + 1.25 * counted["cached"] + 10 * counted["output"]) / 1e6
    assert run["cost"] == pytest.approx(cost)
    assert 0 < run["latency"] < 1
    for text in (table, calf("runs", "show", run["id"]).stdout):
        line = " ".join(text[text.index("tiny[base_url", text.index("people preferred")) :].split())
        assert f"{server.requests} requests (2 again)" in line
        assert f"tokens {whole(counted['input'])} in ({whole(counted['cached'])} cached)" in line
        assert f"{whole(counted['output'])} out, cost {money(cost)} USD, 0 from the cache" in line
        assert line.endswith("a judgment.")
    shown = json.loads(calf("runs", "show", run["id"], "--format", "json").stdout)
    assert shown["usage"][run["id"]]["cost"] == pytest.approx(cost)

    calf("evaluate", *judge, "--order", "both")  # half of its answers are in the cache
    both = next(
        run for run in json.loads(calf("runs", "list", "--format", "json").stdout)["runs"] if run["order"] == "both"
    )
    assert both["cache_hits"] == both["requests"] == run["comparisons"]


def test_failed_judgments_were_paid_for(calf: Any, tiny: Any, server: ScriptedServer) -> None:
    server.script.rates = {"wrong": 1.0}
    calf("evaluate", *tiny(server.url), "--limit", "20", check=1)
    (run,) = json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]
    assert sum(run["failures"].values()) == run["comparisons"] > 0
    assert run["requests"] == server.requests == 3 * run["comparisons"], "asked for again twice"
    assert (run["input_tokens"], run["output_tokens"]) == (server.tokens["input"], server.tokens["output"])
    assert run["cost"] > 0
    assert run["latency"] is None, "nobody got an answer"


def test_the_leaderboard_has_the_columns_only_where_a_server_was_asked(
    calf: Any, tiny: Any, server: ScriptedServer
) -> None:
    calf("evaluate", "--metric", "rouge-l")
    plain = calf("leaderboard", "--output", "-").stdout
    assert "tokens |" not in plain
    assert "Cost (" not in plain
    names = ["requests", "retries", "cache_hits", "input_tokens", "cached_input_tokens", "output_tokens", "cost"]
    rows = list(csv.DictReader(io.StringIO(calf("leaderboard", "--format", "csv").stdout)))
    assert {row[name] for row in rows for name in [*names, "latency"]} == {""}

    calf("evaluate", *tiny(server.url))
    calf("evaluate", *tiny(server.url, "max_tokens=60", prices=None))
    text = " ".join(calf("leaderboard", "--output", "-").stdout.split())
    assert "| time | cost | tokens |" in text
    assert "Cost (" in text
    in_all = {run["metric"]: run for run in json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]}
    runs = [run for run in in_all.values() if run["metric"].startswith("tiny")]
    assert len(runs) == 2
    for run in runs:
        tokens = run["input_tokens"] + run["output_tokens"]
        cost = "-" if run["cost"] is None else f"{money(run['cost'])} USD"
        assert f"| {cost} | {whole(tokens)} |" in text
    assert sorted(run["cost"] is None for run in runs) == [False, True]
    assert r"& cost & tokens" in calf("leaderboard", "--format", "latex").stdout
    rows = json.loads(calf("leaderboard", "--format", "json").stdout)["rows"]
    for row in rows:
        if row["slice"] == "overall":
            kept = in_all.get(row["metric"])
            assert [row[name] for name in names] == [kept[name] if kept else None for name in names]


def test_a_cost_that_is_known_in_part_is_unknown(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with Session(folder, object(), 1, None, {}) as session:
        session.add({"a": Opinion("same", usage={"requests": 1, "input_tokens": 5, "cost": 0.5}, seconds=2.0)})
        session.add({"b": Failure("unreadable", usage={"requests": 2, "input_tokens": 7, "retries": 1})})
    with Session(folder, object(), 1, folder.read("timing"), (folder.read("timing") or {})["usage"]) as session:
        session.add({"c": Opinion("same", usage={"requests": 1, "input_tokens": 1, "cost": 0.25}, seconds=4.0)})
        session.add({"d": Opinion("same", usage={"cache_hits": 1, "cost": 0.0}, seconds=100.0)})
    spent = spent_of(folder.read("timing") or {})
    assert spent is not None
    assert (spent.requests, spent.retries, spent.cache_hits, spent.input_tokens) == (4, 1, 1, 13)
    assert spent.cost is None
    assert spent.latency == 3.0, "of those that were sent for and answered"


def test_runs_of_earlier_versions_and_of_other_metrics() -> None:
    assert spent_of({}) is None
    assert spent_of({"seconds": 1.0, "sessions": [], "usage": {"tokens": 3.0}}) is None
    silent = spent_of({"usage": {"requests": 3.0}})
    assert silent is not None
    assert silent.tokens is silent.cost is silent.latency is None
    cached = spent_of({"usage": {"cache_hits": 3.0, "cost": 0.0}})
    assert cached is not None
    assert (cached.tokens, cached.cost) == (0, 0.0)


def test_figures_as_people_read_them() -> None:
    assert [money(value) for value in (None, 0.0, 0.00001234, 0.0123, 0.3, 1234.5)] == [
        "-", "0.00", "1.2e-05", "0.012", "0.30", "1,234.50",
    ]  # fmt: skip
    assert [duration(value) for value in (None, 0.25, 12.34, 300.0, 36000.0)] == [
        "-",
        "0.25 s",
        "12.3 s",
        "5 min",
        "10.0 h",
    ]
    assert whole(1234567.4) == "1,234,567"


def test_what_a_metric_takes_to_look_at_the_dataset_is_part_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "looks.py").write_text(
        "import time\n\n\nclass Looks:\n    def prepare(self, preparation):\n        time.sleep(0.4)\n\n"
        "    def score(self, items):\n        return [1.0] * len(items)\n"
    )
    run = evaluate("looks.py:Looks", "sample", limit=6)
    assert run.timing["seconds"] >= 0.4
    evaluate("looks.py:Looks", "sample", limit=6)
    assert len(run.timing["sessions"]) == 1
