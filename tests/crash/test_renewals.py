"""What follows a sale is killed before and after each of its effects: each is there once.

Sales of what recurs are given back as a whole, and others cost their sellers two more periods.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from application.wallet.proof import prove
from domain.store_products import ProductKind
from domain.store_subscriptions import Standing
from sandbox.emulator.running import emulator_process
from tests.contract.samples import NOON
from tests.crash.brood import KILLED, brood, every_point, prepared
from tests.crash.checkouts import Wish
from tests.crash.forks import News, opened
from tests.crash.kill_points import KillPoint
from tests.crash.renewals import Life
from tests.crash.test_checkouts import AHEAD_SECONDS, FUNDS, Selling
from tests.support.rooms.checkouts import TOTALS

TWO_PERIODS_SECONDS: Final = 75 * 86_400.0
"""So far ahead two more periods have begun, whatever the months' lengths."""

NUMBERS, PLAN = ProductKind.PHONE_NUMBER, ProductKind.SUBSCRIPTION

pytestmark = pytest.mark.timeout(600)


class Following(Selling):
    """A store, an emulator, and lives that follow sales on them."""

    @override
    async def live(
        self, *wishes: Wish, point: KillPoint | None = None, settles: bool = False,
        refunded: bool = False, ahead: float = 0.0, tries: int = 1,
    ) -> News:  # fmt: skip
        life = Life(
            self.place, self.emulator.url, self.platform, self.setup_product, wishes, refunded,
            point, settles, ahead, tries,
        )  # fmt: skip
        return await self._lives.live(life)

    async def renewals(self, wish: Wish) -> list[Any]:
        """The buyer's subscriptions at the seller's."""
        options: Any = {"stripe_account": wish.place}
        query: Any = {"status": "all", "limit": 100}
        return list((await self.sdk.v1.subscriptions.list_async(query, options)).data)

    async def products(self, wish: Wish) -> int:
        """How many products the seller has."""
        options: Any = {"stripe_account": wish.place}
        return len((await self.sdk.v1.products.list_async({"limit": 100}, options)).data)


@pytest.fixture(params=["sqlite", "mongo"])
async def world(request: pytest.FixtureRequest, on_disk: Path) -> AsyncIterator[Following]:
    async with (
        prepared(request, on_disk) as place,
        emulator_process() as emulator,
        emulator.sdk() as sdk,
        brood("tests.crash.renewals") as lives,
    ):
        platform = (await sdk.v1.accounts.retrieve_current_async()).id
        made = Following(place, emulator, sdk, platform, lives)
        await made.stock()
        yield made
        await made.close()


async def test_wherever_it_is_killed_it_is_given_back_once_and_ends(
    world: Following, report: list[str]
) -> None:
    killed: Counter[str] = Counter()
    for kind in (NUMBERS, PLAN):
        whole = await world.live(await world.wish(kind), refunded=True)
        assert whole.ended == 0
        for point in every_point(_worth_it(whole.calls, kind)):
            news = await world.live(await world.wish(kind), point=point, refunded=True)
            assert news.ended == KILLED, point
            killed[point.step] += 1
    for tries in (2, 3):  # the second time also what was under way the first time
        settled = await world.live(
            *world.wishes.values(), settles=True, refunded=True, ahead=AHEAD_SECONDS, tries=tries
        )
        assert settled.ended == 0
    jobs: Counter[str] = Counter()
    for account, wish in world.wishes.items():
        async with opened(world.place) as stores:
            (record,) = await stores.process_log.list(account, "checkout", after=None, limit=9)
            (sold,) = await stores.store_subscriptions.list(account, after="", limit=9)
        assert (record.progress.state, record.progress.attention) == ("refunded", ""), account
        statuses, left = await world.paid(wish)
        assert (statuses, left) == (["succeeded"], 0), account
        (renewal,) = await world.renewals(wish)
        assert renewal.status == "canceled", account
        assert await world.products(wish) == 1
        assert (sold.standing, sold.why) == (Standing.ENDED, "REFUNDED")
        assert sold.renewal is not None
        assert sold.renewal.id == renewal.id
        if ProductKind(wish.kind) is PLAN:
            async with opened(world.place) as stores:
                parent = await stores.buyers.get(f"{account}-parent", world.platform)
            assert parent is not None
            query: Any = {"customer": parent.customer, "status": "all"}
            (own,) = (await world.sdk.v1.subscriptions.list_async(query)).data
            assert own.cancel_at_period_end, account
        kinds = ("provision", "purchased", "reversed", "deprovision")
        jobs += Counter(f"store.{name}" for name in kinds)
    async with opened(world.place) as stores:
        claimed = await stores.outbox.claim("audit", now=NOON, lease=NOON - NOON, limit=1_000)
    assert Counter(one.job.kind for one in claimed) == jobs
    wanted = {"sold.add", "sold.put", "stripe.renew", "stripe.product", "stripe.cancel"}
    assert killed.keys() >= wanted | {"stripe.refund", "outbox.append"}
    store = "sqlite" if len(world.place) == 1 else "mongo"
    report.append(f"a sale given back, killed at {killed.total()} points on {store}")


def _worth_it(calls: Mapping[str, int], kind: ProductKind) -> Mapping[str, int]:
    """What the capture is followed by; of the second kind, what it alone does."""
    kept: tuple[str, ...] = ("sold.", "stripe.", "outbox.")
    if kind is PLAN:
        kept = ("sold.", "stripe.cancel")
    return {step: count for step, count in calls.items() if step.startswith(kept)}


async def test_wherever_it_is_killed_each_period_is_posted_once(
    world: Following, report: list[str]
) -> None:
    wishes = [await world.wish(NUMBERS) for _ in range(3)]
    assert (await world.live(*wishes)).ended == 0
    killed = 0
    for step in ("journal.append", "sold.put"):
        for point in every_point({step: 1}):
            # Each life goes on where those before it were killed.
            news = await world.live(point=point, ahead=TWO_PERIODS_SECONDS)
            killed += news.ended == KILLED
    assert (await world.live(ahead=TWO_PERIODS_SECONDS)).ended == 0
    again = await world.live(ahead=TWO_PERIODS_SECONDS)
    assert (again.ended, again.calls.get("journal.append", 0)) == (0, 0)
    _, cost = TOTALS[NUMBERS]
    for wish in wishes:
        parent = f"{wish.account}-parent"
        async with opened(world.place) as stores:
            entries = await stores.journal.list(parent, limit=100)
            proof = await prove(stores.journal, parent)
            (sold,) = await stores.store_subscriptions.list(wish.account, after="", limit=9)
        keys = [entry.key for entry in entries if entry.kind == "renewal"]
        assert keys == [f"renewal/{sold.id}/{number}" for number in (2, 3)]
        assert (proof.holds, proof.available) == (True, FUNDS - 3 * cost)
        assert sold.posted == 3
    assert killed >= 4
    store = "sqlite" if len(world.place) == 1 else "mongo"
    report.append(f"costs of renewals, killed at {killed} points on {store}")
