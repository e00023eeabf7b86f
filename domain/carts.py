"""Carts: the one item that an account is about to buy, and what may be wrong with it."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from domain.accounts import ACCOUNT_ID, Account
from domain.errors import FieldViolation, Reason
from domain.ids import ID_RULE, is_object_id
from domain.money import Money, largest_charge, smallest_charge
from domain.phone_numbers import COUNTRY, COUNTRY_RULE, NumberKind
from domain.store_products import LISTINGS, Offer, ProductKind

DIGEST_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class CartItem:
    """So many units at a price of the store; nothing is checked yet but the ids' form.

    `country` and `number_kind` say which phone numbers, and are empty for all else.
    """

    price: str
    quantity: int
    country: str = ""
    number_kind: str = ""

    @property
    def key(self) -> str:
        """The same for the same thing, whatever its quantity: one open checkout a buyer and key."""
        return digest_of(self.price, self.country, self.number_kind)

    @property
    def digest(self) -> str:
        """The same for the same thing and quantity."""
        return digest_of(self.price, self.country, self.number_kind, self.quantity)


@dataclass(frozen=True, slots=True)
class Cart:
    """What an account is about to buy. `id` stays while the item changes, `revision` grows from 1.

    `updated_at` is aware.
    """

    id: str
    account: str
    item: CartItem
    updated_at: dt.datetime
    revision: int = 1

    def __post_init__(self) -> None:
        if not is_object_id(self.id):
            raise ValueError(f"id: {ID_RULE}")
        if not ACCOUNT_ID.fullmatch(self.account):
            raise ValueError("account: not an account's id")
        if self.revision < 1:
            raise ValueError("revision: from 1")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a purchase when its item is judged.

    - `offer`: what the item names; None where the store has no such price.
    - `seller`: the account that is to sell, None for the platform; it is `buyer.parent` or refused.
    - `total`: what the sale comes to; None where it could not be priced.
    - `takes_currency`: whether the seller's Stripe account takes the price's currency.
    - `has_method`: whether there is something to charge; it matters only above zero.
    - `has_listing`: whether the buyer has a listing that stands.
    """

    buyer: Account
    seller: str | None
    offer: Offer | None
    total: Money | None = None
    takes_currency: bool = True
    has_method: bool = True
    has_listing: bool = False


def item_violations(item: CartItem) -> Iterator[FieldViolation]:
    """What no offer could mend."""
    if not is_object_id(item.price):
        yield FieldViolation("item.price", ID_RULE, Reason.ITEM_UNKNOWN)
    if item.quantity < 1:
        yield FieldViolation("item.quantity", "from 1", Reason.QUANTITY_OUT_OF_RANGE)
    if item.country and not COUNTRY.fullmatch(item.country):
        yield FieldViolation("item.country", COUNTRY_RULE)
    if item.number_kind and item.number_kind not in {*NumberKind}:
        yield FieldViolation("item.number_kind", f"one of {', '.join(NumberKind)}")


def purchase_violations(item: CartItem, known: Circumstances) -> Iterator[FieldViolation]:
    """Everything that is wrong with a purchase, each with its own reason.

    Pure: the caller looks up what is known. It holds those of `item_violations`.
    """
    yield from item_violations(item)
    if known.seller != known.buyer.parent:
        rule = "must be a sub-account of this seller"
        yield FieldViolation("account", rule, Reason.NOT_SUB_ACCOUNT)
    if known.offer is None:
        if is_object_id(item.price):
            rule = "must be a price that ListStoreProducts tells"
            yield FieldViolation("item.price", rule, Reason.ITEM_UNKNOWN)
    else:
        yield from _offer_violations(item, known.offer, known)
    if known.total is not None:
        yield from _total_violations(known.total)
    if not known.has_method and (known.total is None or known.total):
        rule = "must be given: there is no default to take"
        yield FieldViolation("payment_method", rule, Reason.NO_PAYMENT_METHOD)


def _offer_violations(
    item: CartItem, offer: Offer, known: Circumstances
) -> Iterator[FieldViolation]:
    product = offer.product
    if not offer.active:
        yield FieldViolation("item.price", "must be sold still", Reason.ITEM_INACTIVE)
    if item.quantity > product.most:
        rule = f"1 to {product.most:,}"
        yield FieldViolation("item.quantity", rule, Reason.QUANTITY_OUT_OF_RANGE)
    if not product.offered_to(known.buyer):
        rule = "must be one that is offered to the account"
        yield FieldViolation("item.price", rule, Reason.ITEM_NOT_OFFERED)
    if not known.takes_currency:
        rule = "must be in a currency that the seller takes"
        yield FieldViolation("item.price", rule, Reason.CURRENCY_NOT_TAKEN)
    if product.kind is ProductKind.PHONE_NUMBER:
        for name in ("country", "number_kind"):
            if not getattr(item, name):
                yield FieldViolation(f"item.{name}", "must be given for phone numbers")
    elif item.country or item.number_kind:
        field = "item.country" if item.country else "item.number_kind"
        yield FieldViolation(field, "only phone numbers have one")
    if product.kind is ProductKind.LISTING:
        if LISTINGS not in known.buyer.flags:
            rule = f"must have the flag {LISTINGS}"
            yield FieldViolation("account", rule, Reason.LISTING_NOT_ELIGIBLE)
        if known.has_listing:
            yield FieldViolation("account", "must have no listing yet", Reason.LISTING_EXISTS)


def _total_violations(total: Money) -> Iterator[FieldViolation]:
    least, most = smallest_charge(total.currency), largest_charge(total.currency)
    if 0 < total.amount < least:
        rule = f"must come to {least:,} minor units of {total.currency} at least, or to nothing"
        yield FieldViolation("item", rule, Reason.AMOUNT_TOO_SMALL)
    if total.amount > most:
        rule = f"must come to {most:,} minor units of {total.currency} at most"
        yield FieldViolation("item", rule, Reason.AMOUNT_TOO_LARGE)


def digest_of(*parts: object) -> str:
    """A digest of plain values, of DIGEST_CHARACTERS hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:DIGEST_CHARACTERS]
