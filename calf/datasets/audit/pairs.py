"""Findings about whole pairs: duplicates, contradictions, cycles, equal responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.datasets.audit.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calf.types import Comparison

__all__ = ["find_pairs"]

_SEVERAL = 3


def find_pairs(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    """Duplicate and conflicting pairs, cycles in preferences, comparisons of a text with itself."""
    yield from _repeated(comparisons)
    yield from _cycles(comparisons)
    yield from _equal(comparisons)
    yield from _general(comparisons)


def _winner(c: Comparison) -> str | None:
    """The preferred text; None for a tie."""
    return {"response_a": c.response_a, "response_b": c.response_b, "same": None}[c.label]


def _repeated(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    places: dict[tuple[str, str, str], list[Comparison]] = {}
    for c in comparisons:
        low, high = sorted((c.response_a, c.response_b))
        places.setdefault((c.question, low, high), []).append(c)
    repeated = [rows for rows in places.values() if len(rows) > 1]
    if not repeated:
        return
    extra = sum(len(rows) - 1 for rows in repeated)
    yield Finding.about(
        "warning",
        "duplicate_pairs",
        f"{len(repeated)} pairs of responses to one question occur more than once ({extra} comparisons too many); "
        "they count as often as they occur",
        [c.id for rows in repeated for c in rows],
    )
    # A text compared with itself has no sides to swap; `_equal` speaks of those.
    labelled = [(rows, {_winner(c) for c in rows}) for rows in repeated if rows[0].response_a != rows[0].response_b]
    conflicting = [(rows, winners) for rows, winners in labelled if len(winners) > 1]
    if conflicting:
        opposite = sum(len(winners - {None}) > 1 for _, winners in conflicting)
        yield Finding.about(
            "error" if opposite else "warning",
            "conflicting_pairs",
            f"{len(conflicting)} of these pairs have labels that contradict each other "
            f"({opposite} with opposite winners, {len(conflicting) - opposite} with same against a winner)",
            [c.id for rows, _ in conflicting for c in rows],
        )


def _cycles(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    """Preferences inside one question that go round; a pair with opposite winners alone is no cycle."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    nodes: dict[tuple[str, str, str], int] = {}
    preferences: dict[tuple[int, int], str] = {}
    for c in comparisons:
        if c.label == "same" or c.response_a == c.response_b:
            continue
        texts = (c.response_a, c.response_b) if c.label == "response_a" else (c.response_b, c.response_a)
        winner, loser = (nodes.setdefault((c.question, c.context, text), len(nodes)) for text in texts)
        preferences.setdefault((winner, loser), c.id)
    edges = {edge: name for edge, name in preferences.items() if edge[::-1] not in preferences}
    if not edges:
        return
    winners, losers = np.array(list(edges)).T
    graph = coo_matrix((np.ones(len(edges)), (winners, losers)), shape=(len(nodes), len(nodes)))
    # Responses that can be reached from each other along preferences stand on a common ring.
    _, ring = connected_components(graph, directed=True, connection="strong")
    round_ids = [name for (winner, loser), name in edges.items() if ring[winner] == ring[loser]]
    if not round_ids:
        return
    ringed = {ring[winner] for winner, loser in edges if ring[winner] == ring[loser]}
    questions = {key[:2] for key, node in nodes.items() if ring[node] in ringed}
    yield Finding.about(
        "note",
        "cycles",
        f"in {len(questions)} questions preferences go round (A over B, B over C, C over A): "
        f"{len(round_ids)} comparisons are part of it",
        round_ids,
    )


def _equal(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    equal = [c for c in comparisons if c.response_a.strip() == c.response_b.strip()]
    if not equal:
        return
    preferred = [c for c in equal if c.label != "same"]
    ties = len(equal) - len(preferred)
    yield Finding.about(
        "error" if preferred else "warning",
        "equal_responses",
        f"{len(equal)} comparisons have two equal responses: {len(preferred)} with a winner all the same, "
        f"{ties} labelled same",
        [c.id for c in (preferred or equal)],
    )


def _general(comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    """Questions that are asked of several texts ("What is the plot of the story?"), where they make groups."""
    asked: dict[str, list[Comparison]] = {}
    for c in comparisons:
        asked.setdefault(c.question, []).append(c)
    found: list[tuple[int, list[Comparison]]] = []
    for rows in asked.values():
        references = {c.reference for c in rows if c.reference}
        contexts = {c.context for c in rows}
        of_one_text = len(contexts) == 1 and contexts != {""}  # with several references
        if len(references) >= _SEVERAL and len({c.group for c in rows}) == 1 and not of_one_text:
            found.append((len(references), rows))
    if found:
        most, rows = max(found, key=lambda one: one[0])
        yield Finding.about(
            "warning",
            "general_question",
            f"{len(found)} questions have {_SEVERAL} or more different references each ({rows[0].question[:60]!r}: "
            f"{most}), so they are asked of different texts, and groups that they link are not what belongs together; "
            "name what does in a column `group`",
            [c.id for _, of_one in found for c in of_one],
        )
