"""Fixtures for tests that need models."""

from __future__ import annotations

from model_fixtures import model_cache, packaged_models

__all__ = ["model_cache", "packaged_models"]
