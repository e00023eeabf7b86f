"""EventService over a real connection: whose events, and with which scopes."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest
from billing_client.v1 import event_service_pb2 as pb
from billing_client.v1.connection_service_pb2 import GetConnectionRequest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from application.events.inbox import EventState
from application.requests.callers import OPERATOR
from domain.customers import Customer
from domain.mirror import Facet, Row, Snapshot, Version
from domain.reporting_categories import SETTLEMENT
from tests.support.fakes.stores import NOON
from tests.support.rooms.events import EventsDesk, connection, event
from tests.support.servers.grpc import SCOPES, Running, details, reason, refusal, running_server
from tests.unit.stripe import samples

Code = grpc.StatusCode
PAYLOAD: Final = (*SCOPES, "events.payload")
SECOND: Final = dt.timedelta(seconds=1)


@dataclass(frozen=True)
class Service:
    """A server whose EventService is real, on fakes."""

    running: Running
    desk: EventsDesk

    def call(self, method: str, request: Any, **claims: Any) -> Any:
        """A call by acme, or by whom the claims name."""
        stub = self.running.event_stub
        return getattr(stub, method)(request, metadata=self.running.metadata(**claims))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """Events of acme, of its sub-account, of rival, and of the platform."""
    desk = EventsDesk()
    await desk.connections.put(connection("acme-west", stripe_account="acct_west"))
    desk.log.add(event("evt_a", state=EventState.DEAD), attempts=9, error="boom", decision="failed")
    desk.log.add(event("evt_w", "acct_west", received_at=NOON + SECOND))
    desk.log.add(event("evt_r", "acct_rival", received_at=NOON + 2 * SECOND, state=EventState.DEAD))
    desk.log.add(event("evt_p", "", received_at=NOON + 3 * SECOND))
    async with running_server(events=desk.events) as running:
        yield Service(running, desk)


def ids(reply: pb.ListEventsResponse) -> list[str]:
    return [one.id for one in reply.events]


REQUESTS: Final[dict[str, Any]] = {
    "ListEvents": pb.ListEventsRequest(),
    "GetEvent": pb.GetEventRequest(id="evt_a"),
    "RetryEvent": pb.RetryEventRequest(id="evt_a"),
    "RetryDeadEvents": pb.RetryDeadEventsRequest(),
    "ExplainObject": pb.ExplainObjectRequest(object_type="customer", object_id="cus_1"),
}


@pytest.mark.parametrize("method", REQUESTS)
async def test_every_method_needs_its_scope(service: Service, method: str) -> None:
    needed = "events.write" if method.startswith("Retry") else "events.read"
    others = [scope for scope in PAYLOAD if scope != needed]
    got = await refusal(service.call(method, REQUESTS[method], scopes=others))
    assert (got.code(), reason(got)) == (Code.PERMISSION_DENIED, "SCOPE_MISSING")
    (info,) = details(got, ErrorInfo)
    assert dict(info.metadata) == {"scope": needed}
    await service.call(method, REQUESTS[method], scopes=[needed])


@pytest.mark.parametrize("method", REQUESTS)
async def test_nobody_acts_for_a_stranger(service: Service, method: str) -> None:
    for own, named in (("acme", "rival"), ("acme-west", "acme"), ("acme", OPERATOR)):
        request = type(REQUESTS[method])()
        request.CopyFrom(REQUESTS[method])
        request.account = named
        got = await refusal(service.call(method, request, account=own))
        assert (got.code(), reason(got)) == (Code.NOT_FOUND, "NOT_FOUND")
    assert service.desk.log.retried == []


async def test_a_list_is_of_the_account_that_is_acted_for(service: Service) -> None:
    assert ids(await service.call("ListEvents", pb.ListEventsRequest())) == ["evt_a"]
    west = pb.ListEventsRequest(account="acme-west")
    assert ids(await service.call("ListEvents", west)) == ["evt_w"]
    operators = {"account": OPERATOR}
    everything = await service.call("ListEvents", pb.ListEventsRequest(), **operators)
    assert ids(everything) == ["evt_p", "evt_r", "evt_w", "evt_a"]
    rival = pb.ListEventsRequest(account="rival")
    assert ids(await service.call("ListEvents", rival, **operators)) == ["evt_r"]
    platform = pb.ListEventsRequest(stripe_account="platform")
    assert ids(await service.call("ListEvents", platform, **operators)) == ["evt_p"]


async def test_an_operator_acts_for_no_account_that_is_not_there(service: Service) -> None:
    request = pb.ListEventsRequest(account="nobody")
    got = await refusal(service.call("ListEvents", request, account=OPERATOR))
    assert reason(got) == "NOT_FOUND"


async def test_a_method_for_accounts_tells_an_operator_to_name_one(service: Service) -> None:
    stub = service.running.connection_stub
    for named in ("", OPERATOR):
        got = await refusal(
            stub.GetConnection(
                GetConnectionRequest(account=named),
                metadata=service.running.metadata(account=OPERATOR),
            )
        )
        assert (got.code(), reason(got)) == (Code.INVALID_ARGUMENT, "INVALID_FIELDS")
        ((violation,),) = (found.field_violations for found in details(got, BadRequest))
        assert violation.field == "account"
        assert "name the account" in violation.description
    service.running.connections.status.assert_not_called()


async def test_a_list_is_filtered_and_paged(service: Service) -> None:
    operators = {"account": OPERATOR}
    dead = pb.ListEventsRequest(state=pb.Event.STATE_DEAD, page_size=1)
    first = await service.call("ListEvents", dead, **operators)
    assert ids(first) == ["evt_r"]
    dead.page_token = first.next_page_token
    assert ids(await service.call("ListEvents", dead, **operators)) == ["evt_a"]
    got = await refusal(service.call("ListEvents", dead))  # the token is another tenant's
    assert (got.code(), reason(got)) == (Code.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    after = Timestamp(seconds=int((NOON + SECOND).timestamp()))
    before = Timestamp(seconds=int((NOON + 3 * SECOND).timestamp()))
    between = pb.ListEventsRequest(received_after=after, received_before=before)
    assert ids(await service.call("ListEvents", between, **operators)) == ["evt_r", "evt_w"]


async def test_all_that_is_wrong_with_a_list_is_told_at_once(service: Service) -> None:
    request = pb.ListEventsRequest(
        page_size=1_001,
        state=9,  # type: ignore[arg-type]  # a later contract's, on the wire
        received_after=Timestamp(nanos=-1),
    )
    got = await refusal(service.call("ListEvents", request))
    (found,) = details(got, BadRequest)
    assert {one.field for one in found.field_violations} == {
        "page_size", "state", "received_after",
    }  # fmt: skip


async def test_an_event_is_shown_with_what_became_of_it(service: Service) -> None:
    found = await service.call("GetEvent", REQUESTS["GetEvent"])
    assert found == pb.Event(
        id="evt_a", stripe_account="acct_acme", type="customer.updated",
        api_version="2026-10-28.endive", create_time=Timestamp(seconds=1_000),
        receive_time=Timestamp(seconds=int(NOON.timestamp())), object_type="customer",
        object_id="cus_1", payload_size=13, state=pb.Event.STATE_DEAD, decision="failed",
        attempts=9, error="boom",
    )  # fmt: skip


async def test_a_payload_is_shown_to_whom_may_see_it(service: Service) -> None:
    full = pb.GetEventRequest(id="evt_a", view=pb.EVENT_VIEW_FULL)
    got = await refusal(service.call("GetEvent", full))
    assert (got.code(), reason(got)) == (Code.PERMISSION_DENIED, "SCOPE_MISSING")
    (info,) = details(got, ErrorInfo)
    assert dict(info.metadata) == {"scope": "events.payload"}
    assert (await service.call("GetEvent", full, scopes=PAYLOAD)).payload == b'{"secret": 1}'
    basic = pb.GetEventRequest(id="evt_a", view=pb.EVENT_VIEW_BASIC)
    assert (await service.call("GetEvent", basic, scopes=PAYLOAD)).payload == b""
    unheard: Any = 7
    got = await refusal(service.call("GetEvent", pb.GetEventRequest(id="evt_a", view=unheard)))
    assert reason(got) == "INVALID_FIELDS"


@pytest.mark.parametrize("event_id", ["evt_r", "evt_p", "evt_w", "evt_x"])
async def test_an_event_that_is_not_the_callers_is_not_found(
    service: Service, event_id: str
) -> None:
    for call in (
        service.call("GetEvent", pb.GetEventRequest(id=event_id)),
        service.call("RetryEvent", pb.RetryEventRequest(id=event_id)),
    ):
        got = await refusal(call)
        assert (got.code(), reason(got)) == (Code.NOT_FOUND, "NOT_FOUND")


async def test_without_a_connection_there_are_no_events(service: Service) -> None:
    service.desk.connections.kept.clear()
    for method, request in REQUESTS.items():
        got = await refusal(service.call(method, request))
        assert (got.code(), reason(got)) == (Code.FAILED_PRECONDITION, "STRIPE_NOT_CONNECTED")


async def test_a_dead_event_is_tried_again(service: Service) -> None:
    found = await service.call("RetryEvent", REQUESTS["RetryEvent"])
    assert (found.state, found.attempts) == (pb.Event.STATE_PENDING, 0)
    assert found.HasField("next_attempt_time")
    assert service.desk.arrived.is_set()
    again = await service.call("RetryEvent", pb.RetryEventRequest(id="evt_p"), account=OPERATOR)
    assert again.state == pb.Event.STATE_PROCESSED


async def test_dead_events_are_tried_again_by_filter(service: Service) -> None:
    request = pb.RetryDeadEventsRequest(type="invoice.paid")
    assert (await service.call("RetryDeadEvents", request)).retried_count == 0
    assert await service.call(
        "RetryDeadEvents", pb.RetryDeadEventsRequest()
    ) == pb.RetryDeadEventsResponse(retried_count=1)
    assert service.desk.log.retried == ["evt_a"]
    everything = await service.call(
        "RetryDeadEvents", pb.RetryDeadEventsRequest(), account=OPERATOR
    )
    assert everything.retried_count == 1
    assert service.desk.log.retried == ["evt_a", "evt_r"]


async def test_an_object_is_explained(service: Service) -> None:
    desk = service.desk
    desk.log.events.clear()
    desk.log.records.clear()
    for number, name in enumerate(("Ada", "Grace")):
        told = samples.event(samples.customer(name=name), "customer.updated")
        desk.log.add(
            event(
                f"evt_{number}", payload=samples.encoded(told), created=number,
                received_at=NOON + number * SECOND,
            ),
            decision="applied", effects=("contact synced",),
        )  # fmt: skip
    version = Version(1_000, 3_000, 2_000, 2_500)
    customer = Customer("cus_1", NOON, name="Grace")
    money = {"balance_transaction": "txn_1"}
    desk.mirror.rows["customer", "acct_acme", "cus_1"] = Row(
        "acct_acme", "cus_1", 2,
        Snapshot("acct_acme", "cus_1", version, customer, frozenset({"phone"})),
        {"settlement": Facet("acct_acme", "cus_1", SETTLEMENT, money, Version(7_000, 7_000))},
    )  # fmt: skip

    found = await service.call("ExplainObject", REQUESTS["ExplainObject"])

    at = [Timestamp(seconds=n) for n in range(8)]
    assert found.stripe_account == "acct_acme"
    assert found.row == pb.MirroredRow(
        state=pb.MirroredRow.STATE_LIVE, revision=2, unknown_fields=["phone"],
        version=pb.RowVersion(
            earliest_time=at[1], latest_time=at[3], read_time=at[2],
            known_time=Timestamp(seconds=2, nanos=500_000_000),
        ),
        facets=[
            pb.RowFacet(
                name="settlement", source_type="balance_transaction", source_id="txn_1",
                fields=["balance_transaction"],
                version=pb.RowVersion(earliest_time=at[7], latest_time=at[7]),
            )
        ],
    )  # fmt: skip
    first, second = found.events
    assert (first.event.decision, list(first.event.effects)) == ("applied", ["contact synced"])
    assert (first.telling, first.basis) == (
        pb.ExplainedEvent.TELLING_STATE, pb.ExplainedEvent.BASIS_UNSPECIFIED,
    )  # fmt: skip
    assert (list(second.changed_fields), second.basis) == (
        ["name"], pb.ExplainedEvent.BASIS_PRECEDING_EVENT,
    )  # fmt: skip
    assert b"Grace" not in found.SerializeToString()

    page = pb.ExplainObjectRequest(object_type="customer", object_id="cus_1", page_size=1)
    page.page_token = (await service.call("ExplainObject", page)).next_page_token
    rest = await service.call("ExplainObject", page)
    assert (list(rest.events), rest.next_page_token) == ([second], "")


async def test_an_object_that_nothing_is_known_of_is_no_error(service: Service) -> None:
    request = pb.ExplainObjectRequest(object_type="charge", object_id="ch_1")
    found = await service.call("ExplainObject", request)
    assert found == pb.ExplainObjectResponse(stripe_account="acct_acme")


async def test_an_operator_says_whose_object_is_to_be_explained(service: Service) -> None:
    operators = {"account": OPERATOR}
    request = pb.ExplainObjectRequest(object_type="customer", object_id="cus_1")
    got = await refusal(service.call("ExplainObject", request, **operators))
    ((violation,),) = (found.field_violations for found in details(got, BadRequest))
    assert violation.field == "stripe_account"
    request.stripe_account = "platform"
    found = await service.call("ExplainObject", request, **operators)
    assert [one.event.id for one in found.events] == ["evt_p"]
    request.account, request.stripe_account = "rival", ""
    found = await service.call("ExplainObject", request, **operators)
    assert [one.event.id for one in found.events] == ["evt_r"]
