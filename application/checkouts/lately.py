"""What was found lately: previews are spared reads of what changes seldom."""

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from application.background.clock import Clock
from domain.accounts import Account
from domain.ledger_entries import Entry
from domain.store_products import Offer
from domain.wallets import Buyer

T = TypeVar("T")

MOMENT: Final = dt.timedelta(seconds=2)
"""How long a preview goes by what the platform has changed meanwhile. A purchase never does."""

MINUTE: Final = dt.timedelta(minutes=1)
"""How long it goes by what only Stripe tells."""

_MOST: Final = 10_000


class FindAccount(Protocol):
    """An account of an id, or None: `application.accounts.ports.Accounts`, or what it told."""

    async def __call__(self, account: str, /) -> Account | None: ...


class FindOffer(Protocol):
    """An offer by its price, or None: `application.checkouts.ports.StoreCatalogue`, or so."""

    async def __call__(self, price: str, /) -> Offer | None: ...


class FindBuyer(Protocol):
    """The customer that an account is at a Stripe account, or None: a buyer never changes."""

    async def __call__(self, account: str, stripe_account: str, /) -> Buyer | None: ...


class FindHead(Protocol):
    """The last entry of a wallet, or None: `application.wallet.ports.Journal`, or what it told."""

    async def __call__(self, wallet: str, /) -> Entry | None: ...


class Lately(Generic[T]):
    """Finds by texts, and remembers what was found for a while; nothing is remembered of None."""

    def __init__(
        self, find: Callable[..., Awaitable[T | None]], clock: Clock, kept: dt.timedelta
    ) -> None:
        self._find = find
        self._clock = clock
        self._kept = kept
        self._known: dict[tuple[str, ...], tuple[dt.datetime, T]] = {}

    async def __call__(self, *key: str) -> T | None:
        """What was found by this key at most so long ago, or is found now.

        Raises what finding raises.
        """
        now, known = self._clock.now(), self._known.get(key)
        if known is not None and abs(now - known[0]) < self._kept:
            return known[1]
        found = await self._find(*key)
        if len(self._known) >= _MOST:
            self._known.clear()
        if found is not None:
            self._known[key] = (now, found)
        return found
