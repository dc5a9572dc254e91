"""The leaderboard as `leaderboard.md` has it."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import TYPE_CHECKING, Any

from calf.datasets.definitions import definition_files, read_definition
from calf.leaderboard.columns import asks_servers, behind, columns
from calf.titles import LEFT_OUT
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from calf.leaderboard.boards import Board, Entry

__all__ = ["published", "to_markdown"]

_INTRODUCTION = (
    "Written by `calf leaderboard`; do not edit. Accuracy is agreement with people over three outcomes (a failed "
    "judgment counts as wrong), in brackets its 95 % interval by bootstrap over groups. Rank is 1 + the number of "
    "runs that are significantly better (paired sign-flip test over groups, adjusted for all pairs by step-down "
    "max-T, 0.05): runs of one rank are not told apart, and a run that failed on more than 5 % has none. "
    "Macro-F1, kappa and tau-b count every comparison in both orders, half weight each. Floors are in italics: no "
    "metric, but what a metric must beat. **human** is each annotator against the majority of the others. Time: "
    "of judging, on the machine of the run."
)
_SPENT_IT = (
    "Cost (by the prices in the metric's definition) and tokens (in and out, as the "
    "server counted them): of what was sent for the run, failed judgments included; answers that were in the cache "
    "cost nothing."
)
_BEHIND_IT = (
    "Behind the accuracy: acc_eq is tie-calibrated accuracy with the threshold from other groups, chance the same "
    "with scores shuffled; ties the share of `same` verdicts; flips the share of verdicts that change with the "
    "order, first how often the response shown first is preferred (in one order it also holds what that response "
    "deserves); longer and shorter the accuracy where people preferred it, length-balanced their mean; beyond "
    "length the out-of-fold gain in log-loss over length alone; human how often the human is preferred to the "
    "model; overlap gap how much more often the metric is right where the preferred response shares many words "
    "with the reference; leave-one-out the agreement with the majority of the other annotators; winning and "
    "advantage those of the alternative annotator test (epsilon 0.2)."
)


def to_markdown(boards: Sequence[Board]) -> str:
    """Two tables a board, how each row was made, and the published figures."""
    lines = [
        "# Leaderboard",
        "",
        *textwrap.wrap(" ".join([_INTRODUCTION, *([_SPENT_IT] if any(map(asks_servers, boards)) else [])]), 115),
        "",
        *textwrap.wrap(_BEHIND_IT, 115),
    ]
    for board, shared in (board.shortened() for board in boards):
        lines += ["", f"## {board.dataset}", ""]
        lines.append(
            f"{board.comparisons} comparisons in {board.groups} groups; fingerprint `{board.fingerprint[:12]}`."
        )
        lines += ["", *(f"**{note}**" for note in board.notes)] if board.notes else []
        lines += ["", *_table(board, columns(board)), "", "Behind the accuracy:", "", *_table(board, behind(board))]
        lines += ["", f"{LEFT_OUT} {_code(shared)}."] if shared else []
        if not any(entry.run is None for entry in board.entries):
            lines += ["", "The floors are not here; any `calf evaluate` of the whole dataset makes them."]
        if board.unranked:
            lines += ["", f"Without ranks: {_escape(board.unranked)}."]
        if board.partial:
            lines += ["", f"Left out, since they cover only a part: {', '.join(f'`{p}`' for p in board.partial)}."]
        lines += ["", "How each row was made:", "", _row(["metric", "command", "signature"]), _row(["---"] * 3)]
        for entry in board.entries:
            lines.append(_row([_name(entry), _code(entry.command), _code(entry.signature)]))
    figures = published()
    if figures:
        lines += ["", "## Published figures", "", "As reported by their sources; not measured here.", ""]
        lines += [_row(["dataset", "metric", "accuracy", "macro-F1", "of what", "source"]), _row(["---"] * 6)]
        lines += [_row([_escape(cell) for cell in _published_cells(figure)]) for figure in figures]
    return "\n".join(lines) + "\n"


def _table(board: Board, columns: Sequence[tuple[str, Callable[[Entry], str]]]) -> list[str]:
    head = [_row(["metric", *(title for title, _ in columns)]), _row(["---"] * (len(columns) + 1))]
    return head + [_row([_name(entry), *(cell(entry) for _, cell in columns)]) for entry in board.entries]


def _name(entry: Entry) -> str:
    if entry.people:
        return f"**{_escape(entry.metric)}** ({entry.rows['overall']['n']} comparisons)"
    return f"*{_escape(entry.metric)}* (floor)" if entry.floor else _escape(entry.metric)


def published() -> list[dict[str, Any]]:
    """The figures that the definitions of known datasets report, with the dataset's name."""
    files = definition_files(find_workspace())
    return [
        {"dataset": name, **dataclasses.asdict(figure)}
        for name, path in sorted(files.items())
        for figure in read_definition(path).published
    ]


def _published_cells(figure: Mapping[str, Any]) -> list[str]:
    shares = ["-" if figure[key] is None else f"{figure[key]:g} %" for key in ("accuracy", "macro_f1")]
    return [figure["dataset"], figure["metric"], *shares, figure["what"], figure["source"]]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def _code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("|", "\\|").replace("`", "'") + "`"  # a prompt may stand in a signature
