"""A small process: two customers at two Stripe accounts, and two entries of our own, or nothing.

    open → held → authorised → subscribed → captured → completed, or backwards to canceled

`hold` and `settle` are entries; `authorise` and `subscribe` make a customer each, on another Stripe
account; `capture`, the pivot, writes on the first one. Before it all can be taken back.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from typing_extensions import override

from application.customers.ports import (
    CustomerChange,
    CustomerDeletion,
    CustomerFields,
    CustomerGateway,
)
from application.mirror.nouns import CUSTOMERS
from application.processes.ports import ProcessKey, ProcessRecord
from application.processes.process import Process, Run, Stage
from application.processes.processes import process_id
from application.processes.progress import begun
from domain.errors import BillingError, FailedPrecondition, PaymentDeclined, Reason

HERE: Final = "acct_1"
THERE: Final = "acct_2"
PAID: Final = "paid"
PATIENCE: Final = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fixed.

    With `waits` the first customer has to be `PAID` before it goes on; with `declined` the second
    one is refused, definitely.
    """

    name: str
    here: str = HERE
    there: str = THERE
    waits: bool = False
    declined: bool = False


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer of an entry."""

    entry: str


@dataclass(frozen=True, slots=True)
class Learnt:
    """What it has learnt: how often it was looked at since it rests."""

    tended: int = 0


class Entries(Protocol):
    """Our own store."""

    async def post(self, name: str, key: str) -> None:
        """Post an entry; one of the same key is there already, and changes nothing."""
        ...


TransferRun = Run[Terms, Learnt]


class Transfers(Process[Terms, Learnt]):
    """The process."""

    kind: ClassVar[str] = "transfer"
    frozen = Terms
    data = Learnt

    def __init__(self, gateway: CustomerGateway, entries: Entries) -> None:
        self.gateway, self.entries = gateway, entries
        self.told: list[str] = []
        self.refusal: BillingError | None = None
        """Raised as `subscribe` begins, where there is one."""
        self.tending: Callable[[TransferRun], Awaitable[None]] | None = None

    @property
    @override
    def stages(self) -> Sequence[Stage[Terms, Learnt]]:
        return (
            Stage("hold", "open", self._hold, self._release),
            Stage("authorise", "held", self._authorise, self._void),
            Stage("subscribe", "authorised", self._subscribe, self._unsubscribe),
            Stage("capture", "subscribed", self._capture, pivot=True),
            Stage("settle", "captured", self._settle),
        )

    @override
    def ended(self, failure: BillingError) -> str:
        return "expired" if failure.reason is Reason.WRONG_STATE else self.taken_back

    @override
    async def tend(self, run: TransferRun) -> None:
        if self.tending is not None:
            await self.tending(run)

    @override
    async def attention(self, run: TransferRun) -> None:
        self.told.append(run.id)

    async def _hold(self, run: TransferRun) -> None:
        await self._post(run, "hold")

    async def _release(self, run: TransferRun) -> None:
        await self._post(run, "release")

    async def _settle(self, run: TransferRun) -> None:
        await self._post(run, "settle")

    async def _authorise(self, run: TransferRun) -> None:
        customer_id = await self._create(run, "authorise", run.frozen.here)
        if not run.frozen.waits:
            return
        customer = await run.read(CUSTOMERS, customer_id)
        if customer.description == PAID:
            return
        until = run.record.created_at + PATIENCE
        if run.now() >= until:
            raise FailedPrecondition(Reason.WRONG_STATE, "nobody paid in time", subject="x")
        run.wait("awaiting_customer", until=until)

    async def _void(self, run: TransferRun) -> None:
        await self._delete(run, "authorise", run.frozen.here)

    async def _subscribe(self, run: TransferRun) -> None:
        if self.refusal is not None:
            raise self.refusal
        if run.frozen.declined:
            raise PaymentDeclined("use another card", decline_code="lost_card")
        await self._create(run, "subscribe", run.frozen.there)

    async def _unsubscribe(self, run: TransferRun) -> None:
        await self._delete(run, "subscribe", run.frozen.there)

    async def _capture(self, run: TransferRun) -> None:
        made = run.steps.mirrored_answer("authorise", CUSTOMERS)
        assert made is not None
        wanted = CustomerChange(made.id, CustomerFields(description="captured"))
        await run.steps.call(
            "capture", CUSTOMERS, wanted, self.gateway.update, self.gateway.find_updated
        )

    async def _create(self, run: TransferRun, name: str, stripe_account: str) -> str:
        wanted = CustomerFields(name=f"{run.frozen.name} {name}")
        made = await run.steps.at(stripe_account).call(
            name, CUSTOMERS, wanted, self.gateway.create, self.gateway.find_created
        )
        return made.id

    async def _delete(self, run: TransferRun, name: str, stripe_account: str) -> None:
        made = run.steps.mirrored_answer(name, CUSTOMERS)
        if made is None:
            return
        await run.steps.at(stripe_account).call(
            f"{name} back", CUSTOMERS, CustomerDeletion(made.id),
            self.gateway.delete, self.gateway.find_deleted,
        )  # fmt: skip

    async def _post(self, run: TransferRun, name: str) -> None:
        key = run.steps.tag(name)

        async def post() -> Posted:
            await self.entries.post(name, key)
            return Posted(key)

        await run.steps.own(name, Posted, post)


def transfer(
    now: dt.datetime, terms: bytes = b'{"name":"Ada"}', request_id: str = "r-1", here: str = HERE
) -> ProcessRecord:
    """A transfer that has done nothing yet."""
    key = ProcessKey("acme", Transfers.kind, request_id)
    return ProcessRecord(
        process_id(key), key, here, "hash", terms, now, begun("open", now, b'{"tended":0}')
    )
