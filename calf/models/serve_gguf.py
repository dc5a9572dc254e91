"""The process that serves a GGUF file; run as a script by `local_server`, with nothing but xllamacpp to import.

It reads one JSON line (path, name, context, parallel, threads, api_key) from its standard input, writes one
(`{"address": ...}` or `{"error": ...}`) to its standard output, and serves until its standard input ends, which
happens when the process that holds the other end is gone, however it went.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
from typing import Any

_POLL_SECONDS = 1.0


def main() -> None:
    """Serves until the parent is gone."""
    parent = os.getppid()
    say = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    task = json.loads(_first_line())
    _die_with_the_pipe()
    try:
        server = _serve(task)
        answer = {"address": server.listening_address}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    say.write(json.dumps(answer) + "\n")
    say.close()
    if "address" in answer:
        # A process forked from the parent may hold the pipe open as well: then the parent's number tells.
        while os.getppid() == parent and not select.select([0], [], [], _POLL_SECONDS)[0]:
            pass
    os._exit(0)  # no clean-up that could hang: nothing is to be kept


def _first_line() -> bytes:
    with os.fdopen(os.dup(0), "rb", buffering=0) as pipe:  # unbuffered: takes nothing that `select` waits for
        return pipe.readline()


def _serve(task: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = task["path"]
    params.model_alias = {task["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free one
    params.api_keys = [task["api_key"]]  # else every page in a browser, and every user of this machine, could ask it
    params.n_parallel = task["parallel"]
    params.n_ctx = task["context"] * task["parallel"]  # it is divided among the slots
    params.fit_params = False  # never another context than the one asked for
    params.cache_ram_mib = 0  # a slot keeps its last prompt; by default all would be kept, up to 8 GB
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1  # errors
    if task["threads"] is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = task["threads"]
    return xllamacpp.Server(params)


def _die_with_the_pipe() -> None:
    """Lets the system end this process (SIGIO) when the pipe ends: while a model loads, no Python runs that could."""
    with contextlib.suppress(AttributeError, OSError):  # not on every system: there the loop of `main` ends it later
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


if __name__ == "__main__":
    main()
