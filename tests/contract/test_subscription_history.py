"""The promises of `application.subscriptions.history`."""

import datetime as dt
from functools import partial

import pytest

from application.subscriptions.history import MAX_CHANGES
from domain.prices import Recurrence
from domain.subscription_history import SubscriptionChange
from domain.subscriptions import Subscription, SubscriptionItem
from tests.contract.samples import NOON, OURS, SECOND, THEIRS
from tests.contract.test_plans import assert_ordered, plans_or_nothing
from tests.support.servers.stores import Stores


def change(
    event_id: str,
    *,
    at: dt.datetime = NOON,
    status: str = "active",
    subscription: str = "sub_1",
    stripe_account: str = OURS,
) -> SubscriptionChange:
    item = SubscriptionItem(
        "si_1", "price_1", "prod_1", 3, "usd", 1_000, "1000.5", Recurrence("month", 1),
        NOON, NOON + SECOND,
    )  # fmt: skip
    found = Subscription(
        subscription, NOON, "cus_1", status, "usd", (item,), metadata={"a.b": "$c", "": "x"}
    )
    return SubscriptionChange(
        stripe_account, event_id, "customer.subscription.updated", at, found,
        frozenset({"latest_invoice"}), as_read=True,
    )  # fmt: skip


async def test_changes_come_in_stripes_order(stores: Stores) -> None:
    history = stores.subscription_history
    changes = [
        change("evt_2", at=NOON + SECOND),
        change("evt_9", at=NOON, status="trialing"),
        change("evt_1", at=NOON + SECOND, status="canceled"),
    ]
    await history.append(changes)
    await history.append([change("evt_5", subscription="sub_2")])
    await history.append([change("evt_6", stripe_account=THEIRS)])
    ordered = [changes[1], changes[2], changes[0]]
    assert await history.of_subscription(OURS, "sub_1", after=None, limit=10) == ordered
    after = (ordered[0].at, ordered[0].event_id)
    assert await history.of_subscription(OURS, "sub_1", after=after, limit=1) == ordered[1:2]
    after = (ordered[1].at, ordered[1].event_id)
    assert await history.of_subscription(OURS, "sub_1", after=after, limit=10) == ordered[2:]


async def test_a_repeat_changes_nothing(stores: Stores) -> None:
    history = stores.subscription_history
    await history.append([change("evt_1")])
    await history.append([])
    await history.append([change("evt_1", status="canceled"), change("evt_2")])
    found = await history.of_subscription(OURS, "sub_1", after=None, limit=10)
    assert found == [change("evt_1"), change("evt_2")]


async def test_more_than_the_bound_is_refused(stores: Stores) -> None:
    many = [change(f"evt_{number}") for number in range(MAX_CHANGES + 1)]
    with pytest.raises(ValueError, match="at most"):
        await stores.subscription_history.append(many)


async def test_every_query_uses_an_index_and_sorts_nothing(stores: Stores) -> None:
    history = stores.subscription_history
    await history.append([change(f"evt_{number}") for number in range(9)])
    for after in (None, (NOON, "evt_3")):
        asked = partial(history.of_subscription, OURS, "sub_1", after=after, limit=3)
        await assert_ordered(stores, asked)
    await plans_or_nothing(stores, lambda: history.append([change("evt_1"), change("evt_77")]))
