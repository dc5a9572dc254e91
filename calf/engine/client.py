"""Sends one request as the `openai` client does, and says in our own terms what came of it.

The `openai` package brings the address, the headers and the connections (aiohttp's, which cost half as much time as its
default ones); the bodies are written and read here, since its own way of doing that costs as much again.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from typing import TYPE_CHECKING, Any, Protocol

from calf.engine.faults import Fault, from_status, one_line
from calf.engine.server import OPENAI_URL, is_local

if TYPE_CHECKING:
    import openai

    from calf.engine.server import Server

__all__ = ["Client", "Sender"]

_PATH = "/chat/completions"


class Sender(Protocol):
    """What answers chat completions: a server over HTTP, or a model in this process."""

    async def post(self, body: dict[str, Any]) -> bytes:
        """The body of the response, as OpenAI's servers write it.

        Raises:
            Fault: there is none.
        """
        ...

    async def close(self) -> None:
        """End it."""
        ...


class Client:
    """A pool of connections to one server; made when the first request is sent, in its event loop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._openai: openai.AsyncOpenAI | None = None
        self._http: Any = None  # httpx.AsyncClient or httpx2.AsyncClient, by the version of openai
        self._broken: type[Exception] = Exception
        self._url: Any = None  # parsed once: it would take a tenth of the time of each request
        self._headers: dict[str, str] = {}

    async def post(self, body: dict[str, Any]) -> bytes:
        """The body of the response to a chat completion.

        Raises:
            Fault: no response in time, or none, or one with another status than 2xx.
        """
        if self._http is None:
            self._make()
        server = self._server
        content = json.dumps(body, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(server.timeout):  # the client's own limits the time between two bytes only
                response = await self._http.post(self._url, content=content, headers=self._headers)
        except TimeoutError:
            message = f"no answer within {server.timeout:g} seconds"
            raise Fault("timeout", message, passing=True, billed=True) from None
        except self._broken as error:
            raise _no_connection(error, server) from None
        if not 200 <= response.status_code < 300:
            raise from_status(response.status_code, response.headers, response.content, server)
        answer: bytes = response.content
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._openai is not None:
            await self._openai.close()
            self._openai = self._http = None

    def _make(self) -> None:
        import openai

        server = self._server
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
            max_connections=server.concurrency, max_keepalive_connections=server.concurrency, keepalive_expiry=30.0
        )
        # What the environment says for OpenAI, or for its OPENAI_BASE_URL, is of no concern to other providers.
        own = server.base_url in (OPENAI_URL, os.environ.get("OPENAI_BASE_URL", "").rstrip("/"))
        http = openai.DefaultAioHttpClient(
            limits=limits,
            timeout=None,
            follow_redirects=False,  # a key goes to the address that it was given for
            trust_env=not is_local(server.base_url),  # no proxy to this machine
        )
        client = openai.AsyncOpenAI(
            api_key=server.api_key or "none",  # a server without keys gets a word that is none
            base_url=server.base_url,
            http_client=http,
        )
        if not own:
            client.organization = client.project = None
        headers = {**client.default_headers, **client.auth_headers}
        if not own:
            custom = os.environ.get("OPENAI_CUSTOM_HEADERS", "").lower()
            unwanted = {line.partition(":")[0].strip() for line in custom.split("\n")}
            headers = {name: value for name, value in headers.items() if name.lower() not in unwanted}
            headers |= client.auth_headers
        self._headers = {name: value for name, value in headers.items() if isinstance(value, str)}
        self._headers["Content-Type"] = "application/json"
        self._broken = importlib.import_module(type(limits).__module__.partition(".")[0]).RequestError
        self._url = http.build_request("POST", server.base_url + _PATH).url
        self._openai, self._http = client, http


def _no_connection(error: BaseException, server: Server) -> Fault:
    """A dropped connection, or none at all. The cause that says which lies under several layers' own errors."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    system = next((cause for cause in reversed(causes) if isinstance(cause, OSError) and str(cause)), None)
    said = f"{type(system).__name__}: {system}" if system else "the connection broke before the whole answer came"
    message = one_line(server.scrub(said))
    unreachable = any(type(cause).__name__ in ("ClientConnectorError", "ConnectError") for cause in causes) or any(
        isinstance(cause, ConnectionRefusedError) for cause in causes
    )
    return Fault("connection", message, passing=True, billed=not unreachable, unreachable=unreachable)
