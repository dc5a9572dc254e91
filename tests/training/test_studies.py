from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from few_resamples import with_few_resamples
from made_comparisons import made_examples

from calf.analysis import Observations, measure
from calf.errors import UserError
from calf.hashing import uniform
from calf.training.examples import Examples, split
from calf.training.features import Pairs, Table
from calf.training.fit import cross_fit, decisions_of, groups_of
from calf.training.studies import FIGURES, Study, ablations, difference, figures, importances, learning_curve
from calf.training.transfer import _drop

STUDY = Study("logistic", "accuracy", 4, 0, 1)


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Quicker, as is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calf.training.model._THRESHOLDS", 40)
        yield


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Those of `made_examples`, and a family that says nothing."""
    found = made_examples(300, strength=2.5)
    noise = np.random.default_rng(5).normal(size=(300, 3))
    odd, names = found.pairs.odd, tuple(f"facts.n{at}" for at in range(3))
    joined = Table((*odd.names, *names), (*odd.families, *("facts",) * 3), np.hstack([odd.values, noise]))
    return replace(found, pairs=Pairs(joined, found.pairs.even))


@with_few_resamples
def test_figures_are_those_of_every_other_table() -> None:
    examples = made_examples(150)
    verdict = np.roll(examples.label, 1)
    line = figures(examples.label, verdict, examples.groups)
    sides = np.array([1.0, -1.0, 0.0])[verdict]
    row = measure(Observations.of(examples.label, verdict, sides, groups_of(examples.groups)))
    assert line["n"] == 150
    assert line["groups"] == row["groups"] == 50
    for name in FIGURES:
        for end in ("", "_low", "_high"):
            assert line[name + end] == row[name + end]


def test_a_difference_is_paired() -> None:
    examples = made_examples(150)
    worse = np.where(np.arange(150) % 5 == 0, (examples.label + 1) % 3, examples.label).astype(np.int8)
    line = difference(examples.label, examples.label, worse, examples.groups)
    assert line["difference"] == pytest.approx(0.2)
    assert 0.15 < line["low"] < 0.2 < line["high"] < 0.25
    assert line["p"] < 0.01
    same = difference(examples.label, worse, worse, examples.groups)
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)


def test_folds_hold_whole_groups_and_nothing_depends_on_the_order_of_the_rows(examples: Examples) -> None:
    found = cross_fit(examples, model="logistic", count=4)
    assert set(found.fold) == {0, 1, 2, 3}
    sizes = Counter(dict(zip(examples.groups, found.fold.tolist(), strict=True)).values())
    assert set(sizes.values()) == {25}
    order = np.random.default_rng(0).permutation(300)
    shuffled = Examples(
        tuple(examples.comparisons[at] for at in order), examples.pairs.rows(order), examples.label[order],
        tuple(examples.groups[at] for at in order),
    )  # fmt: skip
    again = cross_fit(shuffled, model="logistic", count=4)
    assert np.array_equal(again.fold, found.fold[order])
    np.testing.assert_allclose(again.probabilities, found.probabilities[order], atol=1e-3)


def test_decisions_say_the_same_in_both_orders(examples: Examples) -> None:
    found = cross_fit(examples, model="logistic", count=4)
    decisions = decisions_of(found.probabilities, found.verdict)
    assert np.array_equal(decisions.given, decisions.swapped)
    assert np.array_equal(decisions.verdict, found.verdict)
    np.testing.assert_allclose(decisions.difference, found.probabilities[:, 0] - found.probabilities[:, 1])


def test_too_many_folds_are_refused(examples: Examples) -> None:
    with pytest.raises(UserError, match=r"100 groups .* 101 folds"):
        cross_fit(examples, count=101)
    with pytest.raises(UserError, match="2 or more"):
        cross_fit(examples, count=1)


@with_few_resamples
def test_each_study_names_what_matters(examples: Examples) -> None:
    whole = STUDY.run(examples)
    curve = list(learning_curve(STUDY, examples, whole))
    assert [line["share"] for line in curve] == [0.25, 0.5, 0.75, 1.0]
    assert curve[-1]["accuracy"] == figures(examples.label, whole.verdict, examples.groups)["accuracy"]

    lines = {(line["kind"], line["family"]): line for line in ablations(STUDY, examples, whole)}
    assert set(lines) == {("without", "form"), ("without", "question"), ("without", "facts"), ("alone", "form"),
                          ("alone", "facts")}  # fmt: skip
    assert lines["without", "form"]["change_high"] < -0.1
    assert abs(lines["without", "facts"]["change_difference"]) < 0.05
    assert lines["alone", "form"]["decided_accuracy_low"] > 0.7
    assert lines["alone", "facts"]["decided_accuracy"] < 0.6

    found = {line["family"]: line for line in importances(examples, whole, 0)}
    assert [found[family]["columns"] for family in ("form", "question", "facts")] == [6, 3, 3]
    assert found["form"]["loss_rise"] > 0.2
    assert found["form"]["accuracy_drop"] > 0.1
    assert found["question"]["loss_rise"] > 0.005
    assert abs(found["facts"]["loss_rise"]) < 0.02


@with_few_resamples
def test_a_share_that_is_too_small_has_no_line(examples: Examples) -> None:
    few = examples.rows(np.arange(300) < 90)
    shares = [line["share"] for line in learning_curve(STUDY, few, STUDY.run(few))]
    assert shares[-1] == 1.0
    assert len(shares) < 4


def test_with_one_family_there_is_nothing_to_leave_out(examples: Examples) -> None:
    part = examples.of(("form",))
    assert list(ablations(STUDY, part, STUDY.run(part))) == []


@with_few_resamples
def test_the_drop_between_datasets_is_that_of_independent_accuracies() -> None:
    one, two = made_examples(300), made_examples(150, seed=1)
    right = (one.label, np.where(np.arange(150) % 2 == 0, two.label, (two.label + 1) % 3).astype(np.int8))
    drop = _drop((two, right[1]), (one, right[0]))
    assert drop["difference"] == pytest.approx(-0.5)
    spread = np.sqrt(0.25 / 150)
    assert drop["low"] == pytest.approx(-0.5 - 1.96 * spread, abs=0.04)
    assert drop["high"] == pytest.approx(-0.5 + 1.96 * spread, abs=0.04)


def test_what_is_held_out_depends_on_the_groups_names_alone() -> None:
    names = [f"g{at}" for at in range(1000)]
    held = split(names, 0.2)
    assert held.tolist() == [uniform("hold-out", name) < 0.2 for name in names]
    assert 0.15 < held.mean() < 0.25
    assert np.all(split(names, 0.3)[held])
    assert not split(names, 0.0).any()
    assert np.array_equal(split(names[::-1], 0.2)[::-1], held)
