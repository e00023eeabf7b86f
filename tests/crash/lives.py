"""The nursery as its parent sees it, and deliveries to whatever life is there."""

import asyncio
import contextlib
import hmac
import sys
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
import msgspec

from interfaces.http_webhook.app import PATH
from sandbox.servers.children import die_with_parent
from tests.crash.business import Sent
from tests.crash.nursery import Ahead, Life, News
from tests.support.servers.service import CONNECT_SECRET, PLATFORM_SECRET

LIFE_SECONDS: Final = 30.0
"""How long a life may take to be told of: to listen, to come to its end."""

_CONNECTIONS: Final = 8
_ANSWER_SECONDS: Final = 10.0
_AGAIN: Final = 4
"""To so many deliveries that are due comes one of an event that was acknowledged before."""


class Nursery:
    """A process that brings up one life after another."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def begin(self, life: Life) -> None:
        """Bring up a life; what becomes of it is told by `news`."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(life) + b"\n")

    async def news(self) -> News:
        """The next that is told. TimeoutError where nothing is for too long."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), LIFE_SECONDS)
        assert line, "the nursery has ended"
        return msgspec.json.decode(line, type=News)


@contextlib.asynccontextmanager
async def nursery(log: Path) -> AsyncIterator[Nursery]:
    """A nursery whose lives log into a file; ended after, and the life that it has then."""
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.crash.nursery", cwd=Path(__file__).parents[2],
            preexec_fn=die_with_parent,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=out,
        )  # fmt: skip
    try:
        yield Nursery(process)
    finally:
        process.kill()
        await process.wait()


class Deliveries:
    """What Stripe has to deliver: again and again until it is answered 200, and some once more."""

    def __init__(self, random: Random) -> None:
        self.acknowledged: dict[str, Sent] = {}
        self.refused: list[int] = []
        self._random = random
        self._due: dict[str, Sent] = {}

    @property
    def due(self) -> int:
        """How many events have not been acknowledged yet."""
        return len(self._due)

    def add(self, events: Sequence[Sent]) -> None:
        """Have events delivered from the next time on."""
        self._due |= {event.id: event for event in events}

    async def deliver(self, port: int, clock: Ahead) -> None:
        """Try once to deliver whatever is due, in any order, several at a time."""
        acknowledged = [*self.acknowledged.values()]
        again = min(len(acknowledged), len(self._due) // _AGAIN)
        batch = [*self._due.values(), *self._random.sample(acknowledged, again)]
        self._random.shuffle(batch)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}",
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=timeout,
        ) as session:
            await asyncio.gather(*(self._post(session, clock, event) for event in batch))

    async def _post(self, session: aiohttp.ClientSession, clock: Ahead, event: Sent) -> None:
        signature = _signature(event, int(clock.now().timestamp()))
        try:
            async with session.post(
                PATH, data=event.body, headers={"Stripe-Signature": signature}
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return  # it died meanwhile: Stripe does not know what became of the event
        if status == HTTPStatus.OK:
            self.acknowledged[event.id] = event
            self._due.pop(event.id, None)
        else:
            self.refused.append(status)


def _signature(event: Sent, seconds: int) -> str:
    secret = PLATFORM_SECRET if event.ours else CONNECT_SECRET
    mac = hmac.digest(secret.encode(), b"%d.%b" % (seconds, event.body), "sha256")
    return f"t={seconds},v1={mac.hex()}"
