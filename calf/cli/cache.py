"""`calf cache info | clear`: the answers of judges' servers that are kept."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

__all__ = ["app"]

app = typer.Typer(help="Answers that judges' servers gave.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def info(
    format: Annotated[Literal["table", "json"], typer.Option(help="How to print.")] = "table",  # noqa: A002  # the option's name
) -> None:
    """Show where answers are kept, and how many of which model."""
    import dataclasses
    import json

    from calf.engine.cache import Cache

    found = Cache().info()
    if format == "json":
        models = [dataclasses.asdict(model) for model in found.models]
        typer.echo(json.dumps({"path": str(found.path), "bytes": found.bytes, "models": models}, indent=1))
        return
    typer.echo(f"{found.path}: {found.answers:,} answers, {found.bytes:,} bytes")
    for model in found.models:
        tokens = f"{model.input_tokens:,} input and {model.output_tokens:,} output tokens"
        typer.echo(f"{model.model} at {model.place}: {model.answers:,} answers, {tokens}")


@app.command()
def clear(
    model: Annotated[str | None, typer.Option(help="Only this model's answers, as its server names it.")] = None,
) -> None:
    """Remove kept answers; runs keep their judgments."""
    from calf.engine.cache import Cache
    from calf.errors import UnknownNameError

    cache = Cache()
    known = {found.model for found in cache.info().models} if model is not None else set()
    if model is not None and model not in known:
        raise UnknownNameError("model in the cache", model, known, "`calf cache info` shows all")
    typer.echo(f"removed {cache.clear(model):,} answers from {cache.path}", err=True)
