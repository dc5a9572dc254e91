"""The definitions of judges that CALF brings: all load, and say what their servers honour."""

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import pytest
from typer.testing import CliRunner

from calf.cli.app import app
from calf.engine.server import FEATURES, is_local
from calf.judges.base import Judge
from calf.metrics.base import Pair, Response
from calf.metrics.loaded import LoadedMetric
from calf.metrics.registry import describe_metric, list_metrics, load_metric
from calf.workspace import builtin_folder

# local-judge starts its own server, and is tested with it.
NAMES = [one.name for one in list_metrics() if one.traits.family == "judge" and one.name != "local-judge"]
READY = [name for name in NAMES if "model" not in describe_metric(name).options]


def load(name: str) -> LoadedMetric:
    return load_metric(name) if name in READY else load_metric(name, model="m")


def judge(name: str) -> Judge:
    instance = load(name).instance
    assert isinstance(instance, Judge)
    return instance


def definition(name: str) -> dict[str, Any]:
    return tomllib.loads((builtin_folder() / "metrics" / f"{name}.toml").read_text(encoding="utf-8"))


def test_the_judges_are_there() -> None:
    general = {
        "judge-pairwise",
        "judge-pairwise-cot",
        "judge-pairwise-noref",
        "judge-vote",
        "g-eval",
        "judge-keypoints",
    }
    assert general | {"judge-local-server"} <= set(NAMES)
    for family in ("gpt", "claude", "deepseek", "qwen", "llama"):
        assert any(name.startswith(f"judge-{family}") for name in READY), family
    assert not any(one.problem for one in list_metrics() if one.name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_loads_its_prompts_in_both_languages_and_names_a_server(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    metric = judge(name)
    server = metric.server(needs_key=False)  # checks every value
    assert server.honours <= FEATURES
    instructions = set()
    for language in ("en", "zh"):
        shared = {"question": "Q?", "context": "C.", "reference": "R.", "language": language}
        if load(name).kind == "response":
            item: Any = Response(**shared, response="One.")
        else:
            rest = {"setting": "model_vs_model", "subject": None, "source_a": None, "source_b": None}
            item = Pair(**shared, **rest, id="c", response_a="One.", response_b="Two.", order="given", repeat=0)  # type: ignore[arg-type]  # the values are right
        requests = list(metric.forecast(item))  # type: ignore[attr-defined]  # judges have it
        assert requests
        for request in requests:
            text = "\n".join(content for _, content in request.messages)
            assert "${" not in text
            assert "Q?" in text
            body = request.body(server)
            assert ("temperature" in body) == ("temperature" in server.honours)
            assert ("response_format" in body) == ("json_schema" in server.honours)
        instructions.add(requests[0].messages[0][1])
    assert len(instructions) == 2
    assert "|honours:" in load(name).signature(("en", "zh"))


@pytest.mark.parametrize("name", READY)
def test_a_ready_model_has_a_key_of_its_own_and_dated_prices_or_none(name: str) -> None:
    metric = judge(name)
    server = metric.server(needs_key=False)
    assert server.model
    host = server.base_url.split("//")[1]
    assert is_local(server.base_url) or (metric.key_variable is None) == host.startswith("api.openai.com")
    if server.prices is not None:
        assert 0 < server.prices.input < server.prices.output
        assert server.prices.cached_input is None or server.prices.cached_input < server.prices.input
        assert server.prices.source.startswith("https://")
        assert datetime.date.fromisoformat(server.prices.date).year >= 2026
        provider = ".".join(host.split("/")[0].split(".")[-2:])
        assert provider.replace("anthropic.com", "claude.com") in server.prices.source
    # A model that thinks needs room for it.
    assert "temperature" in server.honours or metric.max_tokens >= 8192


@pytest.mark.parametrize("name", [name for name in READY if name.startswith("judge-gpt")])
def test_openais_reasoning_models_take_other_parameters(name: str) -> None:
    assert judge(name).max_tokens_parameter == "max_completion_tokens"
    assert judge(name).honours == {"json_schema"}


def test_what_anthropics_compatible_layer_ignores_is_not_relied_on() -> None:
    for name in READY:
        if name.startswith("judge-claude"):
            assert judge(name).honours == frozenset()


def test_the_command_line_lists_and_shows_them() -> None:
    listed = CliRunner().invoke(app, ["metrics", "list"])
    assert listed.exit_code == 0
    for name in NAMES:
        assert name in listed.output
    shown = CliRunner().invoke(app, ["metrics", "show", "judge-pairwise"])
    for option in ("model=required", "base_url=none", "structured=auto", "samples=1", "combine=vote", "concurrency=16"):
        assert option in shown.output
    assert "prompt_en" not in shown.output
