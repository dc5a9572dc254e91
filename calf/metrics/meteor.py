"""METEOR by nltk."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from calf.metrics.lexical import TokenMetric
from calf.metrics.tokenize import TokenizerName, porter_stem

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Meteor", "Words"]


class Words(NamedTuple):
    """A text's tokens, and whether they have English stems and synonyms."""

    tokens: list[str]
    english: bool


class Meteor(TokenMetric[Words]):
    """METEOR (Lavie and Agarwal 2007) by nltk, from 0 to 1: alpha 0.9, beta 3, gamma 0.5.

    Tokens, lower-cased, are matched as they are, then, in English only, by their Porter stems and by WordNet's
    synonyms (which nltk looks up by the stems). nltk's WordNet data is used if it is found; it is never downloaded,
    and the signature says whether it was used.

    Args:
        tokenizer: "auto" (en: rouge, zh: characters), or the tokenizer for all languages.
        wordnet: "auto" uses WordNet where its data is found, "no" never does.
    """

    libraries = ("nltk",)

    def __init__(self, tokenizer: TokenizerName = "auto", wordnet: Literal["auto", "no"] = "auto") -> None:
        super().__init__(tokenizer)
        self.wordnet = wordnet

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """The tokenizer of each language, and whether WordNet's synonyms are used ("yes" or "no")."""
        found = "en" in languages and self._synonyms() is not _NO_SYNONYMS
        return {**super().describe(languages), "wordnet": "yes" if found else "no"}

    def extract(self, text: str, language: str) -> Words | None:
        """The text's tokens."""
        tokens = self.tokens(text, language)
        return Words(list(tokens), language == "en") if tokens else None

    def compare(self, reference: Words, response: Words) -> float:
        """METEOR with one reference."""
        from nltk.translate.meteor_score import single_meteor_score

        return float(
            single_meteor_score(
                reference.tokens,
                response.tokens,
                stemmer=_PORTER if reference.english else _NO_STEMS,
                wordnet=self._synonyms() if reference.english else _NO_SYNONYMS,
            )
        )

    def _synonyms(self) -> Any:
        return _NO_SYNONYMS if self.wordnet == "no" else _find_wordnet()


class _Porter:
    def stem(self, token: str) -> str:
        return porter_stem(token)


class _NoStems:
    def stem(self, token: str) -> str:
        return token


class _NoSynonyms:
    def synsets(self, _: str) -> tuple[()]:
        return ()


_PORTER, _NO_STEMS, _NO_SYNONYMS = _Porter(), _NoStems(), _NoSynonyms()


@cache
def _find_wordnet() -> Any:
    """nltk's WordNet, if its data is in one of nltk's folders."""
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return _NO_SYNONYMS
    return wordnet
