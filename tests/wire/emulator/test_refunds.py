"""Refunds: whole, in part, by charge or intent, failing."""

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient


async def paid(client: stripe.StripeClient, card: str = "pm_card_visa") -> stripe.PaymentIntent:
    return await client.v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "usd",
            "payment_method": card,
            "confirm": True,
            "off_session": True,
        }
    )


async def test_parts_until_nothing_is_left(client: stripe.StripeClient) -> None:
    intent = await paid(client)
    assert isinstance(intent.latest_charge, str)
    first = await client.v1.refunds.create_async(
        {
            "payment_intent": intent.id,
            "amount": 500,
            "reason": "requested_by_customer",
            "expand": ["balance_transaction", "charge"],
        }
    )
    assert isinstance(first.balance_transaction, stripe.BalanceTransaction)
    transaction = first.balance_transaction
    assert (transaction.amount, transaction.fee, transaction.net) == (-500, 0, -500)
    assert isinstance(first.charge, stripe.Charge)
    assert (first.charge.amount_refunded, first.charge.refunded) == (500, False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"charge": intent.latest_charge, "amount": 1501})
    assert refused.value.param == "amount"
    rest = await client.v1.refunds.create_async({"charge": intent.latest_charge})
    assert rest.amount == 1500
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"charge": intent.latest_charge})
    assert refused.value.code == "charge_already_refunded"
    charge = await client.v1.charges.retrieve_async(intent.latest_charge, {"expand": ["refunds"]})
    assert charge.refunds is not None
    assert [one.id for one in charge.refunds.data] == [rest.id, first.id]
    listed = await client.v1.refunds.list_async({"payment_intent": intent.id})
    assert [one.id for one in listed.data] == [rest.id, first.id]
    event = (await client.v1.events.list_async({"type": "charge.refunded"})).data[0]
    assert event.data["previous_attributes"].to_dict() == {
        "amount_refunded": 500,
        "refunded": False,
    }


async def test_an_update_is_told_under_both_names(client: stripe.StripeClient) -> None:
    intent = await paid(client)
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    await client.v1.refunds.update_async(refund.id, {"metadata": {"a": "b"}})
    events = await client.v1.events.list_async(
        {"types": ["refund.updated", "charge.refund.updated"]}
    )
    assert len(events.data) == 2


async def test_a_refund_that_fails_gives_the_money_back(client: stripe.StripeClient) -> None:
    intent = await paid(client, "pm_card_refundFail")
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    later = await client.v1.refunds.retrieve_async(
        refund.id, {"expand": ["charge", "failure_balance_transaction"]}
    )
    assert later.status == "failed"
    assert isinstance(later.charge, stripe.Charge)
    assert (later.charge.amount_refunded, later.charge.refunded) == (0, False)
    assert isinstance(later.failure_balance_transaction, stripe.BalanceTransaction)
    assert later.failure_balance_transaction.amount == 2000
    assert len((await client.v1.events.list_async({"type": "refund.failed"})).data) == 1


@pytest.mark.parametrize(
    ("as_adjustment", "kind"), [(False, "refund_failure"), (True, "adjustment")]
)
async def test_a_failure_comes_as_one_of_two_types(
    client: stripe.StripeClient, control: ControlClient, as_adjustment: bool, kind: str
) -> None:
    intent = await paid(client)
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    await control.fail_refund(refund.id, as_adjustment=as_adjustment)
    back, sent = (await client.v1.balance_transactions.list_async({"source": refund.id})).data
    assert (back.type, back.reporting_category, back.net) == (kind, "refund_failure", -sent.net)
    assert (sent.type, sent.description) == ("refund", "REFUND FOR CHARGE")


async def test_neither_charge_nor_intent(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"amount": 1})
    assert (refused.value.code, refused.value.param) == (None, None)


@pytest.mark.parametrize(
    ("card", "refundable"),
    [("pm_card_createDispute", False), ("pm_card_createDisputeInquiry", True)],
)
async def test_what_was_charged_back_cannot_be_refunded_too(
    client: stripe.StripeClient, card: str, refundable: bool
) -> None:
    intent = await paid(client, card)
    if refundable:
        refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
        assert refund.status == "succeeded"
        return
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1})
    assert refused.value.code == "charge_disputed"
