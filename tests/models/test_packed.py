from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_fixtures import needs_models, write_tiny_bert

from calf.models import packed
from calf.models.encoder import load_encoder
from calf.models.find import find_weights
from calf.models.packed import pack_linear

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = needs_models


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return load_encoder(find_weights(str(write_tiny_bert(tmp_path / "tiny"))))


def run(model: Any) -> Any:
    import torch

    ids = torch.tensor([[2, 9, 30, 7, 3]])
    with torch.inference_mode():
        return model(ids, attention_mask=torch.ones_like(ids))[0]


def linear_layers(model: Any) -> int:
    import torch

    return sum(type(module) is torch.nn.Linear for module in model.modules())


def test_packed_layers_give_the_same_vectors(model: Any) -> None:
    import torch

    before = run(model)
    if not pack_linear(model):
        pytest.skip("this torch has no packed product")
    assert linear_layers(model) == 0
    assert torch.allclose(run(model), before, atol=1e-5)


def fails(linear: Any) -> Any:
    raise RuntimeError("no such operation")


def gives_something_else(linear: Any) -> Any:
    import torch

    other = torch.nn.Linear(linear.in_features, linear.out_features)
    return torch.nn.Sequential(other)


@pytest.mark.parametrize("wrong", [fails, gives_something_else])
def test_a_model_that_cannot_be_packed_stays_as_it_is(
    wrong: Callable[[Any], Any], model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, layers = run(model), linear_layers(model)
    monkeypatch.setattr(packed, "_packed", wrong)
    assert not pack_linear(model)
    assert linear_layers(model) == layers
    assert (run(model) == before).all()
