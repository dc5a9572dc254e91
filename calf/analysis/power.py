"""How large a dataset must be to separate two metrics, and the smallest difference that this one can show.

The paired variance comes from stored runs: how much the difference in accuracy moves from group to group. That the
comparisons of a group are right or wrong together is part of it, so a count of comparisons alone says little.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.row import ONE_GROUP

if TYPE_CHECKING:
    from calf.analysis.observations import Floats, Integers

__all__ = ["SMALLEST_PLANNED", "Power", "paired_power"]

SMALLEST_PLANNED = 1e-6
"""No plan is made for a difference below this."""

_NO_COMPARISON = "no comparison"
_NO_VARIANCE = "the difference is the same in every group"
# Values are rounded to 2^-32; a standard error that is not 0 is far larger, as a difference of one row is 1 / n.
_NOTHING = 2.0**-31


@dataclass(frozen=True, slots=True)
class Power:
    """What a comparison of two metrics on a dataset of this kind can show. What is undefined is None.

    Attributes:
        n, groups: the comparisons, and their groups.
        observed: the difference in accuracy, first metric minus second.
        standard_error: of `observed`, comparisons being dependent inside groups.
        design_effect: `standard_error` squared over what it would be if every comparison were a group of its own: by
            how much comparisons must be more to say as much as independent ones.
        smallest_difference: the true difference that is found with the wanted power here. Above 1 there is none.
        difference: what was asked for; without it, the next three are None.
        power: the probability that a two-sided test finds this true difference here, in the right direction.
        groups_needed: how many groups it takes to find it with the wanted power, at least 2.
        comparisons_needed: these groups' comparisons, at as many a group as here.
        undefined: why `standard_error` and all that follows from it are None, or "".
    """

    n: int
    groups: int
    observed: float | None = None
    standard_error: float | None = None
    design_effect: float | None = None
    smallest_difference: float | None = None
    difference: float | None = None
    power: float | None = None
    groups_needed: int | None = None
    comparisons_needed: int | None = None
    undefined: str = ""


def paired_power(
    right_a: Floats,
    right_b: Floats,
    group: Integers,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    difference: float | None = None,
) -> Power:
    """Plan a comparison of two metrics from the comparisons that both have judged.

    With D_g the sum of right_a - right_b over the N_g comparisons of group g, d = sum D_g / n, and G groups, the
    standard error is that of a ratio of two sums over groups, sqrt(G/(G-1) sum_g (D_g - N_g d)^2) / n (Cochran 1977,
    chapters 6 and 9; it is also the clustered error of a regression on a constant, Liang and Zeger 1986). It falls with
    the root of G. A true difference of (z_(1-alpha/2) + z_power) standard errors is found with probability `power`.

    The formulas are those of the normal distribution: below about 30 groups they promise too much. They take the
    variance to be the same at another difference. `difference` should be one that would matter, not `observed`: power
    at what was observed says no more than the p-value does (Hoenig and Heisey 2001).

    Args:
        right_a, right_b: how right each metric is, in [0, 1] (a mean over repeats may lie between), shape (n,). They
            are rounded to multiples of 2^-32, so that the order of the rows changes nothing.
        group: any integers, shape (n,).
        alpha: the level of the two-sided test.
        power: the wanted probability of finding a difference, above `alpha`.
        difference: the true difference in accuracy to plan for, from `SMALLEST_PLANNED` to 1; either metric ahead.

    Raises:
        ValueError: the shapes differ, or a value is outside of what is said above.
    """
    _check(right_a, right_b, group, alpha, power, difference)
    n = int(group.size)
    codes, place = np.unique(group, return_inverse=True)
    groups = int(codes.size)
    if not n:
        return Power(n, groups, difference=difference, undefined=_NO_COMPARISON)
    each = np.rint(np.ldexp(right_a, 32)) - np.rint(np.ldexp(right_b, 32))
    observed = float(each.sum()) / n
    size = np.bincount(place).astype(np.float64)
    apart = np.bincount(place, weights=each) - size * observed
    observed = float(np.ldexp(observed, -32))
    if groups == 1:
        return Power(n, groups, observed, difference=difference, undefined=ONE_GROUP)
    error = _standard_error(apart, n)
    if error <= _NOTHING:
        return Power(n, groups, observed, 0.0, difference=difference, undefined=_NO_VARIANCE)
    normal = NormalDist()
    critical = -normal.inv_cdf(alpha / 2.0)
    smallest = (critical + normal.inv_cdf(power)) * error
    reached = needed = comparisons = None
    if difference is not None:
        reached = normal.cdf(difference / error - critical)
        needed = max(2, ceil(groups * (smallest / difference) ** 2))
        comparisons = -(-needed * n // groups)
    naive = _standard_error(each - each.sum() / n, n)
    return Power(
        n=n,
        groups=groups,
        observed=observed,
        standard_error=error,
        design_effect=(error / naive) ** 2,
        smallest_difference=smallest,
        difference=difference,
        power=reached,
        groups_needed=needed,
        comparisons_needed=comparisons,
    )


def _standard_error(apart: Floats, n: int) -> float:
    """Of a mean over n comparisons, from what each group's sum is apart from its expectation, in units of 2^-32."""
    groups = apart.size
    return float(np.ldexp(np.sqrt(groups / (groups - 1) * np.sum(apart * apart)) / n, -32))


def _check(
    right_a: Floats, right_b: Floats, group: Integers, alpha: float, power: float, difference: float | None
) -> None:
    for name, right in (("right_a", right_a), ("right_b", right_b)):
        if right.shape != (group.size,):
            raise ValueError(f"{name} must have the shape ({group.size},)")
        if not ((right >= 0.0) & (right <= 1.0)).all():
            raise ValueError(f"{name} must be from 0 to 1")
    if not 0.0 < alpha < power < 1.0:
        raise ValueError("alpha and power must be between 0 and 1, and power above alpha")
    if difference is not None and not SMALLEST_PLANNED <= difference <= 1.0:
        raise ValueError(f"difference must be from {SMALLEST_PLANNED:f} to 1")
