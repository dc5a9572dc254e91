"""What a model's tokens cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.errors import UserError

if TYPE_CHECKING:
    from calf.engine.request import Usage

__all__ = ["Prices"]


@dataclass(frozen=True, slots=True)
class Prices:
    """The dated prices of a model.

    Attributes:
        input: of `per` tokens of the prompt.
        output: of `per` tokens of the answer, its hidden reasoning included.
        cached_input: of `per` tokens of the prompt that the server had in its cache; None: as `input`.
        currency: ISO 4217 code.
        per: how many tokens the prices are for.
        date: when the prices were looked up, YYYY-MM-DD.
        source: where.

    Raises:
        UserError: a price below 0.
    """

    input: float
    output: float
    cached_input: float | None = None
    currency: str = "USD"
    per: int = 1_000_000
    date: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for name, value in (("input", self.input), ("output", self.output), ("cached_input", self.cached_input)):
            if value is not None and not 0 <= value < float("inf"):
                raise UserError(f"price {name} must be 0 or more, not {value}")
        if self.per < 1:
            raise UserError(f"prices are per 1 token or more, not {self.per}")

    def cost(self, usage: Usage) -> float:
        """What these tokens cost, in `currency`. Cached tokens are part of `usage.input`."""
        cached = min(usage.cached_input, usage.input)
        cached_price = self.input if self.cached_input is None else self.cached_input
        return ((usage.input - cached) * self.input + cached * cached_price + usage.output * self.output) / self.per

    def bound(self, input_tokens: int, output_tokens: int) -> float:
        """The most that a request of at most these tokens can cost."""
        return (input_tokens * max(self.input, self.cached_input or 0.0) + output_tokens * self.output) / self.per
