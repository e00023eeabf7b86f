"""What is fixed of a checkout before anything is done, and what it learns afterwards."""

import datetime as dt
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from application.processes.ports import ProcessRecord
from application.processes.process import Run
from domain.carts import CartItem, digest_of
from domain.checkouts import CheckoutState
from domain.money import Money
from domain.quotes import CostLeg, Quote
from domain.store_products import ProductKind
from domain.store_subscriptions import Standing
from domain.wallets import Wallet

KIND: Final = "checkout"
"""The kind of the process, and so the beginning of its ids."""


@dataclass(frozen=True, slots=True)
class CheckoutTerms:
    """What never changes.

    - `quote`: the whole purchase as priced: buyer, seller, item, lines, costs, multiplier, rate.
      `quote.stripe_account` is the seller's, on which the buyer pays.
    - `quote_id`: of the seal that began it. `cart`: the cart's id; empty: none.
    - `platform_account`: the platform's own Stripe account, for the seller's subscription.
    - `wallet_currency`: of all wallets; empty where the deployment has none.
    - `customer`: what the buyer is at the seller's, if that was known. `payment_method`: what is
      charged; empty where nothing is to pay. `charged_first`: it cannot be authorised.
    - `sellers_customer`: what the seller is on the platform's account, where it subscribes there.
    - `setup_product`: the platform's product of set-up fees.
    - `actor`: the subject of the token that bought; `home`: the account that token was made for.
    """

    quote: Quote
    quote_id: str
    request_id: str
    actor: str
    home: str
    livemode: bool
    platform_account: str = ""
    wallet_currency: str = ""
    cart: str = ""
    customer: str = ""
    payment_method: str = ""
    charged_first: bool = False
    sellers_customer: str = ""
    setup_product: str = ""

    @property
    def buyer(self) -> str:
        """The account that buys."""
        return self.quote.buyer

    @property
    def seller(self) -> str | None:
        """The account that sells; None: the platform."""
        return self.quote.seller

    @property
    def stripe_account(self) -> str:
        """The seller's, on which the buyer pays."""
        return self.quote.stripe_account

    @property
    def item(self) -> CartItem:
        """What is bought."""
        return self.quote.item

    @property
    def kind(self) -> ProductKind:
        """The kind of its product."""
        return self.quote.kind

    @property
    def total(self) -> Money:
        """What the buyer pays now."""
        return self.quote.total

    @property
    def renews(self) -> bool:
        """Whether further periods follow."""
        return self.quote.kind.recurs

    @property
    def subscribes(self) -> bool:
        """Whether the seller pays the platform by a subscription of its own."""
        return self.quote.leg is CostLeg.SUBSCRIPTION

    @property
    def buyers_wallet(self) -> Wallet:
        """The buyer's wallet. Without wallets in the deployment it only tells who buys of whom."""
        currency = self.wallet_currency or self.quote.currency
        return Wallet(self.quote.buyer, self.quote.seller, currency)

    @property
    def sellers_wallet(self) -> Wallet | None:
        """The wallet that pays the cost; None where none does."""
        if self.quote.leg is not CostLeg.WALLET or self.quote.seller is None:
            return None
        return Wallet(self.quote.seller, None, self.quote.cost.currency)


@dataclass(frozen=True, slots=True)
class SaleRefund:
    """A part of the payment that the seller gives back.

    `number` counts them from 1. `return_cost`: the seller's cost comes back, too. `outcome` is
    empty while it is under way, GIVEN_BACK, or the reason for which it was not.
    """

    number: int
    request_id: str
    amount: int
    reason: str
    return_cost: bool = False
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an operator has decided, and why."""

    request_id: str
    resolution: str
    reason: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class CheckoutData:
    """How far the sale is, and what of it was given back.

    - `customer`: what the buyer is at the seller's. `payment_intent`, `charge`: of the sale; empty
      where nothing is to pay. `amount`: what was captured, in the sale's currency.
    - `attempt` counts the confirmations; `payment_method` is that of the last one (empty: that of
      the terms), `request_ids` who asked for one again.
    - `asks_since`: since when the buyer has to do something. `cancels` counts the tries to cancel
      the payment, `gone_for_good` tells that one succeeded.
    - `capture_by`: when the payment is captured at the latest. `captured_at`: when it was, as
      Stripe shows it, in whole seconds; of what costs nothing, or a bank took its time with, by our
      clock.
    - `sellers_subscription`: the seller's own at the platform. `renewal`: the buyer's at the
      seller's; empty while there is none. `renewal_refused`: why there will be none.
    - `number`, `gone`, `withheld`: the targets of what is given back and disputed, which are stored
      before they are acted upon; `told` is the number of those that a job has told.
      `refund_failed`: people are to hear that a refund has failed. `cost_returned`: what of the
      cost came back to the seller.
    - `standing`: how what was bought stands, as jobs have told it `standings` times.
    - `collects`: whether the renewal's payments are collected, as far as that is ours;
      `sellers_end`: whether the seller's subscription is to end with its period; `renewal_changes`
      counts these changes. `renewal_canceled`: the renewal was ended.
    - `provisioned`: the jobs that tell of the sale are made.
    - `decline_code`, `advice`: of the last attempt, in Stripe's words, if that failed.
    - `changed_at`: when it last changed otherwise than in its state.
    """

    customer: str = ""
    payment_intent: str = ""
    charge: str = ""
    amount: int = 0
    attempt: int = 1
    payment_method: str = ""
    request_ids: tuple[str, ...] = ()
    asks_since: dt.datetime | None = None
    cancels: int = 0
    gone_for_good: bool = False
    capture_by: dt.datetime | None = None
    captured_at: dt.datetime | None = None
    sellers_subscription: str = ""
    renewal: str = ""
    renewal_refused: str = ""
    number: int = 0
    gone: int = 0
    withheld: int = 0
    told: int = 0
    refund_failed: bool = False
    cost_returned: int = 0
    standing: str = Standing.ACTIVE
    standings: int = 0
    collects: bool = True
    sellers_end: bool = False
    renewal_changes: int = 0
    renewal_canceled: bool = False
    refunds: tuple[SaleRefund, ...] = ()
    provisioned: bool = False
    decline_code: str = ""
    advice: str = ""
    resolutions: tuple[Resolution, ...] = ()
    changed_at: dt.datetime | None = None


CheckoutRun: TypeAlias = Run[CheckoutTerms, CheckoutData]


def terms_of(record: ProcessRecord) -> CheckoutTerms:
    """What was fixed of a checkout."""
    return msgspec.json.decode(record.frozen, type=CheckoutTerms)


def data_of(record: ProcessRecord) -> CheckoutData:
    """What a checkout has learnt."""
    return msgspec.json.decode(record.progress.data, type=CheckoutData)


def state_of(record: ProcessRecord) -> CheckoutState | None:
    """How far a checkout is; None where an operator has closed it in a word of his own."""
    state = record.progress.state
    return CheckoutState(state) if state in {*CheckoutState} else None


def claims(terms: CheckoutTerms) -> tuple[str, ...]:
    """What the one open checkout of a buyer and cart item has, and no other; listings are one."""
    of_item = f"{KIND}/{terms.buyer}/{terms.item.key}"
    if terms.kind is not ProductKind.LISTING:
        return (of_item,)
    return of_item, f"{KIND}/{terms.buyer}/{digest_of(ProductKind.LISTING)}"
