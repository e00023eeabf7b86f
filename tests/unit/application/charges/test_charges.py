"""Charges: what may be asked, and how money is given back."""

import datetime as dt
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from application.background.tasks import Tasks
from application.charges.commands import ListCharges, ListRefunds
from application.charges.ports import RefundGateway, RefundOrder
from application.charges.use_cases import Charges
from application.connections.use_cases import Connections
from application.mirror.nouns import CHARGES, REFUNDS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.mutations.stripe import Call
from application.requests.callers import Caller
from application.requests.paging import Page, PageTokens
from domain.charges import Charge
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import InvalidArgument, NotFound, RateLimited, Reason, Unavailable, WrongState
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from domain.refunds import Refund
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

CALLER = Caller("service", "acme", frozenset())
OTHER = replace(CALLER, account="other")
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)
SECOND = dt.timedelta(seconds=1)


def charge(id_: str = "ch_1", *, refunded: int = 0, **fields: Any) -> Charge:
    return Charge(
        id_, fields.pop("created", NOON), Money(2_000, "usd"), Money(2_000, "usd"),
        Money(refunded, "usd"), fields.pop("status", "succeeded"), captured=True,
        refunded=refunded == 2_000, disputed=False, **fields,
    )  # fmt: skip


class FakeRefundGateway(RefundGateway):
    """One charge at Stripe, and what was given back of it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.charge = charge()
        self.refunds: dict[str, Refund] = {}
        self.sent: list[tuple[str, RefundOrder]] = []
        self.refusals: list[Exception] = []

    @override
    async def refund(self, call: Call, params: RefundOrder) -> Snapshot[Refund]:
        if self.refusals:
            raise self.refusals.pop()
        self.sent.append((call.idempotency_key, params))
        if params.charge != self.charge.id:
            raise NotFound("charge", params.charge)
        if self.charge.refunded:
            raise WrongState("charge", params.charge, "refunded")
        before = self.charge.amount_refunded.amount
        amount = params.amount or self.charge.amount.amount - before
        made = Refund(f"re_{len(self.sent)}", self.clock.now(), Money(amount, "usd"), "succeeded",
                      params.charge, reason=params.reason)  # fmt: skip
        self.refunds[call.tag] = made
        total = before + amount
        self.charge = replace(
            self.charge, amount_refunded=Money(total, "usd"), refunded=total == 2_000
        )
        return self._snapshot(call, made)

    @override
    async def find_refund(
        self, call: Call, params: RefundOrder, sent_at: dt.datetime
    ) -> Snapshot[Refund] | None:
        found = self.refunds.get(call.tag)
        return None if found is None else self._snapshot(call, found)

    def _snapshot(self, call: Call, found: Any) -> Snapshot[Any]:
        self.clock.advance(milliseconds=10_000)
        at = to_milliseconds(self.clock.now())
        version = Version.of_read(date_ms=at, duration_ms=1, sent_at_ms=at)
        return Snapshot(call.stripe_account, found.id, version, found)


class ChargesOnFakes:
    """The use case and what it works with."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.mirror, self.stripe = FakeMirror(), FakeRefundGateway(clock)
        other = replace(CONNECTION, account="other", stripe_account="acct_2")
        connections = Connections(
            FakeConnections(CONNECTION, other), FakeStripeAccounts(), self.mirror, clock, Mode.TEST
        )
        self.writer = MirrorWriter(self.mirror)
        self.objects = FakeObjects(
            clock, lambda id_: self.stripe.charge if id_ == self.stripe.charge.id else None
        )
        mutations = Mutations(
            FakeMutationLog(), connections, self.writer, clock, Tasks(), self.objects
        )
        reader = MirrorReader(self.mirror, PageTokens(b"k", clock))
        self.charges = Charges(reader, connections, mutations, self.stripe)

    async def mirrored(self, *charges: Charge) -> None:
        told = [Snapshot("acct_1", one.id, Version.of_event(1), one) for one in charges]
        await self.writer.observe(CHARGES, told)

    async def give_back(self, order: RefundOrder, request_id: str = "r-1") -> Refund:
        return await self.charges.refund(CALLER, request_id, order)


@pytest.fixture
def desk() -> ChargesOnFakes:
    return ChargesOnFakes()


async def violations(call: Awaitable[object]) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        await call
    return [violation.field for violation in refused.value.violations]


def ids(page: Page[Any]) -> list[str]:
    return [one.id for one in page.items]


async def test_charges_are_listed_newest_first_and_narrowed(desk: ChargesOnFakes) -> None:
    await desk.mirrored(
        charge("ch_1", customer="cus_1", payment_intent="pi_1"),
        charge("ch_2", customer="cus_1", created=NOON + SECOND, status="failed"),
        charge("ch_3", customer="cus_2", created=NOON + 2 * SECOND, status="failed"),
    )
    for query, found in (
        (ListCharges(), ["ch_3", "ch_2", "ch_1"]),
        (ListCharges(customer="cus_1"), ["ch_2", "ch_1"]),
        (ListCharges(status="failed"), ["ch_3", "ch_2"]),
        (ListCharges(customer="cus_1", status="failed"), ["ch_2"]),
        (ListCharges(payment_intent="pi_1"), ["ch_1"]),
        (ListCharges(created_after=NOON + SECOND, created_before=NOON + 2 * SECOND), ["ch_2"]),
    ):
        assert ids(await desk.charges.list(CALLER, query)) == found, query
        assert ids(await desk.charges.list(OTHER, query)) == []


async def test_a_list_goes_on_where_its_page_ended(desk: ChargesOnFakes) -> None:
    await desk.mirrored(charge("ch_1", customer="cus_1"), charge("ch_2", customer="cus_1"))
    query = ListCharges(page_size=1, customer="cus_1")
    first = await desk.charges.list(CALLER, query)
    rest = replace(query, page_token=first.next_page_token)
    assert ids(first) + ids(await desk.charges.list(CALLER, rest)) == ["ch_2", "ch_1"]
    for caller, other in ((CALLER, replace(rest, customer="")), (OTHER, rest)):
        assert await violations(desk.charges.list(caller, other)) == ["page_token"]


async def test_a_charge_is_the_tenants_own(desk: ChargesOnFakes) -> None:
    await desk.mirrored(charge())
    assert await desk.charges.get(CALLER, "ch_1") == charge()
    for caller, id_ in ((OTHER, "ch_1"), (CALLER, "ch_2")):
        with pytest.raises(NotFound):
            await desk.charges.get(caller, id_)
    assert await violations(desk.charges.get(CALLER, "ch\n1")) == ["id"]


async def test_refunds_are_listed_of_a_charge_or_all(desk: ChargesOnFakes) -> None:
    refunds = [
        Refund(f"re_{n}", NOON + n * SECOND, Money(1, "usd"), charge=f"ch_{n % 2}")
        for n in range(4)
    ]
    told = [Snapshot("acct_1", one.id, Version.of_event(1), one) for one in refunds]
    await desk.writer.observe(REFUNDS, told)
    for query, found in (
        (ListRefunds(), ["re_3", "re_2", "re_1", "re_0"]),
        (ListRefunds(charge="ch_1"), ["re_3", "re_1"]),
        (ListRefunds(charge="ch_1", created_before=NOON + 3 * SECOND), ["re_1"]),
    ):
        assert ids(await desk.charges.refunds(CALLER, query)) == found
        assert ids(await desk.charges.refunds(OTHER, query)) == []


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (ListCharges(page_size=101, customer="?\n", status="paid"),
         ["page_size", "customer", "status"]),
        (ListCharges(payment_intent="pi_1", customer="cus_1"), ["payment_intent"]),
        (ListCharges(payment_intent="pi_1", status="failed"), ["payment_intent"]),
        (ListCharges(payment_intent="?\n"), ["payment_intent"]),
        (ListCharges(created_after=NOON, created_before=NOON), ["created_before"]),
    ],
)  # fmt: skip
async def test_lists_that_are_none(
    desk: ChargesOnFakes, query: ListCharges, fields: list[str]
) -> None:
    assert await violations(desk.charges.list(CALLER, query)) == fields


async def test_a_list_of_refunds_that_is_none(desk: ChargesOnFakes) -> None:
    query = ListRefunds(page_size=-1, charge="?\n", created_after=NOON, created_before=NOON)
    assert await violations(desk.charges.refunds(CALLER, query)) == [
        "page_size", "charge", "created_before",
    ]  # fmt: skip


async def test_a_part_is_given_back_and_both_are_mirrored(desk: ChargesOnFakes) -> None:
    await desk.mirrored(charge())
    refund = await desk.give_back(RefundOrder("ch_1", 500, "usd", "duplicate"))
    assert (refund.amount, refund.reason) == (Money(500, "usd"), "duplicate")
    assert (await desk.charges.get(CALLER, "ch_1")).amount_refunded == Money(500, "usd")
    assert (await desk.charges.refunds(CALLER, ListRefunds(charge="ch_1"))).items == [refund]
    assert desk.objects.reads == ["ch_1"]


async def test_without_an_amount_all_that_is_left_is_given_back(desk: ChargesOnFakes) -> None:
    await desk.give_back(RefundOrder("ch_1", 500, "usd"))
    rest = await desk.give_back(RefundOrder("ch_1"), "r-2")
    assert rest.amount == Money(1_500, "usd")
    assert (await desk.charges.get(CALLER, "ch_1")).refunded
    with pytest.raises(WrongState):
        await desk.give_back(RefundOrder("ch_1"), "r-3")


async def test_the_same_request_gives_back_once(desk: ChargesOnFakes) -> None:
    order = RefundOrder("ch_1", 500, "usd")
    assert await desk.give_back(order) == await desk.give_back(order)
    assert len(desk.stripe.sent) == 1
    with pytest.raises(InvalidArgument) as reused:
        await desk.give_back(replace(order, amount=501))
    assert reused.value.reason is Reason.REQUEST_ID_REUSED
    with pytest.raises(InvalidArgument):
        await desk.give_back(replace(order, currency="eur"))
    assert len(desk.stripe.sent) == 1


@pytest.mark.parametrize("known", [True, False], ids=["mirrored", "not mirrored yet"])
async def test_an_amount_in_another_currency_is_never_sent(
    desk: ChargesOnFakes, known: bool
) -> None:
    if known:
        await desk.mirrored(charge())
    assert await violations(desk.give_back(RefundOrder("ch_1", 500, "eur"))) == ["amount.currency"]
    assert (desk.stripe.sent, desk.objects.reads) == ([], [] if known else ["ch_1"])


async def test_a_refund_that_was_turned_away_is_open_though_its_charge_was_looked_at(
    desk: ChargesOnFakes,
) -> None:
    """Nothing was sent, so the caller is not told that something may have been."""
    order = RefundOrder("ch_1", 500, "usd")
    desk.stripe.refusals = [RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1)]
    with pytest.raises(RateLimited):
        await desk.give_back(order)
    assert desk.objects.reads == ["ch_1"]
    assert (await desk.give_back(order)).amount == Money(500, "usd")


async def test_a_charge_that_nobody_knows_is_not_found(desk: ChargesOnFakes) -> None:
    for number, order in enumerate((RefundOrder("ch_2", 500, "usd"), RefundOrder("ch_2"))):
        with pytest.raises(NotFound):
            await desk.give_back(order, f"r-{number}")


async def test_done_is_done_though_the_charge_cannot_be_read_just_then(
    desk: ChargesOnFakes,
) -> None:
    await desk.mirrored(charge())
    desk.objects.error = Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe does not answer")
    refund = await desk.give_back(RefundOrder("ch_1", 500, "usd"))
    assert refund.amount == Money(500, "usd")
    desk.objects.error = None
    assert await desk.give_back(RefundOrder("ch_1", 500, "usd")) == refund
    assert len(desk.stripe.sent) == 1


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        (RefundOrder("", 0, "US"), ["id", "amount", "amount.currency"]),
        (RefundOrder("ch_1", -5, "usd"), ["amount"]),
        (RefundOrder("ch_1", 10**12, "usd"), ["amount"]),
        (RefundOrder("ch_1", 5, ""), ["amount.currency"]),
        (RefundOrder("ch_1", 5, "USD"), ["amount.currency"]),
        (RefundOrder("ch_1", reason="expired_uncaptured_charge"), ["reason"]),
        (RefundOrder("ch_1", metadata={"billing_request": "x"}), ["metadata"]),
    ],
)
async def test_orders_that_are_none(
    desk: ChargesOnFakes, order: RefundOrder, fields: list[str]
) -> None:
    assert await violations(desk.give_back(order, "")) == ["request_id", *fields]
    assert desk.stripe.sent == []
