"""The columns of a board's two tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.formatting import duration, interval, number, whole
from calf.types import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calf.leaderboard.boards import Board, Entry

__all__ = ["asks_servers", "behind", "columns"]


def columns(board: Board) -> list[tuple[str, Callable[[Entry], str]]]:
    """The titles and cells of a board's table."""

    def share(slice_name: str) -> Callable[[Entry], str]:
        return lambda e: interval(e.rows[slice_name], "accuracy") if slice_name in e.rows else "-"

    def plain(name: str) -> Callable[[Entry], str]:
        return lambda e: number(e.rows["overall"][name])

    settings = [s for s in SETTINGS if any(f"setting={s}" in entry.rows for entry in board.entries)]
    return [
        ("rank", lambda e: "-" if e.rank is None else str(e.rank)),
        ("accuracy", share("overall")),
        *((setting.replace("_", " "), share(f"setting={setting}")) for setting in settings),
        ("macro-F1", lambda e: interval(e.rows["overall"], "macro_f1_symmetric")),
        ("kappa", plain("kappa_symmetric")),
        ("tau-b", plain("kendall_tau_symmetric")),
        ("coverage", plain("coverage")),
        ("time", lambda e: "-" if e.run is None else duration(e.run.timing.get("seconds"))),
        *(_SPENT if asks_servers(board) else ()),
    ]


_SPENT: Sequence[tuple[str, Callable[[Entry], str]]] = (
    ("cost", lambda e: "-" if e.spent is None or e.spent.cost is None else e.spent.priced),
    ("tokens", lambda e: "-" if e.spent is None else whole(e.spent.tokens)),
)


def asks_servers(board: Board) -> bool:
    """Whether a run of the board asked a server."""
    return any(entry.spent for entry in board.entries)


def behind(board: Board) -> list[tuple[str, Callable[[Entry], str]]]:
    """The same of the table that says what stands behind the accuracy; columns that say nothing are left out."""

    def share(name: str) -> Callable[[Entry], str]:
        return lambda e: interval(e.rows["overall"], name)

    def plain(name: str) -> Callable[[Entry], str]:
        return lambda e: number(e.rows["overall"][name])

    columns = [
        ("acc_eq", "acc_eq_cv", share),
        ("chance", "acc_eq_chance", plain),
        ("ties", "tie_rate", plain),
        ("F1 same", "f1_same", plain),
        ("flips", "flip_rate", share),
        ("first", "first_position_rate", share),
        ("longer", "accuracy_longer_preferred", plain),
        ("shorter", "accuracy_shorter_preferred", plain),
        ("length-balanced", "accuracy_length_balanced", share),
        ("beyond length", "length_log_loss_gain", share),
        ("human", "human_preferred_rate", share),
        ("overlap gap", "overlap_gap", share),
        ("leave-one-out", "accuracy_leave_one_out", share),
        ("winning", "alt_winning_rate", plain),
        ("advantage", "alt_advantage", plain),
    ]
    overall = [entry.rows["overall"] for entry in board.entries]
    return [(title, kind(name)) for title, name, kind in columns if any(row[name] is not None for row in overall)]
