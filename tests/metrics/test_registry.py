"""How metrics are found: definitions, entry points, module:Name, file.py:Name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from calf.errors import DataError, MissingDependencyError, OptionError, UnknownNameError, UserError
from calf.metrics.registry import list_metrics, load_floor, load_metric

METRIC = """
class Count:
    needs_reference = False

    def __init__(self, letter: str = "e") -> None:
        self.letter = letter

    def score(self, items):
        return [item.response.count(self.letter) for item in items]

class Both:
    def score(self, items): ...
    def judge(self, items): ...

class Explodes:
    def __init__(self): raise ValueError("at once")
    def score(self, items): ...

class Needs:
    packages = ("surely_not_installed",)
    extra = "bertscore"
    def score(self, items): ...
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "calf.toml").touch()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "count.py").write_text(METRIC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def define(workspace: Path, name: str, text: str) -> None:
    (workspace / "metrics" / f"{name}.toml").write_text(text, encoding="utf-8")


def test_a_variant_is_named_by_what_differs_from_the_defaults() -> None:
    assert load_metric("rouge-l").name == "rouge-l"
    assert load_metric("rouge-l[measure=f1]").name == "rouge-l"
    assert load_metric("rouge-l", measure="recall").name == "rouge-l[measure=recall]"
    assert load_metric("rouge-l", measure="recall").signature(["en"]) != load_metric("rouge-l").signature(["en"])


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'rouge-l'"):
        load_metric("rouge-1l")
    with pytest.raises(OptionError, match="did you mean 'measure'"):
        load_metric("rouge-l[measur=f1]")
    with pytest.raises(OptionError, match="given twice"):
        load_metric("rouge-l[measure=f1]", measure="recall")
    with pytest.raises(OptionError, match="no option 'variant'"):
        load_metric("rouge-l[variant=1]")


def test_a_class_in_a_file(workspace: Path) -> None:
    metric = load_metric("count.py:Count[letter=x]")
    assert metric.name == "count.py:Count[letter=x]"
    assert metric.instance.letter == "x"  # type: ignore[union-attr]
    assert metric.kind == "response"


def test_edited_code_is_another_metric(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even within a second, and of the same size, by which Python would tell what it has compiled."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = workspace / "count.py"
    before = load_metric("count.py:Count")
    old = before.signature(["en"])
    made = file.stat().st_mtime
    file.write_text(METRIC.replace('"e"', '"a"'))
    os.utime(file, (made, made))
    after = load_metric("count.py:Count")
    assert after.signature(["en"]) != old
    assert after.instance.letter == "a"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere.py:Count", "does not exist"),
        ("count.py:Cuont", "did you mean 'Count'"),
        ("count.py:Both", "either score"),
        ("count.py:", "write package.module:Name"),
        ("no_such_module_here:X", "ModuleNotFoundError"),
        ("calf.types:LABELS", "must be a class"),
        ("broken.py:X", "SyntaxError"),
    ],
)
def test_a_wrong_class_is_one_line(workspace: Path, spec: str, message: str) -> None:
    (workspace / "broken.py").write_text("def (")
    with pytest.raises(UserError, match=message) as caught:
        load_metric(spec)
    assert "\n" not in str(caught.value)


def test_what_a_constructor_raises_is_one_line(workspace: Path) -> None:
    with pytest.raises(OptionError, match="ValueError: at once"):
        _ = load_metric("count.py:Explodes").instance


def test_a_missing_package_names_the_extra(workspace: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'calf-eval\[bertscore\]'"):
        _ = load_metric("count.py:Needs").instance


def test_a_definition_of_the_workspace(workspace: Path) -> None:
    define(workspace, "vowels", 'adapter = "../count.py:Count"\nsummary = "letters"\n[options]\nletter = "a"\n')
    metric = load_metric("vowels")
    assert metric.name == "vowels"
    assert metric.origin == "workspace"
    assert metric.instance.letter == "a"  # type: ignore[union-attr]
    assert load_metric("vowels[letter=o]").name == "vowels[letter=o]"


def test_a_definition_over_another_metric(workspace: Path) -> None:
    define(workspace, "my-rouge", 'adapter = "rouge-l"\n[parameters]\nmeasure = "recall"\n')
    metric = load_metric("my-rouge")
    assert metric.settings["measure"] == "recall"
    assert metric.settings["variant"] == "l"
    with pytest.raises(OptionError, match="no option 'measure'"):
        load_metric("my-rouge[measure=f1]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adapter = ", "not a TOML file"),
        ('summary = "x"', "'adapter' is missing"),
        ('adapter = "rouge-l"\ncolour = "red"', "unknown key 'colour'"),
        ('adapter = "rouge-l"\noptions = 3', "must be tables"),
        ('adapter = "odd"', "leads back to itself"),
        ('adapter = "rouge-l"\n[options]\nmeasur = "f1"', "did you mean 'measure'"),
    ],
)
def test_a_broken_definition_is_named_and_breaks_itself_only(workspace: Path, text: str, message: str) -> None:
    define(workspace, "odd", text)
    with pytest.raises((DataError, OptionError), match=message):
        load_metric("odd")
    listed = {listing.name: listing for listing in list_metrics()}
    assert message.split("'")[-2 if "'" in message else 0] in listed["odd"].problem
    assert not listed["rouge-l"].problem


def test_every_built_in_metric_is_listed_and_says_what_it_is() -> None:
    listed = [listing for listing in list_metrics() if listing.origin == "built-in"]
    assert {"rouge-l", "bleu", "bertscore", "longer"} <= {listing.name for listing in listed}
    for listing in listed:
        assert listing.summary, listing.name
        assert listing.traits.family != "custom", listing.name
        assert not listing.problem, listing.problem


def test_another_class_behind_the_same_name_is_another_metric(workspace: Path) -> None:
    (workspace / "two.py").write_text(METRIC.replace("class Both", "class Other(Count):\n    pass\n\n\nclass Both"))
    define(workspace, "mine", 'adapter = "../two.py:Count"\n')
    before = load_metric("mine").signature(["en"])
    define(workspace, "mine", 'adapter = "../two.py:Other"\n')
    assert load_metric("mine").signature(["en"]) != before


def signature_in_a_new_python(workspace: Path, spec: str) -> str:
    code = f"import calf; print(calf.load_metric({spec!r}).signature(['en']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=workspace, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_edited_helper_or_base_class_is_another_metric(workspace: Path) -> None:
    (workspace / "weights.py").write_text("WEIGHT = 1\n")
    (workspace / "base.py").write_text("class Base:\n    def score(self, items):\n        return [1 for _ in items]\n")
    (workspace / "derived.py").write_text(
        "from base import Base\nfrom weights import WEIGHT\n\nclass Derived(Base):\n    weight = WEIGHT\n"
    )
    seen = {signature_in_a_new_python(workspace, "derived.py:Derived")}
    (workspace / "weights.py").write_text("WEIGHT = -1\n")
    seen.add(signature_in_a_new_python(workspace, "derived.py:Derived"))
    (workspace / "base.py").write_text("class Base:\n    def score(self, items):\n        return [2 for _ in items]\n")
    seen.add(signature_in_a_new_python(workspace, "derived.py:Derived"))
    seen.add(signature_in_a_new_python(workspace, "derived:Derived").replace("derived:D", "derived.py:D"))
    assert len(seen) == 3, "by file and by module it is the same code"


def test_a_module_edited_after_its_import_is_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "edited_module.py").write_text(METRIC)
    load_metric("edited_module:Count").signature(["en"])
    (workspace / "edited_module.py").write_text(METRIC + "\n# changed\n")
    with pytest.raises(UserError, match="start Python again"):
        load_metric("edited_module:Count")


def test_a_prompt_file_lies_beside_its_definition_and_is_part_of_the_signature(workspace: Path) -> None:
    define(workspace, "prompted", 'adapter = "../count.py:Count"\n[files]\nletter = "letter.txt"\n')
    (workspace / "metrics" / "letter.txt").write_text("a")
    metric = load_metric("prompted")
    assert metric.instance.letter == "a"  # type: ignore[union-attr]
    before = metric.signature(["en"])
    assert "letter:sha256:" in before
    (workspace / "metrics" / "letter.txt").write_text("o")
    assert load_metric("prompted").signature(["en"]) != before
    (workspace / "metrics" / "letter.txt").unlink()
    with pytest.raises(DataError, match=r"letter\.txt: cannot be read"):
        load_metric("prompted")


def test_declared_secrets_are_hidden(workspace: Path) -> None:
    (workspace / "hush.py").write_text(
        "class Hush:\n    secrets = ('pin',)\n    def __init__(self, pin: str, stop_token: str = 'x'): ...\n"
        "    def score(self, items): ...\n"
    )
    metric = load_metric("hush.py:Hush[pin=PLANTED,stop_token=y]")
    assert metric.name == "hush.py:Hush[stop_token=y]"
    assert "PLANTED" not in metric.signature(["en"])
    assert "stop_token:y" in metric.signature(["en"])
    assert metric.secret_values == ("PLANTED",)


def test_a_floor_is_calfs_own_whatever_a_workspace_calls_so(workspace: Path) -> None:
    define(workspace, "shorter", 'adapter = "longer"\n')
    define(workspace, "random", 'adapter = "nothing"\n')
    assert load_metric("shorter").settings["prefer"] == "longer"
    assert load_floor("shorter").settings["prefer"] == "shorter"
    assert load_floor("random").origin == "built-in"


@pytest.mark.parametrize(
    "line", ["batch_size = 'x'", "languages = 'en'", "packages = 'bert_score'", "version = 0", "needs_reference = 'no'"]
)
def test_a_wrong_trait_is_one_line_and_breaks_itself_only(workspace: Path, line: str) -> None:
    (workspace / "odd.py").write_text(f"class Odd:\n    {line}\n    def score(self, items): ...\n")
    define(workspace, "odd", 'adapter = "../odd.py:Odd"\n')
    with pytest.raises(OptionError, match=line.split(maxsplit=1)[0]):
        _ = load_metric("odd").instance
    listed = {listing.name: listing.problem for listing in list_metrics()}
    assert line.split(maxsplit=1)[0] in listed["odd"]
    assert not listed["rouge-l"]


def test_an_option_without_annotation_takes_text(workspace: Path) -> None:
    (workspace / "free.py").write_text(
        "class Free:\n    def __init__(self, model=None, stops: list[str] = ()):\n"
        "        self.model, self.stops = model, stops\n"
        "    def score(self, items): ...\n"
    )
    assert load_metric("free.py:Free[model=m]").instance.model == "m"  # type: ignore[union-attr]
    define(workspace, "free", 'adapter = "../free.py:Free"\n[options]\nstops = ["a", "b"]\n')
    assert load_metric("free").instance.stops == ["a", "b"]  # type: ignore[union-attr]
