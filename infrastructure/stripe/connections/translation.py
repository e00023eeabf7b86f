"""Stripe accounts: how they are read from Stripe."""

from typing import Final

from msgspec import UNSET, UnsetType

from application.mirror.nouns import STRIPE_ACCOUNTS
from domain.stripe_accounts import StripeAccount
from infrastructure.stripe.core.shapes import Fields, Metadata, Seconds, Shape, Translation, instant


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
    fields = Fields()
    created = instant(shape.created) if shape.created else UNSET
    account = StripeAccount(
        id=shape.id,
        created=fields("created", created, instant(0)),
        charges_enabled=fields("charges_enabled", shape.charges_enabled, False),
        payouts_enabled=fields("payouts_enabled", shape.payouts_enabled, False),
        details_submitted=fields("details_submitted", shape.details_submitted, False),
        default_currency=fields("default_currency", shape.default_currency, None),
        country=fields("country", shape.country, None),
        capabilities=fields.metadata(shape.capabilities, "capabilities"),
    )
    return account, fields.unknown


STRIPE_ACCOUNT: Final = Translation(
    STRIPE_ACCOUNTS, "/v1/accounts", AccountShape, to_domain, is_account=True
)
