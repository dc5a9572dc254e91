"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow after 10 ms and less."""
    monkeypatch.setattr("calf.engine.engine._FIRST_WAIT", 0.01)
