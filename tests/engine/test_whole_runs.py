"""Whole runs of a judge, as processes of their own, over a server that errs, and killed: the server counts."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from engine.server import Script, ScriptedServer
from engine.whole import (
    ANSWERS,
    VERDICTS,
    begin,
    command,
    ended,
    fates,
    journal_keys,
    judge_options,
    kill,
    make_dataset,
    mark_of,
    run_here,
)
from few_resamples import take_few

from calf.engine.budget import Spending
from calf.engine.limits import Limits

pytestmark = pytest.mark.usefixtures("quick", "_few")

CONCURRENCY = 16
SPEC: dict[str, Any] = {"answer": ANSWERS, "retry_after": {"retry-after-ms": "10"}, "latency": 0.02, "keep": False}
PASSING = ["429", "500", "reset", "half", "malformed", "no_choices"]


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that end in this process take few resamples; those that are killed take all."""
    take_few(monkeypatch)


def test_all_faults_at_once_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data.jsonl", 60)
    rates = dict.fromkeys([*PASSING, "503", "close", "error_200", "empty", "content_filter", "wrong"], 0.05)
    hangs = {mark_of(7): ["hang"], mark_of(23): ["500", "hang"]}
    spec = {**SPEC, "rates": rates, "seed": 2, "by_content": hangs}
    with ScriptedServer(**spec) as server:
        options = judge_options(server.url, concurrency=CONCURRENCY, timeout=4.0)
        wanted = fates(data, options, Script(**spec))
        run_here(data, tmp_path / "runs", options)
        counts = server.counts()
    run = ended(tmp_path / "runs", data)
    assert run.outcomes == {place: fate.outcome for place, fate in wanted.items()}
    assert set(VERDICTS.values()) | {"content_filter"} < set(run.outcomes.values())
    assert (run.lost, run.doubled, run.judged_twice, counts["after_good"]) == (0, 0, 0, 0)
    assert counts["requests"] == sum(fate.sendings for fate in wanted.values()) == run.usage["requests"]
    assert counts["max_in_flight"] <= CONCURRENCY
    assert counts["faults"].keys() == {*rates, "hang", "None"}


def test_a_run_that_is_killed_again_and_again_comes_to_the_same(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data.jsonl", 40)
    hopeless = {mark_of(11): ["content_filter"] * 20, mark_of(30): ["wrong"] * 20}
    rates = dict.fromkeys([*PASSING, "wrong"], 0.05)
    spec = {**SPEC, "rates": rates, "seed": 5, "by_content": hopeless}
    draw = random.Random(3)
    with ScriptedServer(**spec) as server:
        # So many retries that nothing fails by chance.
        options = judge_options(server.url, concurrency=CONCURRENCY, timeout=20.0, retries=60, retries_unread=9)
        wanted = fates(data, options, Script(**spec))
        sendings = sum(fate.sendings for fate in wanted.values())
        words = command(tmp_path / "data.jsonl", tmp_path / "runs", options)
        # Once among the requests, once after the last one, while the result is made.
        number = draw.randrange(20, sendings - 40)
        kills = kill(begin(words), lambda: server.requests >= number)
        kills += kill(begin(words), lambda: len(journal_keys(tmp_path / "runs")) == len(wanted))
        assert kills == 2
        run_here(data, tmp_path / "runs", options)
        stats = server.stats()
        killed = ended(tmp_path / "runs", data)

        server.attempts.clear()  # as if nobody had asked yet
        run_here(data, tmp_path / "calm", options)
        calm = ended(tmp_path / "calm", data)
    assert calm.outcomes == {place: fate.outcome for place, fate in wanted.items()}
    assert Counter(calm.outcomes.values()).keys() == {*VERDICTS.values(), "content_filter", "unreadable"}
    assert killed.texts == calm.texts
    assert (killed.lost, killed.doubled, killed.judged_twice) == (0, 0, 0)
    assert stats["after_heard"] == 0
    assert stats["after_good"] <= min(stats["unheard"], CONCURRENCY * kills)


def test_without_a_cache_what_is_judged_is_not_judged_again(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data.jsonl", 30)
    with ScriptedServer(**SPEC) as server:
        options = judge_options(server.url, concurrency=4, timeout=20.0)
        words = command(tmp_path / "data.jsonl", tmp_path / "runs", options, "--no-cache")
        assert kill(begin(words), lambda: len(journal_keys(tmp_path / "runs")) >= 20)
        kept = len(journal_keys(tmp_path / "runs"))
        while server.open:  # until all that was sent has come, and the end
            time.sleep(0.01)
        before = server.requests
        run_here(data, tmp_path / "runs", options, Spending(cache=False))
        assert server.requests - before == 2 * len(data) - kept
    run = ended(tmp_path / "runs", data)
    assert (run.lost, run.doubled, run.judged_twice) == (0, 0, 0)


def test_429s_among_other_faults_are_no_sign_of_too_much() -> None:
    limits, draw, sendings = Limits(64), random.Random(1), 0.0
    for _ in range(5000):  # in ten requests one 429, two good answers, and seven other faults
        outcome = draw.random()
        limits.leave(limits._round, good=outcome < 0.2, limited=outcome > 0.9)
        sendings += 1 / limits.concurrency
    assert 5000 / sendings > 16  # requests in flight, on average
