"""The cascade: who decides what, how many calls its threshold saves, and that no label moves its own threshold."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from agents.playing import comparisons, pair
from engine.server import ScriptedServer
from hypothesis import given, settings
from hypothesis import strategies as st

import calf
from calf.agents.thresholds import threshold_for_accuracy, threshold_for_share
from calf.datasets.dataset import Dataset
from calf.errors import OptionError, UserError
from calf.hashing import folds
from calf.metrics.base import Preparation
from calf.metrics.registry import load_metric
from calf.runs.store import read_outcomes
from calf.runs.transcripts import read_turns
from calf.types import Failure, Opinion

URL = "http://127.0.0.1:9/v1"


def of_lengths(lengths: list[tuple[int, int]], labels: str | None = None, groups: int | None = None) -> Dataset:
    """Comparisons whose responses have so many words: `longer` is as sure as they differ."""
    names = {"A": "response_a", "B": "response_b", "S": "same"}
    data = comparisons(len(lengths), groups=groups)
    return data.replace([
        dataclasses.replace(
            one, response_a="word " * a, response_b="word " * b, label=names[labels[i]] if labels else one.label
        )
        for i, (one, (a, b)) in enumerate(zip(data, lengths, strict=True))
    ])  # fmt: skip


def run_of(data: Dataset, folder: Path, url: str, **options: Any) -> Any:
    given_ = {"cheap": "longer", "model": "m", "base_url": url, **options}
    return calf.evaluate("cascade", data, runs=folder, options=given_)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_expensive_metric_is_asked_about_its_share_alone(tmp_path: Path, share: float) -> None:
    data = of_lengths([(20 + i, 20) if i % 2 else (20, 20 + i) for i in range(1, 61)])
    with ScriptedServer(answer='{"verdict": "same"}') as server:
        run = run_of(data, tmp_path, server.url, share=share)
        asked = server.requests / 2  # both orders
    assert asked == pytest.approx(60 * share, abs=3)  # each fold's threshold is the other folds'
    verdicts = {one.id: one.verdict for one in run.judgments if one.order == "given"}
    cheap = {name for name, verdict in verdicts.items() if verdict != "same"}
    assert len(cheap) == 60 - asked
    for number in range(1, 61):
        if f"c{number - 1}" in cheap:
            assert verdicts[f"c{number - 1}"] == ("response_a" if number % 2 else "response_b")
    sure = [number for number in range(1, 61) if f"c{number - 1}" in cheap]
    assert not sure or min(sure) >= 60 * share - 3  # the surer ones
    swapped = {one.id: one.verdict for one in run.judgments if one.order == "swapped"}
    assert swapped == verdicts


def test_the_accuracy_asked_for_sets_the_threshold(tmp_path: Path) -> None:
    """The longer one is better from a difference of 30 words on; below it is the worse one."""
    data = of_lengths([(100, 100 - i) for i in range(1, 61)], "B" * 29 + "A" * 31)
    with ScriptedServer(answer='{"verdict": "same"}') as server:
        run = run_of(data, tmp_path, server.url, accuracy=0.95)
    sure = {one.id for one in run.judgments if one.verdict == "response_a"}
    assert 29 <= len(sure) <= 33
    kept = read_outcomes(run.path / "judgments.jsonl")
    outcome = kept["given/0/c59"]
    assert isinstance(outcome, Opinion)
    assert outcome.transcript[0]["step"] == "cheap"
    assert outcome.transcript[0]["confidence"] == 60
    assert 28 <= outcome.transcript[0]["threshold"] <= 30
    turns = [one for one in read_turns(run.path / "turns.csv") if one.id == "c0"]
    assert [(one.step, one.verdict) for one in turns[:2]] == [("cheap", "response_a"), ("expensive", "same")]
    assert turns[1].input_tokens > 0


def test_a_label_does_not_move_its_own_threshold() -> None:
    data = of_lengths([(100, 100 - i) for i in range(1, 41)], "AB" * 20, groups=20)
    fold = folds((c.group for c in data), 0, 10)
    for number in range(3):
        mine = {c.id for c in data if fold[c.group] == number}
        other = data.replace([dataclasses.replace(c, label="response_b" if c.id in mine else c.label) for c in data])
        thresholds: list[dict[str, float]] = []
        for one in (data, other):
            metric: Any = load_metric("cascade", cheap="longer", model="m", base_url=URL, accuracy=0.5).instance
            metric.prepare(Preparation(tuple(one), 0))
            thresholds.append(metric._prepared.threshold)
        assert all(thresholds[0][name] == thresholds[1][name] for name in mine)
        assert thresholds[0] != thresholds[1]


def test_equal_scores_are_never_sure_and_failures_are_passed_on(tmp_path: Path) -> None:
    data = of_lengths([(5, 5), (9, 2), (8, 1)])
    with ScriptedServer(answer="I like both cats and dogs.") as server:
        run = run_of(data, tmp_path, server.url, share=0.0)
    kept = read_outcomes(run.path / "judgments.jsonl")
    assert isinstance(kept["given/0/c0"], Failure)
    assert kept["given/0/c0"].transcript[0]["step"] == "cheap"
    assert [one.verdict for one in run.judgments if one.order == "given"] == [None, "response_a", "response_a"]


def test_any_comparison_metric_may_be_the_expensive_one(tmp_path: Path) -> None:
    data = of_lengths([(20 + i, 20) for i in range(1, 21)])
    run = calf.evaluate(
        "cascade", data, runs=tmp_path, options={"cheap": "longer", "expensive": "always-b", "share": 0.5}
    )
    verdicts = [one.verdict for one in run.judgments if one.order == "given"]
    assert verdicts.count("response_b") == pytest.approx(10, abs=2)
    with ScriptedServer(answer="Fine.\nVerdict: B") as server:
        options = {
            "cheap": "longer",
            "expensive": "chateval[turns=1]",
            "share": 0.5,
            "model": "m",
            "base_url": server.url,
        }
        run = calf.evaluate("cascade", data, runs=tmp_path, options=options)
        asked = sum(one.verdict == "response_b" for one in run.judgments if one.order == "given")
        assert server.requests == asked * 2 * 3
        assert run.timing["usage"]["requests"] == server.requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cheap": "judge-pairwise[model=m]"}, "asks a server"),
        ({"expensive": "rouge-l"}, "scores single responses"),
        ({"expensive": "judge-pairwise[api_key=sk-1]"}, "a key does not go into brackets"),
        ({"share": 1.5}, "share must be from 0 to 1"),
        ({"accuracy": -1.0}, "accuracy must be from 0 to 1"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _ = load_metric("cascade", **({} if "expensive" in options else {"model": "m"}), **options).instance


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60), st.floats(0, 1))
def test_thresholds_keep_what_they_promise(found: list[tuple[int, bool]], asked: float) -> None:
    confidence = [float(value) for value, _ in found]
    right = [good for _, good in found]
    threshold = threshold_for_accuracy(confidence, right, asked)
    sure = [good for value, good in zip(confidence, right, strict=True) if value >= threshold]
    assert not sure or sum(sure) >= asked * len(sure)
    for lower in {value for value in confidence if value < threshold}:  # none lower would do
        wider = [good for value, good in zip(confidence, right, strict=True) if value >= lower]
        assert sum(wider) < asked * len(wider)
    distinct = [float(place) for place in range(len(found))]
    threshold = threshold_for_share(distinct, asked)
    assert sum(value < threshold for value in distinct) == round(asked * len(found))
    assert threshold_for_share(distinct, 0.5, len(found) * 2) == -math.inf  # those that failed are enough


def test_it_says_that_it_must_see_the_dataset_first() -> None:
    metric: Any = load_metric("cascade", cheap="longer", model="m", base_url=URL).instance
    with pytest.raises(UserError, match="no threshold for 'c1': let it judge in a run"):
        asyncio.run(metric.judge_one(pair()))


def test_what_is_selected_changes_no_judgment(tmp_path: Path) -> None:
    """Nor do other languages: their scores may be another model's."""
    data = of_lengths([(30, 30 - i) for i in range(1, 25)], groups=12)
    both = data.replace([
        dataclasses.replace(c, language="zh", response_b=c.response_b * 10, response_a=c.response_a * 10)
        if i % 3 == 0 else c for i, c in enumerate(data)
    ])  # fmt: skip
    english = {c.id for c in both if c.language == "en"}
    with ScriptedServer(answer='{"verdict": "same"}') as server:
        words: dict[str, Any] = {"options": {"cheap": "longer", "model": "m", "base_url": server.url}}
        whole = calf.evaluate("cascade", both, runs=tmp_path / "whole", **words)
        calf.evaluate("cascade", both, runs=tmp_path / "part", language="en", **words)
        part = calf.evaluate("cascade", both, runs=tmp_path / "part", **words)
    assert whole.judgments == part.judgments
    kept = [turn for turn in read_turns(whole.path / "turns.csv") if turn.step == "expensive" and turn.order == "given"]
    assert sum(turn.id in english for turn in kept) == pytest.approx(8, abs=3), "half of 16, whatever Chinese is"
    assert sum(turn.id not in english for turn in kept) == pytest.approx(4, abs=2)


def test_who_needs_a_reference_is_asked_about_those_that_have_one(tmp_path: Path) -> None:
    data = of_lengths([(9, 2)] * 6)
    data = data.replace([dataclasses.replace(c, reference=None) if i < 3 else c for i, c in enumerate(data)])
    with ScriptedServer(answer='{"verdict": "B"}') as server:
        sure = run_of(data, tmp_path, server.url, share=0.0)
        asked = run_of(data, tmp_path, server.url, cheap="rouge-l", expensive="judge-pairwise-noref", share=0.0)
        failed = run_of(data, tmp_path, server.url, cheap="rouge-l", share=0.0)
        words = {"cheap": "rouge-l", "model": "m", "base_url": server.url}
        expected = calf.estimate("cascade", data, order="given", runs=tmp_path, options=words, cache=False)
    given_ = [[one.failure or one.verdict for one in run.judgments if one.order == "given"] for run in (sure, failed)]
    assert given_[0] == ["response_a"] * 6
    assert given_[1][:3] == ["no_reference"] * 3
    assert [one.verdict for one in asked.judgments if one.order == "given"][:3] == ["response_b"] * 3
    assert expected is not None
    assert expected.requests == 3, "of six comparisons, those with a reference"
