"""The creation of an invoice: a draft, then its lines; refused lines take the draft with them."""

from dataclasses import replace

from application.invoices.commands import CreateInvoice
from application.invoices.ports import (
    InvoiceAction,
    InvoiceChange,
    InvoiceFields,
    InvoiceGateway,
    NewInvoice,
    NewInvoiceLines,
)
from application.mirror.nouns import INVOICES
from application.mutations.failures import is_definite
from application.mutations.mutations import Mutation, Mutations
from application.mutations.steps import Steps, shown
from domain.errors import BillingError, InvalidArgument
from domain.invoices import Invoice


class InvoiceCreation:
    """Creates drafts with lines, all of it or nothing."""

    def __init__(self, gateway: InvoiceGateway) -> None:
        self._gateway = gateway

    def method(self, mutations: Mutations) -> Mutation[CreateInvoice, Invoice]:
        """The mutating method that creates them."""
        return mutations.method("InvoiceService.CreateInvoice", CreateInvoice, Invoice, self._steps)

    async def _steps(self, steps: Steps, command: CreateInvoice) -> Invoice:
        # It must not advance before its lines are there, however long that takes.
        still = replace(command.fields, auto_advance=False)
        draft = NewInvoice(command.customer, command.currency, still)
        try:
            made = await steps.call(
                "create", INVOICES, draft, self._gateway.create, self._gateway.find_created
            )
        except InvalidArgument as error:
            raise as_written(error) from None
        try:
            return await self._fill(steps, made.id, command)
        except BillingError as error:
            if not is_definite(error):
                raise
            await discard_draft(steps, self._gateway, made.id)
            raise as_written(error) from None

    async def _fill(self, steps: Steps, invoice_id: str, command: CreateInvoice) -> Invoice:
        lines = NewInvoiceLines(invoice_id, command.currency, command.items)
        filled = await steps.call(
            "add_lines", INVOICES, lines, self._gateway.add_lines, self._gateway.find_lines_added
        )
        if command.fields.auto_advance:
            change = InvoiceChange(invoice_id, InvoiceFields(auto_advance=True))
            filled = await steps.call(
                "advance", INVOICES, change, self._gateway.update, self._gateway.find_updated
            )
        return shown(INVOICES, filled)


async def discard_draft(steps: Steps, gateway: InvoiceGateway, invoice_id: str) -> None:
    """Delete the draft of a refused mutation; one that somebody else has taken further is his."""
    action = InvoiceAction(invoice_id)
    try:
        await steps.call("discard", INVOICES, action, gateway.delete, gateway.find_deleted)
    except BillingError as error:
        if not is_definite(error):
            raise


def as_written(error: BillingError) -> BillingError:
    """A refusal by Stripe with its fields named as they stand in a request of callers."""
    return error.renamed(_path) if isinstance(error, InvalidArgument) else error


def _path(field: str) -> str:
    return field if field.startswith("items") else f"invoice.{field}"
