"""Payment links: an invoice for a contact of the CRM, with the address where it is paid."""

import datetime as dt
from dataclasses import dataclass, field

from domain.money import Money


@dataclass(frozen=True, slots=True)
class PaymentLink:
    """A finalized invoice for a contact.

    `url` is its hosted page: whoever has it sees the invoice and may pay it. `short_url` leads
    there, and is `url` itself where `shortened` is false. `amount_due` is what is to be paid, zero
    where a credit of the customer's covers it. `customer_created`: nobody was found at Stripe.
    """

    invoice: str
    customer: str
    contact: str
    url: str = field(repr=False)
    short_url: str = field(repr=False)
    shortened: bool
    amount_due: Money
    due_time: dt.datetime | None
    customer_created: bool

    def __post_init__(self) -> None:
        if not self.url or not self.short_url:
            raise ValueError("url, short_url: must not be empty")
