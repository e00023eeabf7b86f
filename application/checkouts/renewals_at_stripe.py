"""Renewals at Stripe: the buyer's subscription on the seller's account, and its invoices."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from application.mutations.stripe import Call
from domain.billing_cycles import Anchor, Interval
from domain.invoices import Invoice
from domain.mirror import Snapshot
from domain.money import Money
from domain.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class NewRenewal:
    """A subscription that begins to bill at `anchor`; nothing is charged before.

    `product` is one of that Stripe account, `amount` what one period costs in all, `payment_method`
    a payment method of the customer or a legacy source.
    """

    customer: str
    product: str
    amount: Money
    interval: Interval
    interval_count: int
    payment_method: str
    anchor: Anchor
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


class RenewalGateway(Protocol):
    """Renewals at Stripe. `create` is a `Send`, `find_created` its `Find`."""

    async def create(self, call: Call, params: NewRenewal) -> Snapshot[Subscription]:
        """Start a renewal.

        InvalidArgument names what Stripe refuses: an anchor that has passed, a product that is not
        sold any more. NotFound for an unknown customer.
        """
        ...

    async def find_created(
        self, call: Call, params: NewRenewal, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        """The subscription that bears the call's tag."""
        ...

    async def invoices(self, stripe_account: str, subscription: str) -> Sequence[Invoice]:
        """The latest 100 invoices of a subscription as they are now, newest first.

        Their lines may be cut short. Raises NotUnderstood where one of them is not: nobody can say
        then whether it is paid.
        """
        ...
