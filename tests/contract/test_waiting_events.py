"""The promises of `application.effects.waiting`."""

from application.effects.waiting import WaitingEvent
from tests.contract.samples import NOON, OURS, SECOND, THEIRS
from tests.contract.test_plans import assert_ordered, plans_or_nothing
from tests.support.servers.stores import Opener, Stores


def waiting(id_: str, stripe_account: str = OURS) -> WaitingEvent:
    return WaitingEvent(id_, stripe_account, NOON)


async def test_events_wait_in_order_until_removed(stores: Stores) -> None:
    events = [waiting(f"evt_{number}") for number in range(5)]
    await stores.waiting_events.add([*reversed(events), waiting("evt_9", THEIRS)])
    assert await stores.waiting_events.count() == 6
    assert await stores.waiting_events.of(OURS, after="", limit=100) == events
    assert await stores.waiting_events.of(OURS, after="evt_1", limit=2) == events[2:4]
    await stores.waiting_events.remove(OURS, ["evt_0", "evt_3", "evt_9"])
    await stores.waiting_events.remove(OURS, ["evt_0"])
    await stores.waiting_events.remove(OURS, [])
    assert await stores.waiting_events.of(OURS, after="", limit=100) == [
        events[1],
        events[2],
        events[4],
    ]
    assert await stores.waiting_events.of(THEIRS, after="", limit=100) == [waiting("evt_9", THEIRS)]


async def test_a_repeat_changes_nothing(opener: Opener) -> None:
    async with opener() as first:
        await first.waiting_events.add([waiting("evt_1")])
        await first.waiting_events.add([])
    async with opener() as second:
        await second.waiting_events.add(
            [WaitingEvent("evt_1", OURS, NOON + SECOND), waiting("evt_2")]
        )
        found = await second.waiting_events.of(OURS, after="", limit=100)
    assert found == [waiting("evt_1"), waiting("evt_2")]


async def test_accounts_that_wait_are_walked_through(stores: Stores) -> None:
    assert await stores.waiting_events.next_stripe_account(after="") is None
    await stores.waiting_events.add([waiting(f"evt_{n}", f"acct_{n % 3}") for n in range(9)])
    seen = []
    account: str | None = ""
    while account is not None:
        account = await stores.waiting_events.next_stripe_account(after=account)
        seen.append(account)
    assert seen == ["acct_0", "acct_1", "acct_2", None]


async def test_every_query_uses_an_index(stores: Stores) -> None:
    await stores.waiting_events.add([waiting(f"evt_{number}") for number in range(9)])
    await assert_ordered(stores, lambda: stores.waiting_events.of(OURS, after="evt_1", limit=3))
    await assert_ordered(stores, lambda: stores.waiting_events.next_stripe_account(after="acct_0"))
    await plans_or_nothing(stores, lambda: stores.waiting_events.add([waiting("evt_1")]))
    await plans_or_nothing(stores, lambda: stores.waiting_events.remove(OURS, ["evt_1"]))
