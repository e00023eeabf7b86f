"""Products: from Stripe's payload to the domain's product."""

import datetime as dt
from typing import Any

import pytest

from domain.mirror import Snapshot, Version
from domain.products import Product
from infrastructure.stripe.products import PRODUCT
from tests.unit.stripe.billing_samples import product
from tests.unit.stripe.samples import CREATED, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Product]:
    return PRODUCT.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Product:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


def test_every_field_is_read() -> None:
    assert observed(product()) == Snapshot(
        "acct_1",
        "prod_1",
        VERSION,
        Product(
            id="prod_1",
            created=at(0),
            name="Seat",
            active=True,
            description="A seat",
            default_price="price_1",
            images=("https://files.example.com/seat.png",),
            updated=at(1),
            metadata={"sku": "7"},
            tax_code="txcd_1",
            unit_label="seat",
            statement_descriptor="SEAT",
            url="https://example.com/seat",
            marketing_features=("Fast", "Warm"),
            type="service",
        ),
    )


@pytest.mark.parametrize(
    "absent",
    """
    name active description default_price images updated metadata tax_code unit_label
    statement_descriptor url marketing_features type
    """.split(),
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(product(), absent)).unknown == {absent}


@pytest.mark.parametrize("field", ["description", "default_price"])
def test_null_is_known_to_be_empty(field: str) -> None:
    snapshot = observed(product(**{field: None}))
    assert getattr(snapshot.object, field) is None
    assert not snapshot.unknown


def test_an_expanded_price_counts_by_its_id() -> None:
    assert read(product(default_price={"id": "price_9"})).default_price == "price_9"


def test_an_id_of_the_owners_choice_is_kept() -> None:
    assert read(product(id="Seat (2026), 50 %")).id == "Seat (2026), 50 %"


def test_an_answer_that_says_deleted_is_a_tombstone() -> None:
    snapshot = observed({"id": "prod_1", "object": "product", "deleted": True})
    assert snapshot == Snapshot("acct_1", "prod_1", VERSION, None)


@pytest.mark.parametrize(
    "nonsense",
    [
        without(product(), "id"),
        without(product(), "created"),
        product(name=None),
        product(active="yes"),
        product(images=[7]),
        product(images="seat.png"),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
