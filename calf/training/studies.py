"""What a trained evaluator owes to what: more examples, each family of features, each family's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.analysis import Observations, paired_tests
from calf.analysis.across import macro_average
from calf.errors import UserError
from calf.hashing import digest
from calf.training.fit import CrossFitted, cross_fit, groups_of
from calf.training.model import loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calf.analysis.observations import Codes, Integers
    from calf.training.examples import Examples

__all__ = ["FIGURES", "SHARES", "Study", "ablations", "difference", "figures", "importances", "learning_curve"]

Line = dict[str, Any]

FIGURES = ("accuracy", "decided_accuracy", "macro_f1", "macro_f1_symmetric", "kappa")
"""The statistics that every line of a study has, with their intervals."""

SHARES = (0.25, 0.5, 0.75, 1.0)
"""The shares of the training groups in a learning curve."""

_SHUFFLES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """How an evaluator is made again and again.

    Attributes:
        model: one of `calf.training.model.MODELS`.
        objective: one of `calf.training.model.OBJECTIVES`.
        count: the number of folds.
        seed, jobs: as in `cross_fit`.
    """

    model: str
    objective: str
    count: int
    seed: int
    jobs: int

    def run(self, examples: Examples, share: float = 1.0) -> CrossFitted:
        """Cross-fits once."""
        return cross_fit(
            examples,
            model=self.model,
            objective=self.objective,
            count=self.count,
            seed=self.seed,
            jobs=self.jobs,
            share=share,
        )


def figures(label: Codes, verdict: Codes, groups: Sequence[str]) -> Line:
    """`n`, `groups`, and each of `FIGURES` with `_low` and `_high`: its 95 % interval by bootstrap over groups."""
    sides = np.array([1.0, -1.0, 0.0, 0.0])[verdict]
    seen = Observations.of(label, verdict, sides, groups_of(groups))
    row, n, count, _ = macro_average(seen, {"all": np.ones(label.size, dtype=np.bool_)})  # of one slice: its own
    ends = ("", "_low", "_high")
    return {"n": n, "groups": count, **{f"{name}{end}": row.values[f"{name}{end}"] for name in FIGURES for end in ends}}


def difference(label: Codes, first: Codes, second: Codes, groups: Sequence[str]) -> Line:
    """How much more accurate the first verdicts are than the second, on the same comparisons.

    Returns:
        `difference`, `low`, `high` (95 %, bootstrap over groups), `p` (sign flips over groups).
    """
    right = np.stack([first == label, second == label], axis=1).astype(np.float64)
    tests = paired_tests(right, np.ones(right.shape, dtype=np.bool_), groups_of(groups))
    names = {"difference": tests.difference, "low": tests.low, "high": tests.high, "p": tests.p_permutation}
    return {name: None if np.isnan(values[0]) else float(values[0]) for name, values in names.items()}


def learning_curve(study: Study, examples: Examples, whole: CrossFitted) -> Iterator[Line]:
    """The figures with a quarter, half, three quarters and all of the training groups; test folds are always whole.

    A share that is too small to learn from has no line.

    Args:
        study: how to cross-fit.
        examples: all.
        whole: what came of all training groups.
    """
    for share in SHARES:
        try:
            found = whole if share == 1.0 else study.run(examples, share)
        except UserError:  # so small a share is too little to learn from
            continue
        yield {"share": share, **figures(examples.label, found.verdict, examples.groups)}


def ablations(study: Study, examples: Examples, whole: CrossFitted) -> Iterator[Line]:
    """Each family left out, and each alone, beside all of them.

    Yields:
        `family`, `kind` (without, alone), the figures, and under `change_...` what `difference` says of these verdicts
        against those of all families. A family without features that tell responses apart is not tried alone.
    """
    families = examples.families
    if len(families) < 2:
        return
    for family in families:
        rest = tuple(other for other in families if other != family)
        for kind, kept in (("without", rest), ("alone", (family,))):
            part = examples.of(kept)
            if not part.pairs.odd.values.shape[1]:
                continue
            found = study.run(part)
            change = difference(examples.label, found.verdict, whole.verdict, examples.groups)
            yield {
                "family": family,
                "kind": kind,
                **figures(examples.label, found.verdict, examples.groups),
                **{f"change_{name}": value for name, value in change.items()},
            }


def importances(examples: Examples, fitted: CrossFitted, seed: int) -> Iterator[Line]:
    """What the evaluators lose on comparisons that they had not seen when a family's values are shuffled among these.

    All columns of a family are shuffled together, within a fold, by hash; the mean of three shuffles (permutation
    importance: Breiman 2001, section 10, here of groups of features).

    Yields:
        `family`, `columns`, `accuracy_drop`, `loss_rise` (in nats a comparison).
    """
    label, plain = examples.label, loss(fitted.probabilities, examples.label)
    right = float((fitted.verdict == label).mean())
    odd, even = examples.pairs.odd, examples.pairs.even
    for family in examples.families:
        columns = [np.array([name == family for name in table.families], dtype=np.bool_) for table in (odd, even)]
        drops, rises = [], []
        for number in range(_SHUFFLES):
            place = _shuffled(examples, fitted.fold, (seed, family, number))
            values = [table.values.copy() for table in (odd, even)]
            for table, mask in zip(values, columns, strict=True):
                table[:, mask] = table[place][:, mask]
            given = np.zeros((label.size, 3))
            verdict = np.zeros(label.size, dtype=np.int8)
            for part, evaluator in enumerate(fitted.evaluators):
                own = fitted.fold == part
                given[own] = evaluator.of_values(values[0][own], values[1][own])
                verdict[own] = evaluator.calibration.verdicts(given[own])
            drops.append(right - float((verdict == label).mean()))
            rises.append(loss(given, label) - plain)
        yield {
            "family": family,
            "columns": int(sum(mask.sum() for mask in columns)),
            "accuracy_drop": float(np.mean(drops)),
            "loss_rise": float(np.mean(rises)),
        }


def _shuffled(examples: Examples, fold: Integers, key: tuple[object, ...]) -> Integers:
    """Places, those of each fold shuffled among themselves."""
    place = np.arange(len(examples), dtype=np.int64)
    drawn = np.array([digest("shuffle", *key, c.id, length=16) for c in examples.comparisons])
    for part in np.unique(fold):
        own = np.flatnonzero(fold == part)
        place[own] = own[np.argsort(drawn[own], kind="stable")]
    return place
