"""Prompts: templates that are filled with texts which cannot leave their blocks.

A template is a text in sections. A section begins with a line `[system]`, `[user]` or `[reminder]`; a text without
such lines is one user message. `[reminder]` is what is said when an answer could not be read. `${question}` and its
like stand for blocks::

    <question_3f9c2a1b>
    the question's text
    </question_3f9c2a1b>

and `${mark}` for the code that ends the tags of this prompt, `${count}` for a number. A paragraph with the block of a
text that is not given (no context, no reference) is left out whole, its heading with it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from calf.errors import DataError
from calf.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["SHARED", "Messages", "Prompt", "choose", "mark_for"]

Messages = tuple[tuple[Literal["system", "user", "assistant"], str], ...]

SHARED = ("question", "context", "reference")
"""The texts that all responses to a question have in common; they come first in a prompt."""

_MAY_LACK = frozenset({"context", "reference"})
_NOT_BLOCKS = frozenset({"mark", "count"})
_PLACEHOLDER = re.compile(r"\$\{([^{}\n]*)\}")
_SECTION = re.compile(r"^\[(system|user|reminder)\][ \t]*$", re.M)
_PARAGRAPHS = re.compile(r"\n(?:[ \t]*\n)+")
_MARK_DIGITS = 8
_REMINDER = "That answer could not be read. Answer once more, in exactly the form that was asked for."


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template that has been checked.

    Attributes:
        name: its file, for messages.
        system: the system message; "" if it has none.
        user: the user message.
        reminder: what is said after an answer that could not be read; a general sentence if the file has none.
    """

    name: str
    system: str
    user: str
    reminder: str

    @classmethod
    def load(cls, text: str, name: str, needs: Collection[str], allows: Collection[str] = ()) -> Prompt:
        """Checks a template.

        Args:
            text: the template.
            name: its file, for messages.
            needs: placeholders that its user section must have.
            allows: placeholders that it may have besides.

        Raises:
            DataError: an unknown placeholder, a missing one, one twice, one of a text outside of the user section, a
                response before what all responses share, or no user section.
        """
        text = text.replace("\r\n", "\n")
        sections = _sections(text, name)
        known = {*needs, *allows, "mark"}
        for match in _PLACEHOLDER.finditer(text):
            if match[1] not in known:
                problem = f"unknown placeholder ${{{match[1]}}}; this prompt's: {', '.join(sorted(known))}"
                raise DataError(problem, name, text.count("\n", 0, match.start()) + 1)
        used = _PLACEHOLDER.findall(sections["user"])
        blocks = [found for found in used if found not in _NOT_BLOCKS]
        for needed in sorted(needs):
            if needed not in used:
                raise DataError(f"the user section lacks the placeholder ${{{needed}}}", name)
        for section in ("system", "reminder"):
            for found in _PLACEHOLDER.findall(sections[section]):
                raise DataError(f"the placeholder ${{{found}}} belongs in the user section, not in [{section}]", name)
        if twice := [block for block in blocks if blocks.count(block) > 1]:
            raise DataError(f"the placeholder ${{{twice[0]}}} stands twice", name)
        varying = [block not in SHARED for block in blocks]
        if varying != sorted(varying):
            raise DataError("question, context and reference must come before what differs between responses", name)
        return cls(name, sections["system"], sections["user"], sections["reminder"] or _REMINDER)

    def messages(self, texts: Mapping[str, str | None], count: int | None = None) -> Messages:
        """The messages for these texts.

        The instructions come first, then what all responses to the question share, then the rest: the prompts of
        both orders, and of all responses to a question, begin alike up to the first response.

        Args:
            texts: the text of each placeholder but `mark` and `count`; blank or None for a context or reference that
                is not there.
            count: for `${count}`.
        """
        mark = mark_for(texts)

        def filled(match: re.Match[str]) -> str:
            name = match[1]
            if name in _NOT_BLOCKS:
                return mark if name == "mark" else str(count)
            return f"<{name}_{mark}>\n{texts[name] or ''}\n</{name}_{mark}>"

        lacking = {name for name in _MAY_LACK if not (texts.get(name) or "").strip()}
        kept = [part for part in _PARAGRAPHS.split(self.user) if lacking.isdisjoint(_PLACEHOLDER.findall(part))]
        user = _PLACEHOLDER.sub(filled, "\n\n".join(kept))
        return (("system", self.system), ("user", user)) if self.system else (("user", user),)

    def again(self, messages: Messages, answer: str) -> Messages:
        """The messages that ask once more after an answer that could not be read."""
        if answer.strip():
            return (*messages, ("assistant", answer), ("user", self.reminder))
        # Servers refuse an empty answer, and two messages of the user in a row.
        role, last = messages[-1]
        return (*messages[:-1], (role, f"{last}\n\n{self.reminder}"))


def choose(language: str, english: Prompt, chinese: Prompt) -> Prompt:
    """The prompt for a comparison's language (ISO 639-1): Chinese for "zh", English for all others."""
    return chinese if language.lower().partition("-")[0] == "zh" else english


def mark_for(texts: Mapping[str, str | None]) -> str:
    """The code that ends a prompt's tags: eight hexadecimal digits that occur in none of its texts.

    It comes from what all responses share (question, context, reference), so that their prompts begin alike, in
    whichever order responses are shown. Only where a text holds the code (someone has worked it out), in whatever
    disguise (capitals, full-width, spaces or invisible characters between), is the next one taken; that depends on
    the set of texts, not on their order.
    """
    shared = [texts.get(name) or "" for name in SHARED]
    seen = [_folded(text) for text in texts.values() if text]
    attempt = 0
    while True:
        mark = digest("mark", *shared, attempt, length=_MARK_DIGITS)
        if not any(mark in text for text in seen):
            return mark
        attempt += 1


# What looks like a hexadecimal digit and has no plain form in Unicode: Cyrillic, Greek, IPA, small capitals.
_LOOKALIKES = {
    ord(char): digit
    for digit, chars in {
        "a": "аɑαᴀ", "b": "вьƅβʙ", "c": "сϲᴄ", "d": "ԁɗᴅ", "e": "еҽεᴇ", "f": "ƒғꜰ",
        "0": "oоοᴏ", "1": "liіӏιı", "3": "зʒ", "6": "б",
    }.items()
    for char in chars
}  # fmt: skip


class _Plain(dict[int, str | None]):
    """What becomes of a character, for `str.translate`; found out when it is first met."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        kept = str(unicodedata.digit(char, char))
        gone = unicodedata.category(char)[0] == "M" or not kept.isalnum()
        value = self[code] = None if gone else kept.translate(_LOOKALIKES)
        return value


_PLAIN = _Plain()


def _folded(text: str) -> str:
    """The letters and digits of a text alone, in their plainest form: no accents, digits of all scripts as ASCII."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_PLAIN)


def _sections(text: str, name: str) -> dict[str, str]:
    parts = _SECTION.split(text)
    if len(parts) == 1:
        return {"system": "", "user": text.strip(), "reminder": ""}
    if parts[0].strip():
        raise DataError("text before the first section ([system], [user], [reminder])", name, 1)
    titles: Iterable[str] = parts[1::2]
    sections = {"system": "", "reminder": "", **dict(zip(titles, (part.strip() for part in parts[2::2]), strict=True))}
    if not sections.get("user"):
        raise DataError("no section [user]", name)
    if len(set(parts[1::2])) != len(parts[1::2]):
        raise DataError("a section stands twice", name)
    return sections
