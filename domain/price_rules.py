"""What a price may cost: pure rules of amounts, decimals, tiers and periods.

Each function yields every violation of what it looks at, under the path at which it stands in a
request. Rules are those of Stripe's API reference ("Create a price") and of "Supported currencies";
bounds that Stripe does not tell are ours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from domain.errors import FieldViolation
from domain.ids import ID_RULE, is_object_id
from domain.money import CURRENCIES, charge_step, largest_charge
from domain.prices import (
    CurrencyOption,
    CustomUnitAmount,
    Price,
    Recurrence,
    Tier,
    TransformQuantity,
)

MAX_TIERS: Final = 100
MAX_TRIAL_DAYS: Final = 730
MAX_DIVISOR: Final = 2**31 - 1

TIERS_MODES: Final = ("graduated", "volume")
TAX_BEHAVIORS: Final = ("exclusive", "inclusive", "unspecified")
ROUNDINGS: Final = ("up", "down")
USAGE_TYPES: Final = ("licensed", "metered")

LONGEST_PERIOD: Final = {"day": 1_095, "week": 156, "month": 36, "year": 3}
"""How many intervals make three years, the longest period that Stripe bills."""

_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,40})?", re.ASCII)
_PLACES: Final = 12
_NEGATIVE: Final = "must not be negative"


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """What a price costs, and how often: all of it that never changes, and its tax behaviour.

    Amounts are whole minor units of `currency`; decimals are text. `trial_period_days` is that of
    `recurring`. `tax_behavior` empty leaves it to the account's default.
    """

    currency: str = ""
    unit_amount: int | None = None
    unit_amount_decimal: str | None = None
    tiers_mode: str | None = None
    tiers: tuple[Tier, ...] = ()
    transform_quantity: TransformQuantity | None = None
    custom_unit_amount: CustomUnitAmount | None = None
    tax_behavior: str | None = None
    recurring: Recurrence | None = None
    trial_period_days: int | None = None
    currency_options: Mapping[str, CurrencyOption] = field(default_factory=dict)


def terms_of(price: Price) -> PriceTerms:
    """The terms of a price as a new one would be asked for: each amount is said once."""
    whole = price.unit_amount is not None
    return PriceTerms(
        currency=price.currency,
        unit_amount=price.unit_amount,
        unit_amount_decimal=None if whole else price.unit_amount_decimal,
        tiers_mode=price.tiers_mode,
        tiers=tuple(map(_tier_said_once, price.tiers)),
        transform_quantity=price.transform_quantity,
        custom_unit_amount=price.custom_unit_amount,
        tax_behavior=price.tax_behavior,
        recurring=price.recurring,
        trial_period_days=price.trial_period_days,
        currency_options={
            currency: _option_said_once(option)
            for currency, option in price.currency_options.items()
            if currency != price.currency
        },
    )


def terms_violations(terms: PriceTerms, path: str) -> Iterator[FieldViolation]:
    """Everything that is wrong with the terms of a new price."""
    yield from currency_violations(terms.currency, f"{path}currency")
    yield from _cost_violations(
        terms.currency,
        CurrencyOption(
            terms.unit_amount, terms.unit_amount_decimal, terms.tax_behavior,
            terms.custom_unit_amount, terms.tiers,
        ),
        path,
    )  # fmt: skip
    yield from _mode_violations(terms, path)
    yield from _quantity_violations(terms, path)
    yield from _period_violations(terms, f"{path}recurring")
    if terms.custom_unit_amount is not None and terms.recurring is not None:
        rule = "only of a price that is paid once"
        yield FieldViolation(f"{path}custom_unit_amount", rule)
    yield from options_violations(
        terms.currency, terms.currency_options, f"{path}currency_options", tiered=bool(terms.tiers)
    )


def options_violations(
    currency: str,
    options: Mapping[str, CurrencyOption],
    path: str,
    *,
    tiered: bool | None = None,
) -> Iterator[FieldViolation]:
    """What is wrong with the costs in other currencies; `tiered` None: nobody knows here."""
    for other, option in options.items():
        # What is no currency is not repeated.
        at = f"{path}[{other}]" if other in CURRENCIES else path
        place = f"{at}."
        if other == currency:
            yield FieldViolation(at, "is the currency of the price itself")
        elif other not in CURRENCIES:
            yield from currency_violations(other, at)
        if tiered is not None and tiered != bool(option.tiers):
            rule = "tiers, since the price has them" if tiered else "only where the price has them"
            yield FieldViolation(f"{place}tiers", rule)
        yield from _cost_violations(other, option, place)


def currency_violations(currency: str, path: str) -> Iterator[FieldViolation]:
    """A currency that Stripe presents charges in."""
    if not currency:
        yield FieldViolation(path, "is required")
    elif currency not in CURRENCIES:
        yield FieldViolation(path, "a currency that Stripe knows, lower-case ISO 4217, such as usd")


def amount_violations(amount: int | None, currency: str, path: str) -> Iterator[FieldViolation]:
    """A whole amount in minor units; None is none."""
    if amount is None:
        return
    if amount < 0:
        yield FieldViolation(path, _NEGATIVE)
    elif currency in CURRENCIES:
        if amount > largest_charge(currency):
            yield FieldViolation(path, f"at most {largest_charge(currency):,}")
        if amount % charge_step(currency):
            yield FieldViolation(path, _step_rule(currency))


def decimal_violations(text: str | None, currency: str, path: str) -> Iterator[FieldViolation]:
    """An exact decimal of minor units; None and empty are none.

    One without a fraction keeps to the currency's step, as a whole amount does.
    """
    if not text:
        return
    if not _DECIMAL.fullmatch(text):
        yield FieldViolation(path, "a decimal of minor units, such as 0.5")
    elif text.startswith("-"):
        yield FieldViolation(path, _NEGATIVE)
    elif len(text.partition(".")[2]) > _PLACES:
        yield FieldViolation(path, f"at most {_PLACES} decimals")
    elif currency in CURRENCIES:
        amount = Decimal(text)
        if amount > largest_charge(currency):
            yield FieldViolation(path, f"at most {largest_charge(currency):,}")
        if amount == amount.to_integral_value() and int(amount) % charge_step(currency):
            yield FieldViolation(path, _step_rule(currency))


def tiers_violations(tiers: Sequence[Tier], currency: str, path: str) -> Iterator[FieldViolation]:
    """Tiers in order, the last without an end, each with an amount: zero is one."""
    if len(tiers) > MAX_TIERS:
        yield FieldViolation(path, f"at most {MAX_TIERS}")
    below = 0
    for place, tier in enumerate(tiers[:MAX_TIERS]):
        at, last = f"{path}[{place}]", place == len(tiers) - 1
        if last and tier.up_to is not None:
            yield FieldViolation(f"{at}.up_to", "the last tier has no end: leave it out")
        elif not last and tier.up_to is None:
            yield FieldViolation(f"{at}.up_to", "only the last tier has no end")
        elif tier.up_to is not None and tier.up_to <= below:
            rule = "more than the tier before" if place else "at least 1"
            yield FieldViolation(f"{at}.up_to", rule)
        below = below if tier.up_to is None else max(below, tier.up_to)
        yield from _tier_violations(tier, currency, at)


def _cost_violations(currency: str, cost: CurrencyOption, path: str) -> Iterator[FieldViolation]:
    """What units cost in a currency: exactly one way to say so, and that one right."""
    ways = {
        "unit_amount": cost.unit_amount is not None,
        "unit_amount_decimal": bool(cost.unit_amount_decimal),
        "tiers": bool(cost.tiers),
        "custom_unit_amount": cost.custom_unit_amount is not None,
    }
    given = [name for name, is_given in ways.items() if is_given]
    if not given:
        rule = "one of unit_amount, unit_amount_decimal, tiers and custom_unit_amount is needed"
        yield FieldViolation(f"{path}unit_amount", rule)
    for name in given[1:]:
        yield FieldViolation(f"{path}{name}", f"not together with {given[0]}")
    yield from amount_violations(cost.unit_amount, currency, f"{path}unit_amount")
    decimal = f"{path}unit_amount_decimal"
    yield from decimal_violations(cost.unit_amount_decimal, currency, decimal)
    yield from tiers_violations(cost.tiers or (), currency, f"{path}tiers")
    yield from _custom_violations(cost.custom_unit_amount, currency, f"{path}custom_unit_amount")
    yield from tax_behavior_violations(cost.tax_behavior, f"{path}tax_behavior")


def tax_behavior_violations(tax_behavior: str | None, path: str) -> Iterator[FieldViolation]:
    """Whether tax is in the amount; None and empty: nobody says."""
    if tax_behavior and tax_behavior not in TAX_BEHAVIORS:
        yield FieldViolation(path, _one_of(TAX_BEHAVIORS))


def _tier_violations(tier: Tier, currency: str, path: str) -> Iterator[FieldViolation]:
    amounts = (
        tier.unit_amount, tier.unit_amount_decimal or None,
        tier.flat_amount, tier.flat_amount_decimal or None,
    )  # fmt: skip
    if all(amount is None for amount in amounts):
        yield FieldViolation(path, "an amount is needed; zero is one")
    for name in ("unit_amount", "flat_amount"):
        whole, decimal = getattr(tier, name), getattr(tier, f"{name}_decimal")
        if whole is not None and decimal:
            yield FieldViolation(f"{path}.{name}_decimal", f"not together with {name}")
        yield from amount_violations(whole, currency, f"{path}.{name}")
        yield from decimal_violations(decimal, currency, f"{path}.{name}_decimal")


def _custom_violations(
    custom: CustomUnitAmount | None, currency: str, path: str
) -> Iterator[FieldViolation]:
    if custom is None:
        return
    for name in ("minimum", "maximum", "preset"):
        yield from amount_violations(getattr(custom, name), currency, f"{path}.{name}")
    least, most = custom.minimum or 0, custom.maximum
    if most is not None and most < least:
        yield FieldViolation(f"{path}.maximum", "at least the minimum")
    if custom.preset is not None and (
        custom.preset < least or (most is not None and custom.preset > most)
    ):
        yield FieldViolation(f"{path}.preset", "from the minimum to the maximum")


def _mode_violations(terms: PriceTerms, path: str) -> Iterator[FieldViolation]:
    if terms.tiers and terms.tiers_mode not in TIERS_MODES:
        yield FieldViolation(f"{path}tiers_mode", _one_of(TIERS_MODES))
    if terms.tiers_mode and not terms.tiers:
        yield FieldViolation(f"{path}tiers_mode", "only with tiers")


def _quantity_violations(terms: PriceTerms, path: str) -> Iterator[FieldViolation]:
    transform = terms.transform_quantity
    if transform is None:
        return
    if terms.tiers:
        yield FieldViolation(f"{path}transform_quantity", "not together with tiers")
    if not 1 <= transform.divide_by <= MAX_DIVISOR:
        yield FieldViolation(f"{path}transform_quantity.divide_by", f"1 to {MAX_DIVISOR:,}")
    if transform.round not in ROUNDINGS:
        yield FieldViolation(f"{path}transform_quantity.round", _one_of(ROUNDINGS))


def _period_violations(terms: PriceTerms, path: str) -> Iterator[FieldViolation]:
    recurring = terms.recurring
    if recurring is None:
        return
    most = LONGEST_PERIOD.get(recurring.interval)
    if most is None:
        yield FieldViolation(f"{path}.interval", _one_of(tuple(LONGEST_PERIOD)))
    elif not 1 <= recurring.interval_count <= most:
        rule = f"1 to {most:,} of {recurring.interval}: three years at most"
        yield FieldViolation(f"{path}.interval_count", rule)
    if recurring.usage_type not in USAGE_TYPES:
        yield FieldViolation(f"{path}.usage_type", _one_of(USAGE_TYPES))
    metered = recurring.usage_type == "metered"
    if metered and not recurring.meter:
        yield FieldViolation(f"{path}.meter", "is required with metered")
    if recurring.meter and not metered:
        yield FieldViolation(f"{path}.meter", "only with metered")
    elif recurring.meter and not is_object_id(recurring.meter):
        yield FieldViolation(f"{path}.meter", f"the id of a meter: {ID_RULE}")
    days = terms.trial_period_days
    if days is not None and not 1 <= days <= MAX_TRIAL_DAYS:
        yield FieldViolation(f"{path}.trial_period_days", f"1 to {MAX_TRIAL_DAYS}")


def _tier_said_once(tier: Tier) -> Tier:
    return Tier(
        tier.up_to,
        tier.flat_amount,
        None if tier.flat_amount is not None else tier.flat_amount_decimal,
        tier.unit_amount,
        None if tier.unit_amount is not None else tier.unit_amount_decimal,
    )


def _option_said_once(option: CurrencyOption) -> CurrencyOption:
    return CurrencyOption(
        option.unit_amount,
        None if option.unit_amount is not None else option.unit_amount_decimal,
        option.tax_behavior,
        option.custom_unit_amount,
        None if option.tiers is None else tuple(map(_tier_said_once, option.tiers)),
    )


def _step_rule(currency: str) -> str:
    return f"a multiple of {charge_step(currency)}, as Stripe takes {currency}"


def _one_of(choices: Sequence[str]) -> str:
    return f"one of: {', '.join(choices)}"
