"""`calf compare` and `calf power`, on real runs on the bundled sample."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import calf as library
from calf.runs.run import open_run

KEYS = ["dataset", "fingerprint", "notes", "runs", "pairs", "ranks", "agreement", "ensembles", "hardest", "people",
        "costs", "turns"]  # fmt: skip
PAIR_KEYS = """a b slice n groups difference low high p_permutation p_adjusted p_mcnemar few_groups undefined""".split()
FIGURES = PAIR_KEYS[5:11]

METRICS = '''
from calf import Failure


class First:
    """Always the response that is shown first."""

    needs_reference = False

    def judge(self, items):
        return ["response_a" for _ in items]


class Moody:
    """Fails now and then, in other repeats elsewhere; else prefers another response in each repeat."""

    needs_reference = False

    def judge(self, items):
        for item in items:
            mood = (len(item.response_a) + item.repeat) % 4
            yield Failure("refused", "no") if mood == 3 else ("response_a", "response_b", "same")[mood]
'''

Compare = Callable[..., dict[str, Any]]
Rights = dict[str, bool]


pytestmark = pytest.mark.usefixtures("one_floor")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, not to be changed."""
    folder = tmp_path_factory.mktemp("compared")
    mine = folder / "mine.py"
    mine.write_text(METRICS)
    for metric, choices in (
        ("rouge-l", {}),
        ("longer", {}),
        ("always-a", {}),
        ("always-model", {}),
        ("token-f1", {"limit": 60}),
        (f"{mine}:First", {"order": "both"}),
        (f"{mine}:Moody", {"repeat": 3}),
    ):
        library.evaluate(metric, runs=folder / "runs", **choices)  # type: ignore[arg-type]  # a union of values
    return folder / "runs"


@pytest.fixture
def compare(calf: Any, runs: Path) -> Compare:
    def compared(*words: object, folder: Path = runs) -> dict[str, Any]:
        done = calf("compare", "--format", "json", "--runs", folder, *words)
        return json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} in the output"))  # type: ignore[no-any-return]

    return compared


def id_of(runs: Path, metric: str) -> str:
    (path,) = runs.glob(f"{metric}--sample--*")
    return path.name


def only(rows: list[dict[str, Any]], **values: object) -> dict[str, Any]:
    (found,) = [row for row in rows if all(row[key] == value for key, value in values.items())]
    return found


def rights_of(runs: Path, run: str) -> Rights:
    """Whether a run in one order is right, of the comparisons that it judged."""
    labels = {c.id: c.label for c in library.load_dataset("sample")}
    with (runs / run / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {line["id"]: line["verdict"] == labels[line["id"]] for line in csv.DictReader(file) if line["verdict"]}


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def copied(runs: Path, target: Path, *metrics: str) -> Path:
    for metric in metrics:
        name = id_of(runs, metric)
        shutil.copytree(runs / name, target / name)
    return target


def test_json_has_its_keys_and_the_accuracies_of_the_scores(compare: Compare, runs: Path, workspace: Path) -> None:
    before = everything(runs.parent), everything(workspace)
    ids = [id_of(runs, metric) for metric in ("rouge-l", "longer", "always-a")]
    found = compare(*ids)
    assert (everything(runs.parent), everything(workspace)) == before, "nothing is written"
    assert list(found) == KEYS
    data = library.load_dataset("sample")
    assert (found["dataset"], found["fingerprint"]) == ("sample", data.fingerprint)
    assert found["notes"] == list(data.notes)
    assert [run["run"] for run in found["runs"]] == ids
    assert [run["metric"] for run in found["runs"]] == ["rouge-l", "longer", "always-a"]
    for pair in found["pairs"]:
        assert list(pair) == PAIR_KEYS
        assert pair["undefined"] == ""
        assert pair["low"] <= pair["difference"] <= pair["high"]
        assert 0 < pair["p_permutation"] <= pair["p_adjusted"] <= 1
        assert pair["few_groups"], "the sample has 32 groups"
    for name in ("overall", "setting=human_vs_model", "language=zh"):
        column, _, value = name.partition("=")
        kept = {c.id for c in data if not value or getattr(c, column) == value}
        shares = {}
        for run in ids:
            right = [is_right for key, is_right in rights_of(runs, run).items() if key in kept]
            shares[run] = sum(right) / len(right)
            assert only(found["ranks"], run=run, slice=name)["accuracy"] == pytest.approx(shares[run], abs=1e-12)
        for a, b in itertools.combinations(ids, 2):
            pair = only(found["pairs"], a=a, b=b, slice=name)
            assert pair["difference"] == pytest.approx(shares[a] - shares[b], abs=1e-12)
            assert pair["n"] == len(kept)


def test_csv_holds_the_pairs(calf: Any, compare: Compare, runs: Path) -> None:
    rows = list(
        csv.DictReader(io.StringIO(calf("compare", "rouge-l", "longer", "--runs", runs, "--format=csv").stdout))
    )
    pairs = compare("rouge-l", "longer")["pairs"]
    assert list(rows[0]) == PAIR_KEYS
    assert [(row["slice"], float(row["p_adjusted"])) for row in rows] == [(p["slice"], p["p_adjusted"]) for p in pairs]


@pytest.mark.parametrize("metric", ["rouge-l", "always-model", "First", "Moody"])
def test_accuracies_and_intervals_are_those_of_evaluate(compare: Compare, runs: Path, metric: str) -> None:
    """Failed judgments, both orders and repeats included."""
    folder = runs / id_of(runs, "*First" if metric == "First" else "*Moody" if metric == "Moody" else metric)
    stored = {row["slice"]: row for row in json.loads((folder / "result.json").read_text())["rows"]}
    found = compare(folder.name, "longer")
    rows = [row for row in found["ranks"] if row["run"] == folder.name]
    assert {row["slice"] for row in rows} >= {"overall", "setting=human_vs_human", "length=long", "subject=law"}
    for row in rows:
        for key in ("n", "groups", "few_groups", "coverage", "accuracy", "accuracy_low", "accuracy_high"):
            assert row[key] == pytest.approx(stored[row["slice"]][key], abs=1e-12), (row["slice"], key)


def by_brute_force(rights: list[Rights], groups: dict[str, str]) -> list[dict[str, Any]]:
    """The pairs' figures from their definitions: all sign flips, step-down max-T in its textbook form."""
    places = sorted({groups[name] for right in rights for name in right})
    pairs: list[dict[str, Any]] = []
    sums = []
    for first, second in itertools.combinations(rights, 2):
        common = [name for name in first if name in second]
        of_group = [sum(first[n] - second[n] for n in common if groups[n] == place) for place in places]
        wins = sum(first[n] > second[n] for n in common)
        losses = sum(first[n] < second[n] for n in common)
        tail = sum(math.comb(wins + losses, k) for k in range(min(wins, losses) + 1)) / 2 ** (wins + losses)
        sums.append(of_group)
        pairs.append(
            {
                "n": len(common),
                "groups": len({groups[name] for name in common}),
                "difference": sum(of_group) / len(common),
                "p_mcnemar": min(1.0, 2 * tail),
            }
        )
    flips = list(itertools.product((1, -1), repeat=len(places)))
    sizes = [[abs(sum(s * d for s, d in zip(flip, of_group, strict=True))) for flip in flips] for of_group in sums]
    scales = [math.sqrt(sum(d * d for d in of_group)) for of_group in sums]
    tests = [[size / scale for size in row] for row, scale in zip(sizes, scales, strict=True)]
    order = sorted(range(len(pairs)), key=lambda pair: -tests[pair][0])
    above = 0.0
    for step, pair in enumerate(order):
        pairs[pair]["p_permutation"] = sum(size >= sizes[pair][0] for size in sizes[pair]) / len(flips)
        largest = [max(tests[other][flip] for other in order[step:]) for flip in range(len(flips))]
        above = max(above, sum(value >= tests[pair][0] * (1 - 1e-12) for value in largest) / len(flips))
        pairs[pair]["p_adjusted"] = above
    return pairs


def test_pairs_equal_a_brute_force_computation(compare: Compare, runs: Path, tmp_path: Path) -> None:
    """On a part of few groups, so that all flips can be made; one run judges only some of it."""
    names = ("longer", "rouge-1", "random", "always-model")
    made = [library.evaluate(name, runs=tmp_path / "few", limit=60) for name in names]
    groups = {c.id: c.group for c in library.load_dataset("sample")}
    rights = [rights_of(tmp_path / "few", run.id) for run in made]
    assert len({groups[name] for right in rights for name in right}) <= 13
    assert len(rights[3]) < len(rights[0])
    found = compare(*(run.id for run in made), folder=tmp_path / "few")
    overall = [pair for pair in found["pairs"] if pair["slice"] == "overall"]
    expected = by_brute_force(rights, groups)
    assert [{key: pair[key] for key in expected[0]} for pair in overall] == [
        pytest.approx(e, abs=1e-12) for e in expected
    ]
    rows = [row for row in found["ranks"] if row["slice"] == "overall"]
    ranked = {row["run"] for row in rows if row["coverage"] >= 0.95}
    assert len(ranked) == len(rows) - 1
    for row in rows:
        better = [p for p in overall if p["p_adjusted"] <= 0.05 and {p["a"], p["b"]} <= ranked and _winner(p)]
        lost = [p for p in better if row["run"] in (p["a"], p["b"]) and _winner(p) != row["run"]]
        assert row["rank"] == (1 + len(lost) if row["run"] in ranked else None)


def _winner(pair: dict[str, Any]) -> str | None:
    return None if pair["difference"] == 0 else pair["a"] if pair["difference"] > 0 else pair["b"]


def test_runs_are_turned_with_their_order(compare: Compare) -> None:
    one = compare("longer", "rouge-l")
    other = compare("rouge-l", "longer")
    for first, second in zip(one["pairs"], other["pairs"], strict=True):
        assert (first["a"], first["b"]) == (second["b"], second["a"])
        assert first["difference"] == -second["difference"]
        assert (first["low"], first["high"]) == pytest.approx((-second["high"], -second["low"]), abs=1e-12)
        assert [first[key] for key in FIGURES[3:]] == [second[key] for key in FIGURES[3:]]
    assert one["hardest"] == other["hardest"]
    assert one["agreement"][0]["kappa"] == other["agreement"][0]["kappa"]


def test_failed_judgments_and_parts_shrink_the_common_part(calf: Any, compare: Compare, runs: Path) -> None:
    names = ("longer", "always-model", "token-f1")
    found = compare(*names)
    rights = {name: rights_of(runs, id_of(runs, name)) for name in names}
    assert [run["covered"] for run in found["runs"]] == [192, 192, 60]
    assert [run["judged"] for run in found["runs"]] == [len(right) for right in rights.values()] == [192, 128, 60]
    for a, b in itertools.combinations(names, 2):
        pair = only(found["pairs"], a=id_of(runs, a), b=id_of(runs, b), slice="overall")
        assert pair["n"] == len(rights[a].keys() & rights[b].keys())
        assert only(found["agreement"], a=pair["a"], b=pair["b"])["n"] == pair["n"]
    part = only(found["ranks"], metric="token-f1", slice="overall")
    assert (part["n"], part["coverage"]) == (60, 1)
    assert part["accuracy"] == pytest.approx(sum(rights["token-f1"].values()) / 60)
    nothing = only(
        found["pairs"], a=id_of(runs, "longer"), b=id_of(runs, "always-model"), slice="setting=human_vs_human"
    )
    assert nothing["n"] == nothing["groups"] == 0
    assert [nothing[key] for key in FIGURES] == [None] * 6
    assert "no comparison that both judged" in nothing["undefined"]
    assert only(found["ranks"], metric="always-model", slice="setting=human_vs_human")["rank"] is None
    overall = only(found["ranks"], metric="always-model", slice="overall")
    assert (overall["rank"], overall["coverage"]) == (None, pytest.approx(128 / 192)), (
        "it judged the part that it could"
    )
    assert only(found["ranks"], metric="always-model", slice="setting=human_vs_model")["rank"] is not None
    table = calf("compare", *names, "--runs", runs).stdout
    assert "60 comparisons are covered by all runs, of up to 192" in table
    smallest = min(pair["n"] for pair in found["pairs"] if pair["slice"] == "overall")
    assert f"Each pair is compared on what both judged: {smallest} to 128 comparisons." in table


def test_together(compare: Compare, runs: Path) -> None:
    names = ("longer", "rouge-l", "always-a")
    found = compare(*names)
    rights = [rights_of(runs, id_of(runs, name)) for name in names]
    best = only(found["ensembles"], ensemble="oracle", slice="overall")
    assert best["accuracy"] == pytest.approx(sum(map(any, zip(*(r.values() for r in rights), strict=True))) / 192)
    vote = only(found["ensembles"], ensemble="majority-vote", slice="overall")
    assert vote["accuracy_low"] < vote["accuracy"] < vote["accuracy_high"] < best["accuracy_high"]
    assert found["hardest"]
    for line in found["hardest"]:
        assert line["wrong"] == sum(not right[line["id"]] for right in rights) >= 2
        assert line["judged"] == 3
    wrong = [line["wrong"] for line in found["hardest"]]
    assert wrong == sorted(wrong, reverse=True)
    assert len(wrong) <= 20


def test_a_rule_reconciles_both_orders(calf: Any, compare: Compare, runs: Path) -> None:
    first = id_of(runs, "*First")
    found = compare(first, "always-a")
    assert found["runs"][0]["rule"] == "agree-or-same"
    labels = [c.label for c in library.load_dataset("sample")]
    pair = only(found["pairs"], slice="overall")
    assert pair["difference"] == pytest.approx((labels.count("same") - labels.count("response_a")) / len(labels))
    found = compare(first, "always-a", "--rule", "first-order")
    assert [run["rule"] for run in found["runs"]] == ["first-order", "given"]
    pair = only(found["pairs"], slice="overall")
    assert (pair["difference"], pair["p_permutation"], pair["p_adjusted"]) == (0, 1, 1)
    assert "first-order" in calf("compare", first, "always-a", "--rule", "first-order", "--runs", runs).stdout
    done = calf("compare", "longer", "always-a", "--rule", "first-order", "--runs", runs, check=2)
    assert "the rule 'first-order' is for runs in both orders" in done.stderr


def test_repeats_count_by_their_share(compare: Compare, runs: Path) -> None:
    run = id_of(runs, "*Moody")
    labels = {c.id: c.label for c in library.load_dataset("sample")}
    shares: dict[str, list[bool]] = {name: [] for name in labels}
    with (runs / run / "scores.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["verdict"]:
                shares[line["id"]].append(line["verdict"] == labels[line["id"]])
    assert {len(share) for share in shares.values()} == {2, 3}, "some repeats failed, never all of a comparison"
    pair = only(compare(run, "always-a")["pairs"], slice="overall")
    accuracy = sum(label == "response_a" for label in labels.values()) / 192
    expected = sum(sum(share) / len(share) for share in shares.values()) / 192 - accuracy
    assert pair["difference"] == pytest.approx(expected, abs=1e-9)
    assert pair["p_mcnemar"] is None
    assert "p_mcnemar: right is a share" in pair["undefined"]


def test_names_and_the_choice_of_runs(calf: Any, compare: Compare, runs: Path) -> None:
    by_name = compare("longer", "always-a")
    assert by_name == compare(id_of(runs, "longer")[:-3], id_of(runs, "always-a"))
    assert by_name == compare("longer", "always-a", "--dataset", "sample")
    done = calf("compare", "-d", "sample", "--runs", runs, "--format", "json")
    complete = {path.name for path in runs.glob("*--sample--*")} - {id_of(runs, "token-f1")}
    assert {run["run"] for run in json.loads(done.stdout)["runs"]} == complete
    assert f"left out, since they cover only a part: {id_of(runs, 'token-f1')}" in done.stderr


def test_mistakes_are_one_clear_line(calf: Any, runs: Path, tmp_path: Path) -> None:
    folder = copied(runs, tmp_path / "copy", "rouge-l", "longer", "always-a", "*First")

    def problem(*words: object) -> str:
        done = calf("compare", "--runs", folder, *words, check=2)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return str(done.stderr)

    assert "name two runs or more, or a dataset" in problem()
    assert "two runs or more are needed, and there is only longer--sample--" in problem("longer")
    assert "is named twice" in problem("longer", id_of(runs, "longer"))
    assert "unknown run 'longest'; did you mean 'longer'" in problem("longest", "rouge-l")
    assert "unknown run ''" in problem("longer", "")
    assert "nothing.jsonl" in problem("--dataset", "nothing.jsonl")
    assert "has no column 'nothing' for --by" in problem("longer", "rouge-l", "--by", "nothing")
    assert "--map is for --dataset" in problem("longer", "rouge-l", "--map", "question=q")
    (folder / id_of(runs, "longer") / "scores.csv").unlink()
    assert "has no scores here; make them with: calf evaluate --metric longer" in problem("longer", "rouge-l")
    (folder / id_of(runs, "rouge-l") / "result.json").unlink()
    assert "has no result yet; continue it with: calf evaluate" in problem("rouge-l", "always-a")
    scores = folder / id_of(runs, "always-a") / "scores.csv"
    text = scores.read_text()
    first = id_of(runs, "*First")
    scores.write_text("".join(text.splitlines(keepends=True)[:10]))
    assert "holds 9 of the 192 comparisons that the run has judged" in problem("always-a", first)
    scores.write_text("".join(text.splitlines(keepends=True)[:-1]) + "elsewhere,given,,,same,\n")
    assert "'elsewhere' is not in the dataset" in problem("always-a", first)
    scores.write_text(text)
    scores = folder / first / "scores.csv"
    scores.write_text("".join(scores.read_text().splitlines(keepends=True)[:-1]))
    assert "order swapped is not judged" in problem("always-a", first)
    (folder / id_of(runs, "longer") / "manifest.json").write_text("{")
    assert "manifest.json" in problem("--dataset", "sample")


def test_several_runs_of_a_metric_and_several_datasets(calf: Any, compare: Compare, runs: Path, tmp_path: Path) -> None:
    folder = copied(runs, tmp_path / "copy", "longer", "always-a")
    other = library.load_dataset("sample").select(languages=["zh"])
    few = library.Dataset("few", other.comparisons)
    for metric in ("longer", "always-b"):
        library.evaluate(metric, few, runs=folder)
    done = calf("compare", "longer", "always-a", "--runs", folder, check=2)
    assert "is the metric of several runs: longer--few--" in done.stderr
    assert "name the dataset with --dataset" in done.stderr
    assert len(compare("longer", "always-a", "-d", "sample", folder=folder)["runs"]) == 2
    done = calf("compare", "always-a", "always-b", "--runs", folder, check=2)
    assert done.stderr.count("\n") == 1
    assert "are on different datasets (sample and few" in done.stderr
    assert (
        "no such run on dataset 'sample'"
        in calf("compare", "longer", "always-b", "-d", "sample", "--runs", folder, check=2).stderr
    )
    done = calf("compare", "longer--few", "always-b", "--runs", folder, check=2)
    assert "unknown dataset 'few'" in done.stderr
    assert "say where the runs' dataset is now with --dataset" in done.stderr
    found = library.compare(["longer", "always-b"], few, folder=folder)
    assert {run["run"].split("--")[1] for run in found.runs} == {"few"}
    library.evaluate("longer", runs=folder, order="swapped", limit=6)
    done = calf("compare", "longer", "always-a", "-d", "sample", "--runs", folder, check=2)
    assert "is the metric of several runs" in done.stderr
    assert "name the run by its id" in done.stderr


def test_a_moved_file_with_a_mapping(calf: Any, compare: Compare, workspace: Path) -> None:
    table = workspace / "mine.csv"
    lines = [f"{n},q{n // 2},{'long ' * (n % 5 + 1)},{'short ' * (n % 3 + 1)},{'ab0'[n % 3]}" for n in range(24)]
    table.write_text("key,asked,left,right,better\n" + "\n".join(lines) + "\n")
    mapping = """id=key question=asked response_a=left response_b=right label=better language=:en
        setting=:model_vs_model label:a=response_a label:b=response_b label:0=same""".split()
    words = [word for pair in mapping for word in ("--map", pair)]
    calf("evaluate", "--metric=longer", "--metric=always-a", "--dataset", "mine.csv", *words)
    folder = workspace / "runs"
    before = compare("always-a", "longer", folder=folder)
    assert before["pairs"][0]["n"] == 24
    (workspace / "elsewhere").mkdir()
    table.rename(workspace / "elsewhere/yours.csv")
    done = calf("compare", "longer", "always-a", check=2)
    assert "mine.csv" in done.stderr
    assert "with --dataset" in done.stderr
    moved = compare("always-a", "longer", "--dataset", "elsewhere/yours.csv", folder=folder)
    assert moved["pairs"] == before["pairs"]
    assert compare("--dataset", "elsewhere/yours.csv", *words, folder=folder)["ranks"] == before["ranks"]
    changed = workspace / "elsewhere/yours.csv"
    changed.write_text(changed.read_text().replace("q1,", "q111,"))
    done = calf("compare", "longer", "always-a", "--dataset", "elsewhere/yours.csv", *words, check=2)
    assert "no such run on dataset 'yours' as it is now" in done.stderr


def test_the_table(calf: Any, compare: Compare, runs: Path) -> None:
    few = calf("compare", "rouge-l", "longer", "always-model", "--runs", runs, "--by", "source_b").stdout
    many = calf("compare", "-d", "sample", "--runs", runs).stdout
    for table in (few, many):
        assert max(map(len, table.splitlines())) <= 100
        assert "no evidence about any metric" in table
        assert "fewer than 50 groups, so that intervals are too short: overall, setting=human_vs_human" in table
        assert "together, on 192 comparisons: majority vote" in table
        assert "hardest comparisons" in table
        assert "longer °" in table
    assert "rank by source_b" in few
    found = compare("-d", "sample")
    overall = [pair for pair in found["pairs"] if pair["slice"] == "overall"]
    told = sum(pair["p_adjusted"] <= 0.05 for pair in overall)
    body = many.partition("difference")[2].partition("other pairs")[0]
    left_out = int(body.split()[-1])
    shown = sum("[" in line and "]" in line for line in body.splitlines())
    assert shown + left_out == len(overall) == 15
    assert body.count("*") == told
    assert shown >= max(told, 5)


def test_power(calf: Any, runs: Path) -> None:
    words = ("power", "longer", "rouge-l", "token-f1", "--runs", runs)
    plan = json.loads(calf(*words, "--difference", 0.1, "--format", "json").stdout)
    assert list(plan) == ["dataset", "fingerprint", "notes", "difference", "wanted_power", "alpha", "runs", "pairs"]
    assert (plan["difference"], plan["wanted_power"], plan["alpha"]) == (0.1, 0.8, 0.05)
    assert [pair["n"] for pair in plan["pairs"]] == [192, 60, 60]
    rights = [rights_of(runs, id_of(runs, name)) for name in ("longer", "rouge-l")]
    observed = sum(rights[0].values()) / 192 - sum(rights[1].values()) / 192
    pair = plan["pairs"][0]
    assert pair["observed"] == pytest.approx(observed, abs=1e-9)
    assert pair["few_groups"]
    found = 2.8015852 * pair["standard_error"]
    assert pair["smallest_difference"] == pytest.approx(found, rel=1e-6)
    assert pair["groups_needed"] == math.ceil(32 * (found / 0.1) ** 2)
    assert pair["comparisons_needed"] == math.ceil(pair["groups_needed"] * 192 / 32)
    again = json.loads(calf(*words, "--difference", found, "--format", "json").stdout)
    assert again["pairs"][0]["power"] == pytest.approx(0.8, abs=1e-6)
    table = calf(*words).stdout
    assert max(map(len, table.splitlines())) <= 100
    assert "with power 0.8 at level 0.05" in table
    assert "fewer than 50 groups: the formulas promise too much" in table


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--power", 1), "must be between 0 and 1"),
        (("--power", 0.01), "power above alpha"),
        (("--alpha", 0), "must be between 0 and 1"),
        (("--alpha", "nan"), "must be between 0 and 1"),
        (("--difference", 0), "must be a share from"),
        (("--difference", 1.5), "must be a share from"),
        (("--difference", "nan"), "must be a share from"),
        (("always-b",), "unknown run 'always-b'"),
    ],
)
def test_mistakes_of_plans(calf: Any, runs: Path, words: tuple[object, ...], problem: str) -> None:
    assert problem in calf("power", "longer", "rouge-l", *words, "--runs", runs, check=2).stderr


def test_from_python(runs: Path) -> None:
    found = library.compare(["longer", "rouge-l"], folder=runs, by="source_b")
    assert isinstance(found, library.Differences)
    assert any(row["slice"].startswith("source_b=") for row in found.pairs)
    opened = [open_run(runs / id_of(runs, name)) for name in ("longer", "rouge-l")]
    assert library.compare(opened, by=["source_b"]) == found, "runs as they are, wherever they are"
    with pytest.raises(library.UserError, match="two runs or more"):
        library.compare("longer", folder=runs)


@pytest.mark.parametrize("command", ["compare", "power"])
def test_help_imports_nothing_heavy(command: str) -> None:
    code = (
        f"import sys\nfrom calf.cli import main\nsys.argv = ['calf', '{command}', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "print('HEAVY', sorted({'torch', 'scipy', 'datasets', 'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_people_stand_beside_the_runs(calf: Any, workspace: Path) -> None:
    rows = []
    for number in range(12):
        labels = ("response_a", "response_a" if number % 3 else "response_b")
        said = [{"annotator": f"p{place}", "label": label} for place, label in enumerate(labels)]
        texts = {
            "response_a": "a " * (number + 2),
            "response_b": "b c",
            "setting": "model_vs_model",
            "label": "response_a",
        }
        rows.append({"id": f"c{number}", "question": f"q{number}", "reference": "a b c", **texts, "annotations": said})
    (workspace / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    calf("evaluate", "-m", "longer", "-m", "shorter", "-d", "d.jsonl")
    found = json.loads(calf("compare", "-d", "d.jsonl", "--format", "json").stdout)
    (overall,) = [row for row in found["people"] if row["slice"] == "overall"]
    assert (overall["metric"], overall["n"], overall["accuracy"]) == ("human", 12, pytest.approx(8 / 12))
    table = calf("compare", "-d", "d.jsonl").stdout
    assert re.search(r"human +0\.667 \[\S+, \S+\] +12 +12", table), table
    calf("evaluate", "-m", "longer", "-m", "shorter", "-d", "sample")
    assert json.loads(calf("compare", "-d", "sample", "--format", "json").stdout)["people"] == []
