"""Worker processes and Dask clusters: the same results, and clear words when something is amiss."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import few_resamples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf import evaluate, load_dataset
from calf.errors import MissingDependencyError, StoppedError, UserError
from calf.metrics.base import Preparation, Response
from calf.metrics.registry import load_metric
from calf.runs import chunks as chunking
from calf.runs import executors, workers
from calf.runs.chunks import _Chunks
from calf.runs.executors import check_executor, open_workers
from calf.runs.plan import Unit
from calf.runs.workers import Setup, pack, unpack, work
from calf.types import Failure, Score

pytest.importorskip("distributed")

METRICS = '''
import os
import pathlib
import signal
import time


class Counted:
    """Writes down how often it is prepared; fails on every seventh length, and now and then prints."""

    needs_reference = False
    batch_size = 4

    def __init__(self, log: str = ""):
        self.log = log

    def prepare(self, preparation):
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()} {len(preparation.comparisons)}\\n")

    def score(self, items):
        for item in items:
            if len(item.response) % 7 == 0:
                raise ValueError("a seventh")
            print("noise")
            yield len(item.response)


class Slow:
    needs_reference = False
    batch_size = 1

    def score(self, items):
        time.sleep(0.3)
        return [len(item.response) for item in items]


class Held:
    """1 where an interrupt does not reach the process, from its start on."""

    needs_reference = False
    batch_size = 1

    def score(self, items):
        return [float(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())) for item in items]


class Dies:
    batch_size = 8

    def score(self, items):
        os._exit(9)
'''


@pytest.fixture(autouse=True, scope="module")
def _few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        few_resamples.take_few(patch)
        few_resamples.take_one_floor(patch)
        yield


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A Dask cluster in threads of this process: one worker that judges two chunks at once."""
    from distributed import LocalCluster

    places = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", silence_logs=logging.CRITICAL, **places
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(METRICS)
    return tmp_path / "mine.py"


def unit(number: int, size: int) -> Unit:
    return Unit(f"k{number}", Response("", "", None, "x" * (size - 1), "en"))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 20_000), max_size=60), st.lists(st.floats(1e-4, 10), min_size=1, max_size=60))
def test_chunks_hold_every_item_once_and_take_the_time_that_is_wanted(sizes: list[int], rates: list[float]) -> None:
    units = [unit(number, size) for number, size in enumerate(sizes)]
    chunks, taken, before = _Chunks(units), [], chunking._FIRST_CHUNK
    for turn in range(len(units) + 1):
        chunk, size = chunks.take()
        if not chunk:
            break
        assert size == sum(len(u.item.response) + 1 for u in chunk)  # type: ignore[union-attr]
        assert sum(len(u.item.response) + 1 for u in chunk[:-1]) < before, "one item too many at most"  # type: ignore[union-attr]
        taken += chunk
        seconds = rates[turn % len(rates)]
        chunks.learn(size, seconds)
        assert 1 <= chunks._most <= min(4 * before, chunking._LARGEST_CHUNK)
        assert chunks._most <= max(1, size * 0.3 / seconds)
        before = chunks._most
    assert taken == units


def test_a_cluster_judges_as_this_process_does(address: str, metrics: Path, tmp_path: Path) -> None:
    runs = {}
    for name, options in {
        "here": {},
        "processes": {"jobs": 2},
        "dask": {"executor": f"dask:{address}"},
    }.items():
        log = tmp_path / "log"
        runs[name] = evaluate(f"{metrics}:Counted[log={log}]", "sample", runs=tmp_path / name, limit=60, **options)
        prepared = log.read_text().splitlines()
        assert all(line.endswith(" 192") for line in prepared)
        # This process, and each worker that was given something, once.
        assert len(prepared) in {"here": (1,), "processes": (2, 3), "dask": (2,)}[name]
        log.unlink()
    first = runs["here"]
    assert first.failures == {"error": sum(j.failure == "error" for j in first.judgments)}
    assert first.failures["error"] > 0
    for run in runs.values():
        for file in ("scores.csv", "result.json"):
            assert (run.path / file).read_bytes() == (first.path / file).read_bytes()


def test_only_metrics_that_look_at_the_dataset_are_sent_it(monkeypatch: pytest.MonkeyPatch, metrics: Path) -> None:
    seen = []
    monkeypatch.setattr(executors, "open_processes", lambda setup, jobs: seen.append(setup) or pytest.fail("enough"))
    preparation = Preparation(load_dataset("sample").comparisons, 0)
    for spec in (f"{metrics}:Dies", f"{metrics}:Counted", "rouge-l"):
        with (
            pytest.raises(pytest.fail.Exception, match="enough"),
            open_workers(load_metric(spec), preparation, 2, "local"),
        ):
            pass
    assert [setup.preparation is not None for setup in seen] == [False, True, True]


def test_a_worker_with_other_code_refuses(metrics: Path) -> None:
    metric = load_metric(f"{metrics}:Counted")
    for code, message in ((("0.0.0", ""), "has CALF"), ((workers.calf.__version__, "x"), "other code of the metric")):
        with pytest.raises(UserError, match=message):
            work(Setup("k", metric.recipe, "response", 4, (), None, code), pack([unit(1, 3)]))


def test_a_metric_that_fails_in_a_worker_fails_on_its_item_only(metrics: Path, tmp_path: Path) -> None:
    metric = load_metric(f"{metrics}:Counted", log=str(tmp_path / "log"))
    code = (workers.calf.__version__, workers.code_digest(metric.cls))
    setup = Setup("k2", metric.recipe, "response", 4, (), Preparation((), 0), code)
    outcomes, seconds = work(setup, pack([unit(number, number + 1) for number in range(9)]))
    kinds = {key: type(outcome) for key, outcome in unpack(outcomes).items()}
    assert kinds == {f"k{n}": Failure if n % 7 == 0 else Score for n in range(9)}
    assert seconds >= 0


@pytest.mark.parametrize("name", ["dusk", "local:3", "dask:", "", "Dask"])
def test_an_unknown_executor_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match="known: local, dask, dask:ADDRESS"):
        check_executor(load_metric("rouge-l"), 1, name)


def test_metrics_that_ask_many_at_once_refuse(tmp_path: Path) -> None:
    for options, named in (({"jobs": 2}, "--jobs"), ({"executor": "dask"}, "--executor dask")):
        with pytest.raises(UserError, match=f"{named} is not for it"):
            evaluate("judge-pairwise[model=m]", "sample", runs=tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(executors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"calf-eval\[dask\]"):
        check_executor(load_metric("rouge-l"), 1, "dask")


@pytest.mark.parametrize("where", ["127.0.0.1:1", "nonsense", "tcp://[", "gopher://127.0.0.1:80"])
def test_an_address_where_nobody_listens_is_one_line_within_seconds(where: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(UserError, match="no Dask scheduler answers at"):
        evaluate("rouge-l", "sample", runs=tmp_path / "runs", executor=f"dask:{where}")
    assert time.monotonic() - started < 20
    assert not (tmp_path / "runs").exists()


def test_a_cluster_without_workers_is_one_line(tmp_path: Path) -> None:
    from distributed import LocalCluster

    quiet: dict[str, Any] = {"silence_logs": logging.CRITICAL, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", **quiet) as cluster,
        pytest.raises(UserError, match="has no workers"),
    ):
        evaluate("rouge-l", "sample", runs=tmp_path / "runs", executor=f"dask:{cluster.scheduler_address}")


def test_a_finished_run_needs_no_cluster(tmp_path: Path) -> None:
    first = evaluate("rouge-l", "sample", runs=tmp_path, limit=6)
    again = evaluate("rouge-l", "sample", runs=tmp_path, limit=6, executor="dask:127.0.0.1:1")
    assert again.rows == first.rows


def calf(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, few_resamples.__file__, "evaluate", "--format", "json", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_a_cluster_of_its_own_keeps_to_itself(metrics: Path, tmp_path: Path) -> None:
    words = ("--metric", "mine.py:Counted[log=log]", "--executor", "dask", "--jobs", "1", "--limit", "30")
    done = calf(tmp_path, *words)
    assert done.returncode == 1, done.stderr  # some judgments failed
    assert json.loads(done.stdout)["rows"], "standard output is the result alone"
    assert "Traceback" not in done.stderr
    assert "distributed" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "log", "runs", "__pycache__"} - (
        set() if (tmp_path / "__pycache__").exists() else {"__pycache__"}
    )


def test_a_dying_worker_of_a_cluster_stops_the_run(metrics: Path, tmp_path: Path) -> None:
    done = calf(tmp_path, "--metric", "mine.py:Dies", "--executor", "dask", "--jobs", "1")
    assert done.returncode == StoppedError.exit_code, done.stderr
    assert "a Dask worker died" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_more_workers_than_chunks_is_no_death(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "_POLL_SECONDS", 0.1)
    monkeypatch.setattr(chunking, "_FIRST_CHUNK", 1_000_000)
    run = evaluate(f"{metrics}:Slow", "sample", limit=1, jobs=3)
    assert run.judgments
    assert not run.failures


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="not on this system")
@pytest.mark.parametrize("executor", ["local", "dask"])
def test_workers_never_hear_of_an_interrupt(executor: str, metrics: Path) -> None:
    jobs = 2 if executor == "local" else 1  # one alone would be this process
    run = evaluate(f"{metrics}:Held", "sample", limit=6, jobs=jobs, executor=executor)
    assert {score for j in run.judgments for score in (j.score_a, j.score_b)} == {1.0}


def test_an_interrupt_while_a_cluster_starts_leaves_nothing(
    metrics: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import distributed

    before, made = set(multiprocessing.active_children()), distributed.LocalCluster

    def interrupted(**options: Any) -> Any:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        return made(**options)

    monkeypatch.setattr(distributed, "LocalCluster", interrupted)
    clusters = set(made._instances)
    with pytest.raises(KeyboardInterrupt):
        evaluate(f"{metrics}:Slow", "sample", limit=6, executor="dask", jobs=1)
    assert set(multiprocessing.active_children()) <= before
    assert {cluster for cluster in made._instances if cluster.status.name != "closed"} <= clusters
    assert "Traceback" not in capfd.readouterr().err


def test_workers_without_calf_are_one_line(address: str, metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def refused(*_: Any, **__: Any) -> Any:
        raise Exception("ModuleNotFoundError(\"No module named 'calf'\")")

    monkeypatch.setattr(distributed.Client, "scatter", refused)
    with pytest.raises(UserError, match=r"No module named 'calf'.* each needs CALF"):
        evaluate(f"{metrics}:Slow", "sample", limit=6, executor=f"dask:{address}")


def test_dasks_own_reports_are_silent_at_every_level() -> None:
    from calf.runs.dask import _quiet

    deep = logging.getLogger("distributed.client")
    before = deep.level
    with _quiet():
        assert not deep.isEnabledFor(logging.ERROR)
    assert deep.level == before
