"""What all judges share: a server, an engine, and answers that are asked for until they can be read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from calf.engine.budget import Budget, Spending
from calf.engine.inprocess import HONOURS
from calf.engine.prices import check_prices
from calf.engine.request import Request, total
from calf.engine.server import Server, find_endpoint
from calf.errors import OptionError
from calf.judges.asking import ask_until_read
from calf.judges.inprocess import InProcessModel
from calf.judges.settings import read_prices, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from calf.engine.engine import Engine
    from calf.engine.limits import Limits
    from calf.engine.request import Choice, Reply
    from calf.judges.answers import Unread
    from calf.judges.asking import Read
    from calf.judges.inprocess import Loaded
    from calf.judges.prompt import Messages, Prompt
    from calf.metrics.base import Preparation
    from calf.models.chat import Turns
    from calf.types import Failure

__all__ = ["Judge"]

T = TypeVar("T")


class Judge:
    """A metric that asks a model behind an OpenAI-compatible server, or one in this process.

    Args:
        model: its name on the server. With engine=transformers: a folder, a GGUF file (`*.gguf`), the name of a
            packaged one (`smollm2`), or a hub id.
        base_url: up to and without `/chat/completions`; none: `OPENAI_BASE_URL`, else OpenAI's own.
        api_key: none: what the environment's `key_variable` holds. A server on this machine needs none.
        key_variable: the environment variable that holds the key; none: `OPENAI_API_KEY`, for OpenAI's own address and
            that of `OPENAI_BASE_URL`.
        structured: whether answers are asked for by a JSON schema: where the server honours it (auto), in any case, or
            never.
        honours: what the server really honours, of json_schema, logprobs, seed, n and temperature, separated by commas,
            or none. What is not named is never sent and never relied on.
        max_tokens: the most tokens of an answer, the model's reasoning included.
        max_tokens_parameter: what the server calls that.
        temperature: none: the server's default.
        top_logprobs: alternatives for a token that the server gives at most, where it honours logprobs.
        extra: more fields of the request's body, as a table or as JSON, e.g. {"reasoning_effort": "low"}.
        concurrency: requests in flight at once, at most.
        timeout: seconds for one request.
        requests_per_minute, tokens_per_minute: the rates that the provider allows.
        retries: how often a request is sent again after a fault that may pass.
        prices: as a table or as JSON: input, output and perhaps cached_input (per million tokens), date and source.
        retries_unread: how often an answer that cannot be read is asked for again, with a reminder.
        answer_tokens: about how many tokens an answer has, reasoning included, as `calf estimate` assumes until a run
            has shown it; none: nothing is assumed.
        engine: server, or transformers: the model answers in this process, one request at a time, by its tokenizer's
            chat template. It honours logprobs, n, seed and temperature, and no JSON schema; of `extra`, top_p and
            repetition_penalty. What is for servers alone (base_url, honours, timeout, ...) does not count.
        device, half, trust_remote_code: of engine=transformers: cpu, cuda, cuda:N or auto; whether in bfloat16, on a
            GPU; whether the model's own code may run.

    Raises:
        OptionError: a value cannot be.
    """

    family = "judge"
    packages: tuple[str, ...] = ("openai",)
    needs_reference = True
    unsigned: tuple[str, ...] = (
        "concurrency", "timeout", "requests_per_minute", "tokens_per_minute", "retries", "prices", "key_variable",
        "answer_tokens", "device", "half", "trust_remote_code",
    )  # fmt: skip

    identity = ""
    """What stands for the server's address in requests' keys and in the signature, where that says nothing."""

    turns: Turns = "chat"
    """How conversations are written for a model in this process."""

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        key_variable: str | None = None,
        structured: Literal["auto", "json_schema", "none"] = "auto",
        honours: str = "temperature",
        max_tokens: int = 1024,
        max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
        temperature: float | None = 0.0,
        top_logprobs: int = 20,
        extra: dict[str, Any] | str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        retries: int = 6,
        prices: dict[str, Any] | str | None = None,
        retries_unread: int = 2,
        answer_tokens: float | None = None,
        engine: Literal["server", "transformers"] = "server",
        device: str = "auto",
        half: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        for name, number, least in (
            ("max_tokens", max_tokens, 1), ("top_logprobs", top_logprobs, 1), ("retries_unread", retries_unread, 0),
            ("answer_tokens", answer_tokens, 0),
        ):  # fmt: skip
            if number is not None and number < least:
                raise OptionError(f"{name} must be {least} or more, not {number}")
        if temperature is not None and not 0 <= temperature < math.inf:
            raise OptionError(f"temperature must be 0 or more, not {temperature}")
        self.model = model
        self.base_url = base_url
        self.key_variable = key_variable
        self.honours = frozenset(name.strip() for name in honours.split(",")) - {"", "none"}
        if structured == "json_schema":
            self.honours |= {"json_schema"}
        elif structured == "none":
            self.honours -= {"json_schema"}
        self.max_tokens = max_tokens
        self.max_tokens_parameter = max_tokens_parameter
        self.temperature = temperature
        self.top_logprobs = top_logprobs
        self.extra_body = read_table("extra", extra) or {}
        self.concurrency = concurrency
        self.timeout = timeout
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.retries = retries
        self.prices = read_prices(prices)
        self.retries_unread = retries_unread
        self.answer_tokens = answer_tokens
        self._inside: InProcessModel | None = None
        if engine == "transformers":
            if structured == "json_schema":
                raise OptionError("engine=transformers cannot hold a model to a JSON schema; leave out structured=...")
            self._inside = InProcessModel(
                model, device, half=half, code=trust_remote_code, turns=self.turns, extra=self.extra_body
            )
            self.honours = HONOURS
            self.concurrency = 1
        self._api_key = api_key
        self._engine: Engine | None = None
        self._spent: dict[str, float] = {}

    # ---- the metric's optional methods ------------------------------------------------------------------------

    def prepare(self, preparation: Preparation) -> None:
        """Makes everything ready that can go wrong before a request is sent.

        Raises:
            UserError: no key, no prices for a limit of cost, or a record that cannot be used.
        """
        self._spent = {}
        self._engine = self._open(preparation.spending, preparation.spent)

    def describe(self, languages: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002  # the same for all
        """Where the model is, and what is relied on there: part of the signature."""
        server = self.server(needs_key=False)
        described = {"base_url": server.place, "honours": ",".join(sorted(server.honours)) or "none"}
        if self._inside is not None:
            described |= self._inside.describe()
        if self.extra_body:
            described["extra"] = json.dumps(self.extra_body, sort_keys=True, ensure_ascii=False)
        return described

    @property
    def window(self) -> int:
        """Items under way at once: enough to keep `concurrency` requests in flight."""
        return 2 * self.concurrency

    @property
    def spent(self) -> Mapping[str, float]:
        """What was sent and paid since `prepare`, as `Reply.spent`; what no judgment came of is in it too."""
        return total(self._spent, self._engine.spent if self._engine is not None else {})

    async def close(self) -> None:
        """Close the connections, the record and the cache."""
        if self._engine is not None:
            engine, self._engine = self._engine, None
            try:
                await engine.close()
            finally:
                self._spent = total(self._spent, engine.spent)

    # ---- asking -----------------------------------------------------------------------------------------------

    def server(self, *, needs_key: bool = True) -> Server:
        """The server as the options and the environment say.

        Args:
            needs_key: whether a missing key is an error; nothing can be sent without.

        Raises:
            UserError: a value cannot be, or there is no key.
        """
        if self._inside is not None:
            return self._inside.server(self.prices)
        url, key = find_endpoint(self.base_url, self._api_key if needs_key else "none", self.key_variable)
        return Server(
            url,
            self.model,
            key if needs_key else None,
            self.honours,
            self.max_tokens_parameter,
            self.extra_body,
            self.concurrency,
            self.requests_per_minute,
            self.tokens_per_minute,
            self.timeout,
            self.retries,
            self.prices,
            self.identity,
        )

    def request(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        n: int = 1,
        logprobs: int = 0,
        repeat: int = 0,
    ) -> Request:
        """A request with this judge's settings; what the server does not honour is left out when it is sent."""
        # A model in this process draws the same answer to the same request: a repeat must be another one.
        seed = repeat if self._inside is not None and self.temperature != 0 else None
        return Request(messages, self.max_tokens, self.temperature, n, seed, schema, logprobs, repeat)

    async def read(
        self,
        request: Request,
        reader: Callable[[Choice], T | Unread],
        prompt: Prompt,
        heard: list[Reply] | None = None,
    ) -> Read[T] | Failure:
        """`ask_until_read` with this judge's engine and `retries_unread`."""
        if self._engine is None:
            self._engine = self._open(Spending(), {})
        retries = self.retries_unread
        return await ask_until_read(self._engine, request, reader, prompt, retries, [] if heard is None else heard)

    def _open(
        self,
        spending: Spending,
        spent: Mapping[str, float],
        beside: Engine | None = None,
        limits: Limits | None = None,
        loaded: Loaded | None = None,
    ) -> Engine:
        """The engine.

        Args:
            spending: what the run may.
            spent: what it did before.
            beside: another engine, whose budget, cache and record it shares.
            limits: that it shares with others beside it; None: its own.
            loaded: models in the memory, see `InProcessModel.load`.

        Raises:
            UserError: see `prepare`.
        """
        from calf.engine.cache import Cache
        from calf.engine.engine import Engine
        from calf.engine.trace import Recorder, Replayer

        replays = spending.replay is not None
        server = self.server(needs_key=not replays)
        inside = None if replays else self._inside
        if inside is not None:
            check_prices(server, spending.max_cost)  # to load it may take minutes
        if beside is not None:
            return beside.beside(server, inside.load(loaded) if inside is not None else None, limits)
        budget = Budget.of(spending, spent, server.prices)
        cache = Cache() if spending.cache and not replays else None
        trace: Recorder | Replayer | None = None
        if spending.replay is not None:
            trace = Replayer(spending.replay)
        elif spending.record is not None:
            trace = Recorder(spending.record)
        try:
            sender = inside.load(loaded) if inside is not None else None
            answered = bool(spent.get("output_tokens"))
            return Engine(server, cache=cache, budget=budget, trace=trace, answered=answered, sender=sender)
        except BaseException:
            if trace is not None:
                trace.close()  # or the next metric of this process could not record
            raise
