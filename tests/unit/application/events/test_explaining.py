"""Explaining an object: its row, what each event told of it, and which fields that changed."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final

import pytest

from application.events.explanation import Basis, RowState, Telling
from application.events.inbox import EventState, ReceivedEvent
from application.events.use_cases import MAX_EXPLAINED, Explanation, ObjectQuery
from application.mirror.nouns import CHARGES, CUSTOMERS
from application.requests.callers import Caller
from domain.attribution import INVOICE
from domain.charges import Charge
from domain.customers import Customer
from domain.errors import FailedPrecondition, InvalidArgument, NotFound, Reason
from domain.mirror import Facet, Row, Snapshot, Version
from domain.reporting_categories import SETTLEMENT
from tests.support.fakes.stores import NOON
from tests.support.rooms.events import ACME, ALL, RIVAL, STRANGER, EventsDesk
from tests.unit.application.events.test_events import fields
from tests.unit.stripe import samples

CUS_1: Final = ObjectQuery("customer", "cus_1")
START: Final = samples.CREATED + 5
MIRRORED: Final = Customer("cus_1", NOON, email="ada@example.com", name="Ada")


def told(
    number: int, *, at: int | None = None, stripe_account: str = "acct_acme",
    previous: dict[str, Any] | None = None, kind: str = "customer.updated", **changes: Any,
) -> ReceivedEvent:  # fmt: skip
    """The event of a number about cus_1, by default created in a second of its own."""
    created = START + (number if at is None else at)
    told = samples.customer(**changes)
    payload = samples.event(told, kind, previous=previous, id=f"evt_{number:02}", created=created)
    return ReceivedEvent(
        id=payload["id"], stripe_account=stripe_account, type=kind,
        api_version=payload["api_version"], created=created * 1_000, object_type="customer",
        object_id="cus_1", payload=samples.encoded(payload),
        received_at=NOON + dt.timedelta(seconds=number), state=EventState.PROCESSED,
    )  # fmt: skip


async def explain(
    *events: ReceivedEvent, caller: Caller = ACME, query: ObjectQuery = CUS_1
) -> Explanation:
    return await EventsDesk(*events).events.explain_object(caller, query)


def changes(explanation: Explanation) -> list[tuple[str, tuple[str, ...], Basis | None]]:
    return [(one.record.id, one.changed, one.basis) for one in explanation.events.items]


async def test_an_event_that_tells_what_it_changed_is_taken_at_its_word() -> None:
    found = await explain(
        told(1, name="Grace"),
        told(2, name="Ada", email="a@b.c", previous={"email": "old@b.c"}),
    )
    assert changes(found) == [
        ("evt_01", (), None),
        ("evt_02", ("email",), Basis.PREVIOUS_ATTRIBUTES),
    ]


async def test_else_an_event_is_compared_with_the_one_before_it() -> None:
    found = await explain(
        told(3, name="Grace", metadata={"tier": "lead"}),
        told(1, kind="customer.created"),
        told(2),
    )
    assert changes(found) == [
        ("evt_01", (), None),
        ("evt_02", (), Basis.PRECEDING_EVENT),
        ("evt_03", ("name", "metadata"), Basis.PRECEDING_EVENT),
    ]
    assert all(one.telling is Telling.STATE for one in found.events.items)


async def test_a_change_of_what_is_not_mirrored_changes_no_field() -> None:
    found = await explain(told(1, balance=5, previous={"balance": 0}))
    assert changes(found) == [("evt_01", (), Basis.PREVIOUS_ATTRIBUTES)]


async def test_fields_that_an_event_does_not_tell_are_not_said_to_have_changed() -> None:
    whole, part = told(1), told(2, name="Grace")
    cut = samples.event(
        samples.without(samples.customer(name="Grace"), "email", "phone"), "customer.updated"
    )
    part = replace(part, payload=samples.encoded(cut))
    for events in ((whole, part), (replace(part, created=whole.created - 1), whole)):
        found = await explain(*events)
        assert [one.changed for one in found.events.items] == [(), ("name",)]


async def test_no_value_is_told() -> None:
    found = await explain(told(1), told(2, name="Grace", email="g@h.i", previous={"name": "Ada"}))
    assert "Grace" not in repr(found)
    assert "g@h.i" not in repr(found)


def unreadable(event: ReceivedEvent) -> ReceivedEvent:
    return replace(event, payload=b'{"data": {"object": {"id": 7}}}')


def of_another_release(event: ReceivedEvent) -> ReceivedEvent:
    return replace(event, api_version="2020-08-27")


def ignored(event: ReceivedEvent) -> ReceivedEvent:
    return replace(event, state=EventState.IGNORED)


def deleting(event: ReceivedEvent) -> ReceivedEvent:
    return replace(event, type="customer.deleted")


def of_another_noun(event: ReceivedEvent) -> ReceivedEvent:
    charge = samples.event(samples.charge(id="cus_1"), "charge.updated")
    return replace(event, object_type="charge", payload=samples.encoded(charge))


@pytest.mark.parametrize(
    ("made", "telling"),
    [
        (unreadable, Telling.UNREADABLE),
        (of_another_release, Telling.HINT),
        (ignored, Telling.NOTHING),
        (deleting, Telling.DELETION),
        (of_another_noun, Telling.NOTHING),
    ],
)
async def test_what_tells_no_state_changes_nothing_and_hides_what_was_before(
    made: Any, telling: Telling
) -> None:
    found = await explain(told(1), made(told(2)), told(3, name="Grace"), told(4, name="Ada"))
    assert [one.telling for one in found.events.items] == [
        Telling.STATE, telling, Telling.STATE, Telling.STATE,
    ]  # fmt: skip
    assert changes(found) == [
        ("evt_01", (), None),
        ("evt_02", (), None),
        ("evt_03", (), None),
        ("evt_04", ("name",), Basis.PRECEDING_EVENT),
    ]


async def test_each_event_bears_what_was_decided_and_what_followed() -> None:
    desk = EventsDesk()
    desk.log.add(told(1), decision="applied: newer than what we have", effects=("contact synced",))
    found = await desk.events.explain_object(ACME, CUS_1)
    (one,) = found.events.items
    assert one.record.decision == "applied: newer than what we have"
    assert one.record.effects == ("contact synced",)


async def test_events_come_by_creation_and_are_paged_as_one() -> None:
    """What precedes a page's first event is on the page before."""
    events = [told(n, at=n // 2, name=f"Ada {n}") for n in range(7)]
    desk = EventsDesk(*reversed(events))
    whole = (await desk.events.explain_object(ACME, CUS_1)).events.items
    assert [one.record.id for one in whole] == [event.id for event in events]
    for size in (1, 2, 3, 6, 7):
        seen: list[Any] = []
        token = ""
        for _ in range(8):
            query = replace(CUS_1, page_size=size, page_token=token)
            page = (await desk.events.explain_object(ACME, query)).events
            assert 1 <= len(page.items) <= size
            seen += page.items
            token = page.next_page_token
            if not token:
                break
        assert seen == whole


async def test_an_event_that_went_with_its_page_is_not_compared_with() -> None:
    desk = EventsDesk(told(1), told(2, name="Grace"))
    page = (await desk.events.explain_object(ACME, replace(CUS_1, page_size=1))).events
    del desk.log.events["evt_01"], desk.log.records["evt_01"]
    query = replace(CUS_1, page_token=page.next_page_token)
    assert changes(await desk.events.explain_object(ACME, query)) == [("evt_02", (), None)]


async def test_a_page_token_belongs_to_one_object_of_one_tenant() -> None:
    desk = EventsDesk(
        told(1), told(2), told(3, stripe_account="acct_rival"), told(4, stripe_account="acct_rival")
    )
    page = (await desk.events.explain_object(ACME, replace(CUS_1, page_size=1))).events
    query = replace(CUS_1, page_token=page.next_page_token)
    operators = replace(query, stripe_account="acct_acme")
    assert len((await desk.events.explain_object(ALL, operators)).events.items) == 1
    for caller, other in (
        (RIVAL, query),
        (ACME, replace(query, object_id="cus_2")),
        (ACME, replace(query, object_type="charge")),
        (ALL, replace(query, stripe_account="acct_rival")),
    ):
        with pytest.raises(InvalidArgument) as refusal:
            await desk.events.explain_object(caller, other)
        assert refusal.value.reason is Reason.INVALID_PAGE_TOKEN


async def test_a_tenant_is_told_of_its_own_object_only() -> None:
    desk = EventsDesk(told(1, stripe_account="acct_rival"))
    version = Version(1, 1)
    row = Row("acct_rival", "cus_1", 1, Snapshot("acct_rival", "cus_1", version, MIRRORED))
    desk.mirror.rows["customer", "acct_rival", "cus_1"] = row
    nothing = await desk.events.explain_object(ACME, CUS_1)
    assert (nothing.stripe_account, nothing.row, list(nothing.events.items)) == (
        "acct_acme", None, [],
    )  # fmt: skip
    theirs = await desk.events.explain_object(RIVAL, CUS_1)
    assert theirs.row is not None
    assert len(theirs.events.items) == 1
    with pytest.raises(NotFound):
        await desk.events.explain_object(ACME, replace(CUS_1, stripe_account="acct_rival"))
    with pytest.raises(FailedPrecondition):
        await desk.events.explain_object(STRANGER, CUS_1)


@pytest.mark.parametrize("named", ["platform", "acct_platform"])
async def test_the_platforms_own_objects_are_kept_under_its_id_and_their_events_under_none(
    named: str,
) -> None:
    desk = EventsDesk(told(1, stripe_account=""), told(2))
    version = Version(1, 1)
    row = Row("acct_platform", "cus_1", 4, Snapshot("acct_platform", "cus_1", version, MIRRORED))
    desk.mirror.rows["customer", "acct_platform", "cus_1"] = row
    found = await desk.events.explain_object(ALL, replace(CUS_1, stripe_account=named))
    assert found.stripe_account == "acct_platform"
    assert found.row is not None
    assert found.row.revision == 4
    assert changes(found) == [("evt_01", (), None)]


@pytest.mark.parametrize(
    ("caller", "query", "expected"),
    [
        (ACME, ObjectQuery("plan", ""), ["object_type", "object_id"]),
        (ACME, ObjectQuery("customer", "x" * 256), ["object_id"]),
        (ACME, replace(CUS_1, page_size=MAX_EXPLAINED + 1), ["page_size"]),
        (ALL, CUS_1, ["stripe_account"]),
        (ALL, replace(CUS_1, stripe_account="acme"), ["stripe_account"]),
    ],
)
async def test_bad_input(caller: Caller, query: ObjectQuery, expected: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await explain(caller=caller, query=query)
    assert fields(refusal) == expected


async def test_a_row_tells_when_it_was_true_and_what_it_is_made_of() -> None:
    desk = EventsDesk()
    version, source = Version(1_000, 5_000, 4_000, 4_100), Version(7_000, 7_000)
    found: Snapshot[Charge] = Snapshot("acct_acme", "ch_1", version, None)
    values = {"invoice": "in_1", "subscription": "sub_1"}
    money = {"balance_transaction": "txn_1", "net": 7}
    desk.mirror.rows["charge", "acct_acme", "ch_1"] = Row(
        "acct_acme", "ch_1", 3, found,
        {
            SETTLEMENT: Facet("acct_acme", "ch_1", SETTLEMENT, money, source),
            INVOICE: Facet("acct_acme", "ch_1", INVOICE, values, source),
            "later": Facet("acct_acme", "ch_1", "later", {"secret": "x"}, source),
        },
    )  # fmt: skip
    row = (await desk.events.explain_object(ACME, ObjectQuery("charge", "ch_1"))).row
    assert row is not None
    assert (row.state, row.revision, row.version) == (RowState.DELETED, 3, version)
    assert [(f.name, f.source_type, f.source_id, f.fields) for f in row.facets] == [
        ("invoice", "invoice", "in_1", ("invoice", "subscription")),
        ("later", "", "", ("secret",)),
        ("settlement", "balance_transaction", "txn_1", ("balance_transaction", "net")),
    ]
    assert all(facet.version == source for facet in row.facets)


async def test_a_row_of_facets_alone_and_one_that_is_not_wholly_known() -> None:
    desk = EventsDesk()
    desk.mirror.rows[CHARGES.name, "acct_acme", "ch_1"] = Row("acct_acme", "ch_1", 0, None)
    row = (await desk.events.explain_object(ACME, ObjectQuery("charge", "ch_1"))).row
    assert row is not None
    assert (row.state, row.version, row.unknown) == (RowState.FACETS_ONLY, None, ())
    snapshot = Snapshot("acct_acme", "cus_1", Version(1, 1), MIRRORED, frozenset({"phone", "name"}))
    desk.mirror.rows[CUSTOMERS.name, "acct_acme", "cus_1"] = Row("acct_acme", "cus_1", 1, snapshot)
    row = (await desk.events.explain_object(ACME, CUS_1)).row
    assert row is not None
    assert (row.state, row.unknown) == (RowState.LIVE, ("name", "phone"))
