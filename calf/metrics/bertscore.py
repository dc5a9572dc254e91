"""BERTScore, as the package bert-score computes it."""

from __future__ import annotations

import importlib.metadata
import itertools
import math
import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

from calf.errors import OptionError
from calf.metrics.bertscore_choice import DEFAULT_MODELS, Choice, choose
from calf.metrics.bertscore_pairs import PairScorer, load_layers, token_weights
from calf.models.encoder import load_tokenizer, unknown_share
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calf.metrics.base import Preparation, Response

__all__ = ["BertScore"]

_MEASURES = ("precision", "recall", "f1")  # in the order of bert-score's values
_UNKNOWN_ALLOWED = 0.05


class BertScore:
    """BERTScore (Zhang et al. 2020, section 3) by bert-score: how well the tokens' contextual vectors match.

    Precision is the mean, over the response's tokens, of the highest cosine with a token of the reference; recall the
    mean over the reference's tokens; F1 their harmonic mean. The reference itself gets 1; what unlike texts get depends
    on the model. A response without any token gets 0 (before rescaling), as in bert-score. A text longer than the
    model's window is cut there, which is bert-score's way too.

    Each text is encoded alone, without padding, by a single thread; several are at work at once. So a score is the same
    to the last bit whatever is scored with it, in however many threads and processes, and an interrupted run that is
    continued ends like one that was not. (The batches of bert-score move scores by about 2e-7.)

    Args:
        model: "auto" takes, by language, all-MiniLM-L6-v2 at layer 5 of 6 for English and multilingual-e5-small at
            layer 9 of 12 for Chinese, both carried by installed packages. The layers were fixed beforehand after
            bert-score's table (tuned on WMT16), which has 5 of 6 for distilbert-base-uncased and 9 of 12 for
            bert-base-multilingual-cased. Else one model for all languages: `minilm` or `e5-small` (those two), a
            folder, or a hub id such as `roberta-large`.
        layer: whose vectors are compared, 0 being the embeddings; default: as above, or bert-score's table's. A model
            that is not in the table needs it.
        measure: which of the three values.
        idf: weight tokens by their rarity among the dataset's distinct references in the language.
        rescale: subtract bert-score's baseline, where it has one for the model and language.
        device: "cpu", "cuda", "cuda:1", ...; "auto" takes cuda if there is one.
    """

    family = "embedding"
    extra = "bertscore"
    packages = ("bert_score", "torch", "transformers")
    libraries = ("bert-score",)  # formula, layers, baselines; for transformers and torch see `describe`
    batch_size = 64

    def __init__(
        self,
        model: str = "auto",
        layer: int | None = None,
        measure: Literal["f1", "precision", "recall"] = "f1",
        idf: bool = False,
        rescale: bool = False,
        device: str = "auto",
    ) -> None:
        if layer is not None and layer < 0:
            raise OptionError(f"layer {layer}: give 0 (the embeddings) or more")
        if measure not in _MEASURES:
            raise OptionError(f"measure {measure!r}: give one of {', '.join(_MEASURES)}")
        if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
            raise OptionError(f"device {device!r}: give auto, cpu, cuda or cuda:N")
        self.model = model
        self.layer = layer
        self.measure = measure
        self.idf = idf
        self.rescale = rescale
        self.device = device
        self._choices: dict[str, Choice] = {}
        self._scorers: dict[str, PairScorer] | None = None
        self._threads = 1

    def describe(self, languages: Sequence[str]) -> dict[str, str]:
        """What the scores of each language depend on: model, revision, layer, window; and how long texts are treated.

        Of transformers it is the major version, since that has changed tokenizers; other versions of it, and of torch,
        move the last digits only.

        Raises:
            UserError: a model cannot be had, or an option does not fit it.
        """
        described = {"long": "truncate", "transformers": importlib.metadata.version("transformers").partition(".")[0]}
        for language in self._covered(languages):
            choice = self._choose(language)
            described |= {
                f"model.{language}": choice.weights.name,
                f"revision.{language}": choice.weights.revision,
                f"layer.{language}": str(choice.layer),
                f"window.{language}": str(choice.window),
            }
        return described

    def scale(self, language: str) -> str:
        """The model and its layer; "" for a language without a model."""
        if not self._covers(language):
            return ""
        choice = self._choose(language)
        return f"{choice.weights.name} layer {choice.layer}"

    def prepare(self, preparation: Preparation) -> None:
        """Loads the models of the dataset's languages and checks that they know its tokens.

        Raises:
            UserError: a model cannot be had or loaded, does not know more than 5 % of a language's tokens, or an option
                does not fit it.
        """
        device = self._find_device()
        ready = []
        for language in self._covered(preparation.languages):
            choice = self._choose(language)
            mine = [c for c in preparation.comparisons if c.language == language]
            references = list(dict.fromkeys(c.reference for c in mine if c.reference and c.reference.strip()))
            tokenizer = load_tokenizer(choice.weights, choice.window)
            texts = dict.fromkeys([*references, *(text for c in mine for text in (c.response_a, c.response_b))])
            unknown = unknown_share(tokenizer, texts)
            if unknown > _UNKNOWN_ALLOWED:
                raise OptionError(
                    f"model {choice.weights.name!r} does not know {unknown:.0%} of the dataset's {language!r} tokens "
                    f"(at most {_UNKNOWN_ALLOWED:.0%} may be unknown); choose another with model=..."
                )
            ready.append((language, choice, tokenizer, token_weights(tokenizer, references if self.idf else None)))
        models = {}
        scorers = {}
        for language, choice, tokenizer, weights in ready:
            key = (choice.weights.folder, choice.layer)
            if key not in models:
                models[key] = load_layers(choice.weights, choice.layer).to(device)
            scorers[language] = PairScorer(models[key], tokenizer, weights, choice.baseline)
        self._scorers = scorers
        self._threads = _thread_count(device)

    def score(self, items: Sequence[Response]) -> Iterator[float | Failure]:
        """The chosen value of each response, as soon as it is known.

        A failure of kind `no_reference` where the reference has no tokens, `unsupported_language` where `model=auto`
        has no model for the language, `bad_output` where idf leaves a text no weight at all.
        """
        if self._scorers is None:
            raise RuntimeError("BertScore.prepare must be called before BertScore.score")
        # Responses to the same reference stand together in a dataset: its vectors are computed once for them.
        groups = [list(group) for _, group in itertools.groupby(items, lambda item: (item.language, item.reference))]
        pool = ThreadPoolExecutor(self._threads, initializer=_use_one_thread)
        try:
            for future in [pool.submit(self._outcomes, group, self._tokens(group)) for group in groups]:
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _tokens(self, group: Sequence[Response]) -> dict[str, list[int]]:
        """By stripped text: the tokens of the group's reference and responses."""
        scorer = (self._scorers or {}).get(group[0].language)
        if scorer is None:
            return {}
        texts = {text.strip() for text in (group[0].reference or "", *(item.response for item in group))}
        return {text: scorer.tokens(text) for text in texts}

    def _outcomes(self, group: Sequence[Response], tokens: dict[str, list[int]]) -> list[float | Failure]:
        """The outcomes of responses in one language to one reference; called by several threads at once."""
        language, reference = group[0].language, (group[0].reference or "").strip()
        scorer = (self._scorers or {}).get(language)
        if scorer is None:
            failure = Failure("unsupported_language", f"no default model for {language!r}; choose one with model=...")
            return [failure] * len(group)
        if not tokens[reference]:
            return [Failure("no_reference", "the reference has no tokens")] * len(group)
        outcomes: list[float | Failure] = []
        for values in scorer.score(reference, [item.response.strip() for item in group], tokens):
            if all(map(math.isfinite, values)):
                outcomes.append(values[_MEASURES.index(self.measure)])
            else:
                outcomes.append(Failure("bad_output", "every token of the reference or the response has idf weight 0"))
        return outcomes

    def _covers(self, language: str) -> bool:
        return self.model != "auto" or language in DEFAULT_MODELS

    def _covered(self, languages: Sequence[str]) -> list[str]:
        """The languages that there is a model for: an error if there is one for none."""
        covered = [language for language in languages if self._covers(language)]
        if languages and not covered:
            raise OptionError(
                f"bertscore has no default model for {', '.join(map(repr, languages))}; choose one with model=... "
                "(the packaged e5-small knows about 100 languages)"
            )
        return covered

    def _choose(self, language: str) -> Choice:
        if language not in self._choices:
            self._choices[language] = choose(self.model, self.layer, language, rescale=self.rescale)
        return self._choices[language]

    def _find_device(self) -> str:
        import torch

        if self.device == "cpu" or (self.device == "auto" and not torch.cuda.is_available()):
            return "cpu"
        device = "cuda" if self.device == "auto" else self.device
        number = int(device.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            raise OptionError(f"device {self.device!r}: torch finds {torch.cuda.device_count()} such devices")
        return device


def _thread_count(device: str) -> int:
    """How many texts are encoded at once: torch's number of threads, but one on a GPU or in a worker process.

    Worker processes are as many as the user asked for; threads would multiply them.
    """
    import torch

    return 1 if device != "cpu" or multiprocessing.parent_process() is not None else torch.get_num_threads()


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
