"""Products, prices and pictures at Stripe, through the real SDK."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from application.catalogue.ports import (
    NewPrice,
    NewProduct,
    PictureKey,
    PictureLink,
    PriceChange,
    PriceFields,
    ProductChange,
    ProductDeletion,
    ProductFields,
)
from application.mutations.stripe import Unanswered
from domain.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Reason
from domain.mirror import Snapshot
from domain.price_rules import PriceTerms
from domain.prices import CurrencyOption, Recurrence, Tier, TransformQuantity
from infrastructure.stripe.catalogue.gateway import StripeProducts
from infrastructure.stripe.catalogue.pictures import StripePictures
from infrastructure.stripe.catalogue.prices import StripePrices
from infrastructure.stripe.core.client import StripeApi
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.support.pictures import GIF
from tests.wire.gateway.conftest import MakeApi, MakeCall

FULL = ProductFields(
    name="Gold",
    description="All of it",
    images=("https://gold.example/1.png",),
    tax_code="txcd_10103001",
    unit_label="seat",
    statement_descriptor="GOLD PLAN",
    url="https://gold.example",
    marketing_features=("Fast", "Safe"),
    metadata={"tier": "1"},
)
TERMS = PriceTerms(
    "usd",
    tiers=(Tier(10, unit_amount=0), Tier(None, flat_amount=5, unit_amount_decimal="0.5")),
    tiers_mode="graduated",
    tax_behavior="exclusive",
    recurring=Recurrence("month", 2),
    trial_period_days=7,
)
KEY = PictureKey("digest", len(GIF), "gif")


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def shown(snapshot: Snapshot[Any] | None) -> Any:
    assert snapshot is not None
    assert snapshot.object is not None
    return snapshot.object


@pytest.fixture
def products(api: StripeApi) -> StripeProducts:
    return StripeProducts(api)


@pytest.fixture
def prices(api: StripeApi) -> StripePrices:
    return StripePrices(api)


@pytest.fixture
def pictures(make_api: MakeApi, emulator: RunningEmulator) -> StripePictures:
    return StripePictures(make_api(files_base=f"{emulator.url}/files"))


@pytest.fixture
async def gold(products: StripeProducts, call: MakeCall) -> str:
    made = await products.create(call(), NewProduct(FULL, "gold"))
    return str(shown(made).id)


async def test_a_product_is_written_whole_and_found_by_its_tag(
    products: StripeProducts, call: MakeCall
) -> None:
    began = now()
    made = await products.create(call(), NewProduct(FULL, "gold"))
    product = shown(made)
    assert not made.unknown
    assert product.metadata == {"tier": "1", "billing_request": "tag-one"}
    for name in ("name", "description", "images", "tax_code", "unit_label", "url"):
        assert getattr(product, name) == getattr(FULL, name)
    assert product.marketing_features == FULL.marketing_features
    assert shown(await products.find_created(call(), NewProduct(FULL), began)).id == "gold"
    with pytest.raises(AlreadyExists) as taken:
        await products.create(call("two"), NewProduct(FULL, "gold"))
    assert taken.value.reason is Reason.ALREADY_EXISTS


async def test_a_product_is_changed_cleared_and_found_as_wanted(
    products: StripeProducts, call: MakeCall, gold: str
) -> None:
    change = ProductChange(gold, ProductFields(images=(), url="", name="Silver"), active=False)
    assert await products.find_updated(call("two"), change, now()) is None
    changed = shown(await products.update(call("two"), change))
    assert (changed.images, changed.url, changed.name) == ((), None, "Silver")
    assert not changed.active
    assert shown(await products.find_updated(call("two"), change, now())).id == gold
    with pytest.raises(NotFound):
        await products.update(call("three"), ProductChange("none", active=True))
    wrong = ProductChange(gold, ProductFields(statement_descriptor="12345"))
    with pytest.raises(InvalidArgument) as refused:
        await products.update(call("four"), wrong)
    assert refused.value.violations[0].field == "product.statement_descriptor"


async def test_a_product_is_deleted_once_and_gone_ones_are_success(
    products: StripeProducts, call: MakeCall, gold: str
) -> None:
    deletion = ProductDeletion(gold)
    assert await products.find_deleted(call(), deletion, now()) is None
    for _ in range(2):
        assert (await products.delete(call("two"), deletion)).deleted
    gone = await products.find_deleted(call(), deletion, now())
    assert gone is not None
    assert gone.deleted


async def test_products_are_read_by_ids_and_those_that_are_not_as_tombstones(
    products: StripeProducts, call: MakeCall, gold: str, account: str
) -> None:
    await products.update(call("two"), ProductChange(gold, active=False))
    read = await products.read(account, [gold, "none", "tier/2"])
    assert {snapshot.id: snapshot.deleted for snapshot in read} == {
        gold: False, "none": True, "tier/2": True,
    }  # fmt: skip


async def test_a_price_is_written_whole_and_found_by_its_tag(
    prices: StripePrices, call: MakeCall, gold: str, account: str
) -> None:
    began = now()
    wanted = NewPrice(TERMS, gold, "Gold", "key", metadata={"a": "1", "b": ""})
    made = await prices.create(call("two"), wanted)
    price = shown(made)
    assert not made.unknown
    assert price.tiers == (
        Tier(10, None, None, 0, "0"), Tier(None, 5, "5", None, "0.5"),
    )  # fmt: skip
    assert (price.tiers_mode, price.tax_behavior, price.lookup_key) == (
        "graduated", "exclusive", "key",
    )  # fmt: skip
    assert (price.recurring, price.trial_period_days) == (Recurrence("month", 2), 7)
    assert price.metadata == {"a": "1", "billing_request": "tag-two"}
    assert shown(await prices.find_created(call("two"), wanted, began)).id == price.id
    listed = await prices.of_product(account, gold)
    assert [(each.id, each.active) for each in listed] == [(price.id, True)]


async def test_each_way_to_say_what_it_costs(
    prices: StripePrices, call: MakeCall, gold: str
) -> None:
    zero = shown(await prices.create(call("a"), NewPrice(PriceTerms("usd", 0), gold)))
    assert zero.unit_amount == 0
    exact = PriceTerms("usd", unit_amount_decimal="0.000000000001")
    made = shown(await prices.create(call("b"), NewPrice(exact, gold)))
    assert (made.unit_amount, made.unit_amount_decimal) == (None, "0.000000000001")
    package = replace(
        exact, unit_amount_decimal=None, unit_amount=9,
        transform_quantity=TransformQuantity(5, "up"), currency_options={"eur": CurrencyOption(8)},
    )  # fmt: skip
    made = shown(await prices.create(call("c"), NewPrice(package, gold)))
    assert made.transform_quantity == TransformQuantity(5, "up")
    assert made.currency_options["eur"].unit_amount == 8


async def test_a_lookup_key_that_is_taken_names_its_price(
    prices: StripePrices, call: MakeCall, gold: str
) -> None:
    keyed = NewPrice(PriceTerms("usd", 1), gold, lookup_key="key")
    first = shown(await prices.create(call("a"), keyed))
    plain = shown(await prices.create(call("b"), NewPrice(PriceTerms("usd", 1), gold)))
    change = PriceChange(plain.id, PriceFields(lookup_key="key"))
    for attempt in (prices.create(call("c"), keyed), prices.update(call("d"), change)):
        with pytest.raises(AlreadyExists) as taken:
            await attempt
        assert taken.value.reason is Reason.LOOKUP_KEY_TAKEN
        assert taken.value.metadata["id"] == first.id
    moved = shown(await prices.update(call("e"), replace(change, transfer_lookup_key=True)))
    assert moved.lookup_key == "key"
    with pytest.raises(NotFound):
        await prices.create(call("f"), NewPrice(PriceTerms("usd", 1), "none"))


async def test_a_price_is_changed_and_found_as_wanted(
    prices: StripePrices, call: MakeCall, gold: str
) -> None:
    price = shown(await prices.create(call("a"), NewPrice(PriceTerms("usd", 1), gold)))
    options = {"eur": CurrencyOption(8)}
    fields = PriceFields("New", None, "inclusive", options, {"a": "1"})
    change = PriceChange(price.id, fields, active=False)
    assert await prices.find_updated(call("b"), change, now()) is None
    changed = shown(await prices.update(call("b"), change))
    assert (changed.nickname, changed.active) == ("New", False)
    assert changed.currency_options["eur"].unit_amount == 8
    assert shown(await prices.find_updated(call("b"), change, now())).id == price.id
    cleared = PriceChange(price.id, PriceFields(nickname="", currency_options={}))
    assert await prices.find_updated(call("c"), cleared, now()) is None
    assert not shown(await prices.update(call("c"), cleared)).currency_options
    assert shown(await prices.find_updated(call("c"), cleared, now())).id == price.id
    with pytest.raises(InvalidArgument) as refused:
        await prices.update(call("d"), PriceChange(price.id, PriceFields(tax_behavior="exclusive")))
    assert refused.value.violations[0].field == "price.tax_behavior"


async def test_currency_options_are_created_read_added_and_replaced(
    prices: StripePrices, call: MakeCall, gold: str
) -> None:
    began = now()
    tiers = (Tier(10, unit_amount=8), Tier(None, unit_amount_decimal="0.5"))
    in_tiers = replace(TERMS, currency_options={"eur": CurrencyOption(tiers=tiers)})
    made = shown(await prices.create(call("a"), NewPrice(in_tiers, gold)))
    assert made.currency_options["eur"].tiers == (
        Tier(10, None, None, 8, "8"), Tier(None, None, None, None, "0.5"),
    )  # fmt: skip
    assert shown(await prices.find_created(call("a"), NewPrice(in_tiers, gold), began)) == made

    flat = PriceTerms("usd", 9, currency_options={"eur": CurrencyOption(8)})
    price = shown(await prices.create(call("b"), NewPrice(flat, gold)))
    more = {"eur": CurrencyOption(7), "jpy": CurrencyOption(unit_amount_decimal="80.5")}
    change = PriceChange(price.id, PriceFields(currency_options=more))
    assert await prices.find_updated(call("c"), change, now()) is None
    changed = shown(await prices.update(call("c"), change))
    assert {
        currency: (option.unit_amount, option.unit_amount_decimal)
        for currency, option in changed.currency_options.items()
    } == {"usd": (9, "9"), "eur": (7, "7"), "jpy": (None, "80.5")}
    assert shown(await prices.find_updated(call("c"), change, now())) == changed
    own = PriceChange(price.id, PriceFields(currency_options={"usd": CurrencyOption(1)}))
    with pytest.raises(InvalidArgument) as refused:
        await prices.update(call("d"), own)
    assert refused.value.violations[0].field == "price.currency_options.usd"


async def test_a_picture_is_uploaded_once_and_found_by_its_tag(
    pictures: StripePictures, call: MakeCall, emulator: RunningEmulator, account: str
) -> None:
    began = now()
    await emulator.control.add_fault(
        FaultSpec(kind="drop_after", route="/files/v1/files", account=account)
    )
    link = await pictures.upload(call(), KEY, GIF)
    assert await pictures.upload(call(), KEY, GIF) == link
    assert link.url.startswith(f"{emulator.url}/files/links/")
    assert await pictures.find_uploaded(call(), KEY, began) == link
    assert await pictures.find_uploaded(call("two"), KEY, began) is None
    with pytest.raises(InvalidArgument):
        await pictures.upload(call("three"), KEY, b"RIFF")


async def test_a_link_ends_and_has_ended(pictures: StripePictures, call: MakeCall) -> None:
    link = await pictures.upload(call(), KEY, GIF)
    assert await pictures.find_expired(call(), link, now()) is None
    for key in ("two", "three"):
        assert await pictures.expire(call(key), link) == link
    assert await pictures.find_expired(call(), link, now()) == link
    with pytest.raises((NotFound, FailedPrecondition, Unanswered)):
        await pictures.expire(call("four"), PictureLink("link_0", ""))
