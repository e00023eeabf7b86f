"""Payouts over a mirror, put together for tests, and what they may hold."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from typing_extensions import override

from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS, PAYOUTS
from application.mirror.ports import Mirror
from application.mirror.reader import MirrorReader
from application.mirror.stripe import Priority
from application.payouts.membership import Memberships
from application.payouts.ports import Destination, MembershipReading, PayoutGateway
from application.payouts.use_cases import Payouts
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.balance_transactions import PAYOUT, BalanceTransaction
from domain.balances import BalanceReading
from domain.connections import Connection, ConnectionKind, Mode
from domain.mirror import Facet, Snapshot, Version
from domain.money import Money
from domain.payouts import MEMBERSHIP, Payout
from domain.periods import to_milliseconds
from tests.support.fakes.stores import NOON, FakeClock, FakeConnections, FakeStripeAccounts

ACCOUNT: Final = "acct_1"
OTHER_ACCOUNT: Final = "acct_2"
CALLER: Final = Caller("service", "acme", frozenset())
OTHER: Final = replace(CALLER, account="other")
CONNECTION: Final = Connection("acme", ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, NOON)
BANK: Final = Destination("ba_1", "bank_account", "STRIPE TEST BANK", "6789", "usd", "US")
SECOND: Final = dt.timedelta(seconds=1)


class FakePayoutGateway(PayoutGateway):
    """A destination for every payout, and the balances that are told one after another."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.sent_to: Destination | None = BANK
        self.balances: list[BalanceReading] = []
        self.priorities: list[Priority] = []

    @override
    async def destination(self, stripe_account: str, payout: str) -> Destination | None:
        self.asked.append((stripe_account, payout))
        return self.sent_to

    @override
    async def balance(self, stripe_account: str, *, priority: Priority) -> BalanceReading:
        self.asked.append((stripe_account, ""))
        self.priorities.append(priority)
        return self.balances.pop(0)


class FakeMembership(MembershipReading):
    """What payouts somebody has asked to be read."""

    def __init__(self) -> None:
        self.due: set[tuple[str, str]] = set()
        self.looked = 0

    @override
    async def ask(self, stripe_account: str, payouts: Sequence[str]) -> None:
        self.due |= {(stripe_account, payout) for payout in payouts}

    @override
    async def is_due(self, stripe_account: str, payout: str) -> bool:
        self.looked += 1
        return (stripe_account, payout) in self.due


class PayoutsOn:
    """The use case over a mirror, and what it works with."""

    def __init__(
        self,
        mirror: Mirror,
        account: str = ACCOUNT,
        reading: MembershipReading | None = None,
    ) -> None:
        """`account` is the caller's Stripe account, `reading` what reads payouts, else a fake."""
        clock = FakeClock()
        own = replace(CONNECTION, stripe_account=account)
        other = replace(CONNECTION, account="other", stripe_account=OTHER_ACCOUNT)
        self.mirror, self.stripe, self.membership = mirror, FakePayoutGateway(), FakeMembership()
        self.connections = Connections(
            FakeConnections(own, other), FakeStripeAccounts(), mirror, clock, Mode.TEST
        )
        self.payouts = Payouts(
            mirror,
            MirrorReader(mirror, PageTokens(b"key", clock)),
            self.connections,
            self.stripe,
            Memberships(reading or self.membership),
        )

    async def hold(self, *payouts: Payout, account: str = ACCOUNT) -> None:
        """Mirror payouts."""
        await self.mirror.replace(PAYOUTS, [(observed(one, account), 0) for one in payouts])

    async def book(self, transactions: Iterable[BalanceTransaction], payout: str = "") -> None:
        """Mirror transactions, and say that a payout holds them."""
        held = list(transactions)
        for start in range(0, len(held), 500):
            some = held[start : start + 500]
            await self.mirror.replace(BALANCE_TRANSACTIONS, [(observed(one), 0) for one in some])
            if payout:
                facets = [facet(one.id, PAYOUT, payout=payout) for one in some]
                await self.mirror.derive(BALANCE_TRANSACTIONS, facets)

    async def read(self, payout: str, count: int, odd: int = 0, *, at: int = 1) -> None:
        """Say that all transactions of a payout were read."""
        values = {
            "transactions": count,
            "not_understood": odd,
            "read_at": to_milliseconds(NOON),
        }
        await self.mirror.derive(PAYOUTS, [facet(payout, MEMBERSHIP, at, **values)])


def observed(found: Any, account: str = ACCOUNT) -> Snapshot[Any]:
    """An object as an event of a moment says it."""
    return Snapshot(account, found.id, Version.of_event(1), found)


def facet(id_: str, name: str, at: int = 1, /, **values: Any) -> Facet:
    """A part of a derived half."""
    return Facet(ACCOUNT, id_, name, values, Version.of_event(at))


def payout(id_: str = "po_1", amount: int = 900, currency: str = "usd", **fields: Any) -> Payout:
    """An automatic payout that Stripe tells of."""
    values = {
        "created": NOON, "status": "paid", "arrival_date": NOON + 2 * SECOND, "automatic": True,
        "method": "standard", "reconciliation_status": "completed", "destination": "ba_1",
        **fields,
    }  # fmt: skip
    return Payout(id=id_, amount=Money(amount, currency), **values)


def transaction(
    id_: str,
    category: str | None,
    amount: int,
    fee: int = 0,
    currency: str = "usd",
    *,
    created: dt.datetime = NOON,
    **fields: Any,
) -> BalanceTransaction:
    """A transaction of the payments balance."""
    values = {
        "type": category or "adjustment", "status": "available", "available_on": NOON,
        "balance_type": "payments", **fields,
    }  # fmt: skip
    return BalanceTransaction(
        id=id_,
        created=created,
        amount=Money(amount, currency),
        fee=Money(fee, currency),
        net=Money(amount - fee, currency),
        reporting_category=category,
        **values,
    )
