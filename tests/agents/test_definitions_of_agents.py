"""The definitions of agents that CALF brings, and what is said of definitions that are not as they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agents.playing import pair
from typer.testing import CliRunner

import calf
from calf.agents.steps import read_roles, read_steps
from calf.agents.system import AgentJudge
from calf.agents.tools import TOOLS
from calf.cli.app import app
from calf.errors import DataError, OptionError
from calf.metrics.registry import list_metrics, load_metric
from calf.runs.forecasts import requests_of

URL = "http://127.0.0.1:1/v1"
CALLS = {"chateval": 6, "chateval-simultaneous": 6, "chateval-summarizer": 7, "debate": 5, "reflect": 3, "panel": 3}
NAMES = [*CALLS, "plan-and-check", "cascade"]
PROMPT = "You judge.\n\n${question}\n\n${response_a}\n\n${response_b}\n"


def options(name: str) -> dict[str, Any]:
    return {"base_url": URL, **({"models": "a,b,c"} if name == "panel" else {"model": "m"})}


def test_the_patterns_are_there() -> None:
    found = {one.name: one for one in list_metrics() if one.traits.family == "agents"}
    assert set(NAMES) <= set(found)
    for name in NAMES:
        assert not found[name].problem
        assert (found[name].kind, found[name].traits.default_order) == ("comparison", "both")
        assert len(found[name].summary) < 125
    shown = CliRunner().invoke(app, ["metrics", "show", "chateval"])
    for option in ("model=none", "base_url=none", "structured=auto", "turns=2", "combine=vote", "max_turns=100"):
        assert option in shown.output
    assert "roles" not in shown.output


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_they_would_send(name: str, language: str) -> None:
    loaded = load_metric(name, **options(name))
    metric: Any = loaded.instance
    texts = []
    for order in ("given", "swapped"):
        requests = metric.forecast(pair(context="Rain.", language=language, order=order))
        assert len(requests) == CALLS.get(name, len(requests))
        assert len(requests_of(metric, metric.server(needs_key=False), pair(context="Rain.", language=language))) == (
            len(requests)
        )
        for request in (getattr(request, "request", request) for request in requests):
            texts += [text for _, text in request.messages]
            assert "${" not in texts[-1]
            assert "When does it rain?" in "".join(text for _, text in request.messages)
    assert any("一" in text or "的" in text for text in texts) == (language == "zh")
    if name != "cascade":
        assert "steps:[" in loaded.signature(("en", "zh"))
        assert "prompts:sha256:" in loaded.signature(("en", "zh"))


def test_an_estimate_knows_a_judgments_requests(tmp_path: Any) -> None:
    found = calf.estimate("chateval", "sample", limit=4, options=options("chateval"), runs=tmp_path, cache=False)
    assert found is not None
    assert found.requests == 6 * found.items


def test_roles_may_have_models_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "roles": {"one": {"prompt": "p", "model": "x", "temperature": 0.5}, "two": {"prompt": "p"}},
        "steps": [{"kind": "vote", "who": ["one", "two"], "prompt": "v"}],
        "prompts": {"p": {"en": PROMPT, "zh": PROMPT}, "v": {"en": "Vote.", "zh": "Vote."}},
        "base_url": URL,
    }
    with pytest.raises(OptionError, match="no model is named"):
        AgentJudge(**given)  # type: ignore[arg-type]  # as TOML gives them
    prices = {"x": {"input": 1, "output": 2}, "m": {"input": 3, "output": 4}}
    metric = AgentJudge(**given, model="m", prices=prices, temperature=0.0)  # type: ignore[arg-type]  # as above
    one, two = (metric._players.members[name][0].voice for name in ("one", "two"))
    assert (one.model, one.temperature, two.model, two.temperature) == ("x", 0.5, "m", 0.0)
    assert one.prices is not None
    assert two.prices is not None
    assert (one.prices.input, two.prices.input) == (1, 3)
    assert two is metric
    assert "voice x" in metric.describe(("en",))
    flat = AgentJudge(**given, model="m", prices={"input": 3, "output": 4})  # type: ignore[arg-type]  # as above
    assert flat._players.members["one"][0].voice.prices is None  # they are not x's


ROLES = {"one": {"prompt": "p"}, "many": {"prompt": "p", "copies": 2}}
PROMPTS = {"p": {"en": PROMPT, "zh": PROMPT}}
DECIDE = {"kind": "decide", "who": "one", "prompt": "p"}


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({}, "at least one role"),
        ({"one": {"prompt": "q"}}, "prompt names one of the prompts p, not 'q'"),
        ({"one": {"prompt": "p", "modle": "m"}}, "role 'one': unknown key 'modle'"),
        ({"one": {"prompt": "p", "copies": 0}}, "copies is a whole number"),
        ({"one": {"prompt": "p", "title": "One"}}, "title is a table of languages"),
        ({"one": {"prompt": "p", "each_model": True, "model": "m"}}, "each_model goes neither"),
        ({"one": "p"}, "must be a table"),
    ],
)
def test_roles_that_are_wrong(roles: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_roles(roles, PROMPTS)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "the last step must be a vote or decide"),
        ([DECIDE, {"kind": "speak", "who": "one", "prompt": "p"}], "the last step must be"),
        ([{"kind": "shout"}], "its kind is one of speak, "),
        ([{**DECIDE, "who": "two"}], "no role 'two'"),
        ([{**DECIDE, "who": "many"}], "one role does this"),
        ([{**DECIDE, "sees": "much"}], "sees is all or last or nothing"),
        ([{**DECIDE, "turns": 2}], "unknown key 'turns'"),
        ([{"kind": "decide", "who": "one"}], "prompt names one of"),
        ([{"kind": "rounds"}, DECIDE], "it has no steps"),
        ([{"kind": "rounds", "steps": [{"kind": "speak", "who": []}]}, DECIDE], r"step 1 \(rounds\), step 1 \(speak\)"),
        ([{"kind": "check", "who": "one", "prompt": "p"}, DECIDE], "check needs a checklist before it"),
        ([{"kind": "checklist", "who": "one", "prompt": "p"},
          {"kind": "check", "who": "one", "prompt": "p", "tools": ["shell"]}, DECIDE], "no tool 'shell'"),
        ([{"kind": "vote", "who": "one"}], "'one' votes but is never asked for a verdict"),
    ],
)  # fmt: skip
def test_steps_that_are_wrong(steps: list[Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_steps(steps, read_roles(ROLES, PROMPTS), PROMPTS, TOOLS)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prompts": {"p": {"en": PROMPT}}}, OptionError, "no text for language zh"),
        ({"prompts": {"p": {"en": "No question.", "zh": PROMPT}}}, DataError, "lacks the placeholder"),
        ({"prompts": {"p": {"en": PROMPT + "${response}", "zh": PROMPT}}}, DataError, "unknown placeholder"),
        ({"models": "a,b"}, OptionError, "no role of this metric takes several"),
        ({"turns": 0}, OptionError, "turns must be more than 0"),
        ({"max_cost_each": -1.0}, OptionError, "max_cost_each must be more than 0"),
        ({"roles": {"one": {"prompt": "p", "model": " "}}}, OptionError, "a role's model is empty"),
    ],
)
def test_systems_that_are_wrong(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    prompts = {**(changes.get("prompts") or PROMPTS), "v": {"en": "Say.", "zh": "Say."}}
    steps = [{**DECIDE, "prompt": "v"}]
    with pytest.raises(error, match=message):
        AgentJudge(**{"roles": {"one": {"prompt": "p"}}, "steps": steps, "model": "m", **changes, "prompts": prompts})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"metric 'mine': its definition lacks \[parameters\.roles\]"),
        (
            '[parameters]\nroles.one.prompt = "p"\nprompts.p = {en = "x", zh = "x"}\nsteps = [{kind = "shout"}]\n',
            "metric 'mine': step 1: its kind is one of",
        ),
    ],
)
def test_a_definition_that_is_wrong_is_named(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calf.toml").touch()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "mine.toml").write_text('adapter = "calf.agents.system:AgentJudge"\n' + text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=message):
        _ = load_metric("mine", model="m", base_url=URL).instance


def test_a_panel_needs_models_each_once() -> None:
    with pytest.raises(OptionError, match="models=NAME,NAME"):
        _ = load_metric("panel", base_url=URL).instance
    with pytest.raises(OptionError, match="'a' is named twice; judge-vote"):
        _ = load_metric("panel", base_url=URL, models="a,a").instance
