"""The composition: whole on either store, and without what the settings do not choose."""

import os
import subprocess
import sys
from typing import Final

import pytest

from bootstrap.containers.service import compose
from bootstrap.containers.stores_mongo import MongoStores
from bootstrap.containers.stores_sqlite import SqliteStores
from bootstrap.settings import Settings, load
from interfaces.grpc.server import Server

SETTINGS: Final = {
    "STRIPE_SECRET_KEY": "sk_test_51Abc",
    "BILLING_CALLER_KEYS": f"crm:{'0' * 64}",
    "BILLING_WEBHOOK_SECRETS_CONNECT": "whsec_12345678",
}
MONGO: Final = {"BILLING_STORE": "mongo", "BILLING_MONGO_URL": "mongodb://127.0.0.1:1/"}
NATS: Final = {"BILLING_QUEUE": "nats", "BILLING_NATS_URL": "nats://127.0.0.1:1"}
SHORT_LINKS: Final = {
    "BILLING_SHORT_LINKS": "internal_api",
    "BILLING_PHONE_NUMBERS": "internal_api",
    "API_BASE_URL": "https://api.example.com",
    "APP_SECRET": "0" * 64,
}


def settings(monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str]) -> Settings:
    for name, value in {**SETTINGS, **chosen}.items():
        monkeypatch.setenv(name, value)
    return load()


@pytest.mark.parametrize("chosen", [{}, MONGO, NATS, SHORT_LINKS], ids=["", "mongo", "nats", "api"])
async def test_everything_can_be_made(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str]
) -> None:
    container = compose(settings(monkeypatch, chosen))
    container.check_dependencies()
    made = {name: provider() for name, provider in container.providers.items() if name != "rooms"}
    assert isinstance(made["grpc_server"], Server)
    assert (made["short_links"] is None) == (chosen is not SHORT_LINKS)
    assert made["stripe"].clock() is made["clock"]
    assert container.rooms.mutations() is made["mutations"]
    for provider in container.rooms.providers.values():
        provider()


def test_both_stores_stand_behind_the_same_ports() -> None:
    assert {*SqliteStores.providers} == {*MongoStores.providers}


def test_what_is_not_chosen_is_not_imported() -> None:
    embedded = imported_with({})
    assert {"infrastructure.sqlite", "infrastructure.queue.embedded"} <= embedded
    for spared in ("infrastructure.mongo", "pymongo", "motor", "bson", "nats", "circuitbreaker"):
        assert spared not in embedded
    assert not {"infrastructure.queue.nats", "infrastructure.internal_api"} & embedded
    apart = imported_with({**MONGO, **NATS, **SHORT_LINKS})
    assert {"infrastructure.mongo", "infrastructure.queue.nats"} <= apart
    assert "infrastructure.internal_api.short_links" in apart
    assert not {"infrastructure.sqlite", "sqlite3", "infrastructure.queue.embedded"} & apart


def imported_with(chosen: dict[str, str]) -> set[str]:
    """The modules of a process of its own that has made what `billing serve` makes."""
    code = """
import bootstrap.commands, sys
container = bootstrap.commands.process.compose(bootstrap.commands.load())
container.mirror(), container.publisher(), container.grpc_server()
print(*sys.modules)
"""
    env = {**os.environ, **SETTINGS, **chosen}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return {*done.stdout.split()}
