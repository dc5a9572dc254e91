"""What came of a translation: the comparisons, what has none, and the dataset with its card."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from calf.datasets.definitions import find_definition
from calf.datasets.importing import install
from calf.datasets.translate.check import CHECKS, Complaint, check, needs_translation
from calf.datasets.translate.plan import texts_of
from calf.datasets.translate.prompt import language_name, prompt_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from calf.datasets.dataset import Dataset
    from calf.datasets.importing import Place
    from calf.datasets.translate.check import Target
    from calf.datasets.translate.ledger import Ledger
    from calf.datasets.translate.plan import Conversation
    from calf.datasets.translate.run import Translator
    from calf.types import Comparison
    from calf.workspace import Workspace

__all__ = ["Untranslated", "conclude", "install_translation"]


@dataclass(frozen=True, slots=True)
class Untranslated:
    """A text without a translation that passes the checks.

    Attributes:
        field: question, context, reference or response.
        kind: of the failure: a key of `CHECKS`, an `Unread`'s, or an `AskError`'s.
        message: what was wrong the last time.
        comparisons: ids of those that it stands in.
    """

    field: str
    kind: str
    message: str
    comparisons: tuple[str, ...]


def conclude(
    dataset: Dataset, conversations: Sequence[Conversation], ledger: Ledger, target: Target
) -> tuple[list[Comparison], tuple[Untranslated, ...]]:
    """The comparisons whose texts are all translated, in order, and the texts that are not."""
    wanted = {text.key: text for conversation in conversations for text in conversation.texts}
    lacking: dict[str, list[str]] = {}
    made: list[Comparison] = []
    for comparison in dataset:
        if comparison.language == target:
            made.append(comparison)
            continue
        texts: dict[str, str] = {}
        whole = True
        for attribute, _, key, text in texts_of(comparison):
            if not needs_translation(text, comparison.language, target):
                continue
            if key in ledger.made:
                texts[attribute] = ledger.made[key]
            else:
                whole = False
                lacking.setdefault(key, []).append(comparison.id)
        if whole:
            made.append(dataclasses.replace(comparison, language=target, **texts))  # type: ignore[arg-type]  # by name: texts
    never = Complaint("missing", "was not asked for")
    failures = tuple(
        Untranslated(
            wanted[key].field,
            ledger.failed.get(key, never).kind,
            ledger.failed.get(key, never).message,
            tuple(dict.fromkeys(ids)),
        )
        for key, ids in lacking.items()
    )
    return made, failures


def install_translation(
    source: Dataset,
    made: Dataset,
    place: Place,
    translator: Translator,
    conversations: Sequence[Conversation],
    ledger: Ledger,
    failures: Sequence[Untranslated],
    workspace: Workspace,
) -> Path:
    """Keep the translated dataset, with a card that says how it came to be. Returns the definition's file."""
    definition = find_definition(source.source, workspace)
    target = language_name(translator.target)
    model = translator.server.model
    note = f"Machine translation into {target} by {model}; no person has checked it."
    about: dict[str, str | Sequence[str]] = {
        "title": f"{source.name if definition is None else definition.title}, translated into {target}",
        "summary": f"{source.name} in {target}, by {model}",
        "licence": "unknown" if definition is None else definition.licence,
        "homepage": "" if definition is None else definition.homepage,
        "language": translator.target,
        "notes": [*source.notes, note],
        "card": _card(source, made, translator, conversations, ledger, failures),
    }
    about = {key: value for key, value in about.items() if value}
    command = (
        f"calf datasets translate {source.source} --to {translator.target} --model {model} --name {place.name} --force"
    )
    return install(made, place, about, f"it was made by `{command}`; that makes it again")


def _card(
    source: Dataset,
    made: Dataset,
    translator: Translator,
    conversations: Sequence[Conversation],
    ledger: Ledger,
    failures: Sequence[Untranslated],
) -> str:
    languages = Counter(c.language for c in source)
    kept = languages.pop(translator.target, 0)
    texts = [text for conversation in conversations for text in conversation.texts]
    good = [text for text in texts if text.key in ledger.made]
    # Once more, on what is written: the card says what was found, not what was meant.
    passed = sum(check(t.text, ledger.made[t.key], t.language, translator.target) is None for t in good)
    left_out = list(dict.fromkeys(name for failure in failures for name in failure.comparisons))
    fields: Counter[str] = Counter(text.field for text in good)
    server = translator.server
    sources = ", ".join(f"{language_name(code)} {count}" for code, count in languages.items())
    lines = [
        f"A machine translation of `{source.name}` into {language_name(translator.target)}, made by CALF. No person",
        "has checked it. Only context, question, reference and responses are translated, each distinct text once,",
        "those of a group together; ids, labels, settings, subjects, groups, annotations and all other columns are",
        "the source's.",
        "",
        f"- Source: `{source.source}`, {len(source)} comparisons, fingerprint {source.fingerprint}.",
        f"- Translated from: {sources} comparisons."
        + (f" {kept} were in {language_name(translator.target)} already and are unchanged." if kept else ""),
        f"- Model: {server.model}, at {server.place}{_settings(translator)}; {datetime.now(UTC).date().isoformat()}.",
        f"- Prompt: digest {prompt_digest()} (CALF {_version()}).",
        f"- Result: {len(made)} comparisons, {len(good)} distinct texts translated ({_counted(fields)}).",
        f"- Sent: {_spending(ledger.spent)}.",
        f"- Asked for again: {_counted(ledger.again) or 'nothing'}.",
        f"- Checks, which {passed} of {len(good)} texts pass:",
        *(f"  - {kind}: {what}" for kind, what in CHECKS.items()),
    ]  # fmt: skip
    if left_out:
        kinds = Counter(failure.kind for failure in failures)
        lines += [
            f"- Left out: {len(left_out)} comparisons with {len(failures)} texts that failed ({_counted(kinds)}):",
            *(f"  - `{name}`" for name in left_out),
        ]
    else:
        lines.append("- Left out: nothing.")
    if source.card.strip():
        lines += [
            "",
            f"The card of `{source.name}`:",
            "",
            *(f"> {line}".rstrip() for line in source.card.strip().split("\n")),
        ]
    return "\n".join(lines) + "\n"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _settings(translator: Translator) -> str:
    extra = translator.server.extra
    settings = [] if translator.temperature is None else [f"temperature {translator.temperature:g}"]
    if "temperature" not in translator.server.honours:
        settings = []
    settings += [f"{name} {value}" for name, value in extra.items()]
    return f" ({', '.join(settings)})" if settings else ""


def _spending(spent: Mapping[str, float]) -> str:
    parts = [f"{int(spent.get('requests', 0))} requests"]
    if "input_tokens" in spent:
        parts.append(f"{int(spent['input_tokens'])} tokens in, {int(spent.get('output_tokens', 0))} out")
    if spent.get("cost"):
        parts.append(f"cost {spent['cost']:.4f}")
    if spent.get("cache_hits"):
        parts.append(f"{int(spent['cache_hits'])} answers from the cache")
    return ", ".join(parts)


def _version() -> str:
    import calf

    return calf.__version__
