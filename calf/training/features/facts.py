"""Numbers, years, names and negations of the reference: which are there, missing, or contradicted."""

from __future__ import annotations

import math
import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING

from calf.training.features.family import Family, Measured
from calf.training.features.views import View, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.training.features.views import Task

__all__ = ["Facts"]

_NUMBER = re.compile(r"(?<![\d.])(\d+(?:,\d{3})*(?:\.\d+)?)\s?([^\W\d_]?|%|°)")
_LIST_NUMBER = re.compile(r"^\s*[（(]?\d{1,2}[)）.．、:：]|[（(]\d{1,2}[)）]|[①-⑳]", re.MULTILINE)
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_QUOTED = re.compile(r"[《“「『\"]([^《》“”「」『』\"\n]{2,24})[》”」』\"]")
_CAPITAL = re.compile(r"(?<=[a-z,;] )[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")
_NOT = frozenset(
    {"不", "没", "未", "无", "非", "not", "no", "never", "without", "cannot", "isn", "aren", "doesn", "don"}
)


class _Found:
    """The facts of a text."""

    def __init__(self, view: View) -> None:
        self._view = view
        # NFKC: full-width digits are digits. List numbers go first, as NFKC makes plain digits of ①.
        self._text = unicodedata.normalize("NFKC", _LIST_NUMBER.sub(" ", view.text))

    @cached_property
    def numbers(self) -> frozenset[tuple[str, str]]:
        """Values with the unit that follows (a letter, a Chinese character, a percent sign, or nothing)."""
        return frozenset((value.replace(",", ""), unit.lower()) for value, unit in _NUMBER.findall(self._text))

    @cached_property
    def values(self) -> frozenset[str]:
        """Values without units."""
        return frozenset(value for value, _ in self.numbers)

    @cached_property
    def names(self) -> frozenset[str]:
        """What stands in quotation marks or title marks, and capitalised words inside sentences; lower-cased."""
        text = self._text
        return frozenset(name.lower() for name in (*_QUOTED.findall(text), *_CAPITAL.findall(text)))

    @cached_property
    def polarities(self) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
        """Pairs of adjacent tokens that follow a negation, and those that do not."""
        tokens = ["", *self._view.tokens]
        negated: set[tuple[str, str]] = set()
        plain: set[tuple[str, str]] = set()
        for before, first, second in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if first not in _NOT:
                (negated if before in _NOT else plain).add((first, second))
        return frozenset(negated), frozenset(plain)


class Facts(Family):
    """Facts of the reference in the response, and facts of the response that stand nowhere else.

    A number is contradicted if the response has its unit with other values only. A negation is contradicted if what it
    negates stands in the other text, and only without it.
    """

    name = "facts"
    names = (
        "numbers_present", "numbers_absent", "numbers_contradicted", "numbers_new", "years_present", "years_new",
        "names_present", "names_absent", "names_new", "negations_kept", "negations_contradicted", "negations",
    )  # fmt: skip
    part_names = ("facts",)
    even_names = ("reference_numbers", "reference_names", "reference_negations")

    def __init__(self) -> None:
        self._last: tuple[Task, _Found, _Found] | None = None

    def measure(self, task: Task, response: View) -> Measured:
        """Shares of the reference's facts, and logarithms of counts."""
        wanted, given = self._of(task)
        found = _Found(response)
        text = unicodedata.normalize("NFKC", response.text).lower()
        present = wanted.values & found.values
        units = {unit for _, unit in found.numbers if unit}
        contradicted = sum(
            value not in found.values and unit in units for value, unit in wanted.numbers if unit not in ("", "%")
        )
        new = found.values - wanted.values - given.values
        names = [float(name in text) for name in sorted(wanted.names)]
        years, theirs = (
            {value for value in values if _YEAR.fullmatch(value)} for values in (found.values, wanted.values)
        )
        negated, plain = found.polarities
        should, should_not = wanted.polarities
        kept = len(should & negated)
        against = len((should & plain) - negated) + len((negated & should_not) - should)
        numbers = [float(value in found.values) for value in sorted(wanted.values)]
        return Measured((
            share(len(present), len(wanted.values)), math.log1p(len(wanted.values - found.values)),
            math.log1p(contradicted), math.log1p(len(new)), share(len(years & theirs), len(theirs)),
            math.log1p(len(years & new)), share(sum(names), len(names)), math.log1p(len(names) - sum(names)),
            math.log1p(len(found.names - wanted.names - given.names)), share(kept, len(should)), math.log1p(against),
            math.log1p(len(negated)),
        ), ([*numbers, *names],))  # fmt: skip

    def about(self, task: Task) -> Sequence[float]:
        """How many facts the reference has."""
        wanted, _ = self._of(task)
        return tuple(map(math.log1p, (len(wanted.values), len(wanted.names), len(wanted.polarities[0]))))

    def _of(self, task: Task) -> tuple[_Found, _Found]:
        """The facts of the reference, and of question and context."""
        last = self._last  # read once: another thread may put its own there
        if last is None or last[0] is not task:
            question = View(f"{task.question.text}\n{task.context.text}", task.question.language)
            self._last = last = task, _Found(task.reference), _Found(question)
        return last[1], last[2]
