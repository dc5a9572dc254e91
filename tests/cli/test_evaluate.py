"""`calf evaluate` as a user runs it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import few_resamples
import pytest

FEW = few_resamples.__file__  # `calf`, with as few resamples as in this process
KEYS = """metric dataset slice n groups few_groups no_majority order rule coverage accuracy accuracy_low accuracy_high
accuracy_failed_right decided_accuracy macro_f1 macro_f1_symmetric kappa kappa_symmetric kendall_tau
kendall_tau_symmetric tau_c tau_c_symmetric spearman spearman_symmetric pearson pearson_symmetric tie_rate acc_eq
acc_eq_cv acc_eq_gap tie_threshold acc_eq_chance acc_eq_cv_chance precision_same recall_same f1_response_a
f1_response_b f1_same flip_rate first_position_rate accuracy_consistent retest_agreement rerun_variance
accuracy_longer_preferred accuracy_shorter_preferred accuracy_length_balanced length_log_loss_gain human_preferred_rate
accuracy_longer_preferred_n accuracy_leave_one_out_n acc_eq_n
human_preferred_rate_people accuracy_low_overlap accuracy_high_overlap overlap_gap accuracy_leave_one_out
pairwise_agreement cohen_kappa fleiss_kappa krippendorff_alpha alt_winning_rate alt_advantage alt_annotators alt_epsilon
confusion_response_a_failed confusion_same_same undefined""".split()


def rows_of(done: Any) -> list[dict[str, Any]]:
    return json.loads(done.stdout)["rows"]  # type: ignore[no-any-return]


def row(done: Any, metric: str, slice_: str = "overall") -> dict[str, Any]:
    (found,) = [r for r in rows_of(done) if r["metric"] == metric and r["slice"] == slice_]
    return found


def run_folder(workspace: Path, done: Any) -> Path:
    (name,) = json.loads(done.stdout)["runs"]
    return workspace / "runs" / name


def snapshot(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("manifest.json", "scores.csv", "result.json")}


def test_json_is_one_object_with_flat_rows_and_the_floors(calf: Any) -> None:
    done = calf("evaluate", "--metric", "rouge-l", "--metric", "longer", "--format", "json")
    table = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} in the output"))
    assert set(table) == {"runs", "rows"}
    assert len(table["runs"]) == 2
    for one in table["rows"]:
        assert set(KEYS) <= set(one)
        assert all(not isinstance(value, (dict, list)) for value in one.values())
        for key, value in one.items():
            if isinstance(value, float):
                assert math.isfinite(value), key
    overall = [r["metric"] for r in table["rows"] if r["slice"] == "overall"]
    assert overall == ["rouge-l", "longer", "always-a", "always-b", "random", "shorter", "always-model"]
    assert {r["slice"] for r in table["rows"]} >= {
        *("setting=human_vs_model", "language=zh", "subject=law", "length=short", "gap=large", "reference=yes"),
        *("macro:setting", "macro:language", "gap:human_vs_human-human_vs_model"),
    }
    assert {tuple(one) for one in table["rows"]} == {tuple(table["rows"][0])}, "every row has every key"
    assert not row(done, "longer")["floor"]
    assert row(done, "shorter")["floor"]


def test_numbers_agree_with_scikit_learn_and_scipy(calf: Any, workspace: Path) -> None:
    import numpy as np
    from scipy.stats import kendalltau
    from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

    done = calf("evaluate", "--metric", "rouge-l", "--language", "en", "--format", "json")
    with (run_folder(workspace, done) / "scores.csv").open(encoding="utf-8", newline="") as file:
        scores = list(csv.DictReader(file))
    root = Path(__file__).resolve().parents[2]
    lines = (root / "data/sample/sample.jsonl").read_text(encoding="utf-8").splitlines()
    labels = {record["id"]: record["label"] for record in map(json.loads, lines)}
    gold = [labels[line["id"]] for line in scores]
    said = [line["verdict"] for line in scores]
    one = row(done, "rouge-l")
    assert one["n"] == len(scores) == 150
    assert one["accuracy"] == pytest.approx(accuracy_score(gold, said), abs=1e-12)
    assert one["kappa"] == pytest.approx(cohen_kappa_score(gold, said), abs=1e-12)
    assert one["macro_f1"] == pytest.approx(f1_score(gold, said, average="macro"), abs=1e-12)
    sign = {"response_a": 1, "response_b": -1, "same": 0}
    difference = np.array([float(line["score_a"]) - float(line["score_b"]) for line in scores])
    signs = np.array([sign[label] for label in gold])
    assert one["kendall_tau"] == pytest.approx(kendalltau(difference, signs).statistic, abs=1e-9)
    doubled = kendalltau(np.r_[difference, -difference], np.r_[signs, -signs]).statistic
    assert one["kendall_tau_symmetric"] == pytest.approx(doubled, abs=1e-9)


def test_csv_and_table(calf: Any) -> None:
    done = calf("evaluate", "--metric", "rouge-l", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert set(KEYS) <= set(rows[0])
    table = calf("evaluate", "--metric", "rouge-l").stdout
    assert "no evidence about any metric" in table
    assert "always-model" in table
    assert max(map(len, table.splitlines())) <= 100


def test_a_finished_run_is_reused_and_fresh_starts_anew(calf: Any, workspace: Path) -> None:
    log = workspace / "log"
    words = ("evaluate", "--metric", f"mine.py:Slow[log={log}]", "--format", "json")
    folder = run_folder(workspace, calf(*words))
    first, asked = snapshot(folder), log.read_text()
    assert run_folder(workspace, calf(*words)) == folder
    assert snapshot(folder) == first
    assert log.read_text() == asked
    calf(*words, "--fresh")
    assert snapshot(folder) == first
    assert len(log.read_text().splitlines()) == 2 * len(asked.splitlines())
    assert (folder / "judgments.1.jsonl").exists()


def test_a_larger_selection_continues_the_same_run(calf: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples.take_one_floor(monkeypatch)
    log = workspace / "log"
    base = ("evaluate", "--metric", f"mine.py:Slow[log={log}]", "--format", "json")
    few = calf(*base, "--limit", 20)
    assert 0 < row(few, "mine.py:Slow[log=" + str(log) + "]")["n"] <= 20
    chinese = calf(*base, "--language", "zh")
    whole = calf(*base)
    assert json.loads(few.stdout)["runs"] == json.loads(chinese.stdout)["runs"] == json.loads(whole.stdout)["runs"]
    folder = run_folder(workspace, whole)
    continued = snapshot(folder)
    assert len(log.read_text().splitlines()) == 128, "every distinct response is asked for once"
    again = calf(*base, "--limit", 20)
    assert again.stdout == few.stdout, "a smaller selection shows the same as before"
    assert snapshot(folder) == continued, "and takes nothing away"
    straight = calf(*base, "--runs", "elsewhere")
    other = workspace / "elsewhere" / folder.name
    assert snapshot(other) == continued
    assert straight.stdout == whole.stdout


def test_limits_are_nested_and_keep_groups_whole(calf: Any, workspace: Path) -> None:
    import calf as library

    data = library.load_dataset("sample")
    previous: set[str] = set()
    for limit in (1, 6, 7, 50, 100, 191, 192, 500):
        chosen = data.select(limit=limit)
        groups = {c.group for c in chosen}
        assert len(chosen) == sum(c.group in groups for c in data)
        assert len(chosen) <= max(limit, 6)
        assert previous <= {c.id for c in chosen}
        previous = {c.id for c in chosen}
    assert data.select(limit=50, seed=1).comparisons != data.select(limit=50, seed=2).comparisons


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_ends_as_if_never_interrupted(calf: Any, workspace: Path, seed: int) -> None:
    """Twice while it judges, once it is further than before, and once when all is judged, or soon after."""
    metric = "mine.py:Slow[seconds=0.004]"
    calf("evaluate", "--metric", metric, "--runs", "straight", "--format", "json")
    command = [sys.executable, FEW, "evaluate", "--metric", metric, "--runs", "killed", "--format", "json"]
    rng = random.Random(seed)
    before, counts = 0, []
    for further, most in ((1, 0.3), (1, 0.3), (128, 0.5)):
        process = subprocess.Popen(command, cwd=workspace, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while judged(workspace / "killed") < min(before + further, 128) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, most))
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = judged(workspace / "killed")
        counts.append(before)
    assert 0 < counts[0] < 128 == counts[2], counts
    done = calf("evaluate", "--metric", metric, "--runs", "killed", "--format", "json")
    (name,) = json.loads(done.stdout)["runs"]
    assert snapshot(workspace / "killed" / name) == snapshot(workspace / "straight" / name)
    lines = (workspace / "killed" / name / "judgments.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(set(keys)) == len(keys) == 128, "nothing that was written is judged again"


def judged(runs: Path) -> int:
    """How many judgments the only run there has kept so far."""
    return sum(path.read_bytes().count(b"\n") for path in runs.glob("*/judgments.jsonl"))


def test_two_processes_on_one_run_do_its_work_once(workspace: Path) -> None:
    log = workspace / "log"
    metric = f"mine.py:Slow[log={log},seconds=0.003]"
    command = [sys.executable, FEW, "evaluate", "--metric", metric, "--format", "json"]
    both = [
        subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(log.read_text().splitlines()) == 128


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_continue(calf: Any, workspace: Path, stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "calf", "evaluate", "--metric", "mine.py:Slow[seconds=0.05]"]
    process = subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not list((workspace / "runs").glob("*/judgments.jsonl")):
        time.sleep(0.05)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    (listed,) = json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]
    assert listed["state"] == "not finished"


def test_worker_processes_change_nothing(calf: Any, workspace: Path) -> None:
    done = calf("evaluate", "--metric", "rouge-2", "--jobs", 2, "--runs", "jobs", "--format", "json")
    one = calf("evaluate", "--metric", "rouge-2", "--runs", "alone", "--format", "json")
    assert done.stdout == one.stdout


def test_failed_judgments_are_counted_kept_and_tried_again(calf: Any, workspace: Path) -> None:
    words = ("evaluate", "--metric", "mine.py:Picky", "--format", "json")
    failed = calf(*words, check=1)
    assert "judgments failed" in failed.stderr
    one = row(failed, "mine.py:Picky")
    assert 0 < one["coverage"] < 1
    assert one["accuracy"] < one["accuracy_failed_right"]
    with (run_folder(workspace, failed) / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    lost = [line for line in lines if line["failure"]]
    assert all(line["failure"] == "error" and not line["verdict"] and not line["score_a"] for line in lost)
    assert one["accuracy_failed_right"] - one["accuracy"] == pytest.approx(len(lost) / len(lines))
    (workspace / "mended").touch()
    assert row(calf(*words), "mine.py:Picky")["coverage"] == 1


def test_a_floor_that_is_named_is_an_ordinary_run(calf: Any) -> None:
    done = calf("evaluate", "--metric", "always-model", "--format", "json", check=1)
    assert "not_applicable" in done.stderr
    assert sum(r["metric"] == "always-model" for r in rows_of(done) if r["slice"] == "overall") == 1
    assert row(done, "always-model", "setting=model_vs_model")["coverage"] == 0
    assert row(done, "always-model", "setting=human_vs_model")["coverage"] == 1
    listed = json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]
    assert [run["metric"] for run in listed] == ["always-model"]


def test_both_orders_show_a_position_bias(calf: Any, workspace: Path) -> None:
    words = ("evaluate", "--metric", "mine.py:First", "--format", "json")
    assert row(calf(*words), "mine.py:First")["tie_rate"] == 0
    both = calf(*words, "--order", "both")
    one = row(both, "mine.py:First")
    assert one["tie_rate"] == 1
    assert (one["order"], one["rule"]) == ("both", "agree-or-same")
    with (run_folder(workspace, both) / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {(line["order"], line["verdict"]) for line in lines} == {("given", "response_a"), ("swapped", "response_b")}
    assert len(lines) == 2 * 192


def test_repeats_are_further_lines_and_share_the_weight(calf: Any, workspace: Path) -> None:
    once = calf("evaluate", "--metric", "random", "--format", "json")
    thrice = calf("evaluate", "--metric", "random", "--repeat", 3, "--format", "json")
    assert json.loads(once.stdout)["runs"] == json.loads(thrice.stdout)["runs"]
    assert row(thrice, "random")["n"] == 192
    with (run_folder(workspace, thrice) / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 192
    verdicts = [line["verdict"] for line in lines]
    assert len({tuple(verdicts[at::3]) for at in range(3)}) == 3
    assert calf("evaluate", "--metric", "random", "--format", "json").stdout == once.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "rogue-l"), "did you mean 'rouge-l'"),
        (("--metric", "rouge-l", "-o", "mesure=f1"), "did you mean 'measure'"),
        (("--metric", "rouge-l", "--metric", "rouge-1", "-o", "measure=f1"), "single --metric"),
        (("--metric", "rouge-l", "--metric", "rouge-l"), "given twice"),
        (("--metric", "rouge-l", "--setting", "human_vs_robot"), "has no setting 'human_vs_robot'"),
        (("--metric", "rouge-l", "--subject", "alchemy"), "it has: geography"),
        (("--metric", "rouge-l", "--subject", "law", "--language", "fr"), "has no language 'fr'"),
        (("--metric", "rouge-l", "--dataset", "smaple"), "did you mean 'sample'"),
        (("--metric", "rouge-l", "--dataset", "nowhere/file.jsonl"), "nowhere/file.jsonl"),
        (("--metric", "rouge-l[tokenizer=rouge]", "--language", "zh"), "tokenizer"),
        (("--metric", "rouge-l", "--limit", "0"), "--limit"),
        (("--metric", "rouge-l", "--order", "sideways"), "--order"),
        (("--metric", "rouge-l", "--rule", "first-order"), "does not fit the order 'given'"),
        (("--metric", "rouge-l", "--by", "colour"), "has no column 'colour'"),
        (("--metric", "rouge-l", "--by", "response_a"), "at most 50"),
        (("--metric", "rouge-l", "--alt-epsilon", "2"), "epsilon"),
        ((), "--metric"),
    ],
)
def test_a_users_mistake_is_one_clear_line_and_exit_2(calf: Any, workspace: Path, words: Any, message: str) -> None:
    done = calf("evaluate", *words, check=2)
    assert message in done.stderr
    assert not done.stdout
    assert not list((workspace / "runs").glob("*/result.json"))


def test_what_does_not_fit_another_language_fits_the_one_that_is_asked_for(calf: Any) -> None:
    words = ("evaluate", "--metric", "rouge-l[tokenizer=rouge]", "--format", "json")
    done = calf(*words, "--language", "en")
    assert row(done, "rouge-l[tokenizer=rouge]")["n"] == 150
    assert "zh" in calf(*words, check=2).stderr
    assert calf(*words, "--language", "en").stdout == done.stdout


def test_all_metrics_are_checked_before_the_first_runs(calf: Any, workspace: Path) -> None:
    calf("evaluate", "--metric", "rouge-l", "--metric", "rogue", check=2)
    assert not (workspace / "runs").exists()


def test_the_runs_commands(calf: Any, workspace: Path) -> None:
    done = calf("evaluate", "--metric", "rouge-l", "--format", "json")
    (name,) = json.loads(done.stdout)["runs"]
    assert calf("runs", "show", name, "--format", "json").stdout == done.stdout
    assert calf("runs", "show", "rouge", "--format", "json").stdout == done.stdout
    assert "signature" in calf("runs", "show", name).stdout
    (listed,) = json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]
    assert (listed["id"], listed["metric"], listed["dataset"], listed["state"]) == (
        name,
        "rouge-l",
        "sample",
        "complete",
    )
    assert name[:20] in calf("runs", "list").stdout.replace("\n", "")
    assert "did you mean" in calf("runs", "show", name[:-1] + "x", check=2).stderr


def test_outside_a_workspace_runs_go_to_the_current_folder(calf: Any, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    calf("evaluate", "--metric", "longer", cwd=folder)
    assert list((folder / "runs").glob("longer--sample--*/result.json"))


def test_the_python_interface_gives_the_same(calf: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import calf as library

    monkeypatch.chdir(workspace)
    run = library.evaluate("rouge-1", "sample", options={"measure": "recall"}, language=["en"], runs="runs")
    done = calf("evaluate", "--metric", "rouge-1[measure=recall]", "--language", "en", "--format", "json")
    assert [run.id] == json.loads(done.stdout)["runs"]
    frame = run.table()
    assert frame[frame["slice"] == "overall"]["metric"].iloc[0] == "rouge-1[measure=recall]"
    assert frame.iloc[0]["accuracy"] == row(done, "rouge-1[measure=recall]")["accuracy"]
    assert len(run.table(floors=False)) == len(run.rows)
    assert len(run.judgments) == 150
    with pytest.raises(library.UserError, match="1 or more"):
        library.evaluate("rouge-1", "sample", repeat=0)


def test_a_secret_option_reaches_no_file_and_no_message(calf: Any, workspace: Path) -> None:
    (workspace / "secretive.py").write_text(
        "class Judge:\n    needs_reference = False\n"
        "    def __init__(self, api_key: str, fail: bool = False):\n        self.fail = fail\n"
        "    def judge(self, items):\n        return ['same' for _ in items]\n"
    )
    done = calf("evaluate", "--metric", "secretive.py:Judge[api_key=sk-PLANTED-SECRET]")
    wrong = calf("evaluate", "--metric", "secretive.py:Judge[api_key=sk-PLANTED-SECRET,fail=perhaps]", check=2)
    for text in (done.stdout, done.stderr, wrong.stderr):
        assert "PLANTED" not in text
    for path in (workspace / "runs").rglob("*"):
        if path.is_file():
            assert b"PLANTED" not in path.read_bytes(), path


def test_a_part_never_replaces_the_result_of_the_whole(calf: Any, workspace: Path) -> None:
    """Where only the small files were kept, as in a clone."""
    folder = run_folder(workspace, calf("evaluate", "--metric", "rouge-l", "--format", "json"))
    before = (folder / "result.json").read_bytes()
    board = calf("leaderboard", "--output", "-").stdout
    (folder / "judgments.jsonl").unlink()
    (folder / "scores.csv").unlink()
    part = calf("evaluate", "--metric", "rouge-l", "--limit", 12, "--format", "json")
    assert row(part, "rouge-l")["n"] == 12
    assert (folder / "result.json").read_bytes() == before
    assert len(json.loads((folder / "timing.json").read_text())["sessions"]) == 1, "the judgments of the first are gone"
    assert calf("leaderboard", "--output", "-").stdout.count("| rouge-l |") == board.count("| rouge-l |") == 3
    calf("evaluate", "--metric", "rouge-l")
    assert (folder / "result.json").read_bytes() == before


def test_the_recorded_command_makes_the_run_again(calf: Any, workspace: Path) -> None:
    rows = ["prompt,a,b,better", *(f"question {n},some words,{'more ' * n} words,b" for n in range(8))]
    (workspace / "table.csv").write_text("\n".join(rows) + "\n")
    maps = ["question=prompt", "response_a=a", "response_b=b", "label=better", "setting=:model_vs_model"]
    words = [word for one in maps for word in ("--map", one)]
    done = calf("evaluate", "--metric", "longer", "--dataset", "table.csv", *words, "--seed", 3, "--format", "json")
    (listed,) = json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]
    again = calf(*shlex.split(listed["command"])[1:], "--format", "json")
    assert again.stdout == done.stdout


def test_usage_is_added_up(calf: Any, workspace: Path) -> None:
    (workspace / "paid.py").write_text(
        "from calf import Score\n\n\nclass Paid:\n    def score(self, items):\n"
        "        return [Score(1.0, usage={'tokens': 3, 'usd': 0.25}, seconds=0.5) for _ in items]\n"
    )
    folder = run_folder(workspace, calf("evaluate", "--metric", "paid.py:Paid", "--format", "json"))
    timing = json.loads((folder / "timing.json").read_text())
    assert timing["usage"] == {"tokens": 3.0 * 128, "usd": 0.25 * 128}
    assert timing["judged"] == 128


def test_folders_that_cannot_be_written_are_said_in_one_line(calf: Any, workspace: Path) -> None:
    (workspace / "file").touch()
    assert "cannot write the run" in calf("evaluate", "--metric", "longer", "--runs", "file", check=2).stderr
    assert "unknown dataset" in calf("evaluate", "--metric", "longer", "--dataset", "x" * 300, check=2).stderr


def test_a_broken_run_breaks_itself_only(calf: Any, workspace: Path) -> None:
    broken = run_folder(workspace, calf("evaluate", "--metric", "longer", "--format", "json"))
    calf("evaluate", "--metric", "shorter")
    for name in ("manifest", "result", "timing"):
        file = broken / f"{name}.json"
        whole = file.read_bytes()
        file.write_text('{"schema": 2}')
        states = [run["state"] for run in json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]]
        assert states == (["complete"] * 2 if name == "timing" else ["broken", "complete"])
        if name == "timing":  # as good as none: what a run took is no part of what it found
            assert "longer" in calf("runs", "show", "longer").stdout
        else:
            assert f"{name}.json" in calf("runs", "show", "longer", check=2).stderr
        calf("runs", "list")
        file.write_bytes(whole)


def test_an_older_result_is_made_again_from_its_judgments(calf: Any, workspace: Path) -> None:
    log = workspace / "log"
    words = ("evaluate", "--metric", f"mine.py:Slow[log={log}]", "--format", "json")
    done = calf(*words)
    folder, asked = run_folder(workspace, done), log.read_text()
    before = snapshot(folder)
    (floors,) = (workspace / "runs" / "floors").iterdir()
    for path in (folder / "result.json", folder / "manifest.json", folder / "timing.json", floors):
        older = {**json.loads(path.read_text()), "schema": 1}
        path.write_text(json.dumps({key: value for key, value in older.items() if key != "beside"}))
    (listed,) = json.loads(calf("runs", "list", "--format", "json").stdout)["runs"]
    assert listed["state"] == "not finished"
    assert "has no result yet" in calf("runs", "show", folder.name, check=2).stderr
    assert calf(*words).stdout == done.stdout
    assert log.read_text() == asked, "nothing is judged again"
    for name in ("scores.csv", "result.json"):
        assert (folder / name).read_bytes() == before[name]


def annotated_file(workspace: Path) -> list[dict[str, Any]]:
    """Thirty comparisons of which people said several things, as `people.jsonl`."""
    rng = random.Random(5)
    records = []
    for n in range(30):
        said = [rng.choice(["response_a", "response_b", "same"]) for _ in range(n % 4)]
        records.append(
            {
                "id": f"c{n}", "question": f"question {n}", "response_a": "word " * rng.randint(1, 9),
                "response_b": "word " * rng.randint(1, 9), "label": said[0] if said else "same", "language": "en",
                "setting": "model_vs_model", "level": ["easy", "hard"][n % 2],
                "annotations": [{"annotator": f"p{k}", "label": label} for k, label in enumerate(said)],
            }
        )  # fmt: skip
    (workspace / "people.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return records


def test_people_stand_beside_the_metrics_where_they_were_asked(calf: Any, workspace: Path) -> None:
    records = annotated_file(workspace)
    words = ("evaluate", "--metric", "longer", "--dataset", "people.jsonl")
    done = calf(*words, "--format", "json")
    overall = [r["metric"] for r in rows_of(done) if r["slice"] == "overall"]
    assert overall == ["longer", "human", "always-a", "always-b", "random", "shorter", "always-model"]
    people = row(done, "human")
    assert people["n"] == sum(len(record["annotations"]) > 1 for record in records)
    assert people["accuracy"] == pytest.approx(people["pairwise_agreement"], abs=1e-12), "at most three people each"
    assert not people["floor"]
    assert row(done, "human", "unanimous")["accuracy"] == 1.0
    split = 0
    for record in records:
        labels = [a["label"] for a in record["annotations"]]
        split += len(labels) > 1 and max(map(labels.count, labels)) * 2 <= len(labels)
    assert row(done, "longer")["no_majority"] == people["no_majority"] == split > 0
    assert row(done, "longer", "majority")["no_majority"] == 0
    # Fewer comparisons than the metrics' rows are about, and so said beside the name and in each slice.
    table = calf(*words, "--by", "level").stdout
    assert f"human (n={people['n']})" in table
    by_level = calf(*words, "--by", "level", "--format", "json")
    sizes = [row(by_level, "human", f"level={level}")["n"] for level in ("easy", "hard")]
    assert sum(sizes) == people["n"] < 30
    (cells,) = [line for line in table.splitlines() if "human (n=" in line and line.count(" n=") == 2]
    assert [int(part.split()[0]) for part in cells.split(" n=")[1:]] == sizes
    assert not [line for line in table.splitlines() if "longer " in line and " n=" in line], "said by the columns"
    board = calf("leaderboard", "--output", "-").stdout
    assert board.count(f"| **human** ({people['n']} comparisons) |") == 3
    # A selection without annotations has no such row.
    few = calf(*words, "--format", "json", "--limit", 1)
    assert row(few, "longer")["n"] == 1
    assert ("human" in {r["metric"] for r in rows_of(few)}) == (
        row(few, "longer")["accuracy_leave_one_out"] is not None
    )


def test_how_judgments_are_looked_at_changes_nothing_on_disk(calf: Any, workspace: Path) -> None:
    annotated_file(workspace)
    words = ("evaluate", "--metric", "mine.py:First", "--dataset", "people.jsonl", "--order", "both")
    plain = calf(*words, "--format", "json")
    before = snapshot(run_folder(workspace, plain))
    assert (row(plain, "mine.py:First")["flip_rate"], row(plain, "mine.py:First")["first_position_rate"]) == (1, 1)
    first = row(calf(*words, "--rule", "first-order", "--format", "json"), "mine.py:First")
    assert (first["rule"], first["tie_rate"], first["flip_rate"]) == ("first-order", 0, 1)
    mean = row(calf(*words, "--rule", "mean-probabilities", "--format", "json"), "mine.py:First")
    assert (mean["rule"], mean["tie_rate"]) == ("mean-probabilities", 1)
    by = calf(*words, "--by", "level", "--alt-epsilon", 0.1, "--format", "json")
    assert row(by, "mine.py:First", "level=easy")["n"] == row(by, "always-a", "level=hard")["n"] == 15
    assert row(by, "human", "level=easy")["alt_epsilon"] == row(by, "random")["alt_epsilon"] == 0.1
    assert snapshot(run_folder(workspace, plain)) == before
    assert calf(*words, "--format", "json").stdout == plain.stdout


def test_a_metric_that_refuses_the_dataset_leaves_nothing_behind(calf: Any, workspace: Path) -> None:
    calf("evaluate", "--metric", "rouge-l[tokenizer=rouge]", check=2)
    assert not (workspace / "runs").exists()


def test_a_dying_worker_stops_the_run_which_continues(calf: Any, workspace: Path) -> None:
    (workspace / "dies.py").write_text(
        "import os, pathlib\n\n\nclass Dies:\n    batch_size = 8\n\n    def score(self, items):\n"
        "        if not pathlib.Path('well').exists():\n            os._exit(9)\n"
        "        return [len(item.response) for item in items]\n"
    )
    words = ("evaluate", "--metric", "dies.py:Dies", "--jobs", 2)
    assert "worker process died" in calf(*words, check=3).stderr
    (workspace / "well").touch()
    calf(*words)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_metric_prints_is_no_part_of_the_result(workspace: Path, jobs: int) -> None:
    (workspace / "prints.py").write_text(
        "print('at import')\n\n\nclass Prints:\n    batch_size = 8\n    def __init__(self):\n        print('made')\n\n"
        "    def score(self, items):\n        print('scored')\n        return [1 for _ in items]\n"
    )
    words = ["evaluate", "--metric", "prints.py:Prints", "--limit", "24", "--format", "json", "--jobs", str(jobs)]
    command = [sys.executable, FEW, *words]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["rows"]
    assert "at import" in done.stderr


def test_a_metric_that_exits_is_not_a_success(calf: Any, workspace: Path) -> None:
    (workspace / "exits.py").write_text(
        "import sys\n\nclass Exits:\n    def __init__(self):\n        sys.exit(0)\n\n    def score(self, items): ...\n"
    )
    assert "SystemExit" in calf("evaluate", "--metric", "exits.py:Exits", check=2).stderr


def test_values_that_look_like_markup_are_shown_as_they_are(calf: Any, workspace: Path) -> None:
    import calf as library
    from calf.datasets.writing import write

    few = library.load_dataset("sample").comparisons[:6]
    odd = [dataclasses.replace(c, subject=("[/bold]", "[x][link=1]")[n % 2]) for n, c in enumerate(few)]
    write(library.Dataset("odd", tuple(odd)), workspace / "[b]odd.jsonl")
    shown = calf("evaluate", "--metric", "longer", "--dataset", "[b]odd.jsonl").stdout
    assert "[/bold]" in shown
    assert "[b]odd" in shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_poor_terminals_lose_no_name(calf: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calf("evaluate", "--metric", "rouge-l")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "calf", "runs", "show", "rouge-l"]
    done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, check=True)
    assert b"always-model ?" in done.stdout, "a sign that this terminal does not have"

    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("cli.conftest.io.StringIO", Terminal)
    narrow = calf("runs", "show", "rouge-l").stdout
    tables = [line for line in narrow.splitlines() if "always-model" in line]
    assert len(tables) >= 5, "each table has the name in one line, though the terminal is narrower than it"
    assert max(map(len, tables)) > 60


def test_the_first_failure_of_each_kind_is_told(calf: Any) -> None:
    assert (
        "the first error: ConnectionError: server is away (mine.py:"
        in calf("evaluate", "--metric", "mine.py:Picky", check=1).stderr
    )


@pytest.mark.shared_data
def test_the_real_file_gives_the_known_floors(calf: Any, workspace: Path, shared_data: Path) -> None:
    file = shared_data / "lfqa-e" / "unified_benchmark_zh.json"
    done = calf("evaluate", "--metric", "rouge-l", "--metric", "longer", "--dataset", file, "--format", "json")
    assert 0.511 <= row(done, "longer")["accuracy"] <= 0.5125
    assert row(done, "always-a")["accuracy"] == pytest.approx(599 / 1193)
    assert row(done, "rouge-l")["n"] == 1193
    assert row(done, "rouge-l")["coverage"] == 1
    assert row(done, "rouge-l")["groups"] == 501
