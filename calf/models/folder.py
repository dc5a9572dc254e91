"""A Hugging Face folder on disk, and what its small files say, without importing transformers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.errors import DataError
from calf.hashing import digest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Weights",
    "folder_revision",
    "is_complete",
    "layer_count",
    "read_config",
    "read_json",
    "sha256_of",
    "window_of",
]

_MODEL_FILES = frozenset({".json", ".txt", ".model", ".safetensors", ".bin"})
_WEIGHT_FILES = frozenset({".safetensors", ".bin"})

# Models that count positions from the padding token's id + 1 on, so that so many of their positions are never used.
_PADDED_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm"}
    | {"xlm-roberta", "xlm-roberta-xl", "xmod"}
)

_DEFAULT_WINDOW = 512  # of models without a limit (T5): what they were trained with


@dataclass(frozen=True, slots=True)
class Weights:
    """A model on disk.

    Attributes:
        name: what tables call it.
        folder: a Hugging Face folder: configuration, weights and tokenizer.
        revision: what tells these weights from others of the same name, one short line.
    """

    name: str
    folder: Path
    revision: str


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_revision(folder: Path, *, code: bool = False) -> str:
    """`sha256:` and twelve digits of a hash over the names and bytes of the configuration, tokenizer and weights.

    Args:
        folder: the model's.
        code: of its Python files, too.
    """
    suffixes = _MODEL_FILES | {".py"} if code else _MODEL_FILES
    files = sorted(file for file in folder.iterdir() if file.suffix in suffixes and file.is_file())
    return "sha256:" + digest({file.name: sha256_of(file) for file in files}, length=12)


def is_complete(folder: Path) -> bool:
    """Whether a folder has a configuration, some weights and something of a tokenizer."""
    names = [file.name for file in folder.iterdir() if file.is_file()]
    return (
        "config.json" in names
        and any(name.endswith(tuple(_WEIGHT_FILES)) for name in names)
        and any(name.endswith((".txt", ".model")) or name in ("tokenizer.json", "vocab.json") for name in names)
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The model's `config.json`.

    Raises:
        DataError: it is missing or not a JSON object.
    """
    config = read_json(folder / "config.json")
    if config is None:
        raise DataError("not a Hugging Face model folder: it has no config.json", folder)
    return config


def layer_count(config: dict[str, Any]) -> int | None:
    """How many layers the model (of an encoder-decoder, the encoder) has; None if the configuration does not say."""
    for key in ("encoder_layers", "num_hidden_layers", "n_layers", "n_layer", "num_layers"):
        if isinstance(config.get(key), int):
            return int(config[key])
    return None


def window_of(folder: Path) -> int:
    """How many tokens, special ones included, the model takes at once: the tokenizer's limit or the model's, the lower.

    Some tokenizers state no limit (1e30), some models have none; 512 where neither has.

    Raises:
        DataError: `config.json` or `tokenizer_config.json` cannot be read.
    """
    config = read_config(folder)
    stated = (read_json(folder / "tokenizer_config.json") or {}).get("model_max_length")
    limits = [int(stated)] if isinstance(stated, int | float) and 0 < stated < 1e9 else []
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        unused = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in _PADDED_POSITIONS else 0
        limits.append(positions - unused)
    return min(limits, default=_DEFAULT_WINDOW)


def read_json(path: Path) -> dict[str, Any] | None:
    """A file's JSON object; None if there is no such file.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read as JSON: {error}", path) from error
    if not isinstance(value, dict):
        raise DataError("must hold a JSON object", path)
    return value
