"""BARTScore: how likely an encoder-decoder makes one text that follows from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from calf.errors import OptionError
from calf.metrics.likelihood import LikelihoodMetric, Outcome, scored
from calf.models.find import find_weights
from calf.models.seq2seq import Seq2Seq, windows_of
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calf.metrics.base import Response
    from calf.models.folder import Weights

__all__ = ["BartScore"]

_DEFAULT = "facebook/bart-large-cnn"  # the authors' default
_DIRECTIONS = ("f", "precision", "recall", "faithfulness")


class BartScore(LikelihoodMetric[Seq2Seq]):
    """BARTScore (Yuan et al. 2021, arXiv 2106.11520, equation 2), all weights 1: nats per token, 0 at most.

    The score is the mean, over the tokens of the target text, of log p(token | the tokens before it, source text). As
    in the authors' code the tokens that the tokenizer puts around the target count, too (BART: its beginning and its
    end; T5: its end), padding never does, and a text that is longer than the window loses its end. Unlike there, texts
    are stripped, and what looks like a special token in a text is text (`calf.models.likelihood.plain_ids`).

    Args:
        model: "auto" is facebook/bart-large-cnn, the authors' default, for English; else a hub id or the folder of any
            encoder-decoder (BART, T5, mBART, LED, ...). No package carries one.
        direction: what makes what likely. precision: the reference the response; recall: the response the reference;
            f: the mean of both; faithfulness: the question and, on the next line, the context the response (it needs no
            reference).
        long, device, half, trust_remote_code: see `LikelihoodMetric`.
    """

    name = "bartscore"

    def __init__(
        self,
        model: str = "auto",
        direction: Literal["f", "precision", "recall", "faithfulness"] = "f",
        long: Literal["truncate", "fail"] = "truncate",
        device: str = "auto",
        half: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(model, long, device, half, trust_remote_code)
        if direction not in _DIRECTIONS:
            raise OptionError(f"direction {direction!r}: give one of {', '.join(_DIRECTIONS)}")
        self.direction = direction

    def find(self) -> Weights:
        """The model on disk."""
        return find_weights(self.model if self.for_all_languages else _DEFAULT, code=self.trust_remote_code)

    def load(self, weights: Weights, device: str) -> Seq2Seq:
        """The model, ready to score."""
        return Seq2Seq(weights, device, half=self.half, code=self.trust_remote_code)

    def window(self, weights: Weights) -> str:
        """The encoder's and the decoder's window, if they differ."""
        return "/".join(map(str, dict.fromkeys(windows_of(weights))))

    def tokenizer(self, model: Seq2Seq) -> Any:
        """The model's tokenizer."""
        return model.tokenizer

    def run_on(self, model: Seq2Seq) -> str:
        """The device that the model is on."""
        return model.device

    def work(self, model: Seq2Seq, group: Sequence[Response]) -> Callable[[], list[Outcome]]:
        """Both texts of each response as tokens, and what is to be run with them."""
        base = self._base(group[0])
        if not base:
            failure = Failure("no_reference", "the reference is blank")
            return lambda: [failure] * len(group)
        forward, backward = self._ways
        source, target = model.source(base)[0], model.target(base)[0]
        if not source:
            failure = Failure("no_tokens", "the tokenizer leaves nothing of the reference")
            return lambda: [failure] * len(group)
        outcomes: list[Outcome | None] = []
        targets, sources, overs = [], [], []
        for item in group:
            text = item.response.strip()
            as_target, as_source = model.target(text)[0], model.source(text)[0]
            if not as_target:
                outcomes.append(Failure("no_tokens", "the response has no tokens"))
                continue
            outcomes.append(None)
            targets.append(as_target)
            sources.append(as_source)
            overs.append(self.over(model, item))

        def run() -> list[Outcome]:
            parts = []
            if forward and targets:
                parts.append(model.log_likelihoods(source, targets))
            if backward:
                parts.append([model.log_likelihoods(ids, [target])[0] for ids in sources])
            values = (sum(column) / len(column) for column in zip(*parts, strict=True))
            scores = map(scored, values, overs)
            return [next(scores) if outcome is None else outcome for outcome in outcomes]

        return run

    def over(self, model: Seq2Seq, item: Response) -> int:
        """Of each text once, where its window is the smaller."""
        forward, backward = self._ways
        base, response = self._base(item), item.response.strip()
        return max(model.source(base)[1] * forward, model.target(base)[1] * backward) + max(
            model.target(response)[1] * forward, model.source(response)[1] * backward
        )

    @property
    def _ways(self) -> tuple[bool, bool]:
        """Whether the response is a target, and whether it is a source."""
        return self.direction != "recall", self.direction in ("recall", "f")

    def _base(self, item: Response) -> str:
        """What the response is compared with."""
        if self.direction == "faithfulness":
            return f"{item.question.strip()}\n{item.context.strip()}".strip()
        return (item.reference or "").strip()
