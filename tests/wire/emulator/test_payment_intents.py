"""Payment intents: every way from creation to an end, with the events of each."""

from typing import Any

import pytest
import stripe

from sandbox.emulator.balance_transactions import fee
from sandbox.emulator.control_client import ControlClient, ControlError

PAY: Any = {
    "amount": 2000,
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": True,
    "off_session": True,
}


async def event_types(client: stripe.StripeClient) -> list[str]:
    """Types of all events, oldest first."""
    events = await client.v1.events.list_async({"limit": 100})
    return [event.type for event in reversed(events.data)]


async def test_a_confirmed_payment_succeeds_and_settles_afterwards(
    client: stripe.StripeClient,
) -> None:
    intent = await client.v1.payment_intents.create_async(
        PAY | {"metadata": {"order": "1"}, "expand": ["latest_charge.balance_transaction"]}
    )
    assert (intent.status, intent.amount_received) == ("succeeded", 2000)
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.paid, charge.captured, charge.payment_intent) == (True, True, intent.id)
    assert charge.metadata.to_dict() == {"order": "1"}
    transaction = charge.balance_transaction
    assert isinstance(transaction, stripe.BalanceTransaction)
    assert (transaction.fee, transaction.net) == (88, 1912)
    assert await event_types(client) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]
    events = {event.type: event for event in (await client.v1.events.list_async()).data}
    assert events["charge.succeeded"].data["object"]["balance_transaction"] is None
    assert events["charge.updated"].data["object"]["balance_transaction"] == transaction.id
    assert events["charge.updated"].data["previous_attributes"].to_dict() == {
        "balance_transaction": None
    }


async def test_synchronous_capture_has_its_transaction_at_once(
    client: stripe.StripeClient,
) -> None:
    await client.v1.payment_intents.create_async(PAY | {"capture_method": "automatic"})
    assert await event_types(client) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    event = (await client.v1.events.list_async({"type": "charge.succeeded"})).data[0]
    assert event.data["object"]["balance_transaction"].startswith("txn_")


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("chargeDeclined", "card_declined", "generic_decline"),
        ("visa_chargeDeclined", "card_declined", "generic_decline"),
        ("chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("chargeDeclinedProcessingError", "processing_error", "processing_error"),
        ("authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
async def test_a_declined_payment_leaves_a_failed_charge(
    client: stripe.StripeClient, card: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.create_async(PAY | {"payment_method": f"pm_card_{card}"})
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, error.code, error.decline_code) == (402, code, decline_code)
    assert error.payment_intent is not None
    intent = await client.v1.payment_intents.retrieve_async(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.latest_charge == error.charge
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.decline_code == decline_code
    assert isinstance(error.charge, str)
    charge = await client.v1.charges.retrieve_async(error.charge)
    assert (charge.status, charge.failure_code) == ("failed", code)
    assert charge.outcome is not None
    assert (charge.outcome.type, charge.balance_transaction) == ("issuer_declined", None)
    assert await event_types(client) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


async def test_radar_blocks_the_riskiest(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError):
        await client.v1.payment_intents.create_async(
            PAY | {"payment_method": "pm_card_riskLevelHighest"}
        )
    charge = (await client.v1.charges.list_async()).data[0]
    assert charge.outcome is not None
    assert (charge.outcome.type, charge.outcome.risk_level) == ("blocked", "highest")


async def test_a_declined_payment_can_be_tried_with_another_card(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.create_async(
            PAY | {"payment_method": "pm_card_chargeDeclined"}
        )
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    intent = await client.v1.payment_intents.confirm_async(
        declined.value.error.payment_intent.id,
        {"payment_method": "pm_card_visa", "off_session": True},
    )
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)
    assert len((await client.v1.charges.list_async({"payment_intent": intent.id})).data) == 2


@pytest.mark.parametrize("succeeds", [True, False])
async def test_authentication_waits_for_the_customer(
    client: stripe.StripeClient, control: ControlClient, succeeds: bool
) -> None:
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://example.com/back",
        }
    )
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.type == "redirect_to_url"
    assert intent.client_secret is not None
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    answer = {"succeeds": "true" if succeeds else "false"}
    await control.happen("payment_intents", intent.id, "authenticate", answer)
    later = await client.v1.payment_intents.retrieve_async(intent.id)
    assert later.status == ("succeeded" if succeeds else "requires_payment_method")
    with pytest.raises(ControlError):
        await control.happen("payment_intents", intent.id, "authenticate", answer)


async def test_a_present_customer_needs_somewhere_to_return_to(
    client: stripe.StripeClient,
) -> None:
    on_session: Any = {key: value for key, value in PAY.items() if key != "off_session"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async(on_session)
    assert refused.value.param == "return_url"
    never: Any = {"enabled": True, "allow_redirects": "never"}
    made = await client.v1.payment_intents.create_async(
        on_session | {"automatic_payment_methods": never}
    )
    assert made.status == "succeeded"


async def test_manual_capture_whole(client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async(PAY | {"capture_method": "manual"})
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 2000)
    assert isinstance(intent.latest_charge, str)
    assert (await client.v1.charges.retrieve_async(intent.latest_charge)).captured is False
    done = await client.v1.payment_intents.capture_async(intent.id)
    assert (done.status, done.amount_received, done.amount_capturable) == ("succeeded", 2000, 0)
    assert await event_types(client) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


async def test_manual_capture_in_part_releases_the_rest(client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async(PAY | {"capture_method": "manual"})
    done = await client.v1.payment_intents.capture_async(
        intent.id, {"amount_to_capture": 1500, "expand": ["latest_charge.balance_transaction"]}
    )
    charge = done.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (done.amount_received, charge.amount_captured, charge.amount_refunded) == (
        1500, 1500, 0,
    )  # fmt: skip
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert charge.balance_transaction.amount == 1500
    assert (await client.v1.refunds.list_async()).data == []
    rest = await client.v1.refunds.create_async({"charge": charge.id})
    assert rest.amount == 1500
    refunded = await client.v1.charges.retrieve_async(charge.id)
    assert (refunded.amount_refunded, refunded.refunded) == (1500, True)


async def test_the_rest_was_a_refund_once(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.release_by_refund()
    intent = await client.v1.payment_intents.create_async(PAY | {"capture_method": "manual"})
    done = await client.v1.payment_intents.capture_async(
        intent.id, {"amount_to_capture": 1500, "expand": ["latest_charge"]}
    )
    charge = done.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (1500, 500, False)
    release, whole = (
        await client.v1.balance_transactions.list_async({"expand": ["data.source"]})
    ).data
    assert (whole.amount, whole.fee, whole.reporting_category) == (2000, fee(2000), "charge")
    assert (release.amount, release.type, release.reporting_category) == (
        -500, "refund", "partial_capture_reversal",
    )  # fmt: skip
    assert whole.net + release.net == 1500 - fee(1500)
    assert isinstance(release.source, stripe.Refund)
    assert (release.source.amount, release.source.charge) == (500, charge.id)
    assert "reverses" not in release.source
    assert (await client.v1.refunds.create_async({"charge": charge.id})).amount == 1500
    other = await client.v1.payment_intents.create_async(PAY | {"capture_method": "manual"})
    await client.v1.payment_intents.cancel_async(other.id)
    gone = await client.v1.charges.retrieve_async(str(other.latest_charge))
    assert (gone.amount_refunded, gone.refunded) == (2000, True)
    assert (await event_types(client))[-2:] == ["charge.refunded", "payment_intent.canceled"]


@pytest.mark.parametrize("manual", [True, False])
async def test_cancelling(client: stripe.StripeClient, manual: bool) -> None:
    intent = await client.v1.payment_intents.create_async(
        PAY | {"capture_method": "manual"} if manual else {"amount": 2000, "currency": "usd"}
    )
    gone = await client.v1.payment_intents.cancel_async(
        intent.id, {"cancellation_reason": "abandoned"}
    )
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    types = await event_types(client)
    assert types[-1] == "payment_intent.canceled"
    assert "charge.refunded" not in types
    if manual:
        charge = await client.v1.charges.retrieve_async(str(intent.latest_charge))
        assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (0, 0, False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.confirm_async(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_an_authorization_expires(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    intent = await client.v1.payment_intents.create_async(PAY | {"capture_method": "manual"})
    await control.happen("payment_intents", intent.id, "expire")
    gone = await client.v1.payment_intents.retrieve_async(intent.id)
    assert (gone.status, gone.cancellation_reason) == ("canceled", "expired")
    assert "charge.expired" in await event_types(client)


@pytest.mark.parametrize(
    ("card", "off_session", "hours"),
    [("visa", False, 168), ("visa", True, 114), ("mastercard", True, 168)],
)
async def test_an_authorization_is_captured_before_its_time_is_over(
    client: stripe.StripeClient, control: ControlClient, card: str, off_session: bool, hours: int
) -> None:
    params: Any = {
        **PAY, "capture_method": "manual", "payment_method": f"pm_card_{card}",
        "off_session": off_session, "return_url": "https://example.com",
        "expand": ["latest_charge"],
    }  # fmt: skip
    intents = [await client.v1.payment_intents.create_async(params) for _ in range(2)]
    charge = intents[0].latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.capture_before == charge.created + hours * 3600
    await control.advance_clock(hours * 3600 - 60)
    captured = await client.v1.payment_intents.capture_async(intents[0].id)
    await control.advance_clock(120)
    assert captured.status == "succeeded"
    kept, gone = [await client.v1.payment_intents.retrieve_async(intent.id) for intent in intents]
    assert (kept.status, gone.status) == ("succeeded", "canceled")
    assert gone.cancellation_reason == "expired"
    assert "charge.expired" in await event_types(client)


async def test_an_update_makes_no_event_and_respects_the_status(
    client: stripe.StripeClient,
) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 2000, "currency": "usd"})
    changed = await client.v1.payment_intents.update_async(
        intent.id, {"amount": 3000, "metadata": {"a": "b"}, "payment_method": "pm_card_visa"}
    )
    assert (changed.amount, changed.status) == (3000, "requires_confirmation")
    assert await event_types(client) == ["payment_intent.created"]
    await client.v1.payment_intents.confirm_async(intent.id, {"off_session": True})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.update_async(intent.id, {"amount": 4000})
    assert refused.value.code == "payment_intent_unexpected_state"
    await client.v1.payment_intents.update_async(intent.id, {"description": "late"})


async def test_a_method_of_another_customer_is_refused(client: stripe.StripeClient) -> None:
    owner = await client.v1.customers.create_async({})
    other = await client.v1.customers.create_async({})
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": owner.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async(
            PAY | {"customer": other.id, "payment_method": method.id}
        )
    assert refused.value.param == "payment_method"
    paid = await client.v1.payment_intents.create_async(
        PAY | {"customer": owner.id, "payment_method": method.id}
    )
    assert paid.status == "succeeded"
    assert [one.id for one in (await client.v1.payment_intents.list_async(
        {"customer": owner.id}
    )).data] == [paid.id]  # fmt: skip


async def test_setup_for_future_usage_attaches_the_method(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    keep = {"customer": customer.id, "setup_future_usage": "off_session"}
    with pytest.raises(stripe.InvalidRequestError, match="setup_future_usage"):
        await client.v1.payment_intents.create_async(PAY | keep)
    present = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    await client.v1.payment_intents.create_async(PAY | keep | present | {"off_session": False})
    methods = await client.v1.customers.payment_methods.list_async(customer.id)
    assert len(methods.data) == 1


async def test_a_legacy_card_is_authorized_for_its_customer_alone(
    client: stripe.StripeClient,
) -> None:
    ada, bob = [await client.v1.customers.create_async({}) for _ in range(2)]
    card = await client.v1.customers.payment_sources.create_async(ada.id, {"source": "tok_visa"})
    order: Any = {
        "amount": 2000, "currency": "usd", "payment_method": card.id, "capture_method": "manual",
        "confirm": True, "return_url": "https://example.com", "setup_future_usage": "off_session",
    }  # fmt: skip
    for customer in (bob.id, None):
        named = {} if customer is None else {"customer": customer}
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await client.v1.payment_intents.create_async({**order, **named})
        assert refused.value.param == "payment_method"
    intent = await client.v1.payment_intents.create_async({**order, "customer": ada.id})
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 2000)
    canceled = await client.v1.payment_intents.cancel_async(intent.id)
    assert (canceled.status, canceled.amount_received) == ("canceled", 0)


async def test_a_bank_debit_cannot_be_captured_manually(client: stripe.StripeClient) -> None:
    method = await client.v1.payment_methods.create_async(
        {
            "type": "us_bank_account",
            "us_bank_account": {
                "account_holder_type": "individual",
                "account_number": "000123456789",
                "routing_number": "110000000",
            },
            "billing_details": {"name": "Ada"},
        }
    )
    params: Any = {
        "amount": 2000, "currency": "usd", "payment_method": method.id, "confirm": True,
        "return_url": "https://example.com",
    }  # fmt: skip
    with pytest.raises(stripe.InvalidRequestError, match="manual") as refused:
        await client.v1.payment_intents.create_async({**params, "capture_method": "manual"})
    assert refused.value.param == "capture_method"
    assert (await client.v1.payment_intents.list_async()).data == []
    paying = await client.v1.payment_intents.create_async(params)
    assert paying.status == "processing"
