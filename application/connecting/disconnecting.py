"""Disconnecting: an account gives up its link, and the platform its access."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.connecting.ports import Deauthorized, OauthGateway
from application.connecting.use_cases import check_set_up
from application.connections.open_work import OpenItem, OpenWork
from application.connections.ports import ConnectionRepository
from application.connections.use_cases import Connections
from application.mutations.mutations import Mutations
from application.mutations.steps import Steps
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionState, usable
from domain.errors import AlreadyExists, FailedPrecondition, Reason

MOST_LISTED: Final = 20
"""How many open things a refusal lists."""


@dataclass(frozen=True, slots=True)
class _Disconnection:
    force: bool


class Disconnecting:
    """Ends connections: marked first, then deauthorised at Stripe, then revoked.

    From the mark on nothing new begins, and the Stripe account is nobody else's until Stripe has
    answered: so a repeated deauthorisation never cuts a link that was made since.
    """

    def __init__(
        self,
        oauth: OauthGateway,
        repository: ConnectionRepository,
        connections: Connections,
        open_work: Sequence[OpenWork],
        mutations: Mutations,
    ) -> None:
        """`open_work` finds what is open of each capability, in the order in which it is told."""
        self._oauth = oauth
        self._repository = repository
        self._connections = connections
        self._open_work = tuple(open_work)
        self._disconnect = mutations.method(
            "ConnectionService.Disconnect", _Disconnection, Connection, self._steps,
            connected=False,
        )  # fmt: skip

    async def disconnect(self, caller: Caller, request_id: str, *, force: bool) -> Connection:
        """End the account's connection; one that is revoked already stays as it is.

        Raises FailedPrecondition: STRIPE_NOT_CONNECTED, PROCESSES_OPEN unless `force`,
        STRIPE_REFUSED where Stripe gives access still. And what mutations raise.
        """
        check_set_up(self._oauth)
        return await self._disconnect.run(caller, request_id, _Disconnection(force))

    async def _steps(self, steps: Steps, disconnection: _Disconnection) -> Connection:
        link = await steps.known("link", Connection, lambda _: self._link(steps.account))
        if link.state is ConnectionState.REVOKED:
            return link
        if not disconnection.force and not steps.was_sent("mark"):
            _refuse_open(await self._open(link))  # nothing is marked for a while then
        if not await steps.own("mark", bool, lambda: self._mark(link, steps)):
            raise _ended_elsewhere()
        try:
            if not disconnection.force:
                # What began until it was marked: the same in each run, whatever ends meanwhile.
                _refuse_open(await steps.known("open", list[OpenItem], lambda _: self._open(link)))
            await steps.call_unmirrored(
                "deauthorize", Deauthorized, link.stripe_account, self._oauth.deauthorize,
                self._oauth.find_deauthorized,
            )  # fmt: skip
        except FailedPrecondition:
            await steps.own("unmark", bool, lambda: self._unmark(link, steps))
            raise
        await steps.own("revoke", bool, lambda: self._repository.revoke(link))
        self._connections.forget(link.account)
        return replace(link, state=ConnectionState.REVOKED)

    async def _link(self, account: str) -> Connection:
        """The link that is meant: the one that stands when the call is first carried out."""
        link = await self._connections.standing(account)
        if link is None:
            return usable(link)  # raises what an account without a connection meets everywhere
        if link.state is ConnectionState.ACTIVE and link.ending_since is not None:
            raise _ended_elsewhere()
        return link

    async def _mark(self, link: Connection, steps: Steps) -> bool:
        marked = await self._repository.mark(link, ending_since=steps.started_at)
        self._connections.forget(link.account)
        return marked

    async def _unmark(self, link: Connection, steps: Steps) -> bool:
        unmarked = await self._repository.unmark(link, ending_since=steps.started_at)
        self._connections.forget(link.account)
        return unmarked

    async def _open(self, link: Connection) -> list[OpenItem]:
        items: list[OpenItem] = []
        for work in self._open_work:
            items += await work.needing(link, limit=MOST_LISTED)
        return items[:MOST_LISTED]


def _refuse_open(items: Sequence[OpenItem]) -> None:
    """Raise FailedPrecondition (PROCESSES_OPEN) that lists what is open, if something is."""
    if not items:
        return
    listed = ", ".join(item.words for item in items)
    more = " and perhaps more" if len(items) == MOST_LISTED else ""
    raise FailedPrecondition(
        Reason.PROCESSES_OPEN,
        f"what is open needs the connection: {listed}{more}; let it end, or force",
        subject="connection",
        metadata={"open": listed, "count": str(len(items))},
    )


def _ended_elsewhere() -> AlreadyExists:
    return AlreadyExists(Reason.ALREADY_EXISTS, "another call is disconnecting this account")
