"""What a run is: its id, its manifest, and the command that makes it again."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import calf
from calf.hashing import digest
from calf.metrics.options import write_value
from calf.runs.facts import notes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from calf.datasets.dataset import Dataset
    from calf.decide import OrderChoice
    from calf.metrics.loaded import LoadedMetric

__all__ = ["analysis_code", "code_revision", "command_of", "imported_manifest", "manifest_of", "run_id"]


def run_id(metric_name: str, signature: str, dataset: Dataset, order: OrderChoice, seed: int) -> str:
    """A run's id: readable names and a digest of (signature, dataset fingerprint, order, seed)."""
    mark = digest(signature, dataset.fingerprint, order, seed, length=10)
    return f"{_slug(metric_name, 48)}--{_slug(dataset.name, 32)}--{mark}"


def manifest_of(
    metric: LoadedMetric, signature: str, dataset: Dataset, order: OrderChoice, seed: int
) -> dict[str, Any]:
    """Everything needed to say the run again; no secret, nothing of the machine."""
    languages = dataset.languages
    return {
        "metric": metric.name,
        "kind": metric.kind,
        "family": metric.traits.family,
        "origin": metric.origin,
        "summary": metric.summary,
        "signature": signature,
        "options": {key: write_value(value) for key, value in sorted(metric.public_settings.items())},
        "scales": {language: metric.scale(language) for language in languages},
        **_about(dataset, order, seed),
        "command": command_of(metric, dataset, order, seed),
        "code": {
            "calf": calf.__version__,
            "revision": code_revision(),
            "python": _python(),
            **_versions(("numpy", *metric.traits.libraries, *metric.traits.packages)),
        },
    }


def imported_manifest(name: str, signature: str, dataset: Dataset, order: OrderChoice, file: str) -> dict[str, Any]:
    """The manifest of a run whose judgments were computed elsewhere and read from `file`."""
    words = ["calf", "runs", "import", file, "--metric-name", name]
    return {
        "metric": name,
        "kind": "imported",
        "family": "imported",
        "origin": "imported",
        "summary": f"judgments computed elsewhere, from {file}",
        "signature": signature,
        "options": {},
        "scales": {},
        **_about(dataset, order, 0),
        "command": shlex.join([*words, "--dataset", _public(dataset.source or dataset.name)]),
        "code": {"calf": calf.__version__, "revision": code_revision(), "python": _python()},
    }


def _about(dataset: Dataset, order: OrderChoice, seed: int) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "dataset_source": _public(dataset.source or dataset.name),
        "dataset_mapping": dict(sorted(dataset.mapping.items())),
        "dataset_fingerprint": dataset.fingerprint,
        "dataset_comparisons": len(dataset),
        "dataset_groups": dataset.group_count,
        "dataset_notes": list(notes_of(dataset)),
        "order": order,
        "seed": seed,
        "floors": f"{_slug(dataset.name, 32)}--{digest(dataset.fingerprint, seed, length=10)}",
    }


def command_of(metric: LoadedMetric, dataset: Dataset, order: OrderChoice, seed: int) -> str:
    """The command that makes the run again."""
    words = ["calf", "evaluate", "--metric", metric.name, "--dataset", _public(dataset.source or dataset.name)]
    words += [word for field, column in sorted(dataset.mapping.items()) for word in ("--map", f"{field}={column}")]
    words += ["--order", order] if order != metric.traits.default_order else []
    words += ["--seed", str(seed)] if seed else []
    return shlex.join(words)


@cache
def analysis_code() -> str:
    """A digest of the code that makes the rows of people and floors: kept ones are used while it is the same."""
    package = Path(calf.__file__).parent
    sha = hashlib.sha256()
    names = (
        "decide.py",
        "hashing.py",
        "comparing.py",
        "runs/facts.py",
        "runs/floors.py",
        "runs/outcomes.py",
        "runs/plan.py",
        "runs/rows.py",
    )
    metrics = ("datasets/texts.py", "metrics/floors.py", "metrics/tokenize.py", "metrics/matching.py")
    for path in sorted([*package.glob("analysis/*.py"), *(package / name for name in (*names, *metrics))]):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:16]


def code_revision() -> str:
    """The revision of a checkout of CALF, or "release" for an installed one; "+" says that it was changed since."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "release"
    described = _git(root, "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*")
    return described or "unknown"


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # fixed words
            ["git", "-C", str(root), *words],  # noqa: S607  # the git that the user has
            capture_output=True, text=True, check=False, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of distributions, or of the distributions that bring packages of these names."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name.replace("_", "-")] = version(name)
    return found


def _python() -> str:
    import platform

    return platform.python_version()


def _public(source: str) -> str:
    """A dataset's source without the folders that lead to it: they say nothing to others."""
    return Path(source).name if Path(source).is_absolute() else source


def _slug(text: str, length: int) -> str:
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-.")[:length].strip("-.") or "x"
