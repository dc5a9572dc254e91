"""`calf datasets list | show | fetch | import | validate | export | translate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["app"]

app = typer.Typer(help="Datasets: known ones, and files of your own.", no_args_is_help=True, rich_markup_mode=None)

Format = Annotated[Literal["table", "json"], typer.Option(help="How to print.")]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="For a table of other columns: field=column, field=:constant or label:VALUE=response_a; repeatable.",
    ),
]
NameOrPath = Annotated[str, typer.Argument(help="A known name, a file, a folder or a hub id.", metavar="NAME_OR_PATH")]
Out = Annotated[
    Path, typer.Argument(help="A .jsonl, .json, .parquet or .csv file, or a folder for Hugging Face's datasets.")
]


@app.command("list")
def list_all(format: Format = "table") -> None:  # noqa: A002  # the option's name
    """List the known datasets, and whether they are here."""
    from calf.cli.describing import list_datasets

    list_datasets(format)


@app.command()
def show(
    dataset: NameOrPath,
    mapping: Mapping = None,
    format: Format = "table",  # noqa: A002  # the option's name
) -> None:
    """Show what a dataset is and holds, and what in it can mislead."""
    from calf.cli.describing import show_dataset

    show_dataset(dataset, _pairs(mapping), format)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A known dataset.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="PATH_OR_URL", help="Read a copy instead of its source.")
    ] = None,
) -> None:
    """Get the file of a known dataset, and check it."""
    from calf.cli.describing import download_bar
    from calf.datasets.fetch import fetch as fetch_file

    with download_bar(name) as progress:
        found = fetch_file(name, from_, progress=progress)
    if found.origin is None:
        typer.echo(f"calf: {name} is here already", err=True)
    checked = "checksum verified" if found.verified else f"unverified: its definition has no checksum ({found.sha256})"
    typer.echo(f"calf: {found.comparisons} comparisons; {checked}", err=True)
    typer.echo(found.path)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="A file, or the folder of a Hugging Face dataset.")],
    name: Annotated[str, typer.Option(help="What --dataset shall take.")],
    mapping: Mapping = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what was imported under this name.")] = False,
) -> None:
    """Keep a file under a name, in CALF's own form."""
    from calf.datasets.importing import import_file

    typer.echo(import_file(file, name, _pairs(mapping), force=force))
    typer.echo(f"calf: `calf datasets show {name}` shows it; `--dataset {name}` takes it", err=True)


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="A file, or the folder of a Hugging Face dataset.")],
    mapping: Mapping = None,
    format: Format = "table",  # noqa: A002  # the option's name
) -> None:
    """List a file's problems (exit code 2), or audit it."""
    from calf.cli.describing import validate_dataset

    if not validate_dataset(file, _pairs(mapping), format):
        raise typer.Exit(2)


@app.command()
def export(
    dataset: NameOrPath,
    out: Out,
    mapping: Mapping = None,
) -> None:
    """Write a dataset in another form."""
    from calf.datasets.exporting import export as export_to
    from calf.datasets.load import load_dataset

    loaded = load_dataset(dataset, mapping=_pairs(mapping))
    export_to(loaded, out)
    typer.echo(f"calf: wrote {len(loaded)} comparisons to {out}", err=True)


@app.command()
def translate(
    dataset: NameOrPath,
    model: Annotated[str, typer.Option(help="The model's name on its server.")],
    to: Annotated[Literal["en", "zh"], typer.Option(help="The language to translate into.")] = "en",
    base_url: Annotated[
        str | None,
        typer.Option(help="Of its server.  [default: the model's, if CALF knows it; OPENAI_BASE_URL; OpenAI's]"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What --dataset shall take.  [default: NAME-to]")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Whole groups of at most N comparisons together.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests in flight at most.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before more is spent.")] = None,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Stop before more requests are sent.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it takes, and send nothing.")] = False,
    without_failed: Annotated[
        bool, typer.Option("--without-failed", help="Leave out comparisons with a text that failed its checks.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a dataset of this name in the workspace.")] = False,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="key=value, as for judges: honours, max_tokens, prices, ...; repeatable."),
    ] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Keep and reuse answers.")] = True,
    record: Annotated[Path | None, typer.Option(help="Append requests and replies to this file.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Answer from such a file; nothing is sent.")] = None,
) -> None:
    """Translate a dataset with a model, and check every text of the result."""
    from calf.cli.translating import translate as translate_all
    from calf.engine.budget import Spending

    code = translate_all(
        dataset,
        to=to,
        model=model,
        base_url=base_url,
        name=name,
        limit=limit,
        concurrency=concurrency,
        options=option or [],
        spending=Spending(max_requests, max_cost, cache, record, replay),
        estimate=estimate,
        without_failed=without_failed,
        force=force,
    )
    raise typer.Exit(code)


def _pairs(mapping: list[str] | None) -> dict[str, str] | None:
    from calf.metrics.options import parse_pairs

    return parse_pairs(mapping or [], "--map") or None
