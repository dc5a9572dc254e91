"""The two protocols that a metric follows, and what a metric may say of itself.

A metric is a class. Its constructor's keyword parameters, with their annotations and defaults, are its options.
It has one method: `score` (a response metric) or `judge` (a comparison metric). A metric that waits for a server has
`async def score_one(item)` or `async def judge_one(item)` instead: it is asked about up to `window` (32) items at once,
all in one event loop, and may have `async def close()`. Everything else is optional and has the defaults of `Traits`::

    class Bullets:
        needs_reference = False

        def __init__(self, weight: float = 1.0) -> None:
            self.weight = weight

        def score(self, items):
            return [self.weight * item.response.count("-") for item in items]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from calf.engine.budget import Spending
from calf.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from calf.decide import OrderChoice
    from calf.types import Comparison, Failure, Opinion, Order, Score, Setting, Verdict

__all__ = [
    "METHODS",
    "ComparisonMetric",
    "Pair",
    "Preparation",
    "Response",
    "ResponseMetric",
    "Traits",
    "kind_of",
    "traits_of",
]


@dataclass(frozen=True, slots=True)
class Response:
    """What a response metric sees: one response and what it answers. No label, no source, no id.

    Attributes:
        repeat: 0 for the first judgment of this response, 1 for the second, ...
    """

    question: str
    context: str
    reference: str | None
    response: str
    language: str
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """What a comparison metric sees: two responses in the order in which they are shown. Never the label.

    Attributes:
        id: the comparison's id.
        order: "given" if response_a is the dataset's response_a, "swapped" if it is the dataset's response_b.
        repeat: 0 for the first judgment of this order, 1 for the second, ...
        source_a, source_b: who wrote them, in the order shown; for metrics such as `always-model` only.
    """

    id: str
    question: str
    context: str
    reference: str | None
    response_a: str
    response_b: str
    language: str
    setting: Setting
    subject: str | None
    source_a: str | None
    source_b: str | None
    order: Order
    repeat: int


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a metric may look at before it judges: the whole dataset (not only the selection) and the run's seed.

    Attributes:
        comparisons: the whole dataset.
        asked: the languages that the selection is of; None means all.
        spending: what a metric that asks a server may send and pay.
        spent: what earlier sessions of this run sent and paid (`calf.engine.request.Reply.spent`).
    """

    comparisons: Sequence[Comparison]
    seed: int
    asked: frozenset[str] | None = None
    spending: Spending = field(default_factory=Spending)
    spent: Mapping[str, float] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that will be judged, sorted."""
        return tuple(sorted({c.language for c in self.in_these_languages}))

    @property
    def in_these_languages(self) -> Sequence[Comparison]:
        """The whole dataset in the languages that will be judged."""
        return [c for c in self.comparisons if self.asked is None or c.language in self.asked]


@runtime_checkable
class ResponseMetric(Protocol):
    """Scores one response; higher is better."""

    def score(self, items: Sequence[Response]) -> Iterable[float | Score | Failure]:
        """One outcome per item, in order; may be a generator, which is read one by one."""
        ...


@runtime_checkable
class ComparisonMetric(Protocol):
    """Judges two responses together."""

    def judge(self, items: Sequence[Pair]) -> Iterable[Verdict | Opinion | Failure]:
        """One outcome per item, in order; may be a generator, which is read one by one."""
        ...


@dataclass(frozen=True, slots=True)
class Traits:
    """What a metric may say of itself by class attributes of these names; the defaults hold for what it leaves out.

    Attributes:
        family: floor, lexical, embedding, likelihood, judge, trained, agents, or "custom".
        version: raised when the same options give other values; part of the signature.
        needs_reference: without a reference the judgment is a failure of kind `no_reference`, and the metric
            is not called.
        languages: the languages it can judge; None means any.
        libraries: distributions whose versions change its values; part of the signature.
        packages: importable packages that it needs, by import name.
        extra: the extra of `calf-eval` that brings `packages`.
        secrets: options whose values must never be written, besides those with names such as `api_key`,
            `password` or `token`.
        unsigned: options that do not change its values (how many requests at once, ...): no part of the signature, nor
            of a variant's name.
        batch_size: how many items it is given at once.
        default_order: in which order or orders it judges unless told otherwise: given, swapped or both.
        examples_suffice: whether `prepare` only checks something, for which a few thousand comparisons of every
            language are enough: then a dataset that is too large for the memory can be judged in chunks.

    Optional methods: `prepare(preparation: Preparation) -> None` is called once before the first item, and may
    raise `calf.UserError`; `describe(languages: Sequence[str]) -> Mapping[str, str]` gives what else its values
    depend on (model, tokenizer), for the signature; `scale(language: str) -> str` names what makes scores of two
    languages comparable (the model): correlations are not pooled over different scales.
    """

    family: str = "custom"
    version: int = 1
    needs_reference: bool = True
    languages: tuple[str, ...] | None = None
    libraries: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    extra: str = ""
    secrets: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()
    batch_size: int = 32
    default_order: OrderChoice = "given"
    examples_suffice: bool = False


METHODS = ("score", "judge", "score_one", "judge_one")
"""The methods of which a metric has one."""


def kind_of(metric: type[Any]) -> Literal["response", "comparison"]:
    """Whether a metric class scores single responses or judges two together."""
    return "response" if hasattr(metric, "score") or hasattr(metric, "score_one") else "comparison"


def traits_of(metric: type[Any] | object) -> Traits:
    """The traits of a metric class or instance.

    Raises:
        OptionError: one has a value that it cannot have.
    """
    found: Mapping[str, Any] = {
        name: getattr(metric, name) for name in Traits.__dataclass_fields__ if hasattr(metric, name)
    }
    for name, value in found.items():
        if not _fits(name, value):
            owner = metric if isinstance(metric, type) else type(metric)
            raise OptionError(f"metric class {owner.__qualname__}: {name} must not be {value!r}; see calf.metrics.base")
    return Traits(**found)


def _fits(name: str, value: Any) -> bool:
    if name in ("languages", "libraries", "packages", "secrets", "unsigned"):
        texts = isinstance(value, (tuple, list)) and all(isinstance(part, str) for part in value)
        return texts or (name == "languages" and value is None)
    if name == "default_order":
        return value in ("given", "swapped", "both")
    if name in ("version", "batch_size"):
        return isinstance(value, int) and value >= 1
    return isinstance(value, bool if name in ("needs_reference", "examples_suffice") else str)
