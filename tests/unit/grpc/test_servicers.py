"""Servicers: message, command, use case, reply."""

import datetime as dt
from typing import Any
from unittest.mock import create_autospec

import grpc
import pytest
from billing_client.v1 import analytics_service_pb2 as analytics_pb
from billing_client.v1 import connection_service_pb2 as connections_pb
from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1.money_pb2 import Money
from billing_client.v1.period_pb2 import GRANULARITY_HOUR, Period
from billing_client.v1.trust_pb2 import Trust as TrustMessage
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from application.analytics.asking import BaseVolume
from application.analytics.explanation import ExplainFigure, Explaining, Explanation, FigureEntry
from application.analytics.questions import Compared, Question
from application.analytics.rates import ExchangeRates
from application.analytics.restatements import (
    Cause,
    LedgerEntry,
    ListRestatements,
    Restatement,
    Restatements,
)
from application.analytics.trust import Standing, Trust
from application.analytics.use_cases import (
    ChargeCounts,
    CurrencyVolume,
    GrossVolume,
    RevenueAnalytics,
)
from application.connecting.disconnecting import Disconnecting
from application.connecting.use_cases import Connecting
from application.connections.listing import ConnectionLists
from application.connections.use_cases import Connections, ConnectionStatus
from application.contacts.ports import ContactLink
from application.customers.commands import (
    LinkedCustomer,
    ListCustomers,
    SearchCustomers,
    UpdateCustomer,
)
from application.customers.ports import CustomerFields
from application.customers.use_cases import Customers
from application.requests.paging import Page
from domain import periods
from domain.analytics import Bucket, Comparison
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.customers import Address, Customer
from domain.errors import NotFound
from domain.money import Money as LedgerMoney
from domain.stripe_accounts import StripeAccount
from interfaces.grpc.analytics.servicer import AnalyticsServicer
from interfaces.grpc.connections.servicer import ConnectionServicer
from interfaces.grpc.customers.servicer import CustomerServicer
from tests.support.servers.grpc import analyses_of
from tests.unit.grpc.bridge import CALLER, invoke

CREATED = dt.datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=dt.UTC)
JENNY = Customer(
    "cus_1", CREATED, "jenny@example.com", "Jenny", None, None,
    Address("1 Main St", None, "Ghent", None, "9000", "BE"), "eur", True, "pm_1", None,
    {"plan": "gold", "billing_request": "tag", "billing_": "x"},
)  # fmt: skip
JENNY_MESSAGE = pb.Customer(
    id="cus_1",
    create_time=Timestamp(seconds=int(CREATED.timestamp()), nanos=89_000_000),
    email="jenny@example.com",
    name="Jenny",
    address=pb.Address(line1="1 Main St", city="Ghent", postal_code="9000", country="BE"),
    currency="eur",
    delinquent=True,
    default_payment_method="pm_1",
    metadata={"plan": "gold"},
)
LINK = ContactLink("acme", "acct_1", "cus_1", "c-1", CREATED + dt.timedelta(hours=1))
LINKED = LinkedCustomer(JENNY, LINK)
LINKED_MESSAGE = pb.Customer(
    contact="c-1",
    contact_link_time=Timestamp(seconds=int(CREATED.timestamp()) + 3_600, nanos=89_000_000),
)
LINKED_MESSAGE.MergeFrom(JENNY_MESSAGE)
CUSTOMERS = pb.DESCRIPTOR.services_by_name["CustomerService"].methods_by_name
ANALYTICS = analytics_pb.DESCRIPTOR.services_by_name["AnalyticsService"].methods_by_name
CONNECTIONS = connections_pb.DESCRIPTOR.services_by_name["ConnectionService"].methods_by_name


@pytest.fixture
def customers() -> Any:
    return create_autospec(Customers, instance=True)


async def test_get_customer(customers: Any) -> None:
    customers.get.return_value = LINKED
    reply, code, _ = await invoke(
        CustomerServicer(customers), CUSTOMERS["GetCustomer"], pb.GetCustomerRequest(id="cus_1")
    )
    customers.get.assert_awaited_once_with(CALLER, "cus_1")
    assert (reply, code) == (LINKED_MESSAGE, grpc.StatusCode.OK)


async def test_get_customer_that_is_not_there(customers: Any) -> None:
    customers.get.side_effect = NotFound("customer", "cus_1")
    _, code, message = await invoke(
        CustomerServicer(customers), CUSTOMERS["GetCustomer"], pb.GetCustomerRequest(id="cus_1")
    )
    assert (code, message) == (grpc.StatusCode.NOT_FOUND, "customer not found")


async def test_a_customer_without_anything_set(customers: Any) -> None:
    bare = Customer("cus_2", CREATED)
    customers.get.return_value = LinkedCustomer(bare)
    reply, _, _ = await invoke(
        CustomerServicer(customers), CUSTOMERS["GetCustomer"], pb.GetCustomerRequest(id="cus_2")
    )
    assert [field.name for field, _ in reply.ListFields()] == ["id", "create_time"]


async def test_list_customers(customers: Any) -> None:
    customers.list.return_value = Page([LINKED, LinkedCustomer(JENNY)], "next")
    request = pb.ListCustomersRequest(
        page_size=7, page_token="token", email="a@b.c",
        created_after=Timestamp(seconds=-1, nanos=999_999_999),
        created_before=Timestamp(seconds=3, nanos=1_999_999),
    )  # fmt: skip
    reply, _, _ = await invoke(CustomerServicer(customers), CUSTOMERS["ListCustomers"], request)
    query = ListCustomers(
        7, "token", "a@b.c", periods.from_milliseconds(-1), periods.from_milliseconds(3_001)
    )
    customers.list.assert_awaited_once_with(CALLER, query, [])
    assert list(reply.customers) == [LINKED_MESSAGE, JENNY_MESSAGE]
    assert reply.next_page_token == "next"


async def test_search_customers(customers: Any) -> None:
    customers.search.return_value = Page([LINKED], "next")
    request = pb.SearchCustomersRequest(query="Jen gh", page_size=7, page_token="token")
    reply, _, _ = await invoke(CustomerServicer(customers), CUSTOMERS["SearchCustomers"], request)
    customers.search.assert_awaited_once_with(CALLER, SearchCustomers("Jen gh", 7, "token"))
    assert (list(reply.customers), reply.next_page_token) == ([LINKED_MESSAGE], "next")


@pytest.mark.parametrize(
    "malformed",
    [
        Timestamp(seconds=2**62), Timestamp(seconds=-(2**62)), Timestamp(seconds=253_402_300_800),
        Timestamp(nanos=-1), Timestamp(nanos=1_000_000_000),
    ],
)  # fmt: skip
async def test_a_malformed_timestamp_is_a_violation(customers: Any, malformed: Timestamp) -> None:
    customers.list.return_value = Page([], "")
    request = pb.ListCustomersRequest(created_after=malformed)
    await invoke(CustomerServicer(customers), CUSTOMERS["ListCustomers"], request)
    _, query, found = customers.list.await_args.args
    assert query == ListCustomers()
    assert [violation.field for violation in found] == ["created_after"]


@pytest.mark.parametrize("seconds", [-62_135_596_800, 253_402_300_799])
async def test_the_outermost_timestamps_are_instants(customers: Any, seconds: int) -> None:
    customers.list.return_value = Page([], "")
    request = pb.ListCustomersRequest(created_after=Timestamp(seconds=seconds, nanos=999_999_999))
    await invoke(CustomerServicer(customers), CUSTOMERS["ListCustomers"], request)
    _, query, found = customers.list.await_args.args
    assert query.created_after is not None
    assert found == []


async def test_create_customer(customers: Any) -> None:
    customers.create.return_value = LinkedCustomer(JENNY)
    request = pb.CreateCustomerRequest(
        request_id="r-1",
        customer=pb.Customer(
            email="jenny@example.com", address=pb.Address(city="Ghent"), metadata={"plan": "gold"}
        ),
    )
    reply, _, _ = await invoke(CustomerServicer(customers), CUSTOMERS["CreateCustomer"], request)
    fields = CustomerFields(
        email="jenny@example.com", address=Address(city="Ghent"), metadata={"plan": "gold"}
    )
    customers.create.assert_awaited_once_with(CALLER, "r-1", fields, [])
    assert reply == JENNY_MESSAGE


async def test_create_customer_refuses_what_is_not_the_callers_to_set(customers: Any) -> None:
    customers.create.return_value = LinkedCustomer(JENNY)
    request = pb.CreateCustomerRequest(request_id="r-1", customer=LINKED_MESSAGE)
    await invoke(CustomerServicer(customers), CUSTOMERS["CreateCustomer"], request)
    found = customers.create.await_args.args[3]
    assert [violation.field for violation in found] == [
        "customer.id", "customer.create_time", "customer.currency", "customer.delinquent",
        "customer.default_payment_method", "customer.contact", "customer.contact_link_time",
    ]  # fmt: skip


async def test_create_customer_needs_one(customers: Any) -> None:
    customers.create.return_value = LinkedCustomer(JENNY)
    request = pb.CreateCustomerRequest(request_id="r-1")
    await invoke(CustomerServicer(customers), CUSTOMERS["CreateCustomer"], request)
    _, _, fields, found = customers.create.await_args.args
    assert fields == CustomerFields()
    assert [violation.field for violation in found] == ["customer"]


async def test_update_customer_passes_the_mask_as_written(customers: Any) -> None:
    customers.update.return_value = LINKED
    paths = ["email", "*", "address.line1", "nothing"]
    request = pb.UpdateCustomerRequest(
        request_id="r-1",
        customer=pb.Customer(id="cus_1", name="Jenny", address=pb.Address()),
        update_mask=FieldMask(paths=paths),
    )
    await invoke(CustomerServicer(customers), CUSTOMERS["UpdateCustomer"], request)
    command = UpdateCustomer("cus_1", CustomerFields(name="Jenny"), tuple(paths))
    customers.update.assert_awaited_once_with(CALLER, "r-1", command)


async def test_delete_customer(customers: Any) -> None:
    request = pb.DeleteCustomerRequest(id="cus_1", request_id="r-1")
    _, code, _ = await invoke(CustomerServicer(customers), CUSTOMERS["DeleteCustomer"], request)
    customers.delete.assert_awaited_once_with(CALLER, "r-1", "cus_1")
    assert code is grpc.StatusCode.OK


START, END = CREATED.replace(microsecond=0), CREATED.replace(microsecond=0, day=6)
PERIOD = periods.Period(START, END, "Europe/Brussels")
PERIOD_MESSAGE = Period(
    start_time=Timestamp(seconds=int(START.timestamp())),
    end_time=Timestamp(seconds=int(END.timestamp())),
    time_zone="Europe/Brussels",
)
BUCKETS = [Bucket(START, START.replace(day=5), False), Bucket(START.replace(day=5), END, True)]
SO_FAR = periods.Period(START, START.replace(day=5), "Europe/Brussels")
STANDING = Standing(END, START, 3, importing=False)
TRUST = Trust("Europe/Brussels", STANDING, END)
TRUST_MESSAGE = TrustMessage(
    time_zone="Europe/Brussels",
    data_through=PERIOD_MESSAGE.end_time,
    closed_through=PERIOD_MESSAGE.start_time,
    dead_letter_count=3,
    as_of=PERIOD_MESSAGE.end_time,
)
TIME = Compared(PERIOD, PERIOD, SO_FAR, BUCKETS, TRUST)


def answering(analytics: Any) -> AnalyticsServicer:
    return servicer(analytics)


def servicer(
    analytics: Any = None, restatements: Any = None, explaining: Any = None
) -> AnalyticsServicer:
    rates = create_autospec(ExchangeRates, instance=True)
    return AnalyticsServicer(analyses_of(analytics), rates, restatements, explaining)


async def test_gross_volume() -> None:
    analytics = create_autospec(RevenueAnalytics, instance=True)
    volumes = [
        CurrencyVolume("eur", Comparison(300, 240, 200), [100, 200], [1, 2]),
        CurrencyVolume("jpy", Comparison(5, 0), [5, 0], [1, 0]),
    ]
    analytics.gross_volume.return_value = GrossVolume(
        TIME, volumes, BaseVolume("usd", 30, 20, [10, 20], [], ["gbp"])
    )
    request = analytics_pb.GetGrossVolumeRequest(
        period=PERIOD_MESSAGE, granularity=GRANULARITY_HOUR, currency="eur", base_total=True
    )
    reply, _, _ = await invoke(answering(analytics), ANALYTICS["GetGrossVolume"], request)
    question = Question(START, END, "Europe/Brussels", periods.Granularity.HOUR, "eur", True)
    analytics.gross_volume.assert_awaited_once_with(CALLER, question, [])
    assert (reply.period, reply.previous_period) == (PERIOD_MESSAGE, PERIOD_MESSAGE)
    eur, jpy = reply.currencies
    assert (eur.current, eur.previous) == (
        Money(amount=300, currency="eur"), Money(amount=240, currency="eur"),
    )  # fmt: skip
    assert (eur.growth, jpy.HasField("growth")) == (0.25, False)
    assert reply.previous_so_far.end_time == Timestamp(seconds=int(SO_FAR.end.timestamp()))
    assert (eur.previous_so_far, eur.growth_so_far) == (Money(amount=200, currency="eur"), 0.5)
    assert not jpy.HasField("previous_so_far")
    assert not jpy.HasField("growth_so_far")
    assert [(b.amount.amount, b.charge_count, b.partial) for b in eur.buckets] == [
        (100, 1, False), (200, 2, True),
    ]  # fmt: skip
    assert eur.buckets[0].end_time == eur.buckets[1].start_time
    assert (reply.base.currency, reply.base.current.amount, reply.base.growth) == ("usd", 30, 0.5)
    assert [amount.amount for amount in reply.base.amounts] == [10, 20]
    assert [*reply.base.previous_missing_currencies] == ["gbp"]
    assert [*reply.trust.missing_rate_currencies] == ["gbp"]
    reply.trust.ClearField("missing_rate_currencies")
    assert reply.trust == TRUST_MESSAGE


async def test_charge_counts() -> None:
    analytics = create_autospec(RevenueAnalytics, instance=True)
    analytics.charge_counts.return_value = ChargeCounts(
        TIME, Comparison(3, 2, 4), Comparison(1, 0, 0), [1, 2], [1, 0]
    )
    request = analytics_pb.GetChargeCountsRequest(period=PERIOD_MESSAGE)
    reply, _, _ = await invoke(answering(analytics), ANALYTICS["GetChargeCounts"], request)
    question = Question(START, END, "Europe/Brussels", periods.Granularity.DAY)
    analytics.charge_counts.assert_awaited_once_with(CALLER, question, [])
    assert (reply.succeeded.current, reply.succeeded.growth) == (3, 0.5)
    assert not reply.failed.HasField("growth")
    assert (reply.succeeded.previous_so_far, reply.succeeded.growth_so_far) == (4, -0.25)
    assert (reply.failed.previous_so_far, reply.failed.HasField("growth_so_far")) == (0, False)
    assert reply.HasField("previous_so_far")
    assert reply.trust == TRUST_MESSAGE
    assert [(b.succeeded, b.failed, b.partial) for b in reply.buckets] == [
        (1, 1, False), (2, 0, True),
    ]  # fmt: skip


ENTRY = LedgerEntry(CREATED, LedgerMoney(5, "jpy"), LedgerMoney(-1, "jpy"), "charge", "")
ENTRY_MESSAGE = analytics_pb.LedgerEntry(
    create_time=JENNY_MESSAGE.create_time,
    amount=Money(amount=5, currency="jpy"),
    fee=Money(amount=-1, currency="jpy"),
    reporting_category="charge",
)


@pytest.mark.parametrize(
    ("cause", "before", "after", "told"),
    [
        (Cause.LATE, None, ENTRY, analytics_pb.RESTATEMENT_CAUSE_LATE),
        (Cause.CHANGED, ENTRY, ENTRY, analytics_pb.RESTATEMENT_CAUSE_CHANGED),
        (Cause.REMOVED, ENTRY, None, analytics_pb.RESTATEMENT_CAUSE_REMOVED),
    ],
)
async def test_restatements(cause: Cause, before: Any, after: Any, told: int) -> None:
    restatements = create_autospec(Restatements, instance=True)
    found = Restatement("txn_1", cause, END, START, before, after)
    restatements.list.return_value = (Page([found], "next"), TRUST)
    request = analytics_pb.ListRestatementsRequest(page_size=7, page_token="this")
    asked = servicer(restatements=restatements)
    reply, _, _ = await invoke(asked, ANALYTICS["ListRestatements"], request)
    restatements.list.assert_awaited_once_with(CALLER, ListRestatements(7, "this"))
    (message,) = reply.restatements
    assert message == analytics_pb.Restatement(
        balance_transaction="txn_1",
        cause=message.cause,
        known_time=PERIOD_MESSAGE.end_time,
        first_known_time=PERIOD_MESSAGE.start_time,
        before=ENTRY_MESSAGE if before else None,
        after=ENTRY_MESSAGE if after else None,
    )
    assert (message.cause, reply.next_page_token, reply.trust) == (told, "next", TRUST_MESSAGE)


async def test_a_figure_is_explained() -> None:
    explaining = create_autospec(Explaining, instance=True)
    explaining.explain.return_value = Explanation(
        LedgerMoney(5, "jpy"), LedgerMoney(-1, "jpy"), 9,
        [FigureEntry("txn_1", ENTRY, "ch_1")], "next", END, TRUST,
    )  # fmt: skip
    request = analytics_pb.ExplainFigureRequest(
        start_time=PERIOD_MESSAGE.start_time, end_time=Timestamp(nanos=-1), currency="jpy",
        reporting_categories=["charge"], page_size=7, page_token="this",
    )  # fmt: skip
    asked = servicer(explaining=explaining)
    reply, _, _ = await invoke(asked, ANALYTICS["ExplainFigure"], request)
    caller, query, violations = explaining.explain.await_args.args
    assert (caller, [v.field for v in violations]) == (CALLER, ["end_time"])
    assert query == ExplainFigure(START, None, "jpy", ("charge",), None, 7, "this")
    assert reply == analytics_pb.ExplainFigureResponse(
        amount=ENTRY_MESSAGE.amount,
        fee=ENTRY_MESSAGE.fee,
        row_count=9,
        rows=[
            analytics_pb.FigureRow(balance_transaction="txn_1", entry=ENTRY_MESSAGE, source="ch_1")
        ],
        next_page_token="next",
        known_time=PERIOD_MESSAGE.end_time,
        trust=TRUST_MESSAGE,
    )


async def test_a_question_collects_what_is_malformed() -> None:
    analytics = create_autospec(RevenueAnalytics, instance=True)
    analytics.gross_volume.return_value = GrossVolume(TIME, [])
    request = analytics_pb.GetGrossVolumeRequest(
        period=Period(start_time=Timestamp(nanos=-1), end_time=Timestamp(seconds=2**62)),
        granularity=99,  # type: ignore[arg-type]  # a later contract's, on the wire
    )
    await invoke(answering(analytics), ANALYTICS["GetGrossVolume"], request)
    found = analytics.gross_volume.await_args.args[2]
    assert [v.field for v in found] == ["period.start_time", "period.end_time", "granularity"]


def connection_servicer(connections: Connections) -> ConnectionServicer:
    return ConnectionServicer(
        connections,
        create_autospec(Connecting, instance=True),
        create_autospec(Disconnecting, instance=True),
        create_autospec(ConnectionLists, instance=True),
    )


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ConnectionState.ACTIVE, connections_pb.Connection.STATE_ACTIVE),
        (ConnectionState.REVOKED, connections_pb.Connection.STATE_REVOKED),
    ],
)
async def test_a_connection(state: ConnectionState, expected: int) -> None:
    connections = create_autospec(Connections, instance=True)
    connection = Connection("acme", "acct_1", Mode.LIVE, ConnectionKind.OAUTH, CREATED, state)
    stripe = StripeAccount(
        "acct_1", CREATED, True, False, True, "eur", "BE", {"card_payments": "active"}
    )
    connections.status.return_value = ConnectionStatus("acme", Mode.LIVE, connection, stripe)
    reply, _, _ = await invoke(
        connection_servicer(connections), CONNECTIONS["GetConnection"],
        connections_pb.GetConnectionRequest(),
    )  # fmt: skip
    assert (reply.account, reply.stripe_account, reply.state) == ("acme", "acct_1", expected)
    assert reply.mode == connections_pb.Connection.MODE_LIVE
    assert reply.kind == connections_pb.Connection.KIND_OAUTH
    assert reply.connect_time == JENNY_MESSAGE.create_time
    assert (reply.stripe.charges_enabled, reply.stripe.payouts_enabled) == (True, False)
    assert dict(reply.stripe.capabilities) == {"card_payments": "active"}


async def test_no_connection_is_no_error() -> None:
    connections = create_autospec(Connections, instance=True)
    connections.status.return_value = ConnectionStatus("acme", Mode.TEST, None, None)
    reply, code, _ = await invoke(
        connection_servicer(connections), CONNECTIONS["GetConnection"],
        connections_pb.GetConnectionRequest(),
    )  # fmt: skip
    assert code is grpc.StatusCode.OK
    assert reply == connections_pb.Connection(
        account="acme", state=connections_pb.Connection.STATE_NOT_CONNECTED,
        mode=connections_pb.Connection.MODE_TEST,
    )  # fmt: skip
