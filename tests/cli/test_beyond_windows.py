"""Texts that are longer than a model's window are counted, and judged apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

METRIC = """
from calf import Score

class Words:
    def score(self, items):
        for item in items:
            count = len(item.response.split())
            yield Score(count, usage={"over_window": count - 110} if count > 110 else None)
"""


def test_where_the_window_was_too_short_is_a_slice_of_its_own(calf: Any, workspace: Path) -> None:
    import json

    from calf import load_dataset

    (workspace / "words.py").write_text(METRIC)
    found = json.loads(calf("evaluate", "--metric", "words.py:Words", "--language", "en", "--format", "json").stdout)
    rows = {row["slice"]: row for row in found["rows"] if row["metric"] == "words.py:Words"}
    data = [c for c in load_dataset("sample") if c.language == "en"]
    long = [c for c in data if max(len(c.response_a.split()), len(c.response_b.split())) > 110]
    assert 0 < len(long) < len(data)
    assert (rows["window=beyond"]["n"], rows["window=within"]["n"]) == (len(long), len(data) - len(long))
    right = sum(
        {True: "response_a", False: "response_b"}[len(c.response_a.split()) > len(c.response_b.split())] == c.label
        if len(c.response_a.split()) != len(c.response_b.split())
        else c.label == "same"
        for c in long
    )
    assert rows["window=beyond"]["accuracy"] == right / len(long)
    assert not [row for row in found["rows"] if row["slice"].startswith("window") and row["metric"] != "words.py:Words"]
    table = " ".join(calf("evaluate", "--metric", "words.py:Words", "--language", "en").stdout.split())
    assert f"in {len(long)} of {len(data)} comparisons a text is longer than the model's window" in table
