"""Prompts that a response follows: templates whose `${question}`, `${context}` and `${reference}` are filled in.

A template is plain text. A paragraph (between blank lines) with the placeholder of a text that is not given is left
out whole. The response, or the model's turn in a chat, comes on the line after the last one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.errors import DataError

if TYPE_CHECKING:
    from calf.metrics.base import Response

__all__ = ["Filled", "Template"]

_PLACEHOLDER = re.compile(r"\$\{([^{}\n]*)\}")
_PARAGRAPHS = re.compile(r"\n(?:[ \t]*\n)+")
_KNOWN = ("question", "context", "reference")
_CUT_FIRST = ("context", "reference")


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt.

    Attributes:
        text: the whole.
        spans: where the context and then the reference stand in it, (first character, end): what may be shortened.
    """

    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been checked.

    Attributes:
        paragraphs: its text.
    """

    paragraphs: tuple[str, ...]

    @classmethod
    def load(cls, text: str, name: str) -> Template:
        """Checks a template.

        Args:
            text: the template.
            name: its option, for messages.

        Raises:
            DataError: an unknown placeholder, one twice, or none for the question.
        """
        text = text.replace("\r\n", "\n").strip()
        found = [match[1] for match in _PLACEHOLDER.finditer(text)]
        for match in _PLACEHOLDER.finditer(text):
            if match[1] not in _KNOWN:
                hint = "; the response follows the template" if match[1] == "response" else ""
                problem = f"unknown placeholder ${{{match[1]}}}; a prompt's: {', '.join(_KNOWN)}{hint}"
                raise DataError(problem, name, text.count("\n", 0, match.start()) + 1)
        if twice := [key for key in found if found.count(key) > 1]:
            raise DataError(f"the placeholder ${{{twice[0]}}} stands twice", name)
        if "question" not in found:
            raise DataError("the placeholder ${question} is missing", name)
        return cls(tuple(_PARAGRAPHS.split(text)))

    def fill(self, item: Response) -> Filled:
        """The prompt for an item; its response is not in it."""
        texts = {
            "question": item.question.strip(),
            "context": item.context.strip(),
            "reference": (item.reference or "").strip(),
        }
        kept = [part for part in self.paragraphs if all(texts[key] for key in _PLACEHOLDER.findall(part))]
        template = "\n\n".join(kept)
        pieces, spans, length, at = [], {}, 0, 0
        for match in _PLACEHOLDER.finditer(template):
            text = texts[match[1]]
            pieces += [template[at : match.start()], text]
            length += match.start() - at + len(text)
            spans[match[1]] = (length - len(text), length)
            at = match.end()
        pieces.append(template[at:])
        return Filled("".join(pieces), tuple(spans[key] for key in _CUT_FIRST if key in spans))
