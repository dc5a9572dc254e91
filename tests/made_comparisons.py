"""Comparisons whose labels can be learned: the response that says more of the reference is preferred."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calf.datasets.dataset import Dataset
from calf.hashing import uniform
from calf.training.examples import Examples
from calf.training.features import Pairs, Table
from calf.types import LABELS, Comparison

NOUNS = "river valley glacier harbour meadow forest canyon island desert lagoon plateau delta summit quarry".split()
VERBS = "shapes crosses feeds shelters divides borders drains warms cools covers".split()
FILLER = "people often like to talk about many things that have little to do with it".split()


def pick(words: Sequence[str], *key: object) -> str:
    return words[int(uniform("made", *key) * len(words))]


def sentence(*key: object) -> str:
    nouns = pick(NOUNS, 1, *key), pick(NOUNS, 3, *key)
    return f"The {nouns[0]} {pick(VERBS, 2, *key)} the {nouns[1]} by {int(uniform(4, *key) * 900)}."


def response(reference: Sequence[str], said: int, *key: object) -> str:
    filler = " ".join(pick(FILLER, at, *key) for at in range(8 + int(uniform(5, *key) * 30)))
    return f"{' '.join(reference[:said])} {filler.capitalize()}."


def made_comparisons(groups: int = 60, seed: int = 0, noise: float = 0.1) -> list[Comparison]:
    """Of each group one question with three responses, hence three comparisons; every tenth label is drawn."""
    found = []
    for group in range(groups):
        reference = [sentence(seed, group, at) for at in range(6)]
        said = [int(uniform("said", seed, group, at) * 7) for at in range(3)]
        texts = [response(reference, count, seed, group, at) for at, count in enumerate(said)]
        for first, second in ((0, 1), (1, 2), (2, 0)):
            name = f"made-{seed}-{group}-{first}{second}"
            gain = said[first] - said[second]
            label = LABELS[0] if gain > 0 else LABELS[1] if gain < 0 else LABELS[2]
            if uniform("noise", name) < noise:
                label = LABELS[int(uniform("drawn", name) * 3)]
            found.append(
                Comparison(
                    id=name, question=f"What does number {group} of series {seed} say of the land?", context="",
                    reference=" ".join(reference), response_a=texts[first], response_b=texts[second],
                    setting="model_vs_model", label=label, language="en", group=f"made-{seed}-{group}-01",
                )
            )  # fmt: skip
    return found


def made_dataset(groups: int = 60, seed: int = 0, name: str = "made") -> Dataset:
    return Dataset(name, tuple(made_comparisons(groups, seed)))


def turned(c: Comparison) -> Comparison:
    """The same comparison in the other order."""
    mirror = {"response_a": "response_b", "response_b": "response_a", "same": "same"}
    return replace(
        c, response_a=c.response_b, response_b=c.response_a, source_a=c.source_b, source_b=c.source_a,
        label=mirror[c.label],
    )  # fmt: skip


def made_examples(n: int = 300, seed: int = 0, strength: float = 1.5, columns: int = 6) -> Examples:
    """Examples without texts: the first odd feature says who is better, the first even one whether anybody is."""
    chance = np.random.default_rng(seed)
    odd, even = chance.normal(size=(n, columns)), chance.normal(size=(n, 3))
    tied = chance.random(n) < 1 / (1 + np.exp(2.0 - 1.5 * even[:, 0]))
    first = chance.random(n) < 1 / (1 + np.exp(-strength * odd[:, 0]))
    label = np.where(tied, 2, np.where(first, 0, 1)).astype(np.int8)
    tables = (
        Table(tuple(f"form.o{at}" for at in range(columns)), ("form",) * columns, odd),
        Table(tuple(f"question.e{at}" for at in range(3)), ("question",) * 3, even),
    )
    groups = tuple(f"g{at // 3}" for at in range(n))
    base = made_comparisons(1)[0]
    rows = tuple(dataclasses.replace(base, id=f"c{at}", group=groups[at], label=LABELS[label[at]]) for at in range(n))
    return Examples(rows, Pairs(*tables), label, groups)
