"""Where an answer's probabilities are taken from: the token that states the verdict or the score, no other."""

from __future__ import annotations

import pytest

from calf.judges import geval, verdicts


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("A", "A"),
        (" **B**\n", "B**\n"),
        ("same.", "same."),
        ('{"verdict": "same"}', 'same"}'),
        ("Both name it.\n\nVerdict: A", "A"),
        ("A careful reading shows two errors.\n\nVerdict: B", "B"),
        ("I say [[A]]", "A]]"),
        ("A careful reading shows two errors. My verdict is: A", None),
        ("same question, other answers", None),
        ("B is better", None),
    ],
)
def test_verdicts(text: str, rest: str | None) -> None:
    places = [text[match.start(1) :] for match in verdicts._PLACE.finditer(text)]
    assert places == ([] if rest is None else [rest])


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("4", "4"),
        ("4/5", "4/5"),
        ("**3**.", "3**."),
        ('{"score": 4}', "4}"),
        ('{"score": "4"}', '4"}'),
        ("Good.\nScore: 2", "2"),
        ("2 errors stand in it. I would rate it a 4", None),
        ("4.5", None),
        ("Score: 4.5", None),
    ],
)
def test_scores(text: str, rest: str | None) -> None:
    places = [text[match.start(1) :] for match in geval._PLACE.finditer(text)]
    assert places == ([] if rest is None else [rest])
