"""Tokens' vectors as bert-score makes them, of texts of any length."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.errors import UserError
from calf.models.encoder import load_encoder, load_tokenizer
from calf.models.encoding import Encoder
from calf.models.quiet import reason
from calf.models.tokens import TextTokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calf.metrics.bertscore_choice import Choice
    from calf.models.encoding import Long
    from calf.models.folder import Weights
    from calf.models.kept import KeptVectors
    from calf.models.windows import Windows

__all__ = ["TokenEncoder", "load_layers"]

_PATCHING = threading.Lock()


class TokenEncoder(Encoder):
    """The vectors of a text's tokens, of length 1, in one layer of a model.

    The tokens put around a text keep their vectors, since in bert-score a token may match them; they have no weight of
    their own. A longer text in windows has them from its first and its last window.

    Args:
        choice: the model and its layer.
        code: whether the model's own code may run.
        long, device, half, kept: as for `calf.models.encoding.Encoder`.
    """

    def __init__(
        self, choice: Choice, *, code: bool, long: Long, device: str, half: bool, kept: KeptVectors | None
    ) -> None:
        self._choice = choice
        self._code = code
        identity = ("tokens", choice.layer, choice.window, *(["code"] if code else []))
        super().__init__(choice.weights, identity, long=long, device=device, half=half, kept=kept)

    def load_model(self) -> Any:
        """The model, cut after the layer."""
        return load_layers(self._choice.weights, self._choice.layer, code=self._code)

    def load_tokens(self) -> TextTokens:
        """Cuts texts as bert-score does."""
        from bert_score.utils import sent_encode

        tokenizer = load_tokenizer(self._choice.weights, self._choice.window, code=self._code)
        return TextTokens(tokenizer, self._choice.window, sent_encode, self._choice.weights.name)

    def finish(self, hidden: Sequence[NDArray[np.float32]], windows: Windows | None) -> NDArray[np.float32]:
        """Each token's vector from the window with most context around it."""
        vectors = hidden[0]
        if windows is not None:
            before = self.tokens.ends[0]
            inner = np.stack([part[before : before + windows.size] for part in hidden])
            places = np.arange(len(windows.owners)) - np.array(windows.starts)[windows.owners]
            own = inner[windows.owners, places]
            vectors = np.concatenate([hidden[0][:before], own, hidden[-1][before + windows.size :]])
        lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / lengths


def load_layers(weights: Weights, layer: int, *, code: bool = False) -> Any:
    """The encoder, cut after `layer` by bert-score's own rules.

    Raises:
        UserError: it cannot be loaded, or bert-score cannot cut it.
    """
    from bert_score import utils

    class Loaded:
        """Stands for transformers' AutoModel."""

        @staticmethod
        def from_pretrained(_: str) -> Any:
            return encoder

    encoder = load_encoder(weights, code=code)
    # `get_model` loads by name: a folder with "t5" anywhere in its path as a T5 model, and without a check of what its
    # weights leave out. So it gets a model that is loaded already, under a name that means nothing to it.
    with _PATCHING:
        original, utils.AutoModel = utils.AutoModel, Loaded
        try:
            return utils.get_model("loaded", layer)
        except Exception as error:
            raise UserError(f"model {weights.name!r}: bert-score cannot use it: {reason(error)}") from error
        finally:
            utils.AutoModel = original
