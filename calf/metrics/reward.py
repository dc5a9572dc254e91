"""Scalar reward models (Skywork-Reward and its like) as a response metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.metrics.likelihood import TOO_LONG, LikelihoodMetric, Outcome
from calf.models.causal import window_of
from calf.models.find import find_weights
from calf.models.reward import RewardModel
from calf.types import Failure, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calf.metrics.base import Response
    from calf.models.folder import Weights

__all__ = ["Reward"]


class Reward(LikelihoodMetric[RewardModel]):
    """The score that a reward model by sequence classification gives a response; any real number, higher is better.

    As the cards of Skywork-Reward (Liu et al. 2024, arXiv 2410.18451) and Skywork-Reward-V2 (arXiv 2507.01352) say:
    the question (after the context, where there is one) and the response are a conversation in the tokenizer's chat
    template, and the score is the only number of the model's head at its last token. The reference is not used.

    Args:
        model: a hub id or the folder of a model with a head of one number and a chat template.
        device, half, trust_remote_code: see `LikelihoodMetric`.

    A response with which the conversation is longer than the model's window is a failure of kind `too_long`.
    """

    name = "reward"
    family = "trained"

    def __init__(self, model: str, device: str = "auto", half: bool = False, trust_remote_code: bool = False) -> None:
        super().__init__(model, device=device, half=half, trust_remote_code=trust_remote_code)

    @property
    def for_all_languages(self) -> bool:
        """The user chose the model."""
        return True

    def find(self) -> Weights:
        """The model on disk."""
        return find_weights(self.model, code=self.trust_remote_code)

    def load(self, weights: Weights, device: str) -> RewardModel:
        """The model, ready to score."""
        return RewardModel(weights, device, half=self.half, code=self.trust_remote_code)

    def window(self, weights: Weights) -> str:
        """The model's window."""
        return str(window_of(weights))

    def tokenizer(self, model: RewardModel) -> Any:
        """The model's tokenizer."""
        return model.tokenizer

    def run_on(self, model: RewardModel) -> str:
        """The device that the model is on."""
        return model.device

    def work(self, model: RewardModel, group: Sequence[Response]) -> Callable[[], list[Outcome]]:
        """The conversations as tokens, and what is to be run with them."""
        conversations = [_ids(model, item) for item in group]

        def run() -> list[Outcome]:
            return [_outcome(model, ids) for ids in conversations]

        return run

    def over(self, model: RewardModel, item: Response) -> int:
        """Of the whole conversation."""
        return max(0, len(_ids(model, item)) - model.window)


def _ids(model: RewardModel, item: Response) -> list[int]:
    question = f"{item.context}\n\n{item.question}" if item.context.strip() else item.question
    return model.ids(question, item.response)


def _outcome(model: RewardModel, ids: Sequence[int]) -> Outcome:
    if len(ids) > model.window:
        return Failure(TOO_LONG, f"question and response have {len(ids)} tokens, the model's window {model.window}")
    return Score(model.reward(ids))
