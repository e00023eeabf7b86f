"""Notes over gRPC, against the real process."""

import asyncio
import csv
import datetime as dt
import io
import itertools
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from billing_client.v1 import note_service_pb2 as pb
from billing_client.v1.note_service_pb2_grpc import NoteServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from application.notes.use_cases import ADMIN_SCOPE
from application.requests.callers import Caller
from bootstrap.process import opened
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from tests.support.servers.service import (
    CALLER_SECRET,
    PRIVATE,
    Metadata,
    ServiceAndEmulator,
    Tenant,
    arrived,
    bearer,
    reason_of,
    until,
)

if TYPE_CHECKING:
    from billing_client.v1.note_service_pb2_grpc import NoteServiceAsyncStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN = f"note_{'0' * 32}"


def stub(here: ServiceAndEmulator) -> "NoteServiceAsyncStub":
    return NoteServiceStub(here.service.channel)


def as_(subject: str, tenant: Tenant, *more: str) -> Metadata:
    """The metadata of a token of somebody's own, without the admin's scope."""
    tokens = CallerTokens({"tests": CALLER_SECRET.encode()}, SystemClock())
    scopes = ("notes.read", "notes.write", *more)
    return bearer(tokens.issue(subject, tenant.account, scopes, dt.timedelta(hours=1)))


async def customer(here: ServiceAndEmulator, tenant: Tenant) -> str:
    """A new customer that has arrived in the mirror."""
    made = await here.sdk.v1.customers.create_async({"name": PRIVATE}, tenant.options)
    await arrived(here, tenant, made.id, PRIVATE)
    return made.id


async def write(
    here: ServiceAndEmulator,
    tenant: Tenant,
    customer_id: str,
    text: str,
    request_id: str,
    by: str = "ada",
) -> pb.Note:
    request = pb.CreateNoteRequest(customer=customer_id, text=text, request_id=request_id)
    note: pb.Note = await stub(here).CreateNote(request, metadata=as_(by, tenant))
    return note


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    """What a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason_of(caught.value)


NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


async def test_a_note_lives_from_creation_to_deletion(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    id_ = await customer(here, tenant)
    ada, notes = as_("ada", tenant), stub(here)
    made = await write(here, tenant, id_, f"{PRIVATE}\tcalled.\nCall back.", "create")
    assert (made.customer, made.stripe_account, made.author) == (id_, tenant.stripe_account, "ada")
    assert made.text == f"{PRIVATE}\tcalled.\nCall back."
    assert made.create_time == made.update_time
    assert await write(here, tenant, id_, made.text, "create") == made
    assert await notes.GetNote(pb.GetNoteRequest(id=made.id), metadata=ada) == made

    changed = await notes.UpdateNote(
        pb.UpdateNoteRequest(
            note=pb.Note(id=made.id, text="Called back.", etag=made.etag),
            update_mask=FieldMask(paths=["text"]),
            request_id="update",
        ),
        metadata=ada,
    )
    assert (changed.text, changed.create_time) == ("Called back.", made.create_time)
    assert changed.etag != made.etag
    assert await notes.GetNote(pb.GetNoteRequest(id=made.id), metadata=ada) == changed

    for request_id in ("delete", "delete", "delete-again"):
        request = pb.DeleteNoteRequest(id=made.id, etag=changed.etag, request_id=request_id)
        await notes.DeleteNote(request, metadata=ada)
    get = notes.GetNote(pb.GetNoteRequest(id=made.id), metadata=ada)
    assert await refused(get) == NOT_FOUND


async def test_a_hundred_equal_calls_are_one_note(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    id_ = await customer(here, tenant)
    made = await asyncio.gather(*(write(here, tenant, id_, "once", "same") for _ in range(100)))
    assert all(note == made[0] for note in made)
    page = await stub(here).ListNotes(pb.ListNotesRequest(), metadata=tenant.metadata)
    assert list(page.notes) == [made[0]]
    other = write(here, tenant, id_, "other", "same")
    assert await refused(other) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")


async def test_only_the_author_or_an_admin_changes_a_note(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    notes = stub(here)
    made = await write(here, tenant, await customer(here, tenant), "mine", "create")

    def update(request_id: str, metadata: Metadata, **fields: str) -> Any:
        note = pb.Note(id=made.id, text="changed", **fields)
        return notes.UpdateNote(
            pb.UpdateNoteRequest(note=note, request_id=request_id), metadata=metadata
        )

    bob, admin = as_("bob", tenant), as_("bob", tenant, ADMIN_SCOPE)
    denied = (grpc.StatusCode.PERMISSION_DENIED, "NOT_AUTHOR")
    assert await refused(update("bob-1", bob)) == denied
    delete = pb.DeleteNoteRequest(id=made.id, request_id="bob-2")
    assert await refused(notes.DeleteNote(delete, metadata=bob)) == denied
    assert (await update("admin", admin)).author == "ada"
    late = update("late", as_("ada", tenant), etag=made.etag)
    assert await refused(late) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    await notes.DeleteNote(pb.DeleteNoteRequest(id=made.id, request_id="end"), metadata=admin)
    assert await refused(update("gone", admin)) == NOT_FOUND


async def test_what_is_refused(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    notes, ada = stub(here), as_("ada", tenant)
    assert await refused(write(here, tenant, "cus_unknown", "hi", "r-1")) == NOT_FOUND
    assert await refused(write(here, tenant, "cus_1", "\x00", "r-2")) == INVALID
    for call in (
        notes.GetNote(pb.GetNoteRequest(id="x"), metadata=ada),
        notes.ListNotes(pb.ListNotesRequest(page_size=101), metadata=ada),
        notes.UpdateNote(pb.UpdateNoteRequest(request_id="r-3"), metadata=ada),
        notes.DeleteNote(pb.DeleteNoteRequest(id=UNKNOWN), metadata=ada),
        anext(aiter(notes.ExportNotes(pb.ExportNotesRequest(customer="!\n"), metadata=ada))),
    ):
        assert await refused(call) == INVALID
    forged = pb.ListNotesRequest(page_token="forged")
    wanted = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    assert await refused(notes.ListNotes(forged, metadata=ada)) == wanted
    unknown = pb.DeleteNoteRequest(id=UNKNOWN, request_id="r-4")
    assert await refused(notes.DeleteNote(unknown, metadata=ada)) == NOT_FOUND


async def test_notes_are_listed_narrowed_and_exported(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    first, second = await customer(here, tenant), await customer(here, tenant)
    made = [
        await write(
            here, tenant, (first, second)[number % 2], f"={number}", f"r-{number}",
            ("ada", "bob")[number // 3],
        )
        for number in range(5)
    ]  # fmt: skip
    notes, ada = stub(here), as_("ada", tenant)

    async def listed(**narrowed: Any) -> list[str]:
        found, token = [], ""
        while True:
            request = pb.ListNotesRequest(page_size=2, page_token=token, **narrowed)
            page = await notes.ListNotes(request, metadata=ada)
            found += [note.text for note in page.notes]
            token = page.next_page_token
            if not token:
                return found

    assert await listed() == ["=4", "=3", "=2", "=1", "=0"]
    assert await listed(customer=second) == ["=3", "=1"]
    assert await listed(author="bob") == ["=4", "=3"]
    assert await listed(created_after=made[2].create_time, customer=first) == ["=4", "=2"]
    assert await listed(customer="cus_of_nobody") == []

    async def export(**narrowed: Any) -> list[list[str]]:
        stream = notes.ExportNotes(pb.ExportNotesRequest(**narrowed), metadata=ada)
        text = b"".join([part.csv async for part in stream]).decode()
        assert text.startswith("\ufeff")
        return [*csv.reader(io.StringIO(text[1:], newline=""))]

    header, *rows = await export()
    assert header == ["id", "customer", "author", "create_time", "update_time", "text"]
    assert [row[5] for row in rows] == ["'=4", "'=3", "'=2", "'=1", "'=0"]
    assert [row[0] for row in rows] == [note.id for note in reversed(made)]
    assert [row[1] for row in (await export(customer=second))[1:]] == [second, second]


async def test_tenants_do_not_see_each_other_and_parents_see_their_own(
    here: ServiceAndEmulator,
) -> None:
    owner, stranger = await here.tenant(), await here.tenant()
    sub = await here.tenant(parent=owner.account)
    notes = stub(here)
    made = await write(here, sub, await customer(here, sub), "of the sub-account", "create")
    get = pb.GetNoteRequest(account=sub.account, id=made.id)
    assert await notes.GetNote(get, metadata=owner.metadata) == made
    assert await refused(notes.GetNote(get, metadata=stranger.metadata)) == NOT_FOUND
    bare = pb.GetNoteRequest(id=made.id)
    for caller in (owner, stranger):
        assert await refused(notes.GetNote(bare, metadata=caller.metadata)) == NOT_FOUND
        page = await notes.ListNotes(pb.ListNotesRequest(), metadata=caller.metadata)
        assert not page.notes


async def test_notes_outlive_the_connection(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    id_ = await customer(here, tenant)
    made = await write(here, tenant, id_, "before", "create")
    async with opened(here.service.parsed()) as container:
        caller = Caller("tests", tenant.account, frozenset())
        connection = await container.connections().of(caller)
        assert await container.stores.connections().revoke(connection)
    tries = itertools.count()

    async def refusal() -> str:
        """The service remembers the connection for a moment."""
        try:
            await write(here, tenant, id_, "after", f"late-{next(tries)}")
        except grpc.aio.AioRpcError as error:
            return reason_of(error)
        return ""

    assert await until(refusal) == "STRIPE_CONNECTION_REVOKED"
    notes, ada = stub(here), as_("ada", tenant)
    assert await notes.GetNote(pb.GetNoteRequest(id=made.id), metadata=ada) == made
    stream = notes.ExportNotes(pb.ExportNotesRequest(), metadata=ada)
    assert made.id.encode() in b"".join([part.csv async for part in stream])
    await notes.DeleteNote(pb.DeleteNoteRequest(id=made.id, request_id="end"), metadata=ada)
