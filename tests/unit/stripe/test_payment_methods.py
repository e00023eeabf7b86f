"""Payment methods and sources: from Stripe's payload to the domain's payment method."""

import json
from typing import Any

import pytest

from domain.payment_methods import PaymentMethod, SetupIntent, is_legacy
from infrastructure.stripe.core.elements import read_elements
from infrastructure.stripe.payment_methods.translation import SETUP, method_of, setup_of

CARD: dict[str, Any] = {
    "id": "pm_1", "object": "payment_method", "type": "card", "customer": "cus_1",
    "billing_details": {"email": "ada@example.com", "name": "Ada"},
    "card": {
        "brand": "visa", "country": "DE", "exp_month": 8, "exp_year": 2030, "funding": "credit",
        "last4": "4242", "wallet": None,
    },
}  # fmt: skip
LEGACY_CARD: dict[str, Any] = {
    "id": "card_1", "object": "card", "brand": "American Express", "country": "US",
    "customer": "cus_1", "exp_month": 1, "exp_year": 2031, "funding": "debit", "last4": "0005",
    "name": "Ada",
}  # fmt: skip
LEGACY_BANK: dict[str, Any] = {
    "id": "ba_1", "object": "bank_account", "account_holder_name": "Ada",
    "bank_name": "STRIPE TEST BANK", "country": "US", "currency": "usd", "customer": "cus_1",
    "last4": "6789", "status": "new",
}  # fmt: skip
SOURCE: dict[str, Any] = {
    "id": "src_1", "object": "source", "type": "sepa_debit", "customer": "cus_1",
    "client_secret": "src_client_secret_x", "owner": {"email": "ada@example.com"},
    "sepa_debit": {"bank_code": "37040044", "country": "DE", "last4": "3000"},
}  # fmt: skip


def method(type_: str, **details: Any) -> dict[str, Any]:
    return {"id": "pm_2", "object": "payment_method", "type": type_, type_: details}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            CARD,
            PaymentMethod(
                "pm_1", "card", "cus_1", "visa", None, "4242", 8, 2030, "credit", "DE"
            ),
        ),
        (
            LEGACY_CARD,
            PaymentMethod(
                "card_1", "card", "cus_1", "amex", None, "0005", 1, 2031, "debit", "US"
            ),
        ),
        (
            LEGACY_BANK,
            PaymentMethod(
                "ba_1", "bank_account", "cus_1", bank="STRIPE TEST BANK", last4="6789",
                country="US",
            ),
        ),
        (
            SOURCE,
            PaymentMethod(
                "src_1", "sepa_debit", "cus_1", bank="37040044", last4="3000", country="DE"
            ),
        ),
        (
            method("us_bank_account", bank_name="BANK", last4="6789", routing_number="1"),
            PaymentMethod("pm_2", "us_bank_account", bank="BANK", last4="6789"),
        ),
        (
            method("ideal", bank="ing", bic="INGBNL2A"),
            PaymentMethod("pm_2", "ideal", bank="ing"),
        ),
        (method("seashells", colour="red"), PaymentMethod("pm_2", "seashells")),
        (
            {"id": "pm_3", "object": "payment_method", "type": "link", "customer": None},
            PaymentMethod("pm_3", "link"),
        ),
    ],
    ids=lambda one: one["id"] if isinstance(one, dict) else "",
)  # fmt: skip
def test_every_kind_is_read(payload: dict[str, Any], expected: PaymentMethod) -> None:
    assert method_of(json.dumps(payload)) == expected


def test_a_customer_may_be_expanded() -> None:
    payload = {**CARD, "customer": {"id": "cus_9", "object": "customer"}}
    assert method_of(json.dumps(payload)).customer == "cus_9"


@pytest.mark.parametrize(
    ("brand", "expected"),
    [("MasterCard", "mastercard"), ("Diners Club", "diners"), ("Eftpos Australia",
     "eftpos_australia"), ("Unknown", "unknown"), (None, None)],
)  # fmt: skip
def test_legacy_brands_are_named_as_payment_methods_name_them(
    brand: str | None, expected: str | None
) -> None:
    assert method_of(json.dumps({**LEGACY_CARD, "brand": brand})).brand == expected


def test_a_page_holds_any_kind() -> None:
    body = json.dumps({"object": "list", "data": [LEGACY_CARD, LEGACY_BANK], "has_more": True})
    elements, following = read_elements(body, method_of)
    assert [one.value and one.value.id for one in elements] == ["card_1", "ba_1"]
    assert following is not None
    assert following.after == "ba_1"


@pytest.mark.parametrize(
    "nonsense",
    [
        {**CARD, "id": ""}, {**CARD, "id": None}, {**CARD, "card": "visa"},
        {**CARD, "card": {"exp_year": "soon"}}, {"object": "payment_method"},
    ],
)  # fmt: skip
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Expected|required"):
        method_of(json.dumps(nonsense))


def test_ids_tell_what_is_legacy() -> None:
    assert [one for one in ("pm_1", "card_1", "src_1", "ba_1", "acct_1", "") if is_legacy(one)] == [
        "card_1", "src_1", "ba_1",
    ]  # fmt: skip


def test_a_setup_intent_has_no_secret_in_the_domain() -> None:
    body = {"id": "seti_1", "status": "succeeded", "client_secret": "seti_1_secret_x"}
    shape = SETUP.decode(json.dumps(body))
    assert setup_of(shape) == SetupIntent("seti_1", "succeeded")
    assert "secret_x" not in repr(setup_of(shape))
