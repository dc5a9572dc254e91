"""`calf train`, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_comparisons import made_dataset

from calf.datasets.dataset import as_record

FAST = ("--features", "form,lexical", "--model", "logistic", "--folds", "3")


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calf.training.model._THRESHOLDS", 40)
        yield


@pytest.fixture
def made(workspace: Path) -> Path:
    return written(workspace / "made.jsonl", 40, 0)


def written(path: Path, groups: int, seed: int) -> Path:
    rows = [as_record(c) for c in made_dataset(groups, seed)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def flat(done) -> str:
    """What was printed, as one line."""
    return " ".join(done.stdout.split())


def test_it_prints_what_an_evaluator_is_worth(calf, made) -> None:
    done = calf("train", "--on", made, *FAST, "--folds", 5)  # with fewer, half of the groups are too few for a line
    for words in (
        "made: 120 comparisons in 40 groups", "features: form, lexical; model: logistic", "cross-fitted", "always-a °",
        "model_vs_model", "50% of the groups", "100% of the groups", "left out", "shuffled", "circle", "peak memory",
    ):  # fmt: skip
        assert words in flat(done), words
    assert "calf: cross-fitting ..." in done.stderr
    assert all(len(line) <= 101 for line in done.stdout.splitlines())


def test_a_stored_evaluator_is_a_metric(calf, made, workspace) -> None:
    done = calf("train", "--on", made, *FAST, "--no-studies", "--out", "mine", "--format", "json")
    report = json.loads(done.stdout)
    assert report["stored"] == "mine"
    assert "--metric trained:mine" in done.stderr
    row = next(row for row in report["rows"] if row["slice"] == "overall")
    assert row["accuracy_low"] > 0.6
    card = (workspace / "mine" / "README.md").read_text()
    for words in (f"{row['accuracy']:.3f}", "120 human comparisons", "fingerprint", "Limits", "seed 0", "always-a"):
        assert words in card
    other = written(workspace / "other.jsonl", 15, 3)
    judged = json.loads(calf("evaluate", "-m", "trained:mine", "-d", other, "--format", "json").stdout)
    assert next(r for r in judged["rows"] if r["metric"] == "trained:mine")["accuracy"] > 0.6
    again = calf("evaluate", "-m", "trained:mine", "-d", made, check=1)
    assert "120 trained_on" in again.stderr
    assert "is there already" in calf("train", "--on", made, *FAST, "--out", "mine", check=2).stderr


def test_held_out_groups_stay_closed_until_they_are_opened(calf, made) -> None:
    closed = calf("train", "--on", made, *FAST, "--no-studies", "--hold-out", 0.25)
    assert "closed (--open judges them" in closed.stdout
    assert "held out  " not in closed.stdout
    opened = json.loads(
        calf("train", "--on", made, *FAST, "--no-studies", "--hold-out", 0.25, "--open", "--format", "json").stdout
    )
    row = next(row for row in opened["held_out"] if row["slice"] == "overall")
    assert row["n"] == opened["held_out_comparisons"] == 120 - opened["comparisons"]
    assert row["accuracy"] > 0.6
    assert "nothing is held out" in calf("train", "--on", made, "--open", check=2).stderr


def test_transfer_says_what_is_shared_and_what_is_lost(calf, made, workspace) -> None:
    other = written(workspace / "other.jsonl", 30, 3)
    shared = [json.loads(line) for line in made.read_text().splitlines()[:3]]
    with other.open("a") as file:
        file.writelines(json.dumps({**row, "id": f"new-name-{at}"}) + "\n" for at, row in enumerate(shared))
    done = calf("train", "--on", made, *FAST, "--test", other)
    assert "3 comparisons in 1 groups (known again: 1 by question, 1 by reference, 1 by response)" in flat(done)
    for words in ("on made", "on other", "transferred", "trained there", "accuracy there minus accuracy at home:"):
        assert words in flat(done)
    report = json.loads(calf("train", "--on", made, *FAST, "--test", other, "--format", "json").stdout)
    assert report["comparisons"] == 117
    found = report["transfer"]
    assert found["drop"]["difference"] == pytest.approx(found["away"]["accuracy"] - found["at_home"]["accuracy"])
    assert found["drop"]["low"] < found["drop"]["difference"] < found["drop"]["high"]
    assert found["away"]["accuracy"] > 0.6


def test_where_all_is_shared_nothing_is_left_to_learn_from(calf, made) -> None:
    done = calf("train", "--on", made, *FAST, "--test", made, check=2)
    assert "every group shares something with" in " ".join(done.stderr.split())


def test_other_runs_scores_can_be_learned_from(calf, made) -> None:
    calf("evaluate", "-m", "rouge-1", "-m", "longer", "-d", made)
    words = ("train", "--on", made, "--features", "redundancy", "--model", "logistic", "--scores", "rouge-1")
    done = calf(*words, "--scores", "longer", "--no-studies")
    assert "scores learned from: rouge-1--made" in done.stdout
    assert "judges this dataset alone" in flat(done)
    report = json.loads(calf(*words, "--no-studies", "--format", "json").stdout)
    assert next(row for row in report["rows"] if row["slice"] == "overall")["accuracy_low"] > 0.6
    assert report["families"] == ["redundancy", "scores"]
    assert "cannot be stored" in calf(*words, "--out", "mine", check=2).stderr
    assert "cannot be tried on another" in calf(*words, "--test", "sample", check=2).stderr
    assert "unknown run 'bleu'" in calf(*words[:-1], "bleu", check=2).stderr
    calf("evaluate", "-m", "rouge-2", "-d", made, "--limit", 30)
    assert "does not cover" in calf(*words[:-1], "rouge-2", check=2).stderr
    calf("evaluate", "-m", "cross-fitted[model=logistic,features=form]", "-d", made)
    assert "trained evaluator" in calf(*words[:-1], "cross-fitted-", check=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--features", "magic"), "give auto, or some of form, lexical"),
        (("--folds", "50"), "40 groups of comparisons cannot be divided into 50 folds"),
        (("--hold-out", "0.7"), "--hold-out"),
        (("--model", "neural"), "neural"),
        (("--test", "nowhere.jsonl"), "nowhere.jsonl"),
    ],
)
def test_mistakes_are_said_in_one_line(calf, made, words, message) -> None:
    done = calf("train", "--on", made, "--features", "form", "--no-studies", *words, check=2)
    assert message in done.stderr


def test_too_few_comparisons_are_said(calf, workspace) -> None:
    small = written(workspace / "small.jsonl", 6, 0)
    assert "20 are needed" in calf("train", "--on", small, *FAST, "--no-studies", check=2).stderr
