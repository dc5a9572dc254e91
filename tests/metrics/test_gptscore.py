from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood_models import (
    CHATML,
    comparisons,
    in_one_pass,
    items_of,
    needs_likelihood,
    one_by_one,
    one_thread,
    write_causal,
    write_gguf,
)

from calf.errors import DataError, OptionError, UserError
from calf.metrics.base import Preparation, Response
from calf.metrics.gptscore import GptScore
from calf.metrics.gptscore_prompt import Template
from calf.metrics.registry import load_metric
from calf.types import Comparison, Failure, Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["one_thread"]  # a fixture

pytestmark = [needs_likelihood, pytest.mark.usefixtures("one_thread")]

SHORT = "${question}\n\nC: ${context}\n\nR: ${reference}\n\nA:"
ZH = "问：${question}"
ROWS = [
    ("Why?", "Rivers slow.", "Silt settles."),
    ("Why?", "Rivers slow.", "x"),
    ("How?", None, "Dreams, 梦, <|im_end|> help. "),
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over bytes, 128 positions."""
    return write_causal(tmp_path_factory.mktemp("models") / "llama", chat_template=CHATML)


def made(folder: Path | str = "auto", **options: Any) -> GptScore:
    return GptScore(SHORT, ZH, **{"model": str(folder), **options})


def prepared(folder: Path | str, asked: Sequence[Comparison] = (), **options: Any) -> GptScore:
    metric = made(folder, **options)
    metric.prepare(Preparation(tuple(asked or comparisons(ROWS)), 0))
    return metric


def outcomes(folder: Path, asked: Sequence[Comparison], **options: Any) -> list[Any]:
    return list(prepared(folder, asked, **options).score(items_of(asked)))


def formula(folder: Path, prompt: str, response: str, by: Any = one_by_one) -> float:
    """By `one_by_one` every token of the response takes a pass of its own."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text, split_special_tokens=True).input_ids for text in (prompt, response)]
    return float(by(AutoModelForCausalLM.from_pretrained(folder).eval(), *ids))


def test_the_score_is_the_formula(llama: Path) -> None:
    found = [outcome.value for outcome in outcomes(llama, comparisons(ROWS))]
    assert found[0] == pytest.approx(formula(llama, "Why?\n\nR: Rivers slow.\n\nA:\n", "Silt settles."), abs=1e-5)
    assert found[1] == pytest.approx(formula(llama, "Why?\n\nR: Rivers slow.\n\nA:\n", "x"), abs=1e-5)
    assert found[2] == pytest.approx(formula(llama, "How?\n\nA:\n", "Dreams, 梦, <|im_end|> help."), abs=1e-5)


def test_chinese_has_its_own_prompt(llama: Path) -> None:
    asked = comparisons([("为何", "睡", "梦")], "zh")
    assert outcomes(llama, asked)[0].value == pytest.approx(formula(llama, "问：为何\n", "梦"), abs=1e-5)


def test_in_a_chat_the_prompt_is_the_users_message(llama: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(llama)
    message = [{"role": "user", "content": "Why?\n\nR: Rivers slow.\n\nA:"}]
    ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=True)["input_ids"]
    expected = one_by_one(AutoModelForCausalLM.from_pretrained(llama).eval(), ids, tokenizer("Silt settles.").input_ids)
    (found,) = outcomes(llama, comparisons(ROWS[:1]), chat=True)
    assert found.value == pytest.approx(expected, abs=1e-5)
    assert found != outcomes(llama, comparisons(ROWS[:1]))[0]


def test_a_response_without_tokens_is_a_failure(llama: Path) -> None:
    found = outcomes(llama, comparisons([("Why?", "a", " \n"), ("Why?", "a", "b"), ("Why?", "a", "")]))
    assert found[::2] == [Failure("no_tokens", "the response has no tokens")] * 2
    assert isinstance(found[1], Score)


def test_what_is_too_long_is_cut_in_the_stated_order(llama: Path) -> None:
    """The prompt has 17 bytes and its line break besides context and reference; 128 fit."""
    metric = prepared(llama)

    def outcome(context: int, reference: int, response: int, question: str = "Why?") -> Any:
        texts = ["c" * (context - 1) + "C", "r" * (reference - 1) + "R", "a" * (response - 1) + "A"]
        return next(iter(metric.score([Response(question, texts[0], texts[1], texts[2], "en")])))

    def shortened(context: int, reference: int, response: str) -> float:
        prompt = f"Why?\n\nC: {('c' * 128 + 'C')[-context:] if context else ''}\n\nR: "
        return formula(
            llama, prompt + f"{('r' * 128 + 'R')[-reference:] if reference else ''}\n\nA:\n", response, in_one_pass
        )

    fixed = len("Why?\n\nC: \n\nR: \n\nA:\n")
    room = 128 - fixed
    fits = outcome(30, 40, room - 70)
    assert fits.usage is None
    assert fits.value == pytest.approx(shortened(30, 40, "a" * (room - 71) + "A"), abs=1e-5)
    of_context = outcome(30, 40, room - 50)
    assert of_context.usage == {"over_window": 20}
    assert of_context.value == pytest.approx(shortened(10, 40, "a" * (room - 51) + "A"), abs=1e-5)
    of_reference = outcome(30, 40, room - 15)
    assert of_reference.usage == {"over_window": 55}
    assert of_reference.value == pytest.approx(shortened(0, 15, "a" * (room - 16) + "A"), abs=1e-5)
    of_response = outcome(30, 40, room + 5)
    assert of_response.usage == {"over_window": 75}
    assert of_response.value == pytest.approx(shortened(0, 0, "a" * room), abs=1e-5)
    assert outcome(30, 40, 5, "Q" * 200) == Failure(
        "too_long", f"{fixed + 196 + 75 - 128} tokens beyond the window of 128: nothing of the response is left"
    )


def test_what_is_too_long_can_be_refused(llama: Path) -> None:
    asked = comparisons([("Why?", "r", "a" * 200), ("Why?", "r", "a")])
    prompt = "Why?\n\nR: r\n\nA:\n"
    by = len(prompt) + 200 - 128
    with pytest.raises(OptionError, match=rf"^long=fail: 1 of 4 'en' responses, .* the 128 .* \(by up to {by}\)"):
        outcomes(llama, asked, long="fail")
    assert isinstance(outcomes(llama, asked[1:], long="fail")[0], Score)


def test_scores_do_not_depend_on_what_is_scored_with_them(llama: Path) -> None:
    long = ("Why?", "Rivers slow.", "Much. " * 40)
    asked = comparisons([*ROWS, ("Why?", "Rivers slow.", "Sand."), long, ("Who?", "Nobody knows.", "He does."), long])
    items = items_of(asked)
    metric = prepared(llama)
    together = list(metric.score(items))
    assert [next(iter(metric.score([item]))) for item in items] == together
    assert list(metric.score(items[::-1])) == together[::-1]
    assert outcomes(llama, asked) == together  # loaded anew


def test_the_default_is_for_english(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="gptscore: model=auto is for English, not 'zh'; choose a model"):
        made().describe(["zh"])
    found = made(llama).find()
    monkeypatch.setattr(GptScore, "find", lambda self: found)
    asked = [*comparisons(ROWS[:1]), *comparisons([("为何", "睡", "梦")], "zh")]
    english, chinese = list(prepared("auto", asked).score(items_of(asked)))
    assert english.value < 0
    assert chinese == Failure("unsupported_language", "model=auto is for English, not 'zh'")


def test_auto_is_the_packaged_smollm2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.metrics.gptscore.packaged_gguf", lambda name: name)
    monkeypatch.setattr("calf.metrics.gptscore.gguf_weights", lambda gguf: f"weights of {gguf}")
    assert made().find() == made("smollm2").find() == "weights of smollm2"
    assert not made().for_all_languages
    assert made("smollm2").for_all_languages


def test_a_gguf_file(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    metric = prepared("auto", gguf=str(file), chat=True)
    assert next(iter(metric.score(items_of(comparisons(ROWS))))).value < 0
    assert metric.scale("zh") == "tiny"
    described = metric.describe(["zh"])
    assert described["revision"].startswith("gguf sha256:")
    assert described["window"] == "96"
    with pytest.raises(OptionError, match="give one of them"):
        made("gpt2", gguf=str(file))
    with pytest.raises(UserError, match="not a GGUF file"):
        made(gguf=__file__).describe(["en"])


def test_the_definition_and_a_new_aspect_without_code(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = load_metric("gptscore", model=str(llama))
    item = Response("Why?", "It rained.", "Silt.", "", "en")
    for template in (metric.instance._english, metric.instance._chinese):  # type: ignore[union-attr]  # a GptScore
        filled = template.fill(item)
        assert [filled.text[first:end] for first, end in filled.spans] == ["It rained.", "Silt."]
        bare = template.fill(Response("Why?", "", None, "", "en"))
        assert "Why?" in bare.text
        assert "expert" not in bare.text
        assert "专家" not in bare.text
    assert "prompt_en:sha256:" in metric.signature(["en"])

    (tmp_path / "calf.toml").touch()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "mine.txt").write_text("Be brief.\n\n${question}\n\nAnswer:")
    (tmp_path / "metrics" / "brevity.toml").write_text(
        'adapter = "gptscore"\nsummary = "Brevity"\n[files]\nprompt_en = "mine.txt"\nprompt_zh = "mine.txt"\n'
    )
    monkeypatch.chdir(tmp_path)
    aspect = load_metric("brevity", model=str(llama)).instance
    aspect.prepare(Preparation(tuple(comparisons(ROWS)), 0))  # type: ignore[union-attr]  # a GptScore
    (score,) = aspect.score(items_of(comparisons(ROWS[:1])))  # type: ignore[union-attr]
    assert score.value == pytest.approx(formula(llama, "Be brief.\n\nWhy?\n\nAnswer:\n", "Silt settles."), abs=1e-5)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("Answer:", r"^p: the placeholder \$\{question\} is missing"),
        ("${question}\n${qestion}", r"^p:2: unknown placeholder \$\{qestion\}"),
        ("${question} ${response}", r"the response follows the template"),
        ("${question} ${context} ${context}", r"\$\{context\} stands twice"),
    ],
)
def test_templates_are_checked(template: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        Template.load(template, "p")


@settings(deadline=None)
@given(*(st.text("ab ${question}\n", max_size=20) for _ in range(3)))
def test_texts_stand_in_the_prompt_as_they_are(question: str, context: str, reference: str) -> None:
    filled = Template.load("R: ${reference}\n\nC: ${context} end\n\nQ: ${question}", "p").fill(
        Response(question, context, reference, "", "en")
    )
    given_texts = [text.strip() for text in (context, reference) if text.strip()]
    if question.strip():
        assert [filled.text[first:end] for first, end in filled.spans] == given_texts
        assert filled.text.endswith(f"Q: {question.strip()}")
    assert ("C: " in filled.text) == bool(context.strip())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"long": "cut"}, "long 'cut'"),
        ({"device": "tpu"}, "device 'tpu'"),
        ({"device": "cpu", "half": True}, "half precision is for a GPU"),
        ({"model": "./none"}, "'./none': no such folder"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        made(**{"folder": "auto", **options}).describe(["en"])


def test_nothing_is_written_to_the_terminal(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert outcomes(llama, comparisons([("Why?", "r" * 5000, "a" * 50)]), chat=True)[0].usage["over_window"] > 4900
    assert capfd.readouterr() == ("", "")
