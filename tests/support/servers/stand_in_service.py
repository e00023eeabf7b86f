"""A service for the demo's tests: takes webhooks as Billing does and answers the same gRPC calls.

It looks customers up at the emulator once an event has named them, so it is right by construction,
and can be made wrong in one place: an object whose id `ignores` accepts is not in its mirror.
"""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import grpc
import stripe
from aiohttp import web
from billing_client.v1 import analytics_service_pb2 as analytics
from billing_client.v1 import customer_service_pb2 as customers
from billing_client.v1 import mirror_service_pb2 as operations
from billing_client.v1 import payout_service_pb2 as payouts
from billing_client.v1 import tie_out_pb2
from billing_client.v1.analytics_service_pb2_grpc import (
    AnalyticsServiceServicer,
    add_AnalyticsServiceServicer_to_server,
)
from billing_client.v1.customer_service_pb2_grpc import (
    CustomerServiceServicer,
    add_CustomerServiceServicer_to_server,
)
from billing_client.v1.mirror_service_pb2_grpc import (
    MirrorServiceServicer,
    add_MirrorServiceServicer_to_server,
)
from billing_client.v1.money_pb2 import Money
from billing_client.v1.payout_service_pb2_grpc import (
    PayoutServiceServicer,
    add_PayoutServiceServicer_to_server,
)
from billing_client.v1.period_pb2 import Period
from google.protobuf.empty_pb2 import Empty
from typing_extensions import override

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
SECRET: Final = "whsec_demo_service"


@dataclass
class MirrorService:
    """tenants: bearer token → Stripe account. ignores: what the mirror does not learn of."""

    sdk: stripe.StripeClient
    tenants: dict[str, str]
    ignores: Callable[[str], bool] = lambda _: False
    grpc_address: str = ""
    webhook_url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    customers: set[str] = field(default_factory=set)
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def receive(self, request: web.BaseRequest) -> web.Response:
        """Accept a signed webhook; 400 for one of another secret."""
        body = await request.read()
        header = request.headers["Stripe-Signature"]
        try:
            stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, 300)
        except stripe.SignatureVerificationError:
            return web.Response(status=400)
        event = json.loads(body)
        self.events.append(event)
        item = event["data"]["object"]
        if item["object"] == "customer" and not self.ignores(item["id"]):
            self.customers.add(item["id"])
        if item["object"] == "charge" and not self.ignores(item["id"]):
            # What is read of a charge here is the same in all of its events.
            self.charges[item["id"]] = {**item, "account": event["account"]}
        return web.Response()

    async def tenant(self, context: Context) -> str:
        """The caller's Stripe account; aborts with UNAUTHENTICATED for an unknown token."""
        metadata = dict(context.invocation_metadata() or ())
        account = self.tenants.get(str(metadata.get("authorization", "")).removeprefix("Bearer "))
        if account is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        return account

    def between(self, account: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """The mirrored charges of a period."""
        return [
            charge
            for charge in self.charges.values()
            if charge["account"] == account
            and start.timestamp() <= charge["created"] < end.timestamp()
        ]


class _Analytics(AnalyticsServiceServicer):
    def __init__(self, service: MirrorService) -> None:
        self._service = service

    @override
    async def GetGrossVolume(
        self, request: analytics.GetGrossVolumeRequest, context: Context
    ) -> analytics.GrossVolume:
        account = await self._service.tenant(context)
        start, end = _bounds(request.period)
        now = self._service.between(account, start, end)
        before = self._service.between(account, start - (end - start), start)
        previous = _sums(before)
        answer = analytics.GrossVolume(period=request.period)
        for currency, amount in sorted(_sums(now).items()):
            part = answer.currencies.add(currency=currency)
            part.current.CopyFrom(Money(amount=amount, currency=currency))
            part.previous.CopyFrom(Money(amount=previous[currency], currency=currency))
            if previous[currency]:
                part.growth = (amount - previous[currency]) / previous[currency]
            for first, last in _days(start, end, request.period.time_zone):
                bucket = part.buckets.add(partial=last > datetime.now(UTC))
                bucket.start_time.FromDatetime(first)
                bucket.end_time.FromDatetime(last)
                of_day = _sums(self._service.between(account, first, last))
                bucket.amount.CopyFrom(Money(amount=of_day[currency], currency=currency))
        return answer

    @override
    async def GetChargeCounts(
        self, request: analytics.GetChargeCountsRequest, context: Context
    ) -> analytics.ChargeCounts:
        account = await self._service.tenant(context)
        start, end = _bounds(request.period)
        now = Counter(c["status"] for c in self._service.between(account, start, end))
        earlier = self._service.between(account, start - (end - start), start)
        before = Counter(c["status"] for c in earlier)
        answer = analytics.ChargeCounts(period=request.period)
        for name, count in (("succeeded", answer.succeeded), ("failed", answer.failed)):
            count.current, count.previous = now[name], before[name]
            if before[name]:
                count.growth = (now[name] - before[name]) / before[name]
        return answer

    @override
    async def GetOverview(
        self, request: analytics.GetOverviewRequest, context: Context
    ) -> analytics.Overview:
        """Gross volume alone: the proof compares no more."""
        await self._service.tenant(context)
        return analytics.Overview()

    @override
    async def GetTieOut(
        self, request: tie_out_pb2.GetTieOutRequest, context: Context
    ) -> tie_out_pb2.TieOut:
        """One day of each business, long over, that ties."""
        await self._service.tenant(context)
        answer = tie_out_pb2.TieOut(period=request.period)
        part = answer.currencies.add(currency=request.currency)
        day = part.days.add(verdict=tie_out_pb2.TieOutDay.VERDICT_TIES)
        day.closing.CopyFrom(Money(amount=12_345, currency=request.currency))
        return answer


class _Payouts(PayoutServiceServicer):
    def __init__(self, service: MirrorService) -> None:
        self._service = service

    @override
    async def GetBalance(
        self, request: payouts.GetBalanceRequest, context: Context
    ) -> payouts.Balance:
        await self._service.tenant(context)
        return payouts.Balance()


class _Customers(CustomerServiceServicer):
    def __init__(self, service: MirrorService) -> None:
        self._service = service

    @override
    async def ListCustomers(
        self, request: customers.ListCustomersRequest, context: Context
    ) -> customers.ListCustomersResponse:
        """Pages of ten, so that a reader has to turn them."""
        account = await self._service.tenant(context)
        params: stripe.params.CustomerListParams = {"limit": 10}
        if request.page_token:
            params["starting_after"] = request.page_token
        page = await self._service.sdk.v1.customers.list_async(params, {"stripe_account": account})
        answer = customers.ListCustomersResponse()
        for item in page.data:
            if item.id in self._service.customers:
                answer.customers.add(
                    id=item.id,
                    name=item.name or "",
                    email=item.email or "",
                    phone=item.phone or "",
                    metadata=item.metadata.to_dict() if item.metadata else {},
                )
        answer.next_page_token = page.data[-1].id if page.has_more else ""
        return answer

    @override
    async def GetCustomer(
        self, request: customers.GetCustomerRequest, context: Context
    ) -> customers.Customer:
        raise NotImplementedError

    @override
    async def CreateCustomer(
        self, request: customers.CreateCustomerRequest, context: Context
    ) -> customers.Customer:
        raise NotImplementedError

    @override
    async def UpdateCustomer(
        self, request: customers.UpdateCustomerRequest, context: Context
    ) -> customers.Customer:
        raise NotImplementedError

    @override
    async def DeleteCustomer(
        self, request: customers.DeleteCustomerRequest, context: Context
    ) -> Empty:
        raise NotImplementedError


class _Operations(MirrorServiceServicer):
    """Does at once whatever is started, and finds every customer that it knows right."""

    def __init__(self, service: MirrorService) -> None:
        self._service = service

    @override
    async def StartBackfill(
        self, request: operations.StartBackfillRequest, context: Context
    ) -> operations.Operation:
        await self._service.tenant(context)
        return operations.Operation(kind=operations.Operation.KIND_BACKFILL)

    @override
    async def StartReconciliation(
        self, request: operations.StartReconciliationRequest, context: Context
    ) -> operations.Operation:
        await self._service.tenant(context)
        return operations.Operation(kind=operations.Operation.KIND_RECONCILIATION)

    @override
    async def WatchOperation(
        self, request: operations.WatchOperationRequest, context: Context
    ) -> AsyncIterator[operations.Operation]:
        await self._service.tenant(context)
        for state in (operations.Operation.STATE_RUNNING, operations.Operation.STATE_SUCCEEDED):
            yield operations.Operation(kind=request.kind, state=state, report_id="report")

    @override
    async def GetReport(
        self, request: operations.GetReportRequest, context: Context
    ) -> operations.MirrorReport:
        account = await self._service.tenant(context)
        assert request.id == "report"
        listed = await self._service.sdk.v1.customers.list_async(
            {"limit": 100}, {"stripe_account": account}
        )
        ids = [customer.id async for customer in listed.auto_paging_iter()]
        missing = len(set(ids) - self._service.customers)
        counts = operations.NounCounts(
            noun="customer", compared_count=len(ids), missing_count=missing
        )
        return operations.MirrorReport(id=request.id, counts=[counts], drifted_count=missing)


def _bounds(period: Period) -> tuple[datetime, datetime]:
    return period.start_time.ToDatetime(tzinfo=UTC), period.end_time.ToDatetime(tzinfo=UTC)


def _sums(charges: Sequence[dict[str, Any]]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for charge in charges:
        if charge["status"] == "succeeded":
            sums[charge["currency"]] += charge["amount_captured"]
    return sums


def _days(start: datetime, end: datetime, zone: str) -> list[tuple[datetime, datetime]]:
    """Local days from `start` to `end`, clipped to both."""
    clock = ZoneInfo(zone)
    edges, day = [start], start.astimezone(clock).date()
    while edges[-1] < end:
        day += timedelta(days=1)
        midnight = datetime.combine(day, time(), clock).astimezone(UTC)
        edges.append(min(midnight, end))
    return list(pairwise(edges))


@asynccontextmanager
async def mirror_service(
    sdk: stripe.StripeClient, tenants: dict[str, str]
) -> AsyncIterator[MirrorService]:
    """The service on free ports of the running loop."""
    service = MirrorService(sdk, tenants)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_AnalyticsServiceServicer_to_server(_Analytics(service), server)
    add_CustomerServiceServicer_to_server(_Customers(service), server)
    add_MirrorServiceServicer_to_server(_Operations(service), server)
    add_PayoutServiceServicer_to_server(_Payouts(service), server)
    service.grpc_address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    runner = web.ServerRunner(web.Server(service.receive, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.webhook_url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/stripe"
    await server.start()
    try:
        yield service
    finally:
        await server.stop(None)
        await runner.cleanup()
