"""A judge of several agents: the roles and steps of a definition, on one engine, with one limit and one budget."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, cast

from calf.agents.moves import Outcome, Players, play
from calf.agents.prompts import Opening, Request
from calf.agents.rehearsal import Rehearsal
from calf.agents.session import Bounds, EndedError, Member, Session
from calf.agents.steps import every_step, read_roles, read_steps
from calf.agents.tools import TOOLS
from calf.engine.request import total
from calf.errors import OptionError, UserError
from calf.judges.base import Judge
from calf.judges.settings import read_table
from calf.types import Failure, Opinion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.agents.steps import Role
    from calf.decide import OrderChoice
    from calf.engine import request as wire
    from calf.engine.engine import Engine
    from calf.engine.limits import Limits
    from calf.judges.inprocess import Loaded
    from calf.metrics.base import Pair, Preparation

__all__ = ["AgentJudge"]


class AgentJudge(Judge):
    """Several agents that judge two responses together, as a definition's roles and steps say (see `calf.agents`).

    Every answer is kept in the cache under the whole conversation that led to it: a judgment that was cut off repeats
    no turn that had ended. Without the cache it begins anew.

    Args:
        roles: by name: `prompt`, and perhaps `persona`, `title` (by language), `copies`, `each_model`, and options of a
            judge that are this role's own (`calf.agents.steps.ROLE_OPTIONS`).
        steps: see `calf.agents`.
        prompts: texts by name and language (en, zh); the Chinese ones are for language "zh", the English ones for all
            others.
        model: of all roles that have none of their own. A role with a `base_url` of its own has a `key_variable` of its
            own, too: the key for another address is not sent there.
        models: several, separated by commas, for a role with `each_model`.
        turns: how often `rounds` are repeated that do not say it.
        combine: how votes make a verdict. vote: what most say, "same" if none has more than each of the others. mean:
            the verdict nearest to their mean (see `calf.judges.verdicts.combined`).
        max_turns: answers of one judgment; beyond it fails with kind `turn_limit`.
        max_tokens_total, max_cost_each, max_seconds_each: what the answers of one judgment may take, in and out,
            whenever they were paid for; when it is reached nothing more is asked, and the judgment fails with kind
            `token_limit`, `cost_limit` or `time_limit`. Answers that are asked for together may pass it together.
        prices: as a table or as JSON: those of `model` and of all `models`, or by model's name the prices of each.
        others: see `Judge`; they hold for all roles.

    Raises:
        OptionError: the definition is not as it must be, or a value cannot be.
    """

    family = "agents"
    default_order: OrderChoice = "both"

    def __init__(
        self,
        roles: dict[str, Any],
        steps: list[Any],
        prompts: dict[str, Any],
        model: str | None = None,
        models: str | None = None,
        turns: int = 2,
        combine: Literal["vote", "mean"] = "vote",
        max_turns: int = 100,
        max_tokens_total: int | None = None,
        max_cost_each: float | None = None,
        max_seconds_each: float | None = None,
        prices: dict[str, Any] | str | None = None,
        **others: Any,
    ) -> None:
        for name, number in (
            ("turns", turns), ("max_turns", max_turns), ("max_tokens_total", max_tokens_total),
            ("max_cost_each", max_cost_each), ("max_seconds_each", max_seconds_each),
        ):  # fmt: skip
            if number is not None and not number > 0:  # not a number is none either
                raise OptionError(f"{name} must be more than 0, not {number}")
        self.roles = read_roles(roles, prompts)
        self.steps = read_steps(steps, self.roles, prompts, TOOLS)
        named = _names(models)
        each = [role.name for role in self.roles.values() if role.each_model]
        if each and not named:
            raise OptionError(f"role {each[0]!r} is there once for each model: name them with -o models=NAME,NAME,...")
        if named and not each:
            raise OptionError("models: no role of this metric takes several; use -o model=NAME")
        model = (model or "").strip() or None
        own = [role.options["model"] for role in self.roles.values() if "model" in role.options]
        if any(not str(name).strip() for name in own):
            raise OptionError("a role's model is empty; without `model`, the role takes that of -o model=NAME")
        if model is None and any("model" not in role.options and not role.each_model for role in self.roles.values()):
            raise OptionError("no model is named; say which one with -o model=NAME")
        model = model or (named or own)[0]
        self._others = others
        self._prices = read_table("prices", prices) or {}
        self._priced = {model, *named}
        super().__init__(model=model, prices=self._prices_of(model), **others)
        self._bounds = Bounds(max_turns, max_tokens_total, max_cost_each, max_seconds_each)
        self._seed = 0
        self._voices: list[tuple[dict[str, Any], Judge]] = [({"model": model}, self)]
        checkers = {name for step in every_step(self.steps) if step.kind == "check" for name in step.who}
        members = {
            name: self._members(role, prompts, model, named, checks=name in checkers)
            for name, role in self.roles.items()
        }
        asked = {step.prompt: step.kind == "check" for step in every_step(self.steps) if step.prompt}
        requests = {name: Request(prompts, name, {"item"} if check else ()) for name, check in asked.items()}
        called = [member.name for each_role in members.values() for member in each_role]
        if twice := next((name for name, count in Counter(called).items() if count > 1), None):
            raise OptionError(f"roles: two would be called {twice!r}; a role's copies are NAME 1, NAME 2, ...")
        self._players = Players(members, requests, turns, combine)
        currencies = sorted({voice.prices.currency for voice in self._speaking if voice.prices is not None})
        if len(currencies) > 1:
            raise OptionError(f"prices are in {' and '.join(currencies)}, which cannot be added; give all in one")

    # ---- the metric's optional methods ------------------------------------------------------------------------

    def prepare(self, preparation: Preparation) -> None:
        """Opens an engine for every server that is asked, and one for every model in this process.

        All share the first one's budget, cache and record, servers their limits, and so do models in this process, of
        which one answers at a time. Voices with the same model in this process share it, whatever else is their own.

        Raises:
            UserError: no key, no prices for a limit of cost, or a record that cannot be used.
        """
        self._seed = preparation.seed
        unpriced = next((voice.model for voice in self._speaking if voice.prices is None), None)
        if self._bounds.cost is not None and unpriced is not None:
            raise UserError(f"max_cost_each needs prices, and none are known for model {unpriced!r}")
        self._spent = {}
        self._engine = None
        for settings, voice in self._voices:
            if voice in self._speaking:
                try:
                    voice.server(needs_key=preparation.spending.replay is None)
                except UserError as error:
                    if "base_url" not in settings:
                        raise
                    said = str(error).replace("-o key_variable=NAME", 'key_variable = "NAME" in the role')
                    raise UserError(f"a role's own address: {said}") from None
        first: Engine | None = None
        opened: list[Engine] = []
        limits: dict[bool, Limits] = {}
        loaded: Loaded = {}
        try:
            # One without prices, where they are needed, is refused before anything else is open.
            for voice in sorted(self._speaking, key=lambda voice: voice.prices is not None):
                server = voice.server(needs_key=preparation.spending.replay is None)
                engine = next((one for one in opened if one.server == server), None)
                if engine is None:
                    inside = voice._inside is not None
                    engine = voice._open(preparation.spending, preparation.spent, first, limits.get(inside), loaded)
                    limits[inside] = engine.limits
                    opened.append(engine)
                voice._engine, first = engine, first or engine
        except BaseException:
            if first is not None:
                first.release()  # the record, above all
            for voice in self._speaking:
                voice._engine = None
            raise

    def describe(self, languages: Sequence[str]) -> Mapping[str, str]:
        """What `Judge.describe` says, and the same of roles with settings of their own."""
        described = dict(super().describe(languages))
        for settings, voice in self._voices[1:]:
            if voice in self._speaking:
                server = voice.server(needs_key=False)
                honours = ",".join(sorted(server.honours)) or "none"
                known = described.get(f"voice {settings['model']}")
                described[f"voice {settings['model']}"] = ", ".join(filter(None, [known, f"{server.place} {honours}"]))
        return described

    @property
    def window(self) -> int:
        """Comparisons under way at once: enough for whichever of the models takes most."""
        return 2 * max(voice.concurrency for voice in self._speaking)

    @property
    def spent(self) -> Mapping[str, float]:
        """What was sent and paid since `prepare`, as `Reply.spent`; what no judgment came of is in it too."""
        return total(self._spent, *(engine.spent for engine in self._engines()))

    async def close(self) -> None:
        """Close the connections, the record and the cache."""
        engines = self._engines()
        for voice in self._speaking:
            voice._engine = None
        try:
            for engine in engines:
                await engine.close()
        finally:
            self._spent = total(self._spent, *(engine.spent for engine in engines))

    # ---- judging ----------------------------------------------------------------------------------------------

    async def judge_one(self, item: Pair) -> Opinion | Failure:
        """What the agents come to, with all that was said as the transcript.

        Raises:
            StoppedError: no request can be sent any more.
        """
        session = Session(item, self._bounds, self._seed)
        try:
            # The last step is a vote or a decision.
            outcome = cast("Outcome", await play(session, self._players, self.steps))
        except EndedError as ended:
            failure = ended.failure
            return Failure(failure.kind, failure.message, failure.raw, session.spent, tuple(session.transcript))
        return Opinion(
            outcome.verdict,
            outcome.shares,
            outcome.explanation,
            session.spent,
            session.seconds,
            tuple(session.transcript),
        )

    def forecast(self, item: Pair) -> list[wire.Addressed]:
        """The requests of a judgment whose answers are as long as `answer_tokens`, and whose checks use no tool."""
        return self._rehearse(Rehearsal(item, self._bounds, self.answer_tokens))

    def longest_forecast(self, item: Pair) -> list[wire.Addressed]:
        """The same, where every answer is as long as it may be, and later prompts with it."""
        return self._rehearse(Rehearsal(item, self._bounds, None, longest=True))

    def _rehearse(self, rehearsal: Rehearsal) -> list[wire.Addressed]:
        rehearsal.run(play(rehearsal, self._players, self.steps))
        return rehearsal.requests

    # ---- roles ------------------------------------------------------------------------------------------------

    @property
    def _speaking(self) -> list[Judge]:
        """Those who are asked, each once."""
        members = [member for members in self._players.members.values() for member in members]
        return [voice for _, voice in self._voices if any(member.voice is voice for member in members)]

    def _engines(self) -> list[Engine]:
        """The open ones, each once."""
        found: list[Engine] = []
        for voice in self._speaking:
            if voice._engine is not None and voice._engine not in found:
                found.append(voice._engine)
        return found

    def _members(
        self, role: Role, prompts: Mapping[str, Any], model: str, models: Sequence[str], *, checks: bool
    ) -> tuple[Member, ...]:
        """Whom a role stands for."""
        opening = Opening(prompts, role.prompt, role.persona, {"response"} if checks else {"response_a", "response_b"})
        if role.each_model:
            voices = [(f"{role.name} {name}", self._voice({**role.options, "model": name})) for name in models]
            return tuple(Member(name, {}, voice, opening) for name, voice in voices)
        voice = self._voice({"model": model, **role.options})
        if role.copies == 1:
            return (Member(role.name, role.title, voice, opening),)
        names = [f"{role.name} {number}" for number in range(1, role.copies + 1)]
        titles = [{key: f"{text} {n}" for key, text in role.title.items()} for n in range(1, role.copies + 1)]
        return tuple(
            Member(name, title, voice, opening, number, role.copies)
            for number, (name, title) in enumerate(zip(names, titles, strict=True))
        )

    def _voice(self, settings: dict[str, Any]) -> Judge:
        """The judge with these settings, the general ones for all others."""
        known = next((voice for same, voice in self._voices if same == settings), None)
        if known is None:
            others = self._others
            if settings.get("base_url", others.get("base_url")) != others.get("base_url"):
                # The key for one address is no other's business.
                others = {name: value for name, value in others.items() if name not in ("api_key", "key_variable")}
            known = Judge(**{"prices": self._prices_of(settings["model"]), **others, **settings})
            self._voices.append((settings, known))
        return known

    def _prices_of(self, model: str) -> dict[str, Any] | None:
        """The prices that are given for a model; those without a name are not for models that a definition names."""
        if self._prices and all(isinstance(value, dict) for value in self._prices.values()):
            found: dict[str, Any] | None = self._prices.get(model)
            return found
        return self._prices or None if model in self._priced else None


def _names(models: str | None) -> list[str]:
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise OptionError(f"models: {twice[0]!r} is named twice; judge-vote asks one model several times")
    return names
