"""A judge over a server that errs in ten ways, and over runs that are killed: what the server counts, and what is lost.

    python tests/benchmarks/faults.py [--comparisons 1193] [--share 0.1] [--kills 20] [--only faults,others,kills,bare]

The server is a process of its own with real sockets (`tests/engine/server.py`), the data is the bundled sample again
and again with texts of its own, both orders, 64 in flight. What must come of each judgment is worked out from the
server's script alone, and compared. Four parts:

- faults: nine faults, each on a share of all requests: 429 with Retry-After, 500, a hang, a reset, half a body, what is
  not JSON, no choices, a content filter, a text without a verdict. At 0.1 each a tenth of all requests goes well.
- others: nine more: 503, 408, 409, a closed connection, half a body and a reset, a proxy's HTML page, an error with
  status 200, null choices, a blank answer.
- kills: the faults of the first part that may pass, on answers that are tried for until they come, so that nothing is
  left to chance; besides, texts that are always filtered and texts that never get a verdict. Once undisturbed, once
  killed (SIGKILL) at random moments and continued until the end: the files must be the same, byte for byte.
- bare: the killed run again, with --no-cache.

Waits are short (10 to 100 ms, Retry-After of 10 ms), so that it ends in minutes. On a machine that is so busy that an
answer is not read within the timeout, requests are rightly repeated: give a longer one. Exits with 1 if anything is
lost, judged twice, other than the script says, or repeated after a good answer without a kill.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the scripted server is the tests'

from engine.server import Script, ServerProcess
from engine.whole import (
    ANSWERS,
    Ended,
    Fate,
    begin,
    command,
    ended,
    fates,
    finish,
    journal_keys,
    judge_options,
    kill,
    make_dataset,
    mark_of,
)

from calf.datasets.dataset import Dataset

CONCURRENCY = 64
PASSING = ["429", "500", "hang", "reset", "half", "malformed", "no_choices"]
FAULTS = [*PASSING, "content_filter", "wrong"]
OTHERS = ["503", "408", "409", "close", "half_reset", "html", "error_200", "null_choices", "empty"]
SPEC: dict[str, Any] = {"answer": ANSWERS, "retry_after": {"retry-after-ms": "10"}, "latency": 0.01}
ENDLESS = ["content_filter"] * 60, ["wrong"] * 60

failed: list[str] = []


def check(right: bool, what: str) -> None:
    if not right:
        failed.append(what)
        print(f"  WRONG: {what}")


def whole(folder: Path, data: Dataset, arguments: argparse.Namespace, faults: list[str]) -> None:
    """One run from beginning to end with many faults."""
    spec = {**SPEC, "rates": dict.fromkeys(faults, arguments.share), "seed": arguments.seed}
    with ServerProcess(**spec) as server:
        timeout = arguments.timeout if "hang" in faults else 120.0
        options = judge_options(server.url, concurrency=CONCURRENCY, timeout=timeout)
        wanted = fates(data, options, Script(**spec))
        started = time.perf_counter()
        finish(begin(command(folder / "data.jsonl", folder / "runs", options), folder / "cache"), 0, 1)
        seconds = time.perf_counter() - started
        counts = server.counts()
    run = ended(folder / "runs", data)
    tell(run, wanted)
    print(f"  {seconds:.0f} s; the server saw {counts['requests']:,} requests: {shares(counts['faults'])}")
    sendings = sum(fate.sendings for fate in wanted.values())
    print(f"  by the script it had to see {sendings:,}; the run's own count: {run.usage['requests']:,.0f}")
    print(f"  repeated after a good answer: {counts['after_good']}; most in flight: {counts['max_in_flight']}")
    check(counts["after_good"] == 0, f"{counts['after_good']} requests repeated after a good answer")
    check(counts["requests"] == sendings, "another number of requests than the script's")
    check(counts["requests"] == run.usage["requests"], "another number of requests than the run's own count")
    check(counts["max_in_flight"] <= CONCURRENCY, "too many in flight")


def tell(run: Ended, wanted: dict[tuple[str, str], Fate]) -> None:
    """What came of every judgment, beside what must have come of it."""
    kinds = Counter(outcome for outcome in run.outcomes.values() if outcome not in VERDICTS)
    judged = len(run.outcomes) - sum(kinds.values())
    print(f"  judgments: {judged:,} of {len(wanted):,} judged, {sum(kinds.values()):,} failed: {shares(kinds)}")
    both = Counter(name for (name, _), outcome in run.outcomes.items() if outcome in VERDICTS)
    print(f"  comparisons judged in both orders: {sum(count == 2 for count in both.values()):,}; in one: ", end="")
    print(f"{sum(count == 1 for count in both.values()):,} of {len(wanted) // 2:,}")
    other = [place for place, fate in wanted.items() if run.outcomes.get(place) != fate.outcome]
    print(f"  lost: {run.lost}; twice: {run.doubled}; judged again after a verdict: {run.judged_twice}; ", end="")
    print(f"other than the script says: {len(other)}")
    for right, what in ((run.lost, "lost"), (run.doubled + run.judged_twice, "judged twice"), (len(other), "other")):
        check(right == 0, f"{right} {what}")


VERDICTS = {"response_a", "response_b", "same"}


def shares(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def kills(folder: Path, data: Dataset, arguments: argparse.Namespace, bare: bool) -> None:
    """A run that is killed again and again, beside one that is not."""
    rates = dict.fromkeys([*PASSING, "wrong"], arguments.share)
    by_content = {mark_of(number): ENDLESS[number // 20 % 2] for number in range(0, len(data), 20)}
    spec = {**SPEC, "rates": rates, "seed": arguments.seed, "by_content": by_content}
    more = ["--no-cache"] if bare else []
    asked = {"concurrency": CONCURRENCY, "timeout": arguments.timeout, "retries": 100, "retries_unread": 20}

    # The same address for both runs, since it is part of their identity: one server after the other on one port.
    with ServerProcess(**spec) as server:
        port = int(server.url.split(":")[2].partition("/")[0])
        options = judge_options(server.url, **asked)
        wanted = fates(data, options, Script(**spec))
        finish(begin(command(folder / "data.jsonl", folder / "calm", options, *more), folder / "calm-cache"), 0, 1)
        calm_counts = server.counts()
    calm = ended(folder / "calm", data)
    print(f" undisturbed: {calm_counts['requests']:,} requests, {calm_counts['after_good']} after a good answer")
    tell(calm, wanted)
    check(calm_counts["after_good"] == 0, "repeated after a good answer in the undisturbed run")

    words = command(folder / "data.jsonl", folder / "runs", options, *more)
    with ServerProcess(port=port, **spec) as server:
        print(f" killed at {arguments.kills} random moments (seed {arguments.seed}):")
        print("   moment                      requests   good   cut  unread  again, since the kill before")
        before = server.counts()
        bound = done = 0
        for name, reached in moments(server, folder / "runs", calm_counts["requests"], len(wanted), arguments):
            process = begin(words, folder / "cache")
            alive = kill(process, reached)
            time.sleep(0.1)  # until the server has seen it and has answered what it had begun
            now = server.counts()
            cut, unread = now["cut"] - before["cut"], now["unheard"] - before["unheard"]
            line = f"{now['requests']:>9,} {now['answered']:>6,} {cut:>5} {unread:>7} "
            print(f"   {name:27} {line} {now['after_good'] - before['after_good']:>6}{'' if alive else '  had ended'}")
            bound += unread
            done += alive
            before = now
        finish(begin(words, folder / "cache"), 0, 1)
        counts = server.stats()
    run = ended(folder / "runs", data)
    print(f" killed {done} times, then ended:")
    tell(run, wanted)
    for name, text in run.texts.items():
        same = text == calm.texts[name]
        print(f"  {name}: {'the same, byte for byte' if same else 'OTHER'} ({len(text):,} bytes)")
        check(same, f"{name} differs")
    judged = {key for fate in wanted.values() if fate.outcome in VERDICTS for key in fate.keys}
    again = sum(count - 1 for key, count in counts["good"].items() if key in judged)
    heard = sum(count for key, count in counts["heard_again"].items() if key in judged)
    others = sum(count - 1 for key, count in counts["good"].items() if key not in judged)
    print(
        f"  requests: {counts['requests']:,}; {counts['cut']:,} were cut off by a kill (or a timeout) before an answer"
    )
    print(
        f"  comparisons that got a verdict: {again:,} good answers were given again, {heard:,} requests came again ",
        end="",
    )
    print("though the answer had certainly been read")
    print(
        f"  bound: {bound:,} good answers had been sent and perhaps not been read when the client was killed, ", end=""
    )
    print(f"at most {CONCURRENCY} x {done} = {CONCURRENCY * done:,}")
    print(f"  comparisons that never get one, which every call tries anew: {others:,} good answers given again")
    print(f"  the run's own count of requests: {run.usage['requests']:,.0f} of {counts['requests']:,}")
    check(bare or again <= bound, "more repeated than was in flight")
    check(bare or heard == 0, "repeated though its answer had been read")


def moments(
    server: ServerProcess, runs: Path, requests: int, judgments: int, arguments: argparse.Namespace
) -> list[tuple[str, Callable[[], bool]]]:
    """When to kill: two in ten while a process starts, or after the last judgment; the others over all requests."""
    draw = random.Random(arguments.seed)

    def after(seconds: float) -> Callable[[], bool]:
        began: list[float] = []

        def reached() -> bool:
            began[:] = began or [time.monotonic()]
            return time.monotonic() - began[0] > seconds

        return reached

    def requested(number: int, seconds: float) -> Callable[[], bool]:
        late = after(seconds)
        return lambda: server.counts()["requests"] >= number and late()

    def all_judged(seconds: float) -> Callable[[], bool]:
        late = after(seconds)
        return lambda: len(journal_keys(runs)) >= judgments and late()

    few = arguments.kills // 10
    numbers = sorted(draw.randrange(1, requests) for _ in range(arguments.kills - 2 * few))
    found = [(f"request {number:,}", requested(number, draw.random() * 0.03)) for number in numbers]
    for _ in range(few):
        seconds = draw.random() * 2
        found.insert(draw.randrange(len(found)), (f"{seconds:.2f} s after its start", after(seconds)))
    for _ in range(few):
        seconds = draw.random()
        found.append((f"{seconds:.2f} s after the last", all_judged(seconds)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--comparisons", type=int, default=1193)
    parser.add_argument("--share", type=float, default=0.1, help="of all requests, for each fault")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds for one request, where some hang")
    parser.add_argument("--only", default="faults,others,kills,bare")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[Path, Dataset], None]] = {
        "faults": lambda folder, data: whole(folder, data, arguments, FAULTS),
        "others": lambda folder, data: whole(folder, data, arguments, OTHERS),
        "kills": lambda folder, data: kills(folder, data, arguments, False),
        "bare": lambda folder, data: kills(folder, data, arguments, True),
    }
    print(f"{arguments.comparisons:,} comparisons in both orders, {CONCURRENCY} in flight, a share of ", end="")
    print(f"{arguments.share} for each fault; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            data = make_dataset(folder / "data.jsonl", arguments.comparisons)
            print(f"{name}:", flush=True)
            started = time.perf_counter()
            parts[name](folder, data)
            print(f"  all of it: {time.perf_counter() - started:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} of the checks failed")


if __name__ == "__main__":
    main()
