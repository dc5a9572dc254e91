"""Prompts of agents: what opens a role's conversation, and what a step asks, with what was said in blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from calf.errors import OptionError
from calf.judges.prompt import Prompt, choose, mark_for

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from calf.judges.prompt import Messages

__all__ = ["Opening", "Request", "Said", "block", "joined"]

Texts = Mapping[str, str | None]

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_PARAGRAPHS = re.compile(r"\n(?:[ \t]*\n)+")
_SHARED = {"context", "reference"}


@dataclass(frozen=True, slots=True)
class Said:
    """Something that stands on the board: who said it, in the language of the comparison, and what."""

    speaker: str
    text: str


class Opening:
    """What opens a role's conversation: who it is, what it is about, and the material.

    Args:
        prompts: all prompts by name and language.
        name: of the prompt; it needs `${question}` and may have `${context}`, `${reference}`, and the responses.
        persona: of the text before its system section; "" for none.
        responses: `response_a` and `response_b`, or `response` for a checker, who sees one.

    Raises:
        OptionError: a language is missing.
        DataError: see `Prompt.load`.
    """

    def __init__(self, prompts: Mapping[str, Any], name: str, persona: str, responses: Collection[str]) -> None:
        both = []
        for language in ("en", "zh"):
            prompt = Prompt.load(_text(prompts, name, language), f"{name}.{language}", {"question"},
                                 {*_SHARED, *responses})  # fmt: skip
            if persona:
                person = _text(prompts, persona, language).strip()
                prompt = replace(prompt, system=f"{person}\n\n{prompt.system}".strip())
            both.append(prompt)
        self._english, self._chinese = both

    def messages(self, language: str, texts: Texts) -> Messages:
        """The first messages, of a system and a user, or of a user alone."""
        return choose(language, self._english, self._chinese).messages(texts)


class Request:
    """What a step asks.

    Args:
        prompts: all prompts by name and language.
        name: of the prompt; it may have `${said}`, for what stands on the board, and `${mark}`. A paragraph with
            `${said}` is left out where nothing was said.
        needs: placeholders that it must have besides, such as `item`.

    Raises:
        OptionError: a language is missing.
        DataError: see `Prompt.load`.
    """

    def __init__(self, prompts: Mapping[str, Any], name: str, needs: Collection[str] = ()) -> None:
        self._english, self._chinese = (
            Prompt.load(_text(prompts, name, language), f"{name}.{language}", needs, {"said"})
            for language in ("en", "zh")
        )

    def prompt(self, language: str) -> Prompt:
        """The prompt itself, for its reminder."""
        return choose(language, self._english, self._chinese)

    def text(self, language: str, material: Texts, said: Sequence[Said], **texts: str) -> str:
        """What the role is told now.

        Args:
            language: of the comparison.
            material: what the conversation is about, so that its code for blocks stays the same.
            said: what the role has not seen yet.
            texts: of the other placeholders.
        """
        mark = mark_for({**material, **texts, **{f"said {n}": one.text for n, one in enumerate(said)}})

        def filled(match: re.Match[str]) -> str:
            name = match[1]
            if name == "mark":
                return mark
            if name == "said":
                return "\n\n".join(f"{one.speaker}:\n{block('said', one.text, mark)}" for one in said)
            return block(name, texts[name], mark)

        parts = _PARAGRAPHS.split(self.prompt(language).user)
        return _PLACEHOLDER.sub(filled, "\n\n".join(part for part in parts if said or "${said}" not in part))


def joined(messages: Messages, text: str) -> Messages:
    """A conversation that goes on with a text of the user, who never speaks twice in a row."""
    if messages and messages[-1][0] == "user":
        role, before = messages[-1]
        return (*messages[:-1], (role, f"{before}\n\n{text}"))
    return (*messages, ("user", text))


def block(name: str, text: str, mark: str) -> str:
    """A text between tags that end in a mark, which no text may hold."""
    return f"<{name}_{mark}>\n{text}\n</{name}_{mark}>"


def _text(prompts: Mapping[str, Any], name: str, language: str) -> str:
    texts = prompts[name]
    text = texts.get(language) if isinstance(texts, Mapping) else None
    if not isinstance(text, str):
        raise OptionError(f"prompt {name!r}: there is no text for language {language}")
    return text
