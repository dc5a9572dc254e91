"""The plan of a run: which items a metric must judge, each once, and how its outcomes become judgments."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.decide import Judgment, orders_of, verdict_of_scores
from calf.errors import DataError
from calf.hashing import digest
from calf.metrics.base import Pair, Response
from calf.types import LABELS, Failure, Opinion, Score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.decide import OrderChoice
    from calf.metrics.loaded import LoadedMetric
    from calf.types import Comparison, Order, Verdict

__all__ = [
    "LARGEST",
    "Outcome",
    "Unit",
    "assemble",
    "check_outcome",
    "mirrored",
    "pair_key",
    "plan",
    "precluded",
    "response_keys",
]

Outcome = Score | Opinion | Failure

LARGEST = 1e100
"""Scores beyond this, and infinite ones, are refused: their differences and squares could not be computed."""

_MIRROR: Mapping[Verdict, Verdict] = {"response_a": "response_b", "response_b": "response_a", "same": "same"}


@dataclass(frozen=True, slots=True)
class Unit:
    """One item to judge, under the key by which its outcome is kept."""

    key: str
    item: Response | Pair


def plan(metric: LoadedMetric, comparisons: Sequence[Comparison], order: OrderChoice, repeats: int) -> list[Unit]:
    """What must be judged, without repetition, in the order of the comparisons.

    A response metric gets every distinct (question, context, reference, response, language) once per repeat, in
    whatever comparisons and orders it stands; a comparison metric gets every comparison once per order and repeat.
    """
    units: dict[str, Unit] = {}
    for comparison in comparisons:
        for repeat in range(repeats):
            if metric.kind == "response":
                for side in ("a", "b"):
                    response = _response(comparison, side, repeat)
                    key = _response_key(response)
                    if key not in units:
                        units[key] = Unit(key, response)
            else:
                for shown in orders_of(order):
                    key = pair_key(comparison.id, shown, repeat)
                    units[key] = Unit(key, _pair(comparison, shown, repeat))
    return list(units.values())


def precluded(metric: LoadedMetric, item: Response | Pair) -> Failure | None:
    """The failure that is certain before the metric is asked; None if it can be asked."""
    traits = metric.traits
    if traits.needs_reference and item.reference is None:
        return Failure("no_reference", "the comparison has no reference")
    if traits.languages is not None and item.language not in traits.languages:
        return Failure("unsupported_language", f"the metric judges {', '.join(traits.languages)}, not {item.language}")
    return None


def check_outcome(kind: str, outcome: Any) -> Outcome:
    """What a metric returned, as a Score, Opinion or Failure; what is neither is a failure of kind `bad_output`."""
    try:
        if isinstance(outcome, Failure):
            told = (_text(outcome.raw), _usage(outcome.usage), _transcript(outcome.transcript))
            return Failure(str(outcome.kind), str(outcome.message), *told)
        return _score(outcome) if kind == "response" else _opinion(outcome)
    except (TypeError, ValueError, OverflowError) as error:
        return Failure("bad_output", " ".join(str(error).split())[:300])


def _score(outcome: Any) -> Score:
    given = outcome if isinstance(outcome, Score) else Score(outcome)
    if isinstance(given.value, (str, bytes)):
        raise TypeError(f"the score is {type(given.value).__name__}, not a number")
    value = float(given.value)
    if not abs(value) <= LARGEST:
        raise ValueError(f"the score is {value}, not a finite number of ordinary size")
    return Score(value, _text(given.explanation), _usage(given.usage), _seconds(given.seconds))


def _opinion(outcome: Any) -> Opinion:
    given = outcome if isinstance(outcome, Opinion) else Opinion(outcome)
    if given.verdict not in LABELS:
        raise ValueError(f"the verdict {str(given.verdict)[:80]!r} is none of {', '.join(LABELS)}")
    rest = (
        _text(given.explanation), _usage(given.usage), _seconds(given.seconds), _transcript(given.transcript),
    )  # fmt: skip
    if given.probabilities is None:
        return Opinion(given.verdict, None, *rest)
    a, b, same = map(float, given.probabilities)
    if not all(0 <= share <= 1 for share in (a, b, same)) or abs(a + b + same - 1) > 1e-6:
        raise ValueError(f"the probabilities {(a, b, same)} are not three numbers that sum to 1")
    return Opinion(given.verdict, (a, b, same), *rest)


def _text(value: Any) -> str | None:
    return None if value is None else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _usage(value: Any) -> dict[str, float] | None:
    if value is None:
        return None
    numbers = {str(name): float(number) for name, number in value.items()}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError("the usage holds a number that is not finite")
    return numbers


def _transcript(value: Any) -> tuple[dict[str, Any], ...]:
    turns = tuple(dict(turn) for turn in value)
    json.dumps(turns, allow_nan=False)  # what it refuses could not be kept
    return turns


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def assemble(
    metric: LoadedMetric,
    comparisons: Sequence[Comparison],
    order: OrderChoice,
    repeats: Mapping[str, int],
    outcomes: Mapping[str, Outcome],
) -> list[Judgment]:
    """The judgments of all comparisons, in the dataset's sides.

    Args:
        repeats: how often each comparison (by id) was judged.
        outcomes: by unit key; every unit of `plan` must be there.
    """
    judgments = []
    for comparison in comparisons:
        keys: tuple[str, str] | None = None
        for repeat in range(repeats[comparison.id]):
            if metric.kind == "response":
                keys = tuple(_response_key(_response(comparison, side, repeat)) for side in "ab")  # type: ignore[assignment]  # two sides
            for shown in orders_of(order):
                if keys is not None:
                    judgments.append(_from_scores(comparison.id, shown, repeat, outcomes[keys[0]], outcomes[keys[1]]))
                else:
                    outcome = outcomes[pair_key(comparison.id, shown, repeat)]
                    judgments.append(_from_opinion(comparison.id, shown, repeat, outcome))
    return judgments


def _response(comparison: Comparison, side: str, repeat: int) -> Response:
    text = comparison.response_a if side == "a" else comparison.response_b
    return Response(comparison.question, comparison.context, comparison.reference, text, comparison.language, repeat)


def response_keys(comparison: Comparison, repeat: int) -> tuple[str, str]:
    """By which the outcomes of a response metric are kept, of response_a and response_b."""
    a, b = (_response_key(_response(comparison, side, repeat)) for side in "ab")
    return a, b


def mirrored(verdict: Verdict) -> Verdict:
    """The same verdict where the two responses are shown the other way round."""
    return _MIRROR[verdict]


def _response_key(item: Response) -> str:
    return digest(item.question, item.context, item.reference, item.response, item.language, item.repeat, length=24)


def pair_key(name: str, order: Order, repeat: int) -> str:
    """By which the outcome of a comparison metric is kept."""
    return f"{order}/{repeat}/{name}"


def _pair(c: Comparison, order: Order, repeat: int) -> Pair:
    sides = ((c.response_a, c.source_a), (c.response_b, c.source_b))
    first, second = sides if order == "given" else sides[::-1]
    return Pair(
        id=c.id, question=c.question, context=c.context, reference=c.reference,
        response_a=first[0], response_b=second[0], language=c.language, setting=c.setting, subject=c.subject,
        source_a=first[1], source_b=second[1], order=order, repeat=repeat,
    )  # fmt: skip


def _from_scores(name: str, order: Order, repeat: int, a: Outcome, b: Outcome) -> Judgment:
    for outcome in (a, b):
        if isinstance(outcome, Failure):
            return Judgment(name, order, repeat, failure=outcome.kind)
    if not isinstance(a, Score) or not isinstance(b, Score):
        raise DataError(f"the judgments of {name!r} are verdicts, where this metric gives scores; use --fresh")
    beyond = any((outcome.usage or {}).get("over_window") for outcome in (a, b))
    return Judgment(name, order, repeat, a.value, b.value, verdict_of_scores(a.value, b.value), beyond=beyond)


def _from_opinion(name: str, order: Order, repeat: int, outcome: Outcome) -> Judgment:
    if isinstance(outcome, Failure):
        return Judgment(name, order, repeat, failure=outcome.kind)
    if not isinstance(outcome, Opinion):
        raise DataError(f"the judgment of {name!r} is a score, where this metric gives verdicts; use --fresh")
    swapped = order == "swapped"
    verdict = mirrored(outcome.verdict) if swapped else outcome.verdict
    if outcome.probabilities is None:
        return Judgment(name, order, repeat, verdict=verdict)
    first, second, _ = outcome.probabilities
    a, b = (second, first) if swapped else (first, second)
    return Judgment(name, order, repeat, a, b, verdict)
