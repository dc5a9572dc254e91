"""An evaluator that is trained on the dataset at hand and judges each comparison by what it learned from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from calf.errors import OptionError
from calf.training.examples import Preparer, choose_families, make_examples
from calf.training.features import Extractor
from calf.training.fit import cross_fit
from calf.types import LABELS, Opinion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.metrics.base import Pair, Preparation

__all__ = ["CrossFittedEvaluator"]

_EVERYTHING = 1_000_000


class CrossFittedEvaluator:
    """Learns from the labels of other groups of the same dataset (`calf train` says what it learns).

    All is learned before the first judgment, from the whole dataset, not only from the selection that is judged: the
    groups are divided into folds by hash, and a comparison is judged by an evaluator fitted on the other folds. So it
    is a fair neighbour of metrics that learn nothing, on this dataset; what is learned is not kept. Swapping the
    responses swaps the verdict, exactly.

    Args:
        features: families of features with commas between (`calf.training.features.FAMILIES`); auto: all but
            `embedding`, which takes minutes and added nothing where it was tried.
        model: mean (of logistic and trees), or auto: what does best on unseen examples, chosen within each fold.
        objective: what the rule for `same` makes best within each fold: accuracy, or balanced (accuracy plus half of
            macro-F1), which says `same` more often.
        folds: how many.
        jobs: how many threads.
    """

    family = "trained"
    needs_reference = False
    extra = "train"
    packages = ("sklearn",)
    libraries = ("scikit-learn",)
    unsigned = ("jobs",)
    batch_size = _EVERYTHING  # what is looked up needs no worker processes, each of which would learn anew

    def __init__(
        self,
        features: str = "auto",
        model: Literal["auto", "logistic", "trees", "boosting", "mean"] = "mean",
        objective: Literal["accuracy", "balanced"] = "accuracy",
        folds: int = 5,
        jobs: int = 1,
    ) -> None:
        if folds < 2:
            raise OptionError(f"folds {folds}: give 2 or more")
        if jobs < 1:
            raise OptionError(f"jobs {jobs}: give 1 or more")
        self._families = choose_families(features)
        self._model = model
        self._objective = objective
        self._folds = folds
        self._jobs = jobs
        self._opinions: dict[str, Opinion] = {}

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """The families of features and their models."""
        return {"families": ",".join(self._families), **Extractor(self._families).describe(languages)}

    def prepare(self, preparation: Preparation) -> None:
        """Learns and judges.

        Raises:
            UserError: there are too few comparisons or groups.
        """
        rows = preparation.comparisons
        preparer = Preparer.fit(rows, self._families, jobs=self._jobs, keep=preparation.spending.cache)
        examples = make_examples(rows, preparer)
        found = cross_fit(
            examples, model=self._model, objective=self._objective, count=self._folds, seed=preparation.seed,
            jobs=self._jobs,
        )  # fmt: skip
        self._opinions = {
            c.id: Opinion(LABELS[verdict], (float(shares[0]), float(shares[1]), float(shares[2])))
            for c, verdict, shares in zip(rows, found.verdict.tolist(), found.probabilities, strict=True)
        }

    def judge(self, items: Sequence[Pair]) -> list[Opinion]:
        """What was found for each pair, in the order shown."""
        if not self._opinions:
            raise RuntimeError("prepare() comes first: it learns from the dataset")
        return [_shown(self._opinions[item.id], item) for item in items]


def _shown(opinion: Opinion, item: Pair) -> Opinion:
    if item.order == "given" or opinion.probabilities is None:
        return opinion
    first, second, same = opinion.probabilities
    turned = {"response_a": LABELS[1], "response_b": LABELS[0], "same": LABELS[2]}
    return Opinion(turned[opinion.verdict], (second, first, same))
