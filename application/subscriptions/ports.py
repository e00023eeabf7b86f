"""Subscriptions at Stripe: what is written to them, and the port that writes it."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Protocol

from application.mutations.stripe import Call
from domain.mirror import Snapshot
from domain.money import Money
from domain.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class NewItem:
    """A price to subscribe to. `quantity` None leaves it to Stripe."""

    price: str
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class FirstCharge:
    """What the first invoice asks for once, of a product of the Stripe account."""

    product: str
    amount: Money


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """A subscription to start; None and empty leave a field to Stripe.

    `trial_days` and `trial_end` exclude each other. `default_payment_method` is a payment method or
    a legacy source. `first_charges` are on the first invoice alone.
    """

    customer: str
    items: tuple[NewItem, ...]
    trial_days: int | None = None
    trial_end: dt.datetime | None = None
    collection_method: str = ""
    days_until_due: int | None = None
    default_payment_method: str = ""
    payment_behavior: str = ""
    proration_behavior: str = ""
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    first_charges: tuple[FirstCharge, ...] = ()

    @property
    def fields(self) -> "SubscriptionFields":
        """What can be changed later, too."""
        return SubscriptionFields(
            self.default_payment_method or None, self.description or None, self.metadata or None
        )


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item to add (no `id`), to change or to remove."""

    id: str = ""
    price: str = ""
    quantity: int | None = None
    remove: bool = False


@dataclass(frozen=True, slots=True)
class SubscriptionFields:
    """What is written to a subscription at Stripe. None leaves a field alone, empty clears it.

    `metadata` is merged key by key; an empty value removes its key.
    """

    default_payment_method: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionUpdate:
    """A change of one subscription; items that are not named stay as they are."""

    id: str
    fields: SubscriptionFields
    items: tuple[ItemChange, ...] = ()
    proration_behavior: str = ""
    payment_behavior: str = ""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The end of one subscription: now, or with its current period.

    Each item has its own period: the one that ends first counts.
    """

    id: str
    at_period_end: bool = False
    invoice_now: bool = False
    prorate: bool = False


@dataclass(frozen=True, slots=True)
class ResumeSubscription:
    """Take back the scheduled cancellation of one subscription.

    `at_period_end` tells how it is scheduled: with the period's end, else at an instant.
    """

    id: str
    at_period_end: bool = False


@dataclass(frozen=True, slots=True)
class CollectionPause:
    """A pause of the collection of payments; None for `resumes_at`: until somebody ends it."""

    id: str
    behavior: str
    resumes_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ResumeCollection:
    """End such a pause."""

    id: str


class SubscriptionGateway(Protocol):
    """Subscriptions at Stripe. Each `…` is a `Send`, each `find_…` its `Find`.

    Every change of a subscription that has ended is WrongState, of an unknown one NotFound.
    """

    async def create(self, call: Call, params: NewSubscription) -> Snapshot[Subscription]:
        """Start one. NotFound for an unknown customer; PaymentDeclined leaves nothing behind."""
        ...

    async def find_created(
        self, call: Call, params: NewSubscription, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        """The subscription that bears the call's tag."""
        ...

    async def update(self, call: Call, params: SubscriptionUpdate) -> Snapshot[Subscription]:
        """Change fields and items, all or nothing."""
        ...

    async def find_updated(
        self, call: Call, params: SubscriptionUpdate, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        """The subscription, if it shows every field and item as the change asked for."""
        ...

    async def cancel(self, call: Call, params: Cancellation) -> Snapshot[Subscription]:
        """End a subscription, now or later.

        Finding one canceled that is to end now is success: whoever asks has seen it running.
        """
        ...

    async def find_canceled(
        self, call: Call, params: Cancellation, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        """The subscription, if it is canceled, or to be so at its period's end."""
        ...

    async def go_on(self, call: Call, params: ResumeSubscription) -> Snapshot[Subscription]:
        """Take a scheduled cancellation back."""
        ...

    async def find_going_on(
        self, call: Call, params: ResumeSubscription, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        """The subscription, if none is scheduled."""
        ...

    async def pause(self, call: Call, params: CollectionPause) -> Snapshot[Subscription]:
        """Pause the collection of payments."""
        ...

    async def find_paused(
        self, call: Call, params: CollectionPause, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        """The subscription, if it shows this very pause."""
        ...

    async def collect(self, call: Call, params: ResumeCollection) -> Snapshot[Subscription]:
        """Collect payments again."""
        ...

    async def find_collecting(
        self, call: Call, params: ResumeCollection, sent_at: dt.datetime
    ) -> Snapshot[Subscription] | None:
        """The subscription, if its payments are not paused."""
        ...
