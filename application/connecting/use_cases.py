"""Connecting: the owner of a Stripe account is asked for access, and what he gives is kept."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from application.background.clock import Clock
from application.connecting.codes import Codes
from application.connecting.commands import BeginConnection, CompleteConnection
from application.connecting.ports import Grant, OauthGateway, OauthStates
from application.connecting.violations import begin_violations, complete_violations
from application.connections.ports import ConnectionRepository, FirstBackfill
from application.connections.use_cases import Connections
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps
from application.requests.callers import Caller
from application.requests.violations import refuse
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    OutcomeLost,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.oauth import STATE_BYTES, STATE_LIFETIME, Binding, OauthState, digest_of

MAX_OPEN: Final = 100
"""How many rounds an account may have open at once."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser. The address holds the state, which is kept nowhere."""

    authorize_url: str
    state: OauthState


@dataclass(frozen=True, slots=True)
class _Completion:
    """What is kept of a completion: digests in the place of what is secret."""

    state_digest: str
    code_digest: str
    error: str
    redirect_uri: str
    session_digest: str


class Connecting:
    """Begins rounds of OAuth and completes them (docs/connections.md).

    A completion is a mutation: however often it is asked for, the state is used up once, before the
    code is exchanged, and the code is exchanged once at most.
    """

    def __init__(
        self,
        oauth: OauthGateway,
        states: OauthStates,
        repository: ConnectionRepository,
        connections: Connections,
        backfill: FirstBackfill,
        mutations: Mutations,
        clock: Clock,
        mode: Mode,
        redirect_uris: Sequence[str],
        *,
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        """`random` gives text of so many random bytes that nobody can guess."""
        self._oauth = oauth
        self._states = states
        self._repository = repository
        self._connections = connections
        self._backfill = backfill
        self._clock = clock
        self._mode = mode
        self._redirect_uris = frozenset(redirect_uris)
        self._random = random
        self._codes = Codes()
        self._complete = mutations.method(
            "ConnectionService.CompleteConnection", _Completion, Connection, self._complete_steps,
            connected=False,
        )  # fmt: skip

    async def begin(self, caller: Caller, command: BeginConnection) -> Begun:
        """Begin a round: where to send the browser, and what is kept of it.

        Raises InvalidArgument, NotFound (the account), AlreadyExists where it is connected,
        and RateLimited (OVERLOADED) behind MAX_OPEN open rounds.
        """
        set_up = self._oauth.is_set_up
        refuse(begin_violations(command, self._redirect_uris, set_up=set_up))
        _refuse_connected(await self._connections.standing(caller.account))
        now = self._clock.now()
        if await self._states.count(caller.account, now=now, limit=MAX_OPEN) >= MAX_OPEN:
            words = f"{MAX_OPEN} rounds of connecting are open; complete one, or wait"
            raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=60)
        secret = self._random(STATE_BYTES)
        binding = Binding(caller.account, command.session_digest, command.redirect_uri, self._mode)
        state = OauthState(digest_of(secret), binding, caller.subject, now + STATE_LIFETIME)
        await self._states.add(state, now=now)
        return Begun(self._oauth.authorize_url(command.redirect_uri, secret), state)

    async def complete(
        self, caller: Caller, request_id: str, command: CompleteConnection
    ) -> Connection:
        """Complete a round: the connection.

        Raises InvalidArgument; FailedPrecondition (STATE_UNKNOWN, CODE_REFUSED, MODE_MISMATCH);
        AlreadyExists (STRIPE_ACCOUNT_TAKEN; ALREADY_EXISTS where the account is connected);
        Conflict (CONNECTION_OUTCOME_UNKNOWN) where the answer to the code was lost; and what
        mutations raise.
        """
        refuse([*request_id_violations(request_id), *complete_violations(command)])
        if not command.state:
            raise _declined(command.error)  # nothing says whose round it was: none is ended
        check_set_up(self._oauth)
        completion = _Completion(
            digest_of(command.state),
            digest_of(command.code),
            command.error,
            command.redirect_uri,
            command.session_digest,
        )
        key = (caller.account, request_id, completion.code_digest)
        with self._codes.held(key, command.code):
            return await self._complete.run(caller, request_id, completion)

    async def _complete_steps(self, steps: Steps, completion: _Completion) -> Connection:
        await self._use_up(steps, completion)
        if completion.error:
            raise _declined(completion.error)
        _refuse_connected(await self._repository.get(steps.account, self._mode), but=steps)
        grant = await self._exchanged(steps, completion)
        if grant.livemode is not (self._mode is Mode.LIVE):
            raise FailedPrecondition(
                Reason.MODE_MISMATCH,
                f"the owner gave access in Stripe's other mode; this deployment is in {self._mode} "
                "mode",
                subject="mode",
            )
        connection = Connection(
            steps.account, grant.stripe_account, self._mode, ConnectionKind.OAUTH,
            steps.started_at, scope=grant.scope,
        )  # fmt: skip
        await steps.own("connect", bool, lambda: self._connect(connection))
        self._connections.forget(steps.account)
        await self._backfill.request(grant.stripe_account)
        return connection

    async def _use_up(self, steps: Steps, completion: _Completion) -> None:
        """Use the state up, for this very completion. FailedPrecondition (STATE_UNKNOWN)."""
        binding = Binding(
            steps.account, completion.session_digest, completion.redirect_uri, self._mode
        )

        async def use() -> bool:
            return await self._states.use(
                binding, completion.state_digest, by=steps.tag("state"), now=self._clock.now()
            )

        if not await steps.own("state", bool, use):
            raise FailedPrecondition(
                Reason.STATE_UNKNOWN,
                "this state cannot be completed here, or not any more; begin anew",
                subject="state",
            )

    async def _exchanged(self, steps: Steps, completion: _Completion) -> Grant:
        """What the code is exchanged for, once. Conflict where nobody knows what came of it.

        A code is in memory only: where the process has died, it was sent, or it never will be.
        """
        code = self._codes.get((steps.account, steps.request_id, completion.code_digest))
        try:
            if code is None and not steps.was_sent("exchange"):
                raise OutcomeLost
            return await steps.once("exchange", Grant, code or "", self._oauth.exchange)
        except OutcomeLost:
            raise Conflict(
                Reason.CONNECTION_OUTCOME_UNKNOWN,
                "the answer to the code was lost, and a code is never sent twice; begin anew",
            ) from None

    async def _connect(self, connection: Connection) -> bool:
        """Keep the connection, unless an earlier run has: it may have been ended since."""
        standing = await self._repository.get(connection.account, self._mode)
        if standing is None or not standing.is_same_link(connection):
            await self._repository.put(connection)
        return True


def check_set_up(oauth: OauthGateway) -> None:
    """Raise Unavailable (STRIPE_UNAVAILABLE) where the deployment cannot ask for access."""
    if not oauth.is_set_up:
        raise Unavailable(
            Reason.STRIPE_UNAVAILABLE,
            "this deployment has no client id at Stripe; an operator must set "
            "BILLING_CONNECT_CLIENT_ID",
        )


def _refuse_connected(standing: Connection | None, *, but: Steps | None = None) -> None:
    """Raise AlreadyExists for an account that is connected, `but` by this very completion.

    To replace a link would leave its access at Stripe, and what is open there, to nobody.
    """
    if standing is None or standing.state is not ConnectionState.ACTIVE:
        return
    if but is not None and standing.connected_at == but.started_at:
        return
    raise AlreadyExists(
        Reason.ALREADY_EXISTS,
        "the account is connected; disconnect it first",
        metadata={"stripe_account": standing.stripe_account},
    )


def _declined(error: str) -> FailedPrecondition:
    return FailedPrecondition(
        Reason.CODE_REFUSED,
        f"the owner of the Stripe account gave no access: {error}",
        subject="code",
        metadata={"oauth_error": error},
    )
