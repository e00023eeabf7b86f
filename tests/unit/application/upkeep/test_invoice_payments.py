"""Which invoice payments are read again, since no event tells what became of them."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final

import pytest

from application.background.retries import Retries
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.nouns import INVOICE_PAYMENTS, INVOICES
from application.mirror.writer import MirrorWriter
from application.upkeep import refresh_invoice_payments as invoice_payments
from application.upkeep.refresh_invoice_payments import SETTLED_MS, InvoicePayments
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import Reason, Unavailable
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from tests.support.fakes.lists import FakeCheckpoints, FakeHistory
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
)

ACCOUNT: Final = "acct_1"
LINK: Final = Connection("a", ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, NOON)
USD: Final = Money(100, "usd")
SETTLED: Final = dt.timedelta(milliseconds=SETTLED_MS)
DAY: Final = dt.timedelta(days=1)


async def no_wait(_: float) -> None:
    """Try again at once."""


class StripeAndMirror:
    """Stripe holds `inpay_…` of `in_…`; the mirror shows what it was told."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stripe = FakeHistory(self.clock)
        self.mirror = FakeMirror()
        self.writer = MirrorWriter(self.mirror)
        platform = Platform(FakeDeployment(), FakeStripeAccounts(), Mode.TEST)
        self.service = InvoicePayments(
            self.stripe, self.stripe,
            Importer(self.writer, self.stripe, Enrichment(self.mirror)),
            self.mirror, FakeCheckpoints(),
            MirroredAccounts(FakeConnections(LINK), platform, Mode.TEST),
            self.clock, retries=Retries(tries=1, sleep=no_wait),
        )  # fmt: skip

    def pays(self, number: int, status: str, *, made: dt.datetime = NOON - 400 * DAY) -> None:
        """Let Stripe hold a payment of an invoice."""
        paid = InvoicePayment(f"inpay_{number}", made, f"in_{number}", status, USD, is_default=True)
        self.stripe.add(INVOICE_PAYMENTS, paid)

    async def mirrored(self, *numbers: int) -> None:
        """Let the mirror show the payments as Stripe holds them now."""
        held = self.stripe.of(INVOICE_PAYMENTS)
        version = self.stripe._version()
        seen: list[Snapshot[Any]] = [
            Snapshot(ACCOUNT, f"inpay_{n}", version, held[f"inpay_{n}"]) for n in numbers
        ]
        await self.writer.observe(INVOICE_PAYMENTS, seen)
        self.clock.advance(seconds=10)

    async def invoice(self, number: int, status: str, *, remaining: Money = USD) -> None:
        """Let an event of now tell of an invoice."""
        made = NOON - 500 * DAY
        found = Invoice(f"in_{number}", made, "usd", status, USD, USD, USD, remaining)
        now_ms = to_milliseconds(self.clock.now())
        version = Version.of_event(now_ms, known_at_ms=now_ms)
        await self.writer.observe(INVOICES, [Snapshot(ACCOUNT, found.id, version, found)])
        self.clock.advance(seconds=10)

    async def refresh(self, *, pending: bool = True) -> list[str]:
        """Refresh; the ids that were read by themselves."""
        self.stripe.reads.clear()
        await self.service.refresh(ACCOUNT, pending=pending)
        self.clock.advance(seconds=10)
        return sorted(self.stripe.reads)

    def shown(self, number: int) -> str:
        row: Any = self.mirror.rows[INVOICE_PAYMENTS.name, ACCOUNT, f"inpay_{number}"]
        status: str = row.snapshot.object.status
        return status


async def test_new_ones_are_listed_in_whatever_state() -> None:
    world = StripeAndMirror()
    for number, status in enumerate(("open", "paid", "canceled")):
        world.pays(number, status, made=NOON - dt.timedelta(hours=1))
    assert await world.refresh(pending=False) == []
    assert [world.shown(number) for number in range(3)] == ["open", "paid", "canceled"]


@pytest.mark.parametrize(("over", "became"), [("void", "canceled"), ("paid", "paid")])
async def test_an_open_one_whose_invoice_is_over_is_read_however_old(
    over: str, became: str
) -> None:
    world = StripeAndMirror()
    world.pays(1, "open")
    await world.mirrored(1)
    await world.invoice(1, over)
    world.pays(1, became)
    assert await world.refresh() == ["inpay_1"]
    assert world.shown(1) == became
    assert await world.refresh() == []


@pytest.mark.parametrize("status", ["open", "uncollectible", "draft", "teleported"])
async def test_one_whose_invoice_may_still_be_paid_is_not_read(status: str) -> None:
    world = StripeAndMirror()
    world.pays(1, "open")
    await world.mirrored(1)
    await world.invoice(1, status)
    assert await world.refresh() == []


async def test_one_whose_invoice_is_not_mirrored_is_not_read() -> None:
    world = StripeAndMirror()
    world.pays(1, "open")
    await world.mirrored(1)
    assert await world.refresh() == []


async def test_one_that_was_paid_or_canceled_is_not_read() -> None:
    world = StripeAndMirror()
    for number, status in ((1, "paid"), (2, "canceled")):
        world.pays(number, status)
        await world.mirrored(number)
        await world.invoice(number, "void")
    assert await world.refresh() == []


async def test_one_whose_invoice_wants_another_amount_is_read() -> None:
    world = StripeAndMirror()
    world.pays(1, "open")
    await world.mirrored(1)
    await world.invoice(1, "open", remaining=Money(60, "usd"))
    payment: Any = world.stripe.of(INVOICE_PAYMENTS)["inpay_1"]
    world.stripe.add(INVOICE_PAYMENTS, replace(payment, amount_requested=Money(60, "usd")))
    assert await world.refresh() == ["inpay_1"]
    assert await world.refresh() == []


async def test_one_that_stays_open_is_read_until_that_is_settled() -> None:
    world = StripeAndMirror()
    world.pays(1, "open")
    await world.mirrored(1)
    await world.invoice(1, "void")
    assert await world.refresh() == ["inpay_1"]
    assert await world.refresh() == ["inpay_1"], "Stripe may cancel it a little later"
    world.clock.instant += SETTLED
    assert await world.refresh() == ["inpay_1"]
    assert await world.refresh() == [], "seen so well after its invoice, it is so"
    await world.invoice(1, "paid")
    assert await world.refresh() == ["inpay_1"], "the invoice changed again"


async def test_one_that_was_seen_ahead_of_our_clock_is_read() -> None:
    world = StripeAndMirror()
    world.pays(1, "open")
    await world.mirrored(1)
    await world.invoice(1, "void")
    key = INVOICE_PAYMENTS.name, ACCOUNT, "inpay_1"
    row = world.mirror.rows[key]
    assert row.snapshot is not None
    then = to_milliseconds(world.clock.now() + 30 * DAY)
    version = replace(row.snapshot.version, low=then, high=then)
    world.mirror.rows[key] = replace(row, snapshot=replace(row.snapshot, version=version))
    world.pays(1, "canceled")
    assert await world.refresh() == ["inpay_1"]
    assert world.shown(1) == "canceled"


async def test_a_note_looks_at_the_newest_and_the_schedule_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(invoice_payments, "_ROWS", 2)
    world = StripeAndMirror()
    for number in range(5):
        world.pays(number, "open", made=NOON + number * DAY - 400 * DAY)
    await world.mirrored(*range(5))
    for number in range(5):
        await world.invoice(number, "void")
        world.pays(number, "canceled", made=NOON + number * DAY - 400 * DAY)
    assert await world.refresh(pending=False) == ["inpay_3", "inpay_4"]
    assert await world.refresh() == ["inpay_0", "inpay_1", "inpay_2"]
    assert {world.shown(number) for number in range(5)} == {"canceled"}


async def test_what_cannot_be_read_is_left_for_the_next_time() -> None:
    async def fail(where: str) -> None:
        if where == "stripe.read":
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "down")

    world = StripeAndMirror()
    world.pays(1, "open")
    await world.mirrored(1)
    await world.invoice(1, "void")
    world.pays(1, "canceled")
    pause, world.stripe.pause = world.stripe.pause, fail
    with pytest.raises(Unavailable):
        await world.refresh()
    world.stripe.pause = pause
    assert await world.refresh() == ["inpay_1"]
    assert world.shown(1) == "canceled"
