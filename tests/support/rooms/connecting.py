"""Connecting and disconnecting in processes that share fakes of stores and of Stripe's OAuth."""

import datetime as dt
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from typing_extensions import override

from application.background.tasks import Tasks
from application.connecting.commands import BeginConnection, CompleteConnection
from application.connecting.disconnecting import Disconnecting
from application.connecting.ports import Deauthorized, Grant, OauthGateway, OauthStates
from application.connecting.use_cases import Connecting
from application.connections.open_work import OpenItem, OpenWork
from application.connections.ports import FirstBackfill
from application.connections.use_cases import Connections
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import RETRY_UNKNOWN, Mutations
from application.mutations.stripe import Call, Unanswered
from application.requests.callers import Caller
from domain.accounts import Account
from domain.connections import Connection, Mode
from domain.errors import FailedPrecondition, Reason
from domain.oauth import Binding, OauthState, digest_of
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    Fake,
    FakeAccounts,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
    Pause,
    no_pause,
)

ACME: Final = Caller("grace", "acme", frozenset())
GLOBEX: Final = Caller("omar", "globex", frozenset())
SESSION: Final = digest_of("grace's browser")
BACK: Final = "https://platform.example/back"
OTHER_BACK: Final = "https://platform.example/other"


class FakeOauthStates(Fake, OauthStates):
    """States in a dictionary."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept: dict[str, OauthState] = {}

    @override
    async def add(self, state: OauthState, *, now: dt.datetime) -> None:
        async with self._step("oauth_states.add"):
            self.kept[state.digest] = state

    @override
    async def count(self, account: str, *, now: dt.datetime, limit: int) -> int:
        async with self._step("oauth_states.count"):
            usable = [
                state for state in self.kept.values()
                if state.binding.account == account and not state.used_by and state.expires_at > now
            ]  # fmt: skip
            return min(len(usable), limit)

    @override
    async def use(self, binding: Binding, digest: str, *, by: str, now: dt.datetime) -> bool:
        async with self._step("oauth_states.use"):
            state = self.kept.get(digest)
            if state is None or state.binding != binding:
                return False
            if state.used_by != by and (state.used_by or state.expires_at <= now):
                return False
            self.kept[digest] = replace(state, used_by=by)
            return True


class FakeOauth(Fake, OauthGateway):
    """Stripe's OAuth: codes that owners gave, who gives access, and every request that came.

    What is put into `failures` is raised in turn; an Unanswered after the work was done.
    """

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.set_up = True
        self.codes: dict[str, Grant] = {}
        self.exchanged: list[str] = []
        self.access: set[str] = set()
        self.deauthorized: list[str] = []
        self.failures: list[Exception] = []

    @property
    @override
    def is_set_up(self) -> bool:
        return self.set_up

    @override
    def authorize_url(self, redirect_uri: str, state: str) -> str:
        query = urlencode({"redirect_uri": redirect_uri, "state": state})
        return f"https://stripe.example/authorize?{query}"

    def consent(self, stripe_account: str, *, livemode: bool = False) -> str:
        """An owner consents; the code."""
        code = f"ac_{len(self.codes)}"
        self.codes[code] = Grant(stripe_account, livemode, "read_write")
        return code

    @override
    async def exchange(self, call: Call, code: str) -> Grant:
        async with self._step("oauth.exchange"):
            failure = self.failures.pop(0) if self.failures else None
            if failure is not None and not isinstance(failure, Unanswered):
                raise failure
            grant = self.codes.get(code)
            self.exchanged.append(code)
            if grant is None or self.exchanged.count(code) > 1:
                if grant is not None:
                    self.access.discard(grant.stripe_account)
                raise FailedPrecondition(Reason.CODE_REFUSED, "no such code", subject="code")
            self.access.add(grant.stripe_account)
            if failure is not None:
                raise failure
            return grant

    @override
    async def deauthorize(self, call: Call, params: str) -> Deauthorized:
        async with self._step("oauth.deauthorize"):
            failure = self.failures.pop(0) if self.failures else None
            if failure is not None and not isinstance(failure, Unanswered):
                raise failure
            self.deauthorized.append(params)
            already = params not in self.access
            self.access.discard(params)
            if failure is not None:
                raise failure
            return Deauthorized(already=already)

    @override
    async def find_deauthorized(
        self, call: Call, params: str, sent_at: dt.datetime
    ) -> Deauthorized | None:
        async with self._step("oauth.find"):
            return None if params in self.access else Deauthorized()


class FakeBackfill(Fake, FirstBackfill):
    """Notes for which Stripe accounts a backfill was asked."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.requested: set[str] = set()

    @override
    async def request(self, stripe_account: str) -> None:
        async with self._step("backfill.request"):
            self.requested.add(stripe_account)


class FakeOpenWork(OpenWork):
    """What is open, by Stripe account."""

    def __init__(self) -> None:
        self.items: dict[str, list[OpenItem]] = {}

    @override
    async def needing(self, connection: Connection, *, limit: int) -> list[OpenItem]:
        return self.items.get(connection.stripe_account, [])[:limit]


class ConnectingPlatform:
    """What all processes share: the stores, Stripe and the time."""

    def __init__(self, *kept: Connection) -> None:
        self.clock = FakeClock()
        self.log = FakeMutationLog()
        self.states = FakeOauthStates()
        self.oauth = FakeOauth()
        self.repository = FakeConnections(*kept)
        self.backfill = FakeBackfill()
        self.open_work = FakeOpenWork()
        self.accounts = FakeAccounts(
            Account("acme", "Acme", "usd"), Account("globex", "Globex", "usd")
        )

    def pause(self, pause: Pause) -> None:
        """Pause at every call of a port."""
        for port in (self.log, self.states, self.oauth, self.repository, self.backfill):
            port.pause = pause

    def process(self) -> "ConnectingProcess":
        return ConnectingProcess(self)

    async def connection(self, account: str = "acme") -> Connection | None:
        return await self.repository.get(account, Mode.TEST)

    async def recovered(self) -> "ConnectingProcess":
        """The next process, once it has carried on what others have left."""
        self.clock.instant += RETRY_UNKNOWN * 10
        process = self.process()
        await process.mutations.recover()
        return process


class ConnectingProcess:
    """One process of the service."""

    def __init__(self, platform: ConnectingPlatform) -> None:
        self.platform = platform
        self.connections = Connections(
            platform.repository, FakeStripeAccounts(), FakeMirror(), platform.clock, Mode.TEST,
            accounts=platform.accounts,
        )  # fmt: skip
        self.tasks = Tasks()
        self.mutations = Mutations(
            platform.log, self.connections, MirrorWriter(FakeMirror()), platform.clock,
            self.tasks, FakeObjects(platform.clock),
        )  # fmt: skip
        self.connecting = Connecting(
            platform.oauth, platform.states, platform.repository, self.connections,
            platform.backfill, self.mutations, platform.clock, Mode.TEST, (BACK, OTHER_BACK),
        )  # fmt: skip
        self.disconnecting = Disconnecting(
            platform.oauth, platform.repository, self.connections, [platform.open_work],
            self.mutations,
        )  # fmt: skip

    async def begin(self, caller: Caller = ACME) -> str:
        """Begin a round; the state in the address."""
        begun = await self.connecting.begin(caller, BeginConnection(BACK, SESSION))
        (state,) = parse_qs(urlsplit(begun.authorize_url).query)["state"]
        return state

    async def complete(
        self, state: str, code: str, caller: Caller = ACME, request_id: str = "one",
        **changes: str,
    ) -> Connection:  # fmt: skip
        """Complete a round where it was begun, but for the changes."""
        command = CompleteConnection(state, code, "", BACK, SESSION)
        return await self.connecting.complete(caller, request_id, replace(command, **changes))

    async def disconnect(
        self, caller: Caller = ACME, request_id: str = "end", *, force: bool = False
    ) -> Connection:
        return await self.disconnecting.disconnect(caller, request_id, force=force)
