"""Tokenizers, which of them a language takes, and the check that one fits the texts it is given.

A token list is any sequence of strings; `characters` gives a plain `str`, whose items are its characters.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

from calf.errors import MissingDependencyError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from calf.types import Comparison

__all__ = [
    "AUTO",
    "Tokenizer",
    "TokenizerName",
    "characters",
    "check_tokenizer",
    "choose_tokenizer",
    "find_tokenizer",
    "is_blank",
    "lacks_spaces",
    "length_of",
    "porter_stem",
    "stem",
]

Tokenizer = Callable[[str], Sequence[str]]

TokenizerName = Literal["auto", "rouge", "characters", "words", "jieba"]
"""What the option `tokenizer` takes; see `find_tokenizer`."""

AUTO: Mapping[str, str] = {"en": "rouge", "zh": "characters"}
"""What "auto" means, by language. Any other language must be given a tokenizer."""

_UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "zh"})  # written without spaces between words

_ROUGE = re.compile(r"[a-z0-9]+")
# A letter of the Chinese and Japanese scripts is a token of its own, since no white space divides them.
_CJK = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORDS = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

_LOST_SHARE = 0.05
_KEPT_LETTERS = 0.5
_LONGEST_MEAN = 12  # characters; English, German and Finnish words are 4 to 9 on average


def is_blank(text: str) -> bool:
    """Whether there is nothing but white space."""
    return not text or text.isspace()


def lacks_spaces(language: str) -> bool:
    """Whether the language is written without spaces between words, so that its length is counted in characters."""
    return language in _UNSPACED


def length_of(text: str, language: str) -> int:
    """In words divided by white space; where words are not divided so (Chinese, Japanese, Thai, ...), in characters."""
    return len(characters(text) if lacks_spaces(language) else text.split())


def characters(text: str) -> str:
    """Every character that is not white space, punctuation included, case kept."""
    return "".join(text.split())


def stem(tokens: Sequence[str]) -> list[str]:
    """Porter stems of the tokens longer than three characters, as rouge-score does with `use_stemmer`."""
    return [token if len(token) <= 3 else porter_stem(token) for token in tokens]


def find_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name.

    - `rouge`: lower-cased runs of a-z and 0-9, all else dropped: rouge-score's own tokenizer (without stemmer).
    - `characters`: every character that is not white space, punctuation included, case kept.
    - `words`: lower-cased runs of letters, digits and underscores in any script (`\\w+`), each Chinese or Japanese
      character a word of its own; punctuation dropped.
    - `jieba`: Chinese words and punctuation as jieba's default dictionary divides them, case kept.
    - `squad`: lower-cased, ASCII punctuation and the articles a, an, the removed, divided at white space: the
      normalisation of the SQuAD 1.1 evaluation script.

    Raises:
        MissingDependencyError: jieba is not installed.
    """
    return _jieba() if name == "jieba" else _TOKENIZERS[name]


def choose_tokenizer(choice: str, language: str, auto: Mapping[str, str] = AUTO, others: Sequence[str] = ()) -> str:
    """The name of the tokenizer for a language.

    Args:
        choice: a tokenizer's name, or "auto".
        auto: what "auto" means, by language.
        others: the choices that an error names.

    Raises:
        OptionError: `auto` does not name the language.
    """
    if choice != "auto":
        return choice
    if language not in auto:
        raise OptionError(
            f"no tokenizer is chosen for language {language!r}; give -o tokenizer={'|'.join(others)} "
            f"(auto knows {', '.join(sorted(auto))})"
        )
    return auto[language]


def check_tokenizer(
    comparisons: Iterable[Comparison],
    tokenizer: Callable[[str], Tokenizer],
    name: Callable[[str], str],
    advice: Callable[[str], str],
) -> None:
    """Refuses a tokenizer that does not fit a language's texts, before anything is scored.

    Looks at the distinct references and responses that hold a letter or a digit. A tokenizer does not fit a text
    if its tokens hold less than half of the letters and digits (so also if it leaves no token), or if they are
    longer than 12 characters on average (whole clauses, since no white space divides the words).

    Args:
        comparisons: the whole dataset.
        tokenizer, name: give a language's tokenizer and its name.
        advice: gives what to use instead, for a language.

    Raises:
        OptionError: the tokenizer does not fit more than 5 % of a language's texts.
    """
    texts: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        found = texts.setdefault(comparison.language, {})
        for text in (comparison.reference, comparison.response_a, comparison.response_b):
            if text:
                found[text] = None
    for language, found in sorted(texts.items()):
        tokenize = tokenizer(language)
        fits = [fit for text in found if (fit := _fits(text, tokenize)) is not None]
        lost = fits.count(False)
        if lost > _LOST_SHARE * len(fits):
            raise OptionError(
                f"tokenizer {name(language)!r} does not fit language {language!r}: in {100 * lost / len(fits):.0f} % "
                f"of its texts it drops most letters or does not divide the words; use {advice(language)}"
            )


def _fits(text: str, tokenize: Tokenizer) -> bool | None:
    """Whether the tokenizer fits the text; None if the text has neither letter nor digit."""
    letters = sum(map(str.isalnum, text))
    if not letters:
        return None
    tokens = tokenize(text)
    held = sum(map(len, tokens))
    return held >= _KEPT_LETTERS * letters and held <= _LONGEST_MEAN * len(tokens)


def _rouge(text: str) -> Sequence[str]:
    return _ROUGE.findall(text.lower())


def _words(text: str) -> Sequence[str]:
    return _WORDS.findall(text.lower())


def _squad(text: str) -> Sequence[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


_TOKENIZERS: Mapping[str, Tokenizer] = {"rouge": _rouge, "characters": characters, "words": _words, "squad": _squad}


@cache
def _porter() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    stemmer: Callable[[str], str] = PorterStemmer().stem
    return stemmer


@cache
def porter_stem(token: str) -> str:
    """The Porter stem of a word, by nltk."""
    return _porter()(token)


@cache
def _jieba() -> Tokenizer:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its old syntax and its use of pkg_resources
            import jieba
    except ImportError:
        raise MissingDependencyError("tokenizer 'jieba'", "jieba", "jieba") from None
    # By itself jieba reports on standard error, and reads and writes a cache of marshalled code in the shared
    # temporary folder, where anybody may have put it. Filled from its dictionary, it does neither.
    cutter = jieba.Tokenizer()
    cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
    cutter.initialized = True
    return lambda text: [word for word in cutter.cut(text) if not word.isspace()]
