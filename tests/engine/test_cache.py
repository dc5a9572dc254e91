"""The cache of responses across processes, and recorded runs."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine.helpers import ask_all, ask_one, question
from engine.server import ScriptedServer, ServerProcess

from calf.engine.cache import Cache
from calf.engine.request import AskError, Choice, Reply, Token, Usage
from calf.engine.trace import Recorder, Replayer
from calf.errors import DataError, UserError

REPLY = Reply((Choice("二 \ud800", "stop", "r", (Token("A", -0.5, (("A", -0.5),)),)),), Usage(3, 1, 2), "m", 0.5)


def fill(path: Path, start: int, count: int) -> None:
    cache = Cache(path)
    for i in range(start, start + count):
        cache.put(f"key{i}", "here", Reply((Choice(f"text {i}"),), Usage(1, 0, 1), f"model{i % 2}"))


def test_an_answer_is_paid_once(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with ScriptedServer() as server:
        first = ask_one(server.url, cache=Cache(path))
        second = ask_one(server.url, cache=Cache(path))
        assert server.requests == 1
        assert (first.origin, second.origin) == ("server", "cache")
        assert (second.choices, second.usage) == (first.choices, first.usage)
        kept = {"kept_input_tokens": first.usage.input, "kept_output_tokens": first.usage.output}
        assert second.spent == {"cache_hits": 1, "cost": 0.0, **kept}
        ask_one(server.url, question(repeat=1), cache=Cache(path))
        ask_one(server.url)  # without the cache
        assert server.requests == 3


def test_what_is_no_answer_is_not_kept(tmp_path: Path, quick: None) -> None:
    with ScriptedServer(script=["400", "empty", "malformed", "no_choices", "content_filter"]) as server:
        for _ in range(5):
            with pytest.raises(AskError):
                ask_one(server.url, cache=Cache(tmp_path / "c.sqlite"), retries=0)
        assert Cache(tmp_path / "c.sqlite").info().answers == 0


def test_many_processes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(path, start, 150)) for start in (0, 75, 150)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    info = Cache(path).info()
    assert info.answers == 300
    assert [(model.model, model.answers) for model in info.models] == [("model0", 150), ("model1", 150)]
    assert info.bytes > 0
    assert Cache(path).get("key7") == Reply((Choice("text 7"),), Usage(1, 0, 1), "model1", origin="cache")


WRITER = """
import sys
from pathlib import Path
from calf.engine.cache import Cache
from calf.engine.request import Choice, Reply, Usage
cache = Cache(Path(sys.argv[1]))
for i in range(int(sys.argv[2]), 10**9):
    cache.put(f"key{i}", "here", Reply((Choice("text" * 500),), Usage(1, 0, 1), "m"))
    print(i, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    chance = random.Random(5)
    start = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(start)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.1))
            os.kill(writer.pid, signal.SIGKILL)
            said = writer.stdout.read().split(b"\n")
        last = int(said[-2]) if len(said) > 1 else start
        cache = Cache(path)
        assert all(cache.get(f"key{i}") is not None for i in range(last + 1))
        cache.close()
        start = last + 1
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_clearing(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    assert Cache(path).clear() == 0
    assert Cache(path).info().answers == 0
    assert not path.exists()
    fill(path, 0, 10)
    assert Cache(path).clear("model0") == 5
    assert Cache(path).info().answers == 5
    assert Cache(path).clear() == 5


def test_a_damaged_file_is_said_and_can_be_cleared(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with ScriptedServer() as server, pytest.raises(UserError, match="calf cache clear"):
        ask_one(server.url, cache=Cache(path))
    assert server.requests == 0  # nothing is paid for that could not be kept
    Cache(path).clear()
    fill(path, 0, 1)
    assert Cache(path).info().answers == 1


def test_where_the_cache_fails_in_between_the_answer_is_given_and_no_more_is_sent(tmp_path: Path) -> None:
    class Full(Cache):
        def put(self, key: str, place: str, reply: Reply) -> None:
            raise UserError("disk is full")

    with ScriptedServer(latency=0.02) as server:
        outcomes = ask_all(server.url, [question(str(i)) for i in range(9)], cache=Full(tmp_path / "c"), concurrency=2)
        assert sum(isinstance(outcome, Reply) for outcome in outcomes) == server.requests <= 3
        assert any("disk is full" in str(outcome) for outcome in outcomes)


def test_a_reply_survives_its_way_to_the_disk(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c.sqlite")
    cache.put("k", "here", REPLY)
    known = cache.get("k")
    assert known is not None
    assert known.choices[0].tokens == REPLY.choices[0].tokens
    assert known.choices[0].text == "二 ?"  # half of a character cannot be written


def test_a_record_replays_exactly_and_with_no_server(tmp_path: Path, quick: None) -> None:
    path = tmp_path / "records" / "run.jsonl"
    requests = [question(str(i)) for i in range(20)] + [question("1", repeat=1), question("n", n=2)]
    with ServerProcess(answer=["A", "B", "same"], rates={"500": 0.3, "400": 0.1, "malformed": 0.2}, seed=2) as server:
        url = server.url
        recorded = ask_all(url, requests, trace=Recorder(path), retries=1)
    replayed = ask_all(url, requests, trace=Replayer(path), retries=1)
    assert any(isinstance(outcome, AskError) for outcome in recorded)
    for before, after in zip(recorded, replayed, strict=True):
        if isinstance(before, Reply):
            assert isinstance(after, Reply)
            assert (after.choices, after.usage, after.seconds) == (before.choices, before.usage, before.seconds)
            assert after.origin == "replay"
            assert not {name for name in after.spent if not name.startswith("kept_")}
        else:
            assert isinstance(before, AskError)
            assert isinstance(after, AskError)
            assert (after.kind, after.message, after.raw) == (before.kind, before.message, before.raw)
    with pytest.raises(AskError) as caught:
        ask_one(url, question("another"), trace=Replayer(path))
    assert caught.value.kind == "not_recorded"


def test_what_comes_from_the_cache_is_recorded_too(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        ask_one(server.url, cache=Cache(tmp_path / "c.sqlite"))
        ask_one(server.url, cache=Cache(tmp_path / "c.sqlite"), trace=Recorder(tmp_path / "r.jsonl"))
        assert server.requests == 1
        assert ask_one(server.url, trace=Replayer(tmp_path / "r.jsonl")).choices[0].text == "[[A]]"


def test_a_torn_record_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ScriptedServer() as server:
        ask_all(server.url, [question("1"), question("2")], trace=Recorder(path))
        whole = path.read_bytes()
        path.write_bytes(whole[:-30])
        assert ask_one(server.url, question("1"), trace=Replayer(path)).origin == "replay"
        with pytest.raises(AskError, match="has no such request"):
            ask_one(server.url, question("2"), trace=Replayer(path))
        ask_one(server.url, question("2"), trace=Recorder(path))
        assert [json.loads(line)["repeat"] for line in path.read_text().splitlines()] == [0, 0]
        assert ask_one(server.url, question("2"), trace=Replayer(path)).origin == "replay"


def test_files_that_are_no_record(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with pytest.raises(DataError, match="cannot be read"):
        Replayer(path)
    path.write_text('{"key": "k", "reply": {}}\n')
    with pytest.raises(DataError, match=r"r\.jsonl:1: not a line that --record wrote"):
        Replayer(path)
    recorder = Recorder(tmp_path / "own.jsonl")
    with pytest.raises(UserError, match="another process records to it"):
        Recorder(tmp_path / "own.jsonl")
    recorder.close()
    with pytest.raises(UserError, match="cannot be written"):
        Recorder(tmp_path)
