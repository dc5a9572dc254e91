"""A scripted server and a judge that asks it, for the tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.server import ScriptedServer

PROMPT = (
    "Which answer is better? Answer A, B or same.\n\n${question}\n\n${reference}\n\n${response_a}\n\n${response_b}\n"
)
PRICES = '{"input": 2.5, "cached_input": 1.25, "output": 10, "date": "2026-11-01", "source": "a price list"}'

JUDGE = """
adapter = "calf.judges.pairwise:PairwiseJudge"
[files]
prompt_en = "tiny.txt"
prompt_zh = "tiny.txt"
[options]
model = "tiny"
max_tokens = 50
"""

ANSWERS = ["Verdict: A", "Verdict: B", "Verdict: same"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer=ANSWERS) as running:
        yield running


@pytest.fixture
def tiny(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Words that name the judge `tiny` at a server, with prices or without; in one order, unless another follows."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("calf.engine.engine._FIRST_WAIT", 0.01)
    (workspace / "metrics").mkdir()
    (workspace / "metrics" / "tiny.toml").write_text(JUDGE)
    (workspace / "metrics" / "tiny.txt").write_text(PROMPT)

    def words(url: str, *more: str, prices: str | None = PRICES) -> list[str]:
        options = [f"base_url={url}", *([f"prices={prices}"] if prices else []), *more]
        return ["--order", "given", "--metric", "tiny", *(word for option in options for word in ("-o", option))]

    return words
