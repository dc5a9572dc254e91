"""Checklists, checks with tools, and the tools themselves."""

from __future__ import annotations

import json
import math
from datetime import date, timedelta
from typing import Any

import pytest
from agents.playing import acting, ask, block, last, made, pair, says, told
from engine.server import ScriptedServer
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.agents.dates import reckon
from calf.agents.reading import ToolCall, check_reader
from calf.agents.tools import TOOLS, calculate, search, use_tool
from calf.engine.request import Choice
from calf.judges.answers import Unread
from calf.types import Failure

ITEM = pair("It rains in June.", "It is dry.", context="Rain falls in June.\nThe sum was 3 and 4.")
POINTS = ["Names June.", "Is short.", "Is true."]


def checks(met: Any) -> Any:
    """Points, checks by what `met` says of response and point, and a judge who counts what it is shown."""

    def play(role: str, body: dict[str, Any]) -> str:
        if role == "planner":
            return json.dumps({"points": POINTS})
        if role == "checker":
            return met(block(body, "response"), body["messages"][1]["content"].partition("<item_")[2], body)  # type: ignore[no-any-return]  # a text
        text = last(body)
        a, b = text.count("A: met"), text.count("B: met")
        return says("same" if a == b else "A" if a > b else "B")

    return acting(play)


def rainy(response: str, point: str, body: dict[str, Any]) -> str:
    return json.dumps({"met": "June" in response or "short" in point})


def test_each_response_is_checked_alone_and_once_for_both_orders() -> None:
    swapped = pair(ITEM.response_b, ITEM.response_a, context=ITEM.context, order="swapped")
    with ScriptedServer(answer=checks(rainy)) as server:
        outcomes = ask(made("plan-and-check", server.url), [ITEM, swapped])
        assert server.requests == 1 + 2 * 3 + 2  # the list and the checks are asked once, the decision in both orders
    assert [outcome.verdict for outcome in outcomes] == ["response_a", "response_b"]
    steps = [step for step, _, _ in told(outcomes[0])]
    assert steps == ["checklist", *["check"] * 6, "decide"]
    assert outcomes[0].transcript[0]["points"] == POINTS
    assert [one["met"] for one in outcomes[0].transcript[1:7]] == [True, False, True, True, True, False]
    for seen in server.seen:
        shown = "".join(message["content"] for message in seen.body["messages"])
        if "<response_a_" not in shown and "<response_" in shown:
            assert ("It rains in June." in shown) != ("It is dry." in shown)
            assert "In June.\n</reference" not in shown  # a checker has the point, not the reference


def test_tools_are_used_and_bounded() -> None:
    def met(response: str, point: str, body: dict[str, Any]) -> str:
        told_ = last(body)
        if "Names June" in point and "rains" in response:
            if "The tool search says" in told_:
                return json.dumps({"tool": "calculator", "input": "3 + 4"})
            if "The tool calculator says" in told_:
                assert "\n7" in told_
                return "Met: yes"
            return json.dumps({"tool": "search", "input": "rain June", "met": False})
        if "Is true" in point:  # never stops asking
            return json.dumps({"tool": "dates", "input": "1 to 2"})
        return json.dumps({"tool": "none", "input": "", "met": True})

    with ScriptedServer(answer=checks(met)) as server:
        (outcome,) = ask(made("plan-and-check", server.url, retries_unread=1), [ITEM])
    tools = [one["tool"] for one in outcome.transcript if "tool" in one and one["role"] == "checker"]
    assert [tool["name"] for tool in tools].count("dates") == 2 * 3  # three for each response
    assert {"name": "search", "input": "rain June", "result": "[1] Rain falls in June."} in tools
    assert {"name": "calculator", "input": "3 + 4", "result": "7"} in tools
    unread = [one for one in outcome.transcript if one.get("failure")]
    assert [(one["point"], one["failure"]) for one in unread] == [(3, "unreadable")] * 2
    text = outcome.transcript[-1]["messages"][-1][1]
    assert "3. Is true.\n   A: not checked\n   B: not checked" in text
    assert sum("No tool may be used any more" in seen.text for seen in server.seen) == 2 * 2  # and once more, reminded


def test_without_most_of_its_checks_there_is_no_judgment() -> None:
    def met(response: str, point: str, body: dict[str, Any]) -> str:
        return "Perhaps." if "rains" in response and "June" not in point else '{"met": true}'

    with ScriptedServer(answer=checks(met)) as server:
        (outcome,) = ask(made("plan-and-check", server.url, retries_unread=0), [ITEM])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "unreadable"
    assert outcome.message.startswith("checker (check)")
    assert len(outcome.transcript) == 7


def test_a_long_list_is_cut() -> None:
    answers = {"planner": json.dumps({"points": [f"Point {n}." for n in range(20)]}), "checker": '{"met": true}'}
    with ScriptedServer(answer=acting(lambda role, body: answers.get(role, says("A")))) as server:
        (outcome,) = ask(made("plan-and-check", server.url), [ITEM])
        assert server.requests == 1 + 2 * 8 + 1
    assert outcome.verdict == "response_a"


def read(text: str, tools: bool = True) -> Any:
    return check_reader(tools)(Choice(text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"met": true}', True),
        ('{"met": "no"}', False),
        ('The point is plain. {"met": false}', False),
        ("yes", True),
        ("否", False),
        ("It says so.\nMet: true", True),
        ('```json\n{"tool": "search", "input": "the king"}\n```', ToolCall("search", "the king")),
        ('{"tool": "none", "input": "", "met": true}', True),
        ('{"tool": "Search", "input": "x", "met": true}', ToolCall("search", "x")),
    ],
)
def test_what_checks_say(text: str, wanted: object) -> None:
    assert read(text) == wanted


@pytest.mark.parametrize("text", ["Perhaps.", '{"met": "partly"}', '{"met": true} {"met": false}', '{"verdict": "A"}'])
def test_what_is_no_check(text: str) -> None:
    assert isinstance(read(text), Unread)
    assert isinstance(read('{"tool": "search", "input": "x"}', tools=False), Unread)


# ---- tools ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.recursive(
        st.integers(0, 999).map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        max_leaves=12,
    )
)
def test_the_calculator_computes_what_python_does(text: str) -> None:
    try:
        wanted = eval(text)  # of digits and signs that hypothesis wrote
    except ZeroDivisionError:
        assert calculate(text) == "error: division by zero"
        return
    said = calculate(text)
    if said.startswith("error"):
        assert abs(wanted) > 1e6  # some part of it is beyond what it knows
    else:
        assert float(said) == pytest.approx(wanted, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("15% * 200", 30),
        ("1,234 + 1", 1235),
        ("2^10", 1024),
        ("（3×4）÷2", 6),
        ("sqrt(2)", math.sqrt(2)),
        ("10 % 3", 1),
    ],
)
def test_the_calculator_reads_what_people_write(text: str, value: float) -> None:
    assert float(calculate(text)) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["__import__('os').getcwd()", "(1).__class__", "9**9**9", "2**1000", "a", "1 if 1 else 2", "[1]", "'a'*9",
     "lambda: 1", "max(1, key=print)", "True + 1", "(" * 99 + ")" * 99, "1+" * 149 + "1",
     "print(1)", "1e300*1e300", "(-8)**0.5"],
)  # fmt: skip
def test_the_calculator_does_nothing_else(text: str) -> None:
    assert calculate(text).startswith("error")


@settings(deadline=None)
@given(st.dates(date(1, 1, 1)), st.dates(date(1, 1, 1)))
def test_days_between_dates(one: date, other: date) -> None:
    said = reckon(f"{one.year}-{one.month:02d}-{one.day:02d} to {other.year}-{other.month:02d}-{other.day:02d}")
    assert said.startswith(f"{abs((one - other).days)} days, ")
    days = min(999, (date(9999, 12, 31) - one).days)
    later = one + timedelta(days=days)
    assert reckon(f"{one.year}/{one.month}/{one.day} + {days} days") == (
        f"{later.year}-{later.month:02d}-{later.day:02d} is a {later:%A}"
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1865-04-14 to 1912-04-15", "17167 days, 47 whole years"),
        ("1912年4月15日 到 1912年4月1日", "14 days, 0 whole years"),
        ("221 BC to 1912", "2132 years"),
        ("公元前221年 到 1912年", "2132 years"),
        ("1 BC - 1", "1 years"),
        ("2024-01-31 + 1 month", "2024-02-29 is a Thursday"),
        ("1912-04-15 - 3 weeks", "1912-03-25 is a Monday"),
        ("2000 + 5 years", "2005"),
        ("1912-04 to 1913-05", "13 months, 1 whole years"),
    ],
)
def test_reckoning_with_dates(text: str, result: str) -> None:
    assert reckon(text) == result


@pytest.mark.parametrize(
    "text", ["", "soon", "2024-02-30", "2024-13-01", "0 to 5", "12 + 3 days", "9999-12-31 + 9 days"]
)
def test_what_is_no_date(text: str) -> None:
    assert reckon(text).startswith("error")


def test_search_finds_rare_words_first() -> None:
    context = "The king died in the palace. The harvest failed in the north. The bread was dear. The king laughed."
    assert "[2] The harvest failed in the north." in search("did the harvest or the king fail", context)
    assert search("harvest", context) == "[2] The harvest failed in the north."
    assert search("长江流域", "黄河流经九省。长江流域面积很大。") == "[2] 长江流域面积很大。"
    assert search("zebra", context) == "nothing found"
    assert search("king", "") == "error: there is no context to search in"


def test_tools_are_bounded() -> None:
    assert use_tool("shell", "ls", TOOLS, "").startswith("error: there is no tool 'shell'")
    assert use_tool("search", "x" * 301, TOOLS, "a").startswith("error: the input")
    assert use_tool("search", "king", ("calculator",), "king").startswith("error: there is no tool")
    assert len(use_tool("search", "king", TOOLS, "king " * 9999)) < 1300
