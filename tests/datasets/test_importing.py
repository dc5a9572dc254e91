"""Files of one's own as known datasets, and datasets in other forms."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from calf.datasets import importing
from calf.datasets.definitions import read_definition
from calf.datasets.exporting import export
from calf.datasets.importing import import_file
from calf.datasets.load import load_dataset
from calf.errors import DataError, UnknownNameError, UserError
from calf.workspace import Workspace, find_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    (root / "data").mkdir(parents=True)
    (root / "calf.toml").touch()
    return find_workspace(root)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    rows = [
        {
            "id": f"r{i}",
            "question": f"Why {i // 2}?",
            "response_a": "Because.",
            "response_b": "一个回答。",
            "source_a": "human",
            "source_b": "gpt",
            "label": "same",
            "annotations": [{"annotator": "p1", "label": "same", "sure": True}],
            "topic": {"nested": [1, None]},
        }
        for i in range(4)
    ]
    return write_lines(tmp_path / "mine.jsonl", rows)


PROMPTS = [{"prompt": f"Why {i}?", "one": "Because.", "two": "Nobody knows.", "won": "first"} for i in range(3)]
MAPPING = {
    "question": "prompt",
    "response_a": "one",
    "response_b": "two",
    "label": "won",
    "label:first": "response_a",
    "setting": ":model_vs_model",
}


class TestImport:
    def test_the_name_gives_the_same_comparisons(self, mine: Path, workspace: Workspace) -> None:
        assert import_file(mine, "my-data", workspace=workspace) == workspace.data / "my-data" / "dataset.toml"
        named, file = load_dataset("my-data", workspace=workspace), load_dataset(mine)
        assert named.fingerprint == file.fingerprint
        assert named.name == "my-data"
        assert sorted(p.name for p in workspace.data.rglob("*")) == ["dataset.toml", "my-data", "my-data.jsonl"]

    def test_its_definition(self, mine: Path, workspace: Workspace) -> None:
        definition = read_definition(import_file(mine, "my-data", workspace=workspace))
        assert definition.licence == "unknown"
        assert definition.title == "Imported from mine.jsonl"
        assert definition.expect.comparisons == 4
        assert definition.expect.settings == {"human_vs_model": 4}
        assert "sha256" in definition.card
        (workspace.data / "my-data" / "my-data.jsonl").write_text("changed")
        with pytest.raises(DataError, match="sha256"):
            load_dataset("my-data", workspace=workspace)

    def test_a_mapping(self, tmp_path: Path, workspace: Workspace) -> None:
        file = write_lines(tmp_path / "prompts.jsonl", PROMPTS)
        import_file(file, "prompts", MAPPING, workspace=workspace)
        dataset = load_dataset("prompts", workspace=workspace)
        assert [(c.question, c.label) for c in dataset] == [(f"Why {i}?", "response_a") for i in range(3)]

    @pytest.mark.parametrize("name", ["Mine", "a/b", "..", "", "-x", "a b", "x.csv", "über"])
    def test_what_is_no_name(self, mine: Path, workspace: Workspace, name: str) -> None:
        with pytest.raises(UserError, match="cannot be a dataset's name"):
            import_file(mine, name, workspace=workspace)

    @pytest.mark.parametrize("force", [True, False])
    def test_a_known_name_is_never_taken(self, mine: Path, workspace: Workspace, force: bool) -> None:
        with pytest.raises(UserError, match=r"'lfqa-e-zh' is a known dataset .* fetch lfqa-e-zh --from"):
            import_file(mine, "lfqa-e-zh", force=force, workspace=workspace)

    def test_an_imported_name_is_replaced_by_force_only(self, mine: Path, tmp_path: Path, workspace: Workspace) -> None:
        import_file(mine, "my-data", workspace=workspace)
        other = write_lines(tmp_path / "prompts.jsonl", PROMPTS)
        with pytest.raises(UserError, match=r"is here already .* replace it with --force"):
            import_file(other, "my-data", MAPPING, workspace=workspace)
        assert len(load_dataset("my-data", workspace=workspace)) == 4
        import_file(other, "my-data", MAPPING, force=True, workspace=workspace)
        assert len(load_dataset("my-data", workspace=workspace)) == 3
        assert [p.name for p in workspace.data.iterdir()] == ["my-data"]

    def test_a_folder_in_the_way(self, mine: Path, workspace: Workspace) -> None:
        (workspace.data / "my-data").mkdir()
        with pytest.raises(UserError, match="in the way"):
            import_file(mine, "my-data", workspace=workspace)

    def test_a_bad_file_writes_nothing(self, tmp_path: Path, workspace: Workspace) -> None:
        bad = write_lines(tmp_path / "bad.jsonl", [{**PROMPTS[0], "won": "third"}, {**PROMPTS[1], "won": 7}])
        with pytest.raises(DataError, match=r"bad.jsonl:1: .*'third'.* \(and 1 more"):
            import_file(bad, "bad", MAPPING, workspace=workspace)
        with pytest.raises(UnknownNameError, match="unknown column"):
            import_file(bad, "bad", {**MAPPING, "question": "promt"}, workspace=workspace)
        with pytest.raises(DataError, match="no such file"):
            import_file(tmp_path / "nowhere.jsonl", "bad", workspace=workspace)
        assert list(workspace.data.iterdir()) == []

    def test_a_failure_in_the_middle_keeps_what_was_there(
        self, mine: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_file(mine, "my-data", workspace=workspace)

        def full(*_: Any) -> str:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(importing, "_definition", full)
        with pytest.raises(UserError, match=r"cannot write to .*: No space left on device"):
            import_file(mine, "my-data", force=True, workspace=workspace)
        assert len(load_dataset("my-data", workspace=workspace)) == 4
        assert [p.name for p in workspace.data.iterdir()] == ["my-data"]

    @pytest.mark.parametrize("file_name", ['quo"te\\.jsonl', "new\nline.jsonl", "del\x7f.jsonl", "emoji 😀.jsonl"])
    def test_the_definition_is_toml_whatever_the_file_is_called(
        self, mine: Path, workspace: Workspace, file_name: str
    ) -> None:
        file = mine.rename(mine.with_name(file_name))
        definition = import_file(file, "my-data", workspace=workspace)
        assert tomllib.loads(definition.read_text(encoding="utf-8"))["title"] == f"Imported from {file_name}"
        assert len(load_dataset("my-data", workspace=workspace)) == 4

    def test_outside_a_workspace_it_goes_to_the_cache(
        self, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert import_file("mine.jsonl", "my-data").is_relative_to(tmp_path / "calf-cache" / "data")
        assert len(load_dataset("my-data")) == 4

    def test_processes_at_once(self, mine: Path, workspace: Workspace) -> None:
        """Of several that import under one name, one does; the others say that it is there."""
        code = """
            import sys
            from pathlib import Path
            from calf.datasets.importing import import_file
            from calf.errors import UserError
            from calf.workspace import find_workspace
            try:
                import_file(sys.argv[1], "my-data", workspace=find_workspace(Path(sys.argv[2])))
            except UserError:
                sys.exit(2)
        """
        command = [sys.executable, "-c", textwrap.dedent(code), str(mine), str(workspace.root)]
        running = [subprocess.Popen(command) for _ in range(3)]
        assert sorted(process.wait(timeout=60) for process in running) == [0, 2, 2]
        assert len(load_dataset("my-data", workspace=workspace)) == 4
        assert [p.name for p in workspace.data.iterdir()] == ["my-data"]


class TestExport:
    @pytest.mark.parametrize("name", ["out.jsonl", "out.json", "out.csv", "out.parquet", "out"])
    def test_there_and_back(self, mine: Path, tmp_path: Path, name: str) -> None:
        dataset = load_dataset(mine)
        (tmp_path / "new").mkdir()
        export(dataset, tmp_path / "new" / name)
        assert load_dataset(tmp_path / "new" / name).fingerprint == dataset.fingerprint
        assert [p.name for p in (tmp_path / "new").iterdir()] == [name]

    def test_a_folder_is_a_hugging_face_dataset(self, mine: Path, tmp_path: Path) -> None:
        import datasets

        export(load_dataset(mine), tmp_path / "saved")
        loaded = datasets.load_from_disk(str(tmp_path / "saved"))
        assert loaded.features["label"].names == ["response_a", "response_b", "same"]
        assert loaded.features["setting"].int2str(loaded[0]["setting"]) == "human_vs_model"

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("out.xlsx", "cannot write '.xlsx'; use .jsonl, .json, .csv, .parquet, or a folder's name"),
            ("there", "exists; name a new folder"),
            ("there.csv", "is a folder; name a file"),
            ("missing/out.csv", "cannot be written: No such file or directory"),
        ],
    )
    def test_where_it_cannot_write(self, mine: Path, tmp_path: Path, name: str, message: str) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "there.csv").mkdir()
        with pytest.raises(UserError) as error:
            export(load_dataset(mine), tmp_path / name)
        assert message in str(error.value)
