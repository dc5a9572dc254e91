"""Labels that contradict each other: what no evaluator, or none that scores responses one by one, can get right."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from calf.types import Comparison, Label

__all__ = ["Consistency", "consistency_of"]

_MOST_RESPONSES = 6
_MIRROR: Mapping[Label, Label] = {"response_a": "response_b", "response_b": "response_a", "same": "same"}

_Task = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class Consistency:
    """How far the labels of a dataset agree with each other.

    Attributes:
        comparisons: how many there are.
        triples: three responses to one question of which every two were compared.
        cycles: of these, such as A better than B, B than C, C than A.
        broken_ties: of these, such as A same as B, B same as C, A better than C; or A same as B, of which one is better
            and one worse than C.
        repeated: comparisons whose two responses, to the same question, were compared more than once.
        contradictions: pairs of responses that have different labels in different comparisons.
        identical: comparisons of two identical responses that are not labelled same.
        ceiling: the accuracy of an evaluator that always gives a pair of texts its most frequent label, and says same
            of identical texts. None is better on these labels.
        ceiling_scores: the accuracy of the best evaluator that orders the responses to each question, ties allowed.
            (Questions with more than six responses are counted as if any order could be met.)
    """

    comparisons: int
    triples: int
    cycles: int
    broken_ties: int
    repeated: int
    contradictions: int
    identical: int
    ceiling: float | None
    ceiling_scores: float | None


def consistency_of(comparisons: Sequence[Comparison]) -> Consistency:
    """Counts contradictions among labels. Texts are compared without white space at their ends."""
    labels: dict[_Task, dict[tuple[str, str], list[Label]]] = defaultdict(lambda: defaultdict(list))
    identical = same_texts = same_right = 0
    for c in comparisons:
        a, b = c.response_a.strip(), c.response_b.strip()
        if a == b:
            same_texts += 1
            same_right += c.label == "same"
            identical += c.label != "same"
            continue
        label = c.label if a < b else _MIRROR[c.label]
        labels[c.question.strip(), c.context.strip(), c.reference][min(a, b), max(a, b)].append(label)
    pairs = [found for task in labels.values() for found in task.values()]
    triples = cycles = broken = reached = ordered = 0
    for task in labels.values():
        usual = {pair: Counter(found).most_common(1)[0][0] for pair, found in task.items()}
        best = sum(max(Counter(found).values()) for found in task.values())
        reached += best
        names = sorted({name for pair in task for name in pair})
        ordered += _best_order(names, task) if len(names) <= _MOST_RESPONSES else best
        for kind in _triples(names, usual):
            triples += 1
            cycles += kind == "cycle"
            broken += kind == "tie"
    n = len(comparisons)
    return Consistency(
        comparisons=n,
        triples=triples,
        cycles=cycles,
        broken_ties=broken,
        repeated=sum(len(found) for found in pairs if len(found) > 1),
        contradictions=sum(len(set(found)) > 1 for found in pairs),
        identical=identical,
        ceiling=(reached + same_right) / n if n else None,
        ceiling_scores=(ordered + same_right) / n if n else None,
    )


def _triples(names: Sequence[str], usual: Mapping[tuple[str, str], Label]) -> Iterator[str]:
    """What the labels of every three responses that were all compared make: "cycle", "tie" or "order"."""
    for first, second, third in combinations(names, 3):
        pairs = ((first, second), (second, third), (first, third))
        if not all(pair in usual for pair in pairs):
            continue
        # Around the circle: first to second, second to third, third to first.
        one, two, three = usual[pairs[0]], usual[pairs[1]], _MIRROR[usual[pairs[2]]]
        around = (one, two, three)
        ties = around.count("same")
        if ties == 0 and len(set(around)) == 1:
            yield "cycle"
        elif ties == 2 or (ties == 1 and len(set(around)) == 2):
            yield "tie"
        else:
            yield "order"


def _best_order(names: Sequence[str], task: Mapping[tuple[str, str], Sequence[Label]]) -> int:
    """The most labels that a ranking with ties agrees with, tried one by one (75 rankings of four, 4,683 of six)."""
    place = {name: index for index, name in enumerate(names)}
    votes = [(place[a], place[b], Counter(found)) for (a, b), found in task.items()]
    best = 0
    for levels in _rankings(len(names)):
        right = 0
        for a, b, counts in votes:
            verdict = LABELS[0] if levels[a] < levels[b] else LABELS[1] if levels[a] > levels[b] else LABELS[2]
            right += counts[verdict]
        best = max(best, right)
    return best


_kept: dict[int, list[tuple[int, ...]]] = {}


def _rankings(count: int) -> list[tuple[int, ...]]:
    """All rankings with ties of so many things, each as their levels."""
    if count not in _kept:
        found: list[tuple[int, ...]] = [()]
        for _ in range(count):
            found = [(*levels, level) for levels in found for level in range(count)]
        _kept[count] = [levels for levels in found if set(levels) == set(range(max(levels, default=-1) + 1))]
    return _kept[count]
