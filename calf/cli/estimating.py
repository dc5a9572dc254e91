"""`calf estimate`: what judging would take, as a table for people or data for programs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from calf.cli.comparing import print_json
from calf.cli.output import console_of, table_of
from calf.datasets.load import load_dataset
from calf.estimating import estimate
from calf.formatting import duration, money, whole
from calf.metrics.options import parse_pairs
from calf.metrics.registry import load_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calf.estimating import Check, Estimate
    from calf.runs.forecasts import Share

__all__ = ["estimate_all"]


def estimate_all(
    metric: str,
    dataset: str,
    *,
    options: Sequence[str],
    mapping: Sequence[str],
    format: str,  # noqa: A002  # the command line's name
    **choices: Any,
) -> None:
    """Estimates and prints it.

    Raises:
        UserError: see `calf.estimating.estimate`.
    """
    loaded = load_metric(metric, **parse_pairs(options, "-o"))
    data = load_dataset(dataset, mapping=parse_pairs(mapping, "--map") or None)
    with loaded.without_secrets():
        found = estimate(loaded, data, **choices)
    if format == "json":
        print_json({"metric": loaded.name, "requests": 0} if found is None else dataclasses.asdict(found))
    elif found is None:
        console_of().print(f"{loaded.name} asks no server: it sends nothing, and costs nothing but time.", markup=False)
    else:
        _print_estimate(found)


def _print_estimate(found: Estimate) -> None:
    from rich.markup import escape

    console = console_of()
    console.print(f"\n[bold]{escape(found.metric)}[/] on [bold]{escape(found.dataset)}[/]: ", end="")
    whom = f"{len(found.shares)} models" if len(found.shares) > 1 else f"model {found.model} at {found.server}"
    console.print(escape(f"{whom}; nothing was sent"))
    expected, sent = found.expected, found.sent
    table = table_of()
    table.add_column("")
    for title in ("expected", "at most"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row("requests", whole(expected.requests), "")
    table.add_row("input tokens", whole(expected.input_tokens), "")
    table.add_row("output tokens", _known(whole(expected.output_tokens)), whole(sent.most_output))
    currency = f" ({found.currency})" if found.currency else ""
    least = "unknown" if found.least_cost is None else f"{money(found.least_cost)} or more"
    cost = least if expected.cost is None else money(expected.cost)
    table.add_row(f"cost{currency}", cost, _known(money(found.most_cost)))
    table.add_row("time", _known(duration(expected.seconds)), "")
    console.print(table)
    for line in _legend(found):
        console.print(escape(line))


def _known(text: str) -> str:
    return "unknown" if text == "-" else text


def _legend(found: Estimate) -> Iterator[str]:
    """What the figures stand on."""
    refused = f", {found.refused_items} cannot be judged" if found.refused_items else ""
    yield f"{found.items} items to judge: {found.judged_items} are judged{refused}."
    yield (
        f"{found.requests} different requests: {found.judged_requests} for what is judged, {found.cached_requests} "
        f"answers in the cache, {found.sent.requests} to send."
    )
    how = "counted with the model's tokenizer" if found.exact else "estimated from letters: no tokenizer of it is here"
    corrected = ", corrected by what was measured" if found.measured else ""
    yield f"Input tokens: {how}{corrected}. At most: every answer as long as it may be; what is sent again adds to it."
    if found.expected.output_tokens is None:
        yield "Output tokens: unknown until a run has shown how long answers are."
    elif found.answer_tokens is not None:
        yield f"Output tokens: {found.answer_tokens:g} an answer are assumed, until a run has shown how long they are."
    yield from _prices(found.shares)
    if not found.measured:
        yield "No run of this metric with this model is here: a small one (--limit 20) makes all of this more certain."
        return
    yield f"Measured in {len(found.measured)} earlier run{'s' if len(found.measured) > 1 else ''}; how far off:"
    for check in found.checks:
        yield f"  {_off(check)}"


def _prices(shares: Sequence[Share]) -> Iterator[str]:
    """What each model is asked, where there are several, and by which prices."""
    for share in shares:
        if len(shares) > 1:
            sent = f"{whole(share.sent.requests)} requests, {whole(share.sent.input_tokens)} input tokens as counted"
            yield f"Model {share.model} at {share.server}: {sent}."
        if share.prices:
            p = share.prices
            cached = "" if p.cached_input is None else f", {p.cached_input:g} input from the server's cache"
            source = f" of {p.date or 'an unknown date'}, {p.source or 'source unknown'}"
            yield f"Prices{source}: {p.input:g} input{cached}, {p.output:g} output, {p.currency} per {p.per:,} tokens."
        else:
            whose = f" of {share.model}" if len(shares) > 1 else ""
            given = '{"input": 1, "output": 4}'
            yield f"Cost: no prices{whose} are known; a paid server's judge takes them as -o prices='{given}'."


def _off(check: Check) -> str:
    """How far off the estimate is for a run, in one line."""
    named = ("requests", "input_tokens", "output_tokens", "cost", "seconds")
    titles = ("requests", "input", "output", "cost", "time")
    parts = [
        f"{title} {value:+.1%}" for title, name in zip(titles, named, strict=True)
        if (value := getattr(check, name)) is not None
    ]  # fmt: skip
    source = f"from the other {check.others}" if check.others else "from counting alone"
    return f"{check.run}, {source}: {', '.join(parts)}"
