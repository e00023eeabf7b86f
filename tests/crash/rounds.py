"""Lives of a service that does nothing but connect and disconnect, as `transfers.py`.

python -m tests.crash.rounds
"""

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from application.background.tasks import Tasks
from application.connecting.commands import BeginConnection, CompleteConnection
from application.connecting.disconnecting import Disconnecting
from application.connecting.use_cases import Connecting
from application.connections.use_cases import Connections
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.operations.first_backfill import RequestedBackfill
from application.operations.log import OperationLog
from application.processes.open_processes import OpenProcesses
from application.requests.callers import Caller
from domain.connections import Mode
from domain.errors import BillingError
from domain.oauth import digest_of
from infrastructure.sqlite.takeover import SqliteTakeover
from infrastructure.stripe.connecting.gateway import StripeOauth
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from infrastructure.stripe.readers.objects import StripeObjectReader
from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.settings import PLATFORM_KEY
from tests.crash.forks import Counting, Passing, bring_up, opened
from tests.crash.kill_points import KillPoint
from tests.support.servers.stores import Stores

BACK: Final = "https://platform.example/back"
SESSION: Final = digest_of("a browser")
_SETTLED: Final = 20
"""How often time is let pass at most, until nothing is due any more."""

_WATCHED: Final[Mapping[str, tuple[str, ...]]] = {
    "oauth_states": ("add", "use"),
    "mutation_log": ("begin", "save_step", "finish", "release"),
    "connections": ("put", "mark", "unmark", "revoke"),
    "checkpoints": ("save",),
}


@dataclass(frozen=True, slots=True)
class Life:
    """One life on a store: it may connect an account, disconnect it, or let time pass.

    `request_id` names what it does; the accounts' ids are those of Billing and of Stripe.
    """

    place: tuple[str, ...]
    stripe: str
    does: str
    account: str = ""
    stripe_account: str = ""
    request_id: str = ""
    point: KillPoint | None = None


async def live(life: Life) -> Mapping[str, int]:
    """One life, up to its end or the point of its death; a refusal is an end, too."""
    clock, killer = Passing(), Counting(life.point)
    settings = StripeSettings(
        PLATFORM_KEY, api_base=life.stripe, connect_base=life.stripe, first_backoff_seconds=0.01
    )
    api = StripeApi(settings, RateBudget(10_000), clock)
    async with opened(life.place) as stores:
        oauth = StripeOauth(api, StripeConnectedAccounts(api), CLIENT_ID)
        for port, methods in _WATCHED.items():
            for method in methods:
                killer.watch_one(f"{port}.{method}", getattr(stores, port), method)
        for method in ("exchange", "deauthorize"):
            killer.watch_one(f"oauth.{method}", oauth, method)
        if stores.kind == "sqlite":
            database = stores.mutation_log._database  # type: ignore[attr-defined]
            await SqliteTakeover(database).end_leases(now=clock.now())
        service = _Service(stores, oauth, api, clock)
        try:
            await service.do(life)
        except BillingError:
            pass  # what is there then says enough
        finally:
            await api.close()
    return killer.calls


class _Service:
    def __init__(self, stores: Stores, oauth: StripeOauth, api: StripeApi, clock: Passing) -> None:
        self._clock = clock
        connections = Connections(
            stores.connections, StripeConnectedAccounts(api), stores.mirror, clock, Mode.TEST
        )
        self._mutations = Mutations(
            stores.mutation_log, connections, MirrorWriter(stores.mirror), clock, Tasks(),
            StripeObjectReader(api),
        )  # fmt: skip
        backfill = RequestedBackfill(
            OperationLog(stores.checkpoints, clock), clock, asyncio.Event()
        )
        self._connecting = Connecting(
            oauth, stores.oauth_states, stores.connections, connections, backfill,
            self._mutations, clock, Mode.TEST, (BACK,),
        )  # fmt: skip
        self._disconnecting = Disconnecting(
            oauth, stores.connections, connections, [OpenProcesses(stores.process_log)],
            self._mutations,
        )  # fmt: skip

    async def do(self, life: Life) -> None:
        caller = Caller("tests", life.account, frozenset())
        match life.does:
            case "connect":
                await self._connect(caller, life)
            case "disconnect":
                await self._disconnecting.disconnect(caller, life.request_id, force=False)
            case "disconnect later":
                self._clock.ahead += 600.0
                await self._disconnecting.disconnect(caller, life.request_id, force=False)
            case _:
                await self._settle()

    async def _connect(self, caller: Caller, life: Life) -> None:
        begun = await self._connecting.begin(caller, BeginConnection(BACK, SESSION))
        async with ControlClient(life.stripe) as control:
            sent = await control.consent(begun.authorize_url, life.stripe_account)
        query = parse_qs(urlsplit(sent).query)
        command = CompleteConnection(query["state"][0], query["code"][0], "", BACK, SESSION)
        await self._connecting.complete(caller, life.request_id, command)

    async def _settle(self) -> None:
        """Let time pass, so that what others have left is carried on."""
        for _ in range(_SETTLED):
            self._clock.ahead += dt.timedelta(minutes=10).total_seconds()
            if not await self._mutations.recover():
                return
        raise RuntimeError("something is due for ever")


if __name__ == "__main__":
    bring_up(Life, live)
