"""The package's public names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
import typing

import pytest

import calf


def test_every_public_name_exists_and_has_a_home() -> None:
    homes = [name for names in calf._HOMES.values() for name in names]
    assert sorted(homes) == sorted(calf.__all__)
    for name in calf.__all__:
        assert getattr(calf, name) is not None
    with pytest.raises(AttributeError):
        _ = calf.nothing


def test_evaluate_is_the_function_even_after_a_run() -> None:
    import calf.evaluation

    assert callable(calf.evaluate)
    assert calf.evaluate is calf.evaluation.evaluate


def test_every_public_name_has_a_docstring() -> None:
    for name in calf.__all__:
        assert typing.cast("str", getattr(calf, name).__doc__).strip()


@pytest.mark.parametrize("words", [["--help"], ["evaluate", "--help"], ["--version"], ["datasets", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys\nfrom calf.cli import main\nsys.argv = ['calf', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'scipy', 'datasets', 'pandas', 'numpy', 'transformers', 'pyarrow', 'sklearn', 'nltk'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_the_error_tree_is_the_one_in_its_docstring() -> None:
    from calf import errors

    doc = errors.__doc__ or ""
    for name in errors.__all__:
        assert name in doc
    for name, code in (("UserError", 2), ("StoppedError", 3), ("CalfError", 70), ("DataError", 2)):
        assert getattr(errors, name).exit_code == code


def test_errors_travel_between_processes() -> None:
    import pickle

    from calf.errors import DataError, MissingDependencyError, UnknownNameError

    for error in (
        UnknownNameError("metric", "rogue", ["rouge"]),
        DataError("bad", "file", 3),
        MissingDependencyError("metric x", "y", "z"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
