"""What is translated together: the distinct texts of a dataset, in conversations, in parts that a model can answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from calf.datasets.translate.check import needs_translation
from calf.engine.tokens import estimate_tokens
from calf.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from calf.datasets.translate.check import Target
    from calf.types import Comparison

__all__ = ["FIELDS", "Conversation", "Field", "Text", "make_plan", "parts", "texts_of"]

Field = Literal["question", "context", "reference", "response"]

FIELDS: tuple[tuple[str, Field], ...] = (
    ("context", "context"),
    ("question", "question"),
    ("reference", "reference"),
    ("response_a", "response"),
    ("response_b", "response"),
)
"""What of a comparison is translated, in the order in which a translator reads it; everything else stays."""


@dataclass(frozen=True, slots=True)
class Text:
    """One distinct text, translated once, wherever it stands.

    Attributes:
        key: a digest of text and source language.
        field: where it stood first.
        text: as the dataset has it.
        language: of the comparison in which it stood first.
    """

    key: str
    field: Field
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Texts that are translated together, so that terms agree: those of one group, material first, responses last."""

    name: str
    language: str
    texts: tuple[Text, ...]


def texts_of(comparison: Comparison) -> Iterator[tuple[str, Field, str, str]]:
    """The texts of a comparison: attribute, field, key and text; an absent reference is none."""
    for attribute, field in FIELDS:
        text = getattr(comparison, attribute)
        if text is not None:
            yield attribute, field, digest(comparison.language, text, length=32), text


def make_plan(comparisons: Iterable[Comparison], target: Target) -> list[Conversation]:
    """The conversations, in the order of the comparisons.

    Every text that needs a translation is in exactly one of them. Groups that share a question or context (only where
    a file names its groups) make one conversation; a response that stands in several groups is in the first's.

    Args:
        comparisons: those that are in the target language are passed over.
        target: the language to translate into.
    """
    todo = [c for c in comparisons if c.language != target]
    root = _linked(todo)
    seen: set[str] = set()
    found: dict[tuple[str, str], list[Text]] = {}
    for comparison in todo:
        own = found.setdefault(root[comparison.group, comparison.language], [])
        for _, field, key, text in texts_of(comparison):
            if key not in seen and needs_translation(text, comparison.language, target):
                seen.add(key)
                own.append(Text(key, field, text, comparison.language))
    order: tuple[Field, ...] = ("context", "question", "reference", "response")
    return [
        Conversation(name, language, tuple(sorted(texts, key=lambda text: order.index(text.field))))
        for (name, language), texts in found.items()
        if texts
    ]


def parts(texts: Sequence[Text], most_tokens: int, count: Callable[[str], int] = estimate_tokens) -> list[list[Text]]:
    """The texts in order, in runs of at most so many tokens; a longer text is a part of its own.

    The parts are of about one size, rather than full ones and a small rest.
    """
    sizes = [count(text.text) for text in texts]
    number = max(1, -(-sum(sizes) // most_tokens))
    aim = min(most_tokens, sum(sizes) / number * 1.1)
    made: list[list[Text]] = [[]]
    filled = 0.0
    for text, size in zip(texts, sizes, strict=True):
        if made[-1] and filled + size > aim:
            made.append([])
            filled = 0.0
        made[-1].append(text)
        filled += size
    return [part for part in made if part]


def _linked(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], tuple[str, str]]:
    """For each group and language the first one that it is linked with by a question or context."""
    root: dict[tuple[str, str], tuple[str, str]] = {}
    first: dict[str, tuple[str, str]] = {}

    def find(node: tuple[str, str]) -> tuple[str, str]:
        while root[node] != node:
            node = root[node]
        return node

    for comparison in comparisons:
        node = (comparison.group, comparison.language)
        root.setdefault(node, node)
        for _, field, key, text in texts_of(comparison):
            if field in ("question", "context") and text.strip():
                other, own = find(first.setdefault(key, node)), find(node)
                root[own] = other
    return {node: find(node) for node in root}
