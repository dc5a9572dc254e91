"""Whole runs of a judge against a scripted server: the data, the command, and what must come of every comparison."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.server import WRONG, Script, key_of

from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.engine.budget import Spending
from calf.evaluation import evaluate
from calf.judges.parse import Unread, read_verdict
from calf.metrics.registry import load_metric
from calf.runs.plan import plan

JUDGE = "judge-pairwise"
ANSWERS = ["Verdict: A", "Verdict: B", "Verdict: same"]
VERDICTS = dict(zip(ANSWERS, ("response_a", "response_b", "same"), strict=True))
MIRROR = {"response_a": "response_b", "response_b": "response_a", "same": "same"}

# What a fault is called when it came once too often; a fault that is not here is sent once.
PASSING = {
    "429": "rate_limited",
    "500": "server_error",
    "503": "server_error",
    "408": "timeout",
    "409": "server_error",
    "hang": "timeout",
    "reset": "connection",
    "close": "connection",
    "half": "connection",
    "half_reset": "connection",
    "malformed": "malformed",
    "html": "malformed",
    "no_choices": "malformed",
    "null_choices": "malformed",
    "error_200": "server_error",
    "empty": "empty_answer",
}
ENDING = {"content_filter": "content_filter", "filter_400": "content_filter", "400": "bad_request"}
EMPTY_RETRIES = 2

# The command line with short waits: from 10 ms, at most 100 ms.
CALF = """
import calf.engine.engine as engine
engine._FIRST_WAIT, engine._LONGEST_WAIT = 0.01, 0.1
from calf.cli import main
main()
"""


def mark_of(number: int) -> str:
    """What stands in the texts of one comparison of `make_dataset` alone."""
    return f"(No. {number})"


def make_dataset(path: Path, count: int) -> Dataset:
    """So many comparisons, written to `path`: the bundled sample again and again, with ids and texts of their own."""
    source = Path(__file__).resolve().parents[2] / "data" / "sample" / "sample.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    lines = []
    for number in range(count):
        row, copy = dict(rows[number % len(rows)]), number // len(rows)
        for name in ("id", "group"):
            row[name] = f"{row[name]}/{copy}"
        row["question"] += f" ({copy + 1})"
        row["response_a"] += f" {mark_of(number)}"
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
    return load_dataset(path)


def judge_options(url: str, **options: Any) -> dict[str, Any]:
    return {"model": "m", "base_url": url, "concurrency": 64, "timeout": 2.0, **options}


def command(data: Path, runs: Path, options: dict[str, Any], *words: str) -> list[str]:
    """Words that judge the data in both orders."""
    more = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    base = ["evaluate", "--metric", JUDGE, *more, "--dataset", str(data), "--order", "both", "--runs", str(runs)]
    return [sys.executable, "-c", CALF, *base, "--format", "json", *words]


def run_here(data: Dataset, runs: Path, options: dict[str, Any], spending: Spending | None = None) -> None:
    """The same in this process, which sets the waits and the cache."""
    evaluate(JUDGE, data, order="both", options=options, runs=runs, spending=spending)


def begin(words: Sequence[str], cache: Path | None = None) -> subprocess.Popen[str]:
    """The command as a process of its own, with the environment's cache or another."""
    environment = {**os.environ, **({"CALF_CACHE": str(cache)} if cache else {})}
    environment.pop("OPENAI_API_KEY", None)
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], *codes: int) -> None:
    _, errors = process.communicate()
    assert process.returncode in (codes or (0,)), errors
    assert "Traceback" not in errors, errors


def kill(process: subprocess.Popen[str], reached: Callable[[], bool]) -> bool:
    """Ends a process without a warning when something is reached; whether it was still at work."""
    while not reached():
        if process.poll() is not None:
            break
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


@dataclass(frozen=True)
class Fate:
    """What must come of one comparison in one order.

    Attributes:
        outcome: a verdict in the dataset's sides, or a kind of failure.
        sendings: how many requests it takes, repeated ones included.
        keys: of these requests, as the server makes them.
    """

    outcome: str
    sendings: int
    keys: tuple[str, ...]


def fates(data: Dataset, options: dict[str, Any], script: Script) -> dict[tuple[str, str], Fate]:
    """What must come of every comparison in both orders, by id and order, if nothing but the script disturbs it.

    The prompts are those of CALF's own judge; what the server does with them, and what follows, is worked out here.
    """
    metric = load_metric(JUDGE, **options)
    judge: Any = metric.instance
    server = judge.server()
    found = {}
    for unit in plan(metric, data.comparisons, "both", 1):
        item: Any = unit.item
        (request,) = judge.forecast(item)
        prompt = judge._chinese if item.language == "zh" else judge._english
        fate = _fate(_askings(request, prompt, server, judge.retries_unread + 1), judge.retries, script)
        if item.order == "swapped":
            fate = replace(fate, outcome=MIRROR.get(fate.outcome, fate.outcome))
        found[item.id, item.order] = fate
    return found


def _askings(request: Any, prompt: Any, server: Any, times: int) -> Iterator[dict[str, Any]]:
    """The bodies that are sent if no answer can be read."""
    for _ in range(times):
        yield request.body(server)
        request = replace(request, messages=prompt.again(request.messages, WRONG))


def _fate(bodies: Iterable[dict[str, Any]], retries: int, script: Script) -> Fate:
    sendings = 0
    keys: list[str] = []
    for body in bodies:
        keys.append(key_of(json.dumps(body, separators=(",", ":")).encode()))
        attempt = 0
        while True:
            fault = script.fault(sys.maxsize, body, keys[-1], attempt)
            sendings += 1
            if fault not in PASSING:
                break
            if attempt >= (min(retries, EMPTY_RETRIES) if fault == "empty" else retries):
                return Fate(PASSING[fault], sendings, tuple(keys))
            attempt += 1
        if fault is None:
            answer = script.texts(body)
            assert isinstance(answer, str)
            return Fate(VERDICTS[answer], sendings, tuple(keys))
        if fault != "wrong":
            return Fate(ENDING[fault], sendings, tuple(keys))
    unread = read_verdict(WRONG, "stop")
    assert isinstance(unread, Unread)
    return Fate(unread.kind, sendings, tuple(keys))


@dataclass(frozen=True)
class Ended:
    """What a finished run left in its folder.

    Attributes:
        outcomes: verdicts and kinds of failures, by id and order.
        lost, doubled: of the data's comparisons in both orders: without a line in `scores.csv`, with several.
        judged_twice: keys of the journal that were judged again though they had a verdict.
        texts: the files that must not differ between runs.
        usage: as `timing.json` says.
    """

    outcomes: dict[tuple[str, str], str]
    lost: int
    doubled: int
    judged_twice: int
    texts: dict[str, bytes]
    usage: dict[str, float]


def folder_of(runs: Path) -> Path:
    """The one run's."""
    (journal,) = runs.glob("*/judgments.jsonl")
    return journal.parent


def journal_keys(runs: Path) -> set[str]:
    """What the run's journal holds so far, complete lines alone."""
    keys = set()
    for journal in runs.glob("*/judgments.jsonl"):
        for line in journal.read_bytes().split(b"\n")[:-1]:
            keys.add(line.partition(b'"key": "')[2].partition(b'"')[0].decode())
    return keys


def ended(runs: Path, data: Dataset) -> Ended:
    folder = folder_of(runs)
    counts: Counter[tuple[str, str]] = Counter()
    outcomes = {}
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            counts[row["id"], row["order"]] += 1
            outcomes[row["id"], row["order"]] = row["verdict"] or row["failure"]
    wanted = {(comparison.id, order) for comparison in data for order in ("given", "swapped")}
    judged: Counter[str] = Counter()
    for line in (folder / "judgments.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if judged[record["key"]] or "failure" not in record:
            judged[record["key"]] += 1
    return Ended(
        outcomes,
        len(wanted - counts.keys()),
        sum(count - 1 for count in counts.values()) + len(counts.keys() - wanted),
        sum(count - 1 for count in judged.values()),
        {name: (folder / name).read_bytes() for name in ("scores.csv", "result.json")},
        json.loads((folder / "timing.json").read_bytes())["usage"],
    )
