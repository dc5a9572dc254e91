"""`calf metrics list | show`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from calf.metrics.registry import Listing

__all__ = ["app"]

app = typer.Typer(help="The metrics that can be named.", no_args_is_help=True, rich_markup_mode=None)

_UNVERIFIED = "unverified on real weights"

Format = Annotated[Literal["table", "json"], typer.Option(help="How to print.")]


@app.command("list")
def list_all(format: Format = "table") -> None:  # noqa: A002  # the option's name
    """List every metric: family, what it needs, where it is from, whether it can be used now."""
    from calf.metrics.registry import list_metrics

    listings = list_metrics()
    if format == "json":
        _print_json({"metrics": [_record(listing) for listing in listings]})
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from calf.cli.output import WIDTH

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("metric", "family", "judges", "needs", "from", "about"):
        table.add_column(title, overflow="fold")
    for listing in listings:
        about = f"cannot be used: {listing.problem}" if listing.problem else listing.summary
        about += "" if listing.verified else f" ({_UNVERIFIED})"
        family = listing.traits.family if listing.kind else "-"
        cells = (listing.name, family, listing.kind or "-", _needs(listing), listing.origin, about)
        table.add_row(*map(escape, cells))
    Console(width=None if _is_terminal() else WIDTH, highlight=False).print(table)


@app.command()
def show(
    metric: Annotated[str, typer.Argument(help="A metric, as --metric takes it.")],
    format: Format = "table",  # noqa: A002  # the option's name
) -> None:
    """Show one metric: its options with their defaults, and what it needs."""
    from calf.metrics.registry import describe_metric

    listing = describe_metric(metric)
    if format == "json":
        _print_json(_record(listing))
        return
    from calf.metrics.options import write_value

    lines = [f"{listing.name}: {listing.summary}" if listing.summary else listing.name]
    if listing.problem:
        lines.append(f"cannot be used: {listing.problem}")
    if not listing.verified:
        lines.append(f"{_UNVERIFIED}: its prompt and its reader follow what was published, and were not run on them")
    if listing.kind:
        lines += [
            f"judges: {'single responses' if listing.kind == 'response' else 'two responses together'}",
            f"family: {listing.traits.family}",
            f"needs: {_needs(listing)}",
            f"from: {listing.origin} ({listing.adapter})",
            "options:" if listing.options else "options: none",
        ]
    for option in listing.options.values():
        default = "required" if option.name not in listing.defaults else write_value(_default(listing, option.name))
        lines.append(f"  {option.name}={default}  ({option.kind})")
    typer.echo("\n".join(lines))


def _needs(listing: Listing) -> str:
    if not listing.kind:
        return "-"
    needs = ["reference"] if listing.traits.needs_reference else []
    needs += [f"languages {', '.join(listing.traits.languages)}"] if listing.traits.languages else []
    needs += [f"extra {listing.traits.extra}"] if listing.traits.extra else []
    return "; ".join(needs) or "nothing"


def _default(listing: Listing, name: str) -> Any:
    """A definition may hold what must not be shown."""
    from calf.metrics.options import is_secret

    value = listing.defaults.get(name)
    in_address = name.endswith("url") and re.search(r"[@?#]", str(value))
    if value and (in_address or is_secret(name) or name in listing.traits.secrets):
        return "(hidden)"
    return value


def _record(listing: Listing) -> dict[str, Any]:
    return {
        "name": listing.name,
        "family": listing.traits.family,
        "kind": listing.kind,
        "summary": listing.summary,
        "origin": listing.origin,
        "adapter": listing.adapter,
        "needs_reference": listing.traits.needs_reference,
        "languages": listing.traits.languages,
        "extra": listing.traits.extra,
        "verified": listing.verified,
        "usable": not listing.problem,
        "problem": listing.problem,
        "options": {
            option.name: {
                "type": option.kind,
                "required": option.name not in listing.defaults,
                "default": _default(listing, option.name),
            }
            for option in listing.options.values()
        },
    }


def _print_json(table: Any) -> None:
    import json

    typer.echo(json.dumps(table, ensure_ascii=False, indent=1))


def _is_terminal() -> bool:
    import sys

    return sys.stdout.isatty()
