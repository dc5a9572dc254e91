"""Tiny models with random weights for likelihood tests: encoder-decoders, causal models, a GGUF file."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from calf.metrics.base import Response
from calf.types import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

PACKAGES = ("torch", "transformers", "safetensors", "gguf", "accelerate")
MISSING = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
needs_likelihood = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}; pip install 'calf-eval[dev]'")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny matrices are slower in several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SMALL: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32,
    "max_position_embeddings": 128, "initializer_range": 0.5,
}  # fmt: skip

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def alphabet() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def write_bart(folder: Path, *, positions: int = 64) -> Path:
    """A BART over bytes."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    folder.mkdir(parents=True)
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet()]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BartTokenizer"}))
    torch.manual_seed(7)
    config = BartConfig(
        vocab_size=len(words), d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=positions,
        init_std=0.5,
    )  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(folder)
    return folder


def write_t5(folder: Path, *, words: Sequence[str] | None = None) -> Path:
    """A T5 over bytes, or over `words` alone; its end of a text is </s>, and it has no limit of its own."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import T5Config, T5ForConditionalGeneration

    folder.mkdir(parents=True)
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *(words or alphabet())])}
    if words is None:
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    write_tokenizer(folder, tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    torch.manual_seed(7)
    config = T5Config(
        vocab_size=len(vocabulary), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0,
        initializer_factor=3.0,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def write_causal(folder: Path, kind: str = "llama", *, tokenizer: Any = None, **settings: Any) -> Path:
    """A causal model over bytes (unless `tokenizer` is given): llama, mistral (with a sliding window) or gpt2.

    Args:
        settings: for the tokenizer's configuration, e.g. `chat_template`.
    """
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig

    folder.mkdir(parents=True)
    tokenizer = tokenizer or byte_tokenizer()
    write_tokenizer(folder, tokenizer, eos_token="<|im_end|>", **settings)
    size = tokenizer.get_vocab_size()
    torch.manual_seed(7)
    if kind == "gpt2":
        config: Any = GPT2Config(
            vocab_size=size, n_embd=16, n_layer=2, n_head=4, n_positions=128, initializer_range=0.5, bos_token_id=0,
            eos_token_id=1,
        )  # fmt: skip
    elif kind == "mistral":
        config = MistralConfig(vocab_size=size, num_key_value_heads=2, sliding_window=5, **SMALL)
    else:
        config = LlamaConfig(vocab_size=size, num_key_value_heads=2, **SMALL)
    model: Any = AutoModelForCausalLM
    model.from_config(config).save_pretrained(folder)
    return folder


def byte_tokenizer(*, merges: Sequence[tuple[str, str]] = (), regex: bool = True, begin: str = "") -> Any:
    """A byte-level tokenizer with ChatML's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ["<|im_start|>", "<|im_end|>"]
    words = [*special, *alphabet(), *(a + b for a, b in merges)]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    tokenizer.decoder = decoders.ByteLevel()
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, words.index(begin))]
        )
    tokenizer.add_special_tokens(special)
    return tokenizer


def write_tokenizer(folder: Path, tokenizer: Any, **settings: Any) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_gguf(path: Path) -> Path:
    """A Llama over bytes as a GGUF file, its large matrices in 8 bits."""
    import gguf
    import numpy as np

    hidden, inner, heads = 32, 64, 2
    words = ["<|im_start|>", "<|im_end|>", *alphabet(), "th", "the"]
    writer: Any = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(96)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3, 3, *([1] * (len(words) - 2))])  # 3: a special one
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(CHATML)
    random = np.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        values = random.normal(0, 0.5, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, np.abs(values) + 1)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", len(words), hidden)
    add("output_norm.weight", hidden)
    for name, shape in {
        "attn_norm": (hidden,), "attn_q": (hidden, hidden), "attn_k": (hidden, hidden), "attn_v": (hidden, hidden),
        "attn_output": (hidden, hidden), "ffn_norm": (hidden,), "ffn_gate": (inner, hidden), "ffn_up": (inner, hidden),
        "ffn_down": (hidden, inner),
    }.items():  # fmt: skip
        add(f"blk.0.{name}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def one_by_one(model: Any, prompt: Sequence[int], response: Sequence[int]) -> float:
    """The formula: a whole pass for every token of the response, nothing kept."""
    import torch

    total = 0.0
    with torch.no_grad():
        for place, token in enumerate(response):
            logits = model(input_ids=torch.tensor([[*prompt, *response[:place]]]), use_cache=False).logits
            total += float(logits[0, -1].double().log_softmax(0)[token])
    return total / len(response)


def in_one_pass(model: Any, prompt: Sequence[int], response: Sequence[int]) -> float:
    """The loss that transformers computes, over the response's tokens alone."""
    import torch

    labels = torch.tensor([[*([-100] * len(prompt)), *response]])
    with torch.no_grad():
        return -float(model(input_ids=torch.tensor([[*prompt, *response]]), labels=labels).loss)


def comparisons(rows: Iterable[tuple[str, str | None, str]], language: str = "en") -> list[Comparison]:
    """One for each (question, reference, response)."""
    return [
        Comparison(f"{language}{i}", question, "", reference, response, "", "model_vs_model", "same", language)
        for i, (question, reference, response) in enumerate(rows)
    ]


def items_of(asked: Iterable[Comparison]) -> list[Response]:
    return [Response(c.question, c.context, c.reference, c.response_a, c.language) for c in asked]
