"""A stand-in for Stripe that shows as many copies of a recorded history as wanted.

It answers what a backfill and a reconciliation ask for: lists, newest first, page by page, and
single objects. It runs in a process of its own, since it must not share a core with what is
measured, and ends when the benchmark does, however that ends.
"""

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

import psutil
import uvloop
from aiohttp import web

from bench.histories import SPACING_SECONDS, History, Template
from infrastructure.stripe.translations import TRANSLATIONS

START_SECONDS: Final = 30.0

_MAX_LIMIT: Final = 100
_MISSING: Final = b"""{
  "error": {
    "code": "resource_missing",
    "message": "No such object",
    "param": "id",
    "type": "invalid_request_error"
  }
}
"""


@dataclass(frozen=True, slots=True)
class RunningPages:
    """Where the stand-in listens, and its process."""

    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        used = self.process.cpu_times()
        return used.user + used.system


class _List:
    """All objects of a noun in all copies, newest first; rendered when they are asked for."""

    def __init__(self, path: str, templates: tuple[Template, ...], copies: int) -> None:
        self._path = path
        self._templates = templates
        places = [
            (one.created - number * SPACING_SECONDS, one.copied_id(number), number, index)
            for number in range(copies)
            for index, one in enumerate(templates)
        ]
        places.sort(reverse=True)
        self._places = [(number, index) for _, _, number, index in places]
        self._position = {id_: position for position, (_, id_, _, _) in enumerate(places)}

    def page(self, after: str | None, limit: int) -> bytes:
        """The objects behind one of them. KeyError where there is no such object."""
        start = 0 if after is None else self._position[after] + 1
        end = start + limit
        more = b"true" if end < len(self._places) else b"false"
        head = b'{\n  "object": "list",\n  "url": "%s",\n  "has_more": %s,\n  "data": [\n'
        objects = b",\n".join(map(self._render, range(start, min(end, len(self._places)))))
        return head % (self._path.encode(), more) + objects + b"\n  ]\n}\n"

    def get(self, object_id: str) -> bytes:
        """One object. KeyError where there is no such object."""
        return self._render(self._position[object_id])

    def _render(self, position: int) -> bytes:
        number, index = self._places[position]
        return self._templates[index].copy(number)


@contextmanager
def pages(history: History, copies: int) -> Iterator[RunningPages]:
    """The stand-in, started."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(history, copies, theirs), daemon=True)
    process.start()
    theirs.close()  # so that a child that has died is noticed
    try:
        if not ours.poll(START_SECONDS):
            raise TimeoutError("the stand-in for Stripe does not start")
        yield RunningPages(ours.recv(), psutil.Process(process.pid))
    finally:
        ours.close()
        process.join(START_SECONDS)
        process.kill()


class _Shop:
    """What the stand-in answers."""

    def __init__(self, history: History, copies: int) -> None:
        self._connected = history.connected
        self._lists = {
            TRANSLATIONS[name].path: _List(TRANSLATIONS[name].path, tuple(templates), copies)
            for name, templates in history.objects.items()
        }

    async def page(self, request: web.Request) -> web.Response:
        """`GET /v1/charges`: only the parameters that a whole list needs are understood."""
        limit = min(int(request.query["limit"]), _MAX_LIMIT)
        return _found(self._lists[request.path].page(request.query.get("starting_after"), limit))

    async def get(self, request: web.Request) -> web.Response:
        """`GET /v1/charges/ch_1`."""
        path, _, object_id = request.path.rpartition("/")
        if path == "/v1/accounts":
            return _found(self._connected)
        try:
            return _found(self._lists[path].get(object_id))
        except KeyError:
            return web.Response(body=_MISSING, status=404, content_type="application/json")


def _found(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _serve(history: History, copies: int, pipe: Connection) -> None:
    uvloop.run(_serving(history, copies, pipe))


async def _serving(history: History, copies: int, pipe: Connection) -> None:
    """Until the other end of the pipe is closed, on purpose or by the end of its process."""
    shop, app = _Shop(history, copies), web.Application()
    app.router.add_get("/v1/{noun}", shop.page)
    app.router.add_get("/v1/{noun}/{id}", shop.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with contextlib.suppress(EOFError):
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await runner.cleanup()
