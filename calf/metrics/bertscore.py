"""BERTScore, with the values of the package bert-score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from calf.errors import OptionError
from calf.metrics.bertscore_choice import Choice, choose
from calf.metrics.bertscore_encoder import TokenEncoder
from calf.metrics.bertscore_matching import Weights, idf_weights, match, rescaled
from calf.metrics.embedding import EmbeddingMetric
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.models.kept import KeptVectors
    from calf.models.vectors import Head, TextVectors

__all__ = ["BertScore"]

_MEASURES = ("precision", "recall", "f1")  # in the order of bert-score's values


class BertScore(EmbeddingMetric[Choice]):
    """BERTScore (Zhang et al. 2020, section 3): how well the tokens' contextual vectors match.

    Precision is the mean, over the response's tokens, of the highest cosine with a token of the reference; recall the
    mean over the reference's tokens; F1 their harmonic mean. The reference itself gets 1; what unlike texts get depends
    on the model. A response without any token gets 0 (before rescaling), as in bert-score. The values are bert-score's
    to 1e-5 (on real answers about 1e-6: vectors are kept in 16 bits); `calf.metrics.bertscore_scores.bert_scores`
    computes them for plain lists.

    Args:
        model, device, half, trust_remote_code, keep: see `EmbeddingMetric`. With "auto", all-MiniLM-L6-v2 is used at
            layer 5 of 6 and multilingual-e5-small at layer 9 of 12. The layers were fixed beforehand after
            bert-score's table (tuned on WMT16), which has 5 of 6 for distilbert-base-uncased and 9 of 12 for
            bert-base-multilingual-cased.
        layer: whose vectors are compared, 0 being the embeddings; default: as above, or bert-score's table's. A model
            that is not in the table needs it.
        measure: which of the three values.
        idf: weight tokens by their rarity among the dataset's distinct references in the language.
        rescale: subtract bert-score's baseline, where it has one for the model and language.
        long: see `EmbeddingMetric`; truncate is bert-score's way. With `window` each token has its vector from the
            window in which it has most context on both sides, so that precision and recall are means over all tokens.
    """

    version = 2
    packages = ("bert_score", "torch", "transformers")
    libraries = ("bert-score",)  # formula, layers, baselines; for transformers and torch see `describe`

    def __init__(
        self,
        model: str = "auto",
        layer: int | None = None,
        measure: Literal["f1", "precision", "recall"] = "f1",
        idf: bool = False,
        rescale: bool = False,
        long: Literal["truncate", "window", "fail"] = "truncate",
        device: str = "auto",
        half: bool = True,
        trust_remote_code: bool = False,
        keep: bool = True,
    ) -> None:
        super().__init__(model, long, device, half, trust_remote_code, keep)
        if layer is not None and layer < 0:
            raise OptionError(f"layer {layer}: give 0 (the embeddings) or more")
        if measure not in _MEASURES:
            raise OptionError(f"measure {measure!r}: give one of {', '.join(_MEASURES)}")
        self.layer = layer
        self.measure = measure
        self.idf = idf
        self.rescale = rescale
        self._token_weights: dict[str, Weights] = {}

    def choose(self, language: str) -> Choice:
        """The model and its layer."""
        return choose(self.model, self.layer, language, rescale=self.rescale, code=self.trust_remote_code)

    def describe_choice(self, choice: Choice) -> dict[str, str]:
        """The layer."""
        return {"layer": str(choice.layer)}

    def scale(self, language: str) -> str:
        """The model and its layer; "" for a language without a model."""
        if not self.covers(language):
            return ""
        choice = self.choice(language)
        return f"{choice.weights.name} layer {choice.layer}"

    def make_encoder(self, choice: Choice, device: str, *, half: bool, kept: KeptVectors | None) -> TokenEncoder:
        """Gives texts their tokens' vectors."""
        code = self.trust_remote_code
        return TokenEncoder(choice, code=code, long=self.long, device=device, half=half, kept=kept)

    def look_at(self, language: str, references: Sequence[Head]) -> None:
        """Weighs the tokens."""
        self._token_weights[language] = idf_weights(references) if self.idf else Weights()

    def compare(self, language: str, reference: TextVectors, response: TextVectors) -> float | Failure:
        """The chosen value; a failure of kind `bad_output` where no token of a text has any weight."""
        values = match(reference, response, self._token_weights[language], self._device)
        if not all(map(math.isfinite, values)):
            return Failure("bad_output", "no token of the reference or the response has any weight")
        return self._chosen(language, values)

    def empty(self, language: str) -> float:
        """0 before rescaling."""
        return self._chosen(language, (0.0, 0.0, 0.0))

    def _chosen(self, language: str, values: tuple[float, float, float]) -> float:
        return rescaled(values, self.choice(language).baseline)[_MEASURES.index(self.measure)]
