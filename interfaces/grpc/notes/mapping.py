"""Notes."""

from billing_client.v1 import note_service_pb2 as pb

from application.notes.commands import ListNotes
from application.requests.paging import Page
from domain.errors import FieldViolation
from domain.notes import Note
from interfaces.grpc.core.timestamps import read_instant, timestamp_message


def note_message(note: Note) -> pb.Note:
    """A note."""
    return pb.Note(
        id=note.id,
        customer=note.customer,
        stripe_account=note.stripe_account,
        author=note.author,
        text=note.text,
        create_time=timestamp_message(note.created_at),
        update_time=timestamp_message(note.updated_at),
        etag=note.etag,
    )


def page_message(page: Page[Note]) -> pb.ListNotesResponse:
    """A page of notes."""
    return pb.ListNotesResponse(
        notes=map(note_message, page.items), next_page_token=page.next_page_token
    )


def read_list(request: pb.ListNotesRequest, violations: list[FieldViolation]) -> ListNotes:
    """What to list."""
    return ListNotes(
        page_size=request.page_size,
        page_token=request.page_token,
        customer=request.customer,
        author=request.author,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )


def read_export(request: pb.ExportNotesRequest, violations: list[FieldViolation]) -> ListNotes:
    """What to export."""
    return ListNotes(
        customer=request.customer,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )
