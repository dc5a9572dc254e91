"""The family `embedding`: antisymmetric, the same with kept vectors and in threads, BERTScore's own values."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from model_fixtures import needs_models, write_tiny_bert

from calf.errors import MissingDependencyError
from calf.metrics.base import Pair
from calf.models.packaged import DEFAULT_MODELS
from calf.training.features import Extractor, Pairs

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = "abc de. fgh ij; kl"


def pair(a: str, b: str, reference: str | None = REFERENCE) -> Pair:
    return Pair("1", "what is it", "", reference, a, b, "en", "model_vs_model", None, None, None, "given", 0)


ITEMS = [
    pair("abc de. x y z", "mno fgh. ij kl abc de fgh ij kl mno pqr stu vwx"),  # longer than the window of 24
    pair("fgh ij", REFERENCE),
    pair("", "abc"),
    pair("abc", "def", None),
    pair("!", "?"),
]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model in the place of the packaged one."""
    folder = write_tiny_bert(tmp_path / "tiny", layers=6)
    monkeypatch.setitem(DEFAULT_MODELS, "en", str(folder))  # type: ignore[attr-defined]  # a dict, typed so
    return folder


def same(first: Pairs, second: Pairs) -> bool:
    return np.array_equal(first.odd.values, second.odd.values) and np.array_equal(first.even.values, second.even.values)


@needs_models
def test_swapped_kept_and_in_threads(tiny: Path) -> None:
    pairs = Extractor(["embedding"]).pairs(ITEMS)
    swapped = [dataclasses.replace(item, response_a=item.response_b, response_b=item.response_a) for item in ITEMS]
    assert same(Extractor(["embedding"]).pairs(swapped), pairs.swapped())  # from kept vectors
    assert same(Extractor(["embedding"], keep=False, jobs=3).pairs(ITEMS), pairs)
    assert np.abs(pairs.odd.values[:2]).max() > 0.01
    assert not pairs.odd.values[3].any()
    described = Extractor(["embedding"]).describe(["en"])
    assert described["model.en"] == tiny.name
    assert described["layers.en"] == "5,6"


@needs_models
def test_the_best_response_is_the_reference(tiny: Path) -> None:
    del tiny
    odd = Extractor(["embedding"], keep=False).pairs(ITEMS[1:2]).odd
    found = dict(zip(odd.names, odd.values[0], strict=True))
    for name in ("late_recall", "last_precision", "sentences_recall", "sentences_least", "sentences_wins", "cosine"):
        assert found[f"embedding.{name}"] < 0, name


@needs_models
def test_values_are_bertscores(tiny: Path) -> None:
    from calf.metrics.base import Preparation, Response
    from calf.metrics.bertscore import BertScore
    from calf.types import Comparison, Score

    item = pair("abc de x y z", "mno fgh ij kl abc de fgh ij kl mno pqr stu vwx", "abc de fgh ij kl")
    comparison = Comparison(
        "1", "what", "", item.reference, item.response_a, item.response_b, "model_vs_model", "same", "en"
    )
    odd = Extractor(["embedding"], keep=False).pairs([item]).odd
    found = dict(zip(odd.names, odd.values[0], strict=True))
    for layer, number in (("late", 5), ("last", 6)):
        for measure in ("precision", "recall"):
            options: dict[str, Any] = {"measure": measure, "layer": number, "long": "window", "keep": False}
            metric = BertScore(model=str(tiny), **options)
            metric.prepare(Preparation([comparison], seed=0))
            a, b = metric.score([Response("", "", item.reference, t, "en") for t in (item.response_a, item.response_b)])
            assert isinstance(a, Score)
            assert isinstance(b, Score)
            assert math.isclose(found[f"embedding.{layer}_{measure}"], a.value - b.value, abs_tol=3e-6)


@needs_models
def test_sentences_are_divided_at_their_stops() -> None:
    from calf.training.features.layers import LayersEncoder

    encoder = LayersEncoder("minilm", None)
    spoken = encoder.spoken("One river bends. Ok! Two rivers meet? A lake")
    assert spoken is not None
    assert spoken.sentences.shape == (2, 384)  # "Ok!" begins the second; the rest is too short
    assert encoder.layers == (5, 6)
    assert encoder.spoken("") is None
    assert np.allclose(np.linalg.norm(spoken.sentences, axis=1), 1)


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="bertscore"):
        Extractor(["embedding"])
