"""What a file needs before it is used: all tables, and the mirror's as they are declared.

The tables are declared by the adapters, beside the queries that need them; those of the mirror
follow the declarations in `application.mirror.ports`, so a changed declaration changes them here
too. There is no ANALYZE: without statistics a query has the same plan on every deployment, which is
the plan that the tests have proved.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, Protocol

from application.mirror.nouns import NOUNS
from application.mirror.ports import Noun
from domain.errors import FailedPrecondition, Reason
from infrastructure.sqlite import (
    accounts,
    balance_readings,
    buyers,
    carts,
    checkpoints,
    connections,
    contacts,
    deployment,
    dues,
    event_log,
    evidence,
    fact_stocks,
    facts,
    inbox,
    journal,
    mutation_log,
    notes,
    oauth_states,
    outbox,
    process_log,
    rates,
    remembered_figures,
    reports,
    store_catalogue,
    store_subscriptions,
    subscription_history,
    support,
    waiting_events,
    wallet_settings,
)
from infrastructure.sqlite.core.tables import Tables
from infrastructure.sqlite.core.transactions import transaction
from infrastructure.sqlite.mirror import changes
from infrastructure.sqlite.mirror.columns import prepare_mirror, refill

VERSION: Final = 4
"""Grows when a table that no noun declares changes, or what a column holds."""


class Declares(Protocol):
    """An adapter's file that declares tables."""

    @property
    def TABLES(self) -> Tables: ...  # noqa: N802 - a constant of the file


ADAPTERS: Final[tuple[Declares, ...]] = (
    deployment,
    accounts,
    connections,
    inbox,
    event_log,  # after the inbox: its indexes are on the same table
    mutation_log,
    checkpoints,
    reports,
    oauth_states,
    outbox,
    process_log,
    waiting_events,
    subscription_history,
    contacts,
    support,
    notes,
    rates,
    balance_readings,
    journal,
    wallet_settings,
    buyers,
    carts,
    store_catalogue,
    store_subscriptions,
    changes,
    remembered_figures,
    evidence,
    facts,
    dues,
    fact_stocks,
)


def prepare(connection: sqlite3.Connection, nouns: Sequence[Noun[Any]] = NOUNS) -> None:
    """Make what is missing, in one transaction; then fill what it lacks, a thousand rows in each.

    Idempotent; where it was interrupted it goes on. Raises FailedPrecondition where a newer release
    has written the file.
    """
    with transaction(connection):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > VERSION:
            raise FailedPrecondition(
                Reason.STORE_UNAVAILABLE,
                f"the store has schema version {found}, this release knows {VERSION}; "
                "use the release that wrote it or a later one",
                subject="store",
            )
        for adapter in ADAPTERS:
            for statement in adapter.TABLES.statements:
                connection.execute(statement)
        for adapter in ADAPTERS:
            adapter.TABLES.mend(connection, found)
        unfilled = [noun for noun in nouns if not prepare_mirror(connection, noun)]
        connection.execute(f"PRAGMA user_version = {VERSION}")
    for noun in unfilled:
        refill(connection, noun)
