"""Files of scores, one line per judgment, without texts; and how a file is written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from calf.decide import Judgment
from calf.errors import DataError
from calf.types import LABELS, ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["join_scores", "read_scores", "write_atomically", "write_scores"]

_SCORES = ("id", "order", "score_a", "score_b", "verdict", "failure")


def write_atomically(path: Path, text: str) -> None:
    """Writes a whole file or nothing: a temporary file beside it, then a rename."""
    with _whole(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_scores(path: Path, judgments: Iterable[Judgment]) -> None:
    """Writes a file of scores, in the order given; repeats are further lines of the same id and order."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_SCORES)
    for j in judgments:
        numbers = ["" if value is None else repr(value) for value in (j.score_a, j.score_b)]
        writer.writerow([j.id, j.order, *numbers, j.verdict or "", j.failure or ""])
    write_atomically(path, out.getvalue())


def join_scores(path: Path, pieces: Iterable[Path]) -> None:
    """Writes the lines of several files of scores as one."""
    with _whole(path) as file:
        file.write((",".join(_SCORES) + "\n").encode())
        for piece in pieces:
            with piece.open("rb") as lines:
                lines.readline()
                shutil.copyfileobj(lines, file)


def read_scores(path: Path) -> list[Judgment]:
    """Reads a `scores.csv`.

    Raises:
        DataError: a line is not as `write_scores` writes it.
    """
    judgments = []
    seen: dict[tuple[str, str], int] = {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != _SCORES:
            raise DataError(f"the header must be {','.join(_SCORES)}; delete the file and run again", path, 1)
        for row in reader:
            try:
                name, order, a, b, verdict, failure = row
                if order not in ORDERS or bool(verdict) == bool(failure) or (verdict and verdict not in LABELS):
                    raise ValueError
                repeat = seen.get((name, order), 0)
                seen[name, order] = repeat + 1
                score_a, score_b = (float(value) if value else None for value in (a, b))
                if not all(score is None or math.isfinite(score) for score in (score_a, score_b)):
                    raise ValueError
                judgments.append(Judgment(name, order, repeat, score_a, score_b, verdict or None, failure or None))
            except ValueError:
                raise DataError("not a line of scores; delete the file and run again", path, reader.line_num) from None
    return judgments
