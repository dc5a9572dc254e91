from __future__ import annotations

from typing import Any

import pytest

from calf.datasets.language import infer_language
from calf.datasets.problems import Problem
from calf.datasets.records import build_comparison, build_comparisons
from calf.types import Annotation, Comparison


def record(**changes: Any) -> dict[str, Any]:
    """A good record, with changes; a value of `...` removes the field."""
    full = {
        "id": "a1",
        "question": "Why does ice float?",
        "context": "",
        "reference": "It is less dense.",
        "response_a": "Less dense.",
        "response_b": "It is cold.",
        "setting": "model_vs_model",
        "label": "response_a",
        **changes,
    }
    return {key: value for key, value in full.items() if value is not ...}


def built(**changes: Any) -> Comparison:
    problems: list[Problem] = []
    comparison = build_comparison(3, record(**changes), problems)
    assert problems == []
    assert comparison is not None
    return comparison


def told(**changes: Any) -> list[str]:
    problems: list[Problem] = []
    assert build_comparison(7, record(**changes), problems) is None
    assert all(problem.line == 7 and "\n" not in problem.text for problem in problems)
    return [problem.text for problem in problems]


def test_a_whole_record() -> None:
    comparison = built(
        id=12,
        source_a="Human",
        source_b="model-x",
        setting=...,
        subject=" ",
        language="zh-CN",
        annotations=[{"annotator": 4, "label": "same", "why": ["both"]}],
        group=9,
        score={"x": [1, None]},
    )
    assert comparison == Comparison(
        id="12",
        question="Why does ice float?",
        context="",
        reference="It is less dense.",
        response_a="Less dense.",
        response_b="It is cold.",
        setting="human_vs_model",
        label="response_a",
        language="zh",
        subject=None,
        source_a="human",
        source_b="model-x",
        annotations=(Annotation("4", "same", {"why": ["both"]}),),
        group="9",
        extra={"score": {"x": [1, None]}},
    )


@pytest.mark.parametrize("reference", [None, "", " \n", ...])
def test_no_reference(reference: Any) -> None:
    assert built(reference=reference).reference is None


def test_an_empty_response_is_valid() -> None:
    assert built(response_b="").response_b == ""


@pytest.mark.parametrize(
    ("source_a", "source_b", "setting"),
    [
        ("human", "human", "human_vs_human"),
        ("gpt", "human", "human_vs_model"),
        ("human", "gpt", "human_vs_model"),
        ("gpt", "llama", "model_vs_model"),
    ],
)
def test_the_setting_follows_from_the_sources(source_a: str, source_b: str, setting: str) -> None:
    assert built(setting=..., source_a=source_a, source_b=source_b).setting == setting
    assert built(setting="", source_a=source_a, source_b=source_b).setting == setting


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"id": ...}, "no 'id'"),
        ({"id": " "}, "id must be a string that is not blank, or an integer, not blank"),
        ({"id": True}, "id must be a string that is not blank, or an integer, not true"),
        ({"id": 1.5}, "id must be a string that is not blank, or an integer, not 1.5"),
        ({"id": None}, "id must be a string that is not blank, or an integer, not null"),
        ({"question": ...}, "no 'question'"),
        ({"question": ..., "qestion": "?"}, "no 'question'; did you mean 'qestion'?"),
        ({"question": "\n "}, "the question is blank"),
        ({"question": 3}, "question must be a string, not 3"),
        ({"response_a": None}, 'response_a must be a string, not null; write "" for an empty one'),
        ({"response_b": ["x"]}, "response_b must be a string, not a list"),
        ({"response_b": "x\ud800"}, "response_b holds half of a surrogate pair, which is no character"),
        ({"reference": {"a": 1}}, "reference must be a string or null, not an object"),
        ({"context": 0}, "context must be a string or null, not 0"),
        ({"label": ...}, "no 'label'"),
        (
            {"label": "tie"},
            (
                "label must be one of response_a, response_b, same, not 'tie'; "
                "`--map label:VALUE=response_a` translates others"
            ),
        ),
        (
            {"label": "respnse_b"},
            "label must be one of response_a, response_b, same, not 'respnse_b'; did you mean 'response_b'?",
        ),
        (
            {"label": ["same"]},
            (
                "label must be one of response_a, response_b, same, not a list; "
                "`--map label:VALUE=response_a` translates others"
            ),
        ),
        (
            {"setting": "human_vs_modl"},
            (
                "setting must be one of human_vs_human, human_vs_model, model_vs_model, not 'human_vs_modl'; "
                "did you mean 'human_vs_model'?"
            ),
        ),
        (
            {"setting": ..., "source_a": "human"},
            (
                "no 'setting' (human_vs_human, human_vs_model, model_vs_model), "
                "and not both source_a and source_b to tell it from"
            ),
        ),
        ({"source_a": 2}, "source_a must be a string or null, not 2"),
        ({"language": "Chinese"}, "language must be a code such as en or zh, not 'Chinese'"),
        ({"annotations": {}}, "annotations must be a list of objects, not an object"),
        ({"annotations": "[{]"}, "annotations: not JSON: Expecting property name enclosed in double quotes (column 3)"),
        ({"annotations": ["x"]}, "annotation 1 must be an object with annotator and label, not 'x'"),
        ({"annotations": [{"label": "same"}]}, "annotation 1: no 'annotator'"),
        (
            {"annotations": [{"annotator": who, "label": "same"} for who in (4, "p", "4")]},
            "annotations: the annotator '4' labels the comparison twice; keep one label a person",
        ),
        (
            {"annotations": [{"annotator": "p", "label": "A"}]},
            "annotation 1: label must be one of response_a, response_b, same, not 'A'",
        ),
        (
            {"annotations": [{"annotator": "p", "label": "same", "sure": float("nan")}]},
            "annotation 1: is nan; write null or a finite number",
        ),
        ({"group": [1]}, "group must be a string that is not blank, or an integer, not a list"),
        ({"weight": float("inf")}, "the column 'weight' is inf; write null or a finite number"),
        ({"note": {"a": ["\udfff"]}}, "the column 'note' holds half of a surrogate pair, which is no character"),
        ({"note": b"x"}, "the column 'note' holds bytes values, which JSON has no form for"),
        ({"no\ud800te": 1}, "the name of a column holds half of a surrogate pair, which is no character"),
    ],
)
def test_a_problem(changes: dict[str, Any], text: str) -> None:
    assert told(**changes) == [text]


def test_a_deep_value_is_a_problem() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert told(note=deep) == ["the column 'note' is nested more than 100 deep"]


def test_all_problems_of_a_record_are_found() -> None:
    texts = told(id=..., question="", label="x", response_a=1, annotations=3, weight=float("nan"))
    assert len(texts) == 6


def test_duplicate_ids_name_both_lines() -> None:
    problems: list[Problem] = []
    made = build_comparisons([(1, record()), (2, record(id="b")), (9, record())], problems)
    assert [comparison.id for comparison in made] == ["a1", "b"]
    assert problems == [Problem(9, "the id 'a1' is already on line 1; ids are unique")]


def test_groups_for_some_rows_only_are_a_problem() -> None:
    problems: list[Problem] = []
    build_comparisons([(1, record(group="g")), (2, record(id="b"))], problems)
    assert [problem.line for problem in problems] == [2]


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (("Plain English.", ""), "en"),
        (("冰为什么浮在水上？", "因为密度小"), "zh"),
        (("The term 密度 means density, and it is all that the answer needs.",), "en"),
        (("密度abcde",), "en"),  # 2 of 7 letters
        (("密度度abcde",), "zh"),  # 3 of 8
        (("密度 1234567890 .,;:!_____",), "zh"),  # digits and marks are no letters
        (("Почему лёд плавает?",), "en"),
    ],
)
def test_language(texts: tuple[str, ...], language: str) -> None:
    assert infer_language(*texts) == language


def test_the_definition_s_language_holds_where_a_record_names_none() -> None:
    problems: list[Problem] = []
    made = build_comparisons([(1, record()), (2, record(id="b", language="fr"))], problems, language="de")
    assert [comparison.language for comparison in made] == ["de", "fr"]
