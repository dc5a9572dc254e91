"""A workspace and the command line as a user runs it."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from few_resamples import take_few, take_one_floor

from calf.cli import main


class Done(NamedTuple):
    stdout: str
    stderr: str


Calf = Callable[..., Done]

METRICS = '''
"""Metrics of the tests."""
import os
import pathlib
import time

from calf import Failure, Opinion


class Slow:
    """Score: the number of letters; writes down every item that it is asked for, and takes its time."""

    needs_reference = False
    batch_size = 3

    def __init__(self, seconds: float = 0.0, log: str = "") -> None:
        self.seconds = seconds
        self.log = log

    def score(self, items):
        for item in items:
            if self.log:
                with open(self.log, "a") as file:
                    file.write(f"{hash(item.response)}\\n")
            time.sleep(self.seconds)
            yield len(item.response)


class Picky:
    """Fails on long responses until a file called `mended` exists."""

    needs_reference = False

    def score(self, items):
        for item in items:
            if len(item.response) > 900 and not pathlib.Path("mended").exists():
                raise ConnectionError("server is away")
            yield float(len(item.response))


class First:
    """Always the response that is shown first."""

    needs_reference = False

    def judge(self, items):
        return ["response_a" for _ in items]


class Broken:
    needs_reference = False

    def judge(self, items):
        return [Failure("refused", "no") for _ in items]
'''


@pytest.fixture(autouse=True, scope="session")
def _parsers_are_made_once() -> Iterator[None]:
    """Those of all commands are made anew otherwise, hundreds of times, which takes longer than many a command."""
    import typer.main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(autouse=True, scope="module")
def _few_resamples() -> Iterator[None]:
    """Of a module, since some of them keep runs for all their tests."""
    with pytest.MonkeyPatch.context() as patch:
        take_few(patch)
        yield


@pytest.fixture(scope="module")
def one_floor(_few_resamples: None) -> Iterator[None]:
    """For modules in which the floors say nothing."""
    with pytest.MonkeyPatch.context() as patch:
        take_one_floor(patch)
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "calf.toml").touch()
    (folder / "mine.py").write_text(METRICS)
    return folder


@pytest.fixture
def calf(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Calf:
    """Runs `calf WORDS` in the workspace, in this process; `check=CODE` is the exit code that must come."""

    def run(*words: object, check: int = 0, cwd: Path = workspace) -> Done:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["calf", *map(str, words)])
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code or 0
        assert code == check, f"{words}: exit {code}\n{out.getvalue()}\n{err.getvalue()}"
        assert "Traceback" not in err.getvalue()
        return Done(out.getvalue(), err.getvalue())

    return run
