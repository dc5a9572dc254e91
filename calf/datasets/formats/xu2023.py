"""Xu et al. 2023, "A Critical Evaluation of Evaluations for Long-form Question Answering" (arXiv 2305.18201)."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from calf.datasets.formats.derived import derive_ids
from calf.datasets.formats.table import Row, Table
from calf.datasets.problems import Problem, shown

__all__ = ["from_xu2023", "is_xu2023"]

_LABELS = {-1: "response_a", 0: "same", 1: "response_b"}
_RENAMED = {
    "id": "original_id",
    "answer_a": "response_a",
    "answer_b": "response_b",
    "answer_a_type": "source_a",
    "answer_b_type": "source_b",
}
_PERSONAL = ("annotator", "justification")
_SIDE = re.compile(r"_([ab])(?=_|$)")
_PREFERENCE = "_preference"


def is_xu2023(record: dict[str, Any]) -> bool:
    """Whether a record has this form's keys."""
    return record.keys() >= {"answer_a", "answer_b", "overall_preference"}


def from_xu2023(table: Table) -> Table:
    """Rows are single people's judgments: those of the same question and the same two answers become one comparison.

    Its annotations are the rows, its label their majority, `same` where there is no strict one, and its order the
    first row's. Where the rows name no `annotator`, each is named by its row ("row-17"): nothing can be said of one
    person over several comparisons then. What people say (`justification`, other `*_preference`) and what differs
    between the rows is kept with the annotation, any other column with the comparison; an `id` as `original_id`.
    """
    made = Table(problems=table.problems)
    pairs: dict[tuple[str, ...], list[Row]] = {}
    for line, record in table.rows:
        preference = record.get("overall_preference")
        if isinstance(preference, bool) or not isinstance(preference, (int, float)) or preference not in _LABELS:
            text = f"overall_preference must be -1 (answer_a), 0 or 1 (answer_b), not {shown(preference)}"
            made.problems.append(Problem(line, text))
            continue
        answers = [record.get("answer_a"), record.get("answer_b")]
        if not all(isinstance(answer, str) for answer in answers):
            made.problems.append(Problem(line, "answer_a and answer_b must be strings"))
            continue
        texts = (str(record.get("question")), str(record.get("context") or ""), *sorted(map(str, answers)))
        pairs.setdefault(texts, []).append((line, record))
    made.rows = [(rows[0][0], _merge(rows)) for rows in pairs.values()]
    derive_ids(made)
    return made


def _merge(rows: list[Row]) -> dict[str, Any]:
    first = rows[0][1]
    turned = [(line, record if record["answer_a"] == first["answer_a"] else _turn(record)) for line, record in rows]
    own = {
        key
        for _, record in turned
        for key in record
        if key in _PERSONAL or key.endswith(_PREFERENCE) or any(r.get(key) != record[key] for _, r in turned)
    }
    annotations = []
    for line, record in turned:
        said = {key: value for key, value in record.items() if key in own and key != "overall_preference"}
        label = _LABELS[record["overall_preference"]]
        annotations.append({"annotator": f"row-{line}", **said, "label": label})
    shared = {_RENAMED.get(key, key): value for key, value in first.items() if key not in own}
    return {**shared, "label": _majority([a["label"] for a in annotations]), "annotations": annotations}


def _turn(record: dict[str, Any]) -> dict[str, Any]:
    """The same judgment with the answers' places exchanged."""
    other = {"a": "b", "b": "a"}
    turned = {_SIDE.sub(lambda side: "_" + other[side[1]], key): value for key, value in record.items()}
    return {
        key: -value if key.endswith(_PREFERENCE) and isinstance(value, (int, float)) else value
        for key, value in turned.items()
    }


def _majority(labels: list[str]) -> str:
    label, votes = Counter(labels).most_common(1)[0]
    return label if 2 * votes > len(labels) else "same"
