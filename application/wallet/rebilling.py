"""Rebilling: what a parent earns by the usage of a sub-account."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from application.background.clock import Clock
from application.requests.callers import OPERATOR, Caller
from application.requests.violations import refuse
from application.wallet.commands import Span
from application.wallet.costs import Costs
from application.wallet.moments import last_before
from application.wallet.ports import Journal
from application.wallet.use_cases import AccountWallets
from application.wallet.violations import span_violations, sub_account_violations
from application.wallet.whose import Wallets, is_creditor, not_creditor
from domain.errors import FieldViolation, InvalidArgument
from domain.ledger_commands import costs_of
from domain.ledger_entries import Entry, EntryKind, LedgerAccount
from domain.money import Money
from domain.wallets import Wallet, WalletSettings

LONGEST: Final = dt.timedelta(days=31)
MAX_WALKED: Final = 100_000
"""How many entries of a period are walked at most, in either wallet."""

_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Rebilling:
    """What a sub-account's usage came to in a period, for it and for its parent.

    `pending`: how many entries of usage have no cost yet.
    """

    settings: WalletSettings
    revenue: Money
    cost: Money
    usage_count: int
    pending: int

    @property
    def margin(self) -> Money:
        """What is left for the parent."""
        return Money(self.revenue.amount - self.cost.amount, self.revenue.currency)


class Rebillings:
    """Adds up revenue and cost of sub-accounts."""

    def __init__(
        self, wallets: Wallets, journal: Journal, costs: Costs, accounts: AccountWallets,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._wallets = wallets
        self._journal = journal
        self._costs = costs
        self._accounts = accounts
        self._clock = clock

    async def get(
        self, caller: Caller, span: Span, violations: Sequence[FieldViolation] = ()
    ) -> Rebilling:
        """Revenue, cost and margin of a period; for the parent and operators.

        Raises InvalidArgument, PermissionDenied (NOT_CREDITOR).
        """
        wallet = await self._wallets.of(caller.account)
        seller = self._wallets.creditors(wallet)
        start, end = self._bounds(span)
        refuse(
            [
                *violations,
                *span_violations(Span(start, end)),
                *sub_account_violations(is_sub_account=seller is not None),
                *([] if end - start <= LONGEST else [FieldViolation("end_time", _LONGEST_RULE)]),
            ]
        )
        if not (is_creditor(caller, wallet) or caller.home == OPERATOR) or seller is None:
            raise not_creditor()
        revenue, usage_count = await self._revenue(wallet, start, end)
        return Rebilling(
            await self._accounts.settings_of(wallet),
            Money(revenue, wallet.currency),
            Money(await self._cost(wallet, seller, start, end), wallet.currency),
            usage_count,
            await self._costs.pending(wallet, seller),
        )

    def _bounds(self, span: Span) -> tuple[dt.datetime, dt.datetime]:
        end = span.end or self._clock.now()
        # There is nothing before the year 1, so no period of full length ends soon after.
        return span.start or (end - LONGEST if end - _FIRST > LONGEST else _FIRST), end

    async def _revenue(
        self, wallet: Wallet, start: dt.datetime, end: dt.datetime
    ) -> tuple[int, int]:
        revenue = count = 0
        async for entry in self._walked(wallet, start, end):
            revenue += entry.posted(LedgerAccount.USAGE)
            count += entry.kind is EntryKind.USAGE
        return revenue, count

    async def _cost(
        self, wallet: Wallet, seller: Wallet, start: dt.datetime, end: dt.datetime
    ) -> int:
        of = costs_of(wallet.account)
        return sum(
            [
                entry.posted(LedgerAccount.COST)
                async for entry in self._walked(seller, start, end)
                if entry.reference == of or entry.reference.startswith(f"{of}/")
            ]
        )

    async def _walked(
        self, wallet: Wallet, start: dt.datetime, end: dt.datetime
    ) -> AsyncIterator[Entry]:
        """The entries of a period. InvalidArgument where there are too many."""
        first = await last_before(self._journal, wallet.name, start)
        last = await last_before(self._journal, wallet.name, end)
        after, until = (entry.sequence if entry else 0 for entry in (first, last))
        if until - after > MAX_WALKED:
            rule = f"a shorter period: at most {MAX_WALKED:,} entries"
            raise InvalidArgument([FieldViolation("end_time", rule)])
        while after < until:
            page = await self._journal.list(
                wallet.name, after=after, limit=min(_PAGE, until - after)
            )
            for entry in page:
                yield entry
            after = page[-1].sequence


_FIRST: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
_LONGEST_RULE: Final = f"at most {LONGEST.days} days after start_time"
