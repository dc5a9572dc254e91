"""Kept vectors: across processes, bounded, and never in a run's way."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from calf.errors import UserError
from calf.models import kept
from calf.models.kept import KeptVectors

if TYPE_CHECKING:
    from collections.abc import Sequence


def fill(path: Path, start: int, count: int) -> None:
    store = KeptVectors(path, 10**9)
    for i in range(start, start + count):
        store.put(f"key{i}", f"model{i % 2}", b"head", bytes([i % 256]) * 5000)


def found(store: KeptVectors, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if store.get(key) is not None]


def warned(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = (record for record in caplog.records if record.name.startswith("calf"))
    assert "\n" not in record.getMessage()
    return record.getMessage()


def test_what_is_put_is_got_by_another(tmp_path: Path) -> None:
    store = KeptVectors(tmp_path / "v.sqlite")
    assert store.get("a") is None
    store.put("a", "m", b"h", b"vectors")
    other = KeptVectors(tmp_path / "v.sqlite")
    assert other.get("a") == (b"h", b"vectors")
    assert other.heads(["a", "b"]) == {"a": b"h"}
    assert other.get("b") is None


def test_many_processes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "v.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(path, start, 60)) for start in (0, 30, 0)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    store = KeptVectors(path)
    assert all(store.get(f"key{i}") == (b"head", bytes([i]) * 5000) for i in range(90))
    info = store.info()
    assert [(m.model, m.texts, m.bytes) for m in info.models] == [("model0", 45, 45 * 5004), ("model1", 45, 45 * 5004)]
    assert info.texts == 90
    files = (path, path.with_name("v.sqlite-wal"))  # and no index of who has it open
    assert info.bytes == sum(file.stat().st_size for file in files if file.exists())


def test_the_longest_unused_give_way(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    names = [f"k{i}" for i in range(10)]
    first = KeptVectors(path, 10_000)
    for name in names:
        first.put(name, "m", b"", bytes(1000))
        time.sleep(0.002)
    later = KeptVectors(path, 10_000)
    later.heads(["k0"])  # used again
    later.put("new", "m", b"", bytes(1000))
    left = found(later, [*names, "new"])
    assert left == ["k0", *names[3:], "new"]  # down to nine tenths: room for some to come
    for i in range(50):
        KeptVectors(path, 10_000).put(f"more{i}", "m", b"", bytes(1000))
        assert KeptVectors(path).info().models[0].bytes <= 10_000
    assert path.stat().st_size < 10 * 32768 * 3


def test_texts_of_this_run_do_not_push_each_other_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = KeptVectors(tmp_path / "v.sqlite", 3000)
    for i in range(9):
        store.put(f"k{i}", "m", b"", bytes(1000))
    assert found(store, [f"k{i}" for i in range(9)]) == ["k0", "k1", "k2"]
    assert "the texts of this run fill" in warned(caplog)
    assert "CALF_VECTORS_GB" in warned(caplog)


def test_the_bound_is_for_all_processes_together(tmp_path: Path) -> None:
    stores = [KeptVectors(tmp_path / "v.sqlite", 3000) for _ in range(2)]
    for i in range(9):
        stores[i % 2].put(f"k{i}", "m", b"", bytes(1000))
        assert KeptVectors(tmp_path / "v.sqlite").info().models[0].bytes <= 3000


def damage_header(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)


def make_newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")


def make_a_folder(path: Path) -> None:
    path.mkdir()


def other_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE texts (x)")


@pytest.mark.parametrize("harm", [damage_header, make_newer, make_a_folder, other_tables])
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_else(
    harm: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v.sqlite"
    assert callable(harm)
    harm(path)
    store = KeptVectors(path)
    for _ in range(3):
        store.put("a", "m", b"h", b"v")
        assert store.heads(["a"]) == {}
        assert store.get("a") is None
    assert "going on without kept vectors" in warned(caplog)


def test_a_locked_file_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v.sqlite"
    KeptVectors(path).put("a", "m", b"h", b"v")
    monkeypatch.setattr(kept, "_WAIT", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store = KeptVectors(path)
    assert store.get("a") == (b"h", b"v")  # reading needs no lock
    store.put("b", "m", b"h", b"v")
    assert "locked" in warned(caplog)
    holder.close()


def test_a_full_disk_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "v.sqlite"
    store = KeptVectors(path)
    store.put("a", "m", b"h", b"v")
    assert store._connection is not None
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "database or disk is full"
    store.put("b", "m", b"h", bytes(10**6))
    assert "full" in warned(caplog)
    assert store.get("a") is None  # given up
    assert KeptVectors(path).get("a") == (b"h", b"v")


def test_a_changed_byte_is_as_if_nothing_were_kept(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    store = KeptVectors(path)
    store.put("a", "m", b"h", b"vectors")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE data SET vectors = ?", (b"vectorz",))
    assert store.get("a") is None
    store.put("a", "m", b"h", b"vectors")
    assert store.get("a") == (b"h", b"vectors")
    assert store.info().texts == 1


def test_clear_one_model_or_all(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    assert KeptVectors(path).clear() == 0
    assert not path.exists()
    fill(path, 0, 10)
    store = KeptVectors(path)
    store.put("large", "model0", b"", bytes(10**6))
    assert store.clear("model1") == 5
    assert found(store, [f"key{i}" for i in range(10)]) == [f"key{i}" for i in range(0, 10, 2)]
    assert store.clear() == 6
    assert store.info().texts == 0
    assert path.stat().st_size < 300_000  # some empty pages
    damage_header(path)
    with pytest.raises(UserError, match="calf cache clear"):
        KeptVectors(path).info()
    assert KeptVectors(path).clear() == 0
    assert not path.exists()


def test_the_bound_is_the_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert KeptVectors().bound == 4_000_000_000
    monkeypatch.setenv("CALF_VECTORS_GB", "0.5")
    assert KeptVectors().bound == 500_000_000
    monkeypatch.setenv("CALF_VECTORS_GB", "0")
    store = KeptVectors(tmp_path / "v.sqlite")
    store.put("a", "m", b"h", b"v")
    assert store.get("a") is None
    assert not store.path.exists()
    for wrong in ("lots", "-1", "nan", "inf"):
        monkeypatch.setenv("CALF_VECTORS_GB", wrong)
        with pytest.raises(UserError, match="give the gigabytes"):
            KeptVectors()
