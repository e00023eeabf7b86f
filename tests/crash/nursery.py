"""Lives of the whole service, each a process of its own that ends where it is told to.

    python -m tests.crash.nursery

Python takes a second to import the service. The nursery has done so once, and nothing else: no
thread, no connection, no file. Each life is a fork of it, so that it starts in a fraction of that.
It is given lives as lines of JSON on standard input, one at a time, and what becomes of them is
told as lines of JSON on standard output.
"""

import datetime as dt
import gc
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from unittest import mock

import msgspec
import uvloop
from dependency_injector import providers
from typing_extensions import override

from application.background.clock import Clock
from application.jobs.publisher import Publisher, QueueUnavailable
from bootstrap import process
from bootstrap.containers.service import Container, compose
from bootstrap.settings import Settings, load
from domain.jobs import Job
from infrastructure.clock import SystemClock
from infrastructure.mongo.core.collection import Collection
from infrastructure.telemetry.logs import configure
from sandbox.servers.children import die_with_parent
from tests.crash.kill_points import DATABASE, Killer, KillPoint

_STORE_PORTS: Final = (
    "inbox",
    "mirror",
    "subscription_history",
    "evidence",
    "facts",
    "dues",
    "connections",
    "contacts",
    "support",
    "outbox",
    "waiting_events",
)
_OTHER_PORTS: Final = ("object_reader", "stripe_accounts", "publisher")


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the service.

    Its clock is ahead of the machine's, so that what earlier lives have held is due at once. With
    `answers_lost` the stream takes jobs, and the publisher never learns of it.
    """

    settings: Mapping[str, str]
    ahead_seconds: float
    point: KillPoint | None = None
    answers_lost: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What became of a life: it listens, it is about to die, it has ended.

    `seen` are the steps that took place in a life that ended in good order.
    """

    pid: int = 0
    http: int = 0
    dies: KillPoint | None = None
    seen: Sequence[str] = ()
    ended: int | None = None


class Ahead(Clock):
    """The machine's clock, so many seconds ahead."""

    def __init__(self, seconds: float) -> None:
        self._ahead = dt.timedelta(seconds=seconds)

    @override
    def now(self) -> dt.datetime:
        return SystemClock().now() + self._ahead


_CHOSEN_BY_SETTINGS: Final = (
    "bootstrap.containers.stores_sqlite",
    "bootstrap.containers.stores_mongo",
    "infrastructure.queue.embedded",
    "infrastructure.queue.nats",
    "infrastructure.sqlite.core.serving",
)
"""What the service imports where its settings ask for it."""


def main() -> None:
    """Bring up one life after another until standard input ends."""
    for module in _CHOSEN_BY_SETTINGS:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # no life has to look through what was imported, nor to copy it for that
    for line in sys.stdin:
        if threading.active_count() != 1:
            raise RuntimeError("the nursery has threads: its forks would not be sound")
        child = os.fork()
        if child == 0:
            _live(msgspec.json.decode(line, type=Life))
        _, status = os.waitpid(child, 0)
        _tell(News(ended=os.waitstatus_to_exitcode(status)))


def _live(life: Life) -> None:
    """Run the service as `billing serve` does, and end the process."""
    code = 1
    try:
        die_with_parent()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        with mock.patch.dict(os.environ, life.settings, clear=True):
            settings = load()
        killer = Killer(life.point, lambda point: _tell(News(dies=point)))
        log = configure(level=settings.log_level.upper())
        with mock.patch.object(process, "compose", partial(_composed, life, killer)):
            uvloop.run(process.serve(settings, _ready))
        log.close()
        _tell(News(seen=sorted(killer.seen)))
        code = 0
    except Exception:  # noqa: BLE001 - it ends here, and with it what could tell
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _composed(life: Life, killer: Killer, settings: Settings) -> Container:
    """The service's own composition, with another clock, and its ports watched."""
    container = compose(settings)
    container.clock.override(providers.Object(Ahead(life.ahead_seconds)))
    if life.answers_lost:
        _lose_answers(container.publisher())
    for name in _STORE_PORTS:
        killer.watch(name, getattr(container.stores, name)())
    for name in _OTHER_PORTS:
        killer.watch(name, getattr(container, name)())
    if settings.store == "mongo":
        for method in ("find", "find_one", "write", "insert_in_order", "insert_one", "update_one"):
            killer.watch_one(DATABASE, Collection, method)
    else:
        for method in ("read", "write"):
            killer.watch_one(DATABASE, container.stores.database(), method)
    return container


def _lose_answers(publisher: Publisher) -> None:
    publish = publisher.publish

    async def unheard(jobs: Sequence[Job]) -> Mapping[str, str]:
        await publish(jobs)
        raise QueueUnavailable("the answer is lost")

    setattr(publisher, "publish", unheard)  # noqa: B010 - a method of this one instance


def _ready(ports: process.Ports) -> None:
    _tell(News(pid=os.getpid(), http=ports.http))


def _tell(news: Any) -> None:
    # Unbuffered: what is said is said, however the process ends.
    os.write(1, msgspec.json.encode(news) + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test run, which ends us
    main()
