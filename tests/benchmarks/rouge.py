"""ROUGE-1, ROUGE-2 and ROUGE-L of all responses of a dataset: CALF's against a loop over rouge-score.

    python tests/benchmarks/rouge.py [FILE] [--every N] [--lsum]

Both run in one process on one core, over the same items, with the same tokenizer and F1, and must give the same
values to 1e-9. FILE is any dataset; by default the Chinese file under CALF_SHARED_DATA
(default: ../shared/data), or the bundled sample.
`--every N` takes every N-th comparison; `--lsum` adds ROUGE-Lsum.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from rouge_score.rouge_scorer import RougeScorer

from calf.datasets.load import load_dataset
from calf.metrics.base import Response
from calf.metrics.rouge import Rouge
from calf.metrics.tokenize import choose_tokenizer, find_tokenizer

TYPES = {"1": "rouge1", "2": "rouge2", "l": "rougeL", "lsum": "rougeLsum"}


class Tokenizer:
    """A tokenizer of CALF, as rouge-score takes it."""

    def __init__(self, language: str) -> None:
        self._tokenize = find_tokenizer(choose_tokenizer("auto", language))

    def tokenize(self, text: str) -> list[str]:
        return list(self._tokenize(text))


def default_dataset() -> str:
    shared = Path(os.environ.get("CALF_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    file = shared / "lfqa-e" / "unified_benchmark_zh.json"
    return str(file) if file.is_file() else "sample"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", default=default_dataset())
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--lsum", action="store_true")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.file)
    chosen = [c for c in dataset.comparisons[:: arguments.every] if c.reference]
    items = [
        Response(c.question, c.context, c.reference, response, c.language)
        for c in chosen
        for response in (c.response_a, c.response_b)
    ]
    variants = ["1", "2", "l", *(["lsum"] if arguments.lsum else [])]
    names = [TYPES[v] for v in variants]
    print(f"{dataset.name}: {len(chosen)} of {len(dataset)} comparisons, {len(items)} responses, {', '.join(names)}")

    Rouge("l").score([])  # imports are not part of either time
    list(Rouge("l").score(items[:1]))
    start = time.perf_counter()
    ours = list(zip(*(Rouge(variant).score(items) for variant in variants), strict=True))
    our_seconds = time.perf_counter() - start
    print(f"CALF         {our_seconds:9.3f} s")

    scorers = {c.language: RougeScorer(names, tokenizer=Tokenizer(c.language)) for c in chosen}
    start = time.perf_counter()
    theirs = [scorers[i.language].score(i.reference, i.response) for i in items]
    their_seconds = time.perf_counter() - start
    print(f"rouge-score  {their_seconds:9.3f} s")
    print(f"ratio        {their_seconds / our_seconds:9.1f}")

    gap = max(
        abs(value - scores[name].fmeasure)
        for row, scores in zip(ours, theirs, strict=True)
        for value, name in zip(row, names, strict=True)
    )
    print(f"largest difference of {len(items) * len(names)} values: {gap:.1e}")
    if gap > 1e-9:
        raise SystemExit("the values differ")


if __name__ == "__main__":
    main()
