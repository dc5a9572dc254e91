"""`calf estimate`: what is said before is what the server counts after."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from cli.judging import ANSWERS, server
from cli.judging import tiny as on_the_sample
from engine.server import ScriptedServer

import calf as library
from calf.datasets.writing import write

__all__ = ["on_the_sample", "server"]


pytestmark = pytest.mark.usefixtures("one_floor")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, of whose texts hardly anything is left: prompts are made quicker, and as many."""
    path = tmp_path_factory.mktemp("short") / "short.jsonl"
    sample = library.load_dataset("sample")
    cut = [
        dataclasses.replace(
            c,
            reference=(c.reference or "")[:40] or None,
            response_a=c.response_a[:40] + c.response_a[-40:],
            response_b=c.response_b[:40] + c.response_b[-40:],
        )
        for c in sample
    ]
    write(library.Dataset("short", tuple(cut)), path)
    return path


@pytest.fixture
def tiny(on_the_sample: Any, short: Path) -> Any:
    return lambda url, *more, **choices: [*on_the_sample(url, *more, **choices), "--dataset", str(short)]


@pytest.fixture
def said(calf: Any) -> Any:
    """What `calf estimate` says, as data."""

    def estimate(*words: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(calf("estimate", *words, "--format", "json").stdout)
        return found

    return estimate


def test_nothing_is_sent_or_written_and_no_key_is_needed(
    calf: Any, said: Any, tiny: Any, server: ScriptedServer, workspace: Path, tmp_path: Path
) -> None:
    table = calf("estimate", *tiny(server.url), "--order", "both").stdout
    assert server.connections == 0
    assert not (workspace / "runs").exists()
    assert not (tmp_path / "calf-cache").exists()
    assert "of 2026-11-01, a price list" in table
    assert "384" in table
    away = said(*tiny("https://judge.example/v1"))
    assert away["requests"] == away["sent"]["requests"] == 192


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], []),
        (["--order", "both", "--limit", "20", "--seed", "3"], []),
        (["--setting", "human_vs_model", "--repeat", "2", "--limit", "20"], []),
        (["--limit", "20", "--language", "zh"], ["samples=3", "temperature=1"]),
        (["--limit", "20"], ["samples=3", "temperature=1", "honours=n,temperature"]),
    ],
)
def test_the_server_counts_what_was_said(
    calf: Any, said: Any, tiny: Any, server: ScriptedServer, words: list[str], options: list[str]
) -> None:
    asked = (*tiny(server.url, *options), *words)
    before = said(*asked)
    calf("evaluate", *asked)
    assert server.requests == before["sent"]["requests"] == before["expected"]["requests"] == before["requests"] > 0
    assert server.tokens["output"] <= before["sent"]["most_output"] == 50 * before["sent"]["answers"]
    after = said(*asked)
    assert after["judged_requests"] == after["requests"] == before["requests"]
    assert after["sent"]["requests"] == after["expected"]["cost"] == 0
    assert after["judged_items"] == after["items"] == before["items"]


def test_what_is_judged_and_what_is_in_the_cache_is_not_counted_again(
    calf: Any, said: Any, tiny: Any, server: ScriptedServer
) -> None:
    judge = tiny(server.url)
    calf("evaluate", *judge, "--order", "both", "--limit", "20")
    part = server.requests
    both = said(*judge, "--order", "both")
    assert (both["judged_requests"], both["cached_requests"]) == (part, 0)
    assert both["sent"]["requests"] == 384 - part
    given = said(*judge)  # another run: its requests are in the cache
    assert (given["judged_requests"], given["cached_requests"]) == (0, part / 2)
    assert said(*judge, "--no-cache")["sent"]["requests"] == 192
    assert said(*judge, "--order", "both", "--fresh")["cached_requests"] == part
    calf("evaluate", *judge)
    assert server.requests == part + given["sent"]["requests"]


def test_after_a_run_its_tokens_and_speed_are_used_and_the_error_is_said(
    calf: Any, said: Any, tiny: Any, server: ScriptedServer
) -> None:
    judge = tiny(server.url)
    server.script.cached_tokens = 40
    counted = said(*judge)
    assert (counted["measured"], counted["checks"], counted["expected"]["seconds"]) == ([], [], None)
    assert counted["expected"]["output_tokens"] is counted["expected"]["cost"] is None
    assert 0 < counted["least_cost"] < counted["most_cost"]
    calf("evaluate", *judge)
    first = dict(server.tokens)

    expected = said(*judge, "--order", "swapped")
    (check,) = expected["checks"]
    assert check["others"] == 0
    assert check["input_tokens"] == pytest.approx(counted["sent"]["input_tokens"] / first["input"] - 1)
    assert check["output_tokens"] is None
    calf("evaluate", *judge, "--order", "swapped")
    second = {name: count - first[name] for name, count in server.tokens.items()}
    assert expected["expected"]["input_tokens"] == pytest.approx(second["input"], rel=0.01)
    assert expected["expected"]["output_tokens"] == pytest.approx(second["output"], rel=0.01)
    spent = {run["order"]: run for run in json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]}
    assert expected["expected"]["cost"] == pytest.approx(spent["swapped"]["cost"], rel=0.01)
    assert expected["expected"]["cost"] < expected["most_cost"]
    likely, asked = expected["expected"]["input_tokens"], expected["sent"]["input_tokens"]
    assert likely < 0.9 * asked, "the server counts fewer"
    assert expected["least_cost"] == pytest.approx(likely * 1.25 / 1e6, rel=1e-3)
    assert expected["most_cost"] == pytest.approx((asked * 2.5 + 192 * 50 * 10) / 1e6)
    assert expected["expected"]["seconds"] == pytest.approx(spent["given"]["seconds"], rel=0.01)

    checks = said(*judge, "--order", "both", "--fresh", "--no-cache")["checks"]
    assert [check["others"] for check in checks] == [1, 1]
    for check, mine, other in zip(checks, (second, first), (first, second), strict=True):  # the latest first
        assert check["requests"] == 0
        assert check["input_tokens"] == pytest.approx(other["input"] / mine["input"] - 1)
        assert abs(check["cost"]) < 0.01
        assert check["seconds"] is not None
    assert "from the other 1" in calf("estimate", *judge, "--order", "both").stdout


def test_a_part_that_was_judged_says_what_the_rest_will_take(
    calf: Any, said: Any, tiny: Any, server: ScriptedServer
) -> None:
    judge = tiny(server.url)
    server.script.script = [None, "500", "429"] * 4
    calf("evaluate", *judge, "--limit", "40", "--language", "en")
    again = server.requests / len(server.attempts)
    assert again > 1
    before = dict(server.tokens)
    rest = said(*judge, "--limit", "80", "--language", "en")
    assert rest["expected"]["requests"] == pytest.approx(rest["sent"]["requests"] * again)
    calf("evaluate", *judge, "--limit", "80", "--language", "en")
    assert rest["expected"]["input_tokens"] == pytest.approx(server.tokens["input"] - before["input"], rel=0.05)


def test_answers_that_were_in_the_cache_are_no_measure(calf: Any, said: Any, tiny: Any, server: ScriptedServer) -> None:
    judge = tiny(server.url)
    calf("evaluate", *judge, "--limit", "20")
    calf("evaluate", *judge, "--order", "both", "--limit", "20")
    found = said(*judge, "--order", "both")
    assert len(found["measured"]) == 2
    for check in found["checks"]:
        assert check["requests"] == 0
        assert abs(check["input_tokens"]) < 0.03
        assert check["output_tokens"] is not None
    calf("evaluate", *judge, "--order", "swapped", "--limit", "20")  # all from the cache: measures nothing
    assert len(said(*judge, "--order", "both")["measured"]) == 2


def test_another_model_or_prompt_is_no_measure(calf: Any, said: Any, tiny: Any, server: ScriptedServer) -> None:
    calf("evaluate", *tiny(server.url), "--limit", "20")
    assert len(said(*tiny(server.url, "concurrency=3"))["measured"]) == 1
    assert said(*tiny(server.url, "model=other"))["measured"] == []
    assert said(*tiny(server.url, "max_tokens=60"))["measured"] == []


def test_without_prices_the_cost_is_unknown(calf: Any, said: Any, tiny: Any, server: ScriptedServer) -> None:
    judge = tiny(server.url, prices=None)
    calf("evaluate", *judge, "--limit", "20")
    found = said(*judge)
    assert found["currency"] is found["expected"]["cost"] is found["least_cost"] is found["most_cost"] is None
    assert found["expected"]["output_tokens"] > 0
    assert "unknown" in calf("estimate", *judge).stdout


def test_a_server_that_counts_no_tokens_measures_requests_alone(calf: Any, said: Any, tiny: Any) -> None:
    with ScriptedServer(answer=ANSWERS, rates={"no_usage": 1.0}) as silent:
        judge = tiny(silent.url)
        before = said(*judge, "--order", "swapped")
        calf("evaluate", *judge, "--limit", "20")
        found = said(*judge, "--order", "swapped")
    assert found["expected"]["input_tokens"] == before["expected"]["input_tokens"]
    assert found["expected"]["output_tokens"] is None
    assert found["expected"]["seconds"] > 0
    assert found["checks"][0]["input_tokens"] is None


def test_metrics_that_ask_no_server(calf: Any, said: Any, workspace: Path) -> None:
    lines = calf("estimate", "--metric", "rouge-l").stdout.splitlines()
    assert len(lines) == 1
    assert "asks no server" in lines[0]
    assert said("--metric", "rouge-l") == {"metric": "rouge-l", "requests": 0}
    (workspace / "own.py").write_text("class Own:\n    async def score_one(self, item):\n        return 1.0\n")
    assert "nobody can say what it will send" in calf("estimate", "--metric", "own.py:Own", check=2).stderr
    assert (
        "has no setting 'x'"
        in calf("estimate", "--metric", "judge-pairwise[model=m]", "--setting", "x", check=2).stderr
    )


def test_a_judge_may_say_how_long_its_answers_are(calf: Any, said: Any, tiny: Any, server: ScriptedServer) -> None:
    words = tiny(server.url, "answer_tokens=7")
    found = said(*words)
    assert found["expected"]["output_tokens"] == 7 * 192
    assert found["least_cost"] < found["expected"]["cost"] < found["most_cost"]
    assert "7 an answer are assumed" in calf("estimate", *words).stdout
    calf("evaluate", *words, "--limit", "20")
    found = said(*words)
    assert found["answer_tokens"] is None
    assert found["checks"][0]["output_tokens"] == pytest.approx(7 / 2 - 1), "two words in each answer"
