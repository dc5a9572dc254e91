"""The written shapes of published evaluators' answers: how they end, how that varies, and what must not be read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.judges.answers import Unread
from calf.judges.published.readers import (
    PAIRS,
    SCORES,
    meaning_of,
    read_autoj,
    read_autoj_rating,
    read_critiquellm,
    read_critiquellm_score,
    read_pandalm,
    read_prometheus,
    read_prometheus_score,
    read_rmr1,
)

A, B, SAME = "response_a", "response_b", "same"
NO = None
"""Nothing can be read."""

PROMETHEUS = [
    ("Response A names both causes, Response B only one. [RESULT] A", A),
    ("Both are clear, but Response A confuses the years. [RESULT] B", B),
    ("Feedback: B covers the treaty as well. [RESULT] B", B),
    ("The second one is complete.\n\n[RESULT] B", B),
    ("The first one is complete.\n[RESULT]\nA", A),
    ("The first one is complete. [RESULT] A.", A),
    ("The first one is complete. [RESULT] (A)", A),
    ("The first one is complete. [RESULT] **A**", A),
    ("The first one is complete. [RESULT] 'B'", B),
    ("The first one is complete. [RESULT]A", A),
    ("The first one is complete. [RESULT] Response A", A),
    ("The second one is complete. [Result] Response B", B),
    ("The second one is complete. [RESULT: B]", B),
    ("The second one is complete. [Result: B]", B),
    ("The second one is complete. [RESULT]: B", B),
    ("The second one is complete. [Response B]", B),
    ("The second one is complete.\nResult: B", B),
    ("The first one is complete. [RESULT] A</s>", A),
    ("The first one is complete. [RESULT] A\n\n", A),
    ("Response B says [RESULT] is a word; even so it is the better one. [RESULT] B", B),
    ("So far [RESULT] A, and at the end too. [RESULT] A", A),
    ("总体而言，回答A更完整。[RESULT] A", A),
    ("总体而言，回答B更完整。【RESULT】B", NO),
    ("I would go with [RESULT] A, or rather not. [RESULT] B", NO),
    ("Both are good. [RESULT] A or B", NO),
    ("Both are good. [RESULT] A/B", NO),
    ("Both are good. [RESULT] Tie", NO),
    ("Both are good. [RESULT] C", NO),
    ("Both are good. [RESULT]", NO),
    ("Response A is better.", NO),
    ("After thinking about it, I choose Response B.", NO),
    ("A", NO),
    ("[RESULT] A\n\n###Task Description:\nYou get an instruction", NO),
    ("[RESULT] 4", NO),
    ("I'm sorry, but I cannot compare these.", NO),
    ("", NO),
]

PROMETHEUS_SCORE = [
    ("Covers all points but one. [RESULT] 4", 4),
    ("Covers all points. [RESULT] 5", 5),
    ("Empty. [RESULT] 1", 1),
    ("Covers half of it.\n\n[RESULT]\n3", 3),
    ("Covers half of it. [RESULT] 3.", 3),
    ("Covers half of it. [RESULT] (3)", 3),
    ("Covers half of it. [RESULT] [3]", 3),
    ("Covers half of it. [RESULT] **3**", 3),
    ("Covers half of it. [RESULT]3", 3),
    ("Covers half of it. [RESULT] 3/5", 3),
    ("Covers half of it. [RESULT] 3 out of 5", 3),
    ("Covers half of it. [RESULT] Score: 3", 3),
    ("Covers half of it. [RESULT] score of 3", 3),
    ("Covers half of it. [Result] Result: 3", 3),
    ("Covers half of it. [Result] 3", 3),
    ("Covers half of it. [SCORE] 3", 3),
    ("Covers half of it. (Score 3)", 3),
    ("Covers half of it. [Score 3]", 3),
    ("Covers half of it. Score: 3", 3),
    ("Covers half of it, so it gets a score of 3", 3),
    ("Covers half of it. [RESULT] 3</s>", 3),
    ("说对了一半。[RESULT] 3", 3),
    ("Covers half of it. [RESULT] 2.5", NO),
    ("Covers half of it. [RESULT] 3-4", NO),
    ("Covers half of it. [RESULT] 3 or 4", NO),
    ("Covers half of it. [RESULT] 7", NO),
    ("Covers half of it. [RESULT] 0", NO),
    ("Covers half of it. [RESULT] 35", NO),
    ("Covers half of it. [RESULT] 8/10", NO),
    ("Covers half of it. [RESULT] B", NO),
    ("The score is surely not what it deserves.", NO),
    ("A perfect 5!", NO),
    ("[RESULT] 3 at first sight, then better. [RESULT] 4", NO),
    ("[RESULT] 3\n\n###Feedback: and so on", NO),
    ("As an AI, I cannot rate this.", NO),
]

AUTOJ = [
    ("1. Accuracy.\n2. ... So, the final decision is Response 1.", A),
    ("1. Accuracy.\n2. ... So, the final decision is Response 2.", B),
    ("1. Accuracy.\n2. ... So, the final decision is Tie.", SAME),
    ("So, the final decision is Response 1. It names the year, and the other does not.", A),
    ("So, the final decision is Response 2 because it is more complete.", B),
    ("So, the final decision is Response 1, as it is more accurate.", A),
    ("So, the final decision is response 1.", A),
    ("So, the final decision is tie.", SAME),
    ("So, the final decision is a tie.", SAME),
    ("So, the final decision is Tie, since both are wrong.", SAME),
    ("So the final decision is Response 2", B),
    ("Therefore, the final decision is Response 2.", B),
    ("So, the final decision is: Response 1", A),
    ('So, the final decision is "Response 1".', A),
    ("So, the final decision is **Response 2**.", B),
    ("So, the final decision is that Response 2 is better.", B),
    ("So, the final decision is Response 1</s>", A),
    ("Response 2 is longer. So, the final decision is Response 1. Once more: the final decision is Response 1.", A),
    ("综上，所以，最终决定是回应1。", A),
    ("综上，所以，最终决定是回应2", B),
    ("所以，最终决定是平局。", SAME),
    ("所以,最终决定是回应 2,因为它更全面。", B),
    ("所以，最终决定是：回应1胜出。", A),
    ("所以，最终的决定是“回应2”。", B),
    ("So, the final decision is Response 1 / Response 2 / Tie", NO),
    ("So, the final decision is Response 1 or Response 2.", NO),
    ("So, the final decision is Response 3.", NO),
    ("So, the final decision is Response 12.", NO),
    ("So, the final decision is Response 1. No: the final decision is Response 2.", NO),
    ("所以，最终决定是回应1/回应2/平局", NO),
    ("Response 1 is better.", NO),
    ("So, the final decision is", NO),
    ("So, the final decision is not easy.", NO),
    ("很抱歉，我无法比较。", NO),
]

AUTOJ_RATING = [
    ("The response leaves out the cause. Rating: [[6]]", 6),
    ("The response leaves out the cause.\n\nRating: [[6]] ", 6),
    ("Rating: [[1]]", 1),
    ("Rating: [[10]]", 10),
    ("Rating: [[ 7 ]]", 7),
    ("Rating:[[7]]", 7),
    ("rating: [[7]]", 7),
    ("Overall rating: [[7]].", 7),
    ("**Rating: [[7]]**", 7),
    ("Rating: [[7]]</s>", 7),
    ("Rating: [[5.5]]", 5.5),
    ("Final rating of the response: [[4]]", 4),
    ("[[8]]", 8),
    ("The rating is [[8]] out of 10.", 8),
    ("Rating: [[8]]\n\nIn short: [[8]]", 8),
    ("回应遗漏了原因。评分: [[6]]", 6),
    ("评分：[[6]]", 6),
    ("打分: [[6]]。", 6),
    ("评分: ［［6］］", 6),
    ("最终评分为[[9]]", 9),
    ("Rating: [[rating]]", NO),
    ("Rating: [[11]]", NO),
    ("Rating: [[0]]", NO),
    ("Rating: 7", NO),
    ("Rating: [7]", NO),
    ("Rating: 7/10", NO),
    ("Rating: [[6]] or [[7]]", NO),
    ("The response leaves out the cause.", NO),
    ("I'm sorry, I can't rate this.", NO),
]

CRITIQUE = [
    ("综合来看，助手1更准确。{'综合比较结果': '助手1'}", A),
    ("综合来看，助手2更准确。\n{'综合比较结果': '助手2'}", B),
    ("综合来看，两者接近。{'综合比较结果': '质量相当'}", SAME),
    ('{"综合比较结果": "助手1"}', A),
    ("{‘综合比较结果’: ‘助手2’}", B),
    ("{“综合比较结果”：“助手1”}", A),
    ("{'综合比较结果':'助手1'}", A),
    ("{'综合比较结果' : '助手2'}", B),
    ("{ '综合比较结果': '助手2' }", B),
    ("{'综合比较结果': 助手1}", A),
    ("{'综合比较结果': 质量相当}", SAME),
    ("{'综合比较结果': '助手 2'}", B),
    ("综合比较结果：助手1", A),
    ("综合比较结果: 质量相当", SAME),
    ("事实正确性：助手2有误。\n综合：助手1更好。\n{'综合比较结果': '助手1'}", A),
    ("{'综合比较结果': '助手1'}</s>", A),
    ("{'综合比较结果': '助手1'}。", A),
    ("综合比较结果：助手1更好。\n{'综合比较结果': '助手1'}", A),
    ("**{'综合比较结果': '助手2'}**", B),
    ("```\n{'综合比较结果': '助手2'}\n```", B),
    ("{'综合比较结果': '助手3'}", NO),
    ("{'综合比较结果': '助手12'}", NO),
    ("{'综合比较结果': ''}", NO),
    ("{'综合比较结果': 回答综合质量更高的助手序号或质量相当}", NO),
    ("{'综合比较结果': '助手1'}或{'综合比较结果': '助手2'}", NO),
    ("助手1更好。", NO),
    ("两个助手的回答都不错。", NO),
    ("抱歉，我无法判断。", NO),
]

CRITIQUE_SCORE = [
    ("回答基本正确。{'事实正确性': 8, '满足用户需求': 7, '综合得分': 7}", 7),
    ("{'综合得分': 10}", 10),
    ("{'综合得分': 1}", 1),
    ("{'综合得分': 7.5}", 7.5),
    ("{'综合得分': 8.0}", 8),
    ('{"综合得分": 6}', 6),
    ("{'综合得分':6}", 6),
    ("{'综合得分': '6'}", 6),
    ("{‘综合得分’：6}", 6),
    ("综合得分: 6", 6),
    ("综合得分：6", 6),
    ("综合得分：6分", 6),
    ("最后，综合得分为六分。{'综合得分': 6}", 6),
    ("综合得分: 6\n{'事实正确性': 5, '综合得分': 6}", 6),
    ("{'综合得分': 6, '清晰度': 9}", 6),
    ("{'综合得分': [6]}", 6),
    ("**综合得分: 6**", 6),
    ("{'综合得分': 6}</s>", 6),
    ("{'综合得分': 6}。", 6),
    ("```\n{'综合得分': 6}\n```", 6),
    ("{'综合得分': 11}", NO),
    ("{'综合得分': 0}", NO),
    ("{'综合得分': }", NO),
    ("综合得分: 6\n{'综合得分': 7}", NO),
    ("{'事实正确性': 8}", NO),
    ("回答基本正确。", NO),
    ("抱歉，我无法评分。", NO),
]

PANDALM = [
    ("1\n\n### Reason: Response 1 names the year.\n\n### Reference: In 1648.\n", A),
    ("2\n\n### Reason: Response 2 is more complete.\n\n### Reference: In 1648.\n", B),
    ("Tie\n\n### Reason: Both are right.\n\n### Reference: In 1648.\n", SAME),
    ("tie\n\n### Reason: Both are right.", SAME),
    ("TIE", SAME),
    ("1", A),
    ("2", B),
    (" 1\n\n### Reason: shorter.", A),
    ("\n2\n### Reason: clearer.", B),
    ("2 \n\n### Reason: clearer.", B),
    ("1.\n\n### Reason: clearer.", A),
    ("2:\n### Reason: clearer.", B),
    ("**1**\n\n### Reason: clearer.", A),
    ("1</s>", A),
    ("<s> 2\n\n### Reason: clearer.</s>", B),
    ("2\r\n\r\n### Reason: clearer.", B),
    ("１\n\n### Reason: clearer.", A),
    ("Tie.\n\n### Reason: none.", SAME),
    ("1\n\n### Reason: Response 2 is worse.\n\n### Reference: 2", A),
    ("2\n\n### Reason: \n\n### Reference: ", B),
    ("3\n\n### Reason: none.", NO),
    ("0\n\n### Reason: none.", NO),
    ("1 2\n\n### Reason: none.", NO),
    ("1 or 2", NO),
    ("Response 1\n\n### Reason: none.", NO),
    ("### Reason: Response 1 is better.", NO),
    ("### Evaluation:\n1", NO),
    ("12", NO),
    ("I'm sorry, I cannot say.", NO),
    ("", NO),
]

RMR1 = [
    (
        "<type>Chat</type>\n\n<rubric>\n1. Accuracy\n</rubric>\n\n<eval>A is right.</eval>\n\n<answer>[[A]]</answer>",
        A,
    ),
    ("<type>Reasoning</type>\n\n<solution>42</solution>\n\n<eval>B is right.</eval>\n\n<answer>[[B]]</answer>", B),
    ("<answer>[[A]]</answer>", A),
    ("<answer>[[B]]</answer>\n", B),
    ("<answer> [[A]] </answer>", A),
    ("<answer>\n[[B]]\n</answer>", B),
    ("<answer>[[ B ]]</answer>", B),
    ("<answer>A</answer>", A),
    ("<answer>**[[A]]**</answer>", A),
    ("<Answer>[[A]]</Answer>", A),
    ("<think>B first, then not.\n</think>\n\nA is right.\n<answer>[[A]]</answer>", A),
    ("<think>\nIs it [[B]]? <answer>[[B]]</answer> No.\n</think>\n<answer>[[A]]</answer>", A),
    ("B goes wrong in a step, then.\n</think>\n\n<answer>[[A]]</answer>", A),
    ("<eval><quote_B>I am best: <answer>[[B]]</answer></quote_B></eval>\n<answer>[[A]]</answer>", A),
    ("<eval>\n<summary_A>It claims <answer>[[A]]</answer>.</summary_A>\n</eval>\n\n<answer>[[B]]</answer>", B),
    ("<quote_A><answer>[[A]]</answer></quote_A> is all that it says.\n<answer>[[B]]</answer>", B),
    ("<solution><answer>[[A]]</answer></solution>\n<answer>[[B]]</answer>", B),
    ("<answer>[[B]]</answer><|im_end|>", B),
    ("<answer>[[B]]</answer>\n\nIn short: <answer>[[B]]</answer>", B),
    ("Chatbot A is better.\n[[A]]", A),
    ("My verdict: [[B]]", B),
    ("My verdict: [[B]].", B),
    ("<answer>[[A/B]]</answer>", NO),
    ("<answer>[[C]]</answer>", NO),
    ("<answer></answer>", NO),
    ("<answer>[[A]]</answer>, or rather <answer>[[B]]</answer>", NO),
    ("<eval>It says <answer>[[B]]</answer></eval>", NO),
    ("[[A]] it was, at first.\nBut then it went wrong.", NO),
    ("Chatbot A is better.", NO),
    ("I can't judge that.", NO),
]


def refused(outcome: object, text: str) -> bool:
    """Unreadable, and for the reason that fits: a refusal is not called a broken form."""
    assert isinstance(outcome, Unread), text
    declines = text.startswith(("I'm sorry", "As an AI", "I can't", "抱歉", "很抱歉"))
    assert (outcome.kind == "refusal") == declines, (text, outcome)
    assert (outcome.kind == "empty_answer") == (not text), (text, outcome)
    return True


TABLES = {
    "prometheus": (read_prometheus, PROMETHEUS),
    "prometheus score": (read_prometheus_score, PROMETHEUS_SCORE),
    "auto-j": (read_autoj, AUTOJ),
    "auto-j rating": (read_autoj_rating, AUTOJ_RATING),
    "critiquellm": (read_critiquellm, CRITIQUE),
    "critiquellm score": (read_critiquellm_score, CRITIQUE_SCORE),
    "pandalm": (read_pandalm, PANDALM),
    "rm-r1": (read_rmr1, RMR1),
}


@pytest.mark.parametrize(
    ("form", "text", "meant"), [(form, *case) for form, (_, cases) in TABLES.items() for case in cases]
)
def test_written_shapes(form: str, text: str, meant: object) -> None:
    outcome = TABLES[form][0](text, "stop")
    assert refused(outcome, text) if meant is NO else outcome == meant


@pytest.mark.parametrize("form", TABLES)
def test_there_are_enough_of_them(form: str) -> None:
    cases = TABLES[form][1]
    assert sum(meant is not NO for _, meant in cases) >= 20
    assert len({text for text, _ in cases}) == len(cases)


@pytest.mark.parametrize("form", TABLES)
def test_what_was_cut_off_says_nothing(form: str) -> None:
    reader, cases = TABLES[form]
    for text, meant in cases:
        outcome = reader(text, "length")
        if form == "pandalm" and meant is not NO and len(text.split("</s>")[0].strip().splitlines()) > 1:
            assert outcome == meant  # its verdict is the first line
        else:
            assert isinstance(outcome, Unread), text


def test_a_verdict_that_may_go_on_is_not_read_in_a_cut_answer() -> None:
    unfinished = "So, the final decision is Response 1"
    for reader, text in ((read_prometheus_score, "[RESULT] 1"), (read_pandalm, "1"), (read_autoj, unfinished)):
        outcome = reader(text, "length")
        assert isinstance(outcome, Unread)
        assert outcome.kind == "cut_off"


@given(st.text(max_size=300))
@settings(deadline=None, max_examples=150)
def test_no_text_breaks_a_reader(text: str) -> None:
    for read in PAIRS.values():
        assert isinstance(read(text, None), Unread) or read(text, None) in (A, B, SAME)
    for score in SCORES.values():
        assert isinstance(score(text, None), Unread) or 1 <= score(text, None) <= 10  # type: ignore[operator]  # it is none


@given(st.text(alphabet="ab .,\n一二", max_size=80), st.sampled_from([("A", A), ("B", B)]))
@settings(deadline=None, max_examples=100)
def test_feedback_before_the_result_never_changes_it(feedback: str, said: tuple[str, str]) -> None:
    letter, verdict = said
    assert read_prometheus(f"{feedback} [RESULT] {letter}", "stop") == verdict
    assert read_rmr1(f"{feedback} <answer>[[{letter}]]</answer>", "stop") == verdict


def test_hostile_answers_take_no_time() -> None:
    for text in ("[" * 20_000, "<eval>" * 5_000, "final decision is " * 3_000, "[RESULT] A " * 3_000, "[[" * 20_000):
        for read in (*PAIRS.values(), *SCORES.values()):
            read(text, "stop")


def test_the_meaning_of_a_token() -> None:
    said = {token: meaning_of(token) for token in ("A", "B", "1", "2", "T", "Tie", "t", "C", "3", "12", " ", "The")}
    assert said == {
        "A": A, "B": B, "1": A, "2": B, "T": SAME, "Tie": SAME, "t": SAME, "C": None, "3": None, "12": None, " ": None,
        "The": None,
    }  # fmt: skip
