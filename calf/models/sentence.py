"""One vector for a whole text, as a sentence encoder's folder says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from calf.errors import DataError, OptionError
from calf.models.encoder import load_encoder, load_tokenizer
from calf.models.encoding import Encoder
from calf.models.folder import read_json, window_of
from calf.models.tokens import TextTokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calf.models.encoding import Long
    from calf.models.folder import Weights
    from calf.models.kept import KeptVectors
    from calf.models.windows import Windows

__all__ = ["Pooling", "SentenceEncoder", "Sentences", "read_sentences"]

Pooling = Literal["mean", "cls"]

_E5 = re.compile(r"(^|[-_/])e5-(small|base|large)(?!.*instruct)", re.IGNORECASE)
_E5_PREFIX = "query: "


@dataclass(frozen=True, slots=True)
class Sentences:
    """How a model makes one vector of a text.

    Attributes:
        weights: the model.
        pooling: the mean of the last layer's vectors, those of special tokens included, or the first one's.
        prefix: what is put before every text.
        window: the most tokens of a text, prefix and special ones included.
        lower: whether texts are put in lower case.
    """

    weights: Weights
    pooling: Pooling
    prefix: str
    window: int
    lower: bool


def read_sentences(weights: Weights, pooling: str, prefix: str | None) -> Sentences:
    """What the files of sentence-transformers in a model's folder say; without them, the mean, and the model's window.

    Args:
        weights: the model.
        pooling: "mean", "cls", or "auto" for what the folder says.
        prefix: None for what the model was trained with: `query: ` for E5 models (Wang et al. 2022, for symmetric
            tasks), else the folder's default prompt, if it has one.

    Raises:
        OptionError: the folder asks for something that CALF does not do.
        DataError: its files cannot be read.
    """
    folder = weights.folder
    limits = read_json(folder / "sentence_bert_config.json") or {}
    longest = limits.get("max_seq_length")
    window = window_of(folder)
    return Sentences(
        weights,
        _pooling(folder, weights.name) if pooling == "auto" else "cls" if pooling == "cls" else "mean",
        _prefix(folder, weights.name) if prefix is None else prefix,
        min(window, longest) if isinstance(longest, int) and longest > 0 else window,
        limits.get("do_lower_case") is True,
    )


class SentenceEncoder(Encoder):
    """The vector of a text, not brought to any length.

    A longer text in windows gets the mean of the windows' vectors, each weighted by the tokens that it has; the prefix
    stands before each.

    Args:
        sentences: the model and how it is used.
        code: whether the model's own code may run.
        long, device, half, kept: as for `calf.models.encoding.Encoder`.
    """

    def __init__(
        self, sentences: Sentences, *, code: bool, long: Long, device: str, half: bool, kept: KeptVectors | None
    ) -> None:
        self._sentences = sentences
        self._code = code
        settings = (sentences.pooling, sentences.prefix, sentences.window, sentences.lower, *(["code"] if code else []))
        super().__init__(
            sentences.weights, ("sentence", *settings), long=long, device=device, half=half, kept=kept
        )  # fmt: skip

    def load_model(self) -> Any:
        """The whole model; of an encoder-decoder the encoder."""
        model = load_encoder(self._sentences.weights, code=self._code)
        return model.encoder if hasattr(model, "decoder") and hasattr(model, "encoder") else model

    def load_tokens(self) -> TextTokens:
        """Cuts prefix and text into tokens."""
        sentences = self._sentences
        tokenizer = load_tokenizer(sentences.weights, sentences.window, code=self._code)

        def encode(tokenizer: Any, text: str) -> list[int]:
            text = sentences.prefix + (text.lower() if sentences.lower else text)
            return list(tokenizer(text, truncation=True, max_length=tokenizer.model_max_length)["input_ids"])

        return TextTokens(tokenizer, sentences.window, encode, sentences.weights.name, sentences.prefix)

    def finish(self, hidden: Sequence[NDArray[np.float32]], windows: Windows | None) -> NDArray[np.float32]:
        """(1, width)."""
        del windows  # all are full: equal weights
        pooled = np.stack([part.mean(axis=0) if self._sentences.pooling == "mean" else part[0] for part in hidden])
        vector: NDArray[np.float32] = pooled.mean(axis=0, keepdims=True)
        return vector


def _pooling(folder: Path, name: str) -> Pooling:
    place = folder / "1_Pooling"
    for kind, path in _modules(folder):
        if kind == "Pooling":
            place = folder / path
        elif kind not in ("Transformer", "Normalize"):  # a normalised vector has the same cosines
            raise OptionError(
                f"model {name!r}: modules.json has a {kind} layer, which CALF does not run; pooling=mean or cls goes "
                "without it"
            )
    config = read_json(place / "config.json")
    if config is None:
        if _modules(folder):
            raise OptionError(f"model {name!r}: its folder lacks {place.name}/config.json; give pooling=mean or cls")
        return "mean"
    stated = config.get("pooling_mode")
    if stated is None:
        stated = [key.removeprefix("pooling_mode_").removesuffix("_token").removesuffix("_tokens")
                  for key, value in config.items() if key.startswith("pooling_mode_") and value is True]  # fmt: skip
    modes = [stated] if isinstance(stated, str) else stated
    if modes == ["mean"]:
        return "mean"
    if modes == ["cls"]:
        return "cls"
    raise OptionError(f"model {name!r} pools by {modes}, CALF by mean or cls; pooling=... chooses one all the same")


def _prefix(folder: Path, name: str) -> str:
    if _E5.search(name):
        return _E5_PREFIX
    settings = read_json(folder / "config_sentence_transformers.json") or {}
    prompts = settings.get("prompts")
    prompt = prompts.get(settings.get("default_prompt_name")) if isinstance(prompts, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _modules(folder: Path) -> list[tuple[str, str]]:
    """The kind and folder of each of `modules.json`'s modules."""
    path = folder / "modules.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        return [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in listed]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"cannot be read as the list of a sentence encoder's modules: {error}", path) from error
