"""On real files: what datasets share, and how consistent their labels are. Held-out groups are not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest
from few_resamples import with_few_resamples

from calf.datasets.load import load_dataset
from calf.training.consistency import consistency_of
from calf.training.train import train
from calf.training.transfer import drop_shared

pytestmark = pytest.mark.shared_data


def test_translated_questions_are_known_again_by_their_ids(shared_data: Path) -> None:
    chinese = load_dataset(shared_data / "lfqa-e" / "unified_benchmark_zh.json")
    english = load_dataset(shared_data / "preferences" / "exam_en.jsonl")
    kept, dropped = drop_shared(english.comparisons, chinese.comparisons)
    assert (len(kept), dropped.comparisons, dropped.kinds) == (0, 192, {"id": 99})
    kept, dropped = drop_shared(chinese.comparisons, english.comparisons)
    assert not {c.id for c in kept} & set(english.ids)
    assert len(kept) + dropped.comparisons == 1193
    assert dropped.comparisons > 192


def test_datasets_of_other_questions_share_nothing(shared_data: Path) -> None:
    names = ("qafeedback", "squality", "xu2023_expert", "exam_en")
    found = {name: load_dataset(shared_data / "preferences" / f"{name}.jsonl").comparisons for name in names}
    for name in names:
        for other in set(names) - {name}:
            assert drop_shared(found[name], found[other])[1].groups == 0


def test_labels_that_follow_from_rankings_have_no_circles(shared_data: Path) -> None:
    ranked = consistency_of(load_dataset(shared_data / "preferences" / "qafeedback.jsonl").comparisons)
    assert (ranked.triples, ranked.cycles, ranked.contradictions) == (800, 0, 0)
    judged = consistency_of(load_dataset(shared_data / "lfqa-e" / "unified_benchmark_zh.json").comparisons)
    assert judged.cycles > 0
    assert judged.ceiling == 1.0
    assert 0.99 < (judged.ceiling_scores or 0) < 1.0


@with_few_resamples
def test_something_is_learned_from_real_labels(shared_data: Path) -> None:
    report = train(shared_data / "preferences" / "exam_en.jsonl", features="form", model="logistic", studies=False)
    row = next(row for row in report.rows if row["slice"] == "overall")
    assert row["n"] == 192
    assert row["decided_accuracy"] > 0.55
    assert row["first_position_rate"] == pytest.approx(0.5)
