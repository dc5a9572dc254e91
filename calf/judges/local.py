"""A pairwise judge with no key and no server of its own: CALF starts llama.cpp's for a GGUF file, and ends it."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError, StoppedError
from calf.judges.pairwise import PairwiseJudge
from calf.models.gguf import find_gguf
from calf.models.local_server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.engine.server import Server
    from calf.metrics.base import Pair, Preparation
    from calf.types import Failure, Opinion

__all__ = ["LocalJudge"]

_NOT_RUNNING = "http://127.0.0.1/v1"  # the address where nothing is sent: for an estimate, a signature, a replay

# What llama.cpp's server was seen to honour, n apart: it refuses more choices than it has slots, and here it has one.
_HONOURS = "json_schema,logprobs,seed,temperature"

_BODY = {
    # By default it cuts off unlikely tokens; the shares of samples at temperature 1 are to be the model's own.
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    # Continued from a prompt that it kept, an answer's probabilities differ (by up to 0.35 in the logarithm), so that
    # they would depend on what was asked before. For the same reason it has one slot: a batch changes them too.
    "cache_prompt": False,
}


class LocalJudge(PairwiseJudge):
    """An LLM in a GGUF file, which llama.cpp serves on this machine while it is needed, that compares two responses.

    The server starts before the first comparison is judged and ends after the last. It answers one request at a time,
    so that an answer depends on nothing but its prompt. Answers are known by the file's SHA-256, not by its place or
    the server's port.

    Args:
        prompt_en, prompt_zh, explain, samples, combine: see `PairwiseJudge`.
        gguf: the file, of a model with a chat template; none: the packaged SmolLM2-135M-Instruct.
        context: tokens that a prompt and its answer may have together. A longer prompt is a failure (`too_long`), as
            is an answer without a verdict when they are used up (`cut_off`).
        threads: none: as many as the machine has cores.
        structured: whether the form of an answer is forced on the model by a JSON schema.
        max_tokens, temperature, retries_unread: see `Judge`.
        timeout: seconds for one request; a long prompt may take minutes on a small machine.

    Raises:
        UserError: no such file, or no weights are installed.
    """

    packages: tuple[str, ...] = ("openai", "xllamacpp")
    extra: Any = "local"  # of calf-eval; an instance's is the request's body
    unsigned = ("threads", "timeout")

    def __init__(
        self,
        prompt_en: str,
        prompt_zh: str,
        explain: bool = False,
        samples: int = 1,
        combine: Literal["vote", "mean"] = "vote",
        gguf: str | None = None,
        context: int = 4096,
        threads: int | None = None,
        structured: Literal["auto", "none"] = "auto",
        max_tokens: int = 512,
        temperature: float = 0.0,
        timeout: float = 900.0,
        retries_unread: int = 2,
    ) -> None:
        for name, value in (("context", context), ("threads", threads)):
            if value is not None and value < 1:
                raise OptionError(f"{name} must be 1 or more, not {value}")
        file = find_gguf(gguf or "")
        super().__init__(
            prompt_en,
            prompt_zh,
            explain,
            samples,
            combine,
            model=file.name,
            base_url=_NOT_RUNNING,
            structured=structured,
            honours=_HONOURS,
            max_tokens=max_tokens,
            temperature=temperature,
            extra=dict(_BODY),
            concurrency=1,
            timeout=timeout,
            retries_unread=retries_unread,
        )
        # An answer that the context cut off is kept like any other: under another context it is another answer.
        self.identity = f"gguf sha256:{file.sha256} context:{context}"
        self._local = LocalServer(file, context=context, threads=threads)

    def prepare(self, preparation: Preparation) -> None:
        """Starts the server; nothing but a record that is replayed needs none.

        Raises:
            UserError: the file cannot be served, or what `Judge.prepare` says.
        """
        if preparation.spending.replay is None:
            self._local.start()
        super().prepare(preparation)

    def describe(self, languages: Sequence[str]) -> Mapping[str, str]:
        """What `Judge.describe` says, with the version of llama.cpp's package."""
        return {**super().describe(languages), "xllamacpp": version("xllamacpp")}

    def server(self, *, needs_key: bool = True) -> Server:
        """The server that runs, or the same without an address while none does."""
        server = super().server(needs_key=False)
        if needs_key and self._local.base_url:
            return replace(server, base_url=self._local.base_url, api_key=self._local.api_key)
        return server

    async def judge_one(self, item: Pair) -> Opinion | Failure:
        """What the model says of two responses.

        Raises:
            StoppedError: the server has ended.
        """
        try:
            return await super().judge_one(item)
        except StoppedError as error:
            if (how := self._local.ended) is None:
                raise
            raise StoppedError(f"the local server ended: {how}; the same command continues") from error

    async def close(self) -> None:
        """Close the connections and end the server."""
        try:
            await super().close()
        finally:
            self._local.close()
