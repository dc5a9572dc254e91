"""What the engine's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from calf.engine.budget import Budget
from calf.engine.cache import Cache
from calf.engine.engine import Engine
from calf.engine.request import Reply, Request
from calf.engine.server import Server
from calf.engine.trace import Recorder, Replayer

KEY = "sk-planted-1f6b2c9d"


def question(text: str = "Which is better?", **options: Any) -> Request:
    return Request((("system", "You judge."), ("user", text)), **options)


def ask_all(
    url: str,
    requests: Sequence[Request],
    *,
    cache: Cache | None = None,
    budget: Budget | None = None,
    trace: Recorder | Replayer | None = None,
    **options: Any,
) -> list[Reply | BaseException]:
    """All at once, with one engine; what came of each."""

    async def run() -> list[Reply | BaseException]:
        server = Server(url, **{"model": "m", "api_key": KEY, "retries": 4, **options})
        engine = Engine(server, cache=cache, budget=budget, trace=trace)
        try:
            return await asyncio.gather(*map(engine.ask, requests), return_exceptions=True)
        finally:
            await engine.close()

    return asyncio.run(run())


def ask_one(url: str, request: Request | None = None, **options: Any) -> Reply:
    (outcome,) = ask_all(url, [request or question()], **options)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
