"""The key goes to the server it belongs to, and nowhere else; the environment is honoured where it should be."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from engine.helpers import KEY, ask_one, question
from engine.server import ScriptedServer

from calf.engine.cache import Cache
from calf.engine.client import Client
from calf.engine.engine import Engine
from calf.engine.request import AskError
from calf.engine.server import OPENAI_URL, Server, find_endpoint
from calf.engine.trace import Recorder
from calf.errors import StoppedError, UserError


def echo(body: dict[str, Any]) -> dict[str, Any]:
    return {"message": {"content": f"You sent me Bearer {KEY}"}}


def test_the_key_is_in_no_repr() -> None:
    server = Server("http://127.0.0.1:1/v1", "m", api_key=KEY)
    engine = Engine(server)
    for thing in (server, engine, Client(server), vars(engine), question()):
        assert KEY not in repr(thing)
        assert KEY not in str(thing)
    assert KEY not in question().key(server)


def test_the_key_is_in_no_message_file_or_log(
    tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """With debugging logs of all libraries on, and a server that repeats the key in answers and errors."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    said: list[str] = []
    faults = ["429", "500", "reset", "half", "malformed", "empty", "hang", "400", "401"]
    for fault in [None, *faults]:
        trace = Recorder(tmp_path / f"{fault}.jsonl")
        with ScriptedServer(answer=echo, script=[fault] * 9, error_text=f"your key {KEY} is wrong") as server:
            try:
                ask_one(server.url, cache=Cache(tmp_path / "c.sqlite"), trace=trace, retries=1, timeout=0.2)
            except (AskError, StoppedError) as error:
                said += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
            assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    said += [record.getMessage() for record in caplog.records]
    said += list(capfd.readouterr())
    assert sum("401" in line for line in said) > 0
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > len(faults)
    assert not any(KEY in text for text in said)
    assert not any(KEY.encode() in file.read_bytes() for file in files)


SENDER = """
import asyncio, logging, sys
from calf.engine.engine import Engine
from calf.engine.request import Request
from calf.engine.server import Server
logging.basicConfig(level=logging.DEBUG)
async def main(url):
    engine = Engine(Server(url, "m", api_key=sys.argv[1], retries=1))
    try:
        print((await engine.ask(Request((("user", "q"),)))).choices[0].text)
    finally:
        await engine.close()
for url in sys.argv[2:]:
    try:
        asyncio.run(main(url))
    except Exception:
        logging.exception("failed: %s", url)
"""


def test_the_clients_own_debugging_output_has_no_key() -> None:
    faults = [None, "500", "401", "half"]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer(script=[fault] * 3)) for fault in faults]
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", SENDER, KEY, *(server.url for server in servers)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OPENAI_LOG": "debug", "PYTHONASYNCIODEBUG": "1"},
        )
    assert "DEBUG" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert done.stdout.count("\n") == 1, "of the server that answered"
    for fault, server in zip(faults, servers, strict=True):
        assert server.requests
        assert (f"failed: {server.url}\nTraceback" in done.stderr) == (fault is not None)


def test_other_keys_and_names_of_the_environment_go_to_no_other_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "planted-in-environment")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Planted: planted-in-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with ScriptedServer() as server:
        ask_one(server.url)
        ask_one(server.url, api_key=None)
        assert "planted-in-environment" not in repr([seen.headers for seen in server.seen])
        assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_is_used_where_it_is_not_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as proxy, ScriptedServer() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "")
        ask_one("http://judges.example/v1")
        assert proxy.seen[0].path == "http://judges.example/v1/chat/completions"
        ask_one(server.url)  # this machine is never reached through a proxy
        assert (proxy.requests, server.requests) == (1, 1)


def test_the_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OTHER_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"no API key for https://api\.openai\.com/v1; set OPENAI_API_KEY"):
        find_endpoint(None, None)
    assert find_endpoint("http://localhost:8000/v1/", None) == ("http://localhost:8000/v1", None)
    monkeypatch.setenv("OPENAI_API_KEY", " sk-1\n")
    assert find_endpoint(None, None) == (OPENAI_URL, "sk-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://judges.example/v1")
    assert find_endpoint(None, None) == ("https://judges.example/v1", "sk-1")
    assert find_endpoint("https://other.example/v1", "sk-2") == ("https://other.example/v1", "sk-2")
    with pytest.raises(UserError, match="set OTHER_KEY"):
        find_endpoint("https://other.example/v1", None, "OTHER_KEY")


def test_a_key_that_cannot_be_one_is_refused_unseen() -> None:
    for key in (f"{KEY}\n", f"{KEY}é"):
        with pytest.raises(UserError, match="API key") as caught:
            Server("http://127.0.0.1:1/v1", "m", api_key=key)
        assert KEY not in str(caught.value)


def test_nothing_heavy_is_imported_before_the_first_request() -> None:
    code = (
        "import sys, calf.engine.engine, calf.engine.cache\n"
        "from calf.engine.engine import Engine; from calf.engine.server import Server\n"
        "Engine(Server('http://127.0.0.1:1/v1', 'm'))\n"
        "print([name for name in ('openai', 'httpx', 'httpx2', 'aiohttp', 'numpy', 'tiktoken') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
