"""The leaderboard: one table per dataset, from the text-free files of complete runs."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import UserError
from calf.formatting import write_csv
from calf.leaderboard.boards import Board, Entry, boards_of
from calf.leaderboard.latex import to_latex
from calf.leaderboard.markdown import published, to_markdown
from calf.runs.store import write_atomically
from calf.runs.usage import spent_columns
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Board", "Entry", "boards_of", "write_leaderboard"]


def write_leaderboard(
    datasets: Sequence[str] = (),
    *,
    runs: Path | None = None,
    format: str = "markdown",  # noqa: A002  # the command line's name
    output: Path | None = None,
) -> Path | None:
    """Writes the leaderboard, and returns the file; None if it went to standard output.

    Args:
        datasets: only these; () for all.
        runs: the folder of runs; default: the workspace's, or `./runs`.
        format: markdown, latex, csv or json.
        output: "-" is standard output; default: `leaderboard.md` of the workspace for markdown, else "-".

    Raises:
        UserError: there is nothing to show, or the file cannot be written.
    """
    workspace = find_workspace()
    folder = runs or workspace.runs
    boards = boards_of(folder, datasets)
    if not boards:
        raise UserError(f"no complete run in {folder}; make one with: calf evaluate --metric rouge-l")
    text = _RENDERERS[format](boards)
    if output is None and format == "markdown":
        output = (workspace.root or Path.cwd()) / "leaderboard.md"
    if output is None or str(output) == "-":
        sys.stdout.write(text)
        return None
    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
    return output


def _flat(boards: Sequence[Board]) -> list[dict[str, Any]]:
    rows = []
    for board in boards:
        for entry in board.entries:
            run = entry.run
            about = {
                "run": run.id if run else "",
                "rank": entry.rank,
                "fingerprint": board.fingerprint,
                "seconds": run.timing.get("seconds") if run else None,
                **spent_columns(run.timing if run else {}),
                "command": entry.command,
                "signature": entry.signature,
            }
            rows += [{**row, **about} for row in entry.rows.values()]
    return rows


def _csv(boards: Sequence[Board]) -> str:
    out = io.StringIO()
    write_csv(_flat(boards), out)
    return out.getvalue()


def _json(boards: Sequence[Board]) -> str:
    table = {"rows": _flat(boards), "published": published()}
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


_RENDERERS: Mapping[str, Callable[[Sequence[Board]], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": _csv,
    "json": _json,
}
