"""Options: parsing, checking, and writing them back."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calf.errors import OptionError
from calf.metrics.options import check_options, is_secret, options_of, parse_pairs, parse_spec, write_spec


class Sample:
    def __init__(
        self,
        needed: str,
        count: int = 3,
        share: float = 0.5,
        quick: bool = False,
        layer: int | None = None,
        measure: Literal["f1", "precision", "recall"] = "f1",
    ) -> None: ...


KNOWN = options_of(Sample)


def test_options_are_the_constructors_parameters() -> None:
    assert list(KNOWN) == ["needed", "count", "share", "quick", "layer", "measure"]
    assert KNOWN["needed"].required
    assert not KNOWN["count"].required
    assert KNOWN["measure"].kind == "f1|precision|recall"
    assert KNOWN["layer"].kind == "int or none"
    assert options_of(object) == {}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7),
        ("count", "-1", -1),
        ("share", "0.25", 0.25),
        ("share", "1", 1.0),
        ("quick", "yes", True),
        ("quick", "False", False),
        ("layer", "none", None),
        ("layer", "9", 9),
        ("measure", "recall", "recall"),
        ("needed", "9", "9"),
        ("needed", "", ""),
    ],
)
def test_text_becomes_the_options_type(name: str, text: str, value: Any) -> None:
    checked = check_options("m", KNOWN, {name: text})[name]
    assert checked == value
    assert type(checked) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cuont", "7", "did you mean 'count'"),
        ("nothing", "7", "has no option 'nothing'"),
        ("count", "seven", "count='seven' must be int"),
        ("count", 1.5, "must be int"),
        ("count", True, "must be int"),
        ("quick", "perhaps", "must be bool"),
        ("measure", "recal", "did you mean 'recall'"),
        ("needed", 5, "must be str"),
    ],
)
def test_wrong_options_are_refused_in_one_line(name: str, value: Any, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_options("m", KNOWN, {name: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda n: not is_secret(n)),
        st.text(max_size=20),
        max_size=4,
    )
)
def test_what_is_written_is_read_again(options: dict[str, str]) -> None:
    assert parse_spec(write_spec("name", options)) == ("name", options)


@pytest.mark.parametrize("spec", ["rouge[", "rouge]x", "rouge[a]", "rouge[a=1,a=2]", "[a=1]", 'r[a="x]', "r[a=1]b"])
def test_malformed_variants_are_refused(spec: str) -> None:
    with pytest.raises(OptionError):
        parse_spec(spec)


def test_pairs_are_read_and_refused() -> None:
    assert parse_pairs(["a=1", "b=x=y"], "-o") == {"a": "1", "b": "x=y"}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(OptionError):
            parse_pairs(wrong, "-o")


def test_secrets_are_never_written() -> None:
    assert write_spec("judge", {"api_key": "s3cret", "model": "m"}) == "judge[model=m]"
    assert is_secret("token")
    assert not is_secret("max_tokens")
    assert not is_secret("tokenizer")
    assert not is_secret("stop_token")
    assert not is_secret("sort_key")
    for name in ("openai_api_key", "password", "authorization", "hf_token", "client_secret"):
        assert is_secret(name)
    assert write_spec("j", {"url": "https://me:pw@host/x?api_key=sk-1&n=2"}) == "j[url=https://host/x?api_key=...&n=2]"

    class Judge:
        def __init__(self, api_key: int = 0) -> None: ...

    with pytest.raises(OptionError) as caught:
        check_options("judge", options_of(Judge), {"api_key": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_a_constructor_that_hands_others_on_has_its_base_class_options_too() -> None:
    class Base:
        def __init__(self, model: str, speed: int = 1) -> None: ...

    class Handing(Base):
        def __init__(self, speed: float = 2.0, **others: Any) -> None: ...

    class Same(Handing): ...

    class Closed(Base):
        def __init__(self, speed: int = 3) -> None: ...

    assert list(options_of(Handing)) == list(options_of(Same)) == ["speed", "model"]
    assert options_of(Same)["speed"].default == 2.0
    assert options_of(Same)["model"].required
    assert list(options_of(Closed)) == ["speed"]
