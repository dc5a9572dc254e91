"""Times whole processes: `calf --help`, and `calf evaluate --metric rouge-l` from nothing to its tables.

`python tests/benchmarks/command_line.py [FILE]`; default: LFQA-E's Chinese file under CALF_SHARED_DATA, else the
bundled sample. The plain alternative of the first is an empty Python; of the second a script that reads the file, loops
over rouge-score with a character tokenizer, and prints the accuracy, without intervals, slices or floors. Its time is
measured on every tenth comparison and multiplied.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STRIDE = 10

PLAIN = """
import json, sys
from rouge_score.rouge_scorer import RougeScorer

class Characters:
    def tokenize(self, text):
        return [c for c in text if not c.isspace()]

text = open(sys.argv[1], encoding="utf-8-sig").read()
rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
scorer = RougeScorer(["rougeL"], tokenizer=Characters())
part = rows[:: int(sys.argv[2])]
right = 0
for row in part:
    a, b = (scorer.score(row["reference"], row["response_" + s])["rougeL"].fmeasure for s in "ab")
    right += ("response_a" if a > b else "response_b" if b > a else "same") == row["label"]
print(len(rows), right / len(part))
"""


def seconds(command: list[str], times: int) -> float:
    """The median wall time of a command that must succeed."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    shared = Path(os.environ.get("CALF_SHARED_DATA", ROOT.parent / "shared" / "data"))
    real = shared / "lfqa-e" / "unified_benchmark_zh.json"
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else real if real.exists() else ROOT / "data/sample/sample.jsonl"
    python = sys.executable

    nothing = seconds([python, "-c", "pass"], 7)
    help_ = seconds([python, "-m", "calf", "--help"], 7)
    print(f"calf --help: {help_:.3f} s; an empty python: {nothing:.3f} s; ratio {help_ / nothing:.1f}")

    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "calf", "evaluate", "--metric", "rouge-l", "--dataset", str(file)]
        fresh = seconds([python, *words, "--fresh", "--runs", folder], 5)
        again = seconds([python, *words, "--runs", folder], 5)
        output = subprocess.run(
            [python, *words, "--runs", folder, "--format", "json"], check=True, capture_output=True, text=True
        ).stdout
    rows = json.loads(output)["rows"]
    imports = seconds([python, "-c", "from rouge_score.rouge_scorer import RougeScorer"], 3)
    part = seconds([python, "-c", PLAIN, str(file), str(STRIDE)], 1)
    plain = imports + (part - imports) * STRIDE
    print(f"{file.name}: {rows[0]['n']} comparisons, {len(rows)} rows with intervals")
    print(f"calf evaluate --metric rouge-l: {fresh:.2f} s; again, from kept judgments: {again:.2f} s")
    print(f"plain loop over rouge-score, no intervals: {plain:.1f} s (from every {STRIDE}th comparison: {part:.1f} s)")
    print(f"ratio {plain / fresh:.0f}")


if __name__ == "__main__":
    main()
