"""Writes sample.jsonl from items.json: `python data/sample/build.py`.

An item is a question with a reference made of key points and four responses, each with the key points that it covers
and the errors that it makes. A response's quality is the number of points covered minus the number of errors; of two
responses people would prefer the one of higher quality, or neither if they are equal. Every pair of an item's
responses becomes a comparison; which one is response_a is decided by a hash of the pair.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from calf.hashing import uniform

FOLDER = Path(__file__).resolve().parent


def quality(response: dict[str, Any]) -> int:
    """Points covered minus errors made."""
    return len(response["covers"]) - len(response["errors"])


def comparisons(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The six comparisons of an item, as CALF's records."""
    records = []
    for first, second in itertools.combinations(item["responses"], 2):
        name = f"{item['id']}/{first['name']}-{second['name']}"
        a, b = (first, second) if uniform("side", name) < 0.5 else (second, first)
        better = quality(a) - quality(b)
        humans = [a["source"], b["source"]].count("human")
        records.append(
            {
                "id": name,
                "group": item["id"],
                "question": item["question"],
                "context": item["context"],
                "reference": item["reference"],
                "response_a": a["text"],
                "response_b": b["text"],
                "setting": ("model_vs_model", "human_vs_model", "human_vs_human")[humans],
                "source_a": a["source"],
                "source_b": b["source"],
                "subject": item["subject"],
                "language": item["language"],
                "label": "response_a" if better > 0 else "response_b" if better < 0 else "same",
                "covers_a": a["covers"],
                "errors_a": a["errors"],
                "covers_b": b["covers"],
                "errors_b": b["errors"],
                "key_points": len(item["key_points"]),
            }
        )
    return records


def build() -> str:
    """The text of sample.jsonl."""
    items = json.loads((FOLDER / "items.json").read_text(encoding="utf-8"))
    lines = (json.dumps(record, ensure_ascii=False) for item in items for record in comparisons(item))
    return "".join(line + "\n" for line in lines)


if __name__ == "__main__":
    (FOLDER / "sample.jsonl").write_text(build(), encoding="utf-8")
    print("wrote", FOLDER / "sample.jsonl")
