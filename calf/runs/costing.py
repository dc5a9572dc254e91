"""What runs cost by comparison, beside how often they are right; and what agents' turns changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from calf.analysis.pareto import pareto_front
from calf.analysis.turns import Talk, turn_row
from calf.runs.transcripts import read_turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from calf.analysis.observations import Integers
    from calf.datasets.dataset import Dataset
    from calf.runs.outcomes import Outcomes
    from calf.runs.run import Run
    from calf.types import Verdict

__all__ = ["cost_lines", "turn_lines"]

Line = dict[str, Any]

_ASKING = frozenset({"judge", "agents"})
"""Families that ask a model: without a record of what that took, nobody knows."""

_UNKNOWN = "nobody counted what its judgments took (where they are kept, the same calf evaluate counts it)"


def cost_lines(about: Sequence[Line], runs: Sequence[Run], seen: Outcomes, group: Integers) -> list[Line]:
    """Cost and accuracy of every run, and the Pareto front of those whose cost is known; () if none asked a model.

    The cost of a run is that of all its answers, whenever they were paid for, for each decision. It is in money where
    all runs that asked a model know theirs in one currency, else in tokens, in and out together.

    Args:
        about: `run`, `metric`, ... of each run.
        runs: the same runs.
        seen: their outcomes.
        group: of the comparisons.
    """
    known = [_taken(run) for run in runs]
    if not any(one is None or one["tokens"] for one in known):
        return []  # no run asked a model
    asked = [one for one in known if one is None or one["tokens"]]
    currencies = {one["currency"] for one in asked if one is not None}
    money = all(one is not None and one["cost"] is not None for one in asked) and len(currencies) == 1
    unit = str(next(iter(currencies)) or "money") if money else "tokens"
    decisions = seen.repeats.sum(axis=0)
    costs = [
        None if one is None or not count else one["cost" if money else "tokens"] / count
        for one, count in zip(known, decisions, strict=True)
    ]
    chosen = [column for column, cost in enumerate(costs) if cost is not None]
    rows = seen.covered[:, chosen].all(axis=1) & bool(chosen)
    front = None
    if chosen and rows.any():
        front = pareto_front(
            seen.correct[rows][:, chosen],
            seen.repeats[rows][:, chosen],
            np.array([costs[column] for column in chosen], dtype=np.float64),
            group[rows],
        )
    lines = []
    for column, (line, taken, cost) in enumerate(zip(about, known, costs, strict=True)):
        made: Line = {key: line[key] for key in ("run", "metric", "floor")}
        each = None if taken is None or not decisions[column] else int(decisions[column])
        made |= {
            "unit": unit,
            "cost": cost,
            "tokens": None if each is None or taken is None else taken["tokens"] / each,
            "requests": None if each is None or taken is None else taken["requests"] / each,
            "n": int(rows.sum()),
        }
        names = ("accuracy", "accuracy_low", "accuracy_high", "on_front", "front_share")
        if front is None or column not in chosen:
            why = _UNKNOWN if cost is None else "no comparison that all cover"
            lines.append({**made, **dict.fromkeys(names), "undefined": f"on_front: {why}"})
            continue
        place = chosen.index(column)
        values = (front.accuracy, front.low, front.high, front.on, front.share)
        made |= {name: _plain(array[place]) for name, array in zip(names, values, strict=True)}
        made["undefined"] = "" if made["front_share"] is not None else "front_share: fewer than 2 groups"
        lines.append(made)
    return lines


def turn_lines(about: Sequence[Line], runs: Sequence[Run], dataset: Dataset) -> Iterator[Line]:
    """What turns did to verdicts (`calf.analysis.turns.turn_row`), of every run by agents that states several."""
    places = {comparison.id: comparison for comparison in dataset}
    for line, run in zip(about, runs, strict=True):
        talks: dict[tuple[str, str, int], dict[str, list[Verdict]]] = {}
        for turn in read_turns(run.path / "turns.csv"):
            said = talks.setdefault((turn.id, turn.order, turn.repeat), {})
            if turn.verdict is not None:
                said.setdefault(turn.role, []).append(turn.verdict)
        found = [
            Talk(places[name].label, places[name].group, said)
            for (name, _, _), said in talks.items()
            if name in places and (len(said) > 1 or any(len(verdicts) > 1 for verdicts in said.values()))
        ]
        if found:
            yield {**{key: line[key] for key in ("run", "metric", "floor")}, **turn_row(found)}


def _taken(run: Run) -> dict[str, Any] | None:
    """What all answers of a run took: tokens, requests, cost (None if unknown), currency; None if nobody counted."""
    taken: Mapping[str, float] | None = run.timing.get("taken")
    if taken is None:
        return (
            None if run.manifest["family"] in _ASKING else {"tokens": 0, "requests": 0, "cost": 0.0, "currency": None}
        )
    answers = taken.get("requests", 0) + taken.get("cache_hits", 0)
    tokens = sum(taken.get(f"{kept}{name}", 0) for kept in ("", "kept_") for name in ("input_tokens", "output_tokens"))
    if answers and not tokens:
        return None
    cost = taken.get("cost", 0.0 if not taken.get("requests") else None)
    kept = taken.get("kept_cost", 0.0 if not taken.get("kept_input_tokens") else None)
    sessions = run.timing.get("sessions") or ()
    return {
        "tokens": tokens,
        "requests": answers,
        "cost": None if cost is None or kept is None else cost + kept,
        "currency": next((session["currency"] for session in reversed(sessions) if session.get("currency")), None),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (np.bool_, bool)):
        return bool(value)
    return None if np.isnan(value) else float(value)
