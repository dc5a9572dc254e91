"""Every fault that a server, a proxy or a wire can make, over real sockets: what is sent again, and what is said."""

from __future__ import annotations

import asyncio
import email.utils
import time

import pytest
from engine.helpers import KEY, ask_all, ask_one, question
from engine.server import ScriptedServer

from calf.engine.engine import Engine
from calf.engine.faults import retry_after
from calf.engine.request import AskError, Reply
from calf.engine.server import Server
from calf.errors import StoppedError, UserError

pytestmark = pytest.mark.usefixtures("quick")

PASSING = {
    "429": "rate_limited",
    "500": "server_error",
    "503": "server_error",
    "408": "timeout",
    "409": "server_error",
    "reset": "connection",
    "close": "connection",
    "half": "connection",
    "half_reset": "connection",
    "malformed": "malformed",
    "html": "malformed",
    "no_choices": "malformed",
    "null_choices": "malformed",
    "error_200": "server_error",
    "empty": "empty_answer",
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_may_pass_is_tried_again(fault: str) -> None:
    with ScriptedServer(script=[fault, fault]) as server:
        reply = ask_one(server.url)
        assert reply.choices[0].text == "[[A]]"
        assert server.requests == 3
        assert reply.spent["requests"] == 3
        assert reply.spent["retries"] == 2
        paid = {"no_choices", "null_choices", "empty"}  # these counted their tokens, so they were paid for
        assert (reply.spent["input_tokens"] > reply.usage.input) == (fault in paid)


@pytest.mark.parametrize(("fault", "kind"), PASSING.items())
def test_a_fault_that_does_not_pass_is_an_error_of_its_kind(fault: str, kind: str) -> None:
    with ScriptedServer(script=[fault] * 9) as server, pytest.raises(AskError) as caught:
        ask_one(server.url)
    assert caught.value.kind == kind
    tries = 3 if fault == "empty" else 5
    assert server.requests == caught.value.spent["requests"] == tries
    assert f"after {tries} attempts" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.raw is not None) == (kind in ("malformed", "empty_answer"))


def test_a_hang_ends_at_the_timeout() -> None:
    with ScriptedServer(script=["hang"]) as server:
        started = time.monotonic()
        assert ask_one(server.url, timeout=0.3).spent["requests"] == 2
        assert 0.3 <= time.monotonic() - started < 3
    with ScriptedServer(script=["hang"]) as server, pytest.raises(AskError, match=r"no answer within 0\.2 s") as caught:
        ask_one(server.url, timeout=0.2, retries=0)
    assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    ("fault", "kind"), [("400", "bad_request"), ("422", "bad_request"), ("filter_400", "content_filter")]
)
def test_a_bad_request_is_not_sent_again(fault: str, kind: str) -> None:
    with ScriptedServer(by_content={"bad": [fault] * 9}) as server:
        bad, good = ask_all(server.url, [question("bad"), question("fine")])
        assert isinstance(bad, AskError)
        assert bad.kind == kind
        assert f"scripted fault {fault}" in bad.message
        assert isinstance(good, Reply)
        assert server.requests == 2


def test_a_filtered_answer_is_paid_for_and_not_asked_for_again() -> None:
    with ScriptedServer(script=["content_filter"]) as server, pytest.raises(AskError) as caught:
        ask_one(server.url)
    assert caught.value.kind == "content_filter"
    assert caught.value.spent["output_tokens"] == 3
    assert server.requests == 1


def test_a_cut_off_answer_is_an_answer() -> None:
    with ScriptedServer(script=["cut_off"]) as server:
        assert ask_one(server.url).choices[0].finish == "length"


@pytest.mark.parametrize("fault", ["301", "401", "402", "403", "404", "405", "quota"])
def test_a_refusal_stops_everything_with_one_clear_line(fault: str) -> None:
    with ScriptedServer(script=[fault] * 99, latency=0.05) as server:
        outcomes = ask_all(server.url, [question(str(i)) for i in range(20)], concurrency=4)
        assert all(isinstance(outcome, StoppedError) for outcome in outcomes)
        assert server.requests <= 4  # those that were in flight when the first answer came
        (message,) = {str(outcome) for outcome in outcomes}
    assert "\n" not in message
    assert KEY not in message
    assert server.url in message
    assert "'m'" in message


def test_a_server_that_is_not_there_stops_everything() -> None:
    with ScriptedServer() as server:
        url = server.url
    with pytest.raises(StoppedError, match="cannot connect to http"):
        ask_one(url, retries=1)


@pytest.mark.parametrize("form", ["seconds", "date", "milliseconds"])
def test_retry_after_is_honoured_by_all(form: str) -> None:
    seconds = 0.6
    headers = {
        "seconds": {"Retry-After": "1"},
        "date": {"Retry-After": email.utils.formatdate(time.time() + 2, usegmt=True)},  # whole seconds: 1 to 2 from now
        "milliseconds": {"retry-after-ms": "600", "Retry-After": "30"},
    }[form]
    with ScriptedServer(by_content={"first": ["429"]}, retry_after=headers) as server:

        async def run() -> None:
            engine = Engine(Server(server.url, "m"))
            first = asyncio.create_task(engine.ask(question("first")))
            while not server.seen:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # the answer is there
            await engine.ask(question("second"))  # is not sent before the pause is over
            await first
            await engine.close()

        asyncio.run(run())
        one, two, three = (seen.at for seen in server.seen)
    assert two - one >= seconds
    assert three - one >= seconds


def test_a_very_long_retry_after_stops_the_run() -> None:
    with ScriptedServer(script=["429"], retry_after={"Retry-After": "7200"}) as server:
        with pytest.raises(StoppedError, match="asks to wait 7200 seconds"):
            ask_one(server.url)
        assert server.requests == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "2.5"}, 2.5),
        ({"RETRY-AFTER": " 3 "}, 3.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "later"}, None),
        ({}, None),
    ],
)
def test_the_forms_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=60.0) == seconds


def test_a_storm_of_429_lowers_the_concurrency_and_loses_nothing() -> None:
    with ScriptedServer(most_in_flight=4, latency=0.02, retry_after={"retry-after-ms": "30"}) as server:
        outcomes = ask_all(server.url, [question(str(i)) for i in range(120)], concurrency=32, retries=8)
        assert all(isinstance(outcome, Reply) for outcome in outcomes)
        assert sum(server.good.values()) == 120
        assert server.after_good == 0
        refused = server.faults["429"]
    assert refused < 120  # with 32 in flight all the time, most requests would be refused several times


def test_all_faults_together_lose_nothing_and_pay_nothing_twice() -> None:
    faults = ["429", "500", "reset", "half", "malformed", "empty", "hang"]
    with ScriptedServer(rates=dict.fromkeys(faults, 0.08), seed=3, retry_after={"retry-after-ms": "10"}) as server:
        requests = [question(str(i)) for i in range(150)]
        outcomes = ask_all(server.url, requests, concurrency=32, timeout=0.5)
        good = sum(isinstance(outcome, Reply) for outcome in outcomes)
        errors = [outcome for outcome in outcomes if not isinstance(outcome, Reply)]
        assert all(isinstance(error, AskError) for error in errors)
        assert good >= 130
        assert len(server.good) == good
        assert server.after_good == 0
        spent = sum(int(outcome.spent["requests"]) for outcome in outcomes if isinstance(outcome, (Reply, AskError)))
        assert spent == server.requests


def test_whoever_waits_can_be_cancelled_without_harm_to_others() -> None:
    with ScriptedServer(latency=0.1) as server:

        async def run() -> None:
            engine = Engine(Server(server.url, "m", concurrency=1))
            tasks = [asyncio.create_task(engine.ask(question(str(i)))) for i in range(6)]
            await asyncio.sleep(0.05)
            for task in tasks[:4]:  # the first is in flight, the others wait for their turn
                task.cancel()
            replies = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(reply).__name__ for reply in replies] == ["CancelledError"] * 4 + ["Reply"] * 2
            await engine.close()

        asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    ["", "localhost:80/v1", "ftp://x/v1", "https://me:sk-secret@x/v1", "https://x/v1?key=sk-secret", "http://x:y/"],
)
def test_an_address_that_cannot_be_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(UserError, match="base_url") as caught:
        Server(url, "m")
    assert "sk-secret" not in str(caught.value)
