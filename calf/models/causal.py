"""How likely a causal model makes a text that follows a prompt."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.errors import OptionError, UserError
from calf.models.chat import DATE, SAME_DATE
from calf.models.folder import read_config
from calf.models.likelihood import load_model, load_tokenizer, log_probabilities, plain_ids
from calf.models.quiet import reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.models.folder import Weights

__all__ = ["Causal", "PromptTokens", "blocks", "window_of"]

_BLOCK = 512  # tokens run at once: bounds the memory that logits over a large vocabulary take
_DEFAULT_WINDOW = 2048  # of models without a limit of their own (BLOOM): what they were trained with
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
_PLACE = "CALFxTEXTxHERE"  # stands for the prompt while a chat template is filled


def window_of(weights: Weights) -> int:
    """How many tokens the model takes at once, prompt and response together; 2,048 where nothing limits it.

    Raises:
        DataError: `config.json` cannot be read.
    """
    config = read_config(weights.folder)
    config = {**config, **(config.get("text_config") or {})}  # of models that also see
    stated = (config.get(key) for key in _POSITIONS)
    return next((int(limit) for limit in stated if isinstance(limit, int) and limit > 0), _DEFAULT_WINDOW)


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """A prompt as tokens.

    Attributes:
        ids: all of them.
        spans: the parts, (first, end), from whose beginnings tokens may be taken out, in this order.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]

    def without(self, count: int) -> PromptTokens:
        """With so many tokens less, or as many as can be taken out."""
        ids, cut = list(self.ids), []
        for first, end in self.spans:
            taken = min(count, end - first)
            count -= taken
            cut.append((first, first + taken))
        for first, end in sorted(cut, reverse=True):
            del ids[first:end]
        return PromptTokens(tuple(ids), ())


class Causal:
    """A causal model that scores texts.

    Args:
        weights: where it is.
        device: "cpu", "cuda", "cuda:1", ...
        half: bfloat16 instead of float32.
        code: whether the model's own code may run.
        chat: whether prompts are put into the tokenizer's chat template, as the user's message.

    Attributes:
        device: as given.
        tokenizer: the model's.
        window: tokens that a prompt and its response may have together.

    Raises:
        OptionError: the tokenizer has no chat template, or one that does not hand through the user's message; or it
            does not say which characters a token is of; or the model keeps nothing of the tokens before.
        UserError: see `calf.models.likelihood.load_model`.
    """

    def __init__(
        self, weights: Weights, device: str, *, half: bool = False, code: bool = False, chat: bool = False
    ) -> None:
        self.device = device
        self.tokenizer = load_tokenizer(weights, code=code)
        if not self.tokenizer.is_fast:
            raise OptionError(f"model {weights.name!r}: its tokenizer does not say where its tokens stand in a text")
        self.window = window_of(weights)
        before, after = self._chat_parts(weights.name) if chat else ("", "\n")
        self._before = self._template_ids(before) if chat else self._beginning()
        self._after = self._template_ids(after) if chat else ()
        self._text_end = "" if chat else after
        self._ends_a_line = (after or before).endswith("\n")
        self._model: Any = load_model(weights, "causal", device, half=half, code=code)
        accepted = inspect.signature(self._model.forward).parameters
        if "past_key_values" not in accepted:
            raise OptionError(f"model {weights.name!r} keeps no keys and values, which gptscore needs")
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}

    def prompt(self, text: str, spans: Sequence[tuple[int, int]] = ()) -> PromptTokens:
        """The tokens of a prompt, with what the tokenizer puts before a text, or the chat template around it.

        Args:
            text: the prompt; without a chat template a line break follows it.
            spans: parts, (first character, end), from whose beginnings tokens may be taken out, in this order.
        """
        found = self.tokenizer(
            text + self._text_end, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        at = len(self._before)
        inside = []
        for first, end in spans:
            # Only tokens that stand wholly in the part: none that its neighbours share.
            within = [at + i for i, (a, b) in enumerate(found["offset_mapping"]) if first <= a < b <= end]
            inside.append((within[0], within[-1] + 1) if within else (at, at))
        return PromptTokens((*self._before, *found["input_ids"], *self._after), tuple(inside))

    def response(self, text: str) -> list[int]:
        """The tokens of a response; [] if it has none.

        They are those that the text has after a line break, where the tokenizer leaves the line break alone: some
        put a space before any text, which does not belong here. Prompt and response are never tokenised together, so
        no token has part of both.
        """
        ids = plain_ids(self.tokenizer, text, add_special_tokens=False)
        if not ids or not self._ends_a_line:
            return ids
        line_break = plain_ids(self.tokenizer, "\n", add_special_tokens=False)
        both = plain_ids(self.tokenizer, f"\n{text}", add_special_tokens=False)
        size = len(line_break)
        return both[size:] if len(both) > size and both[:size] == line_break else ids

    def log_likelihoods(self, prompt: Sequence[int], responses: Sequence[Sequence[int]]) -> list[float]:
        """For each response the mean, over its tokens, of log p(token | prompt, the tokens before it), in nats.

        The prompt is run once, whether for one response or several, then each response after it; so what stands
        beside a response does not change its value.

        Args:
            prompt: one token or more.
            responses: one token or more each.
        """
        import torch

        with torch.inference_mode():
            kept = None
            for block in blocks(prompt[:-1]):
                kept = self._run(block, kept, **self._last_only).past_key_values
            return [self._mean(prompt[-1], response, copy.deepcopy(kept)) for response in responses]

    def _mean(self, last: int, response: Sequence[int], kept: Any) -> float:
        total = 0.0
        inputs = [last, *response[:-1]]
        for block, chosen in zip(blocks(inputs), blocks(response), strict=True):
            output = self._run(block, kept)
            kept = output.past_key_values
            total += log_probabilities(output.logits[0], chosen)
        return total / len(response)

    def _run(self, ids: Sequence[int], kept: Any, **options: Any) -> Any:
        import torch

        inputs = torch.tensor([ids], device=self.device)
        return self._model(input_ids=inputs, past_key_values=kept, use_cache=True, **options)

    def _beginning(self) -> tuple[int, ...]:
        """What the tokenizer puts before any text: a token that begins it, or nothing."""
        first = self.tokenizer.bos_token_id
        return (first,) if first is not None and self.tokenizer("")["input_ids"][:1] == [first] else ()

    def _chat_parts(self, name: str) -> tuple[str, str]:
        """What the chat template puts before and after the user's message, up to where the answer begins."""
        if not self.tokenizer.chat_template:
            raise OptionError(f"model {name!r}: its tokenizer has no chat template; leave out chat=true")
        try:
            filled = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": _PLACE}],
                chat_template=SAME_DATE + self.tokenizer.get_chat_template(),
                tokenize=False,
                add_generation_prompt=True,
                date_string=DATE,
            )
        except Exception as error:  # a template is a program
            raise UserError(f"model {name!r}: its chat template fails: {reason(error)}") from error
        before, found, after = filled.partition(_PLACE)
        if not found or _PLACE in after:
            raise UserError(f"model {name!r}: its chat template does not show the user's message once")
        return before, after

    def _template_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of a part of the chat template, special ones as such."""
        return tuple(self.tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"])


def blocks(ids: Sequence[int]) -> list[Sequence[int]]:
    """The tokens in parts that are small enough to be run at once."""
    return [ids[at : at + _BLOCK] for at in range(0, len(ids), _BLOCK)]
