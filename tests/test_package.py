"""The built wheel: what is in it, and that it works away from the checkout; the example plug-in beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "tests" / "example_plugin"


def build(source: Path, target: Path) -> Path:
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the two wheels, and this one's libraries behind them, but not its `calf`; one a session."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "installed"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            install(folder)
    return folder / "env" / "bin" / "python"


def install(folder: Path) -> None:
    venv.create(folder / "env", with_pip=False, symlinks=True)
    inside = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
    wheels = [str(build(source, folder / f"wheel{number}")) for number, source in enumerate((ROOT, PLUGIN))]
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"]
    subprocess.run([*words, str(inside), *wheels], check=True)
    # a plain path line: the folder is searched, its own .pth files (an editable install) are not read
    (inside / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")


def calf(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-E", "-m", "calf", *words]  # -E: a PYTHONPATH may name the checkout
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_wheel_holds_definitions_inside_the_package_only(python: Path) -> None:
    (wheel,) = (python.parents[2] / "wheel0").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"calf"}
    for needed in ("data/sample/sample.jsonl", "data/lfqa-e-zh.toml", "metrics/rouge-l.toml", "metrics/bertscore.toml"):
        assert f"calf/_builtin/{needed}" in names
    assert not [name for name in names if "build.py" in name or "unified_benchmark" in name]


def test_an_installed_wheel_works_from_any_folder(python: Path, tmp_path: Path) -> None:
    command = [python, "-E", "-c", "import calf; print(calf.__file__)"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(python.parents[1])
    done = calf(python, tmp_path, "evaluate", "--metric", "rouge-l", "--limit", "24", "--format", "json")
    assert done.returncode == 0, done.stderr
    words = ("evaluate", "--metric", "rouge-l", "--limit", "24", "--format", "json", "--runs", tmp_path / "r")
    here = subprocess.run([sys.executable, "-m", "calf", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(here.stdout)
    assert (tmp_path / "runs").is_dir()
    assert "lfqa-e-zh" in calf(python, tmp_path, "datasets", "list").stdout


def test_the_example_plug_in_is_found_used_and_breaks_itself_only(python: Path, tmp_path: Path) -> None:
    listed = json.loads(calf(python, tmp_path, "metrics", "list", "--format", "json").stdout)
    by_name = {metric["name"]: metric for metric in listed["metrics"]}
    assert by_name["bullet-points"]["origin"] == "plug-in bullet-points 1.2.0"
    assert by_name["bullet-points"]["options"]["mark"]["type"] == "dash|star|any"
    assert "broken on purpose" in by_name["broken-import"]["problem"]
    assert by_name["rouge-l"]["usable"]
    words = ("evaluate", "--metric", "bullet-points[mark=dash]", "--metric", "more-digits", "--limit", "24")
    done = calf(python, tmp_path, *words, "--format", "json")
    assert done.returncode == 1, done.stderr
    assert "no_digits" in done.stderr
    rows = {row["metric"]: row for row in json.loads(done.stdout)["rows"] if row["slice"] == "overall"}
    assert rows["bullet-points[mark=dash]"]["coverage"] == 1
    assert 0 < rows["more-digits"]["coverage"] < 1
    manifest = next((tmp_path / "runs").glob("bullet-points*/manifest.json"))
    signature = json.loads(manifest.read_text())["signature"]
    assert "plug-in:bullet-points==1.2.0" in signature
    assert "version:2" in signature
    broken = calf(python, tmp_path, "evaluate", "--metric", "broken-import")
    assert broken.returncode == 2
    assert "broken on purpose" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "calf-cache"] == ["runs"]
