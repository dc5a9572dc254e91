"""`calf datasets translate`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from calf.cli.progress import Lines
from calf.datasets.load import load_dataset
from calf.datasets.translate import Translator, estimate_translation, translate_dataset
from calf.errors import CalfError, UnknownNameError
from calf.metrics.definitions import definition_files, read_definition
from calf.metrics.options import check_options, options_of, parse_pairs, shown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.datasets.translate import Estimate, Translation
    from calf.datasets.translate.check import Target
    from calf.engine.budget import Spending

__all__ = ["translate"]

_MAX_TOKENS = 4096
_ONLY_OF_JUDGES = frozenset(
    {"top_logprobs", "retries_unread", "answer_tokens", "engine", "device", "half", "trust_remote_code"}
)
_NOT_HERE = frozenset({"model", "base_url", "concurrency"})
_MOST_NAMED = 10


def translate(
    dataset: str,
    *,
    to: Target,
    model: str,
    base_url: str | None,
    name: str | None,
    limit: int | None,
    concurrency: int | None,
    options: Sequence[str],
    spending: Spending,
    estimate: bool,
    without_failed: bool,
    force: bool,
) -> int:
    """Translates a dataset, or estimates that, and returns the exit code: 1 if a text has no translation.

    Raises:
        UserError: before anything is sent.
        StoppedError: stopped early; what is translated is kept.
    """
    given: dict[str, Any] = dict(parse_pairs(options, "-o"))
    given |= {k: v for k, v in {"base_url": base_url, "concurrency": concurrency}.items() if v is not None}
    translator = _translator(model, to, given, sends=not estimate and spending.replay is None)
    data = load_dataset(dataset)
    name = name or f"{data.name.lower()}-{to}"
    if limit is not None:
        data = data.select(limit=limit)
    if estimate:
        _print_estimate(estimate_translation(data, translator, name), translator)
        return 0
    progress = Lines(sys.stderr)
    told = [-1]

    def tell(done: int, whole: int) -> None:
        if told[0] < 0:
            if done:
                progress.say(f"{name}: continues, {done} of {whole} texts are translated")
            progress.start(name, whole - done, 0)
        elif done > told[0]:
            progress.advance(done - told[0])
        told[0] = done

    try:
        made = translate_dataset(
            data, translator, name, spending=spending, without_failed=without_failed, force=force, progress=tell
        )
    except KeyboardInterrupt:
        progress.finish()
        progress.say("interrupted; what is translated is kept, and the same command continues")
        return 130
    finally:
        progress.finish()
    return _report(made, name, progress)


def _translator(model: str, to: Target, given: Mapping[str, Any], *, sends: bool) -> Translator:
    """Who translates: as the options say, else as a judge's definition has it for this model."""
    from calf.judges.base import Judge

    known = {option: value for option, value in options_of(Judge).items() if option not in _ONLY_OF_JUDGES}
    ready = {option: value for option, value in _ready(model).items() if option in known}
    settings = {"max_tokens": _MAX_TOKENS, **ready, **given, "model": model}
    for option in given:
        if option not in known:
            raise UnknownNameError("option", shown_name(option), set(known) - _NOT_HERE)
    judge = Judge(**check_options(model, known, settings))
    return Translator(judge.server(needs_key=sends), to, judge.max_tokens, judge.temperature)


def _ready(model: str) -> dict[str, Any]:
    """The settings of the first definition that names this model: what its server honours, its prices."""
    for name, path in sorted(definition_files().items()):
        try:
            definition = read_definition(name, path)
        except CalfError:  # another metric's trouble
            continue
        settings = {**definition.parameters, **definition.options}
        if settings.get("model") == model:
            return settings
    return {}


def _print_estimate(found: Estimate, translator: Translator) -> None:
    about = "counted" if found.counted else "estimated from the texts' scripts"
    lines = [
        f"comparisons: {found.comparisons}",
        f"texts: {found.texts} distinct, {found.done} of them translated already",
        f"requests: {found.requests}, and more for what has to be asked for again",
        f"input: {found.input_tokens} tokens ({about})",
        f"output: {found.output_tokens} tokens (expected: as many as the source has; without hidden reasoning)",
    ]
    if found.cost is None:
        lines.append(f"cost: unknown; no prices are known for {translator.server.model} (-o prices=...)")
    else:
        lines.append(f"cost: {found.cost:.4f} {found.currency}; prices: {found.prices}")
    sys.stdout.write("\n".join(lines) + "\n")


def _report(made: Translation, name: str, progress: Lines) -> int:
    spent = made.spent
    tokens = (
        f", {int(spent['input_tokens'])} tokens in, {int(spent['output_tokens'])} out"
        if "input_tokens" in spent
        else ""
    )
    cost = f", cost {spent['cost']:.4f}" if spent.get("cost") else ""
    progress.say(f"{made.texts} texts translated; {int(spent.get('requests', 0))} requests{tokens}{cost}")
    for failure in made.failures:
        named = ", ".join(failure.comparisons[:_MOST_NAMED])
        more = f" and {len(failure.comparisons) - _MOST_NAMED} more" if len(failure.comparisons) > _MOST_NAMED else ""
        progress.say(f"failed: {failure.kind}, {failure.field} of {named}{more}: {failure.message}")
    if made.definition is not None:
        sys.stdout.write(f"{made.definition}\n")
        progress.say(f"`calf datasets show {name}` shows it; `--dataset {name}` takes it")
    if not made.failures:
        return 0
    left_out = len({identity for failure in made.failures for identity in failure.comparisons})
    if made.definition is None:
        progress.say(
            f"nothing is installed: {len(made.failures)} texts of {left_out} comparisons have no translation; the same "
            "command asks for them again, --without-failed leaves these comparisons out"
        )
    else:
        progress.say(f"{left_out} comparisons are left out; the card names them")
    return 1
