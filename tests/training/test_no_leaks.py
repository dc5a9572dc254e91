"""Controls: where nothing can be learned, nothing is; where a side is given away, it is taken out before learning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from few_resamples import take_few
from made_comparisons import FILLER, made_comparisons, made_examples, pick, turned

from calf.datasets.audit import audit
from calf.datasets.dataset import Dataset
from calf.hashing import uniform
from calf.training.examples import Examples, Preparer, item_of, make_examples
from calf.training.features import Extractor
from calf.training.fit import cross_fit
from calf.training.studies import figures
from calf.types import Comparison

FAMILIES = ("form", "lexical", "coverage")
MARKER = "~~ filed under seven ~~"


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Quicker, as is: what is learned from whom does not depend on these."""
    with pytest.MonkeyPatch.context() as patch:
        take_few(patch)
        patch.setattr("calf.training.model._INNER_FOLDS", 2)
        patch.setattr("calf.training.model._THRESHOLDS", 40)
        patch.setattr("calf.training.estimators._TREES", 20)
        yield


def examples_of(comparisons: list[Comparison]) -> Examples:
    return make_examples(comparisons, Preparer.fit(comparisons, FAMILIES))


MIRROR = np.array([1, 0, 2], dtype=np.int8)


def flipped(examples: Examples, seed: int) -> Examples:
    """Each label's side turned, or not, by a coin of its own."""
    coins = np.array([uniform("coin", seed, c.id) < 0.5 for c in examples.comparisons])
    return replace(examples, label=np.where(coins, MIRROR[examples.label], examples.label).astype(np.int8))


def check_chance(examples: Examples, model: str, count: int) -> None:
    """With several seeds of the coins: an interval of 95 % may miss what is true now and then."""
    rows = []
    for seed in range(4):
        drawn = flipped(examples, seed)
        rows.append(figures(drawn.label, cross_fit(drawn, model=model, count=count).verdict, drawn.groups))
    within = [row["decided_accuracy_low"] <= 0.5 <= row["decided_accuracy_high"] for row in rows]
    assert sum(within) >= 3, [row["decided_accuracy"] for row in rows]
    assert abs(np.mean([row["decided_accuracy"] for row in rows]) - 0.5) < 0.05


@pytest.fixture(scope="module")
def comparisons() -> list[Comparison]:
    return made_comparisons(70)


@pytest.fixture(scope="module")
def examples(comparisons: list[Comparison]) -> Examples:
    return examples_of(comparisons)


def test_labels_that_can_be_learned_are_learned_and_flipped_ones_are_not(examples: Examples) -> None:
    learned = cross_fit(examples, model="logistic")
    row = figures(examples.label, learned.verdict, examples.groups)
    assert row["decided_accuracy_low"] > 0.75
    check_chance(examples, "logistic", 2)


@pytest.mark.parametrize("model", ["trees", "boosting"])
def test_flipped_labels_teach_no_other_estimator_either(model: str) -> None:
    examples = made_examples(240, strength=3.0)
    learned = cross_fit(examples, model=model, count=2)
    row = figures(examples.label, learned.verdict, examples.groups)
    assert row["decided_accuracy_low"] > 0.6
    check_chance(examples, model, 2)


def test_which_response_stands_first_in_the_file_teaches_nothing() -> None:
    """Nearly always response_a is preferred, and the texts have nothing to do with it."""
    leaning = [
        replace(
            c,
            response_a=" ".join(pick(FILLER, "a", c.id, at) for at in range(20)),
            response_b=" ".join(pick(FILLER, "b", c.id, at) for at in range(20)),
            label="response_a" if uniform("lean", c.id) < 0.85 else "response_b",
        )
        for c in made_comparisons(80)
    ]
    examples = examples_of(leaning)
    row = figures(examples.label, cross_fit(examples, model="logistic").verdict, examples.groups)
    assert row["decided_accuracy_low"] < 0.5 < row["decided_accuracy_high"]


def test_a_planted_marker_is_named_by_the_audit_and_gone_before_features() -> None:
    planted = [
        replace(
            c,
            response_a=" ".join(pick(FILLER, "a", c.id, at) for at in range(20)) + f"\n{MARKER}",
            response_b=" ".join(pick(FILLER, "b", c.id, at) for at in range(20)),
            label="response_a" if uniform("lean", c.id) < 0.85 else "response_b",
        )
        for c in made_comparisons(80)
    ]
    named = [finding for finding in audit(Dataset("planted", tuple(planted))).findings if MARKER in finding.message]
    assert named

    # Left in, it is the best of all features: it says which response is response_a.
    items = [item_of(c) for c in planted]
    examples = examples_of(planted)
    left_in = replace(examples, pairs=Extractor(FAMILIES).fit(items).pairs(items))
    row = figures(left_in.label, cross_fit(left_in, model="logistic").verdict, left_in.groups)
    assert row["decided_accuracy_low"] > 0.75

    row = figures(examples.label, cross_fit(examples, model="logistic").verdict, examples.groups)
    assert row["decided_accuracy_low"] < 0.5 < row["decided_accuracy_high"]


def test_ids_sources_subjects_settings_and_sides_change_no_verdict(
    comparisons: list[Comparison], examples: Examples
) -> None:
    plain = cross_fit(examples, model="logistic")
    strange = [
        replace(c, id=f"x{at}", setting="human_vs_model", source_a="human", source_b="gpt", subject=c.label)
        for at, c in enumerate(comparisons)
    ]
    other = cross_fit(examples_of(strange), model="logistic")
    assert np.array_equal(plain.probabilities, other.probabilities)

    sides = [turned(c) if uniform("turn", c.id) < 0.5 else c for c in comparisons]
    back = np.array([uniform("turn", c.id) < 0.5 for c in comparisons])
    found = cross_fit(examples_of(sides), model="logistic").probabilities
    np.testing.assert_allclose(np.where(back[:, None], found[:, [1, 0, 2]], found), plain.probabilities, atol=5e-3)


def test_a_fold_is_judged_by_what_was_learned_from_other_groups_alone(examples: Examples) -> None:
    whole = cross_fit(examples, model="logistic")
    of_group = dict(zip(examples.groups, whole.fold.tolist(), strict=True))
    assert all(of_group[name] == fold for name, fold in zip(examples.groups, whole.fold, strict=True))
    own = whole.fold == 0
    changed = replace(examples, label=np.where(own, MIRROR[examples.label], examples.label).astype(np.int8))
    again = cross_fit(changed, model="logistic")
    assert np.array_equal(again.probabilities[own], whole.probabilities[own])
    assert not np.array_equal(again.probabilities[~own], whole.probabilities[~own])
