"""How likely an encoder-decoder makes a text that follows from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.errors import DataError
from calf.models.folder import read_config, window_of
from calf.models.likelihood import load_model, load_tokenizer, log_probabilities, plain_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.models.folder import Weights

__all__ = ["Seq2Seq", "windows_of"]


def windows_of(weights: Weights) -> tuple[int, int]:
    """How many tokens, special ones included, the encoder and the decoder take; see `calf.models.folder.window_of`."""
    config = read_config(weights.folder)
    whole = window_of(weights.folder)
    sides = (config.get(f"max_{side}_position_embeddings") for side in ("encoder", "decoder"))  # LED has them
    encoder, decoder = (side if isinstance(side, int) and side > 0 else whole for side in sides)
    return encoder, decoder


class Seq2Seq:
    """An encoder-decoder that scores texts.

    Args:
        weights: where it is.
        device: "cpu", "cuda", "cuda:1", ...
        half: bfloat16 instead of float32.
        code: whether the model's own code may run.

    Attributes:
        device: as given.
        tokenizer: the model's.
        windows: of the encoder and the decoder, in tokens, special ones included.

    Raises:
        UserError: see `calf.models.likelihood.load_model`.
    """

    def __init__(self, weights: Weights, device: str, *, half: bool = False, code: bool = False) -> None:
        self.device = device
        self.tokenizer = load_tokenizer(weights, code=code)
        self.windows = windows_of(weights)
        self._special: int = self.tokenizer.num_special_tokens_to_add(pair=False)
        if min(self.windows) <= self._special:
            raise DataError(f"model {weights.name!r} takes {min(self.windows)} tokens: too few", weights.folder)
        self._model: Any = load_model(weights, "seq2seq", device, half=half, code=code)

    def tokens(self, text: str) -> list[int]:
        """The text's tokens with the model's special ones around them, uncut; [] if the text has none of its own."""
        ids = plain_ids(self.tokenizer, text)
        return ids if len(ids) > self._special else []

    def source(self, text: str) -> tuple[list[int], int]:
        """The tokens of a text for the encoder, without those beyond its window, and how many these are."""
        return self._cut(text, self.windows[0])

    def target(self, text: str) -> tuple[list[int], int]:
        """The tokens of a text for the decoder, without those beyond its window, and how many these are."""
        return self._cut(text, self.windows[1])

    def _cut(self, text: str, window: int) -> tuple[list[int], int]:
        """Cut at the end; the special tokens stay."""
        ids = self.tokens(text)
        over = len(ids) - window
        if over <= 0:
            return ids, 0
        return plain_ids(self.tokenizer, text, truncation=True, max_length=window), over

    def log_likelihoods(self, source: Sequence[int], targets: Sequence[Sequence[int]]) -> list[float]:
        """For each target the mean, over its tokens, of log p(token | the tokens before it, source), in nats.

        Special tokens of the target count like any other, as in the authors' code. The source is encoded once, each
        target run through the decoder alone.
        """
        import torch

        means = []
        with torch.inference_mode():
            encoded = self._model.get_encoder()(input_ids=torch.tensor([source], device=self.device))
            for target in targets:
                labels = torch.tensor([target], device=self.device)
                logits = self._model(encoder_outputs=encoded, labels=labels).logits[0]
                means.append(log_probabilities(logits, target) / len(target))
        return means
