"""What is in a store, read past the service: every row, so that nothing doubled hides."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from pymongo.database import Database
from typing_extensions import override

from tests.crash.business import Effect

_JOB_STATES: Final = {"published": "job", "watched": "billing event"}


class Rows(Protocol):
    """The rows of one store."""

    def events(self) -> dict[str, str]:
        """The state of each event in the inbox, by id."""
        ...

    def effects(self) -> Counter[Effect]:
        """What has followed from events or waits for that, and how often it is there.

        A job that is neither published nor watched shows by its state, such as "pending".
        """
        ...


class SqliteRows(Rows):
    """The rows of a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def events(self) -> dict[str, str]:
        rows = self._all('SELECT id, state FROM "billing.events"')
        return {str(id_): str(state) for id_, state in rows}

    @override
    def effects(self) -> Counter[Effect]:
        found: Counter[Effect] = Counter()
        for state, account, kind, payload in self._all(
            'SELECT state, account, kind, payload FROM "queues"'
        ):
            found[_job(state, account, kind, _object(payload))] += 1
        for account, contact, text in self._all(
            'SELECT account, contact, text FROM "support.messages"'
        ):
            found["message", account, contact, text] += 1
        for account, event, document in self._all(
            'SELECT stripe_account, event_id, document FROM "billing.subscription_history"'
        ):
            found["history", account, event, _object(document)["subscription"]["status"]] += 1
        for account, id_, fields in self._all('SELECT account, id, fields FROM "crm.contacts"'):
            found[_contact(account, id_, _object(fields))] += 1
        for link in self._all('SELECT account, customer, contact FROM "billing.contact_links"'):
            found["link", *link] += 1
        for connection in self._all(
            'SELECT account, stripe_account, state FROM "billing.connections"'
        ):
            found["connection", *connection] += 1
        for conversation in self._all('SELECT account, contact FROM "support.conversations"'):
            found["conversation", *conversation] += 1
        for waiting in self._all('SELECT stripe_account, event_id FROM "billing.parked_events"'):
            found["waiting", *waiting] += 1
        return found

    def _all(self, query: str) -> Sequence[tuple[Any, ...]]:
        with contextlib.closing(
            sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        ) as connection:
            return connection.execute(query).fetchall()


class MongoRows(Rows):
    """The documents of a database of MongoDB."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._database = database

    @override
    def events(self) -> dict[str, str]:
        return {found["_id"]: found["state"] for found in self._all("billing.events")}

    @override
    def effects(self) -> Counter[Effect]:
        found: Counter[Effect] = Counter()
        for job in self._all("queues"):
            found[_job(job["state"], job["account"], job["kind"], job["payload"])] += 1
        for message in self._all("support.messages"):
            found["message", message["account"], message["contact"], message["text"]] += 1
        for change in self._all("billing.subscription_history"):
            status = change["subscription"]["status"]
            found["history", change["stripe_account"], change["event_id"], status] += 1
        for contact in self._all("crm.contacts"):
            found[_contact(contact["account"], contact["_id"], contact)] += 1
        for link in self._all("billing.contact_links"):
            found["link", link["account"], link["customer"], link["contact"]] += 1
        for one in self._all("billing.connections"):
            found["connection", one["account"], one["stripe_account"], one["state"]] += 1
        for conversation in self._all("support.conversations"):
            found["conversation", conversation["account"], conversation["contact"]] += 1
        for waiting in self._all("billing.parked_events"):
            found["waiting", waiting["stripe_account"], waiting["_id"]] += 1
        return found

    def _all(self, collection: str) -> Iterator[dict[str, Any]]:
        yield from self._database[collection].find()


def _job(state: str, account: str, kind: str, payload: dict[str, Any]) -> Effect:
    """A job by what it is about."""
    what = _JOB_STATES.get(state, state)
    if kind.startswith("events."):
        return what, account, kind, payload["object_id"]
    return what, account, payload["invoice"]


def _contact(account: str, id_: str, fields: dict[str, Any]) -> Effect:
    return "contact", account, id_, fields.get("name", ""), fields.get("email", "")


def _object(document: str) -> dict[str, Any]:
    return msgspec.json.decode(document, type=dict[str, Any])
