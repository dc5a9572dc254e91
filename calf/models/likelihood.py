"""Models with a head, texts as tokens, and log-probabilities of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError
from calf.models.loading import check_complete, explained
from calf.models.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from calf.models.folder import Weights

__all__ = ["load_model", "load_tokenizer", "log_probabilities", "plain_ids"]

_NO_LIMIT = 1 << 40  # tokens; the tokenizer is to cut nothing unless told, and not to warn


def load_tokenizer(weights: Weights, *, code: bool) -> Any:
    """The model's tokenizer.

    Args:
        weights: where it is.
        code: whether the model's own code may run.

    Raises:
        UserError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(weights.folder, trust_remote_code=code, local_files_only=True)
    except Exception as error:  # a broken folder raises anything, down to the tokenizers' own errors
        raise explained(weights, "its tokenizer cannot be loaded", error, code=code) from error
    tokenizer.model_max_length = _NO_LIMIT
    return tokenizer


def load_model(
    weights: Weights, kind: Literal["causal", "seq2seq", "classifier"], device: str, *, half: bool, code: bool
) -> Any:
    """The model with its head, in float32, or in bfloat16 if `half`: its range is float32's, no model overflows in it.

    Raises:
        UserError: it cannot be loaded, is of the other kind, or its folder lacks weights that the model needs
            (transformers would draw them at random).
    """
    import torch
    import transformers

    options: dict[str, Any] = {"trust_remote_code": code, "local_files_only": True}
    loader: Any = {
        "causal": transformers.AutoModelForCausalLM,
        "seq2seq": transformers.AutoModelForSeq2SeqLM,
        "classifier": transformers.AutoModelForSequenceClassification,
    }[kind]
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(weights.folder, **options)
            right = kind == "classifier" or bool(config.is_encoder_decoder) == (kind == "seq2seq")
            if right:
                model, report = loader.from_pretrained(weights.folder, output_loading_info=True, **options)
    except Exception as error:  # as above
        raise explained(weights, "cannot be loaded", error, code=code) from error
    if not right:
        other = "an encoder-decoder" if kind == "causal" else "no encoder-decoder"
        raise OptionError(
            f"model {weights.name!r} is {other}; gptscore takes causal models, bartscore encoder-decoders"
        )
    check_complete(weights, report["missing_keys"])
    return model.to(device=device, dtype=torch.bfloat16 if half else torch.float32).eval()


def plain_ids(tokenizer: Any, text: str, **options: Any) -> list[int]:
    """The tokens of a text that is data.

    What looks like a special token in it ("</s>", "<|im_end|>") is split like any other text, so that no text can end
    itself or begin a message. One kind of tokenizer cannot do that: a unigram model (T5's) takes it for the piece of
    that name in its vocabulary.
    """
    return list(tokenizer(text, split_special_tokens=True, **options)["input_ids"])


def log_probabilities(logits: torch.Tensor, ids: Sequence[int]) -> float:
    """The sum of the tokens' log-probabilities, in nats.

    Args:
        logits: (tokens, vocabulary), of any floating type; those of what follows are made in float32, the sum in
            float64.
        ids: the token at each place.
    """
    import torch

    logits = logits.float()
    chosen = logits.gather(1, torch.tensor([ids], device=logits.device).T).squeeze(1)
    return float((chosen - logits.logsumexp(dim=1)).double().sum())
