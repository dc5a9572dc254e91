"""Reads the answers of published evaluators, each in its own written form and in no other.

What does not end as the form says is unreadable: never a tie, never the first response (some of the published programs
make it one, or a score in the middle). Each reader's docstring names the program whose form it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from calf.judges.answers import Unread, answer_of, is_refusal, plain, was_cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from calf.types import Verdict

__all__ = ["PAIRS", "PLACES", "SCORES", "PairForm", "ScoreForm", "meaning_of"]

PairForm = Literal["prometheus", "auto-j", "critiquellm", "pandalm", "rm-r1"]
ScoreForm = Literal["prometheus", "auto-j", "critiquellm"]

_NAMES: dict[str, Verdict] = {
    "a": "response_a",
    "b": "response_b",
    "1": "response_a",
    "2": "response_b",
    "tie": "same",
    "平局": "same",
    "质量相当": "same",
}
_MARKS = re.compile(r"[*`]+")


def _text(text: str, finish: str | None) -> str | Unread:
    """The answer without reasoning and marks of emphasis, in plain characters; one that was cut off has no verdict."""
    answer = answer_of(text, finish)
    if isinstance(answer, Unread):
        return answer
    if was_cut(finish):
        return Unread("cut_off", "cut off before its verdict")
    return _MARKS.sub("", plain(answer)).strip()


def _one(found: Iterable[str], text: str, what: str) -> Verdict | Unread:
    """The verdict that all places name."""
    verdicts = {_NAMES[name.lower()] for name in found}
    if len(verdicts) == 1:
        return verdicts.pop()
    return _none(text, what) if not verdicts else Unread("unreadable", f"ambiguous: names different {what}s")


def _none(text: str, what: str) -> Unread:
    return Unread("refusal", "declines") if is_refusal(text) else Unread("unreadable", f"no {what}")


def _number(found: Iterable[str], text: str, low: float, high: float) -> float | Unread:
    """The score that all places name, within the scale."""
    numbers = {float(number) for number in found}
    if len(numbers) != 1:
        return _none(text, "score") if not numbers else Unread("unreadable", "ambiguous: states different scores")
    number = numbers.pop()
    if not low <= number <= high:
        return Unread("unreadable", f"score {number:g} outside of {low:g} to {high:g}")
    return number


# ---- Prometheus 2 -------------------------------------------------------------------------------------------------

_END = r"[\s\"')\].。]*\Z"
_RESULT = re.compile(r"\[\s*(?:RESULT|SCORE)\s*[\]:]", re.I)
_LETTER_END = re.compile(
    rf"(?:\[\s*RESULT\s*[\]:]:?[\s(\[\"']*(?:Response\s+)?|(?:^|[.:!?。])\s*\[\s*Response\s+|^Result\s*:?[\s(\[]*(?:Response\s+)?)"
    rf"(A|B){_END}",
    re.I | re.M,
)
_SCORE_END = re.compile(
    rf"(?:\[\s*(?:RESULT|SCORE)\s*[\]:]:?[\s(\[\"']*(?:(?:score|result)\s*(?::|of)?\s*)?"
    rf"|(?<!\w)[(\[]?\b(?:score|result)\s*(?::|of\b)?[\s(\[]*)(\d+(?:\.\d+)?)(?:\s*/\s*5|\s+out\s+of\s+5)?{_END}",
    re.I,
)


def read_prometheus(text: str, finish: str | None = None) -> Verdict | Unread:
    """Prometheus 2's relative grading: feedback, then `[RESULT] A` or `[RESULT] B`, which ends the answer.

    Source: the package prometheus-eval 0.1.20, `prompts.py` (the form), `parser.py` (what its weights write of it).
    """
    answer = _text(text, finish)
    if isinstance(answer, Unread):
        return answer
    end = _LETTER_END.search(answer)
    if end is None:
        return _none(answer, "[RESULT] A or B at its end")
    earlier = re.findall(r"\[\s*RESULT\s*[\]:]:?[\s(]*(?:Response\s+)?([AB])\b", answer[: end.start()], re.I)
    return _one([*earlier, end[1]], answer, "result")


def read_prometheus_score(text: str, finish: str | None = None) -> float | Unread:
    """Prometheus 2's absolute grading: feedback, then `[RESULT] 4`, a whole number from 1 to 5, which ends the answer.

    Source: as `read_prometheus`.
    """
    answer = _text(text, finish)
    if isinstance(answer, Unread):
        return answer
    end = _SCORE_END.search(answer)
    if end is None or "." in end[1]:
        return _none(answer, "[RESULT] 1 to 5 at its end")
    earlier = re.findall(r"\[\s*RESULT\s*[\]:]:?[\s(]*(\d+)", answer[: end.start()], re.I)
    return _number([*earlier, end[1]], answer, 1, 5)


# ---- Auto-J -------------------------------------------------------------------------------------------------------

_DECISION = re.compile(
    r"final decision is(?: that)?(?: it is)?(?: an?)?[\s:\"'\[(]*(?:(?:Response\s*)([12])|(tie))(?![\w-])"
    r"|最终(?:的)?决定是[\s:\"'\[(]*(?:(?:回应|回复)\s*([12])|(平局))",
    re.I,
)
_ANOTHER = re.compile(
    r"\s*(?:(?:/|\||,|or\b|and\b|或者?|和|与)\s*(?:(?:Response|回应|回复)\s*[12]|tie\b|平局)"
    r"|is\s+(?:not|worse|weaker|inferior)\b)",
    re.I,
)
_RATING = re.compile(r"\[\[\s*(\d+(?:\.\d+)?)\s*\]\]")


def read_autoj(text: str, finish: str | None = None) -> Verdict | Unread:
    """Auto-J's comparison: `So, the final decision is Response 1` (or `Response 2`, or `Tie`), or that in Chinese.

    Source: GAIR-NLP/auto-j, `codes/usage/bilingual_example.py`.
    """
    answer = _text(text, finish)
    if isinstance(answer, Unread):
        return answer
    found = [match for match in _DECISION.finditer(answer) if not _ANOTHER.match(answer, match.end())]
    return _one((next(group for group in match.groups() if group) for match in found), answer, "final decision")


def read_autoj_rating(text: str, finish: str | None = None) -> float | Unread:
    """Auto-J's rating of one response: `Rating: [[6]]`, from 1 to 10, in two square brackets.

    Source: as `read_autoj`.
    """
    answer = _text(text, finish)
    return answer if isinstance(answer, Unread) else _number(_RATING.findall(answer), answer, 1, 10)


# ---- CritiqueLLM --------------------------------------------------------------------------------------------------

_COMPARED = re.compile(r"综合比较结果[\s\"']*:[\s\"'{\[(]*(?:助手\s*([12])(?!\d|\s*(?:和|与|或|、|/))|(质量相当))")
_TOTAL = re.compile(r"综合得分[\s\"']*:[\s\"'{\[(]*(\d+(?:\.\d+)?)(?![\d.]*\d|\s*(?:/\s*(?!10(?!\d))|[-~–到至]\s*)\d)")


def read_critiquellm(text: str, finish: str | None = None) -> Verdict | Unread:
    """CritiqueLLM's comparison, which ends with {'综合比较结果': '助手1'}, '助手2' or '质量相当'.

    Source: thu-coai/CritiqueLLM, `evaluation/eval_pairwise.py`.
    """
    answer = _text(text, finish)
    if isinstance(answer, Unread):
        return answer
    found = _COMPARED.finditer(answer)
    return _one((match[1] or match[2] for match in found), answer, "综合比较结果")


def read_critiquellm_score(text: str, finish: str | None = None) -> float | Unread:
    """CritiqueLLM's score of one response, from 1 to 10: '综合得分' in the table of numbers that ends the answer.

    Source: thu-coai/CritiqueLLM, `evaluation/eval_pointwise.py`.
    """
    answer = _text(text, finish)
    return answer if isinstance(answer, Unread) else _number(_TOTAL.findall(answer), answer, 1, 10)


# ---- PandaLM ------------------------------------------------------------------------------------------------------

_FIRST_LINE = re.compile(r"(1|2|tie)[.:]?", re.I)


def read_pandalm(text: str, finish: str | None = None) -> Verdict | Unread:
    """PandaLM's comparison: its first line is `1`, `2` or `Tie`; a reason and a reference follow, which may be cut off.

    Source: WeOpenML/PandaLM, `pandalm/utils/pandalm_inference.py` (which takes anything else for a tie).
    """
    answer = answer_of(text, finish)
    if isinstance(answer, Unread):
        return answer
    lines = _MARKS.sub("", plain(answer)).strip().split("\n")
    if was_cut(finish) and len(lines) == 1:
        return Unread("cut_off", "cut off before its verdict")
    match = _FIRST_LINE.fullmatch(lines[0].strip())
    return _none(answer, "first line 1, 2 or Tie") if match is None else _NAMES[match[1].lower()]


# ---- RM-R1 --------------------------------------------------------------------------------------------------------

_INNER = re.compile(r"<(/?)(quote_[AB]|summary_[AB]|eval|solution|rubric|justify)>", re.I)
_ANSWER = re.compile(r"<answer>[\s\"']*(?:\[\[\s*(A|B)\s*\]\]|(A|B))[\s\"'.]*</answer>", re.I)
_LAST_LINE = re.compile(r"(?:.*\s)?\[\[\s*(A|B)\s*\]\][\s\"'.]*", re.I)


def read_rmr1(text: str, finish: str | None = None) -> Verdict | Unread:
    """RM-R1's comparison, which ends with <answer>[[A]]</answer> or <answer>[[B]]</answer>.

    What it quotes of the responses (in <eval>, <quote_A>, ...) says nothing: a response may hold such an answer.

    Source: RM-R1-UIUC/RM-R1, `eval/reward-bench/rewardbench/generative.py`.
    """
    answer = _text(text, finish)
    if isinstance(answer, Unread):
        return answer
    own = _outside(answer)
    found = [match[1] or match[2] for match in _ANSWER.finditer(own)]
    if not found and (last := _LAST_LINE.fullmatch(own.rpartition("\n")[2])):
        found = [last[1]]
    return _one(found, own, "<answer>")


def _outside(answer: str) -> str:
    """An answer without what stands between inner tags; a tag that is never closed hides nothing."""
    opened: list[tuple[str, int]] = []
    hidden: list[tuple[int, int]] = []
    for tag in _INNER.finditer(answer):
        name = tag[2].lower()
        if not tag[1]:
            opened.append((name, tag.start()))
            continue
        place = next((at for at in range(len(opened) - 1, -1, -1) if opened[at][0] == name), None)
        if place is not None:
            while hidden and hidden[-1][0] > opened[place][1]:
                hidden.pop()
            hidden.append((opened[place][1], tag.end()))
            del opened[place:]
    parts, at = [], 0
    for first, end in hidden:
        parts.append(answer[at:first])
        at = end
    return " ".join([*parts, answer[at:]]).strip()


PAIRS: dict[PairForm, Callable[[str, str | None], Verdict | Unread]] = {
    "prometheus": read_prometheus,
    "auto-j": read_autoj,
    "critiquellm": read_critiquellm,
    "pandalm": read_pandalm,
    "rm-r1": read_rmr1,
}
"""What reads a comparison, by the name of the form."""

PLACES: dict[PairForm, re.Pattern[str]] = {
    "prometheus": re.compile(r"\[RESULT\][\s(*]*(?:Response\s+)?([AB])\b", re.I),
    "pandalm": re.compile(r"\A\s*([12T])"),
    "rm-r1": re.compile(r"<answer>\s*\[\[\s*([AB])\b"),
}
"""Where the token begins that names the verdict, in forms that have one such token: group 1."""


def meaning_of(token: str) -> Verdict | None:
    """The verdict that such a token begins."""
    word = re.match(r"[A-Za-z]+|\d+", token)
    if word is None:
        return None
    name = word[0].lower()
    return _NAMES.get("tie" if "tie".startswith(name) else name)


SCORES: dict[ScoreForm, Callable[[str, str | None], float | Unread]] = {
    "prometheus": read_prometheus_score,
    "auto-j": read_autoj_rating,
    "critiquellm": read_critiquellm_score,
}
"""What reads a score, by the name of the form."""
