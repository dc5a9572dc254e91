"""When nothing more is asked of a server: it refuses all, it is not there, or what it answers cannot be kept."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NoReturn

from calf.errors import StoppedError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calf.engine.faults import Fault

__all__ = ["Refusals"]

_MOST_REFUSED = 32  # bad requests one after the other, with no good answer ever: it is not the requests' texts


class Refusals:
    """What a server refused, and why nothing more is asked of it, if that is so.

    A prompt that is too long for the model (`too_long`) is no refusal: another one may not be.

    Args:
        answered: whether it has given good answers to requests of this kind before.

    Attributes:
        stopped: why nothing more is asked; None: it is asked.
    """

    def __init__(self, answered: bool = False) -> None:
        self.stopped: str | None = None
        self.answered = answered
        self._refused = 0

    def check(self) -> None:
        """That more may be asked.

        Raises:
            StoppedError: it may not.
        """
        if self.stopped is not None:
            raise StoppedError(self.stopped)

    def good(self) -> None:
        """It gave a good answer."""
        self.answered = True

    def add(self, fault: Fault) -> None:
        """A request failed.

        Raises:
            StoppedError: no other one would fare better.
        """
        if fault.fatal:
            self.stop(fault.message)
        self._refused += fault.kind == "bad_request"
        if self._refused >= _MOST_REFUSED and not self.answered:
            self.stop(
                f"the server refuses every request ({self._refused} so far): {fault.message}; "
                "check the judge's options, then the same command continues"
            )

    def stop(self, message: str) -> NoReturn:
        """Ask nothing more; the first reason stays.

        Raises:
            StoppedError: always.
        """
        self.stopped = self.stopped or message
        raise StoppedError(self.stopped)

    @contextlib.contextmanager
    def last(self) -> Iterator[None]:
        """If what is paid for cannot be kept: this answer is given, no other will be asked for."""
        try:
            yield
        except UserError as error:
            self.stopped = self.stopped or f"{error}; then the same command continues"
