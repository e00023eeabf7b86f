"""ChargeService: message, command, reply."""

import datetime as dt
from typing import Any
from unittest.mock import create_autospec

import pytest
from billing_client.v1 import charge_service_pb2 as pb
from billing_client.v1.money_pb2 import Money as MoneyMessage
from google.protobuf.timestamp_pb2 import Timestamp

from application.charges.commands import ListCharges, ListRefunds
from application.charges.ports import RefundOrder
from application.charges.use_cases import Charges
from application.requests.paging import Page
from domain.charges import Charge
from domain.money import Money
from domain.periods import from_milliseconds
from domain.refunds import Refund
from interfaces.grpc.charges.servicer import ChargeServicer
from tests.unit.grpc.bridge import CALLER, invoke

METHODS = pb.DESCRIPTOR.services_by_name["ChargeService"].methods_by_name
CREATED = dt.datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=dt.UTC)
AT = Timestamp(seconds=int(CREATED.timestamp()), nanos=89_000_000)
METADATA = {"order": "7", "billing_request": "tag"}

CHARGE = Charge(
    "ch_1", CREATED, Money(2_000, "usd"), Money(1_900, "usd"), Money(500, "usd"), "succeeded",
    captured=True, refunded=False, disputed=True, customer="cus_1", payment_intent="pi_1",
    payment_method="pm_1", payment_method_type="card", description="Two", failure_code="lost",
    metadata=METADATA,
)  # fmt: skip
CHARGE_MESSAGE = pb.Charge(
    id="ch_1",
    create_time=AT,
    amount=MoneyMessage(amount=2_000, currency="usd"),
    amount_captured=MoneyMessage(amount=1_900, currency="usd"),
    amount_refunded=MoneyMessage(amount=500, currency="usd"),
    status="succeeded",
    captured=True,
    disputed=True,
    customer="cus_1",
    payment_intent="pi_1",
    payment_method="pm_1",
    payment_method_type="card",
    description="Two",
    failure_code="lost",
    metadata={"order": "7"},
)
REFUND = Refund(
    "re_1", CREATED, Money(500, "usd"), "failed", "ch_1", "pi_1", "duplicate", "declined",
    metadata=METADATA,
)  # fmt: skip
REFUND_MESSAGE = pb.Refund(
    id="re_1",
    create_time=AT,
    amount=MoneyMessage(amount=500, currency="usd"),
    status="failed",
    charge="ch_1",
    payment_intent="pi_1",
    reason="duplicate",
    failure_reason="declined",
    metadata={"order": "7"},
)


@pytest.fixture
def charges() -> Any:
    return create_autospec(Charges, instance=True)


async def test_get_charge(charges: Any) -> None:
    charges.get.return_value = CHARGE
    request = pb.GetChargeRequest(id="ch_1")
    reply, _, _ = await invoke(ChargeServicer(charges), METHODS["GetCharge"], request)
    charges.get.assert_awaited_once_with(CALLER, "ch_1")
    assert reply == CHARGE_MESSAGE


async def test_list_charges(charges: Any) -> None:
    charges.list.return_value = Page([CHARGE], "next")
    request = pb.ListChargesRequest(
        page_size=7, page_token="token", customer="cus_1", payment_intent="pi_1", status="failed",
        created_after=Timestamp(seconds=1), created_before=Timestamp(seconds=2),
    )  # fmt: skip
    reply, _, _ = await invoke(ChargeServicer(charges), METHODS["ListCharges"], request)
    query = ListCharges(
        7, "token", "cus_1", "pi_1", "failed", from_milliseconds(1_000), from_milliseconds(2_000)
    )
    charges.list.assert_awaited_once_with(CALLER, query, [])
    assert (list(reply.charges), reply.next_page_token) == ([CHARGE_MESSAGE], "next")


async def test_list_refunds(charges: Any) -> None:
    charges.refunds.return_value = Page([REFUND], "next")
    request = pb.ListRefundsRequest(
        page_size=7, page_token="token", charge="ch_1",
        created_after=Timestamp(seconds=1), created_before=Timestamp(nanos=-1),
    )  # fmt: skip
    reply, _, _ = await invoke(ChargeServicer(charges), METHODS["ListRefunds"], request)
    _, query, found = charges.refunds.await_args.args
    assert query == ListRefunds(7, "token", "ch_1", from_milliseconds(1_000))
    assert [violation.field for violation in found] == ["created_before"]
    assert (list(reply.refunds), reply.next_page_token) == ([REFUND_MESSAGE], "next")


@pytest.mark.parametrize(
    ("request_", "order"),
    [
        (pb.RefundChargeRequest(id="ch_1"), RefundOrder("ch_1")),
        (pb.RefundChargeRequest(id="ch_1", amount=MoneyMessage()), RefundOrder("ch_1", 0, "")),
        (
            pb.RefundChargeRequest(
                id="ch_1",
                amount=MoneyMessage(amount=5, currency="usd"),
                reason=pb.REFUND_REASON_FRAUDULENT,
                metadata={"a": "b"},
            ),
            RefundOrder("ch_1", 5, "usd", "fraudulent", {"a": "b"}),
        ),
    ],
    ids=["all that is left", "nothing is an amount, too", "a part"],
)
async def test_refund_charge(
    charges: Any, request_: pb.RefundChargeRequest, order: RefundOrder
) -> None:
    charges.refund.return_value = REFUND
    request_.request_id = "r-1"
    reply, _, _ = await invoke(ChargeServicer(charges), METHODS["RefundCharge"], request_)
    charges.refund.assert_awaited_once_with(CALLER, "r-1", order, [])
    assert reply == REFUND_MESSAGE


async def test_a_reason_of_a_later_contract_is_refused(charges: Any) -> None:
    charges.refund.return_value = REFUND
    request = pb.RefundChargeRequest(id="ch_1", reason=99)  # type: ignore[arg-type]  # on the wire
    await invoke(ChargeServicer(charges), METHODS["RefundCharge"], request)
    assert [violation.field for violation in charges.refund.await_args.args[3]] == ["reason"]
