"""Every index, declared in one place and created at start.

Their names tell their fields, so that a changed declaration is a new index beside the old one and
never a conflict at start; what is no longer declared is left for an operator to drop.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import ASCENDING, IndexModel

from application.ports.mirror import Noun

INBOX: Final = "billing.events"
MUTATIONS: Final = "billing.mutations"
CONNECTIONS: Final = "billing.connections"
DEPLOYMENT: Final = "billing.deployment"
ACCOUNTS: Final = "_accounts"
CHECKPOINTS: Final = "billing.checkpoints"
REPORTS: Final = "billing.reports"
OUTBOX: Final = "queues"
PARKED: Final = "billing.parked_events"
SUBSCRIPTION_HISTORY: Final = "billing.subscription_history"
CONTACTS: Final = "crm.contacts"
CONTACT_FIELDS: Final = "crm.fields"
CONTACT_LINKS: Final = "billing.contact_links"
CONTACT_SYNC: Final = "billing.contact_sync"
CONVERSATIONS: Final = "support.conversations"
MESSAGES: Final = "support.messages"
NOTES: Final = "billing.notes"

BY_ID: Final = "_id_"
"""The index that every collection has: unique, on `_id`."""

INBOX_PENDING: Final = "pending"
INBOX_DEAD: Final = "dead"
INBOX_BY_RECEIPT: Final = "received_at_id_type"
INBOX_BY_ACCOUNT: Final = "stripe_account_received_at_id_type"
INBOX_BY_OBJECT: Final = "object_id_stripe_account_created_id"
MUTATIONS_OPEN: Final = "open"
MUTATIONS_DONE: Final = "done"
CHECKPOINTS_BY_ACCOUNT: Final = "stripe_account_task"
CHECKPOINTS_BY_TIME: Final = "stripe_account_saved_at"
REPORTS_BY_START: Final = "stripe_account_started_at_id"
OUTBOX_PENDING: Final = "pending"
OUTBOX_PUBLISHED: Final = "published"
OUTBOX_POSITIONS: Final = "position"
OUTBOX_BY_ACCOUNT: Final = "account_position"
PARKED_BY_ACCOUNT: Final = "stripe_account_event"
HISTORY_BY_SUBSCRIPTION: Final = "stripe_account_subscription_at_event"
CONTACTS_BY_EMAIL: Final = "account_email_any_case"
CONTACTS_BY_PHONE: Final = "account_phone"
CONTACTS_BY_ID: Final = "account_id"
CONTACT_FIELDS_BY_NAME: Final = "account_name"
CONTACT_LINKS_BY_CONTACT: Final = "account_stripe_account_contact"
CONVERSATIONS_BY_CONTACT: Final = "account_contact_state_last_message_at"
MESSAGES_BY_CONTACT: Final = "account_contact_created_at"

ANY_CASE: Final[Mapping[str, Any]] = {"locale": "en", "strength": 2}
"""Text is equal whatever the case of its letters (collation of secondary strength)."""

ROW_FIELDS: Final = frozenset(
    (
        "_id stripe_account id revision snapshot unknown befores version deleted derived writer"
        " terms"
    ).split()
)
"""The fields of a mirrored row that are no columns."""


def declared_indexes(nouns: Sequence[Noun[Any]]) -> Mapping[str, Sequence[IndexModel]]:
    """The indexes of every collection, by its name. ValueError for a column named as a row's own.

    The unique ones, and `_id`, carry all invariants. Their collections stay unsharded.
    """
    return {
        **{noun.collection: _mirror_indexes(noun) for noun in nouns},
        **_OUTBOX_INDEXES,
        **_EFFECT_INDEXES,
        NOTES: [
            _index(
                ("account", *narrowed, "created_at", "_id"),
                name=notes_index(narrowed),
                partialFilterExpression={"deleted": False},
            )
            for narrowed in ((), ("customer",), ("author",), ("customer", "author"))
        ],
        INBOX: [
            # Claims read ids and sizes from the index alone; processed events are not in it.
            _index(
                ("state", "received_at", "_id", "due_at", "size"),
                name=INBOX_PENDING,
                partialFilterExpression={"state": "pending"},
            ),
            _index(
                ("state", "received_at", "_id", "stripe_account"),
                name=INBOX_DEAD,
                partialFilterExpression={"state": "dead"},
            ),
            # Lists that ask for a type skip the others without reading documents.
            _index(("received_at", "_id", "type"), name=INBOX_BY_RECEIPT),
            _index(("stripe_account", "received_at", "_id", "type"), name=INBOX_BY_ACCOUNT),
            _index(("object_id", "stripe_account", "created", "_id"), name=INBOX_BY_OBJECT),
        ],
        MUTATIONS: [
            _index(("due_at",), name=MUTATIONS_OPEN, partialFilterExpression={"state": "open"}),
            _index(("created_at",), name=MUTATIONS_DONE, partialFilterExpression={"state": "done"}),
        ],
        CONNECTIONS: [
            _index(
                ("stripe_account", "mode"),
                unique=True,
                partialFilterExpression={"state": "active"},
            ),
        ],
        CHECKPOINTS: [
            _index(("stripe_account", "task"), name=CHECKPOINTS_BY_ACCOUNT),
            _index(("stripe_account", "saved_at"), name=CHECKPOINTS_BY_TIME),
        ],
        REPORTS: [_index(("stripe_account", "started_at", "id"), name=REPORTS_BY_START)],
    }


MIRROR_BY_TERM: Final = "stripe_account_terms_created_id"

_SEARCHED: Final = ("terms", "created")
"""The index of a searched noun, beside the declared ones."""


def notes_index(narrowed: Sequence[str]) -> str:
    """The name of the index of notes that are narrowed by these fields."""
    return "_".join(("account", *narrowed, "created_at"))


def mirror_index(columns: Sequence[str]) -> str:
    """The name of the index of a declared tuple of columns."""
    return "_".join(("stripe_account", *columns, "id"))


def _mirror_indexes(noun: Noun[Any]) -> list[IndexModel]:
    taken = ROW_FIELDS.intersection(column.name for column in noun.columns)
    if taken:
        raise ValueError(f"{noun.name}: a column cannot be called {sorted(taken)}")
    searches = [] if noun.search is None else [_SEARCHED]
    return [
        _index(("stripe_account", *columns, "id"), name=mirror_index(columns))
        for columns in (*noun.indexes, *searches)
    ]


def _index(fields: Sequence[str], *, name: str | None = None, **options: Any) -> IndexModel:
    keys = [(field, ASCENDING) for field in fields]
    return IndexModel(keys, name=name or "_".join(fields), **options)


_NUMBERED: Final = {"partialFilterExpression": {"position": {"$gt": 0}}}

_OUTBOX_INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    OUTBOX: [
        _index(
            ("due_at", "_id"),
            name=OUTBOX_PENDING,
            partialFilterExpression={"state": "pending"},
        ),
        _index(
            ("published_at",),
            name=OUTBOX_PUBLISHED,
            partialFilterExpression={"state": "published"},
        ),
        # Unique, so that of two processes which take the next position at once one is refused.
        _index(("position",), name=OUTBOX_POSITIONS, unique=True, **_NUMBERED),
        _index(("account", "position"), name=OUTBOX_BY_ACCOUNT, **_NUMBERED),
    ],
}

_EFFECT_INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    PARKED: [_index(("stripe_account", "_id"), name=PARKED_BY_ACCOUNT)],
    SUBSCRIPTION_HISTORY: [
        _index(
            ("stripe_account", "subscription.id", "at", "event_id"), name=HISTORY_BY_SUBSCRIPTION
        ),
    ],
    CONTACTS: [
        _index(("account", "email", "_id"), name=CONTACTS_BY_EMAIL, collation=ANY_CASE),
        _index(("account", "phone", "_id"), name=CONTACTS_BY_PHONE),
        _index(("account", "_id"), name=CONTACTS_BY_ID),
    ],
    CONTACT_FIELDS: [_index(("account", "name"), name=CONTACT_FIELDS_BY_NAME)],
    CONTACT_LINKS: [_index(("account", "stripe_account", "contact"), unique=True)],
    CONVERSATIONS: [
        _index(
            ("account", "contact", "state", "last_message_at", "_id"),
            name=CONVERSATIONS_BY_CONTACT,
        ),
        # Of those that Billing began, a contact has one open at a time.
        _index(
            ("account", "contact"),
            name="begun_by_billing",
            unique=True,
            partialFilterExpression={"state": "open", "begun_by": "billing"},
        ),
    ],
    MESSAGES: [_index(("account", "contact", "created_at", "_id"), name=MESSAGES_BY_CONTACT)],
}
