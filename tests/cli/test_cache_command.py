"""`calf cache`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calf.engine.cache import Cache
from calf.engine.request import Choice, Reply, Usage
from calf.models.kept import KeptVectors


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALF_CACHE", str(tmp_path / "cache"))
    cache = Cache()
    for number, model in enumerate(("small", "small", "large")):
        cache.put(f"k{number}", "http://127.0.0.1:1/v1", Reply((Choice("A"),), Usage(10, 0, 2), model))
    cache.close()
    return tmp_path / "cache" / "responses.sqlite"


def test_info_counts_by_model(calf: Any, workspace: Path, kept: Path) -> None:
    found = json.loads(calf("cache", "info", "--format", "json").stdout)
    assert (found["path"], found["bytes"]) == (str(kept), kept.stat().st_size)
    assert [(m["model"], m["answers"], m["input_tokens"]) for m in found["models"]] == [
        ("large", 1, 10),
        ("small", 2, 20),
    ]
    other = Cache()  # while it has the file open, there are more files
    assert other.get("k0") is not None
    assert len(list(kept.parent.glob(f"{kept.name}-*"))) == 2
    text = calf("cache", "info").stdout
    other.close()
    assert f"3 answers, {found['bytes']:,} bytes" in text
    assert "small at http://127.0.0.1:1/v1: 2 answers, 20 input and 4 output tokens" in text


def test_clear_removes_one_model_or_all(calf: Any, workspace: Path, kept: Path) -> None:
    assert "did you mean 'small'?" in calf("cache", "clear", "--model", "smal", check=2).stderr
    assert "removed 2 answers" in calf("cache", "clear", "--model", "small").stderr
    assert Cache().get("k2") is not None
    assert "removed 1 answers" in calf("cache", "clear").stderr
    assert Cache().get("k2") is None


def test_an_empty_cache(calf: Any, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALF_CACHE", str(tmp_path / "none"))
    assert "0 answers, 0 bytes" in calf("cache", "info").stdout
    assert "removed 0 answers" in calf("cache", "clear").stderr
    assert not (tmp_path / "none").exists()


def test_vectors_are_shown_and_cleared_beside_answers(calf: Any, workspace: Path, kept: Path) -> None:
    store = KeptVectors()
    for number in range(3):
        store.put(f"v{number}", "encoder", b"head", bytes(100))
    store.put("other", "small", b"head", bytes(100))
    store.close()
    found = json.loads(calf("cache", "info", "--format", "json").stdout)["vectors"]
    assert (found["path"], found["bound"]) == (str(kept.with_name("vectors.sqlite")), 4_000_000_000)
    assert [(m["model"], m["texts"], m["bytes"]) for m in found["models"]] == [("encoder", 3, 312), ("small", 1, 104)]
    text = calf("cache", "info").stdout
    assert "vectors of 4 texts" in text
    assert "encoder: vectors of 3 texts, 312 bytes" in text
    assert "did you mean 'encoder'?" in calf("cache", "clear", "--model", "encode", check=2).stderr
    assert "in the cache 'encoder'" in calf("cache", "clear", "--model", "encoder", "--only", "answers", check=2).stderr
    said = calf("cache", "clear", "--model", "small").stderr
    assert "removed 2 answers" in said
    assert "removed the vectors of 1 texts" in said
    assert "answers" not in calf("cache", "clear", "--only", "vectors").stderr
    assert KeptVectors().info().texts == 0
    assert Cache().get("k2") is not None
