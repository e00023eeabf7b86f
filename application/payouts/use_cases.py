"""Payouts of an account's Stripe connection, and what they consist of."""

import asyncio
import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS, PAYOUTS
from application.mirror.ports import Filter, Mirror, Order
from application.mirror.reader import MirrorReader, equal_to, within
from application.payouts.commands import ListPayouts, ListPayoutTransactions
from application.payouts.membership import Membership, Memberships, membership_of
from application.payouts.ports import Destination, PayoutGateway
from application.payouts.violations import (
    list_violations,
    payout_violations,
    transactions_violations,
)
from application.requests.callers import Caller
from application.requests.paging import Page
from application.requests.violations import refuse
from domain.balance_transactions import PAYOUT, BalanceTransaction
from domain.errors import FieldViolation, NotFound
from domain.mirror import Row
from domain.payout_summary import SummaryRow, of_groups, summarize, unexplained
from domain.payouts import MEMBERSHIP, Payout
from domain.periods import from_milliseconds
from domain.reporting_categories import REVERSAL

_SUMS: Final = ("amount", "fee", "net")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListedPayout:
    """A payout, and when its money came back, if it did and the transaction is known."""

    payout: Payout
    failed_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class PayoutDetails:
    """A payout and what belongs to it: the transactions that made it and took it back."""

    listed: ListedPayout
    transaction: BalanceTransaction | None
    failure_transaction: BalanceTransaction | None
    destination: Destination | None
    membership: Membership


@dataclass(frozen=True, slots=True)
class PayoutSummary:
    """What a payout consists of, as it was read at an instant; all nets add up to zero."""

    payout: Payout
    rows: Sequence[SummaryRow]
    read_at: dt.datetime


class Payouts:
    """Lists and gets payouts, lists and adds up what they hold.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        mirror: Mirror,
        reader: MirrorReader,
        connections: Connections,
        gateway: PayoutGateway,
        memberships: Memberships,
    ) -> None:
        self._mirror = mirror
        self._reader = reader
        self._connections = connections
        self._gateway = gateway
        self._memberships = memberships

    async def list(
        self, caller: Caller, query: ListPayouts, violations: Sequence[FieldViolation] = ()
    ) -> Page[ListedPayout]:
        """A page of payouts in the mirror, in the order that is asked for."""
        refuse(chain(violations, list_violations(query)))
        connection = await self._connections.of(caller)
        page = await self._reader.list_rows(
            PAYOUTS,
            connection.stripe_account,
            _filter_of(query),
            page_size=query.page_size,
            page_token=query.page_token,
            order=Order(query.order, descending=not query.oldest_first),
        )
        items = list(_listed(page.items))
        return Page(items, page.next_page_token, page.previous_page_token)

    async def get(self, caller: Caller, payout_id: str) -> PayoutDetails:
        """A payout in the mirror, and where it went, from Stripe. NotFound for an unknown one."""
        refuse(payout_violations(payout_id))
        account = (await self._connections.of(caller)).stripe_account
        row, payout = await self._row(account, payout_id)
        transactions = await self._transactions(account, payout)
        went_to = (
            await self._gateway.destination(account, payout_id) if payout.destination else None
        )
        return PayoutDetails(
            ListedPayout(payout, _failed_at(row)),
            transactions.get(payout.balance_transaction or ""),
            transactions.get(payout.failure_balance_transaction or ""),
            went_to,
            membership_of(payout, row.derived.get(MEMBERSHIP)),
        )

    async def transactions(
        self, caller: Caller, query: ListPayoutTransactions
    ) -> Page[BalanceTransaction]:
        """A page of what a payout holds, newest first. Raises as `Memberships` says."""
        refuse(transactions_violations(query))
        account = (await self._connections.of(caller)).stripe_account
        await self._memberships.require_read(*await self._row(account, query.payout))
        narrowed = equal_to(payout=query.payout, reporting_category=query.reporting_category)
        return await self._reader.list(
            BALANCE_TRANSACTIONS,
            account,
            Filter(narrowed),
            page_size=query.page_size,
            page_token=query.page_token,
        )

    async def summarize(self, caller: Caller, payout_id: str) -> PayoutSummary:
        """What a payout consists of. Raises as `Memberships` says: there is never half a sum."""
        refuse(payout_violations(payout_id))
        account = (await self._connections.of(caller)).stripe_account
        row, payout = await self._row(account, payout_id)
        facet = await self._memberships.require_read(row, payout)
        added_up, own = await asyncio.gather(
            self._added_up(account, payout_id), self._own(account, payout)
        )
        await self._memberships.require_whole(facet, sum(each.count for each in added_up))
        rows = summarize(added_up, own, not_understood=facet.values["not_understood"])
        _warn(account, payout, rows)
        return PayoutSummary(payout, rows, from_milliseconds(facet.values["read_at"]))

    async def _added_up(self, account: str, payout_id: str) -> Sequence[SummaryRow]:
        groups = await self._mirror.group(
            BALANCE_TRANSACTIONS,
            account,
            Filter({"payout": payout_id}),
            by=["reporting_category"],
            sums=_SUMS,
        )
        return of_groups(
            (None if group.values[0] is None else str(group.values[0]), group.count, group.sums)
            for group in groups
        )

    async def _own(self, account: str, payout: Payout) -> SummaryRow | None:
        """The payout's own transaction as a row; None where it was not read as a part of it."""
        id_ = payout.balance_transaction or ""
        row = (await self._mirror.fetch(BALANCE_TRANSACTIONS, account, [id_])).get(id_)
        found = row.snapshot.object if row is not None and row.snapshot is not None else None
        if row is None or found is None or _held_by(row) != payout.id:
            return None
        category = found.reporting_category or ""
        return SummaryRow(category, 1, found.amount.amount, found.fee.amount, found.net.amount)

    async def _row(self, account: str, payout_id: str) -> tuple[Row[Payout], Payout]:
        row = (await self._mirror.fetch(PAYOUTS, account, [payout_id])).get(payout_id)
        payout = row.snapshot.object if row is not None and row.snapshot is not None else None
        if row is None or payout is None:
            raise NotFound(PAYOUTS.name, payout_id)
        return row, payout

    async def _transactions(self, account: str, payout: Payout) -> Mapping[str, BalanceTransaction]:
        named = (payout.balance_transaction, payout.failure_balance_transaction)
        ids = [id_ for id_ in named if id_]
        rows = await self._mirror.fetch(BALANCE_TRANSACTIONS, account, ids) if ids else {}
        return {
            id_: row.snapshot.object
            for id_, row in rows.items()
            if row.snapshot is not None and row.snapshot.object is not None
        }


def _filter_of(query: ListPayouts) -> Filter:
    equals = equal_to(currency=query.currency)
    if query.automatic is not None:
        equals = {**equals, "automatic": query.automatic}
    statuses = sorted({*query.statuses})
    return Filter(
        equals,
        one_of={"status": statuses} if statuses else {},
        ranges={
            **within("arrival_date", query.arrival_after, query.arrival_before),
            **within("created", query.created_after, query.created_before),
        },
    )


def _listed(rows: Iterable[Row[Payout]]) -> Iterable[ListedPayout]:
    for row in rows:
        if row.snapshot is not None and row.snapshot.object is not None:
            yield ListedPayout(row.snapshot.object, _failed_at(row))


def _held_by(row: Row[BalanceTransaction]) -> str:
    """The payout that a transaction is in; empty where that is not known."""
    facet = row.derived.get(PAYOUT)
    return "" if facet is None else str(facet.values.get("payout", ""))


def _failed_at(row: Row[Payout]) -> dt.datetime | None:
    facet = row.derived.get(REVERSAL)
    created = facet.values.get("created") if facet is not None else None
    return None if created is None else from_milliseconds(created)


def _warn(account: str, payout: Payout, rows: Sequence[SummaryRow]) -> None:
    if missing := unexplained(rows):
        facts = {
            "stripe_account": account,
            "payout": payout.id,
            "amount": missing,
            "currency": payout.amount.currency,
        }
        _log.warning("a payout is not explained by its transactions", extra=facts)
