"""Lives of a service that sells what recurs, gives it back, and posts what it costs.

Each ends where it is told to. python -m tests.crash.renewals
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from application.checkouts.commands import CheckoutOrder, CheckoutRefund
from application.requests.callers import Caller
from domain.errors import BillingError
from tests.crash.checkouts import Wish
from tests.crash.forks import Counting, Passing, bring_up, end_leases, opened, stripe_of
from tests.crash.kill_points import KillPoint
from tests.support.rooms.processes import carried_on
from tests.support.rooms.sales import SaleWorld

ROUNDS: Final = 12
"""How often ten minutes pass, which is enough for what was left by a kill."""


@dataclass(frozen=True, slots=True)
class Life:
    """One life: it buys what is wished and gives it back as a whole, if that is `refunded`.

    Then it posts costs, by a clock that is so many seconds ahead of the machine's. Where it
    `settles`, it carries on what others have left. `tries` makes the request of the refund another
    one: that of a sale which was not captured yet was refused for good.
    """

    place: tuple[str, ...]
    stripe: str
    platform: str
    setup_product: str
    wishes: Sequence[Wish] = ()
    refunded: bool = False
    point: KillPoint | None = None
    settles: bool = False
    ahead: float = 0.0
    tries: int = 1


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
        for method in ("add", "put"):
            killer.watch_one(f"sold.{method}", stores.store_subscriptions, method)
        killer.watch_one("stripe.renew", world.renewals, "create")
        killer.watch_one("stripe.product", world.products, "create")
        killer.watch_one("stripe.cancel", world.ending, "cancel")
        killer.watch_one("stripe.refund", world.refund_gateway, "refund")
        killer.watch_one("journal.append", stores.journal, "append")
        killer.watch_one("outbox.append", stores.outbox, "append")
        killer.watch_one("log.write", stores.process_log, "write")
        killer.watch_one("log.release", stores.process_log, "release")
        await end_leases(stores, clock)
        for wish in life.wishes:
            await _fulfil(world, wish, f"back-{life.tries}" if life.refunded else "")
        if life.settles:
            for _ in range(ROUNDS):
                await carried_on(world.processes)
                clock.ahead += 600.0
        await world.calendar.run()
        await world.tasks.drain(10)
        await api.close()
    return killer.calls


async def _fulfil(world: SaleWorld, wish: Wish, back: str) -> None:
    """Ask for all of it, as a caller who repeats what he does not know the outcome of."""
    buyer = Caller("ada", wish.account, frozenset())
    seller = Caller("bob", wish.account, frozenset(), token_account=f"{wish.account}-parent")
    try:
        order = CheckoutOrder(wish.quote, wish.card, "ada", wish.account)
        view = await world.calls.execute(buyer, "buy", order)
        if back:
            whole = CheckoutRefund(view.record.id, 0, "not needed")
            await world.sale_refunds.refund(seller, back, whole)
    except BillingError:
        pass  # it is asked for again, in another life


if __name__ == "__main__":
    bring_up(Life, live)
