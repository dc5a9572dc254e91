from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.models.windows import windows_over


@settings(deadline=None)
@given(tokens=st.integers(1, 300), capacity=st.integers(1, 60))
def test_every_token_has_the_window_with_most_context(tokens: int, capacity: int) -> None:
    windows = windows_over(tokens, capacity)
    assert windows.size == min(tokens, capacity)
    assert (windows.starts[0], windows.starts[-1] + windows.size) == (0, tokens)
    assert all(0 < b - a <= max(1, capacity // 2) for a, b in zip(windows.starts, windows.starts[1:], strict=False))

    def context(token: int, start: int) -> int:
        """The tokens on the poorer side; the text's own ends limit nothing."""
        end = start + windows.size - 1
        if not start <= token <= end:
            return -1
        return min(token - start if start else 10**6, end - token if end + 1 < tokens else 10**6)

    for token, owner in enumerate(windows.owners.tolist()):
        every = [context(token, start) for start in windows.starts]
        assert every[owner] == max(every) >= 0
        assert owner == every.index(max(every))


def test_a_text_that_fits_is_one_window() -> None:
    windows = windows_over(10, 10)
    assert (windows.starts, windows.size, windows.owners.tolist()) == ((0,), 10, [0] * 10)


def test_a_quarter_of_a_window_is_context_at_least() -> None:
    windows = windows_over(2000, 510)
    assert len(windows.starts) == 7
    places = np.arange(2000) - np.array(windows.starts)[windows.owners]
    inner = (windows.owners > 0) & (windows.owners < 6)
    assert places[inner].min() >= 126
    assert places[inner].max() <= 510 - 126
