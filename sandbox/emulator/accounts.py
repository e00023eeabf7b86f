"""Accounts (API reference, "Accounts"): the platform's own and the connected ones.

They stand apart from the shelves: they exist in both modes and belong to nobody's scope.
"""

from itertools import islice
from typing import Final

from sandbox.emulator import payouts
from sandbox.emulator.core import errors
from sandbox.emulator.core.call import Action, Call, Happening, Noun, World, difference
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Currency,
    Email,
    Hash,
    Integer,
    Metadata,
    OneOf,
    Span,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import JsonObject, Scope
from sandbox.emulator.core.verbs import patched

_PROFILE: Final = Hash(
    fields={
        "mcc": Text(clearable=True),
        "name": Text(clearable=True),
        "support_email": Email(clearable=True),
        "support_phone": Text(clearable=True),
        "url": Text(clearable=True),
    }
)

_UPDATE: Final = {
    "business_profile": _PROFILE,
    "business_type": OneOf(values=("company", "government_entity", "individual", "non_profit")),
    "default_currency": Currency(),
    "email": Email(clearable=True),
    "metadata": Metadata(),
    "settings": Hash(
        fields={
            "dashboard": Hash(fields={"display_name": Text(), "timezone": Text()}),
            "payouts": Hash(
                fields={
                    "schedule": Hash(
                        fields={
                            "delay_days": Integer(least=2),
                            "interval": OneOf(values=("daily", "manual", "monthly", "weekly")),
                            "monthly_anchor": Integer(least=1, most=31),
                            "weekly_anchor": OneOf(values=payouts.WEEKDAYS),
                        }
                    ),
                    "statement_descriptor": Text(clearable=True, most=22),
                }
            ),
        }
    ),
}

_CREATE: Final = {
    **_UPDATE,
    "capabilities": Anything(),
    "controller": Anything(),
    "country": Text(most=2),
    "type": OneOf(values=("custom", "express", "standard")),
}

_LIST: Final = {
    "limit": Integer(least=1, most=100),
    "starting_after": Text(),
    "created": Span(),
}


def new_account(world: World, spec: AccountSpec) -> JsonObject:
    """Make an account and register it; its keys and its connection work from now on."""
    item: JsonObject = {
        "id": spec.id or world.ids.mint("acct", 16),
        "object": "account",
        "business_profile": {**dict.fromkeys(_PROFILE.fields), "name": spec.name},
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": spec.country.upper(),
        "created": world.clock.now(),
        "default_currency": spec.currency.lower(),
        "details_submitted": True,
        "email": spec.email,
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "branding": {
                "icon": None,
                "logo": None,
                "primary_color": None,
                "secondary_color": None,
            },
            "card_payments": {
                "decline_on": {"avs_failure": False, "cvc_failure": False},
                "statement_descriptor_prefix": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "payments": {
                "statement_descriptor": None,
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
            },
            "dashboard": {"display_name": spec.name, "timezone": spec.timezone},
            "payouts": {
                "debit_negative_balances": True,
                "schedule": _schedule(spec),
                "statement_descriptor": None,
            },
        },
        "type": "standard",
    }
    world.accounts.add(item, spec.secret)
    if not spec.connected:
        world.accounts.revoke(item["id"])
    if _pays_by_itself(item):
        payouts.keep_schedule(world, item["id"])
    if spec.monthly_fee:
        payouts.keep_monthly_fee(world, item["id"], spec.monthly_fee)
    world.accounts.settle_in(item["id"], (code.lower() for code in spec.settlement_currencies))
    return item


def _schedule(spec: AccountSpec) -> JsonObject:
    """When the account is paid out, with the anchor of the week or the month."""
    schedule: JsonObject = {"delay_days": 2, "interval": spec.payouts}
    if spec.payouts == "weekly":
        if (spec.payout_day or "monday") not in payouts.WEEKDAYS:
            raise ValueError(f"{spec.payout_day} is no day of the week")
        schedule["weekly_anchor"] = spec.payout_day or "monday"
    if spec.payouts == "monthly":
        schedule["monthly_anchor"] = int(spec.payout_day or "1")
    return schedule


def _create(call: Call) -> JsonObject:
    params = call.params
    spec = AccountSpec(
        country=params["country"] if "country" in params else call.account["country"],
        currency=params.get("default_currency", "usd"),
        email=params.get("email"),
        name=params.get("business_profile", {}).get("name"),
    )
    item = new_account(call.world, spec)
    item["type"] = params.get("type", "standard")
    item["metadata"] = merged_metadata({}, params.get("metadata"))
    return item


def _own(call: Call) -> JsonObject:
    return call.account


def _connected(call: Call) -> JsonObject:
    """The account of the path; Stripe answers 403 for one that the caller has no access to."""
    accounts = call.world.accounts
    own = call.id == call.scope.account
    if not own and (call.scope.account != accounts.platform or not accounts.connected(call.id)):
        raise errors.account_invalid(call.id)
    return accounts.get(call.id)


def _update(call: Call) -> JsonObject:
    item = _connected(call)
    patch = patched(item, call.params, _UPDATE)
    if "settings" in call.params:
        patch["settings"] = _settings(item["settings"], call.params["settings"])
        patch["settings"] = _anchored(patch["settings"])
    paid = _pays_by_itself(item)
    _change(call, item, patch)
    if _pays_by_itself(item) and not paid:
        payouts.keep_schedule(call.world, item["id"])
    return item


def _reviewed(call: Call) -> JsonObject:
    """Stripe lets an account take payments and pays it out, or does so no longer."""
    item = call.world.accounts.get(call.id)
    patch: JsonObject = dict(call.params)
    if "charges_enabled" in patch:
        able = "active" if patch["charges_enabled"] else "inactive"
        patch["capabilities"] = {**item["capabilities"], "card_payments": able}
    _change(call, item, patch)
    return item


def _change(call: Call, item: JsonObject, patch: JsonObject) -> None:
    """Set fields of an account, and tell it where they were others."""
    previous = difference(item, patch)
    item.update(patch)
    if previous:
        scope = Scope(item["id"], call.scope.livemode)
        call.world.events.emit(scope, "account.updated", item, previous, call.origin)


def _pays_by_itself(item: JsonObject) -> bool:
    return bool(item["settings"]["payouts"]["schedule"]["interval"] != "manual")


def _anchored(settings: JsonObject) -> JsonObject:
    """A schedule has the anchor of its interval, and that alone; ApiError 400 without it."""
    schedule: JsonObject = settings["payouts"]["schedule"]
    interval = schedule["interval"]
    anchors = {"monthly": "monthly_anchor", "weekly": "weekly_anchor"}
    own = anchors.pop(interval, None)
    if own is not None and own not in schedule:
        raise errors.missing_parameter(f"settings[payouts][schedule][{own}]")
    kept = {name: value for name, value in schedule.items() if name not in anchors.values()}
    return {**settings, "payouts": {**settings["payouts"], "schedule": kept}}


def _settings(stored: JsonObject, given: JsonObject) -> JsonObject:
    """The settings with those that are given, hash by hash."""
    merged = dict(stored)
    for name, value in given.items():
        kept = stored.get(name)
        merged[name] = _settings(kept, value) if isinstance(kept, dict) else value
    return merged


def _list(call: Call) -> JsonObject:
    """The connected accounts, newest first."""
    accounts = call.world.accounts
    first, end = call.params.get("created", (None, None))
    found = [
        item
        for item in reversed(accounts.all())
        if item["id"] != call.scope.account
        and accounts.connected(item["id"])
        and (first is None or item["created"] >= first)
        and (end is None or item["created"] < end)
    ]
    after = call.params.get("starting_after")
    if after is not None:
        places = [place for place, item in enumerate(found) if item["id"] == after]
        if not places:
            raise errors.resource_missing("account", after, "starting_after", 400)
        found = found[places[0] + 1 :]
    limit = call.params.get("limit", 10)
    return {
        "object": "list",
        "data": list(islice(found, limit)),
        "has_more": len(found) > limit,
        "url": call.path,
    }


NOUN: Final = Noun(
    object="account",
    collection="accounts",
    prefix="acct",
    id_length=16,
    fields={},
    happenings={
        "review": Happening(
            {"charges_enabled": Boolean(), "payouts_enabled": Boolean()}, _reviewed
        ),
    },
    actions=(
        Action("GET", "/v1/account", {}, _own),
        Action("POST", "", _CREATE, _create),
        Action("GET", "/{id}", {}, _connected),
        Action("POST", "/{id}", _UPDATE, _update),
        Action("GET", "", _LIST, _list),
    ),
)
