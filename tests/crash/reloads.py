"""Lives of a service that does nothing but reload wallets, each ending where it is told to.

python -m tests.crash.reloads
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from application.requests.callers import OPERATOR, Caller
from application.wallet.commands import ReloadOrder, ReloadPart
from domain.errors import BillingError
from domain.reloads import ReloadState
from tests.crash.forks import (
    LOG_METHODS,
    Counting,
    Passing,
    bring_up,
    end_leases,
    opened,
    settle,
    stripe_of,
)
from tests.crash.kill_points import KillPoint
from tests.support.rooms.reloads import ReloadWorld

AMOUNT: Final = 2_000
PART: Final = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """A reload that an account asks for, by a card; then a part is given back, or it is canceled.

    Each account has one request of each kind, so a repeat is the same one.
    """

    account: str
    card: str
    canceled: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """One life: it does what is wished, and where it `settles` lets time pass to the end.

    Its clock is ahead of the machine's, so that what earlier lives have held is free.
    """

    place: tuple[str, ...]
    stripe: str
    platform: str
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
        world = ReloadWorld(nobody, nobody, api, stores, movable)
        for method in LOG_METHODS:
            killer.watch_one(f"log.{method}", stores.process_log, method)
        for method in ("create", "confirm", "cancel"):
            killer.watch_one(f"stripe.{method}", world.payments, method)
        killer.watch_one("stripe.refund", world.refunds, "refund")
        killer.watch_one("journal.append", stores.journal, "append")
        killer.watch_one("outbox.append", stores.outbox, "append")
        killer.watch_one("mirror.replace", stores.mirror, "replace")
        await end_leases(stores, clock)
        for wish in life.wishes:
            await _fulfil(world, wish)
        if life.settles:
            await settle(world.processes, stores, clock)
        await world.tasks.drain(10)
        await api.close()
    return killer.calls


async def _fulfil(world: ReloadWorld, wish: Wish) -> None:
    """Ask for all of it, as a caller who repeats what he does not know the outcome of."""
    owner = Caller("ada", wish.account, frozenset())
    creditor = Caller("ops", wish.account, frozenset(), token_account=OPERATOR)
    try:
        view = await world.calls.reload(owner, "reload", ReloadOrder(AMOUNT, "usd", wish.card))
        if wish.canceled:
            await world.calls.cancel(owner, "cancel", view.record.id)
        elif view.state is ReloadState.CREDITED:
            part = ReloadPart(view.record.id, PART, "usd", "asked for")
            await world.calls.give_back(creditor, "part", part)
    except BillingError:
        pass  # it is asked for again, in another life


if __name__ == "__main__":
    bring_up(Life, live)
