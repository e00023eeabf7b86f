"""Balance transactions: fees, currencies, availability, filters."""

import pytest
import stripe

from sandbox.emulator.balance_transactions import fee
from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core import currencies
from sandbox.emulator.core.messages import AccountSpec


def test_fees_are_rounded_half_up() -> None:
    assert [fee(amount) for amount in (50, 100, 500, 1000, 1017)] == [31, 33, 45, 59, 59]


def test_division_rounds_half_to_even() -> None:
    halves = [currencies.divided_half_even(numerator, 2) for numerator in (1, 3, 5, -1, -3)]
    assert halves == [0, 2, 2, 0, -2]


@pytest.mark.parametrize(
    ("rate", "kept"), [("0.92", 920_000), ("150", 150_000_000), (".000001", 1)]
)
def test_a_rate_has_six_places(rate: str, kept: int) -> None:
    assert currencies.millionths(rate) == kept


@pytest.mark.parametrize("rate", ["", "0", "-1", "1e3", "0.0000001", "one"])
def test_what_is_no_rate(rate: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        currencies.millionths(rate)


def test_currencies_have_other_minor_units() -> None:
    """The rate is that of minor units, as Stripe's is: amount times rate is what is settled."""
    rates = {"kwd": 307_000}
    assert currencies.converted(1000, "usd", "usd", rates) == (1000, None)
    assert currencies.converted(1000, "usd", "jpy", rates) == (1500, "1.500000")
    assert currencies.converted(3070, "kwd", "usd", rates) == (1000, "0.325732")
    assert currencies.converted(-500, "eur", "usd", rates) == (-543, "1.086956")


async def test_settlement_is_in_the_accounts_currency(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    account = await control.create_account(AccountSpec(currency="eur"))
    charge = await client.v1.charges.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "source": "tok_visa",
            "expand": ["balance_transaction"],
        },
        {"stripe_account": account},
    )
    transaction = charge.balance_transaction
    assert isinstance(transaction, stripe.BalanceTransaction)
    assert (transaction.currency, transaction.amount) == ("eur", 920)
    assert str(transaction.exchange_rate) == "0.92"
    assert transaction.net == 920 - fee(920)


async def test_pending_becomes_available_after_two_days(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await client.v1.charges.create_async({"amount": 1000, "currency": "usd", "source": "tok_visa"})
    before = (await client.v1.balance_transactions.list_async()).data[0]
    assert before.status == "pending"
    assert before.available_on == before.created + 2 * 86_400
    await control.advance_clock(2 * 86_400)
    assert (await client.v1.balance_transactions.retrieve_async(before.id)).status == "available"


async def test_filters(client: stripe.StripeClient) -> None:
    charge = await client.v1.charges.create_async(
        {"amount": 1000, "currency": "usd", "source": "tok_visa"}
    )
    refund = await client.v1.refunds.create_async({"charge": charge.id})
    transactions = client.v1.balance_transactions
    by_source = await transactions.list_async({"source": refund.id})
    by_type = await transactions.list_async({"type": "charge", "expand": ["data.source"]})
    assert [one.source for one in by_source.data] == [refund.id]
    source = by_type.data[0].source
    assert isinstance(source, stripe.Charge)
    assert source.id == charge.id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await transactions.list_async({"payout": "po_none"})
    assert (refused.value.code, refused.value.param) == ("resource_missing", "payout")
    assert (await transactions.list_async({"type": "bogus_type"})).data == []


async def test_asynchronous_captures_settle_as_late_as_asked_for(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.settle_after(600)
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "off_session": True,
        }
    )
    charge = str(intent.latest_charge)
    assert (await client.v1.charges.retrieve_async(charge)).balance_transaction is None
    assert (await client.v1.balance_transactions.list_async()).data == []
    await control.advance_clock(601)
    settled = await client.v1.charges.retrieve_async(charge, {"expand": ["balance_transaction"]})
    assert isinstance(settled.balance_transaction, stripe.BalanceTransaction)
    assert settled.balance_transaction.created == settled.created + 600
    event = (await client.v1.events.list_async({"type": "charge.updated"})).data[0]
    assert event.data["previous_attributes"].to_dict() == {"balance_transaction": None}
    assert event.created == settled.created + 600
