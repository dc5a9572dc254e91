"""A causal model that answers conversations: in this process, one answer at a time."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.errors import OptionError
from calf.models.causal import blocks, window_of
from calf.models.chat import Turns, chat_ids
from calf.models.find import find_weights
from calf.models.folder import read_json
from calf.models.gguf import PACKAGED_GGUF, Gguf, find_gguf, packaged_gguf
from calf.models.gguf_weights import gguf_weights
from calf.models.likelihood import load_model, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from calf.models.folder import Weights

__all__ = ["Answer", "Generator", "Sampling", "TooLongError", "Word", "find_causal", "unpacked"]

_GARBLED = "\ufffd"  # what a decoder writes for the first bytes of a character whose last are yet to come


class TooLongError(Exception):
    """A prompt that leaves no place for an answer."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        most: tokens of one answer, at most.
        temperature: 0: the most probable token each time. None: 1.
        n: answers.
        seed: the same seed draws the same answers.
        alternatives: the most probable tokens that are told of each place; None: no probabilities are told.
        top_p: only the most probable tokens that together have this probability are drawn from.
        repetition_penalty: divides the positive logits of all tokens there were, and multiplies the negative ones
            (Keskar et al. 2019, arXiv 1909.05858, section 4.1; here, as in transformers, the prompt's tokens count).
    """

    most: int
    temperature: float | None = 0.0
    n: int = 1
    seed: int = 0
    alternatives: int | None = None
    top_p: float = 1.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Word:
    """A token of an answer: its text, its log-probability (of the model itself, before temperature), the likeliest."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its text, whether it ended itself (else it was cut off), how many tokens it has, and which."""

    text: str
    ended: bool
    tokens: int
    words: tuple[Word, ...] = ()


def find_causal(name: str, *, code: bool = False) -> Weights | Gguf:
    """A causal model, called by a GGUF file (`*.gguf`), the name of a packaged one, a folder, or a hub id.

    Raises:
        UserError: there is none.
    """
    if name.lower().endswith(".gguf"):
        return find_gguf(name)
    return packaged_gguf(name) if name in PACKAGED_GGUF else find_weights(name, code=code)


def unpacked(found: Weights | Gguf) -> Weights:
    """What `find_causal` found, as a folder.

    Raises:
        UserError: see `calf.models.gguf_weights.gguf_weights`.
    """
    return gguf_weights(found) if isinstance(found, Gguf) else found


class Generator:
    """A causal model that answers.

    Args:
        weights: where it is.
        device: "cpu", "cuda", "cuda:1", ...
        half: bfloat16 instead of float32.
        code: whether the model's own code may run.
        turns: how conversations are written for it.

    Attributes:
        window: tokens that a prompt and its answer may have together.

    Raises:
        OptionError: the model keeps nothing of the tokens before.
        UserError: see `calf.models.likelihood.load_model`.
    """

    def __init__(
        self, weights: Weights, device: str, *, half: bool = False, code: bool = False, turns: Turns = "chat"
    ) -> None:
        import torch

        self.window = window_of(weights)
        self._name = weights.name
        self._device = device
        self._turns = turns
        self._tokenizer = load_tokenizer(weights, code=code)
        self.prompt([("user", "?")])  # a tokenizer without what `turns` needs is an error now
        self._model: Any = load_model(weights, "causal", device, half=half, code=code)
        self._ends = _ends(weights, self._tokenizer)
        accepted = inspect.signature(self._model.forward).parameters
        if "past_key_values" not in accepted:
            raise OptionError(f"model {weights.name!r} keeps no keys and values; ask it through a server")
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._threads = torch.get_num_threads()

    def prompt(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """The tokens of a conversation that waits for an answer."""
        return chat_ids(self._tokenizer, messages, self._name, turns=self._turns)

    def answers(
        self, prompt: Sequence[int], sampling: Sampling, stopped: Callable[[], bool] = lambda: False
    ) -> list[Answer]:
        """`n` answers to a prompt. They depend on nothing but the arguments (and the machine's arithmetic).

        Args:
            prompt: one token or more.
            sampling: how they are drawn.
            stopped: asked before each token; once it is true, the answers end as if they were cut off.

        Raises:
            TooLongError: the window has no place for an answer.
        """
        import torch

        room = self.window - len(prompt)
        if room < 1:
            raise TooLongError(
                f"the prompt has {len(prompt)} tokens, and the model's window is {self.window}: "
                "no place is left for an answer"
            )
        torch.set_num_threads(self._threads)  # a thread of its own, which answers, has a setting of its own
        random = torch.Generator().manual_seed(sampling.seed)
        with torch.inference_mode():
            kept, logits = None, None
            for block in blocks(prompt):
                if stopped():
                    break
                output = self._run(block, kept)
                kept, logits = output.past_key_values, output.logits[0, -1]
            if logits is None:
                return [Answer("", False, 0)] * sampling.n
            return [
                self._one(
                    prompt,
                    copy.deepcopy(kept) if more else kept,
                    logits,
                    sampling,
                    min(sampling.most, room),
                    random,
                    stopped,
                )
                for more in range(sampling.n - 1, -1, -1)
            ]

    def _one(
        self,
        prompt: Sequence[int],
        kept: Any,
        logits: torch.Tensor,
        sampling: Sampling,
        most: int,
        random: torch.Generator,
        stopped: Callable[[], bool],
    ) -> Answer:
        ids: list[int] = []
        told: list[tuple[float, list[tuple[int, float]]]] = []
        ended = False
        while len(ids) < most and not stopped():
            if ids:
                output = self._run(ids[-1:], kept)
                kept, logits = output.past_key_values, output.logits[0, -1]
            logits = logits.float().cpu()
            token = _draw(logits, (*prompt, *ids), sampling, random)
            if token in self._ends:
                ended = True
                break
            ids.append(token)
            if sampling.alternatives is not None:
                told.append(_told(logits, token, sampling.alternatives))
        text = self._text(ids)
        return Answer(text, ended, len(ids) + ended, tuple(self._words(ids, told)) if told else ())

    def _run(self, ids: Sequence[int], kept: Any) -> Any:
        import torch

        inputs = torch.tensor([list(ids)], device=self._device)
        return self._model(input_ids=inputs, past_key_values=kept, use_cache=True, **self._last_only)

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _words(self, ids: Sequence[int], told: Sequence[tuple[float, list[tuple[int, float]]]]) -> list[Word]:
        """The tokens with their texts, which together are the answer's."""
        words, shown = [], ""
        for place, (logprob, others) in enumerate(told):
            until = self._text(ids[: place + 1])
            # The first bytes of a character say nothing before the last one.
            text = until[len(shown) :] if place + 1 == len(ids) or not until.endswith(_GARBLED) else ""
            shown += text
            words.append(Word(text, logprob, tuple((self._text([other]), value) for other, value in others)))
        return words


def _ends(weights: Weights, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model's settings name."""
    found = {tokenizer.eos_token_id}
    for file in ("generation_config.json", "config.json"):
        named = (read_json(weights.folder / file) or {}).get("eos_token_id")
        found |= set(named) if isinstance(named, list) else {named}
    return frozenset(token for token in found if isinstance(token, int))


def _draw(logits: torch.Tensor, before: Sequence[int], sampling: Sampling, random: torch.Generator) -> int:
    import torch

    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(before)))
        logits = logits.clone()
        logits[seen] = torch.where(
            logits[seen] > 0, logits[seen] / sampling.repetition_penalty, logits[seen] * sampling.repetition_penalty
        )
    if sampling.temperature == 0:
        return int(logits.argmax())
    shares = (logits.double() / (sampling.temperature or 1.0)).softmax(0)
    if sampling.top_p < 1:
        ordered, places = shares.sort(descending=True)
        shares[places[ordered.cumsum(0) - ordered >= sampling.top_p]] = 0
    return int(torch.multinomial(shares, 1, generator=random))


def _told(logits: torch.Tensor, token: int, alternatives: int) -> tuple[float, list[tuple[int, float]]]:
    logs = logits.log_softmax(0)
    values, places = logs.topk(min(alternatives, len(logs)))
    return float(logs[token]), list(zip(places.tolist(), values.tolist(), strict=True))
