"""What callers' input about subscriptions may be: all violations of a command at once."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from application.requests.violations import (
    CUSTOMER_ID,
    PRICE_ID,
    id_violations,
    optional_id_violations,
)
from application.subscriptions.fields import FIELDS
from application.subscriptions.ports import (
    Cancellation,
    CollectionPause,
    ItemChange,
    NewSubscription,
    SubscriptionFields,
    SubscriptionUpdate,
)
from domain.errors import FieldViolation
from domain.subscriptions import SubscriptionItem

MAX_ITEMS: Final = 20
"""How many items Stripe takes (API reference, "Create a subscription", `items`)."""

MAX_STATUSES: Final = 10
MAX_DAYS: Final = 730
"""Stripe's longest trial in days, and what we take for the longest term of payment."""

MAX_QUANTITY: Final = 2**31 - 1

_COLLECTION: Final = ("charge_automatically", "send_invoice")
_PAYMENT: Final = ("error_if_incomplete", "allow_incomplete", "default_incomplete")
_PRORATION: Final = ("create_prorations", "always_invoice", "none")
_PAUSE: Final = ("keep_as_draft", "mark_uncollectible", "void")
_STATUS: Final = re.compile(r"[a-z_]{1,40}")


def subscription_id_violations(value: str, field: str) -> Iterator[FieldViolation]:
    """The id of a subscription."""
    return id_violations(value, field, "sub_1MowQVLkdIwHu7ixeRlqHVzs")


def statuses_violations(statuses: Sequence[str]) -> Iterator[FieldViolation]:
    """Statuses to list; unknown ones are none of anybody's subscriptions."""
    if len(statuses) > MAX_STATUSES:
        yield FieldViolation("statuses", f"at most {MAX_STATUSES}")
    elif not all(map(_STATUS.fullmatch, statuses)):
        yield FieldViolation("statuses", "statuses in Stripe's words, such as active")


def new_violations(wanted: NewSubscription) -> Iterator[FieldViolation]:
    """A subscription to start."""
    yield from id_violations(wanted.customer, "customer", CUSTOMER_ID)
    if not 1 <= len(wanted.items) <= MAX_ITEMS:
        yield FieldViolation("items", f"1 to {MAX_ITEMS}")
    for place, item in enumerate(wanted.items[:MAX_ITEMS]):
        yield from _price_violations(item.price, f"items[{place}].price")
        yield from _quantity_violations(item.quantity, f"items[{place}].quantity")
    yield from _repeated_violations([item.price for item in wanted.items[:MAX_ITEMS]])
    if wanted.trial_days is not None and not 1 <= wanted.trial_days <= MAX_DAYS:
        yield FieldViolation("trial_days", f"1 to {MAX_DAYS}")
    yield from _collection_violations(wanted)
    yield from _choice_violations(wanted.proration_behavior, "proration_behavior", _PRORATION)
    yield from FIELDS.violations(wanted.fields, within="")


def change_violations(
    change: SubscriptionUpdate, values: SubscriptionFields, mask: Sequence[str]
) -> Iterator[FieldViolation]:
    """A change of a subscription: of the fields, of the items, or of both."""
    yield from subscription_id_violations(change.id, "subscription.id")
    yield from FIELDS.mask_violations(values, mask, has_more=bool(change.items))
    yield from FIELDS.violations(values)
    yield from items_violations(change.items)
    for name, choices in (("proration_behavior", _PRORATION), ("payment_behavior", _PAYMENT)):
        yield from _choice_violations(getattr(change, name), name, choices)
        if getattr(change, name) and not change.items:
            yield FieldViolation(name, "only with items")


def cancellation_violations(cancellation: Cancellation) -> Iterator[FieldViolation]:
    """The end of a subscription."""
    yield from subscription_id_violations(cancellation.id, "id")
    for name in ("invoice_now", "prorate"):
        if cancellation.at_period_end and getattr(cancellation, name):
            yield FieldViolation(name, "not with at_period_end: the period is paid for and used")


def pause_violations(pause: CollectionPause) -> Iterator[FieldViolation]:
    """A pause of the collection of payments."""
    yield from subscription_id_violations(pause.id, "id")
    if pause.behavior not in _PAUSE:
        yield FieldViolation("behavior", _one_of(_PAUSE))


def items_violations(items: Sequence[ItemChange]) -> Iterator[FieldViolation]:
    """Changes of a subscription's items."""
    if len(items) > MAX_ITEMS:
        yield FieldViolation("items", f"at most {MAX_ITEMS}")
    for place, item in enumerate(items[:MAX_ITEMS]):
        yield from _item_violations(item, f"items[{place}]")
    ids = [item.id for item in items if item.id]
    if len(set(ids)) < len(ids):
        yield FieldViolation("items", "each item once")
    yield from _repeated_violations([item.price for item in items[:MAX_ITEMS]])


def taken_price_violations(
    changes: Sequence[ItemChange], items: Sequence[SubscriptionItem]
) -> Iterator[FieldViolation]:
    """Prices that `changes` give to an item while one of the standing `items` keeps them."""
    moved = {change.id for change in changes if change.remove or change.price}
    kept = {item.price for item in items if item.id not in moved}
    for place, change in enumerate(changes):
        if change.price in kept:
            yield FieldViolation(f"items[{place}].price", "another item of the subscription has it")


def _repeated_violations(prices: Sequence[str]) -> Iterator[FieldViolation]:
    """Stripe takes each price in one item of a subscription, whose quantity says how many."""
    for place, price in enumerate(prices):
        if price and price in prices[:place]:
            yield FieldViolation(
                f"items[{place}].price", "another item has it; say how many by its quantity"
            )


def _item_violations(item: ItemChange, field: str) -> Iterator[FieldViolation]:
    yield from optional_id_violations(item.id, f"{field}.id", "si_Na6dzxczY5fwHx")
    yield from _quantity_violations(item.quantity, f"{field}.quantity")
    if item.price or not item.id:
        yield from _price_violations(item.price, f"{field}.price")
    changes = bool(item.price) or item.quantity is not None
    if item.remove and not item.id:
        yield FieldViolation(f"{field}.remove", "needs the id of an item")
    elif item.remove and changes:
        yield FieldViolation(f"{field}.remove", "cannot be combined with price or quantity")
    elif item.id and not item.remove and not changes:
        yield FieldViolation(field, "a price, a quantity, or remove")


def _collection_violations(wanted: NewSubscription) -> Iterator[FieldViolation]:
    yield from _choice_violations(wanted.collection_method, "collection_method", _COLLECTION)
    yield from _choice_violations(wanted.payment_behavior, "payment_behavior", _PAYMENT)
    days = wanted.days_until_due
    if wanted.collection_method != "send_invoice":
        if days is not None:
            yield FieldViolation("days_until_due", "only with the collection method send_invoice")
        return
    if days is None or not 1 <= days <= MAX_DAYS:
        yield FieldViolation("days_until_due", f"1 to {MAX_DAYS} with send_invoice")
    if wanted.payment_behavior:
        yield FieldViolation("payment_behavior", "only with charge_automatically")


def _price_violations(price: str, field: str) -> Iterator[FieldViolation]:
    return id_violations(price, field, PRICE_ID)


def _quantity_violations(quantity: int | None, field: str) -> Iterator[FieldViolation]:
    if quantity is not None and not 0 <= quantity <= MAX_QUANTITY:
        yield FieldViolation(field, f"0 to {MAX_QUANTITY:,}")


def _choice_violations(value: str, field: str, choices: Sequence[str]) -> Iterator[FieldViolation]:
    if value and value not in choices:
        yield FieldViolation(field, _one_of(choices))


def _one_of(choices: Sequence[str]) -> str:
    return f"one of: {', '.join(choices)}"
