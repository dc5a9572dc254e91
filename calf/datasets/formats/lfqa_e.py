"""LFQA-E (Fan et al., ICLR 2026): its published JSON, and the one of its first release."""

from __future__ import annotations

import re
from typing import Any

from calf.datasets.formats.derived import derive_ids
from calf.datasets.formats.table import Table
from calf.datasets.problems import Problem, did_you_mean, shown
from calf.types import SETTINGS

__all__ = ["from_older", "from_published", "is_older", "is_published"]

_PAIR = re.compile(r"((?:student|model)_answer_\w+?)_vs_((?:student|model)_answer_\w+)")
_ORIGIN = {"student": "human", "model": "model"}
_SETTINGS = (*SETTINGS, "model_vs_human")


def is_published(record: dict[str, Any]) -> bool:
    """Whether a record has the published form's key `compare_type`."""
    return "compare_type" in record


def from_published(table: Table) -> Table:
    """`compare_type` becomes the setting and the sources, `type` (a topic, in the English part) the subject."""
    made = Table(problems=table.problems)
    for line, record in table.rows:
        known = {key: value for key, value in record.items() if key not in ("compare_type", "type")}
        kind = record.get("compare_type")
        if kind not in _SETTINGS:
            near = did_you_mean(kind, SETTINGS) if isinstance(kind, str) else ""
            made.problems.append(
                Problem(line, f"compare_type must be one of {', '.join(SETTINGS)}, not {shown(kind)}{near}")
            )
            continue
        first, _, second = kind.partition("_vs_")
        sources = {
            "setting": "human_vs_model" if kind == "model_vs_human" else kind,
            "source_a": first,
            "source_b": second,
        }
        made.rows.append((line, {"subject": record.get("type"), **known, **sources}))
    return made


def is_older(record: dict[str, Any]) -> bool:
    """Whether a record has a key that names a pair, such as `student_answer_a_vs_model_answer_b`."""
    return any(isinstance(key, str) and _PAIR.fullmatch(key) for key in record)


def from_older(table: Table) -> Table:
    """The key that names the pair becomes two responses with their sources (student: human); its value, the label.

    Ids repeat in this form, one for all pairs of a question: they are kept in the column `original_id`, and each
    comparison gets an id of its own.
    """
    made = Table(problems=table.problems)
    for line, record in table.rows:
        pairs = [match for key in record if (match := _PAIR.fullmatch(key))]
        if not pairs:
            made.problems.append(
                Problem(line, "no key that names the pair, such as 'student_answer_a_vs_model_answer_b'")
            )
        for pair in pairs:
            _add_pair(made, line, record, pair)
    derive_ids(made)
    return made


def _add_pair(made: Table, line: int, record: dict[str, Any], pair: re.Match[str]) -> None:
    first, second, judged = pair[1], pair[2], record[pair[0]]
    labels = {first: "response_a", second: "response_b", "same": "same"}
    missing = [name for name in (first, second) if name not in record]
    if missing:
        made.problems.append(Problem(line, f"no {missing[0]!r}, which {pair[0]!r} speaks of"))
        return
    label = labels.get(judged) if isinstance(judged, str) else None
    if label is None:
        near = did_you_mean(judged, labels) if isinstance(judged, str) else ""
        made.problems.append(Problem(line, f"{pair[0]} must be one of {', '.join(labels)}, not {shown(judged)}{near}"))
        return
    other = {
        "original_id" if key == "id" else "reference" if key == "Concise_Reference" else key: value
        for key, value in record.items()
        if key not in (first, second) and not _PAIR.fullmatch(key)
    }
    sources = (_ORIGIN[name.partition("_")[0]] for name in (first, second))
    converted = dict(zip(("source_a", "source_b"), sources, strict=True))
    made.rows.append(
        (line, {**other, **converted, "response_a": record[first], "response_b": record[second], "label": label})
    )
