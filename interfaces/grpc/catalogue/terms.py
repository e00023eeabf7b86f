"""What prices cost: their terms, in messages and out of them."""

from collections.abc import Iterable, Mapping

from billing_client.v1 import catalog_service_pb2 as pb

from domain.price_rules import PriceTerms
from domain.prices import (
    CurrencyOption,
    CustomUnitAmount,
    Price,
    Recurrence,
    Tier,
    TransformQuantity,
)
from interfaces.grpc.core.metadata import callers_own
from interfaces.grpc.core.timestamps import timestamp_message


def price_message(price: Price, unknown: frozenset[str] = frozenset()) -> pb.Price:
    """A price; `unknown` are the names of its fields that nobody has read yet."""
    return pb.Price(
        id=price.id,
        create_time=timestamp_message(price.created),
        product=price.product,
        currency=price.currency,
        active=price.active,
        type=price.type,
        unit_amount=price.unit_amount,
        unit_amount_decimal=price.unit_amount_decimal or "",
        billing_scheme=price.billing_scheme or "",
        tiers_mode=price.tiers_mode or "",
        tiers=map(_tier_message, price.tiers),
        tiers_unknown=price.tiered and "tiers" in unknown,
        transform_quantity=_transform_message(price.transform_quantity),
        custom_unit_amount=_custom_message(price.custom_unit_amount),
        tax_behavior=price.tax_behavior or "",
        recurring=_recurrence_message(price),
        currency_options={
            currency: _option_message(option) for currency, option in price.currency_options.items()
        },
        currency_options_unknown="currency_options" in unknown,
        nickname=price.nickname or "",
        lookup_key=price.lookup_key or "",
        metadata=callers_own(price.metadata),
    )


def read_terms(price: pb.NewPrice) -> PriceTerms:
    """What a new price is to cost."""
    recurring = price.recurring if price.HasField("recurring") else None
    return PriceTerms(
        currency=price.currency,
        unit_amount=price.unit_amount if price.HasField("unit_amount") else None,
        unit_amount_decimal=price.unit_amount_decimal or None,
        tiers_mode=price.tiers_mode or None,
        tiers=_tiers(price.tiers),
        transform_quantity=(
            TransformQuantity(price.transform_quantity.divide_by, price.transform_quantity.round)
            if price.HasField("transform_quantity")
            else None
        ),
        custom_unit_amount=(
            _custom(price.custom_unit_amount) if price.HasField("custom_unit_amount") else None
        ),
        tax_behavior=price.tax_behavior or None,
        recurring=None if recurring is None else _recurrence(recurring),
        trial_period_days=(recurring.trial_period_days or None) if recurring else None,
        currency_options=options_of(price.currency_options),
    )


def options_of(options: Mapping[str, pb.CurrencyOption]) -> dict[str, CurrencyOption]:
    """What a price costs in other currencies, by currency."""
    return {currency: _option(options[currency]) for currency in sorted(options)}


def _option(option: pb.CurrencyOption) -> CurrencyOption:
    return CurrencyOption(
        unit_amount=option.unit_amount if option.HasField("unit_amount") else None,
        unit_amount_decimal=option.unit_amount_decimal or None,
        tax_behavior=option.tax_behavior or None,
        custom_unit_amount=(
            _custom(option.custom_unit_amount) if option.HasField("custom_unit_amount") else None
        ),
        tiers=_tiers(option.tiers) or None,
    )


def _tiers(tiers: Iterable[pb.PriceTier]) -> tuple[Tier, ...]:
    return tuple(
        Tier(
            up_to=tier.up_to if tier.HasField("up_to") else None,
            flat_amount=tier.flat_amount if tier.HasField("flat_amount") else None,
            flat_amount_decimal=tier.flat_amount_decimal or None,
            unit_amount=tier.unit_amount if tier.HasField("unit_amount") else None,
            unit_amount_decimal=tier.unit_amount_decimal or None,
        )
        for tier in tiers
    )


def _custom(custom: pb.CustomUnitAmount) -> CustomUnitAmount:
    return CustomUnitAmount(
        custom.minimum if custom.HasField("minimum") else None,
        custom.maximum if custom.HasField("maximum") else None,
        custom.preset if custom.HasField("preset") else None,
    )


def _recurrence(recurring: pb.Recurrence) -> Recurrence:
    return Recurrence(
        recurring.interval,
        recurring.interval_count or 1,
        recurring.usage_type or "licensed",
        recurring.meter or None,
    )


def _tier_message(tier: Tier) -> pb.PriceTier:
    return pb.PriceTier(
        up_to=tier.up_to,
        unit_amount=tier.unit_amount,
        unit_amount_decimal=tier.unit_amount_decimal or "",
        flat_amount=tier.flat_amount,
        flat_amount_decimal=tier.flat_amount_decimal or "",
    )


def _transform_message(transform: TransformQuantity | None) -> pb.TransformQuantity | None:
    if transform is None:
        return None
    return pb.TransformQuantity(divide_by=transform.divide_by, round=transform.round)


def _custom_message(custom: CustomUnitAmount | None) -> pb.CustomUnitAmount | None:
    if custom is None:
        return None
    return pb.CustomUnitAmount(minimum=custom.minimum, maximum=custom.maximum, preset=custom.preset)


def _recurrence_message(price: Price) -> pb.Recurrence | None:
    recurring = price.recurring
    if recurring is None:
        return None
    return pb.Recurrence(
        interval=recurring.interval,
        interval_count=recurring.interval_count,
        usage_type=recurring.usage_type,
        meter=recurring.meter or "",
        trial_period_days=price.trial_period_days or 0,
    )


def _option_message(option: CurrencyOption) -> pb.CurrencyOption:
    return pb.CurrencyOption(
        unit_amount=option.unit_amount,
        unit_amount_decimal=option.unit_amount_decimal or "",
        tiers=map(_tier_message, option.tiers or ()),
        tax_behavior=option.tax_behavior or "",
        custom_unit_amount=_custom_message(option.custom_unit_amount),
    )
