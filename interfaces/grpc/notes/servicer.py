"""NoteService."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing_client.v1 import note_service_pb2 as pb
from billing_client.v1 import note_service_pb2_grpc as pb_grpc
from google.protobuf.empty_pb2 import Empty
from typing_extensions import override

from application.notes.use_cases import Notes
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.notes import mapping


class NoteServicer(pb_grpc.NoteServiceServicer):
    """What an account's people write down about its customers."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    @override
    async def CreateNote(self, request: pb.CreateNoteRequest, context: Context) -> pb.Note:
        note = await self._notes.create(
            current_caller(), request.request_id, request.customer, request.text
        )
        return mapping.note_message(note)

    @override
    async def GetNote(self, request: pb.GetNoteRequest, context: Context) -> pb.Note:
        return mapping.note_message(await self._notes.get(current_caller(), request.id))

    @override
    async def ListNotes(
        self, request: pb.ListNotesRequest, context: Context
    ) -> pb.ListNotesResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list(request, violations)
        return mapping.page_message(await self._notes.list(current_caller(), query, violations))

    @override
    async def UpdateNote(self, request: pb.UpdateNoteRequest, context: Context) -> pb.Note:
        note = await self._notes.update(
            current_caller(),
            request.request_id,
            request.note.id,
            request.note.text,
            etag=request.note.etag,
            mask=tuple(request.update_mask.paths),
        )
        return mapping.note_message(note)

    @override
    async def DeleteNote(self, request: pb.DeleteNoteRequest, context: Context) -> Empty:
        await self._notes.delete(
            current_caller(), request.request_id, request.id, etag=request.etag
        )
        return Empty()

    @override
    async def ExportNotes(
        self, request: pb.ExportNotesRequest, context: Context
    ) -> AsyncGenerator[pb.ExportNotesResponse, None]:
        violations: list[FieldViolation] = []
        query = mapping.read_export(request, violations)
        async with aclosing(self._notes.export(current_caller(), query, violations)) as parts:
            async for part in parts:
                yield pb.ExportNotesResponse(csv=part)
