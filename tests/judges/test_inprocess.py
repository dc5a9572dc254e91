"""Judges with a model in this process: the same cache, budget, record and failures as with a server, and no network."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from likelihood_models import CHATML, needs_likelihood, one_thread, write_causal

import calf
from calf.cli.translating import translate
from calf.datasets.dataset import Dataset
from calf.engine.budget import Spending
from calf.engine.engine import Engine
from calf.engine.faults import Fault
from calf.engine.inprocess import HONOURS, InProcess
from calf.engine.request import AskError, Request
from calf.engine.server import Server
from calf.errors import MissingDependencyError, OptionError, UnknownNameError, UserError
from calf.estimating import estimate
from calf.judges import inprocess
from calf.metrics.base import Pair, Preparation
from calf.metrics.registry import load_metric
from calf.models.generate import Answer, Sampling, TooLongError, Word
from calf.types import Comparison, Failure, Opinion

__all__ = ["one_thread"]  # a fixture

FRESH = Spending(cache=False)
# Short: the model's window is 128 tokens of one byte each.
PROMPT = "${question} ${reference} ${response_a} ${response_b} ${mark}"


def pair(**changes: Any) -> Pair:
    item = Pair(
        id="c1", question="Q?", context="", reference="R", response_a="A", response_b="B", language="en",
        setting="model_vs_model", subject=None, source_a=None, source_b=None, order="given", repeat=0,
    )  # fmt: skip
    return dataclasses.replace(item, **changes)


class Parrot:
    """In a generator's place: answers what it is told to, and notes what it was asked."""

    def __init__(self, *said: str, seconds: float = 0.0) -> None:
        self.said = said or ("[[A]]",)
        self.seconds = seconds
        self.asked: list[tuple[list[tuple[str, str]], Sampling]] = []
        self.at_once = self.most_at_once = 0
        self._messages: list[tuple[str, str]] = []

    def prompt(self, messages: list[tuple[str, str]]) -> list[int]:
        self._messages = messages
        return [1] * len(messages)

    def answers(self, prompt: list[int], sampling: Sampling, stopped: Any) -> list[Answer]:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not stopped():
            time.sleep(0.005)
        self.at_once -= 1
        said = self.said[min(len(self.asked), len(self.said) - 1)]
        self.asked.append((self._messages, sampling))
        if said == "too long":
            raise TooLongError("the prompt has 9 tokens")
        if said == "breaks":
            raise RuntimeError("CUDA out\nof memory")
        words = (Word("[[", -0.1, ()), Word("A", -0.5, (("A", -0.5), ("B", -1.5))), Word("]]", -0.1, ()))
        return [Answer(said, said != "I begin with", 3, words if sampling.alternatives else ())] * sampling.n


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parrot:
    """Stands for every model that is loaded; its folder has a configuration alone."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    bird = Parrot()
    monkeypatch.setattr(inprocess, "Generator", lambda *_, **__: bird)
    monkeypatch.setattr(inprocess, "find_device", lambda device, half: "cpu")
    find = inprocess.importlib.util.find_spec
    monkeypatch.setattr(
        inprocess.importlib.util, "find_spec", lambda name: name if name in inprocess._PACKAGES else find(name)
    )
    monkeypatch.setattr(inprocess, "version", lambda name: "5.0")
    return bird


def made(tmp_path: Path, name: str = "judge-pairwise", **options: Any) -> Any:
    return load_metric(name, **{"model": str(tmp_path / "model"), "engine": "transformers", **options}).instance


def ask(judge: Any, items: list[Pair], spending: Spending = FRESH) -> list[Any]:
    judge.prepare(Preparation((), 0, spending=spending))

    async def run() -> list[Any]:
        try:
            return await asyncio.gather(*map(judge.judge_one, items))
        finally:
            await judge.close()

    return asyncio.run(run())


# ---- the model as a server --------------------------------------------------------------------------------------


def test_a_judgment_needs_no_network(parrot: Parrot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was made"))
    (outcome,) = ask(made(tmp_path), [pair()])
    assert isinstance(outcome, Opinion)
    assert outcome.verdict == "response_a"
    assert outcome.probabilities is not None
    assert outcome.probabilities[0] == pytest.approx(1 / (1 + 2.718281828**-1))
    assert outcome.usage == {"requests": 1, "input_tokens": 2, "cached_input_tokens": 0, "output_tokens": 3}
    (messages, sampling) = parrot.asked[0]
    assert [role for role, _ in messages] == ["system", "user"]
    assert (sampling.temperature, sampling.n, sampling.alternatives, sampling.most) == (0.0, 1, 20, 1024)


def test_one_answer_is_made_at_a_time_and_the_loop_goes_on(parrot: Parrot, tmp_path: Path) -> None:
    parrot.seconds = 0.05
    judge = made(tmp_path)
    judge.prepare(Preparation((), 0, spending=FRESH))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    async def run() -> list[Any]:
        counting = asyncio.create_task(count())
        outcomes = await asyncio.gather(*(judge.judge_one(pair(question=f"Q{i}")) for i in range(4)))
        counting.cancel()
        await judge.close()
        return outcomes

    assert len(asyncio.run(run())) == 4
    assert parrot.most_at_once == 1
    assert turns > 10
    assert judge.window == 2


def test_an_answer_that_cannot_be_read_is_asked_for_again(parrot: Parrot, tmp_path: Path) -> None:
    parrot.said = ("I like cheese.", "[[B]]")
    (outcome,) = ask(made(tmp_path), [pair()])
    assert outcome.verdict == "response_b"
    assert outcome.usage["requests"] == 2
    assert [role for role, _ in parrot.asked[1][0]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("too long", "too_long", "the prompt has 9 tokens"),
        ("breaks", "server_error", "the model failed: RuntimeError: CUDA out of memory"),
        ("", "empty_answer", "the answer is blank"),
        ("I begin with", "cut_off", "cut off before a verdict"),
        ("I like cheese.", "unreadable", "no verdict in it"),
    ],
)
def test_what_goes_wrong_is_a_failure_and_is_not_tried_again(
    parrot: Parrot, tmp_path: Path, said: str, kind: str, message: str
) -> None:
    parrot.said = (said,)
    (outcome,) = ask(made(tmp_path, retries_unread=0), [pair()])
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.message) == (kind, message)
    assert len(parrot.asked) == 1


def test_answers_are_kept_by_the_weights_not_by_their_place(parrot: Parrot, tmp_path: Path) -> None:
    ask(made(tmp_path), [pair()], Spending())
    elsewhere = tmp_path / "moved"
    elsewhere.mkdir()
    shutil.move(tmp_path / "model", elsewhere / "model")
    moved = made(elsewhere)
    (outcome,) = ask(moved, [pair()], Spending())
    assert outcome.usage["cache_hits"] == 1
    assert len(parrot.asked) == 1
    assert str(tmp_path) not in moved.server().place
    (elsewhere / "model" / "config.json").write_text('{"other": 1}')
    (outcome,) = ask(made(elsewhere), [pair()], Spending())
    assert outcome.usage["requests"] == 1


def test_what_changes_answers_changes_the_key(parrot: Parrot, tmp_path: Path) -> None:
    place = made(tmp_path).server().place
    assert place.startswith("transformers sha256:")
    assert made(tmp_path, half=True, device="cuda").server().place != place
    assert made(tmp_path, "auto-j").server().place != place  # conversations are written in another way
    assert made(tmp_path, "g-eval").server().place == place
    assert made(tmp_path).server().honours == HONOURS
    assert made(tmp_path, "judge-local-server").server().honours == HONOURS
    assert made(tmp_path, concurrency=7).server().concurrency == 1


def test_repeats_and_samples_are_other_draws(parrot: Parrot, tmp_path: Path) -> None:
    judge = made(tmp_path, temperature=1.0, samples=3)
    outcomes = ask(judge, [pair(repeat=0), pair(repeat=1)], Spending())
    seeds = {sampling.seed for _, sampling in parrot.asked}
    assert [sampling.n for _, sampling in parrot.asked] == [3, 3]
    assert len(seeds) == 2
    ask(made(tmp_path, temperature=1.0, samples=3), [pair(repeat=2)], Spending())
    assert len({sampling.seed for _, sampling in parrot.asked}) == 3
    (again,) = ask(made(tmp_path, temperature=1.0, samples=3), [pair(repeat=1)], Spending())
    assert again.usage["cache_hits"] == 1
    assert again.probabilities == outcomes[1].probabilities
    assert len(parrot.asked) == 3


def test_a_record_is_replayed_without_the_model(
    parrot: Parrot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "record.jsonl"
    (recorded,) = ask(made(tmp_path), [pair()], Spending(cache=False, record=file))
    assert str(tmp_path) not in file.read_text()
    monkeypatch.setattr(inprocess, "Generator", lambda *_, **__: pytest.fail("loaded"))
    (replayed,) = ask(made(tmp_path), [pair()], Spending(replay=file))
    assert (replayed.verdict, replayed.probabilities) == (recorded.verdict, recorded.probabilities)


def test_a_limit_of_requests_holds(parrot: Parrot, tmp_path: Path) -> None:
    data = Dataset(
        "made",
        tuple(
            Comparison(f"c{i}", f"Q{i}", "", "R", "A", "B", "model_vs_model", "response_a", "en", group=str(i))
            for i in range(5)
        ),
    )
    metric = load_metric("judge-pairwise", model=str(tmp_path / "model"), engine="transformers")
    with pytest.raises(calf.StoppedError, match="limit of 3 requests"):
        calf.evaluate(metric, data, order="given", spending=Spending(max_requests=3), runs=tmp_path / "runs")
    assert len(parrot.asked) == 3
    metric = load_metric("judge-pairwise", model=str(tmp_path / "model"), engine="transformers")
    run = calf.evaluate(metric, data, order="given", runs=tmp_path / "runs")
    assert [row["coverage"] for row in run.rows if row["slice"] == "overall"] == [1.0]
    assert len(parrot.asked) == 5
    said = estimate(metric, data, order="given", runs=tmp_path / "runs")
    assert said is not None
    assert (said.requests, said.cached_requests, said.judged_requests) == (5, 0, 5)
    assert said.expected.cost in (None, 0.0)
    assert said.most_cost == 0


def test_closing_ends_what_is_under_way(parrot: Parrot, tmp_path: Path) -> None:
    parrot.seconds = 60.0
    judge = made(tmp_path)
    judge.prepare(Preparation((), 0, spending=Spending()))

    async def run() -> None:
        task = asyncio.create_task(judge.judge_one(pair()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await judge.close()

    begun = time.monotonic()
    asyncio.run(run())
    while parrot.at_once and time.monotonic() < begun + 10:
        time.sleep(0.01)
    assert time.monotonic() - begun < 10
    parrot.seconds = 0.0
    (outcome,) = ask(made(tmp_path), [pair()], Spending())
    assert outcome.usage["requests"] == 1  # nothing of the first one was kept


def test_whoever_asks_one_answer_is_made_at_a_time() -> None:
    parrot = Parrot(seconds=0.05)

    async def run() -> list[bytes]:
        model = InProcess(parrot)  # type: ignore[arg-type]  # in a generator's place
        return await asyncio.gather(*(model.post(body(max_tokens=place)) for place in range(1, 4)))

    assert len(asyncio.run(run())) == 3
    assert parrot.most_at_once == 1


def test_an_answer_that_was_ended_is_never_given() -> None:
    parrot = Parrot(seconds=60.0)

    async def run() -> None:
        model = InProcess(parrot)  # type: ignore[arg-type]  # in a generator's place
        posting = asyncio.create_task(model.post({"model": "m", "messages": [], "max_tokens": 5, "temperature": 0.0}))
        await asyncio.sleep(0.05)
        await model.close()
        with pytest.raises(Fault, match="ended before"):
            await posting

    asyncio.run(run())


# ---- options ----------------------------------------------------------------------------------------------------


def test_a_schema_cannot_be_forced(parrot: Parrot, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot hold a model to a JSON schema"):
        made(tmp_path, structured="json_schema")
    ask(made(tmp_path), [pair()])  # "auto" asks for none


def test_fields_that_it_does_not_know_stop_the_run(parrot: Parrot, tmp_path: Path) -> None:
    ask(made(tmp_path, extra={"top_p": 0.5, "repetition_penalty": 1.1}, temperature=1.0), [pair()])
    assert (parrot.asked[0][1].top_p, parrot.asked[0][1].repetition_penalty) == (0.5, 1.1)
    with pytest.raises(calf.StoppedError, match="knows no reasoning_effort"):
        ask(made(tmp_path, extra={"reasoning_effort": "low"}), [pair()])


def test_wrong_options_and_absent_packages_and_models_are_said(
    parrot: Parrot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="device 'tpu'"):
        made(tmp_path, device="tpu")
    with pytest.raises(OptionError, match="half precision is for a GPU"):
        made(tmp_path, device="cpu", half=True)
    with pytest.raises(OptionError, match="name the model"):
        made(tmp_path, model=" ")
    with pytest.raises(UserError, match="no such folder"):
        made(tmp_path, model="./absent").server()
    monkeypatch.setattr(inprocess.importlib.util, "find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(MissingDependencyError, match=r"engine=transformers needs the package 'torch'.*likelihood"):
        made(tmp_path)


def test_the_signature_names_the_engine_and_the_weights(parrot: Parrot, tmp_path: Path) -> None:
    metric = load_metric("judge-pairwise", model=str(tmp_path / "model"), engine="transformers")
    same = load_metric("judge-pairwise", model=str(tmp_path / "model"), engine="transformers", device="cpu")
    assert "engine=transformers" in metric.name
    assert "|engine:transformers sha256:" in metric.signature(["en"])
    assert metric.signature(["en"]) == same.signature(["en"])
    assert "|engine:server|" in load_metric("judge-pairwise", model="m").signature(["en"])


# ---- with models ------------------------------------------------------------------------------------------------


def body(**changes: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "A or B?"}], "max_tokens": 6, **changes}


@needs_likelihood
@pytest.mark.usefixtures("one_thread")
def test_a_body_is_answered_as_a_server_would(tmp_path: Path) -> None:
    from calf.models.find import find_weights
    from calf.models.generate import Generator

    weights = find_weights(str(write_causal(tmp_path / "m", chat_template=CHATML)))
    honours = frozenset({"logprobs", "n", "seed", "temperature"})
    server = Server("http://127.0.0.1/v1", "m", honours=honours, concurrency=1, retries=0)

    async def run(*requests: Request) -> list[Any]:
        engine = Engine(server, sender=InProcess(Generator(weights, "cpu")))
        try:
            return await asyncio.gather(*map(engine.ask, requests), return_exceptions=True)
        finally:
            await engine.close()

    said = (("user", "A or B?"),)
    plain, draws, others, long = asyncio.run(
        run(
            Request(said, 6, 0.0, logprobs=3),
            Request(said, 6, 2.0, n=3, seed=1),
            Request(said, 6, 2.0, n=3, seed=2),
            Request((("user", "x" * 200),), 6),
        )
    )
    (choice,) = plain.choices
    assert choice.finish in ("stop", "length")
    assert "".join(token.text for token in choice.tokens) == choice.text
    assert all(len(token.alternatives) == 3 for token in choice.tokens)
    assert plain.usage.input > 20
    assert 1 <= plain.usage.output <= 6
    assert len({one.text for one in draws.choices}) > 1
    assert draws.choices != others.choices
    assert isinstance(long, AskError)
    assert long.kind == "too_long"
    again = asyncio.run(run(Request(said, 6, 2.0, n=3, seed=1)))
    assert again[0].choices == draws.choices  # on another day, in another process


@needs_likelihood
@pytest.mark.usefixtures("one_thread")
def test_a_workspaces_judge_runs_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    (folder / "metrics").mkdir(parents=True)
    (folder / "calf.toml").touch()
    (folder / "metrics" / "short.txt").write_text(PROMPT)
    (folder / "metrics" / "short.toml").write_text(
        'adapter = "calf.judges.pairwise:PairwiseJudge"\n[files]\nprompt_en = "short.txt"\nprompt_zh = "short.txt"\n'
        '[options]\nengine = "transformers"\nmax_tokens = 4\n'
    )
    write_causal(folder / "tiny", chat_template=CHATML)
    monkeypatch.chdir(folder)
    data = Dataset("made", (Comparison("c", "Q", "", "R", "A", "B", "model_vs_model", "response_a", "en", group="c"),))
    run = calf.evaluate("short", data, options={"model": "tiny"}, order="given", runs=folder / "runs")
    # A prompt with tags is longer than the window of such a small model.
    assert run.failures == {"too_long": 1}
    assert threading.active_count() < 20
    written = "".join(path.read_text() for path in (folder / "runs").rglob("*.json*"))
    assert json.dumps(str(folder)).strip('"') not in written


def test_translations_are_asked_of_servers_alone() -> None:
    with pytest.raises(UnknownNameError, match="unknown option 'engine'"):
        translate(
            "sample", to="en", model="m", base_url="http://127.0.0.1:9/v1", name=None, limit=1, concurrency=None,
            options=["engine=transformers"], spending=Spending(), estimate=False, without_failed=False, force=False,
        )  # fmt: skip
