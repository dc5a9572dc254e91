"""The rows of tables against plain loops over judgments and annotations."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from few_resamples import with_few_resamples

from calf import evaluate, load_dataset
from calf.analysis.bootstrap import multiplicities
from calf.analysis.measures import keys
from calf.datasets.dataset import Dataset
from calf.decide import RULES, Judgment
from calf.errors import UserError
from calf.runs.rows import FLOORS, View, floor_rows, people_rows, rows_of
from calf.types import LABELS, SETTINGS, Annotation, Comparison

Row = dict[str, Any]


def small(size: int, people: int = 4, seed: int = 0, **more: Any) -> Dataset:
    """Comparisons in groups of about three, in all settings and two languages, with up to so many annotations each."""
    rng = random.Random(seed)
    found = []
    for n in range(size):
        told = rng.sample(range(6), rng.randint(0, people))
        sources = {"human_vs_human": ("human", "human"), "human_vs_model": ("human", "m"), "model_vs_model": ("m", "k")}
        setting = rng.choice(SETTINGS)
        values = {
            "id": f"c{n}",
            "question": f"q{n // 3}",
            "context": "",
            "reference": None,
            "response_a": "word " * rng.randint(1, 30),
            "response_b": "word " * rng.randint(1, 30),
            "setting": setting,
            "label": rng.choice(LABELS),
            "language": rng.choice(["en", "en", "de"]),
            "source_a": sources[setting][0],
            "source_b": sources[setting][1],
            "group": f"g{n // 3}",
            "annotations": tuple(Annotation(f"p{who}", rng.choice(LABELS)) for who in told),
            **more,
        }
        found.append(Comparison(**values))
    return Dataset("small", tuple(found))


def verdicts(data: Dataset, seed: int, order: str = "given") -> list[Judgment]:
    """A metric that is right two times in three and fails now and then."""
    rng = random.Random(seed)
    found = []
    for c in data:
        said = rng.choice([c.label, c.label, *LABELS])
        failure = "error" if rng.random() < 0.1 else None
        found.append(Judgment(c.id, order, 0, None, None, None if failure else said, failure))  # type: ignore[arg-type]
    return found


def of(rows: list[Row], slice_: str = "overall", metric: str | None = None) -> Row:
    (found,) = [row for row in rows if row["slice"] == slice_ and metric in (None, row["metric"])]
    return found


def left_out(annotations: tuple[Annotation, ...], verdict: str | None = None) -> Fraction:
    """The mean over annotators of agreeing with the others' majority, ties by lot; or of a metric in their places."""
    total = Fraction(0)
    for place, annotation in enumerate(annotations):
        others = Counter(a.label for a in (*annotations[:place], *annotations[place + 1 :]))
        most = [label for label, count in others.items() if count == max(others.values())]
        total += Fraction((verdict or annotation.label) in most, len(most))
    return total / len(annotations)


def test_people_are_scored_against_the_majority_of_the_others() -> None:
    data = small(80)
    rows = people_rows(data)
    told = [c for c in data if len(c.annotations) > 1]
    assert of(rows)["n"] == len(told)
    assert of(rows)["groups"] == len({c.group for c in told})
    for name, mask in (
        ("overall", told),
        *((f"setting={setting}", [c for c in told if c.setting == setting]) for setting in SETTINGS),
        ("language=de", [c for c in told if c.language == "de"]),
    ):
        row = of(rows, name)
        assert (row["metric"], row["floor"], row["rule"], row["order"]) == ("human", False, "leave-one-out", "given")
        expected = float(sum((left_out(c.annotations) for c in mask), Fraction(0)) / len(mask))
        assert row["accuracy"] == pytest.approx(expected, abs=1e-12)
        assert row["accuracy_leave_one_out"] == row["accuracy"]
        pairs = [np.mean([x.label == y.label for x, y in itertools.combinations(c.annotations, 2)]) for c in mask]
        assert row["pairwise_agreement"] == pytest.approx(np.mean(pairs), abs=1e-12)
        assert row["no_majority"] == sum(_split(c) for c in mask) > 0
    assert of(rows, "unanimous")["accuracy"] == 1.0
    assert {len(c.annotations) for c in told} == {2, 3, 4}


def _split(c: Comparison) -> bool:
    counts = Counter(a.label for a in c.annotations)
    return len(c.annotations) > 1 and max(counts.values()) * 2 <= len(c.annotations)


def test_the_interval_of_people_is_that_of_a_loop() -> None:
    data = small(60, seed=3)
    told = [c for c in data if len(c.annotations) > 1]
    groups = sorted({c.group for c in told})
    share = {g: float(sum((left_out(c.annotations) for c in told if c.group == g), Fraction(0))) for g in groups}
    size = Counter(c.group for c in told)
    drawn = [
        sum(t * share[g] for t, g in zip(times, groups, strict=True)) / sum(
            int(t) * size[g] for t, g in zip(times, groups, strict=True)
        )
        for block in multiplicities(len(groups), 10_000)
        for times in block.T
    ]  # fmt: skip
    row = of(people_rows(data))
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_without_two_annotators_there_are_no_rows_of_people() -> None:
    assert people_rows(small(12, people=0)) == []
    assert people_rows(small(12, people=1)) == []
    alone = [dataclasses.replace(c, annotations=c.annotations[:1]) for c in small(12)]
    alone[5] = dataclasses.replace(alone[5], annotations=small(1).comparisons[0].annotations)
    rows = people_rows(Dataset("small", tuple(alone)))
    assert len(alone[5].annotations) > 1 or rows == []


@with_few_resamples
def test_slices_without_annotators_have_no_row_of_people() -> None:
    data = small(40, seed=2)
    bare = Dataset(
        "small", tuple(c if c.setting == "human_vs_human" else dataclasses.replace(c, annotations=()) for c in data)
    )
    names = {row["slice"] for row in people_rows(bare)}
    assert "setting=human_vs_human" in names
    assert not {"setting=model_vs_model", "macro:setting", "gap:human_vs_human-model_vs_model"} & names
    assert all(row["n"] for row in people_rows(bare))


def test_metrics_are_scored_by_the_same_protocol() -> None:
    data = small(70, seed=1)
    judged = verdicts(data, 4)
    row = of(rows_of("m", data, judged))
    told = [(c, j.verdict or "failed") for c, j in zip(data, judged, strict=True) if len(c.annotations) > 1]
    expected = float(sum((left_out(c.annotations, said) for c, said in told), Fraction(0)) / len(told))
    assert any(said == "failed" for _, said in told)
    assert row["accuracy_leave_one_out"] == pytest.approx(expected, abs=1e-9)
    assert row["accuracy_leave_one_out_low"] < expected < row["accuracy_leave_one_out_high"]
    assert row["pairwise_agreement"] is None
    assert "said of people" in row["undefined"]
    assert row["no_majority"] == sum(map(_split, data))


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.2, 0.5])
@with_few_resamples
def test_the_alternative_annotator_test_is_that_of_a_loop(epsilon: float) -> None:
    from scipy.stats import false_discovery_control, ttest_1samp

    data = small(150, seed=6)
    judged = verdicts(data, 7)
    differences: dict[str, list[int]] = {}
    wins: dict[str, list[int]] = {}
    for c, j in zip(data, judged, strict=True):
        for annotation in c.annotations if len(c.annotations) > 1 else ():
            others = [a.label for a in c.annotations if a is not annotation]
            metric, human = others.count(j.verdict), others.count(annotation.label)  # type: ignore[arg-type]
            wins.setdefault(annotation.annotator, []).append(metric >= human)
            differences.setdefault(annotation.annotator, []).append((human >= metric) - (metric >= human))
    enough = [name for name, values in differences.items() if len(values) >= 30]
    assert len(enough) >= 3
    p = [ttest_1samp(differences[name], epsilon, alternative="less").pvalue for name in enough]
    row = of(rows_of("m", data, judged, view=View(epsilon=epsilon)))
    assert row["alt_epsilon"] == epsilon
    assert row["alt_annotators"] == len(enough)
    assert row["alt_winning_rate"] == np.mean(false_discovery_control(p, method="by") <= 0.05)
    assert row["alt_advantage"] == pytest.approx(np.mean([np.mean(wins[name]) for name in enough]), abs=1e-12)


COUNTED = ("accuracy", "coverage", "macro_f1_symmetric", "kappa", "precision_same", "tie_rate")


@pytest.mark.parametrize("column", ["setting", "language"])
@with_few_resamples
def test_macro_and_gap_rows_are_means_and_differences_of_the_slices(column: str) -> None:
    data = small(60, seed=8)
    rows = rows_of("m", data, verdicts(data, 9))
    parts = [row for row in rows if row["slice"].startswith(f"{column}=")]
    macro = of(rows, f"macro:{column}")
    assert tuple(macro) == tuple(of(rows)), "all rows have the same keys in the same order"
    assert set(macro) >= set(keys())
    for name in COUNTED:
        assert macro[name] == pytest.approx(np.mean([part[name] for part in parts]), abs=1e-12)
    assert macro["kendall_tau"] is None
    assert "not taken across slices" in macro["undefined"]
    assert (macro["n"], macro["groups"]) == (len(data), 20)
    assert macro["no_majority"] == sum(map(_split, data))
    gaps = [row for row in rows if row["slice"].startswith("gap:")]
    assert [row["slice"] for row in gaps] == [f"gap:{a}-{b}" for a, b in itertools.combinations(SETTINGS, 2)]
    for (a, b), gap in zip(itertools.combinations(SETTINGS, 2), gaps, strict=True):
        one, other = of(rows, f"setting={a}"), of(rows, f"setting={b}")
        for name in COUNTED:
            assert gap[name] == pytest.approx(one[name] - other[name], abs=1e-12)
        assert gap["n"] == one["n"] + other["n"]
        assert gap["groups"] == len({c.group for c in data if c.setting in (a, b)})
        assert gap["no_majority"] == one["no_majority"] + other["no_majority"]


@pytest.mark.parametrize("rare", [49, 50])
@with_few_resamples
def test_few_groups_of_macro_and_gap_rows_are_those_of_the_smallest_slice(rare: int) -> None:
    data = small(90, people=0, language="en")
    sizes = dict(zip(SETTINGS, (rare, 60, 70), strict=True))
    names = [name for name, size in sizes.items() for _ in range(size)]
    rows = (dataclasses.replace(c, setting="model_vs_model") for c in itertools.cycle(data))
    many = [
        dataclasses.replace(c, id=f"d{n}", group=f"g{n}", setting=name)
        for n, (c, name) in enumerate(zip(rows, names, strict=False))
    ]
    found = rows_of("m", Dataset("many", tuple(many)), verdicts(Dataset("many", tuple(many)), 3))
    few = {row["slice"]: row["few_groups"] for row in found if row["slice"].startswith(("macro:", "gap:"))}
    first, second, third = SETTINGS
    assert few == {
        "macro:setting": rare < 50,
        f"gap:{first}-{second}": rare < 50,
        f"gap:{first}-{third}": rare < 50,
        f"gap:{second}-{third}": False,
    }
    assert of(found, "macro:setting")["groups"] == len(many)


@with_few_resamples
def test_a_setting_in_which_all_failed_has_no_gap() -> None:
    data = small(60, seed=8)
    judged = [
        dataclasses.replace(j, verdict=None, failure="error") if c.setting == SETTINGS[0] else j
        for c, j in zip(data, verdicts(data, 9), strict=True)
    ]
    rows = rows_of("m", data, judged)
    gaps = {row["slice"]: row for row in rows if row["slice"].startswith("gap:")}
    for name, row in gaps.items():
        if SETTINGS[0] in name.removeprefix("gap:").split("-"):
            assert row["accuracy"] is row["coverage"] is row["accuracy_low"] is None
            assert "no comparison of one of the slices was judged" in row["undefined"]
        else:
            assert row["accuracy"] is not None
    assert of(rows, "macro:setting")["accuracy"] is not None


def test_intervals_of_macro_and_gap_rows_are_those_of_a_loop() -> None:
    data = small(60, seed=8)
    judged = verdicts(data, 9)
    rows = rows_of("m", data, judged)
    right = np.array([c.label == j.verdict for c, j in zip(data, judged, strict=True)])

    def loop(names: tuple[str, ...]) -> np.ndarray:
        masks = [np.array([c.setting == name for c in data]) for name in names]
        union = np.logical_or.reduce(masks)
        group = np.unique([c.group for c in data], return_inverse=True)[1]
        present, place = np.unique(group[union], return_inverse=True)
        values = []
        for block in multiplicities(present.size, 10_000):
            for times in block.T:
                weight = np.zeros(len(data))
                weight[union] = times[place]
                sizes = [weight[mask].sum() for mask in masks]
                values.append(
                    [
                        np.nan if not n else (weight * right)[mask].sum() / n
                        for mask, n in zip(masks, sizes, strict=True)
                    ]
                )
        return np.array(values)

    def check(row: Row, drawn: np.ndarray) -> None:
        expected = np.nanquantile(drawn, [0.025, 0.975])
        assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(tuple(expected), abs=1e-9)

    check(of(rows, "macro:setting"), loop(SETTINGS).mean(axis=1))
    for a, b in itertools.combinations(SETTINGS, 2):
        drawn = loop((a, b))
        check(of(rows, f"gap:{a}-{b}"), drawn[:, 0] - drawn[:, 1])


def test_one_setting_has_no_macro_average() -> None:
    data = small(20, setting="model_vs_model", language="en")
    assert not [r["slice"] for r in rows_of("m", data, verdicts(data, 1)) if r["slice"].startswith(("macro:", "gap:"))]


def scored(data: Dataset, order: str) -> list[Judgment]:
    """A response metric: its scores do not depend on what is shown first."""
    shown = ["given", "swapped"] if order == "both" else [order]
    found = []
    for c in data:
        a, b = (float(len(text.split()) % 7) for text in (c.response_a, c.response_b))
        verdict = "response_a" if a > b else "response_b" if b > a else "same"
        found += [Judgment(c.id, one, 0, a, b, verdict) for one in shown]  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("order", ["given", "swapped", "both"])
@with_few_resamples
def test_the_order_changes_nothing_for_a_response_metric(order: Any) -> None:
    data = small(50, seed=5)
    row = of(rows_of("m", data, scored(data, order), order=order, kind="response"))
    base = of(rows_of("m", data, scored(data, "given"), kind="response"))
    assert row["flip_rate"] == 0.0
    preferring = sum(j.verdict != "same" for j in scored(data, "given"))
    assert 0 < preferring < 50
    assert row["first_position_rate"] == 0.5
    assert row["accuracy_consistent"] == row["accuracy"]
    assert {k: v for k, v in row.items() if k not in ("order", "rule")} == {
        k: v for k, v in base.items() if k not in ("order", "rule")
    }


@with_few_resamples
def test_what_always_says_first_is_seen_in_both_orders() -> None:
    data = small(50, seed=5)
    given = [Judgment(c.id, "given", 0, None, None, "response_a") for c in data]
    swapped = [Judgment(c.id, "swapped", 0, None, None, "response_b") for c in data]
    both = [one for pair in zip(given, swapped, strict=True) for one in pair]
    for order, judged in (("given", given), ("swapped", swapped)):
        row = of(rows_of("m", data, judged, order=order))  # type: ignore[arg-type]
        assert (row["flip_rate"], row["first_position_rate"]) == (None, 1.0)
        assert "judged in one order" in row["undefined"]
    row = of(rows_of("m", data, both, order="both"))
    assert (row["flip_rate"], row["first_position_rate"], row["accuracy_consistent"]) == (1.0, 1.0, None)
    assert (row["tie_rate"], row["rule"]) == (1.0, "agree-or-same")
    always_a = [dataclasses.replace(j, verdict="response_a") for j in both]
    row = of(rows_of("m", data, always_a, order="both"))
    assert (row["flip_rate"], row["first_position_rate"]) == (0.0, 0.5)
    assert row["accuracy_consistent"] == np.mean([c.label == "response_a" for c in data])


@with_few_resamples
def test_always_a_through_evaluate(tmp_path: Path) -> None:
    """Its A is what is shown first, so both orders contradict each other."""
    data = small(20, people=0, setting="model_vs_model", language="en")
    row = of(list(evaluate("always-a", data, order="both", runs=tmp_path).rows))  # type: ignore[arg-type]
    assert (row["flip_rate"], row["first_position_rate"], row["accuracy_consistent"]) == (1.0, 1.0, None)
    once = of(list(evaluate("always-a", data, runs=tmp_path).rows))  # type: ignore[arg-type]
    assert (once["flip_rate"], once["first_position_rate"]) == (None, 1.0)


@with_few_resamples
def test_rules_are_decisions_over_the_same_judgments() -> None:
    data = small(40, seed=12)
    rng = random.Random(2)
    judged = []
    for c in data:
        for order in ("given", "swapped"):
            a = rng.choice([0.1, 0.3, 0.5, 0.7])
            b = rng.choice([0.05, 0.2])
            verdict = LABELS[int(np.argmax([a, b, 1 - a - b]))]
            judged.append(Judgment(c.id, order, 0, a, b, verdict))  # type: ignore[arg-type]
    rows = {rule: of(rows_of("m", data, judged, order="both", view=View(rule=rule))) for rule in RULES["both"]}
    assert rows["agree-or-same"] == of(rows_of("m", data, judged, order="both"))
    pairs = list(zip(judged[::2], judged[1::2], strict=True))
    said = {
        "agree-or-same": [g.verdict if g.verdict == s.verdict else "same" for g, s in pairs],
        "first-order": [g.verdict for g, _ in pairs],
        "mean-probabilities": [_mean(g, s) for g, s in pairs],
    }
    for rule, row in rows.items():
        assert row["rule"] == rule
        expected = np.mean([c.label == verdict for c, verdict in zip(data, said[rule], strict=True)])
        assert row["accuracy"] == pytest.approx(expected, abs=1e-12)
        assert row["flip_rate"] == pytest.approx(np.mean([g.verdict != s.verdict for g, s in pairs]), abs=1e-12)
    assert len({row["accuracy"] for row in rows.values()}) > 1
    with pytest.raises(UserError, match="first-order"):
        rows_of("m", data, judged[::2], view=View(rule="first-order"))


def _mean(given: Judgment, swapped: Judgment) -> str:
    a, b = (round(sum(side), 9) for side in zip(*[(j.score_a, j.score_b) for j in (given, swapped)], strict=True))
    shares = {"response_a": a, "response_b": b, "same": round(2 - a - b, 9)}
    best = [name for name, share in shares.items() if share == max(shares.values())]
    return best[0] if len(best) == 1 else "same"


@with_few_resamples
def test_repeats_by_brute_force(tmp_path: Path) -> None:
    data = load_dataset("sample")
    run = evaluate("random", data, repeat=3, runs=tmp_path)
    label = {c.id: c.label for c in data}
    said: dict[str, list[str | None]] = {}
    for judgment in run.judgments:
        said.setdefault(judgment.id, []).append(judgment.verdict)
    assert {len(of_one) for of_one in said.values()} == {3}
    pairs = [np.mean([x == y for x, y in itertools.combinations(of_one, 2)]) for of_one in said.values()]
    variances = [np.var([v == label[name] for v in of_one], ddof=1) for name, of_one in said.items()]
    row = of(list(run.rows))  # type: ignore[arg-type]
    assert row["n"] == len(data)
    assert row["retest_agreement"] == pytest.approx(np.mean(pairs), abs=1e-9)
    assert row["retest_agreement_low"] < row["retest_agreement"] < row["retest_agreement_high"]
    assert row["rerun_variance"] == pytest.approx(np.sum(variances) / len(data) ** 2, abs=1e-12)
    # The variance that it foretells is that of the three accuracies, within what three can say.
    accuracies = [np.mean([said[name][k] == label[name] for name in said]) for k in range(3)]
    assert np.var(accuracies, ddof=1) < 10 * row["rerun_variance"]
    once = of(list(evaluate("random", data, runs=tmp_path).rows))  # type: ignore[arg-type]
    assert once["retest_agreement"] is once["rerun_variance"] is None
    assert once["accuracy"] == pytest.approx(accuracies[0], abs=1e-12)
    assert row["accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-12)


@with_few_resamples
@with_few_resamples
def test_a_part_of_a_complete_run_is_seen_as_if_alone(tmp_path: Path) -> None:
    data = small(45, seed=14, setting="model_vs_model")
    whole = evaluate("longer", data, runs=tmp_path / "one")
    stored = (whole.path / "result.json").read_bytes()
    for more in ({"limit": 12}, {"language": "de", "by": "source_a", "alt_epsilon": 0.1}):
        seen = evaluate("longer", data, runs=tmp_path / "one", **more)  # type: ignore[arg-type]
        alone = evaluate("longer", data, runs=tmp_path / str(more), **more)  # type: ignore[arg-type]
        assert list(seen.rows) == list(alone.rows)
        assert list(seen.beside) == list(alone.beside)
        assert (whole.path / "result.json").read_bytes() == stored
        metrics = {row["metric"] for row in seen.beside}
        assert metrics == {"human", *FLOORS}
        assert {row["metric"] for row in seen.others} == metrics - {"longer"}
        floor = of(list(seen.beside), metric="longer")  # type: ignore[arg-type]
        own = of(list(seen.rows))  # type: ignore[arg-type]
        assert {**floor, "floor": False} == {**own, "floor": False}
        assert own["n"] == of(list(seen.beside), metric="random")["n"]  # type: ignore[arg-type]
    few = evaluate("longer", data, limit=12, runs=tmp_path / "one")
    chosen = data.select(limit=12)
    assert of(list(few.rows))["n"] == len(chosen) < 45  # type: ignore[arg-type]
    assert few.beside == [*people_rows(chosen), *floor_rows(chosen, data, 0)]


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "split"), [("squality", None), ("xu2023_expert", 11)])
def test_people_of_the_real_files(shared_data: Path, name: str, split: int | None) -> None:
    """Each figure against an independent implementation, from the file itself."""
    import json

    from krippendorff import alpha
    from sklearn.metrics import cohen_kappa_score
    from statsmodels.stats.inter_rater import fleiss_kappa

    path = shared_data / "preferences" / f"{name}.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    told = [[(a["annotator"], a["label"]) for a in record.get("annotations") or ()] for record in records]
    shared = [labels for labels in told if len(labels) > 1]
    row = of(people_rows(load_dataset(path)))
    assert row["n"] == len(shared)

    right = []
    for labels in shared:
        of_one = []
        for place, (_, label) in enumerate(labels):
            others = Counter(other for k, (_, other) in enumerate(labels) if k != place)
            most = [one for one, count in others.items() if count == max(others.values())]
            of_one.append((label in most) / len(most))
        right.append(np.mean(of_one))
    assert row["accuracy"] == pytest.approx(np.mean(right), abs=1e-9)
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    agreeing = [np.mean([x[1] == y[1] for x, y in itertools.combinations(labels, 2)]) for labels in shared]
    assert row["pairwise_agreement"] == pytest.approx(np.mean(agreeing), abs=1e-9)

    people = sorted({who for labels in shared for who, _ in labels})
    table = np.full((len(people), len(shared)), np.nan)
    for column, labels in enumerate(shared):
        for who, label in labels:
            table[people.index(who), column] = LABELS.index(label)
    expected = alpha(reliability_data=table, level_of_measurement="nominal")
    assert row["krippendorff_alpha"] == pytest.approx(expected, abs=1e-9)
    kappas, sizes = [], []
    for one, other in itertools.combinations(table, 2):
        both = ~np.isnan(one) & ~np.isnan(other)
        if both.sum() >= 10 and len({*one[both], *other[both]}) > 1:
            kappas.append(cohen_kappa_score(one[both].astype(int), other[both].astype(int)))
            sizes.append(both.sum())
    assert row["cohen_kappa"] == pytest.approx(np.average(kappas, weights=sizes), abs=1e-9)
    counts = np.array([[sum(label == one for _, label in labels) for one in LABELS] for labels in shared])
    if len({len(labels) for labels in shared}) == 1:
        assert row["fleiss_kappa"] == pytest.approx(fleiss_kappa(counts), abs=1e-9)
    else:
        shares = counts.sum(axis=0) / counts.sum()
        chance = float(np.sum(shares**2))
        assert row["fleiss_kappa"] == pytest.approx((np.mean(agreeing) - chance) / (1 - chance), abs=1e-9)

    without = [r for r, labels in zip(records, told, strict=True) if len(labels) > 1 and _no_majority(labels)]
    assert row["no_majority"] == len(without)
    if split is not None:
        assert len(without) == split
        assert {r["label"] for r in without} == {"same"}
        assert sum(r["label"] == "same" for r in records) == split, "every same is a split, not a tie"


def _no_majority(labels: list[tuple[str, str]]) -> bool:
    return max(Counter(label for _, label in labels).values()) * 2 <= len(labels)
