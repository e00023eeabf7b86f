"""The support port: conversations and messages as documents of the support system."""

from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from typing_extensions import override

from application.support.ports import PostedMessage, SupportInbox, SystemMessage
from domain.errors import Conflict, Reason
from infrastructure.documents import check_bounds
from infrastructure.mongo.core.collection import (
    DESCENDING,
    Collection,
    Document,
    Duplicate,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database

_CONVERSATIONS: Final = "support.conversations"
_MESSAGES: Final = "support.messages"
_CONVERSATIONS_BY_CONTACT: Final = "account_contact_state_last_message_at"
_MESSAGES_BY_CONTACT: Final = "account_contact_created_at"

INDEXES: Final[Indexes] = {
    _CONVERSATIONS: [
        index(
            *("account", "contact", "state", "last_message_at", "_id"),
            name=_CONVERSATIONS_BY_CONTACT,
        ),
        # Of those that Billing began, a contact has one open at a time.
        index(
            *("account", "contact"),
            name="begun_by_billing",
            unique=True,
            partialFilterExpression={"state": "open", "begun_by": "billing"},
        ),
    ],
    _MESSAGES: [index("account", "contact", "created_at", "_id", name=_MESSAGES_BY_CONTACT)],
}

_TRIES: Final = 5


class MongoSupportInbox(SupportInbox):
    """SupportInbox on MongoDB.

    `_id` of a message is its id, so it stands once. A unique index over the open conversations that
    Billing began lets one of several at once begin it; the others then find it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def post(self, message: SystemMessage) -> PostedMessage:
        there = await self._messages.find_one({"_id": _id(message)})
        if there is not None:
            return _posted(there)
        conversation = await self._conversation(message)
        try:
            await self._messages.insert_one(
                {
                    "_id": _id(message),
                    "id": message.id,
                    "account": message.account,
                    "contact": message.contact,
                    "conversation": conversation,
                    "author": "system",
                    "text": message.text,
                    "created_at": message.created_at,
                }
            )
        except Duplicate:
            there = await self._messages.find_one({"_id": _id(message)})
            if there is not None:
                return _posted(there)
        return PostedMessage(conversation, message)

    async def _conversation(self, message: SystemMessage) -> str:
        """The contact's open conversation last used, told of the message; a new one without."""
        own = {"account": message.account, "contact": message.contact, "state": "open"}
        for _ in range(_TRIES):
            found = await self._conversations.find(
                own,
                fields={"_id": 1},
                sort=[("last_message_at", DESCENDING), ("_id", DESCENDING)],
                limit=1,
                hint=_CONVERSATIONS_BY_CONTACT,
            )
            if found:
                await self._conversations.update_one(
                    {"_id": found[0]["_id"]}, {"$max": {"last_message_at": message.created_at}}
                )
                return str(found[0]["_id"])
            at = message.created_at
            new = {"_id": uuid4().hex, **own, "begun_by": "billing"}
            try:
                await self._conversations.insert_one(
                    {**new, "created_at": at, "last_message_at": at}
                )
            except Duplicate:
                continue  # somebody else has begun one meanwhile
            return str(new["_id"])
        raise Conflict(Reason.OVERLOADED, "the contact's conversations come and go; try again")

    @override
    async def messages(self, account: str, contact: str, *, limit: int) -> Sequence[PostedMessage]:
        check_bounds(limit)
        found = await self._messages.find(
            {"account": account, "contact": contact},
            sort=[("created_at", DESCENDING), ("_id", DESCENDING)],
            limit=limit,
            hint=_MESSAGES_BY_CONTACT,
        )
        # Others write here too; theirs have no id of ours.
        return [_posted(document) for document in found if "id" in document]

    @property
    def _messages(self) -> Collection:
        return self._database.collection(_MESSAGES)

    @property
    def _conversations(self) -> Collection:
        return self._database.collection(_CONVERSATIONS)


def _id(message: SystemMessage) -> str:
    return f"{message.account}/{message.id}"


def _posted(document: Document) -> PostedMessage:
    message = SystemMessage(
        document["id"],
        document["account"],
        document["contact"],
        document["text"],
        document["created_at"],
    )
    return PostedMessage(document["conversation"], message)
