"""What goes wrong when models are loaded from folders, in one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.errors import UserError
from calf.models.quiet import reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from calf.models.folder import Weights

__all__ = ["check_complete", "explained"]


def explained(weights: Weights, problem: str, error: Exception, *, code: bool) -> UserError:
    """A library's error while it reads a folder.

    Args:
        weights: what was read.
        problem: what cannot be done.
        error: the library's.
        code: whether the model's own code was allowed to run.
    """
    if not code and "trust_remote_code" in str(error):
        return UserError(
            f"model {weights.name!r} needs code of its own, from {weights.folder}; that runs only with "
            "trust_remote_code=true: read it first"
        )
    return UserError(f"model {weights.name!r}: {problem}: {reason(error)}")


def check_complete(weights: Weights, missing: Iterable[str]) -> None:
    """Whether a folder had all the weights that were asked for; transformers would draw the others at random.

    Raises:
        UserError: it had not.
    """
    if absent := sorted(missing):
        raise UserError(
            f"model {weights.name!r}: its folder lacks {len(absent)} of the weights that its configuration names "
            f"({absent[0]}, ...); it is damaged or of another architecture"
        )
