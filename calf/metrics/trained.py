"""An evaluator that `calf train` stored, as a metric: `trained:FOLDER`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from calf.training.seen import KINDS, marks_of, seen_groups
from calf.training.store import Stored, folder_digest, load
from calf.types import LABELS, Failure, Opinion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from calf.metrics.base import Pair, Preparation

__all__ = ["TrainedEvaluator"]


class TrainedEvaluator:
    """An evaluator learned from human comparisons (`calf train`).

    It gives the probabilities of three outcomes; swapping the responses swaps them, exactly, so that one order is
    enough. A comparison whose group has anything in common with what it was trained on (an id, a question, a context, a
    reference, a response) is a failure of kind `trained_on`: its label may be what was learned.

    Args:
        folder: what `calf train --out` wrote.
        allow_seen: judge these comparisons all the same.

    Raises:
        UserError: the folder is no evaluator, is damaged, or is of a newer CALF.
    """

    family = "trained"
    needs_reference = False
    extra = "train"
    packages = ("sklearn", "skops")
    unsigned = ("folder",)  # `describe` tells the evaluator by what it holds
    batch_size = 256

    def __init__(self, folder: str, allow_seen: bool = False) -> None:
        self._folder = Path(folder).expanduser()
        self._digest = folder_digest(self._folder)
        self._allow_seen = allow_seen
        self._stored: Stored | None = None
        self._seen: Mapping[str, frozenset[str]] = {}
        self._refused: Mapping[str, Collection[str]] = {}

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """The evaluator's digest, and the models of its features."""
        return {"evaluator": self._digest, **self._load().preparer.extractor.describe(languages)}

    def prepare(self, preparation: Preparation) -> None:
        """Looks for what it was trained on in the dataset."""
        self._load()
        if not self._allow_seen:
            groups = seen_groups(preparation.comparisons, self._seen)
            self._refused = {c.id: groups[c.group] for c in preparation.comparisons if c.group in groups}

    def judge(self, items: Sequence[Pair]) -> list[Opinion | Failure]:
        """One opinion per pair, or a failure of kind `trained_on`."""
        stored = self._load()
        seen = [self._known(item) for item in items]
        unseen = [item for item, kinds in zip(items, seen, strict=True) if not kinds]
        probabilities = stored.evaluator.probabilities(stored.preparer.pairs(unseen))
        verdicts = stored.evaluator.calibration.verdicts(probabilities)
        opinions = iter(
            Opinion(LABELS[verdict], (float(shares[0]), float(shares[1]), float(shares[2])))
            for verdict, shares in zip(verdicts.tolist(), probabilities, strict=True)
        )
        return [_refusal(kinds) if kinds else next(opinions) for kinds in seen]

    def _known(self, item: Pair) -> Collection[str]:
        """By what a comparison, or its group, is known from training; nothing if it is new or that is allowed."""
        if self._allow_seen:
            return ()
        if item.id in self._refused:
            return self._refused[item.id]
        return {kind for kind, marks in marks_of(item).items() if marks & self._seen[kind]}

    def _load(self) -> Stored:
        if self._stored is None:
            self._stored = load(self._folder)
            seen = {kind: frozenset(self._stored.seen.get(kind, ())) for kind in KINDS}
            answers = seen["reference"] | seen["response"]
            self._seen = {**seen, "reference": answers, "response": answers}
        return self._stored


def _refusal(kinds: Collection[str]) -> Failure:
    shared = ", ".join(kind for kind in KINDS if kind in kinds)
    return Failure("trained_on", f"it was trained on the {shared} of this or its group; -o allow_seen=true judges it")
