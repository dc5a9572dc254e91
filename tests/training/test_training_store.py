from __future__ import annotations

import functools
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skops.io
from made_comparisons import made_comparisons, made_examples
from sklearn.naive_bayes import GaussianNB

from calf.errors import UserError
from calf.training.estimators import ESTIMATORS, fit_estimator
from calf.training.examples import Preparer, item_of
from calf.training.fit import fit_on
from calf.training.model import Calibration, Evaluator
from calf.training.seen import seen_marks
from calf.training.store import _checksum, check_new, folder_digest, load, save

COMPARISONS = made_comparisons(8)


@functools.cache
def every_kind() -> Evaluator:
    """All estimators at once, of few examples."""
    examples = made_examples(80)
    odd, even = examples.pairs.odd, examples.pairs.even
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calf.training.estimators._TREES", 6)  # quicker to write and read
        parts = tuple(fit_estimator(kind, odd.values, even.values, examples.label) for kind in ESTIMATORS)
    return Evaluator(
        "mean", odd.names, even.names, parts, ((0.8, 1.1, -0.1),) * 3, Calibration(0.9, 1.0, 0.2, 0.6), {"mean": 0.9}
    )


def store(folder: Path, evaluator: Evaluator | None = None) -> Evaluator:
    evaluator = evaluator or every_kind()
    preparer = Preparer.fit(COMPARISONS, ("form",))
    save(folder, evaluator, preparer, about={"by": "tests"}, seen=seen_marks(COMPARISONS), card="# A card\n")
    return evaluator


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "evaluator"
    store(folder)
    return folder


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "copy"))


def rewrite(folder: Path, **changes: object) -> None:
    """Changes `evaluator.json` as somebody would who knows of the checksum."""
    table = {**json.loads((folder / "evaluator.json").read_text()), **changes}
    table.pop("checksum")
    (folder / "evaluator.json").write_text(json.dumps({**table, "checksum": _checksum(table)}))


def test_what_is_read_says_the_same_to_the_last_bit(stored: Path) -> None:
    evaluator, found = every_kind(), load(stored)
    pairs = made_examples(60, seed=3).pairs
    assert np.array_equal(found.evaluator.probabilities(pairs), evaluator.probabilities(pairs))
    assert np.array_equal(found.evaluator.verdicts(pairs), evaluator.verdicts(pairs))
    assert found.evaluator.calibration == evaluator.calibration
    assert found.about == {"by": "tests"}
    assert found.seen == seen_marks(COMPARISONS)
    items = [item_of(c) for c in COMPARISONS]
    features = Preparer.fit(COMPARISONS, ("form",)).pairs(items)
    assert np.array_equal(found.preparer.pairs(items).odd.values, features.odd.values)


def test_it_is_no_pickle_and_holds_no_text(stored: Path) -> None:
    names = sorted(path.name for path in stored.iterdir())
    assert names == sorted(
        ["README.md", "evaluator.json", "seen.json"]
        + [f"{at}-{kind}-{part}.skops" for at, kind in enumerate(ESTIMATORS) for part in ("which", "tie")]
    )
    assert (stored / "README.md").read_text() == "# A card\n"
    for path in stored.glob("*.json"):
        text = path.read_text()
        assert not any(c.response_a in text or c.question in text or c.id in text for c in COMPARISONS)


def test_training_again_gives_the_same_digest_and_another_rule_another(stored: Path, tmp_path: Path) -> None:
    every_kind.cache_clear()
    store(tmp_path / "again")
    assert folder_digest(tmp_path / "again") == folder_digest(stored) == load(stored).digest
    other = every_kind()
    store(tmp_path / "other", replace(other, calibration=replace(other.calibration, same_from=0.7)))
    assert folder_digest(tmp_path / "other") != folder_digest(stored)


def test_nothing_is_written_over_or_left_half_written(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is there already"):
        store(stored)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is there already"):
        check_new(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    check_new(tmp_path / "empty")
    check_new(tmp_path / "new" / "deep")
    with pytest.raises(TypeError):
        save(
            tmp_path / "broken",
            every_kind(),
            Preparer.fit(COMPARISONS, ("form",)),
            about={"x": object()},
            seen={},
            card="",
        )
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "calf-cache") == ["empty", "file"]


@pytest.mark.parametrize("name", ["0-logistic-which.skops", "1-trees-tie.skops", "seen.json", "evaluator.json"])
def test_a_damaged_file_is_refused_in_one_line(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    place = data.index(b"0.") if name == "evaluator.json" else len(data) // 2
    data[place] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(UserError, match="damaged") as caught:
        load(copy)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "2-boosting-which.skops").unlink()
    with pytest.raises(UserError, match=r"2-boosting-which\.skops is missing"):
        load(copy)


def test_a_card_may_be_added_to(copy: Path) -> None:
    (copy / "README.md").write_text("# A card\n\nWith a remark.\n")
    load(copy)


def test_other_folders_are_no_evaluators(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(UserError, match="no trained evaluator"):
        load(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not the folder of"):
        load(tmp_path / "file")
    (copy / "evaluator.json").write_text("[1]")
    with pytest.raises(UserError, match="no 'format'"):
        load(copy)


def test_a_newer_format_is_refused_in_one_line(copy: Path) -> None:
    rewrite(copy, format=2)
    with pytest.raises(UserError, match=r"format 2; this CALF reads up to 1"):
        load(copy)


def test_an_estimator_that_says_something_else_here_is_refused(copy: Path) -> None:
    table = json.loads((copy / "evaluator.json").read_text())
    table["probes"][0][0] += 1e-6
    rewrite(copy, probes=table["probes"])
    with pytest.raises(UserError, match="say something else here"):
        load(copy)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("executed",))


def put(folder: Path, name: str, what: object) -> None:
    skops.io.dump(what, folder / name)
    table = json.loads((folder / "evaluator.json").read_text())
    table["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    rewrite(folder, files=table["files"])


def test_a_type_that_is_none_of_an_evaluator_s_is_not_loaded(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(copy, "0-logistic-which.skops", Evil())
    with pytest.raises(UserError, match=r"is not loaded|cannot be loaded"):
        load(copy)
    assert "executed" not in capsys.readouterr().out
    put(copy, "0-logistic-which.skops", GaussianNB())
    with pytest.raises(UserError, match="GaussianNB"):
        load(copy)
    (copy / "0-logistic-which.skops").write_bytes(b"no archive")
    put_as = json.loads((copy / "evaluator.json").read_text())
    put_as["files"]["0-logistic-which.skops"] = hashlib.sha256(b"no archive").hexdigest()
    rewrite(copy, files=put_as["files"])
    with pytest.raises(UserError, match="cannot be loaded"):
        load(copy)


def test_a_file_outside_of_the_folder_is_not_read(copy: Path) -> None:
    rewrite(copy, files={"../elsewhere.skops": "0" * 64})
    with pytest.raises(UserError, match="missing"):
        load(copy)


def test_a_whole_evaluator_comes_back(tmp_path: Path) -> None:
    examples = made_examples(120)
    evaluator = fit_on(examples, model="logistic")
    store(tmp_path / "one", evaluator)
    assert np.array_equal(
        load(tmp_path / "one").evaluator.probabilities(examples.pairs), evaluator.probabilities(examples.pairs)
    )
