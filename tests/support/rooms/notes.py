"""Notes on fakes, whose processes come and go."""

import csv
import io
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.notes.commands import ListNotes
from application.notes.use_cases import ADMIN_SCOPE, Notes
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from domain.errors import InvalidArgument
from domain.mirror import Snapshot, Version
from domain.notes import Note
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.notes import FakeNotes
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

ADA = Caller("ada", "acme", frozenset({"notes.write"}))
BOB = Caller("bob", "acme", frozenset({"notes.write"}))
ADMIN = Caller("cid", "acme", frozenset({"notes.write", ADMIN_SCOPE}))
RIVAL = Caller("ada", "rival", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)


class NotesOnFakes:
    """What outlives a process, and its present use case."""

    def __init__(self) -> None:
        self.clock, self.log, self.store = FakeClock(), FakeMutationLog(), FakeNotes()
        self.mirror, self.connections = FakeMirror(), FakeConnections(CONNECTION)
        self.notes = self.process()

    def process(self) -> Notes:
        """Another process on the same stores."""
        connections = Connections(
            self.connections, FakeStripeAccounts(), self.mirror, self.clock, Mode.TEST
        )
        self.mutations = Mutations(
            self.log,
            connections,
            MirrorWriter(self.mirror),
            self.clock,
            Tasks(),
            FakeObjects(self.clock),
        )
        tokens = PageTokens(b"k", self.clock)
        reader = MirrorReader(self.mirror, tokens)
        return Notes(reader, self.store, self.mutations, tokens, self.clock)

    async def customer(self, *ids: str, deleted: bool = False) -> None:
        for id_ in ids:
            found = None if deleted else Customer(id_, NOON)
            version = Version.of_event(10**13 if deleted else 1)
            told = [Snapshot("acct_1", id_, version, found)]
            await MirrorWriter(self.mirror).observe(CUSTOMERS, told)

    async def write(self, text: str = "hi", *, by: Caller = ADA, customer: str = "cus_1") -> Note:
        """Write a note, a second later than the one before."""
        self.clock.advance(seconds=1)
        return await self.notes.create(by, f"r-{self.clock.now():%H%M%S}", customer, text)

    async def texts(self, query: ListNotes | None = None) -> list[str]:
        page = await self.notes.list(ADA, query or ListNotes())
        return [one.text for one in page.items]


async def violations(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refusal:
        await call
    return [violation.field for violation in refusal.value.violations]


async def parts(notes: Notes, query: ListNotes | None = None, caller: Caller = ADA) -> list[bytes]:
    async with aclosing(notes.export(caller, query or ListNotes())) as stream:
        return [part async for part in stream]


async def export(notes: Notes, query: ListNotes | None = None) -> Sequence[Sequence[str]]:
    """The rows of an exported file, its header first."""
    text = b"".join(await parts(notes, query)).decode()
    assert text.startswith("\ufeff")
    assert "\n" not in text.replace("\r\n", "").replace("two\nlines", "")
    return [*csv.reader(io.StringIO(text[1:], newline=""))]
