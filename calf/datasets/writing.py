"""Out again: as a `datasets.Dataset`, Parquet, JSON Lines, JSON or CSV, without loss.

JSON holds everything as it is. In tables every column has one type: another column of the file stays a column of its
own where all its values have one plain type, and what is left of a row goes, as one JSON object, into its column
`extra`, from where reading puts it back.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.datasets.dataset import as_record
from calf.datasets.records import FIELDS
from calf.errors import UserError
from calf.types import LABELS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import datasets

    from calf.datasets.dataset import Dataset

__all__ = ["WRITERS", "to_hf", "write"]

Extra = Mapping[str, Any]
_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64"}


def write(dataset: Dataset, path: Path | str) -> None:
    """Write a dataset in the form that the path's extension names; `load_dataset` reads the same comparisons again.

    The file appears at once and whole, or not at all.

    Args:
        dataset: any.
        path: with one of the extensions of `WRITERS`; an existing file is replaced.

    Raises:
        UserError: an unknown extension, or a folder that cannot be written to.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UserError(f"{path}: cannot write {path.suffix or 'a file without extension'}; use {', '.join(WRITERS)}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        writer(dataset, temporary)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def to_hf(dataset: Dataset) -> datasets.Dataset:
    """The dataset as a `datasets.Dataset`, one row a comparison, in order.

    `label` and `setting` are `ClassLabel`s (with the names of `calf.types.LABELS` and `SETTINGS`, in that order),
    `annotations` a list of structs; see the module's docstring for columns that CALF does not know.
    """
    import datasets

    columns, types, annotation_types = _columns(dataset)
    features: dict[str, Any] = {name: datasets.Value(kind) for name, kind in types.items()}
    features["label"] = datasets.ClassLabel(names=list(LABELS))
    features["setting"] = datasets.ClassLabel(names=list(SETTINGS))
    inner: dict[str, Any] = {name: datasets.Value(kind) for name, kind in annotation_types.items()}
    features["annotations"] = datasets.List({**inner, "label": datasets.ClassLabel(names=list(LABELS))})
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def _write_parquet(dataset: Dataset, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, types, annotation_types = _columns(dataset)
    arrow = {"string": pa.string(), "bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64()}
    kinds = {name: arrow[kind] for name, kind in types.items()}
    kinds["annotations"] = pa.list_(pa.struct([(name, arrow[kind]) for name, kind in annotation_types.items()]))
    schema = pa.schema([(name, kinds[name]) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), path)


def _write_lines(dataset: Dataset, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_json(as_record(c)) + "\n" for c in dataset)


def _write_json(dataset: Dataset, path: Path) -> None:
    records = ",\n".join(_json(as_record(c)) for c in dataset)
    path.write_text(f"[\n{records}\n]\n", encoding="utf-8", newline="\n")


def _write_csv(dataset: Dataset, path: Path) -> None:
    extras = [c.extra for c in dataset]
    plain = _plain_columns(extras, FIELDS, text=True)
    rest = [_rest(extra, plain) for extra in extras]
    with path.open("w", encoding="utf-8", newline="") as file:
        # Every cell is quoted: a lone carriage return must survive.
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow([*FIELDS, *plain, *(["extra"] if any(rest) else [])])
        for c, more in zip(dataset, rest, strict=True):
            record = as_record(c)
            record["annotations"] = _json(record["annotations"]) if c.annotations else ""
            cells = ["" if record[name] is None else record[name] for name in (*FIELDS, *plain)]
            writer.writerow([*cells, *([more] if any(rest) else [])])


WRITERS = {".jsonl": _write_lines, ".json": _write_json, ".csv": _write_csv, ".parquet": _write_parquet}
"""What `write` can write, by extension."""


def _columns(dataset: Dataset) -> tuple[dict[str, list[Any]], dict[str, str], dict[str, str]]:
    """Columns of one type each; their types but that of `annotations`; the types inside `annotations`."""
    columns: dict[str, list[Any]] = {name: [getattr(c, name) for c in dataset] for name in FIELDS}
    types = {name: "string" for name in FIELDS if name != "annotations"}
    more, more_types = _spread([c.extra for c in dataset], FIELDS)
    columns.update(more)
    types.update(more_types)
    inner, inner_types = _spread([a.extra for c in dataset for a in c.annotations], ("annotator", "label"))
    rows = iter(zip(*inner.values(), strict=True))
    columns["annotations"] = [
        [
            {"annotator": a.annotator, "label": a.label, **dict(zip(inner, next(rows, ()), strict=True))}
            for a in c.annotations
        ]
        for c in dataset
    ]
    return columns, types, {"annotator": "string", "label": "string", **inner_types}


def _spread(extras: Sequence[Extra], taken: Sequence[str]) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Columns for the names that are plain, one `extra` for what is left (if there is any), and their types."""
    plain = _plain_columns(extras, taken)
    columns = {name: [extra[name] for extra in extras] for name in plain}
    types = {name: _TYPES[kind] for name, kind in plain.items()}
    rest = [_rest(extra, plain) for extra in extras]
    if any(rest):
        columns["extra"] = [text or None for text in rest]
        types["extra"] = "string"
    return columns, types


def _plain_columns(extras: Sequence[Extra], taken: Sequence[str], *, text: bool = False) -> dict[str, type]:
    """The names that all `extras` have, with values of one plain type (or null), and that type.

    Args:
        extras: one a row.
        taken: names of other columns.
        text: only strings, and no null: what a CSV file's cells can say.
    """
    found: dict[str, type] = {}
    for name in extras[0] if extras else ():
        # "extra" is where the rest goes; a name that cannot be seen is no name for a column.
        if name == "extra" or name in taken or not name.strip() or not name.isprintable():
            continue
        if not all(name in extra for extra in extras):
            continue
        values = [extra[name] for extra in extras]
        kinds = {type(value) for value in values if text or value is not None}
        if len(kinds) != 1 or not kinds <= ({str} if text else _TYPES.keys()):
            continue
        if all(type(value) is not int or -(2**63) <= value < 2**63 for value in values):
            found[name] = kinds.pop()
    return found


def _rest(extra: Extra, plain: Mapping[str, type]) -> str:
    """What of `extra` has no column of its own, as JSON; "" if nothing."""
    rest = {name: value for name, value in extra.items() if name not in plain}
    return _json(rest) if rest else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
