"""Texts' vectors by one model: kept ones from disk, others made and kept."""

from __future__ import annotations

import importlib.metadata
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from calf.hashing import digest
from calf.models.forward import Forward
from calf.models.vectors import Head, TextVectors, pack, unpack
from calf.models.windows import windows_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from calf.models.folder import Weights
    from calf.models.kept import KeptVectors
    from calf.models.tokens import TextTokens
    from calf.models.windows import Windows

__all__ = ["Encoder", "Long"]

Long = Literal["truncate", "window", "fail"]

_VERSION = 1  # raised when the same text gets other vectors
_REMEMBERED = 32 << 20  # bytes of the latest vectors that stay in memory: references are asked for again and again


@dataclass(frozen=True, slots=True)
class _Task:
    """A text that must be encoded: the tokens of each window, special ones included; none if it has no tokens."""

    head: Head
    parts: list[list[int]]
    windows: Windows | None = None


class Encoder(ABC):
    """Gives each text its vectors, by running it through a model alone, whatever else is encoded.

    Vectors are rounded as they are kept (`calf.models.vectors.pack`), also where nothing is kept, so that no score
    depends on it.

    Args:
        weights: the model.
        identity: what else its vectors depend on, besides the libraries' versions.
        long: of a text that is longer than the window, "window" gives vectors of the whole, the other two of what the
            tokenizer leaves of it.
        device: as torch names it.
        half: whether the model works in half precision.
        kept: where vectors are looked up and kept; None: nowhere.
    """

    def __init__(
        self,
        weights: Weights,
        identity: Sequence[object],
        *,
        long: Long,
        device: str,
        half: bool,
        kept: KeptVectors | None,
    ) -> None:
        self.weights = weights
        self._whole = long == "window"
        self._kept = kept
        self._forward = Forward(self.load_model, device, half=half)
        versions = [importlib.metadata.version(name) for name in ("torch", "transformers")]
        kind = "float16" if half else "float32"
        on = device.partition(":")[0]
        self._identity = (_VERSION, weights.revision, weights.folder.name, *identity, *versions, on, kind)
        self._ready: dict[str, TextVectors] = {}
        self._latest: OrderedDict[str, TextVectors] = OrderedDict()
        self._latest_bytes = 0
        self._lock = threading.Lock()
        self._tokens: TextTokens | None = None
        self._loading = threading.Lock()

    @abstractmethod
    def load_model(self) -> Any:
        """The model in float32; called once."""

    @abstractmethod
    def load_tokens(self) -> TextTokens:
        """What cuts texts into tokens; called once."""

    @abstractmethod
    def finish(self, hidden: Sequence[NDArray[np.float32]], windows: Windows | None) -> NDArray[np.float32]:
        """A text's vectors, of what the model gave for its windows.

        Args:
            hidden: the vectors (tokens, width) of each window, special tokens included.
            windows: None if the text fits or is cut, so that there is one.
        """

    @property
    def tokens(self) -> TextTokens:
        """What cuts texts into tokens.

        Raises:
            UserError: it cannot be loaded.
        """
        with self._loading:
            if self._tokens is None:
                self._tokens = self.load_tokens()
            return self._tokens

    def load(self) -> None:
        """Loads the model, which otherwise happens when it is first needed.

        Raises:
            UserError: it cannot be loaded.
        """
        _ = self._forward.model

    def survey(self, texts: Iterable[str]) -> tuple[dict[str, Head], int]:
        """What is known of each text, and how many of them have no kept vectors.

        Args:
            texts: without white space at their ends, none empty.

        Raises:
            UserError: the tokenizer cannot be loaded.
        """
        keys = {text: self._keys(text) for text in texts}
        wanted = [key for pair in keys.values() for key in (pair if self._whole else pair[:1])]
        known = self._kept.heads(wanted) if self._kept is not None else {}
        heads = {}
        missing = 0
        for text, (plain, windowed) in keys.items():
            head = _read(known.get(plain))
            if head is None or (head.over and self._whole):
                head = _read(known.get(windowed)) if self._whole else None
            if head is None:
                missing += 1
                head = self._tokenise(text).head
            heads[text] = head
        return heads, missing

    def encode(self, text: str) -> TextVectors:
        """A text's vectors; called by several threads at once.

        Args:
            text: without white space at its ends; the empty text has no vectors.

        Raises:
            UserError: the model cannot be loaded.
        """
        if text in self._ready:
            return self._ready[text]
        with self._lock:
            if text in self._latest:
                self._latest.move_to_end(text)
                return self._latest[text]
        found = self._look_up(text) or self._make(text)
        self._remember(text, found)
        return found

    def encode_together(self, texts: Iterable[str]) -> None:
        """Makes the vectors of many texts in batches, for a GPU; `encode` gives them until the next call.

        The numbers differ from those that `encode` makes in their last digits.

        Raises:
            UserError: the model cannot be loaded.
        """
        self._ready = {}
        waiting: dict[str, _Task] = {}
        for text in dict.fromkeys(texts):
            if (vectors := self._look_up(text)) is not None:
                self._ready[text] = vectors
            else:
                waiting[text] = self._tokenise(text)
        parts = [part for task in waiting.values() for part in task.parts]
        hidden = dict(self._forward.together(parts, self.tokens.pad)) if parts else {}
        at = 0
        for text, task in waiting.items():
            self._ready[text] = self._store(text, task, [hidden[at + i] for i in range(len(task.parts))])
            at += len(task.parts)

    def _make(self, text: str) -> TextVectors:
        task = self._tokenise(text)
        return self._store(text, task, [self._forward.alone(part) for part in task.parts])

    def _store(self, text: str, task: _Task, hidden: Sequence[NDArray[np.float32]]) -> TextVectors:
        """Rounds the vectors, keeps them, and gives them as they would be read again."""
        data = pack(self.finish(hidden, task.windows) if hidden else np.zeros((0, 1), np.float32))
        if self._kept is not None:
            plain, windowed = self._keys(text)
            self._kept.put(windowed if task.windows else plain, self.weights.name, task.head.to_bytes(), data)
        return TextVectors(task.head, unpack(data))

    def _look_up(self, text: str) -> TextVectors | None:
        if self._kept is None:
            return None
        plain, windowed = self._keys(text)
        for key in (plain, windowed) if self._whole else (plain,):
            head, data = self._kept.get(key) or (None, b"")
            known = _read(head)
            if known is not None and not (key == plain and self._whole and known.over):
                return TextVectors(known, unpack(data))
        return None

    def _tokenise(self, text: str) -> _Task:
        tokens = self.tokens
        whole = tokens.whole(text) if text else []
        inner = tokens.inner(whole)
        if not inner:
            return _Task(tokens.head([], []), [])
        if len(inner) <= tokens.capacity:
            return _Task(tokens.head(whole, whole), [whole])
        if not self._whole:
            cut = tokens.cut(text)
            return _Task(tokens.head(whole, cut), [cut])
        windows = windows_over(len(inner), tokens.capacity)
        parts = [tokens.wrapped(inner[start : start + windows.size]) for start in windows.starts]
        return _Task(tokens.head(whole, whole), parts, windows)

    def _keys(self, text: str) -> tuple[str, str]:
        """The key of a text that fits or is cut, and of one in windows."""
        key = digest(*self._identity, text, length=40)
        return key, f"{key}-window"

    def _remember(self, text: str, vectors: TextVectors) -> None:
        with self._lock:
            if text not in self._latest:
                self._latest[text] = vectors
                self._latest_bytes += vectors.vectors.nbytes
            while self._latest_bytes > _REMEMBERED:
                self._latest_bytes -= self._latest.popitem(last=False)[1].vectors.nbytes


def _read(data: bytes | None) -> Head | None:
    try:
        return None if data is None else Head.from_bytes(data)
    except ValueError:
        return None
