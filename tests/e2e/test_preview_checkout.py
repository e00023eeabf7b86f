"""PreviewCheckout: what a purchase comes to, and every reason for which it is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox.emulator.core.messages import AccountSpec
from tests.support.rooms.shop_end_to_end import Buyers, buyers, reasons, settings, shop
from tests.support.rooms.wallets_end_to_end import OPERATOR, Family, family, payer
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import (
    ServiceAndEmulator,
    details_of,
    reason_of,
    run_command,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBERS = {"price": "price_number", "quantity": 3, "country": "DE", "number_kind": 1}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    folder = tmp_path_factory.mktemp("shop")
    made = None
    if request.param == "mongo":
        made = mongo_world(request.getfixturevalue("mongo_url"), folder, **settings(folder))
    async with shop(folder, made) as filled:
        yield filled


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def some(here: ServiceAndEmulator) -> Buyers:
    """A family that can buy, at one and a half times the platform's price."""
    made = await buyers(here)
    services = ("one_off", "phone_number", "listing", "subscription")
    multipliers = {f"store.{service}": "1.5" for service in services}
    await made.kin.mutate(
        made.kin.parent, "UpdateRebilling", account=made.kin.child.account,
        settings={"multipliers": multipliers},
    )  # fmt: skip
    return made


def lines(quote: Any) -> list[tuple[str, int, int]]:
    return [(line.part, line.quantity, line.amount.amount) for line in quote.lines]


async def changes(here: ServiceAndEmulator) -> dict[str, int]:
    """How many requests Stripe has had that change something, by route."""
    routes = (await here.emulator.control.stats()).routes
    return {route: count for route, count in routes.items() if not route.startswith("GET")}


# --- what it comes to -----------------------------------------------------------------------------


async def test_a_purchase_is_priced_and_nothing_is_held_or_charged(
    here: ServiceAndEmulator, some: Buyers
) -> None:
    kin = some.kin
    before, wallet = await changes(here), await kin.call(kin.parent, "GetWallet")
    quote = await some.preview(kin.child, item={"price": "price_add_on", "quantity": 2})
    assert lines(quote) == [("item", 2, 3_150)]
    assert (quote.total.amount, quote.total.currency) == (3_150, "usd")
    assert len(quote.quote) == 112
    assert not quote.HasField("renewal")
    assert not quote.charged_first
    assert (quote.seller, quote.stripe_account) == (kin.parent.account, kin.parent.stripe_account)
    assert await changes(here) == before
    assert await kin.call(kin.parent, "GetWallet") == wallet
    assert (await kin.call(kin.child, "ListReloads")).reloads == []


async def test_what_recurs_has_a_renewal_and_a_set_up_fee(some: Buyers) -> None:
    quote = await some.preview(some.kin.child, item=NUMBERS)
    # Two numbers at 1.15 and one at 0.995, times 1.5; half to even.
    assert lines(quote) == [("item", 3, 494), ("setup", 1, 750)]
    assert (quote.total.amount, quote.renewal.amount) == (1_244, 494)
    assert quote.interval_count == 1
    plan = await some.preview(some.kin.child, item={"price": "price_plan", "quantity": 1})
    assert (plan.total.amount, plan.renewal.amount) == (7_350, 7_350)


async def test_only_the_seller_and_operators_see_its_side(some: Buyers) -> None:
    kin = some.kin
    item = {"price": "price_add_on", "quantity": 2}
    assert not (await some.preview(kin.child, item=item)).HasField("sellers_view")
    for who in (kin.parent, OPERATOR):
        quote = await some.preview(who, item=item, account=kin.child.account)
        view = quote.sellers_view
        assert (view.cost.amount, view.multiplier, view.paid_by) == (2_100, "1.5", "wallet")
    plan = await some.preview(
        kin.parent, account=kin.child.account, item={"price": "price_plan", "quantity": 1}
    )
    assert (plan.sellers_view.paid_by, plan.sellers_view.cost.amount) == ("subscription", 4_900)


async def test_a_main_account_buys_from_the_platform(some: Buyers) -> None:
    kin = some.kin
    item = {"price": "price_add_on", "quantity": 1}
    quote = await some.preview(kin.parent, item=item)
    assert (quote.total.amount, quote.seller) == (1_050, "")
    assert quote.stripe_account == some.parent.stripe_account
    assert not quote.HasField("sellers_view")
    seen = await some.preview(OPERATOR, item=item, account=kin.parent.account)
    assert (seen.sellers_view.cost.amount, seen.sellers_view.paid_by) == (0, "none")


async def test_the_item_takes_the_place_of_the_one_in_the_cart(some: Buyers) -> None:
    child = some.kin.child
    first = await some.preview(child, item={"price": "price_add_on", "quantity": 1})
    assert first.cart
    again = await some.preview(child, item={"price": "price_add_on", "quantity": 1})
    assert again.cart == first.cart
    assert again.quote != first.quote
    other = await some.preview(child, item=NUMBERS, cart=first.cart)
    assert (other.cart, other.item.price) == (first.cart, "price_number")


async def test_nothing_to_pay_needs_no_payment_method(here: ServiceAndEmulator) -> None:
    kin = await family(here)
    nobody = Buyers(kin, None, None)  # type: ignore[arg-type]  # nobody pays here
    quote = await nobody.preview(kin.child, item={"price": "price_free", "quantity": 1})
    assert (quote.total.amount, quote.charged_first) == (0, False)


async def test_a_bank_debit_is_charged_first(here: ServiceAndEmulator, some: Buyers) -> None:
    method = await here.sdk.v1.payment_methods.create_async(
        {
            "type": "us_bank_account",
            "us_bank_account": {
                "account_holder_type": "individual", "account_number": "000123456789",
                "routing_number": "110000000",
            },
            "billing_details": {"name": "Xanthippe"},
        },
        some.child.options,
    )  # fmt: skip
    item = {"price": "price_add_on", "quantity": 1}
    quote = await some.preview(some.kin.child, item=item, payment_method=method.id)
    assert quote.charged_first


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"item": {"price": "price_add_on", "quantity": 0}},
         [("item.quantity", "QUANTITY_OUT_OF_RANGE")]),
        ({"item": {"price": "price_add_on", "quantity": 11}},
         [("item.quantity", "QUANTITY_OUT_OF_RANGE")]),
        ({"item": {"price": "price_add_on", "quantity": -1}},
         [("item.quantity", "QUANTITY_OUT_OF_RANGE")]),
        ({"item": {"price": "price_nowhere", "quantity": 1}}, [("item.price", "ITEM_UNKNOWN")]),
        ({"item": {"price": "\n", "quantity": 1}}, [("item.price", "ITEM_UNKNOWN")]),
        ({"item": {"price": "price_old", "quantity": 1}}, [("item.price", "ITEM_INACTIVE")]),
        ({"item": {"price": "price_gold", "quantity": 1}}, [("item.price", "ITEM_NOT_OFFERED")]),
        ({"item": {"price": "price_cheap", "quantity": 1}}, [("item", "AMOUNT_TOO_SMALL")]),
        ({"item": {"price": "price_dear", "quantity": 2}}, [("item", "AMOUNT_TOO_LARGE")]),
        ({"item": {"price": "price_dear", "quantity": 2**31 - 1}},
         [("item", "AMOUNT_TOO_LARGE"), ("item.quantity", "QUANTITY_OUT_OF_RANGE")]),
        ({"item": {"price": "price_add_on", "quantity": 1}, "cart": "cart_other"},
         [("cart", "WRONG_CART")]),
        ({"item": {"price": "price_add_on", "quantity": 1}, "seller": "globex"},
         [("account", "NOT_SUB_ACCOUNT")]),
        ({"item": {"price": "price_listing", "quantity": 1}},
         [("account", "LISTING_NOT_ELIGIBLE")]),
        ({"item": {"price": "price_add_on", "quantity": 1}, "payment_method": "\n"},
         [("payment_method", "")]),
        ({"item": {"price": "price_number", "quantity": 1}},
         [("item.country", ""), ("item.number_kind", "")]),
        ({"item": {"price": "price_number", "quantity": 1, "country": "FR", "number_kind": 1}},
         [("item.number_kind", "ITEM_UNKNOWN")]),
        ({"item": {"price": "price_number", "quantity": 1, "country": "de", "number_kind": 99}},
         [("item.country", ""), ("item.number_kind", "")]),
        ({}, [("item.price", "ITEM_UNKNOWN"), ("item.quantity", "QUANTITY_OUT_OF_RANGE")]),
        ({"item": {"price": "price_seat", "quantity": 3, "country": "DE"}, "seller": "globex",
          "cart": "cart_other", "payment_method": "\n"},
         [("account", "NOT_SUB_ACCOUNT"), ("cart", "WRONG_CART"), ("item.country", ""),
          ("item.price", "ITEM_INACTIVE"), ("item.quantity", "QUANTITY_OUT_OF_RANGE"),
          ("payment_method", "")]),
    ],
)  # fmt: skip
async def test_each_wrong_has_its_own_reason_and_all_are_told(
    here: ServiceAndEmulator, some: Buyers, fields: Any, told: list[tuple[str, str]]
) -> None:
    before = await changes(here)
    error = await some.refused(some.kin.child, **fields)
    assert reasons(error) == told
    assert reason_of(error) == "INVALID_FIELDS"
    assert await changes(here) == before


async def test_who_has_nothing_to_pay_with_is_told_with_the_rest(
    here: ServiceAndEmulator,
) -> None:
    kin = await family(here)
    nobody = Buyers(kin, None, None)  # type: ignore[arg-type]  # nobody pays here
    error = await nobody.refused(kin.child, item={"price": "price_gold", "quantity": 5})
    assert reasons(error) == [
        ("item.price", "ITEM_NOT_OFFERED"), ("item.quantity", "QUANTITY_OUT_OF_RANGE"),
        ("payment_method", "NO_PAYMENT_METHOD"),
    ]  # fmt: skip


async def test_a_currency_that_the_seller_does_not_take(here: ServiceAndEmulator) -> None:
    spec = AccountSpec(id="acct_Brazil", name="Brazil", country="BR", currency="brl")
    place = await here.emulator.control.create_account(spec)
    parent = await here.tenant(stripe_account=place)
    kin = Family(here, parent, await here.tenant(parent=parent.account))
    await kin.grant(10_000)
    made = Buyers(kin, await payer(kin, kin.child), await payer(kin, kin.parent))
    error = await made.refused(kin.child, item={"price": "price_add_on", "quantity": 1})
    assert reasons(error) == [("item.price", "CURRENCY_NOT_TAKEN")]


async def test_without_a_rate_of_today_or_yesterday_there_is_no_cost(some: Buyers) -> None:
    error = await some.refused(some.kin.child, item={"price": "price_francs", "quantity": 1})
    info = details_of(error)
    assert (info.reason, dict(info.metadata)) == (
        "RATE_UNAVAILABLE", {"currency": "chf", "base": "usd"},
    )  # fmt: skip
    # The platform sells without a cost.
    quote = await some.preview(some.kin.parent, item={"price": "price_francs", "quantity": 1})
    assert quote.total.currency == "chf"


async def test_unusable_payment_methods_look_alike(here: ServiceAndEmulator, some: Buyers) -> None:
    kin = some.kin
    sibling = await here.tenant(parent=kin.parent.account)
    others = await payer(Family(here, kin.parent, sibling), sibling)
    item = {"price": "price_add_on", "quantity": 1}
    told = set()
    for method in ("ba_1", others.card, some.parent.card, "pm_nowhere", "card_nowhere"):
        error = await some.refused(kin.child, item=item, payment_method=method)
        told.add((reason_of(error), error.details()))
    ((reason, _),) = told
    assert reason == "PAYMENT_METHOD_UNUSABLE"


@pytest.mark.parametrize(
    ("funds", "price", "lacking"),
    [(1_049, "price_add_on", "funds"), (0, "price_add_on", "funds"), (0, "price_plan", "card")],
)
async def test_only_the_seller_learns_what_it_lacks(
    here: ServiceAndEmulator, funds: int, price: str, lacking: str
) -> None:
    kin = await family(here)
    if funds:
        await kin.grant(funds)
    made = Buyers(kin, await payer(kin, kin.child), None)  # type: ignore[arg-type]  # it lacks that
    item = {"price": price, "quantity": 1}
    info = details_of(await made.refused(kin.child, item=item))
    assert (info.reason, dict(info.metadata)) == ("SELLER_UNAVAILABLE", {})
    info = details_of(await made.refused(kin.parent, item=item, account=kin.child.account))
    assert (info.reason, dict(info.metadata)) == ("SELLER_UNAVAILABLE", {"lacking": lacking})


async def test_a_seller_whose_connection_was_revoked_sells_nothing(
    here: ServiceAndEmulator,
) -> None:
    made = await buyers(here)
    kin = made.kin
    await here.emulator.control.deauthorize(kin.parent.stripe_account)
    item = {"price": "price_add_on", "quantity": 1}
    info = details_of(await made.refused(kin.child, item=item, payment_method="pm_card_visa"))
    assert (info.reason, dict(info.metadata)) == ("SELLER_UNAVAILABLE", {})


async def test_anothers_account_is_not_found(here: ServiceAndEmulator, some: Buyers) -> None:
    stranger = await here.tenant()
    item = {"price": "price_add_on", "quantity": 1}
    for account in (some.kin.child.account, some.kin.parent.account, "nobody"):
        error = await some.refused(stranger, item=item, account=account)
        assert reason_of(error) == "NOT_FOUND"
    # Nor may a sub-account act for its parent.
    error = await some.refused(some.kin.child, item=item, account=some.kin.parent.account)
    assert reason_of(error) == "NOT_FOUND"


# --- the command ----------------------------------------------------------------------------------


async def test_the_command_lists_what_the_account_pays(
    here: ServiceAndEmulator, some: Buyers
) -> None:
    settings = {
        **here.service.settings,
        "BILLING_ADDRESS": f"127.0.0.1:{here.service.ports['grpc']}",
    }
    arguments = ("catalogue", "--account", some.kin.child.account, "--json")
    ended, out, error = await run_command(*arguments, **settings)
    assert ended == 0, error
    document = json.loads(out)
    amounts = {
        product["price"]: product["unit_amount"]["amount"]
        for product in document["products"]
        if "unit_amount" in product
    }
    assert (amounts["price_add_on"], amounts["price_plan"]) == ("1575", "7350")
    assert not {"price_old", "price_gold", "price_seat"} & {*amounts}
    assert document["more"] is False
