"""GPTScore: how likely a causal model makes a response that follows a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError
from calf.metrics.gptscore_prompt import Template
from calf.metrics.likelihood import TOO_LONG, LikelihoodMetric, Outcome, scored
from calf.models.causal import Causal, window_of
from calf.models.find import find_weights
from calf.models.gguf import PACKAGED_GGUF, find_gguf, packaged_gguf
from calf.models.gguf_weights import gguf_weights
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calf.metrics.base import Response
    from calf.models.folder import Weights

__all__ = ["GptScore"]

_DEFAULT = "smollm2"


class GptScore(LikelihoodMetric[Causal]):
    """GPTScore (Fu et al. 2023, arXiv 2302.04166, equation 1), equal weights: nats per token, 0 at most.

    The score is the mean, over the response's tokens, of log p(token | prompt, the tokens before it); the token that
    would end the response does not count. The prompt holds the task, the question, and the context and the reference
    where there are any; another aspect is another template, without code.

    Prompt and response are turned into tokens apart from each other, so that no token has part of both; the response
    begins a line. What looks like a special token in a text is text. Where prompt and response together are longer than
    the model's window, tokens are taken from the beginning of the context, then of the reference, then from the end of
    the response.

    Args:
        prompt_en, prompt_zh: the prompt templates (`calf.metrics.gptscore_prompt`), with `${question}` and perhaps
            `${context}` and `${reference}`; the Chinese one is for language "zh", the English one for all others.
        model: "auto" is the packaged SmolLM2-135M-Instruct, for English (it splits two thirds of all Chinese characters
            into bytes); `smollm2` is the same for all languages; else a hub id or the folder of any causal model.
        gguf: a GGUF file instead; it is unpacked once into the user's cache.
        chat: whether the prompt is the user's message in the tokenizer's chat template, and the response the answer.
        long, device, half, trust_remote_code: see `LikelihoodMetric`.
    """

    name = "gptscore"
    packages = ("torch", "transformers", "gguf", "accelerate")

    def __init__(
        self,
        prompt_en: str,
        prompt_zh: str,
        model: str = "auto",
        gguf: str | None = None,
        chat: bool = False,
        long: Literal["truncate", "fail"] = "truncate",
        device: str = "auto",
        half: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(model, long, device, half, trust_remote_code)
        if gguf is not None and model != "auto":
            raise OptionError(f"gguf={gguf} and model={model}: give one of them")
        self.gguf = gguf
        self.chat = chat
        self._english = Template.load(prompt_en, "prompt_en")
        self._chinese = Template.load(prompt_zh, "prompt_zh")

    @property
    def for_all_languages(self) -> bool:
        """Whether the user chose the model."""
        return self.gguf is not None or super().for_all_languages

    def find(self) -> Weights:
        """The model on disk."""
        if self.gguf is not None:
            return gguf_weights(find_gguf(self.gguf))
        code = self.trust_remote_code
        name = self.model if self.for_all_languages else _DEFAULT
        return gguf_weights(packaged_gguf(name)) if name in PACKAGED_GGUF else find_weights(name, code=code)

    def load(self, weights: Weights, device: str) -> Causal:
        """The model, ready to score."""
        return Causal(weights, device, half=self.half, code=self.trust_remote_code, chat=self.chat)

    def window(self, weights: Weights) -> str:
        """The model's window."""
        return str(window_of(weights))

    def tokenizer(self, model: Causal) -> Any:
        """The model's tokenizer."""
        return model.tokenizer

    def run_on(self, model: Causal) -> str:
        """The device that the model is on."""
        return model.device

    def work(self, model: Causal, group: Sequence[Response]) -> Callable[[], list[Outcome]]:
        """The prompt and the responses as tokens, and what is to be run with them."""
        filled = self._template(group[0].language).fill(group[0])
        prompt = model.prompt(filled.text, filled.spans)
        outcomes: dict[int, Outcome] = {}
        overs: dict[int, int] = {}
        by_prompt: dict[tuple[int, ...], dict[int, list[int]]] = {}
        for place, item in enumerate(group):
            response = model.response(item.response.strip())
            over = max(0, len(prompt.ids) + len(response) - model.window)
            shortened = prompt.without(over) if over else prompt
            room = model.window - len(shortened.ids)
            if not response:
                outcomes[place] = Failure("no_tokens", "the response has no tokens")
            elif room < 1:
                problem = f"{over} tokens beyond the window of {model.window}: nothing of the response is left"
                outcomes[place] = Failure(TOO_LONG, problem)
            else:
                overs[place] = over
                by_prompt.setdefault(shortened.ids, {})[place] = response[:room]

        def run() -> list[Outcome]:
            for ids, responses in by_prompt.items():
                values = model.log_likelihoods(ids, list(responses.values()))
                outcomes.update((place, scored(v, overs[place])) for place, v in zip(responses, values, strict=True))
            return [outcomes[place] for place in range(len(group))]

        return run

    def over(self, model: Causal, item: Response) -> int:
        """Of prompt and response together."""
        filled = self._template(item.language).fill(item)
        response = model.response(item.response.strip())
        return max(0, len(model.prompt(filled.text).ids) + len(response) - model.window)

    def _template(self, language: str) -> Template:
        return self._chinese if language.lower().partition("-")[0] == "zh" else self._english
