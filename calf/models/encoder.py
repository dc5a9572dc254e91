"""Loads tokenizers and encoders from a folder: never a model's own code, never the network, never half a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.errors import UserError
from calf.models.quiet import quiet, reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from calf.models.folder import Weights

__all__ = ["load_encoder", "load_tokenizer", "unknown_share"]


def load_tokenizer(weights: Weights, window: int) -> Any:
    """The model's tokenizer, cutting at `window` tokens.

    It is the slow one where transformers still has two: bert-score's default, and its values are the measure.

    Raises:
        UserError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                weights.folder, use_fast=False, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # a broken folder raises anything, down to the tokenizers' own errors
        raise UserError(f"model {weights.name!r}: its tokenizer cannot be loaded: {reason(error)}") from error
    tokenizer.model_max_length = window
    return tokenizer


def load_encoder(weights: Weights) -> Any:
    """The model in float32, without a head.

    Raises:
        UserError: it cannot be loaded, or its folder lacks weights that the model needs (transformers would draw them
            at random).
    """
    from transformers import AutoModel

    try:
        with quiet():
            model, report = AutoModel.from_pretrained(
                weights.folder, trust_remote_code=False, local_files_only=True, output_loading_info=True
            )
    except Exception as error:  # as above
        raise UserError(f"model {weights.name!r} cannot be loaded: {reason(error)}") from error
    absent = sorted(key for key in report["missing_keys"] if "pooler" not in key and not key.startswith("decoder."))
    if absent:
        raise UserError(
            f"model {weights.name!r}: its folder lacks {len(absent)} of the weights that its configuration names "
            f"({absent[0]}, ...); it is damaged or of another architecture"
        )
    return model.float().eval()


def unknown_share(tokenizer: Any, texts: Iterable[str]) -> float:
    """The share of the texts' tokens that the tokenizer does not know: 0 to 1, 0 if there are none."""
    if tokenizer.unk_token_id is None:
        return 0.0
    unknown = total = 0
    with quiet():
        for text in texts:
            ids = tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"]
            unknown += ids.count(tokenizer.unk_token_id)
            total += len(ids)
    return unknown / total if total else 0.0
