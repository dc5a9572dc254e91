"""What all lexical metrics share: texts that are empty, references that are missing, tokenizers by language."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from calf.metrics.tokenize import (
    AUTO,
    Tokenizer,
    check_tokenizer,
    choose_tokenizer,
    find_tokenizer,
    is_blank,
    lacks_spaces,
    stem,
)
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from calf.metrics.base import Preparation, Response

__all__ = ["LexicalMetric", "TokenMetric"]

F = TypeVar("F")
"""What is kept of a text to compare it: counts, tokens, sentences."""

_TEXTS_KEPT = 2048  # a reference serves several responses, and a response several comparisons, near each other


class LexicalMetric(ABC, Generic[F]):
    """Compares a response with the reference by what they share.

    An empty response, and one that leaves nothing to compare, scores 0; a blank reference is a failure of kind
    `no_reference`, one that leaves nothing to compare of kind `no_tokens`.
    """

    family = "lexical"
    batch_size = 256
    examples_suffice = True  # tokenizers are checked against shares of the texts

    def __init__(self) -> None:
        self._cached: Callable[[str, str], F | None] = lru_cache(maxsize=_TEXTS_KEPT)(self.extract)

    @abstractmethod
    def extract(self, text: str, language: str) -> F | None:
        """What is compared of a text that is not blank; None if nothing is left."""

    @abstractmethod
    def compare(self, reference: F, response: F) -> float:
        """The score; higher is better."""

    def score(self, items: Sequence[Response]) -> Iterator[float | Failure]:
        """One score or failure per item, in order."""
        return map(self._outcome, items)

    def _outcome(self, item: Response) -> float | Failure:
        if item.reference is None or is_blank(item.reference):
            return Failure("no_reference", "the reference is blank")
        reference = self._cached(item.reference, item.language)
        if reference is None:
            return Failure("no_tokens", "the tokenizer leaves nothing of the reference")
        response = None if is_blank(item.response) else self._cached(item.response, item.language)
        return 0.0 if response is None else self.compare(reference, response)


class TokenMetric(LexicalMetric[F]):
    """A lexical metric over tokens.

    Args:
        tokenizer: "auto" (by language: en rouge, zh characters; others must be given one) or a name of
            `calf.metrics.tokenize.find_tokenizer`.
        stemmer: replace English tokens by their Porter stems.
    """

    auto: ClassVar[Mapping[str, str]] = AUTO
    """What the tokenizer "auto" means, by language."""

    choices: ClassVar[Sequence[str]] = ("words", "characters", "rouge", "jieba")
    """The tokenizers for other languages, the first of them for those with spaces between words."""

    unspaced: ClassVar[str] = "characters"
    """The tokenizer for languages without spaces between words."""

    def __init__(self, tokenizer: str = "auto", stemmer: bool = False) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.stemmer = stemmer

    def find_tokenizer(self, name: str) -> Tokenizer:
        """The tokenizer of that name."""
        return find_tokenizer(name)

    def tokenizer_name(self, language: str) -> str:
        """The name of the tokenizer for a language.

        Raises:
            OptionError: "auto" has none for it.
        """
        return choose_tokenizer(self.tokenizer, language, self.auto, self.choices)

    def tokens(self, text: str, language: str) -> Sequence[str]:
        """The tokens of a text."""
        tokens = self.find_tokenizer(self.tokenizer_name(language))(text)
        return stem(tokens) if self.stemmer and language == "en" else tokens

    def prepare(self, preparation: Preparation) -> None:
        """Refuses a tokenizer that does not fit the dataset's texts.

        Raises:
            OptionError: see `calf.metrics.tokenize.check_tokenizer`.
            MissingDependencyError: the tokenizer's package is not installed.
        """
        for language in preparation.languages:
            self.tokenizer_name(language)
        check_tokenizer(
            preparation.in_these_languages,
            tokenizer=lambda language: self.find_tokenizer(self.tokenizer_name(language)),
            name=self.tokenizer_name,
            advice=self._advice,
        )

    def _advice(self, language: str) -> str:
        best = self.auto.get(language) or (self.unspaced if lacks_spaces(language) else self.choices[0])
        return f"-o tokenizer={self.unspaced if best == self.tokenizer_name(language) else best}"

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """The tokenizer of each language, and the versions of the packages behind it."""
        from importlib.metadata import version

        names = {language: self.tokenizer_name(language) for language in languages}
        parts = {"tokens": ",".join(f"{language}={name}" for language, name in sorted(names.items()))}
        if "jieba" in names.values():
            parts["jieba"] = version("jieba")
        if self.stemmer and "en" in names:
            parts["nltk"] = version("nltk")
        return parts
