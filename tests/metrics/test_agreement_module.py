"""CALF's agreement analysis as a module of Hugging Face's evaluate."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest

import calf
from calf.datasets.dataset import Dataset
from calf.metrics.definitions import definition_files
from calf.types import LABELS, Comparison

FOLDER = Path(calf.__file__).parent / "modules" / "calf_agreement"


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """evaluate's `load`, with its caches elsewhere; it imports transformers, which takes seconds, for nothing here."""
    hidden = "transformers" not in sys.modules
    if hidden:
        sys.modules["transformers"] = None  # type: ignore[assignment]
    import evaluate

    if hidden:
        del sys.modules["transformers"]
    folder = tmp_path_factory.mktemp("hf")
    with pytest.MonkeyPatch.context() as patch:
        for place in ("HF_MODULES_CACHE", "HF_METRICS_CACHE"):
            patch.setattr(f"evaluate.config.{place}", folder / place)
        yield lambda config=None: evaluate.load(str(FOLDER), config)


def drawn(count: int) -> Dataset:
    """Comparisons of random words, three to a group."""
    rng = random.Random(3)
    words = "one two three four five six seven eight nine ten".split()
    return Dataset(
        "drawn",
        tuple(
            Comparison(
                id=str(number), question="why?", context="", setting="model_vs_model", language="en",
                label=rng.choice(LABELS), group=f"g{number % (count // 3)}",
                **{key: " ".join(rng.choices(words, k=6)) for key in ("reference", "response_a", "response_b")},
            )
            for number in range(count)
        ),
    )  # fmt: skip


def test_it_is_calfs_own_row(load: Any, tmp_path: Path) -> None:
    data = drawn(60)
    run = calf.evaluate("rouge-l", data, runs=tmp_path)
    row = next(row for row in run.rows if row["slice"] == "overall")
    assert [judgment.id for judgment in run.judgments] == [c.id for c in data]
    given = {"references": [c.label for c in data], "groups": [c.group for c in data]}
    scored = load().compute(predictions=[[j.score_a, j.score_b] for j in run.judgments], **given)
    assert {key: row[key] for key in scored if key != "undefined"} == {
        key: value for key, value in scored.items() if key != "undefined"
    }
    assert len(scored) == 103
    verdicts = load("grouped").compute(predictions=[j.verdict for j in run.judgments], **given)
    for key in ("accuracy", "accuracy_low", "accuracy_high", "kappa", "macro_f1_high", "coverage"):
        assert verdicts[key] == scored[key] == row[key]
    assert verdicts["kendall_tau"] != scored["kendall_tau"]


def test_it_is_scikit_learns_and_scipys(load: Any) -> None:
    from scipy.stats import kendalltau
    from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

    rng = random.Random(5)
    labels, verdicts = (rng.choices(LABELS, k=300) for _ in range(2))
    result = load().compute(predictions=verdicts, references=labels)
    sign = {"response_a": 1, "response_b": -1, "same": 0}
    assert result["n"] == result["groups"] == 300
    assert result["accuracy"] == pytest.approx(accuracy_score(labels, verdicts), abs=1e-9)
    assert result["macro_f1"] == pytest.approx(f1_score(labels, verdicts, average="macro"), abs=1e-9)
    assert result["kappa"] == pytest.approx(cohen_kappa_score(labels, verdicts), abs=1e-9)
    tau = kendalltau([sign[label] for label in labels], [sign[verdict] for verdict in verdicts]).statistic
    assert result["kendall_tau"] == pytest.approx(tau, abs=1e-9)
    assert result["accuracy_low"] < result["accuracy"] < result["accuracy_high"]
    assert result["undefined"] == ""


def test_failures_are_never_right_and_counted(load: Any) -> None:
    result = load().compute(predictions=["same", "failed"], references=["same", "same"])
    assert (result["accuracy"], result["coverage"], result["confusion_same_failed"]) == (0.5, 0.5, 1)
    scored = load().compute(predictions=[None, [1.0, 1.0]], references=["same", "same"])
    assert (scored["accuracy"], scored["coverage"]) == (0.5, 0.5)
    assert scored["kendall_tau"] is None
    assert "kendall_tau" in scored["undefined"]
    assert "flip_rate" not in scored["undefined"]


def test_groups_by_batches(load: Any) -> None:
    module = load("grouped")
    module.add_batch(predictions=["same", "same"], references=["same", "response_a"], groups=["1", "2"])
    module.add(prediction="same", reference="same", groups="2")
    result = module.compute()
    assert (result["n"], result["groups"], result["few_groups"]) == (3, 2, True)


@pytest.mark.parametrize(
    ("predictions", "references", "groups", "message"),
    [
        (["same", "A"], ["same", "same"], None, r"predictions\[1\] is 'A'; it must be one of response_a, "),
        (["same", "same"], ["same", "tie"], None, r"references\[1\] is 'tie'; it must be one of response_a, "),
        ([[1.0, 2.0], [1.0]], ["same", "same"], None, r"predictions\[1\] is \[1.0\]; it must be two finite scores"),
        ([[1.0, float("nan")]], ["same"], None, r"predictions\[0\] is \[1.0, nan\]; it must be two finite"),
        ([[1.0, None]], ["same"], None, r"predictions\[0\] is"),
        (["same"], ["same"], ["1", "2"], "there are 2 groups for 1 references"),
        (["same", "same"], ["same"], None, "Mismatch in the number of predictions"),
        ([1.0], ["same"], None, "don't match the expected format"),
        ([], [], None, "there are no predictions"),
    ],
)
def test_bad_input_is_said(load: Any, predictions: Any, references: Any, groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load().compute(predictions=predictions, references=references, groups=groups)


def test_a_failure_may_be_none_wherever_it_stands(load: Any) -> None:
    for predictions in (["same", None], [None, "same"]):
        result = load().compute(predictions=predictions, references=["same", "same"])
        assert (result["accuracy"], result["coverage"]) == (0.5, 0.5)


def test_bad_input_does_not_spoil_the_next(load: Any) -> None:
    module = load()
    for predictions in ([0, 1], "same", [[1.0, 2.0], "same"], ["same", "A"]):
        with pytest.raises(ValueError, match=r"."):
            module.compute(predictions=predictions, references=["same", "response_a"])
        assert module.compute(predictions=["same"], references=["same"])["n"] == 1


def test_an_unknown_configuration_is_said(load: Any) -> None:
    with pytest.raises(ValueError, match="the configurations default and grouped, not 'group'"):
        load("group")


def test_it_is_no_definition_of_a_metric() -> None:
    assert (FOLDER / "README.md").is_file()
    assert not [name for name in definition_files() if "agreement" in name]
