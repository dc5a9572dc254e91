"""What a metric's troubles look like in a run: one line each, without secrets."""

from __future__ import annotations

import dataclasses
import traceback
from typing import TYPE_CHECKING, Any

from calf.types import Failure, Opinion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.runs.plan import Outcome

__all__ = ["describe_error", "redact"]


def redact(outcome: Outcome, secrets: Sequence[str]) -> Outcome:
    """A failure, or a transcript, without the secrets that a server or an exception may have repeated."""
    if isinstance(outcome, (Failure, Opinion)) and outcome.transcript:
        outcome = dataclasses.replace(outcome, transcript=_without(outcome.transcript, secrets))
    if not isinstance(outcome, Failure):
        return outcome
    message, raw = outcome.message, outcome.raw
    for secret in secrets:
        message = message.replace(secret, "(hidden)")
        raw = None if raw is None else raw.replace(secret, "(hidden)")
    return dataclasses.replace(outcome, message=message, raw=raw)


def _without(value: Any, secrets: Sequence[str]) -> Any:
    """A value that JSON can hold, without secrets in its texts."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "(hidden)")
    elif isinstance(value, dict):
        return {key: _without(part, secrets) for key, part in value.items()}
    elif isinstance(value, (list, tuple)):
        return type(value)(_without(part, secrets) for part in value)
    return value


def describe_error(error: BaseException, secrets: Sequence[str] = ()) -> str:
    """One line: the exception and the last place in its traceback; without the secrets, which a cut would disguise."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    try:
        said = str(error)
    except Exception:  # nothing that a metric raises may end the run, not even this
        said = "(its message cannot be read)"
    for secret in secrets:
        said = said.replace(secret, "(hidden)")
    return " ".join(f"{type(error).__name__}: {said}".split())[:500] + where
