"""The commands. Each imports what it needs when it is called, so that `calf --help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import calf
from calf.cli.cache import app as cache_app
from calf.cli.datasets import app as datasets_app
from calf.cli.metrics import app as metrics_app
from calf.cli.runs import app as runs_app

__all__ = ["app"]

app = typer.Typer(
    name="calf",
    help="Which automatic metrics for long-form answers agree with people.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(datasets_app, name="datasets")
app.add_typer(metrics_app, name="metrics")
app.add_typer(runs_app, name="runs")
app.add_typer(cache_app, name="cache")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"calf {calf.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@app.command()
def evaluate(
    metric: Annotated[
        list[str],
        typer.Option("--metric", "-m", help="Name, name[option=value,...], package.module:Name or file.py:Name."),
    ],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Known name, file, folder or hub id.")] = "sample",
    setting: Annotated[list[str] | None, typer.Option(help="Only this setting; repeatable.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Only this subject; repeatable.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only this language; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Whole groups of at most N comparisons together.")] = None,
    order: Annotated[
        Literal["given", "swapped", "both"] | None,
        typer.Option(help="Which response is shown first.  [default: both for judges of pairs, else given]"),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Judge each comparison so often in each order.")] = 1,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="key=value for the one --metric; repeatable.")
    ] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="field=column for a table of other columns; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    executor: Annotated[
        str, typer.Option(help="local, dask (--jobs processes) or dask:ADDRESS (a cluster that is there).")
    ] = "local",
    seed: Annotated[int, typer.Option(help="For everything that is drawn.")] = 0,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Judge everything again.")] = False,
    rule: Annotated[
        Literal["agree-or-same", "mean-probabilities", "first-order"] | None,
        typer.Option(help="With --order both: how two verdicts become one.  [default: agree-or-same]"),
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="A further column to slice by; repeatable.")] = None,
    alt_epsilon: Annotated[
        float, typer.Option(min=0, max=1, help="Of the alternative annotator test, where there are annotators.")
    ] = 0.2,
    max_requests: Annotated[
        int | None, typer.Option(min=1, help="Judges: stop before the run has sent more in all.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Judges: stop before the run has cost more in all.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Judges: send nothing more after so many seconds.")
    ] = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache", help="Judges: keep and reuse answers; without, a debate cut off begins anew."
        ),
    ] = True,
    record: Annotated[Path | None, typer.Option(help="Judges: append requests and replies to this file.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Judges: answer from such a file; nothing is sent.")] = None,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["table", "json", "csv"], typer.Option(help="How to print the result.")
    ] = "table",
) -> None:
    """Judge a dataset with metrics and measure their agreement with people."""
    from calf.cli.evaluating import evaluate_all
    from calf.engine.budget import Spending

    code = evaluate_all(
        metric,
        dataset,
        options=option or [],
        mapping=mapping or [],
        format=format,
        setting=setting or [],
        subject=subject or [],
        language=language or [],
        limit=limit,
        order=order,
        repeat=repeat,
        jobs=jobs,
        executor=executor,
        seed=seed,
        runs=runs,
        fresh=fresh,
        rule=rule,
        by=by or [],
        alt_epsilon=alt_epsilon,
        spending=Spending(max_requests, max_cost, cache, record, replay, max_seconds),
    )
    raise typer.Exit(code)


@app.command()
def estimate(
    metric: Annotated[
        str, typer.Option("--metric", "-m", help="Name, name[option=value,...], package.module:Name or file.py:Name.")
    ],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Known name, file, folder or hub id.")] = "sample",
    setting: Annotated[list[str] | None, typer.Option(help="Only this setting; repeatable.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Only this subject; repeatable.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only this language; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Whole groups of at most N comparisons together.")] = None,
    order: Annotated[
        Literal["given", "swapped", "both"] | None,
        typer.Option(help="Which response is shown first.  [default: both for judges of pairs, else given]"),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Judge each comparison so often in each order.")] = 1,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="key=value for the metric; repeatable.")
    ] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="field=column for a table of other columns; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For everything that is drawn.")] = 0,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="As if nothing was judged.")] = False,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="With the kept answers, or without.")] = True,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["table", "json"], typer.Option(help="How to print the estimate.")
    ] = "table",
) -> None:
    """Say what evaluating a judge would send and cost; nothing is sent."""
    from calf.cli.estimating import estimate_all

    estimate_all(
        metric,
        dataset,
        options=option or [],
        mapping=mapping or [],
        format=format,
        setting=setting or [],
        subject=subject or [],
        language=language or [],
        limit=limit,
        order=order,
        repeat=repeat,
        seed=seed,
        runs=runs,
        fresh=fresh,
        cache=cache,
    )


@app.command()
def leaderboard(
    dataset: Annotated[list[str] | None, typer.Option("--dataset", "-d", help="Only this dataset; repeatable.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs.")] = None,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["markdown", "latex", "csv", "json"], typer.Option(help="What to write.")
    ] = "markdown",
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, - for standard output; markdown goes to leaderboard.md by default."),
    ] = None,
) -> None:
    """Write the leaderboard from the runs' text-free files."""
    from calf.leaderboard import write_leaderboard

    written = write_leaderboard(dataset or [], runs=runs, format=format, output=output)
    if written is not None:
        typer.echo(f"wrote {written}", err=True)


@app.command()
def compare(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of runs, their beginnings, or metrics' names; none: all complete runs on --dataset."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="What the runs judged; where it is now, if it was moved.")
    ] = None,
    rule: Annotated[
        Literal["agree-or-same", "mean-probabilities", "first-order"] | None,
        typer.Option(help="For runs in both orders: how two verdicts become one.  [default: agree-or-same]"),
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="A further column to slice by; repeatable.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="field=column of --dataset, if not as the runs read it.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs.")] = None,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["table", "json", "csv"], typer.Option(help="How to print the result; csv: the pairs.")
    ] = "table",
) -> None:
    """Compare stored runs on one dataset: differences, tests, ranks, agreement."""
    from calf.cli.comparing import compare_all

    compare_all(run or [], dataset, rule=rule, by=by or [], mapping=mapping or [], runs=runs, format=format)


@app.command()
def power(
    run: Annotated[list[str], typer.Argument(help="Two or more: ids of runs, their beginnings, or metrics' names.")],
    difference: Annotated[float, typer.Option(help="The difference in accuracy to plan for.")] = 0.03,
    power: Annotated[float, typer.Option(help="The wanted probability of finding it.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="The level of the test.")] = 0.05,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="What the runs judged; where it is now, if it was moved.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs.")] = None,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["table", "json"], typer.Option(help="How to print the plan.")
    ] = "table",
) -> None:
    """Say what differences between metrics a dataset can show, and how large it must be."""
    from calf.cli.planning import plan_all

    plan_all(run, dataset, difference=difference, power=power, alpha=alpha, runs=runs, format=format)


@app.command()
def train(
    on: Annotated[str, typer.Option(help="What to learn from: known name, file, folder or hub id.")],
    test: Annotated[
        str | None, typer.Option(help="Judge this other dataset with it; what both share is not learned from.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the evaluator: then --metric trained:FOLDER.")
    ] = None,
    features: Annotated[
        str, typer.Option(help="Families of features, with commas between; auto: all but embedding.")
    ] = "auto",
    model: Annotated[
        Literal["auto", "logistic", "trees", "boosting", "mean"],
        typer.Option(help="mean: of logistic and trees; auto: what does best on unseen examples."),
    ] = "mean",
    objective: Annotated[
        Literal["accuracy", "balanced"],
        typer.Option(help="What the rule for `same` makes best: accuracy, or with half of macro-F1 added."),
    ] = "accuracy",
    scores: Annotated[
        list[str] | None,
        typer.Option(help="A run on the dataset whose scores are learned from, too; repeatable."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Of the groups, for cross-fitting.")] = 5,
    hold_out: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the groups that is put aside, by hash.")
    ] = 0.0,
    open_held_out: Annotated[bool, typer.Option("--open", help="Judge these too: once, when all is chosen.")] = False,
    studies: Annotated[
        bool, typer.Option("--studies/--no-studies", help="Learning curve, ablations, importances.")
    ] = True,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="field=column of --on, for a table of other columns; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For everything that is drawn.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs, for --scores.")] = None,
    format: Annotated[  # noqa: A002  # the option's name
        Literal["table", "json"], typer.Option(help="How to print the result.")
    ] = "table",
) -> None:
    """Learn an evaluator from human comparisons, and say what it is worth on unseen ones."""
    from calf.cli.training import train_all

    train_all(
        on,
        test=test,
        out=out,
        features=features,
        model=model,
        objective=objective,
        scores=scores or [],
        folds=folds,
        hold_out=hold_out,
        open_held_out=open_held_out,
        studies=studies,
        mapping=mapping or [],
        seed=seed,
        jobs=jobs,
        runs=runs,
        format=format,
    )
