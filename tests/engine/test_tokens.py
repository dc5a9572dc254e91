"""Counting and estimating tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from engine.server import ScriptedServer
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.engine.tokens import count_tokens, estimate_tokens


def test_estimates() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("word " * 92) == 100
    assert estimate_tokens("水" * 140) == 100
    assert count_tokens("word " * 92, "no-such-model") == (100, False)


@given(st.text(max_size=300), st.text(max_size=300))
@settings(deadline=None)
def test_an_estimate_grows_with_the_text(one: str, other: str) -> None:
    whole = estimate_tokens(one + other)
    assert 0 <= whole <= len((one + other).encode("utf-8", "replace"))
    assert abs(whole - estimate_tokens(one) - estimate_tokens(other)) <= 2


def test_a_folder_with_a_tokenizer(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    made.save(str(tmp_path / "tokenizer.json"))
    assert count_tokens("a b c a", str(tmp_path)) == (4, True)


def test_tiktoken_only_with_a_vocabulary_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tiktoken")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert count_tokens("word " * 92, "gpt-4-turbo") == (100, False)
    address = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
    name = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    assert name == "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # as tiktoken names the file


def test_a_server_of_this_machine_is_asked() -> None:
    with ScriptedServer() as server:
        assert count_tokens("one two three", "some-gguf", server.url) == (3, True)
    assert count_tokens("word " * 92, "some-gguf", "http://127.0.0.1:9/v1") == (100, False)
    assert count_tokens("word " * 92, "some-gguf", "https://judges.example/v1") == (100, False)
