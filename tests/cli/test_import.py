"""`calf runs import`: judgments that were computed elsewhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest


def test_exported_scores_imported_again_give_the_same_numbers(calf: Any, workspace: Path) -> None:
    done = calf("evaluate", "--metric", "rouge-l", "--format", "json")
    (name,) = json.loads(done.stdout)["runs"]
    scores = workspace / "runs" / name / "scores.csv"
    imported = calf("runs", "import", scores, "--metric-name", "my rouge", "--dataset", "sample", "--format", "json")
    theirs, ours = (
        {r["slice"]: r for r in json.loads(text.stdout)["rows"] if r["metric"] == metric}
        for text, metric in ((done, "rouge-l"), (imported, "my rouge"))
    )
    assert set(theirs) == set(ours)
    by_order = ("flip_rate", "accuracy_consistent", "first_position_rate", "undefined")  # a metric is not known to flip
    for slice_, row in theirs.items():
        same = {key: value for key, value in row.items() if not key.startswith(by_order)}
        assert {**same, "metric": "my rouge"} == {key: ours[slice_][key] for key in same}
        assert ours[slice_]["flip_rate"] is None
    (run,) = json.loads(imported.stdout)["runs"]
    assert calf("runs", "show", run, "--format", "json").stdout == imported.stdout
    assert "my rouge" in calf("leaderboard", "--output", "-").stdout


def test_verdicts_as_jsonl_and_missing_comparisons(calf: Any, workspace: Path) -> None:
    import calf as library

    data = library.load_dataset("sample")
    file = workspace / "said.jsonl"
    file.write_text("".join(json.dumps({"id": c.id, "verdict": c.label}) + "\n" for c in data.comparisons[:190]))
    done = calf("runs", "import", file, "--metric-name", "oracle", "--format", "json", check=1)
    assert "2 missing" in done.stderr
    (row,) = [r for r in json.loads(done.stdout)["rows"] if r["metric"] == "oracle" and r["slice"] == "overall"]
    assert row["accuracy"] == pytest.approx(190 / 192)
    assert row["accuracy_failed_right"] == 1
    assert row["coverage"] == pytest.approx(190 / 192)


def test_both_orders_are_reconciled(calf: Any, workspace: Path) -> None:
    import calf as library

    file = workspace / "said.csv"
    with file.open("w", newline="", encoding="utf-8-sig") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "order", "verdict"])
        for c in library.load_dataset("sample"):
            writer.writerow([c.id, "given", "response_a"])
            writer.writerow([c.id, "swapped", "response_b"])
    done = calf("runs", "import", file, "--metric-name", "first", "--format", "json")
    (row,) = [r for r in json.loads(done.stdout)["rows"] if r["metric"] == "first" and r["slice"] == "overall"]
    assert row["tie_rate"] == 1


def test_one_order_each_drawn_by_chance_is_no_failure(calf: Any, workspace: Path) -> None:
    import calf as library

    file = workspace / "said.jsonl"
    data = library.load_dataset("sample").comparisons
    lines = [{"id": c.id, "verdict": c.label, "order": ("given", "swapped")[n % 3 == 0]} for n, c in enumerate(data)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = calf("runs", "import", file, "--metric-name", "oracle", "--format", "json")
    (row,) = [r for r in json.loads(done.stdout)["rows"] if r["metric"] == "oracle" and r["slice"] == "overall"]
    assert (row["accuracy"], row["coverage"], row["rule"]) == (1, 1, "as-judged")


def test_an_import_cannot_be_called_like_the_rows_of_people(calf: Any, workspace: Path) -> None:
    (workspace / "said.csv").write_text("id,verdict\na,same\n")
    done = calf("runs", "import", "said.csv", "--metric-name", "human", check=2)
    assert "this is the name of people's own rows" in done.stderr


def test_an_import_called_like_a_floor_hides_none(calf: Any, workspace: Path) -> None:
    import calf as library

    file = workspace / "said.jsonl"
    lines = [{"id": c.id, "verdict": c.label} for c in library.load_dataset("sample")]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = calf("runs", "import", file, "--metric-name", "longer", "--format", "json")
    rows = [r for r in json.loads(done.stdout)["rows"] if r["metric"] == "longer" and r["slice"] == "overall"]
    assert [(row["floor"], row["accuracy"] == 1) for row in rows] == [(False, True), (True, False)]
    names = [line.split(" | ")[0] for line in calf("leaderboard", "--output", "-").stdout.splitlines()]
    assert names.count("| longer") == 3, "in both tables, and in how it was made"
    assert names.count("| *longer* (floor)") == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id,verdict\nnobody,same\n", "a.csv:2: comparison 'nobody' is not in dataset 'sample'"),
        ("a.csv", "id,verdict\n{id},better\n", "a.csv:2: verdict 'better' must be one of"),
        ("a.csv", "id,verdict\n{id},same\n{id},same\n", "a.csv:3: comparison"),
        ("a.csv", "id,score_a,score_b\n{id},1,nan\n", "a.csv:2: score_b 'nan'"),
        ("a.csv", "id,score_a,score_b\n{id},1,\n", "must both be there"),
        ("a.csv", "id,score_a,score_b\n{id},1\n", "a.csv:2: must have 3 columns"),
        ("a.csv", "name,verdict\nx,same\n", "a.csv:1: the first line must name the columns"),
        ("a.csv", "id,verdict,mood\n{id},same,bad\n", "unknown column 'mood'"),
        ("a.csv", "id,verdict,score_a,score_b\n{id},response_a,0,1\n", "a.csv:2: verdict response_a contradicts"),
        ("a.csv", "id,verdict,verdict\n{id},same,response_a\n", "a.csv:1: two columns are named 'verdict'"),
        ("a.csv", "id,score_a,score_b\n{id},1e308,-1e308\n", "a.csv:2: score_a '1e308'"),
        ("a.jsonl", '{{"id": "{id}", "verdict": "same", "verdict": "response_a"}}\n', "a.jsonl:1"),
        ("a.csv", "id,verdict\n", "holds no judgments"),
        ("a.csv", "", "a.csv:1"),
        ("a.jsonl", '{{"id": "{id}"\n', "a.jsonl:1: not a JSON object"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", '{{"verdict": "same"}}\n', "a.jsonl:1: the id is missing"),
        ("a.jsonl", '{{"id": "{id}", "verdict": "same", "order": "odd"}}\n', "order 'odd'"),
        ("a.txt", "x", "must end in .csv or .jsonl"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(
    calf: Any, workspace: Path, name: str, text: str, message: str
) -> None:
    import calf as library

    first = library.load_dataset("sample").comparisons[0].id
    (workspace / name).write_text(text.format(id=first))
    done = calf("runs", "import", name, "--metric-name", "x", check=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((workspace / "runs").glob("*/manifest.json"))


def test_no_file_no_name_no_utf8(calf: Any, workspace: Path) -> None:
    assert "no such file" in calf("runs", "import", "nothing.csv", "--metric-name", "x", check=2).stderr
    (workspace / "a.csv").write_bytes(b"id,verdict\n\xff\xfe,same\n")
    assert "a.csv:2: not UTF-8" in calf("runs", "import", "a.csv", "--metric-name", "x", check=2).stderr
    assert "--metric-name" in calf("runs", "import", "a.csv", "--metric-name", " ", check=2).stderr
