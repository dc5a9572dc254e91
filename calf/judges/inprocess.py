"""The second engine of all judges: a model in this process, in the place of a server."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from calf.engine.inprocess import HONOURS, InProcess
from calf.engine.server import Server
from calf.errors import MissingDependencyError, OptionError
from calf.models.device import check_device, find_device
from calf.models.generate import Generator, find_causal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.engine.prices import Prices
    from calf.models.chat import Turns
    from calf.models.folder import Weights

__all__ = ["InProcessModel"]

_NOWHERE = "http://127.0.0.1/v1"  # nothing is sent there: the weights stand for it

_PACKAGES = ("torch", "transformers")


class InProcessModel:
    """The model of a judge with `engine=transformers`: found when it is first asked for, loaded when it must answer.

    Args:
        model: a GGUF file (`*.gguf`), the name of a packaged one (`smollm2`), a Hugging Face folder, or a hub id.
        device: see `calf.models.device.find_device`.
        half: bfloat16 instead of float32; on a GPU alone.
        code: whether the model's own code may run.
        turns: how conversations are written for it.

    Raises:
        MissingDependencyError: torch or transformers is not installed.
        OptionError: a value cannot be.
    """

    def __init__(self, model: str, device: str, *, half: bool, code: bool, turns: Turns) -> None:
        for package in _PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise MissingDependencyError("engine=transformers", package, "likelihood")
        if not model.strip():
            raise OptionError("engine=transformers: name the model, a folder, a GGUF file or a hub id: -o model=...")
        check_device(device, half=half)
        self._model = model
        self._device = device
        self._half = half
        self._code = code
        self._turns: Turns = turns

    @cached_property
    def weights(self) -> Weights:
        """The model on disk.

        Raises:
            UserError: it cannot be had.
        """
        return find_causal(self._model, code=self._code)

    @property
    def identity(self) -> str:
        """What stands for the place of the model: its weights, their precision, and how texts are put to it."""
        return f"transformers {self.weights.revision} {'bfloat16' if self._half else 'float32'} {self._turns}"

    def server(self, extra: Mapping[str, Any], prices: Prices | None) -> Server:
        """What stands for the server.

        Raises:
            UserError: the model cannot be had.
        """
        name, identity = self.weights.name, self.identity
        # An answer that fails would fail again.
        return Server(
            _NOWHERE, name, honours=HONOURS, extra=extra, concurrency=1, retries=0, prices=prices, identity=identity
        )

    def describe(self) -> dict[str, str]:
        """For the signature."""
        return {"engine": self.identity, "transformers": version("transformers").partition(".")[0]}

    def load(self) -> InProcess:
        """The model, ready to answer.

        Raises:
            UserError: it cannot be loaded.
        """
        device = find_device(self._device, half=self._half)
        return InProcess(Generator(self.weights, device, half=self._half, code=self._code, turns=self._turns))
