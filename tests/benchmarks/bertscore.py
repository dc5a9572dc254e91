"""BERTScore of all responses of a dataset: CALF's against bert-score, called once on all pairs and once per comparison.

    python tests/benchmarks/bertscore.py [FILE] [--count 200] [--all] [--layer N] [--threads 2]

One process, the same encoder, loaded beforehand for both; times are wall-clock and hold only on a machine that does
nothing else (its load is printed). FILE is any dataset in one language; by default the Chinese file under
CALF_SHARED_DATA (default: ../shared/data), or the bundled sample. `--count` comparisons are taken, evenly spread.

bert-score's best batch size is looked for on a part of the comparisons first. Its values are compared pair by pair
(batch size 1): in batches its padding raises negative cosines to 0.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bert_score
import bert_score.utils
import numpy as np
import torch

from calf.datasets.load import load_dataset
from calf.metrics import bertscore_scores
from calf.metrics.bertscore_choice import choose
from calf.metrics.bertscore_encoder import TokenEncoder
from calf.metrics.bertscore_scores import bert_scores
from calf.models.kept import KeptVectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calf.types import Comparison

PART = 40  # comparisons on which batch sizes, and calls per comparison, are timed
BATCH_SIZES = (1, 4, 8, 16, 32, 64)


def default_dataset() -> str:
    shared = Path(os.environ.get("CALF_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    file = shared / "lfqa-e" / "unified_benchmark_zh.json"
    return str(file) if file.is_file() else "sample"


def spread(comparisons: Sequence[Comparison], count: int) -> list[Comparison]:
    """So many of them, at equal distances."""
    count = min(count, len(comparisons))
    return [comparisons[i * len(comparisons) // count] for i in range(count)]


def pairs_of(comparisons: Sequence[Comparison]) -> tuple[list[str], list[str]]:
    """All responses that are not empty, each with its reference."""
    pairs = [(r, c.reference) for c in comparisons for r in (c.response_a, c.response_b) if r.strip() and c.reference]
    return [response for response, _ in pairs], [reference for _, reference in pairs]


def timed(name: str, work: Callable[[], Any]) -> tuple[float, Any]:
    """Its wall-clock seconds, and what it gives."""
    load = os.getloadavg()[0]
    start, used = time.perf_counter(), time.process_time()
    result = work()
    seconds = time.perf_counter() - start
    print(
        f"{name:44} {seconds:9.2f} s  (processor {time.process_time() - used:8.2f} s, load before {load:.1f})",
        flush=True,
    )
    return seconds, result


class Bench:
    """Both implementations with one encoder."""

    def __init__(self, language: str, layer: int | None, threads: int) -> None:
        self.choice = choose("auto", layer, language, rescale=False)
        self.language = language
        self.threads = threads
        first = TokenEncoder(self.choice, code=False, long="truncate", device="cpu", half=False, kept=None)
        self.model, tokens = first.load_model(), first.load_tokens()
        TokenEncoder.load_model = lambda _: self.model  # type: ignore[method-assign]  # loading is no part of the times
        TokenEncoder.load_tokens = lambda _: tokens  # type: ignore[method-assign]  # as above
        scorer: Any = sys.modules["bert_score.score"]
        scorer.get_model = lambda *_: self.model
        tokenizer = bert_score.utils.get_tokenizer(str(self.choice.weights.folder))
        tokenizer.model_max_length = self.choice.window
        scorer.get_tokenizer = lambda *_: tokenizer

    def theirs(self, responses: list[str], references: list[str], batch_size: int) -> Any:
        torch.set_num_threads(self.threads)
        values = bert_score.score(
            responses, references, model_type=str(self.choice.weights.folder), num_layers=self.choice.layer,
            batch_size=batch_size, device="cpu", nthreads=0,
        )  # fmt: skip
        return np.stack([value.numpy() for value in values], axis=1)

    def per_comparison(self, comparisons: Sequence[Comparison]) -> None:
        for comparison in comparisons:
            self.theirs(*pairs_of([comparison]), batch_size=64)

    def ours(self, responses: list[str], references: list[str], store: Path) -> Any:
        torch.set_num_threads(self.threads)
        bertscore_scores.KeptVectors = lambda: KeptVectors(store)  # type: ignore[assignment,misc]  # one for this run
        return bert_scores(responses, references, layer=self.choice.layer, language=self.language)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", default=default_dataset())
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--layer", type=int)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.file)
    language = dataset.comparisons[0].language
    every = [c for c in dataset.comparisons if c.language == language]
    chosen = every if arguments.all else spread(every, arguments.count)
    part = spread(chosen, PART)
    responses, references = pairs_of(chosen)
    texts = len({*responses, *references})
    bench = Bench(language, arguments.layer, arguments.threads)
    print(
        f"{dataset.name}: {len(chosen)} comparisons, {len(responses)} pairs, {texts} texts; "
        f"{bench.choice.weights.name} layer {bench.choice.layer}, {arguments.threads} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        bench.ours(*pairs_of(part[:2]), Path(folder) / "warm.sqlite")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        store = Path(folder) / "vectors.sqlite"
        first, found = timed("CALF, first run", lambda: bench.ours(responses, references, store))
        again, same = timed("CALF, from kept vectors", lambda: bench.ours(responses, references, store))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"peak memory grew by {grown / 1024:.0f} MB; {store.stat().st_size / 1e6:.0f} MB kept")
        of_part, _ = timed(
            f"CALF, first run, {len(part)} comparisons", lambda: bench.ours(*pairs_of(part), Path(folder) / "p.sqlite")
        )
    if not np.array_equal(found, same):
        raise SystemExit("the second run's values differ")
    sizes = {}
    for n in BATCH_SIZES:
        name = f"bert-score, {len(part)} comparisons, batches of {n}"
        sizes[n] = timed(name, lambda n=n: bench.theirs(*pairs_of(part), n))
    best = min(sizes, key=lambda n: sizes[n][0])
    once, expected = timed(
        f"bert-score, all at once, batches of {best}", lambda: bench.theirs(responses, references, best)
    )
    each, _ = timed(f"bert-score, {len(part)} comparisons, one by one", lambda: bench.per_comparison(part))
    print(f"times as fast as bert-score on all pairs:      {once / first:8.1f}")
    print(f"times as fast, from kept vectors:              {once / again:8.1f}")
    print(f"times as fast as bert-score per comparison:    {each / of_part:8.1f}")
    alone = expected if best == 1 else bench.theirs(responses[:400], references[:400], 1)
    gap = np.abs(found[: len(alone)] - alone).max()
    print(f"largest difference of {alone.size} values: {gap:.1e}")
    if gap > 1e-5:
        raise SystemExit("the values differ")


if __name__ == "__main__":
    main()
