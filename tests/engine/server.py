"""A scripted OpenAI-compatible server with real sockets on 127.0.0.1: it answers, errs, and counts what it was sent.

In a test's own process (a thread of its own)::

    with ScriptedServer(script=["429", "500"]) as server:
        ...  # server.url, server.seen, server.stats()

As a process of its own, for measurements and for tests that kill: `ServerProcess(latency=0.2, rates={"500": 0.1})`,
or `python tests/engine/server.py '{"latency": 0.2}'`, which prints its address and counts at GET /stats (without what
is counted by request: GET /counts).

Faults: `429`, `400`, `401`, `402`, `403`, `404`, `408`, `409`, `500`, `503` (any status), `quota` (429 for good),
`hang` (never answers), `reset` (RST), `close` (closes without a word), `half`, `half_reset` (of the body, then either),
`malformed` (not JSON), `html` (a proxy's page), `error_200` (an error with status 200), `no_choices`, `null_choices`,
`empty` (a blank answer), `content_filter` (as the reason of the end), `filter_400` (as an error), `wrong` (an answer
that no judge can read), `cut_off`, `no_usage` (a good answer that does not count its tokens). `None` is a good answer.
Which request gets which: `script` by position, else `by_content` (for requests with a text: one fault after another),
else `rates` (shares, by a hash of the seed, the request and how often it came: the same in any order of arrival).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

Answer = Callable[[dict[str, Any]], "str | list[str] | dict[str, Any]"]
GOOD = frozenset({None, "no_usage", "wrong", "cut_off"})
"""What a client has no reason to send again."""


WRONG = "I like both cats and dogs."


def key_of(raw: bytes) -> str:
    """By which a request is known: what was sent, byte for byte."""
    return hashlib.sha256(raw).hexdigest()[:32]


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass
class Seen:
    """A request as it came, and what was done to it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    fault: str | None

    @property
    def text(self) -> str:
        return "\n".join(message["content"] for message in self.body["messages"])


@dataclass
class Script:
    """What the server does.

    `answer` is a function of the body, a text, or texts of which a hash chooses: of the conversation up to the first
    message of the user, so that asking again in a longer conversation has the same answer.
    """

    answer: Answer | str | list[str] = "[[A]]"
    script: Sequence[str | None] = ()
    by_content: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    latency: float = 0.0
    retry_after: Mapping[str, str] = field(default_factory=dict)  # headers of a 429 or 503
    error_text: str = ""  # stands in the message of every error
    most_in_flight: int | None = None  # more are answered with 429
    cached_tokens: int = 0
    keep: bool = True  # the bodies of requests, for a test to look at

    def fault(self, position: int, body: dict[str, Any], key: str, attempt: int) -> str | None:
        if position < len(self.script):
            return self.script[position]
        text = json.dumps(body["messages"], ensure_ascii=False) if self.by_content else ""
        for part, faults in self.by_content.items():
            if part in text:
                return faults[attempt] if attempt < len(faults) else None
        if self.rates:
            point = int(digest([self.seed, key, attempt])[:13], 16) / 16**13
            for fault, share in self.rates.items():
                if point < share:
                    return fault
                point -= share
        return None

    def texts(self, body: dict[str, Any]) -> str | list[str] | dict[str, Any]:
        if callable(self.answer):
            return self.answer(body)
        if isinstance(self.answer, list):
            roles = [message["role"] for message in body["messages"]]
            first = body["messages"][: roles.index("user") + 1]
            return self.answer[int(digest(first)[:8], 16) % len(self.answer)]
        return self.answer


def completion(body: dict[str, Any], answer: str | list[str] | dict[str, Any], cached: int = 0) -> dict[str, Any]:
    """The server's JSON for an answer: a text, a text for each choice, or what stands in the choice itself."""
    answers = answer if isinstance(answer, list) else [answer] * body.get("n", 1)
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        if isinstance(text, str)
        else {"index": i, "finish_reason": "stop", **text}
        for i, text in enumerate(answers)
    ]
    said = [choice["message"].get(name) or "" for choice in choices for name in ("content", "reasoning")]
    spoken = sum(len(str(text).split()) for text in said)
    asked = sum(len(message["content"].split()) for message in body["messages"])
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": choices,
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": spoken,
            "total_tokens": asked + spoken,
            "prompt_tokens_details": {"cached_tokens": min(cached, asked)},
        },
    }


def faulty(fault: str | None, body: dict[str, Any], script: Script) -> tuple[int, dict[str, str], bytes]:
    """Status, more headers and body of a response."""
    if fault is None or fault in {"half", "half_reset", "no_usage"}:
        value = completion(body, script.texts(body), script.cached_tokens)
        if fault == "no_usage":
            del value["usage"]
        return 200, {}, json.dumps(value).encode()
    if fault == "malformed":
        return 200, {}, b'{"id": "chatcmpl-1", "choices": [{"index": 0, "mess'
    if fault == "html":
        return 200, {"content-type": "text/html"}, b"<html><body>Bad gateway</body></html>"
    if fault == "error_200":
        return 200, {}, json.dumps({"error": {"code": 502, "message": "upstream is gone"}}).encode()
    if fault in {"no_choices", "null_choices"}:
        value = completion(body, "x") | {"choices": [] if fault == "no_choices" else None}
        return 200, {}, json.dumps(value).encode()
    if fault in {"empty", "wrong", "cut_off", "content_filter"}:
        value = completion(body, {"empty": "", "wrong": WRONG}.get(fault, "The first respo"))
        finish = {"cut_off": "length", "content_filter": "content_filter"}.get(fault, "stop")
        for choice in value["choices"]:
            choice["finish_reason"] = finish
        return 200, {}, json.dumps(value).encode()
    code: str | None = None
    status = {"quota": 429, "filter_400": 400}.get(fault) or int(fault)
    code = {"quota": "insufficient_quota", "filter_400": "content_filter"}.get(fault)
    headers = dict(script.retry_after) if status in (429, 503) else {}
    error = {
        "error": {"message": f"scripted fault {fault} {script.error_text}".strip(), "type": "scripted", "code": code}
    }
    return status, headers, json.dumps(error).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.buffer = b""
        self.answered: str | None = None  # the request whose good answer was the last that was sent here

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections += 1
        self.server.open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.open.discard(self.transport)
        self.server.unheard += self.answered is not None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, path, _ = first.split(" ")
        if path == "/tokenize":
            self.send(200, {}, json.dumps({"tokens": json.loads(rest[:length])["content"].split()}).encode())
        elif method == "GET":
            self.send(200, {}, json.dumps(self.server.counts() if path == "/counts" else self.server.stats()).encode())
        else:
            if self.answered is not None:  # who sends the next request has read the whole answer to the one before
                self.server.heard.add(self.answered)
                self.answered = None
            self.server.receive(self, path, headers, rest[:length])

    def send(self, status: int, headers: Mapping[str, str], body: bytes, share: float = 1.0) -> None:
        if self.transport.is_closing():
            return
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != "content-type")
        head = (
            f"HTTP/1.1 {status} Scripted\r\ncontent-type: {headers.get('content-type', 'application/json')}\r\n"
            f"content-length: {len(body)}\r\n{more}\r\n"
        )
        self.transport.write(head.encode() + body[: int(len(body) * share)])

    def reset(self) -> None:
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class ScriptedServer:
    """The server, in a thread of this process; see the module's text. Fields of `Script` are its arguments."""

    def __init__(self, **script: Any) -> None:
        self.script = Script(**script)
        self.seen: list[Seen] = []
        self.attempts: dict[str, int] = {}  # by request
        self.good: dict[str, int] = {}  # good answers by request
        self.after_good = 0  # requests that came though a good answer to the same had been sent
        self.heard: set[str] = set()  # requests whose good answers have certainly been read
        self.after_heard: dict[str, int] = {}  # how often they came again all the same
        self.cut = 0  # requests whose connection was closed by the client before the answer
        self.unheard = 0  # good answers after which the client closed the connection, read or not
        self.faults: dict[str, int] = {}
        self.requests = 0
        self.connections = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.tokens = {"input": 0, "output": 0, "cached": 0}  # of all answers with status 200 that count theirs
        self.url = ""
        self.open: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def serve(self, port: int = 0, announce: Callable[[str], None] | None = None) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=1024)
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        if announce:
            announce(self.url)
        self._loop.run_forever()
        server.close()
        for transport in list(self.open):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def counts(self) -> dict[str, Any]:
        """What was counted over all requests, as plain values."""
        return {
            "requests": self.requests,
            "distinct": len(self.attempts),
            "answered": len(self.good),
            "after_good": self.after_good,
            "after_heard": sum(self.after_heard.values()),
            "cut": self.cut,
            "unheard": self.unheard,
            "faults": self.faults,
            "connections": self.connections,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "tokens": self.tokens,
            "cpu": time.process_time(),
        }

    def stats(self) -> dict[str, Any]:
        """What was counted, also by request."""
        return {**self.counts(), "attempts": self.attempts, "good": self.good, "heard_again": self.after_heard}

    def receive(self, connection: _Connection, path: str, headers: dict[str, str], raw: bytes) -> None:
        body = json.loads(raw)
        key = key_of(raw)
        attempt = self.attempts.get(key, 0)
        fault = self.script.fault(self.requests, body, key, attempt)
        if self.script.most_in_flight is not None and self.in_flight >= self.script.most_in_flight:
            fault = "429"
        self.attempts[key] = attempt + 1
        self.after_good += key in self.good
        if key in self.heard:
            self.after_heard[key] = self.after_heard.get(key, 0) + 1
        self.requests += 1
        self.faults[str(fault)] = self.faults.get(str(fault), 0) + 1
        if self.script.keep:
            self.seen.append(Seen(path, headers, body, time.monotonic(), fault))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        if fault == "hang":
            self.in_flight -= 1
        elif self.script.latency and not (fault == "429" and self.script.most_in_flight is not None):
            self._loop.call_later(self.script.latency, self.respond, connection, fault, body, key)
        else:
            self.respond(connection, fault, body, key)

    def respond(self, connection: _Connection, fault: str | None, body: dict[str, Any], key: str) -> None:
        self.in_flight -= 1
        if connection.transport.is_closing():  # nobody is there any more
            self.cut += 1
            return
        if fault == "reset":
            connection.reset()
        elif fault == "close":
            connection.transport.close()
        else:
            status, headers, answer = faulty(fault, body, self.script)
            connection.send(status, headers, answer, 0.5 if fault in ("half", "half_reset") else 1.0)
            if fault == "half":
                connection.transport.close()
            elif fault == "half_reset":
                self._loop.call_later(0.05, connection.reset)
            if fault in GOOD:
                self.good[key] = self.good.get(key, 0) + 1
                connection.answered = key
            if status == 200 and fault not in ("malformed", "html", "half", "half_reset"):
                usage = json.loads(answer).get("usage") or {}
                self.tokens["input"] += usage.get("prompt_tokens", 0)
                self.tokens["output"] += usage.get("completion_tokens", 0)
                self.tokens["cached"] += usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)


class ServerProcess:
    """The server as a process of its own: `with ServerProcess(latency=0.2) as server`."""

    def __init__(self, port: int = 0, **script: Any) -> None:
        self.arguments = json.dumps({"keep": False, **script})
        self.port = port
        self.url = ""

    def __enter__(self) -> ServerProcess:
        command = [sys.executable, str(Path(__file__).resolve()), self.arguments, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the server did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def stats(self) -> dict[str, Any]:
        return self._get("/stats")

    def counts(self) -> dict[str, Any]:
        return self._get("/counts")

    def _get(self, path: str) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url.removesuffix("/v1") + path, timeout=60) as response:
            value: dict[str, Any] = json.loads(response.read())
        return value


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    ScriptedServer(**arguments).serve(port, announce=lambda url: print(url, flush=True))
