"""A cheap metric decides where it is sure; a dear one is asked about the rest."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from calf.agents.thresholds import threshold_for_accuracy, threshold_for_share
from calf.errors import OptionError, UserError
from calf.hashing import folds
from calf.metrics.options import is_secret, parse_spec
from calf.runs.plan import check_outcome, mirrored, pair_key, plan, precluded, response_keys
from calf.types import LABELS, Failure, Opinion, Score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.decide import OrderChoice
    from calf.engine import request as wire
    from calf.engine.prices import Prices
    from calf.engine.server import Server
    from calf.metrics.base import Pair, Preparation
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.plan import Outcome
    from calf.types import Comparison, Verdict

__all__ = ["Cascade"]

_PASSED_ON = (
    "model", "models", "base_url", "api_key", "key_variable", "structured", "honours", "max_tokens", "temperature",
    "concurrency", "timeout", "prices", "engine",
)  # fmt: skip
_FOLDS = 10


@dataclass(frozen=True, slots=True)
class _Sure:
    """What the cheap metric says of a comparison, in the dataset's sides, and how sure it is."""

    verdict: Verdict
    confidence: float


@dataclass(slots=True)
class _Prepared:
    """What is known before the first comparison is judged: of those that the cheap metric is sure of, how sure, and of
    each the threshold."""

    cheap: dict[str, _Sure] = field(default_factory=dict)
    threshold: dict[str, float] = field(default_factory=dict)


class Cascade:
    """A cheap metric decides where it is sure, an expensive one otherwise.

    The cheap metric judges the whole dataset at first. It is as sure as its two scores differ, or, if it compares pairs
    and gives probabilities, as its verdict is probable. From the threshold on it decides; below, and where it fails,
    cannot judge (no reference) or says "same" by scores that are equal, the expensive one is asked, when the
    comparison's turn comes. The threshold of a comparison is that of the other folds' comparisons in its language (10
    folds of groups), so that no label has a say in its own; with `accuracy` each language must have two groups.

    Args:
        cheap: a response metric that asks no server, or such a metric of pairs with probabilities, with options in
            brackets: `rouge-l`, `bertscore[layer=9]`. A verdict without probabilities is never sure.
        expensive: a metric of pairs.
        share: the share of the comparisons that the expensive one is to judge. Labels are not looked at.
        accuracy: instead of `share`: how often, at least, the cheap one must be right where it decides; it decides as
            much as that allows.
        model, models, base_url, api_key, key_variable, structured, honours, max_tokens, temperature, concurrency,
            timeout, prices, engine: options of the expensive metric.

    Raises:
        OptionError: a metric is not of the kind that is needed, or a value cannot be.
    """

    family = "agents"
    version = 2  # thresholds by language, from folds of the whole dataset
    needs_reference = False  # one of the two may judge without
    default_order: OrderChoice = "both"
    unsigned: tuple[str, ...] = ("concurrency", "timeout", "prices", "key_variable")

    def __init__(
        self,
        cheap: str = "rouge-l",
        expensive: str = "judge-pairwise",
        share: float = 0.5,
        accuracy: float | None = None,
        model: str | None = None,
        models: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        key_variable: str | None = None,
        structured: Literal["auto", "json_schema", "none"] | None = None,
        honours: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        concurrency: int | None = None,
        timeout: float | None = None,
        prices: dict[str, Any] | str | None = None,
        engine: Literal["server", "transformers"] | None = None,
    ) -> None:
        from calf.metrics.registry import load_metric

        if any(is_secret(name) for spec in (cheap, expensive) for name in parse_spec(spec)[1]):
            raise OptionError("a key does not go into brackets: give it as -o api_key=... or -o key_variable=NAME")
        for name, value in (("share", share), ("accuracy", accuracy)):
            if value is not None and not 0 <= value <= 1:
                raise OptionError(f"{name} must be from 0 to 1, not {value}")
        given = (
            model, models, base_url, api_key, key_variable, structured, honours, max_tokens, temperature, concurrency,
            timeout, prices, engine,
        )  # fmt: skip
        options = {name: value for name, value in zip(_PASSED_ON, given, strict=True) if value is not None}
        self.share = share
        self.accuracy = accuracy
        self._cheap: LoadedMetric = load_metric(cheap)
        self._expensive: LoadedMetric = load_metric(expensive, **options)
        if self._cheap.concurrent:
            raise OptionError(f"cheap: {cheap!r} asks a server; the cheap metric must not")
        if self._expensive.kind != "comparison":
            raise OptionError(f"expensive: {expensive!r} scores single responses; it must judge two together")
        self._dear: Any = self._expensive.instance
        self._prepared = _Prepared()

    # ---- the metric's optional methods ------------------------------------------------------------------------

    def prepare(self, preparation: Preparation) -> None:
        """Lets the cheap metric judge the dataset, sets the thresholds, and makes the expensive one ready.

        Raises:
            UserError: the cheap metric judges nothing, or what one of the two says.
        """
        from calf.runs.execute import execute, prepare

        comparisons = preparation.in_these_languages
        prepare(self._cheap, preparation)
        outcomes: dict[str, Outcome] = {}
        for part in execute(self._cheap, plan(self._cheap, comparisons, "given", 1), preparation):
            outcomes |= part
        ready = _Prepared()
        for comparison in comparisons:
            said = _said(self._cheap.kind, comparison, outcomes)
            if said is not None:
                ready.cheap[comparison.id] = said
        failures = [outcome for outcome in outcomes.values() if isinstance(outcome, Failure)]
        if outcomes and len(failures) == len(outcomes):
            why = f"{failures[0].kind}, {failures[0].message}"
            raise UserError(f"the cheap metric {self._cheap.name} judges no comparison: {why}")
        said_something = [outcome for outcome in outcomes.values() if isinstance(outcome, Opinion)]
        if said_something and all(outcome.probabilities is None for outcome in said_something):
            raise UserError(f"cheap: {self._cheap.name!r} gives no probabilities, so nobody knows where it is sure")
        # Folds of the whole dataset, and thresholds by language: neither depends on what is selected from it.
        fold = folds((comparison.group for comparison in preparation.comparisons), preparation.seed, _FOLDS)
        for language in dict.fromkeys(comparison.language for comparison in comparisons):
            ready.threshold |= self._thresholds([c for c in comparisons if c.language == language], ready.cheap, fold)
        self._prepared = ready
        prepare(self._expensive, preparation)

    def describe(self, languages: Sequence[str]) -> Mapping[str, str]:
        """The signatures of both metrics."""
        return {
            name: metric.signature(languages).replace("|", ";")
            for name, metric in (("cheap_signature", self._cheap), ("expensive_signature", self._expensive))
        }

    @property
    def concurrency(self) -> int:
        """Requests in flight at once, at most."""
        return int(getattr(self._dear, "concurrency", 1))

    @property
    def window(self) -> int:
        """Comparisons under way at once."""
        return int(getattr(self._dear, "window", 32))

    @property
    def prices(self) -> Prices | None:
        """Those of the expensive metric."""
        found: Prices | None = getattr(self._dear, "prices", None)
        return found

    @property
    def spent(self) -> Mapping[str, float]:
        """What the expensive metric sent and paid; nothing, if it asks no server."""
        found: Mapping[str, float] = getattr(self._dear, "spent", {})
        return found

    async def close(self) -> None:
        """Close the expensive metric, if it can be."""
        close = getattr(self._dear, "close", None)
        if close is not None:
            await close()

    # ---- judging ----------------------------------------------------------------------------------------------

    async def judge_one(self, item: Pair) -> Opinion | Failure:
        """The cheap metric's verdict where it is sure, else the expensive one's.

        Raises:
            UserError: `prepare` has not seen the comparison, so that nobody knows its threshold.
        """
        if item.id not in self._prepared.threshold:
            raise UserError(f"the cascade has no threshold for {item.id!r}: let it judge in a run, which shows it all")
        said = self._prepared.cheap.get(item.id)
        threshold = self._prepared.threshold[item.id]
        turn: dict[str, Any] = {"step": "cheap", "role": self._cheap.name}
        turn |= {"threshold": threshold} if math.isfinite(threshold) else {}
        sure = said is not None and said.confidence >= threshold
        if said is not None:
            verdict = mirrored(said.verdict) if item.order == "swapped" else said.verdict
            turn |= {"confidence": said.confidence, "verdict": verdict}
            if sure:
                explanation = f"{self._cheap.name} is sure: {said.confidence:.4g}, from {threshold:.4g} on"
                return Opinion(verdict, explanation=explanation, usage={}, transcript=(turn,))
        outcome = await self._ask(item)
        if isinstance(outcome, Failure):
            return replace(outcome, transcript=(turn, *outcome.transcript))
        last: dict[str, Any] = {"step": "expensive", "role": self._expensive.name, "verdict": outcome.verdict}
        usage = outcome.usage or {}
        for name in ("input_tokens", "output_tokens"):
            last[name] = int(usage.get(name, 0) + usage.get(f"kept_{name}", 0))
        more = outcome.transcript or (last,)
        return replace(outcome, transcript=(turn, *more))

    def forecast(self, item: Pair) -> list[wire.Request | wire.Addressed]:
        """The requests of the expensive metric: an estimate takes it that all comparisons reach it."""
        return self._forecast(item, "forecast")

    def longest_forecast(self, item: Pair) -> list[wire.Request | wire.Addressed]:
        """The same, where its answers, and later prompts with them, are as long as they may be."""
        return self._forecast(item, "longest_forecast" if hasattr(self._dear, "longest_forecast") else "forecast")

    def _forecast(self, item: Pair, how: str) -> list[wire.Request | wire.Addressed]:
        asks = hasattr(self._dear, how) and precluded(self._expensive, item) is None
        return list(getattr(self._dear, how)(item)) if asks else []

    def server(self, *, needs_key: bool = True) -> Server:
        """Whom the expensive metric asks.

        Raises:
            UserError: it asks no server, or what that one says.
        """
        if not hasattr(self._dear, "server"):
            raise UserError(f"metric {self._expensive.name!r} asks no server: there is nothing to estimate")
        server: Server = self._dear.server(needs_key=needs_key)
        return server

    async def _ask(self, item: Pair) -> Opinion | Failure:
        impossible = precluded(self._expensive, item)
        if impossible is not None:
            return impossible
        if self._expensive.concurrent:
            outcome = await self._dear.judge_one(item)
        else:
            outcome = (await asyncio.to_thread(lambda: list(self._dear.judge([item]))))[0]
        checked = check_outcome("comparison", outcome)
        if isinstance(checked, Score):
            raise TypeError("a comparison metric's outcome is no score")
        return checked

    def _thresholds(
        self, comparisons: Sequence[Comparison], cheap: Mapping[str, _Sure], fold: Mapping[str, int]
    ) -> dict[str, float]:
        """From which confidence on the cheap metric decides, for each comparison, as the other folds say; all, where
        there is one fold."""
        used = {fold[c.group] for c in comparisons}
        if self.accuracy is not None and len(used) == 1:
            where = f" in language {comparisons[0].language!r}"
            raise UserError(
                f"accuracy needs two groups or more{where}: others' labels set a group's threshold; use share"
            )
        of_fold = {}
        for number in used:
            others = [c for c in comparisons if fold[c.group] != number or len(used) == 1]
            sure = [c for c in others if c.id in cheap]
            confidence = [cheap[c.id].confidence for c in sure]
            if self.accuracy is None:
                of_fold[number] = threshold_for_share(confidence, self.share, len(others) - len(sure))
            else:
                right = [cheap[c.id].verdict == c.label for c in sure]
                of_fold[number] = threshold_for_accuracy(confidence, right, self.accuracy)
        return {c.id: of_fold[fold[c.group]] for c in comparisons}


def _said(kind: str, comparison: Comparison, outcomes: Mapping[str, Outcome]) -> _Sure | None:
    """What the cheap metric says of a comparison; None where it fails, or gives equal scores."""
    if kind == "response":
        a, b = (outcomes[key] for key in response_keys(comparison, 0))
        if not isinstance(a, Score) or not isinstance(b, Score) or a.value == b.value:
            return None
        return _Sure("response_a" if a.value > b.value else "response_b", abs(a.value - b.value))
    outcome = outcomes[pair_key(comparison.id, "given", 0)]
    if not isinstance(outcome, Opinion):
        return None
    shares = outcome.probabilities
    return None if shares is None else _Sure(outcome.verdict, shares[LABELS.index(outcome.verdict)])
