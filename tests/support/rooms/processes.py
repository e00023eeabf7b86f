"""Processes of the service that share fakes of the store, of Stripe and of the clock."""

import asyncio
import datetime as dt
from dataclasses import replace

from application.background.tasks import Tasks
from application.mirror.writer import MirrorWriter
from application.processes.ports import ProcessRecord, Progress, Watch
from application.processes.processes import Processes
from tests.support.fakes.customers import FakeCustomerGateway
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.processes import FakeProcessLog
from tests.support.fakes.stores import FakeClock, FakeMirror, Pause
from tests.support.rooms.transfers import Transfers, transfer

ID = transfer(FakeClock().now()).id


async def carried_on(service: Processes) -> int:
    """Have a service do what is due, to its end; how many processes that were."""
    begun = await service.keep_up()
    await service._tasks.drain(60)
    return begun


class FakeEntries:
    """Entries by key, which are there once."""

    def __init__(self) -> None:
        self.posted: dict[str, str] = {}
        self.error: Exception | None = None

    async def post(self, name: str, key: str) -> None:
        if self.error is not None:
            raise self.error
        self.posted[key] = name

    @property
    def names(self) -> list[str]:
        return list(self.posted.values())


class TransferWorld:
    """What all processes of the service share."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log, self.mirror = FakeProcessLog(), FakeMirror()
        self.stripe = FakeCustomerGateway(self.clock)
        self.objects = FakeObjects(self.clock, lambda id_: self.stripe.customers.get(id_))
        self.entries = FakeEntries()
        self.transfers = Transfers(self.stripe, self.entries)

    def pause(self, pause: Pause) -> None:
        self.log.pause = self.mirror.pause = self.stripe.pause = self.objects.pause = pause

    def service(self) -> Processes:
        """A process of the service, which has just been started."""
        made = Processes(
            self.log, MirrorWriter(self.mirror), self.objects, self.clock, Tasks(), asyncio.Event()
        )
        made.register(self.transfers)
        return made

    async def begin(self, terms: bytes = b'{"name":"Ada"}') -> ProcessRecord:
        """Begin the transfer and carry it on as far as it goes."""
        service = self.service()
        record = await service.start(transfer(self.clock.now(), terms))
        await service.advance(record.id)
        return self.record

    async def later(self, by: dt.timedelta) -> None:
        """Let time pass, and a service do what is due then."""
        self.clock.instant += by
        await carried_on(self.service())

    async def until_it_rests(self) -> None:
        """Let time pass until nothing is due any more."""
        for _ in range(60):
            kept = self.log.kept[ID]
            if kept.due_at is None:
                return
            await self.later(max(kept.due_at - self.clock.instant, dt.timedelta()))
        raise AssertionError(self.record)

    async def paid(self, *, told: bool = True) -> None:
        """The first customer does what is waited for; with `told` its event comes."""
        (customer,) = self.stripe.customers.values()
        self.stripe.customers[customer.id] = replace(customer, description="paid")
        if told:
            await self.wake(customer.id)

    async def wake(self, object_id: str, stripe_account: str = "acct_1") -> int:
        """An event of an object comes."""
        return await self.log.wake([Watch(stripe_account, object_id)], now=self.clock.now())

    @property
    def record(self) -> ProcessRecord:
        return self.log.kept[ID].record

    @property
    def progress(self) -> Progress:
        return self.record.progress

    @property
    def states(self) -> list[str]:
        return [entry.state for entry in self.progress.history]

    @property
    def sends(self) -> list[str]:
        """The changes that Stripe was asked for, with the account."""
        return [f"{method} {call.stripe_account}" for method, call, _ in self.stripe.sends]
