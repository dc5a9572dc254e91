"""Keys planted wherever a user may put one, through every command that touches a judge: no byte of them is left over.

What the engine alone does is in `tests/engine/test_secrets.py`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cli.judging import JUDGE, tiny
from engine.server import ScriptedServer

__all__ = ["tiny"]

CORE = "PLANTEDkey815"
KEY = f"sk-{CORE}-and-as-long-as-keys-are-0123456789abcdefghijklmn/4+9=="
"""Its end looks another way in an address, in base64 and in HTML; its core, which is looked for, in base64 alone."""

BEARER = f"Bearer {KEY}"
DATA = ("--dataset", "few.jsonl")
REFUSED = ["401", "402", "403", "404", "quota"]
PASSING = ["429", "500", "408", "400", "filter_400", "malformed", "half", "half_reset", "reset", "close", "html"]
PASSING += ["error_200", "no_choices", "null_choices", "empty", "wrong", "content_filter", "cut_off", None]


def forms(secret: str) -> dict[str, bytes]:
    """How a secret may be written: whole or cut at its end, and within a longer text that was encoded."""
    found = {"as it is": secret.encode(), "hexadecimal": secret.encode().hex().encode()}
    for start in range(3):  # base64 writes three bytes at a time: it depends on what stands before
        kept = secret.encode()[start:]
        inner = kept[: len(kept) // 3 * 3]
        found[f"base64 from {start}"] = base64.b64encode(inner)
        found[f"base64 for addresses from {start}"] = base64.urlsafe_b64encode(inner)
    assert quote(secret, safe="") == secret, "else an address needs a form of its own"
    return found


FORMS = forms(CORE)


def test_forms_are_found_where_they_stand() -> None:
    hidden = [KEY, quote(KEY, safe=""), json.dumps({"a": KEY}), KEY.encode().hex(), KEY[:20], repr(KEY.encode())]
    hidden += [base64.b64encode(f"{'user:'[:n]}{KEY}".encode()).decode() for n in range(5)]
    for text in hidden:
        assert any(form in text.encode() for form in FORMS.values()), text
    assert not any(form in b"sk-..., (hidden), ***, PLANTED" for form in FORMS.values())


class Watch:
    """Runs commands, keeps what they say, and looks for the key in all of it and in every file."""

    def __init__(self, calf: Any, root: Path) -> None:
        self.calf = calf
        self.root = root
        self.mine: set[Path] = set()  # the user's own files, in which the key stands
        self.said: list[tuple[str, str]] = []

    def __call__(self, *words: object, check: int = 0) -> Any:
        done = self.calf(*words, check=check)
        self.said.append((" ".join(map(str, words)), done.stdout + done.stderr))
        return done

    def places(self) -> Iterator[tuple[str, bytes]]:
        for words, text in self.said:
            yield f"what is said by calf {words}", text.encode()
        for path in self.root.rglob("*"):
            if path in self.mine:
                continue
            yield f"the name of {path}", str(path).encode()
            if path.is_file():
                yield str(path), path.read_bytes()
            if path.suffix == ".sqlite":  # a long value may lie on several pages
                with sqlite3.connect(path) as connection:
                    yield f"{path}, dumped", "\n".join(connection.iterdump()).encode()

    def leaks(self) -> list[str]:
        return [f"{form}: {place}" for place, text in self.places() for form, raw in FORMS.items() if raw in text]


@pytest.fixture
def watch(calf: Any, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Whatever a test does, nothing of the key is left when it ends."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MY_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with (workspace / "few.jsonl").open("w") as file:
        for n in range(20):
            some = {"id": f"c{n}", "question": f"question {n // 4}", "reference": "an answer", "language": "en"}
            texts = {"response_a": "one word " * (n % 5 + 1), "response_b": "another word " * (n % 3 + 1)}
            rest = {"setting": "model_vs_model", "label": ("response_a", "response_b", "same")[n % 3]}
            file.write(json.dumps({**some, **texts, **rest}) + "\n")
    watching = Watch(calf, tmp_path)
    yield watching
    leaks = watching.leaks()
    assert leaks == [], "\n".join(leaks)


def echo(body: dict[str, Any]) -> dict[str, Any]:
    """A good answer that repeats what came with it."""
    return {"message": {"content": f"You sent {BEARER}.\n\nVerdict: A", "reasoning": f"the key is {KEY}"}}


def unread(body: dict[str, Any]) -> dict[str, Any]:
    return {"message": {"content": f"I like {BEARER}."}}


def server(**script: Any) -> ScriptedServer:
    return ScriptedServer(**{"answer": echo, "error_text": f"You sent Authorization: {BEARER}, so {KEY} is", **script})


# ---- where a key may stand ----------------------------------------------------------------------------------


WHERE = ["environment", "variable", "option", "brackets", "definition"]


@pytest.fixture
def keyed(watch: Watch, tiny: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The words that name the judge `tiny` at a server, with its key in one of several places."""

    def words(where: str, url: str, *options: str) -> list[str]:
        definition = workspace / "metrics" / "tiny.toml"
        if where == "environment":
            monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
            monkeypatch.setenv("OPENAI_BASE_URL", url)  # the key is for no other address
        elif where == "variable":
            monkeypatch.setenv("MY_KEY", KEY)
            options = (*options, "key_variable=MY_KEY")
        elif where == "option":
            options = (*options, f"api_key={KEY}")
        elif where == "definition":
            definition.write_text(f'{JUDGE}api_key = "{KEY}"\n')
            watch.mine.add(definition)
        found: list[str] = [*tiny(url, *options), *DATA]
        return [f'tiny[api_key="{KEY}"]' if word == "tiny" and where == "brackets" else word for word in found]

    return words


@pytest.mark.parametrize("where", WHERE)
def test_a_good_run(watch: Watch, keyed: Any, tmp_path: Path, where: str) -> None:
    record = tmp_path / "kept" / "record.jsonl"
    with server() as judging:
        some = keyed(where, judging.url)
        assert json.loads(watch("estimate", *some, "--format", "json").stdout)["requests"] > 0
        assert judging.requests == 0
        watch("evaluate", *some, "--record", record)
        assert {seen.headers["authorization"] for seen in judging.seen} == {BEARER}
        asked = judging.requests
        watch("evaluate", *some, "--replay", record, "--runs", "replayed", "--format", "csv")
        assert judging.requests == asked
        watch("estimate", *some)
    assert BEARER.replace(KEY, "***") in record.read_text(), "the server did repeat it"


def test_all_that_looks_at_a_run_afterwards(watch: Watch, keyed: Any) -> None:
    with server() as judging:
        watch("evaluate", *keyed("definition", judging.url), "--format", "json")
    watch("evaluate", "--metric", "longer", *DATA)
    for words in (
        ("runs", "list"), ("runs", "show", "tiny"), ("compare", "tiny", "longer"), ("power", "tiny", "longer"),
        ("cache", "info"), ("metrics", "list"), ("metrics", "show", "tiny"),
    ):  # fmt: skip
        watch(*words)
        watch(*words, "--format", "json")
    for kind in ("markdown", "csv", "latex", "json"):
        watch("leaderboard", "--format", kind)
    assert watch.leaks() == []  # before the answers are removed
    watch("cache", "clear")


@pytest.mark.parametrize("where", ["environment", "option"])
def test_a_translation(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "datasets")
    from datasets_translator import Translator

    scripted = Translator(lambda text, made, times: f"{made} 7777 {BEARER}" if times < 2 else made)
    with server(answer=scripted, script=["401", "400"]) as translating:
        if where == "environment":
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("OPENAI_BASE_URL", translating.url)
        words = ("datasets", "translate", "sample", "--limit", 8, "--model", "m", "--name", "mine")
        words = (*words, "--base-url", translating.url, "--record", tmp_path / "record.jsonl")
        words = (*words, *(("-o", f"api_key={KEY}") if where == "option" else ()))
        watch(*words, "--estimate")
        watch(*words, check=3)
        watch(*words, check=1)
        watch(*words)
        assert {seen.headers["authorization"] for seen in translating.seen} == {BEARER}
    assert max(scripted.times.values()) > 1, "it was asked again, with what was wrong"
    watch("datasets", "show", "mine")


# ---- what may go wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["environment", "option"])
def test_faults_of_every_kind(
    watch: Watch, keyed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The server repeats the header and the key in its errors and in answers that cannot be read."""
    record = tmp_path / "record.jsonl"
    for fault in REFUSED if where == "environment" else REFUSED[:1]:
        with server(script=[fault] * 9) as refusing:
            some = (*keyed(where, refusing.url), "--record", record)
            done = watch("evaluate", *some, check=3)
        assert BEARER.replace(KEY, "***") in done.stderr
    with server(answer=unread, script=PASSING) as failing:
        options = ("retries=0", "retries_unread=1", "concurrency=1")
        some = (*keyed(where, failing.url, *options), "--record", record)
        done = watch("evaluate", *some, "--format", "json", check=1)
        assert set(failing.faults) == set(map(str, PASSING))
    assert BEARER.replace(KEY, "***") in done.stderr
    runs = json.loads(watch("runs", "list", "--format", "json").stdout)["runs"]
    (run,) = [run for run in runs if run["failures"]]
    assert {"unreadable", "rate_limited", "malformed", "connection"} <= set(run["failures"])
    watch("runs", "show", run["id"])


def test_a_server_that_is_not_there(watch: Watch, keyed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{bound.getsockname()[1]}"
        some = keyed("option", f"http://{closed}/v1", "retries=1")
        assert "cannot connect" in watch("evaluate", *some, check=3).stderr
        # Nor is a proxy, which the environment gives with a password.
        monkeypatch.setenv("HTTP_PROXY", f"http://user:{CORE}@{closed}")
        monkeypatch.setenv("NO_PROXY", "")
        some = keyed("option", "http://judges.example/v1", "retries=1")
        assert "cannot connect" in watch("evaluate", *some, check=3).stderr
    with server(script=["401"] * 9) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1").replace("//", f"//user:{CORE}@"))
        watch("evaluate", *some, check=3)
        assert {seen.headers["authorization"] for seen in proxy.seen} == {BEARER}


def test_a_spent_budget(watch: Watch, keyed: Any) -> None:
    with server(script=["500"]) as judging:
        some = keyed("environment", judging.url)
        assert "--max-requests" in watch("evaluate", *some, "--max-requests", 3, check=3).stderr
        assert "--max-cost" in watch("evaluate", *some, "--max-cost", "1e-9", "--no-cache", check=3).stderr
        watch("evaluate", *some, "--max-seconds", 0, "--no-cache", check=3)
        assert judging.requests == 3
    watch("runs", "list")


def test_an_interrupt_in_the_middle(watch: Watch, keyed: Any, tmp_path: Path) -> None:
    asked: list[Any] = []

    def interrupting(body: dict[str, Any]) -> dict[str, Any]:
        asked.append(body)
        if len(asked) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return echo(body)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with server(answer=interrupting, latency=0.02) as judging:
            judge = keyed("environment", judging.url, "concurrency=2")
            some = (*judge, "--record", tmp_path / "record.jsonl")
            assert "the same command continues" in watch("evaluate", *some, check=130).stderr
            assert judging.requests < 40
    finally:
        signal.signal(signal.SIGINT, before)
    watch("runs", "list")


CRASHING = '''
import os

from calf.errors import StoppedError, UserError
from calf.judges.pairwise import PairwiseJudge

KEY = os.environ["MY_KEY"]


class Silent(Exception):
    def __init__(self, url):
        self.url = url

    def __str__(self):
        return f"no answer from {self.url}"


class Crashing:
    """Raises with the key in its message, wherever it is told to."""

    needs_reference = False
    secrets = ("pin",)

    def __init__(self, at: str, api_key: str = "", pin: str = ""):
        self.at, self.key = at, api_key or pin or KEY
        self.crash("init")

    def crash(self, at):
        if self.at == at:
            try:
                raise Silent(f"https://judges.example/?key={self.key}")
            except Silent as error:
                raise ValueError(f"Authorization: Bearer {self.key} is wrong") from error
        if self.at == f"{at}, known":
            raise UserError(f"Bearer {self.key} is wrong")
        if self.at == f"{at}, stopping":
            raise StoppedError(f"Bearer {self.key} is wrong")

    def prepare(self, preparation):
        self.crash("prepare")

    def describe(self, languages):
        self.crash("describe")


class One(Crashing):
    def score(self, items):
        self.crash("score")
        return [1.0 for _ in items]


class Many(Crashing):
    async def score_one(self, item):
        self.crash("score")
        return 1.0

    async def close(self):
        self.crash("close")


class Judge(PairwiseJudge):
    async def judge_one(self, item):
        opinion = await super().judge_one(item)
        raise ValueError(f"{opinion} of Bearer {KEY}")
'''


@pytest.fixture
def crashing(watch: Watch, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setenv("MY_KEY", KEY)
    (workspace / "crashing.py").write_text(CRASHING)
    return watch


@pytest.mark.parametrize("given", ["environment", "api_key", "pin"])
@pytest.mark.parametrize("name", ["One", "Many"])
def test_a_metric_that_raises_with_the_key(crashing: Watch, name: str, given: str) -> None:
    option = () if given == "environment" else ("-o", f"{given}={KEY}")
    for at, code in (
        ("init", 2), ("describe", 2), ("prepare", 2), ("prepare, known", 2), ("score", 1), ("score, stopping", 3),
    ):  # fmt: skip
        words = ("--metric", f"crashing.py:{name}", "-o", f"at={at}", *option, *DATA)
        done = crashing("evaluate", *words, "--format", "json", check=code)
        assert "Bearer (hidden) is wrong" in done.stderr
    crashing("runs", "list")


def test_a_judge_of_the_users_own_that_raises_with_the_key(crashing: Watch, tiny: Any, workspace: Path) -> None:
    definition = workspace / "metrics" / "tiny.toml"
    text = JUDGE.replace("calf.judges.pairwise:PairwiseJudge", "../crashing.py:Judge")
    definition.write_text(f'{text}key_variable = "MY_KEY"\n')
    with server() as judging:
        done = crashing("evaluate", *tiny(judging.url), check=1)
    assert "of Bearer (hidden)" in done.stderr


# ---- what a user may get wrong ------------------------------------------------------------------------------


def test_mistakes_on_the_command_line(watch: Watch, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = ["--metric", "tiny", "-o", "model=m"]
    key, twice = ("-o", f"api_key={KEY}"), f'tiny[api_key="{KEY}",api_key="{KEY}"]'
    wrong: list[list[str]] = [
        [*judge, *key, *key],
        [*judge, "-o", KEY],
        [*judge, "-o", f"api_key:{KEY}"],
        [*judge, *key, "-o", "structured=perhaps"],
        [*judge, *key, "-o", "max_tokens=many"],
        [*judge, "-o", f"api_kee={KEY}"],
        [*judge, "-o", f'prices={{"api_key": "{KEY}"'],
        [*judge, *key, "-o", 'prices={"input": -1, "output": 1}'],
        ["--metric", f"tiny[api_key={KEY}", "-o", "model=m"],
        ["--metric", f"tiny[api_key={KEY} and more, {KEY}]", "-o", "model=m"],
        ["--metric", f'tiny[api_key="{KEY}]', "-o", "model=m"],
        ["--metric", f'tiny[api_key="{KEY}"]', *key],
        ["--metric", twice],
        ["--metric", f'tinny[api_key="{KEY}"]'],
        ["--metric", f'nothing.py:X[api_key="{KEY}"]'],
        ["--metric", f'tiny[api_key="{KEY}"]', "--metric", "tiny", *key],
        ["--metric", f'tiny[api_key="{KEY}"]', "--metric", f'tiny[api_key="{KEY}"]'],
        *([*judge, *key, "-o", f"extra={extra}"] for extra in extras()),
    ]
    for words in wrong:
        watch("evaluate", *DATA, *words, check=2)
    for words in wrong[:1] + wrong[-len(extras()) :]:
        watch("estimate", *DATA, *words, check=2)
    for late in (f"api_key={KEY}\nx", f"api_key={KEY}\u00e9", f"key_variable={KEY}"):  # seen when it is to be sent
        watch("evaluate", *DATA, *judge, "-o", late, check=2)
    for options in ([*key, *key], ["-o", KEY], ["-o", f"api_kee={KEY}"], ["-o", f"key_variable={KEY}"]):
        words = ["--model", "m", "--base-url", "https://judges.example/v1", *options]
        watch("datasets", "translate", "sample", *words, check=2)


def extras() -> list[str]:
    """Fields of the body that hold a key, and what is no JSON."""
    tables: list[dict[str, Any]] = [
        {"api_key": KEY},
        {"headers": {"Authorization": BEARER}},
        {"extra_headers": {"x-api-key": KEY}},
        {"provider": [{"name": "p", "auth_token": KEY}]},
        {"metadata": {"note": f"sent with {KEY}"}},
    ]
    return [*map(json.dumps, tables), f"{{'api_key': {KEY}}}", f"[{json.dumps(KEY)}]"]


ADDRESSES = ["https://user:{}@judges.example/v1", "user:{}@judges.example/v1", "https://judges.example/v1?key={}"]
ADDRESSES += ["https://{}@judges.example/v1", "https://user:pass/{}@judges.example", "ftp://user:{}@judges.example/v1"]
ADDRESSES += ["//user:{}@judges.example/v1", "https:/user:{}@judges.example/v1", "https://judges.example/v1#{}"]


def test_addresses_with_a_password(watch: Watch, tiny: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, pattern in enumerate(ADDRESSES):
        url = pattern.format(CORE)
        watch("evaluate", *tiny(url), *DATA, check=2)
        watch("estimate", "--metric", f"tiny[base_url={url}]", *DATA, check=2)
        if number < 3:  # the same function says what is wrong
            watch("datasets", "translate", "sample", "--model", "m", "--base-url", url, check=2)
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            watch("evaluate", "--metric", "tiny", *DATA, check=2)
            monkeypatch.delenv("OPENAI_BASE_URL")
    definition = workspace / "metrics" / "mine.toml"
    watch.mine.add(definition)
    for pattern in ADDRESSES:
        definition.write_text(f'{JUDGE}base_url = "{pattern.format(CORE)}"\n')
        watch("evaluate", "--metric", "mine", *DATA, check=2)
        watch("metrics", "show", "mine")
        watch("metrics", "show", "mine", "--format", "json")
    watch("metrics", "list", "--format", "json")
