"""Whatever comes in whatever order, each change of a process is made once, and all of them or none.

Lives of a transfer: services die at any place, the store and Stripe fail or give no answer, several
carry it on at once, events come early, late, doubled, for nothing or never, the customer pays and
the caller cancels. Then all of it stops, and what is left comes to an end by itself.
"""

import asyncio
import random
from typing import Final

import pytest

from application.mutations.stripe import Unanswered
from application.processes.processes import LEASE
from domain.errors import PaymentDeclined, RateLimited, Reason, Unavailable
from tests.property.seed import EFFORT, FIGURES, SEED
from tests.support.fakes.stores import no_pause, store_down
from tests.support.rooms.processes import ID, TransferWorld, carried_on
from tests.support.rooms.transfers import TransferRun

LIVES: Final = 150 * EFFORT
_DEEDS: Final = 12
_PAUSES: Final = (0, 0, 1, 45, 600, 7_200, 90_000)
_CANCELED: Final = PaymentDeclined("the caller cancels", decline_code="")


class Life:
    """One transfer, and all that befalls it."""

    def __init__(self, seed: str) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a history, no secret
        self.world = TransferWorld()
        self.trouble = self.chance.choice((0.0, 0.02, 0.1))
        self.waits = self.chance.random() < 0.5
        self.declined = self.chance.random() < 0.3
        self.cancels = self.chance.random() < 0.3
        self.captured = False
        self.world.pause(self._pause)

    async def lived(self) -> TransferWorld:
        for _ in range(self.chance.randint(1, _DEEDS)):
            deeds = [self._deed() for _ in range(self.chance.choice((1, 1, 2, 3)))]
            await asyncio.gather(*deeds, return_exceptions=True)
            self.world.clock.advance(seconds=self.chance.choice(_PAUSES))
        self.world.pause(no_pause)
        self.world.clock.instant += LEASE
        await self._begin()
        for _ in range(3):
            await self.world.until_it_rests()
            if not self.world.progress.attention:
                break
            await self.world.service().resume(ID, "looked at")
        return self.world

    async def _deed(self) -> None:
        match self.chance.choice(("begin", "go on", "due", "due", "wake", "pay", "cancel")):
            case "begin":
                await self._begin()
            case "go on":
                await self.world.service().advance(ID)
            case "due":
                await carried_on(self.world.service())
            case "wake":
                await self.world.wake(self.chance.choice(("cus_1", "cus_2", "cus_9")))
            case "pay" if len(self.world.stripe.customers) == 1 and not self.world.stripe.deleted:
                await self.world.paid(told=self.chance.random() < 0.5)
            case "cancel" if self.cancels:
                await self.world.service().act(ID, self._cancel)
            case _:
                pass

    async def _begin(self) -> None:
        terms = {"waits": self.waits, "declined": self.declined}
        words = ",".join(f'"{name}":{str(value).lower()}' for name, value in terms.items())
        await self.world.begin(f'{{"name":"Ada",{words}}}'.encode())

    async def _cancel(self, run: TransferRun) -> None:
        run.turn_back(_CANCELED)

    async def _pause(self, where: str) -> None:
        """What happens before and after each request to the store or to Stripe."""
        self._look()
        if self.chance.random() < 0.3:
            await asyncio.sleep(0)
        if self.chance.random() < self.trouble:
            raise self._error(where)

    def _error(self, where: str) -> BaseException:
        if self.chance.random() < 0.4:
            return asyncio.CancelledError()  # the service dies
        if not where.startswith("stripe."):
            return store_down()
        if where == "stripe.answer":
            return Unanswered("cut")
        slow = RateLimited(Reason.STRIPE_RATE_LIMITED, "slowly", retry_after_seconds=3)
        away = Unavailable(Reason.STRIPE_UNAVAILABLE, "not sent")
        return self.chance.choice((Unanswered("cut"), slow, away))

    def _look(self) -> None:
        """What holds at any time."""
        stripe = self.world.stripe
        for account in ("acct_1", "acct_2"):
            tags = {
                call.tag
                for method, call, _ in stripe.sends
                if method == "create" and call.stripe_account == account
            }
            assert len(tags) <= 1
        assert len(stripe.customers) + len(stripe.deleted) <= 2
        shown = {customer.description for customer in stripe.customers.values()}
        self.captured = self.captured or "captured" in shown
        if ID in self.world.log.kept:
            steps = self.world.record.steps.values()
            assert sum(step.is_open for step in steps) <= 1, "a step while another is unknown"


async def _life(number: int) -> str:
    life = Life(f"{SEED} {number}")
    world = await life.lived()
    life._look()
    state, entries = world.progress.state, sorted(world.entries.names)
    told = (number, state, world.states, world.sends)
    if state == "completed":
        assert entries == ["hold", "settle"], told
        assert len(world.stripe.customers) == 2, told
        assert not life.declined, told
    else:
        assert state in ("canceled", "expired"), told
        assert entries in (["hold", "release"], ["release"]), told
        assert world.stripe.customers == {}, told
        assert not life.captured, told
        assert life.declined or life.cancels or life.waits, told
    assert world.log.kept[ID].lease is None, told
    return state


@pytest.mark.timeout(120 * EFFORT)
async def test_each_change_is_made_once_and_all_of_them_or_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(_: int) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("application.processes.processes.pause", at_once)
    states = [await _life(number) for number in range(LIVES)]
    counts = {state: states.count(state) for state in sorted({*states})}
    assert counts.keys() == {"canceled", "completed", "expired"}
    FIGURES.append(f"lives of processes: {counts}")
