"""What facts need of a store, and of Stripe's payloads."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final, Protocol

from application.events.inbox import ReceivedEvent
from domain.coupons import Discount
from domain.evidence import Evidence
from domain.facts import Fact, Series

MAX_ROWS: Final = 1_000
"""How many rows a call writes, and of how many subjects it reads, at most."""

MAX_EVIDENCE: Final = 10_000
"""How many rows of evidence are read of one subject: its first ones."""


class EvidenceStore(Protocol):
    """Keeps what facts follow from, append-only, as it was when it came.

    The boundary is here since a rebuild of the facts has to see what their first posting saw: the
    mirror holds only the present. Rows are a Stripe account's own and need no tenant. All methods
    raise Unavailable (STORE_UNAVAILABLE) when the store does not answer, and ValueError for more
    than MAX_ROWS rows or subjects.
    """

    async def append(self, stripe_account: str, rows: Sequence[Evidence]) -> None:
        """Keep rows, durably. Idempotent by (Stripe account, id): the first one stands."""
        ...

    async def of(
        self, stripe_account: str, subjects: Sequence[str]
    ) -> Mapping[str, Sequence[Evidence]]:
        """The rows of each subject (a customer, a dispute), in order of (at, id).

        A subject without any is left out; of one at most MAX_EVIDENCE.
        """
        ...

    async def known(self, stripe_account: str, ids: Sequence[str]) -> frozenset[str]:
        """Which of some rows there are."""
        ...

    async def subjects(self, stripe_account: str, *, after: str = "") -> Sequence[str]:
        """The next subjects behind one, in order; at most MAX_ROWS, empty at the end."""
        ...


class FactStore(Protocol):
    """Keeps facts, append-only: what was posted is never changed, and never removed.

    `shared`: other processes may post at the same time. All methods raise Unavailable
    (STORE_UNAVAILABLE) when the store does not answer, and ValueError for more than MAX_ROWS facts
    or subjects.
    """

    shared: ClassVar[bool]

    async def standing(
        self, stripe_account: str, series: Sequence[Series], subjects: Sequence[str]
    ) -> Mapping[tuple[Series, str], Sequence[Fact]]:
        """All facts of each series and subject, by generation; those without any are left out."""
        ...

    async def post(self, stripe_account: str, facts: Sequence[Fact]) -> int:
        """Post facts one after another, up to the first whose generation is taken; how many.

        Each is durable, and there before the next one. (Stripe account, series, subject,
        generation) is unique, so of two writers that have seen the same one posts nothing: it has
        to look again. What took the place can be read by then.
        """
        ...


class Topic(StrEnum):
    """What a subject is."""

    CUSTOMER = "customer"
    CHARGE = "charge"
    DISPUTE = "dispute"


@dataclass(frozen=True, slots=True)
class Due:
    """A subject whose facts are to be looked at again at an instant of Stripe's time."""

    stripe_account: str
    topic: Topic
    subject: str
    due_at: dt.datetime


class Dues(Protocol):
    """Keeps whose facts change next without an event, such as at the end of a discount.

    All methods raise Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def plan(self, dues: Sequence[Due]) -> None:
        """Remember subjects, durably; at most MAX_ROWS. Of a subject the earliest instant stays."""
        ...

    async def due(self, now: dt.datetime, *, limit: int) -> Sequence[Due]:
        """What is due by an instant, the earliest first. Across tenants: for the loop."""
        ...

    async def move(self, due: Due, to: dt.datetime | None) -> None:
        """Put another instant in the place of one (None: forget it), if that is still there."""
        ...

    async def earliest(self, stripe_account: str) -> dt.datetime | None:
        """The earliest instant that is planned of an account; None where there is none."""
        ...


class DiscountReader(Protocol):
    """Reads what the events of customers' discounts tell. No I/O."""

    def discount(self, event: ReceivedEvent) -> Discount | None:
        """The discount that an event is about; None where it is about something else.

        Raises ValueError where the payload is structural nonsense.
        """
        ...
