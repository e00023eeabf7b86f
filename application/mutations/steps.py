"""The steps of a mutation or a process: its changes, each made once however often it is run.

A step is a call of Stripe, or a change of our own store (`own`); it is kept before it is made, and
its answer after.
"""

import contextlib
import copy
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Final, NoReturn, TypeVar, get_args, get_type_hints

import msgspec

from application.background.clock import Clock
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.mutations.failures import decode_failure, encode_failure, is_definite
from application.mutations.ports import Lease, Step, StepLog, Stepped
from application.mutations.stripe import Call, Find, Send, Unanswered
from domain.errors import (
    BillingError,
    Conflict,
    FailedPrecondition,
    NotFound,
    OutcomeLost,
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


_SECRETS: Final = frozenset({"client_secret", "secret"})


class Steps:
    """The changes of one run of a mutation or a process."""

    def __init__(
        self, log: StepLog[Any], writer: MirrorWriter, clock: Clock, record: Stepped[Any],
        lease: Lease, objects: ObjectReader, *, lasts: dt.timedelta = LEASE,
        settle: Callable[[], Awaitable[None]] | None = None, priority: Priority = Priority.CALLER,
    ) -> None:  # fmt: skip
        """`lasts` is for how long each step renews the lease.

        `settle`, for a record that is carried on in any case, is awaited before a change of our own
        instead of marking that: what the change stands on is durable then. `priority` is that of
        the reads.
        """
        self._log = log
        self._writer = writer
        self._objects = objects
        self._clock = clock
        self._record = record
        self._stripe_account = record.stripe_account
        self._steps = dict(record.steps)
        self._lease = lease
        self._lasts = lasts
        self._settle_first = settle
        self._priority = priority

    @property
    def account(self) -> str:
        """The account that the mutation is of."""
        return self._record.account

    @property
    def request_id(self) -> str:
        """The request that it was asked for by: unique within the account and what is done."""
        return self._record.identity[-1]

    @property
    def stripe_account(self) -> str:
        """The Stripe account that the steps act on; empty for a mutation that needs none."""
        return self._stripe_account

    def at(self, stripe_account: str) -> "Steps":
        """The same steps, of which those to come act on another Stripe account."""
        others = copy.copy(self)  # what is known of the steps is shared
        others._stripe_account = stripe_account  # noqa: SLF001 - of the same class
        return others

    @property
    def started_at(self) -> dt.datetime:
        """When the mutation was first asked for: the same in each run."""
        return self._record.created_at

    def tag(self, name: str) -> str:
        """40 hexadecimal digits that name a step of this very mutation: the same in each run."""
        return self._tag(self._stripe_account, name)

    def was_sent(self, name: str) -> bool:
        """Whether Stripe may have carried out a step: what is so may then be its own doing."""
        step = self._steps.get(name)
        return step is not None and step.sent_at is not None

    @property
    def sent(self) -> bool:
        """Whether some of it may have been carried out: only going on will tell the outcome."""
        return any(step.sent_at for step in self._steps.values())

    @property
    def is_settled(self) -> bool:
        """Whether of each step that was sent it is known what came of it."""
        return not any(step.is_open for step in self._steps.values())

    def answer(self, name: str, answer_type: type[A]) -> A | None:
        """What a step has answered; None where it was not made, was refused, or is not known."""
        step = self._steps.get(name)
        if step is None or step.answer is None:
            return None
        answer: A = msgspec.json.decode(step.answer, type=answer_type)
        return answer

    def mirrored_answer(self, name: str, noun: Noun[T]) -> Snapshot[T] | None:
        """As `answer`, of a step that was a `call`."""
        answer_type: Any = Snapshot[noun.type]  # type: ignore[name-defined]  # known at run time
        answer: Snapshot[T] | None = self.answer(name, answer_type)
        return answer

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
        """As `call`, of an object that is not mirrored.

        The answer is kept, so it holds no client secret: TypeError, before anything is sent, for a
        type with a field of such a name.
        """

        async def write_nothing(_: A) -> None: ...

        return await self._once(name, answer_type, params, send, find, write_nothing)

    async def own(self, name: str, answer_type: type[A], change: Callable[[], Awaitable[A]]) -> A:
        """The answer of a change of our own store, made once: an entry of a ledger, a job.

        After a crash, or where the store gave no answer, `change` is made again: it must be
        idempotent by a key of its own, say `tag`. It counts as sent from before it is made, so that
        the record is carried on whoever has died. Raises what `change` raises; a definite refusal
        again in each later run.
        """
        _refuse_secrets(answer_type)
        step = self._steps.get(name) or Step(name, b"null")
        if known := self._known_answer(step, answer_type):
            return known[0]
        if step.sent_at is None:
            step = replace(step, sent_at=self._clock.now())
            if self._settle_first is None:
                await self._save(step)
            else:
                await self._settle_first()
        async with self._keeping_refusals(step):
            answer = await change()
        await self._save(replace(step, answer=msgspec.json.encode(answer)))
        return answer

    async def once(
        self, name: str, answer_type: type[A], params: P,
        send: Callable[[Call, P], Awaitable[A]],
    ) -> A:  # fmt: skip
        """The answer of a call that is never sent again, for what works only once: a code.

        Raises OutcomeLost, in each later run too, where its answer was lost, whether by Stripe or
        by our death: nothing will tell what came of it. What was surely not carried out is sent
        anew. `params` are not kept, since nobody sends them again.
        """
        _refuse_secrets(answer_type)
        step = self._steps.get(name) or self._new(name, b"null")
        if known := self._known_answer(step, answer_type):
            return known[0]
        if step.sent_at is not None:
            await self._lose(step)
        step = replace(step, sent_at=self._clock.now(), stripe_account=self._other_account())
        await self._save(step)
        try:
            async with self._keeping_refusals(step):
                answer = await send(self._call(step), params)
        except Unanswered:
            await self._lose(step)
        except BillingError as error:
            if not is_definite(error):
                await self._save(replace(step, sent_at=None, attempt=step.attempt + 1))
            raise
        await self._save(replace(step, answer=msgspec.json.encode(answer)))
        return answer

    async def known(
        self, name: str, answer_type: type[A], read: Callable[[Call], Awaitable[A]]
    ) -> A:
        """What a read of an object that is not mirrored answered first, the same in each run.

        It changes nothing at Stripe, so it does not count as sent, and its failure is not kept.
        """
        _refuse_secrets(answer_type)
        step = self._steps.get(name)
        if step is None or step.answer is None:
            step = self._new(name, b"null")
            answer = await read(self._call(step))
            step = replace(step, answer=msgspec.json.encode(answer))
            await self._save(step)
        kept: A = msgspec.json.decode(step.answer or b"", type=answer_type)
        return kept

    async def _once(
        self, name: str, answer_type: Any, params: P, send: Send[P, A], find: Find[P, A],
        write_back: Callable[[A], Awaitable[None]],
    ) -> A:  # fmt: skip
        _refuse_secrets(answer_type)
        step = self._steps.get(name) or self._new(name, msgspec.json.encode(params))
        known: tuple[A] | None = self._known_answer(step, answer_type)
        if known is not None:
            return known[0]
        if step.sent_at is None:
            # Surely not carried out, so what is wanted now counts: the world may have changed since
            # (who is billed, say). Under a key of its own, for Stripe refuses others under the old.
            wanted = replace(
                step, params=msgspec.json.encode(params), stripe_account=self._other_account()
            )
            if wanted != step:
                step = replace(wanted, attempt=step.attempt + 1)
        params = msgspec.json.decode(step.params, type=type(params))
        async with self._keeping_refusals(step):
            answer = await self._settle(step, params, send, find)
        await write_back(answer)
        await self._save(replace(self._steps[name], answer=msgspec.json.encode(answer)))
        return answer

    def _known_answer(self, step: Step, answer_type: type[A]) -> tuple[A] | None:
        """The answer that a step has, if it has one. Raises its refusal."""
        if step.failure is not None:
            raise decode_failure(step.failure)
        if step.answer is None:
            return None
        answer: A = msgspec.json.decode(step.answer, type=answer_type)
        return (answer,)

    @contextlib.asynccontextmanager
    async def _keeping_refusals(self, step: Step) -> AsyncIterator[None]:
        """Write a definite refusal down before it is raised."""
        try:
            yield
        except BillingError as error:
            if is_definite(error):
                refused = self._steps.get(step.name, step)
                await self._save(replace(refused, failure=encode_failure(error)))
            raise

    async def _lose(self, step: Step) -> NoReturn:
        """Give up a step whose answer nobody can learn."""
        lost = OutcomeLost()
        await self._save(replace(step, failure=encode_failure(lost)))
        raise lost

    async def _write_back(self, noun: Noun[T], snapshot: Snapshot[T]) -> None:
        """Mirror an answer before it is given, so that the caller reads what it wrote."""
        (verdict,) = await self._writer.observe(noun, [snapshot])
        if verdict.decision is Decision.REREAD:
            # Something else became known while the request was under way: Stripe says what stands.
            await self.at(snapshot.stripe_account).read_back(noun, snapshot.id)

    async def _read(self, noun: Noun[T], object_id: str) -> Snapshot[T]:
        return await self._objects.read(
            noun, self.stripe_account, object_id, not_before_ms=None, priority=self._priority
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
        return replace(self._lease, until=self._clock.now() + self._lasts)

    def _new(self, name: str, params: bytes) -> Step:
        return Step(name, params, stripe_account=self._other_account())

    def _other_account(self) -> str:
        """The Stripe account that a step to come acts on; empty where it is the record's own."""
        own = self._record.stripe_account
        return "" if self._stripe_account == own else self._stripe_account

    def _call(self, step: Step) -> Call:
        # Of a step that was sent its own account counts, whatever is asked for now.
        stripe_account = step.stripe_account or self._record.stripe_account
        tag = self._tag(stripe_account, step.name)
        return Call(stripe_account, f"billing-{tag}-{step.attempt}", tag)

    def _tag(self, stripe_account: str, name: str) -> str:
        parts = (stripe_account, *self._record.identity, name)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def shown(noun: Noun[T], snapshot: Snapshot[T]) -> T:
    """The object of an answer. NotFound where it is gone."""
    if snapshot.object is None:
        raise NotFound(noun.name, snapshot.id)
    return snapshot.object


def in_flight() -> Conflict:
    """The error where somebody else carries the mutation out."""
    return Conflict(Reason.REQUEST_IN_FLIGHT, "an equal request is being carried out")


def _refuse_secrets(answer_type: Any) -> None:
    """TypeError for an answer that would keep a client secret, however deep."""
    if names := _secrets_of(answer_type):
        raise TypeError(f"an answer is kept, and must not hold {', '.join(sorted(names))}")


@cache
def _secrets_of(answer_type: Any) -> frozenset[str]:
    inner = [*get_args(answer_type)]
    names: set[str] = set()
    if is_dataclass(answer_type):
        names = {field.name for field in fields(answer_type)} & _SECRETS
        inner += get_type_hints(answer_type).values()
    return frozenset(names).union(*map(_secrets_of, inner))
