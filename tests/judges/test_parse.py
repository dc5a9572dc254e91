"""The readers of judges' answers, on written shapes and on made-up text."""

from __future__ import annotations

import json
import re
import time

import judge_answers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.judges.parse import Unread, read_booleans, read_points, read_score, read_verdict

CODES = {"response_a": "A", "response_b": "B", "same": "S"}
MIRRORED = {"A": "B", "B": "A", "S": "S"}


def read(text: str, finish: str | None = "stop") -> str:
    said = read_verdict(text, finish)
    return said.kind if isinstance(said, Unread) else CODES[said]


def test_shapes() -> None:
    wrong = {text: (expected, read_verdict(text)) for text, expected in judge_answers.ALL if read(text) != expected}
    assert wrong == {}


@pytest.mark.parametrize(("text", "expected"), judge_answers.CUT)
def test_cut_off(text: str, expected: str) -> None:
    assert read(text, "length") == expected, read_verdict(text, "length")


SWAPPED = str.maketrans({"甲": "乙", "乙": "甲", "Ａ": "Ｂ", "Ｂ": "Ａ", "Ⓑ": "Ⓐ", "🅰": "🅱"})
PAIRS = {
    "A": "B",
    "B": "A",
    "first": "second",
    "second": "first",
    "1": "2",
    "2": "1",
    "a": "b",
    "b": "a",
    "一": "二",
    "二": "一",
}
NAMES = re.compile(
    r"(?<![A-Za-z])[AB](?![A-Za-z])(?! (?:tie|good|better answer))|(?<=[ _\"])[ab](?=\"|\Z)|(?<=\()[ab](?=\))"
    r"|\A[ab]\Z|\b(?:first|second) (?=response|one|answer|is better)|(?<=第)[一二]|(?<=回答)[一二]"
    r"|(?:(?<=Response )|(?<=Response #)|(?<=Answer )|(?<=Model )|(?<=Choice: )"
    r"|(?<=Winner: )|(?<=option )|(?<=\[\[))[12]"
    r"|\A[12]\Z|(?<=verdict\": )[12]|(?<=verdict\": \")[12]"
)


def mirrored(text: str) -> str:
    """The text with the two responses' names exchanged throughout."""
    return NAMES.sub(lambda match: match[0].replace(match[0].strip(), PAIRS[match[0].strip()]), text).translate(SWAPPED)


def test_exchanged_names_give_the_exchanged_verdict() -> None:
    exchanged = {mirrored(text): MIRRORED.get(expected, expected) for text, expected in judge_answers.ALL}
    wrong = {text: (expected, read_verdict(text)) for text, expected in exchanged.items() if read(text) != expected}
    assert wrong == {}


def test_how_many_shapes_there_are() -> None:
    texts = [text for text, _ in judge_answers.ALL]
    assert len(texts) == len(set(texts)) >= 170
    assert sum(bool(re.search("[一-鿿]", text)) for text in texts) >= 70


def test_a_verdict_may_be_cut_off_by_its_reasoning() -> None:
    said = read_verdict("", "length")
    assert isinstance(said, Unread)
    assert said.kind == "cut_off"  # a model that reasons unseen spends all its tokens before it answers
    assert read("Verdict: A", None) == "A"


# ---- properties ---------------------------------------------------------------------------------------------

FRAGMENTS = [
    "A",
    "B",
    "Verdict:",
    "verdict",
    "{",
    "}",
    '"',
    "'",
    "```json\n",
    "```",
    "[[",
    "]]",
    "\n",
    "\n\n",
    " ",
    ":",
    "：",
    "same",
    "tie",
    "is better than",
    "Response",
    "回答",
    "更好",
    "不如",
    "比",
    "<think>",
    "</think>",
    "<|channel|>final<|message|>",
    "\\boxed{",
    "**",
    ">",
    "I cannot",
    "抱歉",
    "1.",
    "2",
    "/5",
    "Score",
    "yes",
    "否",
    "[",
    "]",
    "true",
    ",",
    "not",
    "but",
    "。",
    "\u200b",
    "\ue000",
    "\ud800",
    "although",
    "虽然",
    "(",
    ")",
    "甲",
    "|",
    "-",
    "$",
    "\\",
    "<",
    "=",
    "neither",
    "both",
]
HOSTILE = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=40).map("".join)
FINISHES = st.sampled_from(["stop", "length", None])


@settings(deadline=None, max_examples=120)
@given(HOSTILE | st.text(max_size=200), FINISHES)
def test_never_raises(text: str, finish: str | None) -> None:
    said = read_verdict(text, finish)
    assert isinstance(said, Unread) or said in CODES
    score = read_score(text, 1, 5, finish)
    assert isinstance(score, Unread) or 1 <= score <= 5
    booleans = read_booleans(text, 3, finish)
    assert isinstance(booleans, Unread) or len(booleans) == 3
    points = read_points(text, finish)
    assert isinstance(points, Unread) or all(points)


WORDS = (
    "the treaty war of ended in a city with many people who wrote about it when he had seen that river and its banks"
    " better good answer first second both same question 1648 3.5 however therefore overall but not vitamin_A plan_B"
    " 回答 问题 条约 结束 战争 因此 总之 更多 一个 两个 选择 比较"
)
PROSE = st.lists(st.sampled_from(WORDS.split()), min_size=6, max_size=40).map(
    lambda words: " ".join(words).replace("_", " ") + "."
)


@settings(deadline=None, max_examples=200)
@given(PROSE)
def test_prose_without_a_verdict_is_unread(text: str) -> None:
    assert isinstance(read_verdict(text), Unread), text


NOUNS = st.sampled_from(["", "Response ", "response ", "Answer ", "Assistant ", "Option "])
CLAIMS = st.sampled_from(
    [
        ("{x} is better than {y}.", 1),
        ("{x} is worse than {y}.", -1),
        ("I prefer {x} over {y}.", 1),
        ("{x} is not better than {y}.", 0),
        ("{x} outperforms {y}.", 1),
        ("{x} is not as good as {y}.", -1),
        ("The better one is {x}.", 1),
        ("{x} and {y} are equally good.", 2),
        ("Overall, {x} wins.", 1),
        ("Both have merits. Therefore {x} is the better choice.", 1),
        ("Verdict: {x}", 1),
        ("My final answer is {x}.", 1),
        ('{{"verdict": "{x}"}}', 1),
        ("[[{x}]]", 1),
        ("While {x} is better in style, {y} is better.", -1),
        ("{x} is better in style.", 0),
        ("{x}比{y}好。", 1),
        ("{x}不如{y}。", -1),
        ("综上，{x}更好。", 1),
        ("{x}和{y}不相上下。", 2),
        ("裁决：{x}", 1),
        ("{x}不比{y}好。", 0),
    ]
)
BEFORE = st.sampled_from(
    ["", "Both name the year 1648.\n\n", "<think>Hard to say.</think>\n", "Let me compare them.\n", "比较如下。\n"]
)


@settings(deadline=None, max_examples=200)
@given(BEFORE, NOUNS, CLAIMS, st.sampled_from(["AB", "BA"]))
def test_what_is_said_of_a_is_said_of_b(before: str, noun: str, claim: tuple[str, int], names: str) -> None:
    said, sign = claim
    text = before + said.format(x=noun + names[0], y=noun + names[1])
    expected = {1: names[0], -1: names[1], 2: "S", 0: "unreadable"}[sign]
    assert read(text) == expected, (text, read_verdict(text))


@settings(deadline=None)
@given(st.sampled_from(["A", "B", "same"]), st.text(max_size=200))
def test_what_a_json_answer_explains_does_not_matter(verdict: str, explanation: str) -> None:
    expected = {"A": "A", "B": "B", "same": "S"}[verdict]
    for answer in ({"explanation": explanation, "verdict": verdict}, {"verdict": verdict, "explanation": explanation}):
        for ascii_only in (True, False):
            assert read(json.dumps(answer, ensure_ascii=ascii_only)) == expected


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "[",
        '{"a":',
        '"',
        "A is ",
        "Verdict: ",
        "**",
        "```",
        "<think>",
        "虽然",
        " (A) ",
        "\n",
        "- ",
        "1. ",
        "[[",
        "A 和 B ",
        "| A | B |",
        "A is better, ",
        "A。",
        "[[A]] ",
    ],
)
def test_long_answers_take_no_time(piece: str) -> None:
    """Four times the text takes four times as long, not sixteen times, on a slow and busy machine too."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        start = time.process_time()
        for answer in (text, text + "\nVerdict: B"):
            read_verdict(answer)
            read_score(answer, 1, 5)
            read_booleans(answer, 3)
            read_points(answer)
        return time.process_time() - start

    assert seconds(4_000) < max(0.15, 8 * seconds(1_000))


def test_very_long_answers_take_no_longer() -> None:
    start = time.process_time()
    assert read("| A | B |" * 9000 + "\nVerdict: B") == "B"  # the middle is left out
    assert time.process_time() - start < 2


# ---- scores, lists --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expected"), judge_answers.SCORES)
def test_scores(text: str, expected: float | str) -> None:
    said = read_score(text, 1, 5)
    assert (said.kind if isinstance(said, Unread) else said) == expected, said


def test_scores_that_were_cut_off() -> None:
    assert read_score('{"score": 4}', 1, 5, "length") == 4
    assert read_score("Score: 4\nIt names", 1, 5, "length") == 4
    for text in ("4", "Score: 4", "It is good", ""):
        said = read_score(text, 1, 5, "length")
        assert isinstance(said, Unread)
        assert said.kind == "cut_off"


@pytest.mark.parametrize(("text", "expected"), judge_answers.BOOLEANS)
def test_booleans(text: str, expected: str) -> None:
    if expected.isdigit():
        assert read_booleans(text, len(expected)) == tuple(digit == "1" for digit in expected)
        assert isinstance(read_booleans(text, len(expected) + 1), Unread)
    else:
        count, kind = expected.split()
        said = read_booleans(text, int(count))
        assert isinstance(said, Unread)
        assert said.kind == kind


@pytest.mark.parametrize(("text", "expected"), judge_answers.POINTS)
def test_points(text: str, expected: tuple[str, ...] | str) -> None:
    said = read_points(text)
    assert (said.kind if isinstance(said, Unread) else said) == expected


def test_lists_that_were_cut_off() -> None:
    assert read_booleans('{"covered": [true]}', 1, "length") == (True,)
    assert read_points('["one"]', "length") == ("one",)
    for said in (
        read_booleans("1. yes", 1, "length"),
        read_points("1. one\n2. t", "length"),
        read_points('["one", "t', "length"),
    ):
        assert isinstance(said, Unread)
        assert said.kind == "cut_off"
