"""The card of a stored evaluator: what it was trained on, what it is worth, what it is not for. No text of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.formatting import duration, interval, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.training.report import Report

__all__ = ["limits_of", "write_card"]

_COLUMNS = (
    ("accuracy", "accuracy"),
    ("decided", "decided_accuracy"),
    ("macro-F1", "macro_f1"),
    ("kappa", "kappa"),
)


def write_card(report: Report, data: Dataset) -> str:
    """The card, in Markdown.

    Args:
        report: of the training.
        data: what was trained on, for its languages.
    """
    return "\n".join(_lines(report, data)) + "\n"


def limits_of(report: Report) -> Iterator[str]:
    """What bounds an evaluator of this dataset, in sentences."""
    found = report.consistency
    if found and found["ceiling"] is not None:
        yield (
            f"Labels that contradict each other: {found['contradictions']} pairs of responses have several, "
            f"{found['identical']} comparisons of identical responses are not labelled same; no evaluator has an "
            f"accuracy above {number(found['ceiling'])}."
        )
        yield (
            f"Of {found['triples']} triples of responses to one question {found['cycles']} go round in a circle and "
            f"{found['broken_ties']} have ties that do not fit; an evaluator that orders the responses reaches "
            f"{number(found['ceiling_scores'])} at most."
        )


def _lines(report: Report, data: Dataset) -> Iterator[str]:
    languages = ", ".join(data.languages)
    yield "# A trained evaluator of long-form answers\n"
    yield (
        f"Trained by `calf train` on `{report.dataset}`: {report.comparisons} human comparisons in {report.groups} "
        f"groups, language {languages}. Use it as `calf evaluate --metric trained:THIS_FOLDER`. It gives the "
        "probabilities of three outcomes; swapping the responses swaps the verdict, exactly.\n"
    )
    yield "## Data\n"
    yield f"- fingerprint of the dataset: `{report.fingerprint}`"
    for note in report.notes:
        yield f"- {note}"
    if report.dropped is not None and report.dropped["groups"]:
        yield f"- left out, shared with the dataset that it was tried on: {report.dropped['comparisons']} comparisons"
    if report.held_out_groups:
        looked = "opened" if report.held_out else "not looked at"
        yield f"- put aside: {report.held_out_comparisons} comparisons in {report.held_out_groups} groups, {looked}"
    yield "\n## How\n"
    yield f"- features: {', '.join(report.families)}"
    yield f"- model: {report.model}; taken in the folds: {_counts(report.chosen)}"
    yield f"- the rule for `same` makes best, on unseen examples: {report.objective}"
    yield f"- {report.folds} folds of the groups by hash, seed {report.seed}; all is chosen and fitted in the others"
    yield f"- time {duration(report.seconds.get('all'))}, peak memory {report.peak_memory_bytes / 2**20:.0f} MiB\n"
    yield "## Agreement with people\n"
    yield "On comparisons that it had not seen, with 95 % intervals by bootstrap over groups.\n"
    held = [{**row, "metric": f"{row['metric']}"} for row in report.held_out]
    yield from _table([*report.rows, *held, *(row for row in report.floors if row["slice"] == "overall")])
    yield from _studies(report)
    yield "\n## Limits\n"
    for sentence in limits_of(report):
        yield f"- {sentence}"
    yield (
        f"- It has learned what these people preferred in these answers ({languages}), length and form included. On "
        "other questions, languages or kinds of answers it may be worth less, or nothing: try it there."
    )
    yield "- It knows responses to questions that it was trained on, by digests, and refuses to judge them."
    yield "- It was not made to resist answers that were written to please it."


def _studies(report: Report) -> Iterator[str]:
    if report.curve:
        yield "\n## Learning curve\n"
        yield from _rows(
            ("training groups", "accuracy", "macro-F1"),
            [(f"{line['share']:.0%}", _cell(line, "accuracy"), _cell(line, "macro_f1")) for line in report.curve],
        )
    if report.ablations:
        yield "\n## Families of features\n"
        alone, without = (
            {line["family"]: line for line in report.ablations if line["kind"] == kind} for kind in ("alone", "without")
        )
        shuffled = {line["family"]: line for line in report.importances}
        cells = [
            (
                family,
                _cell(alone[family], "accuracy") if family in alone else "-",
                _cell(without[family], "accuracy") if family in without else "-",
                f"{line['accuracy_drop']:+.3f}",
                f"{line['loss_rise']:+.4f}",
            )
            for family, line in shuffled.items()
        ]
        yield from _rows(("family", "alone", "left out", "accuracy lost if shuffled", "loss gained"), cells)


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shown = [row for row in rows if row["slice"] == "overall" or row["slice"].startswith("setting=")]
    cells = [
        (row["metric"], row["slice"], str(row["n"]), *(interval(row, name) for _, name in _COLUMNS)) for row in shown
    ]
    yield from _rows(("verdicts", "slice", "n", *(title for title, _ in _COLUMNS)), cells)


def _rows(head: Sequence[str], cells: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in cells:
        yield f"| {' | '.join(row)} |"


def _cell(line: Mapping[str, Any], name: str) -> str:
    return interval({**line, "coverage": 1.0, "slice": ""}, name)


def _counts(chosen: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count} times" if count > 1 else f"{kind} once" for kind, count in chosen.items())
