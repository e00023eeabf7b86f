"""Objects whose ids merchants chose: told, read again, backfilled and compared, on both stores."""

from dataclasses import replace
from typing import Final
from urllib.parse import quote

from application.events.event_log import EventFilter
from application.events.inbox import EventState
from application.jobs.outbox import MAX_JOBS
from application.mirror.nouns import CUSTOMERS, PRICES, PRODUCTS
from tests.support.contract.odd_ids import LONGEST, ODD_IDS
from tests.support.rooms.upkeep import Flows
from tests.wire.flows.test_named_cases import TENANT, connect, deliver, shown, this_second, told

CHOSEN: Final = (*ODD_IDS[::2], LONGEST)
CREATED: Final = ("customer.created", "product.created", "price.created")
PLAN: Final = {"unit_amount": 1_200, "currency": "usd", "recurring": {"interval": "month"}}


async def make_all(flows: Flows) -> None:
    """A customer, a product and a price, which was a plan once, of each id."""
    for id_ in CHOSEN:
        await flows.post("/v1/customers", id=id_, name="N")
        await flows.post("/v1/products", id=id_, name="P")
        await flows.post("/v1/prices", id=id_, product=id_, nickname="a", **PLAN)


async def assert_all_are_processed(flows: Flows) -> None:
    records = await flows.stores.event_log.list(
        EventFilter(stripe_account=flows.account), after=None, limit=500
    )
    assert {one.state for one in records} == {EventState.PROCESSED}


async def test_an_event_of_another_release_has_any_object_read_again(flows: Flows) -> None:
    await make_all(flows)
    events = [replace(one, api_version="2019-03-14") for one in await told(flows, *CREATED)]
    await deliver(flows, events)
    routes = (await flows.emulator.control.stats()).routes
    for path in ("customers", "products", "prices"):
        assert routes[f"GET /v1/{path}/{{id}}"] == len(CHOSEN)
    await assert_all_are_processed(flows)
    mirrored, at_stripe = await flows.mirrored(), await flows.at_stripe()
    for noun in (CUSTOMERS, PRODUCTS, PRICES):
        assert mirrored[noun.name] == at_stripe[noun.name]
        assert set(CHOSEN) <= set(mirrored[noun.name])


async def test_what_events_of_one_second_leave_open_is_read(flows: Flows) -> None:
    await make_all(flows)
    await this_second(flows)
    for id_ in CHOSEN:
        for nickname in ("b", "c"):
            await flows.post(f"/v1/prices/{quote(id_, safe='')}", nickname=nickname)
    # Neither tells what it followed.
    events = [
        replace(one, payload=one.payload.replace(b'"previous_attributes"', b'"left_out"'))
        for one in await told(flows, "price.updated")
    ]
    await deliver(flows, events[::-1])
    for id_ in CHOSEN:
        assert (await shown(flows, PRICES, id_)).nickname == "c"
    await assert_all_are_processed(flows)


async def test_facts_about_any_customer_are_told_once(flows: Flows) -> None:
    await connect(flows)
    await make_all(flows)
    created = await told(flows, "customer.created")
    again = [replace(one, id=f"{one.id}again") for one in created]
    await deliver(flows, created, again)
    watched = await flows.stores.outbox.watch(TENANT, after=0, limit=MAX_JOBS)
    assert sorted(str(one.job.payload["customer"]) for one in watched) == sorted(CHOSEN)
    await assert_all_are_processed(flows)


async def test_backfill_and_comparison_go_over_any_id(flows: Flows) -> None:
    await make_all(flows)
    await flows.backfilled()
    await flows.assert_right()
    assert (await flows.reconciled()).drifted == 0
