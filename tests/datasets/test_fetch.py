"""Fetching: from a real server on this machine, from a copy; nothing half or wrong is ever put in place."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from calf.datasets import fetch as fetching
from calf.datasets.fetch import fetch
from calf.datasets.load import load_dataset
from calf.errors import DataError, UnknownNameError, UserError
from calf.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator


def records(n: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "id": f"r{i}",
            "question": f"Why {i}?",
            "response_a": f"Because of {i}.",
            "response_b": "Nobody knows.",
            "setting": "model_vs_model",
            "label": "response_a",
        }
        for i in range(n)
    ]


DATA = "".join(json.dumps(record) + "\n" for record in records()).encode()
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `DATA` at /data.jsonl, and bad answers at other paths; `asked` lists what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.stop = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path == "/missing.jsonl":
            self.send_error(404)
        elif path == "/broken.jsonl":
            self.send_error(503)
        elif path == "/moved.jsonl":
            self.send_response(302)
            self.send_header("Location", "/data.jsonl")
            self.end_headers()
        elif path == "/local.jsonl":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif path == "/loop.jsonl":
            self.send_response(302)
            self.send_header("Location", "/loop.jsonl")
            self.end_headers()
        elif path == "/endless.jsonl":
            self.answer(b"", length=10**13)
        elif path == "/short.jsonl":
            self.answer(DATA[:100], length=len(DATA))
        elif path == "/stalls.jsonl":
            self.answer(DATA[:100], length=len(DATA))
            self.wfile.flush()
            self.server.stop.wait(30)
        elif path == "/silent.jsonl":
            self.server.stop.wait(30)
        elif path == "/trickle.jsonl":
            self.answer(b"", length=len(DATA))
            for i in range(0, len(DATA), 200):
                self.wfile.write(DATA[i : i + 200])
                self.wfile.flush()
                time.sleep(0.02)
        elif path == "/chunked.jsonl":  # no length at all
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA)
        elif path == "/page.jsonl":
            self.answer(b"<html>Please log in</html>")
        elif path == "/other.jsonl":
            self.answer(DATA + DATA.replace(b'"id": "', b'"id": "more-'))
        else:
            self.answer(DATA)

    def answer(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.stop.set()
        running.shutdown()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    (root / "data").mkdir(parents=True)
    (root / "calf.toml").touch()
    return find_workspace(root)


def define(workspace: Workspace, name: str = "known", **source: str) -> None:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in source.items())
    text = f'title = "A known dataset"\n[source]\n{lines}[expect]\ncomparisons = 4\n'
    (workspace.data / f"{name}.toml").write_text(text)


def nothing_written(workspace: Workspace) -> bool:
    return not [path for path in workspace.data.rglob("*") if path.suffix != ".toml" and path.is_file()]


class TestDownload:
    def test_verified(self, server: Server, workspace: Workspace) -> None:
        define(workspace, url=f"{server.url}/data.jsonl", sha256=SHA256)
        with pytest.raises(UserError, match="not fetched yet"):
            load_dataset("known", workspace=workspace)
        seen: list[tuple[int, int | None]] = []
        found = fetch("known", workspace=workspace, progress=lambda done, whole: seen.append((done, whole)))
        assert found.path == workspace.data / "known" / "data.jsonl"
        assert found.path.read_bytes() == DATA
        assert (found.sha256, found.verified, found.comparisons) == (SHA256, True, 4)
        assert found.origin == f"{server.url}/data.jsonl"
        assert seen[-1] == (len(DATA), len(DATA))
        assert len(load_dataset("known", workspace=workspace)) == 4
        assert sorted(path.name for path in workspace.data.rglob("*")) == ["data.jsonl", "known", "known.toml"]

    def test_unverified(self, server: Server, workspace: Workspace) -> None:
        define(workspace, url=f"{server.url}/data.jsonl")
        found = fetch("known", workspace=workspace)
        assert (found.sha256, found.verified) == (SHA256, False)

    def test_a_second_time_asks_nobody(self, server: Server, workspace: Workspace) -> None:
        define(workspace, url=f"{server.url}/data.jsonl", sha256=SHA256)
        first, second = fetch("known", workspace=workspace), fetch("known", workspace=workspace)
        assert server.asked == ["/data.jsonl"]
        assert (second.path, second.origin, second.comparisons) == (first.path, None, 4)

    def test_a_damaged_file_is_fetched_again(self, server: Server, workspace: Workspace) -> None:
        define(workspace, url=f"{server.url}/data.jsonl", sha256=SHA256)
        found = fetch("known", workspace=workspace)
        found.path.write_bytes(DATA[:-20])
        assert fetch("known", workspace=workspace).path.read_bytes() == DATA

    @pytest.mark.parametrize(
        "path", ["moved.jsonl", "trickle.jsonl", "chunked.jsonl", "data.jsonl?raw=1", "a b é.jsonl"]
    )
    def test_other_ways_to_the_same_bytes(self, server: Server, workspace: Workspace, path: str) -> None:
        define(workspace, url=f"{server.url}/{path}", sha256=SHA256)
        assert fetch("known", workspace=workspace).path.read_bytes() == DATA

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("missing.jsonl", "the server answers 404 Not Found; is the address right?"),
            ("broken.jsonl", "the server answers 503 Service Unavailable"),
            ("loop.jsonl", "the server answers 302"),
            ("local.jsonl", "the server answers 302"),
            ("endless.jsonl", "more than a dataset can have"),
            ("short.jsonl", f"the connection broke off after 100 of {len(DATA)} bytes; try again"),
        ],
    )
    def test_bad_answers(self, server: Server, workspace: Workspace, path: str, message: str) -> None:
        define(workspace, url=f"{server.url}/{path}")
        with pytest.raises(UserError) as error:
            fetch("known", workspace=workspace)
        assert message in str(error.value)
        assert f"{server.url}/{path}" in str(error.value)
        assert "\n" not in str(error.value)
        assert nothing_written(workspace)

    @pytest.mark.parametrize(
        ("path", "message"),
        [("silent.jsonl", "cannot be reached: no answer within 0.2 s"), ("stalls.jsonl", "broke off")],
    )
    def test_timeouts(
        self, server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, path: str, message: str
    ) -> None:
        monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
        define(workspace, url=f"{server.url}/{path}")
        with pytest.raises(UserError, match=message):
            fetch("known", workspace=workspace)
        assert nothing_written(workspace)

    def test_refused(self, workspace: Workspace) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/data.jsonl"
        define(workspace, url=url)
        with pytest.raises(UserError, match="cannot be reached: Connection refused"):
            fetch("known", workspace=workspace)

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("http://name.invalid/data.jsonl", "cannot be reached: Name or service not known"),
            ("http://[::1/data.jsonl", "cannot be read: Invalid IPv6 URL"),
            ("http:///data.jsonl", "cannot be reached: no host given"),
        ],
    )
    def test_no_such_host(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, url: str, message: str) -> None:
        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        define(workspace)
        with pytest.raises(UserError) as error:
            fetch("known", url, workspace=workspace)
        assert str(error.value) == f"{url}: {message}"
        assert nothing_written(workspace)

    def test_too_large_while_reading(
        self, server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fetching, "LIMIT", 100)
        define(workspace, url=f"{server.url}/chunked.jsonl")
        with pytest.raises(UserError, match="more than 100 bytes"):
            fetch("known", workspace=workspace)
        assert nothing_written(workspace)

    def test_wrong_checksum_names_both(self, server: Server, workspace: Workspace) -> None:
        wrong = "0" * 64
        define(workspace, url=f"{server.url}/data.jsonl", sha256=wrong)
        with pytest.raises(DataError) as error:
            fetch("known", workspace=workspace)
        assert SHA256 in str(error.value)
        assert wrong in str(error.value)
        assert nothing_written(workspace)

    @pytest.mark.parametrize(
        ("path", "message"), [("page.jsonl", "not JSON"), ("other.jsonl", "known has 4 comparisons, this file 8")]
    )
    def test_another_file(self, server: Server, workspace: Workspace, path: str, message: str) -> None:
        define(workspace, url=f"{server.url}/{path}")
        with pytest.raises(DataError) as error:
            fetch("known", workspace=workspace)
        assert message in str(error.value)
        assert ".partial" not in str(error.value)
        assert str(error.value).startswith(f"{server.url}/{path}")
        assert nothing_written(workspace)

    def test_a_good_file_stays_when_a_new_one_is_wrong(self, server: Server, workspace: Workspace) -> None:
        define(workspace, url=f"{server.url}/data.jsonl")
        kept = fetch("known", workspace=workspace).path
        with pytest.raises(DataError):
            fetch("known", f"{server.url}/other.jsonl", workspace=workspace)
        assert kept.read_bytes() == DATA


class TestCopy:
    def test_from_a_file(self, workspace: Workspace, tmp_path: Path) -> None:
        define(workspace, url="http://name.invalid/data.jsonl", sha256=SHA256)
        copy = tmp_path / "my copy.jsonl"
        copy.write_bytes(DATA)
        found = fetch("known", copy, workspace=workspace)
        assert found.path == workspace.data / "known" / "data.jsonl"
        assert found.origin == str(copy)
        assert copy.exists()
        assert len(load_dataset("known", workspace=workspace)) == 4

    def test_its_mode_is_that_of_a_new_file(self, workspace: Workspace, tmp_path: Path) -> None:
        define(workspace)
        copy = tmp_path / "copy.jsonl"
        copy.write_bytes(DATA)
        copy.chmod(0o400)
        plain = tmp_path / "plain"
        plain.touch()
        assert fetch("known", copy, workspace=workspace).path.stat().st_mode == plain.stat().st_mode

    def test_in_another_form_and_back(self, workspace: Workspace, tmp_path: Path) -> None:
        """A definition without checksum takes any form; the copy before it is not taken for the dataset any more."""
        define(workspace, url="http://name.invalid/data.jsonl")
        lines, array = tmp_path / "copy.jsonl", tmp_path / "copy.json"
        lines.write_bytes(DATA)
        array.write_text(json.dumps(records()))
        for copy, name in ((lines, "data.jsonl"), (array, "known.json"), (lines, "data.jsonl")):
            assert fetch("known", copy, workspace=workspace).path.name == name
            assert [path.name for path in (workspace.data / "known").iterdir()] == [name]
            assert len(load_dataset("known", workspace=workspace)) == 4

    def test_without_a_file_name_of_its_own(self, workspace: Workspace, tmp_path: Path) -> None:
        define(workspace, unavailable="it is not published")
        with pytest.raises(
            UserError, match="it is not published; if you have the file: `calf datasets fetch known --from"
        ):
            fetch("known", workspace=workspace)
        copy = tmp_path / "Copy.JSONL"
        copy.write_bytes(DATA)
        assert fetch("known", copy, workspace=workspace).path.name == "known.jsonl"

    @pytest.mark.parametrize(
        ("origin", "message"),
        [
            ("nowhere.jsonl", "no such file"),
            (".", "its extension says no form"),
            ("folder.json", "not a file"),
            ("notes.txt", "its extension says no form"),
            ("ftp://example.org/data.jsonl", "only files, http and https"),
        ],
    )
    def test_what_cannot_be_read(
        self, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, message: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "notes.txt").touch()
        (tmp_path / "folder.json").mkdir()
        define(workspace)
        with pytest.raises(UserError, match=message):
            fetch("known", origin, workspace=workspace)
        assert nothing_written(workspace)

    def test_unknown_name(self, workspace: Workspace) -> None:
        define(workspace)
        with pytest.raises(UnknownNameError, match="did you mean 'known'"):
            fetch("knwon", workspace=workspace)

    def test_what_comes_with_its_definition(self, workspace: Workspace, tmp_path: Path) -> None:
        define(workspace, file="known/known.jsonl")
        (workspace.data / "known").mkdir()
        (workspace.data / "known" / "known.jsonl").write_bytes(DATA)
        assert fetch("known", workspace=workspace).origin is None
        with pytest.raises(UserError, match="there is nothing to fetch"):
            fetch("known", tmp_path / "copy.jsonl", workspace=workspace)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written(self, workspace: Workspace, tmp_path: Path) -> None:
        define(workspace)
        copy = tmp_path / "copy.jsonl"
        copy.write_bytes(DATA)
        workspace.data.chmod(0o500)
        try:
            with pytest.raises(UserError, match=r"cannot write to .*: Permission denied"):
                fetch("known", copy, workspace=workspace)
        finally:
            workspace.data.chmod(0o700)

    def test_a_file_in_the_folders_place(self, workspace: Workspace, tmp_path: Path) -> None:
        define(workspace)
        copy = tmp_path / "copy.jsonl"
        copy.write_bytes(DATA)
        (workspace.data / "known").write_text("in the way")
        with pytest.raises(UserError, match="cannot write to"):
            fetch("known", copy, workspace=workspace)


def test_outside_a_workspace_it_goes_to_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(DATA)
    data = Path(os.environ["CALF_CACHE"]) / "data"
    data.mkdir(parents=True)
    define(find_workspace())
    assert fetch("known", "copy.jsonl").path == data / "known" / "known.jsonl"


def test_processes_at_once(server: Server, workspace: Workspace) -> None:
    """Several fetch the same, slowly; all succeed, and one whole file is there."""
    define(workspace, url=f"{server.url}/trickle.jsonl", sha256=SHA256)
    code = """
        import sys
        from pathlib import Path
        from calf.datasets.fetch import fetch
        from calf.workspace import find_workspace
        assert fetch("known", workspace=find_workspace(Path(sys.argv[1]))).comparisons == 4
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(workspace.root)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], errors
    assert (workspace.data / "known" / "trickle.jsonl").read_bytes() == DATA
    assert not list(workspace.data.glob(".partial-*"))


@pytest.mark.shared_data
def test_the_published_chinese_file(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = fetch("lfqa-e-zh", shared_data / "lfqa-e" / "unified_benchmark_zh.json")
    assert (found.verified, found.comparisons) == (True, 1193)
    assert len(load_dataset("lfqa-e-zh")) == 1193
