"""What every reader of a model's answer needs first: plain characters, no reasoning, the JSON in it, refusals."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Found",
    "Object",
    "Unread",
    "UnreadKind",
    "answer_of",
    "arrays",
    "is_refusal",
    "objects",
    "plain",
    "shortened",
    "was_cut",
]

UnreadKind = Literal["unreadable", "refusal", "empty_answer", "cut_off"]


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that gives no verdict (score, list): never a tie, never a default.

    Attributes:
        kind: the kind of the failure: `unreadable`, `refusal`, `empty_answer` or `cut_off`.
        reason: what was wrong with it, a few words.
    """

    kind: UnreadKind
    reason: str


class Object(tuple[tuple[str, Any], ...]):
    """A JSON object as its pairs, so that a key that stands in it twice is seen."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A JSON object or list in a text, at `text[start:end]`; `exact` if it is valid JSON."""

    start: int
    end: int
    value: Any
    exact: bool


_CUT = frozenset({"length", "max_tokens"})

# Marks of chat templates that servers leave in the text.
_SPECIAL = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|<(?:end_of_turn|eos|pad)>|\[/?INST\]")
_HARMONY = re.compile(r"<\|channel\|>\s*final[^<]{0,40}<\|message\|>")
_HARMONY_OPEN = re.compile(r"\A\s*(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*(?:analysis|commentary)")
_OPEN = re.compile(
    r"\A\s*(?:<\s*(think|thinking|thought|reasoning|reflection|analysis|seed:think)\s*>|◁(think)▷|\[(THINK)\])", re.I
)
_OPENED = re.compile(r"<\s*(?:think|thinking)\s*>|◁think▷|\[THINK\]", re.I)
_CLOSED_ALONE = re.compile(r"<\s*/\s*(?:think|thinking)\s*>|◁/think▷|\[/THINK\]", re.I)

_QUOTES = str.maketrans("“”„‟«»「」『』‘’‚‛′＂🅰🅱", '""""""""""\'\'\'\'\'"AB')
_MOST = 16_000  # characters
_MAX_BRACES = 200  # answers with more are not JSON; bounds the time on hostile ones


def was_cut(finish: str | None) -> bool:
    """Whether the server ended the answer because it became too long."""
    return finish in _CUT


def answer_of(text: str, finish: str | None) -> str | Unread:
    """The answer without its reasoning, invisible characters and marks of chat templates.

    Args:
        text: the text of a choice.
        finish: the choice's finish reason; "length" says that it was cut.
    """
    text = "".join(c for c in text.replace("\r\n", "\n").replace("\u2028", "\n") if _visible(c))
    rest = _without_reasoning(text)
    if isinstance(rest, Unread):
        return rest
    rest = _SPECIAL.sub("", rest).strip()
    if rest:
        return rest
    return Unread("cut_off", "cut off before the answer") if was_cut(finish) else Unread("empty_answer", "no text")


def _visible(char: str) -> bool:
    if char in "\n\t":
        return True
    # Cf: zero-width and direction marks; Co: private use, which this package uses itself; FE0E/F: emoji style.
    return unicodedata.category(char) not in ("Cf", "Cc", "Co") and char not in "\ufe0e\ufe0f"


def _without_reasoning(text: str) -> str | Unread:
    """What follows the reasoning; a block counts where the answer begins with it, not where one is quoted."""
    if text.lstrip().startswith("<|") and (final := _HARMONY.search(text)):
        return text[final.end() :]
    if _HARMONY_OPEN.match(text):
        return Unread("cut_off", "cut off while reasoning")
    begins = _OPEN.match(text) is not None
    while opened := _OPEN.match(text):
        name = next(group for group in opened.groups() if group)
        close = re.compile(rf"(^[ \t]*)?(?:<\s*/\s*{re.escape(name)}\s*>|◁/{name}▷|\[/{name}\])", re.I | re.M)
        ends = list(close.finditer(text, opened.end()))
        if not ends:
            return Unread("cut_off", "cut off while reasoning")
        # Reasoning may quote the tag; the real one mostly stands at the start of a line.
        text = text[next((end for end in reversed(ends) if end.group(1) is not None), ends[0]).end() :]
    # Some servers' chat templates swallow the opening tag. An answer that is JSON only quotes the tag.
    if not begins and not text.lstrip().startswith(("{", "```")) and (alone := _CLOSED_ALONE.search(text)):
        before = text[: alone.start()].rstrip(" \n`")
        quoted = before.endswith((":", "：", '"', "“", "「")) or _OPENED.search(before)
        return text if quoted else text[alone.end() :]
    return text


def shortened(text: str) -> str:
    """A long answer without its middle, so that a hostile one does not take seconds to read."""
    return text if len(text) <= _MOST else f"{text[: _MOST // 2]}\n…\n{text[-_MOST // 2 :]}"


def plain(text: str) -> str:
    """Full-width letters and punctuation as ASCII, all quotes straight."""
    return unicodedata.normalize("NFKC", text.translate(_QUOTES)).translate(_QUOTES)


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=Object)
_FLAT = re.compile(r"\{[^{}]*\}")
_PAIR = re.compile(
    r"""["']?([\w一-鿿][\w一-鿿 ]{0,40})["']?\s*[:=]\s*"""
    r"""(?:"([^"\n]*)"|'([^'\n]*)'|([^\s,;{}\[\]"'][^,;{}\n"']*?))\s*(?=[,;}\n]|\Z)"""
)


def objects(text: str) -> list[Found]:
    """The JSON objects of a text, outermost ones, in order; what is nearly JSON is read as its pairs of strings."""
    found: list[Found] = []
    end = 0
    for start in _places(text, "{"):
        if start < end:
            continue
        if (exact := _decoded(text, start)) is not None:
            found.append(exact)
        else:
            flat = _FLAT.match(text, start)
            close = text.rfind("}") + 1
            stop = flat.end() if flat else close if close > start else len(text)
            pairs = [
                (m[1].strip(), next(g for g in m.groups()[1:] if g is not None))
                for m in _PAIR.finditer(text[:stop], start + 1)
            ]
            if not pairs:
                continue
            found.append(Found(start, stop, Object(pairs), False))
        end = found[-1].end
    return found


def arrays(text: str) -> list[Found]:
    """The valid JSON lists of a text, outermost ones, in order."""
    found: list[Found] = []
    for start in _places(text, "["):
        inside = bool(found) and start < found[-1].end
        if not inside and (exact := _decoded(text, start)) is not None:
            found.append(exact)
    return found


def _places(text: str, char: str) -> Iterator[int]:
    places = [match.start() for match in re.finditer(re.escape(char), text)]
    yield from places if len(places) <= _MAX_BRACES else places[-_MAX_BRACES:]


def _decoded(text: str, start: int) -> Found | None:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return Found(start, end, value, True)


_REFUSAL = re.compile(
    (
        r"\bI(?:'m| am)?\s*(?:really |truly |very )?(?:sorry|afraid)\b|\bas an? (?:AI|artificial"
        r"|large language|language model)"
        r"|\b(?:I|we)\s*(?:'m| am| are)?\s*(?:cannot|can't|can ?not|could not|couldn't|won't"
        r"|will not|unable to|not able to"
        r"|not comfortable|must decline|have to decline|decline|refuse)\b"
        r"|\b(?:impossible|not possible|unable) to (?:judge|compare|evaluate|assess|determine"
        r"|decide|say|provide|give)"
        r"|\bagainst my (?:guidelines|policy)|\bnot (?:appropriate|something I can)|\bno way to (?:tell"
        r"|judge)|\bapologi[sz]e"
        r"|抱歉|对不起|很遗憾|作为(?:一个|一名)?(?:AI|人工智能|语言模型)|我(?:无法|不能|不便"
        r"|拒绝|没有办法|没办法|不会)"
        r"|(?:无法|不能|难以|不便|拒绝)(?:对|为|就|做出|作出|给出|进行|提供)?[^。,!?\n]{0,12}?(?:判断"
        r"|比较|评价|评判|评估|回答|提供|裁决|选择|协助|打分|评分)"
    ),
    re.I,
)


def is_refusal(text: str) -> bool:
    """Whether an answer without a verdict declines to give one, in English or Chinese; `text` is `plain`."""
    return _REFUSAL.search(text) is not None
