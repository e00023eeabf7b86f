"""Balance transactions: fees and nets come by no webhook, so they are listed again and again."""

from typing import Final

from typing_extensions import override

from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import Filter, Order
from application.upkeep.refresh import Refresher
from domain.periods import to_milliseconds

TASK: Final = "balance transactions"
DEBOUNCE_SECONDS: Final = 5.0
"""A payment makes several money events within a second."""

_PENDING: Final = Filter(equals={"status": "pending"})
_OLDEST_FIRST: Final = Order("created", descending=False)


class BalanceTransactions(Refresher):
    """Keeps balance transactions current; noted by whatever moves money.

    On the schedule the window reaches back to the oldest one that is still pending. What they tell
    about charges, refunds, disputes and payouts is derived on the way in.
    """

    noun = BALANCE_TRANSACTIONS
    task = TASK
    noted_by = ("charge.", "refund.", "payout.")
    debounce_seconds = DEBOUNCE_SECONDS

    @override
    async def _pending_since_ms(self, stripe_account: str, default: int) -> int:
        """Those that become available are of the last days: one window holds them all."""
        page = await self._mirror.list(
            self.noun, stripe_account, _PENDING, order=_OLDEST_FIRST, after=None, limit=1
        )
        snapshot = page.rows[0].snapshot if page.rows else None
        found = snapshot.object if snapshot else None
        return default if found is None else to_milliseconds(found.created)
