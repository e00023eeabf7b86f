"""The overview: all parts of one period, asked for at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from application.analytics.asking import Asking
from application.analytics.net import NetAnalytics, NetVolume
from application.analytics.payments import Failures, PaymentAnalytics, Payments
from application.analytics.payouts import PayoutAnalytics, Payouts
from application.analytics.questions import Compared, Question
from application.analytics.returns import Disputes, Refunds, ReturnAnalytics
from application.analytics.subscribers import SubscriberAnalytics, SubscriberParts
from application.analytics.use_cases import GrossVolume, RevenueAnalytics, RevenueSplit
from application.requests.callers import Caller
from domain.errors import FieldViolation


@dataclass(frozen=True, slots=True)
class Overview:
    """Each part as its own question answers it."""

    time: Compared
    gross: GrossVolume
    net: NetVolume
    payments: Payments
    failures: Failures
    split: RevenueSplit
    refunds: Refunds
    disputes: Disputes
    payouts: Payouts
    subscriptions: SubscriberParts


class OverviewAnalytics:
    """Asks all questions at once."""

    def __init__(
        self,
        asking: Asking,
        revenue: RevenueAnalytics,
        net: NetAnalytics,
        payments: PaymentAnalytics,
        returns: ReturnAnalytics,
        payouts: PayoutAnalytics,
        subscribers: SubscriberAnalytics,
    ) -> None:
        self._asking = asking
        self._revenue = revenue
        self._net = net
        self._payments = payments
        self._returns = returns
        self._payouts = payouts
        self._subscribers = subscribers

    async def overview(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> Overview:
        """All parts of one period, as seen at one instant of our clock."""
        asked = await self._asking.asked(caller, question, violations)
        (
            (gross, net, payments, failures),
            (split, refunds, disputes, payouts),
            subscriptions,
        ) = await asyncio.gather(
            asyncio.gather(
                self._revenue.gross_of(asked),
                self._net.net_of(asked),
                self._payments.payments_of(asked),
                self._payments.failures_of(asked),
            ),
            asyncio.gather(
                self._revenue.split_of(asked),
                self._returns.refunds_of(asked),
                self._returns.disputes_of(asked),
                self._payouts.payouts_of(asked),
            ),
            self._subscribers.parts_of(asked),
        )
        return Overview(
            asked.time, gross, net, payments, failures, split, refunds, disputes, payouts,
            subscriptions,
        )  # fmt: skip
