"""Prices: how they are changed at Stripe."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from stripe.params import PriceUpdateParams
from typing_extensions import override

from application.catalogue.fields import PRICE_FIELDS
from application.catalogue.ports import ListedPrice, NewPrice, PriceChange, PriceGateway
from application.mutations.stripe import REQUEST_TAG, Call
from domain.errors import (
    AlreadyExists,
    BillingError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Reason,
)
from domain.mirror import Snapshot
from domain.price_rules import PriceTerms
from domain.prices import CurrencyOption, CustomUnitAmount, Price, Tier
from infrastructure.stripe.core.client import Request, StripeApi, object_path
from infrastructure.stripe.core.elements import read_elements
from infrastructure.stripe.core.errors import Subject, names_nothing
from infrastructure.stripe.core.parameters import Parameters, as_they_are
from infrastructure.stripe.core.send import after_sending, find_tagged, look_for, send
from infrastructure.stripe.prices import PRICE

_NO_END: Final = "inf"
_TAKEN: Final = "resource_already_exists"


def _options(options: Mapping[str, CurrencyOption]) -> object:
    return {currency: _cost(option) for currency, option in options.items()} or ""


PRICE_PARAMETERS: Final = Parameters(
    PRICE_FIELDS,
    PriceUpdateParams,
    {
        **as_they_are("nickname", "lookup_key", "tax_behavior", "metadata"),
        "currency_options": {"currency_options": _options},
    },
)


class StripePrices(PriceGateway):
    """Prices at Stripe (API reference, "Prices"). Answers show tiers and currency options, too."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def create(self, call: Call, params: NewPrice) -> Snapshot[Price]:
        wanted = {**_new(params, call.tag), **PRICE.expanding()}
        request = Request.change(call, PRICE.path, Subject("price"), wanted)
        try:
            return await send(self._api, request, PRICE)
        except InvalidArgument as error:
            if names_nothing(error, "product"):
                raise NotFound("product", params.product) from None
            raise await self._why_not(call, params.lookup_key, "", error) from None
        except FailedPrecondition as error:
            raise await self._why_not(call, params.lookup_key, "", error) from None

    @override
    async def find_created(
        self, call: Call, params: NewPrice, sent_at: dt.datetime
    ) -> Snapshot[Price] | None:
        return await find_tagged(self._api, PRICE, call, sent_at)

    @override
    async def update(self, call: Call, params: PriceChange) -> Snapshot[Price]:
        wanted = {**PRICE_PARAMETERS.change(params.fields), **PRICE.expanding()}
        if params.active is not None:
            wanted["active"] = params.active
        if params.transfer_lookup_key:
            wanted["transfer_lookup_key"] = True
        path, subject = object_path(PRICE, params.id), Subject("price", params.id)
        request = Request.change(call, path, subject, wanted)
        key = params.fields.lookup_key or ""
        try:
            return await send(self._api, request, PRICE)
        except (FailedPrecondition, InvalidArgument) as error:
            refusal = await self._why_not(call, key, params.id, error)
        if isinstance(refusal, InvalidArgument):
            raise refusal.renamed("price.{}".format) from None
        raise refusal

    @override
    async def find_updated(
        self, call: Call, params: PriceChange, sent_at: dt.datetime
    ) -> Snapshot[Price] | None:
        def shows(price: Price) -> bool:
            is_as_wanted = params.active in (None, price.active)
            return is_as_wanted and PRICE_FIELDS.shown_by(price, params.fields)

        return await look_for(self._api, PRICE, call, params.id, shows)

    @override
    async def of_product(self, stripe_account: str, product: str) -> Sequence[ListedPrice]:
        params = {"product": product}
        request = Request("get", PRICE.path, Subject("price"), stripe_account, params=params)
        decode = partial(read_elements, read=PRICE.decode_listed)
        prices: list[ListedPrice] = []
        async for elements, _ in self._api.pages(request, decode):
            # One that is not understood is there all the same.
            prices += [
                ListedPrice(element.head.id, element.value is None or element.value.active is True)
                for element in elements
            ]
        return prices

    async def _why_not(
        self, call: Call, key: str, own: str, error: FailedPrecondition | InvalidArgument
    ) -> BillingError:
        """The refusal, or AlreadyExists where it is that another price has the lookup key."""
        about_key = isinstance(error, InvalidArgument) and any(
            violation.field == "lookup_key" for violation in error.violations
        )
        if not key or not (about_key or error.metadata.get("stripe_code") == _TAKEN):
            return error
        params = {"lookup_keys": [key]}
        request = Request("get", PRICE.path, Subject("price"), call.stripe_account, params=params)
        with after_sending():
            answer = await self._api.request(request)
            elements, _ = self._api.understand(
                answer, request, partial(read_elements, read=PRICE.decode_listed)
            )
        owners = [element.head.id for element in elements if element.head.id != own]
        if not owners:
            return error
        return AlreadyExists(
            Reason.LOOKUP_KEY_TAKEN,
            "another price has the lookup key; take it with transfer_lookup_key",
            metadata={"resource": "price", "id": owners[0]},
        )


def _new(params: NewPrice, tag: str) -> dict[str, object]:
    terms = params.terms
    wanted: dict[str, object] = {
        "currency": terms.currency,
        "product": params.product,
        **_cost(
            CurrencyOption(
                terms.unit_amount, terms.unit_amount_decimal, terms.tax_behavior,
                terms.custom_unit_amount, terms.tiers,
            )
        ),
        **_terms(terms),
        "metadata": {
            **{key: value for key, value in params.metadata.items() if value}, REQUEST_TAG: tag,
        },
    }  # fmt: skip
    if params.nickname:
        wanted["nickname"] = params.nickname
    if params.lookup_key:
        wanted["lookup_key"] = params.lookup_key
    if params.transfer_lookup_key:
        wanted["transfer_lookup_key"] = True
    return wanted


def _terms(terms: PriceTerms) -> dict[str, object]:
    """What a price is beside its cost in each currency."""
    wanted: dict[str, object] = {}
    if terms.tiers:
        wanted |= {"billing_scheme": "tiered", "tiers_mode": terms.tiers_mode}
    if (transform := terms.transform_quantity) is not None:
        wanted["transform_quantity"] = {
            "divide_by": transform.divide_by, "round": transform.round,
        }  # fmt: skip
    if (recurring := terms.recurring) is not None:
        period: dict[str, object] = {
            "interval": recurring.interval,
            "interval_count": recurring.interval_count,
            "usage_type": recurring.usage_type,
        }
        if recurring.meter:
            period["meter"] = recurring.meter
        if terms.trial_period_days is not None:
            period["trial_period_days"] = terms.trial_period_days
        wanted["recurring"] = period
    if terms.currency_options:
        wanted["currency_options"] = _options(terms.currency_options)
    return wanted


def _cost(cost: CurrencyOption) -> dict[str, object]:
    """What a price costs in a currency. Zero is an amount, and is sent."""
    wanted: dict[str, object] = dict(
        _amount("unit_amount", cost.unit_amount, cost.unit_amount_decimal)
    )
    if cost.tiers:
        wanted["tiers"] = list(map(_tier, cost.tiers))
    if cost.custom_unit_amount is not None:
        wanted["custom_unit_amount"] = _custom(cost.custom_unit_amount)
    if cost.tax_behavior:
        wanted["tax_behavior"] = cost.tax_behavior
    return wanted


def _tier(tier: Tier) -> dict[str, object]:
    return {
        "up_to": _NO_END if tier.up_to is None else tier.up_to,
        **_amount("unit_amount", tier.unit_amount, tier.unit_amount_decimal),
        **_amount("flat_amount", tier.flat_amount, tier.flat_amount_decimal),
    }


def _amount(name: str, whole: int | None, decimal: str | None) -> Mapping[str, object]:
    if whole is not None:
        return {name: whole}
    return {f"{name}_decimal": decimal} if decimal else {}


def _custom(custom: CustomUnitAmount) -> dict[str, object]:
    bounds = {"minimum": custom.minimum, "maximum": custom.maximum, "preset": custom.preset}
    given = {name: amount for name, amount in bounds.items() if amount is not None}
    return {"enabled": True, **given}
