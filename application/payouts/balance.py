"""Balances: read from Stripe, beside what the mirrored transactions add up to."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.connections.sources import MirroredAccounts, Source, for_each
from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import Filter, Mirror
from application.mirror.stripe import Priority
from application.payouts.ports import BalanceReadings, PayoutGateway, TransactionsReading
from application.requests.callers import Caller
from domain.balance_transactions import PAYMENTS
from domain.balances import HOUR_MS, BalanceReading, Compared, CurrencyReading, Tie, compare
from domain.errors import BillingError, Conflict
from domain.periods import to_milliseconds

TASK: Final = "balance readings"
DAY_MS: Final = 24 * HOUR_MS
INTERVAL_SECONDS: Final = 3_600.0
READ_PAST_SECONDS: Final = 3.0
"""How long a caller waits for the transactions that were made until now."""

_LOOP_READ_PAST_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ComparedBalance:
    """A reading, and each of its currencies beside the mirror, in order of their codes."""

    reading: BalanceReading
    currencies: Sequence[Compared]


class Balances:
    """Tells an account's balance. Reads each account's once a day on its own, too."""

    def __init__(
        self,
        connections: Connections,
        mirrored_accounts: MirroredAccounts,
        gateway: PayoutGateway,
        transactions: TransactionsReading,
        mirror: Mirror,
        readings: BalanceReadings,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._mirrored_accounts = mirrored_accounts
        self._gateway = gateway
        self._transactions = transactions
        self._mirror = mirror
        self._readings = readings
        self._clock = clock
        self.loop: Final = Loop(TASK, self.read_daily, INTERVAL_SECONDS)
        self._unread = AccountOutages(_log, "a balance cannot be read", "a balance is read again")

    async def of(self, caller: Caller) -> ComparedBalance:
        """The caller's balance now, beside the mirror; one reading an hour is kept."""
        connection = await self._connections.of(caller)
        return await self.read(
            connection.stripe_account, Priority.CALLER, patience_seconds=READ_PAST_SECONDS
        )

    async def read(
        self, stripe_account: str, priority: Priority, *, patience_seconds: float
    ) -> ComparedBalance:
        """Read a balance, and the transactions past it, for which it waits so long at most."""
        reading = await self._gateway.balance(stripe_account, priority=priority)
        complete = await self._read_past(stripe_account, patience_seconds)
        last = await self._readings.last(stripe_account)
        compared = await self._compared(stripe_account, reading, last, complete=complete)
        kept = replace(reading, currencies=tuple(each.reading for each in compared))
        if last is None or not (last.agrees and last.hour == kept.hour):
            await self._readings.keep(stripe_account, kept)
        return ComparedBalance(kept, compared)

    async def read_daily(self) -> None:
        """Read the balance of every account of which there is none of this UTC day yet."""
        await for_each(self._mirrored_accounts.sources(), self._read_once_a_day)

    async def _read_once_a_day(self, source: Source) -> None:
        account = source.stripe_account
        today = to_milliseconds(self._clock.now()) // DAY_MS
        try:
            last = await self._readings.last(account)
            if last is None or last.start_ms // DAY_MS < today:
                patience = _LOOP_READ_PAST_SECONDS
                await self.read(account, Priority.CATCH_UP, patience_seconds=patience)
            self._unread.answered(account, task=TASK)
        except BillingError as error:
            self._unread.waits(account, error, task=TASK)

    async def _read_past(self, stripe_account: str, seconds: float) -> bool:
        """Bring all transactions made until now into the mirror; whether they all are there."""
        try:
            async with asyncio.timeout(seconds):
                await self._transactions.refresh(stripe_account)
        except (TimeoutError, Conflict):
            return False
        except BillingError as error:
            facts = {"stripe_account": stripe_account, "reason": error.reason}
            _log.info("a balance is told without its difference", extra=facts)
            return False
        return True

    async def _compared(
        self,
        stripe_account: str,
        reading: BalanceReading,
        last: BalanceReading | None,
        *,
        complete: bool,
    ) -> Sequence[Compared]:
        ties = {each.currency: each.tie for each in last.currencies} if last else {}
        certain_before = reading.certain_before_ms
        possible = await self._possible(stripe_account, reading, ties)
        codes = sorted({each.currency for each in reading.currencies} | {*ties} | {*possible})
        certain = await self._certain(stripe_account, certain_before, codes, ties)
        return [
            compare(
                reading.of(code) or CurrencyReading(code),
                ties.get(code),
                certain_before_ms=certain_before,
                certain=certain.get(code, 0),
                possible=possible.get(code, ()),
                complete=complete,
            )
            for code in codes
        ]

    async def _certain(
        self,
        stripe_account: str,
        before_ms: int,
        codes: Sequence[str],
        ties: Mapping[str, Tie | None],
    ) -> Mapping[str, int]:
        """By currency, the net of the transactions from its tie to an instant.

        One question of the store for each instant that ties reach to, which is one mostly.
        """
        by_since: dict[int | None, list[str]] = defaultdict(list)
        for code in codes:
            tie = ties.get(code)
            by_since[None if tie is None else tie.before_ms].append(code)
        nets: dict[str, int] = {}
        for since, of_since in by_since.items():
            if since is not None and since >= before_ms:
                continue
            found = await self._nets(stripe_account, ("currency",), since, before_ms)
            nets |= {code: net for (code,), net in found.items() if code in of_since}
        return nets

    async def _possible(
        self, stripe_account: str, reading: BalanceReading, ties: Mapping[str, Tie | None]
    ) -> Mapping[str, Sequence[tuple[int, int]]]:
        """By currency, the net of each second that the reading may know in part; unless tied."""
        start, end = reading.certain_before_ms, reading.end_ms + 1
        found = await self._nets(stripe_account, ("created", "currency"), start, end)
        possible: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for (created, code), net in found.items():
            tie = ties.get(str(code))
            if tie is None or int(created) >= tie.before_ms:
                possible[str(code)].append((int(created), net))
        return possible

    async def _nets(
        self, stripe_account: str, by: Sequence[str], start_ms: int | None, end_ms: int
    ) -> Mapping[tuple[str | int, ...], int]:
        groups = await self._mirror.group(
            BALANCE_TRANSACTIONS,
            stripe_account,
            Filter({"balance_type": PAYMENTS}, ranges={"created": (start_ms, end_ms)}),
            by=by,
            sums=("net",),
        )
        return {
            tuple(value for value in group.values if value is not None): group.sums[0]
            for group in groups
        }
