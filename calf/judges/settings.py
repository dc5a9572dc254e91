"""The options of judges that are tables: TOML in a definition, JSON on the command line."""

from __future__ import annotations

import json
from typing import Any

from calf.engine.prices import Prices
from calf.errors import OptionError

__all__ = ["read_prices", "read_table"]


def read_table(option: str, value: dict[str, Any] | str | None) -> dict[str, Any] | None:
    """An option that is a table, or JSON of one.

    Raises:
        OptionError: it is neither.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise OptionError(f"{option} is not JSON; write it like {option}='{{\"name\": 1}}'") from None
        if not isinstance(value, dict):
            raise OptionError(f"{option} must be a JSON object, like {option}='{{\"name\": 1}}'")
    return value


def read_prices(value: dict[str, Any] | str | None) -> Prices | None:
    """The prices of a model, None if there are none.

    Raises:
        OptionError: a price is missing, is no number, or has an unknown name.
        UserError: a price is below 0.
    """
    table = read_table("prices", value)
    if table is None:
        return None
    try:
        return Prices(**table)
    except TypeError:
        known = ", ".join(Prices.__dataclass_fields__)
        raise OptionError(f"prices: needs the numbers input and output; known: {known}") from None
