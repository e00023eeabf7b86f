"""What a message says wrong is refused together with what the use case finds wrong."""

from typing import Any, cast

import pytest
from billing_client.v1 import analytics_service_pb2 as analytics_pb
from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1.period_pb2 import Period
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from application.analytics.asking import Asking
from application.analytics.use_cases import RevenueAnalytics
from application.customers.use_cases import Customers
from domain.errors import InvalidArgument
from interfaces.grpc.analytics.servicer import AnalyticsServicer
from interfaces.grpc.core.calls import act_as
from interfaces.grpc.customers.servicer import CustomerServicer
from tests.support.servers.grpc import analyses_of
from tests.unit.grpc.bridge import CALLER

NOBODY: Any = None
"""No port is asked before the input is found right."""


class Methods:
    """The mutations of Customers, never run here."""

    def method(self, *_: Any) -> None:
        return None


def servicer() -> CustomerServicer:
    return CustomerServicer(Customers(NOBODY, NOBODY, cast("Any", Methods()), NOBODY, NOBODY))


async def violations(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as raised:
        await call
    return [violation.field for violation in raised.value.violations]


@pytest.fixture(autouse=True)
def caller() -> None:
    act_as(CALLER)


async def test_of_a_list() -> None:
    request = pb.ListCustomersRequest(page_size=-1, created_before=Timestamp(nanos=-1))
    found = await violations(servicer().ListCustomers(request, NOBODY))
    assert sorted(found) == ["created_before", "page_size"]


async def test_of_a_new_customer() -> None:
    request = pb.CreateCustomerRequest(customer=pb.Customer(id="cus_1", email="nobody"))
    found = await violations(servicer().CreateCustomer(request, NOBODY))
    assert sorted(found) == ["customer.email", "customer.id", "request_id"]


@pytest.mark.parametrize("path", ["*", "address.line1", "id", "currency", "nothing", ""])
async def test_of_an_update_mask(path: str) -> None:
    request = pb.UpdateCustomerRequest(
        customer=pb.Customer(id="cus_1", email="nobody"), update_mask=FieldMask(paths=[path])
    )
    found = await violations(servicer().UpdateCustomer(request, NOBODY))
    assert sorted(found) == ["customer.email", "request_id", "update_mask"]


async def test_of_a_question() -> None:
    analytics = AnalyticsServicer(
        analyses_of(RevenueAnalytics(Asking(*(NOBODY,) * 6))),
        NOBODY,
        NOBODY,
        NOBODY,
    )
    request = analytics_pb.GetGrossVolumeRequest(
        period=Period(start_time=Timestamp(seconds=2**62), time_zone="Mars/Olympus"),
        currency="EUR",
        granularity=99,  # type: ignore[arg-type]  # a later contract's, on the wire
    )
    found = await violations(analytics.GetGrossVolume(request, NOBODY))
    assert sorted(found) == [
        "currency", "granularity", "period.end_time", "period.start_time", "period.time_zone",
    ]  # fmt: skip
