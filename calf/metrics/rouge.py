"""ROUGE (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"), as the package rouge-score computes it.

A text is tokenised and counted once for all its comparisons, and a longest common subsequence is computed by machine
words instead of cell by cell; the values are rouge-score's.
"""

from __future__ import annotations

from typing import Literal

from calf.metrics.lexical import TokenMetric
from calf.metrics.matching import Bag, Matchable, Sentences, Subsequence, Vocabulary, f1
from calf.metrics.tokenize import TokenizerName  # noqa: TC001 - the options' types are read at run time

__all__ = ["Rouge"]


class Rouge(TokenMetric[Matchable]):
    """ROUGE of the response against the reference, from 0 to 1.

    Args:
        variant: "1" or "2" (tokens or pairs of tokens in common), "l" (longest common subsequence), "lsum" (union
            of the longest common subsequences of each reference sentence with all response sentences; a line is a
            sentence).
        measure: "precision" is per response token, "recall" per reference token, "f1" their harmonic mean.
        tokenizer: "auto" (en: rouge, zh: characters), or the tokenizer for all languages.
        stemmer: replace English tokens longer than three characters by their Porter stems.
    """

    def __init__(
        self,
        variant: Literal["1", "2", "l", "lsum"],
        measure: Literal["f1", "precision", "recall"] = "f1",
        tokenizer: TokenizerName = "auto",
        stemmer: bool = False,
    ) -> None:
        super().__init__(tokenizer, stemmer)
        self.variant = variant
        self.measure = measure
        self._vocabulary = Vocabulary()

    def extract(self, text: str, language: str) -> Matchable | None:
        """The text's tokens, arranged as the variant needs them."""
        if self.variant == "lsum":
            sentences = Sentences([self.tokens(line, language) for line in text.split("\n")])
            return sentences if sentences.size else None
        tokens = self.tokens(text, language)
        if not tokens:
            return None
        if self.variant == "l":
            return Subsequence(tokens)
        return Bag(self._vocabulary.encode(tokens), pairs=self.variant == "2")

    def compare(self, reference: Matchable, response: Matchable) -> float:
        """The measure of what the two have in common."""
        hits = reference.hits(response)
        if self.measure == "precision":
            return hits / max(response.size, 1)
        return hits / max(reference.size, 1) if self.measure == "recall" else f1(hits, reference.size, response.size)
