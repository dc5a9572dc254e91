"""A text's vectors in two layers of an encoder, by one run of the model, and those of its sentences."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.metrics.bertscore_choice import Choice
from calf.metrics.bertscore_encoder import TokenEncoder
from calf.models.encoder import load_encoder, load_tokenizer
from calf.models.find import find_weights
from calf.models.folder import layer_count, read_config, window_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.models.kept import KeptVectors

__all__ = ["LayersEncoder", "Spoken"]

_STOPS = frozenset("。．.！!？?；;…")
_LEAST = 3
"""A sentence has so many tokens, its stop included."""


@dataclass(frozen=True)
class Spoken:
    """A text's vectors, all of length 1.

    Attributes:
        layers: of each layer, of the tokens with those around the text (tokens, width).
        plain: which of the tokens are the text's own.
        sentences: of each sentence in the last layer, (sentences, width).
        whole: of the text in the last layer.
    """

    layers: tuple[NDArray[np.float32], ...]
    plain: NDArray[np.bool_]
    sentences: NDArray[np.float32]
    whole: NDArray[np.float32]


class LayersEncoder(TokenEncoder):
    """The vectors of a text's tokens in the layer at five sixths of the model's depth, and in the last, side by side.

    Longer texts than the window are covered whole, by windows. On a CPU, so that they are the same everywhere.

    Args:
        model: as `find_weights` takes it.
        kept: where vectors are kept; None: nowhere.

    Attributes:
        layers: which they are; 0 would be the embeddings.
    """

    def __init__(self, model: str, kept: KeptVectors | None) -> None:
        weights = find_weights(model)
        depth = layer_count(read_config(weights.folder)) or 1
        self.layers = (max(1, round(5 * depth / 6)), depth)
        choice = Choice(weights, depth, window_of(weights.folder), None)
        super().__init__(choice, code=False, long="window", device="cpu", half=False, kept=kept)
        self._identity = (*self._identity, "layers", *self.layers)
        self._stops: dict[int, bool] = {}
        self._spelling = threading.Lock()

    def load_model(self) -> Any:
        """The model, giving the layers' vectors instead of the last one's."""
        import torch

        layers = self.layers

        class Stacked(torch.nn.Module):
            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model = model

            def forward(self, ids: Any, attention_mask: Any) -> tuple[Any]:
                hidden = self.model(ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
                parts = [torch.nn.functional.normalize(hidden[layer], dim=-1) for layer in layers]
                return (torch.cat(parts, dim=-1),)

        return Stacked(load_encoder(self.weights)).eval()

    def spoken(self, text: str) -> Spoken | None:
        """A text's vectors; None if it has no tokens.

        Args:
            text: without white space at its ends.

        Raises:
            UserError: the model cannot be loaded.
        """
        found = self.encode(text)
        if not found.head.plain.any():
            return None
        layers = tuple(_unit(part) for part in np.split(found.vectors, len(self.layers), axis=1))
        plain = found.head.plain
        last = layers[-1]
        sentences = [_unit(last[part].mean(axis=0)) for part in self._sentences(found.head.ids, plain)]
        return Spoken(layers, plain, np.stack(sentences), _unit(last[plain].mean(axis=0)))

    def _sentences(self, ids: NDArray[np.int32], plain: NDArray[np.bool_]) -> list[list[int]]:
        """The places of each sentence's tokens; a rest that is too short belongs to the one before it."""
        found: list[list[int]] = [[]]
        for place in np.flatnonzero(plain).tolist():
            found[-1].append(place)
            if self._is_stop(int(ids[place])) and len(found[-1]) >= _LEAST:
                found.append([])
        rest = found.pop()
        if len(rest) >= _LEAST or not found:
            found.append(rest)
        else:
            found[-1] += rest
        return found

    def _is_stop(self, token: int) -> bool:
        if token not in self._stops:
            with self._spelling:
                self._stops[token] = not _STOPS.isdisjoint(self._spell.convert_ids_to_tokens(token) or "")
        return self._stops[token]

    @cached_property
    def _spell(self) -> Any:
        return load_tokenizer(self.weights, self._choice.window)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
