"""Modules of Hugging Face's evaluate as metrics: local ones that these tests write, and a hub that they pretend."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import calf
from calf.cli import main
from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.errors import OptionError, UserError
from calf.metrics.base import Preparation, Response
from calf.metrics.huggingface_guess import guess_key, match_inputs, numbers_of
from calf.metrics.registry import load_metric
from calf.types import Comparison, Failure

Write = Callable[..., str]

MODULE = """
import json
import os
import datasets
import evaluate
{imports}

TEXT = datasets.Value("string")
LIST = datasets.Sequence(TEXT)
CALLS = "{calls}"


class Made(evaluate.Metric):
    def _info(self):
        about = dict(description="", citation="", inputs_description="")
        return evaluate.MetricInfo(features={features}, **about)

    def _compute(self, *, weight=1.0, **inputs):
        count = len(next(iter(inputs.values())))
        print("this is no part of the result")
        with open(CALLS, "a") as file:
            file.write(json.dumps(inputs) + "\\n")
{body}
"""

BOTH = 'datasets.Features({"predictions": TEXT, "references": LIST})'
LENGTHS = """
        pairs = zip(inputs["predictions"], inputs["references"])
        return {"scores": [weight * len(p) / (1 + len(r[0])) for p, r in pairs], "hash": "x"}
"""
MEAN = """
        total = sum(len(p) / (1 + len(r[0])) for p, r in zip(inputs["predictions"], inputs["references"]))
        return {"made": total / count, "count": count}
"""


@pytest.fixture(scope="session", autouse=True)
def quick_import() -> None:
    """evaluate imports transformers, which takes seconds, for what is not used here."""
    if "transformers" not in sys.modules:
        sys.modules["transformers"] = None  # type: ignore[assignment]
        import evaluate  # noqa: F401

        del sys.modules["transformers"]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module and returns its spec; the tests run in a workspace of their own."""
    (tmp_path / "calf.toml").touch()
    monkeypatch.chdir(tmp_path)

    def written(body: str, features: str = BOTH, imports: str = "", name: str = "made") -> str:
        folder = tmp_path / "modules" / name
        folder.mkdir(parents=True, exist_ok=True)
        text = MODULE.format(body=body, features=features, imports=imports, calls=tmp_path / "calls.jsonl")
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return f"hf:modules/{name}"

    return written


def calls(folder: Path) -> list[dict[str, list[Any]]]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def comparison(number: int, response_a: str, response_b: str, reference: str | None = "a reference") -> Comparison:
    return Comparison(
        id=str(number), question=f"question {number}?", context="", reference=reference, response_a=response_a,
        response_b=response_b, setting="model_vs_model", label="response_a", language="en", group=str(number),
    )  # fmt: skip


def small(count: int = 30, **changes: Any) -> Dataset:
    return Dataset("small", tuple(comparison(i, "x" * (i + 1), "y" * (2 * i + 1), **changes) for i in range(count)))


def items(*responses: str, reference: str | None = "four") -> list[Response]:
    return [Response("why?", "since", reference, response, "en") for response in responses]


def ready(spec: str, dataset: Dataset | None = None, **options: Any) -> Any:
    instance: Any = load_metric(spec, **options).instance
    instance.prepare(Preparation((dataset or small()).comparisons, 0))
    return instance


def test_a_list_of_scores_is_asked_for_in_batches(write: Write, tmp_path: Path) -> None:
    metric = ready(write(LENGTHS))
    (tmp_path / "calls.jsonl").unlink()
    responses = ["z" * n for n in range(70)]
    assert list(metric.score(items(*responses))) == [n / 5 for n in range(70)]
    assert [len(call["predictions"]) for call in calls(tmp_path)] == [32, 32, 6]
    assert calls(tmp_path)[0]["references"][0] == ["four"]
    smaller = ready(write(LENGTHS), batch_size=8)
    (tmp_path / "calls.jsonl").unlink()
    assert list(smaller.score(items(*responses))) == [n / 5 for n in range(70)]
    assert len(calls(tmp_path)) == 9


def test_an_aggregate_is_asked_for_one_by_one(write: Write, tmp_path: Path) -> None:
    metric = ready(write(MEAN))  # the key: the entry of the module's own name
    (tmp_path / "calls.jsonl").unlink()
    assert list(metric.score(items("a", "bb", ""))) == [0.2, 0.4, 0.0]
    assert [call["predictions"] for call in calls(tmp_path)] == [["a"], ["bb"], [""]]


def test_scores_that_depend_on_the_batch_are_asked_for_one_by_one(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    spec = write(
        '        return {"score": [len(p) / max(map(len, inputs["predictions"])) for p in inputs["predictions"]]}'
    )
    metric = ready(spec)
    assert list(metric.score(items("a", "aaaa"))) == [1.0, 1.0]
    assert [record.message for record in caplog.records if record.name.startswith("calf")] == [
        "module made: the responses beside it move a score by up to 9.8e-01; it is asked about one at a time"
    ]


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_in_the_order_of_lengths_are_not_taken_for_those_of_the_responses(write: Write, sign: int) -> None:
    spec = write(f"""
        return {{"score": sorted((float(len(p)) for p in inputs["predictions"]), key=lambda n: {sign} * n)}}""")
    assert list(ready(spec).score(items("aa", "a", "aaa"))) == [2.0, 1.0, 3.0]


def test_even_the_last_digits_do_not_depend_on_the_batch(write: Write) -> None:
    spec = write('        return [len(p) + 1e-9 * count for p in inputs["predictions"]]')
    assert list(ready(spec).score(items("a", "aa"))) == [1 + 1e-9, 2 + 1e-9]


def test_a_module_without_references_gets_the_question_and_the_context(write: Write, tmp_path: Path) -> None:
    features = 'datasets.Features({"sources": TEXT, "candidates": TEXT, "passages": LIST})'
    spec = write('        return {"score": float(len(inputs["candidates"][0])), "hash": "x"}', features)
    run = calf.evaluate(spec, small(3, reference=None))
    assert run.rows[0]["coverage"] == 1
    assert calls(tmp_path)[-1] == {"sources": ["question 2?"], "candidates": ["y" * 5], "passages": [[""]]}


def test_a_module_with_references_fails_where_there_is_none(write: Write) -> None:
    metric = ready(write(LENGTHS))
    assert list(metric.score([*items("a", reference=None), *items("a", reference=" "), *items("a")])) == [
        Failure("no_reference", "the comparison has no reference"),
        Failure("no_reference", "the comparison has no reference"),
        0.2,
    ]
    run = calf.evaluate(write(MEAN), small(3, reference=None))
    assert run.failures == {"no_reference": 3}


def test_inputs_can_be_named(write: Write, tmp_path: Path) -> None:
    spec = write('        return {"score": 1.0}', 'datasets.Features({"hyp": TEXT, "human": TEXT})')
    with pytest.raises(OptionError, match=r"its input 'hyp' is for cannot be guessed \(its inputs: hyp \(text\), hum"):
        ready(spec)
    assert list(ready(f"{spec}[predictions=hyp,references=human]").score(items("a"))) == [1.0]
    assert calls(tmp_path)[-1] == {"hyp": ["a"], "human": ["four"]}


def test_of_several_entries_one_is_named(write: Write) -> None:
    spec = write('        return {"one": 1.0, "two": len(inputs["predictions"][0]), "parts": [1, 2]}')
    with pytest.raises(OptionError, match=r"module made gives one, two, parts: name the entry .* key="):
        ready(spec)
    with pytest.raises(OptionError, match="no entry 'three'; it has: one, two, parts"):
        ready(spec, key="three")
    with pytest.raises(OptionError, match=r"parts is \[1, 2\], not one number"):
        ready(spec, key="parts")
    assert list(ready(f"{spec}[key=two]").score(items("abc"))) == [3.0]
    assert list(ready(spec, key="two", higher_is_better=False).score(items("abc"))) == [-3.0]
    names = {load_metric(f"{spec}[key=two]").name, load_metric(spec, key="two").name}
    assert names == {"hf:modules/made[key=two]"}


def test_arguments_go_to_compute(write: Write) -> None:
    metric = ready(write(LENGTHS), arguments='{"weight": 10}')
    assert list(metric.score(items("a"))) == [2.0]
    for wrong, message in (("{", "not JSON"), ("3", "JSON object"), ('{"predictions": 1}', "is an input")):
        with pytest.raises(OptionError, match=message):
            ready(write(LENGTHS), arguments=wrong)


RAISES = """
        if "yyyyy" in inputs["predictions"]:
            raise ZeroDivisionError("five of them\\nare too many")
        if "y" in inputs["predictions"]:
            return {"scores": [None] * count}
"""


@pytest.mark.parametrize("body", [LENGTHS, MEAN.replace("made", "scores")])
def test_what_it_raises_is_the_failure_of_that_item(write: Write, body: str) -> None:
    dataset = small(20)
    whole = calf.evaluate(write(body, name="whole"), dataset)
    run = calf.evaluate(write(RAISES + body), dataset)
    assert run.failures == {"bad_output": 1, "error": 1}
    assert run.messages["error"].startswith("ZeroDivisionError: five of them are too many (made.py:")
    assert "not one number for each response" in run.messages["bad_output"]
    for failed, judged in zip(run.judgments, whole.judgments, strict=True):
        assert failed == judged or failed.failure


def test_if_it_scores_nothing_that_is_said_before_the_run(write: Write, tmp_path: Path) -> None:
    spec = write('        raise OSError("no checkpoint here")')
    with pytest.raises(UserError, match=r"scores none of 8 responses .*: OSError: no checkpoint here"):
        calf.evaluate(spec, small())
    assert not (tmp_path / "runs").exists()


ROUGE = """
        scorer = RougeScorer(["rougeL"], tokenizer=Characters())
        pairs = zip(inputs["predictions"], inputs["references"])
        return {"rougeL": [scorer.score_multi(r, p)["rougeL"].fmeasure for p, r in pairs]}
"""
CHARACTERS = """
from rouge_score.rouge_scorer import RougeScorer
from .characters import Characters
"""


def rouge(write: Write, tmp_path: Path) -> str:
    spec = write(ROUGE, imports=CHARACTERS, name="rouge")
    helper = "class Characters:\n    def tokenize(self, text):\n        return list(''.join(text.split()))\n"
    (tmp_path / "modules" / "rouge" / "characters.py").write_text(helper)
    return spec


def test_rouge_of_chinese_is_our_rouge(write: Write, tmp_path: Path) -> None:
    chinese = load_dataset("sample").select(languages=("zh",))
    responses = [
        Response(c.question, c.context, c.reference, text, c.language)
        for c in chinese
        for text in (c.response_a, c.response_b)
    ]
    assert len(responses) > 60
    theirs, ours = (
        list(ready(spec, chinese).score(responses)) for spec in (rouge(write, tmp_path), "rouge-l[measure=f1]")
    )
    assert theirs == pytest.approx(ours, abs=1e-9)
    assert len(set(theirs)) > 10


def test_from_the_command_line(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calf", "evaluate", "--metric", write(LENGTHS), "-o", "key=scores", "--limit", "10", "--format", "json"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    out = capsys.readouterr().out
    assert not stop.value.code
    answer = json.loads(out)  # what the module prints is not in it
    row = next(row for row in answer["rows"] if row["metric"] == "hf:modules/made[key=scores]")
    assert row["coverage"] == 1
    (name,) = answer["runs"]
    assert name.startswith("hf-modules-made-key=scores--sample--")
    manifest = (tmp_path / "runs" / name / "manifest.json").read_text()
    assert str(tmp_path) not in manifest
    assert "module_code:" in json.loads(manifest)["signature"]


def test_killed_and_continued_it_ends_as_if_never_interrupted(write: Write, tmp_path: Path) -> None:
    stops = """
        if os.path.exists("stop") and "xxxxxxxxxxxxxxxxxxxxxxxxx" in inputs["predictions"]:
            raise KeyboardInterrupt
"""
    spec = write(stops + MEAN)
    straight = calf.evaluate(spec, small(), runs="straight")
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        calf.evaluate(spec, small(), runs="killed")
    kept = (tmp_path / "killed" / straight.id / "judgments.jsonl").read_text()
    assert 0 < len(kept.splitlines()) < 60
    (tmp_path / "stop").unlink()
    continued = calf.evaluate(spec, small(), runs="killed")
    assert continued.judgments == straight.judgments
    assert continued.rows == straight.rows


def test_worker_processes_change_nothing(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "transformers.py").write_text("raise ImportError('too slow for a test')")
    monkeypatch.syspath_prepend(tmp_path / "slow")  # workers take the path over
    spec = rouge(write, tmp_path)
    dataset = small(20, reference="long " * 100)  # enough text for both workers
    alone, shared = (calf.evaluate(spec, dataset, jobs=jobs, runs=f"jobs{jobs}") for jobs in (1, 2))
    assert shared.judgments == alone.judgments
    assert not shared.failures


def test_it_leaves_nothing_behind_and_says_nothing(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tempfile

    from datasets.utils import are_progress_bars_disabled

    for place in ("HF_MODULES_CACHE", "HF_METRICS_CACHE", "DOWNLOADED_EVALUATE_PATH"):
        monkeypatch.setattr(f"evaluate.config.{place}", tmp_path / "users" / place)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    bars = are_progress_bars_disabled()
    calf.evaluate(write(LENGTHS), small(3))
    calf.evaluate(write(MEAN, name="other"), small(3), options={"key": "made"})
    assert not (tmp_path / "users").exists()
    assert not (tmp_path / "calf-cache").exists()
    assert not list((tmp_path / "temporary").iterdir())
    assert not [path for path in sys.path if "temporary" in path]
    assert are_progress_bars_disabled() == bars
    assert capsys.readouterr().out == ""


def test_a_definition_gives_it_a_name(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(LENGTHS)
    (tmp_path / "metrics").mkdir()
    text = 'adapter = "hf:../modules/made"\nsummary = "mine"\n[parameters]\nkey = "scores"\n[options]\nbatch_size = 4\n'
    (tmp_path / "metrics" / "mine.toml").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    metric = load_metric("mine")
    assert (metric.name, metric.origin, metric.summary) == ("mine", "workspace", "mine")
    assert list(ready("mine").score(items("a"))) == [0.2]
    assert str(tmp_path) not in metric.signature(["en"])
    assert load_metric(f"hf:{tmp_path}/modules/made").name == "hf:./made"
    assert load_metric("hf:../modules/made/made.py").instance.describe(()) == metric.instance.describe(())  # type: ignore[union-attr]


def test_edited_code_is_another_metric(write: Write, tmp_path: Path) -> None:
    spec = rouge(write, tmp_path)
    first = load_metric(spec).signature(["zh"])
    assert "module_imports:rouge_score==" in first
    assert "|evaluate:" in first
    assert load_metric(spec).signature(["zh"]) == first
    helper = tmp_path / "modules" / "rouge" / "characters.py"
    helper.write_text(helper.read_text() + "# edited\n")
    assert load_metric(spec).signature(["zh"]) != first
    assert load_metric(spec, key="rougeL").signature(["zh"]) != load_metric(spec).signature(["zh"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hf:", "name a module"),
        ("hf:./nothing", "there is no file ./nothing/nothing.py"),
        ("hf:nothing.py", "there is no file nothing.py"),
        ("hf:a/b/c", "there is no file a/b/c/c.py"),
        ("hf:bleurt", "would run code from the Hugging Face hub: bleurt.py of the space evaluate-metric/bleurt"),
        ("hf:unbabel/comet", "comet.py of the space unbabel/comet; allow that with -o trust_remote_code=true"),
        ("hf:modules/made[batch_size=0]", "give 1 to 32"),
    ],
)
def test_a_wrong_name_is_one_line(write: Write, spec: str, message: str) -> None:
    write(LENGTHS)
    with pytest.raises(UserError, match=message) as caught:
        _ = load_metric(spec).instance
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "imports", "features", "message"),
    [
        (LENGTHS, "import json, os", BOTH, "cannot be loaded: ImportError.*; evaluate's loader cannot read `import a"),
        (LENGTHS, "import surely_not_installed", BOTH, "cannot be loaded: ImportError"),
        (LENGTHS, "def (", BOTH, "module made.py is not Python: SyntaxError"),
        (LENGTHS, "1 / 0", BOTH, "cannot be loaded: ZeroDivisionError"),
        (MEAN, "", 'datasets.Features({"predictions": datasets.Value("int8"), "references": TEXT})', "not judge texts"),
        (MEAN, "", 'datasets.Features({"predictions": LIST, "references": LIST})', "not judge texts"),
        ('        return {"name": "x"}', "", BOTH, "gives no number for a response; its result: name"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_used_is_one_line(
    write: Write, body: str, imports: str, features: str, message: str
) -> None:
    spec = write(body, features, imports)
    with pytest.raises(UserError, match=message) as caught:
        calf.evaluate(spec, small(3))
    assert "\n" not in str(caught.value)


def test_a_file_without_a_module_is_one_line(write: Write, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("x = 1\n")
    with pytest.raises(UserError, match=r"^plain.py has no class of evaluate.Metric$"):
        ready("hf:plain.py")


@pytest.fixture
def hub(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub that has one space, `evaluate-measurement/made`; gives what it was asked for."""
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        import httpx
    except ModuleNotFoundError:
        import httpx2 as httpx  # as newer versions of the hub's library have it

    write(LENGTHS)
    asked: list[str] = []

    def info(self: object, space: str, timeout: float) -> None:
        asked.append(space)
        if space == "owner/away":
            raise ConnectionError("the hub is away")
        if space != "evaluate-measurement/made":
            raise RepositoryNotFoundError("404", response=httpx.Response(404, request=httpx.Request("GET", "http://x")))

    def download(space: str, **_: object) -> str:
        folder = tmp_path / "hub" / "0123456789abcdef"
        shutil.copytree(tmp_path / "modules" / "made", folder)
        return str(folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "space_info", info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    return asked


def test_code_of_the_hub_is_run_only_when_trusted(hub: list[str]) -> None:
    with pytest.raises(OptionError, match="trust_remote_code=true"):
        _ = load_metric("hf:made").instance
    assert not hub
    metric = load_metric("hf:made", trust_remote_code=True)
    assert metric.name == "hf:made"
    assert "module_source:evaluate-measurement/made@0123456789ab" in metric.signature(["en"])
    assert hub == ["evaluate-metric/made", "evaluate-measurement/made"]


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "has no space evaluate-metric/absent or"), ("owner/away", "the hub is away")]
)
def test_a_hub_that_does_not_give_it_is_one_line(hub: list[str], name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        _ = load_metric(f"hf:{name}", trust_remote_code=True).instance
    assert "\n" not in str(caught.value)


def test_a_module_in_the_hubs_cache_is_taken_from_there(
    hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    file = tmp_path / "modules" / "made" / "made.py"
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: str(file))
    assert list(ready("hf:owner/made", trust_remote_code=True).score(items("a"))) == [0.2]
    assert not hub


@pytest.mark.parametrize(
    ("result", "key"),
    [
        ({"anything": 1}, "anything"),
        ({"scores": [0.5], "mean_score": 0.5}, "scores"),  # COMET
        ({"precision": [1.0], "recall": [0.5], "f1": [0.7], "hashcode": "x"}, "f1"),  # BERTScore
        ({"bleu": 0.1, "precisions": [1, 1, 1, 1], "brevity_penalty": 1.0}, "bleu"),
        ({"made": 1, "score": 2}, "made"),
        (0.25, "score"),
    ],
)
def test_guesses_of_the_score(result: Any, key: str) -> None:
    assert guess_key("bleu" if "bleu" in str(result) else "made", result) == key


@pytest.mark.parametrize("result", [{}, None, {"a": 1, "b": 2}, {"f1": 1, "score": 2}, {"a": "x"}, {"a": True}])
def test_what_cannot_be_guessed_is_an_error(result: Any) -> None:
    with pytest.raises(OptionError, match="module made gives"):
        guess_key("made", result)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False) | st.integers(-100, 100), min_size=1, max_size=5))
def test_numbers_are_read_from_lists_and_arrays(values: list[float]) -> None:
    import numpy as np

    assert numbers_of(values, len(values)) == values
    assert numbers_of(np.array(values), len(values)) == values
    assert numbers_of(values, len(values) + 1) is None
    assert numbers_of([*values, "x"], len(values) + 1) is None
    assert numbers_of(np.float64(values[0]), 1) == numbers_of(values[0], 1) == [values[0]]


def test_of_alternative_inputs_the_first_that_can_be_had_is_taken() -> None:
    from datasets import Features, Sequence, Value

    text = Value("string")
    tokens = Features({"predictions": Sequence(text), "references": Sequence(text)})
    texts = Features({"predictions": text, "references": Sequence(text)})
    found = match_inputs("made", [tokens, texts], {})
    assert [(part.name, part.role, part.as_list) for part in found] == [
        ("predictions", "predictions", False), ("references", "references", True),
    ]  # fmt: skip
    with pytest.raises(OptionError, match="two inputs for predictions"):
        match_inputs("made", Features({"prediction": text, "responses": text}), {})
    with pytest.raises(OptionError, match="no input for the response"):
        match_inputs("made", Features({"references": text}), {})
    with pytest.raises(OptionError, match="no input 'other' for sources"):
        match_inputs("made", texts, {"sources": "other"})
