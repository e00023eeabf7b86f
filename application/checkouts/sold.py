"""What was sold and recurs, changed by revision: many may be at it, and nobody's change is lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from application.checkouts.ports import StoreSubscriptions
from domain.errors import Conflict, NotFound, Reason
from domain.store_subscriptions import StoreSubscription

_TRIES: Final = 20

Change = Callable[[StoreSubscription], StoreSubscription]


class Sold:
    """Changes store subscriptions as they stand."""

    def __init__(self, subscriptions: StoreSubscriptions) -> None:
        self._subscriptions = subscriptions

    async def change(self, account: str, checkout: str, change: Change) -> StoreSubscription:
        """What stands after a change, which gives the very same where there is nothing to change.

        It is made anew of what stands where somebody else was faster. Raises NotFound, and Conflict
        (REQUEST_IN_FLIGHT) where others are always faster.
        """
        for _ in range(_TRIES):
            standing = await self._subscriptions.get(account, checkout)
            if standing is None:
                raise NotFound("store_subscription", checkout)
            changed = change(standing)
            if changed is standing:
                return standing
            # However many things were changed, it is one write.
            changed = replace(changed, revision=standing.revision + 1)
            if await self._subscriptions.put(changed):
                return changed
        raise Conflict(Reason.REQUEST_IN_FLIGHT, "what was sold is changed by others all the time")
