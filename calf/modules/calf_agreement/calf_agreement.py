"""CALF's agreement analysis as a module of Hugging Face's library evaluate; see README.md beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import datasets
import evaluate
import numpy as np

from calf.analysis import COUNT_STATISTICS, Observations, measure  # From: calf-eval
from calf.analysis.rank import Correlations  # From: calf-eval
from calf.decide import Judgment, decide, verdict_of_scores  # From: calf-eval
from calf.formatting import reasons  # From: calf-eval
from calf.hashing import folds  # From: calf-eval
from calf.types import LABELS  # From: calf-eval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.types import Verdict  # From: calf-eval

_DESCRIPTION = """\
How well a metric that compares two answers agrees with people: accuracy, decided accuracy, macro-F1, Cohen's kappa,
Kendall's tau-b, tie-calibrated accuracy, coverage and more, with 95 % intervals by bootstrap over groups. The values
are those of `calf evaluate` for the same judgments.
"""

_INPUTS = """\
Args:
    predictions: what the metric said of each comparison: "response_a", "response_b" or "same"; or its scores of both
        responses, [score_a, score_b], of which the higher wins and equal ones are the same. All of one kind. None
        (instead of a verdict "failed", too) where it said nothing: never right, and counted by `coverage`.
    references: what people said: "response_a", "response_b" or "same".
    groups (optional): what is resampled together, such as the question's id; by default every comparison alone. With
        `add` and `add_batch`, load the configuration "grouped".
Returns:
    a flat dict: `n`, `groups`, `few_groups`; each statistic with `<name>_low` and `<name>_high`; counts
    `confusion_<label>_<verdict>`; `undefined`: why values are None.
"""

_FAILED = "failed"
_STATISTICS = (
    *COUNT_STATISTICS,
    *(f"{name}{form}" for name in Correlations._fields for form in ("", "_symmetric")),
    *("acc_eq", "acc_eq_cv", "acc_eq_gap"),
)


class CalfAgreement(evaluate.Metric):  # type: ignore[misc]  # the library has no types
    """Agreement of a metric's verdicts, or of its scores of two responses, with people's labels."""

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name not in ("default", "grouped"):
            raise ValueError(f"calf_agreement has the configurations default and grouped, not {self.config_name!r}")
        text = datasets.Value("string")
        rest = {"references": text, **({"groups": text} if self.config_name == "grouped" else {})}
        kinds = (text, datasets.Sequence(datasets.Value("float64")))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=[datasets.Features({"predictions": kind, **rest}) for kind in kinds],
        )

    def compute(self, *, predictions: Any = None, references: Any = None, **inputs: Any) -> dict[str, Any] | None:
        """As `evaluate` has it; what was refused leaves nothing behind that would spoil the next call."""
        if predictions is not None and not len(predictions):
            raise ValueError("there are no predictions")
        if isinstance(predictions, (list, tuple)) and any(isinstance(prediction, str) for prediction in predictions):
            # The library sees from the first one what kind they are.
            predictions = [_FAILED if prediction is None else prediction for prediction in predictions]
        try:
            found: dict[str, Any] | None = super().compute(predictions=predictions, references=references, **inputs)
        except BaseException:
            self.writer = self.buf_writer = self.data = None
            raise
        return found

    def _compute(
        self,
        predictions: Sequence[str | list[float] | None],
        references: Sequence[str],
        groups: Sequence[object] | None = None,
    ) -> dict[str, Any]:
        for index, label in enumerate(references):
            if label not in LABELS:
                raise ValueError(f"references[{index}] is {label!r}; it must be one of {', '.join(LABELS)}")
        names = list(map(str, range(len(references)) if groups is None else groups))
        if len(names) != len(references):
            raise ValueError(f"there are {len(names)} groups for {len(references)} references")
        judgments = [_judgment(index, prediction) for index, prediction in enumerate(predictions)]
        decisions = decide([judgment.id for judgment in judgments], judgments, "given")
        of_group = folds(names)
        row = measure(
            Observations.of(
                np.array([LABELS.index(label) for label in references], dtype=np.int8),
                decisions.verdict,
                decisions.difference,
                np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64),
                fold=np.array([of_group[name] for name in names], dtype=np.int64),
            )
        )
        kept = {key: value for key, value in row.items() if _is_kept(key)}
        return {**kept, "undefined": _undefined(row)}


def _judgment(index: int, prediction: str | list[float] | None) -> Judgment:
    name = str(index)
    if prediction is None or prediction == _FAILED:
        return Judgment(name, "given", 0, failure=_FAILED)
    if isinstance(prediction, str):
        if prediction not in LABELS:
            choices = ", ".join((*LABELS, _FAILED))
            raise ValueError(f"predictions[{index}] is {prediction!r}; it must be one of {choices}, or two scores")
        verdict: Verdict = LABELS[LABELS.index(prediction)]
        return Judgment(name, "given", 0, verdict=verdict)
    if len(prediction) != 2 or not all(score is not None and math.isfinite(score) for score in prediction):
        problem = "it must be two finite scores, [score_a, score_b], or None where the metric failed"
        raise ValueError(f"predictions[{index}] is {list(prediction)}; {problem}")
    a, b = prediction
    return Judgment(name, "given", 0, a, b, verdict_of_scores(a, b))


def _is_kept(key: str) -> bool:
    """Whether a key of CALF's row says something here: no texts, orders, people's names or repeats are known."""
    plain = key.removesuffix("_low").removesuffix("_high")
    return plain in _STATISTICS or key in ("n", "groups", "few_groups") or key.startswith("confusion_")


def _undefined(row: Mapping[str, Any]) -> str:
    """What is undefined of that, and why, as the row says it."""
    told = []
    for names, reason in reasons(row):
        mine = [name for name in names if _is_kept(name.removeprefix("interval of "))]
        if mine:
            told.append(f"{', '.join(mine)}: {reason}")
    return "; ".join(told)
