"""Runs of agents: kept transcripts, what `calf runs show` prints of them, record and replay, killed runs, bounds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from agents.playing import FRESH, acting, ask, comparisons, last, made, pair, says, turn, write
from engine.server import ScriptedServer
from engine.whole import CALF, begin, kill

import calf
from calf.agents.system import AgentJudge
from calf.cli import main
from calf.engine.budget import Spending
from calf.errors import StoppedError, UserError
from calf.metrics.registry import load_metric
from calf.runs.store import read_outcomes
from calf.runs.transcripts import read_turns
from calf.types import Failure


def wavering(role: str, body: dict[str, Any]) -> str:
    """First A, then B, with reasons that name who speaks."""
    return says("A" if turn(body) == 1 else "B", f"{role}, turn {turn(body)}.")


def evaluate(
    server: ScriptedServer, runs: Path, count: int = 2, spending: Spending | None = None, **options: Any
) -> Any:
    given = {"model": "m", "base_url": server.url, **options}
    return calf.evaluate("chateval", comparisons(count), runs=runs, options=given, spending=spending)


def show(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    monkeypatch.setattr(sys, "argv", ["calf", "runs", "show", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    return said.out


# ---- transcripts ------------------------------------------------------------------------------------------------


def test_a_run_keeps_the_transcripts_and_the_turns_without_texts(tmp_path: Path) -> None:
    with ScriptedServer(answer=acting(wavering)) as server:
        run = evaluate(server, tmp_path)
        assert server.requests == 2 * 2 * 6
    assert [row["coverage"] for row in run.rows if row["slice"] == "overall"] == [1.0]
    outcomes = read_outcomes(run.path / "judgments.jsonl")
    assert len(outcomes) == 4
    for outcome in outcomes.values():
        assert not isinstance(outcome, Failure)
        first = outcome.transcript[0]
        assert (first["role"], first["model"], first["temperature"], first["verdict"]) == (
            "public",
            "m",
            0.0,
            "response_a",
        )
        assert first["answer"] == says("A", "public, turn 1.")
        assert [role for role, _ in first["messages"]] == ["system", "user"]
        assert [role for role, _ in outcome.transcript[3]["messages"]] == ["user"]  # what is new
        assert sum(one["input_tokens"] for one in outcome.transcript) == outcome.usage["input_tokens"]  # type: ignore[index]  # it was counted
    turns = read_turns(run.path / "turns.csv")
    assert len(turns) == 24
    assert {(one.order, one.round, one.verdict) for one in turns} == {
        ("given", 1, "response_a"),
        ("given", 2, "response_b"),
        ("swapped", 1, "response_b"),  # in the dataset's sides
        ("swapped", 2, "response_a"),
    }
    assert "turn 1" not in (run.path / "turns.csv").read_text()
    assert "turn 1" not in (run.path / "scores.csv").read_text()


def test_a_comparison_is_shown_with_all_that_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(answer=acting(wavering)) as server:
        run = evaluate(server, tmp_path, temperature=0.5)
    shown = show(monkeypatch, capsys, run.id, "--runs", tmp_path, "--comparison", "c1")
    assert "order given: response_b (response_a 0.00, response_b 1.00, same 0.00)" in shown
    assert "order swapped (A is response_b): response_a" in shown
    assert "1. public (m), speak, round 1: says A" in shown
    assert "    critic, turn 2.\n    Verdict: B" in shown
    table = json.loads(show(monkeypatch, capsys, run.id, "--runs", tmp_path, "--comparison", "c1", "--format", "json"))
    assert [one["about"] for one in table["judgments"]] == ["given", "swapped"]
    assert len(table["judgments"][0]["transcript"]) == 6


def test_plain_judges_are_shown_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    rows = [
        {"id": "c", "question": "Why?", "reference": "So.", "response_a": "One.", "response_b": "Two.", "label": "same",
         "setting": "model_vs_model", "language": "en"},
    ]  # fmt: skip
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ScriptedServer(answer="One says so.\nVerdict: A") as server:
        options = {"model": "m", "base_url": server.url}
        run = calf.evaluate("judge-pairwise-cot", data, runs=tmp_path / "runs", options=options)
        server.script.answer = "I cannot say what I like.\nHm."
        failed = calf.evaluate("judge-pairwise", data, runs=tmp_path / "runs", options={**options, "retries_unread": 0})
    scored = calf.evaluate("longer", data, runs=tmp_path / "runs")
    words = ("--runs", tmp_path / "runs", "--comparison", "c", "--dataset", data)
    assert "people said same" in show(monkeypatch, capsys, run.id, *words)
    assert "    One says so.\n    Verdict: A" in show(monkeypatch, capsys, run.id, *words)
    text = show(monkeypatch, capsys, failed.id, *words)
    assert "order given: failed, " in text
    assert "    I cannot say what I like.\n    Hm." in text
    assert "response_a: score 1" in show(monkeypatch, capsys, scored.id, *words)
    monkeypatch.setattr(
        sys, "argv", ["calf", "runs", "show", run.id, "--runs", str(tmp_path / "runs"), "--comparison", "d"]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "unknown comparison 'd'" in capsys.readouterr().err


# ---- bounds -----------------------------------------------------------------------------------------------------

PRICES = '{"input": 1.0, "output": 10.0, "per": 1000}'


@pytest.mark.parametrize(
    ("option", "kind", "turns"),
    [
        ({"max_turns": 4}, "turn_limit", 4),
        ({"max_tokens_total": 1}, "token_limit", 1),
        ({"max_cost_each": 0.001}, "cost_limit", 1),
        ({"max_seconds_each": 1e-6}, "time_limit", 1),
        ({"max_turns": 6, "max_tokens_total": 10**6, "max_cost_each": 100.0, "max_seconds_each": 100.0}, "", 6),
    ],
)
def test_bounds_end_a_judgment_with_what_was_said(option: dict[str, Any], kind: str, turns: int) -> None:
    with ScriptedServer(answer=acting(wavering), latency=0.002) as server:
        (outcome,) = ask(made("chateval", server.url, prices=PRICES, **option), [pair()])
        assert server.requests == turns
    assert isinstance(outcome, Failure) == bool(kind)
    if kind:
        assert outcome.kind == kind
        assert next(iter(option)) in outcome.message
    assert len(outcome.transcript) == turns


def test_bounds_count_what_came_from_the_cache(tmp_path: Path) -> None:
    with ScriptedServer(answer=acting(wavering)) as server:
        (first,) = ask(made("chateval", server.url), [pair()], Spending())
        tokens = sum(one["input_tokens"] + one["output_tokens"] for one in first.transcript[:3])
        (again,) = ask(made("chateval", server.url, max_tokens_total=tokens), [pair()], Spending())
        assert server.requests == 6
    assert (again.kind, len(again.transcript)) == ("token_limit", 3)
    assert list(again.transcript) == list(first.transcript[:3])


def test_all_at_once_must_fit_in_the_turns() -> None:
    with ScriptedServer(answer=acting(wavering)) as server:
        (outcome,) = ask(made("chateval-simultaneous", server.url, max_turns=5), [pair()])
        assert server.requests == 3
    assert outcome.kind == "turn_limit"


def test_a_limit_of_cost_needs_prices(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="max_cost_each needs prices"):
        ask(made("chateval", "http://127.0.0.1:1/v1", max_cost_each=1.0), [pair()])
    with pytest.raises(UserError, match="--max-cost needs prices"):
        ask(made("panel", "http://127.0.0.1:1/v1", models="a,b", model=None), [pair()], Spending(max_cost=1.0))


# ---- determinism, resume ----------------------------------------------------------------------------------------


def test_a_record_answers_a_whole_debate_again(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with ScriptedServer(answer=acting(wavering)) as server:
        options = {"temperature": 0.7, "honours": "temperature,seed"}
        first = evaluate(server, tmp_path / "one", spending=Spending(cache=False, record=record), **options)
        kept_seed = next(iter(read_outcomes(first.path / "judgments.jsonl").values())).transcript[0]["seed"]  # type: ignore[union-attr]  # no score
        assert server.seen[0].body["seed"] == kept_seed
        asked = server.requests
        again = evaluate(server, tmp_path / "two", spending=Spending(replay=record), **options)
        assert server.requests == asked
    for name in ("scores.csv", "result.json", "turns.csv"):
        assert (first.path / name).read_bytes() == (again.path / name).read_bytes()
    kept, replayed = (read_outcomes(run.path / "judgments.jsonl") for run in (first, again))
    assert kept.keys() == replayed.keys()
    assert all(kept[key].transcript == replayed[key].transcript for key in kept)  # type: ignore[union-attr]  # no scores


def test_a_limit_of_requests_is_that_of_all_roles_together(tmp_path: Path) -> None:
    with ScriptedServer(answer='{"verdict": "A"}', latency=0.01) as server:
        options = {"models": "a,b,c", "base_url": server.url}
        for total in (7, 12):
            spending = Spending(max_requests=total)
            if total < 12:
                with pytest.raises(StoppedError, match="max-requests"):
                    calf.evaluate("panel", comparisons(2), runs=tmp_path, options=options, spending=spending)
            else:
                run = calf.evaluate("panel", comparisons(2), runs=tmp_path, options=options, spending=spending)
            assert server.requests == total
        assert server.max_in_flight > 1
    assert run.timing["usage"]["requests"] == 12


def test_all_roles_share_one_limit_of_concurrency(tmp_path: Path) -> None:
    with ScriptedServer(answer=acting(wavering), latency=0.01) as server:
        options = {"model": "m", "base_url": server.url, "concurrency": 2}
        calf.evaluate("chateval-simultaneous", comparisons(3), runs=tmp_path, options=options)
        assert server.max_in_flight == 2
    with ScriptedServer(answer='{"verdict": "A"}', latency=0.01) as server:
        options = {"models": "a,b,c", "base_url": server.url, "concurrency": 4}
        calf.evaluate("panel", comparisons(5), runs=tmp_path, options=options)
        assert server.max_in_flight == 4


def test_a_debate_that_is_killed_in_a_turn_repeats_no_finished_turn(tmp_path: Path) -> None:
    data = comparisons(6)
    path = tmp_path / "data.jsonl"
    write(data, path)
    with ScriptedServer(answer=acting(wavering), latency=0.03) as server:
        words = [
            sys.executable, "-c", CALF, "evaluate", "--metric", "chateval", "--dataset", str(path), "--runs",
            str(tmp_path / "runs"), "-o", "model=m", "-o", f"base_url={server.url}", "-o", "concurrency=3", "-o",
            "timeout=20",
        ]  # fmt: skip
        process = begin(words)
        assert kill(process, lambda: server.requests >= 40)  # of 72: in the first turn of debates, and in the second
        while server.open:
            time.sleep(0.01)
        options = {"model": "m", "base_url": server.url, "concurrency": 3, "timeout": 20.0}
        calf.evaluate("chateval", path, runs=tmp_path / "runs", options=options)
        counts = server.stats()
    assert counts["distinct"] == 72
    assert counts["after_heard"] == 0
    assert counts["after_good"] <= min(counts["unheard"], 3)  # what was on its way when it was killed
    (journal,) = (tmp_path / "runs").glob("*/judgments.jsonl")
    outcomes = read_outcomes(journal)
    assert len(outcomes) == 12
    assert all(len(outcome.transcript) == 6 for outcome in outcomes.values())  # type: ignore[union-attr]  # no scores


def test_repeats_are_debates_of_their_own(tmp_path: Path) -> None:
    with ScriptedServer(answer=acting(wavering)) as server:
        given = {"model": "m", "base_url": server.url, "temperature": 1.0, "honours": "temperature,seed"}
        run = calf.evaluate("chateval", comparisons(1), runs=tmp_path, repeat=2, order="given", options=given)
        assert server.requests == 12
        seeds = {seen.body["seed"] for seen in server.seen}
    assert len(seeds) == 2
    assert {one.repeat for one in read_turns(run.path / "turns.csv")} == {0, 1}


def test_roles_at_two_servers_share_one_cache_and_one_budget(tmp_path: Path) -> None:
    said = {"en": "Say.", "zh": "Say."}
    opening = dict.fromkeys(("en", "zh"), "Judge.\n\n${question}\n\n${response_a}\n\n${response_b}\n")
    with ScriptedServer(answer=says("A")) as one, ScriptedServer(answer=says("B")) as two:

        def system() -> AgentJudge:
            roles = {"first": {"prompt": "p"}, "second": {"prompt": "p", "model": "other", "base_url": two.url}}
            steps = [{"kind": "vote", "who": ["first", "second"], "prompt": "v"}]
            return AgentJudge(roles, steps, {"p": opening, "v": said}, model="m", base_url=one.url, concurrency=1)

        metric = system()
        outcomes = ask(metric, [pair(), pair(id="c2", question="And when is it dry?")], Spending())
        assert (one.requests, two.requests) == (2, 2)
        assert [outcome.probabilities for outcome in outcomes] == [(0.5, 0.5, 0)] * 2
        assert metric.spent["requests"] == 4
        again = system()
        ask(again, [pair()], Spending())
        assert (one.requests, two.requests, again.spent["cache_hits"]) == (2, 2, 2)
        with pytest.raises(StoppedError, match="max-requests"):
            ask(system(), [pair(repeat=1), pair(repeat=2)], Spending(max_requests=3))
        assert one.requests + two.requests == 4 + 3


def test_transcripts_hold_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "planted-5d1e7c")
    with ScriptedServer(answer=says("A", "I know planted-5d1e7c.")) as server:
        run = evaluate(server, tmp_path)
    text = (run.path / "judgments.jsonl").read_text()
    assert "I know (hidden)." in text
    assert "planted" not in text


def test_copies_of_a_role_are_asked_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new system is a new definition; identical debaters are asked once each."""
    (tmp_path / "calf.toml").touch()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "twins.toml").write_text(
        """
adapter = "calf.agents.system:AgentJudge"
[parameters.roles.twin]
prompt = "opening"
copies = 3
title = { en = "Twin" }
[[parameters.steps]]
kind = "speak"
who = "twin"
prompt = "now"
verdict = true
mode = "simultaneous"
[[parameters.steps]]
kind = "speak"
who = "twin"
prompt = "now"
verdict = true
sees = "last"
[[parameters.steps]]
kind = "vote"
who = "twin"
[files.prompts]
opening = { en = "opening.txt", zh = "opening.txt" }
now = { en = "now.txt", zh = "now.txt" }
"""
    )
    (tmp_path / "metrics" / "opening.txt").write_text("Judge.\n\n${question}\n\n${response_a}\n\n${response_b}\n")
    (tmp_path / "metrics" / "now.txt").write_text("Say it.\n\nThe others:\n${said}\n")
    monkeypatch.chdir(tmp_path)
    left = ["A", "B", "B"]
    with ScriptedServer(answer=lambda body: says(left.pop(0) if left else "A")) as server:
        (outcome,) = ask(made("twins", server.url, temperature=1.0), [pair()], FRESH)
        assert server.requests == 6
        third = [seen.body for seen in server.seen][-1]
    assert [one["role"] for one in outcome.transcript] == ["twin 1", "twin 2", "twin 3"] * 2
    assert "Twin 2:\n<said_" in last(third)
    assert "Twin 1:\n<said_" not in last(third)


def test_a_model_in_this_process_plays_all_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One generator for all that have the same model, one answer at a time."""
    from calf.judges import inprocess
    from calf.models.generate import Answer

    made_: list[Any] = []

    class Parrot:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.heard: list[Any] = []
            made_.append(self)

        def prompt(self, messages: list[tuple[str, str]]) -> list[int]:
            self.heard.append(messages)
            return [1]

        def answers(self, prompt: list[int], sampling: Any, stopped: Any) -> list[Answer]:
            return [Answer(says("B"), True, 3, ())] * sampling.n

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.setattr(inprocess, "Generator", Parrot)
    monkeypatch.setattr(inprocess, "find_device", lambda device, half: "cpu")
    monkeypatch.setattr(inprocess.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(inprocess, "version", lambda name: "5.0")
    options = {"engine": "transformers", "model": str(tmp_path / "model")}
    (outcome,) = ask(load_metric("chateval", **options).instance, [pair()])
    assert outcome.verdict == "response_b"
    assert len(outcome.transcript) == 6
    assert [len(parrot.heard) for parrot in made_] == [6]
