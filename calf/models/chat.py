"""Conversations as the tokens that a model was trained on: its chat template, [INST] marks, or plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError, UserError
from calf.models.quiet import reason

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DATE", "SAME_DATE", "Turns", "chat_ids", "harmless"]

Turns = Literal["chat", "inst", "plain"]
"""How a conversation is written for the model.

- `chat`: by the tokenizer's chat template, which it must have.
- `inst`: by that template where the tokenizer has one, else by Llama 2's and Mistral's marks: `[INST] text [/INST]`.
- `plain`: the texts alone, a blank line between them, whatever the tokenizer has.
"""

# A template that names today's date would give other answers tomorrow; this is the date that Llama 3's falls back to.
DATE = "26 Jul 2024"
SAME_DATE = "{% macro strftime_now(format) %}" + DATE + "{% endmacro %}"


def chat_ids(
    tokenizer: Any, messages: Sequence[tuple[str, str]], name: str, *, turns: Turns = "chat", answer: bool = True
) -> list[int]:
    """The tokens of a conversation.

    Template and texts are turned into tokens together, as in training. What looks like a special token in a text is
    made `harmless` first, so that no text can end itself or begin a message; words such as `[INST]`, which are plain
    text to the tokenizer, cannot be told from the format's own. Where a template refuses system messages (Mistral's,
    Gemma's), they begin the user's first message.

    Args:
        tokenizer: the model's.
        messages: who speaks (system, user, assistant), and what.
        name: the model's, for messages of errors.
        turns: see `Turns`.
        answer: whether the model is to answer: then what begins its turn follows.

    Raises:
        OptionError: the tokenizer has no chat template and must.
        UserError: its template fails.
    """
    said = [(role, harmless(tokenizer, text)) for role, text in messages]
    template = tokenizer.chat_template if turns != "plain" else None
    if template is None and turns == "chat":
        raise OptionError(
            f"model {name!r}: its tokenizer has no chat template, so it is no chat model; choose another with model=..."
        )
    if template is None:
        text = "\n\n".join(text for _, text in said) if turns == "plain" else _marked(said, tokenizer.eos_token or "")
        return list(tokenizer(text)["input_ids"])
    try:
        text = _filled(tokenizer, said, answer=answer)
    except Exception as error:  # a template is a program
        folded = _folded(said)
        if folded == said:
            raise _failed(name, error) from error
        try:
            text = _filled(tokenizer, folded, answer=answer)
        except Exception as other:
            raise _failed(name, other) from other
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def harmless(tokenizer: Any, text: str) -> str:
    """A text in which a space breaks whatever the tokenizer would take for a special token ("<|im_end|>", "</s>")."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no text to a tokenizer
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    special |= set(tokenizer.all_special_tokens)
    if not any(token in text for token in special):
        return text
    longest_first = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True) if token)
    return re.sub(longest_first, lambda match: f"{match[0][0]} {match[0][1:]}", text)


def _filled(tokenizer: Any, messages: Sequence[tuple[str, str]], *, answer: bool) -> str:
    return str(
        tokenizer.apply_chat_template(
            [{"role": role, "content": text} for role, text in messages],
            chat_template=SAME_DATE + tokenizer.get_chat_template(),
            tokenize=False,
            add_generation_prompt=answer,
            date_string=DATE,
        )
    )


def _folded(messages: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without system messages: they begin the user's first."""
    system = [text for role, text in messages if role == "system"]
    rest = [(role, text) for role, text in messages if role != "system"]
    if not system or not rest:
        return list(messages)
    return [(rest[0][0], "\n".join([*system, rest[0][1]])), *rest[1:]]


def _marked(messages: Sequence[tuple[str, str]], end: str) -> str:
    """Llama 2's and Mistral's form, without the token that begins a text: the tokenizer puts it."""
    parts = [f"[INST] {text} [/INST]" if role == "user" else f" {text}{end}" for role, text in _folded(messages)]
    return "".join(parts)


def _failed(name: str, error: Exception) -> UserError:
    return UserError(f"model {name!r}: its chat template fails: {reason(error)}")
