"""Stripe's invoices in memory: each key is carried out once, and any step can be refused."""

import datetime as dt
from collections import defaultdict
from dataclasses import replace
from typing import Any

from typing_extensions import override

from application.invoices.ports import (
    InvoiceAction,
    InvoiceChange,
    InvoiceGateway,
    InvoicePreview,
    InvoicePreviews,
    NewInvoice,
    NewInvoiceLines,
    PayInvoice,
)
from application.mutations.stripe import Call
from domain.errors import BillingError
from domain.invoices import Invoice, InvoiceLine
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from tests.support.fakes.stores import FakeClock


class FakeInvoiceGateway(InvoiceGateway):
    """Invoices by id. What `refusals` holds for a method is raised in turn, with nothing done;
    what `losses` holds for it is raised in turn once it is done.

    `sends` tells each send: its method and what it was told.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.invoices: dict[str, Invoice] = {}
        self.sends: list[tuple[str, Any]] = []
        self.refusals: dict[str, list[BillingError]] = defaultdict(list)
        self.losses: dict[str, list[BillingError]] = defaultdict(list)
        self._clock = clock
        self._kept: dict[str, str] = {}

    @property
    def sent(self) -> list[str]:
        """The methods in the order of their sends."""
        return [method for method, _ in self.sends]

    def add(self, status: str = "draft", id_: str = "in_1") -> Invoice:
        """An invoice that is there already."""
        zero = Money(0, "usd")
        made = Invoice(id_, self._clock.now(), "usd", status, zero, zero, zero, zero)
        self.invoices[id_] = made
        return made

    @override
    async def create(self, call: Call, params: NewInvoice) -> Snapshot[Invoice]:
        id_ = f"in_{len(self.invoices) + 1}"
        zero = Money(0, params.currency)
        made = Invoice(
            id_, self._clock.now(), params.currency, "draft", zero, zero, zero, zero,
            customer=params.customer, auto_advance=params.fields.auto_advance,
        )  # fmt: skip
        return self._send("create", call, params, made)

    @override
    async def add_lines(self, call: Call, params: NewInvoiceLines) -> Snapshot[Invoice]:
        lines = tuple(
            InvoiceLine(f"il_{n}", Money((one.unit_amount or 0) * one.quantity, params.currency))
            for n, one in enumerate(params.items)
        )
        filled = replace(self.invoices[params.invoice], lines=lines)
        return self._send("add_lines", call, params, filled)

    @override
    async def update(self, call: Call, params: InvoiceChange) -> Snapshot[Invoice]:
        written = {
            name: getattr(params.fields, name)
            for name in ("description", "footer", "auto_advance")
            if getattr(params.fields, name) is not None
        }
        changed = replace(self.invoices[params.id], **written)
        return self._send("update", call, params, changed)

    @override
    async def finalize(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return self._move("finalize", call, params, "open")

    @override
    async def send(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return self._move("send", call, params, "open")

    @override
    async def pay(self, call: Call, params: PayInvoice) -> Snapshot[Invoice]:
        return self._move("pay", call, params, "paid")

    @override
    async def void(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return self._move("void", call, params, "void")

    @override
    async def mark_uncollectible(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return self._move("mark_uncollectible", call, params, "uncollectible")

    @override
    async def delete(self, call: Call, params: InvoiceAction) -> Snapshot[Invoice]:
        return self._send("delete", call, params, None, params.id)

    def _move(
        self, method: str, call: Call, params: InvoiceAction | PayInvoice, status: str
    ) -> Snapshot[Invoice]:
        moved = replace(self.invoices[params.id], status=status)
        return self._send(method, call, params, moved)

    def _send(
        self, method: str, call: Call, params: Any, made: Invoice | None, id_: str = ""
    ) -> Snapshot[Invoice]:
        self.sends.append((method, params))
        if self.refusals[method]:
            raise self.refusals[method].pop(0)
        key = call.idempotency_key
        if key not in self._kept:
            self._kept[key] = made.id if made else id_
            if made is None:
                self.invoices.pop(id_, None)
            else:
                self.invoices[made.id] = made
        if self.losses[method]:
            raise self.losses[method].pop(0)
        return self.snapshot(call.stripe_account, self._kept[key])

    def snapshot(self, stripe_account: str, id_: str) -> Snapshot[Invoice]:
        """What a read of an invoice shows now."""
        self._clock.advance(milliseconds=6)
        now_ms = to_milliseconds(self._clock.now())
        version = Version.of_read(date_ms=now_ms, duration_ms=5, sent_at_ms=now_ms - 5)
        return Snapshot(stripe_account, id_, version, self.invoices.get(id_))


class FakePreviews(InvoicePreviews):
    """Shows the same preview to everybody; `asked` tells for what."""

    def __init__(self) -> None:
        self.asked: list[InvoicePreview] = []

    @override
    async def preview(self, stripe_account: str, params: InvoicePreview) -> Invoice:
        self.asked.append(params)
        zero = Money(0, "usd")
        created = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        return Invoice("upcoming_in_1", created, "usd", "draft", zero, zero, zero, zero)
