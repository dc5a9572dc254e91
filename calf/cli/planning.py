"""`calf power`: what differences a dataset can show, as a table for people or data for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.analysis.row import FEW_GROUPS
from calf.cli.comparing import both_of, print_head, print_json
from calf.cli.output import NAME_WIDTH, console_of, label_of, table_of
from calf.formatting import number
from calf.planning import check_plan, plan_runs
from calf.runs.choosing import choose
from calf.titles import LEFT_OUT, shorten
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from calf.planning import Plan

__all__ = ["plan_all"]


def plan_all(
    names: Sequence[str],
    dataset: str | None,
    *,
    difference: float,
    power: float,
    alpha: float,
    runs: Path | None,
    format: str,  # noqa: A002  # the command line's name
) -> None:
    """Plans comparisons from runs and prints the plan.

    Raises:
        UserError: see `calf.planning.plan_runs` and `calf.compare`.
    """
    check_plan(difference, power, alpha)
    chosen = choose(names, dataset, runs or find_workspace().runs)
    plan = plan_runs(chosen.runs, chosen.dataset, difference=difference, power=power, alpha=alpha)
    if format == "json":
        print_json(vars(plan))
    else:
        _print_plan(plan)


def _print_plan(plan: Plan) -> None:
    from rich.markup import escape

    console = console_of()
    short = shorten(run["metric"] for run in plan.runs)
    runs = {run["run"]: run for run in short.rename(plan.runs)}
    print_head(console, plan, f"what a comparison can show, with power {plan.wanted_power:g} at level {plan.alpha:g}")
    table = table_of()
    for title in ("metric", "other"):
        table.add_column(title, max_width=NAME_WIDTH - 6, overflow="fold")
    shown = f"{plan.difference:g}"
    titles = ("n\n(groups)", "observed", "smallest\nto show", f"power\nat {shown}", f"needed for {shown}\n(groups)")
    for title in (*titles, "design\neffect"):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in plan.pairs:
        needed = pair["comparisons_needed"]
        table.add_row(
            label_of(runs[pair["a"]]),
            label_of(runs[pair["b"]]),
            f"{pair['n']} ({pair['groups']})",
            number(pair["observed"]),
            number(pair["smallest_difference"]),
            number(pair["power"]),
            "-" if needed is None else f"{needed} ({pair['groups_needed']})",
            "-" if pair["design_effect"] is None else f"{pair['design_effect']:.2f}",
        )
    console.print(table)
    console.print(
        f"smallest to show: the true difference in accuracy that is found here with power {plan.wanted_power:g}; power:"
        " the chance to find the given one here; needed: comparisons, and their groups, to find it with power"
        f" {plan.wanted_power:g}; design effect: how many comparisons say as much as one that is independent."
    )
    if short.shared:
        console.print(escape(f"{LEFT_OUT} {short.shared}."))
    few = any(pair["few_groups"] for pair in plan.pairs)
    if few:
        console.print(f"fewer than {FEW_GROUPS} groups: the formulas promise too much.")
    for pair in plan.pairs:
        if pair["undefined"]:
            console.print(escape(f"undefined: {both_of(pair, runs)}: {pair['undefined']}"))
