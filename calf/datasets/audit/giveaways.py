"""Strings that give a side away: they stand on one side only, too often for chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, product
from typing import TYPE_CHECKING

from calf.datasets.audit.finding import OTHER_SIDE, Giveaway, Side, stands_in
from calf.datasets.audit.sides import HUMAN, fixed_source
from calf.hashing import uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.datasets.audit.ngrams import Ints
    from calf.types import Comparison

__all__ = ["Giveaway", "find_giveaways"]

LEAST, SHARE = 10, 0.02
"""A string stands in the responses to at least so many questions, and to this share of its slice's questions."""

SHORT, SHORT_SHARE = 4, 0.2
"""A string of fewer tokens inside a text (a turn of phrase) must stand in so large a share of the questions."""

IMPURE = 0.02
"""How often a string may stand on the other side, as a share of how often it stands on its own."""

FALSE_ALARMS = 0.05
"""The number of strings that chance alone would bring to a dataset, at most."""

SHOWN = 5
"""How many strings are named of the two positions, and again of the two kinds of source."""

WIDER = 0.9
"""A longer string takes a shorter one's place if it stands in this share of its responses and adds a word."""

COVERED = 2 / 3
"""A string whose responses are covered in this share by a clearer one is not named again."""

BUDGET = 4_000_000
"""Characters that are searched; of a larger dataset, questions chosen by a hash. Counts are over all of it."""

_SIDES: tuple[Side, ...] = ("response_a", "response_b", "human", "model")


@dataclass(frozen=True, slots=True)
class _Slot:
    """One response where it stands: `question` is what is counted once, `cell` the finest slice."""

    id: str
    text: str
    side: Side
    question: tuple[str, str, str | None]
    cell: tuple[str, str | None, str]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A piece of text (with `BEGIN`, `END` where it touches a text's ends) that passed the tests in a slice."""

    piece: str
    side: Side
    where: str
    support: int
    rate: float


def find_giveaways(comparisons: Sequence[Comparison]) -> list[Giveaway]:
    """Strings that stand (almost) only in response_a or response_b, or only in human or model responses.

    A string is counted once a question, in slices (overall, by setting, subject and language). It is kept if it
    stands in the responses to at least 10 questions and 2 % of a slice (20 % for less than four tokens inside a
    text), at most 2 % as often on the other side, and if fewer than 0.05 such strings are to be expected by chance,
    given how many strings of its length are as frequent (a one-sided binomial test with Bonferroni's correction).
    Of strings that stand in the same responses the longest is named.

    The two kinds of source are told apart within human_vs_model. Where the human always stands on one side there,
    that setting is left out of the positions: the two could not be told apart.

    Returns:
        At most 5 of each, the most frequent first.
    """
    slots = _slots(comparisons)
    candidates = _candidates(slots)
    found: list[Giveaway] = []
    for pair in (_SIDES[:2], _SIDES[2:]):
        part = [slot for slot in slots if slot.side in pair]
        found += _clearest([c for c in candidates if c.side in pair], part)
    return found


def _slots(comparisons: Sequence[Comparison]) -> list[_Slot]:
    mixed = [c for c in comparisons if c.setting == "human_vs_model"]
    confounded = any(source == HUMAN for source, *_ in fixed_source(mixed))
    slots = []
    for c in comparisons:
        question, cell = (c.question, c.context, c.reference), (c.setting, c.subject, c.language)
        if not (confounded and c.setting == "human_vs_model"):
            slots.append(_Slot(c.id, c.response_a, "response_a", question, cell))
            slots.append(_Slot(c.id, c.response_b, "response_b", question, cell))
        if c.setting == "human_vs_model" and (c.source_a == HUMAN) != (c.source_b == HUMAN):
            for text, source in ((c.response_a, c.source_a), (c.response_b, c.source_b)):
                slots.append(_Slot(c.id, text, "human" if source == HUMAN else "model", question, cell))
    return slots


def _slices(cell: tuple[str, str | None, str]) -> tuple[str, ...]:
    """From the one that is named first where several hold the same comparisons."""
    setting, subject, language = cell
    return (f"setting={setting}", "overall", f"language={language}", f"subject={subject}")


def _within_budget(slots: list[_Slot]) -> list[_Slot]:
    sizes: Counter[tuple[str, str, str | None]] = Counter()
    for text, question in {(s.text, s.question) for s in slots}:
        sizes[question] += len(text)
    if sizes.total() <= BUDGET:
        return slots
    chosen: set[tuple[str, str, str | None]] = set()
    total = 0
    for question in sorted(sizes, key=lambda q: (uniform("audit", *q), q[0])):
        total += sizes[question]
        if chosen and total > BUDGET:
            break
        chosen.add(question)
    return [s for s in slots if s.question in chosen]


def _candidates(slots: list[_Slot]) -> list[_Candidate]:
    import numpy as np
    from scipy.special import bdtrc

    from calf.datasets.audit.ngrams import BEGIN, END, Occurrence, levels

    slots = _within_budget(slots)
    if not slots:
        return []
    cells = sorted({s.cell for s in slots}, key=str)
    column = {(cell, side): 4 * i + j for i, cell in enumerate(cells) for j, side in enumerate(_SIDES)}
    names, member = _memberships(cells)

    def by_slice(counts: Ints) -> Ints:
        """(columns, pieces) -> (slices, sides, pieces)."""
        return np.tensordot(member, counts.reshape(len(cells), 4, -1), axes=1)

    # Distinct texts say how likely a string lands on a side; distinct questions say what 2 % are.
    texts, asked = np.zeros((2, len(column), 1), dtype=np.int64)
    for cell, side, _, _ in {(s.cell, s.side, s.question, s.text) for s in slots}:
        texts[column[cell, side]] += 1
    for cell, side, _ in {(s.cell, s.side, s.question) for s in slots}:
        asked[column[cell, side]] += 1
    texts, asked = by_slice(texts)[:, :, 0], by_slice(asked)[:, :, 0]

    found = []
    occurrences = [Occurrence(s.text, column[s.cell, s.side], s.question) for s in slots]
    for level in levels(occurrences, len(column), LEAST):
        counts = by_slice(level.counts.T)
        touches = np.array([p[0] == BEGIN or p[-1] == END for p in level.pieces])
        share = np.where(touches | (level.length >= SHORT), SHARE, SHORT_SHARE)
        for j, k in product(range(len(names)), range(4)):
            own, others = counts[j, k], counts[j, k ^ 1]  # 0 and 1, 2 and 3 stand against each other
            total = own + others
            promising = (own >= np.maximum(LEAST, share * asked[j, k])) & (others <= IMPURE * own)
            for i in np.flatnonzero(promising):
                chance = texts[j, k] / (texts[j, k] + texts[j, k ^ 1])
                p = float(bdtrc(own[i] - 1, total[i], chance))
                # As many tests as strings of this length, at a text's end or not, are at least as frequent here;
                # slices and sides are tests too, and n * (n + 1) spreads the allowance over the lengths.
                rivals = int(((total >= total[i]) & (touches == touches[i])).sum())
                tests = rivals * 4 * len(names) * level.length * (level.length + 1)
                if p * tests < FALSE_ALARMS and _readable(level.pieces[i]):
                    rate = float(own[i] / asked[j, k])
                    found.append(_Candidate(level.pieces[i], _SIDES[k], names[j], int(own[i]), rate))
    return found


def _memberships(cells: Sequence[tuple[str, str | None, str]]) -> tuple[list[str], Ints]:
    """The slices' names, and (slices, cells): 1 where a cell is part; of equal slices the first is kept."""
    import numpy as np

    every = chain.from_iterable(zip(*(_slices(cell) for cell in cells), strict=True))
    members: dict[tuple[bool, ...], str] = {}
    for name in dict.fromkeys(every):
        members.setdefault(tuple(name in _slices(cell) for cell in cells), name)
    return list(members.values()), np.array(list(members), dtype=np.int64)


def _readable(piece: str) -> bool:
    """Whether a piece says something: a single sign inside a text does not."""
    from calf.datasets.audit.ngrams import BEGIN, END

    text = piece.strip(BEGIN + END)
    return bool(text) and (text != piece or len(text.strip()) > 1 or "\n" in text)


def _widened(candidate: _Candidate, candidates: list[_Candidate]) -> _Candidate:
    """The longest string of which a candidate is the better half.

    "of reply" stands in a few responses more than "<|end of reply|>", by chance; the marker is the second.
    """
    wider = [
        c
        for c in candidates
        if (c.side, c.where) == (candidate.side, candidate.where)
        and candidate.piece in c.piece
        and c.support >= WIDER * candidate.support
        and any(part.isalnum() for part in c.piece.replace(candidate.piece, "", 1))
    ]
    return max(wider, key=lambda c: len(c.piece), default=candidate)


def _clearest(candidates: list[_Candidate], slots: list[_Slot]) -> list[Giveaway]:
    """The few that say most, counted exactly, in responses; a string is named once, in its fullest slice."""
    from calf.datasets.audit.ngrams import BEGIN, END

    parts: dict[tuple[str, Side], list[_Slot]] = {}
    for slot in slots:
        for name in _slices(slot.cell):
            parts.setdefault((name, slot.side), []).append(slot)

    chosen: list[tuple[_Candidate, Giveaway]] = []
    covered: dict[Side, set[str]] = {}
    for narrow in sorted(candidates, key=lambda c: (-c.support, -c.rate, -len(c.piece), c.piece)):
        if len(chosen) == SHOWN:
            break
        if any(c.side == narrow.side and (c.piece in narrow.piece or narrow.piece in c.piece) for c, _ in chosen):
            continue
        candidate = _widened(narrow, candidates)
        own = parts[candidate.where, candidate.side]
        others = parts[candidate.where, OTHER_SIDE[candidate.side]]
        begins, ends = candidate.piece.startswith(BEGIN), candidate.piece.endswith(END)
        text = candidate.piece.strip(BEGIN + END)
        ids = [s.id for s in own if stands_in(text, begins, ends, s.text)]
        known = covered.setdefault(candidate.side, set())
        if sum(name not in known for name in ids) <= (1 - COVERED) * len(ids):
            continue
        if not (begins or ends) and sum(text.strip() in s.text for s in own) == len(ids):
            text = text.strip()
        other_hits = sum(stands_in(text, begins, ends, s.text) for s in others)
        if other_hits > IMPURE * len(ids):
            continue
        known.update(ids)
        where = candidate.where
        counts = (len(ids), len(own), other_hits, len(others))
        chosen.append((candidate, Giveaway(text, begins, ends, candidate.side, where, *counts, tuple(ids))))
    return [found for _, found in chosen]
