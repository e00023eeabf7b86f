"""Prices and subscribers as commands tell them."""

from decimal import Decimal

from billing_client.v1 import catalog_service_pb2 as pb

from domain.money import CURRENCIES, Money, exponent


def cost_in_words(price: pb.Price) -> str:
    """What a price costs, and how often: `9.00 USD a month`, `0.005 USD a year`, `in 3 tiers`."""
    return f"{_amount(price)}{_period(price)}"


def counts_in_words(counts: pb.SubscriberCounts) -> str:
    """How many subscribe: `12`, `12, 1 past due`, `12, 3 trialing`; more than were counted: `+`."""
    parts = [f"{counts.active:,}"]
    if counts.past_due:
        parts.append(f"{counts.past_due:,} past due")
    if counts.trialing:
        parts.append(f"{counts.trialing:,} trialing")
    return ", ".join(parts) + ("+" if counts.more else "")


def _amount(price: pb.Price) -> str:
    if price.HasField("custom_unit_amount"):
        return f"as the customer likes, in {price.currency.upper()}"
    if price.billing_scheme == "tiered":
        return f"in {len(price.tiers)} tiers" if price.tiers else "in tiers"
    if price.HasField("unit_amount"):
        return Money(price.unit_amount, price.currency).formatted() + _package(price)
    return _exact(price.unit_amount_decimal, price.currency) + _package(price)


def _exact(minor: str, currency: str) -> str:
    """An exact decimal of minor units, in major ones."""
    if currency not in CURRENCIES:
        return f"{minor} {currency.upper()} (minor units)"
    return f"{Decimal(minor or 0).scaleb(-exponent(currency)):,f} {currency.upper()}"


def _package(price: pb.Price) -> str:
    if not price.HasField("transform_quantity"):
        return ""
    return f" for {price.transform_quantity.divide_by:,}"


def _period(price: pb.Price) -> str:
    if not price.HasField("recurring"):
        return ""
    recurring = price.recurring
    used = " by usage" if recurring.usage_type == "metered" else ""
    if recurring.interval_count == 1:
        return f" a {recurring.interval}{used}"
    return f" every {recurring.interval_count:,} {recurring.interval}s{used}"
