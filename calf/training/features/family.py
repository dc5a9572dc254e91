"""What a family of features is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.training.features.views import Task, View

__all__ = ["Family", "Measured"]


class Measured(NamedTuple):
    """What a family finds in one response.

    Attributes:
        values: one for each of the family's `names`.
        parts: for each list of `part_names` a value per part of the task (a reference sentence, a fact): the same
            parts for both responses of a pair, which are then compared part by part.
    """

    values: Sequence[float]
    parts: Sequence[Sequence[float]] = ()


class Family:
    """A family of features. All values are finite; a missing reference gives neutral ones.

    Attributes:
        name: as `FAMILIES` has it.
        names: of a response's features.
        part_names: of what is measured part by part.
        even_names: of a task's features.
        both_names: of what the two responses have in common.
    """

    name: ClassVar[str]
    names: tuple[str, ...] = ()
    part_names: tuple[str, ...] = ()
    even_names: tuple[str, ...] = ()
    both_names: tuple[str, ...] = ()

    @property
    def odd_names(self) -> tuple[str, ...]:
        """Of the differences of responses' features, and of parts won minus parts lost."""
        return (*self.names, *(f"{name}_wins" for name in self.part_names))

    @property
    def all_even_names(self) -> tuple[str, ...]:
        """Of the task, of both responses, and of parts that the weaker response wins."""
        return (*self.even_names, *self.both_names, *(f"{name}_opposed" for name in self.part_names))

    def measure(self, task: Task, response: View) -> Measured:
        """A response's features."""
        raise NotImplementedError

    def about(self, task: Task) -> Sequence[float]:  # noqa: ARG002  # for those that say something of the task
        """The task's features."""
        return ()

    def both(self, first: View, second: View) -> Sequence[float]:  # noqa: ARG002  # as above
        """What two responses have in common; the caller gives them in one order whichever stands first."""
        return ()
