"""Prints what metrics cost beside how often they are right, and what the turns of agents change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.cli.output import NAME_WIDTH, label_of, table_of
from calf.formatting import interval, money, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table

    from calf.comparing import Differences

__all__ = ["legend_of", "tables_of"]

_JUDGED = {"coverage": 1, "slice": "overall"}


def tables_of(found: Differences) -> Iterator[Table]:
    """The tables, where there is something to say."""
    if found.costs:
        yield _costs(found.costs)
    if found.turns:
        yield _turns(found.turns)


def legend_of(found: Differences) -> Iterator[str]:
    """What these tables say."""
    if found.costs:
        unit = found.costs[0]["unit"]
        left_out = [line["metric"] for line in found.costs if line["cost"] is None]
        unknown = f"; not known of {', '.join(left_out)}" if left_out else ""
        counted = "tokens in and out" if unit == "tokens" else unit
        yield (
            f"accuracy against cost, on {found.costs[0]['n']} comparisons: {counted} for each decision, answers from "
            f"the cache included{unknown}; on the front: no other is better for the same cost, or as good "
            "for less (share of resamples)."
        )
    if found.turns:
        yield (
            "agents' turns: how often all agents' verdicts agree; of agents that state several, how often the last is "
            "not the first, and is the label or was; net: to label - from label."
        )


def _costs(lines: Sequence[Mapping[str, Any]]) -> Table:
    """Accuracy against cost, the cheapest first."""
    table = table_of()
    table.add_column("accuracy against cost", max_width=NAME_WIDTH, overflow="fold")
    unit = lines[0]["unit"]
    for title in (f"{unit} each", "requests"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("accuracy", no_wrap=True)
    table.add_column("on the front", justify="right", no_wrap=True)
    for line in sorted(lines, key=lambda line: (line["cost"] is None, line["cost"] or 0.0, line["metric"])):
        cost = "-" if line["cost"] is None else f"{line['cost']:,.0f}" if unit == "tokens" else money(line["cost"])
        requests = "-" if line["requests"] is None else f"{line['requests']:.1f}"
        share = "" if line["front_share"] is None else f" ({line['front_share']:.0%})".replace("%", " %")
        front = "-" if line["on_front"] is None else ("yes" if line["on_front"] else "no") + share
        table.add_row(label_of(line), cost, requests, interval({**line, **_JUDGED}, "accuracy"), front)
    return table


def _turns(lines: Sequence[Mapping[str, Any]]) -> Table:
    """Whether agents agree, and what their turns change."""
    table = table_of()
    table.add_column("agents' turns", max_width=NAME_WIDTH, overflow="fold")
    for title in ("agree at first", "at last", "changed", "to label", "from label"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("net", no_wrap=True)
    for line in lines:
        names = ("agree_first", "agree_last", "changed", "to_label", "from_label")
        table.add_row(label_of(line), *(number(line[name]) for name in names), interval({**line, **_JUDGED}, "net"))
    return table
