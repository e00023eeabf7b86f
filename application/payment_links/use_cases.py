"""Payment links: an invoice for a contact of the CRM, and a short address where it is paid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from application.contacts.violations import contact_id_violations
from application.invoices.creation import discard_draft
from application.invoices.items import currency_violations, item_violations
from application.invoices.ports import (
    InvoiceAction,
    InvoiceFields,
    InvoiceGateway,
    InvoiceItemFields,
    NewInvoice,
    NewInvoiceLines,
)
from application.mirror.nouns import INVOICES
from application.mutations.failures import is_definite
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.payment_links.customer_of_contact import CREATE, CustomerOfContact
from application.payment_links.short_links import NoShortLink, ShortLinks
from application.requests.callers import Caller
from application.requests.violations import (
    MAX_METADATA_KEYS,
    metadata_violations,
    refuse,
    text_violations,
)
from domain.contacts import CONTACT_KEY
from domain.errors import BillingError, FailedPrecondition, FieldViolation, InvalidArgument, Reason
from domain.invoices import Invoice
from domain.payment_links import PaymentLink

DEFAULT_DAYS_UNTIL_DUE: Final = 30
MAX_DAYS_UNTIL_DUE: Final = 3_650
MAX_MEMO_CHARACTERS: Final = 1_500

_OURS: Final = {"customer": "contact", "description": "memo"}
"""How callers know fields that Stripe knows by another name."""

_DRAFT: Final = "create_invoice"


@dataclass(frozen=True, slots=True)
class NewPaymentLink:
    """What a contact is to pay. `memo` stands on the invoice; empty: none."""

    contact: str
    currency: str
    items: tuple[InvoiceItemFields, ...]
    days_until_due: int = DEFAULT_DAYS_UNTIL_DUE
    memo: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


class PaymentLinks:
    """Makes payment links. Without `short_links`, or while it gives none, they are long."""

    def __init__(
        self,
        mutations: Mutations,
        customers: CustomerOfContact,
        invoices: InvoiceGateway,
        short_links: ShortLinks | None,
    ) -> None:
        self._customers = customers
        self._invoices = invoices
        self._short_links = short_links
        self._create = mutations.method(
            "PaymentLinkService.CreatePaymentLink", NewPaymentLink, PaymentLink, self._create_steps
        )

    async def create(
        self,
        caller: Caller,
        request_id: str,
        wanted: NewPaymentLink,
        violations: Sequence[FieldViolation] = (),
    ) -> PaymentLink:
        """Bill a contact and give the address where it pays. Nothing is mailed.

        `violations` are those of reading the caller's input; they are refused with the rest.
        """
        refuse(chain(violations, request_id_violations(request_id), _violations(wanted)))
        return await self._create.run(caller, request_id, wanted)

    async def _create_steps(self, steps: Steps, wanted: NewPaymentLink) -> PaymentLink:
        if steps.was_sent(_DRAFT):
            # Its parameters are kept, the customer among them: nobody is sought again.
            customer, created = "", steps.was_sent(CREATE)
        else:
            settled = await self._customers.settle(steps, wanted.contact)
            customer, created = settled.id, settled.created
        try:
            draft = await steps.call(
                _DRAFT,
                INVOICES,
                _draft(wanted, customer),
                self._invoices.create,
                self._invoices.find_created,
            )
        except InvalidArgument as error:
            raise error.renamed(lambda field: _OURS.get(field, field)) from None
        try:
            invoice = await self._finalized(steps, wanted, draft.id)
        except BillingError as error:
            if is_definite(error):
                await discard_draft(steps, self._invoices, draft.id)
            raise
        return await self._link_to(invoice, wanted.contact, created=created)

    async def _finalized(self, steps: Steps, wanted: NewPaymentLink, draft: str) -> Invoice:
        """The draft with its lines, finalized."""
        filled = await steps.call(
            "add_lines",
            INVOICES,
            NewInvoiceLines(draft, wanted.currency, wanted.items),
            self._invoices.add_lines,
            self._invoices.find_lines_added,
        )
        if filled.object is not None and filled.object.total.amount <= 0:
            raise InvalidArgument([_nothing_to_pay()])
        finalized = await steps.call(
            "finalize",
            INVOICES,
            InvoiceAction(draft),
            self._invoices.finalize,
            self._invoices.find_finalized,
        )
        return shown(INVOICES, finalized)

    async def _link_to(self, invoice: Invoice, contact: str, *, created: bool) -> PaymentLink:
        url = invoice.hosted_invoice_url
        if not url:
            raise FailedPrecondition(
                Reason.STRIPE_REFUSED, "Stripe gave the invoice no hosted page", subject="invoice"
            )
        short = await self._shortened(url)
        return PaymentLink(
            invoice=invoice.id,
            customer=invoice.customer or "",
            contact=contact,
            url=url,
            short_url=short or url,
            shortened=short is not None,
            amount_due=invoice.amount_due,
            due_time=invoice.due_date,
            customer_created=created,
        )

    async def _shortened(self, url: str) -> str | None:
        if self._short_links is None:
            return None
        try:
            return await self._short_links.shorten(url)
        except NoShortLink:
            return None


def _draft(wanted: NewPaymentLink, customer: str) -> NewInvoice:
    fields = InvoiceFields(
        collection_method="send_invoice",
        days_until_due=wanted.days_until_due,
        description=wanted.memo or None,
        auto_advance=False,  # or Stripe would mail it by itself
        metadata={**wanted.metadata, CONTACT_KEY: wanted.contact},
    )
    return NewInvoice(customer, wanted.currency, fields)


def _violations(wanted: NewPaymentLink) -> Iterator[FieldViolation]:
    yield from contact_id_violations(wanted.contact, "contact")
    yield from currency_violations(wanted.currency, "currency")
    yield from item_violations(wanted.items, wanted.currency)
    if _adds_up_to_nothing(wanted.items):
        yield _nothing_to_pay()
    if not 0 <= wanted.days_until_due <= MAX_DAYS_UNTIL_DUE:
        yield FieldViolation("days_until_due", f"0 to {MAX_DAYS_UNTIL_DUE:,}")
    yield from text_violations(wanted.memo, "memo", MAX_MEMO_CHARACTERS)
    yield from metadata_violations(wanted.metadata, "metadata")
    if len(wanted.metadata) == MAX_METADATA_KEYS:
        yield FieldViolation("metadata", f"at most {MAX_METADATA_KEYS - 1} keys")


def _adds_up_to_nothing(items: Sequence[InvoiceItemFields]) -> bool:
    """Whether that is known before Stripe has looked the prices up."""
    amounts = [one.unit_amount * one.quantity for one in items if one.unit_amount is not None]
    return bool(items) and len(amounts) == len(items) and sum(amounts) <= 0


def _nothing_to_pay() -> FieldViolation:
    return FieldViolation("items", "the sum must be more than zero")
