"""Answers of published evaluators that name a verdict without giving it, and answers made to take long."""

from __future__ import annotations

import time

import pytest

from calf.judges.answers import Unread
from calf.judges.published.readers import PAIRS, SCORES, PairForm, ScoreForm


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("prometheus", "I prefer B over [Response A]"),
        ("prometheus", "Nothing is wrong in [Response B]."),
        ("auto-j", "So, the final decision is that Response 2 is worse."),
        ("auto-j", "The final decision is Response 1 is not as good as the other."),
        ("critiquellm", "综合比较结果: 助手1和助手2质量相当"),
        ("critiquellm", "{'综合比较结果': '助手2或助手1'}"),
    ],
)
def test_a_name_is_no_verdict(form: PairForm, text: str) -> None:
    assert isinstance(PAIRS[form](text, "stop"), Unread)


@pytest.mark.parametrize(
    ("form", "text", "verdict"),
    [
        ("prometheus", "Both are right, but A says more. [Response A]", "response_a"),
        ("prometheus", "A says more.\n[Response B]", "response_b"),
        ("auto-j", "So, the final decision is Response 2. It is better.", "response_b"),
        ("critiquellm", "{'综合比较结果': '助手2'}", "response_b"),
    ],
)
def test_a_verdict_is_one_still(form: PairForm, text: str, verdict: str) -> None:
    assert PAIRS[form](text, "stop") == verdict


@pytest.mark.parametrize(
    ("text", "score"),
    [("综合得分: 7/100", None), ("综合得分: 1-10", None), ("综合得分: 7/10", 7), ("综合得分: 7.5", 7.5)],
)
def test_a_score_of_another_scale_is_none(text: str, score: float | None) -> None:
    form: ScoreForm = "critiquellm"
    found = SCORES[form](text, "stop")
    assert isinstance(found, Unread) if score is None else found == score


def test_many_tags_take_no_time() -> None:
    begun = time.perf_counter()
    assert PAIRS["rm-r1"]("<eval>x</eval>" * 20_000 + "<answer>[[B]]</answer>", "stop") == "response_b"
    assert time.perf_counter() - begun < 4
