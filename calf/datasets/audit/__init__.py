"""The audit: what a dataset holds, and what in it can mislead a reader of results.

    >>> report = audit(load_dataset("sample"))
    >>> [finding.message for finding in report.findings]

Everything here is a pure function of the comparisons.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.datasets.audit.finding import SEVERITIES, Finding, Giveaway, Severity
from calf.datasets.audit.giveaways import find_giveaways
from calf.datasets.audit.pairs import find_pairs
from calf.datasets.audit.sides import Sides, describe_sides, find_sides
from calf.datasets.audit.texts import Texts, describe_texts, find_texts
from calf.types import LABELS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.types import Comparison

__all__ = ["SEVERITIES", "Audit", "Finding", "Giveaway", "Severity", "Sides", "Texts", "audit"]


@dataclass(frozen=True, slots=True)
class Audit:
    """What a dataset holds, and what stands out.

    Attributes:
        comparisons, questions, groups, responses: how many there are; questions and responses are distinct
            texts.
        counts: by `setting`, `label`, `subject` ("none" if not named) and `language`.
        labels: setting -> label -> comparisons.
        texts: lengths of the texts by source and language.
        sides: labels and lengths by side, for each setting and language.
        findings: errors first, then warnings, then notes.
    """

    comparisons: int
    questions: int
    groups: int
    responses: int
    counts: Mapping[str, Mapping[str, int]]
    labels: Mapping[str, Mapping[str, int]]
    texts: tuple[Texts, ...]
    sides: tuple[Sides, ...]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the attributes by name."""
        return {
            "comparisons": self.comparisons,
            "questions": self.questions,
            "groups": self.groups,
            "responses": self.responses,
            "counts": {name: dict(counts) for name, counts in self.counts.items()},
            "labels": {name: dict(counts) for name, counts in self.labels.items()},
            "texts": [dataclasses.asdict(row) for row in self.texts],
            "sides": [dataclasses.asdict(row) for row in self.sides],
            "findings": [finding.as_dict() for finding in self.findings],
        }


def audit(dataset: Dataset, *, raw: Dataset | None = None) -> Audit:
    """Look a dataset through.

    Args:
        dataset: as it is used.
        raw: the same comparisons as they stand in the file, where loading takes markers out of the texts;
            what gave a side away there, and does so no more, is reported too.
    """
    rows = dataset.comparisons
    findings = [*find_pairs(rows), *find_texts(rows), *find_sides(rows), *_giveaways(rows, raw or dataset)]
    return Audit(
        comparisons=len(rows),
        questions=len({c.question for c in rows}),
        groups=len({c.group for c in rows}),
        responses=len({text for c in rows for text in (c.response_a, c.response_b)}),
        counts={
            "setting": _count([c.setting for c in rows], SETTINGS),
            "label": _count([c.label for c in rows], LABELS),
            "subject": _count([c.subject or "none" for c in rows]),
            "language": _count([c.language for c in rows]),
        },
        labels={
            setting: _count(labels, LABELS)
            for setting in SETTINGS
            if (labels := [c.label for c in rows if c.setting == setting])
        },
        texts=describe_texts(rows),
        sides=describe_sides(rows),
        findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
    )


def _count(values: Sequence[str], order: Sequence[str] = ()) -> dict[str, int]:
    """How often each value occurs: in the given order, all else by frequency."""
    counts = Counter(values)
    if order:
        return {value: counts[value] for value in order if counts[value]}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _giveaways(loaded: Sequence[Comparison], raw: Dataset) -> Iterator[Finding]:
    changed = [
        new.id
        for new, old in zip(loaded, raw, strict=True)
        if (new.response_a, new.response_b) != (old.response_a, old.response_b)
    ]
    for found in find_giveaways(loaded):
        yield found.as_finding()
    if changed:
        for found in find_giveaways(raw.comparisons):
            kept = sum(found.stands_in(c.response_a) or found.stands_in(c.response_b) for c in loaded)
            if kept < 0.02 * found.hits:
                yield found.as_finding(stripped=True)
        yield Finding.about(
            "note",
            "stripped_markers",
            f"loading takes markers out of {len(changed)} comparisons: what is judged is not all that the file holds",
            changed,
        )
