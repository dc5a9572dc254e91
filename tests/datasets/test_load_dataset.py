from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from calf.datasets import load_dataset
from calf.errors import DataError, UnknownNameError, UserError
from calf.workspace import Workspace

RECORDS = [
    {
        "id": f"r{n}",
        "question": f"Question {n // 2}?",
        "story": n % 2,
        "reference": None,
        "response_a": "One.\nEND",
        "response_b": "Two.",
        "source_a": "human",
        "source_b": "model",
        "label": "same",
    }
    for n in range(4)
]
TEXT = "".join(json.dumps(record) + "\n" for record in RECORDS)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root, cache = tmp_path / "work", tmp_path / "cache"
    for folder in (root / "data", cache / "data"):
        folder.mkdir(parents=True)
    return Workspace(root, root / "runs", root / "data", (root, cache))


def define(workspace: Workspace, text: str, name: str = "mine") -> None:
    assert workspace.root is not None
    (workspace.root / "data" / f"{name}.toml").write_text('title = "T"\n' + text, encoding="utf-8")


def put(folder: Path, name: str = "items.jsonl", text: str = TEXT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_known_dataset(workspace: Workspace) -> None:
    define(
        workspace,
        'notes = ["Say this."]\ncard = "A card."\nlanguage = "fr"\n[source]\nurl = "https://example.org/items.jsonl"\n'
        '[[subjects]]\nsubject = "law"\nrows = 1\n[[subjects]]\nsubject = "art"\nrows = 3\n'
        '[[strip]]\nmarker = "END"\nwhere = "end"\n',
    )
    put(workspace.data / "mine")
    dataset = load_dataset("mine", workspace=workspace)
    assert (dataset.name, dataset.source, dataset.card, dataset.notes) == ("mine", "mine", "A card.", ("Say this.",))
    assert [c.subject for c in dataset] == ["law", "art", "art", "art"]
    assert {c.response_a for c in dataset} == {"One."}
    assert {c.language for c in dataset} == {"fr"}
    assert [c.group for c in dataset] == ["r0", "r0", "r2", "r2"]
    as_published = load_dataset("mine", workspace=workspace, strip=False)
    assert {c.response_a for c in as_published} == {"One.\nEND"}


def test_the_group_s_key(workspace: Workspace) -> None:
    define(workspace, 'group_key = ["story"]')
    put(workspace.data / "mine")
    assert [c.group for c in load_dataset("mine", workspace=workspace)] == ["r0", "r1", "r0", "r1"]


def test_groups_that_the_file_names_are_kept(tmp_path: Path) -> None:
    text = "".join(json.dumps({**record, "group": f"g{n % 2}"}) + "\n" for n, record in enumerate(RECORDS))
    assert [c.group for c in load_dataset(put(tmp_path, text=text))] == ["g0", "g1", "g0", "g1"]


@pytest.mark.parametrize("place", ["beside", "workspace", "cache"])
def test_where_the_file_may_be(workspace: Workspace, place: str) -> None:
    define(workspace, '[source]\nfile = "items.jsonl"')
    parents = {
        "beside": workspace.data,
        "workspace": workspace.data / "mine",
        "cache": workspace.definitions[1] / "data" / "mine",
    }
    put(parents[place])
    assert len(load_dataset("mine", workspace=workspace)) == 4


def test_a_fetched_file_may_have_any_name(workspace: Workspace) -> None:
    define(workspace, '[source]\nunavailable = "it is secret"')
    put(workspace.data / "mine", "copy.jsonl")
    put(workspace.data / "mine", "README.md", "no data")
    assert len(load_dataset("mine", workspace=workspace)) == 4
    put(workspace.data / "mine", "second.csv", "x")
    with pytest.raises(DataError, match=r"several files here \(copy\.jsonl, second\.csv\)"):
        load_dataset("mine", workspace=workspace)


def test_not_fetched(workspace: Workspace) -> None:
    define(workspace, '[source]\nurl = "https://example.org/items.jsonl"')
    with pytest.raises(UserError, match="dataset 'mine' is not fetched yet; do so with: `calf datasets fetch mine`"):
        load_dataset("mine", workspace=workspace)


def test_calf_s_own_file_was_not_published() -> None:
    with pytest.raises(UserError) as caught:
        load_dataset("calf")
    assert "announced its file, but it is not published" in str(caught.value)
    assert str(caught.value).endswith("`calf datasets fetch calf --from FILE`")


def test_the_checksum_must_hold(workspace: Workspace) -> None:
    right = hashlib.sha256(TEXT.encode()).hexdigest()
    define(workspace, f'[source]\nfile = "items.jsonl"\nsha256 = "{right}"')
    path = put(workspace.data / "mine")
    assert len(load_dataset("mine", workspace=workspace)) == 4
    path.write_text(TEXT + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"its sha256 is .*fetch it again: `calf datasets fetch mine`"):
        load_dataset("mine", workspace=workspace)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("comparisons = 5", "mine has 5 comparisons, this file 4"),
        ("questions = 3", "mine has 3 questions, this file 2"),
        ("groups = 1", "mine has 1 groups, this file 2"),
        ("settings = { human_vs_model = 3 }", "mine has 3 human_vs_model comparisons, this file 4"),
        ("settings = { human_vs_human = 1 }", "mine has 1 human_vs_human comparisons, this file 0"),
        ("comparisons = 4\nquestions = 2\ngroups = 2", None),
    ],
)
def test_expected_counts(workspace: Workspace, expect: str, message: str | None) -> None:
    define(workspace, f"[expect]\n{expect}")
    path = put(workspace.data / "mine")
    if message is None:
        assert len(load_dataset("mine", workspace=workspace)) == 4
        return
    with pytest.raises(DataError) as caught:
        load_dataset("mine", workspace=workspace)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_subject_blocks_must_cover_the_file(workspace: Workspace) -> None:
    define(workspace, '[[subjects]]\nsubject = "law"\nrows = 3')
    put(workspace.data / "mine")
    with pytest.raises(DataError, match="mine has 3 comparisons in blocks by subject, the file 4"):
        load_dataset("mine", workspace=workspace)


def test_a_known_name_comes_before_a_folder_of_that_name(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(workspace, "")
    put(workspace.data / "mine")
    (tmp_path / "here" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert len(load_dataset("mine", workspace=workspace)) == 4
    with pytest.raises(DataError, match="a folder, but no dataset"):
        load_dataset("./mine", workspace=workspace)
    with pytest.raises(DataError, match="a folder, but no dataset"):
        load_dataset(Path("mine"), workspace=workspace)


def test_a_known_dataset_takes_no_mapping(workspace: Workspace) -> None:
    define(workspace, "")
    with pytest.raises(UserError, match="known dataset, which needs no mapping"):
        load_dataset("mine", mapping={"question": "q"}, workspace=workspace)


def test_unknown_names(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    define(workspace, "", "lawyers")
    with pytest.raises(UnknownNameError, match="unknown dataset 'lawers'; did you mean 'lawyers'"):
        load_dataset("lawers", workspace=workspace)
    with pytest.raises(UnknownNameError, match="unknown dataset ''"):
        load_dataset("", workspace=workspace)
    for missing in ("lawers.jsonl", "./lawers", "work/lawers", "a/b/lawers", Path("lawers")):
        with pytest.raises(DataError, match="no such file"):
            load_dataset(missing, workspace=workspace)


def test_reading_imports_nothing_heavy(tmp_path: Path) -> None:
    path = put(tmp_path)
    code = (
        "import sys; from calf.datasets import load_dataset; "
        f"assert len(load_dataset({str(path)!r})) == 4; "
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'datasets', 'scipy', 'torch', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
