"""The audit: counts, pairs, texts, sides."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.datasets.audit import Audit, audit
from calf.datasets.audit.sides import binomial_p
from calf.datasets.audit.texts import is_unfinished, measure
from calf.datasets.dataset import Dataset
from calf.types import Comparison

_ids = count()


def row(a: str = "An answer.", b: str = "Another answer.", label: str = "response_a", **fields: Any) -> Comparison:
    """A comparison; everything not given is plain."""
    number = next(_ids)
    plain: dict[str, Any] = {
        "id": f"c{number}",
        "question": f"Question {number}?",
        "context": "",
        "reference": "A reference.",
        "setting": "model_vs_model",
        "language": "en",
        "source_a": "model",
        "source_b": "model",
        "group": f"g{number}",
    }
    return Comparison(**{**plain, "response_a": a, "response_b": b, "label": label, **fields})


def look(*rows: Comparison) -> Audit:
    return audit(Dataset("planted", rows))


def kinds(report: Audit) -> list[str]:
    return [finding.kind for finding in report.findings]


def the(report: Audit, kind: str) -> Any:
    (found,) = [finding for finding in report.findings if finding.kind == kind]
    return found


class TestCounts:
    def test_everything_is_counted(self) -> None:
        rows = [
            row("one", "two", "same", question="Q1", group="g", subject="law", setting="human_vs_human"),
            row("one", "three", "response_b", question="Q1", group="g", subject="law"),
            row("four", "five", "response_b", question="Q2", group="h"),
        ]
        report = look(*rows)
        assert (report.comparisons, report.questions, report.groups, report.responses) == (3, 2, 2, 5)
        assert report.counts["setting"] == {"human_vs_human": 1, "model_vs_model": 2}
        assert report.counts["label"] == {"response_b": 2, "same": 1}
        assert report.counts["subject"] == {"law": 2, "none": 1}
        assert report.labels == {"human_vs_human": {"same": 1}, "model_vs_model": {"response_b": 2}}

    def test_lengths_by_source_and_language(self) -> None:
        rows = [
            row("a b c", "a b c d e", source_a="human", source_b="m1", reference=None),
            row("a", "一 二\n三", source_a="human", source_b="m1", language="zh", reference=None),
        ]
        texts = {(r.source, r.language): (r.unit, r.count, r.mean) for r in look(*rows).texts}
        assert texts == {
            ("human", "en"): ("words", 1, 3.0),
            ("human", "zh"): ("characters", 1, 1.0),
            ("m1", "en"): ("words", 1, 5.0),
            ("m1", "zh"): ("characters", 1, 3.0),
        }

    def test_a_text_counts_once_a_question(self) -> None:
        rows = [row("short", "x y z", question="Q", source_a="s"), row("short", "v w", question="Q", source_a="s")]
        assert {r.source: r.count for r in look(*rows).texts} == {"s": 1, "model": 2, "reference": 1}

    def test_quantiles(self) -> None:
        rows = [row(" ".join(["w"] * n), "x", source_a="s") for n in range(1, 102)]
        (texts,) = [r for r in look(*rows).texts if r.source == "s"]
        assert (texts.median, texts.low, texts.high) == (51.0, 6.0, 96.0)

    def test_as_dict_is_json(self) -> None:
        report = look(row("same text", "same text"))
        assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["findings"][0]["kind"] == "equal_responses"

    def test_an_empty_dataset_has_no_findings(self) -> None:
        assert look().findings == ()


class TestPairs:
    def test_a_clean_dataset_has_no_findings(self) -> None:
        assert kinds(look(*(row(f"Text {i}.", f"Text {i + 1}.", "same") for i in range(30)))) == []

    def test_duplicate_in_the_other_order_with_the_same_meaning(self) -> None:
        report = look(row("x", "y", "response_a", question="Q"), row("y", "x", "response_b", question="Q"))
        assert kinds(report) == ["duplicate_pairs"]
        assert the(report, "duplicate_pairs").message.startswith("1 pairs")
        assert len(the(report, "duplicate_pairs").ids) == 2

    def test_the_same_texts_under_another_question_are_no_duplicate(self) -> None:
        assert kinds(look(row("x", "y"), row("x", "y"))) == []

    def test_conflict_after_swapping(self) -> None:
        report = look(row("x", "y", "response_a", question="Q"), row("y", "x", "response_a", question="Q"))
        found = the(report, "conflicting_pairs")
        assert found.severity == "error"
        assert "1 with opposite winners, 0 with same" in found.message

    def test_a_tie_against_a_winner_is_a_lesser_conflict(self) -> None:
        report = look(row("x", "y", "response_a", question="Q"), row("x", "y", "same", question="Q"))
        found = the(report, "conflicting_pairs")
        assert found.severity == "warning"
        assert "0 with opposite winners, 1 with same" in found.message

    def test_two_equal_ties_do_not_conflict(self) -> None:
        report = look(row("x", "y", "same", question="Q"), row("y", "x", "same", question="Q"))
        assert kinds(report) == ["duplicate_pairs"]

    @pytest.mark.parametrize("length", [3, 4, 6])
    def test_cycle(self, length: int) -> None:
        texts = [f"Response {i}." for i in range(length)]
        rows = [
            row(one, other, "response_a", question="Q") if i % 2 else row(other, one, "response_b", question="Q")
            for i, (one, other) in enumerate(zip(texts, texts[1:] + texts[:1], strict=True))
        ]
        found = the(look(*rows, row()), "cycles")
        assert found.severity == "note"
        assert found.ids == tuple(r.id for r in rows)[:5]
        assert f"in 1 questions preferences go round (A over B, B over C, C over A): {length} comp" in found.message

    def test_no_cycle_in_an_order_with_a_tie_or_across_questions(self) -> None:
        order = [row("x", "y", question="Q"), row("y", "z", question="Q"), row("z", "x", "same", question="Q")]
        across = [row("u", "v", question="R"), row("v", "w", question="R"), row("w", "u", question="S")]
        assert kinds(look(*order, *across)) == []

    def test_opposite_winners_alone_are_no_cycle(self) -> None:
        assert "cycles" not in kinds(look(row("x", "y", question="Q"), row("y", "x", question="Q")))

    def test_general_questions(self) -> None:
        plot = [row(question="What is the plot?", reference=f"Text {i}.", group="g") for i in range(4)]
        who = [row(question="Who is it about?", reference=f"Person {i}.", group="h") for i in range(3)]
        found = the(look(*plot, *who, row()), "general_question")
        assert found.severity == "warning"
        assert found.message.startswith("2 questions have 3 or more different references each ('What is the plot?': 4)")
        assert found.ids == tuple(r.id for r in (*plot, *who))[:5]

    @pytest.mark.parametrize(
        "more",
        [
            {"reference": "One."},  # one text
            {"reference": None},  # none that is known
            {"context": "The story."},  # one text with several references
            {"question": None},  # other questions
            {"group": None},  # no group is made of them
        ],
    )
    def test_questions_of_one_text_or_group_are_not_general(self, more: dict[str, Any]) -> None:
        rows = []
        for i in range(6):
            fields = {"question": "Why?", "reference": f"Text {i}.", "group": "g"} | more
            changes = {
                name: f"{name} {i}" if value is None and name != "reference" else value
                for name, value in fields.items()
            }
            rows.append(row(**changes))
        assert "general_question" not in kinds(look(*rows))
        two = [row(question="Why?", reference=f"Text {i % 2}.", group="g") for i in range(6)]
        assert "general_question" not in kinds(look(*two))

    def test_equal_responses(self) -> None:
        same = the(look(row("x", "x", "same")), "equal_responses")
        won = the(look(row("x", "x", "same"), row("y", " y\n", "response_b")), "equal_responses")
        assert (same.severity, won.severity) == ("warning", "error")
        assert "2 comparisons have two equal responses: 1 with a winner all the same, 1 labelled same" in won.message
        assert len(won.ids) == 1


class TestTexts:
    def test_empty_response(self) -> None:
        found = the(look(row("", "Fine.", "response_a"), row("Fine.", " \n", "same"), row()), "empty_responses")
        assert "2 comparisons have an empty response (1 times it is the preferred one)" in found.message

    def test_missing_references_and_blank_contexts(self) -> None:
        report = look(row(reference=None), row(reference="  "), row(context=""))
        assert kinds(report) == ["missing_references"]
        assert the(report, "missing_references").message.startswith("2 of 3")

    PLENTY = "This sentence has plenty of words so that the careful rule looks at it and then it"

    @pytest.mark.parametrize(
        ("ending", "unfinished"),
        [
            (" ends.", False),
            (" ends!\n\n", False),
            (' says "yes."', False),
            (" says “yes.”", False),
            (" ends (see above).", False),
            (" ends. (See Smith, 2009)", False),
            (" ends [or so it seems!]", False),
            (" ends.[3]", False),
            (" ends.**", False),
            (" makes me laugh 🤷\u200d♂️", False),
            (" ends:\n1. first point\n2. second point", False),
            (" ends:\n- first point\n- second point", False),
            (" ends here: https://example.org/page", False),
            (" ends with a formula $x^2$", False),
            (" ends.\\n", False),
            (" stops in the middle of", True),
            (" stops after a comma,", True),
            (" stops before a list:", True),
            (" stops in 19", True),
            (' stops at "the', True),
        ],
    )
    def test_unfinished_english(self, ending: str, unfinished: bool) -> None:
        assert is_unfinished(self.PLENTY + ending, "en") is unfinished

    def test_short_texts_are_never_unfinished(self) -> None:
        assert not is_unfinished("Paris", "en")
        assert not is_unfinished("巴黎", "zh")

    @pytest.mark.parametrize(
        ("ending", "unfinished"),
        [("结束。", False), ("结束。”", False), ("结束！\n", False), ("没有写完", True), ("没有写完，", True)],
    )
    def test_unfinished_chinese(self, ending: str, unfinished: bool) -> None:
        assert (
            is_unfinished("这是一个为测试而写的句子，它有足够多的字，可以看出最后是不是写完了，而且" + ending, "zh")
            is unfinished
        )

    def test_languages_without_full_stops(self) -> None:
        assert not is_unfinished("ประโยค " * 40, "th")

    def test_truncated_shares_by_source(self) -> None:
        whole, cut = self.PLENTY + " ends here, number {}.", self.PLENTY + " number {} stops in the"
        rows = [row(whole.format(i), (cut if i < 5 else whole).format(-i), source_b="cutter") for i in range(20)]
        report = look(*rows)
        found = the(report, "truncated_responses")
        assert found.severity == "warning"
        assert "5 of 20 of 'cutter' (25.0 %)" in found.message
        assert "'model'" not in found.message
        assert found.ids == tuple(r.id for r in rows[:5])
        assert {t.source: t.unfinished for t in report.texts} == {"cutter": 5, "model": 0, "reference": 0}

    def test_a_source_that_never_ends_its_sentences_is_not_truncated(self) -> None:
        rows = [row(f"{self.PLENTY} writes so {i}", f"{self.PLENTY} ends {i}.", source_a="human") for i in range(20)]
        assert "truncated_responses" not in kinds(look(*rows))

    def test_measure(self) -> None:
        assert measure(" two  words\n", "en") == 2
        assert measure(" 四个 汉字\n", "zh") == 4


def _labelled(a: int, b: int, same: int = 0, **fields: Any) -> list[Comparison]:
    labels = ["response_a"] * a + ["response_b"] * b + ["same"] * same
    return [row(f"Text {i}.", f"Text {i + 1}.", label, **fields) for i, label in enumerate(labels)]


class TestSides:
    @given(st.integers(0, 400), st.integers(0, 400))
    @settings(deadline=None)
    def test_binomial_test(self, a: int, b: int) -> None:
        from scipy.stats import binomtest

        expected = binomtest(a, a + b).pvalue if a + b else 1.0
        assert binomial_p(a, b) == pytest.approx(expected, rel=1e-9)

    def test_lean(self) -> None:
        report = look(*_labelled(40, 15, 5))
        assert (
            "labels lean to response_a: 40 response_a, 15 response_b, 5 same (p = 0.001)"
            in the(report, "label_lean").message
        )

    def test_no_lean_at_p_above_one_percent(self) -> None:
        assert kinds(look(*_labelled(36, 18))) == []  # p = 0.020

    def test_lean_overall_only(self) -> None:
        report = look(*_labelled(40, 22), *_labelled(40, 22, setting="human_vs_human"))
        (found,) = [f for f in report.findings if f.kind == "label_lean"]
        assert found.message.startswith("overall: ")

    def test_lean_with_a_fixed_source_is_confounded(self) -> None:
        fields = {"setting": "human_vs_model", "source_a": "human"}
        report = look(*_labelled(10, 50, **fields))
        assert (
            "'human' is response_a in 60 of 60, so this may as well be a preference"
            in the(report, "label_lean").message
        )
        assert "the human is response_a in 60 of 60" in the(report, "source_on_one_side").message

    def test_lean_between_unnamed_models_says_so(self) -> None:
        assert "the models are not named" in the(look(*_labelled(50, 10)), "label_lean").message
        named = look(*_labelled(25, 5, source_a="m"), *_labelled(25, 5, source_b="m"))
        assert "the models are not named" not in the(named, "label_lean").message

    @pytest.mark.parametrize(("first", "second", "found"), [(19, 1, True), (18, 2, False), (19, 0, False)])
    def test_source_on_one_side(self, first: int, second: int, found: bool) -> None:
        rows = [row(f"a{i}.", f"b{i}.", "same", source_a="m1", source_b="m2") for i in range(first)]
        rows += [row(f"c{i}.", f"d{i}.", "same", source_a="m2", source_b="m1") for i in range(second)]
        messages = [f.message for f in look(*rows).findings if f.kind == "source_on_one_side"]
        assert len(messages) == (2 if found else 0)
        if found:
            assert "'m1' is response_a in 19 of 20" in messages[0]
            assert "'m2' is response_b in 19 of 20" in messages[1]

    def test_both_sides_from_one_source_say_nothing(self) -> None:
        assert kinds(look(*_labelled(15, 15, source_a="m", source_b="m"))) == []

    def test_unknown_sources_say_nothing(self) -> None:
        assert "source_on_one_side" not in kinds(look(*_labelled(15, 15, source_a=None, source_b=None)))

    def test_length_leans(self) -> None:
        rows = [
            row(f"words {i} {-i} words.", f"words {i}.", "response_a" if i < 25 else "response_b") for i in range(30)
        ]
        report = look(*rows)
        assert report.sides[0].longer_wins == 25
        assert report.sides[0].decided == 30
        assert "the longer response is preferred in 25 of 30 (83.3 %" in the(report, "length_lean").message
        message = the(report, "length_by_side").message
        assert (
            "response_a is longer on average (4 words in response_a, 2 in response_b), and labels lean to the longer"
            in message
        )

    def test_equal_lengths_say_nothing_of_length(self) -> None:
        report = look(*_labelled(15, 15))
        assert report.sides[0].decided == 0


def test_findings_come_by_severity() -> None:
    rows = [row("x", "x"), row("u", "v", reference=None), row("", "w")]
    assert [f.severity for f in look(*rows).findings] == ["error", "warning", "note"]
