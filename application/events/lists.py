"""Events as Stripe lists them, and as the inbox has kept them."""

from collections.abc import Sequence
from typing import Protocol

from application.events.inbox import ReceivedEvent
from application.mirror.lists import Page, Place
from application.mirror.stripe import Priority


class EventLister(Protocol):
    """Lists the events that Stripe still has: those of the last 30 days."""

    async def events(
        self,
        stripe_account: str,
        place: Place,
        *,
        since_ms: int,
        priority: Priority,
        types: Sequence[str] = (),
    ) -> Page[ReceivedEvent]:
        """The next (at most 100) events, as webhooks would have told them.

        `stripe_account` is empty for the platform's own. At most 20 `types`; none means all. An
        event of the other mode is IGNORED, one that is not understood DEAD, with its bytes.
        """
        ...


class EventHistory(Protocol):
    """Reads the inbox again, to replay it. Raises Unavailable (STORE_UNAVAILABLE)."""

    async def of_account(
        self, stripe_account: str, *, after: str, limit: int
    ) -> Sequence[ReceivedEvent]:
        """The next `limit` (1 to 1,000) events of a Stripe account (empty: the platform's own).

        In the order of receipt, from behind the event whose id is `after` (empty: from the first),
        which must be one of the account's (else ValueError): each that is there at the first page
        comes once. Those that are IGNORED are left out: of the other mode, or about what was not
        mirrored when they came.
        """
        ...
