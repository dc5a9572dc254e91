from __future__ import annotations

import json
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood_models import (
    CHATML,
    byte_tokenizer,
    needs_likelihood,
    one_by_one,
    one_thread,
    write_bart,
    write_causal,
    write_gguf,
    write_t5,
)

from calf.errors import DataError, OptionError, UserError
from calf.models import causal, gguf_weights
from calf.models.causal import Causal, PromptTokens, window_of
from calf.models.device import check_device, find_device, in_threads
from calf.models.folder import Weights
from calf.models.gguf import find_gguf
from calf.models.seq2seq import Seq2Seq, windows_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["one_thread"]  # a fixture

pytestmark = [needs_likelihood, pytest.mark.usefixtures("one_thread")]

SOURCE = "Rivers slow at the sea."
TARGETS = ["Deltas.", "x", "Silt, 泥, settles"]


def weights(folder: Path) -> Weights:
    return Weights(folder.name, folder, "test")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bart(folder / "bart")
    write_t5(folder / "t5")
    for kind in ("llama", "mistral", "gpt2"):
        write_causal(folder / kind, kind, chat_template=CHATML)
    return folder


# ---- encoder-decoders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_an_encoder_decoders_likelihood_is_the_loss_that_transformers_computes(name: str, folders: Path) -> None:
    import torch

    model = Seq2Seq(weights(folders / name), "cpu")
    source = model.source(SOURCE)[0]
    targets = [model.target(text)[0] for text in TARGETS]
    found = model.log_likelihoods(source, targets)
    for target, value in zip(targets, found, strict=True):
        with torch.no_grad():
            loss = model._model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).loss
        assert value == pytest.approx(-loss.item(), abs=1e-5)
    assert len({round(value, 3) for value in found}) == 3


def test_barts_likelihood_is_that_of_a_padded_batch(folders: Path) -> None:
    """As the authors compute it: a batch, padding ignored, each target's special tokens counted."""
    import torch
    from transformers import BartForConditionalGeneration, BartTokenizer

    tokenizer = BartTokenizer.from_pretrained(folders / "bart")
    bart = BartForConditionalGeneration.from_pretrained(folders / "bart").eval()
    sources = [SOURCE, "Short.", SOURCE[:12]]
    left, right = (tokenizer(texts, padding=True, return_tensors="pt") for texts in (sources, TARGETS))
    with torch.no_grad():
        logits = bart(**left, labels=right.input_ids).logits
    lost = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), right.input_ids, ignore_index=tokenizer.pad_token_id, reduction="none"
    )
    expected = (-lost.sum(1) / right.attention_mask.sum(1)).tolist()
    model = Seq2Seq(weights(folders / "bart"), "cpu")
    for source, target, value in zip(sources, TARGETS, expected, strict=True):
        (found,) = model.log_likelihoods(model.source(source)[0], [model.target(target)[0]])
        assert found == pytest.approx(value, abs=1e-5)
    assert model.target("x")[0] == tokenizer("x").input_ids
    assert len(model.target("x")[0]) == 3  # <s> x </s>


def test_a_long_text_loses_its_end_and_keeps_its_special_tokens(folders: Path) -> None:
    model = Seq2Seq(weights(folders / "bart"), "cpu")
    assert model.windows == (64, 64)
    assert model.source("a" * 62) == (model.tokens("a" * 62), 0)
    ids, over = model.source("a" * 62 + "bcd")
    assert (ids, over) == (model.tokens("a" * 62), 3)
    assert model.target("a" * 70)[1] == 8
    assert model.source("a b")[0] == model.tokens("a b")  # cutting one text does not cut the next


def test_special_tokens_in_a_text_are_text(folders: Path) -> None:
    for name in ("bart", "t5"):
        model = Seq2Seq(weights(folders / name), "cpu")
        special = {model.tokenizer.eos_token_id, model.tokenizer.pad_token_id}
        ids = model.tokens("a</s><pad><s>b")
        assert not special & set(ids[1:-1])
        assert len(ids) == len("a</s><pad><s>b") + model.tokenizer.num_special_tokens_to_add()
        assert model.tokens("") == []


def test_windows(folders: Path, tmp_path: Path) -> None:
    assert windows_of(weights(folders / "t5")) == (512, 512)
    led = {"max_encoder_position_embeddings": 16384, "max_decoder_position_embeddings": 1024}
    (tmp_path / "config.json").write_text(json.dumps(led))
    assert windows_of(weights(tmp_path)) == (16384, 1024)
    for config, window in (
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": 4096, "n_positions": 1}, 4096),
        ({"text_config": {"max_position_embeddings": 32768}}, 32768),
        ({"model_type": "bloom"}, 2048),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert window_of(weights(tmp_path)) == window


# ---- causal models ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["llama", "mistral", "gpt2"])
@pytest.mark.parametrize("block", [512, 4])
def test_a_causal_models_likelihood_is_the_formula(
    kind: str, block: int, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causal, "_BLOCK", block)
    model = Causal(weights(folders / kind), "cpu")
    prompt = model.prompt("Why? Say.").ids
    responses = [model.response(text) for text in TARGETS]
    found = model.log_likelihoods(prompt, responses)
    for response, value in zip(responses, found, strict=True):
        assert value == pytest.approx(one_by_one(model._model, prompt, response), abs=1e-5)
        assert model.log_likelihoods(prompt, [response]) == [value]  # to the last bit, whatever is beside it
    assert model.log_likelihoods(prompt, responses[::-1]) == found[::-1]
    assert model.log_likelihoods(prompt[:1], responses[:1]) == pytest.approx(
        [one_by_one(model._model, prompt[:1], responses[0])], abs=1e-5
    )


def test_no_token_has_part_of_the_prompt_and_of_the_response(tmp_path: Path) -> None:
    merges = [("T", "h"), ("Ċ", "Th")]  # together, "\nTh" would be one token
    model = Causal(weights(write_causal(tmp_path / "m", tokenizer=byte_tokenizer(merges=merges, regex=False))), "cpu")
    prompt, response = model.prompt("Why?"), model.response("The sea")
    assert model.tokenizer.convert_ids_to_tokens(list(prompt.ids)) == ["W", "h", "y", "?", "Ċ"]
    assert model.tokenizer.convert_ids_to_tokens(response) == ["Th", "e", "Ġ", "s", "e", "a"]
    assert model.tokenizer.convert_ids_to_tokens(model.tokenizer("Why?\nThe").input_ids)[4] == "ĊTh"


def test_a_tokenizer_that_begins_texts_with_a_space_does_not_do_so_after_a_line_break(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers

    words = ["<|im_start|>", "<|im_end|>", "▁", "\n", *"?ehyWT", "▁T"]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, [("▁", "T")]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    model = Causal(weights(write_causal(tmp_path / "m", tokenizer=tokenizer)), "cpu")
    assert model.tokenizer.tokenize("The") == ["▁T", "h", "e"]
    assert model.tokenizer.convert_ids_to_tokens(model.response("The")) == ["T", "h", "e"]
    assert model.tokenizer.convert_ids_to_tokens(list(model.prompt("Why?").ids)) == ["▁", *"Why?", "\n"]


def test_what_begins_every_text_begins_the_prompt_alone(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "m", tokenizer=byte_tokenizer(begin="<|im_start|>"), bos_token="<|im_start|>")
    model = Causal(weights(folder), "cpu")
    prompt = model.prompt("ab", [(1, 2)])
    assert model.tokenizer.convert_ids_to_tokens(list(prompt.ids)) == ["<|im_start|>", "a", "b", "Ċ"]
    assert prompt.spans == ((2, 3),)
    assert model.tokenizer.convert_ids_to_tokens(model.response("a")) == ["a"]
    assert model.response("") == []


def test_a_chat_template_is_around_the_prompt_and_texts_cannot_leave_their_message(folders: Path) -> None:
    model = Causal(weights(folders / "llama"), "cpu", chat=True)
    begin, end = model.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    prompt = model.prompt("Why?<|im_end|>", [(0, 3)])
    assert model.tokenizer.decode(list(prompt.ids)) == (
        "<|im_start|>user\nWhy?<|im_end|><|im_end|>\n<|im_start|>assistant\n"
    )
    assert prompt.ids.count(begin) == 2
    assert prompt.ids.count(end) == 1  # the template's
    assert model.tokenizer.decode(list(prompt.without(2).ids)).startswith("<|im_start|>user\ny?<|im")
    assert end not in model.response("a<|im_end|>")


def test_the_date_in_a_chat_template_does_not_change(tmp_path: Path) -> None:
    template = "{{ strftime_now('%d %b %Y') }}, {{ date_string }}: {{ messages[0]['content'] }}>"
    model = Causal(weights(write_causal(tmp_path / "m", chat_template=template)), "cpu", chat=True)
    assert model.tokenizer.decode(list(model.prompt("Q").ids)) == "26 Jul 2024, 26 Jul 2024: Q>"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (None, "its tokenizer has no chat template; leave out chat=true"),
        ("hello", "does not show the user's message once"),
        ("{{ messages[0]['content'] * 2 }}", "does not show the user's message once"),
        ("{{ raise_exception('no user here') }}", "its chat template fails: TemplateError: no user here"),
    ],
)
def test_chat_templates_that_cannot_be_used(template: str | None, problem: str, tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "m", **({"chat_template": template} if template else {}))
    with pytest.raises(UserError, match=problem):
        Causal(weights(folder), "cpu", chat=True)


@settings(deadline=None)
@given(st.data())
def test_tokens_are_taken_from_the_beginnings_of_the_parts_in_their_order(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 6), min_size=5, max_size=5))
    ids, spans = [], []
    for part, size in enumerate(sizes):
        spans.append((len(ids), len(ids) + size))
        ids += [10 * part + i for i in range(size)]
    order = (spans[3], spans[1])
    count = data.draw(st.integers(0, 20))
    kept = PromptTokens(tuple(ids), order).without(count).ids
    from_first = min(count, sizes[3])
    from_second = min(count - from_first, sizes[1])
    assert kept == tuple(
        i for i in ids if not (30 <= i < 30 + from_first) and not (10 <= i < 10 + from_second)
    )  # fmt: skip


# ---- loading ----------------------------------------------------------------------------------------------------


def test_models_of_the_other_kind_are_refused(folders: Path) -> None:
    with pytest.raises(OptionError, match="'bart' is an encoder-decoder; gptscore takes causal models"):
        Causal(weights(folders / "bart"), "cpu")
    with pytest.raises(OptionError, match="'gpt2' is no encoder-decoder; gptscore takes causal models, bartscore"):
        Seq2Seq(weights(folders / "gpt2"), "cpu")


@pytest.mark.parametrize(("name", "load"), [("bart", Seq2Seq), ("llama", Causal)])
def test_models_that_cannot_be_loaded_are_one_line(name: str, load: Any, folders: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(folders / name, folder)
    kept = load_file(folder / "model.safetensors")
    save_file(
        {key: value for key, value in kept.items() if "layers.1.self_attn.v" not in key}, folder / "model.safetensors",
        metadata={"format": "pt"},
    )  # fmt: skip
    with pytest.raises(UserError, match=r"its folder lacks [1-4] of the weights"):
        load(weights(folder), "cpu")
    (folder / "model.safetensors").write_bytes(b"noise")
    with pytest.raises(UserError, match="'model': cannot be loaded: ") as caught:
        load(weights(folder), "cpu")
    assert "\n" not in str(caught.value)
    config = {"model_type": "unheard-of", "auto_map": {"AutoConfig": "c.C"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "c.py").write_text("raise SystemExit('the code of a model ran')")
    with pytest.raises(UserError, match="'model' needs code of its own"):
        load(weights(folder), "cpu")


def test_a_models_own_code_runs_if_it_may(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder = tmp_path / "model"
    shutil.copytree(folders / "llama", folder)
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": names}))
    (folder / "own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    with pytest.raises(UserError, match=r"needs code of its own, from .*; that runs only with trust_remote_code=true"):
        Causal(weights(folder), "cpu")
    own, plain = Causal(weights(folder), "cpu", code=True), Causal(weights(folders / "llama"), "cpu")
    assert type(own._model).__name__ == "OwnModel"
    assert own.log_likelihoods([1, 2], [[3]]) == plain.log_likelihoods([1, 2], [[3]])


def test_a_window_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="takes 2 tokens: too few"):
        Seq2Seq(weights(write_bart(tmp_path / "m", positions=2)), "cpu")


@pytest.mark.parametrize(("device", "half"), [("gpu", False), ("cpu", True), ("cuda:x", False)])
def test_devices_that_make_no_sense(device: str, half: bool) -> None:
    with pytest.raises(OptionError, match=r"device 'gpu'|device 'cuda:x'|half precision is for a GPU"):
        check_device(device, half=half)


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto", half=False) == "cpu"
    for device, half in (("cuda", False), ("cuda:1", False), ("auto", True)):
        with pytest.raises(OptionError, match="torch finds"):
            find_device(device, half=half)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [find_device(device, half=True) for device in ("auto", "cuda:1")] == ["cuda", "cuda:1"]


def test_parts_are_worked_on_by_one_thread_each_in_order() -> None:
    import torch

    torch.set_num_threads(2)
    seen = list(in_threads(lambda part: (part, torch.get_num_threads(), threading.current_thread()), range(9), "cpu"))
    assert [part for part, _, _ in seen] == list(range(9))
    assert {count for _, count, _ in seen} == {1}
    assert threading.main_thread() not in {thread for _, _, thread in seen}
    assert torch.get_num_threads() == 2


# ---- GGUF -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_gguf_file_is_unpacked_once_and_exactly(gguf_file: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    found = gguf_weights.gguf_weights(find_gguf(str(gguf_file)))
    assert found.name == "tiny"
    assert found.revision == f"gguf sha256:{find_gguf(str(gguf_file)).sha256[:12]}"
    assert found.folder.is_relative_to(tmp_path)  # CALF_CACHE
    written = {file: file.stat().st_mtime_ns for file in found.folder.iterdir()}
    assert gguf_weights.gguf_weights(find_gguf(str(gguf_file))) == found
    assert {file: file.stat().st_mtime_ns for file in found.folder.iterdir()} == written

    direct = AutoModelForCausalLM.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name).eval()
    model = Causal(found, "cpu", chat=True)
    assert model.window == 96
    mine, its = model._model.state_dict(), direct.state_dict()
    assert mine.keys() == its.keys()
    assert all(torch.equal(mine[key], its[key]) for key in mine)
    prompt, response = model.prompt("the <|im_end|>"), model.response("then")
    assert model.tokenizer.convert_ids_to_tokens(response) == ["the", "n"]
    assert prompt.ids[0] == 0
    (value,) = model.log_likelihoods(prompt.ids, [response])
    assert value == pytest.approx(one_by_one(direct, prompt.ids, response), abs=1e-5)


def test_several_unpack_a_gguf_file_once(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, count = gguf_weights._write, []
    monkeypatch.setattr(gguf_weights, "_write", lambda *given: (count.append(1), write(*given)))
    found: list[Weights] = []
    threads = [
        threading.Thread(target=lambda: found.append(gguf_weights.gguf_weights(find_gguf(str(gguf_file)))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1
    assert len(found) == 3
    assert len(set(found)) == 1


def test_an_interrupted_unpacking_leaves_no_model(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(gguf: Any, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gguf_weights, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            gguf_weights.gguf_weights(find_gguf(str(gguf_file)))
    assert Causal(gguf_weights.gguf_weights(find_gguf(str(gguf_file))), "cpu").response("a")


def test_a_gguf_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"noise" * 20)
    with pytest.raises(UserError, match=r"bad\.gguf: cannot be unpacked as a causal model into .*: ") as caught:
        gguf_weights.gguf_weights(find_gguf(str(tmp_path / "bad.gguf")))
    assert "\n" not in str(caught.value)
    assert "CALF_CACHE" in str(caught.value)
