"""The steps of a mutation: its Stripe calls, each sent once however often the mutation is run."""

import contextlib
import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec

from application.background.clock import Clock
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.mutations.failures import decode_failure, encode_failure, is_definite
from application.mutations.ports import Lease, MutationLog, MutationRecord, Step
from application.mutations.stripe import Call, Find, Send, Unanswered
from domain.errors import (
    BillingError,
    Conflict,
    FailedPrecondition,
    NotFound,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.mirror import Decision, MirroredObject, Snapshot

P = TypeVar("P")
A = TypeVar("A")
T = TypeVar("T", bound=MirroredObject)

BOUND: Final = dt.timedelta(seconds=80)
"""How long one run of a mutation may take, whoever waits for it."""

LEASE: Final = BOUND + dt.timedelta(seconds=10)
"""How long one runner has a mutation for itself; renewed by every step."""

_READS_BACK: Final = 2
"""An event that comes in while an object is read may leave open which of the two stands."""

KEY_LIFETIME: Final = dt.timedelta(hours=20)
"""How long an idempotency key is relied on. Stripe may forget it after 24 hours."""


class Steps:
    """The Stripe calls of one run of a mutation."""

    def __init__(
        self, log: MutationLog, writer: MirrorWriter, clock: Clock, record: MutationRecord,
        lease: Lease, objects: ObjectReader,
    ) -> None:  # fmt: skip
        self._log = log
        self._writer = writer
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

    async def standing(
        self, noun: Noun[T], object_id: str, *, settled: Callable[[T], bool] | None = None
    ) -> T:
        """How an object stands at Stripe before a step is sent. NotFound where there is none.

        It is read there. A row of the mirror for which `settled` holds is taken instead: what the
        caller asks of such a row never changes again. Once a step was sent the object may show the
        step's own doing: ask `was_sent` first. A read changes nothing at Stripe, so it does not
        count as sent; nor does it write the row, for which many readers at once would contend.
        Raises what `ObjectReader.read` raises.
        """
        key = (self.stripe_account, object_id)
        if settled is not None:
            row = (await self._writer.rows(noun, [key])).get(key)
            known = row.snapshot.object if row and row.snapshot else None
            if known is not None and settled(known):
                return known
        return shown(noun, await self._read(noun, object_id))

    async def read_back(self, noun: Noun[T], object_id: str) -> None:
        """Mirror an object that a step changed without answering with it.

        The step is done, whether Stripe tells now how the object looks or not: if not, the object's
        next event does.
        """
        with contextlib.suppress(RateLimited, FailedPrecondition, NotFound, Unavailable):
            for _ in range(_READS_BACK):
                (verdict,) = await self._writer.observe(noun, [await self._read(noun, object_id)])
                if verdict.decision is not Decision.REREAD:
                    return

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

    async def known(
        self, name: str, answer_type: type[A], read: Callable[[Call], Awaitable[A]]
    ) -> A:
        """What a read of an object that is not mirrored answered first, the same in each run.

        It changes nothing at Stripe, so it does not count as sent, and its failure is not kept.
        """
        step = self._steps.get(name)
        if step is None or step.answer is None:
            step = Step(name, b"null")
            answer = await read(self._call(step))
            step = replace(step, answer=msgspec.json.encode(answer))
            await self._save(step)
        kept: A = msgspec.json.decode(step.answer or b"", type=answer_type)
        return kept

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
        if step.sent_at is None:
            # Surely not carried out, so what is wanted now counts: the world may have changed since
            # (who is billed, say). Under a key of its own, for Stripe refuses others under the old.
            wanted = msgspec.json.encode(params)
            if wanted != step.params:
                step = replace(step, params=wanted, attempt=step.attempt + 1)
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
        (verdict,) = await self._writer.observe(noun, [snapshot])
        if verdict.decision is Decision.REREAD:
            # Something else became known while the request was under way: Stripe says what stands.
            await self.read_back(noun, snapshot.id)

    async def _read(self, noun: Noun[T], object_id: str) -> Snapshot[T]:
        return await self._objects.read(
            noun, self.stripe_account, object_id, not_before_ms=None, priority=Priority.CALLER
        )

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
            raise in_flight()
        self._steps[step.name] = step

    def _renewed(self) -> Lease:
        return replace(self._lease, until=self._clock.now() + LEASE)

    def _call(self, step: Step) -> Call:
        tag = self.tag(step.name)
        return Call(self._record.stripe_account, f"billing-{tag}-{step.attempt}", tag)


def shown(noun: Noun[T], snapshot: Snapshot[T]) -> T:
    """The object of an answer. NotFound where it is gone."""
    if snapshot.object is None:
        raise NotFound(noun.name, snapshot.id)
    return snapshot.object


def in_flight() -> Conflict:
    """The error where somebody else carries the mutation out."""
    return Conflict(Reason.REQUEST_IN_FLIGHT, "an equal request is being carried out")
