"""A model in this process in the place of a server: the same bodies, the same answers, the same faults."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from calf.engine.faults import Fault, one_line
from calf.hashing import digest
from calf.models.generate import Sampling, TooLongError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.models.generate import Answer, Generator

__all__ = ["DRAWS", "HONOURS", "InProcess"]

HONOURS = frozenset({"logprobs", "n", "seed", "temperature"})
"""What a model in this process honours of `calf.engine.server.FEATURES`: it cannot be held to a JSON schema."""

DRAWS: Mapping[str, float] = {"top_p": 1.0, "repetition_penalty": math.inf}
"""Other fields of a body that say how answers are drawn: above 0, and so much at most."""

_KNOWN = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "n", "seed"}
)


class InProcess:
    """Answers chat completions with a model of this process, one at a time, off the event loop.

    Answers at a temperature above 0 are drawn with a seed made of the body, so that the same body has the same answer;
    another one has a body with another `seed`. Of other fields, `top_p` and `repetition_penalty` are honoured.

    Args:
        generator: the model.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._under_way: set[threading.Event] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="calf-model")

    async def post(self, body: dict[str, Any]) -> bytes:
        """The body of the response to a chat completion, as a server would write it.

        Raises:
            Fault: the prompt is too long for the model's window (`too_long`), a field is unknown (`bad_request`), or
                the model fails (`server_error`); none of them passes.
        """
        unknown = sorted(set(body) - _KNOWN - {"temperature", *DRAWS})
        if unknown:
            raise Fault("bad_request", f"a model in this process knows no {', '.join(unknown)}", fatal=True)
        stop = threading.Event()
        self._under_way.add(stop)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, body, stop)
        except asyncio.CancelledError:
            stop.set()  # nobody waits for the rest
            raise
        except Fault:
            raise
        except TooLongError as error:
            raise Fault("too_long", str(error)) from None
        except Exception as error:  # torch's own, out of memory among them
            raise Fault("server_error", one_line(f"the model failed: {type(error).__name__}: {error}")) from error
        finally:
            self._under_way.discard(stop)

    async def close(self) -> None:
        """End what is under way."""
        for stop in self._under_way:
            stop.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(self, body: dict[str, Any], stop: threading.Event) -> bytes:
        prompt = self._generator.prompt([(message["role"], message["content"]) for message in body["messages"]])
        answers = self._generator.answers(prompt, _sampling(body), stop.is_set)
        if stop.is_set():
            raise Fault("server_error", "ended before the answer was complete")
        said = {
            "model": body["model"],
            "choices": [_choice(place, answer) for place, answer in enumerate(answers)],
            "usage": {"prompt_tokens": len(prompt), "completion_tokens": sum(answer.tokens for answer in answers)},
        }
        return json.dumps(said).encode()


def _sampling(body: dict[str, Any]) -> Sampling:
    return Sampling(
        most=body["max_tokens"] if "max_tokens" in body else body["max_completion_tokens"],
        temperature=body.get("temperature"),
        n=body.get("n", 1),
        seed=int(digest("draw", body, length=12), 16),
        alternatives=body.get("top_logprobs") if body.get("logprobs") else None,
        **{name: float(body[name]) for name in DRAWS if name in body},
    )


def _choice(place: int, answer: Answer) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": place,
        "finish_reason": "stop" if answer.ended else "length",
        "message": {"role": "assistant", "content": answer.text},
    }
    if answer.words:
        content = [
            {
                "token": word.text,
                "logprob": word.logprob,
                "top_logprobs": [{"token": text, "logprob": value} for text, value in word.alternatives],
            }
            for word in answer.words
        ]
        choice["logprobs"] = {"content": content}
    return choice
