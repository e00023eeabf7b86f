"""Recurring prices: what a quantity costs at one billing, and how many billings a month has.

Amounts are exact fractions of minor units; nobody rounds here.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from domain.prices import TIERED, Recurrence, Tier, TransformQuantity

METERED: Final = "metered"
"""The usage type of a price that nobody knows the quantity of beforehand."""

_A_MONTH: Final = {
    "day": Fraction(365, 12),
    "week": Fraction(52, 12),
    "month": Fraction(1),
    "year": Fraction(1, 12),
}
"""How many of an interval a month has: a year has 365 days and 52 weeks."""


def billings_a_month(recurrence: Recurrence) -> Fraction | None:
    """How often a month something recurs. None for an interval that this release does not know."""
    billings = _A_MONTH.get(recurrence.interval)
    if billings is None or recurrence.interval_count < 1:
        return None
    return billings / recurrence.interval_count


def cost_of(
    quantity: int,
    *,
    unit_amount: int | None,
    unit_amount_decimal: str | None,
    billing_scheme: str | None,
    tiers_mode: str | None,
    tiers: Sequence[Tier] | None,
    transform_quantity: TransformQuantity | None,
) -> Fraction | None:
    """What a quantity costs at one billing, in minor units. None where nobody has told its price.

    Packages divide the quantity first and round it up or down. Volume prices all units as the tier
    that the quantity reaches, graduated each unit as its own tier ("Tiered pricing" of Stripe).
    """
    if transform_quantity is not None:
        quantity = _packages(quantity, transform_quantity)
    if billing_scheme == TIERED:
        return _tiered(quantity, tiers_mode, tiers) if tiers else None
    unit = _amount(unit_amount, unit_amount_decimal)
    return None if unit is None else unit * quantity


def _packages(quantity: int, transform: TransformQuantity) -> int:
    whole, rest = divmod(quantity, transform.divide_by)
    return whole + (1 if rest and transform.round == "up" else 0)


def _tiered(quantity: int, mode: str | None, tiers: Sequence[Tier]) -> Fraction | None:
    ordered = sorted(tiers, key=lambda tier: (tier.up_to is None, tier.up_to or 0))
    if mode == "volume":
        reached = next((t for t in ordered if t.up_to is None or quantity <= t.up_to), None)
        return None if reached is None else _of_tier(reached, quantity)
    if mode != "graduated":
        return None
    cost, below = Fraction(0), 0
    for tier in ordered:
        within = quantity - below if tier.up_to is None else min(quantity, tier.up_to) - below
        if within > 0 or below == 0:  # the first tier's flat amount is due for no unit, too
            cost += _of_tier(tier, max(0, within))
        if tier.up_to is None or quantity <= tier.up_to:
            return cost
        below = tier.up_to
    return None


def _of_tier(tier: Tier, units: int) -> Fraction:
    flat = _amount(tier.flat_amount, tier.flat_amount_decimal) or Fraction(0)
    unit = _amount(tier.unit_amount, tier.unit_amount_decimal) or Fraction(0)
    return flat + unit * units


def _amount(whole: int | None, decimal: str | None) -> Fraction | None:
    """Stripe's exact decimal where it is told, else the whole minor units."""
    if decimal:
        return Fraction(decimal)
    return None if whole is None else Fraction(whole)
