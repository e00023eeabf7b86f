"""Mutations: whatever changes something at Stripe runs through here, exactly once.

A mutation is durable before Stripe hears of it. Each of its Stripe calls is a step whose exact
parameters and idempotency key are fixed before the first send. Whoever comes later under the same
request id, be it the caller again, another process or the recovery task, goes through the same
steps: those with an answer give it back, the first without one is sent again under its old key.
So a use case's steps must do the same for the same payload.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from application.background.clock import Clock
from application.background.loops import Loop
from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.mirror.stripe import ObjectReader
from application.mirror.writer import MirrorWriter
from application.mutations.failures import decode_failure, encode_failure, is_definite
from application.mutations.ports import (
    LONGEST_PAUSE,
    Lease,
    MutationKey,
    MutationLog,
    MutationRecord,
    MutationState,
)
from application.mutations.steps import BOUND, LEASE, Steps, in_flight
from application.requests.callers import Caller
from domain.errors import (
    BillingError,
    FieldViolation,
    InvalidArgument,
    OutcomeUnknown,
    Reason,
    Unavailable,
)

_log = logging.getLogger(__name__)

P = TypeVar("P")
R = TypeVar("R")

RETRY_UNKNOWN: Final = dt.timedelta(seconds=30)
LAST_RETRY_UNKNOWN: Final = LONGEST_PAUSE
KEPT: Final = dt.timedelta(days=30)
"""How long a finished mutation is remembered."""

_ANSWER_MARGIN_SECONDS: Final = 0.05
_HAND_OVER_SECONDS: Final = 2.0
"""How long a run that is cut off may take to give its lease back."""

RECOVERY_SECONDS: Final = 15.0
_RECOVERY_BATCH: Final = 20
_PURGE_BATCH: Final = 1_000
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REQUEST_ID_RULE: Final = "1 to 64 letters, digits, - or _; the same for each try of one change"


@dataclass(frozen=True, slots=True)
class Mutation(Generic[P, R]):
    """One mutating method: how its payload and reply are written down, and its steps.

    `connected`: it acts on the account's Stripe connection, and is refused without one.
    """

    name: str
    payload: type[P]
    reply: type[R]
    steps: Callable[[Steps, P], Awaitable[R]]
    runner: "Mutations"
    connected: bool = True

    async def run(self, caller: Caller, request_id: str, payload: P) -> R:
        """The reply, the same one for every call with the same request id.

        Raises InvalidArgument (INVALID_FIELDS; REQUEST_ID_REUSED for another payload under the
        id), Conflict (REQUEST_IN_FLIGHT in another process), OutcomeUnknown when the caller's
        deadline ends first or Stripe gave no answer, and what the steps raise.
        """
        return await self.runner.run(self, caller, request_id, payload)


class Mutations:
    """Runs mutations, and settles those whose outcome was left unknown."""

    def __init__(
        self,
        log: MutationLog,
        connections: Connections,
        writer: MirrorWriter,
        clock: Clock,
        tasks: Tasks,
        objects: ObjectReader,
    ) -> None:
        """`objects` reads how an object stands before a step, and what an answer cannot settle."""
        self._log = log
        self._objects = objects
        self._connections = connections
        self._writer = writer
        self._clock = clock
        self._tasks = tasks
        self._methods: dict[str, Mutation[Any, Any]] = {}
        self._running: dict[MutationKey, tuple[str, asyncio.Task[Any]]] = {}
        # Begins with those of an earlier process. None is begun once the process stops, so that the
        # drain sees the last of them.
        self.recovery: Final = Loop("recovery", self.recover, RECOVERY_SECONDS)

    def method(
        self,
        name: str,
        payload: type[P],
        reply: type[R],
        steps: Callable[[Steps, P], Awaitable[R]],
        *,
        connected: bool = True,
    ) -> Mutation[P, R]:
        """Declare a mutating method, once, under the name by which its records are found again.

        What its steps do by other means than `Steps` may be done again after a crash, so it must be
        idempotent; `Steps.tag` names what it makes.
        """
        mutation = Mutation(name, payload, reply, steps, self, connected)
        if self._methods.setdefault(name, mutation) is not mutation:
            raise ValueError(f"{name} is declared twice")
        return mutation

    @property
    def declared(self) -> frozenset[str]:
        """The names of the methods that are declared."""
        return frozenset(self._methods)

    async def run(self, mutation: Mutation[P, R], caller: Caller, request_id: str, payload: P) -> R:
        """See `Mutation.run`."""
        if violations := request_id_violations(request_id):
            raise InvalidArgument(violations)
        stripe_account = ""
        if mutation.connected:
            stripe_account = (await self._connections.of(caller)).stripe_account
        document = msgspec.json.encode(payload, order="deterministic")
        record = MutationRecord(
            MutationKey(caller.account, mutation.name, request_id),
            stripe_account,
            document,
            hashlib.sha256(document).hexdigest(),
            self._clock.now(),
        )
        task = self._join(record)
        try:
            async with asyncio.timeout_at(_answer_by(caller)):
                return msgspec.json.decode(await asyncio.shield(task), type=mutation.reply)
        except TimeoutError:
            raise OutcomeUnknown(request_id) from None
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise OutcomeUnknown(request_id) from None  # cut short as the process stops

    async def recover(self) -> int:
        """Settle due mutations of unknown outcome and forget old ones; returns how many settled."""
        now = self._clock.now()
        records = await self._log.find_open(now=now, limit=_RECOVERY_BATCH)
        tasks = [self._join(record) for record in records if record.key not in self._running]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._log.purge(before=now - KEPT, limit=_PURGE_BATCH)
        return sum(task.exception() is None for task in tasks if not task.cancelled())

    def _join(self, record: MutationRecord) -> asyncio.Task[bytes]:
        """The task that carries a request on: one a key in this process."""
        key = record.key
        if key in self._running:
            payload_hash, running = self._running[key]
            if payload_hash != record.payload_hash:
                raise _reused()
            return running
        task = self._tasks.spawn(self._carry_on(record))
        self._running[key] = (record.payload_hash, task)
        task.add_done_callback(lambda _: self._running.pop(key, None))
        return task

    async def _carry_on(self, record: MutationRecord) -> bytes:
        lease = Lease(uuid.uuid4().hex, self._clock.now() + LEASE)
        try:
            return await self._run_under(lease, record)
        except asyncio.CancelledError:  # the process stops
            await self._hand_over(record.key, lease)
            raise

    async def _hand_over(self, key: MutationKey, lease: Lease) -> None:
        """Leave a record to the next process at once, that nobody waits for the lease's end.

        Where the store does not answer, they wait.
        """
        with contextlib.suppress(BillingError, TimeoutError):
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                await self._log.release(key, lease, retry_at=self._clock.now())

    async def _run_under(self, lease: Lease, record: MutationRecord) -> bytes:
        now = self._clock.now()
        payload_hash = record.payload_hash
        record, held = await self._log.begin(record, lease, now=now)
        if record.payload_hash != payload_hash:
            raise _reused()
        if record.reply is not None:
            return record.reply
        if record.failure is not None:
            raise decode_failure(record.failure)
        if record.state is MutationState.DONE or not held:
            raise in_flight()
        return await self._perform(record, lease)

    async def _perform(self, record: MutationRecord, lease: Lease) -> bytes:
        """Go through the steps and write the outcome down, if there is a definite one."""
        steps = Steps(self._log, self._writer, self._clock, record, lease, self._objects)
        try:
            async with asyncio.timeout(BOUND.total_seconds()):
                mutation = self._methods[record.key.method]
                payload = msgspec.json.decode(record.payload, type=mutation.payload)
                reply = msgspec.json.encode(await mutation.steps(steps, payload))
                await self._finish(record.key, lease, reply=reply)
                return reply
        except BillingError as error:
            if not is_definite(error):
                raise await self._leave(record, lease, steps, error) from error
            failure = encode_failure(error)
            try:
                await self._finish(record.key, lease, failure=failure)
            except BillingError as unstored:
                raise await self._leave(record, lease, steps, unstored) from unstored
            raise
        except TimeoutError:
            late = Unavailable(Reason.STRIPE_UNAVAILABLE, "not finished in time")
            raise await self._leave(record, lease, steps, late) from None
        except Exception as error:
            _log.exception("a mutation broke", extra={"method": record.key.method})
            raise await self._leave(record, lease, steps, error) from error

    async def _finish(
        self,
        key: MutationKey,
        lease: Lease,
        *,
        reply: bytes | None = None,
        failure: bytes | None = None,
    ) -> None:
        if not await self._log.finish(key, lease, reply=reply, failure=failure):
            raise in_flight()

    async def _leave(
        self, record: MutationRecord, lease: Lease, steps: Steps, error: Exception
    ) -> Exception:
        """Leave a record open for somebody to carry on; the error that its caller is to meet."""
        unknown = steps.sent
        now = self._clock.now()
        # What cannot be settled for long, say on a revoked connection, is tried less and less.
        pause = min(max(RETRY_UNKNOWN, (now - record.created_at) / 10), LAST_RETRY_UNKNOWN)
        due = unknown or record.key.method not in self._methods
        try:
            await self._log.release(record.key, lease, retry_at=now + pause if due else None)
        except Unavailable:
            unknown = True  # the lease ends by itself, and then recovery carries the record on
        return OutcomeUnknown(record.key.request_id) if unknown else error


def request_id_violations(request_id: str) -> list[FieldViolation]:
    """The violation of a malformed request id, if it is; commands tell it with their own."""
    if _REQUEST_ID.fullmatch(request_id):
        return []
    return [FieldViolation("request_id", _REQUEST_ID_RULE)]


def _answer_by(caller: Caller) -> float | None:
    return None if caller.deadline is None else caller.deadline - _ANSWER_MARGIN_SECONDS


def _reused() -> InvalidArgument:
    rule = "was used before for another change; give each change an id of its own"
    return InvalidArgument([FieldViolation("request_id", rule)], reason=Reason.REQUEST_ID_REUSED)
