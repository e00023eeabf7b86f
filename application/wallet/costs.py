"""What a sub-account's usage costs its parent: an entry of the parent's for each one of usage.

The sub-account's entry is the commit, and the cost follows from it alone: from the price that it
bears, under the key `cost/<sub-account>/<sequence>`. How far the costs have come the parent's own
journal tells, by the last of them.
"""

import logging
from collections.abc import Sequence
from typing import Final

from application.background.clock import Clock
from application.wallet.ports import Journal
from domain.ledger_amounts import exact_price
from domain.ledger_commands import PostCost, cost_key, costs_of
from domain.ledger_entries import Entry, EntryKind
from domain.ledger_outcomes import Refused
from domain.wallets import Wallet

PAGE: Final = 256
"""Entries of usage at once: as many costs as one append takes."""

SERVICE: Final = "service"
PRICE: Final = "price"
"""The detail of a usage entry that holds the platform's price of a unit, a decimal."""

_ACTOR: Final = "billing"
_log = logging.getLogger(__name__)


class Costs:
    """Posts to parents what their sub-accounts' usage costs."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def follow(self, wallet: Wallet, seller: Wallet) -> int:
        """Post the costs of a sub-account's usage that are not posted; returns of how many.

        It begins behind the last cost that stands and leaves none out, so that there is never a
        gap, whoever else does it at the same time. Raises Unavailable (STORE_UNAVAILABLE) and
        RateLimited (OVERLOADED); then it is to be called again.
        """
        after, posted = await self.posted_up_to(wallet, seller), 0
        while page := await self._journal.list(wallet.name, after=after, limit=PAGE):
            commands = [
                self._cost(wallet, entry) for entry in page if entry.kind is EntryKind.USAGE
            ]
            if commands:
                outcomes = await self._journal.append(seller, commands)
                for refused in (one for one in outcomes if isinstance(one, Refused)):
                    _log.error(
                        "a cost is refused",
                        extra={"account": seller.account, "refusal": refused.refusal.value},
                    )
            posted += len(commands)
            after = page[-1].sequence
        return posted

    async def posted_up_to(self, wallet: Wallet, seller: Wallet) -> int:
        """The sequence of the last entry of usage whose cost is posted; 0: none."""
        last = await self._journal.last_follower(seller.name, costs_of(wallet.account))
        return 0 if last is None else int(last.key.rpartition("/")[2])

    async def pending(self, wallet: Wallet, seller: Wallet) -> int:
        """How many entries of usage have no cost yet, a page of entries at most."""
        after = await self.posted_up_to(wallet, seller)
        entries: Sequence[Entry] = await self._journal.list(wallet.name, after=after, limit=PAGE)
        return sum(entry.kind is EntryKind.USAGE for entry in entries)

    def _cost(self, wallet: Wallet, usage: Entry) -> PostCost:
        price = usage.details.get(PRICE, "0")
        return PostCost(
            key=cost_key(wallet.account, usage.sequence),
            payload_hash=usage.digest,
            actor=_ACTOR,
            at=self._clock.now(),
            exact=exact_price(price, usage.quantity, usage.currency),
            quantity=usage.quantity,
            details={SERVICE: usage.details.get(SERVICE, ""), "account": wallet.account},
        )
