"""Objects and events that are not understood: each is named, and decides about nothing else."""

import json
import logging
from typing import Any

import pytest

from application.events.inbox import EventState
from application.mirror.nouns import CHARGES, CUSTOMERS
from domain.errors import NotUnderstood
from domain.oddities import Oddity
from tests.support.rooms.upkeep import Flows

CREATED = "created: is missing or not of its type"


def shown_as(item: dict[str, Any], **changes: Any) -> str:
    """An object as it were if some of its fields were others."""
    return json.dumps({**item, **changes})


async def customers(flows: Flows, count: int) -> list[dict[str, Any]]:
    """So many customers, the newest first, each of a second of its own."""
    made = []
    for number in range(count):
        made.append(await flows.post("/v1/customers", name=f"{number}"))
        await flows.emulator.control.advance_clock(1)
    return made[::-1]


async def disguise(flows: Flows, item: dict[str, Any], **changes: Any) -> None:
    await flows.emulator.control.disguise(flows.account, item["id"], shown_as(item, **changes))


async def held(flows: Flows) -> set[str]:
    """The ids of the mirror's customers."""
    return set((await flows.mirrored())[CUSTOMERS.name])


async def test_one_odd_object_on_a_page_holds_up_no_other_and_no_other_noun(
    flows: Flows, caplog: pytest.LogCaptureFixture
) -> None:
    """A charge in a currency of four letters, in the middle of its page."""
    await flows.live_a_little(customers=3)
    odd = (await flows.listed(CHARGES))[1]
    await disguise(flows, odd, currency="usdc")
    why = "currency: three lower-case letters are needed"
    with caplog.at_level(logging.WARNING):
        done = await flows.backfilled()
    assert done.finished
    assert done.nouns_done == done.nouns_total
    assert done.oddities.named == (Oddity("charge", odd["id"], why),)
    (line,) = [one for one in caplog.records if one.message == "objects are not understood"]
    assert vars(line)["objects"] == [f"charge {odd['id']}: {why}"]
    everything = await flows.happened()
    mirrored = await flows.mirrored()
    for name, items in everything.objects.items():
        assert mirrored[name].keys() == {item["id"] for item in items if item["id"] != odd["id"]}


@pytest.mark.parametrize(
    "body",
    [
        '"a text"', "5", "null", "[]", "{}",
        '{"id": "cus_1\\u0000", "created": 1}',
        '{"id": "cus_1", "created": "soon"}',
        '{"id": "cus_1", "created": 1, "name": "\\ud800"}',
    ],
)  # fmt: skip
async def test_an_element_of_any_kind_spoils_itself_alone(flows: Flows, body: str) -> None:
    """In the middle of a page, at its end, where the cursor is, and on the page after."""
    made = await customers(flows, 203)
    odd = [made[number]["id"] for number in (50, 99, 100, 199, 200, 202)]
    for id_ in odd:
        await flows.emulator.control.disguise(flows.account, id_, body)
    done = await flows.backfilled()
    assert done.finished
    assert {one["id"] for one in made} - await held(flows) == set(odd)
    assert done.oddities.count >= 1
    assert {one.noun for one in done.oddities.named} == {"customer"}


async def test_its_row_is_never_extra_and_never_deleted(flows: Flows) -> None:
    made = await customers(flows, 5)
    await flows.backfilled()
    before = await flows.mirrored()
    await disguise(flows, made[2], created="soon")
    report = await flows.reconciled(repair=True)
    assert (report.findings, report.drifted) == ((), 0)
    assert report.oddities.named == (Oddity("customer", made[2]["id"], CREATED),)
    (counts,) = [one for one in report.counts if one.noun == "customer"]
    assert (counts.compared, counts.not_understood) == (4, 1)
    assert await flows.mirrored() == before


async def test_a_row_that_is_not_listed_and_not_understood_when_read_stays(flows: Flows) -> None:
    """Its id cannot be read on the page, and by itself it is odd too."""
    made = await customers(flows, 3)
    await flows.backfilled()
    before = await flows.mirrored()
    await flows.emulator.control.disguise(flows.account, made[1]["id"], '{"id": 7}')
    report = await flows.reconciled(repair=True)
    assert report.drifted == 0
    assert [one.noun for one in report.oddities.named] == ["customer", "customer"]
    assert made[1]["id"] in {one.id for one in report.oddities.named}
    assert await flows.mirrored() == before


async def test_a_page_without_any_id_ends_its_noun_and_the_others_go_on(flows: Flows) -> None:
    made = await customers(flows, 101)
    await flows.post("/v1/products", name="x")
    for item in made[:100]:
        await flows.emulator.control.disguise(flows.account, item["id"], "{}")
    done = await flows.backfilled()
    why = "no id on the page can be read, so the rest of the list cannot be read"
    assert done.finished
    assert done.nouns_done == done.nouns_total
    assert done.oddities.named == (Oddity("customer", "", why, ends_noun=True),)
    assert len((await flows.mirrored())["product"]) == 1
    report = await flows.reconciled()
    assert report.oddities.named == done.oddities.named
    for item in made[:100]:
        await flows.emulator.control.disguise(flows.account, item["id"], "")
    again = await flows.backfilled()
    assert again.oddities.count == 0, "what ended is tried again, and is told no more"
    await flows.assert_right()


async def test_a_read_of_one_is_not_understood_and_not_tried_again(flows: Flows) -> None:
    (made,) = await customers(flows, 1)
    await disguise(flows, made, created="soon")
    before = (await flows.emulator.control.stats()).requests
    with pytest.raises(NotUnderstood, match="customer is not understood: created") as caught:
        await flows.objects.read(
            CUSTOMERS, flows.account, made["id"], not_before_ms=None, priority=flows.priority
        )
    assert caught.value.metadata == {"resource": "customer", "id": made["id"]}
    assert (await flows.emulator.control.stats()).requests == before + 1


async def test_a_refresh_passes_it_by(flows: Flows) -> None:
    await flows.live_a_little(customers=2)
    listed = (await flows.get("/v1/balance_transactions", limit=100))["data"]
    await disguise(flows, listed[1], amount="much")
    refreshed = await flows.balance_transactions.refresh(flows.account)
    assert refreshed.listed == len(listed)
    rows = (await flows.mirrored())["balance_transaction"]
    assert rows.keys() == {one["id"] for one in listed} - {listed[1]["id"]}


# --- events --------------------------------------------------------------------------------------


async def events(flows: Flows) -> list[dict[str, Any]]:
    return (await flows.get("/v1/events", limit=100))["data"]


@pytest.mark.parametrize("place", [0, 2, 4])
async def test_a_bad_event_is_a_dead_letter_before_data_through_passes_it(
    flows: Flows, place: int
) -> None:
    await customers(flows, 5)
    bad = (await events(flows))[place]
    odd = {**bad["data"]["object"], "id": "cus_\x01"}
    await disguise(flows, bad, data={"object": odd})
    polled = await flows.catch_up.poll(flows.source)
    assert polled.listed == polled.new == 5
    assert polled.data_through is not None
    found = await flows.stores.inbox.get(bad["id"])
    assert found is not None
    event, error = found
    assert (event.state, event.decision) == (EventState.DEAD, "not understood")
    assert error == "data.object.id: is missing or not of its type"
    assert event.created == bad["created"] * 1_000
    assert json.loads(event.payload)["data"]["object"]["id"] == "cus_\x01"
    assert await flows.stores.inbox.backlog() == 4
    await flows.project()
    assert len((await flows.mirrored())["customer"]) == 4


async def test_a_dead_letter_that_is_retried_is_read_anew(flows: Flows) -> None:
    """This release understands it no better; it is not ignored for what it does not tell."""
    await customers(flows, 1)
    (bad,) = await events(flows)
    await disguise(flows, bad, livemode="no")
    await flows.catch_up.poll(flows.source)
    await flows.stores.event_log.retry([bad["id"]], now=flows.clock.now())
    await flows.project()
    found = await flows.stores.inbox.get(bad["id"])
    assert found is not None
    assert (found[0].state, found[0].decision) == (EventState.DEAD, "not understood")
    assert found[1] == "livemode: is missing or not of its type"


async def test_an_event_without_an_id_is_kept_once(flows: Flows) -> None:
    await customers(flows, 2)
    bad = (await events(flows))[0]
    await flows.emulator.control.disguise(flows.account, bad["id"], '{"created": 5}')
    for _ in range(2):
        polled = await flows.catch_up.poll(flows.source)
        assert polled.data_through is not None
    counts = await flows.stores.event_log.counts(flows.account)
    assert counts[EventState.DEAD] == 1


async def test_an_event_whose_object_is_not_understood_when_read_is_dead_at_once(
    flows: Flows,
) -> None:
    (made,) = await customers(flows, 1)
    (event,) = await events(flows)
    await disguise(flows, event, api_version="2020-08-27")  # a hint only: its object is read
    await disguise(flows, made, created="soon")
    await flows.caught_up()
    found = await flows.stores.inbox.get(event["id"])
    assert found is not None
    assert found[0].state is EventState.DEAD
    assert found[0].decision == "not understood (payload is not used)"
    assert found[1] == "Stripe's customer is not understood: created: is missing or not of its type"
