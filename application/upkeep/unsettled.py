"""Unsettled: what should have a balance transaction by now and has none is asked for by its id."""

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.background.retries import Retries
from application.connections.sources import MirroredAccounts, Source, for_each
from application.mirror.importer import Importer
from application.mirror.lists import Page, Place, SourceTransactionLister
from application.mirror.nouns import BALANCE_TRANSACTIONS, CHARGES, PAYOUTS, REFUNDS
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Filter, Mirror, Noun, Order
from application.mirror.stripe import Priority
from application.requests.paging import Position
from application.upkeep.backfill import Backfill
from application.upkeep.refresh import FIRST_WINDOW
from application.upkeep.walk import walk
from domain.analytics import SUCCEEDED
from domain.balance_transactions import BalanceTransaction
from domain.charges import Charge
from domain.errors import BillingError, Conflict
from domain.mirror import Row, Snapshot
from domain.payouts import Payout
from domain.periods import to_milliseconds
from domain.refunds import Refund
from domain.reporting_categories import RELEASE, REVERSAL, SETTLEMENT

TASK: Final = "unsettled"
INTERVAL_SECONDS: Final = 900.0
MAX_ASKED: Final = 50
"""How many are asked for in a round, for each pass of an account."""

_PAGE: Final = 500
_PAGES: Final = 20
_OLDEST_FIRST: Final = Order("created", descending=False)
_FACETS: Final = (SETTLEMENT, RELEASE, REVERSAL)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pass:
    """A noun that is looked through, so long after its objects were made."""

    name: str
    noun: Noun[Any]
    after: dt.timedelta
    settles: Callable[[Any], bool]
    """Whether an object should have a balance transaction."""


def _charge_settles(charge: Charge) -> bool:
    return charge.status == SUCCEEDED and charge.amount_captured.amount > 0


def _refund_settles(refund: Refund) -> bool:
    return refund.status not in ("failed", "canceled", "requires_action")


def _payout_settles(payout: Payout) -> bool:
    return payout.status != "canceled"


_HOUR: Final = dt.timedelta(hours=1)
PASSES: Final = (
    Pass("charges", CHARGES, _HOUR, _charge_settles),
    # An authorisation is captured within seven days mostly (docs, "Place a hold").
    Pass("charges captured late", CHARGES, dt.timedelta(days=8), _charge_settles),
    Pass("refunds", REFUNDS, _HOUR, _refund_settles),
    Pass("payouts", PAYOUTS, _HOUR, _payout_settles),
)


@dataclass(frozen=True, slots=True)
class UnsettledState:
    """What its checkpoint keeps: by pass, how far its rows were looked through."""

    places: Mapping[str, tuple[int, str]] = field(default_factory=dict)


class Unsettled:
    """Asks Stripe for the balance transactions of what has none, each once.

    Rows are looked through in the order in which their objects were made, an hour later, from the
    end of the first import on. What Stripe does not tell then comes as it comes.
    """

    def __init__(
        self,
        lister: SourceTransactionLister,
        importer: Importer,
        mirror: Mirror,
        checkpoints: Checkpoints,
        backfill: Backfill,
        mirrored_accounts: MirroredAccounts,
        clock: Clock,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._lister = lister
        self._importer = importer
        self._mirror = mirror
        self._checkpoints = checkpoints
        self._backfill = backfill
        self._mirrored_accounts = mirrored_accounts
        self._clock = clock
        self._retries = retries or Retries()
        self.loop: Final = Loop("asking for what is unsettled", self.ask_all, INTERVAL_SECONDS)
        self._unasked = AccountOutages(
            _log, "what is unsettled cannot be asked for", "what is unsettled is asked for again"
        )

    async def ask_all(self) -> None:
        """Do it for every account; an account's failures are its own."""
        await for_each(self._mirrored_accounts.sources(), self._ask_apart)

    async def ask(self, stripe_account: str) -> int:
        """Ask for what has become due; how many objects.

        Raises Conflict where another process is at it, and what the ports raise: the pass in work
        then begins again where it began.
        """
        if not await self._backfill.has_ended(stripe_account):
            return 0
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        asked = 0
        for each in PASSES:
            checkpoint, count = await self._look_through(stripe_account, each, checkpoint)
            asked += count
        return asked

    async def _look_through(
        self, stripe_account: str, each: Pass, checkpoint: Checkpoint
    ) -> tuple[Checkpoint, int]:
        now = self._clock.now()
        state = msgspec.convert(checkpoint.state, UnsettledState)
        since = to_milliseconds(now - FIRST_WINDOW), ""
        place = max(state.places.get(each.name, since), since)
        until = to_milliseconds(now - each.after)
        asked = 0
        for _ in range(_PAGES):
            page = await self._mirror.list(
                each.noun,
                stripe_account,
                Filter(ranges={"created": (place[0], until)}),
                order=_OLDEST_FIRST,
                after=Position(*place) if place[1] else None,
                limit=_PAGE,
            )
            for row in page.rows:
                found = row.snapshot.object if row.snapshot else None
                if _lacks(row, each) and asked < MAX_ASKED:
                    await self._ask_for(stripe_account, row.id)
                    asked += 1
                elif _lacks(row, each):
                    break
                if found is not None:
                    place = to_milliseconds(found.created), row.id
            else:
                if page.next is not None:
                    place = int(page.next.value), page.next.id
                    continue
            break
        if state.places.get(each.name) != place:
            places = {**state.places, each.name: place}
            told = replace(checkpoint, state=msgspec.to_builtins(UnsettledState(places)))
            checkpoint = await self._checkpoints.save(told, now=now)
        return checkpoint, asked

    async def _ask_for(self, stripe_account: str, source: str) -> None:
        async def read(at: Place) -> Page[Snapshot[BalanceTransaction]]:
            return await self._lister.page_of_source(
                stripe_account, source, at, priority=Priority.CATCH_UP
            )

        async with aclosing(walk(read, Place(), self._retries)) as pages:
            async for page in pages:
                await self._bring(stripe_account, page)

    async def _bring(self, stripe_account: str, page: Page[Snapshot[BalanceTransaction]]) -> None:
        brought = await self._retries(
            lambda: self._importer.bring(BALANCE_TRANSACTIONS, page.items, Priority.CATCH_UP)
        )
        log_oddities(stripe_account, (*page.oddities, *brought.oddities))

    async def _ask_apart(self, source: Source) -> None:
        try:
            await self.ask(source.stripe_account)
            self._unasked.answered(source.stripe_account, task=TASK)
        except Conflict:
            pass  # another process is at it
        except BillingError as error:
            self._unasked.waits(source.stripe_account, error, task=TASK)


def _lacks(row: Row[Any], each: Pass) -> bool:
    """Whether a row should have a balance transaction and has none."""
    found = row.snapshot.object if row.snapshot else None
    if found is None or not each.settles(found):
        return False
    return not any(name in row.derived and row.derived[name].values for name in _FACETS)
