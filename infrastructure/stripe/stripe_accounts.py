"""Stripe accounts: how they are read from Stripe."""

from typing import Final

from msgspec import UNSET, UnsetType

from application.ports.nouns import STRIPE_ACCOUNTS
from domain.stripe_accounts import StripeAccount
from infrastructure.stripe.shapes import Metadata, Seconds, Shape, Told, Translation, instant


class AccountShape(Shape, frozen=True, gc=False, kw_only=True):
    """An account, as in the API reference, "The Account object".

    Of accounts that keep their own dashboard Stripe does not show everything, not even when they
    were made.
    """

    created: Seconds = 0
    charges_enabled: bool | UnsetType = UNSET
    payouts_enabled: bool | UnsetType = UNSET
    details_submitted: bool | UnsetType = UNSET
    default_currency: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    capabilities: Metadata = UNSET


def to_domain(shape: AccountShape) -> tuple[StripeAccount, frozenset[str]]:
    """The account, and the names of its fields that were not told."""
    told = Told()
    created = instant(shape.created) if shape.created else UNSET
    account = StripeAccount(
        id=shape.id,
        created=told("created", created, instant(0)),
        charges_enabled=told("charges_enabled", shape.charges_enabled, False),
        payouts_enabled=told("payouts_enabled", shape.payouts_enabled, False),
        details_submitted=told("details_submitted", shape.details_submitted, False),
        default_currency=told("default_currency", shape.default_currency, None),
        country=told("country", shape.country, None),
        capabilities=told.metadata(shape.capabilities, "capabilities"),
    )
    return account, told.unknown


STRIPE_ACCOUNT: Final = Translation(
    STRIPE_ACCOUNTS, "/v1/accounts", AccountShape, to_domain, is_account=True
)
