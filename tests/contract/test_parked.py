"""The promises of `application.ports.parked`."""

from application.ports.parked import ParkedEvent
from tests.contract.samples import NOON, OURS, SECOND, THEIRS
from tests.contract.test_plans import assert_ordered, plans_or_nothing
from tests.support.stores import Opener, Stores


def parked(id_: str, stripe_account: str = OURS) -> ParkedEvent:
    return ParkedEvent(id_, stripe_account, NOON)


async def test_events_wait_in_order_until_removed(stores: Stores) -> None:
    events = [parked(f"evt_{number}") for number in range(5)]
    await stores.parked.park([*reversed(events), parked("evt_9", THEIRS)])
    assert await stores.parked.count() == 6
    assert await stores.parked.of(OURS, after="", limit=100) == events
    assert await stores.parked.of(OURS, after="evt_1", limit=2) == events[2:4]
    await stores.parked.remove(OURS, ["evt_0", "evt_3", "evt_9"])
    await stores.parked.remove(OURS, ["evt_0"])
    await stores.parked.remove(OURS, [])
    assert await stores.parked.of(OURS, after="", limit=100) == [events[1], events[2], events[4]]
    assert await stores.parked.of(THEIRS, after="", limit=100) == [parked("evt_9", THEIRS)]


async def test_a_repeat_changes_nothing(opener: Opener) -> None:
    async with opener() as first:
        await first.parked.park([parked("evt_1")])
        await first.parked.park([])
    async with opener() as second:
        await second.parked.park([ParkedEvent("evt_1", OURS, NOON + SECOND), parked("evt_2")])
        found = await second.parked.of(OURS, after="", limit=100)
    assert found == [parked("evt_1"), parked("evt_2")]


async def test_accounts_that_wait_are_walked_through(stores: Stores) -> None:
    assert await stores.parked.next_stripe_account(after="") is None
    await stores.parked.park([parked(f"evt_{n}", f"acct_{n % 3}") for n in range(9)])
    seen = []
    account: str | None = ""
    while account is not None:
        account = await stores.parked.next_stripe_account(after=account)
        seen.append(account)
    assert seen == ["acct_0", "acct_1", "acct_2", None]


async def test_every_query_uses_an_index(stores: Stores) -> None:
    await stores.parked.park([parked(f"evt_{number}") for number in range(9)])
    await assert_ordered(stores, lambda: stores.parked.of(OURS, after="evt_1", limit=3))
    await assert_ordered(stores, lambda: stores.parked.next_stripe_account(after="acct_0"))
    await plans_or_nothing(stores, lambda: stores.parked.park([parked("evt_1")]))
    await plans_or_nothing(stores, lambda: stores.parked.remove(OURS, ["evt_1"]))
