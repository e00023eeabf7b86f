"""Disputes: by test card and by happening, their money, their end."""

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient, ControlError


async def paid(client: stripe.StripeClient, card: str = "pm_card_visa") -> str:
    """The charge of a payment."""
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "usd",
            "payment_method": card,
            "confirm": True,
            "off_session": True,
        }
    )
    return str(intent.latest_charge)


async def types(client: stripe.StripeClient) -> list[str]:
    found: list[str] = [
        event.type for event in (await client.v1.events.list_async({"limit": 100})).data
    ]
    return found[::-1]


async def test_a_test_card_disputes_its_payment(client: stripe.StripeClient) -> None:
    charge = await paid(client, "pm_card_createDispute")
    dispute = (await client.v1.disputes.list_async({"charge": charge})).data[0]
    assert (dispute.status, dispute.amount, dispute.reason) == (
        "needs_response", 2000, "fraudulent",
    )  # fmt: skip
    assert not dispute.is_charge_refundable
    transaction = dispute.balance_transactions[0]
    assert transaction.status == "available"
    assert transaction.description == f"Chargeback withdrawal for {charge}"
    held = client.v1.balance_transactions
    assert (await held.list_async({"source": dispute.id})).data == []
    assert (transaction.amount, transaction.fee, transaction.net) == (-2000, 1500, -3500)
    assert (transaction.type, transaction.reporting_category) == ("adjustment", "dispute")
    assert (await client.v1.charges.retrieve_async(charge)).disputed
    told = await types(client)
    assert told.index("payment_intent.succeeded") < told.index("charge.dispute.created")
    assert told[-1] == "charge.dispute.funds_withdrawn"


@pytest.mark.parametrize(
    ("evidence", "status", "last"),
    [
        ("winning_evidence", "won", "charge.dispute.funds_reinstated"),
        ("losing_evidence", "lost", "charge.dispute.updated"),
    ],
)
async def test_evidence_settles_it(
    client: stripe.StripeClient, evidence: str, status: str, last: str
) -> None:
    await paid(client, "pm_card_createDisputeProductNotReceived")
    dispute = (await client.v1.disputes.list_async()).data[0]
    assert dispute.reason == "product_not_received"
    reviewed = await client.v1.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": evidence}}
    )
    assert reviewed.status == "under_review"
    assert reviewed.evidence_details.submission_count == 1
    closed = await client.v1.disputes.retrieve_async(dispute.id, {"expand": ["charge"]})
    assert closed.status == status
    assert isinstance(closed.charge, stripe.Charge)
    nets = [one.net for one in closed.balance_transactions]
    assert nets == ([-3500, 2000] if status == "won" else [-3500])
    assert (await types(client))[-2:] == [last, "charge.dispute.closed"]


async def test_an_inquiry_takes_no_money_until_it_escalates(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await paid(client, "pm_card_createDisputeInquiry")
    dispute = (await client.v1.disputes.list_async()).data[0]
    assert (dispute.status, dispute.balance_transactions) == ("warning_needs_response", [])
    assert dispute.is_charge_refundable
    await control.happen("disputes", dispute.id, "escalate")
    escalated = await client.v1.disputes.retrieve_async(dispute.id)
    assert escalated.status == "needs_response"
    assert len(escalated.balance_transactions) == 1
    lost = await client.v1.disputes.close_async(dispute.id)
    assert lost.status == "lost"
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.disputes.close_async(dispute.id)


async def test_happenings_open_and_close(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    charge = await paid(client)
    made = await control.happen("charges", charge, "dispute", {"amount": "500"})
    await control.close_dispute(str(made["id"]), "won", returns_fee=True)
    won = await client.v1.disputes.retrieve_async(str(made["id"]))
    assert won.status == "won"
    assert [(one.amount, one.fee, one.net) for one in won.balance_transactions] == [
        (-500, 1500, -2000), (500, -1500, 2000),
    ]  # fmt: skip
    with pytest.raises(ControlError):
        await control.happen("charges", charge, "dispute")
    other = await paid(client)
    prevented = await control.happen("charges", other, "dispute", {"status": "prevented"})
    assert prevented["balance_transactions"] == []
    assert (await types(client))[-2:] == ["charge.dispute.created", "charge.dispute.closed"]
    rows = {row.object: row for row in await control.snapshot()}
    assert rows["dispute"].statuses == {"won": 1, "prevented": 1}
    assert rows["dispute"].sums["amount"] == {"usd": 2500}
