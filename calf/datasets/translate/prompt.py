"""What a translator is asked.

The texts stand between tags that they cannot close: the code in a tag's name occurs in none of them
(`calf.judges.prompt.mark_for`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from calf.datasets.translate.reading import read_answer
from calf.hashing import digest
from calf.judges.prompt import mark_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.datasets.translate.check import Complaint, Target
    from calf.datasets.translate.plan import Text
    from calf.datasets.translate.reading import Answer
    from calf.engine.request import Message

__all__ = ["SCHEMA", "Sheet", "language_name", "prompt_digest"]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "translations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "text": {"type": "string"}},
                "required": ["id", "text"],
                "additionalProperties": False,
            },
        },
        "terms": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"source": {"type": "string"}, "target": {"type": "string"}},
                "required": ["source", "target"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["translations", "terms"],
    "additionalProperties": False,
}
"""The form of an answer, where the server honours one."""

_LANGUAGES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "pt": "Portuguese", "ru": "Russian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
_SECTION = re.compile(r"^\[([a-z-]+)\]\n", re.M)
_MOST_TERMS = 60  # carried on in a long conversation; the newest ones


def language_name(code: str) -> str:
    """The English name of a language; its code where CALF has none."""
    return _LANGUAGES.get(code, f"the language {code!r}")


@dataclass(frozen=True)
class Sheet:
    """One part of a conversation, as it is put to a translator.

    Attributes:
        texts: what to translate.
        language, target: from and into what.
        known: texts of the group that are translated already, with their translations.
        terms: translations of terms from earlier parts.
        structured: whether the server honours a JSON schema.
        more: whether parts follow that need the terms.
    """

    texts: tuple[Text, ...]
    language: str
    target: Target
    known: tuple[tuple[Text, str], ...] = ()
    terms: Mapping[str, str] | None = None
    structured: bool = False
    more: bool = False

    @cached_property
    def mark(self) -> str:
        """The code of the tags: eight hexadecimal digits that are in none of the texts."""
        given = [text.text for text in self.texts] + [part for text, made in self.known for part in (text.text, made)]
        return mark_for({"question": "\n".join(given), "terms": "\n".join(f"{a} {b}" for a, b in self._terms())})

    def messages(self) -> tuple[Message, ...]:
        """The conversation's beginning."""
        names = {"source": language_name(self.language), "target": language_name(self.target)}
        parts = []
        if self.known:
            pairs = []
            for i, (text, made) in enumerate(self.known, 1):
                pairs += [self._block("known", f"k{i}", text.field, text.text)]
                pairs += [self._block("translation", f"k{i}", "", made)]
            parts.append(_fill("known", known="\n\n".join(pairs)))
        if terms := self._terms():
            lines = "\n".join(f"{source} = {made}" for source, made in terms)
            parts.append(_fill("terms", terms=f"<terms_{self.mark}>\n{lines}\n</terms_{self.mark}>"))
        blocks = (self._block("text", self.name(i), text.field, text.text) for i, text in enumerate(self.texts))
        parts.append(_fill("texts", texts="\n\n".join(blocks), count=len(self.texts), **names))
        parts.append(self._form(range(len(self.texts))))
        return ("system", _fill("system", **names)), ("user", "\n\n".join(parts))

    def again(
        self, messages: tuple[Message, ...], answer: str, complaints: Mapping[str, Complaint]
    ) -> tuple[Message, ...]:
        """The conversation, with what is wrong with the translations of these keys."""
        lines = [
            f"- {self.name(i)}: {complaints[t.key].message}" for i, t in enumerate(self.texts) if t.key in complaints
        ]
        request = _fill("again", complaints="\n".join(lines), count=len(lines))
        return (*messages, ("assistant", answer), ("user", request))

    def unread(self, messages: tuple[Message, ...], answer: str, keys: Sequence[str]) -> tuple[Message, ...]:
        """The conversation, after an answer that could not be read at all."""
        wanted = [i for i, text in enumerate(self.texts) if text.key in keys]
        request = _fill("unread", form=self._form(wanted), names=", ".join(map(self.name, wanted)))
        return (*messages, ("assistant", answer), ("user", request))

    def read(self, answer: str, finish: str) -> Answer:
        """What an answer holds; see `calf.datasets.translate.reading`."""
        keys = {self.name(i): text.key for i, text in enumerate(self.texts)}
        return read_answer(answer, finish, keys, self.mark, structured=self.structured)

    @staticmethod
    def name(index: int) -> str:
        """The id of a text in its sheet."""
        return f"t{index + 1}"

    def _block(self, tag: str, name: str, field: str, text: str) -> str:
        about = f' field="{field}"' if field else ""
        return f'<{tag}_{self.mark} id="{name}"{about}>\n{text}\n</{tag}_{self.mark}>'

    def _form(self, indices: Sequence[int]) -> str:
        count = len(indices)
        if self.structured:
            return _fill("json", count=count)
        target = language_name(self.target)
        example = "\n".join(self._block("text", self.name(i), "", f"(its translation into {target})") for i in indices)
        form = _fill("tags", count=count, example=example)
        if self.more:
            form += "\n\n" + _fill("tags-terms", mark=self.mark, example="source term = translated term")
        return form

    def _terms(self) -> list[tuple[str, str]]:
        return list((self.terms or {}).items())[-_MOST_TERMS:]


def prompt_digest() -> str:
    """A digest of all that a translator is told."""
    return digest(_text(), SCHEMA, length=12)


@cache
def _text() -> str:
    return resources.files("calf.datasets.translate").joinpath("prompts/translate.txt").read_text(encoding="utf-8")


@cache
def _sections() -> dict[str, Template]:
    parts = _SECTION.split(_text())
    return {name: Template(text.strip()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _fill(section: str, **values: Any) -> str:
    return _sections()[section].substitute(values)
