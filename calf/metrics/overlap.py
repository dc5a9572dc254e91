"""Token F1, BLEU and chrF of one response against its reference."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError
from calf.metrics.lexical import LexicalMetric, TokenMetric
from calf.metrics.matching import Bag, Vocabulary, f1
from calf.metrics.tokenize import Tokenizer, check_tokenizer

if TYPE_CHECKING:
    from calf.metrics.base import Preparation

__all__ = ["Bleu", "Chrf", "TokenF1"]


class TokenF1(TokenMetric[Bag]):
    """F1 of the tokens that response and reference share, from 0 to 1.

    For English the texts are normalised as in the SQuAD 1.1 evaluation (Rajpurkar et al. 2016): lower-cased, without
    ASCII punctuation and articles, divided at white space. Under any other tokenizer this is ROUGE-1's F1, so for
    Chinese both give the same value.

    Args:
        tokenizer: "auto" (en: squad, zh: characters), or the tokenizer for all languages.
    """

    auto = {"en": "squad", "zh": "characters"}  # noqa: RUF012 - never changed
    choices = ("words", "characters", "squad", "rouge", "jieba")

    def __init__(self, tokenizer: Literal["auto", "squad", "rouge", "characters", "words", "jieba"] = "auto") -> None:
        super().__init__(tokenizer)
        self._vocabulary = Vocabulary()

    def extract(self, text: str, language: str) -> Bag | None:
        """The bag of the text's tokens."""
        tokens = self.tokens(text, language)
        return Bag(self._vocabulary.encode(tokens)) if tokens else None

    def compare(self, reference: Bag, response: Bag) -> float:
        """F1 of the shared tokens."""
        hits = reference.hits(response)
        return f1(hits, reference.size, response.size)


class Bleu(TokenMetric[str]):
    """Sentence BLEU (Papineni et al. 2002) by sacrebleu, from 0 to 100.

    N-grams up to 4 tokens, "exp" smoothing, and the effective order (n-grams longer than the response do not count),
    as `sacrebleu.sentence_bleu` has them; case counts.

    Args:
        tokenizer: sacrebleu's tokenizers: "auto" (en: 13a, zh: zh), "13a", "zh" (Chinese characters, 13a for the
            rest) or "char", for all languages.
    """

    libraries = ("sacrebleu",)
    auto = {"en": "13a", "zh": "zh"}  # noqa: RUF012 - never changed
    choices = ("13a", "zh", "char")
    unspaced = "char"

    def __init__(self, tokenizer: Literal["auto", "13a", "zh", "char"] = "auto") -> None:
        super().__init__(tokenizer)
        self._tokenizers: dict[str, Tokenizer] = {}

    @cached_property
    def _bleu(self) -> Any:
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(tokenize="none", effective_order=True)  # the texts come tokenised

    def find_tokenizer(self, name: str) -> Tokenizer:
        """Sacrebleu's tokenizer of that name."""
        if name not in self._tokenizers:
            from sacrebleu.metrics.bleu import BLEU

            tokenize = BLEU(tokenize=name).tokenizer
            self._tokenizers[name] = lambda text: tokenize(text.rstrip()).split()
        return self._tokenizers[name]

    def extract(self, text: str, language: str) -> str | None:
        """The tokens, divided by blanks."""
        return " ".join(self.tokens(text, language)) or None

    def compare(self, reference: str, response: str) -> float:
        """Sentence BLEU with one reference."""
        return float(self._bleu.sentence_score(response, [reference]).score)


class Chrf(LexicalMetric[str]):
    """chrF (Popovic 2015) by sacrebleu: F of character n-grams up to 6, recall twice as important, from 0 to 100.

    White space does not count, case does. Needs no tokenizer, in any language.

    Args:
        word_order: also count n-grams of up to this many words, divided by white space; 2 is chrF++ (Popovic 2017).
    """

    libraries = ("sacrebleu",)

    def __init__(self, word_order: int = 0) -> None:
        super().__init__()
        if word_order < 0:
            raise OptionError(f"option word_order={word_order} must be 0 or more")
        self.word_order = word_order

    @cached_property
    def _chrf(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(word_order=self.word_order)

    def prepare(self, preparation: Preparation) -> None:
        """Refuses to count words in a language that does not divide them by white space.

        Raises:
            OptionError: see `calf.metrics.tokenize.check_tokenizer`.
        """
        if self.word_order:
            check_tokenizer(
                preparation.in_these_languages,
                tokenizer=lambda _: str.split,
                name=lambda _: "white space",
                advice=lambda _: "-o word_order=0",
            )

    def extract(self, text: str, language: str) -> str:  # noqa: ARG002 - the same for all languages
        """The text itself."""
        return text

    def compare(self, reference: str, response: str) -> float:
        """Sentence chrF with one reference."""
        return float(self._chrf.sentence_score(response, [reference]).score)
