"""What agents said turn by turn, without its texts: `turns.csv`, which shows whether turns change verdicts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from calf.decide import orders_of
from calf.errors import DataError
from calf.runs.plan import mirrored, pair_key
from calf.runs.scores import write_atomically
from calf.types import LABELS, ORDERS, Failure, Opinion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from calf.decide import OrderChoice
    from calf.runs.plan import Outcome
    from calf.types import Comparison, Order, Verdict

__all__ = ["Turn", "read_turns", "turns_of", "write_turns"]


class Turn(NamedTuple):
    """One turn of a judgment.

    Attributes:
        id: the comparison's.
        order, repeat: of the judgment.
        turn: counted from 1.
        step, role: as the metric's definition names them.
        round: of rounds, counted from 1; 0 outside of any.
        verdict: in the dataset's sides; None if the turn has none.
        input_tokens, output_tokens: of the answers, whenever they were paid for.
    """

    id: str
    order: Order
    repeat: int
    turn: int
    step: str
    role: str
    round: int
    verdict: Verdict | None
    input_tokens: int
    output_tokens: int


def turns_of(
    comparisons: Sequence[Comparison],
    order: OrderChoice,
    repeats: Mapping[str, int],
    outcomes: Mapping[str, Outcome],
) -> Iterator[Turn]:
    """The turns of all judgments that have a transcript, failed ones too, in the order of the comparisons."""
    for comparison in comparisons:
        for repeat in range(repeats[comparison.id]):
            for shown in orders_of(order):
                outcome = outcomes.get(pair_key(comparison.id, shown, repeat))
                for number, turn in enumerate(outcome.transcript if isinstance(outcome, (Opinion, Failure)) else (), 1):
                    said = turn.get("verdict")
                    verdict = None if said not in LABELS else mirrored(said) if shown == "swapped" else said
                    yield Turn(
                        comparison.id, shown, repeat, number, str(turn.get("step", "")), str(turn.get("role", "")),
                        int(turn.get("round", 0)), verdict, int(turn.get("input_tokens", 0)),
                        int(turn.get("output_tokens", 0)),
                    )  # fmt: skip


def write_turns(path: Path, turns: Iterator[Turn]) -> None:
    """Writes the file, or removes it if there is no turn."""
    first = next(turns, None)
    if first is None:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([Turn._fields, first, *turns])
    write_atomically(path, text.getvalue())


def read_turns(path: Path) -> list[Turn]:
    """The turns of a run; none if it has no such file.

    Raises:
        DataError: it is not one.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_turn(row, path, number) for number, row in enumerate(csv.DictReader(file), 2)]
    except FileNotFoundError:
        return []


def _turn(row: Mapping[str, str], path: Path, line: int) -> Turn:
    try:
        order = next(known for known in ORDERS if known == row["order"])
        verdict = next((known for known in LABELS if known == row["verdict"]), None)
        return Turn(
            row["id"], order, int(row["repeat"]), int(row["turn"]), row["step"], row["role"], int(row["round"]),
            verdict, int(row["input_tokens"]), int(row["output_tokens"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, StopIteration):
        raise DataError("not a line of turns; delete the file and run again", path, line) from None
