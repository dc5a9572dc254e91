"""`calf train`: what is learned, and what it is worth."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from calf.cli.comparing import print_json
from calf.cli.output import console_of, name_of, table_of
from calf.formatting import duration, interval, number
from calf.metrics.options import parse_pairs
from calf.training.card import limits_of
from calf.training.train import train

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from calf.training.report import Report

__all__ = ["train_all"]

_NAME_WIDTH = 32

Line = dict[str, Any]

_STATISTICS = (
    ("accuracy", "accuracy"),
    ("decided", "decided_accuracy"),
    ("macro-F1", "macro_f1"),
    ("kappa", "kappa"),
)


def train_all(
    on: str,
    *,
    test: str | None,
    out: Path | None,
    mapping: Sequence[str],
    format: str,  # noqa: A002  # the command line's name
    **choices: Any,
) -> None:
    """Trains, and prints what came of it.

    Raises:
        UserError: see `calf.training.train.train`.
    """
    with contextlib.redirect_stdout(sys.stderr):
        report = train(
            on, test=test, out=out, mapping=parse_pairs(mapping, "--map") or None,
            say=lambda what: print(f"calf: {what} ...", file=sys.stderr), **choices,  # noqa: T201  # progress
        )  # fmt: skip
    if format == "json":
        print_json(dataclasses.asdict(report))
    else:
        _print(report)
    if report.stored is not None:
        sys.stderr.write(f"calf: wrote {report.stored}; use it as --metric trained:{report.stored}\n")


def _print(report: Report) -> None:
    from rich.markup import escape

    console = console_of()
    for line in _head(report):
        console.print(escape(line))
    for note in report.notes:
        console.print(f"[bold]{escape(note)}[/]")
    overall = [*_slice(report.rows, "overall"), *_slice(report.held_out, "overall")]
    if report.transfer is None:
        console.print(_figures([*overall, *_slice(report.floors, "overall")], "agreement with people"))
        settings = [row["slice"] for row in report.rows if row["slice"].startswith("setting=")]
        for name in settings:
            rows = [*_slice(report.rows, name), *_slice(report.held_out, name), *_slice(report.floors, name)]
            console.print(_figures(rows, name.partition("=")[2]))
    else:
        console.print(_figures(overall, f"on {report.dataset}"))
        _print_transfer(console, report, report.transfer)
    for table in (*_curve(report), *_families(report)):
        console.print(table)
    for line in _legend(report):
        console.print(escape(line))


def _head(report: Report) -> Iterator[str]:
    yield (
        f"\n{report.dataset}: {report.comparisons} comparisons in {report.groups} groups to learn from; 95 % intervals "
        "by bootstrap over groups"
    )
    taken = ", ".join(f"{kind} {count}" for kind, count in report.chosen.items())
    model = f"{report.model}, for {report.objective} (in {report.folds} folds: {taken})"
    yield f"features: {', '.join(report.families)}; model: {model}"
    if report.held_out_groups:
        state = "opened" if report.held_out else "closed (--open judges them, once all is chosen)"
        yield (
            f"held out: {report.held_out_comparisons} comparisons in {report.held_out_groups} groups "
            f"({report.hold_out:.0%} by hash), {state}"
        )
    if report.dropped is not None:
        kinds = ", ".join(f"{count} by {kind}" for kind, count in report.dropped["kinds"].items())
        yield (
            f"left out, since the other dataset has something of them: {report.dropped['comparisons']} comparisons in "
            f"{report.dropped['groups']} groups" + (f" (known again: {kinds})" if kinds else "")
        )
    if report.scores:
        yield f"scores learned from: {', '.join(report.scores)}; such an evaluator judges this dataset alone"


def _slice(rows: Sequence[Line], name: str) -> list[Line]:
    return [row for row in rows if row["slice"] == name]


def _figures(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    table = _statistics_table(f"{title}\nn={rows[0]['n']}, {rows[0]['groups']} groups")
    for row in rows:
        size = "" if row["n"] == rows[0]["n"] else f" (n={row['n']})"
        table.add_row(name_of(row) + size, *_cells(row))
    return table


def _statistics_table(title: str) -> Table:
    table = table_of()
    table.add_column(title, max_width=_NAME_WIDTH, overflow="fold")
    for short, _ in _STATISTICS:
        table.add_column(short, no_wrap=True)
    return table


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Statistics with their intervals beneath, of floors without."""
    shown = [interval(row, name) for _, name in _STATISTICS]
    return [text.partition(" ")[0] if row["floor"] else text.replace(" [", "\n\\[") for text in shown]


def _print_transfer(console: Console, report: Report, found: Line) -> None:
    from rich.markup import escape

    rows = [*_slice(report.transferred, "overall")]
    if found["trained_there"] is not None:
        rows.append(_as_row("trained there", found["trained_there"]))
    console.print(_figures([*rows, *_slice(report.floors, "overall")], f"on {found['dataset']}"))
    for name in [row["slice"] for row in report.transferred if row["slice"].startswith("setting=")]:
        part = [*_slice(report.transferred, name), *_slice(report.floors, name)]
        console.print(_figures(part, name.partition("=")[2]))
    console.print(
        escape(f"accuracy there minus accuracy at home: {_change(found['drop'])} (each dataset resampled by itself)")
    )
    if found["against_trained_there"] is not None:
        console.print(
            escape(f"accuracy minus that of training there: {_change(found['against_trained_there'])} (paired)")
        )


def _as_row(name: str, figures: Line) -> Line:
    return {**figures, "metric": name, "floor": False, "slice": "overall", "coverage": 1.0}


def _change(found: Mapping[str, Any], prefix: str = "") -> str:
    """A difference with its interval and signs."""
    value, low, high = (found[f"{prefix}{name}"] for name in ("difference", "low", "high"))
    return "-" if value is None else f"{value:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if low is not None else "")


def _curve(report: Report) -> Iterator[Table]:
    if not report.curve:
        return
    table = _statistics_table("learned from")
    for line in report.curve:
        table.add_row(f"{line['share']:.0%} of the groups", *_cells(_as_row("", line)))
    yield table


def _families(report: Report) -> Iterator[Table]:
    if not report.importances:
        return
    table = table_of()
    table.add_column("family")
    for title in ("accuracy alone", "change left out", "lost if shuffled", "loss gained"):
        table.add_column(title, no_wrap=True)
    lines = {(line["kind"], line["family"]): line for line in report.ablations}
    for line in report.importances:
        family = line["family"]
        alone, without = lines.get(("alone", family)), lines.get(("without", family))
        table.add_row(
            family,
            "-" if alone is None else interval(_as_row("", alone), "accuracy"),
            "-" if without is None else _change(without, "change_"),
            f"{line['accuracy_drop']:+.3f}",
            f"{line['loss_rise']:+.4f}",
        )
    yield table


def _legend(report: Report) -> Iterator[str]:
    yield "decided: where people preferred one, a tie counts half; macro-F1, kappa: as stored; °: floor."
    if report.importances:
        yield (
            "families: alone; change in accuracy if left out (paired); what the accuracy loses, and the loss gains in "
            "nats, if the family's values are shuffled among unseen comparisons."
        )
    yield from limits_of(report)
    stages = ", ".join(f"{name} {duration(taken)}" for name, taken in report.seconds.items() if name != "all")
    yield (
        f"time {duration(report.seconds['all'])} ({stages}); peak memory {report.peak_memory_bytes / 2**20:,.0f} MiB."
    )
    losses = ", ".join(f"{kind} {number(value)}" for kind, value in report.losses.items())
    yield f"loss on unseen examples, when all were trained on: {losses}."
