"""`bert_scores` against bert_score itself, on texts of many kinds."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from model_fixtures import needs_models, write_tiny_bert

from calf.errors import OptionError
from calf.metrics.base import Preparation, Response
from calf.metrics.bertscore import BertScore
from calf.metrics.bertscore_choice import choose
from calf.metrics.bertscore_encoder import TokenEncoder
from calf.metrics.bertscore_scores import bert_scores
from calf.models import forward
from calf.models.kept import KeptVectors
from calf.models.packaged import packaged_weights
from calf.types import Comparison, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

pytestmark = needs_models

SUBJECTS = ["A river delta", "The old treaty", "Deep sleep", "A verbal contract", "The trade wind", "Short-term memory"]
CLAIMS = [
    "grows where moving water slows down and drops what it carries",
    "changed who could vote, and who had to pay for the war that followed",
    "depends on more than one cause; most textbooks name only the first of them (see chapter 3).",
    "is weaker than people think: in a test of 1,204 adults, 38% got it wrong!",
]
ENGLISH = [f"{subject} {claim}" for subject, claim in itertools.product(SUBJECTS, CLAIMS)]
ENGLISH += ["Yes", "?", "It depends.", "naïve café — 東京 \u200b", " ".join(ENGLISH[:7]), " ".join(ENGLISH)]
THINGS = ["三角洲", "这份条约", "深度睡眠", "口头合同", "信风", "短时记忆"]
SAYINGS = [
    "的形成与水流速度的变化密切相关，",
    "在当时影响了很多人的生活：一方面提高了税收，另一方面扩大了选举权。",
    "并不像人们想的那样简单（见第3章）。",
    "受到多种因素的影响；在1204名成年人中，有38%的人回答错误！",
]
CHINESE = [f"{thing}{saying}" for thing, saying in itertools.product(THINGS, SAYINGS)]
CHINESE += ["是", "？", "不一定。", "“引号”与～波浪线……", "".join(CHINESE[:9])]


def pairs_of(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Each text against another one, and some against several."""
    responses = [*texts, *texts[:4]]
    references = [texts[(7 * i + 3) % len(texts)] for i in range(len(responses))]
    return responses, references


def direct(responses: Sequence[str], references: Sequence[Any], folder: Path, layer: int, **options: Any) -> NDArray:
    """What bert-score itself says: (n, 3).

    Pair by pair: in a batch its padding raises a negative best cosine of a token to 0, which moves values by 1e-4.
    """
    import bert_score
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    values = bert_score.score(
        list(responses), [r if isinstance(r, str) else list(r) for r in references],
        model_type=str(folder), num_layers=layer, device="cpu", nthreads=0, batch_size=1, **options,
    )  # fmt: skip
    torch.set_num_threads(threads)
    return np.stack([value.numpy() for value in values], axis=1).astype(float)


def near(found: NDArray, expected: NDArray, within: float = 1e-5) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < within


@pytest.mark.parametrize(
    ("name", "layer", "texts", "idf"),
    [("minilm", 5, ENGLISH[::2], False), ("minilm", 5, ENGLISH[:12], True), ("e5-small", 9, CHINESE[::2], False)],
)
def test_values_are_bert_scores(name: str, layer: int, texts: list[str], idf: bool, packaged_models: Path) -> None:
    responses, references = pairs_of(texts)
    expected = direct(responses, references, packaged_weights(name).folder, layer, idf=idf)
    assert expected[:, 0].std() > 0.02
    near(bert_scores(responses, references, model=name, idf=idf), expected, 5e-6)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "tiny-scores", limit=24)


LETTERS = ["abc def", "a", "hello there", "zz top", "the cat sat on a mat " * 4, "q", "def abc"]


def test_several_references_and_idf_together(tiny: Path) -> None:
    responses = LETTERS[:5]
    references = [["abc", "def"], ["a"], ["hello", "there", "hello there"], ["a zz", "top"], LETTERS[:3]]
    for idf in (False, True):
        found = bert_scores(responses, references, model=str(tiny), layer=2, idf=idf)
        near(found, direct(responses, references, tiny, 2, idf=idf), 1e-6)
    assert found[1, 0] == pytest.approx(1, abs=1e-6)
    weights = {**dict.fromkeys(range(60), 0.5), 5: 3.0, 2: 0.0, 3: 0.0}
    near(
        bert_scores(responses, references, model=str(tiny), layer=2, idf=weights),
        direct(responses, references, tiny, 2, idf=weights),
        1e-6,
    )


def test_an_empty_text_is_0(tiny: Path) -> None:
    found = bert_scores(["", "abc", " \n", "abc"], ["abc", "", ["abc", "d"], ["", "abc"]], model=str(tiny), layer=1)
    assert found[:3].tolist() == [[0, 0, 0]] * 3
    assert found[3] == pytest.approx([1, 1, 1], abs=1e-6)
    assert bert_scores([], [], model=str(tiny), layer=1).shape == (0, 3)


def test_lists_that_do_not_fit_are_refused(tiny: Path) -> None:
    with pytest.raises(OptionError, match="2 responses and 1 references"):
        bert_scores(["a", "b"], ["a"], model=str(tiny), layer=1)
    with pytest.raises(OptionError, match=r"response 1 .* has no reference"):
        bert_scores(["a", "b"], ["a", []], model=str(tiny), layer=1)
    with pytest.raises(OptionError, match=r"1 of 2 texts are longer than the 24 tokens .* \(the longest has 42\)"):
        bert_scores(["a " * 40], ["b"], model=str(tiny), layer=1, long="fail")


def test_kept_or_just_made_is_the_same_to_the_last_bit(
    packaged_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses, references = pairs_of([*ENGLISH[:6], ENGLISH[-2]])  # the last one is long enough to be rounded

    def scored(**options: Any) -> list[list[float]]:
        return bert_scores(responses, references, model="minilm", layer=2, **options).tolist()

    store = tmp_path / "vectors.sqlite"
    monkeypatch.setattr("calf.metrics.bertscore_scores.KeptVectors", lambda: KeptVectors(store))
    without = scored(keep=False)
    assert not store.exists()
    made = scored()
    runs = []
    monkeypatch.setattr(forward.Forward, "_run", lambda *_: runs.append(1))
    kept = scored()  # the model cannot run any more
    assert without == made == kept
    assert not runs
    assert KeptVectors(store).info().texts == len(set(responses + references))


def test_a_broken_store_changes_nothing(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = bert_scores(LETTERS, LETTERS[::-1], model=str(tiny), layer=2, keep=False)
    KeptVectors().path.parent.mkdir(parents=True)
    KeptVectors().path.write_bytes(b"noise" * 1000)
    caplog.set_level(logging.WARNING)
    found = bert_scores(LETTERS, LETTERS[::-1], model=str(tiny), layer=2)
    assert (found == expected).all()
    (record,) = (record for record in caplog.records if record.name.startswith("calf"))
    assert "going on without kept vectors" in record.getMessage()


def test_other_models_and_layers_are_kept_apart(tiny: Path, tmp_path: Path) -> None:
    other = write_tiny_bert(tmp_path / "other", layers=4, limit=24)
    for folder, layer in ((tiny, 1), (tiny, 2), (other, 1), (tiny, 1)):
        found = bert_scores(LETTERS, LETTERS[::-1], model=str(folder), layer=layer)
        near(found, direct(LETTERS, LETTERS[::-1], folder, layer), 1e-6)


@pytest.mark.parametrize("long", ["truncate", "window"])
def test_batches_give_what_texts_alone_give(long: Any, packaged_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a GPU, on a CPU."""
    monkeypatch.setattr(forward, "_BATCH_TOKENS", 1200)
    choice = choose("minilm", 2, "en", rescale=False)
    alone, together = (
        TokenEncoder(choice, code=False, long=long, device="cpu", half=False, kept=None) for _ in range(2)
    )
    alone._forward, alone._tokens = together._forward, together.tokens  # loaded once
    texts = [*ENGLISH[::5], " ".join(ENGLISH[:25]), ""]
    sizes = []
    run = forward.Forward._run
    monkeypatch.setattr(forward.Forward, "_run", lambda s, batch, pad: sizes.append(len(batch)) or run(s, batch, pad))
    together.encode_together(texts)
    assert max(sizes) > 1
    assert len(sizes) > 1
    for text in texts:
        one, other = alone.encode(text), together.encode(text)
        assert one.head.ids.tolist() == other.head.ids.tolist()
        assert one.vectors.shape == other.vectors.shape
        assert not one.vectors.size or np.abs(one.vectors - other.vectors).max() < 1e-5


def test_encoders_of_other_architectures(tmp_path: Path) -> None:
    """An encoder-decoder of BART's kind, T5's own loader, and a DeBERTa: bert-score's way to cut each."""
    import transformers as t

    tokens = write_tiny_bert(tmp_path / "tokens", limit=24)
    small = {"vocab_size": 60, "d_model": 16, "pad_token_id": 0}
    models = {
        "bart": t.BartModel(t.BartConfig(**small, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=30)),
        "a-t5": t.T5Model(t.T5Config(**small, num_layers=2, num_heads=2, d_kv=8, d_ff=32)),
        "deberta": t.DebertaModel(t.DebertaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=32, max_position_embeddings=30, relative_attention=True,
            pos_att_type=["c2p", "p2c"])),
    }  # fmt: skip
    for name, model in models.items():
        folder = tmp_path / name
        model.save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folder / file).write_bytes((tokens / file).read_bytes())
        found = bert_scores(LETTERS, LETTERS[::-1], model=str(folder), layer=1)
        near(found, direct(LETTERS, LETTERS[::-1], folder, 1), 1e-6)


def test_the_metric_scores_batches_the_same(tiny: Path) -> None:
    """The way of a GPU, on a CPU."""
    asked = [
        Comparison(f"c{i}", "q", "", a, b, "", "model_vs_model", "same", "en")
        for i, (a, b) in enumerate(zip(LETTERS, LETTERS[::-1], strict=True))
    ]
    items = [Response("q", "", c.reference, c.response_a, "en") for c in asked]
    found = []
    for together in (False, True):
        metric = BertScore(str(tiny), 2, keep=False)
        metric.prepare(Preparation(tuple(asked), 0))
        if together:
            metric._encode_together(items)
        found.append([outcome.value for outcome in metric.score(items) if isinstance(outcome, Score)])
    assert found[1] == pytest.approx(found[0], abs=1e-6)
    assert len(found[0]) == len(LETTERS)
