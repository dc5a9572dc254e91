"""What metrics share that compare a response's vectors with the reference's: models by language, checks, threads."""

from __future__ import annotations

import importlib.metadata
import itertools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from calf.errors import OptionError
from calf.models.device import check_device, find_device, in_threads
from calf.models.kept import KeptVectors
from calf.models.packaged import DEFAULT_MODELS
from calf.types import Failure, Score

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from calf.metrics.base import Preparation, Response
    from calf.models.encoding import Encoder
    from calf.models.folder import Weights
    from calf.models.vectors import Head, TextVectors

__all__ = ["Chosen", "EmbeddingMetric", "refuse_longer"]

_UNKNOWN_ALLOWED = 0.05


def refuse_longer(heads: Collection[Head], model: str, window: int) -> None:
    """What `long=fail` asks for.

    Raises:
        OptionError: a text is longer than the model's window.
    """
    over = [head.over for head in heads if head.over]
    if over:
        raise OptionError(
            f"long=fail: {len(over)} of {len(heads)} texts are longer than the {window} tokens of model {model!r} (the "
            f"longest has {window + max(over)}); long=window covers them whole, long=truncate cuts them, model=... "
            "chooses another model"
        )


class Chosen(Protocol):
    """A model as a metric uses it."""

    @property
    def weights(self) -> Weights:
        """The model on disk."""
        ...

    @property
    def window(self) -> int:
        """The most tokens of a text, special ones included."""
        ...


C = TypeVar("C", bound=Chosen)


class EmbeddingMetric(ABC, Generic[C]):
    """Compares vectors of responses and references, each distinct text encoded once.

    On a CPU each text is encoded alone, without padding, by a single thread; several are at work at once. So a score is
    the same to the last bit whatever is scored with it, in however many threads and processes, and whether the vectors
    were kept or just made. On a GPU texts go in batches, sorted by length, which moves the last digits.

    Args:
        model: "auto" takes a packaged model by language (`DEFAULT_MODELS`). Else one model for all languages: `minilm`
            or `e5-small` (those two), a folder, or a hub id such as `roberta-large`.
        long: what is done with a text that is longer than the model's window: `truncate` cuts it; `window` covers the
            whole text by windows that overlap by half; `fail` refuses the dataset. A score's usage has the number of
            tokens beyond the window, of the response and the reference, as `over_window`.
        device: "cpu", "cuda", "cuda:1", ...; "auto" takes cuda if there is one.
        half: on a GPU, the model works in half precision, which moves scores by about 0.001; no matter on a CPU.
        trust_remote_code: whether the model's own code may run.
        keep: keep vectors on disk, and use kept ones (`calf.models.kept`); `--no-cache` also does without.

    Raises:
        OptionError: a value cannot be.
    """

    family = "embedding"
    extra = "bertscore"
    packages: tuple[str, ...] = ("torch", "transformers")
    unsigned = ("keep",)
    batch_size = 256

    def __init__(
        self,
        model: str = "auto",
        long: Literal["truncate", "window", "fail"] = "truncate",
        device: str = "auto",
        half: bool = True,
        trust_remote_code: bool = False,
        keep: bool = True,
    ) -> None:
        if long not in ("truncate", "window", "fail"):
            raise OptionError(f"long {long!r}: give truncate, window or fail")
        check_device(device, half=False)
        self.model = model
        self.long = long
        self.device = device
        self.half = half
        self.trust_remote_code = trust_remote_code
        self.keep = keep
        self._choices: dict[str, C] = {}
        self._encoders: dict[str, Encoder] | None = None
        self._device = "cpu"

    @abstractmethod
    def choose(self, language: str) -> C:
        """The model of a language and what goes with it.

        Raises:
            UserError: it cannot be had, or an option does not fit it.
        """

    @abstractmethod
    def describe_choice(self, choice: C) -> Mapping[str, str]:
        """What else than model, revision and window the scores depend on."""

    @abstractmethod
    def make_encoder(self, choice: C, device: str, *, half: bool, kept: KeptVectors | None) -> Encoder:
        """What gives texts their vectors; nothing is loaded yet."""

    @abstractmethod
    def compare(self, language: str, reference: TextVectors, response: TextVectors) -> float | Failure:
        """The score of a response against a reference, both with tokens; called by several threads at once."""

    def empty(self, language: str) -> float:  # noqa: ARG002  # for those where it matters
        """The score of a response without tokens."""
        return 0.0

    def look_at(self, language: str, references: Sequence[Head]) -> None:
        """Sees the dataset's distinct references in a language before anything is scored."""

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """What the scores of each language depend on: model, revision, window, and what the metric adds.

        Of transformers it is the major version, since that has changed tokenizers; other versions of it, and of torch,
        move the last digits only.

        Raises:
            UserError: a model cannot be had, or an option does not fit it.
        """
        described = {"transformers": importlib.metadata.version("transformers").partition(".")[0]}
        if self._half_on(find_device(self.device, half=False)):
            described["precision"] = "float16"
        for language in self._covered(languages):
            choice = self.choice(language)
            described |= {
                f"model.{language}": choice.weights.name,
                f"revision.{language}": choice.weights.revision,
                f"window.{language}": str(choice.window),
                **{f"{key}.{language}": value for key, value in self.describe_choice(choice).items()},
            }
        return described

    def prepare(self, preparation: Preparation) -> None:
        """Looks at all texts of the dataset's languages, and loads the models unless the vectors of all are kept.

        Raises:
            UserError: a model cannot be had or loaded, does not know more than 5 % of a language's tokens, or an option
                does not fit it; or a text is too long (`long=fail`).
        """
        device = find_device(self.device, half=False)
        kept = KeptVectors() if self.keep and preparation.spending.cache else None
        made: dict[object, Encoder] = {}
        encoders = {}
        incomplete = []
        for language in self._covered(preparation.languages):
            choice = self.choice(language)
            key = (choice.weights.folder, choice)
            if key not in made:
                made[key] = self.make_encoder(choice, device, half=self._half_on(device), kept=kept)
            encoders[language] = made[key]
            mine = [c for c in preparation.in_these_languages if c.language == language]
            references = list(dict.fromkeys(text for c in mine if (text := (c.reference or "").strip())))
            responses = (text for c in mine for side in (c.response_a, c.response_b) if (text := side.strip()))
            heads, missing = encoders[language].survey(dict.fromkeys(itertools.chain(references, responses)))
            self._check(language, heads.values())
            self.look_at(language, [heads[reference] for reference in references])
            if missing:
                incomplete.append(encoders[language])
        for encoder in incomplete:
            encoder.load()
        self._encoders = encoders
        self._device = device

    def score(self, items: Sequence[Response]) -> Iterator[Score | Failure]:
        """The score of each response, as soon as it is known.

        A failure of kind `no_reference` where the reference has no tokens, `unsupported_language` where `model=auto`
        has no model for the language.
        """
        if self._encoders is None:
            raise RuntimeError(f"{type(self).__name__}.prepare must be called before score")
        # Responses to the same reference stand together in a dataset: it is read once for them.
        groups = [list(group) for _, group in itertools.groupby(items, lambda item: (item.language, item.reference))]
        if self._device != "cpu":
            self._encode_together(items)
        for outcomes in in_threads(self._group, groups, self._device):
            yield from outcomes

    def choice(self, language: str) -> C:
        """The model of a language, chosen once.

        Raises:
            UserError: it cannot be had, or an option does not fit it.
        """
        if language not in self._choices:
            self._choices[language] = self.choose(language)
        return self._choices[language]

    def covers(self, language: str) -> bool:
        """Whether there is a model for the language."""
        return self.model != "auto" or language in DEFAULT_MODELS

    def _group(self, group: Sequence[Response]) -> list[Score | Failure]:
        """The outcomes of responses in one language to one reference."""
        language = group[0].language
        encoder = (self._encoders or {}).get(language)
        if encoder is None:
            failure = Failure("unsupported_language", f"no default model for {language!r}; choose one with model=...")
            return [failure] * len(group)
        reference = encoder.encode((group[0].reference or "").strip())
        if not reference.head.total:
            return [Failure("no_reference", "the reference has no tokens")] * len(group)
        outcomes: list[Score | Failure] = []
        for item in group:
            response = encoder.encode(item.response.strip())
            value = self.compare(language, reference, response) if response.head.total else self.empty(language)
            over = reference.head.over + response.head.over
            usage = {"over_window": over} if over else None
            if isinstance(value, Failure):
                outcomes.append(Failure(value.kind, value.message, value.raw, usage))
            else:
                outcomes.append(Score(value, usage=usage))
        return outcomes

    def _encode_together(self, items: Sequence[Response]) -> None:
        for language, encoder in (self._encoders or {}).items():
            mine = [item for item in items if item.language == language]
            encoder.encode_together({t.strip() for item in mine for t in (item.reference or "", item.response)})

    def _half_on(self, device: str) -> bool:
        return self.half and device != "cpu"

    def _check(self, language: str, heads: Collection[Head]) -> None:
        choice = self.choice(language)
        name, window = choice.weights.name, choice.window
        unknown = sum(head.unknown for head in heads) / max(1, sum(head.total for head in heads))
        if unknown > _UNKNOWN_ALLOWED:
            raise OptionError(
                f"model {name!r} does not know {unknown:.0%} of the dataset's {language!r} tokens "
                f"(at most {_UNKNOWN_ALLOWED:.0%} may be unknown); choose another with model=..."
            )
        if self.long == "fail":
            refuse_longer(heads, name, window)

    def _covered(self, languages: Sequence[str]) -> list[str]:
        """The languages that there is a model for: an error if there is one for none."""
        covered = [language for language in languages if self.covers(language)]
        if languages and not covered:
            raise OptionError(
                f"there is no default model for {', '.join(map(repr, languages))}; choose one with model=... "
                "(the packaged e5-small knows about 100 languages)"
            )
        return covered
