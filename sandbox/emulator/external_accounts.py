"""External accounts (API reference, "External Accounts"): the bank accounts that payouts go to.

There is one for each currency, made with its first payout. Taken away, it is what is left of it
that the payouts to it show.
"""

from dataclasses import replace
from typing import Final

from sandbox.emulator.core import errors
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.listing import page, parameters
from sandbox.emulator.core.values import JsonObject


def of_currency(call: Call, currency: str) -> JsonObject:
    """The account's bank account for payouts in a currency."""
    shelf = call.shelf(NOUN)
    found = next(iter(shelf.walk(("currency", currency), (None, None), None, None)), None)
    if found is not None:
        return found
    return call.add(
        NOUN,
        {
            "account": call.scope.account,
            "country": call.account["country"],
            "currency": currency,
            "fingerprint": call.world.ids.text(16),
        },
    )


def _at(call: Call) -> Call:
    """The call in the scope of the account of the path; 403 without access to it."""
    accounts = call.world.accounts
    own = call.id == call.scope.account
    if not own and (call.scope.account != accounts.platform or not accounts.connected(call.id)):
        raise errors.account_invalid(call.id)
    return replace(call, scope=replace(call.scope, account=call.id), id=call.child)


def _list(call: Call) -> JsonObject:
    return page(_at(call), NOUN, {})


def _retrieve(call: Call) -> JsonObject:
    inner = _at(call)
    return inner.seen(inner.target())


def _delete(call: Call) -> JsonObject:
    """What is left of it keeps its currency (API reference, `currency` of a deleted one)."""
    inner = _at(call)
    item = inner.target()
    kept = ("id", "object", "currency")
    remains = {**{name: item[name] for name in kept}, "deleted": True}
    inner.shelf(NOUN).remove(item["id"], remains)
    inner.emit("account.external_account.deleted", item)
    return remains


def _view(item: JsonObject, _: int) -> JsonObject:
    """A bank account does not say when it was made."""
    return {name: value for name, value in item.items() if name != "created"}


_PATH: Final = "/v1/accounts/{id}/external_accounts"

NOUN: Final = Noun(
    object="bank_account",
    title="external account",
    collection="external_accounts",
    prefix="ba",
    stamps_mode=False,
    fields={
        "account": None,
        "account_holder_name": None,
        "account_holder_type": None,
        "account_type": None,
        "available_payout_methods": ["standard", "instant"],
        "bank_name": "STRIPE TEST BANK",
        "country": "",
        "currency": "",
        "default_for_currency": True,
        "fingerprint": "",
        "last4": "6789",
        "metadata": {},
        "routing_number": "110000000",
        "status": "new",
    },
    indexed=("currency",),
    view=_view,
    actions=(
        Action("GET", _PATH, parameters({}, created=False), _list),
        Action("GET", f"{_PATH}/{{child}}", {}, _retrieve),
        Action("DELETE", f"{_PATH}/{{child}}", {}, _delete),
    ),
)
