"""Which stored runs are meant, and the dataset that they are about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.errors import UnknownNameError, UserError
from calf.runs.outcomes import dataset_of
from calf.runs.run import Run, describe_runs, open_run
from calf.runs.store import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Chosen", "choose", "named_run"]

_FINISHED = ("complete", "part")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Two runs or more on one dataset.

    Attributes:
        runs: each once, in the order in which they were named, else sorted by id.
        dataset: the whole of it.
        left_out: where no run was named, the ids of those that cover only a part of the dataset.
    """

    runs: tuple[Run, ...]
    dataset: Dataset
    left_out: tuple[str, ...] = ()


def choose(
    names: Sequence[str | Run],
    dataset: str | Path | Dataset | None,
    folder: Path,
    mapping: Mapping[str, str] | None = None,
) -> Chosen:
    """Finds runs by name, or all complete ones on a dataset.

    Args:
        names: of each run its id, a beginning of it, or its metric's name if no other run (on the dataset) has it; ()
            for all complete runs on the dataset.
        dataset: what the runs are about: where to read it. None: where the runs read it.
        folder: of the runs.
        mapping: how the dataset's columns are read. None: as the runs read them.

    Raises:
        UnknownNameError: no such run.
        UserError: fewer than two runs, runs on different datasets, or a dataset that is not what they judged.
    """
    known = describe_runs(folder)
    data = None if dataset is None else _read(dataset, mapping, known, folder)
    if data is None and (mapping or not names):
        raise UserError("--map is for --dataset" if mapping else "name two runs or more, or a dataset with --dataset")
    left_out: tuple[str, ...] = ()
    if names:
        runs = [name if isinstance(name, Run) else open_run(folder / _id_of(name, known, data)) for name in names]
    else:
        broken = [record["problem"] for record in known if record["state"] == "broken"]
        if broken:
            raise UserError(broken[0])
        here = [record for record in known if data is not None and record["fingerprint"] == data.fingerprint]
        runs = [open_run(folder / record["id"]) for record in here if record["state"] == "complete"]
        left_out = tuple(record["id"] for record in here if record["state"] == "part")
    twice = [name for name, count in Counter(run.id for run in runs).items() if count > 1]
    if twice:
        raise UserError(f"run {twice[0]} is named twice")
    if len(runs) < 2:
        raise UserError(_too_few(runs, data, left_out, folder))
    return Chosen(tuple(runs), dataset_of(runs, data), left_out)


def named_run(name: str, dataset: Dataset, folder: Path) -> Run:
    """The run on a dataset of that id, beginning of it, or metric's name.

    Raises:
        UnknownNameError: no such run.
        UserError: there are several, it is broken, or it has no result yet.
    """
    return open_run(folder / _id_of(name, describe_runs(folder), dataset))


def _too_few(runs: Sequence[Run], data: Dataset | None, left_out: Sequence[str], folder: Path) -> str:
    only = f"only {runs[0].id}" if runs else "none"
    if data is None or not (left_out or not runs):
        return f"two runs or more are needed, and there is {only}; `calf runs list` shows what there is"
    part = f" ({', '.join(left_out)}: a part of it; name such runs to compare them)" if left_out else ""
    return f"two complete runs or more on dataset {data.name!r} are needed, and in {folder} there is {only}{part}"


def _read(
    dataset: str | Path | Dataset, mapping: Mapping[str, str] | None, known: Sequence[Mapping[str, Any]], folder: Path
) -> Dataset:
    """The dataset, its columns read as some run read them unless the mapping is given."""
    if isinstance(dataset, Dataset):
        return dataset
    if mapping:
        return load_dataset(dataset, mapping=mapping)
    fingerprints = {record["fingerprint"] for record in known if record["state"] != "broken"}
    try:
        plain = load_dataset(dataset)
    except UserError:
        found = _as_read(dataset, fingerprints, known, folder)
        if found is None:
            raise
        return found
    if plain.fingerprint in fingerprints:
        return plain
    found = _as_read(dataset, fingerprints, known, folder)
    return plain if found is None else found


def _as_read(
    dataset: str | Path, fingerprints: set[str], known: Sequence[Mapping[str, Any]], folder: Path
) -> Dataset | None:
    """The dataset as some run read it with a mapping."""
    for mapping in _mappings(known, folder):
        try:
            found = load_dataset(dataset, mapping=mapping)
        except UserError:  # it is another dataset's mapping
            continue
        if found.fingerprint in fingerprints:
            return found
    return None


def _mappings(known: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Mapping[str, str]]:
    """How the runs' datasets were read, each way once."""
    done: list[Mapping[str, str]] = []
    for record in known:
        if record["state"] != "broken":
            manifest = RunFolder(folder / record["id"]).read("manifest") or {}
            mapping = manifest.get("dataset_mapping") or {}
            if mapping and mapping not in done:
                done.append(mapping)
                yield mapping


def _id_of(name: str, known: Sequence[Mapping[str, Any]], data: Dataset | None) -> str:
    """The id of the run that is meant: that of this id, else of this metric, else the one that begins so."""
    if any(record["id"] == name for record in known):
        return name
    usable = [record for record in known if record["state"] != "broken"]
    of_metric = [record for record in usable if record["metric"] == name]
    what = "metric" if of_metric else "beginning"
    named = of_metric or [record for record in known if name and record["id"].startswith(name)]
    if not named:
        names = {record["id"] for record in known} | {record["metric"] for record in usable}
        raise UnknownNameError("run", name, names, "`calf runs list` shows all")
    here = [record for record in named if data is None or record.get("fingerprint") == data.fingerprint]
    if not here and data is not None:
        raise UserError(f"{name!r}: no such run on dataset {data.name!r} as it is now, but {_ids(named)}")
    here = [record for record in here if record["state"] in _FINISHED] or here
    if len(here) > 1:
        mixed = len({record.get("fingerprint") for record in here}) > 1
        hint = "name the dataset with --dataset, or the run by its id" if mixed else "name the run by its id"
        raise UserError(f"{name!r} is the {what} of several runs: {_ids(here)}; {hint}")
    return str(here[0]["id"])


def _ids(records: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(record["id"] for record in records)
