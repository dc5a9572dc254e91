from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from calf.datasets import Dataset, load_dataset, validate_file
from calf.errors import DataError, UnknownNameError
from calf.types import Annotation


def save(path: Path, records: list[dict[str, Any]]) -> Path:
    text = json.dumps(records) if path.suffix == ".json" else "".join(json.dumps(r) + "\n" for r in records)
    path.write_text(text, encoding="utf-8")
    return path


def problem(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(path, **options)
    return caught.value.problem


# LFQA-E, as published


def published(**changes: Any) -> dict[str, Any]:
    full = {
        "id": "u-1",
        "question": "Why is the sky blue?",
        "context": "",
        "type": "Physics",
        "reference": "Scattering.",
        "response_a": "Scattering of short waves.",
        "response_b": "The sea.",
        "compare_type": "human_vs_model",
        "label": "response_a",
        **changes,
    }
    return {key: value for key, value in full.items() if value is not ...}


@pytest.mark.parametrize(
    ("kind", "setting", "source_a", "source_b"),
    [
        ("human_vs_human", "human_vs_human", "human", "human"),
        ("human_vs_model", "human_vs_model", "human", "model"),
        ("model_vs_human", "human_vs_model", "model", "human"),
        ("model_vs_model", "model_vs_model", "model", "model"),
    ],
)
def test_lfqa_e_published(tmp_path: Path, kind: str, setting: str, source_a: str, source_b: str) -> None:
    records = [published(compare_type=kind), published(id="u-2", compare_type=kind, type=...)]
    first, second = load_dataset(save(tmp_path / "d.json", records))
    assert (first.setting, first.source_a, first.source_b) == (setting, source_a, source_b)
    assert (first.subject, second.subject) == ("Physics", None)
    assert first.extra == {}


def test_lfqa_e_published_with_a_wrong_kind(tmp_path: Path) -> None:
    records = [published(), published(id="u-2", compare_type="human_vs_mdel"), published(id="u-3", compare_type=...)]
    _, problems = validate_file(save(tmp_path / "d.jsonl", records))
    assert [p.line for p in problems] == [2, 3]
    assert problems[0].text.endswith("not 'human_vs_mdel'; did you mean 'human_vs_model'?")


# LFQA-E, its older form


def older(first: str, second: str, label: str, **changes: Any) -> dict[str, Any]:
    return {
        "context": None,
        "question": "Why is the sky blue?",
        "Concise_Reference": "Scattering.",
        first: f"The text of {first}.",
        second: f"The text of {second}.",
        f"{first}_vs_{second}": label,
        **changes,
    }


ANSWERS = ("student_answer_a", "student_answer_b", "model_answer_a", "model_answer_b")


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(ANSWERS, 2)))
def test_lfqa_e_older_pairs(tmp_path: Path, first: str, second: str) -> None:
    records = [older(first, second, label) for label in (first, second, "same")]
    dataset = load_dataset(save(tmp_path / "d.json", records))
    humans = first.startswith("student") + second.startswith("student")
    assert [c.label for c in dataset] == ["response_a", "response_b", "same"]
    for comparison in dataset:
        assert comparison.response_a == f"The text of {first}."
        assert comparison.response_b == f"The text of {second}."
        assert comparison.source_a == ("human" if first.startswith("student") else "model")
        assert comparison.source_b == ("human" if second.startswith("student") else "model")
        assert comparison.setting == ["model_vs_model", "human_vs_model", "human_vs_human"][humans]
        assert (comparison.reference, comparison.context, comparison.extra) == ("Scattering.", "", {})


def test_lfqa_e_older_ids_are_made_unique_and_stay(tmp_path: Path) -> None:
    records = [older(*pair, "same", id="q7") for pair in itertools.combinations(ANSWERS, 2)]
    dataset = load_dataset(save(tmp_path / "d.json", records))
    ids = {c.response_a + c.response_b: c.id for c in dataset}
    assert len(set(ids.values())) == 6
    assert {c.extra["original_id"] for c in dataset} == {"q7"}
    again = load_dataset(save(tmp_path / "e.json", records[::-1][:4]))
    assert all(ids[c.response_a + c.response_b] == c.id for c in again)
    twice = load_dataset(save(tmp_path / "f.json", records[:1] * 2))
    assert [c.id.partition("-")[2] for c in twice] == ["", "2"]


def test_lfqa_e_older_with_several_pairs_in_a_record(tmp_path: Path) -> None:
    texts = {name: f"The text of {name}." for name in ANSWERS}
    labels = {f"{one}_vs_{other}": other for one, other in itertools.combinations(ANSWERS, 2)}
    dataset = load_dataset(save(tmp_path / "d.json", [{"question": "Why?", **texts, **labels}]))
    assert len(dataset) == 6
    assert {c.label for c in dataset} == {"response_b"}


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (older("student_answer_a", "model_answer_a", "model_answer_b"), "not 'model_answer_b'; did you mean 'model_an"),
        (older("student_answer_a", "model_answer_a", "model_answer_a", student_answer_a=3), "response_a must be a str"),
        ({"question": "Why?", "student_answer_a": "x"}, "no key that names the pair"),
        (
            {"question": "Why?", "student_answer_a": "x", "student_answer_a_vs_model_answer_a": "same"},
            "no 'model_answer_a', which 'student_answer_a_vs_model_answer_a' speaks of",
        ),
    ],
)
def test_lfqa_e_older_problems(tmp_path: Path, record: dict[str, Any], text: str) -> None:
    records = [older("student_answer_a", "model_answer_a", "same"), record]
    _, problems = validate_file(save(tmp_path / "d.jsonl", records))
    assert [p.line for p in problems] == [2]
    assert text in problems[0].text


# Xu et al. 2023


def judged(preference: Any, answer_a: str = "Short.", answer_b: str = "Longer.", **more: Any) -> dict[str, Any]:
    return {
        "question": "Why do cats purr?",
        "answer_a": answer_a,
        "answer_b": answer_b,
        "answer_a_type": "human" if answer_a == "Short." else "gpt",
        "answer_b_type": "human" if answer_b == "Short." else "gpt",
        "overall_preference": preference,
        **more,
    }


def test_xu2023_one_judgment_each(tmp_path: Path) -> None:
    records = [judged(value, answer_b=f"Longer {value}.", domain="biology") for value in (-1, 0, 1)]
    dataset = load_dataset(save(tmp_path / "d.jsonl", records))
    assert [c.label for c in dataset] == ["response_a", "same", "response_b"]
    first = dataset.comparisons[0]
    assert (first.source_a, first.source_b, first.setting) == ("human", "gpt", "human_vs_model")
    assert first.reference is None
    assert first.extra == {"domain": "biology"}
    assert first.annotations == (Annotation("row-1", "response_a"),)
    assert len({c.id for c in dataset}) == 3


def test_xu2023_judgments_of_one_pair_are_merged(tmp_path: Path) -> None:
    records = [
        judged(-1, coherence_preference=1, justification="shorter", doc_a="S", doc_b="L"),
        judged(1, "Other.", "Short."),
        judged(1, "Longer.", "Short.", coherence_preference=1, justification="clear", doc_a="L", doc_b="S"),
        judged(1, coherence_preference=0, justification="more", doc_a="S", doc_b="L"),
    ]
    merged, other = load_dataset(save(tmp_path / "d.jsonl", records))
    assert (merged.response_a, merged.response_b, merged.label) == ("Short.", "Longer.", "response_a")
    assert (merged.source_a, merged.source_b) == ("human", "gpt")
    assert merged.annotations == (
        Annotation("row-1", "response_a", {"coherence_preference": 1, "justification": "shorter"}),
        Annotation("row-3", "response_a", {"coherence_preference": -1, "justification": "clear"}),
        Annotation("row-4", "response_b", {"coherence_preference": 0, "justification": "more"}),
    )
    assert merged.extra == {"doc_a": "S", "doc_b": "L"}
    assert other.label == "response_b"


@pytest.mark.parametrize(
    ("preferences", "label"),
    [
        ([-1, 1], "same"),
        ([-1, 0], "same"),
        ([-1, 0, 1], "same"),
        ([1, 0, 1], "response_b"),
        ([0, 0, 1], "same"),
        ([1, 1, -1, -1], "same"),
    ],
)
def test_xu2023_majority(tmp_path: Path, preferences: list[int], label: str) -> None:
    (comparison,) = load_dataset(save(tmp_path / "d.jsonl", [judged(value) for value in preferences]))
    assert comparison.label == label
    assert len(comparison.annotations) == len(preferences)


def test_xu2023_a_different_question_or_context_is_another_pair(tmp_path: Path) -> None:
    records = [judged(1), judged(1, question="Why do dogs bark?"), judged(1, context="A story.")]
    assert len(load_dataset(save(tmp_path / "d.jsonl", records))) == 3


def test_xu2023_names_people_where_the_rows_do(tmp_path: Path) -> None:
    records = [judged(1, annotator="p1", id="q"), judged(1, annotator="p2", id="q")]
    (comparison,) = load_dataset(save(tmp_path / "d.jsonl", records))
    assert [a.annotator for a in comparison.annotations] == ["p1", "p2"]
    assert comparison.extra == {"original_id": "q"}


@pytest.mark.parametrize("preference", [2, "1", True, None, 0.5])
def test_xu2023_problems(tmp_path: Path, preference: Any) -> None:
    records = [judged(0), judged(preference, "x", "y"), judged(1, 3, "y")]  # type: ignore[arg-type] -- wrong on purpose
    _, problems = validate_file(save(tmp_path / "d.jsonl", records))
    assert [p.line for p in problems] == [2, 3]
    assert problems[0].text.startswith("overall_preference must be -1 (answer_a), 0 or 1 (answer_b), not ")


# Any other table


TABLE = "prompt,left,right,winner,by\nWhy?,One.,Two.,model_a,x\nHow?,Three.,Four.,tie,y\nWho?,Five.,Six.,B,x\n"
MAPPING = {
    "question": "prompt",
    "response_a": "left",
    "response_b": "right",
    "label": "winner",
    "setting": ":model_vs_model",
    "label:model_a": "response_a",
}


def mapped(tmp_path: Path, mapping: dict[str, str]) -> Dataset:
    path = tmp_path / "d.csv"
    path.write_text(TABLE, encoding="utf-8")
    return load_dataset(path, mapping=mapping)


def test_a_mapped_table(tmp_path: Path) -> None:
    dataset = mapped(tmp_path, MAPPING)
    assert [c.label for c in dataset] == ["response_a", "same", "response_b"]
    assert [c.question for c in dataset] == ["Why?", "How?", "Who?"]
    assert [c.extra for c in dataset] == [{"by": "x"}, {"by": "y"}, {"by": "x"}]
    assert {c.setting for c in dataset} == {"model_vs_model"}
    assert len({c.id for c in dataset}) == 3
    assert validate_file(tmp_path / "d.csv", MAPPING)[0] == dataset


def test_a_translation_comes_before_the_common_spellings(tmp_path: Path) -> None:
    dataset = mapped(tmp_path, {**MAPPING, "label:B": "response_a"})
    assert dataset.comparisons[2].label == "response_a"


def test_common_spellings_are_for_mapped_tables_only(tmp_path: Path) -> None:
    record = {
        "id": 1,
        "question": "Why?",
        "response_a": "x",
        "response_b": "y",
        "label": "A",
        "setting": "model_vs_model",
    }
    path = save(tmp_path / "d.jsonl", [record])
    assert "not 'A'" in problem(path)
    assert load_dataset(path, mapping={"question": "question"}).comparisons[0].label == "response_a"


@pytest.mark.parametrize(("value", "key"), [(1, "1"), (-1, "-1"), (0.5, "0.5"), (True, "true"), (None, "null")])
def test_labels_that_are_no_strings_can_be_translated(tmp_path: Path, value: Any, key: str) -> None:
    record = {"question": "Why?", "response_a": "x", "response_b": "y", "vote": value, "setting": "model_vs_model"}
    path = save(tmp_path / "d.jsonl", [record])
    mapping = {"label": "vote", f"label:{key}": "response_b"}
    assert load_dataset(path, mapping=mapping).comparisons[0].label == "response_b"
    assert "label must be one of" in problem(path, mapping={"label": "vote"})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"qestion": "prompt"}, "unknown field 'qestion'; did you mean 'question'?"),
        ({"question": "promt"}, "unknown column 'promt'; did you mean 'prompt'?"),
        ({"label:x": "response"}, "unknown label 'response'; did you mean 'response_"),
    ],
)
def test_mapping_what_does_not_exist(tmp_path: Path, changes: dict[str, str], text: str) -> None:
    with pytest.raises(UnknownNameError, match=text[:20]) as caught:
        mapped(tmp_path, {**MAPPING, **changes})
    assert text in str(caught.value)


def test_problems_of_a_mapped_table_have_lines(tmp_path: Path) -> None:
    mapping = {key: value for key, value in MAPPING.items() if not key.startswith("label:")}
    with pytest.raises(DataError, match=r"d\.csv:2: label must be one of .*, not 'model_a'"):
        mapped(tmp_path, mapping)
