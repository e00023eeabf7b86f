"""Pricing: all is gathered, all that is wrong is told at once, and sellers learn what they lack."""

import asyncio
import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import create_autospec

import pytest

from application.checkouts.currencies import TakenCurrencies
from application.checkouts.multipliers import Multipliers
from application.checkouts.number_prices import NumberPrices
from application.checkouts.paying import ChosenMethod, MethodChoice, MethodReads
from application.checkouts.ports import Carts, StoreCatalogue, StoreSubscriptions
from application.checkouts.pricing import Priced, Pricing, Purchase
from application.checkouts.sellers import Lacking, Sellers, SellerUnavailable
from application.checkouts.setup_fees import SetupFees
from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.jobs.outbox import Outbox
from application.requests.callers import OPERATOR
from application.wallet.ports import Buyers
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.carts import CartItem
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Reason,
    Unavailable,
)
from domain.ledger_commands import PostGrant
from domain.money import Money
from domain.payment_methods import PaymentMethod
from domain.rates import Rate
from domain.store_products import Offer
from domain.wallets import Buyer, Wallet
from tests.support.fakes.journal import JournalInMemory
from tests.support.fakes.rates import FakeRates
from tests.support.fakes.stores import FakeAccounts, FakeClock
from tests.support.rooms.store import (
    ADD_ON,
    GERMAN,
    LILY,
    LISTING,
    MAIN,
    NOON,
    NUMBER,
    OFFERS,
    PLAN,
    SETUP,
    cart,
    item,
)

CARD = PaymentMethod("pm_1", "card", "cus_lily")
REVOKED = FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "revoked")


@dataclass
class Shop:
    """What a purchase is priced by, each part as a test wants it."""

    offers: tuple[Offer, ...] = OFFERS
    accounts: tuple[Account, ...] = (MAIN, LILY)
    base_currency: str = "usd"
    funds: int = 1_000_000
    default: str = "pm_1"
    sellers_default: str = "pm_acme"
    method: PaymentMethod | None = CARD
    connected: bool = True
    takes: bool = True
    has_listing: bool = False
    multiplier: str = "1.25"
    method_fails: Exception | None = None
    number_price: Any = GERMAN
    rates: list[Rate] = field(default_factory=list)
    jobs: list[Any] = field(default_factory=list)
    queued: asyncio.Event = field(default_factory=asyncio.Event)

    async def pricing(self) -> Pricing:
        clock = FakeClock(NOON)
        catalogue = create_autospec(StoreCatalogue, instance=True)
        known = {offer.price.id: offer for offer in self.offers}
        catalogue.get.side_effect = known.get
        carts = create_autospec(Carts, instance=True)
        carts.get.return_value = cart()
        subscriptions = create_autospec(StoreSubscriptions, instance=True)
        subscriptions.has_listing.return_value = self.has_listing
        multipliers = create_autospec(Multipliers, instance=True)
        multipliers.of.side_effect = lambda buyer: (
            lambda _: self.multiplier if buyer.parent else "1"
        )
        numbers = create_autospec(NumberPrices, instance=True)
        if isinstance(self.number_price, Exception):
            numbers.price.side_effect = self.number_price
        else:
            numbers.price.return_value = self.number_price
        fees = create_autospec(SetupFees, instance=True)
        fees.fee.return_value = SETUP
        buyers = create_autospec(Buyers, instance=True)
        there = {
            ("lily", "acct_acme"): Buyer("lily", "acct_acme", "cus_lily", NOON),
            ("acme", "acct_platform"): Buyer("acme", "acct_platform", "cus_acme", NOON),
        }
        buyers.get.side_effect = lambda account, place: there.get((account, place))
        currencies = create_autospec(TakenCurrencies, instance=True)
        currencies.takes.return_value = self.takes
        rates = FakeRates()
        await rates.add(OPERATOR, self.base_currency, self.rates)
        accounts = FakeAccounts(*self.accounts)
        return Pricing(
            accounts.get, catalogue.get, buyers.get, carts, subscriptions, multipliers, numbers,
            fees, Wallets(accounts, self.base_currency), rates,
            await self._sellers(buyers, clock), MethodChoice(self._methods()), currencies, clock,
        )  # fmt: skip

    def _methods(self) -> MethodReads:
        methods = create_autospec(MethodReads, instance=True)
        defaults = {"cus_lily": self.default, "cus_acme": self.sellers_default}
        methods.default_of.side_effect = lambda _, customer: defaults[customer]
        methods.read.return_value = self.method
        methods.read.side_effect = self.method_fails
        return methods

    async def _sellers(self, buyers: Any, clock: FakeClock) -> Sellers:
        connections = create_autospec(Connections, instance=True)
        connection = Connection("acme", "acct_acme", Mode.TEST, ConnectionKind.MANUAL, NOON)
        connections.of.side_effect = None if self.connected else REVOKED
        connections.of.return_value = connection
        platform = create_autospec(Platform, instance=True)
        platform.stripe_account.return_value = "acct_platform"
        outbox = create_autospec(Outbox, instance=True)
        outbox.append.side_effect = self.jobs.extend
        journal = JournalInMemory()
        if self.funds:
            grant = PostGrant(key="g", payload_hash="", actor="t", at=NOON, amount=self.funds)
            await journal.append(Wallet("acme", None, self.base_currency), [grant])
        return Sellers(
            connections, platform, journal.head, buyers.get, journal, self._methods(), outbox,
            clock, self.queued,
        )  # fmt: skip

    async def price(self, offer: Offer = ADD_ON, quantity: int = 1, **more: Any) -> Priced:
        wanted = Purchase(**{"account": "lily", "item": item(offer, quantity), **more})
        return await (await self.pricing()).price(wanted)

    async def refused(self, offer: Offer = ADD_ON, quantity: int = 1, **more: Any) -> Any:
        with pytest.raises((InvalidArgument, FailedPrecondition, Unavailable, NotFound)) as caught:
            await self.price(offer, quantity, **more)
        return caught.value


def reasons(error: Any) -> set[Reason | None]:
    assert isinstance(error, InvalidArgument)
    return {violation.reason for violation in error.violations}


# --- what is gathered -----------------------------------------------------------------------------


async def test_a_purchase_has_its_quote_its_method_and_its_customer() -> None:
    priced = await Shop().price(quantity=2)
    # 2 x 10.50 x 1.25 for the buyer, 2 x 10.50 for the seller.
    assert (priced.quote.total, priced.quote.cost) == (Money(2_625, "usd"), Money(2_100, "usd"))
    assert (priced.quote.buyer, priced.quote.seller) == ("lily", "acme")
    assert priced.quote.stripe_account == "acct_acme"
    assert (priced.customer, priced.method) == ("cus_lily", ChosenMethod("pm_1"))
    assert priced.cart == cart()
    assert priced.sellers_customer == ""


async def test_a_main_account_pays_the_platforms_price_on_its_account() -> None:
    method = PaymentMethod("pm_1", "card", None)
    priced = await Shop(funds=0, connected=False, method=method).price(
        account="acme", payment_method="pm_1"
    )
    assert (priced.quote.total, priced.quote.held) == (Money(1_050, "usd"), Money(0, "usd"))
    assert (priced.quote.seller, priced.quote.stripe_account) == (None, "acct_platform")
    assert priced.customer == "cus_acme"


async def test_numbers_are_priced_by_tier_with_the_set_up_fee() -> None:
    quote = (await Shop().price(NUMBER, 3)).quote
    # (1.15 + 1.15 + 0.995) x 1.25, and 5.00 x 1.25.
    assert [line.amount.amount for line in quote.lines] == [412, 625]
    assert quote.renewal == Money(412, "usd")


async def test_a_subscription_names_the_sellers_customer() -> None:
    priced = await Shop(funds=0).price(PLAN)
    assert priced.sellers_customer == "cus_acme"
    assert priced.quote.held == Money(0, "usd")


async def test_the_cost_is_in_the_wallets_currency_at_the_platforms_rate() -> None:
    today = NOON.date()
    for day, total in ((today, 966), (today - dt.timedelta(days=1), 966)):
        quote = (await Shop(base_currency="eur", rates=[Rate(day, "usd", "0.92")]).price()).quote
        assert (quote.cost, quote.rate) == (Money(total, "eur"), "0.92")


@pytest.mark.parametrize("kind", ["us_bank_account", "sepa_debit", "link", "unheard_of"])
async def test_what_cannot_be_authorised_is_charged_first(kind: str) -> None:
    priced = await Shop(method=PaymentMethod("pm_1", kind, "cus_lily")).price()
    assert priced.method == ChosenMethod("pm_1", charged_first=True)


async def test_nothing_to_pay_needs_nothing_to_pay_with() -> None:
    free = replace(ADD_ON, price=replace(ADD_ON.price, unit_amount=0))
    for shop in (Shop((free,), default="", funds=0), Shop((free,), method=None)):
        priced = await shop.price(free)
        assert (priced.method, priced.quote.total) == (None, Money(0, "usd"))


# --- refusals -------------------------------------------------------------------------------------


async def test_all_that_is_wrong_is_told_at_once_with_what_the_caller_adds() -> None:
    plain = replace(LILY, flags=())
    inactive = replace(LISTING, product=replace(LISTING.product, active=False, tiers=("gold",)))
    shop = Shop(
        (inactive,), (MAIN, plain), default="", takes=False, has_listing=True, funds=0,
        connected=True,
    )  # fmt: skip
    wanted = Purchase("lily", item(inactive, 2), "cart_other", "globex")
    added = FieldViolation("quote", "at most 15 minutes old", Reason.QUOTE_EXPIRED)
    with pytest.raises(InvalidArgument) as caught:
        await (await shop.pricing()).price(wanted, [added])
    assert reasons(caught.value) == {
        Reason.QUOTE_EXPIRED, Reason.WRONG_CART, Reason.NOT_SUB_ACCOUNT, Reason.ITEM_INACTIVE,
        Reason.QUANTITY_OUT_OF_RANGE, Reason.ITEM_NOT_OFFERED, Reason.CURRENCY_NOT_TAKEN,
        Reason.LISTING_NOT_ELIGIBLE, Reason.LISTING_EXISTS, Reason.NO_PAYMENT_METHOD,
    }  # fmt: skip
    assert shop.jobs == []


async def test_a_listing_is_sold_once() -> None:
    await Shop().price(LISTING)
    assert reasons(await Shop(has_listing=True).refused(LISTING)) == {Reason.LISTING_EXISTS}
    # What is no listing, a listing does not forbid.
    await Shop(has_listing=True).price(ADD_ON)


async def test_amounts_that_stripe_does_not_charge() -> None:
    cheap = replace(ADD_ON, price=replace(ADD_ON.price, unit_amount=39))
    assert reasons(await Shop((cheap,)).refused(cheap)) == {Reason.AMOUNT_TOO_SMALL}
    dear = replace(ADD_ON, price=replace(ADD_ON.price, unit_amount=99_999_999))
    assert reasons(await Shop((dear,)).refused(dear)) == {Reason.AMOUNT_TOO_LARGE}


async def test_violations_are_told_before_what_does_not_answer() -> None:
    down = Unavailable(Reason.PRICE_UNAVAILABLE, "no price")
    shop = Shop(number_price=down, default="")
    assert reasons(await shop.refused(NUMBER, 101)) == {
        Reason.QUANTITY_OUT_OF_RANGE, Reason.NO_PAYMENT_METHOD,
    }  # fmt: skip
    assert await Shop(number_price=down).refused(NUMBER) is down


async def test_numbers_that_are_not_sold_are_no_item() -> None:
    assert reasons(await Shop(number_price=None).refused(NUMBER)) == {Reason.ITEM_UNKNOWN}


async def test_an_item_that_says_too_little_is_not_priced() -> None:
    for wanted, fields in (
        (CartItem("price_number", 1), {"item.country", "item.number_kind"}),
        (CartItem("price_number", 0, "de", "fax"),
         {"item.quantity", "item.country", "item.number_kind"}),
    ):  # fmt: skip
        error = await Shop().refused(item=wanted)
        assert {violation.field for violation in error.violations} == fields


async def test_a_cart_that_is_not_the_accounts() -> None:
    await Shop().price(cart="cart_lily")
    assert reasons(await Shop().refused(cart="cart_acme")) == {Reason.WRONG_CART}


@pytest.mark.parametrize("age", [2, 3])
async def test_a_rate_of_before_yesterday_is_none(age: int) -> None:
    old = Rate(NOON.date() - dt.timedelta(days=age), "usd", "0.92")
    error = await Shop(base_currency="eur", rates=[old]).refused()
    assert (error.reason, error.metadata) == (
        Reason.RATE_UNAVAILABLE, {"currency": "usd", "base": "eur"},
    )  # fmt: skip


async def test_without_a_base_currency_no_wallet_pays_a_cost() -> None:
    shop = Shop(base_currency="", funds=0)
    assert (await shop.refused()).reason is Reason.WRONG_CURRENCY
    await shop.price(account="acme", payment_method="pm_1", item=item(ADD_ON))


@pytest.mark.parametrize(
    ("method", "shown"), [("ba_1", CARD), ("pm_1", None), ("pm_other", None), ("card_1", None)]
)
async def test_unusable_payment_methods(method: str, shown: PaymentMethod | None) -> None:
    error = await Shop(method=shown).refused(payment_method=method)
    assert error.reason is Reason.PAYMENT_METHOD_UNUSABLE
    assert error.metadata == {}


async def test_an_unknown_account_is_not_found() -> None:
    assert (await Shop().refused(account="nobody")).reason is Reason.NOT_FOUND


# --- sellers that cannot sell ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shop", "offer", "lacking"),
    [
        (Shop(funds=1_049), ADD_ON, Lacking.FUNDS),
        (Shop(funds=0), LISTING, Lacking.FUNDS),
        (Shop(sellers_default=""), PLAN, Lacking.CARD),
        (Shop(connected=False), ADD_ON, Lacking.CONNECTION),
        (Shop(method_fails=REVOKED), ADD_ON, Lacking.CONNECTION),
    ],
)
async def test_the_buyer_learns_nothing_and_the_seller_gets_a_job(
    shop: Shop, offer: Offer, lacking: Lacking
) -> None:
    shop.jobs.clear()
    error = await shop.refused(offer)
    assert isinstance(error, SellerUnavailable)
    assert (error.reason, error.metadata) == (Reason.SELLER_UNAVAILABLE, {})
    assert lacking not in error.message
    told = error.told(to_seller=True)
    assert told.metadata == {"lacking": lacking.value}
    await shop.refused(offer)
    first, second = shop.jobs
    assert first.id == second.id == f"store.seller_unavailable/acme/{lacking}/2026-01-31"
    assert (first.kind, first.account) == ("store.seller_unavailable", "acme")
    assert first.payload == {"lacking": lacking.value, "buyer": "lily", "price": offer.price.id}
    assert shop.queued.is_set()


async def test_funds_that_are_just_enough_do() -> None:
    await Shop(funds=1_050).price()


async def test_what_is_wrong_with_the_purchase_is_told_before_the_sellers_lack() -> None:
    shop = Shop(funds=0, connected=False)
    assert reasons(await shop.refused(quantity=11)) == {Reason.QUANTITY_OUT_OF_RANGE}
    assert shop.jobs == []
