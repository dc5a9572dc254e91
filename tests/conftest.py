"""Fixtures that several test files share."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest

_NUMBERS = itertools.count()

# The threads of several processes would wait for each other at full speed, on the cores that they share.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Under nohup, or in the background of a script, these are ignored, as they would be in all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files that `CALF_SHARED_DATA` names (default: ../shared/data); skips where it is absent."""
    named = os.environ.get("CALF_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "lfqa-e").is_dir() or not (folder / "preferences").is_dir():
        pytest.skip(f"real files not found in {folder}; set CALF_SHARED_DATA")
    return folder


@pytest.fixture(autouse=True)
def _isolated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test reads or writes the user's cache, or reaches a hub."""
    if "tmp_path" in request.fixturenames:
        folder: Path = request.getfixturevalue("tmp_path")
    else:  # a folder of its own, which is made if something is written: thousands of tests write nothing
        folder = tmp_path_factory.getbasetemp() / f"untouched-{next(_NUMBERS)}"
    monkeypatch.setenv("CALF_CACHE", str(folder / "calf-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
