"""Balance transactions: from Stripe's payload to the domain's balance transaction."""

import datetime as dt
from typing import Any

import pytest

from domain.balance_transactions import BalanceTransaction, FeeDetail
from domain.mirror import Snapshot, Version
from domain.money import Money
from infrastructure.stripe.balance_transactions import BALANCE_TRANSACTION
from tests.unit.stripe.samples import CREATED, balance_transaction, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[BalanceTransaction]:
    return BALANCE_TRANSACTION.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> BalanceTransaction:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


def test_every_field_is_read() -> None:
    assert observed(balance_transaction()) == Snapshot(
        "acct_1",
        "txn_1",
        VERSION,
        BalanceTransaction(
            id="txn_1",
            created=at(0),
            amount=Money(2_500, "eur"),
            fee=Money(103, "eur"),
            net=Money(2_397, "eur"),
            type="charge",
            status="pending",
            available_on=at(86_400),
            source="ch_1",
            reporting_category="charge",
            exchange_rate="1.1704",
            description="Order 7",
            fee_details=(FeeDetail("stripe_fee", Money(103, "eur")),),
            balance_type="payments",
        ),
    )


def test_every_part_of_a_fee_is_told() -> None:
    types = "stripe_fee application_fee payment_method_passthrough_fee tax withheld_tax new".split()
    told = [
        {
            "amount": number,
            "application": "ca_1",
            "currency": "eur",
            "description": "x",
            "type": one,
        }
        for number, one in enumerate(types)
    ]
    assert read(balance_transaction(fee_details=told)).fee_details == tuple(
        FeeDetail(one, Money(number, "eur"), "x", "ca_1") for number, one in enumerate(types)
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [(b"1.170400", "1.170400"), (b"0.1234567890123456789", "0.1234567890123456789"), (b"2", "2")],
)
def test_an_exchange_rate_keeps_every_digit(written: bytes, kept: str) -> None:
    body = encoded(balance_transaction()).replace(b"1.1704", written)
    found = BALANCE_TRANSACTION.observe(body, "acct_1", VERSION).object
    assert found is not None
    assert found.exchange_rate == kept


def test_an_absurd_exchange_rate_stays_short() -> None:
    body = encoded(balance_transaction()).replace(b"1.1704", b"1e99999999")
    found = BALANCE_TRANSACTION.observe(body, "acct_1", VERSION).object
    assert found is not None
    assert found.exchange_rate == "1E+99999999"


@pytest.mark.parametrize(
    "absent",
    """
    fee net type status available_on source reporting_category exchange_rate description
    fee_details balance_type
    """.split(),
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(balance_transaction(), absent)).unknown == {absent}


@pytest.mark.parametrize("field", ["source", "exchange_rate", "description"])
def test_null_is_known_to_be_empty(field: str) -> None:
    snapshot = observed(balance_transaction(**{field: None}))
    assert getattr(snapshot.object, field) is None
    assert not snapshot.unknown


def test_an_expanded_source_counts_by_its_id() -> None:
    assert read(balance_transaction(source={"id": "re_9", "object": "refund"})).source == "re_9"


def test_an_unknown_type_is_kept() -> None:
    assert read(balance_transaction(type="teleport_fee")).type == "teleport_fee"


@pytest.mark.parametrize(
    "nonsense",
    [
        without(balance_transaction(), "id"),
        without(balance_transaction(), "amount"),
        without(balance_transaction(), "currency"),
        balance_transaction(fee=1.5),
        balance_transaction(net=None),
        balance_transaction(exchange_rate="NaN"),
        balance_transaction(exchange_rate="much"),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:|exchange_rate:"):
        observed(nonsense)
