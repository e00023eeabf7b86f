"""The renewals that a connection is needed for."""

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from application.checkouts.ports import StoreSubscriptions
from application.connections.open_work import OpenItem, OpenWork
from domain.connections import Connection
from domain.store_subscriptions import StoreSubscription

RENEWAL: Final = "renewal"

_PAGE: Final = 100


class StandingRenewals(OpenWork):
    """Finds what an account sold, stands, and is renewed on its Stripe account."""

    def __init__(self, subscriptions: StoreSubscriptions) -> None:
        self._subscriptions = subscriptions

    @override
    async def needing(self, connection: Connection, *, limit: int) -> Sequence[OpenItem]:
        found: list[OpenItem] = []
        after = ""
        while len(found) < limit:
            page = await self._subscriptions.list_sold(connection.account, after=after, limit=_PAGE)
            found += [
                OpenItem(RENEWAL, sold.id, sold.standing) for sold in page if _at(connection, sold)
            ]
            if len(page) < _PAGE:
                break
            after = page[-1].id
        return found[:limit]


def _at(connection: Connection, sold: StoreSubscription) -> bool:
    return sold.renewal is not None and sold.renewal.stripe_account == connection.stripe_account
