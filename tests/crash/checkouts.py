"""Lives of a service that does nothing but sell, each ending where it is told to.

python -m tests.crash.checkouts
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from application.checkouts.checkout_terms import KIND
from application.checkouts.commands import CheckoutOrder, CheckoutRetry
from application.requests.callers import Caller
from domain.checkouts import CheckoutState
from domain.errors import BillingError
from tests.crash.forks import (
    LOG_METHODS,
    Counting,
    Passing,
    bring_up,
    end_leases,
    opened,
    stripe_of,
)
from tests.crash.kill_points import KillPoint
from tests.support.rooms.processes import carried_on
from tests.support.rooms.sales import SaleWorld

_ROUNDS: Final = 60
"""How often time is let pass at most."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sub-account buys by a quote and a card; or it is `canceled`, or `refused` at its end.

    `other` is the card that pays after the first is declined; empty: that pays. `debit`: a bank
    pays first, and then the parent's card is declined.

    `account` has a parent of its own, whose Stripe account is `place`. Each has one request of each
    kind, so a repeat is the same one.
    """

    account: str
    place: str
    kind: str
    quote: str
    card: str
    other: str = ""
    canceled: bool = False
    refused: bool = False
    debit: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """One life: it does what is wished, and where it `settles` lets time pass to the end.

    Its clock is ahead of the machine's, so that what earlier lives have held is free.
    """

    place: tuple[str, ...]
    stripe: str
    platform: str
    setup_product: str
    wishes: Sequence[Wish] = ()
    point: KillPoint | None = None
    settles: bool = False
    ahead: float = 0.0


async def live(life: Life) -> Mapping[str, int]:
    """One life, up to its end or the point of its death."""
    clock, killer = Passing(), Counting(life.point)
    clock.ahead = life.ahead
    api = stripe_of(life.stripe, life.platform, clock)
    async with opened(life.place) as stores:
        nobody: Any = None
        movable: Any = clock
        world = SaleWorld(nobody, nobody, api, stores, movable)
        world.setup_product = life.setup_product
        world.wire()
        for method in LOG_METHODS:
            killer.watch_one(f"log.{method}", stores.process_log, method)
        for method in ("create", "confirm", "capture", "cancel"):
            killer.watch_one(f"stripe.{method}", world.payments, method)
        killer.watch_one("stripe.subscribe", world.subscribing, "create")
        killer.watch_one("stripe.unsubscribe", world.subscribing, "cancel")
        killer.watch_one("stripe.refund", world.refunds, "refund")
        killer.watch_one("stripe.renewal", world.renewals, "create")
        for method in ("add", "put"):
            killer.watch_one(f"sold.{method}", stores.store_subscriptions, method)
        killer.watch_one("journal.append", stores.journal, "append")
        killer.watch_one("outbox.append", stores.outbox, "append")
        killer.watch_one("carts.remove", stores.carts, "remove")
        await end_leases(stores, clock)
        for wish in life.wishes:
            await _fulfil(world, wish)
        if life.settles:
            await _settle(world, life.wishes, clock)
        await world.tasks.drain(10)
        await api.close()
    return killer.calls


async def _fulfil(world: SaleWorld, wish: Wish) -> None:
    """Ask for all of it, as a caller who repeats what he does not know the outcome of."""
    buyer = Caller("ada", wish.account, frozenset())
    order = CheckoutOrder(wish.quote, wish.card, "ada", wish.account)
    try:
        view = await world.calls.execute(buyer, "buy", order)
        if wish.canceled:
            await world.calls.cancel(buyer, "cancel", view.record.id)
        if wish.debit:
            await world.calls.confirm(buyer, uuid4().hex, view.record.id)
        if wish.other:
            view = await world.calls.confirm(buyer, uuid4().hex, view.record.id)
            if view.state is CheckoutState.AWAITING_CUSTOMER:
                retry = CheckoutRetry(view.record.id, wish.other)
                await world.calls.retry(buyer, "retry", retry)
    except BillingError:
        pass  # it is asked for again, in another life


async def _settle(world: SaleWorld, wishes: Sequence[Wish], clock: Passing) -> None:
    """Let time pass until each checkout rests. What recurs is followed for ever."""
    for _ in range(_ROUNDS):
        while await carried_on(world.processes):
            pass
        found = [
            record
            for wish in wishes
            for record in await world.stores.process_log.list(
                wish.account, KIND, after=None, limit=10
            )
        ]
        if all(record.progress.course.rests for record in found):
            return
        clock.ahead += 600.0
    raise RuntimeError("a checkout does not come to rest")


if __name__ == "__main__":
    bring_up(Life, live)
