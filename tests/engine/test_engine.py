"""What is sent, what is sent once, and how an answer is read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from engine.helpers import ask_all, ask_one, question
from engine.server import ScriptedServer

from calf.engine.engine import Engine
from calf.engine.request import AskError, Choice, Reply, Request, Token, Usage, total
from calf.engine.server import FEATURES, Server
from calf.errors import StoppedError

SERVER = Server("http://127.0.0.1:1/v1", "m", honours=FEATURES)
SCHEMA = {"type": "object", "properties": {"verdict": {"type": "string"}}}


def test_what_is_not_honoured_is_not_sent() -> None:
    request = question(temperature=0.5, n=3, seed=7, schema=SCHEMA, logprobs=5, max_tokens=9)
    bare = request.body(replace(SERVER, honours=frozenset()))
    assert bare.keys() == {"model", "messages", "max_tokens"}
    full = request.body(
        replace(SERVER, max_tokens_parameter="max_completion_tokens", extra={"reasoning_effort": "low"})
    )
    assert full.keys() - bare.keys() == {
        *("temperature", "n", "seed", "response_format", "logprobs", "top_logprobs"),
        *("max_completion_tokens", "reasoning_effort"),
    }
    assert question(temperature=None).body(SERVER).keys() == bare.keys()


def test_the_key_changes_with_everything_that_changes_the_answer() -> None:
    request = question()
    others: list[Request] = [
        question("Which is worse?"),
        Request((("user", "You judge."), ("user", "Which is better?"))),
        Request((("system", "You judge.Which is better?"),)),
        question(max_tokens=5),
        question(temperature=0.1),
        question(temperature=None),
        question(n=2),
        question(seed=0),
        question(schema=SCHEMA),
        question(logprobs=1),
        question(repeat=1),
    ]
    servers = [
        replace(SERVER, model="m2"),
        replace(SERVER, base_url="http://127.0.0.1:2/v1"),
        replace(SERVER, extra={"top_p": 0.5}),
        replace(SERVER, identity="sha256:1"),
    ]
    keys = [request.key(SERVER), *(other.key(SERVER) for other in others), *(request.key(server) for server in servers)]
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_change_with_what_does_not() -> None:
    same = replace(SERVER, api_key="sk-other", concurrency=3, timeout=1.0, retries=0, requests_per_minute=9)
    assert question().key(same) == question().key(SERVER)
    silent = replace(SERVER, honours=FEATURES - {"temperature"})  # so the temperature is not sent
    assert question().key(silent) == question(temperature=None).key(SERVER)
    named = replace(SERVER, identity="file")
    assert question().key(named) == question().key(replace(named, base_url="http://127.0.0.1:4/v1"))


def test_twins_in_flight_are_sent_once() -> None:
    with ScriptedServer(latency=0.1) as server:
        outcomes = ask_all(server.url, [question()] * 10)
        replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
        assert server.requests == 1
        assert sorted(reply.origin for reply in replies) == ["server"] + ["shared"] * 9
        assert total(*(reply.spent for reply in replies))["requests"] == 1


@pytest.mark.parametrize(("fault", "error"), [("400", AskError), ("401", StoppedError)])
def test_twins_share_an_error_too(fault: str, error: type[Exception]) -> None:
    with ScriptedServer(latency=0.1, script=[fault] * 10) as server:
        outcomes = ask_all(server.url, [question()] * 5)
        assert server.requests == 1
        assert all(isinstance(outcome, error) for outcome in outcomes)
        assert sum(getattr(outcome, "spent", {}).get("requests", 0) for outcome in outcomes) == (error is AskError)


def test_a_twin_goes_on_where_the_sender_was_cancelled() -> None:
    with ScriptedServer(latency=0.2) as server:

        async def run() -> None:
            engine = Engine(Server(server.url, "m"))
            first, second, third = (asyncio.create_task(engine.ask(question())) for _ in range(3))
            while not server.requests:
                await asyncio.sleep(0.01)
            first.cancel()
            second.cancel()
            assert (await third).origin == "server"
            assert first.cancelled()
            assert second.cancelled()
            await engine.close()

        asyncio.run(run())
        assert server.requests == 2


def test_what_was_answered_in_this_run_is_not_sent_again_even_without_a_cache() -> None:
    with ScriptedServer() as server:

        async def run() -> list[Reply]:
            engine = Engine(Server(server.url, "m"))
            replies = [await engine.ask(question()) for _ in range(3)]
            replies.append(await engine.ask(question(repeat=1)))
            await engine.close()
            return replies

        replies = asyncio.run(run())
        assert [reply.origin for reply in replies] == ["server", "cache", "cache", "server"]
        assert replies[1].spent["cache_hits"] == 1
        assert server.requests == 2


def test_several_choices_come_from_one_request_where_n_is_honoured() -> None:
    with ScriptedServer(answer=["A", "B", "C"]) as server:
        reply = ask_one(server.url, question(n=3), honours=frozenset({"n"}))
        assert len(reply.choices) == 3
        assert server.requests == 1


def test_several_choices_come_from_several_requests_where_it_is_not() -> None:
    texts = iter("ABCDEF")
    with ScriptedServer(answer=lambda body: next(texts)) as server:
        first, second = ask_all(server.url, [question(n=3), question(n=3, repeat=1)])
        assert isinstance(first, Reply)
        assert isinstance(second, Reply)
        assert {choice.text for reply in (first, second) for choice in reply.choices} == set("ABCDEF")
        assert first.spent["requests"] == 3
        assert all("n" not in seen.body for seen in server.seen)


def test_an_n_that_is_declared_and_not_honoured_is_an_error() -> None:
    with ScriptedServer(answer=lambda body: ["A"]) as server:
        with pytest.raises(StoppedError, match="1 of 3 choices came"):
            ask_one(server.url, question(n=3), honours=frozenset({"n"}))
        assert server.requests == 1


def test_tokens_reasoning_and_usage_are_read() -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        tops = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.5}]
        return {
            "message": {"content": "A", "reasoning_content": "hm"},
            "logprobs": {"content": [{"token": "A", "logprob": -0.1, "bytes": [65], "top_logprobs": tops}]},
        }

    with ScriptedServer(answer=answer, cached_tokens=2) as server:
        reply = ask_one(server.url)
    assert reply.choices == (Choice("A", "stop", "hm", (Token("A", -0.1, (("A", -0.1), ("B", -2.5))),)),)
    assert reply.usage == Usage(input=5, cached_input=2, output=1)
    assert Reply.from_json(reply.to_json(), "cache", {}) == replace(reply, origin="cache", spent={})


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None, "refusal": "I cannot."}, "I cannot."),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "B"}]}, "B"),
        ({"content": "二号更好 [[B]]"}, "二号更好 [[B]]"),
        ({"content": "lone \ud800 surrogate"}, "lone ? surrogate"),
    ],
)
def test_the_forms_of_a_message(message: dict[str, Any], text: str) -> None:
    with ScriptedServer(answer=lambda body: {"message": message}) as server:
        assert ask_one(server.url).choices[0].text == text


@pytest.mark.parametrize("message", [{"content": 5}, {}, None, "text", {"content": [{"no": "type"}]}])
def test_a_message_of_no_form_is_no_crash(message: Any) -> None:
    with ScriptedServer() as server:
        server.script.script = ()
        import json

        from calf.engine.faults import Fault
        from calf.engine.wire import read_reply

        raw = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        with pytest.raises(Fault):
            read_reply(raw, question(), SERVER, 0.0)


def test_a_sum_knows_what_it_does_not_know() -> None:
    assert total({"requests": 1, "cost": 0.5}, {"cache_hits": 1, "cost": 0.0}) == {
        "requests": 1,
        "cost": 0.5,
        "cache_hits": 1,
    }
    assert total({"requests": 1, "cost": 0.5}, {"requests": 1}) == {"requests": 2}
    assert total({"requests": 1, "cost": 0.5}, {"cache_hits": 1}) == {"requests": 1, "cost": 0.5, "cache_hits": 1}
    assert total() == {}


def test_half_a_character_is_the_same_text_before_and_after_it_is_kept() -> None:
    from calf.engine.wire import read_reply

    raw = b'{"choices": [{"message": {"content": "A \\ud83d is \\ud83d\\ude00"}}], "usage": {}}'
    assert read_reply(raw, question(), SERVER, 0.0).choices[0].text == "A ? is \U0001f600"
