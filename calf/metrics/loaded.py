"""A metric that was found, with its options: what it is called, what its values depend on, how it is made."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from calf.errors import CalfError, MissingDependencyError, OptionError, UserError
from calf.hashing import digest
from calf.metrics.adapters import code_digest, import_class
from calf.metrics.base import ComparisonMetric, ResponseMetric, Traits, kind_of, traits_of
from calf.metrics.options import environment_secrets, is_secret, parse_spec, write_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["LoadedMetric", "Recipe", "is_here"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What it takes to make the metric again, in another process too.

    Attributes:
        adapter: `package.module:Name` or `path/to/file.py:Name`.
        arguments: all constructor arguments that are not the class's defaults.
    """

    adapter: str
    arguments: Mapping[str, Any]

    def make(self) -> ResponseMetric | ComparisonMetric:
        """A new instance.

        Raises:
            OptionError: the constructor refuses its arguments.
        """
        cls = import_class(self.adapter)
        try:
            made: ResponseMetric | ComparisonMetric = cls(**self.arguments)
        except CalfError:
            raise
        except (Exception, SystemExit) as error:
            raise OptionError(f"metric {self.adapter} cannot be made: {type(error).__name__}: {error}") from error
        return made


@dataclass(frozen=True)
class LoadedMetric:
    """A metric, found and checked, with its options.

    Attributes:
        name: as written in tables: `rouge-l` or `rouge-l[measure=recall]`.
        cls: its class.
        recipe: how to make it.
        settings: all its options and parameters with their values.
        origin: "built-in", "workspace", "plug-in DISTRIBUTION VERSION" or "code".
        summary: one line.
        files: the settings that are texts of files.
    """

    name: str
    cls: type[Any]
    recipe: Recipe
    settings: Mapping[str, Any]
    origin: str
    summary: str = ""
    files: frozenset[str] = frozenset()

    @cached_property
    def instance(self) -> ResponseMetric | ComparisonMetric:
        """The metric itself, made at first use.

        Raises:
            MissingDependencyError: a package that it needs is not installed.
            OptionError: the constructor refuses its options.
        """
        for package in self.traits.packages:
            if not is_here(package):
                raise MissingDependencyError(f"metric {self.name!r}", package, self.traits.extra)
        try:
            return self.recipe.make()
        except OptionError as error:
            base = parse_spec(self.name)[0]
            raise error if base in str(error) else OptionError(f"metric {base!r}: {error}") from None

    @cached_property
    def traits(self) -> Traits:
        """What the class says of itself."""
        return traits_of(self.cls)

    @property
    def kind(self) -> Literal["response", "comparison"]:
        """Whether it scores single responses or judges two together."""
        return kind_of(self.cls)

    @property
    def concurrent(self) -> bool:
        """Whether it is asked about many items at once (`score_one`, `judge_one`)."""
        return hasattr(self.cls, "score_one") or hasattr(self.cls, "judge_one")

    def signature(self, languages: Sequence[str]) -> str:
        """All that its values depend on, in one line: options, version, code, libraries, models by language."""
        parts = {key: write_value(value) for key, value in self.public_settings.items()}
        parts["version"] = str(self.traits.version)
        parts["class"] = self.cls.__qualname__
        if self.cls.__module__.startswith("calf."):
            parts["class"] = f"{self.cls.__module__}.{self.cls.__qualname__}"
        else:
            parts["code"] = code_digest(self.cls)
            if self.origin.startswith("plug-in "):
                parts["plug-in"] = self.origin.removeprefix("plug-in ").replace(" ", "==")
        parts.update(_versions(self.name, self.traits.libraries))
        described = self._ask("describe", languages) or {}
        if not isinstance(described, dict):
            raise UserError(f"metric {self.name!r}: describe() must return a dict, not {type(described).__name__}")
        parts.update({str(key): write_value(value) for key, value in described.items()})
        base = parse_spec(self.name)[0]
        return "|".join([base, *(f"{key}:{parts[key]}" for key in sorted(parts))])

    def scale(self, language: str) -> str:
        """What scores must share to be compared between languages: the model, for those that have one by language."""
        return str(self._ask("scale", language) or "")

    @property
    def public_settings(self) -> dict[str, Any]:
        """The settings that values depend on, without secrets; of a file's text, its digest."""
        hidden = {*self.traits.secrets, *self.traits.unsigned}
        shown = {key: value for key, value in self.settings.items() if not is_secret(key) and key not in hidden}
        return {key: f"sha256:{digest(v, length=12)}" if key in self.files else v for key, v in shown.items()}

    @property
    def secret_values(self) -> tuple[str, ...]:
        """What no message may hold, the longest first: secret options, and what the environment holds of the kind."""
        hidden = self.traits.secrets
        named = [str(value) for key, value in self.settings.items() if is_secret(key) or key in hidden]
        named += [os.environ.get(str(self.settings.get("key_variable")), ""), *environment_secrets()]
        return tuple(sorted({value.strip() for value in named} - {""}, key=len, reverse=True))

    @contextlib.contextmanager
    def without_secrets(self) -> Iterator[None]:
        """What a metric says when it cannot work is raised without its secrets."""
        try:
            yield
        except CalfError as error:
            said = str(error)
            for secret in self.secret_values:
                said = said.replace(secret, "(hidden)")
            error.args = (said,)
            raise

    def _ask(self, hook: str, about: Any) -> Any:
        """Calls one of the metric's optional methods; None if it has none."""
        method = getattr(self.instance, hook, None)
        if method is None:
            return None
        try:
            return method(about)
        except CalfError:
            raise
        except Exception as error:
            raise UserError(f"metric {self.name!r}: {hook}() raised {type(error).__name__}: {error}") from error


def _versions(metric: str, libraries: Sequence[str]) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            raise UserError(f"metric {metric!r} names the library {library!r}, which is not installed") from None
    return found


def is_here(package: str) -> bool:
    """Whether a package can be imported; it is not."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # the package that it would be in is not here either
        return False
