"""The tools of checkers: search in the given context, a calculator, and reckoning with dates. None reaches further."""

from __future__ import annotations

import ast
import math
import operator
import re
import unicodedata
import warnings
from collections import Counter
from typing import TYPE_CHECKING

from calf.agents.dates import reckon

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TOOLS", "calculate", "search", "use_tool"]

TOOLS = ("search", "calculator", "dates")
"""What a step's `tools` may name."""

_LONGEST_INPUT = 300  # characters
_LONGEST_RESULT = 1200
_PASSAGES = 3
_LARGEST = 1e15
_MOST_NODES = 100

_TWO: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_ONE: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt, "abs": abs, "round": round, "min": min, "max": max, "log": math.log, "log10": math.log10,
    "exp": math.exp,
}  # fmt: skip
_NAMES = {"pi": math.pi, "e": math.e}
_PERCENT = "percent"
_SEVERAL = re.compile(r"(?:round|min|max|log)\s*\(")  # functions of several numbers
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_RAISED = re.compile(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "^": "**", "（": "(", "）": ")"})  # after NFKC


def use_tool(name: str, text: str, allowed: Sequence[str], context: str) -> str:
    """What a tool says; of one that is not allowed, or of an input that it cannot use, why not.

    Args:
        name: as the checker wrote it.
        text: the input; more than 300 characters are refused.
        allowed: the tools of the step.
        context: the material that the question refers to.
    """
    if name not in allowed:
        return f"error: there is no tool {name[:30]!r}; there are: {', '.join(allowed)}"
    if not text or len(text) > _LONGEST_INPUT:
        return f"error: the input must have 1 to {_LONGEST_INPUT} characters"
    result = search(text, context) if name == "search" else calculate(text) if name == "calculator" else reckon(text)
    return result[:_LONGEST_RESULT]


def search(query: str, context: str) -> str:
    """The up to three passages of the context that share most of the query's words, each with its number.

    Passages are lines, long ones in sentences. A word counts by how rare it is among them; Chinese, Japanese and
    Korean are compared by pairs of characters.
    """
    passages = [part.strip() for part in re.split(r"\n+|(?<=[.!?])\s+(?=\S)|(?<=[。！？；])", context) if part.strip()]
    if not passages:
        return "error: there is no context to search in"
    wanted = _words(query)
    shared = [wanted & _words(passage) for passage in passages]
    often = Counter(word for found in shared for word in found)
    scores = [math.fsum(math.log(1 + len(passages) / often[word]) for word in found) for found in shared]
    best = sorted((place for place, score in enumerate(scores) if score > 0), key=lambda place: (-scores[place], place))
    if not best:
        return "nothing found"
    return "\n".join(f"[{place + 1}] {passages[place][:380]}" for place in sorted(best[:_PASSAGES]))


def _words(text: str) -> set[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    wide = re.findall(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+", folded)
    pairs = {run[at : at + 2] for run in wide for at in range(max(1, len(run) - 1))}
    return pairs | set(re.findall(r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af_]+", folded))


def calculate(text: str) -> str:
    """The value of an expression of numbers: + - * / // % ** and ^, brackets, sqrt, abs, round, min, max, log, exp.

    "15%" is 0.15 where no number follows. Nothing is executed: the expression is taken apart, and what is not one of
    these is refused, as is a number beyond 10^15, and a comma that may part thousands or two numbers.
    """
    plain = _RAISED.sub(lambda match: f"**({match[0]})", text)  # or they would be digits of the number before
    plain = unicodedata.normalize("NFKC", plain).translate(_SIGNS).strip().rstrip("=").strip()
    if _SEVERAL.search(plain) and _THOUSANDS.search(plain):
        return "error: write thousands without a comma, and a space after the comma between two numbers"
    plain = _THOUSANDS.sub("", plain)
    plain = re.sub(r"(?<=[\d)])\s*%(?!\s*[\w(])", f" .{_PERCENT}", plain)  # binds closer than any other operator
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python advises on strange syntax is not for the user
            tree = ast.parse(plain, mode="eval")
        if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
            return "error: the expression is too long"
        value = _value(tree.body)
    except ZeroDivisionError:
        return "error: division by zero"
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        return "error: not an expression of numbers that this calculator knows"
    return f"{value:.12g}"


def _value(node: ast.expr) -> float:
    """The value of a part of an expression.

    Raises:
        ValueError: it is none, or too large.
    """
    value: float
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        value = node.value
    elif isinstance(node, ast.Name) and node.id in _NAMES:
        value = _NAMES[node.id]
    elif isinstance(node, ast.Attribute) and node.attr == _PERCENT:
        value = _value(node.value) / 100
    elif isinstance(node, ast.BinOp) and type(node.op) in _TWO:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) > 64:
            raise ValueError
        value = _TWO[type(node.op)](left, right)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _ONE:
        value = _ONE[type(node.op)](_value(node.operand))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        if node.keywords:
            raise ValueError
        value = _FUNCTIONS[node.func.id](*map(_value, node.args))
    else:
        raise ValueError
    if isinstance(value, complex) or not abs(value) <= _LARGEST:
        raise ValueError
    return value
