"""PayoutService over gRPC, on both stores: every RPC answers and refuses."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import payout_service_pb2 as pb
from billing_client.v1.payout_service_pb2_grpc import PayoutServiceStub
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from sandbox.emulator.balance_transactions import fee
from sandbox.emulator.core.messages import AccountSpec
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import (
    ServiceAndEmulator,
    Tenant,
    bearer,
    reason_of,
    token_for,
    until,
    world,
)

if TYPE_CHECKING:
    from billing_client.v1.payout_service_pb2_grpc import PayoutServiceAsyncStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = 86_400
AVAILABLE = "tok_bypassPending"
SOLD = (10_000, 2_000, 3_000)


class Business:
    """A tenant that is paid out daily, on one of the stores."""

    def __init__(self, here: ServiceAndEmulator, tenant: Tenant) -> None:
        self.here = here
        self.tenant = tenant

    @property
    def stub(self) -> "PayoutServiceAsyncStub":
        return PayoutServiceStub(self.here.service.channel)

    async def ask(self, method: str, request: Any, tenant: Tenant | None = None) -> Any:
        """The reply of a method."""
        send = getattr(self.stub, method)
        return await send(request, metadata=(tenant or self.tenant).metadata, timeout=20)

    async def refused(
        self, method: str, request: Any, tenant: Tenant | None = None
    ) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(method, request, tenant)
        return caught.value

    async def sell(self, *amounts: int) -> None:
        for amount in amounts:
            await self.here.sdk.v1.charges.create_async(
                {"amount": amount, "currency": "usd", "source": AVAILABLE}, self.tenant.options
            )

    async def listed(self, **where: Any) -> list[pb.Payout]:
        reply = await self.ask("ListPayouts", pb.ListPayoutsRequest(**where))
        return list(reply.payouts)

    async def payout(self, status: str, *, automatic: bool) -> pb.Payout:
        """The one payout of a kind, once it is mirrored so."""

        async def look() -> pb.Payout | None:
            found = await self.listed(automatic=automatic)
            return found[0] if found and found[0].status == status else None

        return await until(look)

    async def summary(self, payout: str) -> pb.PayoutSummary:
        """A payout's summary, asked for until it is there."""

        async def look() -> pb.PayoutSummary | None:
            try:
                return await self.ask("SummarizePayout", pb.SummarizePayoutRequest(id=payout))
            except grpc.aio.AioRpcError as error:
                if reason_of(error) != "PAYOUT_NOT_RECONCILED":
                    raise
                return None

        return await until(look)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def business(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Business]:
    """A business with an instant payout, and an automatic one that is paid and reconciled."""
    folder = tmp_path_factory.mktemp("service")
    opened = (
        world(folder)
        if request.param == "sqlite"
        else mongo_world(request.getfixturevalue("mongo_url"), folder)
    )
    async with opened as here:
        account = await here.emulator.control.create_account(AccountSpec(payouts="daily"))
        made = Business(here, await here.tenant(stripe_account=account))
        await made.sell(*SOLD)
        await here.sdk.v1.payouts.create_async(
            {"amount": 700, "currency": "usd", "method": "instant"}, made.tenant.options
        )
        await made.payout("pending", automatic=False)
        yield made


async def test_a_day_later_everything_is_explained(business: Business) -> None:
    here = business.here
    early = await business.refused("SummarizePayout", pb.SummarizePayoutRequest(id="po_none"))
    assert (early.code(), reason_of(early)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    control = here.emulator.control
    # A minute behind midnight it is made, and not on its way, with which it is reconciled.
    await control.set_clock((await control.now() // DAY + 1) * DAY + 60)
    waiting = await business.payout("pending", automatic=True)
    for method, message in (
        ("SummarizePayout", pb.SummarizePayoutRequest(id=waiting.id)),
        ("ListPayoutTransactions", pb.ListPayoutTransactionsRequest(id=waiting.id)),
    ):
        error = await business.refused(method, message)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert reason_of(error) == "PAYOUT_NOT_RECONCILED"
        assert retry_seconds(error) > 0
    await control.advance_clock(2 * DAY)
    paid = await business.payout("paid", automatic=True)
    summary = await business.summary(paid.id)
    fees = sum(map(fee, SOLD))
    assert [
        (row.reporting_category, row.part, row.count, row.gross.amount, row.fee.amount)
        for row in summary.rows[:1]
    ] == [("charge", "sales", len(SOLD), sum(SOLD), fees)]
    assert [row.own for row in summary.rows] == [False] * (len(summary.rows) - 1) + [True]
    assert [(row.net.amount, row.count) for row in summary.rows if row.part == "payouts"] == [
        (-700 - 50, 1), (-paid.amount.amount, 1),
    ], "the instant payout, too, is in what was left to pay out"  # fmt: skip
    assert summary.rows[-1].net.amount == -paid.amount.amount
    assert sum(row.net.amount for row in summary.rows) == 0
    assert (summary.currency, summary.status) == ("usd", "paid")


def retry_seconds(error: grpc.aio.AioRpcError) -> int:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # typed for other channels
    assert status is not None
    info = RetryInfo()
    assert any(packed.Unpack(info) for packed in status.details)
    return int(info.retry_delay.seconds)


async def test_transactions_over_pages_there_and_back(business: Business) -> None:
    paid = await business.payout("paid", automatic=True)
    summary = await business.summary(paid.id)
    there: list[list[str]] = []
    token = ""
    while True:
        request = pb.ListPayoutTransactionsRequest(id=paid.id, page_size=2, page_token=token)
        page = await business.ask("ListPayoutTransactions", request)
        there.append([one.id for one in page.balance_transactions])
        token = page.next_page_token
        if not token:
            break
    back = [there[-1]]
    while token := page.previous_page_token:
        request = pb.ListPayoutTransactionsRequest(id=paid.id, page_size=2, page_token=token)
        page = await business.ask("ListPayoutTransactions", request)
        back.insert(0, [one.id for one in page.balance_transactions])
    assert back == there
    ids = [id_ for page_ids in there for id_ in page_ids]
    assert len(ids) == len({*ids}) == sum(row.count for row in summary.rows)
    request = pb.ListPayoutTransactionsRequest(id=paid.id, reporting_category="charge")
    charges = (await business.ask("ListPayoutTransactions", request)).balance_transactions
    assert sorted(one.amount.amount for one in charges) == sorted(SOLD)
    assert {(one.about, one.balance_type) for one in charges} == {("charge", "payments")}
    assert all(one.net.amount == one.amount.amount - one.fee.amount for one in charges)
    assert [one.fee_details[0].type for one in charges] == ["stripe_fee"] * len(SOLD)
    bad = pb.ListPayoutTransactionsRequest(id=paid.id, page_token="nonsense")
    assert reason_of(await business.refused("ListPayoutTransactions", bad)) == "INVALID_PAGE_TOKEN"


async def test_a_payout_with_what_belongs_to_it(business: Business) -> None:
    paid = await business.payout("paid", automatic=True)
    details = await business.ask("GetPayout", pb.GetPayoutRequest(id=paid.id))
    assert details.payout == paid
    assert details.membership == pb.PAYOUT_MEMBERSHIP_READ
    assert (details.destination.bank_name, details.destination.last4) == (
        "STRIPE TEST BANK",
        "6789",
    )
    assert (details.destination.id, details.destination.currency) == (paid.destination, "usd")
    assert details.balance_transaction.id == paid.balance_transaction
    assert details.balance_transaction.net.amount == -paid.amount.amount
    assert not details.HasField("failure_transaction")
    await business.here.sdk.v1.accounts.external_accounts.delete_async(
        business.tenant.stripe_account, paid.destination
    )
    gone = (await business.ask("GetPayout", pb.GetPayoutRequest(id=paid.id))).destination
    assert gone == pb.Destination(
        id=paid.destination, type="bank_account", currency="usd", deleted=True
    )


async def test_manual_payouts_are_not_reconcilable(business: Business) -> None:
    (instant,) = await business.listed(automatic=False)
    assert instant.method == "instant"
    details = await business.ask("GetPayout", pb.GetPayoutRequest(id=instant.id))
    assert details.membership == pb.PAYOUT_MEMBERSHIP_NOT_RECONCILABLE
    for method, message in (
        ("SummarizePayout", pb.SummarizePayoutRequest(id=instant.id)),
        ("ListPayoutTransactions", pb.ListPayoutTransactionsRequest(id=instant.id)),
    ):
        error = await business.refused(method, message)
        assert (error.code(), reason_of(error)) == (
            grpc.StatusCode.FAILED_PRECONDITION, "NOT_RECONCILABLE",
        )  # fmt: skip


async def test_payouts_are_listed_and_narrowed(business: Business) -> None:
    every = await business.listed()
    for order in (pb.PAYOUT_ORDER_ARRIVAL_TIME, pb.PAYOUT_ORDER_CREATE_TIME):
        latest_first = [one.id for one in await business.listed(order=order)]
        turned = await business.listed(order=order, oldest_first=True)
        assert [one.id for one in turned] == latest_first[::-1]
    assert {one.id for one in await business.listed(order=pb.PAYOUT_ORDER_CREATE_TIME)} == {
        one.id for one in every
    }
    (instant,) = [one for one in every if not one.automatic]
    after = await business.listed(arrival_after=instant.arrival_time, statuses=["paid"])
    assert {one.id for one in after} <= {one.id for one in every}
    assert await business.listed(currency="jpy") == []
    wrong = pb.ListPayoutsRequest(page_size=-1, statuses=["lost"], currency="USD", order=9)  # type: ignore[arg-type]  # no such order
    error = await business.refused("ListPayouts", wrong)
    assert reason_of(error) == "INVALID_FIELDS"
    for field in ("page_size", "statuses[0]", "currency", "order"):
        assert field in (error.details() or "")


async def test_the_balance_beside_the_mirror(business: Business) -> None:
    await business.sell(4_000)
    first = await business.ask("GetBalance", pb.GetBalanceRequest())
    (usd,) = [one for one in first.currencies if one.currency == "usd"]
    assert usd.mirrored.amount == usd.available.amount + usd.pending.amount
    assert usd.HasField("difference")
    assert usd.difference.amount == 0
    assert usd.instant_available.amount <= usd.available.amount
    assert [one.source_type for one in usd.source_types] == ["card"]
    assert first.read_start_time.ToMilliseconds() < first.read_end_time.ToMilliseconds()
    await business.here.emulator.control.advance_clock(60)
    later = await business.ask("GetBalance", pb.GetBalanceRequest())
    (usd,) = [one for one in later.currencies if one.currency == "usd"]
    assert usd.HasField("mirrored_since"), "it ties to the reading before"
    assert usd.difference.amount == 0


async def test_a_payout_fails_after_it_was_paid(business: Business) -> None:
    """Its money is in a later payout, and both dates are told."""
    control, account = business.here.emulator.control, business.tenant.stripe_account
    paid = await business.payout("paid", automatic=True)
    await control.happen(
        "payouts", paid.id, "fail", {"failure_code": "account_closed"}, account=account
    )

    async def failed() -> pb.PayoutDetails | None:
        found = await business.ask("GetPayout", pb.GetPayoutRequest(id=paid.id))
        return found if found.payout.HasField("failure_time") else None

    details = await until(failed, 20)
    assert (details.payout.status, details.payout.failure_code) == ("failed", "account_closed")
    assert details.payout.arrival_time == paid.arrival_time
    assert details.payout.failure_time == details.failure_transaction.create_time
    assert details.failure_transaction.net.amount == paid.amount.amount
    await control.advance_clock(4 * DAY)

    async def later() -> pb.Payout | None:
        found = await business.listed(automatic=True, statuses=["paid"])
        return found[0] if found else None

    summary = await business.summary((await until(later)).id)
    rows = {row.reporting_category: row for row in summary.rows}
    assert rows["payout_reversal"].net.amount == paid.amount.amount
    assert sum(row.net.amount for row in summary.rows) == 0
    assert await business.listed(statuses=["failed"]) == [details.payout]


async def test_another_tenants_payouts_are_not_found(business: Business) -> None:
    (paid, *_) = await business.listed()
    other = await business.here.tenant()
    for method, message in (
        ("GetPayout", pb.GetPayoutRequest(id=paid.id)),
        ("SummarizePayout", pb.SummarizePayoutRequest(id=paid.id)),
        ("ListPayoutTransactions", pb.ListPayoutTransactionsRequest(id=paid.id)),
    ):
        error = await business.refused(method, message, other)
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    listed = await business.ask("ListPayouts", pb.ListPayoutsRequest(), other)
    assert list(listed.payouts) == []


async def test_every_method_wants_its_scope(business: Business) -> None:
    metadata = bearer(token_for(business.tenant.account, "charges.read"))
    for method, message in (
        ("ListPayouts", pb.ListPayoutsRequest()),
        ("GetPayout", pb.GetPayoutRequest(id="po_1")),
        ("SummarizePayout", pb.SummarizePayoutRequest(id="po_1")),
        ("ListPayoutTransactions", pb.ListPayoutTransactionsRequest(id="po_1")),
        ("GetBalance", pb.GetBalanceRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(business.stub, method)(message, metadata=metadata, timeout=20)
        assert reason_of(caught.value) == "SCOPE_MISSING"
