"""Translates a dataset with a model: `estimate_translation` says what it takes, `translate_dataset` does it.

The texts of a group (context, question, reference, responses) are translated together, each distinct text once. Every
translation is checked (`calf.datasets.translate.check`); what fails is asked for again, then named. What is translated
is kept on disk at once, so that the same command continues where another one ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.datasets.translate.ledger import Ledger
from calf.datasets.translate.plan import make_plan
from calf.datasets.translate.run import Translator, translate_all
from calf.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calf.datasets.dataset import Dataset
    from calf.datasets.importing import Place
    from calf.datasets.translate.outcome import Untranslated
    from calf.datasets.translate.plan import Conversation
    from calf.engine.budget import Spending
    from calf.workspace import Workspace

__all__ = ["Estimate", "Translation", "Translator", "estimate_translation", "translate_dataset"]

_TAG_TOKENS = 40  # of the tags or the JSON around one translation


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a translation takes, without what is asked for again.

    Attributes:
        comparisons: to translate.
        texts: distinct ones that need a translation.
        done: of these, translated already.
        requests, input_tokens, output_tokens: still to be sent, and expected back.
        counted: whether the input was counted with the model's tokenizer; else it is estimated from the scripts.
        cost: in `currency`; None if the prices are unknown.
        currency: ISO 4217 code, or "".
        prices: where the prices are from, and when.
    """

    comparisons: int
    texts: int
    done: int
    requests: int
    input_tokens: int
    output_tokens: int
    counted: bool
    cost: float | None
    currency: str = ""
    prices: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """What came of a translation.

    Attributes:
        definition: the new dataset's file; None if texts failed, and those comparisons were not to be left out.
        comparisons: in the new dataset.
        texts: distinct ones that were translated.
        failures: what has no translation.
        spent: what all commands for it sent and paid, as a reply's `spent`.
    """

    definition: Path | None
    comparisons: int
    texts: int
    failures: tuple[Untranslated, ...]
    spent: dict[str, float]


def estimate_translation(
    dataset: Dataset, translator: Translator, name: str, *, workspace: Workspace | None = None
) -> Estimate:
    """What `translate_dataset` with the same arguments will send and cost; nothing is sent to the model.

    Raises:
        UserError: there is nothing to translate, or what was done before cannot be read.
    """
    from calf.engine.request import Usage
    from calf.engine.tokens import count_tokens

    server = translator.server
    conversations = _plan(dataset, translator)
    ledger = Ledger(_ledger_path(name, translator, workspace), read_only=True)
    requests = given = expected = 0
    counted = True
    for conversation in conversations:
        for sheet in translator.sheets(conversation, ledger):
            requests += 1
            counts = [
                count_tokens(text, server.model, server.base_url) for _, text in translator.request(sheet).messages
            ]
            given += sum(number for number, _ in counts)
            counted = counted and all(exact for _, exact in counts)
            # Between Chinese and English a translation has about as many tokens as its source.
            expected += sum(
                count_tokens(text.text, server.model, server.base_url)[0] + _TAG_TOKENS for text in sheet.texts
            )
    prices = server.prices
    return Estimate(
        comparisons=sum(c.language != translator.target for c in dataset),
        texts=sum(len(conversation.texts) for conversation in conversations),
        done=sum(text.key in ledger.made for conversation in conversations for text in conversation.texts),
        requests=requests,
        input_tokens=given,
        output_tokens=expected,
        counted=counted,
        cost=None if prices is None else prices.cost(Usage(given, 0, expected)),
        currency="" if prices is None else prices.currency,
        prices="" if prices is None else f"{prices.source} ({prices.date})",
    )


def translate_dataset(
    dataset: Dataset,
    translator: Translator,
    name: str,
    *,
    spending: Spending | None = None,
    without_failed: bool = False,
    force: bool = False,
    workspace: Workspace | None = None,
    progress: Callable[[int, int], None] = lambda done, whole: None,  # noqa: ARG005  # tells nobody
) -> Translation:
    """Translate a dataset, and keep the result as a dataset of the workspace, with its own card.

    Ids, labels, settings, subjects, groups, annotations and all other columns stay; comparisons that are in the target
    language stay as they are. Nothing is installed while a text has no translation that passes the checks, unless
    `without_failed`; another call then asks again for these texts alone.

    Args:
        dataset: what to translate.
        translator: who translates, and into what.
        name: of the new dataset.
        spending: what may be sent and paid; what earlier calls for the same translation sent and paid counts.
        without_failed: leave out the comparisons with a text that failed; the card names them.
        force: replace a dataset of the workspace that has this name.
        workspace: where it is written.
        progress: is told the texts that are done, and of how many.

    Raises:
        UserError: the name cannot be taken, nothing needs a translation, no comparison would be left, or a file
            cannot be used.
        StoppedError: the budget is spent, or the server refuses all; the same call continues.
    """
    from calf.datasets.importing import find_place
    from calf.datasets.translate.outcome import conclude, install_translation
    from calf.engine.budget import Spending
    from calf.workspace import find_workspace

    workspace = workspace or find_workspace()
    place: Place = find_place(name, workspace, force=force)
    conversations = _plan(dataset, translator)
    ledger = Ledger(_ledger_path(name, translator, workspace))
    try:
        _ask(translator, conversations, ledger, spending or Spending(), progress)
        translated, failures = conclude(dataset, conversations, ledger, translator.target)
        spent = dict(ledger.spent)
        texts = sum(len(conversation.texts) for conversation in conversations)
        definition = None
        if failures and without_failed and not translated:
            raise UserError("no comparison has all its texts translated; nothing would be left")
        if not failures or without_failed:
            made = dataset.replace(translated)
            definition = install_translation(
                dataset, made, place, translator, conversations, ledger, failures, workspace
            )
    finally:
        ledger.close()
    return Translation(definition, len(translated), texts - len(failures), failures, spent)


def _plan(dataset: Dataset, translator: Translator) -> list[Conversation]:
    conversations = make_plan(dataset, translator.target)
    if not conversations:
        raise UserError(
            f"nothing in {dataset.name!r} needs a translation: all of it is in {translator.target!r} already"
        )
    return conversations


def _ledger_path(name: str, translator: Translator, workspace: Workspace | None) -> Path:
    from calf.workspace import find_workspace

    data = (workspace or find_workspace()).data
    return data / ".translate" / f"{name}-{translator.digest}.jsonl"


def _ask(
    translator: Translator,
    conversations: list[Conversation],
    ledger: Ledger,
    spending: Spending,
    progress: Callable[[int, int], None],
) -> None:
    from calf.engine.budget import Budget
    from calf.engine.cache import Cache
    from calf.engine.trace import Recorder, Replayer

    texts = [text.key for conversation in conversations for text in conversation.texts]
    done = sum(key in ledger.made for key in texts)
    progress(done, len(texts))
    if done == len(texts):
        return

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, len(texts))

    budget = Budget.of(spending, ledger.spent, translator.server.prices)
    trace: Recorder | Replayer | None = None
    if spending.replay is not None:
        trace = Replayer(spending.replay)
    elif spending.record is not None:
        trace = Recorder(spending.record)
    cache = Cache() if spending.cache else None
    translate_all(translator, conversations, ledger, budget=budget, cache=cache, trace=trace, advance=advance)
