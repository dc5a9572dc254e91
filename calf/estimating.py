"""What judging a dataset would take: requests, tokens, cost and time, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.datasets.selecting import select
from calf.engine.request import Usage
from calf.errors import UserError
from calf.metrics.registry import load_metric
from calf.runs.forecasts import Counter, Forecaster, requests_of
from calf.runs.identity import run_id
from calf.runs.judging import is_settled
from calf.runs.measured import Measured, measured_runs
from calf.runs.plan import plan, precluded
from calf.runs.store import RunFolder, read_outcomes
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from calf.decide import OrderChoice
    from calf.engine.request import Addressed
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.forecasts import Forecast, Share, Tally

__all__ = ["Check", "Estimate", "Expected", "estimate"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What some requests will take, as far as that can be said.

    Attributes:
        requests: repeated ones included, at the rate at which earlier runs repeated them.
        input_tokens: of the prompts.
        output_tokens: of the answers; None if nobody can say.
        cost: in the currency of the prices; None if these or the output are not known, or their currencies differ.
        seconds: at the rate of earlier runs, times this concurrency by theirs; None if there are none.
    """

    requests: float
    input_tokens: float
    output_tokens: float | None
    cost: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """How far off the estimate would have been for a run, as shares: 0.1 is 10 % too much; None if not known.

    Attributes:
        run: its id.
        others: how many other runs it was estimated from; 0: from counting alone.
    """

    run: str
    others: int
    requests: float | None
    input_tokens: float | None
    output_tokens: float | None
    cost: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What `evaluate` with the same arguments would send.

    Attributes:
        metric, dataset: their names.
        run: the id of the run that it would make or continue.
        model, server: whom it asks, if nothing says otherwise (`shares` has all).
        items: what must be judged: responses, or comparisons in each order, times the repeats.
        judged_items: of these, what the run has judged already.
        refused_items: what cannot be judged (no reference, another language) and is never asked.
        requests: different ones for all items, before any is sent again.
        judged_requests: of these, for judged items alone.
        cached_requests: of the others, with an answer in the cache.
        sent: what is left, as counted: requests, answers, tokens of prompts, the most tokens of answers.
        shares: the same by model, with its prices, their date and source.
        exact: whether the tokens of prompts were counted with the models' tokenizers, not estimated from letters; what
            a chat template adds is estimated in any case.
        expected: what will be sent.
        answer_tokens: how long an answer is assumed to be, as the metric says; None if that is measured, or unknown.
        least_cost: of the prompts alone, all in the servers' caches; None as in `expected`.
        most_cost: if every answer is as long as it may be, and prompts that hold answers with them; None as in
            `expected`. What is sent again, tools, and plans of more than 5 points add to it.
        currency: of all costs; None if a model has no prices, or they are in several.
        measured: the ids of the runs that the expectation was corrected by.
        checks: for each of these, how far off the estimate would have been without it.
    """

    metric: str
    dataset: str
    run: str
    model: str
    server: str
    items: int
    judged_items: int
    refused_items: int
    requests: int
    judged_requests: int
    cached_requests: int
    sent: Tally
    shares: Sequence[Share]
    exact: bool
    expected: Expected
    answer_tokens: float | None
    least_cost: float | None
    most_cost: float | None
    currency: str | None
    measured: Sequence[str]
    checks: Sequence[Check]


def estimate(
    metric: str | LoadedMetric,
    dataset: str | Path | Dataset = "sample",
    *,
    setting: str | Sequence[str] = (),
    subject: str | Sequence[str] = (),
    language: str | Sequence[str] = (),
    limit: int | None = None,
    order: OrderChoice | None = None,
    repeat: int = 1,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    runs: str | Path | None = None,
    fresh: bool = False,
    cache: bool = True,
) -> Estimate | None:
    """Says what `calf.evaluate` with the same arguments would take.

    Nothing is sent, nothing is written, no key is needed. Where runs of the same metric with the same model are here,
    what they measured (tokens, repeated requests, throughput) corrects what is counted, and the estimate's own error
    is said for each of them.

    Returns:
        None if the metric asks no server.

    Raises:
        UserError: a name, an option, a file or a selection is wrong; or the metric asks a server, but cannot say what.
    """
    loaded = load_metric(metric, **(options or {})) if isinstance(metric, str) else metric
    order = order or loaded.traits.default_order
    forecaster = loaded.instance
    if not isinstance(forecaster, Forecaster):
        if loaded.concurrent:
            raise UserError(f"metric {loaded.name!r} has no forecast(item): nobody can say what it will send")
        return None
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    chosen = select(data, setting, subject, language, limit, seed)
    server = forecaster.server(needs_key=False)
    folder = Path(runs) if runs else find_workspace().runs
    run = run_id(loaded.name, loaded.signature(tuple(sorted({c.language for c in data}))), data, order, seed)
    outcomes = {} if fresh else read_outcomes(RunFolder(folder / run).journal)
    units = plan(loaded, chosen.comparisons, order, repeat)
    judged = [unit for unit in units if is_settled(outcomes.get(unit.key))]
    refused = [unit for unit in units if precluded(loaded, unit.item) is not None]
    done, never = {unit.key for unit in judged}, {unit.key for unit in refused}
    forecast = partial(requests_of, forecaster, server)
    wanted: dict[str, Addressed] = {}
    asked: dict[str, Addressed] = {}
    for unit in units:
        if unit.key not in never:
            (asked if unit.key in done else wanted).update(forecast(unit.item))
    cached = _cached(wanted) if cache else set()
    counter = Counter()
    sent = counter.forecast(request for key, request in wanted.items() if key not in cached)
    most = sent
    if hasattr(forecaster, "longest_forecast"):
        asking = (u.item for u in units if u.key not in done | never and not forecast(u.item).keys() <= cached)
        longest = (requests_of(forecaster, server, item, longest=True) for item in asking)
        most = counter.forecast({key: request for one in longest for key, request in one.items()}.values())
    exact = counter.exact
    measured = measured_runs(folder, loaded, data, forecast, counter)
    answer = getattr(forecaster, "answer_tokens", None)
    expected = _expect(sent, measured, answer, server.concurrency)
    longer = _ratio(expected.input_tokens, sent.sent.input_tokens)
    return Estimate(
        metric=loaded.name,
        dataset=data.name,
        run=run,
        model=server.model,
        server=server.place,
        items=len(units),
        judged_items=len(done - never),
        refused_items=len(never),
        requests=len(wanted | asked),
        judged_requests=len(asked.keys() - wanted.keys()),
        cached_requests=len(cached),
        sent=sent.sent,
        shares=sent.shares,
        exact=exact,
        expected=expected,
        answer_tokens=None if any(one.input_tokens for one in measured) else answer,
        least_cost=sent.cost(longer, 1.0, 0.0),
        most_cost=most.bound(longer),
        currency=sent.currency,
        measured=[one.run for one in measured],
        checks=[_check(one, [m for m in measured if m is not one], answer) for one in measured],
    )


def _cached(keys: Iterable[str]) -> set[str]:
    from calf.engine.cache import Cache

    cache = Cache()
    if not cache.path.exists():  # it would be made
        return set()
    try:
        return {key for key in keys if cache.get(key) is not None}
    finally:
        cache.close()


def _expect(
    forecast: Forecast, measured: Sequence[Measured], answer: float | None, concurrency: float | None
) -> Expected:
    """What is counted, corrected by what was measured where the same was counted."""
    sent = forecast.sent
    if not sent.requests:
        return Expected(0, 0, 0, 0.0, 0.0)
    counting = [(one, one.forecast.sent) for one in measured if one.input_tokens]
    again = _ratio(sum(one.requests for one in measured), sum(one.forecast.sent.requests for one in measured))
    longer = _ratio(sum(one.input_tokens for one, _ in counting), sum(counted.input_tokens for _, counted in counting))
    if counting:
        answer = sum(one.output_tokens for one, _ in counting) / sum(counted.answers for _, counted in counting)
    cost = None
    if answer is not None:
        cached = sum(one.cached_input_tokens for one, _ in counting)
        cost = forecast.cost(longer, cached / max(1, sum(one.input_tokens for one, _ in counting)), answer)
    requests, input_tokens = sent.requests * again, sent.input_tokens * longer
    output_tokens = None if answer is None else sent.answers * answer
    rates = [one for one in measured if one.rate]
    seconds = None
    if rates:
        # What a run took would have taken the less, the more requests were in flight, while the server keeps up.
        took = [one.requests / one.rate * _ratio(one.concurrency, concurrency) for one in rates if one.rate]
        rate = sum(one.requests for one in rates) / sum(took)
        seconds = requests / rate
    return Expected(requests, input_tokens, output_tokens, cost, seconds)


def _ratio(measured: float | None, counted: float | None) -> float:
    return measured / counted if measured and counted else 1.0


def _check(one: Measured, others: Sequence[Measured], answer: float | None) -> Check:
    said = _expect(one.forecast, others, answer, one.concurrency)

    def off(expected: float | None, measured: float | None) -> float | None:
        return expected / measured - 1 if expected is not None and measured else None

    paid = one.cost
    shares = one.forecast.shares
    if len(shares) == 1 and shares[0].prices and one.input_tokens:  # by today's prices, as the estimate is
        paid = shares[0].prices.cost(Usage(one.input_tokens, one.cached_input_tokens, one.output_tokens))
    return Check(
        one.run,
        len(others),
        off(said.requests, one.requests),
        off(said.input_tokens, one.input_tokens),
        off(said.output_tokens, one.output_tokens),
        off(said.cost, paid),
        off(said.seconds, one.requests / one.rate if one.rate else None),
    )
