"""What metrics share that score a response by how likely a model makes it."""

from __future__ import annotations

import importlib.metadata
import itertools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from calf.errors import OptionError
from calf.metrics.base import Response
from calf.models.device import check_device, find_device, in_threads
from calf.models.encoder import unknown_share
from calf.types import Failure, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from calf.metrics.base import Preparation
    from calf.models.folder import Weights
    from calf.types import Comparison

__all__ = ["TOO_LONG", "LikelihoodMetric", "Outcome", "scored"]

M = TypeVar("M")
"""What the model is loaded as."""

Outcome = Score | Failure

TOO_LONG = "too_long"
"""The kind of failure of a response of which the model's window would leave nothing."""

_UNKNOWN_ALLOWED = 0.05
_TEXTS_LOOKED_AT = 2000  # to see whether the model knows a language


def scored(value: float, over: int) -> Score:
    """A score in nats per token.

    Args:
        value: the score.
        over: how many tokens of the item's texts are beyond the model's window.
    """
    return Score(value, usage={"over_window": over} if over else None)


class LikelihoodMetric(ABC, Generic[M]):
    """Loads one model for a whole dataset and scores responses, group by group, each run through the model alone.

    Args:
        model: "auto" is for English alone; a folder or a hub id is used for every language.
        long: what is done with texts that the model's window cannot hold: `truncate` cuts them, and the score's usage
            has the number of tokens cut, as `over_window`; `fail` refuses the dataset.
        device: "cpu", "cuda", "cuda:1", ...; "auto" takes cuda if there is one.
        half: bfloat16 instead of float32; on a GPU alone.
        trust_remote_code: whether the model's own code may run.

    Raises:
        OptionError: a value cannot be.
    """

    family = "likelihood"
    needs_reference = False  # options and templates decide; where one is needed, its absence is a failure of the item
    extra = "likelihood"
    packages: tuple[str, ...] = ("torch", "transformers")
    batch_size = 64

    name: ClassVar[str]
    """The metric's, for messages."""

    def __init__(
        self,
        model: str = "auto",
        long: Literal["truncate", "fail"] = "truncate",
        device: str = "auto",
        half: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        if long not in ("truncate", "fail"):
            raise OptionError(f"long {long!r}: give truncate or fail")
        check_device(device, half=half)
        self.model = model
        self.long = long
        self.device = device
        self.half = half
        self.trust_remote_code = trust_remote_code
        self._found: Weights | None = None
        self._loaded: M | None = None

    @abstractmethod
    def find(self) -> Weights:
        """The model on disk."""

    @abstractmethod
    def load(self, weights: Weights, device: str) -> M:
        """The model, ready to score."""

    @abstractmethod
    def window(self, weights: Weights) -> str:
        """Its window, for the signature."""

    @abstractmethod
    def over(self, model: M, item: Response) -> int:
        """How many tokens of the response and of what it is compared with are beyond the window."""

    @abstractmethod
    def work(self, model: M, group: Sequence[Response]) -> Callable[[], list[Outcome]]:
        """What is to be run for responses to one question with one reference, tokenised; called by another thread."""

    @property
    def for_all_languages(self) -> bool:
        """Whether the user chose the model."""
        return self.model != "auto"

    @property
    def weights(self) -> Weights:
        """The model on disk, found once.

        Raises:
            UserError: it cannot be had.
        """
        if self._found is None:
            self._found = self.find()
        return self._found

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """What the scores depend on: the model, its revision and window, and what has changed tokenizers.

        Raises:
            UserError: the model cannot be had, or is not for any of the languages.
        """
        self._check_languages(languages)
        return {
            "model": self.weights.name,
            "revision": self.weights.revision,
            "window": self.window(self.weights),
            "transformers": importlib.metadata.version("transformers").partition(".")[0],
        }

    def scale(self, language: str) -> str:
        """The model; "" for a language that it is not for."""
        return self.weights.name if self._covers(language) else ""

    def prepare(self, preparation: Preparation) -> None:
        """Loads the model and checks that it knows the dataset's tokens.

        Raises:
            UserError: it cannot be had or loaded, is not for any of the dataset's languages, or does not know more
                than 5 % of a language's tokens; or a text is too long (`long=fail`).
        """
        self._check_languages(preparation.languages)
        model = self.load(self.weights, find_device(self.device, half=self.half))
        for language in filter(self._covers, preparation.languages):
            mine = [c for c in preparation.in_these_languages if c.language == language]
            texts = itertools.chain.from_iterable((c.reference or "", c.response_a, c.response_b) for c in mine)
            looked_at = dict.fromkeys(itertools.islice(texts, _TEXTS_LOOKED_AT))
            if (unknown := unknown_share(self.tokenizer(model), looked_at)) > _UNKNOWN_ALLOWED:
                raise OptionError(
                    f"model {self.weights.name!r} does not know {unknown:.0%} of the dataset's {language!r} tokens "
                    f"(at most {_UNKNOWN_ALLOWED:.0%} may be unknown); choose another with model=..."
                )
            if self.long == "fail":
                self._refuse_long(model, mine)
        self._loaded = model

    def _refuse_long(self, model: M, comparisons: Sequence[Comparison]) -> None:
        overs = [
            self.over(model, Response(c.question, c.context, c.reference, response, c.language))
            for c in comparisons
            for response in (c.response_a, c.response_b)
        ]
        if any(overs):
            raise OptionError(
                f"long=fail: {sum(map(bool, overs))} of {len(overs)} {comparisons[0].language!r} responses, with what "
                f"they are compared with, are longer than the {self.window(self.weights)} tokens of model "
                f"{self.weights.name!r} (by up to {max(overs)}); long=truncate cuts them, model=... chooses another"
            )

    @abstractmethod
    def tokenizer(self, model: M) -> Any:
        """The model's tokenizer."""

    @abstractmethod
    def run_on(self, model: M) -> str:
        """The device that the model is on."""

    def score(self, items: Sequence[Response]) -> Iterator[Outcome]:
        """The score of each response in nats per token (0 at most), as soon as it is known.

        A failure of kind `no_tokens` where the response (or a reference that is not blank) has no tokens,
        `no_reference` where a reference is needed and blank, `unsupported_language` where `model=auto` is not for the
        language, `too_long` where nothing of the response would be left.
        """
        model = self._loaded
        if model is None:
            raise RuntimeError(f"{type(self).__name__}.prepare must be called before score")
        # Responses to the same question stand together in a dataset: what they share is computed once for them.
        groups = [list(group) for _, group in itertools.groupby(items, _shared)]
        work = [self._tokenised(model, group) for group in groups]
        for outcomes in in_threads(lambda part: part(), work, self.run_on(model)):
            yield from outcomes

    def _tokenised(self, model: M, group: Sequence[Response]) -> Callable[[], list[Outcome]]:
        if self._covers(group[0].language):
            return self.work(model, group)
        failure = Failure("unsupported_language", f"model=auto is for English, not {group[0].language!r}")
        return lambda: [failure] * len(group)

    def _covers(self, language: str) -> bool:
        return self.for_all_languages or language == "en"

    def _check_languages(self, languages: Iterable[str]) -> None:
        languages = list(languages)
        if languages and not any(map(self._covers, languages)):
            raise OptionError(
                f"{self.name}: model=auto is for English, not {', '.join(map(repr, languages))}; "
                "choose a model that knows the language with model=..."
            )


def _shared(item: Response) -> tuple[str, str, str | None, str]:
    return item.question, item.context, item.reference, item.language
