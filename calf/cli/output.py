"""Prints the rows of runs: as tables for people, as JSON or CSV for programs."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from calf.analysis.row import FEW_GROUPS
from calf.formatting import duration, interval, number, reasons, whole, write_csv
from calf.runs.usage import spent_columns, spent_of
from calf.titles import LEFT_OUT, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

    from calf.runs.run import Run
    from calf.titles import Shortened

__all__ = ["NAME_WIDTH", "WIDTH", "console_of", "joined_rows", "label_of", "name_of", "print_runs", "table_of"]

WIDTH = 100
"""How wide tables are where the output is not a terminal."""

NAME_WIDTH = 26
"""The widest column of names."""

_LONG = 20
_OVERALL = (
    ("cover", "coverage"),
    ("decided", "decided_accuracy"),
    ("macro-F1", "macro_f1_symmetric"),
    ("kappa", "kappa_symmetric"),
    ("tau-b", "kendall_tau_symmetric"),
    ("tau-c", "tau_c_symmetric"),
    ("ties", "tie_rate"),
)
_BEHIND = (
    ("chance", "acc_eq_chance"),
    ("F1 same", "f1_same"),
    ("flips", "flip_rate"),
    ("first", "first_position_rate"),
    ("longer", "accuracy_longer_preferred"),
    ("shorter", "accuracy_shorter_preferred"),
    ("human", "human_preferred_rate"),
)
_PEOPLE = (("winning", "alt_winning_rate"), ("advantage", "alt_advantage"))
_SLICES_A_TABLE = 3


def joined_rows(runs: Sequence[Run]) -> list[Mapping[str, Any]]:
    """The rows of all runs, then people and the floors of each dataset once, without those that are runs."""
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
        format: "table", "json" (one object: `runs` and `rows`, and `usage` by run where a server was asked) or "csv"
            (the rows).
    """
    rows = joined_rows(runs)
    if format != "table" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # data is what it is, wherever it goes
    if format == "json":
        usage = {run.id: spent_columns(run.timing) for run in runs if spent_of(run.timing)}
        table = {"runs": [run.id for run in runs], "rows": rows, **({"usage": usage} if usage else {})}
        sys.stdout.write(json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    elif format == "csv":
        write_csv(rows, sys.stdout)
    else:
        _print_tables(runs, rows)


def console_of() -> Console:
    """Where tables are printed."""
    from rich.console import Console, ConsoleDimensions

    console = Console(highlight=False)
    width = max(console.width, WIDTH) if sys.stdout.isatty() else WIDTH  # a narrow terminal wraps, none is cut
    console.size = ConsoleDimensions(width, console.height)  # both, or a dumb terminal keeps its 80 columns
    return console


def _print_tables(runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.markup import escape

    console = console_of()
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        of_it = [row for row in rows if row["dataset"] == dataset]
        short = shorten(row["metric"] for row in of_it)
        mine = short.rename(of_it)
        run = next(run for run in runs if run.manifest["dataset"] == dataset)
        first = mine[0]
        size = f"{first['n']} comparisons in {first['groups']} groups"
        console.print(
            f"\n[bold]{escape(dataset)}[/]: {size}; agreement with people, 95 % intervals by bootstrap over groups"
        )
        for note in run.manifest["dataset_notes"]:
            console.print(f"[bold]{escape(note)}[/]")
        overall = [row for row in mine if row["slice"] == "overall"]
        console.print(_of(overall, "metric", "accuracy", _OVERALL))
        console.print(_of(overall, "behind it", "acc_eq_cv", _BEHIND))
        if any(row["accuracy_leave_one_out"] is not None for row in overall):
            console.print(_of(overall, "against annotators", "accuracy_leave_one_out", _PEOPLE))
        names = list(dict.fromkeys(row["slice"] for row in mine))
        for column in dict.fromkeys(name.partition("=")[0] for name in names if "=" in name):
            values = [name for name in names if name.startswith(f"{column}=")]
            if column in _ONLY_IN_JSON or (len(values) < 2 and column != "setting"):
                continue
            gaps = [name for name in names if name.startswith("gap:")] if column == "setting" else []
            for at in range(0, len(values + gaps), _SLICES_A_TABLE):
                console.print(_by_slice(mine, column, (values + gaps)[at : at + _SLICES_A_TABLE]))
        spent = _spent([run for run in runs if run.manifest["dataset"] == dataset], short)
        left_out = [f"{LEFT_OUT} {short.shared}."] if short.shared else []
        for line in (*_legend(overall, mine), *spent, *left_out):
            console.print(escape(line))


def _spent(runs: Sequence[Run], short: Shortened) -> Iterable[str]:
    """What was sent and paid, a line a run that asked a server."""
    for run in runs:
        spent = spent_of(run.timing)
        if spent is None:
            continue
        again = f" ({whole(spent.retries)} again)" if spent.retries else ""
        tokens = "tokens not counted by the server"
        if spent.input_tokens is not None:
            cached = f" ({whole(spent.cached_input_tokens)} cached)" if spent.cached_input_tokens else ""
            tokens = f"tokens {whole(spent.input_tokens)} in{cached}, {whole(spent.output_tokens)} out"
        waited = f", {duration(spent.latency)} a judgment" if spent.latency is not None else ""
        yield (
            f"{short.title.get(run.title, run.title)}: {whole(spent.requests)} requests{again}, {tokens}, "
            f"cost {spent.priced}, {whole(spent.cache_hits)} from the cache{waited}."
        )


_ONLY_IN_JSON = frozenset({"length", "gap", "reference", "window"})


def _legend(overall: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """What the tables say, and what they cannot say."""
    yield (
        "cover: share judged; decided: where people preferred one, a tie counts half; macro-F1, kappa, tau-b, tau-c: "
        "every comparison in both orders, half weight each; ties: share of `same` verdicts; °: floor."
    )
    yield (
        "acc_eq: tie-calibrated accuracy, threshold from other groups; chance: the same, scores shuffled; flips: "
        "verdicts that change with the order; first: preferred the response shown first; longer, shorter: accuracy "
        "where people preferred it; human: preferred the human of a human and a model."
    )
    people = next((row["human_preferred_rate_people"] for row in overall if row["human_preferred_rate_people"]), None)
    if people is not None:
        yield f"people preferred the human in {number(people)} of what they decided."
    human = next((row for row in overall if row["metric"] == "human"), None)
    if human is not None:
        said = ", ".join(f"{title} {interval(human, name)}" for title, name in _AGREEMENT)
        yield f"people ({human['n']} comparisons with two or more annotators): {said}."
        epsilon = human["alt_epsilon"]
        yield (
            "leave-one-out: agreement with the majority of the other annotators; winning: share of annotators that the "
            f"metric may stand in for (epsilon {epsilon:g}; from 0.5 on it passes the alternative annotator test)."
        )
    yield from _long_texts(overall, rows)
    if overall[0]["no_majority"]:
        yield f"{overall[0]['no_majority']} comparisons have no majority of annotators; their stored label counts."
    for metric in dict.fromkeys((rows[0]["metric"], "human")):
        few = [row["slice"] for row in rows if row["few_groups"] and row["metric"] == metric]
        whose = "" if metric == rows[0]["metric"] else " of people"
        if "overall" in few:
            yield f"fewer than {FEW_GROUPS} groups{whose}: all intervals are too short."
        elif few:
            named = ", ".join(dict.fromkeys(few))
            yield f"fewer than {FEW_GROUPS} groups{whose}, so that intervals are too short: {named}."
    shown = {name for table in (_OVERALL, _BEHIND) for _, name in table} | {"accuracy", "acc_eq_cv"}
    for row in overall:
        if not row["floor"] and row["metric"] != "human":
            for names, reason in reasons(row):
                told = [name for name in names if name in shown]
                if told:
                    yield f"undefined: {row['metric']}: {', '.join(told)}: {reason}"


def _long_texts(overall: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """For how many comparisons a model's window was too short, and how the metric did there."""
    slices = {(row["metric"], row["slice"]): row for row in rows}
    for row in overall:
        beyond, within = (slices.get((row["metric"], f"window={place}")) for place in ("beyond", "within"))
        if beyond is not None and within is not None:
            elsewhere = f", {interval(within, 'accuracy')} in the others" if within["n"] else ""
            yield (
                f"{row['metric']}: in {beyond['n']} of {row['n']} comparisons a text is longer than the model's window "
                f"(its option `long` says what happens): accuracy {interval(beyond, 'accuracy')} there{elsewhere}."
            )


_AGREEMENT = (
    ("pairwise agreement", "pairwise_agreement"),
    ("Cohen's kappa", "cohen_kappa"),
    ("Fleiss' kappa", "fleiss_kappa"),
    ("Krippendorff's alpha", "krippendorff_alpha"),
)


def _of(rows: Sequence[Mapping[str, Any]], title: str, first: str, columns: Sequence[tuple[str, str]]) -> Table:
    """A table of one statistic with its interval, and others without."""
    table = table_of()
    table.add_column(title, max_width=26, overflow="fold")
    table.add_column(_TITLES[first], no_wrap=True)
    for short, _ in columns:
        table.add_column(short, justify="right", no_wrap=True)
    for row in rows:
        cells = [number(row[name]) for _, name in columns]
        table.add_row(name_of(row), interval(row, first), *cells, end_section=_ends(row, rows))
    return table


_TITLES = {"accuracy": "accuracy", "acc_eq_cv": "acc_eq", "accuracy_leave_one_out": "leave-one-out"}


def _by_slice(rows: Sequence[Mapping[str, Any]], column: str, names: Sequence[str]) -> Table:
    from rich.markup import escape

    table = table_of()
    table.add_column(f"by {column}", max_width=32, overflow="fold")
    sizes = {row["slice"]: (row["n"], row["groups"]) for row in reversed(rows)}
    for name in names:
        count, groups = sizes[name]
        title = name.partition("=")[2] or name.partition(":")[2].replace("-", "\n- ")
        table.add_column(escape(f"{title}\nn={count}, {groups} groups"), no_wrap=True)
    cells = {(row["metric"], row["floor"], row["slice"]): row for row in rows}
    overall = [row for row in rows if row["slice"] == "overall"]
    for row in overall:
        shown = [cells.get((row["metric"], row["floor"], name)) for name in names]
        texts = ["-" if one is None else interval(one, "accuracy") + _other_size(one, sizes) for one in shown]
        table.add_row(name_of(row), *texts, end_section=_ends(row, overall))
    return table


def _other_size(row: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]]) -> str:
    """The size of a row that is about other comparisons than its column: people's are those that they annotated."""
    return "" if row["n"] == sizes[row["slice"]][0] else f" n={row['n']}"


def name_of(row: Mapping[str, Any]) -> str:
    """A metric's name in a table; a floor is marked."""
    from rich.markup import escape

    if row["metric"] == "human" and not row["floor"]:
        return f"human (n={row['n']})"
    return f"[dim]{escape(row['metric'])} °[/]" if row["floor"] else escape(row["metric"])


def label_of(row: Mapping[str, Any]) -> str:
    """The name, its options on a line of their own if it is long."""
    name = name_of(row)
    return name.replace("\\[", "\n\\[", 1) if len(row["metric"]) > _LONG else name


def _ends(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the metrics end here and the floors begin."""
    at = next(index for index, other in enumerate(rows) if other is row)
    return at + 1 < len(rows) and not row["floor"] and bool(rows[at + 1]["floor"])


def table_of() -> Table:
    """An empty table in the style of all tables."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
