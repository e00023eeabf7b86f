"""Who subscribes to prices and products, counted from the mirrored subscriptions."""

from collections.abc import Mapping, Sequence
from typing import Final

from application.catalogue.commands import SubscriberCounts
from application.mirror.nouns import SUBSCRIPTIONS
from application.mirror.ports import Mirror

MAX_COUNTED: Final = 10_000
"""How many subscriptions of a price and a status are counted; there may be more."""

MAX_VALUES: Final = 1_000
"""How many prices all groups of one count may name."""

_STATUSES: Final = ("active", "past_due", "trialing")

_NONE: Final = SubscriberCounts()


class Subscribers:
    """Counts in one query. Raises Unavailable (STORE_UNAVAILABLE)."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    async def of(
        self, stripe_account: str, groups: Mapping[str, Sequence[str]]
    ) -> Mapping[str, SubscriberCounts]:
        """The subscribers of groups of prices; one counts once a group, whatever prices it has.

        At most MAX_VALUES prices in all. Each group has its counts, be they zero.
        """
        named = {group: prices for group, prices in groups.items() if prices}
        counts = dict.fromkeys(groups, _NONE)
        if named:
            for group, told, more in await self._mirror.count_holders(
                SUBSCRIPTIONS, stripe_account, "prices", named,
                by="status", among=_STATUSES, most=MAX_COUNTED,
            ):  # fmt: skip
                active, past_due, trialing = told
                counts[group] = SubscriberCounts(active, past_due, trialing, more)
        return counts
