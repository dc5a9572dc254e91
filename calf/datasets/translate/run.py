"""Asks for the translations: conversations at once, the parts of one after another, every answer checked and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.datasets.translate.check import Complaint, check
from calf.datasets.translate.plan import parts
from calf.datasets.translate.prompt import SCHEMA, Sheet, prompt_digest
from calf.engine.crew import Crew
from calf.engine.engine import Engine
from calf.engine.request import AskError, Request
from calf.engine.tokens import estimate_tokens
from calf.errors import CalfError
from calf.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from calf.datasets.translate.check import Target
    from calf.datasets.translate.ledger import Ledger
    from calf.datasets.translate.plan import Conversation, Text
    from calf.datasets.translate.reading import Answer
    from calf.engine.budget import Budget
    from calf.engine.cache import Cache
    from calf.engine.server import Server
    from calf.engine.trace import Recorder, Replayer

__all__ = ["RETRIES", "Translator", "translate_all"]

RETRIES = 2
"""How often a text is asked for again in one command."""

_OUTPUT_SHARE = 0.5  # of max_tokens that the source texts of a request may have: a translation has about as many
_MOST_TOKENS = 3000  # of source texts in a request, however long an answer may be: models leave out more of longer ones
_KNOWN_TOKENS = 1000  # of question and context, and their translations, that later parts show again
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Translator:
    """Who translates, and how it is asked.

    Attributes:
        server: the model's server; texts are asked for as JSON if it honours `json_schema`, else between tags.
        target: the language to translate into.
        max_tokens: the longest answer; long groups are split so that their parts fit.
        temperature: None: the server's.
    """

    server: Server
    target: Target
    max_tokens: int = 4096
    temperature: float | None = 0.0

    @property
    def structured(self) -> bool:
        """Whether answers come as JSON."""
        return "json_schema" in self.server.honours

    @property
    def digest(self) -> str:
        """Of all that changes a translation."""
        server = self.server
        parts = (server.place, server.model, dict(server.extra), self.target, self.temperature, self.structured)
        return digest("translation", *parts, prompt_digest(), length=12)

    def sheets(self, conversation: Conversation, ledger: Ledger) -> Iterator[Sheet]:
        """The parts of a conversation that are still to be asked for; each knows what the ones before have brought."""
        todo = [text for text in conversation.texts if text.key not in ledger.made]
        split = parts(todo, min(_MOST_TOKENS, max(1, int(self.max_tokens * _OUTPUT_SHARE)))) if todo else []
        for number, part in enumerate(split, 1):
            yield self.sheet(conversation, part, ledger, more=number < len(split))

    def sheet(self, conversation: Conversation, part: Sequence[Text], ledger: Ledger, *, more: bool) -> Sheet:
        """A part, with what is translated of question and context, and the terms of earlier parts."""
        known, room = [], _KNOWN_TOKENS
        for text in sorted(conversation.texts, key=lambda text: text.field != "question"):
            if text.field in ("question", "context") and text.key in ledger.made:
                room -= estimate_tokens(text.text) + estimate_tokens(ledger.made[text.key])
                if room > 0:
                    known.append((text, ledger.made[text.key]))
        return Sheet(
            tuple(part),
            conversation.language,
            self.target,
            tuple(known),
            ledger.terms(text.key for text in conversation.texts),
            self.structured,
            more,
        )

    def request(self, sheet: Sheet, repeat: int = 0) -> Request:
        """The request that puts a sheet to the model."""
        schema = SCHEMA if self.structured else None
        return Request(sheet.messages(), self.max_tokens, self.temperature, schema=schema, repeat=repeat)


def translate_all(
    translator: Translator,
    conversations: Sequence[Conversation],
    ledger: Ledger,
    *,
    budget: Budget,
    cache: Cache | None,
    trace: Recorder | Replayer | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Ask for every text that the ledger does not have. What came of it is in the ledger.

    Args:
        translator: whom to ask.
        conversations: what to translate.
        ledger: open for writing.
        budget, cache, trace: see `calf.engine.engine.Engine`.
        advance: is told, in another thread, of how many texts it is decided whether they have a translation.

    Raises:
        StoppedError: the budget is spent, or the server refuses everything; what is done is kept.
        UserError: cache, trace or ledger cannot be used.
    """
    engine = Engine(translator.server, cache=cache, budget=budget, trace=trace)
    work = _Work(translator, engine, conversations, ledger, advance)
    work.start()
    try:
        while not work.wait(_POLL_SECONDS):
            pass
    finally:
        work.stop()
    if work.error is not None:
        raise work.error


class _Work(Crew):
    """As many workers as keep the server busy, which share the conversations."""

    def __init__(
        self,
        translator: Translator,
        engine: Engine,
        conversations: Sequence[Conversation],
        ledger: Ledger,
        advance: Callable[[int], None],
    ) -> None:
        super().__init__("calf-translation", min(len(conversations), 2 * translator.server.concurrency))
        self._translator = translator
        self._engine = engine
        self._conversations = iter(conversations)
        self._ledger = ledger
        self._advance = advance

    async def close(self) -> None:
        """Closes the engine."""
        await self._engine.close()

    async def work(self) -> None:
        """Takes conversations until there are none, or nothing more can be asked."""
        for conversation in self._conversations:
            try:
                # Parts see what earlier ones brought, so a sheet is made when the one before is done.
                for sheet in self._translator.sheets(conversation, self._ledger):
                    if self.error is not None:
                        return
                    await self._translate(conversation, sheet)
            except CalfError as error:  # nothing more can be asked; what the others have under way may be paid for
                self.error = self.error or error
            if self.error is not None:
                return

    async def _translate(self, conversation: Conversation, sheet: Sheet) -> None:
        """One part: asked for, checked, and asked for again with what is wrong."""
        keys = [text.key for text in sheet.texts]
        pending = set(keys)
        repeat = (RETRIES + 1) * max(self._ledger.rounds[key] for key in keys)
        request = self._translator.request(sheet, repeat)
        wrong: dict[str, Complaint] = {}
        for attempt in range(RETRIES + 1):
            try:
                reply = await self._engine.ask(request)
            except AskError as error:
                wrong = dict.fromkeys(pending, Complaint(error.kind, error.message))
                self._ledger.add(keys, failed=wrong, spent=error.spent)
                break
            choice = reply.choices[0]
            answer = sheet.read(choice.text, choice.finish)
            again = [complaint.kind for complaint in wrong.values()]
            wrong = self._complaints(sheet, answer, pending)
            made = {key: answer.translations[key].strip() for key in pending if key not in wrong}
            pending -= made.keys()
            alone = answer.unread is not None and answer.unread.kind == "cut_off" and len(sheet.texts) == 1
            last = attempt == RETRIES or alone
            self._ledger.add(
                keys, made=made, terms=answer.terms, again=again, failed=wrong if last else None, spent=reply.spent
            )
            self._advance(len(made))
            if last or not pending:
                break
            if answer.unread is not None and answer.unread.kind == "cut_off":
                left = [text for text in sheet.texts if text.key in pending]
                if not made:  # not one of them fits behind the others
                    for text in left:
                        alone_sheet = self._translator.sheet(conversation, [text], self._ledger, more=True)
                        await self._translate(conversation, alone_sheet)
                    return
                sheet = self._translator.sheet(conversation, left, self._ledger, more=sheet.more)
                request = self._translator.request(sheet, repeat + attempt + 1)
            else:
                messages = request.messages
                if not choice.text.strip():
                    pass  # the engine has asked for a blank answer again already; the repeat number makes it a new one
                elif answer.unread is not None:
                    messages = sheet.unread(messages, choice.text, list(pending))
                else:
                    messages = sheet.again(messages, choice.text, wrong)
                request = Request(
                    messages,
                    request.max_tokens,
                    request.temperature,
                    schema=request.schema,
                    repeat=repeat + attempt + 1,
                )
        self._advance(len(pending))

    def _complaints(self, sheet: Sheet, answer: Answer, pending: set[str]) -> dict[str, Complaint]:
        """What is wrong with each text that is not translated yet."""
        wrong: dict[str, Complaint] = {}
        for text in sheet.texts:
            if text.key not in pending:
                continue
            made = answer.translations.get(text.key)
            if made is None and answer.unread is not None:
                wrong[text.key] = Complaint(answer.unread.kind, answer.unread.reason)
            elif made is None:
                wrong[text.key] = Complaint("missing", "its translation is missing; translate it")
            elif sheet.mark in made:
                wrong[text.key] = Complaint("markup", "tags are left in it; give the translation without them")
            elif complaint := check(text.text, made.strip(), text.language, self._translator.target):
                wrong[text.key] = complaint
        return wrong
