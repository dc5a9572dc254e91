"""`calf evaluate`: every metric in turn, one table at the end."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

from calf.cli.output import print_runs
from calf.cli.progress import Lines
from calf.datasets.load import load_dataset
from calf.errors import CalfError, OptionError, UserError
from calf.evaluation import evaluate
from calf.metrics.options import parse_pairs
from calf.metrics.registry import load_metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.runs.run import Run

__all__ = ["evaluate_all"]


def evaluate_all(
    metrics: Sequence[str],
    dataset: str,
    *,
    options: Sequence[str],
    mapping: Sequence[str],
    format: str,  # noqa: A002  # the command line's name
    **choices: Any,
) -> int:
    """Runs the metrics, prints their rows, and returns the exit code: 1 if a judgment failed.

    Raises:
        UserError: before anything is run, if any of the metrics cannot be loaded.
        StoppedError: a run stopped early; what is finished was printed.
    """
    if options and len(metrics) > 1:
        raise OptionError("-o is for a single --metric; with several write --metric name[key=value]")
    pairs = parse_pairs(options, "-o")
    with contextlib.redirect_stdout(sys.stderr):  # what a metric prints is no part of the result
        loaded = [load_metric(spec, **pairs) for spec in metrics]
        for metric in loaded:
            with metric.without_secrets():
                _ = metric.instance  # a missing package is said before the first metric has worked for hours
    names = [metric.name for metric in loaded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"--metric {twice[0]} is given twice")
    data = load_dataset(dataset, mapping=parse_pairs(mapping, "--map") or None)
    progress = Lines(sys.stderr)
    finished: list[Run] = []
    with contextlib.suppress(ValueError):  # only a main thread can
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is an interrupt
    try:
        for metric in loaded:
            with contextlib.redirect_stdout(sys.stderr), metric.without_secrets():
                finished.append(evaluate(metric, data, progress=progress, **choices))
    except KeyboardInterrupt:
        _show(finished, format)
        without = " without --fresh" if choices["fresh"] else ""
        progress.say(f"interrupted; what is judged is kept, and the same command{without} continues")
        return 130
    except CalfError:
        _show(finished, format)
        raise
    _show(finished, format)
    for run in finished:
        _tell_failures(run, progress)
    return 1 if any(run.failures for run in finished) else 0


def _tell_failures(run: Run, progress: Lines) -> None:
    if not run.failures:
        return
    name, count = run.manifest["metric"], sum(run.failures.values())
    kinds = ", ".join(f"{number} {kind}" for kind, number in run.failures.items())
    progress.say(f"{name}: {count} of {len(run.judgments)} judgments failed: {kinds}")
    for kind in run.failures:
        if run.messages.get(kind):
            progress.say(f"{name}: the first {kind}: {run.messages[kind]}")


def _show(finished: Sequence[Run], format: str) -> None:  # noqa: A002  # the command line's name
    if finished:
        print_runs(finished, format)
