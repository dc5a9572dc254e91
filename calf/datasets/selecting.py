"""Selects comparisons by setting, subject and language, and at most so many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.datasets.dataset import Dataset

__all__ = ["select"]


def select(
    dataset: Dataset,
    setting: str | Sequence[str],
    subject: str | Sequence[str],
    language: str | Sequence[str],
    limit: int | None,
    seed: int,
) -> Dataset:
    """The selected comparisons.

    Raises:
        UserError: a value does not occur, or nothing is left.
    """
    wanted = {}
    for column, values in (("setting", setting), ("subject", subject), ("language", language)):
        asked = (values,) if isinstance(values, str) else tuple(values)
        known = set(dataset.values(column)) - {None}
        for value in asked:
            if value not in known:
                has = ", ".join(sorted(known)) or "none"
                raise UserError(f"dataset {dataset.name!r} has no {column} {value!r}; it has: {has}")
        wanted[column] = asked
    chosen = dataset.select(
        settings=wanted["setting"], subjects=wanted["subject"], languages=wanted["language"], limit=limit, seed=seed
    )
    if not len(chosen):
        raise UserError(f"no comparison of dataset {dataset.name!r} passes the filters")
    return chosen
