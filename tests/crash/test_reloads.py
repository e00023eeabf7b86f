"""A reload is killed before and after each of its writes and Stripe calls: paid and credited once.

Each life ends with SIGKILL at one point; the last one asks for all of it again, and carries on what
was left. Then what the emulator shows, the journals and the jobs are compared.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from application.processes.ports import ProcessKey
from application.processes.processes import process_id
from application.wallet.proof import prove
from domain.accounts import Account
from domain.wallets import Buyer, Wallet
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator, emulator_process
from tests.contract.samples import NOON
from tests.crash.brood import KILLED, Brood, brood, every_point, prepared
from tests.crash.forks import News, opened
from tests.crash.kill_points import KillPoint
from tests.crash.reloads import AMOUNT, PART, Life, Wish

AHEAD_SECONDS: Final = 600.0
"""So far ahead is the last life: whatever others have held is free."""

CARDS: Final = {False: "visa", True: "authenticationRequired"}

pytestmark = pytest.mark.timeout(300)


class Reloading:
    """A store, an emulator, and lives that reload wallets on them."""

    def __init__(
        self, place: tuple[str, ...], emulator: RunningEmulator, platform: str,
        lives: Brood,
    ) -> None:  # fmt: skip
        self.place, self.emulator, self.platform = place, emulator, platform
        self._lives = lives
        self.wishes: dict[str, Wish] = {}

    async def wish(self, *, canceled: bool) -> Wish:
        """What another account wishes."""
        account = f"a{len(self.wishes)}"
        async with self.emulator.sdk() as sdk:
            customer = await sdk.v1.customers.create_async({"name": account})
            params: Any = {"customer": customer.id}
            card = f"pm_card_{CARDS[canceled]}"
            method = await sdk.v1.payment_methods.attach_async(card, params)
        async with opened(self.place) as stores:
            await stores.accounts.add(Account(account, account, "usd"))
            await stores.buyers.add(Buyer(account, self.platform, customer.id, NOON))
        self.wishes[account] = Wish(account, method.id, canceled)
        return self.wishes[account]

    async def live(
        self, *wishes: Wish, point: KillPoint | None = None, settles: bool = False
    ) -> News:
        """One life; how it ended."""
        life = Life(
            self.place, self.emulator.url, self.platform, wishes, point, settles,
            AHEAD_SECONDS if settles else 0.0,
        )  # fmt: skip
        return await self._lives.live(life)

    async def at_stripe(self, account: str) -> tuple[list[str], int, int]:
        """The payments of an account: their states, what was received, what was given back."""
        async with opened(self.place) as stores:
            buyer = await stores.buyers.get(account, self.platform)
        assert buyer is not None
        async with self.emulator.sdk() as sdk:
            payments = (await sdk.v1.payment_intents.list_async({"customer": buyer.customer})).data
            refunds = [
                refund.amount
                for payment in payments
                for refund in (await sdk.v1.refunds.list_async({"payment_intent": payment.id})).data
            ]
        received = sum(payment.amount_received for payment in payments)
        return [payment.status for payment in payments], received, sum(refunds)


@pytest.fixture(params=["sqlite", "mongo"])
async def world(request: pytest.FixtureRequest, on_disk: Path) -> AsyncIterator[Reloading]:
    async with (
        prepared(request, on_disk) as place,
        emulator_process() as emulator,
        emulator.sdk() as sdk,
        brood("tests.crash.reloads") as lives,
    ):
        platform = (await sdk.v1.accounts.retrieve_current_async()).id
        yield Reloading(place, emulator, platform, lives)


async def audit(world: Reloading) -> None:
    """Stripe, journals and jobs agree, and each effect is there once."""
    jobs: Counter[str] = Counter()
    for account, wish in world.wishes.items():
        record_id = process_id(ProcessKey(account, "reload", "reload"))
        async with opened(world.place) as stores:
            record = await stores.process_log.get(record_id)
            proof = await prove(stores.journal, Wallet(account, None, "usd").name)
            entries = await stores.journal.list(account, limit=100)
        assert record is not None, account
        assert proof.holds, (account, proof.differences)
        statuses, received, refunded = await world.at_stripe(account)
        kinds = Counter(entry.kind.value for entry in entries)
        if wish.canceled:
            assert record.progress.state == "canceled", account
            # Where Stripe never had it, there was nothing to cancel.
            assert (statuses or ["canceled"], received, entries) == (["canceled"], 0, [])
            continue
        assert record.progress.state == "credited", account
        assert (statuses, received, refunded) == (["succeeded"], AMOUNT, PART), account
        assert kinds == {"reload": 1, "hold": 1, "reversal": 1}, account
        assert (proof.available, proof.held) == (AMOUNT - PART, 0), account
        jobs += Counter({"wallet.reloaded": 1, "wallet.reversed": 1})
    async with opened(world.place) as stores:
        claimed = await stores.outbox.claim("audit", now=NOON, lease=NOON - NOON, limit=1_000)
    assert Counter(one.job.kind for one in claimed) == jobs


async def settled(world: Reloading) -> None:
    """Everybody asks again, and the rest is carried on to its end."""
    assert (await world.live(*world.wishes.values(), settles=True)).ended == 0
    # The orders of those whose reload was still under way then.
    assert (await world.live(*world.wishes.values(), settles=True)).ended == 0


async def test_wherever_it_is_killed_it_is_paid_and_credited_once(
    world: Reloading, report: list[str]
) -> None:
    killed: Counter[str] = Counter()
    for canceled in (False, True):
        whole = await world.live(await world.wish(canceled=canceled))
        assert whole.ended == 0
        for point in every_point(_worth_it(whole.calls, canceled=canceled)):
            news = await world.live(await world.wish(canceled=canceled), point=point)
            assert news.ended == KILLED, point
            killed[point.step] += 1
    await settled(world)
    await audit(world)
    wanted = {"log.begin", "log.write", "stripe.create", "stripe.confirm", "stripe.cancel"}
    assert killed.keys() >= wanted | {"stripe.refund", "journal.append", "outbox.append"}
    kind = "sqlite" if len(world.place) == 1 else "mongo"
    report.append(f"a reload killed at {killed.total()} points on {kind}: {dict(killed)}")


def _worth_it(calls: Mapping[str, int], *, canceled: bool) -> Mapping[str, int]:
    """What a canceled reload does until it waits, the other one does, too."""
    if not canceled:
        return calls
    kept = ("stripe.cancel", "log.release")
    return {step: count for step, count in calls.items() if step in kept}


async def test_lost_answers_failures_and_stalls_at_stripe_charge_once(world: Reloading) -> None:
    nouns = ("payment_intent", "refund")
    for fault in (
        {"kind": "drop_after", "probability": 0.2, "method": "POST"},
        {"kind": "fail", "status": 500, "probability": 0.1},
        {"kind": "fail", "status": 500, "after_work": True, "remember": False, "probability": 0.1},
        {"kind": "stall", "seconds": 0.7, "probability": 0.05},
        {"kind": "fail", "status": 429, "probability": 0.1},
    ):
        for noun in nouns:
            await world.emulator.control.add_fault(FaultSpec(count=None, noun=noun, **fault))
    for canceled in (False, True):
        wishes = [await world.wish(canceled=canceled) for _ in range(6)]
        assert (await world.live(*wishes)).ended == 0
    await world.emulator.control.clear_faults()
    await settled(world)
    await settled(world)
    await audit(world)
