from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.models.vectors import Head, pack, unpack


def unit_vectors(count: int, width: int, outlier: float) -> np.ndarray:
    draw = np.random.default_rng(count)
    vectors = draw.normal(size=(count, width)).astype(np.float32)
    vectors[:, 5] += outlier  # real models have a few dimensions that are far larger than the others
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_longer_text_takes_about_two_bytes_a_number_and_hardly_moves() -> None:
    vectors = unit_vectors(200, 384, 60.0)
    data = pack(vectors)
    assert len(data) / vectors.size < 2.25
    found = unpack(data)
    cosines, expected = found @ found.T, vectors @ vectors.T
    assert np.abs(cosines - expected).max() < 2e-6
    halves = vectors.astype(np.float16).astype(np.float32)
    assert np.abs(halves @ halves.T - expected).max() > 1e-4  # why half precision is not used
    assert (found[:, 5] == vectors[:, 5]).all()


@pytest.mark.parametrize(("count", "width"), [(0, 1), (1, 384), (63, 384), (200, 16)])
def test_few_or_narrow_vectors_are_exact(count: int, width: int) -> None:
    vectors = unit_vectors(count, width, 0.0) if width > 5 else np.zeros((count, width), np.float32)
    assert (unpack(pack(vectors)) == vectors).all()


def test_what_is_no_number_stays_none() -> None:
    vectors = unit_vectors(100, 100, 0.0)
    vectors[3, 4] = np.nan
    assert np.array_equal(unpack(pack(vectors)), vectors, equal_nan=True)


def test_zeros_are_no_division_by_zero() -> None:
    assert not unpack(pack(np.zeros((100, 100), np.float32))).any()


def test_packing_again_changes_nothing() -> None:
    once = unpack(pack(unit_vectors(100, 128, 10.0)))
    assert np.abs(unpack(pack(once)) - once).max() < 1e-9


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60))
def test_noise_is_a_value_error(data: bytes) -> None:
    for read in (Head.from_bytes, unpack):
        try:
            read(data)
        except ValueError:
            continue


def test_a_head_is_read_as_written() -> None:
    head = Head(700, 3, 190, np.array([2, 7, 3], np.int32), np.array([False, True, False]))
    found = Head.from_bytes(head.to_bytes())
    assert (found.total, found.unknown, found.over) == (700, 3, 190)
    assert (found.ids.tolist(), found.plain.tolist()) == ([2, 7, 3], [False, True, False])
