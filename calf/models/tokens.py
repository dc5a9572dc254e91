"""Texts as the tokens that an encoder gets, with the special ones around them, whole or cut at its window."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.errors import UserError
from calf.models.quiet import quiet
from calf.models.vectors import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TextTokens"]

_NO_LIMIT = 1 << 30
_PROBE = "a b"
_ONE_AT_A_TIME = threading.Lock()  # neither a tokenizer nor `quiet` can be used by several threads at once


class TextTokens:
    """Cuts texts into tokens; can be used by several threads at once, which a tokenizer cannot.

    Args:
        tokenizer: the model's; its `model_max_length` is changed.
        window: how many tokens the model takes at once, special ones included.
        encode: gives a text's ids with the special ones, cut at the tokenizer's `model_max_length`.
        name: the model's, for messages.
        lead: what `encode` puts before every text; it belongs to no text, and stands in every window.

    Raises:
        UserError: the tokenizer puts nothing recognisable around a text, or its window holds nothing else.
    """

    def __init__(
        self, tokenizer: Any, window: int, encode: Callable[[Any, str], list[int]], name: str, lead: str = ""
    ) -> None:
        self._tokenizer = tokenizer
        self._window = window
        self._encode = encode
        self._around = {tokenizer.sep_token_id, tokenizer.cls_token_id} - {None}
        with quiet():
            probe = self._ids(_PROBE, _NO_LIMIT)
            added = tokenizer.num_special_tokens_to_add()
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        before = next((at for at, token in enumerate(probe) if token not in special), len(probe))
        after = next((at for at, token in enumerate(reversed(probe)) if token not in special), len(probe))
        if before + after != added:
            raise UserError(f"model {name!r}: its tokenizer marks the ends of a text in a way that CALF does not know")
        with quiet():
            led = list(tokenizer(lead.rstrip(), add_special_tokens=False)["input_ids"]) if lead else []
        if probe[before : before + len(led)] == led:
            before += len(led)
        self._before, self._after = before, after
        self._first, self._last = probe[:before], probe[len(probe) - after :]
        if self.capacity < 1:
            raise UserError(f"model {name!r}: its window of {window} tokens has no place for a text")

    @property
    def capacity(self) -> int:
        """How many tokens of a text a window takes."""
        return self._window - self._before - self._after

    def whole(self, text: str) -> list[int]:
        """The text's tokens with the special ones, however many."""
        with _ONE_AT_A_TIME, quiet():
            return self._ids(text, _NO_LIMIT)

    def cut(self, text: str) -> list[int]:
        """The text's tokens with the special ones, cut at the window by the tokenizer."""
        with _ONE_AT_A_TIME, quiet():
            return self._ids(text, self._window)

    def inner(self, whole: Sequence[int]) -> list[int]:
        """The text's own tokens."""
        return list(whole[self._before : len(whole) - self._after])

    def wrapped(self, inner: Sequence[int]) -> list[int]:
        """Tokens with the special ones around them."""
        return [*self._first, *inner, *self._last]

    def head(self, whole: Sequence[int], encoded: Sequence[int]) -> Head:
        """What is known of a text of which `encoded` gets vectors."""
        unknown = self._tokenizer.unk_token_id
        inner = self.inner(whole)
        return Head(
            total=len(inner),
            unknown=0 if unknown is None else inner.count(unknown),
            over=max(0, len(whole) - self._window),
            ids=np.array(encoded, np.int32),
            plain=np.array([i not in self._around for i in encoded], np.bool_),
        )

    @property
    def ends(self) -> tuple[int, int]:
        """How many tokens are put before and after a text."""
        return self._before, self._after

    @property
    def pad(self) -> int:
        """The token that fills a batch; any, since it is masked."""
        return int(self._tokenizer.pad_token_id or 0)

    def _ids(self, text: str, limit: int) -> list[int]:
        self._tokenizer.model_max_length = limit
        return list(self._encode(self._tokenizer, text.encode("utf-8", "replace").decode("utf-8")))
