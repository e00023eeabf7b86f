"""Webhooks accepted durably a second, and CPU an event until the inbox is drained.

    python -m bench.webhooks [--events 6000] [--rounds 3]

Floor: a bare aiohttp server on uvloop that verifies the signature with Stripe's library, reads the
id with the standard library's JSON and group-commits the raw event into SQLite (WAL,
synchronous=FULL). Ours: the whole service, projecting into the mirror, on the same kind of file.
Both are a process of their own, loaded by 32 connections from this one; rounds alternate, and the
medians of the ratios are printed.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import stripe
import uvloop
from aiohttp import web
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bench.events import SECRET, signature
from bench.mixed import mixed_event
from bootstrap.process import running
from bootstrap.settings import Settings

AT_ONCE = 32

Drained = Callable[[], bool]


@dataclass(frozen=True)
class Figures:
    """What one round of one server gave."""

    accepted_a_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms_an_event: float
    resident_mib: float


# --- the floor ------------------------------------------------------------------------------------


class _FloorLog:
    """Group commit at its barest: whatever waits is written in one transaction."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE events (id TEXT PRIMARY KEY, payload BLOB)")
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._wakeup = threading.Condition()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, daemon=True).start()

    def append(self, event_id: str, payload: bytes) -> asyncio.Future[None]:
        done = self._loop.create_future()
        with self._wakeup:
            self._waiting.append((event_id, payload, done))
            self._wakeup.notify()
        return done

    def _write(self) -> None:
        while True:
            with self._wakeup:
                while not self._waiting:
                    self._wakeup.wait()
                batch, self._waiting = self._waiting, []
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT OR IGNORE INTO events VALUES (?, ?)", [row[:2] for row in batch]
            )
            self._connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_resolve, [row[2] for row in batch])


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


@asynccontextmanager
async def _floor(folder: Path) -> AsyncIterator[tuple[int, Drained]]:
    log = _FloorLog(folder / "floor.db")

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        header = request.headers["Stripe-Signature"]
        stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, 300)
        await log.append(json.loads(body)["id"], body)
        return web.json_response({"received": True})

    app = web.Application()
    app.router.add_post("/webhooks/stripe", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], lambda: True
    await runner.cleanup()


# --- ours -----------------------------------------------------------------------------------------


@asynccontextmanager
async def _service(folder: Path) -> AsyncIterator[tuple[int, Drained]]:
    settings = Settings(
        stripe_secret_key=SecretStr("sk_test_bench"),
        caller_keys=SecretStr(f"bench:{'b' * 64}"),
        webhook_secrets_connect=SecretStr(SECRET),
        sqlite_path=folder / "billing.db",
        grpc_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
    )
    async with running(settings) as ports:
        inbox = sqlite3.connect(settings.sqlite_path)

        def drained() -> bool:
            query = "SELECT count(*) FROM \"billing.events\" WHERE state = 'pending'"
            return bool(inbox.execute(query).fetchone() == (0,))

        yield ports.http, drained
        inbox.close()


SERVERS = {"floor": _floor, "service": _service}


def _serve(name: str, folder: str, pipe: Connection) -> None:
    uvloop.run(_serving(name, Path(folder), pipe))


async def _serving(name: str, folder: Path, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    async with SERVERS[name](folder) as (port, drained):
        pipe.send(port)
        await loop.run_in_executor(None, pipe.recv)
        await _until(drained)
        before = _cpu_seconds()
        pipe.send(None)
        await loop.run_in_executor(None, pipe.recv)
        await _until(drained)
        pipe.send((_cpu_seconds() - before, _most_resident_mib()))
        await loop.run_in_executor(None, pipe.recv)


async def _until(drained: Drained) -> None:
    for _ in range(2_400):
        if drained():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("the inbox does not drain")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _most_resident_mib() -> float:
    """The most memory that this process has ever had resident; its parent's does not count."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1_024


# --- the load -------------------------------------------------------------------------------------


async def _load(port: int, events: range) -> tuple[float, list[float]]:
    """Send events over AT_ONCE connections; returns seconds, and each answer's milliseconds."""
    bodies = [mixed_event(number) for number in events]
    requests = [
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Stripe-Signature: %s\r\nContent-Length: %d\r\n\r\n"
        % (signature(body).encode(), len(body))
        + body
        for body in bodies
    ]
    waiting = iter(requests)
    latencies: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append((time.perf_counter() - start) * 1_000)
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(AT_ONCE)))
    return time.perf_counter() - start, latencies


def measure(name: str, events: int) -> Figures:
    """One round of one server, on a fresh file on disk."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as folder:
        process = context.Process(target=_serve, args=(name, folder, theirs), daemon=True)
        process.start()
        try:
            port = ours.recv()
            uvloop.run(_load(port, range(500)))  # warm, and drained with the rest
            ours.send(None)
            ours.recv()
            seconds, latencies = uvloop.run(_load(port, range(500, 500 + events)))
            ours.send(None)
            cpu, resident = ours.recv()
            ours.send(None)
            process.join(30)
        finally:
            process.kill()
    points = statistics.quantiles(latencies, n=100)
    return Figures(events / seconds, points[49], points[98], cpu * 1_000 / events, resident)


def run(events: int, rounds: int, console: Console) -> None:
    """Measure both in turns and print the table."""
    (Path.cwd() / "build").mkdir(exist_ok=True)
    table = Table(
        "server", "accepted a second", "p50 ms", "p99 ms", "CPU ms an event", "resident MiB"
    )
    rates, costs, resident = [], [], []
    for _ in range(rounds):
        floor, service = measure("floor", events), measure("service", events)
        for name, figures in (("floor", floor), ("service", service)):
            table.add_row(
                name, f"{figures.accepted_a_second:,.0f}", f"{figures.p50_ms:.1f}",
                f"{figures.p99_ms:.1f}", f"{figures.cpu_ms_an_event:.3f}",
                f"{figures.resident_mib:.0f}",
            )  # fmt: skip
        rates.append(service.accepted_a_second / floor.accepted_a_second)
        costs.append(service.cpu_ms_an_event / floor.cpu_ms_an_event)
        resident.append(service.resident_mib)
    console.print(table)
    console.print(f"accepted: {statistics.median(rates):.2f} of the floor (wanted: 0.75 or more)")
    console.print(f"CPU an event: {statistics.median(costs):.2f}x the floor's (wanted: 2 or less)")
    console.print(f"resident at most: {max(resident):.0f} MiB (wanted: 150 or less)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run(arguments.events, arguments.rounds, Console())
