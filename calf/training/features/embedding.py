"""Likeness of meaning, by an encoder's vectors: BERTScore in two layers, sentence by sentence, and as a whole."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.errors import MissingDependencyError
from calf.models.packaged import DEFAULT_MODELS
from calf.training.features.family import Family, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calf.training.features.layers import LayersEncoder, Spoken
    from calf.training.features.views import Task, View

__all__ = ["Embedding"]

_LAYERS = ("late", "last")
_DIGITS = 6
"""Of a feature; what a matrix product's order of summation may change lies beyond them."""


class Embedding(Family):
    """Precision, recall and F1 of BERTScore (Zhang et al. 2020) in a late layer and the last, without idf.

    Of the last layer also: sentences' vectors (means of their tokens'), each with the most similar sentence of the
    other text; and cosines of whole texts' vectors. The model is the packaged one of the language; of others e5-small,
    which knows about a hundred.

    Args:
        keep: whether vectors are kept on disk.

    Raises:
        MissingDependencyError: the packages of the extra `bertscore` are not installed.
    """

    name = "embedding"
    names = (
        *(f"{layer}_{measure}" for layer in _LAYERS for measure in ("precision", "recall", "f1", "least")),
        "sentences_recall", "sentences_least", "sentences_precision", "cosine", "question_cosine",
    )  # fmt: skip
    part_names = ("sentences",)
    both_names = ("both_cosine",)

    def __init__(self, *, keep: bool) -> None:
        for package in ("torch", "transformers", "bert_score"):
            if importlib.util.find_spec(package) is None:
                raise MissingDependencyError("the features 'embedding'", package.replace("_", "-"), "bertscore")
        self._keep = keep
        self._encoders: dict[str, LayersEncoder] = {}

    @cached_property
    def _kept(self) -> Any:
        from calf.models.kept import KeptVectors

        return KeptVectors() if self._keep else None

    def encoder(self, language: str) -> LayersEncoder:
        """What gives texts of a language their vectors.

        Raises:
            UserError: the model cannot be had.
        """
        name = DEFAULT_MODELS.get(language, "e5-small")
        if name not in self._encoders:
            from calf.training.features.layers import LayersEncoder

            self._encoders[name] = LayersEncoder(name, self._kept)
        return self._encoders[name]

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """The model of each language."""
        import importlib.metadata

        found = {"transformers": importlib.metadata.version("transformers").partition(".")[0]}
        for language in languages:
            encoder = self.encoder(language)
            layers = ",".join(map(str, encoder.layers))
            found |= {
                f"model.{language}": encoder.weights.name,
                f"revision.{language}": encoder.weights.revision,
                f"layers.{language}": layers,
            }
        return found

    def measure(self, task: Task, response: View) -> Measured:
        """0 where there is no reference, and for a response without tokens."""
        encoder = self.encoder(response.language)
        reference, ours = encoder.spoken(task.reference.text), encoder.spoken(response.text)
        if reference is None or ours is None:
            return Measured([0.0] * len(self.names), ([0.0] * len(reference.sentences) if reference else [],))
        values: list[float] = []
        for theirs, mine in zip(reference.layers, ours.layers, strict=True):
            values += _match(theirs, mine, reference.plain, ours.plain)
        similar = ours.sentences @ reference.sentences.T
        best = similar.max(axis=0)
        question = encoder.spoken(task.question.text)
        values += [
            float(best.mean()), float(best.min()), float(similar.max(axis=1).mean()),
            _cosine(reference, ours), 0.0 if question is None else _cosine(question, ours),
        ]  # fmt: skip
        rounded = [round(value, _DIGITS) for value in values]
        return Measured(rounded, ([round(value, _DIGITS) for value in best.tolist()],))

    def both(self, first: View, second: View) -> Sequence[float]:
        """The cosine of the two responses."""
        encoder = self.encoder(first.language)
        one, other = encoder.spoken(first.text), encoder.spoken(second.text)
        return (0.0 if one is None or other is None else round(_cosine(one, other), _DIGITS),)


def _match(
    reference: NDArray[np.float32], response: NDArray[np.float32], plain: NDArray[np.bool_], ours: NDArray[np.bool_]
) -> list[float]:
    """Precision, recall, F1, and the recall of the worst fifth of the reference's tokens."""
    similar = response @ reference.T
    covered = similar.max(axis=0)[plain]
    precision, recall = float(similar.max(axis=1)[ours].mean()), float(covered.mean())
    worst = np.sort(covered)[: -(-len(covered) // 5)]
    harmonic = 2 * precision * recall / (precision + recall) if precision > 0 and recall > 0 else 0.0
    return [precision, recall, harmonic, float(worst.mean())]


def _cosine(one: Spoken, other: Spoken) -> float:
    return float(one.whole @ other.whole)
