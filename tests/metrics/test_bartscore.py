from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from likelihood_models import comparisons, items_of, needs_likelihood, one_thread, write_bart, write_causal, write_t5

from calf.errors import DataError, OptionError, UserError
from calf.metrics.bartscore import BartScore
from calf.metrics.base import Preparation, Response
from calf.metrics.registry import load_metric
from calf.types import Comparison, Failure, Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["one_thread"]  # a fixture

pytestmark = [needs_likelihood, pytest.mark.usefixtures("one_thread")]

REFERENCE = "A delta forms when a river slows."
ROWS = [
    ("Why?", REFERENCE, "Slow rivers drop silt."),
    ("Why?", REFERENCE, "x"),
    ("How?", " Sleep helps.\n", "\nDreams, 梦, may </s> help. "),
]


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over bytes, 64 positions."""
    return write_bart(tmp_path_factory.mktemp("models") / "bart")


def prepared(folder: Path, asked: Sequence[Comparison] = (), **options: Any) -> BartScore:
    metric = BartScore(str(folder), **options)
    metric.prepare(Preparation(tuple(asked or comparisons(ROWS)), 0))
    return metric


def outcomes(folder: Path, asked: Sequence[Comparison], **options: Any) -> list[Any]:
    return list(prepared(folder, asked, **options).score(items_of(asked)))


def loss(folder: Path, source: str, target: str) -> float:
    """What transformers says of the two texts; special tokens in them are not read as such."""
    import torch
    from transformers import BartForConditionalGeneration, BartTokenizer

    tokenizer = BartTokenizer.from_pretrained(folder)
    model = BartForConditionalGeneration.from_pretrained(folder).eval()
    left, right = (
        tokenizer(
            text.strip(), split_special_tokens=True, truncation=True, max_length=64, return_tensors="pt"
        ).input_ids
        for text in (source, target)
    )  # fmt: skip
    with torch.no_grad():
        return float(model(input_ids=left, labels=right).loss)


def test_each_direction_is_the_formula(bart: Path) -> None:
    found = {
        direction: [outcome.value for outcome in outcomes(bart, comparisons(ROWS), direction=direction)]
        for direction in ("precision", "recall", "f", "faithfulness")
    }
    for i, (question, reference, response) in enumerate(ROWS):
        assert reference
        assert found["precision"][i] == pytest.approx(-loss(bart, reference, response), abs=1e-5)
        assert found["recall"][i] == pytest.approx(-loss(bart, response, reference), abs=1e-5)
        assert found["faithfulness"][i] == pytest.approx(-loss(bart, question, response), abs=1e-5)
        assert found["f"][i] == (found["precision"][i] + found["recall"][i]) / 2
    assert [outcome.value for outcome in outcomes(bart, comparisons(ROWS))] == found["f"]  # the default


def test_faithfulness_is_to_question_and_context_and_needs_no_reference(bart: Path) -> None:
    metric = prepared(bart, direction="faithfulness")
    with_context, without = metric.score(
        [Response("Why? ", " It rained.", None, "Wet.", "en"), Response("Why?", "", None, "Wet.", "en")]
    )
    assert with_context.value == pytest.approx(-loss(bart, "Why?\nIt rained.", "Wet."), abs=1e-5)
    assert without.value == pytest.approx(-loss(bart, "Why?", "Wet."), abs=1e-5)
    assert with_context.usage is None


def test_texts_without_tokens(bart: Path) -> None:
    asked = comparisons([("Why?", reference, response) for reference in ("a", None, " \n") for response in ("b", " ")])
    found = outcomes(bart, asked)
    assert isinstance(found[0], Score)
    assert found[1] == Failure("no_tokens", "the response has no tokens")
    assert found[2:] == [Failure("no_reference", "the reference is blank")] * 4
    for direction in ("precision", "recall", "faithfulness"):
        assert outcomes(bart, asked[1:2], direction=direction)[0].kind == "no_tokens"


def test_a_long_text_is_cut_and_counted_or_refused(bart: Path) -> None:
    """62 bytes fit between the special tokens."""
    asked = comparisons([("Why?", "a" * 62, "b"), ("Why?", "a" * 65, "b" * 63), ("Why?", "a", "b" * 70)])
    found = outcomes(bart, asked)
    assert [outcome.usage for outcome in found] == [None, {"over_window": 4}, {"over_window": 8}]
    assert [o.value for o in outcomes(bart, asked, direction="precision")] == [
        pytest.approx(-loss(bart, c.reference or "", c.response_a), abs=1e-5) for c in asked
    ]
    with pytest.raises(OptionError, match=r"^long=fail: 3 of 6 'en' responses, .* the 64 tokens .* \(by up to 8\)"):
        outcomes(bart, asked, long="fail")
    assert outcomes(bart, asked[:1], long="fail") == found[:1]


def test_scores_do_not_depend_on_what_is_scored_with_them(bart: Path) -> None:
    asked = comparisons([*ROWS, ("Why?", REFERENCE, "Sand."), ("Who?", "Nobody knows.", "He does.")])
    items = items_of(asked)
    for direction in ("precision", "f"):
        metric = prepared(bart, direction=direction)
        together = list(metric.score(items))
        assert [next(iter(metric.score([item]))) for item in items] == together
        assert list(metric.score(items[::-1])) == together[::-1]
        assert outcomes(bart, asked, direction=direction) == together  # loaded anew


def test_a_t5_from_a_folder(tmp_path: Path) -> None:
    folder = write_t5(tmp_path / "t5")
    (score,) = outcomes(folder, comparisons(ROWS[:1]))
    assert score.value < 0
    assert BartScore(str(folder)).describe(["en"])["window"] == "512"


def test_a_model_that_does_not_know_the_tokens_is_refused(tmp_path: Path) -> None:
    folder = write_t5(tmp_path / "t5", words=["silt", "sand"])
    assert outcomes(folder, comparisons([("Why?", "silt", "sand " * 30)]))[0].value < 0
    with pytest.raises(OptionError, match=r"'t5' does not know 6% of the dataset's 'en' tokens \(at most 5%"):
        outcomes(folder, comparisons([("Why?", "silt", "sand " * 14 + "mud")]))


def test_the_default_is_bart_large_cnn_and_for_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"model 'facebook/bart-large-cnn' is neither .* offline mode") as caught:
        BartScore().describe(["en"])
    assert "\n" not in str(caught.value)
    for languages in (["zh"], ["fr", "zh"]):
        with pytest.raises(OptionError, match=r"bartscore: model=auto is for English, not .*'zh'; choose a model"):
            BartScore().describe(languages)
    assert BartScore().scale("zh") == ""


def test_auto_judges_the_english_part_alone(bart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.metrics.bartscore._DEFAULT", str(bart))
    asked = [*comparisons(ROWS[:1]), *comparisons([("为什么？", "睡眠", "梦")], "zh")]
    metric = BartScore()
    metric.prepare(Preparation(tuple(asked), 0))
    english, chinese = metric.score(items_of(asked))
    assert english.value < 0
    assert chinese == Failure("unsupported_language", "model=auto is for English, not 'zh'")


def test_the_signature_names_the_model(bart: Path) -> None:
    metric = load_metric("bartscore", model=str(bart), direction="recall")
    signature = metric.signature(["en"])
    for part in ("direction:recall", "revision:sha256:", "window:64", "transformers:", "long:truncate"):
        assert part in signature
    assert metric.scale("zh") == "bart"
    assert metric.traits.needs_reference is False


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"direction": "f1"}, "direction 'f1'"),
        ({"long": "window"}, "long 'window'"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"device": "cpu", "half": True}, "half precision is for a GPU"),
        ({"model": "./none"}, "'./none': no such folder"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        BartScore(**options).describe(["en"])


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'gpt' is no encoder-decoder"):
        prepared(write_causal(tmp_path / "gpt"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="not a Hugging Face model folder"):
        prepared(tmp_path / "empty")


def test_scoring_before_preparing_is_a_programmers_error(bart: Path) -> None:
    with pytest.raises(RuntimeError, match="prepare must be called"):
        list(BartScore(str(bart)).score(items_of(comparisons(ROWS))))


def test_nothing_is_written_to_the_terminal(bart: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    asked = comparisons([("Why?", "a" * 2000, "b" * 2000)])
    assert outcomes(bart, asked)[0].usage == {"over_window": 2 * (2000 - 62)}
    assert capfd.readouterr() == ("", "")


def test_scores_come_one_by_one_and_can_be_left(bart: Path) -> None:
    metric = prepared(bart)
    found = copy.copy(metric).score(items_of(comparisons(ROWS)))
    assert next(found).value < 0
    found.close()  # type: ignore[attr-defined]  # a generator
    assert len(list(metric.score(items_of(comparisons(ROWS))))) == 3
