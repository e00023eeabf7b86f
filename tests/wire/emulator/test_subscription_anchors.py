"""Where a subscription begins to bill: anchors, by an instant or by the day of a month."""

import datetime as dt
from typing import Any

import pytest
import stripe

from domain.billing_cycles import Anchor, Cycle, Interval
from sandbox.emulator.control_client import ControlClient
from tests.support.rooms.subscriptions_at_emulator import invoices, monthly, period, subscribed

BY_ITSELF: dict[str, Any] = {"proration_behavior": "none"}


def told(anchor: Anchor) -> dict[str, Any]:
    """What Stripe is told of an anchor."""
    at = anchor.at
    if anchor.day_of_month is None:
        return {"billing_cycle_anchor": int(at.timestamp())}
    config = {
        "day_of_month": anchor.day_of_month, "hour": at.hour, "minute": at.minute,
        "second": at.second,
    }  # fmt: skip
    if anchor.month is not None:
        config["month"] = anchor.month
    return {"billing_cycle_anchor_config": config}


@pytest.mark.parametrize(
    ("start", "interval", "count"),
    [
        ((2026, 1, 31), "month", 1), ((2026, 1, 29), "month", 1), ((2026, 1, 15), "month", 1),
        ((2026, 3, 30), "month", 1), ((2026, 1, 31), "month", 3), ((2026, 12, 31), "month", 2),
        ((2028, 2, 29), "year", 1), ((2026, 1, 31), "year", 1), ((2026, 1, 31), "week", 2),
    ],
)  # fmt: skip
async def test_a_renewal_is_billed_when_our_calendar_says(
    client: stripe.StripeClient,
    control: ControlClient,
    start: tuple[int, int, int],
    interval: str,
    count: int,
) -> None:
    cycle = Cycle(dt.datetime(*start, 12, 0, 5, tzinfo=dt.UTC), Interval(interval), count)
    now = cycle.start + dt.timedelta(minutes=3)
    await control.set_clock(int(now.timestamp()))
    price = await monthly(client, interval=interval, interval_count=count)
    made = await subscribed(
        client, items=[{"price": price}], **BY_ITSELF, **told(cycle.renewal(now))
    )
    assert made.status == "active"
    assert made.billing_cycle_anchor == cycle.boundary(1).timestamp()
    assert period(made)[1] == cycle.boundary(1).timestamp()
    for number in range(2, 6):
        await control.set_clock(int(cycle.boundary(number - 1).timestamp()) + 7_200)
        now_on = await client.v1.subscriptions.retrieve_async(made.id)
        expected = cycle.period(number)
        assert period(now_on) == (expected.start.timestamp(), expected.end.timestamp())
    billed = [one for one in await invoices(client, made.id) if one.amount_due]
    assert [one.created for one in billed] == [
        cycle.boundary(number).timestamp() for number in range(1, 5)
    ]
    assert {one.billing_reason for one in billed} == {"subscription_cycle"}


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"billing_cycle_anchor": -1}, "billing_cycle_anchor", "future"),
        ({"billing_cycle_anchor": 0}, "billing_cycle_anchor", "future"),
        ({"billing_cycle_anchor": 31 * 86_400 + 1}, "billing_cycle_anchor", "natural billing"),
        ({"billing_cycle_anchor": 60, "billing_cycle_anchor_config": {"day_of_month": 1}}, None,
         "only specify one"),
        ({"billing_cycle_anchor_config": {"day_of_month": 1, "month": 12}},
         "billing_cycle_anchor_config", "natural billing"),
        ({"billing_cycle_anchor_config": {"day_of_month": 32}},
         "billing_cycle_anchor_config[day_of_month]", "day_of_month|31"),
        ({"billing_cycle_anchor_config": {"hour": 1}},
         "billing_cycle_anchor_config[day_of_month]", "day_of_month|31"),
    ],
)  # fmt: skip
async def test_an_anchor_lies_ahead_and_no_later_than_the_next_natural_date(
    client: stripe.StripeClient,
    control: ControlClient,
    more: dict[str, Any],
    param: str | None,
    words: str,
) -> None:
    start = int(dt.datetime(2026, 1, 15, tzinfo=dt.UTC).timestamp())
    await control.set_clock(start)
    given = {**more}
    if "billing_cycle_anchor" in given:
        given["billing_cycle_anchor"] += start
    with pytest.raises(stripe.InvalidRequestError, match=words) as refused:
        await subscribed(client, **BY_ITSELF, **given)
    assert refused.value.param == param
    assert (await client.v1.subscriptions.list_async({"status": "all"})).data == []


async def test_the_very_date_is_taken(client: stripe.StripeClient, control: ControlClient) -> None:
    start = int(dt.datetime(2026, 1, 15, tzinfo=dt.UTC).timestamp())
    await control.set_clock(start)
    made = await subscribed(client, **BY_ITSELF, billing_cycle_anchor=start + 31 * 86_400)
    assert made.billing_cycle_anchor == start + 31 * 86_400


async def test_a_day_of_the_month_is_no_day_of_a_week(client: stripe.StripeClient) -> None:
    price = await monthly(client, interval="week")
    with pytest.raises(stripe.InvalidRequestError, match="monthly and yearly"):
        await subscribed(
            client, items=[{"price": price}], billing_cycle_anchor_config={"day_of_month": 1}
        )
