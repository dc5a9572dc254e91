"""The terms: comparison, label, setting, judgment and failure, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FAILED",
    "LABELS",
    "NOT_JUDGED",
    "ORDERS",
    "SETTINGS",
    "Annotation",
    "Comparison",
    "Failure",
    "Label",
    "Opinion",
    "Order",
    "Score",
    "Setting",
    "Verdict",
]

Label = Literal["response_a", "response_b", "same"]
"""What people said of a comparison."""

Verdict = Label
"""What a metric said of a comparison."""

Setting = Literal["human_vs_human", "human_vs_model", "model_vs_model"]
Order = Literal["given", "swapped"]

LABELS: tuple[Label, ...] = ("response_a", "response_b", "same")
"""Labels and verdicts are coded by their place in this tuple: 0, 1, 2."""

FAILED = 3
"""The code of a failed judgment, beside the codes of `LABELS`."""

NOT_JUDGED = -1
"""The code of a verdict in an order that was not judged."""

SETTINGS: tuple[Setting, ...] = ("human_vs_human", "human_vs_model", "model_vs_model")
ORDERS: tuple[Order, ...] = ("given", "swapped")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person's label of a comparison."""

    annotator: str
    label: Label
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question, an expert's reference, two responses, and which one people preferred.

    Attributes:
        id: unique in its dataset.
        question: never blank.
        context: material that the question refers to; "" if none.
        reference: the expert's answer; None if there is none.
        response_a, response_b: the two responses; an empty one is valid.
        setting: who wrote the two: human_vs_human, human_vs_model or model_vs_model.
        label: what people said: response_a, response_b or same.
        language: ISO 639-1 code, "en" or "zh" mostly.
        subject: None if the dataset names none.
        source_a, source_b: "human", or a model's name; None if unknown.
        annotations: single people's labels, where the dataset has them.
        group: what is resampled and split together (see `calf.datasets.groups`).
        extra: any other column of the file.
    """

    id: str
    question: str
    context: str
    reference: str | None
    response_a: str
    response_b: str
    setting: Setting
    label: Label
    language: str
    subject: str | None = None
    source_a: str | None = None
    source_b: str | None = None
    annotations: tuple[Annotation, ...] = ()
    group: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """What a response metric says of one response: higher is better."""

    value: float
    explanation: str | None = None
    usage: Mapping[str, float] | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a comparison metric says of two responses, in the order in which it saw them.

    Attributes:
        verdict: response_a (the one shown first), response_b or same.
        probabilities: of (response_a, response_b, same), if the metric has them; they sum to 1.
        transcript: what several agents said on the way, turn by turn, as values that JSON can hold. A turn's `verdict`,
            if it has one, is in the order shown.
    """

    verdict: Verdict
    probabilities: tuple[float, float, float] | None = None
    explanation: str | None = None
    usage: Mapping[str, float] | None = None
    seconds: float | None = None
    transcript: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A judgment that could not be made: an outcome of its own, never a tie.

    Attributes:
        kind: a short code: `no_reference`, `not_applicable`, `unsupported_language`, `no_tokens`,
            `bad_output` (not a finite number, not a verdict), `error` (the metric raised), `missing`
            (an imported file has no line for it), or one of a metric's own.
        message: what happened, one line.
        raw: what the metric got back, if it could not be read.
        usage: what it cost all the same.
        transcript: as `Opinion.transcript`, up to where it failed.
    """

    kind: str
    message: str = ""
    raw: str | None = None
    usage: Mapping[str, float] | None = None
    transcript: tuple[Mapping[str, Any], ...] = ()
