"""The use cases' side: an RPC that begins a process, and answers with how it stands."""

import asyncio
import contextlib
import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from application.background.clock import Clock
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps
from application.processes.ports import ProcessKey, ProcessRecord
from application.processes.process import Process
from application.processes.processes import Processes, process_id
from application.processes.progress import begun
from application.requests.callers import Caller
from domain.errors import AlreadyExists, FieldViolation, InvalidArgument, Reason

P = TypeVar("P")
F = TypeVar("F")

ADVANCE_SECONDS: Final = 60.0
"""How long a call waits for the process that it began, whatever its deadline."""

_REUSED: Final = "was used before for another change; give each change an id of its own"


@dataclass(frozen=True, slots=True)
class Began:
    """What the mutation keeps as its reply: the process's id."""

    process: str


@dataclass(frozen=True, slots=True)
class Frozen(Generic[F]):
    """What is fixed before anything is done, and the Stripe account that its steps act on.

    `claims` are what no other open process may have, such as a cart item.
    """

    terms: F
    stripe_account: str
    claims: tuple[str, ...] = ()


class ProcessMethod(Generic[P, F]):
    """A mutating method that begins a process and carries it on as far as it goes at once."""

    def __init__(
        self, name: str, payload: type[P], process: Process[F, Any],
        freeze: Callable[[Steps, P], Awaitable[Frozen[F]]], *,
        mutations: Mutations, processes: Processes, clock: Clock, connected: bool = True,
        begun_by: Callable[[P], str] | None = None,
    ) -> None:  # fmt: skip
        """`freeze` checks what is asked for and fixes the terms; what it raises ends the request.

        It may read at Stripe (`Steps.known`). What has to be there beforehand, such as the customer
        who pays, it makes last, by steps, and it is no loss if the process is never begun. The
        process is to be registered. `connected` is as in `Mutations.method`.

        `begun_by` names what of a payload begins one process for good, whatever the request ids are
        under which it comes, such as a quote; empty, or None: the request does.
        """
        self._begun_by = begun_by
        self._process = process
        self._freeze = freeze
        self._processes = processes
        self._clock = clock
        self._mutation = mutations.method(name, payload, Began, self._steps, connected=connected)

    async def run(self, caller: Caller, request_id: str, payload: P) -> ProcessRecord:
        """The process as it stands: made by the first call, the same for each repeat, however late.

        Raises InvalidArgument (INVALID_FIELDS; REQUEST_ID_REUSED for another payload under the id),
        what `freeze` raises, AlreadyExists where another process has a claim or was begun by the
        same under another request id, and what `Mutation.run` raises. A process that has failed is
        no error: its state says so.
        """
        if violations := request_id_violations(request_id):
            raise InvalidArgument(violations)
        # A mutation is forgotten after a while; the process is not.
        record = await self._processes.find(self._key(caller.account, request_id, payload))
        if record is None:
            began = await self._mutation.run(caller, request_id, payload)
            return await self._processes.get(began.process)
        self._check(record, request_id, payload)
        with contextlib.suppress(TimeoutError):  # an equal call is at it: both tell the same
            async with asyncio.timeout(ADVANCE_SECONDS):
                await self._processes.join(record.id)
        return await self._processes.get(record.id)

    async def _steps(self, steps: Steps, payload: P) -> Began:
        """Make the process; from then on it is carried on whatever becomes of the call."""
        key = self._key(steps.account, steps.request_id, payload)
        record = await self._processes.find(key)
        if record is None:
            frozen = await self._freeze(steps, payload)
            now = self._clock.now()
            record = await self._processes.start(
                new_record(self._process, key, frozen, self._asked(steps.request_id, payload), now)
            )
        self._check(record, steps.request_id, payload)
        with contextlib.suppress(TimeoutError):  # then it is carried on without the call
            async with asyncio.timeout(ADVANCE_SECONDS):
                await self._processes.advance(record.id)
        return Began(record.id)

    def _check(self, record: ProcessRecord, request_id: str, payload: P) -> None:
        """Whether a process is what this request asks for."""
        if record.payload_hash == _hash(self._asked(request_id, payload)):
            return
        if self._begun_by is not None:
            raise AlreadyExists(
                Reason.ALREADY_EXISTS, "it has begun a process", metadata={"process": record.id}
            )
        violation = FieldViolation("request_id", _REUSED)
        raise InvalidArgument([violation], reason=Reason.REQUEST_ID_REUSED)

    def _asked(self, request_id: str, payload: P) -> object:
        """What makes two calls ask for the same process."""
        return payload if self._begun_by is None else (request_id, payload)

    def _key(self, account: str, request_id: str, payload: P) -> ProcessKey:
        begun_by = "" if self._begun_by is None else self._begun_by(payload)
        return ProcessKey(account, self._process.kind, begun_by or request_id)


def new_record(
    process: Process[F, Any], key: ProcessKey, frozen: Frozen[F], payload: object, now: dt.datetime
) -> ProcessRecord:
    """A process that has done nothing yet, asked for by a payload."""
    data = msgspec.json.encode(process.data())
    return ProcessRecord(
        id=process_id(key),
        key=key,
        stripe_account=frozen.stripe_account,
        payload_hash=_hash(payload),
        frozen=msgspec.json.encode(frozen.terms),
        created_at=now,
        progress=begun(process.stages[0].state, now, data),
        claims=frozen.claims,
    )


def _hash(payload: object) -> str:
    return hashlib.sha256(msgspec.json.encode(payload, order="deterministic")).hexdigest()
