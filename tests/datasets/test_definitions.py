from __future__ import annotations

from pathlib import Path

import pytest

from calf.datasets.definitions import Definition, Marker, definition_files, find_definition, read_definition
from calf.datasets.known import strip_markers
from calf.errors import DataError
from calf.workspace import Workspace, builtin_folder

FULL = """
name = "mine"
title = "Mine"
summary = "Some items"
card = "A card."
notes = ["Say this."]
licence = "CC BY 4.0"
homepage = "https://example.org"
language = "en"
group_key = "story"
[source]
url = "https://example.org/v1/my%20items.jsonl?raw=1"
revision = "v1"
[expect]
comparisons = 2
settings = { model_vs_model = 2 }
[[subjects]]
subject = "law"
rows = 2
[[strip]]
marker = "END"
where = "end"
[[published]]
metric = "ROUGE"
what = "all"
source = "a paper"
accuracy = 52
"""


def define(folder: Path, text: str, name: str = "mine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_full_definition(tmp_path: Path) -> None:
    definition = read_definition(define(tmp_path, FULL))
    assert definition.source.file == "my items.jsonl"
    assert definition.source.sha256 is None
    assert definition.group_key == ("story",)
    assert definition.subjects == (("law", 2),)
    assert definition.strip == (Marker("END", "end"),)
    assert definition.expect.settings == {"model_vs_model": 2}
    assert (definition.published[0].accuracy, definition.published[0].macro_f1) == (52, None)


def test_a_short_definition(tmp_path: Path) -> None:
    path = define(tmp_path, 'title = "T"')
    assert read_definition(path) == Definition(name="mine", path=path, title="T")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no 'title'"),
        ("title = 3", "title has a value of the wrong type: 3"),
        ("title = true", "title has a value of the wrong type: true"),
        ('title = "T"\nlicense = "MIT"', "unknown key 'license'; did you mean 'licence'?"),
        ('title = "T"\nname = "other"', "name must be 'mine', as the file is named"),
        ('title = "T"\nnotes = "x"', "notes has a value of the wrong type: 'x'"),
        ('title = "T"\nnotes = [1]', "notes must be a list of strings"),
        ('title = "T"\n[source]\nsha = "x"', "unknown key 'source.sha'"),
        ('title = "T"\n[source]\nsha256 = "ABC"', "source.sha256 must be 64 lower-case hexadecimal digits"),
        ('title = "T"\n[source]\nfile = "../x.csv"', "source.file must stay inside the folder"),
        ('title = "T"\n[expect]\ncomparisons = "2"', "expect.comparisons has a value of the wrong type: '2'"),
        ('title = "T"\n[expect.settings]\nhuman = 2', "unknown key 'expect.settings.human'"),
        ('title = "T"\n[[strip]]\nwhere = "end"', "no 'strip.marker'"),
        ('title = "T"\n[[strip]]\nmarker = "x"\nwhere = "middle"', "strip needs a marker that is not blank, and where"),
        ('title = "T"\n[[subjects]]\nsubject = "law"', "no 'subjects.rows'"),
        ('title = "T"\n[[published]]\nmetric = "x"\nwhat = "y"', "no 'published.source'"),
        ('title = "T"\nstrip = ["x"]', "strip must be a table, not 'x'"),
        ("title = ", "not TOML: "),
    ],
)
def test_wrong_definitions_name_their_file(tmp_path: Path, text: str, message: str) -> None:
    path = define(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_definition(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_name_that_cannot_be_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be a dataset's name"):
        read_definition(define(tmp_path, 'title = "T"', "My Set"))


def test_the_first_definition_of_a_name_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    define(first / "data", 'title = "first"')
    define(second / "data", 'title = "second"')
    define(second / "data" / "theirs", 'title = "folder"', "dataset")
    workspace = Workspace(None, tmp_path, tmp_path, (first, second, tmp_path / "missing"))
    assert list(definition_files(workspace)) == ["mine", "theirs"]
    titles = {name: found.title for name in ("mine", "theirs") if (found := find_definition(name, workspace))}
    assert titles == {"mine": "first", "theirs": "folder"}
    assert find_definition("nothing", workspace) is None


def test_the_definitions_that_calf_brings() -> None:
    files = sorted((builtin_folder() / "data").glob("*.toml"))
    definitions = {path.stem: read_definition(path) for path in files}
    assert set(definitions) == {"calf", "lfqa-e", "lfqa-e-en", "lfqa-e-zh", "sample", "xu2023"}
    for definition in definitions.values():
        assert definition.summary
        assert definition.card
        assert definition.source.url or definition.source.unavailable or definition.name == "sample"
        if definition.source.url:
            assert definition.source.revision is not None
            assert definition.source.revision in definition.source.url
        assert definition.expect.comparisons in {None, sum(rows for _, rows in definition.subjects)} or not (
            definition.subjects
        )
    assert definitions["calf"].source.url is None
    assert definitions["sample"].notes == ("Constructed labels: no evidence about any metric.",)
    assert {figure.metric: figure.accuracy for figure in definitions["lfqa-e"].published[:8]}["human"] == 79.9


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("An answer.\n\nEND", "An answer."),
        ("An answer.\n\nEND. \n", "An answer."),
        ("Answer:\n one", "one"),
        ("  Answer: one END", "one"),
        ("The Answer: END is near", "The Answer: END is near"),
        (" untouched \n", " untouched \n"),
        ("one <cut> two<cut>", "one  two"),
        ("END", ""),
        ("", ""),
    ],
)
def test_markers(text: str, left: str) -> None:
    markers = [Marker("END.", "end"), Marker("END", "end"), Marker("Answer:", "start"), Marker("<cut>")]
    assert strip_markers(text, markers) == left
