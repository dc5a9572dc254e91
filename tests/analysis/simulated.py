"""Observations for the tests of the statistics: drawn by hypothesis, and simulated with groups."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from calf.analysis import Observations
from calf.analysis.annotators import Annotations


def examples(number: int) -> settings:
    """The same examples in every run."""
    return settings(deadline=None, derandomize=True, max_examples=number)


def make(label, verdict, difference=None, group=None, weight=None, scale=None, **more) -> Observations:
    n = len(label)
    if difference is None:
        difference = [{0: 1.0, 1: -1.0}.get(v, 0.0) for v in verdict]
    kinds = {"given": np.int8, "swapped": np.int8, "human": np.int8, "overlap": np.float64}
    return Observations.of(
        np.asarray(label, dtype=np.int8),
        np.asarray(verdict, dtype=np.int8),
        np.asarray(difference, dtype=np.float64),
        np.asarray(np.arange(n) if group is None else group, dtype=np.int64),
        weight=np.asarray(np.ones(n) if weight is None else weight, dtype=np.float64),
        scale=np.asarray(np.zeros(n) if scale is None else scale, dtype=np.int64),
        **{name: np.asarray(values, dtype=kinds.get(name, np.int64)) for name, values in more.items()},
    )


@st.composite
def observations(draw, least: int = 0, most: int = 14, repeats: int = 3) -> Observations:
    """Few rows with ties, constants, missing classes, failures, repeated judgments and one group or more.

    Groups never straddle folds; the rows of a comparison share what is known of it.
    """
    labels = st.sampled_from(draw(st.sampled_from([(0, 1, 2), (0, 1), (0,), (2,), (1, 2)])))
    verdicts = st.sampled_from(draw(st.sampled_from([(0, 1, 2, 3), (0, 1), (0, 1, 2), (0,), (3,), (2, 3)])))
    differences = draw(
        st.sampled_from(
            [
                st.sampled_from([1.0, 0.0, -1.0]),
                st.just(0.25),
                st.floats(-4, 4).map(lambda x: round(x, 3)),
                st.integers(-2, 2).map(float),
            ]
        )
    )
    groups = st.integers(0, draw(st.integers(0, 6))).map(lambda code: 7 * code - 11)
    orders = draw(st.sampled_from(["unknown", "given", "swapped", "both", "response"]))
    lengths = st.integers(0, draw(st.sampled_from([0, 2, 400])))
    humans, folds = draw(st.booleans()), draw(st.integers(1, 5))
    rows = []
    for comparison in range(draw(st.integers(least, most))):
        label, group, times = draw(labels), draw(groups), draw(st.integers(1, repeats))
        preferred_known = label != 2 and draw(st.booleans())
        about = {
            "comparison": 5 * comparison + 2,
            "label": label,
            "group": group,
            "weight": 1 / times,
            "fold": group % folds,
            "length_a": draw(lengths),
            "length_b": draw(lengths),
            "human": draw(st.integers(-1, 1)) if humans else -1,
            "overlap": draw(st.sampled_from([0.0, 0.25, 0.3, 1.0])) if preferred_known else np.nan,
        }
        for _ in range(times):
            verdict = draw(verdicts)
            given, swapped = {
                "unknown": (-1, -1),
                "given": (verdict, -1),
                "swapped": (-1, verdict),
                "response": (verdict, verdict),
            }.get(orders) or (draw(verdicts), draw(verdicts))
            difference = 0.0 if verdict == 3 else draw(differences)
            rows.append({**about, "verdict": verdict, "difference": difference, "given": given, "swapped": swapped})
    return make(**{name: [row[name] for row in rows] for name in rows[0]}) if rows else make([], [])


@st.composite
def annotated(draw, **bounds) -> tuple[Observations, Annotations | None]:
    """The same, and single people's labels of some of the comparisons, or none at all."""
    seen = draw(observations(**bounds))
    return seen, draw(annotations_of(seen)) if draw(st.booleans()) else None


@st.composite
def annotations_of(draw, seen: Observations) -> Annotations:
    """None to four labels of each comparison, by five people."""
    labels = st.sampled_from(draw(st.sampled_from([(0, 1, 2), (0, 1), (2,)])))
    rows = []
    for comparison, group in sorted({*zip(seen.comparison.tolist(), seen.group.tolist(), strict=True)}):
        people = draw(st.lists(st.integers(0, 4), max_size=4, unique=True))
        rows += [(comparison, 3 * person - 4, draw(labels), group) for person in people]
    comparison, annotator, label, group = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return Annotations(comparison, annotator, label.astype(np.int8), group)


def whole(seen: Observations) -> np.ndarray:
    """The weights as numbers of rows: for repeats of 1, 2 or 3, six rows a comparison."""
    return np.rint(seen.weight * 6).astype(int)


def simulate(groups: int, seed: int) -> Observations:
    """Groups of 1 to 5 comparisons that share how hard they are, so that they are right or wrong together.

    A group's size does not depend on that: the true accuracy is 0.6.
    """
    chance = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), chance.integers(1, 6, groups))
    n = group.size
    right = chance.random(n) < np.where(chance.random(groups) < 0.5, 0.95, 0.25)[group]
    label = chance.choice(3, n, p=[0.45, 0.4, 0.15])
    verdict = np.where(right, label, (label + 1 + chance.integers(0, 2, n)) % 3)
    size = np.abs(chance.normal(size=groups))[group] + np.abs(chance.normal(size=n))
    difference = np.array([1.0, -1.0, 0.0])[verdict] * size
    return make(label, verdict, difference, group)


def both_orders(difference, label, weight, group):
    """Every row as it is and with A and B changed, the same weight each; arrays of shape (2n,)."""
    swapped = np.array([1, 0, 2], dtype=np.int8)[label]
    return (
        np.concatenate((difference, -difference)),
        np.concatenate((label, swapped)),
        np.concatenate((weight, weight)),
        np.concatenate((group, group)),
    )
