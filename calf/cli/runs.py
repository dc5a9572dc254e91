"""`calf runs list | show | import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["app"]

app = typer.Typer(help="What was run.", no_args_is_help=True, rich_markup_mode=None)

Runs = Annotated[Path | None, typer.Option(help="Folder of the runs.")]


@app.command("list")
def list_all(
    runs: Runs = None,
    format: Annotated[Literal["table", "json"], typer.Option(help="How to print.")] = "table",  # noqa: A002  # the option's name
) -> None:
    """List the runs: metric, dataset, how much is judged, accuracy."""
    import json
    import sys

    from calf.runs.run import describe_runs
    from calf.workspace import find_workspace

    found = describe_runs(runs or find_workspace().runs)
    if format == "json":
        typer.echo(json.dumps({"runs": found}, ensure_ascii=False, indent=1))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from calf.cli.output import WIDTH
    from calf.formatting import number

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("run", "metric", "dataset", "comparisons", "accuracy", "state"):
        table.add_column(title, overflow="fold")
    for run in found:
        if run["state"] == "broken":
            table.add_row(escape(run["id"]), "-", "-", "-", "-", escape(f"broken: {run['problem']}"))
            continue
        count = f"{run['comparisons']} of {run['of']}"
        cells = (run["id"], run["metric"], run["dataset"], count, number(run["accuracy"]), run["state"])
        table.add_row(*map(escape, cells))
    Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False).print(table)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    comparison: Annotated[
        str | None,
        typer.Option("--comparison", help="All that it kept of this one: verdicts, explanations, transcripts."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="With --comparison: where the run's dataset is, if it was moved."),
    ] = None,
    runs: Runs = None,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["table", "json", "csv"], typer.Option(help="How to print.")
    ] = "table",
) -> None:
    """Show a run's result in the form of `calf evaluate`, or what it kept of one comparison."""
    from calf.cli.output import print_runs
    from calf.cli.showing import print_comparison
    from calf.runs.run import find_run, open_run
    from calf.workspace import find_workspace

    path = find_run(runs or find_workspace().runs, run)
    if comparison is not None:
        print_comparison(path, comparison, dataset, format)
        return
    found = open_run(path)
    if format == "table":
        typer.echo(f"{found.id}\nsignature: {found.manifest['signature']}\ncommand: {found.manifest['command']}")
    print_runs([found], format)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL: id and verdict, or id, score_a, score_b; order if both.")],
    metric_name: Annotated[str, typer.Option("--metric-name", help="The metric's name in tables.")],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Known name, file, folder or hub id.")] = "sample",
    runs: Runs = None,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["table", "json", "csv"], typer.Option(help="How to print.")
    ] = "table",
) -> None:
    """Make a run of judgments that were computed elsewhere."""
    from calf.cli.output import print_runs
    from calf.datasets.load import load_dataset
    from calf.runs.importing import import_run
    from calf.workspace import find_workspace

    run = import_run(file, metric_name, load_dataset(dataset), runs or find_workspace().runs)
    print_runs([run], format)
    if run.failures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in run.failures.items())
        typer.echo(f"calf: {sum(run.failures.values())} of {len(run.judgments)} judgments failed: {kinds}", err=True)
        raise typer.Exit(1)
