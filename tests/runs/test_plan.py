"""What is asked of a metric, and what its outcomes become."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from calf.decide import Judgment
from calf.errors import OptionError, UserError
from calf.metrics.base import Preparation
from calf.metrics.loaded import LoadedMetric, Recipe
from calf.runs.execute import execute, prepare
from calf.runs.plan import assemble, check_outcome, plan
from calf.types import Comparison, Failure, Opinion, Score


def comparison(name: str, a: str, b: str, **more: Any) -> Comparison:
    values = {"question": "q", "context": "", "reference": "ref", "setting": "model_vs_model", "label": "same"}
    return Comparison(
        **{"id": name, "response_a": a, "response_b": b, "language": "en", "group": name, **values, **more}
    )


class Length:
    asked: list[str] = []
    batch_size = 2

    def score(self, items: Any) -> Any:
        for item in items:
            Length.asked.append(item.response)
            if item.response == "boom":
                raise ValueError("no\nway")
            yield float(len(item.response))


class First:
    needs_reference = False
    asked: list[Any] = []

    def judge(self, items: Any) -> Any:
        First.asked += items
        return [Opinion("response_a", (0.5, 0.125, 0.375)) for _ in items]


def loaded(cls: type) -> LoadedMetric:
    class Here(Recipe):
        def make(self) -> Any:
            return cls()

    return LoadedMetric(cls.__name__, cls, Here("here:here", {}), {}, "code")


def run(cls: type, comparisons: list[Comparison], order: Any = "given", repeats: int = 1) -> list[Judgment]:
    metric = loaded(cls)
    outcomes: dict[str, Any] = {}
    for part in execute(metric, plan(metric, comparisons, order, repeats), Preparation(tuple(comparisons), 0)):
        assert not set(part) & set(outcomes), "judged twice"
        outcomes.update(part)
    return assemble(metric, comparisons, order, {c.id: repeats for c in comparisons}, outcomes)


def test_each_distinct_response_is_scored_once_per_repeat() -> None:
    Length.asked = []
    same = [comparison("1", "aa", "b"), comparison("2", "b", "aa"), comparison("3", "aa", "aa")]
    judgments = run(Length, same, "both", 2)
    assert sorted(Length.asked) == ["aa", "aa", "b", "b"]
    assert len(judgments) == 3 * 2 * 2
    assert [j.verdict for j in judgments if j.repeat == 0 and j.order == "swapped"] == [
        "response_a",
        "response_b",
        "same",
    ]


def test_other_references_questions_or_languages_are_other_responses() -> None:
    Length.asked = []
    base = {"a": "x", "b": "x"}
    run(
        Length,
        [
            comparison("1", **base),
            comparison("2", **base, reference="other"),
            comparison("3", **base, question="other"),
            comparison("4", **base, context="other"),
            comparison("5", **base, language="zh"),
        ],
    )
    assert len(Length.asked) == 5


def test_an_exception_is_a_failure_of_its_item_alone() -> None:
    Length.asked = []
    judgments = run(Length, [comparison("1", "aa", "boom"), comparison("2", "b", "ccc"), comparison("3", "d", "boom")])
    assert [j.failure for j in judgments] == ["error", None, "error"]
    assert judgments[1].verdict == "response_b"
    assert Length.asked.count("aa") == 1, "an item before the one that raised is not asked again"


def test_the_message_of_an_exception_is_one_line_with_its_place() -> None:
    metric = loaded(Length)
    units = plan(metric, [comparison("1", "boom", "boom")], "given", 1)
    (outcome,) = next(execute(metric, units, Preparation((), 0))).values()
    assert isinstance(outcome, Failure)
    assert outcome.message.startswith("ValueError: no way (test_plan.py:")


def test_a_swapped_pair_is_shown_swapped_and_judged_in_the_datasets_sides() -> None:
    First.asked = []
    one = comparison("1", "left", "right", source_a="human", source_b="model")
    judgments = run(First, [one], "both")
    assert [(p.order, p.response_a, p.source_a) for p in First.asked] == [
        ("given", "left", "human"),
        ("swapped", "right", "model"),
    ]
    assert judgments == [
        Judgment("1", "given", 0, 0.5, 0.125, "response_a"),
        Judgment("1", "swapped", 0, 0.125, 0.5, "response_b"),
    ]


def test_without_a_reference_the_metric_is_not_asked() -> None:
    Length.asked = []
    judgments = run(Length, [comparison("1", "a", "b", reference=None)])
    assert judgments[0].failure == "no_reference"
    assert Length.asked == []


def test_a_metric_is_asked_only_in_its_languages() -> None:
    class English(First):
        languages = ("en",)

    judgments = run(English, [comparison("1", "a", "b"), comparison("2", "a", "b", language="zh")])
    assert [j.failure for j in judgments] == [None, "unsupported_language"]


class Short:
    batch_size = 4

    def score(self, items: Any) -> Any:
        return [1.0] if len(items) > 1 else [float(len(items[0].response))]


class Shift:
    """Leaves the first item out, as a generator that nobody can count beforehand."""

    batch_size = 4

    def score(self, items: Any) -> Any:
        yield from (float(len(item.response)) for item in items[1:])


class Surplus:
    batch_size = 4

    def score(self, items: Any) -> Any:
        yield 0.0
        yield from (float(len(item.response)) for item in items)


@pytest.mark.parametrize("cls", [Short, Shift, Surplus])
def test_a_wrong_number_of_outcomes_fails_the_batch_since_nobody_knows_whose_they_are(cls: type) -> None:
    metric = loaded(cls)
    comparisons = [comparison("1", "aa", "b"), comparison("2", "ccc", "dddd")]
    units = plan(metric, comparisons, "given", 1)
    outcomes: dict[str, Any] = {}
    for part in execute(metric, units, Preparation(tuple(comparisons), 0)):
        outcomes.update(part)
    assert {outcome.kind for outcome in outcomes.values()} == {"bad_output"}
    assert "for 4 items" in next(iter(outcomes.values())).message


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("response", math.nan),
        ("response", math.inf),
        ("response", None),
        ("response", "good"),
        ("response", Score(math.nan)),
        ("comparison", "A"),
        ("comparison", None),
        ("comparison", Opinion("better")),  # type: ignore[arg-type]
        ("comparison", Opinion("same", (0.5, 0.5, 0.5))),
        ("comparison", Opinion("same", (1.5, -0.5, 0.0))),
        ("comparison", Opinion("same", (0.5, 0.5))),  # type: ignore[arg-type]
        ("comparison", Opinion("same", usage={"tokens": math.nan})),
        ("response", 10**400),
        ("response", b"1"),
    ],
)
def test_what_is_no_score_or_verdict_is_bad_output(kind: str, value: Any) -> None:
    outcome = check_outcome(kind, value)
    assert isinstance(outcome, Failure)
    assert outcome.kind == "bad_output"


def test_numbers_of_other_libraries_are_scores() -> None:
    outcome = check_outcome("response", np.float32(0.5))
    assert outcome == Score(0.5)
    assert type(outcome.value) is float  # type: ignore[union-attr]
    assert check_outcome("comparison", "same") == Opinion("same")
    shares = tuple(np.float32(share) for share in (0.5, 0.25, 0.25))
    opinion = check_outcome("comparison", Opinion("same", shares, usage={"tokens": np.int64(3)}))
    assert opinion == Opinion("same", (0.5, 0.25, 0.25), usage={"tokens": 3.0})
    assert check_outcome("response", Failure("odd", "x", b"raw")) == Failure("odd", "x", "raw")  # type: ignore[arg-type]


def test_a_metric_that_exits_or_cannot_prepare_does_not_end_the_program() -> None:
    class Exits:
        def prepare(self, preparation: Preparation) -> None:
            raise KeyError("prior")

        def score(self, items: Any) -> Any:
            raise SystemExit(5)

    assert run(Exits, [comparison("1", "a", "b")])[0].failure == "error"
    with pytest.raises(UserError, match="cannot prepare: KeyError: 'prior'"):
        prepare(loaded(Exits), Preparation((), 0))


def test_a_secret_in_an_exception_is_hidden() -> None:
    class Leaks:
        def score(self, items: Any) -> Any:
            raise RuntimeError("401 for key sk-PLANTED")

    class Here(Recipe):
        def make(self) -> Any:
            return Leaks()

    metric = LoadedMetric("Leaks", Leaks, Here("x:x", {}), {"api_key": "sk-PLANTED"}, "code")
    units = plan(metric, [comparison("1", "a", "a")], "given", 1)
    (outcome,) = next(execute(metric, units, Preparation((), 0))).values()
    assert "PLANTED" not in str(outcome)
    assert "(hidden)" in str(outcome)


def test_an_error_for_the_user_stops_the_run() -> None:
    class Refuses:
        def prepare(self, preparation: Preparation) -> None:
            raise OptionError("this dataset is not for me")

        def score(self, items: Any) -> Any:
            raise UserError("nor this item")

    metric = loaded(Refuses)
    with pytest.raises(OptionError):
        prepare(metric, Preparation((), 0))
    with pytest.raises(UserError):
        run(Refuses, [comparison("1", "a", "b")])
