"""Runs tokens through an encoder: each text alone on a CPU, batches of bounded size on a GPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Forward"]

_BATCH_TOKENS = 16384  # padding included


class Forward:
    """An encoder on its device, loaded when it is first used.

    Args:
        load: gives the model in float32; called once.
        device: as torch names it.
        half: whether it works in half precision.
    """

    def __init__(self, load: Callable[[], Any], device: str, *, half: bool) -> None:
        self._load = load
        self._device = device
        self._half = half
        self._model: Any = None
        self._lock = threading.Lock()

    @property
    def model(self) -> Any:
        """The model.

        Raises:
            UserError: it cannot be loaded.
        """
        with self._lock:
            if self._model is None:
                model = self._load()
                self._model = (model.half() if self._half else model).to(self._device)
            return self._model

    def alone(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The last layer's vectors (tokens, width) of one text, which nothing else can change.

        Args:
            ids: tokens with the special ones, at most a window of them.
        """
        return self._run([ids], 0)[0]

    def together(self, texts: Sequence[Sequence[int]], pad: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The place of each text and its vectors, in batches of texts of like length.

        Args:
            texts: tokens of each, as above.
            pad: the token that fills a batch; it is masked.
        """
        batch: list[int] = []
        for place in sorted(range(len(texts)), key=lambda i: -len(texts[i])):
            if batch and len(texts[batch[0]]) * (len(batch) + 1) > _BATCH_TOKENS:
                yield from zip(batch, self._run([texts[i] for i in batch], pad), strict=True)
                batch = []
            batch.append(place)
        if batch:
            yield from zip(batch, self._run([texts[i] for i in batch], pad), strict=True)

    def _run(self, batch: Sequence[Sequence[int]], pad: int) -> list[NDArray[np.float32]]:
        import torch

        longest = max(map(len, batch))
        ids = torch.full((len(batch), longest), pad)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(batch):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        model = self.model
        with torch.inference_mode():
            hidden = model(ids.to(self._device), attention_mask=mask.to(self._device))[0].float().cpu()
        return [vectors[: len(text)].numpy() for vectors, text in zip(hidden, batch, strict=True)]
