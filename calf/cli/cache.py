"""`calf cache info | clear`: what is kept between runs: the answers of judges' servers, and vectors of texts."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

__all__ = ["app"]

app = typer.Typer(
    help="What is kept between runs: answers of judges' servers, vectors of texts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def info(
    format: Annotated[Literal["table", "json"], typer.Option(help="How to print.")] = "table",  # noqa: A002  # the option's name
) -> None:
    """Show where answers and vectors are kept, and how many of which model."""
    import dataclasses
    import json

    from calf.engine.cache import Cache
    from calf.models.kept import BOUND, KeptVectors

    answers, vectors = Cache().info(), KeptVectors().info()
    if format == "json":
        found = {
            "path": str(answers.path),
            "bytes": answers.bytes,
            "models": [dataclasses.asdict(model) for model in answers.models],
            "vectors": {
                "path": str(vectors.path),
                "bytes": vectors.bytes,
                "bound": vectors.bound,
                "models": [dataclasses.asdict(model) for model in vectors.models],
            },
        }
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"{answers.path}: {answers.answers:,} answers, {answers.bytes:,} bytes")
    for model in answers.models:
        tokens = f"{model.input_tokens:,} input and {model.output_tokens:,} output tokens"
        typer.echo(f"{model.model} at {model.place}: {model.answers:,} answers, {tokens}")
    limit = f"of at most {vectors.bound:,} ({BOUND})"
    typer.echo(f"{vectors.path}: vectors of {vectors.texts:,} texts, {vectors.bytes:,} bytes {limit}")
    for kept in vectors.models:
        typer.echo(f"{kept.model}: vectors of {kept.texts:,} texts, {kept.bytes:,} bytes")


@app.command()
def clear(
    model: Annotated[
        str | None, typer.Option(help="Only what is of this model, as `calf cache info` names it.")
    ] = None,
    only: Annotated[Literal["answers", "vectors"] | None, typer.Option(help="Only these.")] = None,
) -> None:
    """Remove kept answers and vectors; runs keep their judgments."""
    from calf.engine.cache import Cache
    from calf.errors import UnknownNameError
    from calf.models.kept import KeptVectors

    answers = Cache() if only != "vectors" else None
    vectors = KeptVectors() if only != "answers" else None
    if model is not None:
        known = {found.model for store in (answers, vectors) if store is not None for found in store.info().models}
        if model not in known:
            raise UnknownNameError("model in the cache", model, known, "`calf cache info` shows all")
    if answers is not None:
        typer.echo(f"removed {answers.clear(model):,} answers from {answers.path}", err=True)
    if vectors is not None:
        typer.echo(f"removed the vectors of {vectors.clear(model):,} texts from {vectors.path}", err=True)
