"""A scalar reward model: how good an answer is to a question, as one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.errors import OptionError
from calf.models.causal import window_of
from calf.models.chat import chat_ids
from calf.models.likelihood import load_model, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.models.folder import Weights

__all__ = ["RewardModel"]


class RewardModel:
    """A model with a head of one number (sequence classification with one label), over a chat template.

    Args:
        weights: where it is.
        device: "cpu", "cuda", "cuda:1", ...
        half: bfloat16 instead of float32.
        code: whether the model's own code may run.

    Attributes:
        device: as given.
        tokenizer: the model's.
        window: tokens that question and answer may have together.

    Raises:
        OptionError: the head has more or less than one number, or the tokenizer has no chat template.
        UserError: see `calf.models.likelihood.load_model`; a model without such a head lacks weights.
    """

    def __init__(self, weights: Weights, device: str, *, half: bool = False, code: bool = False) -> None:
        self.device = device
        self.tokenizer = load_tokenizer(weights, code=code)
        self.window = window_of(weights)
        self._name = weights.name
        self.ids("?", "!")  # a tokenizer without a chat template is an error now
        self._model: Any = load_model(weights, "classifier", device, half=half, code=code)
        if self._model.config.num_labels != 1:
            raise OptionError(
                f"model {weights.name!r} has a head of {self._model.config.num_labels} numbers; a reward model has one"
            )

    def ids(self, question: str, answer: str) -> list[int]:
        """The tokens of a conversation of two: a question and its answer."""
        return chat_ids(self.tokenizer, [("user", question), ("assistant", answer)], self._name, answer=False)

    def reward(self, ids: Sequence[int]) -> float:
        """The number that the head gives the conversation; alone, so that nothing beside it changes it."""
        import torch

        with torch.inference_mode():
            output = self._model(input_ids=torch.tensor([list(ids)], device=self.device))
        return float(output.logits[0, 0].double())
