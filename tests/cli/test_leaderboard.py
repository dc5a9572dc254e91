"""`calf leaderboard`: made from text-free files, without the dataset."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import calf as library


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, not to be changed."""
    folder = tmp_path_factory.mktemp("ranked") / "runs"
    for metric in ("rouge-l", "rouge-l[measure=recall]", "longer"):
        library.evaluate(metric, runs=folder)
    library.evaluate("rouge-1", limit=30, runs=folder)
    return folder


@pytest.fixture
def runs(workspace: Path, made: Path) -> Path:
    """These runs, in a workspace of the test's own."""
    shutil.copytree(made, workspace / "runs")
    return workspace / "runs"


def test_markdown_has_everything(calf: Any, workspace: Path, runs: Path) -> None:
    done = calf("leaderboard")
    assert "leaderboard.md" in done.stderr
    text = (workspace / "leaderboard.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert "## sample" in lines
    assert any("no evidence about any metric" in line for line in lines)
    table = [line for line in lines if line.startswith("| ")]
    assert "human vs human" in table[0]
    names = [line.split(" | ")[0].removeprefix("| ") for line in table]
    assert {"rouge-l", "rouge-l[measure=recall]", "*always-a* (floor)"} <= set(names)
    assert names.count("*longer* (floor)") == 3, "a floor that was run is marked: a row, what is behind it, a command"
    assert "rouge-1" not in names
    assert "cover only a part" in text
    assert "`calf evaluate --metric rouge-l --dataset sample`" in text
    assert "GPT-4o" in text.partition("## Published figures")[2]
    assert "GPT-4o" not in text.partition("## Published figures")[0]
    blocks = [list(block) for begins, block in itertools.groupby(lines, lambda line: line.startswith("| ")) if begins]
    assert len(blocks) == 4, "accuracies, what is behind them, commands, published figures"
    assert all(len({line.count(" | ") for line in block}) == 1 for block in blocks)
    assert {"rank", "acc_eq", "length-balanced"} <= {cell for block in blocks[:2] for cell in block[0].split(" | ")}


def test_accuracies_and_order_are_those_of_the_runs(calf: Any, runs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(calf("leaderboard", "--format", "csv").stdout)))
    overall = [row for row in rows if row["slice"] == "overall"]
    shares = [float(row["accuracy"]) for row in overall]
    assert shares == sorted(shares, reverse=True)
    shown = calf("evaluate", "--metric", "rouge-l", "--format", "json")
    (ours,) = [r for r in json.loads(shown.stdout)["rows"] if r["metric"] == "rouge-l" and r["slice"] == "overall"]
    (theirs,) = [row for row in overall if row["metric"] == "rouge-l"]
    assert float(theirs["accuracy_low"]) == ours["accuracy_low"]
    assert theirs["signature"].startswith("rouge-l|")


def test_the_committed_files_are_enough(calf: Any, workspace: Path, runs: Path) -> None:
    before = calf("leaderboard", "--output", "-").stdout
    kept = workspace / "kept"
    for path in runs.rglob("*"):
        if path.name in {"manifest.json", "result.json", "timing.json"} or path.parent.name in {"floors", "ranks"}:
            target = kept / path.relative_to(runs)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    assert calf("leaderboard", "--runs", kept, "--output", "-").stdout == before


def test_no_text_of_the_data_is_in_these_files(calf: Any, runs: Path) -> None:
    data = library.load_dataset("sample")
    needles = {text[:25] for c in data for text in (c.question, c.reference or "", c.response_a, c.response_b) if text}
    for path in runs.rglob("*"):
        if path.suffix == ".json" or path.name == "scores.csv":
            text = path.read_text(encoding="utf-8")
            assert not [needle for needle in needles if needle in text], path


def test_latex_and_json(calf: Any, runs: Path) -> None:
    latex = calf("leaderboard", "--format", "latex").stdout
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    assert r"\emph{always-a} (floor)" in latex
    body = latex.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    assert len({line.count("&") for line in body.strip().splitlines()}) == 1
    table = json.loads(calf("leaderboard", "--format", "json").stdout)
    assert {"dataset", "metric", "accuracy"} <= set(table["published"][0])
    assert {"run", "seconds", "command", "signature"} <= set(table["rows"][0])


def test_mistakes(calf: Any, workspace: Path, runs: Path) -> None:
    assert "no complete run on dataset 'nothing'" in calf("leaderboard", "-d", "nothing", check=2).stderr
    assert "no complete run" in calf("leaderboard", "--runs", "empty", check=2).stderr
    assert "cannot write" in calf("leaderboard", "--output", "mine.py/x.md", check=2).stderr
    (name,) = [p.name for p in runs.iterdir() if p.name.startswith("rouge-l--")]
    (runs / name / "result.json").write_text("{")
    assert "result.json" in calf("leaderboard", check=2).stderr


QUESTIONS = [
    {"name": f"c{n}", "ask": f"question {n}", "one": "word " * (n % 7), "two": "word " * (n % 4),
     "setting": "model_vs_model", "label": ["response_a", "response_b", "same"][n % 3], "language": "en"}
    for n in range(20)
]  # fmt: skip
MAPPED = ("--map", "id=name", "--map", "question=ask", "--map", "response_a=one", "--map", "response_b=two")


def ranks_of(done: Any) -> dict[str, Any]:
    return {row["metric"]: row["rank"] for row in json.loads(done.stdout)["rows"] if row["slice"] == "overall"}


def test_ranks_are_made_again_when_the_code_changes_and_the_dataset_is_there(
    calf: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "mine.jsonl").write_text("".join(json.dumps(record) + "\n" for record in QUESTIONS))
    calf("evaluate", "--metric", "longer", "--metric", "always-a", "--dataset", "mine.jsonl", *MAPPED)
    (stored,) = (workspace / "runs" / "ranks").glob("*.json") if calf("leaderboard") else ()
    true = ranks_of(calf("leaderboard", "--format", "json"))
    table = json.loads(stored.read_text())
    assert table["code"]
    odd = {**table, "ranks": dict.fromkeys(table["ranks"], 7)}
    stored.write_text(json.dumps(odd))
    assert ranks_of(calf("leaderboard", "--format", "json"))["longer"] == 7, "kept: of this code and these results"

    def stale() -> None:
        stored.write_text(json.dumps({**odd, "code": "of another version"}))

    stale()
    assert ranks_of(calf("leaderboard", "--format", "json")) == true
    assert json.loads(stored.read_text()) == table
    stored.write_text(json.dumps({name: value for name, value in odd.items() if name != "code"}))
    assert ranks_of(calf("leaderboard", "--format", "json")) == true, "of a version that wrote no digest"

    # Without the dataset they cannot be: what is there from these results counts.
    moved = workspace / "elsewhere"
    moved.mkdir()
    (workspace / "mine.jsonl").rename(moved / "mine.jsonl")
    stale()
    assert ranks_of(calf("leaderboard", "--format", "json"))["longer"] == 7
    # A path says where it is now; it is read with the columns that the runs were told of.
    assert ranks_of(calf("leaderboard", "--format", "json", "-d", "elsewhere/mine.jsonl")) == true
    assert json.loads(stored.read_text()) == table
    # But not of other results.
    stored.write_text(json.dumps({**odd, "made_from": dict.fromkeys(table["made_from"], "x")}))
    board = calf("leaderboard", "--output", "-").stdout
    assert "Without ranks: " in board
    (moved / "mine.jsonl").write_text("".join(json.dumps(record) + "\n" for record in QUESTIONS[1:]))
    other = calf("leaderboard", "-d", "elsewhere/mine.jsonl", check=2).stderr
    assert "no complete run on dataset 'elsewhere/mine.jsonl'" in other


def test_a_name_chooses_one_of_two_equal_datasets(calf: Any, workspace: Path) -> None:
    for name in ("one", "two"):
        (workspace / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in QUESTIONS))
        calf("evaluate", "--metric", "longer", "--dataset", f"{name}.jsonl", *MAPPED)
    table = json.loads(calf("leaderboard", "--format", "json", "-d", "two").stdout)
    assert {row["dataset"] for row in table["rows"]} == {"two"}


def test_a_signature_is_one_cell_whatever_it_holds() -> None:
    from calf.leaderboard.markdown import _code

    assert _code("judge|prompt:two\nlines with `ticks`") == "`judge\\|prompt:two lines with 'ticks'`"
