"""What likelihood metrics share: models with a head, texts as tokens, log-probabilities of tokens, threads, devices."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from calf.errors import OptionError, UserError
from calf.models.quiet import quiet, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import torch

    from calf.models.folder import Weights

__all__ = [
    "check_device",
    "find_device",
    "in_threads",
    "load_model",
    "load_tokenizer",
    "log_probabilities",
    "plain_ids",
]

T = TypeVar("T")
R = TypeVar("R")

_NO_LIMIT = 1 << 40  # tokens; the tokenizer is to cut nothing unless told, and not to warn


def check_device(device: str, *, half: bool) -> None:
    """Whether the options make sense, without torch.

    Raises:
        OptionError: the device's name is none, or half precision is asked for on a CPU.
    """
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise OptionError(f"device {device!r}: give auto, cpu, cuda or cuda:N")
    if half and device == "cpu":
        raise OptionError("half precision is for a GPU: leave out half=true or device=cpu")


def find_device(device: str, *, half: bool) -> str:
    """The device meant by "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        OptionError: torch does not find it, or half precision was asked for and there is no GPU.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not count):
        if half:
            raise OptionError("half precision is for a GPU, and torch finds none: leave out half=true")
        return "cpu"
    found = "cuda" if device == "auto" else device
    if int(found.partition(":")[2] or 0) >= count:
        raise OptionError(f"device {device!r}: torch finds {count} such devices")
    return found


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
        raise _explained(weights, "its tokenizer cannot be loaded", error, code=code) from error
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
        raise _explained(weights, "cannot be loaded", error, code=code) from error
    if not right:
        other = "an encoder-decoder" if kind == "causal" else "no encoder-decoder"
        raise OptionError(
            f"model {weights.name!r} is {other}; gptscore takes causal models, bartscore encoder-decoders"
        )
    if absent := sorted(report["missing_keys"]):
        raise UserError(
            f"model {weights.name!r}: its folder lacks {len(absent)} of the weights that its configuration names "
            f"({absent[0]}, ...); it is damaged or of another architecture"
        )
    return model.to(device=device, dtype=torch.bfloat16 if half else torch.float32).eval()


def _explained(weights: Weights, problem: str, error: Exception, *, code: bool) -> UserError:
    if not code and "trust_remote_code" in str(error):
        return UserError(
            f"model {weights.name!r} needs code of its own, from {weights.folder}; that runs only with "
            "trust_remote_code=true: read it first"
        )
    return UserError(f"model {weights.name!r}: {problem}: {reason(error)}")


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


def in_threads(work: Callable[[T], R], parts: Iterable[T], device: str) -> Iterator[R]:
    """The results for all parts, in order, as soon as they are known; several are at work at once.

    Each part is worked on by a single thread, so that its result is the same to the last bit, however many there are.
    On a GPU, and in a worker process (of which there are as many as the user asked for), one is at work at a time.
    """
    import torch

    alone = device != "cpu" or multiprocessing.parent_process() is not None
    pool = ThreadPoolExecutor(1 if alone else torch.get_num_threads(), initializer=_use_one_thread)
    try:
        for future in [pool.submit(work, part) for part in parts]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
