"""Finds a metric by name and makes it ready.

A name is looked up in the workspace's `metrics/*.toml`, in the definitions that CALF brings, then among the entry
points of the group `calf.metrics`. `package.module:Name` and `path/to/file.py:Name` name a class directly,
`hf:PATH_OR_NAME` a module of Hugging Face's evaluate, `trained:FOLDER` what `calf train` stored.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import CalfError, OptionError, install_command
from calf.metrics.adapters import import_class
from calf.metrics.base import Traits, kind_of, traits_of
from calf.metrics.definitions import (
    HUGGING_FACE,
    TRAINED,
    Definition,
    definition_files,
    find_definition,
    from_entry_point,
    origin_of,
    plug_ins,
    read_definition,
)
from calf.metrics.loaded import LoadedMetric, Recipe, is_here
from calf.metrics.options import (
    Option,
    check_options,
    holds_secret,
    options_of,
    parse_spec,
    write_spec,
)
from calf.workspace import builtin_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Listing", "describe_metric", "list_metrics", "load_floor", "load_metric"]


@dataclass(frozen=True, slots=True)
class Listing:
    """A metric as `calf metrics list` shows it.

    Attributes:
        problem: why it cannot be used now ("" if it can): a broken plug-in, or what to install.
        verified: whether its answers were seen with the weights that it is made for.
    """

    name: str
    origin: str
    summary: str = ""
    kind: str = ""
    traits: Traits = field(default_factory=Traits)
    options: Mapping[str, Option] = field(default_factory=dict)
    adapter: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    verified: bool = True


def load_floor(name: str) -> LoadedMetric:
    """A floor as CALF defines it, whatever a workspace calls by that name."""
    definition = read_definition(name, builtin_folder() / "metrics" / f"{name}.toml")
    return LoadedMetric(
        name=name,
        cls=import_class(definition.adapter),
        recipe=Recipe(definition.adapter, definition.parameters),
        settings=definition.parameters,
        origin=definition.origin,
        summary=definition.summary,
    )


def load_metric(spec: str, **options: Any) -> LoadedMetric:
    """Finds a metric and checks its options.

    Args:
        spec: a name, a variant such as `rouge-l[measure=recall]`, `package.module:Name`, `path/to/file.py:Name` or
            `hf:PATH_OR_NAME` or `trained:FOLDER`.
        options: more options, as `-o key=value` gives them.

    Raises:
        UnknownNameError: there is no such metric.
        OptionError: an option is unknown or has a wrong value.
        UserError: its code or definition is broken.
    """
    base, inner = parse_spec(spec)
    twice = set(inner) & set(options)
    if twice:
        raise OptionError(f"metric {base!r}: option {min(twice)!r} is given twice")
    definition = find_definition(base)
    cls, known, defaults = _open(definition)
    traits = traits_of(cls)
    given = check_options(base, known, {**inner, **options}, traits.secrets)
    changed = {k: v for k, v in given.items() if k not in defaults or defaults[k] != v}
    arguments = {**definition.parameters, **defaults, **given}
    missing = [o.name for o in known.values() if o.required and o.name not in arguments]
    if missing:
        if any(o.is_table for o in known.values() if o.name == missing[0]):
            raise OptionError(f"metric {base!r}: its definition lacks [parameters.{missing[0]}]")
        raise OptionError(f"metric {base!r} needs the option {missing[0]!r}: -o {missing[0]}=...")
    values = {**{o.name: o.default for o in known.values()}, **arguments}
    loaded = LoadedMetric(
        name=write_spec(_shown(base), changed, (*traits.secrets, *traits.unsigned)),
        cls=cls,
        recipe=Recipe(definition.adapter, arguments),
        settings=values,
        origin=definition.origin,
        summary=definition.summary or _first_line(cls),
        files=definition.files,
    )
    for key, value in loaded.public_settings.items():
        if holds_secret(value, loaded.secret_values):
            raise OptionError(f"metric {base!r}: option {key} holds a key or a password, and would be written down")
    return loaded


def _shown(base: str) -> str:
    """A name for tables: an absolute path says more about a machine than about a metric."""
    for prefix in (HUGGING_FACE, TRAINED):
        if base.startswith(prefix):
            place = Path(base.removeprefix(prefix)).expanduser()
            return f"{prefix}./{place.name}" if place.is_absolute() else base
    path, colon, name = base.rpartition(":")
    return f"{Path(path).name}:{name}" if colon and Path(path).is_absolute() else base


def list_metrics() -> list[Listing]:
    """All metrics that can be named, sorted; one that is broken is listed with its problem."""
    listings: dict[str, Listing] = {}
    for name, path in sorted(definition_files().items()):
        try:
            listings[name] = _listing(read_definition(name, path))
        except Exception as error:  # a broken definition breaks itself only, whatever it raises
            listings[name] = Listing(name, origin_of(path), problem=_one_line(error))
    for point in plug_ins():
        definition = from_entry_point(point)
        if point.name in listings:
            problem = f"hidden by the {listings[point.name].origin} metric of that name"
            listings[f"{point.name} ({definition.origin})"] = Listing(point.name, definition.origin, problem=problem)
            continue
        try:
            listings[point.name] = _listing(definition)
        except Exception as error:  # so does a broken plug-in
            listings[point.name] = Listing(point.name, definition.origin, problem=_one_line(error))
    return [listings[name] for name in sorted(listings)]


def describe_metric(spec: str) -> Listing:
    """What can be said of a metric without its packages; options in `spec` are not read.

    Raises:
        UnknownNameError: there is no such metric.
        UserError: its code or definition is broken.
    """
    return _listing(find_definition(parse_spec(spec)[0]))


def _one_line(error: Exception) -> str:
    return str(error) if isinstance(error, CalfError) else f"{type(error).__name__}: {error}"


def _listing(definition: Definition) -> Listing:
    cls, known, defaults = _open(definition)
    traits = traits_of(cls)
    absent = [package for package in traits.packages if not is_here(package)]
    return Listing(
        name=definition.name,
        origin=definition.origin,
        summary=definition.summary or _first_line(cls),
        kind=kind_of(cls),
        traits=traits,
        options=known,
        adapter=definition.adapter,
        defaults={**{o.name: o.default for o in known.values() if not o.required}, **defaults},
        problem=install_command(absent[0], traits.extra) if absent else "",
        verified=definition.verified,
    )


def _open(definition: Definition) -> tuple[type[Any], dict[str, Option], dict[str, Any]]:
    """The class of a definition, the options that a user may set, and the definition's own defaults for them."""
    cls = import_class(definition.adapter)
    known = options_of(cls)
    check_options(definition.name, known, definition.parameters)
    for name in definition.parameters:
        known.pop(name)
    defaults = check_options(definition.name, known, definition.options)
    return cls, known, {**{o.name: o.default for o in known.values() if not o.required}, **defaults}


def _first_line(cls: type[Any]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]
