"""Texts longer than a model's window: cut, covered, refused, and always counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from model_fixtures import needs_models, write_tiny_bert

from calf.errors import OptionError, UserError
from calf.metrics.base import Preparation, Response
from calf.metrics.bertscore import BertScore
from calf.metrics.bertscore_choice import choose
from calf.metrics.bertscore_encoder import TokenEncoder
from calf.metrics.bertscore_scores import bert_scores
from calf.models.kept import KeptVectors
from calf.models.windows import windows_over
from calf.types import Comparison, Failure, Score

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = needs_models

WINDOW = 24
LONG = "abc def ghi jkl mno pqr " * 6  # 108 tokens
SHORT = "abc def"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "tiny-long", positions=WINDOW)


def prepared(folder: Path, pairs: Iterable[tuple[str, str]], **options: Any) -> tuple[BertScore, list[Response]]:
    metric = BertScore(str(folder), 2, **options)
    asked = [Comparison(f"c{i}", "q", "", r, a, "", "model_vs_model", "same", "en") for i, (r, a) in enumerate(pairs)]
    metric.prepare(Preparation(tuple(asked), 0))
    return metric, [Response("q", "", c.reference, c.response_a, "en") for c in asked]


def encoder(folder: Path, long: Any, kept: KeptVectors | None = None) -> TokenEncoder:
    choice = choose(str(folder), 2, "en", rescale=False)
    return TokenEncoder(choice, code=False, long=long, device="cpu", half=False, kept=kept)


@pytest.mark.parametrize("long", ["truncate", "window"])
def test_tokens_beyond_the_window_are_counted(long: str, tiny: Path) -> None:
    pairs = [(SHORT, SHORT), (SHORT, LONG), (LONG, SHORT), (LONG, LONG), (LONG, "")]
    metric, items = prepared(tiny, pairs, long=long)
    over = 108 + 2 - WINDOW
    outcomes = [outcome for outcome in metric.score(items) if isinstance(outcome, Score)]
    assert [o.usage for o in outcomes] == [None, *({"over_window": n} for n in (over, over, 2 * over, over))]


def test_a_failure_has_its_count_too(tiny: Path) -> None:
    metric, items = prepared(tiny, [(LONG, LONG)], idf=True)  # one reference: no token has weight
    (outcome,) = metric.score(items)
    assert isinstance(outcome, Failure)
    assert outcome.usage == {"over_window": 2 * 86}


def test_windows_give_every_token_the_vector_of_its_window(tiny: Path) -> None:
    """By the plain formula, with transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    found = encoder(tiny, "window").encode(LONG.strip())
    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModel.from_pretrained(tiny).eval()
    inner = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    assert found.head.ids.tolist() == [2, *inner, 3]
    assert found.head.plain.tolist() == [False, *[True] * 108, False]
    windows = windows_over(108, WINDOW - 2)
    assert len(windows.starts) > 5
    hidden = []
    with torch.no_grad():
        for start in windows.starts:
            ids = torch.tensor([[2, *inner[start : start + WINDOW - 2], 3]])
            hidden.append(model(ids, output_hidden_states=True).hidden_states[2][0].numpy())
    expected = [hidden[0][0]]
    expected += [hidden[w][1 + at - windows.starts[w]] for at, w in enumerate(windows.owners.tolist())]
    expected = np.array([*expected, hidden[-1][-1]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(found.vectors - expected).max() < 1e-6


def test_windows_see_the_end_of_a_text_and_leave_short_ones_alone(tiny: Path) -> None:
    responses = [SHORT, LONG, LONG + " xyz"]
    references = [SHORT, LONG + "xyz", LONG + "xyz"]
    cut = bert_scores(responses, references, model=str(tiny), layer=2)
    whole = bert_scores(responses, references, model=str(tiny), layer=2, long="window")
    assert (cut[0] == whole[0]).all()
    assert cut[1, 1] == pytest.approx(1, abs=1e-6)  # the difference lies beyond the window
    assert whole[1, 1] < 0.9999
    assert whole[2] == pytest.approx([1, 1, 1], abs=1e-6)


def test_what_is_kept_of_one_way_is_not_taken_for_another(tiny: Path, tmp_path: Path) -> None:
    kept = KeptVectors(tmp_path / "v.sqlite")
    for text in (SHORT, LONG.strip()):
        expected = {long: encoder(tiny, long).encode(text) for long in ("truncate", "window")}
        for long in ("truncate", "window", "truncate", "window"):
            found = encoder(tiny, long, kept).encode(text)
            assert (found.vectors == expected[long].vectors).all()
            heads, missing = encoder(tiny, long, kept).survey([text])
            assert missing == 0
            assert heads[text].ids.tolist() == found.head.ids.tolist()
    assert kept.info().texts == 3  # the short one is the same in both ways
    _, missing = encoder(tiny, "window", kept).survey([SHORT, "xyz"])
    assert missing == 1


def test_long_fail_names_counts_and_ways_out(tiny: Path) -> None:
    problem = (
        r"long=fail: 2 of 3 texts are longer than the 24 tokens of model 'tiny-long' \(the longest has 128\); "
        r"long=window covers them whole, long=truncate cuts them"
    )
    for _ in range(2):  # the second time from what is kept
        with pytest.raises(OptionError, match=problem):
            prepared(tiny, [(SHORT, LONG), (SHORT, "abc def ghi " * 14)], long="fail")
        prepared(tiny, [(SHORT, LONG), (SHORT, "abc def ghi " * 14)])
    metric, items = prepared(tiny, [(SHORT, SHORT)], long="fail")
    assert [o.usage for o in metric.score(items) if isinstance(o, Score)] == [None]


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(OptionError, match="long 'cut': give truncate, window or fail"):
        BertScore(long="cut")  # type: ignore[arg-type]  # what a user may type


@pytest.fixture
def own_code(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with code of its own: a BERT by another name."""
    import shutil

    import transformers.dynamic_module_utils

    modules = tmp_path / "modules"
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(modules)
    folder = tmp_path / "own"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "own_model.OwnConfig", "AutoModel": "own_model.OwnModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own-bert", "auto_map": auto}))
    (folder / "own_model.py").write_text(
        "import pathlib\n"
        "from transformers import BertConfig, BertModel\n"
        f"pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own-bert'\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n"
    )
    return folder


def test_a_models_own_code_runs_only_if_allowed(own_code: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model 'own' needs code of its own.*trust_remote_code=true") as caught:
        bert_scores([SHORT], ["abc"], model=str(own_code), layer=2)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    found = bert_scores([SHORT], ["abc"], model=str(own_code), layer=2, trust_remote_code=True)
    assert (tmp_path / "ran").exists()
    assert (found == bert_scores([SHORT], ["abc"], model=str(tiny), layer=2)).all()
    with_code = BertScore(str(own_code), 2, trust_remote_code=True).describe(["en"])["revision.en"]
    (own_code / "own_model.py").write_text("# other code")
    assert BertScore(str(own_code), 2, trust_remote_code=True).describe(["en"])["revision.en"] != with_code
