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
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import msgspec

from application.callers import Caller
from application.connections import Connections
from application.failures import decode_failure, encode_failure, is_definite
from application.mirroring import Mirroring
from application.ports.clock import Clock
from application.ports.mirror import Noun
from application.ports.mutation_log import (
    Lease,
    MutationKey,
    MutationLog,
    MutationRecord,
    MutationState,
    Step,
)
from application.ports.stripe import Call, Find, ObjectReader, Priority, Send, Unanswered
from application.tasks import Tasks
from domain.errors import (
    BillingError,
    Conflict,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    OutcomeUnknown,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.mirror import Decision, MirroredObject, Snapshot

_log = logging.getLogger(__name__)

P = TypeVar("P")
R = TypeVar("R")
A = TypeVar("A")
T = TypeVar("T", bound=MirroredObject)

BOUND: Final = dt.timedelta(seconds=80)
"""How long one run of a mutation may take, whoever waits for it."""

LEASE: Final = BOUND + dt.timedelta(seconds=10)
"""How long one runner has a mutation for itself; renewed by every step."""

KEY_LIFETIME: Final = dt.timedelta(hours=20)
"""How long an idempotency key is relied on. Stripe may forget it after 24 hours."""

RETRY_UNKNOWN: Final = dt.timedelta(seconds=30)
LAST_RETRY_UNKNOWN: Final = dt.timedelta(hours=1)
KEPT: Final = dt.timedelta(days=30)
"""How long a finished mutation is remembered."""

_ANSWER_MARGIN_SECONDS: Final = 0.05
_RECOVERY_BATCH: Final = 20
_PURGE_BATCH: Final = 1_000
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REQUEST_ID_RULE: Final = "1 to 64 letters, digits, - or _; the same for each try of one change"


class Steps:
    """The Stripe calls of one run of a mutation."""

    def __init__(
        self, log: MutationLog, mirroring: Mirroring, clock: Clock, record: MutationRecord,
        lease: Lease, objects: ObjectReader | None,
    ) -> None:  # fmt: skip
        self._log = log
        self._mirroring = mirroring
        self._objects = objects
        self._clock = clock
        self._record = record
        self._steps = dict(record.steps)
        self._lease = lease

    @property
    def account(self) -> str:
        """The account that the mutation is of."""
        return self._record.key.account

    @property
    def stripe_account(self) -> str:
        """The Stripe account that the mutation acts on; empty for one that needs none."""
        return self._record.stripe_account

    @property
    def started_at(self) -> dt.datetime:
        """When the mutation was first asked for: the same in each run."""
        return self._record.created_at

    def tag(self, name: str) -> str:
        """40 hexadecimal digits that name a step of this very mutation: the same in each run."""
        record = self._record
        parts = (
            record.stripe_account, record.key.account, record.key.method, record.key.request_id,
            name,
        )  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]

    def was_sent(self, name: str) -> bool:
        """Whether Stripe may have carried out a step: what is so may then be its own doing."""
        step = self._steps.get(name)
        return step is not None and step.sent_at is not None

    @property
    def sent(self) -> bool:
        """Whether Stripe may have carried out some of it: only going on will tell the outcome."""
        return any(step.sent_at for step in self._steps.values())

    async def call(
        self,
        name: str,
        noun: Noun[T],
        params: P,
        send: Send[P, Snapshot[T]],
        find: Find[P, Snapshot[T]],
    ) -> Snapshot[T]:
        """The answer of a Stripe call, sent once however often this is run; it is mirrored too.

        `name` is unique within the mutation. Raises what `send` raises; a definite refusal again
        in each later run, so that what compensates for it may follow in the same mutation.
        """

        async def write_back(snapshot: Snapshot[T]) -> None:
            await self._write_back(noun, snapshot)

        answer_type = Snapshot[noun.type]  # type: ignore[name-defined]  # known at run time only
        return await self._once(name, answer_type, params, send, find, write_back)

    async def call_unmirrored(
        self, name: str, answer_type: type[A], params: P, send: Send[P, A], find: Find[P, A]
    ) -> A:
        """As `call`, of an object that is not mirrored; the answer is kept, so without secrets."""

        async def write_nothing(_: A) -> None: ...

        return await self._once(name, answer_type, params, send, find, write_nothing)

    async def _once(
        self, name: str, answer_type: Any, params: P, send: Send[P, A], find: Find[P, A],
        write_back: Callable[[A], Awaitable[None]],
    ) -> A:  # fmt: skip
        step = self._steps.get(name) or Step(name, msgspec.json.encode(params))
        if step.failure is not None:
            raise decode_failure(step.failure)
        if step.answer is not None:
            known: A = msgspec.json.decode(step.answer, type=answer_type)
            return known
        params = msgspec.json.decode(step.params, type=type(params))
        try:
            answer = await self._settle(step, params, send, find)
        except BillingError as error:
            if is_definite(error):
                refused = self._steps.get(name, step)
                await self._save(replace(refused, failure=encode_failure(error)))
            raise
        await write_back(answer)
        await self._save(replace(self._steps[name], answer=msgspec.json.encode(answer)))
        return answer

    async def _write_back(self, noun: Noun[T], snapshot: Snapshot[T]) -> None:
        """Mirror an answer before it is given, so that the caller reads what it wrote."""
        (verdict,) = await self._mirroring.observe(noun, [snapshot])
        if verdict.decision is not Decision.REREAD or self._objects is None:
            return
        # Something else became known while the request was under way: Stripe says what stands.
        with contextlib.suppress(RateLimited, FailedPrecondition, Unavailable):
            read = await self._objects.read(
                noun, snapshot.stripe_account, snapshot.id,
                not_before_ms=None, priority=Priority.CALLER,
            )  # fmt: skip
            await self._mirroring.observe(noun, [read])

    async def _settle(self, step: Step, params: P, send: Send[P, A], find: Find[P, A]) -> A:
        """Send a step, or learn what an earlier send came to."""
        if step.sent_at is not None and self._clock.now() - step.sent_at > KEY_LIFETIME:
            found = await find(self._call(step), params, step.sent_at)
            if found is not None:
                return found
            step = replace(step, attempt=step.attempt + 1, sent_at=None)
        first_send = step.sent_at is None
        if first_send:
            step = replace(step, sent_at=self._clock.now())
            await self._save(step)
        try:
            return await send(self._call(step), params)
        except Unanswered as error:
            if not error.replayed:
                raise
            found = await find(self._call(step), params, step.sent_at or self._clock.now())
            if found is not None:
                return found
            await self._save(replace(step, attempt=step.attempt + 1, sent_at=None))
            raise
        except BillingError as error:
            # Not carried out at Stripe, so there is nothing to find out about this attempt.
            if first_send and not is_definite(error):
                await self._save(replace(step, sent_at=None))
            raise

    async def _save(self, step: Step) -> None:
        held = await self._log.save_step(self._record.key, self._renewed(), step)
        if not held:
            raise _in_flight()
        self._steps[step.name] = step

    def _renewed(self) -> Lease:
        return replace(self._lease, until=self._clock.now() + LEASE)

    def _call(self, step: Step) -> Call:
        tag = self.tag(step.name)
        return Call(self._record.stripe_account, f"billing-{tag}-{step.attempt}", tag)


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
        mirroring: Mirroring,
        clock: Clock,
        tasks: Tasks,
        objects: ObjectReader | None = None,
    ) -> None:
        """`objects` reads anew what an answer alone cannot settle in the mirror; without it the
        object's next event does.
        """
        self._log = log
        self._objects = objects
        self._connections = connections
        self._mirroring = mirroring
        self._clock = clock
        self._tasks = tasks
        self._methods: dict[str, Mutation[Any, Any]] = {}
        self._running: dict[MutationKey, tuple[str, asyncio.Task[Any]]] = {}

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
        now = self._clock.now()
        lease = Lease(uuid.uuid4().hex, now + LEASE)
        payload_hash = record.payload_hash
        record, held = await self._log.begin(record, lease, now=now)
        if record.payload_hash != payload_hash:
            raise _reused()
        if record.reply is not None:
            return record.reply
        if record.failure is not None:
            raise decode_failure(record.failure)
        if record.state is MutationState.DONE or not held:
            raise _in_flight()
        return await self._perform(record, lease)

    async def _perform(self, record: MutationRecord, lease: Lease) -> bytes:
        """Go through the steps and write the outcome down, if there is a definite one."""
        steps = Steps(self._log, self._mirroring, self._clock, record, lease, self._objects)
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
            raise _in_flight()

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


def _in_flight() -> Conflict:
    return Conflict(Reason.REQUEST_IN_FLIGHT, "an equal request is being carried out")


def _reused() -> InvalidArgument:
    rule = "was used before for another change; give each change an id of its own"
    return InvalidArgument([FieldViolation("request_id", rule)], reason=Reason.REQUEST_ID_REUSED)
