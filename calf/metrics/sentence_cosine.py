"""The cosine of two sentence vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from calf.errors import OptionError
from calf.metrics.embedding import EmbeddingMetric
from calf.models.find import find_weights
from calf.models.packaged import DEFAULT_MODELS
from calf.models.sentence import SentenceEncoder, Sentences, read_sentences
from calf.types import Failure

if TYPE_CHECKING:
    from calf.models.kept import KeptVectors
    from calf.models.vectors import TextVectors

__all__ = ["SentenceCosine"]


class SentenceCosine(EmbeddingMetric[Sentences]):
    """The cosine, from -1 to 1, of the response's and the reference's sentence vectors (Reimers and Gurevych 2019).

    The vectors are those of sentence-transformers: the model's last layer, pooled as its folder says. A response
    without tokens gets 0. Unlike texts get far more than 0 from some models (E5: about 0.7), so differences count.

    Args:
        model, device, half, trust_remote_code, keep: see `EmbeddingMetric`.
        pooling: "mean" of all tokens' vectors, or the first one's ("cls"); "auto" is what `1_Pooling/config.json` in
            the model's folder says, the mean where there is none.
        prefix: what is put before both texts; default: `query: ` for E5 models, which were trained with it, else the
            default prompt of the model's folder, mostly none.
        long: see `EmbeddingMetric`. The window is the model's `max_seq_length` for sentences, which may be less than it
            could take (256 for MiniLM). With `window` a text has the mean of its windows' vectors, weighted by tokens.
    """

    def __init__(
        self,
        model: str = "auto",
        pooling: Literal["auto", "mean", "cls"] = "auto",
        prefix: str | None = None,
        long: Literal["truncate", "window", "fail"] = "truncate",
        device: str = "auto",
        half: bool = True,
        trust_remote_code: bool = False,
        keep: bool = True,
    ) -> None:
        super().__init__(model, long, device, half, trust_remote_code, keep)
        if pooling not in ("auto", "mean", "cls"):
            raise OptionError(f"pooling {pooling!r}: give auto, mean or cls")
        self.pooling = pooling
        self.prefix = prefix

    def choose(self, language: str) -> Sentences:
        """The model and how it makes vectors."""
        name = DEFAULT_MODELS[language] if self.model == "auto" else self.model
        return read_sentences(find_weights(name, code=self.trust_remote_code), self.pooling, self.prefix)

    def describe_choice(self, choice: Sentences) -> dict[str, str]:
        """How vectors are made."""
        return {"pooling": choice.pooling, "prefix": choice.prefix.strip()}

    def scale(self, language: str) -> str:
        """The model; "" for a language without one."""
        return self.choice(language).weights.name if self.covers(language) else ""

    def make_encoder(self, choice: Sentences, device: str, *, half: bool, kept: KeptVectors | None) -> SentenceEncoder:
        """Gives texts their vector."""
        code = self.trust_remote_code
        return SentenceEncoder(choice, code=code, long=self.long, device=device, half=half, kept=kept)

    def compare(self, language: str, reference: TextVectors, response: TextVectors) -> float | Failure:  # noqa: ARG002  # the base class's
        """The cosine, in float64; a failure of kind `bad_output` where a vector is not finite or all zeros."""
        theirs, ours = (side.vectors[0].astype(np.float64) for side in (reference, response))
        lengths = float(np.linalg.norm(theirs) * np.linalg.norm(ours))
        if not (np.isfinite(lengths) and lengths > 0):
            return Failure("bad_output", "the model gives a vector that is not finite, or all zeros")
        return float(theirs @ ours) / lengths
