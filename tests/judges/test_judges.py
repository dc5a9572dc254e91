"""The judges against a scripted server with real sockets; the server counts."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from engine.helpers import KEY
from engine.server import ScriptedServer

import calf
from calf.datasets.dataset import Dataset
from calf.engine.budget import Spending
from calf.errors import DataError, OptionError, StoppedError, UserError
from calf.metrics.base import Pair, Preparation, Response
from calf.metrics.registry import load_metric
from calf.types import Comparison, Failure, Opinion, Score

FRESH = Spending(cache=False)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once, and nothing of the environment counts."""
    monkeypatch.setattr("calf.engine.engine._FIRST_WAIT", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def pair(first: str = "It rains in June.", second: str = "It is dry.", **changes: Any) -> Pair:
    item = Pair(
        id="c1", question="When does it rain?", context="", reference="In June.", response_a=first, response_b=second,
        language="en", setting="model_vs_model", subject=None, source_a=None, source_b=None, order="given", repeat=0,
    )  # fmt: skip
    return dataclasses.replace(item, **changes)


def response(text: str = "It rains in June.", **changes: Any) -> Response:
    return dataclasses.replace(Response("When does it rain?", "", "In June.", text, "en"), **changes)


def made(name: str, url: str, **options: Any) -> Any:
    return load_metric(name, **{"model": "m", "base_url": url, **options}).instance


def ask(metric: Any, items: Iterable[Any], spending: Spending = FRESH) -> list[Any]:
    """What the metric says of each item, all asked at once."""
    metric.prepare(Preparation((), 0, spending=spending))
    method = metric.judge_one if hasattr(metric, "judge_one") else metric.score_one

    async def run() -> list[Any]:
        try:
            return await asyncio.gather(*map(method, items))
        finally:
            await metric.close()

    return asyncio.run(run())


def comparisons(count: int, language: str = "en") -> Dataset:
    return Dataset(
        "made",
        tuple(
            Comparison(
                f"c{i}", f"Question {i}?", "", f"Reference {i}.", f"First {i}.", f"Second {i}.",
                "model_vs_model", "response_a", language, group=f"g{i}",
            )
            for i in range(count)
        ),
    )  # fmt: skip


def text_of(body: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in body["messages"])


def told(text: str, name: str) -> str:
    """What stands in a block of a prompt."""
    found = re.search(rf"<{name}_(\w+)>\n(.*?)\n</{name}_\1>", text, re.S)
    assert found, name
    return found[2]


def prefers_rain(body: dict[str, Any]) -> str:
    text = text_of(body)
    first, second = ("rains" in told(text, f"response_{side}") for side in "ab")
    return json.dumps({"verdict": "same" if first == second else "A" if first else "B"})


# ---- pairwise -------------------------------------------------------------------------------------------------


def test_the_verdict_follows_the_response_and_not_its_place() -> None:
    given = pair()
    swapped = pair(given.response_b, given.response_a, order="swapped")
    with ScriptedServer(answer=prefers_rain) as server:
        outcomes = ask(made("judge-pairwise", server.url), [given, swapped, pair("It rains.", "rains")])
    assert [outcome.verdict for outcome in outcomes] == ["response_a", "response_b", "same"]
    assert all(outcome.probabilities is None and outcome.seconds > 0 for outcome in outcomes)
    assert outcomes[0].usage["requests"] == 1
    assert outcomes[0].usage["input_tokens"] > 50
    assert outcomes[0].usage["output_tokens"] == 2
    assert "cost" not in outcomes[0].usage


def test_both_orders_begin_alike_up_to_the_first_response() -> None:
    with ScriptedServer(answer=prefers_rain) as server:
        ask(
            made("judge-pairwise", server.url),
            [pair(context="Rain."), pair("It is dry.", "It rains in June.", context="Rain.")],
        )
    one, other = ([message["content"] for message in seen.body["messages"]] for seen in server.seen)
    assert one[0] == other[0]
    shared = one[1].split("<response_a_")[0]
    assert other[1].startswith(shared)
    assert "When does it rain?" in shared
    assert "In June." in shared
    assert "Rain." in shared


def test_a_judge_without_reference_is_not_shown_one_and_needs_none() -> None:
    loaded = load_metric("judge-pairwise-noref", model="m", base_url="http://127.0.0.1:1/v1")
    assert not loaded.traits.needs_reference
    assert load_metric("judge-pairwise", model="m").traits.needs_reference
    with ScriptedServer(answer=prefers_rain) as server:
        (outcome,) = ask(made("judge-pairwise-noref", server.url), [pair(reference="A secret.")])
    assert outcome.verdict == "response_a"
    assert "secret" not in server.seen[0].text


def test_a_schema_is_sent_only_where_it_is_honoured() -> None:
    with ScriptedServer(answer=prefers_rain) as server:
        for options in (
            {},
            {"honours": "json_schema"},
            {"honours": "json_schema", "structured": "none"},
            {"structured": "json_schema"},
        ):
            ask(made("judge-pairwise", server.url, **options), [pair()])
        ask(made("judge-pairwise-cot", server.url, structured="json_schema"), [pair()])
    formats = [seen.body.get("response_format") for seen in server.seen]
    assert [form is not None for form in formats] == [False, True, False, True, True]
    schema = formats[1]["json_schema"]["schema"]
    assert schema["properties"]["verdict"]["enum"] == ["A", "B", "same"]
    assert list(formats[4]["json_schema"]["schema"]["properties"]) == ["explanation", "verdict"]
    assert "temperature" in server.seen[0].body
    assert "temperature" not in server.seen[1].body  # not said to be honoured


@pytest.mark.parametrize(
    "answer",
    [
        "The first one names June.\nThe second does not.\nVerdict: A",
        json.dumps({"explanation": "The first one names June.\nThe second does not.", "verdict": "A"}),
    ],
)
def test_an_explanation_is_kept(answer: str) -> None:
    with ScriptedServer(answer=answer) as server:
        (outcome,) = ask(made("judge-pairwise-cot", server.url), [pair()])
        (bare,) = ask(made("judge-pairwise", server.url), [pair()])
    assert outcome.verdict == "response_a"
    assert outcome.explanation.startswith("The first one names June.\nThe second does not.")
    assert bare.verdict == "response_a"


def test_reasoning_that_the_server_shows_apart_is_the_explanation_of_a_bare_verdict() -> None:
    said = {"message": {"content": '{"verdict": "B"}', "reasoning_content": "B is dry, as was asked."}}
    with ScriptedServer(answer=lambda body: said) as server:
        (outcome,) = ask(made("judge-pairwise", server.url), [pair()])
        server.script.answer = '{"verdict": "B"}'
        (without,) = ask(made("judge-pairwise", server.url), [pair()])
    assert (outcome.verdict, outcome.explanation) == ("response_b", "B is dry, as was asked.")
    assert without.explanation is None


def tokens(*parts: str | tuple[str, dict[str, float]]) -> dict[str, Any]:
    """An answer of these tokens; those with alternatives have them with these probabilities."""
    listed = []
    for part in parts:
        token, others = part if isinstance(part, tuple) else (part, {part: 1.0})
        listed.append(
            {
                "token": token,
                "logprob": math.log(others[token]),
                "top_logprobs": [{"token": name, "logprob": math.log(share)} for name, share in others.items()],
            }
        )
    content = "".join(entry["token"] for entry in listed)
    return {"message": {"content": content}, "logprobs": {"content": listed}}


ANSWERS = [
    tokens('{"', "verdict", '":', ' "', ("A", {"A": 0.6, "B": 0.2, "same": 0.1, "a": 0.05}), '"}'),
    tokens('{"verdict":', (' "A', {' "A': 0.6, ' "B': 0.2, ' "same': 0.1, "The": 0.05}), '"}'),
    tokens('{"verdict": "', ('A"}', {'A"}': 0.6, 'B"}': 0.15, 'B" }': 0.05, "s": 0.1})),
    tokens("Because of A.\n", "Verdict:", (" A", {" A": 0.6, " B": 0.2, " same": 0.1, " Both": 0.1})),
    tokens("[[", ("A", {"A": 0.6, "B": 0.2, "same": 0.1, "C": 0.05}), "]]"),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_probabilities_are_those_of_the_verdicts_token(answer: dict[str, Any]) -> None:
    """By hand: A 0.6, B 0.2, same 0.1, the rest means nothing: 6/9, 2/9, 1/9."""
    with ScriptedServer(answer=lambda body: answer) as server:
        (outcome,) = ask(made("judge-pairwise", server.url, honours="logprobs"), [pair()])
        assert server.seen[0].body["top_logprobs"] == 20
    assert outcome.verdict == "response_a"
    assert outcome.probabilities == pytest.approx((6 / 9, 2 / 9, 1 / 9), abs=1e-9)


def test_probabilities_that_nobody_promised_or_that_are_of_another_place_are_not_used() -> None:
    plain = tokens("A is wrong. Overall, response B is better.")
    with ScriptedServer(answer=lambda body: plain) as server:
        (outcome,) = ask(made("judge-pairwise", server.url, honours="logprobs"), [pair()])
        assert (outcome.verdict, outcome.probabilities) == ("response_b", None)
        (outcome,) = ask(made("judge-pairwise", server.url), [pair()])
        assert "logprobs" not in server.seen[-1].body
        assert outcome.probabilities is None
        server.script.answer = lambda body: ANSWERS[0]  # gives them unasked
        (outcome,) = ask(made("judge-pairwise", server.url), [pair()])
        assert (outcome.verdict, outcome.probabilities) == ("response_a", None)


def test_the_mean_counts_probabilities_and_the_vote_does_not() -> None:
    close = tokens('{"verdict": "', ("A", {"A": 0.5, "B": 0.4, "same": 0.1}), '"}')
    with ScriptedServer(answer=lambda body: close) as server:
        options = {"honours": "logprobs"}
        (vote,) = ask(made("judge-pairwise", server.url, **options), [pair()])
        (mean,) = ask(made("judge-pairwise", server.url, combine="mean", **options), [pair()])
    assert vote.verdict == "response_a"
    assert mean.verdict == "same"  # 0.5 - 0.4 is nearest to 0
    assert mean.probabilities == vote.probabilities == pytest.approx((0.5, 0.4, 0.1))


@pytest.mark.parametrize(
    ("said", "vote", "mean"),
    [
        ("AAABB", "response_a", "same"),
        ("AAAAB", "response_a", "response_a"),
        ("BBBBA", "response_b", "response_b"),
        ("AABBS", "same", "same"),
        ("AASSB", "same", "same"),
        ("ASSSS", "same", "same"),
        ("AAASS", "response_a", "response_a"),
    ],
)
@pytest.mark.parametrize("honours", ["n,temperature", "temperature"])
def test_samples(said: str, vote: str, mean: str, honours: str) -> None:
    """In one request, or in five where the server does not honour n."""
    texts = [json.dumps({"verdict": {"S": "same"}.get(letter, letter)}) for letter in said]
    left = list(texts)
    single = "n" not in honours.split(",")
    with ScriptedServer(answer=lambda body: left.pop(0) if single else texts) as server:
        (outcome,) = ask(made("judge-vote", server.url, honours=honours), [pair()])
        left[:] = texts
        (other,) = ask(made("judge-vote", server.url, honours=honours, combine="mean"), [pair()])
    assert server.requests == (10 if single else 2)
    assert ("n" in server.seen[0].body) is not single
    assert outcome.usage["requests"] == (5 if single else 1)
    assert (outcome.verdict, other.verdict) == (vote, mean)
    shares = tuple(said.count(letter) / 5 for letter in "ABS")
    assert outcome.probabilities == other.probabilities == pytest.approx(shares)


def test_samples_at_temperature_0_are_refused() -> None:
    with pytest.raises(OptionError, match="temperature"):
        made("judge-pairwise", "http://127.0.0.1:1/v1", samples=3)
    made("judge-pairwise", "http://127.0.0.1:1/v1", samples=3, honours="none")  # it cannot be set there


def test_a_repeat_asks_anew_and_the_same_question_does_not() -> None:
    with ScriptedServer(answer=prefers_rain) as server:
        outcomes = ask(made("judge-pairwise", server.url), [pair(), pair(), pair(repeat=1)], Spending())
        again = ask(made("judge-pairwise", server.url), [pair(), pair(repeat=1)], Spending())
    assert server.requests == 2
    assert sum(outcome.usage.get("requests", 0) for outcome in outcomes) == 2
    assert [outcome.usage["cache_hits"] for outcome in again] == [1, 1]
    assert [outcome.verdict for outcome in outcomes + again] == ["response_a"] * 5


# ---- answers that cannot be read ------------------------------------------------------------------------------


def test_an_unreadable_answer_is_asked_for_again_with_the_reminder() -> None:
    with ScriptedServer(answer='{"verdict": "B"}', script=["wrong"]) as server:
        (outcome,) = ask(made("judge-pairwise", server.url), [pair()])
    first, second = (seen.body["messages"] for seen in server.seen)
    assert outcome.verdict == "response_b"
    assert outcome.usage["requests"] == 2
    assert second[: len(first)] == first
    assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]
    assert second[-2]["content"] == "I like both cats and dogs."
    assert second[-1]["content"].startswith("No verdict could be read")


def test_what_is_asked_again_needs_no_explanation() -> None:
    long = {"finish_reason": "length", "message": {"content": '{"explanation": "On and on and'}}
    with ScriptedServer(answer=lambda body: '{"verdict": "B"}' if len(body["messages"]) > 2 else long) as server:
        (outcome,) = ask(made("judge-pairwise-cot", server.url, structured="json_schema"), [pair()])
    assert outcome.verdict == "response_b"
    schemas = [seen.body["response_format"]["json_schema"]["schema"] for seen in server.seen]
    assert [list(schema["properties"]) for schema in schemas] == [["explanation", "verdict"], ["verdict"]]
    assert [schema["required"] for schema in schemas] == [["explanation", "verdict"], ["verdict"]]


@pytest.mark.parametrize(
    ("answer", "kind", "raw"),
    [
        ("I like both cats and dogs.", "unreadable", "I like both cats and dogs."),
        ("I'm sorry, but I can't judge these.", "refusal", "I'm sorry, but I can't judge these."),
        (
            {"finish_reason": "length", "message": {"content": "Let me see, the first"}},
            "cut_off",
            "Let me see, the first",
        ),
        ({"finish_reason": "length", "message": {"content": "", "reasoning": "Hmm"}}, "cut_off", "Hmm"),
        ("<think>A, or B?</think>", "empty_answer", "<think>A, or B?</think>"),
    ],
)
def test_what_stays_unreadable_is_a_failure_that_was_paid_for(answer: Any, kind: str, raw: str) -> None:
    prices = {"input": 1.0, "output": 10.0}
    with ScriptedServer(answer=lambda body: answer) as server:
        (outcome,) = ask(made("judge-pairwise", server.url, prices=prices), [pair()])
        assert server.requests == 3
        (once,) = ask(made("judge-pairwise", server.url, retries_unread=0), [pair()])
        assert server.requests == 4
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.raw) == (kind, raw)
    assert "asked 3 times" in outcome.message
    assert "asked" not in once.message
    assert outcome.usage["requests"] == 3
    assert outcome.usage["input_tokens"] > 0
    cost = (outcome.usage["input_tokens"] + 10 * outcome.usage["output_tokens"]) / 1e6
    assert outcome.usage["cost"] == pytest.approx(cost)


def test_a_filter_is_a_failure_and_is_not_asked_again() -> None:
    with ScriptedServer(script=["content_filter", "filter_400", "400"]) as server:
        outcomes = [ask(made("judge-pairwise", server.url), [pair(str(i))])[0] for i in range(3)]
    assert [outcome.kind for outcome in outcomes] == ["content_filter", "content_filter", "bad_request"]
    assert server.requests == 3


def test_faults_that_pass_are_retried_and_counted() -> None:
    with ScriptedServer(answer='{"verdict": "same"}', script=["500", "429", "malformed", "no_choices"]) as server:
        (outcome,) = ask(made("judge-pairwise", server.url), [pair()])
    assert outcome.verdict == "same"
    assert (outcome.usage["requests"], outcome.usage["retries"]) == (5, 4)


def test_more_than_half_of_the_samples_must_be_readable() -> None:
    good, bad = '{"verdict": "A"}', "Hmm."
    with ScriptedServer(answer=lambda body: [good, good, bad] if "n" in body else bad) as server:
        options = {"samples": 3, "honours": "n,temperature"}
        (outcome,) = ask(made("judge-vote", server.url, **options), [pair()])
        assert server.requests == 3  # all, and twice more for the one
        assert outcome.verdict == "response_a"
        assert outcome.probabilities == (1.0, 0.0, 0.0)
        server.script.answer = lambda body: [good, bad, bad] if "n" in body else bad
        (failed,) = ask(made("judge-vote", server.url, **options), [pair()])
    assert failed.kind == "unreadable"
    assert failed.usage["requests"] == 5


def test_a_sample_that_is_read_at_the_second_try_counts() -> None:
    with ScriptedServer(
        answer=lambda body: ['{"verdict": "B"}', "Hmm."] if "n" in body else '{"verdict": "A"}'
    ) as server:
        (outcome,) = ask(made("judge-vote", server.url, samples=2, honours="n,temperature"), [pair()])
    assert outcome.verdict == "same"
    assert outcome.probabilities == (0.5, 0.5, 0.0)


# ---- languages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["judge-pairwise", "judge-pairwise-cot", "judge-pairwise-noref"])
def test_the_prompt_is_in_the_comparisons_language(name: str) -> None:
    with ScriptedServer(answer='{"verdict": "A"}') as server:
        ask(made(name, server.url), [pair(language="zh"), pair(language="en"), pair("Es regnet.", language="de")])
    instructions = [seen.body["messages"][0]["content"] for seen in server.seen]
    assert sorted("回答" in text for text in instructions) == [False, False, True]


def test_an_unreadable_chinese_answer_is_reminded_of_in_chinese() -> None:
    with ScriptedServer(answer="裁决：A", script=["wrong"]) as server:
        (outcome,) = ask(made("judge-pairwise-cot", server.url), [pair(language="zh")])
    assert outcome.verdict == "response_a"
    assert server.seen[1].body["messages"][-1]["content"].startswith("无法从上面的回答中读出裁决")


# ---- G-Eval ---------------------------------------------------------------------------------------------------


def scores(**by_aspect: Any) -> Any:
    """Answers by the aspect that the instructions name."""

    def answer(body: dict[str, Any]) -> Any:
        return next(value for name, value in by_aspect.items() if name in body["messages"][0]["content"])

    return answer


def test_g_eval_is_the_mean_of_its_aspects() -> None:
    answers = scores(factuality='{"score": 5}', completeness="Score: 3", clarity='{"score": "4"}')
    with ScriptedServer(answer=answers) as server:
        (outcome,) = ask(made("g-eval", server.url), [response()])
        assert server.requests == 3
        (one,) = ask(made("g-eval", server.url, aspects="completeness"), [response()])
    assert isinstance(outcome, Score)
    assert outcome.value == pytest.approx(4.0)
    assert outcome.explanation == "factuality 5, completeness 3, clarity 4"
    assert outcome.usage["requests"] == 3
    assert one.value == 3


def test_g_eval_weights_scores_by_their_probabilities() -> None:
    """By hand: (0.5 x 4 + 0.3 x 5 + 0.1 x 2) / 0.9; "10" and a word are no scores."""
    answer = tokens('{"', 'score": ', ("4", {"4": 0.5, "5": 0.3, "2": 0.1, "10": 0.06, "four": 0.04}), "}")
    with ScriptedServer(answer=lambda body: answer) as server:
        options = {"aspects": "clarity", "honours": "logprobs"}
        (outcome,) = ask(made("g-eval", server.url, **options), [response()])
        assert server.seen[0].body["top_logprobs"] == 20
        (capped,) = ask(made("g-eval", server.url, top_logprobs=5, **options), [response()])
        assert server.seen[1].body["top_logprobs"] == 5
        (unweighted,) = ask(made("g-eval", server.url, aspects="clarity"), [response()])
    assert outcome.value == capped.value == pytest.approx((0.5 * 4 + 0.3 * 5 + 0.1 * 2) / 0.9, abs=1e-9)
    assert unweighted.value == 4


def test_g_eval_takes_the_mean_of_samples() -> None:
    with ScriptedServer(answer=lambda body: ['{"score": 2}', '{"score": 5}', '{"score": 3}']) as server:
        options = {"aspects": "clarity", "samples": 3, "temperature": 1.0, "honours": "n,temperature"}
        (outcome,) = ask(made("g-eval", server.url, **options), [response()])
    assert outcome.value == pytest.approx(10 / 3)


def test_g_eval_fails_where_an_aspect_fails_and_says_which() -> None:
    answers = scores(factuality='{"score": 5}', completeness='{"score": 7}', clarity='{"score": 4}')
    with ScriptedServer(answer=answers) as server:
        (outcome,) = ask(made("g-eval", server.url), [response(reference=None)])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "unreadable"
    assert outcome.message.startswith("completeness: score 7 outside")
    assert outcome.raw == '{"score": 7}'
    assert outcome.usage["requests"] == 5
    assert "expert" not in server.seen[0].body["messages"][1]["content"]


def test_g_eval_refuses_aspects_it_has_no_prompt_for() -> None:
    with pytest.raises(OptionError, match="aspects"):
        made("g-eval", "http://127.0.0.1:1/v1", aspects="wit")


# ---- key points -----------------------------------------------------------------------------------------------


def key_points(body: dict[str, Any]) -> str:
    text = text_of(body)
    if "<points_" not in text:
        return json.dumps({"points": told(text, "reference").split("; ")})
    points = [line.partition(". ")[2] for line in told(text, "points").splitlines()]
    return json.dumps({"covered": [point in told(text, "response") for point in points]})


def test_key_points_split_the_reference_once_and_count_what_is_covered() -> None:
    items = [
        response(text, reference="June; July; August")
        for text in ("June and July", "nothing", "June July August", "July")
    ]
    with ScriptedServer(answer=key_points) as server:
        outcomes = ask(made("judge-keypoints", server.url), items)
    splits = [seen for seen in server.seen if "<points_" not in seen.text]
    assert (len(splits), server.requests) == (1, 5)
    assert [outcome.value for outcome in outcomes] == pytest.approx([2 / 3, 0, 1, 1 / 3])
    assert outcomes[0].explanation == "+ June\n+ July\n- August"
    assert sum(outcome.usage["requests"] for outcome in outcomes) == 5


def test_key_points_ask_again_for_a_list_of_another_length_and_then_fail() -> None:
    with ScriptedServer(answer=lambda body: key_points(body).replace("[true", "[true, true")) as server:
        (outcome,) = ask(made("judge-keypoints", server.url), [response("June", reference="June; July")])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "unreadable"
    assert outcome.usage["requests"] == server.requests == 4
    with ScriptedServer(answer="I can't help with that.") as server:
        (outcome,) = ask(made("judge-keypoints", server.url), [response()])
    assert (outcome.kind, server.requests) == ("refusal", 3)
    assert outcome.message.startswith("splitting the reference")


# ---- whole runs -----------------------------------------------------------------------------------------------


def evaluate(dataset: Dataset, runs: Path, url: str, name: str = "judge-pairwise", **arguments: Any) -> Any:
    options = {"model": "m", "base_url": url, **arguments.pop("options", {})}
    return calf.evaluate(name, dataset, runs=runs, order="both", options=options, **arguments)


def test_a_run_asks_each_comparison_in_both_orders_once(tmp_path: Path) -> None:
    with ScriptedServer(answer='{"verdict": "A"}') as server:
        evaluate(comparisons(20), tmp_path, server.url)
        assert (server.requests, len(server.attempts)) == (40, 40)
        evaluate(comparisons(20), tmp_path, server.url, fresh=True)
        assert server.requests == 40  # all from the cache
        evaluate(comparisons(20), tmp_path, server.url, fresh=True, spending=FRESH)
        assert server.requests == 80


def test_a_run_of_a_response_metric_asks_about_each_response_once(tmp_path: Path) -> None:
    answers = scores(factuality='{"score": 5}', completeness='{"score": 3}', clarity='{"score": 4}')
    with ScriptedServer(answer=answers) as server:
        run = evaluate(comparisons(4), tmp_path, server.url, "g-eval")
        assert (server.requests, len(server.attempts)) == (4 * 2 * 3, 4 * 2 * 3)
    assert {(judgment.verdict, judgment.failure) for judgment in run.judgments} == {("same", None)}


def test_no_more_requests_are_in_flight_than_concurrency_says(tmp_path: Path) -> None:
    with ScriptedServer(answer='{"verdict": "A"}', latency=0.02) as server:
        evaluate(comparisons(20), tmp_path, server.url, options={"concurrency": 5})
    assert server.max_in_flight == 5


@pytest.mark.parametrize("cache", [True, False])
def test_a_stopped_run_continues_and_sends_nothing_twice(tmp_path: Path, cache: bool) -> None:
    data = comparisons(15)
    with ScriptedServer(answer='{"verdict": "B"}') as server:
        for limit in (7, 20, 20):  # of the whole run, so that the third call sends nothing
            with pytest.raises(StoppedError, match="max-requests"):
                evaluate(data, tmp_path, server.url, spending=Spending(max_requests=limit, cache=cache))
            assert server.requests == limit
        run = evaluate(data, tmp_path, server.url, spending=Spending(cache=cache))
        assert server.requests == len(server.attempts) == 30
        assert server.after_good == 0
    assert run is not None


def test_a_limit_of_cost_is_kept_to_and_needs_prices(tmp_path: Path) -> None:
    with ScriptedServer(answer='{"verdict": "B"}') as server:
        with pytest.raises(UserError, match="max-cost needs prices"):
            evaluate(comparisons(5), tmp_path, server.url, spending=Spending(max_cost=1.0))
        assert server.requests == 0
        options = {"prices": '{"input": 1, "output": 1000}', "max_tokens": 10}
        with pytest.raises(StoppedError, match="max-cost"):
            evaluate(comparisons(5), tmp_path, server.url, options=options, spending=Spending(max_cost=0.02))
        paid = (server.tokens["input"] + 1000 * server.tokens["output"]) / 1e6
        assert 0 < paid <= 0.02


def test_the_key_is_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(body: dict[str, Any]) -> str:
        return f"Your key is {KEY}. Verdict: A" if "First 0." in text_of(body) else f"I do not know {KEY}."

    monkeypatch.setenv("CALF_CACHE", str(tmp_path / "cache"))
    with ScriptedServer(answer=echo, error_text=KEY, by_content={"First 1.": ["400"]}) as server:
        spending = Spending(record=tmp_path / "record.jsonl")
        evaluate(comparisons(3), tmp_path / "runs", server.url, options={"api_key": KEY}, spending=spending)
        assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {KEY}"}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 5
    assert any(b"do not know" in file.read_bytes() for file in files)
    for file in files:
        assert KEY.encode() not in file.read_bytes(), file


def test_the_environment_says_where_and_with_which_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(answer='{"verdict": "A"}') as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        calf.evaluate("judge-pairwise", comparisons(1), runs=tmp_path, options={"model": "m"})
        assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
        signature = load_metric("judge-pairwise", model="m").signature(("en",))
    assert server.url in signature
    assert KEY not in signature


def test_a_missing_key_is_said_in_one_line_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no API key for https://judge\.example/v1; set MY_KEY in the environment$"):
        evaluate(comparisons(1), tmp_path, "https://judge.example/v1", options={"key_variable": "MY_KEY"})
    assert not list(tmp_path.rglob("judgments*"))


def test_a_record_replays_without_a_server_and_without_a_key(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with ScriptedServer(answer=prefers_first, script=["wrong"]) as server:
        before = evaluate(comparisons(4), tmp_path / "a", server.url, spending=Spending(record=record, cache=False))
    after = evaluate(comparisons(4), tmp_path / "b", server.url, spending=Spending(replay=record))
    assert [dataclasses.astuple(j) for j in after.judgments] == [dataclasses.astuple(j) for j in before.judgments]


def prefers_first(body: dict[str, Any]) -> str:
    text = text_of(body)
    return json.dumps({"verdict": "A" if "First" in told(text, "response_a") else "B"})


# ---- options --------------------------------------------------------------------------------------------------


def signed(**options: Any) -> str:
    return load_metric("judge-pairwise", model="m", base_url="http://127.0.0.1:1/v1", **options).signature(("en",))


def test_only_what_changes_answers_is_in_the_signature() -> None:
    plain = signed()
    for options in (
        {"concurrency": 64},
        {"timeout": 5.0},
        {"requests_per_minute": 60.0},
        {"tokens_per_minute": 1e6},
        {"retries": 0},
        {"prices": {"input": 1.0, "output": 2.0}},
        {"api_key": KEY},
        {"key_variable": "MY_KEY"},
    ):
        assert signed(**options) == plain, options
        assert load_metric("judge-pairwise", model="m", **options).name == "judge-pairwise[model=m]"
    for options in (
        {"structured": "json_schema"},
        {"honours": "temperature,logprobs"},
        {"temperature": 0.5},
        {"max_tokens": 10},
        {"extra": '{"top_k": 1}'},
        {"retries_unread": 0},
        {"combine": "mean"},
    ):
        assert signed(**options) != plain, options
    assert "prompt_en:sha256:" in plain


def test_a_table_may_be_given_as_json() -> None:
    with ScriptedServer(answer='{"verdict": "A"}') as server:
        ask(made("judge-pairwise", server.url, extra='{"reasoning_effort": "low"}'), [pair()])
    assert server.seen[0].body["reasoning_effort"] == "low"
    assert signed(extra='{"b": 1,"a": 2}') == signed(extra={"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"extra": "{"}, "extra is not JSON"),
        ({"extra": "[1]"}, "extra must be a JSON object"),
        ({"prices": '{"input": 1}'}, "prices: needs the numbers input and output"),
        ({"prices": {"input": -1.0, "output": 1.0}}, "price input must be 0 or more"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more"),
        ({"retries_unread": -1}, "retries_unread must be 0 or more"),
        ({"samples": 0}, "samples must be 1 or more"),
        ({"honours": "magic"}, "honours: unknown magic"),
        ({"concurrency": 0}, "concurrency must be more than 0"),
        ({"base_url": "nowhere"}, "base_url"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_a_wrong_option_is_said_in_one_line(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    given = {"base_url": "http://127.0.0.1:1/v1", **options}
    with pytest.raises(UserError) as caught:
        calf.evaluate("judge-pairwise", comparisons(1), runs=tmp_path, options={"model": "m", **given})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_must_be_named() -> None:
    with pytest.raises(OptionError, match="needs the option 'model'"):
        load_metric("judge-pairwise")


def test_a_prompt_that_lacks_a_placeholder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calf.toml").write_text("")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "short.txt").write_text("${question} ${response_a} ${reference}", encoding="utf-8")
    (tmp_path / "metrics" / "mine.toml").write_text(
        'adapter = "judge-pairwise"\n[files]\nprompt_en = "short.txt"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"response_b"):
        _ = load_metric("mine", model="m").instance


def test_what_will_be_asked_is_known_beforehand() -> None:
    for name, item, count in (
        ("judge-pairwise", pair(), 1),
        ("g-eval", response(), 3),
        ("judge-keypoints", response(), 2),
    ):
        metric = load_metric(name, model="m").instance  # no key, no server
        requests = list(metric.forecast(item))  # type: ignore[attr-defined]  # judges have it
        assert len(requests) == count
        assert metric.server(needs_key=False).model == "m"  # type: ignore[attr-defined]  # judges have it
    with ScriptedServer(answer=prefers_rain) as server:
        metric = made("judge-pairwise", server.url)
        (request,) = metric.forecast(pair())
        outcome: Opinion = ask(metric, [pair()])[0]
    assert outcome.verdict == "response_a"
    assert request.body(metric.server()) == server.seen[0].body


def test_judges_of_pairs_judge_in_both_orders_unless_told_otherwise(tmp_path: Path) -> None:
    data = comparisons(4)
    with ScriptedServer(answer='{"verdict": "A"}') as server:
        options = {"base_url": server.url, "model": "m"}
        run = calf.evaluate("judge-pairwise", data, runs=tmp_path, options=options)
        assert run.manifest["order"] == "both"
        assert "--order" not in run.manifest["command"]
        assert server.requests == 8
        one = calf.evaluate("judge-pairwise", data, runs=tmp_path, options=options, order="given")
        assert "--order given" in one.manifest["command"]
        assert calf.evaluate("g-eval", data, runs=tmp_path, options=options, limit=1).manifest["order"] == "given"


@pytest.mark.parametrize("metric", ["g-eval", "judge-keypoints", "judge-pairwise"])
def test_repeats_are_asked_for_again(tmp_path: Path, metric: str) -> None:
    """By a server whose every answer is another: the kept answer to the first repeat is not the second's."""
    said = itertools.count()

    def answer(body: dict[str, Any]) -> str:
        number = next(said)
        if metric == "g-eval":
            return f'{{"score": {number % 5 + 1}}}'
        if "points" in body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {}):
            return '{"points": ["one", "two"]}'
        if metric == "judge-keypoints":
            return f'{{"covered": [true, {"true" if number % 2 else "false"}]}}'
        return f'{{"verdict": "{"AB"[number % 2]}"}}'

    data = comparisons(3)
    options = {"model": "m", "honours": "json_schema,temperature"}
    with ScriptedServer(answer=answer) as server:
        options["base_url"] = server.url
        calf.evaluate(metric, data, runs=tmp_path, options=options, order="given")
        once = server.requests
        run = calf.evaluate(metric, data, runs=tmp_path, options=options, order="given", repeat=3)
        assert server.requests == 3 * once
    by_repeat = {repeat: [j.score_a for j in run.judgments if j.repeat == repeat] for repeat in range(3)}
    verdicts = {repeat: [j.verdict for j in run.judgments if j.repeat == repeat] for repeat in range(3)}
    assert len({str(value) for value in (*by_repeat.values(), *verdicts.values())}) > 2


def test_a_server_that_refuses_every_request_stops_the_run(tmp_path: Path) -> None:
    data = comparisons(40)
    with ScriptedServer(answer='{"verdict": "A"}', rates={"400": 1.0}) as server:
        with pytest.raises(StoppedError, match=r"refuses every request .*fault 400.*check the judge's options"):
            evaluate(data, tmp_path, server.url)
        refused = server.requests
        assert 32 <= refused < 60
        server.script.rates = {}
        evaluate(data, tmp_path, server.url)
        assert server.requests == refused + 80


def test_a_server_that_has_answered_may_refuse_some_requests(tmp_path: Path) -> None:
    with ScriptedServer(answer='{"verdict": "A"}', by_content={"Question 1?": []}, rates={"400": 1.0}) as server:
        run = evaluate(comparisons(50), tmp_path, server.url, options={"concurrency": 1})
        assert run is not None
        assert dict(run.failures) == {"bad_request": 98}
        again = evaluate(comparisons(50), tmp_path, server.url)  # it is known to answer: this is no reason to stop
        assert again is not None
        assert dict(again.failures) == {"bad_request": 98}


def test_what_was_paid_for_and_judged_nothing_is_in_the_bill(tmp_path: Path) -> None:
    """Key points that are known when the budget ends the run, before any response is checked against them."""
    data = comparisons(4)
    options = {"model": "m", "prices": '{"input": 1, "output": 1}', "concurrency": 4}
    with ScriptedServer(answer='{"points": ["one", "two"]}') as server:
        options["base_url"] = server.url
        with pytest.raises(StoppedError, match="max-requests"):
            calf.evaluate("judge-keypoints", data, runs=tmp_path, options=options, spending=Spending(max_requests=3))
        timing = json.loads(next(tmp_path.rglob("timing.json")).read_text())
        assert timing["judged"] == 0
        assert timing["usage"]["requests"] == server.requests == 3
        assert timing["usage"]["input_tokens"] == server.tokens["input"] > 0
        assert timing["usage"]["cost"] > 0
        with pytest.raises(StoppedError, match="max-requests"):
            calf.evaluate("judge-keypoints", data, runs=tmp_path, options=options, spending=Spending(max_requests=3))
        assert server.requests == 3


def test_a_limit_of_cost_is_the_runs_even_if_the_server_counts_no_tokens(tmp_path: Path) -> None:
    """What may have been paid counts in later sessions as it does in the first."""
    options = {"prices": '{"input": 0, "output": 1, "per": 1}', "max_tokens": 10, "concurrency": 1}
    with ScriptedServer(answer='{"verdict": "B"}', rates={"no_usage": 1.0}) as server:
        for _ in range(3):
            with pytest.raises(StoppedError, match="max-cost"):
                evaluate(
                    comparisons(9), tmp_path, server.url, options=options, spending=Spending(max_cost=45, cache=False)
                )
        assert server.requests == 4


def test_a_timeout_may_have_to_be_paid(tmp_path: Path) -> None:
    options = {"prices": '{"input": 0, "output": 1, "per": 1}', "max_tokens": 10, "timeout": 0.1, "retries": 0}
    with ScriptedServer(answer='{"verdict": "B"}', rates={"hang": 1.0}) as server:
        options["concurrency"] = 1
        for _ in range(3):
            with pytest.raises(StoppedError, match="max-cost"):
                evaluate(comparisons(9), tmp_path, server.url, options=options, spending=Spending(max_cost=45))
        assert server.requests == 4
        timing = json.loads(next(tmp_path.rglob("timing.json")).read_text())
        assert (timing["usage"]["unsure"], timing["usage"]["cost"], timing["usage"]["charged"]) == (4, 0.0, 40.0)


def test_a_server_that_ignores_n_is_asked_once(tmp_path: Path) -> None:
    with ScriptedServer(answer=lambda body: ['{"verdict": "A"}']) as server:
        options = {"samples": 3, "temperature": 1.0, "honours": "n,temperature", "concurrency": 1}
        with pytest.raises(
            StoppedError, match=r"does not honour n; say with -o honours=\.\.\. what it does \(temperature\)"
        ):
            evaluate(comparisons(5), tmp_path, server.url, options=options)
        assert server.requests <= 2


def test_a_vote_outlives_a_sample_that_failed(tmp_path: Path) -> None:
    options = {"samples": 5, "temperature": 1.0, "honours": "temperature", "concurrency": 1}
    bad = {"Question 1?": ["400", None, "400", None, None], "Question 2?": ["400", "400", "400", None, None]}
    with ScriptedServer(answer='{"verdict": "A"}', by_content=bad) as server:
        run = calf.evaluate(
            "judge-pairwise", comparisons(4), runs=tmp_path, order="given", spending=FRESH,
            options={"model": "m", "base_url": server.url, **options},
        )  # fmt: skip
    assert [j.failure for j in run.judgments] == [None, None, "bad_request", None]


def test_two_calls_at_once_share_one_limit(tmp_path: Path) -> None:
    """Of the same new run: the second waits for the first, and finds what that has spent."""
    import threading

    with ScriptedServer(answer='{"verdict": "B"}', latency=0.05) as server:

        def go() -> None:
            with pytest.raises(StoppedError, match="max-requests"):
                evaluate(comparisons(9), tmp_path, server.url, spending=Spending(max_requests=5, cache=False))

        threads = [threading.Thread(target=go) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.requests == 5


def test_one_run_is_paid_in_one_currency(tmp_path: Path) -> None:
    with ScriptedServer(answer='{"verdict": "B"}') as server:
        for currency, trouble in (("USD", ""), ("CNY", "were paid in USD"), ("USD", "")):
            options = {"prices": json.dumps({"input": 1, "output": 1, "currency": currency})}
            spending = Spending(max_requests=server.requests + 2, cache=False)
            with pytest.raises(UserError if trouble else StoppedError, match=trouble or "max-requests"):
                evaluate(comparisons(9), tmp_path, server.url, options=options, spending=spending)
        assert server.requests == 4


@pytest.mark.parametrize("extra", ['{"max_tokens": 4096}', '{"n": 3}', '{"model": "other"}', '{"stream": true}'])
def test_extra_fields_cannot_change_what_a_request_may_cost(tmp_path: Path, extra: str) -> None:
    with pytest.raises(UserError, match="extra must not set"):
        evaluate(comparisons(1), tmp_path, "http://127.0.0.1:9/v1", options={"extra": extra})
