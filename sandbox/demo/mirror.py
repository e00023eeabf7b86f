"""What the service's mirror says, read over gRPC through its client stubs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import grpc
from billing_client.v1.analytics_service_pb2 import (
    ChargeCounts,
    GetChargeCountsRequest,
    GetGrossVolumeRequest,
    GetOverviewRequest,
    GrossVolume,
    Overview,
)
from billing_client.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from billing_client.v1.customer_service_pb2 import Customer, ListCustomersRequest
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub
from billing_client.v1.event_service_pb2 import Event, ListEventsRequest
from billing_client.v1.event_service_pb2_grpc import EventServiceStub
from billing_client.v1.mirror_service_pb2 import (
    GetReportRequest,
    MirrorReport,
    Operation,
    StartBackfillRequest,
    StartReconciliationRequest,
    WatchOperationRequest,
)
from billing_client.v1.mirror_service_pb2_grpc import MirrorServiceStub
from billing_client.v1.payout_service_pb2 import Balance, GetBalanceRequest
from billing_client.v1.payout_service_pb2_grpc import PayoutServiceStub
from billing_client.v1.period_pb2 import GRANULARITY_DAY, Period
from billing_client.v1.subscriber_figures_pb2 import (
    GetMrrRequest,
    GetSubscribersRequest,
    ListCohortsRequest,
    ListCohortsResponse,
    ListProductRevenueRequest,
    ListProductRevenueResponse,
    Mrr,
    Subscribers,
)
from billing_client.v1.tie_out_pb2 import GetTieOutRequest, TieOut

from sandbox.demo.world import Branch, Business

SECONDS: Final = 10.0
LONG_SECONDS: Final = 60.0
_PAGE: Final = 100
_MOST_PAGES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Club:
    """What the service says of a business's subscriptions."""

    business: Business
    mrr: Mrr
    subscribers: Subscribers
    cohorts: ListCohortsResponse
    products: ListProductRevenueResponse


def period(business: Business, start: datetime, end: datetime) -> Period:
    """[start, end) as the business's own clock shows it."""
    message = Period(time_zone=business.time_zone)
    message.start_time.FromDatetime(start.astimezone(UTC))
    message.end_time.FromDatetime(end.astimezone(UTC))
    return message


class Mirror:
    """The service, called as each business. Use as an async context manager.

    Every method raises grpc.aio.AioRpcError.
    """

    def __init__(self, address: str) -> None:
        """address: host:port, without TLS."""
        # The service is on this machine: a proxy that the shell is set up for does not know it.
        self.channel = grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._analytics = AnalyticsServiceStub(self.channel)
        self._customers = CustomerServiceStub(self.channel)
        self._events = EventServiceStub(self.channel)
        self._operations = MirrorServiceStub(self.channel)
        self._payouts = PayoutServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.channel.close()

    async def gross_volume(self, business: Business, over: Period) -> GrossVolume:
        """Gross volume by local day."""
        return await self._analytics.GetGrossVolume(
            GetGrossVolumeRequest(period=over, granularity=GRANULARITY_DAY),
            metadata=bearer(business),
            timeout=SECONDS,
        )

    async def charge_counts(self, business: Business, over: Period) -> ChargeCounts:
        """Charges that succeeded and failed, by local day."""
        return await self._analytics.GetChargeCounts(
            GetChargeCountsRequest(period=over, granularity=GRANULARITY_DAY),
            metadata=bearer(business),
            timeout=SECONDS,
        )

    async def overview(self, business: Business, over: Period) -> Overview:
        """All figures of a period, by local day."""
        return await self._analytics.GetOverview(
            GetOverviewRequest(period=over, granularity=GRANULARITY_DAY),
            metadata=bearer(business),
            timeout=SECONDS,
        )

    async def club(self, business: Business, over: Period) -> Club:
        """What became of subscriptions: MRR and subscribers, cohorts by month, products."""
        who, currency = bearer(business), business.currency
        mrr = GetMrrRequest(period=over, currency=currency)
        products = ListProductRevenueRequest(period=over, currency=currency)
        members, cohorts = GetSubscribersRequest(period=over), ListCohortsRequest(period=over)
        ask = self._analytics
        return Club(
            business,
            await ask.GetMrr(mrr, metadata=who, timeout=SECONDS),
            await ask.GetSubscribers(members, metadata=who, timeout=SECONDS),
            await ask.ListCohorts(cohorts, metadata=who, timeout=SECONDS),
            await ask.ListProductRevenue(products, metadata=who, timeout=SECONDS),
        )

    async def balance(self, business: Business) -> Balance:
        """Have the service read Stripe's balance, and the transactions up to it."""
        return await self._payouts.GetBalance(
            GetBalanceRequest(), metadata=bearer(business), timeout=SECONDS
        )

    async def tie_out(self, business: Business, over: Period) -> TieOut:
        """Each local day, held against the balances that were read."""
        return await self._analytics.GetTieOut(
            GetTieOutRequest(period=over, currency=business.currency),
            metadata=bearer(business),
            timeout=SECONDS,
        )

    async def customers(self, business: Business) -> list[Customer]:
        """All customers, newest first, page by page."""
        found: list[Customer] = []
        token = ""
        for _ in range(_MOST_PAGES):
            page = await self._customers.ListCustomers(
                ListCustomersRequest(page_size=_PAGE, page_token=token),
                metadata=bearer(business),
                timeout=SECONDS,
            )
            found += page.customers
            token = page.next_page_token
            if not token:
                break
        return found

    async def has_pending_events(self, business: Business) -> bool:
        """Whether the service has taken events that are not in its mirror yet."""
        page = await self._events.ListEvents(
            ListEventsRequest(state=Event.STATE_PENDING, page_size=1),
            metadata=bearer(business),
            timeout=SECONDS,
        )
        return bool(page.events)

    async def backfill(self, business: Business) -> Operation:
        """Read all anew, what no webhook tells too, such as fees; the operation at its end.

        The first backfill was of a business without a history: it began as it was connected.
        """
        await self._operations.StartBackfill(
            StartBackfillRequest(restart=True), metadata=bearer(business), timeout=SECONDS
        )
        return await self._ended(business, Operation.KIND_BACKFILL)

    async def reconcile(self, business: Business) -> MirrorReport:
        """Compare every object with Stripe, and mend nothing; the report."""
        await self._operations.StartReconciliation(
            StartReconciliationRequest(), metadata=bearer(business), timeout=SECONDS
        )
        ended = await self._ended(business, Operation.KIND_RECONCILIATION)
        return await self._operations.GetReport(
            GetReportRequest(id=ended.report_id), metadata=bearer(business), timeout=SECONDS
        )

    async def _ended(self, business: Business, kind: Operation.Kind.ValueType) -> Operation:
        """The operation once it has ended."""
        watch = self._operations.WatchOperation(
            WatchOperationRequest(kind=kind), metadata=bearer(business), timeout=LONG_SECONDS
        )
        return [operation async for operation in watch][-1]


def bearer(business: Business | Branch) -> tuple[tuple[str, str], ...]:
    """What makes a call one of the business's."""
    return (("authorization", f"Bearer {business.token}"),)
