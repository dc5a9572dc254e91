"""Prometheus 2, whose prompts are taken from its own package where that is installed."""

from __future__ import annotations

import ast
import importlib.util
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import UserError
from calf.judges.base import Judge
from calf.judges.published.judge import PublishedPairwise, PublishedScore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "PrometheusAbsolute",
    "PrometheusAbsoluteWithoutReference",
    "PrometheusRelative",
    "PrometheusRelativeWithoutReference",
]

_PACKAGE = "prometheus_eval"
_DISTRIBUTION = "prometheus-eval"

# The package's names for what a prompt is filled with, and ours.
_PLACES = {
    "instruction": "question",
    "response": "response",
    "response_A": "response_a",
    "response_B": "response_b",
    "reference_answer": "reference",
    "rubric": "rubric",
}


def packaged_prompt(system: str, user: str) -> str | None:
    """The package's prompt as a template of ours, None where the package is not installed. Nothing of it is run.

    Args:
        system, user: the constants of the package's `prompts.py` that hold the two parts. They make one message, the
            system's first, as the package sends them to the weights (Mistral's template has no system message).

    Raises:
        UserError: the installed version has no such constants.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "prompts.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; -o package=false does without the package") from None
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
    absent = [name for name in (system, user) if name not in found]
    if absent:
        raise UserError(f"{path} has no {absent[0]}; -o package=false does without the package")
    text = f"{found[system]}\n{found[user]}"
    unknown = set(re.findall(r"\{(\w+)\}", text)) - set(_PLACES)
    if unknown:
        raise UserError(f"{path}: unknown place {min(unknown)!r} in {user}; -o package=false does without the package")
    return re.sub(r"\{(\w+)\}", lambda match: f"${{{_PLACES[match[1]]}}}", text)


def _described(package: bool) -> dict[str, str]:
    """For the signature: whose words the prompt is in."""
    if not package or importlib.util.find_spec(_PACKAGE) is None:
        return {"prompt": "restated"}
    try:
        return {"prompt": f"{_DISTRIBUTION} {version(_DISTRIBUTION)}"}
    except PackageNotFoundError:
        return {"prompt": f"{_DISTRIBUTION} of an unknown version"}


class _OfThePackage(Judge):
    """What the four have in common: whose prompt it is."""

    _constants: tuple[str, str]

    def __init__(self, prompt_en: str, prompt_zh: str, package: bool = True, **others: Any) -> None:
        packaged = packaged_prompt(*self._constants) if package else None
        super().__init__(packaged or prompt_en, packaged or prompt_zh, **others)
        self.package = package

    def describe(self, languages: Sequence[str]) -> Mapping[str, str]:
        """What `Judge.describe` says, and where the prompt is from."""
        return {**super().describe(languages), **_described(self.package)}


class PrometheusRelative(_OfThePackage, PublishedPairwise):
    """Prometheus 2 (Kim et al. 2024, arXiv 2405.01535), relative grading with a reference: A or B, never a tie.

    Its prompt is that of the package prometheus-eval (0.1.20: `prompts.py`, RELATIVE_PROMPT) where it is installed,
    else one with the same labels, in words of our own. The signature says which.

    Args:
        prompt_en, prompt_zh: the prompts where the package is not used, as `PublishedPairwise`'s.
        package: whether the package's prompt is used where it is installed.
        others: see `PublishedPairwise`; the rubric says what makes a response better.
    """

    _constants = ("REL_SYSTEM_PROMPT", "RELATIVE_PROMPT")


class PrometheusRelativeWithoutReference(PrometheusRelative):
    """Prometheus 2, relative grading without a reference: A or B, never a tie."""

    needs_reference = False
    _constants = ("REL_SYSTEM_PROMPT", "RELATIVE_PROMPT_WO_REF")


class PrometheusAbsolute(_OfThePackage, PublishedScore):
    """Prometheus 2 (Kim et al. 2024, arXiv 2405.01535), absolute grading with a reference: 1 to 5.

    Args:
        prompt_en, prompt_zh, package: as `PrometheusRelative`'s.
        others: see `PublishedScore`; the rubric says what each score means.
    """

    _constants = ("ABS_SYSTEM_PROMPT", "ABSOLUTE_PROMPT")


class PrometheusAbsoluteWithoutReference(PrometheusAbsolute):
    """Prometheus 2, absolute grading without a reference: 1 to 5."""

    needs_reference = False
    _constants = ("ABS_SYSTEM_PROMPT", "ABSOLUTE_PROMPT_WO_REF")
