"""Prints the rows of runs: as tables for people, as JSON or CSV for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from calf.formatting import interval, number, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.table import Table

    from calf.runs.run import Run

__all__ = ["WIDTH", "joined_rows", "print_runs"]

WIDTH = 100
"""How wide tables are where the output is not a terminal."""

_COLUMNS = (
    ("cover", "coverage"),
    ("decided", "decided_accuracy"),
    ("macro-F1", "macro_f1_symmetric"),
    ("kappa", "kappa_symmetric"),
    ("tau-b", "kendall_tau_symmetric"),
    ("r", "pearson_symmetric"),
    ("ties", "tie_rate"),
)
_SLICES_A_TABLE = 3


def joined_rows(runs: Sequence[Run]) -> list[Mapping[str, Any]]:
    """The rows of all runs, then the floors of each dataset once, without those that are runs of their own."""
    rows = [row for run in runs for row in run.rows]
    done = {(run.manifest["dataset"], run.manifest["metric"]) for run in runs if run.is_floor}
    for run in runs:
        rows += [row for row in run.beside if (row["dataset"], row["metric"]) not in done]
        done |= {(row["dataset"], row["metric"]) for row in run.beside}
    return rows


def print_runs(runs: Sequence[Run], format: str) -> None:  # noqa: A002  # the command line's name
    """Prints runs on standard output.

    Args:
        runs: at least one.
        format: "table", "json" (one object: `runs` and `rows`) or "csv" (the rows).
    """
    rows = joined_rows(runs)
    if format == "json":
        json.dump(
            {"runs": [run.id for run in runs], "rows": rows}, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False
        )
        sys.stdout.write("\n")
    elif format == "csv":
        write_csv(rows, sys.stdout)
    else:
        _print_tables(runs, rows)


def _print_tables(runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.width = max(console.width, WIDTH) if sys.stdout.isatty() else WIDTH  # a narrow terminal wraps, none is cut
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        mine = [row for row in rows if row["dataset"] == dataset]
        run = next(run for run in runs if run.manifest["dataset"] == dataset)
        first = mine[0]
        console.print(f"\n[bold]{escape(dataset)}[/]: {first['n']} comparisons in {first['groups']} groups", end="")
        console.print("; agreement with people, 95 % intervals by bootstrap over groups")
        for note in run.manifest["dataset_notes"]:
            console.print(f"[bold]{escape(note)}[/]")
        console.print(_overall([row for row in mine if row["slice"] == "overall"]))
        for column in ("setting", "language", "subject"):
            names = list(dict.fromkeys(row["slice"] for row in mine if row["slice"].startswith(f"{column}=")))
            if len(names) < 2 and column != "setting":
                continue
            for at in range(0, len(names), _SLICES_A_TABLE):
                console.print(_by_slice(mine, names[at : at + _SLICES_A_TABLE]))
        console.print(
            "decided: where people preferred one, a tie counts half; macro-F1, kappa, tau-b, r (Pearson):"
            " every comparison in both orders, half weight each; ties: share of `same` verdicts; °: floor."
        )
        for reason in dict.fromkeys(_reasons(mine)):
            console.print(escape(f"undefined: {reason}"))


def _reasons(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for row in rows:
        if row["undefined"] and not row["floor"] and row["slice"] == "overall":
            yield f"{row['metric']}: {row['undefined']}"


def _overall(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table()
    table.add_column("metric", max_width=26, overflow="fold")
    table.add_column("accuracy", no_wrap=True)
    for title, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = [number(row[name]) for _, name in _COLUMNS]
        table.add_row(_name(row), interval(row, "accuracy"), *cells, end_section=_ends(row, rows))
    return table


def _by_slice(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    from rich.markup import escape

    table = _table()
    table.add_column(f"by {names[0].partition('=')[0]}", max_width=32, overflow="fold")
    sizes = {row["slice"]: (row["n"], row["groups"]) for row in rows}
    for name in names:
        count, groups = sizes[name]
        table.add_column(escape(f"{name.partition('=')[2]}\nn={count}, {groups} groups"), no_wrap=True)
    cells = {(row["metric"], row["floor"], row["slice"]): row for row in rows}
    overall = [row for row in rows if row["slice"] == "overall"]
    for row in overall:
        shown = [cells.get((row["metric"], row["floor"], name)) for name in names]
        texts = ["-" if one is None else interval(one, "accuracy") for one in shown]
        table.add_row(_name(row), *texts, end_section=_ends(row, overall))
    return table


def _name(row: Mapping[str, Any]) -> str:
    from rich.markup import escape

    return f"[dim]{escape(row['metric'])} °[/]" if row["floor"] else escape(row["metric"])


def _ends(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the metrics end here and the floors begin."""
    at = next(index for index, other in enumerate(rows) if other is row)
    return at + 1 < len(rows) and not row["floor"] and bool(rows[at + 1]["floor"])


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
