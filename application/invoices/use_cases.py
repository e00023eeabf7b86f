"""Invoices of an account's Stripe connection."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final, TypeVar

from application.background.clock import Clock
from application.connections.use_cases import Connections
from application.invoices.commands import CreateInvoice, ListInvoices, UpdateInvoice
from application.invoices.creation import InvoiceCreation, as_written
from application.invoices.fields import FIELDS
from application.invoices.ports import (
    InvoiceAction,
    InvoiceChange,
    InvoiceGateway,
    InvoicePreview,
    InvoicePreviews,
    PayInvoice,
)
from application.invoices.totals import CurrencyTotals, totals_of
from application.invoices.totals_port import InvoiceTotals, TotalsFilter
from application.invoices.violations import (
    change_violations,
    customer_filter_violations,
    filter_violations,
    invoice_id_violations,
    new_violations,
    payment_violations,
    preview_violations,
)
from application.mirror.nouns import INVOICES, SUBSCRIPTIONS
from application.mirror.ports import Filter
from application.mirror.reader import MirrorReader, equal_to, within
from application.mutations.mutations import Mutation, Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.mutations.stripe import Find, Send
from application.requests.callers import Caller
from application.requests.paging import Page, page_size_violations
from application.requests.violations import refuse, span_violations
from domain.errors import FieldViolation, InvalidArgument, WrongState
from domain.invoices import STATUSES, Invoice, next_invoiced
from domain.mirror import Snapshot

R = TypeVar("R")

_DRAFT: Final = "draft"
_MAX_SUBSCRIPTIONS: Final = 1_000
"""More than Stripe lets a customer have."""


class Invoices:
    """Lists, gets, totals, creates, changes, collects and previews invoices.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        reader: MirrorReader,
        connections: Connections,
        mutations: Mutations,
        gateway: InvoiceGateway,
        previews: InvoicePreviews,
        totals: InvoiceTotals,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._connections = connections
        self._gateway = gateway
        self._previews = previews
        self._totals = totals
        self._clock = clock
        self._create = InvoiceCreation(gateway).method(mutations)
        self._update = mutations.method(
            "InvoiceService.UpdateInvoice", InvoiceChange, Invoice, self._update_steps
        )
        self._pay = mutations.method(
            "InvoiceService.PayInvoice", PayInvoice, Invoice, self._pay_steps
        )
        self._delete = mutations.method(
            "InvoiceService.DeleteInvoice", InvoiceAction, InvoiceAction, self._delete_steps
        )
        self._finalize = _action(
            mutations, "FinalizeInvoice", gateway.finalize, gateway.find_finalized
        )
        self._send = _action(mutations, "SendInvoice", gateway.send, gateway.find_sent)
        self._void = _action(mutations, "VoidInvoice", gateway.void, gateway.find_voided)
        self._mark_uncollectible = _action(
            mutations,
            "MarkInvoiceUncollectible",
            gateway.mark_uncollectible,
            gateway.find_marked_uncollectible,
        )

    async def list(
        self, caller: Caller, query: ListInvoices, violations: Sequence[FieldViolation] = ()
    ) -> Page[Invoice]:
        """A page of invoices in the mirror, newest first."""
        refuse(chain(violations, _list_violations(query)))
        connection = await self._connections.of(caller)
        return await self._reader.list(
            INVOICES,
            connection.stripe_account,
            _filter(query),
            page_size=query.page_size,
            page_token=query.page_token,
        )

    async def get(self, caller: Caller, invoice_id: str) -> Invoice:
        """An invoice in the mirror. NotFound for an unknown or a deleted one."""
        refuse(invoice_id_violations(invoice_id, "id"))
        connection = await self._connections.of(caller)
        return await self._reader.get(INVOICES, connection.stripe_account, invoice_id)

    async def totals(
        self, caller: Caller, where: TotalsFilter, violations: Sequence[FieldViolation] = ()
    ) -> Sequence[CurrencyTotals]:
        """What the invoices in the mirror come to, by currency and status."""
        refuse(chain(violations, _totals_violations(where)))
        connection = await self._connections.of(caller)
        now = self._clock.now()
        rows = await self._totals.totals(connection.stripe_account, where, STATUSES, now=now)
        return totals_of(rows)

    async def create(
        self,
        caller: Caller,
        request_id: str,
        command: CreateInvoice,
        violations: Sequence[FieldViolation] = (),
    ) -> Invoice:
        """Create a draft with its lines at Stripe, all of it or nothing."""
        more = new_violations(command.customer, command.currency, command.fields, command.items)
        refuse(chain(violations, request_id_violations(request_id), more))
        return await self._create.run(caller, request_id, command)

    async def update(
        self,
        caller: Caller,
        request_id: str,
        command: UpdateInvoice,
        violations: Sequence[FieldViolation] = (),
    ) -> Invoice:
        """Change the named fields of a draft at Stripe. WrongState for what is none any more."""
        more = change_violations(command.id, command.values, command.mask)
        refuse(chain(violations, request_id_violations(request_id), more))
        change = InvoiceChange(command.id, FIELDS.masked(command.values, command.mask))
        return await self._update.run(caller, request_id, change)

    async def finalize(self, caller: Caller, request_id: str, invoice_id: str) -> Invoice:
        """Make a draft an open invoice."""
        return await _act(self._finalize, caller, request_id, invoice_id)

    async def send(self, caller: Caller, request_id: str, invoice_id: str) -> Invoice:
        """Have Stripe mail an invoice to its customer, finalizing a draft first."""
        return await _act(self._send, caller, request_id, invoice_id)

    async def void(self, caller: Caller, request_id: str, invoice_id: str) -> Invoice:
        """Take back an open or uncollectible invoice for good."""
        return await _act(self._void, caller, request_id, invoice_id)

    async def mark_uncollectible(self, caller: Caller, request_id: str, invoice_id: str) -> Invoice:
        """Give up an open invoice."""
        return await _act(self._mark_uncollectible, caller, request_id, invoice_id)

    async def pay(self, caller: Caller, request_id: str, payment: PayInvoice) -> Invoice:
        """Pay an open or uncollectible invoice now. Raises PaymentDeclined too."""
        refuse(chain(request_id_violations(request_id), payment_violations(payment)))
        return await self._pay.run(caller, request_id, payment)

    async def delete(self, caller: Caller, request_id: str, invoice_id: str) -> None:
        """Delete a draft for good. WrongState for what is none any more."""
        await _act(self._delete, caller, request_id, invoice_id)

    async def preview(self, caller: Caller, preview: InvoicePreview) -> Invoice:
        """The next invoice of a subscription, or of a customer, as Stripe computes it now."""
        refuse(preview_violations(preview))
        connection = await self._connections.of(caller)
        if not preview.subscription:
            preview = await self._with_next(connection.stripe_account, preview)
        return await self._previews.preview(connection.stripe_account, preview)

    async def _with_next(self, stripe_account: str, preview: InvoicePreview) -> InvoicePreview:
        """The same, of the customer's subscription that is invoiced next: Stripe wants it named."""
        page = await self._reader.list(
            SUBSCRIPTIONS,
            stripe_account,
            Filter(equals=equal_to(customer=preview.customer)),
            page_size=_MAX_SUBSCRIPTIONS,
            page_token="",
        )
        chosen = next_invoiced(page.items)
        return preview if chosen is None else replace(preview, subscription=chosen.id)

    async def _update_steps(self, steps: Steps, change: InvoiceChange) -> Invoice:
        # Stripe would let some fields of an open invoice be changed; we promise drafts alone.
        status = _DRAFT if steps.was_sent("update") else await _status(steps, change.id)
        if status != _DRAFT:
            raise WrongState(INVOICES.name, change.id, status)
        try:
            updated = await steps.call(
                "update", INVOICES, change, self._gateway.update, self._gateway.find_updated
            )
        except InvalidArgument as error:
            raise as_written(error) from None
        return shown(INVOICES, updated)

    async def _pay_steps(self, steps: Steps, payment: PayInvoice) -> Invoice:
        # Stripe would finalize a draft unasked.
        if not steps.was_sent("pay") and await _status(steps, payment.id) == _DRAFT:
            raise WrongState(INVOICES.name, payment.id, _DRAFT)
        paid = await steps.call(
            "pay", INVOICES, payment, self._gateway.pay, self._gateway.find_paid
        )
        return shown(INVOICES, paid)

    async def _delete_steps(self, steps: Steps, action: InvoiceAction) -> InvoiceAction:
        if not steps.was_sent("delete"):
            await _status(steps, action.id)  # one that is not there is NotFound
        await steps.call(
            "delete", INVOICES, action, self._gateway.delete, self._gateway.find_deleted
        )
        return action


async def _status(steps: Steps, invoice_id: str) -> str:
    """The status of an invoice; whether it is a draft is sure, for none becomes one again.

    NotFound for one that neither the mirror nor Stripe has.
    """
    invoice = await steps.standing(INVOICES, invoice_id, settled=lambda row: row.status != _DRAFT)
    return invoice.status


def _action(
    mutations: Mutations,
    name: str,
    send: Send[InvoiceAction, Snapshot[Invoice]],
    find: Find[InvoiceAction, Snapshot[Invoice]],
) -> Mutation[InvoiceAction, Invoice]:
    """A mutation of one step that takes no more than an id."""

    async def run(steps: Steps, action: InvoiceAction) -> Invoice:
        return shown(INVOICES, await steps.call("act", INVOICES, action, send, find))

    return mutations.method(f"InvoiceService.{name}", InvoiceAction, Invoice, run)


async def _act(
    mutation: Mutation[InvoiceAction, R], caller: Caller, request_id: str, invoice_id: str
) -> R:
    refuse(chain(request_id_violations(request_id), invoice_id_violations(invoice_id, "id")))
    return await mutation.run(caller, request_id, InvoiceAction(invoice_id))


def _filter(query: ListInvoices) -> Filter:
    return Filter(
        equals=equal_to(customer=query.customer, subscription=query.subscription),
        one_of={"status": tuple(dict.fromkeys(query.statuses))} if query.statuses else {},
        ranges=within("created", query.created_after, query.created_before),
    )


def _list_violations(query: ListInvoices) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    yield from filter_violations(query.customer, query.subscription, query.statuses)
    yield from span_violations(query.created_after, query.created_before)


def _totals_violations(where: TotalsFilter) -> Iterator[FieldViolation]:
    yield from customer_filter_violations(where.customer)
    yield from span_violations(where.created_after, where.created_before)
