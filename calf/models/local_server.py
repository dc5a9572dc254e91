"""llama.cpp's HTTP server for a GGUF file, in a process of its own that lives no longer than this one."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import select
import subprocess
import sys
import tempfile
import time
import urllib.request
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self

from calf.errors import MissingDependencyError, UserError
from calf.models.gguf import Gguf, find_gguf

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LocalServer"]

_PATIENCE = 300.0  # seconds; large models on slow disks need minutes
_POLL_SECONDS = 0.2
_LOG_LINES = 40
_PROGRAM = Path(__file__).with_name("serve_gguf.py")

# llama.cpp's lines of errors ("0.00.025.368 E where: what"); of these, the ones that say what and not only that.
_ERROR_LINE = re.compile(
    r"^[\d.]+ E (?:[\w~]+ +)?[\w~]+: (?:error loading model: )?(?:llama_model_loader: )?(.+)$", re.M
)
_SAYS_NOTHING = re.compile(r"failed to load model|model loading error|trying to fit params")


class LocalServer:
    """Serves a GGUF file to this process, OpenAI-compatible, on 127.0.0.1 and any free port.

    The server's process ends with `close`, with the `with` block, with this object, and with this process, even if that
    is killed: the server notices. Ctrl-C does not reach it. Nothing of what it says is shown, unless it does not start
    for an unexpected reason: then the end of its log goes to stderr. It may be started again after `close`.

    Args:
        gguf: the file.
        context: tokens that one request may have, prompt and answer together; each of the `parallel` slots has as many.
        parallel: requests that are worked on at once; memory grows with context x parallel.
        threads: default: as many as the machine has cores.
        patience: seconds until it must be ready.

    Attributes:
        base_url: for a client, with `/v1`; "" while it does not run.
        api_key: that the server asks for; a new one at each start.

    Raises:
        UserError: a value cannot be, or there is no such file.
    """

    def __init__(
        self,
        gguf: Gguf | str | Path,
        *,
        context: int = 4096,
        parallel: int = 1,
        threads: int | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        for name, value in (("context", context), ("parallel", parallel), ("threads", threads)):
            if value is not None and value < 1:
                raise UserError(f"{name} must be 1 or more, not {value}")
        self.gguf = gguf if isinstance(gguf, Gguf) else find_gguf(str(gguf))
        self.base_url = ""
        self.api_key = ""
        self._context = context
        self._parallel = parallel
        self._threads = threads
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._end: weakref.finalize[..., Any] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start the server and wait until it is ready; nothing if it runs.

        Raises:
            MissingDependencyError: xllamacpp is not installed.
            UserError: the file is damaged or no model that can be served, its context is shorter than asked for, or
                the server is not ready in time.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingDependencyError("the local server", "xllamacpp", "local")
        try:
            self._start()
        except BaseException:  # an interrupt too
            self.close()
            raise

    def close(self) -> None:
        """End the server; nothing if it does not run."""
        self.base_url = self.api_key = ""
        self._process = self._log = None
        if self._end is not None:
            self._end()
            self._end = None

    @property
    def ended(self) -> str | None:
        """How the server ended that was started and not closed, one line; None while it runs."""
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return "; ".join(part for part in (how, self._said()) if part)

    def _start(self) -> None:
        deadline = time.monotonic() + self._patience
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _finish
        self.api_key = secrets.token_urlsafe(24)
        process = self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", _PROGRAM],  # -P: the modules beside it hide nothing
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for this process, which still has answers to write
        )
        self._end = weakref.finalize(self, _finish, process, self._log)
        task = {
            "path": str(self.gguf.path),
            "name": self.gguf.name,
            "context": self._context,
            "parallel": self._parallel,
            "threads": self._threads,
            "api_key": self.api_key,
        }
        assert process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with contextlib.suppress(BrokenPipeError):  # it died at once: what follows says so
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
        answer = self._answer(process, deadline)
        if "address" not in answer:
            self._fail(str(answer.get("error", "")))
        address = str(answer["address"])
        try:
            healthy = _get(address + "/health", self.api_key).get("status") == "ok"
            context = _get(address + "/props", self.api_key)["default_generation_settings"]["n_ctx"]
        except (OSError, ValueError, KeyError) as error:
            self._fail(f"it does not answer: {type(error).__name__}: {error}")
        if not healthy:
            self._fail("it is not healthy")
        if context < self._context:
            raise UserError(f"{self.gguf.name} takes at most {context} tokens; ask for no more: context={context}")
        self.base_url = address + "/v1"

    def _answer(self, process: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
        """The line that the server's process writes when it is ready; {} if it writes none."""
        assert process.stdout is not None  # noqa: S101 - as above
        while not select.select([process.stdout], [], [], _POLL_SECONDS)[0]:
            if time.monotonic() > deadline:
                self._fail(f"it was not ready after {self._patience:g} seconds")
        try:
            answer = json.loads(process.stdout.readline())
        except ValueError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            return {}
        return answer if isinstance(answer, dict) else {}

    def _fail(self, what: str) -> NoReturn:
        """Says why it did not start."""
        said = self._said()
        if said:  # llama.cpp says what is wrong with the file
            raise UserError(f"{self.gguf.path}: llama.cpp cannot serve it: {said}")
        log = self._read_log()
        if log:
            sys.stderr.write("\n".join(log.splitlines()[-_LOG_LINES:]) + "\n")
        raise UserError(
            f"the local server for {self.gguf.path} did not start: {what or self.ended or 'it said nothing'}"
        )

    def _said(self) -> str:
        """What the log says went wrong; "" if nothing is known."""
        said = [line for line in _ERROR_LINE.findall(self._read_log()) if not _SAYS_NOTHING.search(line)]
        return said[0] if said else ""

    def _read_log(self) -> str:
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")  # does not move where it writes on


def _finish(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    process.kill()  # it has nothing to keep
    process.wait()
    for pipe in (process.stdin, process.stdout, log):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _get(url: str, key: str) -> dict[str, Any]:
    """A JSON object from the server; no proxy stands between."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - our own address
    with opener.open(request, timeout=30) as response:
        value = json.load(response)
    return value if isinstance(value, dict) else {}
