"""What runs are called in tables: what tells none of them apart is said once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.formatting import number
from calf.metrics.options import parse_spec, write_spec
from calf.titles import shorten

URL = "base_url=http://127.0.0.1:8000/v1"


def test_what_all_have_is_left_out_and_said() -> None:
    titles = [f"judge[{URL},model=m] (both orders)", f"vote[{URL},model=m,samples=3]", "rouge-l", "bertscore[layer=9]"]
    short = shorten(titles)
    assert [short.title[title] for title in titles] == [
        "judge (both orders)", "vote[samples=3]", "rouge-l", "bertscore[layer=9]",
    ]  # fmt: skip
    assert short.shared == "base_url=http://127.0.0.1:8000/v1, model=m"


@pytest.mark.parametrize(
    "titles",
    [
        [f"judge[{URL},model=one]"],
        ["rouge-l[stem=true]", "rouge-1[stem=true]"],
        [f"judge[{URL},model=a-rather-long-name]", "judge", "vote"],
        ["a" * 60, "b" * 60],
        [f"/of[v=1]/a/rather/long/path/to/{name}.py:Metric" for name in ("one", "two")],
        [],
    ],
    ids=["one", "short", "one without", "without options", "paths", "none"],
)
def test_what_tells_apart_stays(titles: list[str]) -> None:
    assert shorten(titles).title == {title: title for title in titles}
    assert shorten(titles).shared == ""


NAMES = st.sampled_from(["judge", "vote", "rouge-l"])
OPTIONS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "two", 'x,"]y', "long " * 9]), max_size=4)
RESTS = st.sampled_from(["", " (both orders)", " #a1b2c3"])


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, OPTIONS, RESTS), max_size=6))
def test_no_two_titles_become_one_and_nothing_is_lost(parts: list[tuple[str, dict[str, str], str]]) -> None:
    titles = {write_spec(name, options) + rest: (name, options, rest) for name, options, rest in parts}
    short = shorten(titles)
    assert len(set(short.title.values())) == len(titles)
    for title, (name, options, rest) in titles.items():
        kept = short.title[title].removesuffix(rest)
        left = parse_spec(kept)[1]
        assert kept.startswith(name)
        assert left.items() <= options.items()
        for key in options.keys() - left.keys():
            assert f"{key}={options[key]}" in short.shared


def test_tables_of_all_commands_are_short_and_files_are_whole(calf: Any) -> None:
    names = [f"rouge-{variant}[measure=recall,stemmer=true,tokenizer=characters]" for variant in "1l"]
    metrics = [word for name in names for word in ("--metric", name)]
    calf("evaluate", *metrics, "-d", "sample")
    for words in (["evaluate", *metrics], ["compare"], ["power", *names], ["leaderboard", "--output", "-"]):
        shown = calf(*words, "-d", "sample").stdout
        assert "the same wherever they are" in " ".join(shown.split()), words
    rows = json.loads(calf("compare", "-d", "sample", "--format", "json").stdout)["runs"]
    assert sorted(row["metric"] for row in rows) == names


@pytest.mark.parametrize(("value", "shown"), [(-0.0, "0.000"), (0.0, "0.000"), (-0.0004, "-0.000"), (None, "-")])
def test_nothing_has_no_sign_but_a_little_less_has(value: float | None, shown: str) -> None:
    assert number(value) == shown
