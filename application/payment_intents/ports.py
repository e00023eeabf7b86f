"""Payments that we ask for at Stripe, and what is given back of them.

A payment is a payment intent that is made first and confirmed then: so its id is durable, and it is
watched, before any money can move.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from application.mutations.stripe import Call
from domain.disputes import Dispute
from domain.money import Money
from domain.payment_methods import PaymentMethod
from domain.refunds import Refund


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to make: `amount` of a customer, by one of its payment methods.

    `manual`: it is authorised when it is confirmed, and paid when it is captured. Such a one may be
    attempted as it is made (`attempted`), since no money moves; `keeps_method` is then as in
    `Confirmation`.
    """

    customer: str
    payment_method: str
    amount: Money
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    manual: bool = False
    attempted: bool = False
    keeps_method: bool = False

    def __post_init__(self) -> None:
        if self.attempted and not self.manual:
            raise ValueError("attempted: only what is captured later")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A payment to attempt, by a payment method.

    `off_session`: the payer is not there. `keeps_method`: the payment method is kept with the
    customer, for payments without the payer. Stripe takes one of the two.
    """

    payment_intent: str
    payment_method: str
    off_session: bool = False
    keeps_method: bool = False

    def __post_init__(self) -> None:
        if self.off_session and self.keeps_method:
            raise ValueError("keeps_method: only where the payer is there")


@dataclass(frozen=True, slots=True)
class Payment:
    """How a payment stands at Stripe, with nothing secret.

    `status`, `decline_code` and `advice` are Stripe's words; the last two are of the last attempt,
    if that failed. `charge` is the latest one. `application` is the platform that made it; empty on
    the platform's own account. `capture_before`: when the bank lets go of what is authorised;
    `captured_at`: when what was authorised was captured. Both are None where that is not told.
    """

    id: str
    status: str
    amount: Money
    received: Money
    livemode: bool
    customer: str = ""
    payment_method: str = ""
    charge: str = ""
    application: str = ""
    decline_code: str = ""
    advice: str = ""
    capture_before: dt.datetime | None = None
    captured_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class GivenBack:
    """All refunds and disputes of a payment, as they stand."""

    refunds: Sequence[Refund]
    disputes: Sequence[Dispute]


class PaymentIntentGateway(Protocol):
    """Payment intents at Stripe. Each change is a `Send`, each `find_…` its `Find`.

    On a connected account its owner can make objects too, with any metadata. So a look-up by tag
    takes only what bears our application (setting BILLING_CONNECT_CLIENT_ID); without that setting
    it raises Unavailable (STRIPE_UNAVAILABLE) there.
    """

    async def create(self, call: Call, params: NewPayment) -> Payment:
        """Make a payment intent, without attempting it unless that is asked for.

        A decline is how it stands, and no error. InvalidArgument names what Stripe refuses, also an
        unknown payment method.
        """
        ...

    async def find_created(
        self, call: Call, params: NewPayment, sent_at: dt.datetime
    ) -> Payment | None:
        """The customer's payment intent that bears the call's tag, and our application."""
        ...

    async def confirm(self, call: Call, params: Confirmation) -> Payment:
        """Attempt a payment: how it stands afterwards.

        A decline is no error, and neither is a payment that has another state already. Raises
        NotFound for an unknown one, InvalidArgument naming what Stripe refuses.
        """
        ...

    async def find_confirmed(
        self, call: Call, params: Confirmation, sent_at: dt.datetime
    ) -> Payment | None:
        """The payment, where it has a state that only an attempt leads to.

        None where it still asks for one: to attempt it again is safe, since it is paid once.
        """
        ...

    async def capture(self, call: Call, params: str) -> Payment:
        """Take all that is authorised of a payment, by its id: how it stands afterwards.

        One that has another state already is no error. Raises NotFound for an unknown one,
        FailedPrecondition (STRIPE_REFUSED) where the bank has let go of it.
        """
        ...

    async def find_captured(self, call: Call, params: str, sent_at: dt.datetime) -> Payment | None:
        """The payment, unless it still is to be captured: to capture it again is safe then."""
        ...

    async def cancel(self, call: Call, params: str) -> Payment:
        """Cancel a payment by its id: how it stands afterwards. One that is paid stays paid."""
        ...

    async def find_canceled(self, call: Call, params: str, sent_at: dt.datetime) -> Payment | None:
        """The payment, if it is canceled."""
        ...

    async def read(self, stripe_account: str, payment_intent: str) -> tuple[Payment, str]:
        """A payment as it is now, and its client secret, which is to be kept nowhere. NotFound."""
        ...

    async def given_back(self, stripe_account: str, payment_intent: str) -> GivenBack:
        """Its refunds and disputes as they are now.

        Raises NotUnderstood where one of them is not: nobody can say then what was given back.
        """
        ...

    async def paying(self, stripe_account: str, invoice: str) -> Sequence[str]:
        """The payment intents that have paid an invoice, one after the other."""
        ...

    async def method(self, stripe_account: str, payment_method: str) -> PaymentMethod:
        """A payment method, whosever it is. NotFound."""
        ...
