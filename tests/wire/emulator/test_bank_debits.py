"""Bank debits: pending for days, paid, refused before and after that."""

from typing import Any

import pytest
import stripe

from sandbox.emulator.balance_transactions import fee
from sandbox.emulator.control_client import ControlClient, ControlError

DAY = 86_400
AMERICAN = {"account_number": "000123456789", "routing_number": "110000000"}
GERMAN = "DE89370400440532013000"


async def debited(
    client: stripe.StripeClient, number: str = AMERICAN["account_number"], **given: Any
) -> stripe.PaymentIntent:
    add: Any = client.v1.payment_methods.create_async
    bank = {**AMERICAN, "account_number": number}
    method = await add({"type": "us_bank_account", "us_bank_account": bank})
    create: Any = client.v1.payment_intents.create_async
    paying = {"confirm": True, "off_session": True, "payment_method": method.id}
    intent = await create({"amount": 2000, "currency": "usd", **paying, **given})
    assert isinstance(intent, stripe.PaymentIntent)
    return intent


async def types(client: stripe.StripeClient) -> list[str]:
    page = await client.v1.events.list_async({"limit": 100})
    found: list[str] = [event.type for event in page.data]
    return found[::-1]


async def test_a_debit_is_paid_after_days(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    intent = await debited(client)
    assert intent.status == "processing"
    charge = str(intent.latest_charge)
    assert charge.startswith("py_")
    pending = await client.v1.charges.retrieve_async(charge, {"expand": ["balance_transaction"]})
    assert (pending.status, pending.paid) == ("pending", False)
    transaction = pending.balance_transaction
    assert isinstance(transaction, stripe.BalanceTransaction)
    assert (transaction.type, transaction.reporting_category) == ("payment", "charge")
    await control.advance_clock(4 * DAY + 1)
    paid = await client.v1.payment_intents.retrieve_async(intent.id)
    assert (paid.status, paid.amount_received) == ("succeeded", 2000)
    assert await types(client) == [
        "payment_intent.created", "charge.pending", "payment_intent.processing",
        "charge.succeeded", "payment_intent.succeeded",
    ]  # fmt: skip
    balance = await client.v1.balance.retrieve_async()
    assert balance.available[0].amount == 2000 - fee(2000)
    refund = await client.v1.refunds.create_async({"charge": charge, "amount": 500})
    assert refund.id.startswith("pyr_")
    returned = (await client.v1.balance_transactions.list_async({"source": refund.id})).data[0]
    assert (returned.type, returned.reporting_category) == ("payment_refund", "refund")


@pytest.mark.parametrize("after_success", [False, True])
async def test_a_debit_that_fails_is_taken_back(
    client: stripe.StripeClient, control: ControlClient, after_success: bool
) -> None:
    intent = await debited(client)
    charge = str(intent.latest_charge)
    if after_success:
        await control.pay_debit(intent.id)
    await control.fail_debit(charge, "account_closed")
    failed = await client.v1.charges.retrieve_async(
        charge, {"expand": ["failure_balance_transaction.source"]}
    )
    assert (failed.status, failed.failure_code, failed.paid) == ("failed", "account_closed", False)
    back = failed.failure_balance_transaction
    assert isinstance(back, stripe.BalanceTransaction)
    assert (back.type, back.reporting_category) == ("payment_failure_refund", "charge_failure")
    assert isinstance(back.source, stripe.Refund)
    assert (back.source.charge, back.source.amount) == (charge, 2000)
    assert back.net == -(2000 - fee(2000))
    gone = await client.v1.payment_intents.retrieve_async(intent.id)
    assert (gone.status, gone.amount_received) == ("requires_payment_method", 0)
    told = await types(client)
    assert told[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    assert not [kind for kind in told if kind.startswith(("refund.", "charge.refund"))]
    await control.advance_clock(5 * DAY)
    assert (await client.v1.balance.retrieve_async()).available[0].amount == 0
    with pytest.raises(ControlError):
        await control.fail_debit(charge)


async def test_a_test_account_fails_by_itself(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    intent = await debited(client, "000222222227")
    await control.advance_clock(4 * DAY + 1)
    failed = await client.v1.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "insufficient_funds"


async def test_what_a_debit_cannot_be(client: stripe.StripeClient) -> None:
    for given, param in (
        ({"capture_method": "manual"}, "capture_method"),
        ({"currency": "eur"}, "currency"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await debited(client, **given)
        assert refused.value.param == param


async def test_sepa_takes_euros(client: stripe.StripeClient, control: ControlClient) -> None:
    method = await client.v1.payment_methods.create_async(
        {"type": "sepa_debit", "sepa_debit": {"iban": GERMAN}}
    )
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 2000, "currency": "eur", "payment_method": method.id, "confirm": True,
            "off_session": True,
        }
    )  # fmt: skip
    await control.pay_debit(intent.id)
    dispute = await control.open_dispute(str(intent.latest_charge))
    seen = await client.v1.disputes.retrieve_async(dispute)
    assert seen.payment_method_details is None
    assert seen.balance_transactions[0].amount == -2174
