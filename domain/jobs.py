"""Jobs: follow-ups for other systems, published at least once."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.ids import spellings

KIND: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,3}")
"""Two to four words: the system or subject that it is for, and what it says."""

MAX_ID_CHARACTERS: Final = 512
_ID: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_ID_CHARACTERS}}}")

EVENTS: Final = "events"
"""The first word of the kinds that WatchEvents streams; each kind has one transport only."""


@dataclass(frozen=True, slots=True)
class Job:
    """A follow-up. Equal `id`, equal job: consumers drop repeats by it.

    `id` is made of what the job is about, never of a random number: whoever does the same work
    again makes the same job. `payload` is plain data (text, integers, booleans, None, lists and
    mappings of these). `created_at` is when we made it, by our clock.
    """

    id: str
    kind: str
    account: str
    created_at: dt.datetime
    payload: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):  # it becomes a header
            raise ValueError(f"id: 1 to {MAX_ID_CHARACTERS} printable ASCII characters, no space")
        if len(self.kind) > 64 or not KIND.fullmatch(self.kind):
            raise ValueError("kind: words such as support.payment_notice, at most 64 characters")
        if not self.account:
            raise ValueError("account: must not be empty")

    @property
    def watched(self) -> bool:
        """Whether it is a billing event: watched by callers, and never published to the queue."""
        return is_watched(self.kind)


def is_watched(kind: str) -> bool:
    """Whether jobs of a kind are billing events."""
    return kind.partition(".")[0] == EVENTS


def job_id(kind: str, account: str, fact: str, subject: str) -> str:
    """The id of the one job of a kind about a business fact of an account.

    It ends in the subject as it is, where an id of a job may hold that; else in another spelling of
    it, of which `fact` tells: `payment_failed:sha256`.
    """
    named = ""
    for mark, text in spellings(subject):  # nearly always the first one is it
        named = f"{kind}/{account}/{fact}{mark}/{text}"
        if _ID.fullmatch(named):
            break
    return named
