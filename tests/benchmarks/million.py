"""One million comparisons through `rouge-l`, streamed from Parquet: time per comparison and the most memory.

    python tests/benchmarks/million.py [--sizes 10000,100000,1000000] [--only one,jobs,dask,killed] [--folder FOLDER]

The data is the bundled sample again and again, every comparison with an id, a question and texts of its own, so that
each is a group of its own and no text occurs twice. Each way runs `calf evaluate` in a process of its own:

- one: in one process.
- jobs: with --jobs 2.
- dask: with --executor dask --jobs 2.
- killed: with --jobs 2, killed (SIGKILL) when half of it is on disk, and continued.

All must end with the same `scores.csv` and `result.json`, byte for byte. Memory is the largest resident set of the
command or of one of its workers. With --folder the data and the runs are kept there, and what is there is used. Exits
with 1 if files differ, or what was kept is judged again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WAYS = {"one": [], "jobs": ["--jobs", "2"], "dask": ["--executor", "dask", "--jobs", "2"], "killed": ["--jobs", "2"]}
ROWS_AT_ONCE = 20_000

wrong: list[str] = []


def make(path: Path, size: int) -> None:
    """Writes the data, never much of it in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from calf import load_dataset

    sample = load_dataset("sample").comparisons
    names = ("setting", "label", "language", "subject", "source_a", "source_b")
    texts = ("question", "context", "reference", "response_a", "response_b")
    schema = pa.schema([(name, pa.string()) for name in ("id", *texts, *names)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, size, ROWS_AT_ONCE):
            rows = []
            for number in range(start, min(start + ROWS_AT_ONCE, size)):
                comparison = sample[number % len(sample)]
                row = {name: getattr(comparison, name) for name in names}
                row |= {
                    name: text and f"{text} {name}{number}" for name in texts if (text := getattr(comparison, name))
                }
                rows.append({"id": f"c{number}", "context": "", **row})
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def command(data: Path, runs: Path, options: list[str]) -> list[str]:
    words = ["evaluate", "--metric", "rouge-l", "--dataset", str(data), "--runs", str(runs), "--format", "json"]
    return [sys.executable, "-m", "calf", *words, *options]


@contextlib.contextmanager
def begun(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that is running, in a process group of its own."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


def measured(words: list[str]) -> tuple[float, int]:
    """The seconds that a command takes, and its largest resident set (or that of a process it waited for), in MB."""
    started = time.perf_counter()
    with begun(words) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(words)}")
    return time.perf_counter() - started, usage.ru_maxrss // 1024


def parts_in(runs: Path) -> int:
    return sum(1 for _ in runs.glob("rouge-l--*/parts/*.csv"))


def kill_halfway(words: list[str], runs: Path, size: int) -> int:
    """Kills a command when half of its parts are there; how many are."""
    from calf.datasets.survey import CHUNK

    with begun(words) as process:
        while process.poll() is None and parts_in(runs) < max(1, size // CHUNK // 2):
            time.sleep(0.02)
        process.kill()
        process.wait()
    return parts_in(runs)


def run(way: str, data: Path, folder: Path, size: int) -> dict[str, bytes]:
    """One way at one size; the files that it ends with."""
    runs = folder / f"{way}-{size}"
    words = command(data, runs, WAYS[way])
    note = ""
    if way == "killed":
        from calf.datasets.survey import CHUNK

        kept = kill_halfway(words, runs, size)
    load = os.getloadavg()[0]
    seconds, memory = measured(words)
    (found,) = runs.glob("rouge-l--*/result.json")
    timing: dict[str, Any] = json.loads((found.parent / "timing.json").read_text())
    session = timing["sessions"][-1]
    if way == "killed":
        again = session["judged"] // 2 - (size - min(kept * CHUNK, size))
        there = min(kept * CHUNK, size)
        note = f"; killed with {kept} parts ({there:,} comparisons) on disk, {again} of them judged again"
        if again:
            wrong.append(note)
    print(
        f"{size:>9,} {way:<7} {seconds:8.1f} s {1e6 * seconds / size:7.0f} us a comparison "
        f"(judging {session['seconds']:.1f} s), {memory:5} MB, load {load:.1f}{note}",
        flush=True,
    )
    return {name: (found.parent / name).read_bytes() for name in ("scores.csv", "result.json")}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--only", default=",".join(WAYS))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calf-million-")))
        folder.mkdir(parents=True, exist_ok=True)
        for size in map(int, arguments.sizes.split(",")):
            data = folder / f"{size}.parquet"
            if not data.exists():
                make(data.with_suffix(".part"), size)
                data.with_suffix(".part").rename(data)
            ends = {way: run(way, data, folder, size) for way in arguments.only.split(",")}
            first = next(iter(ends))
            different = [way for way, files in ends.items() if files != ends[first]]
            wrong.extend(f"{size}: {way} does not end as {first} does" for way in different)
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
