"""What a judge with a model in this process cannot do, and what it needs: windows, draws, options, files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from likelihood_models import CHATML, needs_likelihood, one_thread, write_causal
from test_inprocess import Parrot, ask, made, pair, parrot

import calf
from calf.datasets.dataset import Dataset
from calf.engine.budget import Spending
from calf.engine.faults import from_status
from calf.engine.request import Request
from calf.engine.server import Server
from calf.errors import OptionError, UserError
from calf.judges import inprocess
from calf.metrics.base import Preparation
from calf.metrics.registry import load_metric
from calf.models import generate
from calf.models.folder import Weights
from calf.models.generate import find_causal
from calf.types import Comparison, Failure

__all__ = ["one_thread", "parrot"]  # fixtures


def comparisons(count: int) -> Dataset:
    return Dataset(
        "made",
        tuple(
            Comparison(f"c{i}", f"Q{i}", "", "R", "A", "B", "model_vs_model", "response_a", "en", group=str(i))
            for i in range(count)
        ),
    )


# ---- prompts that are too long ----------------------------------------------------------------------------------


def test_prompts_that_are_too_long_fail_for_good_and_stop_nothing(parrot: Parrot, tmp_path: Path) -> None:
    parrot.said = ("too long",)
    options = {"model": str(tmp_path / "model"), "engine": "transformers"}
    for _ in range(2):  # the same command again asks nothing again
        run = calf.evaluate("judge-pairwise", comparisons(40), options=options, order="given", runs=tmp_path / "runs")
        assert run.failures == {"too_long": 40}
        assert len(parrot.asked) == 40


@needs_likelihood
@pytest.mark.usefixtures("one_thread")
def test_a_small_window_is_a_run_that_ends(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "tiny", chat_template=CHATML)
    judge = load_metric("judge-pairwise", model=str(folder), engine="transformers").instance
    outcomes = ask(judge, [pair(question=f"Q{i}") for i in range(34)])
    assert [outcome.kind for outcome in outcomes] == ["too_long"] * 34
    assert "window is 128" in outcomes[0].message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (
            400,
            {"message": "too many tokens", "type": "invalid_request_error", "code": "context_length_exceeded"},
        ),
        (400, {"message": "exceeds the context size", "type": "exceed_context_size_error", "code": 400}),
        (500, {"message": "exceeds the context size", "type": "exceed_context_size_error", "code": 500}),
    ],
)
def test_a_servers_own_word_for_it_is_the_same_kind(status: int, error: dict[str, Any]) -> None:
    fault = from_status(status, {}, {"error": error}, Server("http://127.0.0.1/v1", "m"))
    assert (fault.kind, fault.passing, fault.fatal) == ("too_long", False, False)
    other = from_status(400, {}, {"error": {**error, "type": "other", "code": 400}}, Server("http://127.0.0.1/v1", "m"))
    assert other.kind == "bad_request"


# ---- draws ------------------------------------------------------------------------------------------------------


def test_each_sample_that_is_asked_for_again_is_drawn_anew(parrot: Parrot, tmp_path: Path) -> None:
    parrot.said = ("I like cheese.",)

    def seeds(repeat: int) -> list[int]:
        before = len(parrot.asked)
        (outcome,) = ask(made(tmp_path, "judge-vote", samples=5, retries_unread=2), [pair(repeat=repeat)], Spending())
        assert isinstance(outcome, Failure)
        return [sampling.seed for _, sampling in parrot.asked[before:]]

    first = seeds(0)
    assert len(first) == len(set(first)) == 1 + 5 * 2
    second = seeds(1)
    assert len({*first, *second}) == 2 * (1 + 5 * 2)
    assert seeds(0) == []  # the same ones as before: all are in the cache
    assert len(parrot.asked) == 2 * (1 + 5 * 2)


def test_a_sample_is_another_request_with_another_seed() -> None:
    server = Server("http://127.0.0.1/v1", "m", honours=frozenset({"seed", "n"}))
    request = Request((("user", "?"),), n=3, seed=2, repeat=2)
    samples = [request.sample(i) for i in range(3)]
    assert [(one.n, one.seed, one.repeat) for one in samples] == [(1, 6, 6), (1, 7, 7), (1, 8, 8)]
    assert len({one.key(server) for one in samples}) == 3
    assert Request((("user", "?"),), seed=7, repeat=4).sample(0).seed == 7  # a single one stays what it is
    assert Request((("user", "?"),), n=3).sample(1).seed is None


# ---- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1.0, -1e-9, float("nan"), float("inf")])
def test_temperatures_that_cannot_be_are_refused(value: float) -> None:
    with pytest.raises(OptionError, match="temperature must be 0 or more, not"):
        _ = load_metric("judge-pairwise", model="m", temperature=value).instance
    for fine in (None, 0.0, 1.5):
        assert load_metric("judge-pairwise", model="m", temperature=fine).instance.temperature == fine


@pytest.mark.parametrize(
    ("extra", "reach"),
    [
        ({"top_p": 0}, "more than 0 and at most 1"),
        ({"top_p": 1.5}, "more than 0 and at most 1"),
        ({"top_p": float("nan")}, "more than 0 and at most 1"),
        ({"top_p": "much"}, "more than 0 and at most 1"),
        ({"top_p": None}, "more than 0 and at most 1"),
        ({"repetition_penalty": 0}, "more than 0"),
        ({"repetition_penalty": -2.0}, "more than 0"),
        ({"repetition_penalty": float("inf")}, "more than 0"),
        ({"repetition_penalty": True}, "more than 0"),
    ],
)
def test_draws_that_cannot_be_are_refused(parrot: Parrot, tmp_path: Path, extra: dict[str, Any], reach: str) -> None:
    (name,) = extra
    with pytest.raises(OptionError, match=f"extra: {name} must be {reach}, not "):
        made(tmp_path, extra=extra)
    made(tmp_path, extra={"top_p": 1, "repetition_penalty": 0.5})
    assert (
        load_metric("judge-pairwise", model="m", extra=extra).instance.extra_body == extra
    )  # a server says itself what it takes


# ---- the model's file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), (b"PK\3\4", "not a GGUF file")])
def test_a_bad_gguf_file_names_no_option_that_is_not_there(
    parrot: Parrot, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "bad.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=rf"bad\.gguf: {problem}") as caught:
        made(tmp_path, model=str(file)).server()
    assert "-o gguf" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_replay_unpacks_no_gguf_file(parrot: Parrot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, record = tmp_path / "some.gguf", tmp_path / "record.jsonl"
    file.write_bytes(b"GGUF and so on")
    found = find_causal(str(file))
    monkeypatch.setattr(generate, "gguf_weights", lambda gguf: Weights(gguf.name, tmp_path / "model", gguf.revision))
    (recorded,) = ask(made(tmp_path, model=str(file)), [pair()], Spending(cache=False, record=record))
    assert json.loads(record.read_text())["place"].startswith(f"transformers {found.revision} ")
    monkeypatch.setattr(generate, "gguf_weights", lambda gguf: pytest.fail("unpacked"))
    metric = load_metric("judge-pairwise", model=str(file), engine="transformers")
    assert found.revision in metric.signature(["en"])
    (replayed,) = ask(metric.instance, [pair()], Spending(replay=record))
    assert replayed.verdict == recorded.verdict


def test_a_replay_needs_the_weights_by_which_the_run_is_known(parrot: Parrot, tmp_path: Path) -> None:
    options = {"model": str(tmp_path / "model"), "engine": "transformers"}
    record, runs = tmp_path / "record.jsonl", tmp_path / "runs"
    data = comparisons(1)
    calf.evaluate("judge-pairwise", data, options=options, spending=Spending(record=record), runs=runs)
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(UserError, match=r"no such folder$") as said:
        calf.evaluate("judge-pairwise", data, options=options, spending=Spending(replay=record), runs=runs)
    assert "\n" not in str(said.value)


@needs_likelihood
def test_a_gguf_files_revision_is_that_of_its_weights(tmp_path: Path) -> None:
    from likelihood_models import write_gguf

    found = find_causal(str(write_gguf(tmp_path / "tiny.gguf")))
    weights = generate.unpacked(found)
    assert (weights.name, weights.revision) == (found.name, found.revision)


# ---- limits of cost ---------------------------------------------------------------------------------------------


def test_a_limit_of_cost_is_refused_before_the_model_is_loaded(
    parrot: Parrot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inprocess, "Generator", lambda *_, **__: pytest.fail("loaded"))
    record = tmp_path / "record.jsonl"
    judge = made(tmp_path)
    for _ in range(2):  # nothing stays open
        with pytest.raises(UserError, match="--max-cost needs prices"):
            judge.prepare(Preparation((), 0, spending=Spending(max_cost=1.0, record=record)))
