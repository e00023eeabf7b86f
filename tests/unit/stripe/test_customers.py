"""Customers: from Stripe's payload to the domain's customer."""

import datetime as dt
from typing import Any

import pytest

from domain.customers import Address, Customer
from domain.mirror import Snapshot, Version
from infrastructure.stripe.customers.translation import CUSTOMER
from tests.unit.stripe.samples import customer, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Customer]:
    return CUSTOMER.observe(encoded(payload), "acct_1", VERSION)


def test_every_field_is_read() -> None:
    assert observed(customer(default_source="card_1", description="VIP")) == Snapshot(
        "acct_1",
        "cus_1",
        VERSION,
        Customer(
            id="cus_1",
            created=dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC),
            email="ada@example.com",
            name="Ada",
            phone="+4912345",
            description="VIP",
            address=Address(line1="Gasse 1", city="Ulm", postal_code="89073", country="DE"),
            currency="eur",
            delinquent=False,
            default_payment_method="pm_1",
            default_source="card_1",
            metadata={"tier": "gold"},
        ),
    )


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        *((name, name) for name in ("email", "name", "phone", "description", "address")),
        *((name, name) for name in ("currency", "delinquent", "default_source", "metadata")),
        ("invoice_settings", "default_payment_method"),
    ],
)
def test_an_absent_field_is_unknown(absent: str, unknown: str) -> None:
    assert observed(without(customer(), absent)).unknown == {unknown}


def test_null_is_known_to_be_empty() -> None:
    empty = dict.fromkeys(
        ("email", "name", "phone", "description", "address", "currency", "delinquent")
    )
    snapshot = observed(customer(**empty, invoice_settings=None, metadata=None))
    created = dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    assert snapshot == Snapshot("acct_1", "cus_1", VERSION, Customer("cus_1", created))


def test_empty_text_is_none() -> None:
    found = observed(customer(email="", name="", phone="", default_source="")).object
    assert found is not None
    assert (found.email, found.name, found.phone, found.default_source) == (None,) * 4


def test_default_payment_method_expanded_counts_by_its_id() -> None:
    settings = {"default_payment_method": {"id": "pm_9", "object": "payment_method"}}
    found = observed(customer(invoice_settings=settings)).object
    assert found is not None
    assert found.default_payment_method == "pm_9"


def test_invoice_settings_without_a_method_leave_it_unknown() -> None:
    assert observed(customer(invoice_settings={})).unknown == {"default_payment_method"}


def test_an_answer_that_says_deleted_is_a_tombstone() -> None:
    snapshot = observed({"id": "cus_1", "object": "customer", "deleted": True})
    assert snapshot == Snapshot("acct_1", "cus_1", VERSION, None)


@pytest.mark.parametrize(
    "nonsense",
    [
        without(customer(), "id"),
        without(customer(), "created"),
        customer(id=""),
        customer(created="yesterday"),
        customer(email=7),
        customer(address="Ulm"),
        {"id": "cus_1", "deleted": "yes"},
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required"):
        observed(nonsense)
