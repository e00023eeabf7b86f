"""Every method of the stores takes its tenant first, or is listed here as one that has none."""

import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

import pytest
from dependency_injector import providers

from bootstrap.containers.stores_mongo import MongoStores
from bootstrap.containers.stores_sqlite import SqliteStores

TENANT: Final = frozenset({"account", "account_id", "stripe_account", "wallet"})
"""What names a tenant: an account of the platform, its Stripe account, or a wallet of its own."""

_OPERATORS: Final = "operators alone ask it: what is counted or listed is every tenant's"
_LOOPS: Final = "a loop of the process goes round all tenants, and each row says whose it is"
_LEASED: Final = "the holder of the lease writes what it took, which says whose it is"
_EVENT: Final = "an event's id says nothing of its tenant: Events looks whose the record is"
_STORE: Final = "the platform's own store: a use case shows each account what it may buy"
_DEPLOYMENT: Final = "of the deployment, not of any tenant"

WITHOUT: Final[Mapping[str, str]] = {
    "accounts.list_all": _OPERATORS,
    "connections.list_active": _LOOPS,
    "deployment.check": _DEPLOYMENT,
    "deployment.platform_account": _DEPLOYMENT,
    "deployment.stamp": _DEPLOYMENT,
    "event_log.payload": _EVENT,
    "event_log.record": _EVENT,
    "event_log.retry": _EVENT,
    "inbox.backlog": _OPERATORS,
    "dues.due": _LOOPS,
    "inbox.claim": _LOOPS,
    "inbox.get": _LOOPS,
    "inbox.settle": _LEASED,
    "mutation_log.find_open": _LOOPS,
    "mutation_log.purge": _LOOPS,
    "outbox.bounds": _LOOPS,
    "outbox.claim": _LOOPS,
    "outbox.counts": _OPERATORS,
    "outbox.mark_published": _LEASED,
    "outbox.purge": _LOOPS,
    "outbox.release": _LEASED,
    "process_log.find_attention": _OPERATORS,
    "process_log.find_due": _LOOPS,
    "process_log.get": "an id of ours that no caller names: a use case finds it by its tenant",
    "process_log.release": _LEASED,
    "process_log.renew": _LEASED,
    "process_log.take": _LOOPS,
    "process_log.write": _LEASED,
    "store_catalogue.get": _STORE,
    "store_catalogue.list": _STORE,
    "store_catalogue.put_price": _STORE,
    "store_catalogue.put_product": _STORE,
    "store_subscriptions.list_due": _LOOPS,
    "takeover.end_leases": _DEPLOYMENT,
    "waiting_events.count": _OPERATORS,
    "waiting_events.next_stripe_account": _LOOPS,
    "wallet_settings.list_short": _LOOPS,
}
"""Methods that name no tenant, and why nobody sees another one's rows by them."""

_BEFORE: Final = frozenset({"self", "noun", "metric"})
"""What stands before a tenant: of what kind the rows are."""

STORES: Final = {"sqlite": SqliteStores, "mongo": MongoStores}


def methods(store: Any) -> Iterator[tuple[str, Any]]:
    """Every public method behind the ports of a store, as `port.method`."""
    for port, provider in store.providers.items():
        kind = getattr(provider, "cls", None)
        if port in ("database", "settings") or not isinstance(provider, providers.Singleton):
            continue
        assert inspect.isclass(kind), port
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                yield f"{port}.{name}", method


def takes_its_tenant_first(method: Any) -> bool:
    """Whether the first argument (behind what is asked for) is a tenant, or holds one."""
    hints = typing.get_type_hints(method)
    names = [name for name in inspect.signature(method).parameters if name not in _BEFORE]
    if not names:
        return False
    return names[0] in TENANT or _holds_tenant(hints.get(names[0]))


def _holds_tenant(kind: Any) -> bool:
    """Whether a value, or each value of a sequence, says whose it is."""
    generic = typing.get_origin(kind)
    if is_dataclass(generic or kind):
        hints = typing.get_type_hints(generic or kind)
        names = [field.name for field in fields(generic or kind)]
        return any(name in TENANT or _holds_tenant(hints[name]) for name in names)
    return any(_holds_tenant(inner) for inner in typing.get_args(kind))


@pytest.mark.parametrize("store", STORES)
def test_every_method_takes_its_tenant_first_or_is_listed(store: str) -> None:
    found = dict(methods(STORES[store]))
    assert len(found) > 80
    free = {name for name, method in found.items() if not takes_its_tenant_first(method)}
    assert free - {*WITHOUT} == set()
    assert {name for name in WITHOUT if name in found} <= free, "listed, and takes its tenant"


def test_nothing_is_listed_that_is_not_there() -> None:
    everywhere = {name for store in STORES.values() for name, _ in methods(store)}
    assert {*WITHOUT} <= everywhere


def test_both_stores_have_the_same_methods() -> None:
    sqlite, mongo = ({name for name, _ in methods(store)} for store in STORES.values())
    assert sqlite - mongo == {"takeover.end_leases"}, "one process at a time serves from a file"
    assert mongo <= sqlite
