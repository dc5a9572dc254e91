"""Requests a second at 200 ms and 64 in flight: CALF beside a plain pool of threads over the same client.

    python tests/benchmarks/throughput.py [--comparisons 1193] [--rounds 3] [--latency 0.2] [--concurrency 64]

A scripted server, a process of its own with real sockets, answers every request after the latency. The same requests
(a pairwise judge's, of the bundled sample again and again with texts of its own, in both orders) are sent by:

- threads: `ThreadPoolExecutor(64)` over the synchronous `openai` client, its answers kept in a list; no retries, no
  limits, no cache, no journal.
- engine: CALF's engine alone, with its cache on disk.
- bare: CALF's engine without the cache.
- judging: what `calf evaluate` adds: prompts are made, verdicts read, judgments written to the journal.
- evaluate: the same, with all that comes before and after: the plan, the statistics, the files.

Each is a process of its own, with everything imported and one request sent before the clock starts, and without any
open connection. The ideal is requests x latency / 64; whole waves of 64 take a little longer. CPU time is the
client's process alone. Rounds take turns; the table has the best and the median of them. On a machine that is at work
with other things the walls say little: see the load, and compare within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import math
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the scripted server is the tests'

from engine.server import ServerProcess
from engine.whole import ANSWERS, JUDGE, judge_options, make_dataset

from calf.evaluation import evaluate
from calf.metrics.registry import load_metric
from calf.runs.plan import plan

WAYS = ("threads", "engine", "bare", "evaluate")


class Clock:
    """Wall and CPU seconds of this process between `start` and `stop`."""

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}


class Judging(Clock):
    """The part of an evaluation between its first and its last judgment."""

    times: dict[str, float]

    def start(self, *_: object) -> None:
        super().start()

    def advance(self, count: int) -> None: ...
    def say(self, message: str) -> None: ...

    def finish(self) -> None:
        self.times = self.stop()


def threads(requests: list[Any], server: Any) -> dict[str, Any]:
    import openai

    bodies = [request.body(server) for request in requests]
    client = openai.OpenAI(api_key="none", base_url=server.base_url, max_retries=0)

    def ask(body: dict[str, Any]) -> str | None:
        return client.chat.completions.create(**body).choices[0].message.content

    ask(bodies[0] | {"max_tokens": 1})
    client.close()
    client = openai.OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
    clock = Clock()
    clock.start()
    with ThreadPoolExecutor(server.concurrency) as pool:
        answers = list(pool.map(ask, bodies))
    times = clock.stop()
    assert all(answer in ANSWERS for answer in answers)
    return {"threads": times}


def engine(requests: list[Any], server: Any, folder: Path | None) -> dict[str, Any]:
    from dataclasses import replace

    from calf.engine.cache import Cache
    from calf.engine.engine import Engine

    async def run() -> dict[str, float]:
        cache = Cache(folder / "responses.sqlite") if folder else None
        first = Engine(server, cache=cache)
        await first.ask(replace(requests[0], max_tokens=1))
        await first.close()
        asked = Engine(server, cache=Cache(folder / "responses.sqlite") if folder else None)
        left = iter(requests)
        answers = []

        async def worker() -> None:
            for request in left:
                reply = await asked.ask(request)
                answers.append(reply.choices[0].text)

        clock = Clock()
        clock.start()
        await asyncio.gather(*(worker() for _ in range(server.concurrency)))
        times = clock.stop()
        await asked.close()
        assert len(answers) == len(requests)
        assert all(answer in ANSWERS for answer in answers)
        return times

    return {"engine" if folder else "bare": asyncio.run(run())}


def judged(data: Any, options: dict[str, Any], folder: Path) -> dict[str, Any]:
    os.environ["CALF_CACHE"] = str(folder / "cache")
    small = data.replace(list(data.comparisons[:6]))
    evaluate(JUDGE, small, order="both", options={**options, "max_tokens": 1}, runs=folder / "small")
    judging, clock = Judging(), Clock()
    clock.start()
    run = evaluate(JUDGE, data, order="both", options=options, runs=folder / "runs", progress=judging)
    times = clock.stop()
    assert not run.failures
    return {"judging": judging.times, "evaluate": times}


def client(way: str, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What one process measures."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = make_dataset(folder / "data.jsonl", arguments.comparisons)
        options = judge_options(url, concurrency=arguments.concurrency, timeout=120.0)
        if way == "evaluate":
            return judged(data, options, folder)
        metric = load_metric(JUDGE, **options)
        judge: Any = metric.instance
        requests = [judge.forecast(unit.item)[0] for unit in plan(metric, data.comparisons, "both", 1)]
        if way == "threads":
            return threads(requests, judge.server())
        return engine(requests, judge.server(), folder if way == "engine" else None)


def profiled(way: str, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The same, under a profiler: of the event loop's thread in `evaluate`, else of the main thread."""
    from calf.engine.crew import Crew

    profile = cProfile.Profile(time.thread_time)  # no waits
    if way == "evaluate":
        crew: Any = Crew
        run = crew._run
        crew._run = lambda self: profile.runcall(run, self)
        found = client(way, url, arguments)
    else:
        found = profile.runcall(client, way, url, arguments)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--comparisons", type=int, default=1193)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--profile", action="store_true", help="print where the time of each way goes")
    parser.add_argument("--client", nargs=2, metavar=("WAY", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        measure: Callable[..., dict[str, Any]] = profiled if arguments.profile else client
        print(json.dumps(measure(*arguments.client, arguments)))
        return

    requests = 2 * arguments.comparisons
    ideal = requests * arguments.latency / arguments.concurrency
    waves = math.ceil(requests / arguments.concurrency) * arguments.latency
    print(f"{requests:,} requests, {arguments.latency * 1000:.0f} ms, {arguments.concurrency} in flight: ", end="")
    print(f"ideal {ideal:.2f} s, in whole waves {waves:.2f} s ({ideal / waves:.1%}); {os.cpu_count()} cores")
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(arguments.rounds):
        for way in arguments.ways.split(","):
            with ServerProcess(answer=ANSWERS, latency=arguments.latency) as server:
                before = server.counts()
                words = [sys.executable, __file__, *sys.argv[1:], "--client", way, server.url]
                output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
                counts = server.counts()
            cpu = (counts["cpu"] - before["cpu"]) / counts["requests"] * 1000
            for name, times in json.loads(output).items():
                found.setdefault(name, []).append(times)
                share = f"{times['wall']:6.2f} s, {ideal / times['wall']:5.1%} of the ideal"
                print(
                    f"  round {number + 1} {name:9} {share}, CPU {times['cpu'] / requests * 1000:.2f} ms a request; ",
                    end="",
                )
                print(f"server {cpu:.2f} ms, most in flight {counts['max_in_flight']}, ", end="")
                print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    print("\n| | best, s | median, s | of the ideal, best | median | CPU a request, best, ms | median |")
    print("|---|---|---|---|---|---|---|")
    for name, rounds in found.items():
        walls = sorted(times["wall"] for times in rounds)
        cpus = sorted(times["cpu"] / requests * 1000 for times in rounds)
        wall, cpu = statistics.median(walls), statistics.median(cpus)
        print(f"| {name} | {walls[0]:.2f} | {wall:.2f} | {ideal / walls[0]:.1%} | {ideal / wall:.1%} | ", end="")
        print(f"{cpus[0]:.2f} | {cpu:.2f} |")
    if "threads" in found:
        print()
        for name, rounds in found.items():
            pairs = list(zip(found["threads"], rounds, strict=True))
            wall = statistics.median(plain["wall"] / ours["wall"] for plain, ours in pairs)
            cpu = statistics.median(plain["cpu"] / ours["cpu"] for plain, ours in pairs)
            print(f"threads / {name}: wall {wall:.2f}, CPU {cpu:.2f} (median of the rounds)")


if __name__ == "__main__":
    main()
