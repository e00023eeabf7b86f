"""Backfill: all that a Stripe account holds is brought into the mirror, newest first."""

import datetime as dt
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.background.retries import Retries
from application.mirror.importer import Brought, Importer
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.nouns import NOUNS
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from application.operations.work import Step, Work
from application.upkeep.walk import walk
from domain.errors import NotUnderstood
from domain.mirror import Snapshot
from domain.oddities import Oddities, Oddity
from domain.operations import Operation, OperationKind, OperationProgress
from domain.periods import from_milliseconds, to_milliseconds

TASK: Final = "backfill"


@dataclass(frozen=True, slots=True)
class NounProgress:
    """How far a noun has come: objects read, rows stored by them, and where it goes on.

    `finished` is only what Stripe said: there is no more. `ended`: it cannot be read further, since
    a page is not understood; the next backfill tries again. `reading` is that of the noun as it was
    declared then.
    """

    place: Place = field(default_factory=Place)
    read: int = 0
    stored: int = 0
    finished: bool = False
    ended: bool = False
    reading: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more of it is read in this backfill."""
        return self.finished or self.ended


@dataclass(frozen=True, slots=True)
class BackfillState:
    """A backfill as its checkpoint keeps it. Times are milliseconds by our clock.

    `busy_ms` is how long its runs worked, the pauses between them left out. `oddities` were read
    and are not understood. `again`: all was read once, and some nouns are read again, of which more
    is read now.
    """

    started_ms: int
    finished_ms: int | None = None
    busy_ms: int = 0
    nouns: Mapping[str, NounProgress] = field(default_factory=dict)
    oddities: Oddities = field(default_factory=Oddities)
    again: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a backfill stands, after each page.

    `noun` is the one that is worked on (empty at the end), `nouns_done` of `nouns_total` are read
    to their end. `read` counts objects, `stored` the rows whose content changed, `rate` is objects
    a second. `reached` is the creation time of the oldest object read of the noun. `oddities` count
    as read.
    """

    stripe_account: str
    noun: str
    nouns_done: int
    nouns_total: int
    read: int
    stored: int
    rate: float
    reached: dt.datetime | None
    finished: bool
    oddities: Oddities = field(default_factory=Oddities)

    def of_operation(self) -> OperationProgress:
        """The same as an operation tells it."""
        return OperationProgress(
            phase="read",
            noun=self.noun,
            nouns_done=self.nouns_done,
            nouns_total=self.nouns_total,
            read=self.read,
            changed=self.stored,
            rate=self.rate,
            reached=self.reached,
            oddities=self.oddities,
        )


class Backfill:
    """Reads every list of an account to its end, page by page, in bounded memory.

    Safe beside live webhooks and callers, since all of it goes through the mirror's one rule, and
    without effects. A page is durable in the mirror before the checkpoint says so: whatever ends a
    run, the next one goes on at the last page. Of two runs at once the later one takes over. What
    is not understood is told and holds up nothing: no other object, and no other noun.
    """

    def __init__(
        self,
        lister: ObjectLister,
        importer: Importer,
        checkpoints: Checkpoints,
        clock: Clock,
        *,
        nouns: Sequence[Noun[Any]] = NOUNS,
        retries: Retries | None = None,
    ) -> None:
        self._lister = lister
        self._importer = importer
        self._checkpoints = checkpoints
        self._clock = clock
        self._nouns = tuple(nouns)
        self._retries = retries or Retries()

    async def reset(self, stripe_account: str) -> None:
        """Let the next run start anew, whatever was read before."""
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        await self._save(checkpoint, BackfillState(self._now_ms()))

    async def is_outdated(self, stripe_account: str) -> bool:
        """Whether nouns that were read to their end are to be read again, since more is read now.

        A backfill that was never finished, or never begun, is its starter's own.
        """
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        if checkpoint.revision == 0:
            return False
        state = _state(checkpoint)
        done = state.finished_ms is not None
        return state.again or (done and _renewed(state, self._nouns) is not state)

    async def has_ended(self, stripe_account: str) -> bool:
        """Whether all was read to its end, though some nouns may be read again since."""
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        state = _state(checkpoint) if checkpoint.revision else None
        return state is not None and (state.again or state.finished_ms is not None)

    async def progress(self, stripe_account: str) -> Progress | None:
        """Where the last run has come to; None where there was none."""
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        if checkpoint.revision == 0:
            return None
        state = _state(checkpoint)
        noun = next((noun for noun in self._nouns if not _of(state, noun).over), None)
        return self._progress(stripe_account, state, noun)

    async def run(self, stripe_account: str) -> AsyncGenerator[Progress, None]:
        """Start, or go on at the checkpoint, to the end; tells of each page. Close it (`aclosing`).

        The last Progress, and no other, is `finished`. A run after a finished one reads on only
        where a noun has `ended`: `reset` first to read all again. Raises Conflict
        (REQUEST_IN_FLIGHT) where another run has taken over, RateLimited, Unavailable and
        FailedPrecondition (STRIPE_CONNECTION_REVOKED) where Stripe, in the end, did not let it go
        on: it is then unfinished.
        """
        checkpoint, state = await self._retries(lambda: self._take_over(stripe_account))
        last_ms, busy_ms = self._now_ms(), state.busy_ms
        for noun in self._nouns:
            if _of(state, noun).over:
                continue
            async with aclosing(self._steps(stripe_account, noun, state)) as steps:
                async for state in steps:
                    now_ms = self._now_ms()
                    busy_ms += max(0, now_ms - last_ms)
                    last_ms = now_ms
                    state = replace(state, busy_ms=busy_ms)
                    checkpoint = await self._save(checkpoint, state)
                    yield self._progress(stripe_account, state, noun)
        if state.finished_ms is None:
            state = replace(state, finished_ms=self._now_ms(), again=False)
            await self._save(checkpoint, state)
        yield self._progress(stripe_account, state, None)

    async def _take_over(self, stripe_account: str) -> tuple[Checkpoint, BackfillState]:
        """The unfinished run's state, or a new one; whoever is at it learns that it is ours now."""
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        state = _state(checkpoint) if checkpoint.revision else BackfillState(self._now_ms())
        if state.finished_ms is not None:
            state = _tried_again(state)
        state = _renewed(state, self._nouns)
        return await self._save(checkpoint, state), state

    async def _steps(
        self, stripe_account: str, noun: Noun[Any], state: BackfillState
    ) -> AsyncGenerator[BackfillState, None]:
        """Read a noun from where it stands; gives the state after each page that is mirrored."""
        try:
            async with aclosing(self._walk(stripe_account, noun, _of(state, noun).place)) as pages:
                async for page in pages:
                    brought = await self._bring(noun, page)
                    oddities = (*page.oddities, *brought.oddities)
                    log_oddities(stripe_account, oddities)
                    state = _after(state, noun, page, brought.changed, oddities)
                    yield state
        except NotUnderstood as error:  # of a page: how the list goes on is not known
            end = Oddity(noun.name, error.metadata["id"], error.why, ends_noun=True)
            log_oddities(stripe_account, [end])
            yield _ended(state, noun, end)

    def _walk(
        self, stripe_account: str, noun: Noun[Any], place: Place
    ) -> AsyncGenerator[Page[Snapshot[Any]], None]:
        async def read(at: Place) -> Page[Snapshot[Any]]:
            return await self._lister.page(
                noun, stripe_account, at, since_ms=None, priority=Priority.BACKFILL
            )

        return walk(read, place, self._retries)

    async def _bring(self, noun: Noun[Any], page: Page[Snapshot[Any]]) -> Brought:
        return await self._retries(
            lambda: self._importer.bring(noun, page.items, Priority.BACKFILL)
        )

    async def _save(self, checkpoint: Checkpoint, state: BackfillState) -> Checkpoint:
        told = replace(checkpoint, state=msgspec.to_builtins(state))
        return await self._checkpoints.save(told, now=self._clock.now())

    def _progress(
        self, stripe_account: str, state: BackfillState, noun: Noun[Any] | None
    ) -> Progress:
        known = [_of(state, one) for one in self._nouns]
        read = sum(one.read for one in known)
        place = _of(state, noun).place if noun else Place()
        return Progress(
            stripe_account,
            noun.name if noun else "",
            sum(one.over for one in known),
            len(known),
            read,
            sum(one.stored for one in known),
            read * 1000 / state.busy_ms if state.busy_ms else 0.0,
            None if place.before_ms is None else from_milliseconds(place.before_ms - 1000),
            finished=noun is None and state.finished_ms is not None,
            oddities=state.oddities,
        )

    def _now_ms(self) -> int:
        return to_milliseconds(self._clock.now())


class BackfillWork(Work):
    """A backfill as an operation: it goes on where an earlier one has ended, but for `restart`."""

    kind = OperationKind.BACKFILL

    def __init__(self, backfill: Backfill) -> None:
        self._backfill = backfill

    @override
    async def prepare(self, operation: Operation) -> None:
        if operation.options.restart:
            await self._backfill.reset(operation.stripe_account)

    @override
    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        async with aclosing(self._backfill.run(operation.stripe_account)) as pages:
            async for progress in pages:
                yield Step(progress.of_operation())


def _state(checkpoint: Checkpoint) -> BackfillState:
    return msgspec.convert(checkpoint.state, BackfillState)


def _of(state: BackfillState, noun: Noun[Any]) -> NounProgress:
    return state.nouns.get(noun.name) or NounProgress()


def _after(
    state: BackfillState,
    noun: Noun[Any],
    page: Page[Snapshot[Any]],
    stored: int,
    oddities: Sequence[Oddity],
) -> BackfillState:
    """The state once a page is in the mirror."""
    before = _of(state, noun)
    now = NounProgress(
        place=page.next or before.place,
        read=before.read + len(page.items) + len(page.oddities),
        stored=before.stored + stored,
        finished=page.next is None,
        reading=noun.reading,
    )
    return _with(replace(state, oddities=state.oddities.plus(oddities)), noun, now)


def _ended(state: BackfillState, noun: Noun[Any], end: Oddity) -> BackfillState:
    """The state once it is known that a noun cannot be read further."""
    told = replace(state, oddities=state.oddities.plus([end]))
    return _with(told, noun, replace(_of(state, noun), ended=True, reading=noun.reading))


def _with(state: BackfillState, noun: Noun[Any], progress: NounProgress) -> BackfillState:
    return replace(state, finished_ms=None, nouns={**state.nouns, noun.name: progress})


def _renewed(state: BackfillState, nouns: Sequence[Noun[Any]]) -> BackfillState:
    """The state in which nouns begin anew of which less was read; itself where there is none."""
    old = {
        noun.name
        for noun in nouns
        if noun.name in state.nouns and state.nouns[noun.name].reading < noun.reading
    }
    if not old:
        return state
    kept = {name: one for name, one in state.nouns.items() if name not in old}
    again = state.again or state.finished_ms is not None
    return replace(state, finished_ms=None, nouns=kept, again=again)


def _tried_again(state: BackfillState) -> BackfillState:
    """The state of a finished backfill, whose nouns that ended early are to be read on."""
    if not any(one.ended for one in state.nouns.values()):
        return state
    nouns = {name: replace(one, ended=False) for name, one in state.nouns.items()}
    return replace(state, finished_ms=None, nouns=nouns, oddities=state.oddities.without_ends())
