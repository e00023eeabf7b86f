"""How a capability takes part in what follows from events: it registers, and no engine knows it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from application.effects.happenings import DueEvent, EventWithFacts, Outcome


class Follower(Protocol):
    """Follows every distinct event, whoever's it is: for records that need no tenant.

    For example the history of subscriptions, which is Stripe's own whether or not an account is
    connected. `bootstrap` gives `Effects` an ordered tuple of followers; all of them come before
    the first `Effect`.
    """

    async def after(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        """Do what follows from events, at most 1,000, whose objects are in the mirror.

        Also from those that are too old for their row, of the platform's own account, or of a
        deletion. What is to be kept is durable on return. Idempotent by event id: after a crash,
        or where something else failed, an event comes again.

        Notes on an event's outcome what came of it, in words. What fails for one event alone is
        noted there too: that event then has no effects yet, and comes again as a whole. Raises
        Unavailable or RateLimited where the store takes none: all come again. Whatever else is
        raised holds up no other event: each is then tried apart.
        """
        ...


class Effect(Protocol):
    """Does what is due to a tenant, for example a message to the contact who has paid.

    `bootstrap` gives `Effects` an ordered tuple of effects: each finds done what those before it
    do. Backfill, reconcile and rebuild have no effects.
    """

    async def after(self, due: Sequence[DueEvent], outcomes: Mapping[str, Outcome]) -> None:
        """Do what follows from events, at most 1,000, oldest first, whose account is connected.

        Only from those with a fact, or about a customer, that are in time for effects. Durable on
        return. Idempotent by business fact, not by event: two events may tell one fact, and any
        of them may come again.

        Notes what came of it, and raises, as `Follower.after` does; what fails for one event alone
        does not keep the other effects from it.
        """
        ...
