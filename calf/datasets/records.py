"""From a record (a dict in CALF's own columns) to a comparison: strictly, and with every problem named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from calf.datasets.language import infer_language
from calf.datasets.problems import Problem, did_you_mean, shown
from calf.datasets.values import JsonError, is_encodable, not_plain, parse_json
from calf.types import LABELS, SETTINGS, Annotation, Comparison

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.types import Label, Setting

__all__ = ["FIELDS", "REQUIRED", "build_comparison", "build_comparisons", "setting_of"]

REQUIRED = ("id", "question", "response_a", "response_b", "label")
"""The columns that a file in CALF's own form must have; `setting` too, unless it has both sources."""

FIELDS = (
    "id",
    "question",
    "context",
    "reference",
    "response_a",
    "response_b",
    "setting",
    "label",
    "source_a",
    "source_b",
    "subject",
    "language",
    "annotations",
    "group",
)
"""The columns that CALF knows; any other one is kept in `Comparison.extra`."""

_FIELD_SET = frozenset(FIELDS)
_Choice = TypeVar("_Choice", bound=str)
_LANGUAGE = re.compile(r"([a-z]{2,3})([-_].*)?")


def setting_of(source_a: str, source_b: str) -> Setting:
    """The setting that two sources make: "human" is human, anything else a model."""
    return SETTINGS[(source_a != "human") + (source_b != "human")]


def build_comparisons(
    rows: Sequence[tuple[int, Mapping[str, Any]]], problems: list[Problem], language: str | None = None
) -> list[Comparison]:
    """The comparisons of all rows that are right; what is wrong with the others is appended to `problems`.

    Args:
        rows: line and record.
        problems: is added to.
        language: the language of all, if the dataset's definition fixes it.
    """
    made: list[Comparison] = []
    lines: dict[str, int] = {}
    ungrouped: int | None = None
    for line, record in rows:
        comparison = build_comparison(line, record, problems, language)
        if comparison is None:
            continue
        if comparison.id in lines:
            first = lines[comparison.id]
            problems.append(Problem(line, f"the id {shown(comparison.id)} is already on line {first}; ids are unique"))
            continue
        lines[comparison.id] = line
        if not comparison.group and ungrouped is None:
            ungrouped = line
        made.append(comparison)
    if ungrouped is not None and any(comparison.group for comparison in made):
        problems.append(Problem(ungrouped, "no group here, but other rows have one; give every row a group, or none"))
    return made


def build_comparison(
    line: int, record: Mapping[str, Any], problems: list[Problem], language: str | None = None
) -> Comparison | None:
    """The comparison of one record, or None, with at least one more problem."""
    before = len(problems)
    reader = _Reader(line, record, problems)
    question, response_a, response_b = (reader.text(name) for name in ("question", "response_a", "response_b"))
    if "question" in record and isinstance(record["question"], str) and not question.strip():
        reader.bad("the question is blank")
    source_a, source_b = reader.source("source_a"), reader.source("source_b")
    made = Comparison(
        id=reader.name("id") or "",
        question=question,
        context=reader.optional("context") or "",
        reference=reader.optional("reference"),
        response_a=response_a,
        response_b=response_b,
        setting=reader.setting(source_a, source_b),
        label=reader.label() or "same",
        language=reader.language() or language or infer_language(question, response_a, response_b),
        subject=reader.optional("subject"),
        source_a=source_a,
        source_b=source_b,
        annotations=reader.annotations(),
        group=reader.name("group", required=False) or "",
        extra=reader.extra(),
    )
    return made if len(problems) == before else None


_LONGEST_NAME = 500


class _Reader:
    """Reads the fields of one record; after a problem it goes on with a stand-in, so that all problems are found."""

    def __init__(self, line: int, record: Mapping[str, Any], problems: list[Problem]) -> None:
        self.line = line
        self.record = record
        self.problems = problems

    def bad(self, text: str) -> None:
        self.problems.append(Problem(self.line, text))

    def missing(self, field: str, more: str = "") -> None:
        others = (str(key) for key in self.record if key not in _FIELD_SET)
        self.bad(f"no {field!r}{more}{did_you_mean(field, others)}")

    def encodable(self, field: str, text: str) -> bool:
        if is_encodable(text):
            return True
        self.bad(f"{field} holds half of a surrogate pair, which is no character")
        return False

    def text(self, field: str) -> str:
        """A string that must be there; an empty one is valid."""
        value = self.record.get(field)
        if isinstance(value, str):
            return value if self.encodable(field, value) else ""
        if field not in self.record:
            self.missing(field)
        else:
            hint = '; write "" for an empty one' if value is None else ""
            self.bad(f"{field} must be a string, not {shown(value)}{hint}")
        return ""

    def optional(self, field: str) -> str | None:
        """A string or None; a blank one is None."""
        value = self.record.get(field)
        if value is None:
            return None
        if isinstance(value, str):
            return value if value.strip() and self.encodable(field, value) else None
        self.bad(f"{field} must be a string or null, not {shown(value)}")
        return None

    def name(self, field: str, *, required: bool = True) -> str | None:
        """A name: a string, or an integer (written as a string from then on)."""
        value = self.record.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            if field == "id" and (len(value) > _LONGEST_NAME or not value.isprintable()):
                self.bad(f"{field} must be printable and have at most {_LONGEST_NAME} characters")
                return None
            return value if self.encodable(field, value) else None
        if value is None and field not in self.record and required:
            self.missing(field)
        elif required or (value is not None and not isinstance(value, str)):
            what = "blank" if isinstance(value, str) else shown(value)
            self.bad(f"{field} must be a string that is not blank, or an integer, not {what}")
        return None

    def source(self, field: str) -> str | None:
        value = self.optional(field)
        return "human" if value is not None and value.strip().casefold() == "human" else value

    def choice(self, what: str, value: Any, choices: Sequence[_Choice], hint: str = "") -> _Choice | None:
        """One of a few words."""
        for choice in choices:
            if value == choice:
                return choice
        if value is None and what not in self.record:
            self.missing(what)
        else:
            near = did_you_mean(value, choices) if isinstance(value, str) else ""
            self.bad(f"{what} must be one of {', '.join(choices)}, not {shown(value)}{near}{hint}")
        return None

    def label(self) -> Label | None:
        value = self.record.get("label")
        known = isinstance(value, str) and (value in LABELS or did_you_mean(value, LABELS))
        hint = "" if known or value is None else "; `--map label:VALUE=response_a` translates others"
        return self.choice("label", value, LABELS, hint)

    def setting(self, source_a: str | None, source_b: str | None) -> Setting:
        value = self.record.get("setting")
        if value is not None and value != "":
            return self.choice("setting", value, SETTINGS) or SETTINGS[0]
        if source_a is not None and source_b is not None:
            return setting_of(source_a, source_b)
        self.missing("setting", f" ({', '.join(SETTINGS)}), and not both source_a and source_b to tell it from")
        return SETTINGS[0]

    def language(self) -> str | None:
        value = self.optional("language")
        if value is None:
            return None
        code = _LANGUAGE.fullmatch(value.strip().lower())
        if code is None:
            self.bad(f"language must be a code such as en or zh, not {shown(value)}")
            return None
        return code[1]

    def annotations(self) -> tuple[Annotation, ...]:
        value = self.record.get("annotations")
        if value is None or value in ("", []):
            return ()
        if isinstance(value, str):  # a table's cell
            try:
                value = parse_json(value)
            except JsonError as error:
                self.bad(f"annotations: {error.reason}")
                return ()
        if not isinstance(value, list):
            self.bad(f"annotations must be a list of objects, not {shown(value)}")
            return ()
        read = [self.annotation(number, item) for number, item in enumerate(value, 1)]
        found = [annotation for annotation in read if annotation is not None]
        names = [annotation.annotator for annotation in found]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.bad(f"annotations: the annotator {shown(name)} labels the comparison twice; keep one label a person")
        return tuple(found)

    def annotation(self, number: int, item: Any) -> Annotation | None:
        what = f"annotation {number}"
        if not isinstance(item, dict):
            self.bad(f"{what} must be an object with annotator and label, not {shown(item)}")
            return None
        inner = _Reader(self.line, item, [])
        annotator = inner.name("annotator")
        label = inner.choice("label", item.get("label"), LABELS)
        extra = {key: value for key, value in item.items() if key not in ("annotator", "label")}
        if (why := not_plain(extra)) is not None:
            inner.bad(why)
        self.problems += (Problem(self.line, f"{what}: {problem.text}") for problem in inner.problems)
        return None if annotator is None or label is None else Annotation(annotator, label, extra)

    def extra(self) -> dict[str, Any]:
        extra = {key: value for key, value in self.record.items() if key not in _FIELD_SET}
        for key, value in extra.items():
            if not isinstance(key, str) or not is_encodable(key):
                self.bad("the name of a column holds half of a surrogate pair, which is no character")
            elif (why := not_plain(value)) is not None:
                self.bad(f"the column {shown(key)} {why}")
        return extra
