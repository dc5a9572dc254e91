"""Where models work: devices, and several texts at once on a CPU."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from calf.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["check_device", "find_device", "in_threads"]

T = TypeVar("T")
R = TypeVar("R")


def check_device(device: str, *, half: bool) -> None:
    """Whether the options make sense, without torch.

    Raises:
        OptionError: the device's name is none, or half precision is asked for on a CPU.
    """
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise OptionError(f"device {device!r}: give auto, cpu, cuda or cuda:N")
    if half and device == "cpu":
        raise OptionError("half precision is for a GPU: leave out half=true or device=cpu")


def find_device(device: str, *, half: bool) -> str:
    """The device meant by "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        OptionError: torch does not find it, or half precision was asked for and there is no GPU.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not count):
        if half:
            raise OptionError("half precision is for a GPU, and torch finds none: leave out half=true")
        return "cpu"
    found = "cuda" if device == "auto" else device
    if int(found.partition(":")[2] or 0) >= count:
        raise OptionError(f"device {device!r}: torch finds {count} such devices")
    return found


def in_threads(work: Callable[[T], R], parts: Iterable[T], device: str) -> Iterator[R]:
    """The results for all parts, in order, as soon as they are known; several are at work at once.

    Each part is worked on by a single thread, so that its result is the same to the last bit, however many there are.
    On a GPU, and in a worker process (of which there are as many as the user asked for), one is at work at a time.
    """
    import torch

    alone = device != "cpu" or multiprocessing.parent_process() is not None
    pool = ThreadPoolExecutor(1 if alone else torch.get_num_threads(), initializer=_use_one_thread)
    try:
        for future in [pool.submit(work, part) for part in parts]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
