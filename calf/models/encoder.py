"""Loads tokenizers and encoders from a folder: never the network, never half a model, its own code only if allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.models.loading import check_complete, explained
from calf.models.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from calf.models.folder import Weights

__all__ = ["load_encoder", "load_tokenizer", "unknown_share"]


def load_tokenizer(weights: Weights, window: int, *, code: bool = False) -> Any:
    """The model's tokenizer, cutting at `window` tokens.

    It is the slow one where transformers still has two: bert-score's default, and its values are the measure.

    Args:
        weights: where it is.
        window: the most tokens of a text, special ones included.
        code: whether the model's own code may run.

    Raises:
        UserError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                weights.folder, use_fast=False, trust_remote_code=code, local_files_only=True
            )
    except Exception as error:  # a broken folder raises anything, down to the tokenizers' own errors
        raise explained(weights, "its tokenizer cannot be loaded", error, code=code) from error
    tokenizer.model_max_length = window
    return tokenizer


def load_encoder(weights: Weights, *, code: bool = False) -> Any:
    """The model in float32, without a head; of T5's kind the encoder alone.

    Args:
        weights: where it is.
        code: whether the model's own code may run.

    Raises:
        UserError: it cannot be loaded, needs code of its own that may not run, or its folder lacks weights that the
            model needs (transformers would draw them at random).
    """
    import transformers

    options = {"trust_remote_code": code, "local_files_only": True}
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(weights.folder, **options)
            alone = type(config).__name__.replace("Config", "EncoderModel")  # T5, mT5, UMT5, LongT5 have such a class
            kind = getattr(transformers, alone, None) if config.is_encoder_decoder else None
            if kind is None:
                kind = transformers.AutoModel
            else:
                options.pop("trust_remote_code")
            model, report = kind.from_pretrained(weights.folder, output_loading_info=True, **options)
    except Exception as error:  # as above
        raise explained(weights, "cannot be loaded", error, code=code) from error
    check_complete(
        weights, (key for key in report["missing_keys"] if "pooler" not in key and not key.startswith("decoder."))
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
