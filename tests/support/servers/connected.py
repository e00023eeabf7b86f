"""Accounts that are connected without more: no backfill begins that a test has not asked for."""

import datetime as dt
from dataclasses import replace
from typing import Any

from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode


async def connect_account(
    container: Any, account: str, stripe_account: str, *, parent: str = ""
) -> None:
    """Keep an account and its connection in the store of a container, straight."""
    stores = container.stores
    added = Account(account, account, "usd", parent or None)
    if await stores.accounts().get(account) is None:
        await stores.accounts().add(added)
    now = dt.datetime.now(dt.UTC)
    at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    link = Connection(account, stripe_account, Mode.TEST, ConnectionKind.MANUAL, at)
    await stores.connections().put(link)


async def cut(container: Any, account: str) -> None:
    """Let an account's connection be one that was revoked."""
    connections = container.stores.connections()
    link = await connections.get(account, Mode.TEST)
    await connections.put(replace(link, state=ConnectionState.REVOKED))
