"""The second engine of all judges: a model in this process, in the place of a server."""

from __future__ import annotations

import importlib.util
import math
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from calf.engine.inprocess import DRAWS, HONOURS, InProcess
from calf.engine.server import Server
from calf.errors import MissingDependencyError, OptionError
from calf.models.device import check_device, find_device
from calf.models.generate import Generator, find_causal, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.engine.prices import Prices
    from calf.models.chat import Turns
    from calf.models.folder import Weights
    from calf.models.gguf import Gguf

__all__ = ["InProcessModel", "Loaded"]

_NOWHERE = "http://127.0.0.1/v1"  # nothing is sent there: the weights stand for it

_PACKAGES = ("torch", "transformers")

Loaded = dict[tuple[object, ...], InProcess]
"""Models that are in the memory, by all that makes them what they are: voices of one system share them."""


class InProcessModel:
    """The model of a judge with `engine=transformers`: found when it is first asked for, loaded when it must answer.

    Args:
        model: a GGUF file (`*.gguf`), the name of a packaged one (`smollm2`), a Hugging Face folder, or a hub id.
        device: see `calf.models.device.find_device`.
        half: bfloat16 instead of float32; on a GPU alone.
        code: whether the model's own code may run.
        turns: how conversations are written for it.
        extra: more fields of requests' bodies; those that say how answers are drawn are checked here.

    Raises:
        MissingDependencyError: torch or transformers is not installed.
        OptionError: a value cannot be.
    """

    def __init__(
        self, model: str, device: str, *, half: bool, code: bool, turns: Turns, extra: Mapping[str, Any]
    ) -> None:
        for package in _PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise MissingDependencyError("engine=transformers", package, "likelihood")
        if not model.strip():
            raise OptionError("engine=transformers: name the model, a folder, a GGUF file or a hub id: -o model=...")
        check_device(device, half=half)
        for name, most in DRAWS.items():
            _check_draw(name, extra.get(name, 1.0), most)
        self._model = model
        self._device = device
        self._half = half
        self._code = code
        self._extra = extra
        self._turns: Turns = turns

    @cached_property
    def found(self) -> Weights | Gguf:
        """The model on disk; a GGUF file is not unpacked yet.

        It must be there even where nobody is asked (`--replay`): the run is known by its weights.

        Raises:
            UserError: it cannot be had.
        """
        return find_causal(self._model, code=self._code)

    @property
    def identity(self) -> str:
        """What stands for the place of the model: its weights, their precision, and how texts are put to it."""
        return f"transformers {self.found.revision} {'bfloat16' if self._half else 'float32'} {self._turns}"

    def server(self, prices: Prices | None) -> Server:
        """What stands for the server.

        Raises:
            UserError: the model cannot be had.
        """
        return Server(
            _NOWHERE,
            self.found.name,
            honours=HONOURS,
            extra=self._extra,
            concurrency=1,
            retries=0,  # an answer that fails would fail again
            prices=prices,
            identity=self.identity,
        )

    def describe(self) -> dict[str, str]:
        """For the signature."""
        return {"engine": self.identity, "transformers": version("transformers").partition(".")[0]}

    def load(self, loaded: Loaded | None = None) -> InProcess:
        """The model, ready to answer.

        Args:
            loaded: what is in the memory already, which is used if it is the same; it is added there.

        Raises:
            UserError: it cannot be loaded.
        """
        loaded = {} if loaded is None else loaded
        device = find_device(self._device, half=self._half)
        weights = unpacked(self.found)
        same = (weights.folder, device, self._half, self._code, self._turns)
        if same not in loaded:
            loaded[same] = InProcess(Generator(weights, device, half=self._half, code=self._code, turns=self._turns))
        return loaded[same]


def _check_draw(name: str, value: Any, most: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < value <= most and math.isfinite(value)):
        reach = "more than 0" if most == math.inf else f"more than 0 and at most {most:g}"
        raise OptionError(f"extra: {name} must be {reach}, not {value!r}")
