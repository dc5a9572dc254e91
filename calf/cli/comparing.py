"""`calf compare`: the differences between stored runs, as tables for people or data for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from calf.analysis.row import FEW_GROUPS
from calf.cli.costs import legend_of, tables_of
from calf.cli.output import NAME_WIDTH, console_of, label_of, table_of
from calf.comparing import LEAST_COVERAGE, compare_runs
from calf.formatting import interval, reasons, write_csv
from calf.metrics.options import parse_pairs
from calf.runs.choosing import choose
from calf.titles import LEFT_OUT, shorten
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from calf.comparing import Differences
    from calf.decide import Rule
    from calf.planning import Plan

__all__ = ["both_of", "compare_all", "print_head", "print_json"]

Line = dict[str, Any]

_SIGNIFICANT = 0.05
_MOST_PAIRS = 10
_SLICES_A_TABLE = 3
_KAPPAS_A_TABLE = 9
_HARDEST = 5


def compare_all(
    names: Sequence[str],
    dataset: str | None,
    *,
    rule: Rule | None,
    by: Sequence[str],
    mapping: Sequence[str],
    runs: Path | None,
    format: str,  # noqa: A002  # the command line's name
) -> None:
    """Compares runs and prints what is found.

    Raises:
        UserError: see `calf.compare`.
    """
    chosen = choose(names, dataset, runs or find_workspace().runs, parse_pairs(mapping, "--map") or None)
    found = compare_runs(chosen.runs, chosen.dataset, rule=rule, by=by)
    if format == "json":
        print_json(vars(found))
    elif format == "csv":
        write_csv(found.pairs, sys.stdout)
    else:
        _print_differences(found, by)
    if chosen.left_out:
        left_out = ", ".join(chosen.left_out)
        sys.stderr.write(f"calf: left out, since they cover only a part: {left_out}; name runs to compare these\n")


def print_json(table: Mapping[str, Any]) -> None:
    """Prints one object."""
    json.dump(table, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def _print_differences(found: Differences, by: Sequence[str]) -> None:
    from rich.markup import escape

    console = console_of()
    found, shared = _shortened(found)
    runs = {run["run"]: run for run in found.runs}
    overall = _by_rank([row for row in found.ranks if row["slice"] == "overall"])
    print_head(console, found, f"{len(runs)} runs compared")
    for line in _coverage(found, overall):
        console.print(escape(line))
    console.print(_ranks(overall, runs, next((row for row in found.people if row["slice"] == "overall"), None)))
    shown, left_out = _shown_pairs(found, overall)
    if shown:
        console.print(_pairs(shown, runs))
    if left_out:
        console.print(
            f"{left_out} other pairs are left out: not told apart, nor neighbours here; --format csv has them.\n"
        )
    for column in dict.fromkeys(("setting", *by)):
        names = [name for name in dict.fromkeys(row["slice"] for row in found.ranks) if name.startswith(f"{column}=")]
        for at in range(0, len(names), _SLICES_A_TABLE):
            console.print(_slices(found, column, names[at : at + _SLICES_A_TABLE], overall))
    for table in _kappas(found, overall):
        console.print(table)
    for table in tables_of(found):
        console.print(table)
    if found.hardest:
        console.print(_hardest(found.hardest[:_HARDEST]))
    for line in (*_legend(found, shown, runs, by), *([f"{LEFT_OUT} {shared}."] if shared else [])):
        console.print(escape(line))


def _shortened(found: Differences) -> tuple[Differences, str]:
    """With the names that tables show, and what is left out of them."""
    short = shorten(run["metric"] for run in found.runs)
    runs, ranks, costs, turns = map(short.rename, (found.runs, found.ranks, found.costs, found.turns))
    return replace(found, runs=runs, ranks=ranks, costs=costs, turns=turns), short.shared


def print_head(console: Console, found: Differences | Plan, what: str) -> None:
    """Prints which dataset it is, and what must be said of it."""
    from rich.markup import escape

    console.print(f"\n[bold]{escape(found.dataset)}[/]: {what}")
    for note in found.notes:
        console.print(f"[bold]{escape(note)}[/]")


def _by_rank(rows: Sequence[Line]) -> list[Line]:
    return sorted(rows, key=lambda row: (row["rank"] or len(rows) + 1, -(row["accuracy"] or 0.0), row["metric"]))


def _coverage(found: Differences, overall: Sequence[Line]) -> Iterator[str]:
    """How many comparisons all runs share, and where pairs rest on fewer than the ranks' accuracies do."""
    sizes = {pair["n"] for pair in found.pairs if pair["slice"] == "overall"}
    most = max(run["covered"] for run in found.runs)
    common = next(row["n"] for row in found.ensembles if row["slice"] == "overall")
    if common < most:
        yield f"{common} comparisons are covered by all runs, of up to {most} that one covers."
    if len(sizes) > 1 or sizes != {most}:
        yield (
            f"Each pair is compared on what both judged: {_range(sizes)} comparisons. A failed judgment is wrong in "
            f"the accuracy; a run that failed on more than {1 - LEAST_COVERAGE:.0%} has no rank."
        )
    else:
        yield f"All judged the same {most} comparisons in {overall[0]['groups']} groups."


def _range(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _ranks(overall: Sequence[Line], runs: Mapping[str, Line], people: Line | None) -> Table:
    ruled = any(run["order"] == "both" for run in runs.values())
    table = table_of()
    table.add_column("rank", justify="right")
    table.add_column("metric", max_width=NAME_WIDTH, overflow="fold")
    table.add_column("accuracy", no_wrap=True)
    for title in ("covered", "judged"):
        table.add_column(title, justify="right", no_wrap=True)
    if ruled:
        table.add_column("rule", no_wrap=True)
    for row in overall:
        run = runs[row["run"]]
        cells = [interval(row, "accuracy"), str(run["covered"]), str(run["judged"])]
        cells += [run["rule"] if run["order"] == "both" else ""] if ruled else []
        table.add_row(_rank(row), label_of(row), *cells, end_section=people is not None and row is overall[-1])
    if people is not None:  # each annotator against the others, on what was annotated
        table.add_row(
            "", "human", interval({**people, "coverage": 1.0}, "accuracy"), str(people["n"]), str(people["n"])
        )
    return table


def _rank(row: Line) -> str:
    return "-" if row["rank"] is None else str(row["rank"])


def _shown_pairs(found: Differences, overall: Sequence[Line]) -> tuple[list[Line], int]:
    """The pairs of the table, the better run first, and how many are left out: of many, those that say the least."""
    place = {row["run"]: index for index, row in enumerate(overall)}
    neighbours = {frozenset(two) for two in pairwise(place)}
    pairs = [_turned(pair) for pair in found.pairs if pair["slice"] == "overall"]
    pairs.sort(key=lambda pair: sorted((place[pair["a"]], place[pair["b"]])))
    if len(pairs) <= _MOST_PAIRS:
        return pairs, 0
    shown = [pair for pair in pairs if _is_told_apart(pair) or {pair["a"], pair["b"]} in neighbours]
    return shown, len(pairs) - len(shown)


def _is_told_apart(pair: Line) -> bool:
    return pair["p_adjusted"] is not None and pair["p_adjusted"] <= _SIGNIFICANT


def _turned(pair: Line) -> Line:
    """The pair with the run first that is better."""
    if pair["difference"] is None or pair["difference"] >= 0:
        return pair
    ends = {"low": pair["high"], "high": pair["low"], "difference": pair["difference"]}
    turned = {key: None if value is None else -value for key, value in ends.items()}
    return {**pair, "a": pair["b"], "b": pair["a"], **turned}


def _pairs(shown: Sequence[Line], runs: Mapping[str, Line]) -> Table:
    table = table_of()
    for title in ("better", "worse"):
        table.add_column(title, max_width=NAME_WIDTH, overflow="fold")
    table.add_column("difference", no_wrap=True)
    for title in ("n", "p", "adjusted"):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in shown:
        ends = {"difference": pair["difference"], "difference_low": pair["low"], "difference_high": pair["high"]}
        mark = "*" if _is_told_apart(pair) else " "
        cells = (str(pair["n"]), _p(pair["p_permutation"]), f"{_p(pair['p_adjusted'])}{mark}")
        difference = interval({**ends, "coverage": 1}, "difference")
        table.add_row(label_of(runs[pair["a"]]), label_of(runs[pair["b"]]), difference, *cells)
    return table


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _slices(found: Differences, column: str, names: Sequence[str], overall: Sequence[Line]) -> Table:
    from rich.markup import escape

    cells = {(row["run"], row["slice"]): row for row in found.ranks}
    table = table_of()
    table.add_column(f"rank by {column}", max_width=NAME_WIDTH, overflow="fold")
    for name in names:
        largest = max((row for row in found.ranks if row["slice"] == name), key=lambda row: row["n"])
        size = f"n={largest['n']}, {largest['groups']} groups"
        table.add_column(escape(f"{name.partition('=')[2]}\n{size}"), no_wrap=True)
    for row in overall:
        shown = [cells[row["run"], name] for name in names]
        table.add_row(label_of(row), *(f"{_rank(one):>2} {interval(one, 'accuracy')}" for one in shown))
    return table


def _kappas(found: Differences, overall: Sequence[Line]) -> Iterator[Table]:
    """Cohen's kappa of every two runs' verdicts, each pair once, in tables that are not too wide."""
    kappa = {frozenset((pair["a"], pair["b"])): pair["kappa"] for pair in found.agreement}
    for start in range(0, len(overall) - 1, _KAPPAS_A_TABLE):
        columns = range(start, min(start + _KAPPAS_A_TABLE, len(overall) - 1))
        table = table_of()
        table.add_column("", justify="right")
        table.add_column("kappa of verdicts", max_width=NAME_WIDTH, overflow="fold")
        for column in columns:
            table.add_column(str(column + 1), justify="right", no_wrap=True)
        for index in range(start, len(overall)):
            others = [overall[column]["run"] if column < index else None for column in columns]
            values = [kappa[frozenset((overall[index]["run"], other))] if other else "" for other in others]
            table.add_row(str(index + 1), label_of(overall[index]), *map(_two_decimals, values))
        yield table


def _two_decimals(value: float | str | None) -> str:
    if isinstance(value, str):
        return value
    return "-" if value is None else f"{round(value, 2) + 0.0:.2f}"  # no -0.00


def _hardest(lines: Sequence[Line]) -> Table:
    from rich.markup import escape

    table = table_of()
    table.add_column("hardest comparisons", overflow="fold", max_width=40)
    for title in ("label", "wrong", "setting", "subject"):
        table.add_column(title, overflow="fold", max_width=20)
    for line in lines:
        wrong = f"{line['wrong']} of {line['judged']}"
        cells = (line["id"], line["label"], wrong, line["setting"], line["subject"] or "-")
        table.add_row(*map(escape, cells))
    return table


def _legend(found: Differences, shown: Sequence[Line], runs: Mapping[str, Line], by: Sequence[str]) -> Iterator[str]:
    """What the tables say, and what they cannot say."""
    together = {row["ensemble"]: row for row in found.ensembles if row["slice"] == "overall"}
    vote, oracle = (interval(together[kind], "accuracy") for kind in ("majority-vote", "oracle"))
    count = together["oracle"]["n"]
    yield f"All {len(runs)} together, on {count} comparisons: majority vote {vote}; oracle (any is right) {oracle}."
    count = sum(pair["slice"] == "overall" for pair in found.pairs)
    yield (
        "rank: 1 + the number of runs that are significantly better: runs that no pair tells apart may share it; "
        f"p: paired sign-flip test over groups; adjusted: for all {count} pairs by step-down max-T; "
        f"*: at most {_SIGNIFICANT:g}; °: floor."
    )
    yield from legend_of(found)
    read = ("overall", "setting=", *(f"{column}=" for column in by))
    few = [pair["slice"] for pair in found.pairs if pair["n"] and pair["few_groups"] and pair["slice"].startswith(read)]
    if few:
        yield f"fewer than {FEW_GROUPS} groups, so that intervals are too short: {', '.join(dict.fromkeys(few))}."
    for pair in shown:
        for names, reason in reasons(pair):
            told = [name for name in names if name != "p_mcnemar"]
            if told:
                yield f"undefined: {both_of(pair, runs)}: {', '.join(told)}: {reason}"


def both_of(pair: Line, runs: Mapping[str, Line]) -> str:
    """The names of a pair."""
    return f"{runs[pair['a']]['metric']} and {runs[pair['b']]['metric']}"
