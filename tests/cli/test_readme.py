"""The README's commands and code, run as they are written."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from model_fixtures import needs_models, write_tiny_roberta

import calf

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^( *)```(\w+)\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)
    for _, language, text in BLOCKS
    if language == "bash"
    for line in text.splitlines()
    if line.strip()
]
ELSEWHERE = {"make", "python3", ".venv/bin/pip", ".venv/bin/calf"}  # set-up, which this very environment came from


def test_there_are_commands_and_all_are_of_a_known_kind() -> None:
    assert {command[0] for command in COMMANDS} == ELSEWHERE | {"calf"}
    assert len([command for command in COMMANDS if command[0] == "calf"]) >= 15


@pytest.fixture
def prepared(workspace: Path) -> Path:
    """A workspace with the files that the commands name."""
    sample = calf.load_dataset("sample")
    from calf.datasets.writing import write

    write(sample, workspace / "my.jsonl")
    rows = ["prompt,reference,response_a,response_b,label"]
    rows += [f"question {n},an answer,one answer,another answer,same" for n in range(4)]
    (workspace / "my.csv").write_text("\n".join(rows) + "\n")
    verdicts = ["id,verdict", *(f"{c.id},same" for c in sample)]
    (workspace / "verdicts.csv").write_text("\n".join(verdicts) + "\n")
    return workspace


@needs_models
def test_every_command_works_as_written(calf: Any, prepared: Path) -> None:
    tiny = write_tiny_roberta(prepared / "tiny")
    part = ("--limit", 6, "-o", f"model={tiny}", "-o", "layer=2", "-o", "long=window")
    for command in COMMANDS:
        if command[0] != "calf":
            continue
        if command[1:3] == ["datasets", "fetch"]:
            calf(*command[1:], "--from", "nothing.json", check=2)  # what it downloads is not here
            continue
        # Of what a model is asked, a part shows that it works; the packaged ones themselves are tried in tests/metrics.
        calf(*command[1:], *(part if "bertscore" in command else ()))
    assert (prepared / "leaderboard.md").exists()
    assert (prepared / "sample.parquet").exists()


def test_the_python_code_works_as_written(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    codes = [text for _, language, text in BLOCKS if language == "python"]
    assert len(codes) == 2
    exec(codes[0], {})
    (prepared / "file.py").write_text("\n".join(line[3:] for line in codes[1].splitlines()))
    run = calf.evaluate("file.py:Bullets", "sample", limit=12)
    assert run.rows[0]["coverage"] == 1


def test_the_keys_it_explains_are_the_rows(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    row = calf.evaluate("longer", "sample", limit=12).rows[0]
    section = README.partition("### What the figures mean")[2].partition("\n## ")[0]
    names = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    explained = {key for name in names for key in re.findall(r"`([a-z_0-9]+)`", name)}
    assert len(explained) > 40
    assert explained <= set(row)
    forms = re.compile(r"_(low|high|symmetric|n)$|^(precision|recall|f1|confusion)_.*")
    assert {key for key in row if not forms.search(key)} <= explained | {"undefined"}
    assert json.dumps(row)
