"""Refunds at Stripe, through the real SDK."""

import datetime as dt
from dataclasses import replace

import pytest
import stripe

from application.charges.ports import RefundOrder
from application.mirror.nouns import CHARGES
from application.mirror.stripe import Priority
from application.mutations.stripe import Unanswered
from domain.charges import Charge
from domain.errors import FailedPrecondition, InvalidArgument, NotFound, Reason, WrongState
from domain.mirror import Snapshot
from domain.money import Money
from domain.refunds import Refund
from infrastructure.stripe.charges.gateway import StripeRefundGateway
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.readers.objects import StripeObjectReader
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeApi, MakeCall, Served

CREATE = "POST /v1/refunds"


@pytest.fixture
def refunds(api: StripeApi) -> StripeRefundGateway:
    return StripeRefundGateway(api)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def shown(snapshot: Snapshot[Refund] | None) -> Refund:
    assert snapshot is not None
    assert snapshot.object is not None
    return snapshot.object


async def paid(
    emulator: RunningEmulator, account: str, card: str = "pm_card_visa", *, capture: bool = True
) -> str:
    """The charge of a payment of 20.00 USD; that of a declined one, too."""
    async with emulator.sdk() as sdk:
        options: stripe.RequestOptions = {"stripe_account": account}
        intent = await sdk.v1.payment_intents.create_async(
            {
                "amount": 2_000,
                "currency": "usd",
                "payment_method": card,
                "capture_method": "automatic" if capture else "manual",
            },
            options,
        )
        try:
            await sdk.v1.payment_intents.confirm_async(intent.id, {"off_session": True}, options)
        except stripe.CardError:
            assert "Declined" in card
        (charge,) = (await sdk.v1.charges.list_async({}, options)).data
        return charge.id


async def charge_of(api: StripeApi, account: str, charge: str) -> Charge:
    """The charge as it is now."""
    read = await StripeObjectReader(api).read(
        CHARGES, account, charge, not_before_ms=None, priority=Priority.CALLER
    )
    assert read.object is not None
    return read.object


async def test_a_part_then_the_rest_is_given_back(
    api: StripeApi,
    refunds: StripeRefundGateway,
    call: MakeCall,
    emulator: RunningEmulator,
    account: str,
) -> None:
    charge = await paid(emulator, account)
    order = RefundOrder(charge, 500, "usd", "duplicate", {"ticket": "7"})
    part = await refunds.refund(call(), order)
    found = shown(part)
    assert (part.stripe_account, part.unknown) == (account, frozenset())
    assert (found.charge, found.amount, found.reason) == (charge, Money(500, "usd"), "duplicate")
    assert found.metadata == {"ticket": "7", "billing_request": "tag-one"}
    left = await charge_of(api, account, charge)
    assert (left.amount_refunded, left.refunded) == (Money(500, "usd"), False)
    rest = shown(await refunds.refund(call("two"), RefundOrder(charge)))
    assert (rest.amount, rest.reason) == (Money(1_500, "usd"), None)
    assert rest.metadata == {"billing_request": "tag-two"}
    gone = await charge_of(api, account, charge)
    assert gone == replace(left, amount_refunded=Money(2_000, "usd"), refunded=True)


async def test_more_than_is_left_names_the_amount(
    refunds: StripeRefundGateway, call: MakeCall, emulator: RunningEmulator, account: str
) -> None:
    charge = await paid(emulator, account)
    with pytest.raises(InvalidArgument) as refused:
        await refunds.refund(call(), RefundOrder(charge, 2_001, "usd"))
    assert [violation.field for violation in refused.value.violations] == ["amount"]


async def test_a_refunded_charge_is_in_the_wrong_state(
    refunds: StripeRefundGateway, call: MakeCall, emulator: RunningEmulator, account: str
) -> None:
    charge = await paid(emulator, account)
    await refunds.refund(call(), RefundOrder(charge))
    with pytest.raises(WrongState) as refused:
        await refunds.refund(call("two"), RefundOrder(charge, 1, "usd"))
    assert refused.value.metadata == {"resource": "charge", "id": charge, "state": "refunded"}


@pytest.mark.parametrize(
    ("card", "capture", "state"),
    [
        ("pm_card_createDispute", True, "disputed"),
        ("pm_card_chargeDeclined", True, "failed"),
        ("pm_card_visa", False, "uncaptured"),
    ],
)
async def test_a_charge_that_has_no_money_to_give_back_is_in_the_wrong_state(
    refunds: StripeRefundGateway,
    call: MakeCall,
    emulator: RunningEmulator,
    account: str,
    card: str,
    capture: bool,
    state: str,
) -> None:
    charge = await paid(emulator, account, card, capture=capture)
    with pytest.raises(WrongState) as refused:
        await refunds.refund(call(), RefundOrder(charge))
    assert refused.value.state == state


async def test_a_refusal_that_no_state_explains_stays_what_it_is(
    refunds: StripeRefundGateway, call: MakeCall, emulator: RunningEmulator, account: str
) -> None:
    charge = await paid(emulator, account)
    spec = FaultSpec(kind="fail", status=400, route="/v1/refunds", method="POST")
    await emulator.control.add_fault(spec)
    with pytest.raises(FailedPrecondition) as refused:
        await refunds.refund(call(), RefundOrder(charge))
    assert refused.value.reason is Reason.STRIPE_REFUSED


async def test_an_unknown_charge_and_another_accounts_are_not_found(
    refunds: StripeRefundGateway, call: MakeCall, emulator: RunningEmulator
) -> None:
    other = await emulator.control.create_account()
    theirs = await paid(emulator, other)
    for charge in ("ch_never", theirs):
        with pytest.raises(NotFound) as missing:
            await refunds.refund(call(charge), RefundOrder(charge))
        assert missing.value.metadata["id"] == charge


async def test_the_same_key_gives_back_once(
    api: StripeApi,
    refunds: StripeRefundGateway,
    call: MakeCall,
    emulator: RunningEmulator,
    account: str,
    served: Served,
) -> None:
    order = RefundOrder(await paid(emulator, account), 500, "usd")
    first, again = [await refunds.refund(call(), order) for _ in range(2)]
    assert (again.id, again.object) == (first.id, first.object)
    assert await served(CREATE) == 2
    left = await charge_of(api, account, order.charge)
    assert left.amount_refunded == Money(500, "usd")


async def test_a_refund_whose_answer_was_lost_is_found_by_its_tag(
    call: MakeCall, make_api: MakeApi, emulator: RunningEmulator, account: str
) -> None:
    refunds = StripeRefundGateway(make_api(tries=1))
    order = RefundOrder(await paid(emulator, account), 500, "usd")
    sent_at = now()
    await refunds.refund(call("before"), replace(order, amount=100))
    assert await refunds.find_refund(call(), order, sent_at) is None
    lost = FaultSpec(kind="drop_after", route="/v1/refunds", method="POST")
    await emulator.control.add_fault(lost)
    with pytest.raises(Unanswered):
        await refunds.refund(call(), order)
    found = shown(await refunds.find_refund(call(), order, sent_at))
    assert (found.amount, found.metadata["billing_request"]) == (Money(500, "usd"), "tag-one")
    elsewhere = replace(order, charge="ch_never")
    assert await refunds.find_refund(call("other"), order, sent_at) is None
    with pytest.raises((NotFound, InvalidArgument)):
        await refunds.find_refund(call(), elsewhere, sent_at)
