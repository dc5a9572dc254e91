"""The leaderboard for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.leaderboard.columns import columns
from calf.titles import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.leaderboard.boards import Board

__all__ = ["to_latex"]


def to_latex(boards: Sequence[Board]) -> str:
    """A table a board, with the packages booktabs and graphicx."""
    lines = ["% Written by calf leaderboard; needs the packages booktabs and graphicx."]
    for board, shared in (board.shortened() for board in boards):
        shown = columns(board)
        size = f"{board.comparisons} comparisons in {board.groups} groups."
        caption = " ".join([f"{board.dataset}: {size}", *board.notes, *([f"{LEFT_OUT} {shared}."] if shared else [])])
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(caption)}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * len(shown)}}}",
            r"\toprule",
            " & ".join(["metric", *(_tex(title) for title, _ in shown)]) + r" \\",
            r"\midrule",
        ]
        for entry in board.entries:
            name = rf"\emph{{{_tex(entry.metric)}}} (floor)" if entry.floor else _tex(entry.metric)
            lines.append(" & ".join([name, *(_tex(cell(entry)) for _, cell in shown)]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
