"""Prints datasets: the list of known ones, one with its audit, a file's problems."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from calf.datasets.audit import audit
from calf.datasets.definitions import definition_files, read_definition
from calf.datasets.known import find_data_file
from calf.datasets.load import load_dataset, load_definition, validate_file
from calf.errors import DataError
from calf.types import LABELS
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from calf.datasets.audit import Audit
    from calf.datasets.definitions import Definition
    from calf.workspace import Workspace

__all__ = ["download_bar", "list_datasets", "show_dataset", "validate_dataset"]


def list_datasets(format: str) -> None:  # noqa: A002  # the command line's name
    """Prints the known datasets as a table or, for "json", as one object."""
    workspace = find_workspace()
    records = [_listed(name, path, workspace) for name, path in definition_files(workspace).items()]
    if format == "json":
        _print_json({"datasets": records})
        return
    table = _table("dataset", "comparisons", "language", "here", "licence", "title")
    for record in records:
        here = record["problem"] or record["state"]
        cells = (record["comparisons"], record["language"], here, record["licence"], record["title"])
        table.add_row(record["name"], *(_text(cell) for cell in cells))
    _console().print(table)


def show_dataset(name_or_path: str, mapping: Mapping[str, str] | None, format: str) -> None:  # noqa: A002  # as above
    """Prints what a dataset is and holds; of a known one that is not here, what is known of it.

    Raises:
        UserError: see `calf.datasets.load.load_dataset`.
    """
    workspace = find_workspace()
    known = definition_files(workspace).get(name_or_path)
    definition = None if known is None else read_definition(known)
    report = None
    if definition is None or mapping:
        loaded = load_dataset(name_or_path, mapping=mapping, workspace=workspace)
        report = audit(loaded)
    elif find_data_file(definition, workspace) is not None:
        loaded = load_definition(definition, workspace)
        report = audit(loaded, raw=load_definition(definition, workspace, strip=False) if definition.strip else None)
    about = {"name": name_or_path} if definition is None else _described(definition, workspace)
    if format == "json":
        _print_json({**about, "audit": None if report is None else report.as_dict()})
        return
    console = _console()
    if definition is not None:
        _print_definition(console, definition, about)
    if report is not None:
        _print_audit(console, report)


def validate_dataset(path: str, mapping: Mapping[str, str] | None, format: str) -> bool:  # noqa: A002  # as above
    """Prints every problem of a file, or its audit if there is none; returns whether there is none."""
    dataset, problems = validate_file(path, mapping)
    report = None if dataset is None else audit(dataset)
    if format == "json":
        listed = [{"line": problem.line, "text": problem.text} for problem in problems]
        _print_json({"file": path, "problems": listed, "audit": None if report is None else report.as_dict()})
    elif report is None:
        for problem in problems:
            sys.stdout.write(f"{path}:{'' if problem.line is None else f'{problem.line}:'} {problem.text}\n")
        sys.stderr.write(f"calf: {len(problems)} problem{'s' if len(problems) > 1 else ''} in {path}\n")
    else:
        _print_audit(_console(), report)
        sys.stderr.write(f"calf: no problem in {path}\n")
    return not problems


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """What `calf.datasets.fetch.fetch` takes as `progress`: a bar on a terminal, None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def _state(definition: Definition, workspace: Workspace) -> tuple[str, Path | None]:
    """Whether a known dataset can be used, in a word or two, and its file."""
    path = find_data_file(definition, workspace)
    if path is not None:
        return "yes", path
    return ("no; fetch it" if definition.source.url else "no; bring the file"), None


def _listed(name: str, path: Path, workspace: Workspace) -> dict[str, Any]:
    """A row of the list; a definition or folder that is wrong is listed with its problem."""
    blank = dict.fromkeys(("title", "licence", "language", "comparisons"), None)
    try:
        definition = read_definition(path)
        return {**_described(definition, workspace), "problem": None}
    except DataError as error:
        return {"name": name, **blank, "state": "wrong", "definition": str(path), "problem": str(error)}


def _described(definition: Definition, workspace: Workspace) -> dict[str, Any]:
    """What a definition says, for JSON."""
    state, path = _state(definition, workspace)
    source = definition.source
    return {
        "name": definition.name,
        "title": definition.title,
        "summary": definition.summary,
        "card": definition.card,
        "notes": list(definition.notes),
        "licence": definition.licence,
        "homepage": definition.homepage,
        "language": definition.language,
        "comparisons": definition.expect.comparisons,
        "url": source.url,
        "revision": source.revision,
        "sha256": source.sha256,
        "unavailable": source.unavailable,
        "strip": [marker.marker for marker in definition.strip],
        "definition": str(definition.path),
        "file": None if path is None else str(path),
        "state": state,
    }


def _print_definition(console: Console, definition: Definition, about: Mapping[str, Any]) -> None:
    from rich.markdown import Markdown
    from rich.markup import escape

    source = definition.source
    console.print(f"[bold]{definition.name}[/]: {escape(definition.title)}")
    for note in definition.notes:
        console.print(f"[bold]{escape(note)}[/]")
    checksum = source.sha256 or "unverified: the definition has no checksum"
    lines = {
        "licence": definition.licence,
        "homepage": definition.homepage,
        "source": source.url or source.unavailable,
        "sha256": checksum if source.url or source.sha256 else None,
        "file": about["file"] or about["state"],
        "strips": ", ".join(json.dumps(text, ensure_ascii=False) for text in about["strip"]),
        "definition": about["definition"],
    }
    for key, value in lines.items():
        if value:
            console.print(f"{key}: {escape(value)}", soft_wrap=True)  # addresses are copied from here
    console.print()
    if definition.card.strip():
        console.print(Markdown(definition.card))
        console.print()


def _print_audit(console: Console, report: Audit) -> None:
    from rich.markup import escape

    console.print(
        f"[bold]{report.comparisons}[/] comparisons of [bold]{report.questions}[/] questions "
        f"in [bold]{report.groups}[/] groups; {report.responses} distinct responses\n"
    )
    labels = _table("setting", "comparisons", *LABELS)
    for setting, counts in report.labels.items():
        labels.add_row(setting, str(sum(counts.values())), *(str(counts.get(label, 0)) for label in LABELS))
    console.print(labels)
    for name in ("language", "subject"):
        parts = (f"{escape(value)} {count}" for value, count in report.counts[name].items())
        console.print(f"{name}: {', '.join(parts)}")
    console.print()
    texts = _table("source", "language", "texts", "unit", "median", "mean", "5 %", "95 %", "unfinished")
    for row in report.texts:
        numbers = (f"{value:.0f}" for value in (row.median, row.mean, row.low, row.high))
        texts.add_row(escape(row.source), row.language, str(row.count), row.unit, *numbers, str(row.unfinished))
    console.print(texts)
    console.print()
    if not report.findings:
        console.print("the audit finds nothing that stands out")
        return
    findings = _table("severity", "finding", "what")
    styles = {"error": "bold red", "warning": "yellow", "note": "dim"}
    for finding in report.findings:
        style = styles[finding.severity]
        example = f" [dim](e.g. {escape(finding.ids[0])})[/]" if finding.ids else ""
        message = escape(finding.message) + example
        findings.add_row(f"[{style}]{finding.severity}[/]", finding.kind.replace("_", " "), message)
    console.print(findings)


def _text(value: object) -> str:
    from rich.markup import escape

    return "-" if value in (None, "") else escape(str(value))


def _table(*titles: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _console() -> Console:
    from rich.console import Console

    from calf.cli.output import WIDTH

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
