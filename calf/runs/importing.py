"""Makes a run of judgments that were computed elsewhere."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from typing import TYPE_CHECKING, Any

from calf.decide import Judgment, verdict_of_scores
from calf.errors import DataError, UserError
from calf.runs.conclude import conclude
from calf.runs.identity import imported_manifest, run_id
from calf.runs.plan import LARGEST
from calf.runs.rows import PEOPLE, View
from calf.runs.store import RunFolder, write_atomically
from calf.types import LABELS, ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from calf.datasets.dataset import Dataset
    from calf.decide import OrderChoice
    from calf.runs.run import Run
    from calf.types import Order

__all__ = ["import_run"]

_COLUMNS = {"id", "order", "verdict", "score_a", "score_b"}


def import_run(file: Path, metric_name: str, dataset: Dataset, runs: Path) -> Run:
    """Reads a CSV or JSONL file of `id` and `verdict`, or of `id`, `score_a` and `score_b`.

    Verdicts and scores speak of the dataset's sides. A column `order` (given, swapped) may say what was shown first;
    without it the order is given. A comparison of the dataset that the file leaves out is a failure of kind
    `missing`. The same file imported again is the same run.

    Raises:
        DataError: a line is wrong: unknown id, twice the same, no verdict or score, other columns.
        UserError: the metric's name is blank.
    """
    if not metric_name.strip() or not metric_name.isprintable():
        raise UserError("--metric-name must be a name that can be printed")
    if metric_name == PEOPLE:
        raise UserError(f"--metric-name {PEOPLE}: this is the name of people's own rows; choose another")
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError("no such file", file) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError("not UTF-8", file, line) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file) from None
    found: dict[tuple[str, Order], Judgment] = {}
    known = {c.id for c in dataset}
    for line, record in _records(file, text):
        judgment = _judgment(record, known, dataset.name, file, line)
        place = (judgment.id, judgment.order)
        if place in found:
            raise DataError(f"comparison {judgment.id!r} is judged twice in the order {judgment.order}", file, line)
        found[place] = judgment
    if not found:
        raise DataError("holds no judgments", file)
    order, judgments = _complete(dataset, found)
    signature = f"{metric_name}|imported|sha256:{hashlib.sha256(content).hexdigest()[:16]}"
    folder = RunFolder(runs / run_id(metric_name, signature, dataset, order, 0))
    with folder.lock():
        folder.write("manifest", imported_manifest(metric_name, signature, dataset, order, file.name))
        lines = [json.dumps(_line(judgment), ensure_ascii=False) + "\n" for judgment in found.values()]
        write_atomically(folder.journal, "".join(lines))
        return conclude(folder, dataset, dict.fromkeys((c.id for c in dataset), 1), judgments, dataset, 1, View())


def _complete(dataset: Dataset, found: Mapping[tuple[str, Order], Judgment]) -> tuple[OrderChoice, list[Judgment]]:
    """The orders that were judged, and a judgment or a failure for every comparison in each of them."""
    orders = [shown for shown in ORDERS if any(place[1] == shown for place in found)]
    twice = any((c.id, "given") in found and (c.id, "swapped") in found for c in dataset)
    judgments = []
    for c in dataset:
        here = [found[c.id, shown] for shown in orders if (c.id, shown) in found]
        wanted = orders if twice else orders[:1]
        absent = [shown for shown in wanted if (c.id, shown) not in found] if twice or not here else []
        judgments += [*here, *(Judgment(c.id, shown, 0, failure="missing") for shown in absent)]
    return "both" if twice else "mixed" if len(orders) == 2 else orders[0], judgments


def _records(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if file.suffix.lower() in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line, object_pairs_hook=_once)
            except (ValueError, RecursionError):
                raise DataError("not a JSON object", file, number) from None
            if not isinstance(record, dict):
                raise DataError("not a JSON object", file, number)
            yield number, record
        return
    if file.suffix.lower() != ".csv":
        raise DataError("the file's name must end in .csv or .jsonl", file)
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="(more)")
    names = list(reader.fieldnames or ())
    if "id" not in names:
        raise DataError("the first line must name the columns, id among them", file, 1)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"two columns are named {twice[0]!r}", file, 1)
    try:
        for record in reader:
            if "(more)" in record or None in record.values():
                raise DataError(f"must have {len(reader.fieldnames or ())} columns", file, reader.line_num)
            yield reader.line_num, {key: value for key, value in record.items() if value != ""}
    except csv.Error as error:
        raise DataError(f"not CSV: {error}", file, reader.line_num) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no key may stand twice."""
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError
    return record


def _judgment(record: Mapping[str, Any], known: set[str], dataset: str, file: Path, line: int) -> Judgment:
    unknown = sorted(set(record) - _COLUMNS - {"failure"})
    if unknown:
        raise DataError(
            f"unknown column {unknown[0]!r}; known: {', '.join(sorted({*_COLUMNS, 'failure'}))}", file, line
        )
    name, order = record.get("id"), record.get("order", "given")
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise DataError("the id is missing", file, line)
    if str(name) not in known:
        raise DataError(f"comparison {str(name)!r} is not in dataset {dataset!r}", file, line)
    if order not in ORDERS:
        raise DataError(f"order {order!r} must be given or swapped", file, line)
    verdict = record.get("verdict")
    scores = [_score(record.get(column), column, file, line) for column in ("score_a", "score_b")]
    if (scores[0] is None) != (scores[1] is None):
        raise DataError("score_a and score_b must both be there", file, line)
    if record.get("failure"):
        if not str(record["failure"]).isprintable():
            raise DataError("the failure must be a printable word", file, line)
        return Judgment(str(name), order, 0, failure=str(record["failure"]))
    if verdict is None and scores[0] is not None and scores[1] is not None:
        verdict = verdict_of_scores(scores[0], scores[1])
    by_scores = verdict_of_scores(scores[0], scores[1]) if scores[0] is not None and scores[1] is not None else "same"
    if "same" not in (verdict, by_scores) and verdict in LABELS and verdict != by_scores:
        raise DataError(f"verdict {verdict} contradicts the scores {scores[0]:g} and {scores[1]:g}", file, line)
    if verdict not in LABELS:
        raise DataError(f"verdict {verdict!r} must be one of {', '.join(LABELS)}", file, line)
    return Judgment(str(name), order, 0, scores[0], scores[1], verdict)


def _score(value: Any, column: str, file: Path, line: int) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= LARGEST or isinstance(value, bool):
        raise DataError(f"{column} {value!r} is not a finite number of ordinary size", file, line)
    return number


def _line(judgment: Judgment) -> dict[str, Any]:
    fields = ("id", "order", "score_a", "score_b", "verdict", "failure")
    return {name: getattr(judgment, name) for name in fields if getattr(judgment, name) is not None}
