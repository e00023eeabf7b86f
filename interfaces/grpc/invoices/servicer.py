"""InvoiceService."""

from billing_client.v1 import invoice_service_pb2 as pb
from billing_client.v1 import invoice_service_pb2_grpc as pb_grpc
from google.protobuf.empty_pb2 import Empty
from typing_extensions import override

from application.invoices.use_cases import Invoices
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.invoices import mapping


class InvoiceServicer(pb_grpc.InvoiceServiceServicer):
    """Invoices of an account's Stripe connection."""

    def __init__(self, invoices: Invoices) -> None:
        self._invoices = invoices

    @override
    async def ListInvoices(
        self, request: pb.ListInvoicesRequest, context: Context
    ) -> pb.ListInvoicesResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list(request, violations)
        page = await self._invoices.list(current_caller(), query, violations)
        return mapping.page_message(page)

    @override
    async def GetInvoice(self, request: pb.GetInvoiceRequest, context: Context) -> pb.Invoice:
        invoice = await self._invoices.get(current_caller(), request.id)
        return mapping.invoice_message(invoice)

    @override
    async def GetInvoiceTotals(
        self, request: pb.GetInvoiceTotalsRequest, context: Context
    ) -> pb.InvoiceTotals:
        violations: list[FieldViolation] = []
        where = mapping.read_totals(request, violations)
        totals = await self._invoices.totals(current_caller(), where, violations)
        return mapping.totals_message(totals)

    @override
    async def CreateInvoice(self, request: pb.CreateInvoiceRequest, context: Context) -> pb.Invoice:
        violations: list[FieldViolation] = []
        command = mapping.read_create(request, violations)
        invoice = await self._invoices.create(
            current_caller(), request.request_id, command, violations
        )
        return mapping.invoice_message(invoice)

    @override
    async def UpdateInvoice(self, request: pb.UpdateInvoiceRequest, context: Context) -> pb.Invoice:
        violations: list[FieldViolation] = []
        command = mapping.read_update(request, violations)
        invoice = await self._invoices.update(
            current_caller(), request.request_id, command, violations
        )
        return mapping.invoice_message(invoice)

    @override
    async def FinalizeInvoice(
        self, request: pb.FinalizeInvoiceRequest, context: Context
    ) -> pb.Invoice:
        invoice = await self._invoices.finalize(current_caller(), request.request_id, request.id)
        return mapping.invoice_message(invoice)

    @override
    async def SendInvoice(self, request: pb.SendInvoiceRequest, context: Context) -> pb.Invoice:
        invoice = await self._invoices.send(current_caller(), request.request_id, request.id)
        return mapping.invoice_message(invoice)

    @override
    async def PayInvoice(self, request: pb.PayInvoiceRequest, context: Context) -> pb.Invoice:
        payment = mapping.read_payment(request)
        invoice = await self._invoices.pay(current_caller(), request.request_id, payment)
        return mapping.invoice_message(invoice)

    @override
    async def VoidInvoice(self, request: pb.VoidInvoiceRequest, context: Context) -> pb.Invoice:
        invoice = await self._invoices.void(current_caller(), request.request_id, request.id)
        return mapping.invoice_message(invoice)

    @override
    async def MarkInvoiceUncollectible(
        self, request: pb.MarkInvoiceUncollectibleRequest, context: Context
    ) -> pb.Invoice:
        invoice = await self._invoices.mark_uncollectible(
            current_caller(), request.request_id, request.id
        )
        return mapping.invoice_message(invoice)

    @override
    async def DeleteInvoice(self, request: pb.DeleteInvoiceRequest, context: Context) -> Empty:
        await self._invoices.delete(current_caller(), request.request_id, request.id)
        return Empty()

    @override
    async def PreviewInvoice(
        self, request: pb.PreviewInvoiceRequest, context: Context
    ) -> pb.Invoice:
        preview = mapping.read_preview(request)
        invoice = await self._invoices.preview(current_caller(), preview)
        return mapping.preview_message(invoice)
