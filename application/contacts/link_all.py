"""Link all: every customer of a connection gets the contact that it is."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from typing_extensions import override

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.connections.ports import ConnectionRepository
from application.contacts.matching import ContactMatching
from application.contacts.ports import ContactDirectory, ContactLink
from application.contacts.sync import ContactSyncing, Wishes
from application.mirror.nouns import CUSTOMERS
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Filter, Mirror, Order, RowPage
from application.operations.work import Meter, Step, Work, begin_anew
from application.requests.paging import Position, Scalar
from domain.connections import Connection, Mode
from domain.contacts import ContactSync, contact_id_for
from domain.customers import Customer
from domain.errors import BillingError, FailedPrecondition, Reason
from domain.oddities import Oddities, Oddity
from domain.operations import Operation, OperationKind, OperationProgress

BLOCK: Final = 100
"""How many customers are linked between two checkpoints."""

_OLDEST_FIRST: Final = Order("created", descending=False)


@dataclass(frozen=True, slots=True)
class LinkingState:
    """How far linking has come, as its checkpoint keeps it; `value` and `id` are a Position."""

    value: Scalar | None = None
    id: str = ""
    read: int = 0
    linked: int = 0
    created: int = 0
    unmatched: int = 0
    already_linked: int = 0
    finished: bool = False
    oddities: Oddities = field(default_factory=Oddities)


class LinkAll(Work):
    """Goes through all of the mirror's customers, oldest first, and links those without a contact.

    The oldest customer of an address so gets its contact, and one that is created meanwhile has its
    turn at the end. Each is synced as an event about it would sync it. Whatever ends a run, the
    next one goes on at the last block, and counts what it finds linked since the operation was
    asked for as its own.
    """

    kind = OperationKind.LINK_CONTACTS

    def __init__(
        self,
        contacts: ContactDirectory,
        mirror: Mirror,
        syncing: ContactSyncing,
        matching: ContactMatching,
        connections: ConnectionRepository,
        checkpoints: Checkpoints,
        clock: Clock,
        mode: Mode,
    ) -> None:
        self._contacts = contacts
        self._mirror = mirror
        self._syncing = syncing
        self._matching = matching
        self._connections = connections
        self._checkpoints = checkpoints
        self._clock = clock
        self._mode = mode

    @override
    async def prepare(self, operation: Operation) -> None:
        await begin_anew(self._checkpoints, operation, self._clock)

    @override
    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        """A step a block.

        Raises FailedPrecondition (STRIPE_NOT_CONNECTED) where the Stripe account is no longer
        connected to the account that asked.
        """
        stripe_account, meter = operation.stripe_account, Meter(self._clock)
        checkpoint = await self._checkpoints.load(stripe_account, self.kind)
        state = msgspec.convert(checkpoint.state, LinkingState)
        checkpoint = await self._save(checkpoint, state)
        total = await self._mirror.count(CUSTOMERS, stripe_account)
        while not state.finished:
            wishes = await self._wishes(operation)
            page = await self._mirror.list(
                CUSTOMERS, stripe_account, Filter(), order=_OLDEST_FIRST, after=_place(state),
                limit=BLOCK,
            )  # fmt: skip
            state = _behind(await self._link(operation, wishes, page, state), page)
            checkpoint = await self._save(checkpoint, state)
            yield Step(meter.of(_progress(state, total)))

    async def _wishes(self, operation: Operation) -> Wishes:
        """What the account wants, as it stands now, on the connection that it still has."""
        account, stripe_account = operation.options.account, operation.stripe_account
        connection = await self._connections.find_by_stripe_account(stripe_account, self._mode)
        if connection is None or connection.account != account:
            raise FailedPrecondition(
                Reason.STRIPE_NOT_CONNECTED,
                "the Stripe account is no longer connected to the account",
                subject="connection",
            )
        settings = await self._contacts.sync_settings(account) or ContactSync(account)
        return Wishes(connection, settings, await self._matching.region(stripe_account))

    async def _link(
        self, operation: Operation, wishes: Wishes, page: RowPage[Customer], state: LinkingState
    ) -> LinkingState:
        """The state with the counts of a block, whose customers are linked one after another."""
        connection = wishes.connection
        links = await self._contacts.links(
            connection.account, connection.stripe_account, [row.id for row in page.rows]
        )
        for row in page.rows:
            link = links.get(row.id)
            if link is not None and link.linked_at < operation.requested_at:
                state = replace(state, already_linked=state.already_linked + 1)
                continue
            try:
                synced = await self._syncing.sync_row(wishes, row, link)
            except BillingError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, other customers go on
                odd = Oddity(CUSTOMERS.name, row.id, f"cannot be linked: {type(error).__name__}")
                log_oddities(connection.stripe_account, [odd])
                state = replace(state, oddities=state.oddities.plus([odd]))
                continue
            counted = _counted(synced.link, connection)
            state = replace(state, **{counted: getattr(state, counted) + 1})
        return replace(state, read=state.read + len(page.rows))

    async def _save(self, checkpoint: Checkpoint, state: LinkingState) -> Checkpoint:
        told = replace(checkpoint, state=msgspec.to_builtins(state))
        return await self._checkpoints.save(told, now=self._clock.now())


def _counted(link: ContactLink | None, connection: Connection) -> str:
    """As what a customer counts that was not linked before."""
    if link is None:
        return "unmatched"
    own = contact_id_for(connection.account, connection.stripe_account, link.customer)
    return "created" if link.contact == own else "linked"


def _place(state: LinkingState) -> Position | None:
    return None if state.value is None else Position(state.value, state.id)


def _behind(state: LinkingState, page: RowPage[Customer]) -> LinkingState:
    """The state after a block."""
    if page.next is None:
        return replace(state, finished=True)
    return replace(state, value=page.next.value, id=page.next.id)


def _progress(state: LinkingState, total: int) -> OperationProgress:
    return OperationProgress(
        phase="link",
        noun=CUSTOMERS.name,
        read=state.read,
        total=total,
        linked=state.linked,
        created=state.created,
        unmatched=state.unmatched,
        already_linked=state.already_linked,
        oddities=state.oddities,
    )
