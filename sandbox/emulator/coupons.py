"""Coupons (API reference, "Coupons") and the discounts that they give."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from sandbox.emulator import subscription_periods
from sandbox.emulator.core.call import Action, Call, Include, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.params import (
    Anything,
    Currency,
    DecimalText,
    Hash,
    Integer,
    ListOf,
    Metadata,
    OneOf,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import delete, listed, retrieve, update

_UPDATE: Final = {
    "currency_options": Anything(),
    "metadata": Metadata(),
    "name": Text(clearable=True, most=40),
}

_CREATE: Final = {
    **_UPDATE,
    "amount_off": Integer(least=1),
    "applies_to": Hash(fields={"products": ListOf(kind=Text())}),
    "currency": Currency(),
    "duration": OneOf(values=("forever", "once", "repeating")),
    "duration_in_months": Integer(least=1),
    "id": Text(most=200),
    "max_redemptions": Integer(least=1),
    "percent_off": DecimalText(),
    "redeem_by": Integer(least=0),
}

_HIDDEN: Final = ("applies_to", "currency_options")
"""What is shown only where it is expanded."""

DISCOUNTS: Final = ListOf(
    kind=Hash(fields={"coupon": Text(), "discount": Text(), "promotion_code": Text()}),
    most=20,
    clearable=True,
    cleared=[],
)
"""The parameter by which subscriptions and invoices take discounts."""


def _create(call: Call) -> JsonObject:
    params = call.params
    if ("amount_off" in params) == ("percent_off" in params):
        raise invalid("A coupon has one of `percent_off`, `amount_off`.", "percent_off")
    if "amount_off" in params and "currency" not in params:
        raise invalid("`amount_off` needs a currency.", "currency")
    identifier = params.get("id") or call.world.ids.text(8).upper()
    fields = {name: value for name, value in params.items() if name in NOUN.fields}
    fields["metadata"] = merged_metadata({}, params.get("metadata"))
    if "percent_off" in params:
        percent = Decimal(params["percent_off"])
        if not 0 < percent <= 100:
            raise invalid("`percent_off` is above 0 and at most 100.", "percent_off")
        fields["percent_off"] = percent
    for name in _HIDDEN:
        fields[name] = params.get(name)
    coupon = call.add(NOUN, fields, identifier)
    call.emit("coupon.created", coupon)
    return coupon


def discounts(
    call: Call, given: list[JsonObject], owner: JsonObject, *, redeem: bool = True
) -> list[str]:
    """Redeem coupons for a subscription or an invoice: the ids of the discounts."""
    ids: list[str] = []
    for place, one in enumerate(given):
        if one.get("discount") is not None:
            ids.append(call.find("discount", one["discount"], f"discounts[{place}]")["id"])
            continue
        coupon = call.find("coupon", one.get("coupon") or "", f"discounts[{place}][coupon]")
        most = coupon["max_redemptions"]
        if most is not None and coupon["times_redeemed"] >= most:
            raise invalid(f"Coupon {coupon['id']} is used up and cannot be applied.", "coupon")
        if redeem:
            call.change(coupon, {"times_redeemed": coupon["times_redeemed"] + 1})
        ids.append(given_to(call, coupon, owner)["id"])
    return ids


def given_to(call: Call, coupon: JsonObject, owner: JsonObject) -> JsonObject:
    """A coupon as it is given from now on; a repeating one for its months by the calendar.

    The discount keeps what the coupon is: it goes on where that is deleted (docs, "Coupons").
    """
    end, months = None, coupon["duration_in_months"]
    if coupon["duration"] == "repeating" and months is not None:
        end = subscription_periods.months_after(call.now, months)
    fields = {
        **owner,
        "end": end,
        "given": coupon,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": call.now,
    }
    return call.add(DISCOUNT, fields)


def fits(call: Call, identifier: str, product: str | None) -> bool:
    """Whether a discount is good for what is of a product: its coupon may name some alone."""
    named = (_given(call, identifier)["applies_to"] or {}).get("products")
    return not named or product in named


def taken_off(call: Call, ids: Iterable[str], amount: int) -> list[tuple[str, int]]:
    """What each discount takes off an amount, in their order, never more than is left."""
    left, taken = max(amount, 0), []
    for identifier in ids:
        coupon = _given(call, identifier)
        off: int | Decimal = coupon["amount_off"] or left * Decimal(coupon["percent_off"]) / 100
        whole = min(left, int(Decimal(off).quantize(Decimal(1), ROUND_HALF_UP)))
        left -= whole
        taken.append((identifier, whole))
    return taken


def outlasts(call: Call, identifier: str, start: int) -> bool:
    """Whether a subscription's discount still counts for a period that begins at `start`."""
    discount = call.find("discount", identifier, "discounts")
    if discount["given"]["duration"] == "once":
        return bool(start <= discount["start"])
    return discount["end"] is None or bool(start < discount["end"])


def _given(call: Call, discount: str) -> JsonObject:
    coupon: JsonObject = call.find("discount", discount, "discounts")["given"]
    return coupon


def _expanded(call: Call, discount: JsonObject) -> JsonObject:
    """The coupon of a discount, also where it is deleted."""
    return call.seen(_given(call, discount["id"]))


def _view(coupon: JsonObject, now: int) -> JsonObject:
    most, until = coupon["max_redemptions"], coupon["redeem_by"]
    valid = (most is None or coupon["times_redeemed"] < most) and (until is None or now <= until)
    shown = {name: value for name, value in coupon.items() if name not in _HIDDEN}
    return {**shown, "valid": valid}


def _discount_view(discount: JsonObject, _: int) -> JsonObject:
    return {name: value for name, value in discount.items() if name not in ("created", "given")}


def _hidden(name: str) -> Include:
    """A field that is there only where it is expanded."""

    def shown(call: Call, coupon: JsonObject) -> JsonObject | None:
        stored = call.shelf("coupon").get(coupon["id"])
        value: JsonObject | None = None if stored is None else stored[name]
        return value

    return shown


NOUN: Final = Noun(
    object="coupon",
    collection="coupons",
    prefix="coupon",
    fields={
        "amount_off": None,
        "applies_to": None,
        "currency": None,
        "currency_options": None,
        "duration": "once",
        "duration_in_months": None,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    },
    view=_view,
    includes={name: _hidden(name) for name in _HIDDEN},
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        update(_UPDATE),
        delete(),
        listed(),
    ),
)

DISCOUNT: Final = Noun(
    object="discount",
    collection="discounts",
    prefix="di",
    stamps_mode=False,
    fields={
        "checkout_session": None,
        "customer": None,
        "end": None,
        "given": None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": None,
        "start": 0,
        "subscription": None,
        "subscription_item": None,
    },
    view=_discount_view,
    expandable=frozenset({"customer"}),
    includes={"source.coupon": _expanded},
    actions=(),
)
