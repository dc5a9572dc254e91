"""bert-score's precision, recall and F1 of one reference and some responses."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from calf.errors import UserError
from calf.models.encoder import load_encoder
from calf.models.quiet import quiet, reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.metrics.bertscore_choice import Baseline
    from calf.models.folder import Weights

__all__ = ["PairScorer", "load_layers", "token_weights"]

_PATCHING = threading.Lock()


def load_layers(weights: Weights, layer: int) -> Any:
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

    encoder = load_encoder(weights)
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


def token_weights(tokenizer: Any, references: Sequence[str] | None) -> Mapping[int, float]:
    """The weight of each token in the means: 1, but 0 for the special ones; with `references`, bert-score's idf."""
    if references is not None:
        from bert_score.utils import get_idf_dict

        weights: Mapping[int, float] = get_idf_dict(references, tokenizer, nthreads=0)
        return weights
    return defaultdict(lambda: 1.0, {tokenizer.sep_token_id: 0.0, tokenizer.cls_token_id: 0.0})


class _Encoded:
    """Stands for a tokenizer in bert-score's functions: knows the tokens of the texts at hand.

    A tokenizer cannot be used by several threads at once; this can.
    """

    def __init__(self, tokens: Mapping[str, list[int]], tokenizer: Any) -> None:
        self._tokens = tokens
        self.pad_token_id = tokenizer.pad_token_id
        self.model_max_length = tokenizer.model_max_length

    def encode(self, text: str, **_: object) -> list[int]:
        return self._tokens[text]


class PairScorer:
    """Scores responses with one model, its tokenizer and the weights of its tokens.

    Args:
        model, tokenizer: as `load_layers` and `load_tokenizer` give them.
        weights: as `token_weights` gives them.
        baseline: rescales the scores; None leaves them.
    """

    def __init__(self, model: Any, tokenizer: Any, weights: Mapping[int, float], baseline: Baseline | None) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._weights = weights
        self._baseline = baseline
        self._special = tokenizer.num_special_tokens_to_add()

    def tokens(self, text: str) -> list[int]:
        """The text's tokens with the special ones, cut at the window; none if only special ones are left.

        Not to be called by several threads at once.
        """
        from bert_score.utils import sent_encode

        if not text.strip():
            return []  # bert-score fails on it with transformers 5
        with quiet():
            ids: list[int] = sent_encode(self._tokenizer, text)
        return ids if len(ids) > self._special else []

    def score(self, reference: str, responses: Sequence[str], tokens: Mapping[str, list[int]]) -> list[Baseline]:
        """Precision, recall and F1 of each response; a response without tokens has 0 before rescaling.

        Args:
            reference: a text with tokens.
            responses: one or more, stripped of white space at their ends like the reference.
            tokens: what `tokens` gives for each of them and the reference.
        """
        import torch
        from bert_score.utils import bert_cos_score_idf

        raw = torch.zeros(len(responses), 3)
        filled = [i for i, response in enumerate(responses) if tokens[response]]
        if filled:
            raw[filled] = bert_cos_score_idf(
                self._model,
                [reference] * len(filled),
                [responses[i] for i in filled],
                _Encoded(tokens, self._tokenizer),
                self._weights,
                device=next(self._model.parameters()).device,
                batch_size=1,  # no padding: what else is in a batch moves the last digits
            )
        if self._baseline is not None:
            baseline = torch.tensor(self._baseline)
            raw = (raw - baseline) / (1 - baseline)
        return [(float(p), float(r), float(f)) for p, r, f in raw]
