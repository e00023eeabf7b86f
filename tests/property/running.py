"""The service as it runs: all that brings Stripe's accounts into a store, at work at once."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Final

from application.contacts.ports import ContactLink, SourceVersion
from application.projection.projector import Projector
from domain.connections import Connection, ConnectionKind, Mode
from domain.contacts import ContactSync
from domain.errors import BillingError, Conflict
from sandbox.emulator.core.messages import DeliveryChange
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.upkeep import Flows

PROJECTORS: Final = 2
_SYNCED: Final = {"name": "name", "email": "email"}
_DAY: Final = 86_400
_MOST_ROUNDS: Final = 100


class Service:
    """Projectors with their effects, catch-up, backfill, comparison and the two refreshers.

    `accounts` are flows over one store, each for a Stripe account; its tenant has the same name.
    """

    def __init__(self, accounts: Sequence[Flows], clock: MovableClock) -> None:
        self._accounts = accounts
        self._clock = clock
        self._begun_at = clock.now()
        self._one = accounts[0]
        self._effects = self._one.effects(max_age=dt.timedelta(days=60))
        self._projectors: dict[str, asyncio.Task[None]] = {}
        self._started = 0
        self._beside: list[asyncio.Task[None]] = []
        self._stopping = False

    async def prepare(self, flows: Flows) -> None:
        """The account's tenant wants its customers in its CRM."""
        wanted = ContactSync(flows.account, _SYNCED, create=True)
        await flows.stores.contacts.put_sync_settings(wanted)

    async def link(self, flows: Flows, customer: str) -> None:
        """Link a customer to a contact by hand, as somebody does who is quicker than the sync."""
        contacts, contact = flows.stores.contacts, f"contact of {customer}"
        version = SourceVersion(0, 0, 0)
        await contacts.fill(
            flows.account, contact, {"name": "?"}, version, stripe_account="crm", create=True
        )
        await contacts.link(
            ContactLink(flows.account, flows.account, customer, contact, self._clock.now())
        )

    async def pass_time(self, seconds: int) -> None:
        """Let time pass, at Stripe and here."""
        self._clock.ahead += dt.timedelta(seconds=seconds)
        await self._one.emulator.control.advance_clock(seconds)

    async def connect(self, flows: Flows) -> None:
        """Store the account's connection, for which its events have waited; import its history.

        Its owner had consented before anything happened.
        """
        link = Connection(
            flows.account, flows.account, Mode.TEST, ConnectionKind.OAUTH, self._begun_at
        )
        await flows.stores.connections.put(link)
        await self._effects.drain(flows.account)
        # As the schedule does at once, so that nothing falls between the import and its window.
        await self._patiently(lambda: self.refresh(flows))
        self.beside(lambda: self.import_again(flows))

    def start(self) -> None:
        """Start the projectors."""
        for _ in range(PROJECTORS):
            self._start_projector()

    async def kill_one(self, chance: Random) -> None:
        """A projector dies where it stands; its leases remain. Another one takes its place."""
        task = self._projectors.pop(chance.choice(sorted(self._projectors)))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self._start_projector()

    def beside(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do something while everything else goes on; Stripe or another run may refuse it."""

        async def run() -> None:
            with suppress(BillingError):
                await work()

        self._beside.append(asyncio.create_task(run()))  # what else it raises is raised at the end

    async def import_again(self, flows: Flows) -> None:
        """A backfill from the beginning."""
        await flows.backfill.reset(flows.account)
        await flows.backfilled()

    async def refresh(self, flows: Flows) -> None:
        """What the schedule does: list what no event tells of."""
        await flows.balance_transactions.refresh(flows.account, pending=True)
        await flows.invoice_payments.refresh(flows.account, pending=True)

    async def come_to_rest(self) -> None:
        """Until nothing is left to be done, whatever waits for its time included."""
        control = self._one.emulator.control
        await control.clear_faults()
        await control.change_delivery(DeliveryChange(drop_fraction=0, delay_fraction=0))
        await self.pass_time(_DAY)  # what was delayed is delivered
        assert (await control.flush()).done
        self._stopping = True
        await asyncio.gather(*self._projectors.values(), *self._beside)
        projector = self._projector()
        for _ in range(_MOST_ROUNDS):
            while await projector.project_batch():
                pass
            polled = [await flows.catch_up.poll(flows.source) for flows in self._accounts]
            new = any(one.new for one in polled)
            if not new and not await self._one.stores.inbox.backlog():
                break
            self._clock.ahead += dt.timedelta(minutes=1)  # leases and pauses end
        else:
            raise AssertionError("the inbox does not come to rest")
        for flows in self._accounts:
            await self.refresh(flows)

    async def end(self) -> None:
        """Cut off whatever still runs."""
        tasks = [*self._projectors.values(), *self._beside]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do something that another run may be at."""
        for _ in range(_MOST_ROUNDS):
            try:
                await work()
            except Conflict:
                await asyncio.sleep(0.01)
            else:
                return
        raise AssertionError("the other run does not end")

    def _projector(self) -> Projector:
        self._started += 1
        return self._one.projector(f"projector {self._started}", effects=self._effects)

    def _start_projector(self) -> None:
        projector = self._projector()
        task = asyncio.create_task(self._keep_projecting(projector))
        self._projectors[f"projector {self._started}"] = task

    async def _keep_projecting(self, projector: Projector) -> None:
        """As `Projector.run` does, but that nothing is let gather."""
        while not self._stopping:
            with suppress(BillingError):
                while await projector.project_batch():
                    pass
            self._one.arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self._one.arrived.wait()
