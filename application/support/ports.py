"""The support conversations of contacts."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """A message that nobody typed. Equal `id`, equal message."""

    id: str
    account: str
    contact: str
    text: str
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A message in its conversation."""

    conversation: str
    message: SystemMessage


class SupportInbox(Protocol):
    """Posts into conversations, which belong to the support system.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def post(self, message: SystemMessage) -> PostedMessage:
        """Put a message into the contact's open conversation last used, or into a new one.

        Durable on return. Idempotent by the message's id, also where an earlier try broke off:
        the message stands once, and its conversation is returned. Messages posted at once to a
        contact without conversation share the new one.
        """
        ...

    async def messages(self, account: str, contact: str, *, limit: int) -> Sequence[PostedMessage]:
        """A contact's system messages, newest first."""
        ...
