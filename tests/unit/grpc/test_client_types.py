"""A stub has the types of the channel that it is made with: mypy reads this file, too.

`assert_type` does nothing at run time; `make check` refuses it where the type is another one. The
calls are made as well, so that what the types say is true.
"""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, assert_type

import grpc
import pytest
from billing_client.v1 import note_service_pb2 as pb
from billing_client.v1 import note_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from billing_client.v1.note_service_pb2_grpc import NoteServiceAsyncStub

NOTE: Final = pb.Note(id="note_1", text="Called back.")
PARTS: Final = [pb.ExportNotesResponse(csv=b"id,"), pb.ExportNotesResponse(csv=b"text")]
DIRECT: Final = (("grpc.enable_http_proxy", 0),)
SECONDS: Final = 10


@pytest.fixture
def address() -> Generator[str, None, None]:
    """Where a server answers the two methods."""
    handlers = grpc.method_handlers_generic_handler(
        "billing.v1.NoteService",
        {
            "GetNote": grpc.unary_unary_rpc_method_handler(
                lambda *_: NOTE, pb.GetNoteRequest.FromString, pb.Note.SerializeToString
            ),
            "ExportNotes": grpc.unary_stream_rpc_method_handler(
                lambda *_: iter(PARTS),
                pb.ExportNotesRequest.FromString,
                pb.ExportNotesResponse.SerializeToString,
            ),
        },
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait(SECONDS)


def test_a_channel_makes_a_stub_that_answers(address: str) -> None:
    with grpc.insecure_channel(address, DIRECT) as channel:
        stub = rpc.NoteServiceStub(channel)
        assert_type(stub, rpc.NoteServiceStub)

        note = stub.GetNote(pb.GetNoteRequest(id="note_1"), timeout=SECONDS)
        assert_type(note, pb.Note)
        assert note == NOTE

        parts = []
        for part in stub.ExportNotes(pb.ExportNotesRequest(), timeout=SECONDS):
            assert_type(part, pb.ExportNotesResponse)
            parts.append(part)
        assert parts == PARTS


async def test_an_aio_channel_makes_a_stub_that_is_awaited(address: str) -> None:
    async with grpc.aio.insecure_channel(address, DIRECT) as channel:
        stub: NoteServiceAsyncStub = rpc.NoteServiceStub(channel)

        note = await stub.GetNote(pb.GetNoteRequest(id="note_1"), timeout=SECONDS)
        assert_type(note, pb.Note)
        assert note == NOTE

        parts = []
        async for part in stub.ExportNotes(pb.ExportNotesRequest(), timeout=SECONDS):
            assert_type(part, pb.ExportNotesResponse)
            parts.append(part)
        assert parts == PARTS


def test_the_async_stub_is_no_name_at_run_time() -> None:
    assert not hasattr(rpc, "NoteServiceAsyncStub")
