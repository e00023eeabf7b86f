"""What the translations of all nouns have in common, and that Stripe has the fields they read."""

from typing import Any, cast, get_type_hints

import msgspec
import pytest
import stripe

from domain.invoices import Invoice
from domain.subscriptions import Subscription
from infrastructure.stripe.core.shapes import Shape, Translation
from infrastructure.stripe.customers.translation import CUSTOMER
from infrastructure.stripe.invoices.translation import INVOICE, LineShape
from infrastructure.stripe.subscriptions.translation import SUBSCRIPTION, ItemShape
from infrastructure.stripe.translations import TRANSLATIONS
from tests.unit.stripe.billing_samples import (
    invoice,
    invoice_line,
    nested,
    subscription,
    subscription_item,
)
from tests.unit.stripe.samples import customer, encoded, event


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        *((each.shape, name) for name, each in TRANSLATIONS.items()),
        (LineShape, "invoice_line_item"),
        (ItemShape, "subscription_item"),
    ],
)
def test_the_sdk_knows_every_field_that_is_read(shape: type[msgspec.Struct], name: str) -> None:
    known = getattr(stripe, name.title().replace("_", ""))
    common = set(Shape.__struct_fields__) if issubclass(shape, Shape) else set()
    assert set(shape.__struct_fields__) - common <= set(known.__annotations__)


@pytest.mark.parametrize("translation", TRANSLATIONS.values(), ids=TRANSLATIONS)
def test_lists_are_declared(translation: Translation[Any, Any]) -> None:
    hints = get_type_hints(translation.shape)
    lists = {name for name, hint in hints.items() if "NestedList" in str(hint)}
    assert lists == set(translation.lists)
    assert all("id" in element.__struct_fields__ for element in translation.lists.values())
    assert lists <= set(translation.noun.type.__dataclass_fields__)


def before(translation: Translation[Any, Any], now: dict[str, Any], previous: Any) -> Any:
    """The state before; None where it is not told as fully as the one after."""
    told = translation.decode_event(encoded(event(now, "whatever.updated", previous=previous)))
    return translation.decode_before(translation.encode_change(told.object, told.previous))


def shown(translation: Translation[Any, Any], payload: dict[str, Any]) -> Any:
    return translation.to_domain(cast("Shape", translation.decode(encoded(payload))))[0]


@pytest.mark.parametrize("previous", [None, {}])
def test_no_previous_attributes_no_state_before(previous: Any) -> None:
    payload = encoded(event(customer(), "customer.updated", previous=previous))
    assert CUSTOMER.decode_event(payload).previous == {}
    assert CUSTOMER.decode_event(encoded(event(customer(), "customer.created"))).previous == {}


def test_a_changed_attribute_is_laid_over() -> None:
    now = customer(name="Ada L.", email=None)
    then = customer(name="Ada", email="ada@example.com")
    previous = {"name": "Ada", "email": "ada@example.com", "balance": 5, "unheard_of": [1]}
    assert before(CUSTOMER, now, previous) == shown(CUSTOMER, then)


def test_of_a_hash_only_the_changed_keys_are_told() -> None:
    now = customer(invoice_settings={"default_payment_method": "pm_2", "footer": None})
    assert before(CUSTOMER, now, {"invoice_settings": {"default_payment_method": "pm_1"}}) == shown(
        CUSTOMER, customer()
    )
    moved = {"address": {"city": "Bonn", "line2": "3rd floor"}}
    found = before(CUSTOMER, customer(), moved)
    assert (found.address.city, found.address.line2, found.address.line1) == (
        "Bonn", "3rd floor", "Gasse 1",
    )  # fmt: skip


def test_a_hash_that_came_or_went_is_told_whole() -> None:
    assert before(CUSTOMER, customer(), {"address": None}).address is None
    gone = {"address": {"city": "Ulm", "country": "DE", "line1": "Gasse 1", "postal_code": "89073"}}
    assert before(CUSTOMER, customer(address=None), gone) == shown(CUSTOMER, customer())


@pytest.mark.parametrize(
    ("now", "previous", "then"),
    [
        ({"tier": "gold"}, {"tier": "silver"}, {"tier": "silver"}),
        ({"tier": "gold", "new": "1"}, {"new": None}, {"tier": "gold"}),
        ({"tier": "gold"}, {"tier": None, "old": "1"}, {"old": "1"}),
        ({"tier": "gold"}, {"tier": None}, {}),
        ({}, {"tier": "gold"}, {"tier": "gold"}),
    ],
)
def test_a_key_of_metadata_that_came_was_not_there(
    now: dict[str, str], previous: dict[str, Any], then: dict[str, str]
) -> None:
    found = before(CUSTOMER, customer(metadata=now), {"metadata": previous})
    assert found.metadata == then


def test_metadata_within_a_hash_is_metadata_too() -> None:
    previous = {"parent": {"subscription_details": {"metadata": {"crm": None, "old": "1"}}}}
    found: Invoice = before(INVOICE, invoice(), previous)
    assert found.subscription_metadata == {"old": "1"}
    assert found.subscription == "sub_1"


def test_an_array_is_told_whole() -> None:
    now = subscription(subscription_item(quantity=3), subscription_item(id="si_2"))
    previous = {"items": {"data": [subscription_item(quantity=2)]}, "status": "trialing"}
    found: Subscription = before(SUBSCRIPTION, now, previous)
    assert found == shown(SUBSCRIPTION, subscription(subscription_item(), status="trialing"))


def test_a_list_that_was_cut_short_tells_no_state_before() -> None:
    was = nested(invoice_line(), url="/v1/invoices/in_1/lines", more=True)
    assert before(INVOICE, invoice(), {"lines": was}) is None


def test_what_is_not_told_after_either_need_not_be_told_before() -> None:
    listed = nested(invoice_line(), url="/v1/invoices/in_1/lines", more=True)
    found = before(INVOICE, invoice() | {"lines": listed}, {"status": "draft"})
    assert (found.status, found.lines) == ("draft", ())


def test_a_state_before_that_is_nonsense_is_none() -> None:
    assert before(CUSTOMER, customer(), {"created": "never"}) is None
