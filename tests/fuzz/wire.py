"""A client that sends whatever bytes it is told, over connections that it keeps."""

import asyncio
import contextlib
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from interfaces.http_webhook.app import PATH
from tests.fuzz.signatures import HeaderLines

ANSWER_SECONDS: Final = 30.0
"""No answer takes as long, on a machine however busy."""

MAX_ANSWER_BYTES: Final = 2_000

_LENGTH: Final = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


CLOSED: Final = 0
"""Instead of a status: the connection was closed without a word."""

HUNG: Final = -1
"""Instead of a status: neither an answer nor an end in ANSWER_SECONDS."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `last`: nothing follows on its connection."""

    status: int
    body: bytes = b""
    last: bool = True


def request_bytes(body: bytes, lines: HeaderLines) -> bytes:
    """A POST to the webhook with these header lines."""
    head = b"".join(b"%s: %s\r\n" % line for line in lines)
    start = f"POST {PATH} HTTP/1.1\r\nHost: billing\r\nContent-Length: {len(body)}\r\n".encode()
    return start + head + b"\r\n" + body


class Wire:
    """One connection at a time to the webhook's port, opened anew whenever it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.hang_up()

    async def send(self, request: bytes) -> Answer:
        """Send a request and read its answer."""
        await self.write(request)
        answer = await self._next()
        if answer.last:
            await self.hang_up()
        return answer

    async def write(self, request: bytes) -> None:
        """Send bytes; whoever listens may hang up meanwhile."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(ConnectionError):
            self._writer.write(request)
            await asyncio.wait_for(self._writer.drain(), ANSWER_SECONDS)

    async def _next(self) -> Answer:
        assert self._reader is not None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await _read_answer(self._reader)
        except TimeoutError:
            return Answer(HUNG)
        except (asyncio.IncompleteReadError, ConnectionError):
            return Answer(CLOSED)

    async def answers(self) -> list[Answer]:
        """All answers until the server closes, HUNG the last of them where it does not."""
        found = []
        while (answer := await self._next()).status > CLOSED:
            found.append(answer)
        await self.hang_up()
        return found if answer.status == CLOSED else [*found, answer]

    def abort(self) -> None:
        """Be gone, whatever is under way."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.transport.abort()

    async def hang_up(self) -> None:
        """Close the connection, if there is one."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status == 100:  # it only says that the body may come
        return await _read_answer(reader)
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    # What is no HTTP the server answers itself, in plain text, and closes without a word of it.
    return Answer(status, body, last=b"close" in head or b"application/json" not in head)
