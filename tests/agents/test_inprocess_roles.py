"""Systems with roles in this process: what is shared with servers, what is not, and what is loaded once."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from agents.playing import ask, pair, says
from engine.server import ScriptedServer

from calf.agents.system import AgentJudge
from calf.engine.budget import Spending
from calf.engine.trace import Recorder
from calf.errors import OptionError, UserError
from calf.judges import inprocess
from calf.metrics.base import Preparation
from calf.models.generate import Answer
from calf.types import Opinion

PRICES = {"input": 1.0, "output": 4.0}


class Room:
    """Where models are loaded: who is there, and how many answer at once."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.answered: list[str] = []
        self.at_once = self.most_at_once = 0
        self.refused = ""
        self._lock = threading.Lock()

    def load(self, weights: Any, device: str, **_: Any) -> Any:
        if weights.name == self.refused:
            raise UserError("cannot be loaded")
        self.loaded.append(weights.name)
        return Model(self, weights.name)

    def enter(self, more: int) -> None:
        with self._lock:
            self.at_once += more
            self.most_at_once = max(self.at_once, self.most_at_once)


class Model:
    """In a generator's place."""

    def __init__(self, room: Room, name: str) -> None:
        self.room, self.name = room, name

    def prompt(self, messages: list[tuple[str, str]]) -> list[int]:
        return [1]

    def answers(self, prompt: list[int], sampling: Any, stopped: Any) -> list[Answer]:
        self.room.enter(1)
        time.sleep(0.005)
        self.room.enter(-1)
        self.room.answered.append(self.name)
        return [Answer(says("B"), True, 3, ())] * sampling.n


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'{{"name": "{name}"}}')
    find = inprocess.importlib.util.find_spec
    monkeypatch.setattr(inprocess, "Generator", room.load)
    monkeypatch.setattr(inprocess, "find_device", lambda device, half: "cpu")
    monkeypatch.setattr(
        inprocess.importlib.util, "find_spec", lambda name: name if name in inprocess._PACKAGES else find(name)
    )
    monkeypatch.setattr(inprocess, "version", lambda name: "5.0")
    return room


PROMPT = "[system]\nYou are a referee.\n[user]\n${question} ${reference} ${response_a} ${response_b} ${mark}\n"


def system(folder: Path, roles: dict[str, dict[str, Any]], url: str = "http://127.0.0.1:9/v1", **options: Any) -> Any:
    """Referees who all speak at once, and then vote; those with a `model` answer in this process."""
    for role in roles.values():
        if "model" in role:
            role |= {"model": str(folder / role["model"]), "engine": "transformers"}
    names = list(roles)
    speak = {"kind": "speak", "who": names, "prompt": "turn", "verdict": True, "mode": "simultaneous"}
    return AgentJudge(
        {name: {"prompt": "referee", **role} for name, role in roles.items()},
        [{"kind": "rounds", "times": 1, "steps": [speak]}, {"kind": "vote", "who": names}],
        {"referee": {"en": PROMPT, "zh": PROMPT}, "turn": {"en": "${said} Go on.", "zh": "${said} Go on."}},
        **{"model": "m", "base_url": url, **options},
    )


def engine_of(metric: Any, role: str) -> Any:
    return metric._players.members[role][0].voice._engine


# ---- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prices", [None, PRICES])
def test_servers_keep_their_limits_beside_a_role_in_this_process(
    room: Room, tmp_path: Path, prices: dict[str, float] | None
) -> None:
    roles = {"inside": {"model": "one"}, "first": {}, "second": {"max_tokens": 7}}
    with ScriptedServer(answer=says("A"), latency=0.1) as server:
        metric = system(tmp_path, roles, server.url, concurrency=5, prices=prices)
        outcomes = ask(metric, [pair(f"{place}.") for place in range(6)])
    assert [outcome.verdict for outcome in outcomes] == ["response_a"] * 6
    assert server.max_in_flight == 5
    assert room.most_at_once == 1
    assert len(room.answered) == 6


def test_a_rate_holds_for_all_servers_together(room: Room, tmp_path: Path) -> None:
    roles = {"inside": {"model": "one"}, "first": {}, "second": {"max_tokens": 7}}
    with ScriptedServer(answer=says("A")) as server:
        metric = system(tmp_path, roles, server.url, requests_per_minute=600, prices=PRICES)
        ask(metric, [pair(f"{place}.") for place in range(10)])
    assert len(server.seen) == 20
    # Ten are let through at once, then ten in a second; without a limit all come in some hundredths.
    times = sorted(seen.at for seen in server.seen)
    assert times[-1] - times[0] > 0.4


def test_budget_cache_and_record_are_shared_and_limits_are_not(room: Room, tmp_path: Path) -> None:
    roles = {"inside": {"model": "one"}, "other": {"model": "two"}, "first": {}, "second": {"max_tokens": 7}}
    metric = system(tmp_path, roles, concurrency=9, requests_per_minute=60)
    metric.prepare(Preparation((), 0, spending=Spending(max_requests=5, record=tmp_path / "record.jsonl")))
    inside, other, first, second = (engine_of(metric, name) for name in roles)
    assert len({id(engine.budget) for engine in metric._engines()}) == 1
    assert len({id(engine._cache) for engine in metric._engines()}) == 1
    assert len({id(engine._trace) for engine in metric._engines()}) == 1
    assert first.limits is second.limits
    assert inside.limits is other.limits
    assert (first.limits.most, inside.limits.most) == (9, 1)
    asyncio.run(metric.close())


# ---- what goes wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unpriced", ["inside", "first"])
def test_one_without_prices_is_refused_before_anything_is_open(room: Room, tmp_path: Path, unpriced: str) -> None:
    roles: dict[str, dict[str, Any]] = {"inside": {"model": "one"}, "other": {"model": "two"}, "first": {}}
    prices = dict.fromkeys((str(tmp_path / "one"), str(tmp_path / "two"), "m"), PRICES)
    del prices[{"inside": str(tmp_path / "one"), "first": "m"}[unpriced]]
    metric = system(tmp_path, roles, prices=prices)
    record = tmp_path / "record.jsonl"
    for _ in range(2):
        with pytest.raises(UserError, match="--max-cost needs prices"):
            metric.prepare(Preparation((), 0, spending=Spending(max_cost=1.0, record=record)))
        assert room.loaded == []
        assert metric._engines() == []
    Recorder(record).close()  # nobody records to it


def test_a_model_that_cannot_be_loaded_leaves_nothing_open(room: Room, tmp_path: Path) -> None:
    room.refused = "two"
    metric = system(tmp_path, {"first": {}, "inside": {"model": "two"}})
    record = tmp_path / "record.jsonl"
    with pytest.raises(UserError, match="cannot be loaded"):
        metric.prepare(Preparation((), 0, spending=Spending(record=record)))
    assert metric._engines() == []
    Recorder(record).close()


# ---- models -----------------------------------------------------------------------------------------------------


def test_voices_share_a_model_whatever_else_is_their_own(room: Room, tmp_path: Path) -> None:
    roles = {
        "plain": {"model": "one"},
        "draws": {"model": "one", "extra": {"top_p": 0.5}},
        "dear": {"model": "one", "prices": PRICES},
        "elsewhere": {"model": "two/../one", "max_tokens": 5},
        "other": {"model": "two"},
    }
    metric = system(tmp_path, roles)
    (outcome,) = ask(metric, [pair()])
    assert isinstance(outcome, Opinion)
    assert sorted(room.loaded) == ["one", "two"]
    assert sorted(room.answered) == ["one"] * 4 + ["two"]
    ask(metric, [pair()])  # closed, and opened again
    assert sorted(room.loaded) == ["one", "one", "two", "two"]


def test_draws_of_a_role_that_cannot_be_are_refused(room: Room, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="top_p must be more than 0"):
        system(tmp_path, {"draws": {"model": "one", "extra": {"top_p": 2}}})
    with pytest.raises(OptionError, match="temperature must be 0 or more"):
        system(tmp_path, {"draws": {"temperature": -1.0}})


def test_a_record_of_roles_is_replayed_without_their_models(room: Room, tmp_path: Path) -> None:
    roles: dict[str, dict[str, Any]] = {"inside": {"model": "one"}, "other": {"model": "two"}}
    record = tmp_path / "record.jsonl"
    (recorded,) = ask(system(tmp_path, roles), [pair()], Spending(cache=False, record=record))
    room.loaded.clear()
    roles = {"inside": {"model": "one"}, "other": {"model": "two"}}
    (replayed,) = ask(system(tmp_path, roles), [pair()], Spending(replay=record))
    assert replayed.verdict == recorded.verdict == "response_b"
    assert room.loaded == []
