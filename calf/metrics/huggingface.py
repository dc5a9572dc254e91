"""Any module of Hugging Face's library `evaluate` as a response metric: `hf:PATH_OR_NAME`."""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import sys
from typing import TYPE_CHECKING, Any

from calf.errors import OptionError, UserError
from calf.metrics.base import Response
from calf.metrics.huggingface_code import at_work, find_script, load_module
from calf.metrics.huggingface_guess import entry_of, guess_key, match_inputs, numbers_of
from calf.models.quiet import reason
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from calf.metrics.base import Preparation
    from calf.metrics.huggingface_guess import Input

__all__ = ["EvaluateModule"]

_PROBES = 8
_LOOKED_AT = 500  # comparisons that probes are taken from: a dataset may have a million
_LAST_DIGITS = 1e-6

_TEXTS: Mapping[str, Callable[[Response], str | None]] = {
    "predictions": lambda item: item.response,
    "references": lambda item: item.reference,
    "sources": lambda item: item.question,
    "contexts": lambda item: item.context,
}


class EvaluateModule:
    """A module of Hugging Face's library evaluate, whose result for a response is its score.

    A module says what it takes (`features`) but not what its result means; so before the first score it is asked about
    eight responses of the dataset, from the shortest to the longest, each alone and then all together. A result that
    holds one number for each (BERTScore, COMET, BLEURT) shows that it can be asked about many at once, which then is
    done, provided that each number is the one that it gave for the response alone: to the last bit, or on a machine
    with a GPU to 1e-6. Otherwise, and where one number is for all together (BLEU, accuracy), it is asked about one
    response at a time. So a score never depends on what else is scored.

    An empty response is given to the module like any other. If it raises, that response fails, with its error. A
    comparison without a reference fails (`no_reference`) if the module takes references. A result that lacks the
    entry, or has something else there than a number, is a failure of kind `bad_output`.

    Args:
        module: a folder NAME with a file NAME.py, such a file, or a name of the hub (`bleurt`, `owner/name`).
        key: which entry of the result is the score; default: the only number, else the one named like the module,
            score, scores or f1.
        predictions, references, sources, contexts: the names of the inputs that take the response, the reference, the
            question and the context; default: by their names.
        config: the module's configuration (a checkpoint, for BLEURT and COMET).
        arguments: further arguments of the module's `compute`, as a JSON object: `{"lang": "en"}`.
        higher_is_better: false for an error rate: scores are negated.
        batch_size: how many responses a call of `compute` gets, from 1 to 32.
        trust_remote_code: allows code from the hub to be run. A local module is run without asking.
    """

    needs_reference = False  # it depends on the module
    libraries = ("evaluate",)
    unsigned = ("module", "batch_size", "trust_remote_code")  # `describe` tells the module by its code
    batch_size = 32

    def __init__(
        self,
        module: str,
        key: str | None = None,
        predictions: str | None = None,
        references: str | None = None,
        sources: str | None = None,
        contexts: str | None = None,
        config: str | None = None,
        arguments: str = "{}",
        higher_is_better: bool = True,
        batch_size: int = 32,
        trust_remote_code: bool = False,
    ) -> None:
        if not 1 <= batch_size <= EvaluateModule.batch_size:
            raise OptionError(f"batch_size {batch_size}: give 1 to {EvaluateModule.batch_size}")
        self._arguments = _read_arguments(arguments)
        self._script = find_script(module, trust_remote_code=trust_remote_code)
        self._key = key
        self._named = {
            "predictions": predictions, "references": references, "sources": sources, "contexts": contexts,
        }  # fmt: skip
        self._config = config
        self._sign = 1.0 if higher_is_better else -1.0
        self._most = batch_size
        self._size = 1
        self._module: Any = None
        self._inputs: list[Input] = []

    def describe(self, languages: Sequence[str]) -> dict[str, str]:  # noqa: ARG002  # the same for all
        """The module's code, where it is from, and the versions of what it imports."""
        return {
            "module": self._script.name,
            "module_code": self._script.digest(),
            "module_source": self._script.source,
            "module_imports": self._script.libraries(),
        }

    def prepare(self, preparation: Preparation) -> None:
        """Loads the module and asks it about a few responses: what is its score, and can it be asked about many?

        Raises:
            UserError: the module cannot be loaded, it scores none of these responses, or it cannot be guessed how to
                ask it or what its score is.
        """
        self._module = load_module(self._script, self._config)
        self._inputs = match_inputs(self._script.name, self._module.features, self._named)
        taken = sorted({part.name for part in self._inputs} & set(self._arguments))
        if taken:
            raise OptionError(f"module {self._script.name}: {taken[0]!r} is an input, not one of its arguments")
        self._size = self._find_size(self._alone(self._probes(preparation)))

    def score(self, items: Sequence[Response]) -> Iterator[float | Failure]:
        """The score of each response, batch by batch. What the module raises comes through."""
        if self._module is None:
            raise RuntimeError("EvaluateModule.prepare must be called before EvaluateModule.score")
        for at in range(0, len(items), self._size):
            part = items[at : at + self._size]
            asked = [item for item in part if self._can_be_asked(item)]
            scores = iter(self._scores(asked) if asked else ())
            for item in part:
                yield (
                    next(scores)
                    if self._can_be_asked(item)
                    else Failure("no_reference", "the comparison has no reference")
                )

    def _can_be_asked(self, item: Response) -> bool:
        needed = any(part.role == "references" for part in self._inputs)
        return not needed or bool(item.reference and item.reference.strip())

    def _scores(self, items: Sequence[Response]) -> list[float | Failure]:
        result = self._compute(items)
        try:
            return list(self._numbers(result, len(items)))
        except OptionError as error:
            if len(items) == 1:
                return [Failure("bad_output", str(error))]
            return [score for item in items for score in self._scores([item])]

    def _numbers(self, result: Any, count: int) -> list[float]:
        """The scores that a result holds.

        Raises:
            OptionError: it does not have that entry, or not so many numbers in it.
        """
        if self._key is None:
            self._key = guess_key(self._script.name, result)
        value = entry_of(self._script.name, result, self._key)
        numbers = numbers_of(value, count)
        if numbers is None:
            shown = " ".join(repr(value).split())[:80]
            raise OptionError(f"module {self._script.name}: {self._key} is {shown}, not one number for each response")
        return [self._sign * number for number in numbers]

    def _compute(self, items: Sequence[Response]) -> Any:
        """The module's result for these responses together."""
        columns: dict[str, list[Any]] = {}
        for part in self._inputs:
            texts = [_TEXTS[part.role](item) for item in items]
            columns[part.name] = [[text] for text in texts] if part.as_list else texts
        with at_work():
            try:
                return self._module.compute(**columns, **self._arguments)
            except BaseException:
                # evaluate keeps what it was given, and would add the next call's inputs to it.
                self._module.writer = self._module.buf_writer = self._module.data = None
                raise

    def _probes(self, preparation: Preparation) -> list[Response]:
        """Some responses that the module can be asked about, from the shortest to the longest."""
        found: dict[Response, None] = {}
        for c in itertools.islice(preparation.in_these_languages, _LOOKED_AT):
            for text in (c.response_a, c.response_b):
                item = Response(c.question, c.context, c.reference, text, c.language)
                if text.strip() and self._can_be_asked(item):
                    found[item] = None
        ordered = sorted(found, key=lambda item: len(item.response))
        last = len(ordered) - 1
        places = sorted({round(step * last / (_PROBES - 1)) for step in range(_PROBES)}) if ordered else []
        return [ordered[place] for place in places]

    def _alone(self, probes: Sequence[Response]) -> list[tuple[Response, float]]:
        """The probes that the module scores, each asked about alone.

        Raises:
            UserError: it scores none of them.
        """
        scored = []
        trouble: BaseException | None = None
        for probe in probes:
            try:
                scored.append((probe, self._numbers(self._compute([probe]), 1)[0]))
            except (Exception, SystemExit) as error:  # a module may raise anything; another response may do
                trouble = trouble or error
        if scored or trouble is None:
            return scored
        if isinstance(trouble, UserError):
            raise trouble
        raise UserError(
            f"module {self._script.name} scores none of {len(probes)} responses that it was tried with: "
            f"{reason(trouble)}"
        ) from trouble

    def _find_size(self, alone: Sequence[tuple[Response, float]]) -> int:
        """How many responses it is asked about at once."""
        if self._most == 1 or len(alone) < 2:
            return 1
        alone = [*alone[1::2], *alone[::2]]  # a module that sorts by length, and answers so, must not go unnoticed
        try:
            together = self._numbers(self._compute([probe for probe, _ in alone]), len(alone))
        except (Exception, SystemExit):  # what it cannot do together it does alone
            return 1
        furthest = max(abs(score - other) for (_, score), other in zip(alone, together, strict=True))
        if furthest <= (_LAST_DIGITS if _has_gpu() else 0.0):
            return self._most
        if multiprocessing.parent_process() is None:  # said once, not by each worker
            logging.getLogger(__name__).warning(
                "module %s: the responses beside it move a score by up to %.1e; it is asked about one at a time",
                self._script.name, furthest,
            )  # fmt: skip
        return 1


def _read_arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except json.JSONDecodeError as error:
        raise OptionError(f"arguments={text}: not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise OptionError(f'arguments={text}: write a JSON object such as {{"lang": "en"}}')
    return arguments


def _has_gpu() -> bool:
    """Whether the module may compute on a GPU, where batches move the last digits: torch, if it has loaded it."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())
