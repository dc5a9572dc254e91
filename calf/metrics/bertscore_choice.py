"""Which model and layer BERTScore takes for a language, found without loading anything heavy."""

from __future__ import annotations

import csv
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calf.errors import OptionError
from calf.models.find import find_weights
from calf.models.folder import layer_count, read_config, window_of
from calf.models.packaged import DEFAULT_MODELS, PACKAGED

if TYPE_CHECKING:
    from calf.models.folder import Weights

__all__ = ["Baseline", "Choice", "choose"]

_PACKAGED_LAYERS = {"minilm": 5, "e5-small": 9}

Baseline = tuple[float, float, float]
"""What unrelated texts get on average: precision, recall, F1."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model as BERTScore uses it.

    Attributes:
        layer: how many of its layers are run; 0 leaves the embeddings.
        window: the most tokens of a text, special ones included.
        baseline: what scores are rescaled by; None if they are not.
    """

    weights: Weights
    layer: int
    window: int
    baseline: Baseline | None


def choose(model: str, layer: int | None, language: str, *, rescale: bool, code: bool = False) -> Choice:
    """Finds the model (downloading it if need be) and its layer.

    Args:
        model: "auto", a packaged model, a folder or a hub id.
        layer: None for the default.
        language: one that `model` is for; `DEFAULT_MODELS` must have it if `model` is "auto".
        rescale: look up bert-score's baseline.
        code: the model's own code belongs to it.

    Raises:
        OptionError: the model needs a layer or has fewer; or there is no baseline.
        UserError: the model cannot be had.
    """
    name = DEFAULT_MODELS[language] if model == "auto" else model
    weights = find_weights(name, code=code)
    layers = layer_count(read_config(weights.folder))
    chosen = _default_layer(name) if layer is None else layer
    if chosen is None:
        has = "" if layers is None else f" (the model has {layers})"
        raise OptionError(f"model {name!r} is not in bert-score's table of layers: give layer=N{has}")
    if layers is not None and chosen > layers:
        raise OptionError(f"layer {chosen}: model {weights.name!r} has {layers} layers")
    baseline = _read_baseline(name, language, chosen) if rescale else None
    return Choice(weights, chosen, window_of(weights.folder), baseline)


def _is_hub_id(name: str) -> bool:
    return name not in PACKAGED and not Path(name).expanduser().is_dir()


def _default_layer(name: str) -> int | None:
    if name in _PACKAGED_LAYERS:
        return _PACKAGED_LAYERS[name]
    if not _is_hub_id(name):
        return None
    from bert_score.utils import model2layers

    layer: int | None = model2layers.get(name)
    return layer


def _read_baseline(name: str, language: str, layer: int) -> Baseline:
    """The baseline that bert-score ships for a model, language and layer."""
    package = importlib.util.find_spec("bert_score")
    locations = package.submodule_search_locations if package else None
    folder = Path(*(locations or ["bert_score"])) / "rescale_baseline" / language
    table = folder / f"{name}.tsv"
    if not _is_hub_id(name) or not table.is_file():
        known = sorted((str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.tsv")), key=len)
        has = f"it has some for {', '.join(known[:6])}, ..." if known else "it has none for that language"
        raise OptionError(f"rescale: bert-score has no baseline for model {name!r} in {language!r}; {has}")
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if int(row["LAYER"]) == layer:
                return float(row["P"]), float(row["R"]), float(row["F"])
    raise OptionError(f"rescale: bert-score's baseline for model {name!r} has no layer {layer}")
