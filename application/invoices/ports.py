"""Invoices at Stripe: what is written to them, and the ports that write and read them."""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from application.mutations.stripe import Call
from application.subscriptions.ports import ItemChange
from domain.invoices import Invoice
from domain.mirror import Snapshot


@dataclass(frozen=True, slots=True)
class InvoiceItemFields:
    """One line to be: either `price` (with `quantity`) or `unit_amount` (with `quantity`).

    `unit_amount` is in minor units of the invoice's currency and may be negative, for a credit,
    which names no product; `product` names what is sold without a price, `description` is what the
    payer reads: it is needed where neither is given.
    """

    description: str = ""
    quantity: int = 1
    unit_amount: int | None = None
    price: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceFields:
    """What is written to a draft. None leaves a field alone, empty clears it.

    `days_until_due` and `due_date` exclude each other and belong to `send_invoice`, in which the
    customer pays by the hosted page; with `charge_automatically` the default method is charged.
    `description` is the memo on the invoice. `metadata` is merged key by key.
    """

    collection_method: str | None = None
    days_until_due: int | None = None
    due_date: dt.datetime | None = None
    description: str | None = None
    footer: str | None = None
    default_payment_method: str | None = None
    auto_advance: bool | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class NewInvoice:
    """A draft without lines. Pending items of the customer are left out of it."""

    customer: str
    currency: str
    fields: InvoiceFields


@dataclass(frozen=True, slots=True)
class NewInvoiceLines:
    """1 to 250 lines for a draft, all of them or none."""

    invoice: str
    currency: str
    items: tuple[InvoiceItemFields, ...]


@dataclass(frozen=True, slots=True)
class InvoiceChange:
    """A change of one draft."""

    id: str
    fields: InvoiceFields


@dataclass(frozen=True, slots=True)
class InvoiceAction:
    """Something to be done with an invoice that takes no more than its id."""

    id: str


@dataclass(frozen=True, slots=True)
class PayInvoice:
    """How an invoice is to be paid: by a payment method, out of band, or else by the default one.

    `payment_method` may be the id of a legacy source.
    """

    id: str
    payment_method: str = ""
    paid_out_of_band: bool = False


@dataclass(frozen=True, slots=True)
class InvoicePreview:
    """Whose next invoice is to be computed: a subscription's, with changes of its items assumed.

    Without a subscription Stripe is left to say what is to come of the customer.
    """

    customer: str = ""
    subscription: str = ""
    items: tuple[ItemChange, ...] = ()


class InvoicePreviews(Protocol):
    """Invoices that do not exist yet, computed by Stripe. Nothing is changed by asking."""

    async def preview(self, stripe_account: str, params: InvoicePreview) -> Invoice:
        """The next invoice, whole. Its id names nothing that lasts.

        Raises FailedPrecondition (STRIPE_REFUSED) where none is to come, InvalidArgument with the
        parameter named for what the Stripe account does not have, and what
        `application.mirror.stripe` promises.
        """
        ...


class InvoiceGateway(Protocol):
    """Invoices at Stripe. Each `…` is a `Send`, each `find_…` its `Find`.

    A refusal for the invoice's state is WrongState, with the status that Stripe then shows. Other
    refusals name fields as the table in `fields.py` does.
    """

    async def create(self, call: Call, params: NewInvoice) -> Snapshot[Invoice]:
        """Create a draft."""
        ...

    async def find_created(
        self, call: Call, params: NewInvoice, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The invoice that bears the call's tag."""
        ...

    async def add_lines(self, call: Call, params: NewInvoiceLines) -> Snapshot[Invoice]:
        """Add lines to a draft, each of which bears the call's tag.

        A refusal names fields as `InvoiceItemFields` has them: `items[3].price`.
        """
        ...

    async def find_lines_added(
        self, call: Call, params: NewInvoiceLines, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The draft, if lines of it bear the call's tag."""
        ...

    async def update(self, call: Call, params: InvoiceChange) -> Snapshot[Invoice]:
        """Change a draft."""
        ...

    async def find_updated(
        self, call: Call, params: InvoiceChange, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The invoice, if it shows every field as the change asked for."""
        ...

    async def finalize(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        """Make a draft an open invoice with a number and, where it is payable, a hosted page."""
        ...

    async def find_finalized(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The invoice, if it is no draft any more."""
        ...

    async def send(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        """Have Stripe mail the invoice to its customer; a draft is finalized first.

        WrongState for a paid one: there is nothing to ask for.
        """
        ...

    async def find_sent(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The invoice, if it is no draft any more: Stripe does not tell whether it was mailed."""
        ...

    async def pay(self, call: Call, params: PayInvoice) -> Snapshot[Invoice]:
        """Pay an open invoice. Raises PaymentDeclined too."""
        ...

    async def find_paid(
        self, call: Call, params: PayInvoice, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The invoice, if it is paid."""
        ...

    async def void(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        """Void an open or uncollectible invoice for good."""
        ...

    async def find_voided(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The invoice, if it is void."""
        ...

    async def mark_uncollectible(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        """Give up on an open invoice; it can still be paid or voided."""
        ...

    async def find_marked_uncollectible(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The invoice, if it is uncollectible."""
        ...

    async def delete(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        """Delete a draft for good; a tombstone. Finding it deleted already is success."""
        ...

    async def find_deleted(
        self, call: Call, params: InvoiceAction, sent_at: dt.datetime
    ) -> Snapshot[Invoice] | None:
        """The tombstone, if the draft is gone."""
        ...
