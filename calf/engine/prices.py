"""What a model's tokens cost, and what a request may."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.errors import UserError

if TYPE_CHECKING:
    from calf.engine.request import Usage
    from calf.engine.server import Server

__all__ = ["Prices", "check_prices", "count", "most_tokens"]

_OVERHEAD = 64  # tokens that a chat template may add to a conversation
_MESSAGE_OVERHEAD = 16  # and to each message


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


def check_prices(server: Server, max_cost: float | None) -> None:
    """That a limit of cost can be kept.

    Raises:
        UserError: there is one, and no prices.
    """
    if max_cost is not None and server.prices is None:
        raise UserError(
            f"--max-cost needs prices, and none are known for model {server.model!r}; "
            'give them as -o prices=\'{"input": 1, "output": 4}\' (per million tokens), or use --max-requests'
        )


def count(spent: dict[str, float], usage: Usage, charge: float, *, good: bool, billed: bool, priced: bool) -> None:
    """Add the tokens and the cost of one sending.

    Args:
        charge: what it costs if the usage is known, else the most that it can.
        good: whether an answer came. Its cost must be known, or the sum is not.
        billed: whether a sending without an answer may have to be paid; it is counted as `unsure`.
        priced: whether there are prices.
    """
    if usage.known:
        for name, value in (
            ("input_tokens", usage.input),
            ("cached_input_tokens", usage.cached_input),
            ("output_tokens", usage.output),
        ):
            spent[name] = spent.get(name, 0) + value
    if charge:
        spent["charged"] = spent.get("charged", 0.0) + charge
    if not priced or (good and not usage.known):
        spent.pop("cost", None)
    elif usage.known and "cost" in spent:
        spent["cost"] += charge
    if not good and billed and not usage.known:
        spent["unsure"] = spent.get("unsure", 0) + 1


def most_tokens(body: dict[str, Any]) -> int:
    """More tokens than a prompt can have: no byte-level vocabulary makes more than one token of a byte."""
    rest = {name: value for name, value in body.items() if name != "messages"}
    texts = sum(len(message["content"].encode("utf-8", "replace")) + _MESSAGE_OVERHEAD for message in body["messages"])
    return texts + len(json.dumps(rest, default=str)) + _OVERHEAD
