"""Reads a GGUF file as a Hugging Face folder: once, into the user's cache."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from calf.hashing import digest
from calf.models.folder import Weights
from calf.models.quiet import quiet
from calf.models.unpacked import unpack_once

if TYPE_CHECKING:
    from pathlib import Path

    from calf.models.gguf import Gguf

__all__ = ["gguf_weights"]

_VERSION = 1  # raised when `_write` writes other files


def gguf_weights(gguf: Gguf) -> Weights:
    """A causal model in a GGUF file, as a Hugging Face folder with float32 weights.

    transformers takes about half a minute to read a small file, and reads its tokenizer anew each time; so it is
    written once into the user's cache (`calf.models.unpacked`; SmolLM2-135M: 0.5 GB; of a 4-bit file about seven times
    its size). The unpacked numbers are exactly those that transformers computes from the file.

    Raises:
        UserError: the file holds no model that transformers can read, or the cache folder cannot be written.
    """
    # Another major version of transformers may read a tokenizer in another way.
    made_by = version("transformers").partition(".")[0]
    folder = unpack_once(
        f"{gguf.name}-{digest(gguf.sha256, made_by, _VERSION, length=12)}",
        f"{gguf.path}: cannot be unpacked as a causal model",
        lambda folder: _write(gguf, folder),
    )
    return Weights(gguf.name, folder, f"gguf sha256:{gguf.sha256[:12]}")


def _write(gguf: Gguf, folder: Path) -> None:
    import torch

    transformers: Any = importlib.import_module("transformers")  # untyped functions
    options: dict[str, Any] = {"gguf_file": gguf.path.name, "local_files_only": True}
    # Newer versions leave weights packed where a kernel for them is installed.
    config = getattr(transformers, "GgufConfig", None)
    unpacked = {} if config is None else {"quantization_config": config(dequantize=True)}
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.path.parent, **options)
        packed = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.path.parent, dtype=torch.float32, **options, **unpacked
        )
        # transformers does not save a model that came from a GGUF file: another one gets its weights.
        if hasattr(packed.config, "quantization_config"):
            del packed.config.quantization_config
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(packed.config)
        model.load_state_dict(packed.state_dict(), assign=True)
        model.tie_weights()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
