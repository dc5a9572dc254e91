"""The prompts of published evaluators: the labels that their weights were trained with, around texts as they are.

Like `calf.judges.prompt`, a text in sections with `${question}` and its like; but a text stands bare, without tags,
since the weights know no tags. So these prompts have no guard against a response that imitates their labels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from calf.errors import DataError
from calf.judges.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from calf.judges.prompt import Messages

__all__ = ["Form"]

_PLACEHOLDER = re.compile(r"\$\{([^{}\n]*)\}")
_SECTION = re.compile(r"^\[(system|user|reminder)\][ \t]*\n", re.M)
_PARAGRAPHS = re.compile(r"\n(?:[ \t]*\n)+")
_REMINDER = "That answer does not end as it must. Answer once more, in exactly the form that was asked for."


@dataclass(frozen=True, slots=True)
class Form(Prompt):
    """A published evaluator's prompt that has been checked; its texts are filled in as they are."""

    @classmethod
    def of(cls, text: str, name: str, needs: Collection[str], allows: Collection[str] = ()) -> Self:
        """Checks a template.

        Args:
            text: the template, whole or in sections ([system], [user], [reminder]).
            name: its option, for messages.
            needs: placeholders that its user section must have.
            allows: placeholders that it may have besides.

        Raises:
            DataError: an unknown placeholder, a missing one, one outside of the user section, or no user section.
        """
        parts = _SECTION.split(text.replace("\r\n", "\n"))
        sections = {"system": "", "reminder": "", **dict(zip(parts[1::2], parts[2::2], strict=True))}
        if len(parts) == 1:
            sections["user"] = parts[0]
        elif parts[0].strip() or "user" not in sections:
            raise DataError("needs a section [user], and no text before the first section", name)
        for title, section in sections.items():
            for found in _PLACEHOLDER.findall(section):
                if title != "user" or found not in {*needs, *allows}:
                    known = ", ".join(sorted({*needs, *allows}))
                    raise DataError(
                        f"the placeholder ${{{found}}} has no place in [{title}]; [user] has: {known}", name
                    )
        for needed in sorted(set(needs) - set(_PLACEHOLDER.findall(sections["user"]))):
            raise DataError(f"the user section lacks the placeholder ${{{needed}}}", name)
        return cls(
            name,
            sections["system"].strip(),
            sections["user"].lstrip("\n").removesuffix("\n"),  # a blank line at its end is the prompt's
            sections["reminder"].strip() or _REMINDER,
        )

    def messages(self, texts: Mapping[str, str | None], count: int | None = None) -> Messages:  # noqa: ARG002  # Prompt's
        """The messages for these texts.

        A paragraph whose text is blank is left out, with the heading in it. Where there is a context and the template
        has no place for it, it begins the question, a blank line between them.
        """
        given = {name: text or "" for name, text in texts.items()}
        if "${context}" not in self.user and given.get("context", "").strip():
            given["question"] = f"{given['context']}\n\n{given['question']}"
        lacking = {name for name in ("context", "reference") if not given.get(name, "").strip()}
        kept = [part for part in _PARAGRAPHS.split(self.user) if lacking.isdisjoint(_PLACEHOLDER.findall(part))]
        user = _PLACEHOLDER.sub(lambda match: given[match[1]], "\n\n".join(kept))
        return (("system", self.system), ("user", user)) if self.system else (("user", user),)
