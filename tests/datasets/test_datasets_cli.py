"""`calf datasets ...` as it is typed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from calf.cli.datasets import app
from calf.errors import CalfError

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {
        "id": f"r{i}",
        "question": f"Why {i}?",
        "reference": "Nobody knows [yet].",
        "response_a": f"Because of {i}.",
        "response_b": f"Because of {i + 1}.",
        "source_a": "human",
        "source_b": "gpt",
        "label": "same",
    }
    for i in range(25)
]
OTHER = [{"prompt": f"Why {i}?", "one": "Yes.", "two": "No.", "won": "first"} for i in range(3)]
MAPPED = [
    *("--map", "question=prompt", "--map", "response_a=one", "--map", "response_b=two", "--map", "label=won"),
    *("--map", "label:first=response_a", "--map", "setting=:human_vs_human"),
]


@dataclass(frozen=True)
class Result:
    """What a command did: its exit code, what it printed, and its error's message."""

    code: int
    out: str
    err: str


def calf(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, CalfError):
        return Result(result.exception.exit_code, result.stdout, f"calf: {result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of its own, as the current folder, with a known dataset and some files."""
    (tmp_path / "data").mkdir()
    (tmp_path / "calf.toml").touch()
    monkeypatch.chdir(tmp_path)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "good.jsonl").write_text(lines)
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in OTHER))
    (tmp_path / "bad.jsonl").write_text(lines + '{"id": "x"}\nnoise\n')
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "data" / "known.toml").write_text(
        f'title = "A [known] one"\nlicence = "CC0"\nnotes = ["Mind this."]\ncard = "Its *card*."\n'
        f'[source]\nurl = "http://name.invalid/good.jsonl"\nsha256 = "{sha256}"\n[expect]\ncomparisons = 25\n'
    )
    return tmp_path


def messages(audit: Any) -> str:
    return "\n".join(finding["message"] for finding in audit["findings"])


class TestList:
    def test_table(self) -> None:
        result = calf("list")
        assert result.code == 0
        assert max(map(len, result.out.splitlines())) <= 100
        for word in ("sample", "lfqa-e-zh", "known", "A [known] one", "no; fetch it"):
            assert word in result.out

    def test_json(self) -> None:
        listed = {record["name"]: record for record in json.loads(calf("list", "--format", "json").out)["datasets"]}
        assert {"sample", "calf", "lfqa-e", "lfqa-e-zh", "lfqa-e-en", "xu2023", "known"} <= listed.keys()
        assert listed["known"]["comparisons"] == 25
        assert (listed["sample"]["state"], listed["known"]["state"]) == ("yes", "no; fetch it")
        assert listed["calf"]["state"] == "no; bring the file"

    def test_a_broken_definition_breaks_itself_only(self, here: Path) -> None:
        (here / "data" / "broken.toml").write_text("title = ")
        listed = {record["name"]: record for record in json.loads(calf("list", "--format", "json").out)["datasets"]}
        assert "not TOML" in listed["broken"]["problem"]
        assert listed["known"]["problem"] is None
        assert "not TOML" in " ".join(calf("list").out.split())


class TestShow:
    def test_a_known_one_that_is_not_here(self) -> None:
        result = calf("show", "known")
        assert result.code == 0
        for word in (
            "A [known] one",
            "CC0",
            "Mind this.",
            "Its card.",
            "no; fetch it",
            "http://name.invalid/good.jsonl",
        ):
            assert word in result.out
        assert json.loads(calf("show", "known", "--format", "json").out)["audit"] is None

    def test_a_known_one(self) -> None:
        assert calf("fetch", "known", "--from", "good.jsonl").code == 0
        result = calf("show", "known")
        words = " ".join(result.out.split())
        assert "25 comparisons of 25 questions in 25 groups" in words
        assert "the human is response_a in 25 of 25" in words
        assert max(len(line) for line in result.out.splitlines() if not line.startswith(("source:", "file:"))) <= 100
        shown = json.loads(calf("show", "known", "--format", "json").out)
        assert shown["name"] == "known"
        assert shown["audit"]["counts"]["setting"] == {"human_vs_model": 25}
        assert "the human is response_a in 25 of 25" in messages(shown["audit"])

    def test_a_file(self) -> None:
        assert "25 comparisons" in calf("show", "good.jsonl").out
        assert "3 comparisons" in calf("show", "other.jsonl", *MAPPED).out

    def test_the_sample(self) -> None:
        shown = json.loads(calf("show", "sample", "--format", "json").out)
        assert any("onstructed" in note for note in shown["notes"])
        assert set(shown["audit"]["counts"]["setting"]) == {"human_vs_human", "human_vs_model", "model_vs_model"}

    def test_markers_that_loading_strips(self, here: Path) -> None:
        rows = [{**row, "response_b": f"{row['response_b']} <over>"} for row in ROWS]
        (here / "data" / "marked").mkdir()
        (here / "data" / "marked" / "marked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (here / "data" / "marked.toml").write_text('title = "Marked"\n[[strip]]\nmarker = "<over>"\nwhere = "end"\n')
        found = messages(json.loads(calf("show", "marked", "--format", "json").out)["audit"])
        assert "<over>" in found
        assert "in 25 of 25 model responses, in 0 of 25 human ones; stripped on loading" in found
        assert 'strips: "<over>"' in calf("show", "marked").out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["knwon"], "unknown dataset 'knwon'; did you mean 'known'?"),
            (["nowhere.jsonl"], "no such file"),
            (["bad.jsonl"], "bad.jsonl:26: no 'question'"),
            (["good.jsonl", "--map", "question"], "--map 'question'"),
            (["good.jsonl", "--map", "question=q"], "unknown column 'q'"),
            (["known", "--map", "question=q"], "needs no mapping"),
        ],
    )
    def test_mistakes(self, arguments: list[str], message: str) -> None:
        result = calf("show", *arguments)
        assert result.code == 2
        assert message in result.err
        assert result.out == ""


class TestFetch:
    def test_from_a_copy_the_path_is_printed(self, here: Path) -> None:
        result = calf("fetch", "known", "--from", "good.jsonl")
        assert result.out.strip() == str(here / "data" / "known" / "good.jsonl")
        assert result.err == "calf: 25 comparisons; checksum verified\n"
        assert "is here already" in calf("fetch", "known").err

    def test_unverified_is_said(self, here: Path) -> None:
        (here / "data" / "loose.toml").write_text('title = "Loose"\n')
        assert "unverified: its definition has no checksum" in calf("fetch", "loose", "--from", "good.jsonl").err

    def test_another_file(self) -> None:
        result = calf("fetch", "known", "--from", "other.jsonl")
        assert result.code == 2
        assert "its sha256 is" in result.err


class TestImport:
    def test_import_and_use(self) -> None:
        result = calf("import", "other.jsonl", "--name", "mine", *MAPPED)
        assert result.code == 0
        assert "--dataset mine" in result.err
        assert "3 comparisons" in calf("show", "mine").out
        assert "--force" in calf("import", "other.jsonl", "--name", "mine", *MAPPED).err
        assert calf("import", "good.jsonl", "--name", "mine", "--force").code == 0
        assert "25 comparisons" in calf("show", "mine").out


class TestValidate:
    def test_good(self) -> None:
        result = calf("validate", "good.jsonl")
        assert result.code == 0
        assert "25 comparisons" in result.out
        assert "source on one side" in result.out
        assert result.err == "calf: no problem in good.jsonl\n"

    def test_every_problem_with_its_line(self) -> None:
        result = calf("validate", "bad.jsonl")
        assert result.code == 2
        lines = result.out.splitlines()
        assert len(lines) > 2
        assert {line.split(": ")[0] for line in lines} == {"bad.jsonl:26", "bad.jsonl:27"}
        assert result.err == f"calf: {len(lines)} problems in bad.jsonl\n"

    def test_json(self) -> None:
        bad = calf("validate", "bad.jsonl", "--format", "json")
        assert bad.code == 2
        assert {problem["line"] for problem in json.loads(bad.out)["problems"]} == {26, 27}
        assert json.loads(bad.out)["audit"] is None
        good = json.loads(calf("validate", "good.jsonl", "--format", "json").out)
        assert good["problems"] == []
        assert good["audit"]["comparisons"] == 25

    def test_a_mapping(self) -> None:
        assert calf("validate", "other.jsonl").code == 2
        assert calf("validate", "other.jsonl", *MAPPED).code == 0

    def test_a_missing_file(self) -> None:
        result = calf("validate", "nowhere.jsonl")
        assert result.code == 2
        assert "no such file" in result.out


class TestExport:
    @pytest.mark.parametrize("out", ["out.jsonl", "out.json", "out.csv", "out.parquet", "out"])
    def test_export_and_read_again(self, out: str) -> None:
        result = calf("export", "good.jsonl", out)
        assert (result.code, result.out) == (0, "")
        assert result.err == f"calf: wrote 25 comparisons to {out}\n"
        assert calf("validate", out).code == 0

    def test_a_mapping(self) -> None:
        assert calf("export", "other.jsonl", "out.csv", *MAPPED).code == 0
        assert "3 comparisons" in calf("show", "out.csv").out

    def test_an_unknown_form(self) -> None:
        result = calf("export", "good.jsonl", "out.xlsx")
        assert result.code == 2
        assert ".parquet" in result.err


def test_help_imports_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "rich.table", "datasets", "pandas", "calf.datasets.load")
    code = f"import sys, calf.cli.datasets; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.shared_data
class TestRealFiles:
    def test_the_chinese_file_by_path(self, shared_data: Path) -> None:
        result = calf("validate", shared_data / "lfqa-e" / "unified_benchmark_zh.json", "--format", "json")
        assert result.code == 0
        audit = json.loads(result.out)["audit"]
        assert (audit["questions"], audit["groups"], audit["responses"]) == (592, 501, 1488)
        assert audit["labels"]["model_vs_model"] == {"response_a": 315, "response_b": 205, "same": 79}
        found = messages(audit)
        assert "the human is response_a in 594 of 594" in found
        assert "model_vs_model: labels lean to response_a: 315 response_a, 205 response_b" in found
        assert '"回答结束" gives response_b away (setting=model_vs_model): in 96 of 599 response_b, in 0 of' in found

    def test_the_chinese_file_by_name(self, shared_data: Path) -> None:
        assert calf("fetch", "lfqa-e-zh", "--from", shared_data / "lfqa-e" / "unified_benchmark_zh.json").code == 0
        found = messages(json.loads(calf("show", "lfqa-e-zh", "--format", "json").out)["audit"])
        assert (
            '"回答结束" gives response_b away (subject=psychology): in 96 of 96 response_b, in 0 of 96 response_a; '
            "stripped on loading" in found
        )
        assert "loading takes markers out of" in found

    @pytest.mark.parametrize(
        ("name", "strings"), [("exam_en", 0), ("squality", 0), ("qafeedback", 0), ("xu2023_expert", 1)]
    )
    def test_few_strings_are_said_to_give_a_side_away(self, shared_data: Path, name: str, strings: int) -> None:
        """The one: 19 of 75 model responses of that file begin with the same three words, and no human one does."""
        result = calf("validate", shared_data / "preferences" / f"{name}.jsonl", "--format", "json")
        findings = json.loads(result.out)["audit"]["findings"]
        assert sum(finding["kind"] == "gives_side_away" for finding in findings) == strings
        assert not [f for f in findings if f["kind"] in ("label_lean", "source_on_one_side", "conflicting_pairs")]
