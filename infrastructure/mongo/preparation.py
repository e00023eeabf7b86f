"""What a database needs before it is used: all indexes, and columns as they are declared.

The indexes are declared by the adapters, beside the queries that need them. The unique ones, and
`_id`, carry all invariants; their collections stay unsharded, but for the journal of wallets, whose
indexes all begin with the wallet.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from pymongo import IndexModel

from application.mirror.nouns import NOUNS
from application.mirror.ports import Noun
from infrastructure.mongo import (
    balance_readings,
    buyers,
    checkpoints,
    connections,
    contacts,
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
    store_subscriptions,
    subscription_history,
    support,
    waiting_events,
    wallet_settings,
)
from infrastructure.mongo.core.collection import Indexes
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.deployment import DEPLOYMENT
from infrastructure.mongo.mirror.columns import refill
from infrastructure.mongo.mirror.mirror import indexes_of


class Declares(Protocol):
    """An adapter's file that declares indexes."""

    @property
    def INDEXES(self) -> Indexes: ...  # noqa: N802 - a constant of the file


ADAPTERS: Final[tuple[Declares, ...]] = (
    balance_readings,
    checkpoints,
    connections,
    contacts,
    event_log,
    inbox,
    mutation_log,
    notes,
    oauth_states,
    outbox,
    process_log,
    rates,
    remembered_figures,
    waiting_events,
    reports,
    subscription_history,
    support,
    journal,
    wallet_settings,
    buyers,
    store_subscriptions,
    evidence,
    facts,
    dues,
    fact_stocks,
)


def declared_indexes(nouns: Sequence[Noun[Any]]) -> Indexes:
    """The indexes of every collection, by its name. ValueError for a column named as a row's own.

    Two adapters may read one collection: it has the indexes of both.
    """
    declared: dict[str, list[IndexModel]] = {}
    for indexes in (*map(indexes_of, nouns), *(adapter.INDEXES for adapter in ADAPTERS)):
        for collection, of_collection in indexes.items():
            declared.setdefault(collection, []).extend(of_collection)
    return declared


async def prepare(database: Database, nouns: Sequence[Noun[Any]] = NOUNS) -> None:
    """Create the declared indexes, fill the columns of a changed declaration.

    Indexes that are there are left alone. Takes a moment, or minutes after such a change.

    Raises Unavailable (STORE_UNAVAILABLE) where the server does not answer or refuses one.
    """
    await database.create_indexes(declared_indexes(nouns))
    for noun in nouns:
        rows, stamps = database.collection(noun.collection), database.collection(DEPLOYMENT)
        await refill(rows, stamps, noun)
