"""Datasets: known ones by name, files in many forms, and out again."""

from __future__ import annotations

from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset, validate_file

__all__ = ["Dataset", "load_dataset", "validate_file"]
