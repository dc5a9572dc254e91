"""What can go wrong, as one tree::

    CalfError                  an error that CALF explains in one line
    +-- UserError              the user can mend it (exit code 2)
    |   +-- DataError          a file of comparisons, judgments or a definition is not as it must be
    |   +-- UnknownNameError   no dataset, metric, option or run of that name
    |   +-- OptionError        a metric's option has a wrong name or value
    |   +-- MissingDependencyError   a package of an extra is not installed
    +-- StoppedError           a run stopped before its end and can be continued (exit code 3)

Every message is one line that says what is wrong, where, and how to mend it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CalfError",
    "DataError",
    "MissingDependencyError",
    "OptionError",
    "StoppedError",
    "UnknownNameError",
    "UserError",
]


class CalfError(Exception):
    """An error that CALF explains in one line; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 70

    def __reduce__(self) -> tuple[object, ...]:
        """Travels between processes by its message, whatever its constructor takes."""
        return _remade, (type(self), str(self))


def _remade(kind: type[CalfError], message: str) -> CalfError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


class UserError(CalfError):
    """A mistake that the user can mend."""

    exit_code = 2


class DataError(UserError):
    """A file is not as it must be.

    Args:
        problem: what is wrong and how to mend it, one line.
        path: the file, if there is one.
        line: its 1-based line (or row), if known.
    """

    def __init__(self, problem: str, path: Path | str | None = None, line: int | None = None) -> None:
        self.problem = problem
        self.path = path
        self.line = line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + problem)


class UnknownNameError(UserError):
    """No such name; the nearest known ones are suggested.

    Args:
        kind: what was looked up, e.g. "metric".
        name: the name as given.
        known: the names that exist.
        hint: where to look, e.g. "`calf metrics list` shows them".
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        choices = sorted(known)
        close = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
        message = f"unknown {kind} {name!r}"
        if close:
            message += "; did you mean " + " or ".join(repr(c) for c in close) + "?"
        elif choices and len(choices) <= 12:
            message += "; known: " + ", ".join(choices)
        super().__init__(message + (f" ({hint})" if hint else ""))


class OptionError(UserError):
    """A metric's option has a wrong name or value."""


def install_command(package: str, extra: str) -> str:
    """What installs a missing package: an extra of this project, or the package itself."""
    return f"pip install 'calf-eval[{extra}]'" if extra else f"pip install {package.partition('.')[0]}"


class MissingDependencyError(UserError):
    """A package that an extra brings is not installed.

    Args:
        what: what needs it, e.g. "metric bertscore".
        package: the missing package.
        extra: the extra of this project that brings it.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package!r}; install it with: {install_command(package, extra)}")


class StoppedError(CalfError):
    """A run stopped before its end; what it has is kept, and the same command continues it."""

    exit_code = 3
