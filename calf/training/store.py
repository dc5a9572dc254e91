"""A trained evaluator as a folder, without pickle and without a text of the data.

- `evaluator.json`: how it was made, what makes its features, scales, slopes, the rule for `same`, figures, checksums.
- `NUMBER-KIND-which.skops`, `NUMBER-KIND-tie.skops`: the estimators, by skops. Only the types of `_TYPES` are loaded.
- `seen.json`: digests of what it was trained on, by which `calf.metrics.trained` knows it again.
- `README.md`: a card.

A changed or missing file is noticed, and so is a version of scikit-learn with which the estimators say something else.
Checksums guard against accidents. A folder from somebody else can hold wrong verdicts, or trees that make the process
crash, but no code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import calf
from calf.errors import DataError, MissingDependencyError, UserError
from calf.hashing import digest, uniform
from calf.training.clean import Cleaner
from calf.training.estimators import ESTIMATORS, Estimator, Scaling
from calf.training.examples import Preparer
from calf.training.features import Extractor
from calf.training.model import Calibration, Evaluator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.analysis.observations import Floats

__all__ = ["FORMAT", "Stored", "check_new", "folder_digest", "load", "need_packages", "save"]

FORMAT = 1
"""Of the folder; a later CALF reads earlier ones, not the other way round."""

_MAIN, _SEEN, _CARD = "evaluator.json", "seen.json", "README.md"
_TYPES = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
_CLASSES = ("LogisticRegression", "ExtraTreesClassifier", "HistGradientBoostingClassifier")
_NOT_SIGNED = ("about", "files", "checksum", "made_with", "losses")
_PROBES = 16
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What a folder holds.

    Attributes:
        evaluator: fitted.
        preparer: makes its features.
        about: how it was made: `trained_on` (name, fingerprint, ...), `figures`, `options`.
        seen: digests of what it was trained on, by kind (`calf.training.seen`).
        digest: see `folder_digest`.
    """

    evaluator: Evaluator
    preparer: Preparer
    about: Mapping[str, Any]
    seen: Mapping[str, Sequence[str]]
    digest: str


def need_packages(what: str) -> None:
    """Says which extra to install.

    Raises:
        MissingDependencyError: scikit-learn or skops is not installed.
    """
    from importlib.util import find_spec

    for package in ("sklearn", "skops"):
        if find_spec(package) is None:
            raise MissingDependencyError(what, package, "train")


def check_new(folder: Path) -> None:
    """Whether an evaluator can be written there, which is said before anything is computed.

    Raises:
        UserError: something is there already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; name another folder for the evaluator, or delete that one")


def save(
    folder: Path,
    evaluator: Evaluator,
    preparer: Preparer,
    *,
    about: Mapping[str, Any],
    seen: Mapping[str, Sequence[str]],
    card: str,
) -> None:
    """Writes the whole folder or nothing.

    Args:
        folder: new, or empty.
        evaluator, preparer: what is stored.
        about: for JSON.
        seen: of `calf.training.seen.seen_marks`.
        card: Markdown.

    Raises:
        UserError: the folder holds something.
    """
    from importlib.metadata import version

    check_new(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        parts = [_write_estimator(place, number, part) for number, part in enumerate(evaluator.estimators)]
        (place / _SEEN).write_text(json.dumps(seen, separators=(",", ":")), encoding="utf-8")
        (place / _CARD).write_text(card, encoding="utf-8")
        table = {
            "format": FORMAT,
            "made_with": {"calf": calf.__version__, **{name: version(name) for name in ("scikit-learn", "skops")}},
            "about": about,
            "cleaner": preparer.cleaner.as_dict(),
            "extractor": preparer.extractor.as_dict(),
            "kind": evaluator.kind,
            "odd": evaluator.odd,
            "even": evaluator.even,
            "estimators": parts,
            "slopes": evaluator.slopes,
            "calibration": asdict(evaluator.calibration),
            "losses": evaluator.losses,
            "probes": evaluator.of_values(*_probes(evaluator)).tolist(),
            "seen": digest(seen),
            "files": {path.name: _sha256(path) for path in sorted(place.iterdir())},
        }
        text = json.dumps({**table, "checksum": _checksum(table)}, ensure_ascii=False, indent=1, allow_nan=False)
        (place / _MAIN).write_text(text + "\n", encoding="utf-8")
        place.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        place.rename(folder)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def load(folder: Path, *, jobs: int = 1) -> Stored:
    """Reads a folder that `save` wrote.

    Raises:
        UserError: it is none, is damaged, is of a newer CALF, or its estimators say something else here.
        MissingDependencyError: scikit-learn or skops is not installed.
    """
    table = _checked(folder)
    need_packages(f"the evaluator {folder.name}")
    try:
        parts = tuple(_read_estimator(folder, part) for part in table["estimators"])
        evaluator = Evaluator(
            table["kind"], tuple(table["odd"]), tuple(table["even"]), parts,
            tuple((float(a), float(b), float(c)) for a, b, c in table["slopes"]), Calibration(**table["calibration"]),
            table["losses"],
        )  # fmt: skip
        preparer = Preparer(Cleaner.from_dict(table["cleaner"]), Extractor.from_dict(table["extractor"], jobs=jobs))
        seen = json.loads((folder / _SEEN).read_text(encoding="utf-8"))
        off = float(np.abs(evaluator.of_values(*_probes(evaluator)) - np.array(table["probes"])).max())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"not an evaluator that this CALF can read ({type(error).__name__}: {error})", folder) from None
    if not off <= _TOLERANCE:
        made = table["made_with"].get("scikit-learn", "?")
        raise UserError(
            f"{folder}: its estimators say something else here than where they were made, with scikit-learn {made}; "
            f"install that version, or train again"
        )
    return Stored(evaluator, preparer, table["about"], seen, folder_digest(folder))


def folder_digest(folder: Path) -> str:
    """What identifies an evaluator's verdicts, 64 hexadecimal digits; the same if it is trained again.

    It is over `evaluator.json` without the checksums of the files: estimators are known by what they say of the probes,
    since skops writes the same estimator in other bytes each time.

    Raises:
        UserError: it is not such a folder, or is damaged.
    """
    table = _main(folder)
    return digest({key: value for key, value in table.items() if key not in _NOT_SIGNED})


def _main(folder: Path) -> dict[str, Any]:
    path = folder / _MAIN
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: no trained evaluator (no {_MAIN} in it); `calf train --out` makes one") from None
    except (NotADirectoryError, IsADirectoryError):
        raise UserError(f"{folder}: not the folder of a trained evaluator; `calf train --out` makes one") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise DataError("damaged: not JSON; copy the evaluator again, or train again", path) from None
    if not isinstance(table, dict) or not isinstance(table.get("format"), int):
        raise DataError("not of a trained evaluator: it has no 'format'", path)
    if table["format"] > FORMAT:
        raise UserError(
            f"{folder}: an evaluator of format {table['format']}; this CALF reads up to {FORMAT}, install a newer one"
        )
    found = table.get("checksum")
    if found != _checksum({key: value for key, value in table.items() if key != "checksum"}):
        raise DataError("damaged: its checksum is another one; copy the evaluator again, or train again", path)
    return table


def _checked(folder: Path) -> dict[str, Any]:
    table = _main(folder)
    for name, sha in table["files"].items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise DataError(f"damaged: the file {name} is missing; copy the evaluator again, or train again", folder)
        if name != _CARD and _sha256(path) != sha:  # a card may be added to
            raise DataError("damaged: its checksum is another one; copy the evaluator again, or train again", path)
    return table


def _write_estimator(place: Path, number: int, estimator: Estimator) -> dict[str, Any]:
    from zipfile import ZIP_DEFLATED

    import skops.io

    files = {}
    for name in ("which", "tie"):
        fitted = getattr(estimator, name)
        files[name] = None if fitted is None else f"{number}-{estimator.kind}-{name}.skops"
        if fitted is not None:
            skops.io.dump(fitted, place / str(files[name]), compression=ZIP_DEFLATED)
    scaling = {name: getattr(estimator.scaling, name).tolist() for name in ("odd", "centre", "spread")}
    return {"kind": estimator.kind, **files, "share": estimator.share, "scaling": scaling}


def _read_estimator(folder: Path, part: Mapping[str, Any]) -> Estimator:
    if part["kind"] not in ESTIMATORS:
        raise DataError(f"an estimator of the unknown kind {part['kind']!r}", folder)
    scaling = Scaling(*(np.array(part["scaling"][name], dtype=np.float64) for name in ("odd", "centre", "spread")))
    which, tie = (None if part[name] is None else _read_skops(folder / part[name]) for name in ("which", "tie"))
    return Estimator(part["kind"], scaling, which, tie, float(part["share"]))


def _read_skops(path: Path) -> Any:
    import skops.io

    try:
        strange = sorted(set(skops.io.get_untrusted_types(file=path)) - set(_TYPES))
        if strange:
            raise DataError(f"holds the type {strange[0]}, which is none of an evaluator's: it is not loaded", path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another version; the probes say whether it matters
            found = skops.io.load(path, trusted=list(_TYPES))
    except DataError:
        raise
    except Exception as error:  # skops and scikit-learn may raise anything on a file of another make
        raise DataError(f"cannot be loaded here: {type(error).__name__}: {str(error)[:200]}", path) from None
    if type(found).__name__ not in _CLASSES:
        raise DataError(f"holds a {type(found).__name__}, which is none of an evaluator's estimators", path)
    return found


def _probes(evaluator: Evaluator) -> tuple[Floats, Floats]:
    """Made-up features of ordinary size, by which an evaluator that was read again is tried."""
    scaling = evaluator.estimators[0].scaling
    count = len(evaluator.even)
    names = (*evaluator.odd, *evaluator.even)
    draws = np.array([[uniform("probe", row, name) for name in names] for row in range(_PROBES)])
    spread = (draws - 0.5) * 4.0
    odd = spread[:, : len(evaluator.odd)] * scaling.odd
    return odd, spread[:, len(evaluator.odd) :] * scaling.spread[:count] + scaling.centre[:count]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(table: Mapping[str, Any]) -> str:
    return digest(json.loads(json.dumps(table)))
