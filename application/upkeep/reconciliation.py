"""Reconciliation: the mirror is compared with Stripe, reported on, and mended where asked."""

import datetime as dt
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

import msgspec
from typing_extensions import override

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.background.retries import Retries
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.nouns import NOUNS
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror, Noun
from application.mirror.stripe import Priority
from application.operations.work import Meter, Step, Work, begin_anew
from application.requests.paging import Position
from application.upkeep.comparison import Comparison, Judgement, Tally
from application.upkeep.ports import Report, ReportKind, Reports
from application.upkeep.walk import walk
from domain.errors import NotUnderstood
from domain.mirror import Snapshot
from domain.oddities import Oddities, Oddity
from domain.operations import Operation, OperationKind, OperationProgress
from domain.periods import from_milliseconds, to_milliseconds

_ROWS: Final = 500
_REPORTS: Final = 20
"""Among how many of the newest reports an operation's own is looked for."""


@dataclass(frozen=True, slots=True)
class ReconcileState:
    """A comparison under way, as its checkpoint keeps it. Times are milliseconds by our clock.

    `before_ms` is how far the noun that is worked on was compared: everything created then or later
    (None: nothing yet), in Stripe's time. `done` are the nouns that were compared to their end.
    """

    id: str
    repair: bool
    started_ms: int
    done: tuple[str, ...] = ()
    before_ms: int | None = None
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Compared:
    """Where a comparison stands, as it gets on; at the end, and only then, with its report."""

    stripe_account: str
    noun: str
    nouns_done: int
    nouns_total: int
    compared: int
    drifted: int
    report: Report | None = None
    oddities: Oddities = field(default_factory=Oddities)

    @property
    def report_id(self) -> str:
        """The id of its report, at the end; before, nothing."""
        return self.report.id if self.report else ""

    def of_operation(self, phase: str = "compare") -> OperationProgress:
        """The same as an operation tells it."""
        return OperationProgress(
            phase=phase,
            noun=self.noun,
            nouns_done=self.nouns_done,
            nouns_total=self.nouns_total,
            read=self.compared,
            drifted=self.drifted,
            oddities=self.oddities,
        )


class Reconciliation:
    """Compares every object of an account, newest first, in bounded memory.

    Stripe's pages and the mirror's rows are laid side by side by creation time. Resumable: what was
    compared and found is in the checkpoint; the report is kept when all is compared. Safe beside
    live webhooks: a row is wrong only where an observation proves it, and is mended through the
    mirror's one rule, without effects. What is not understood is told, and nothing else of it.
    """

    def __init__(
        self,
        lister: ObjectLister,
        mirror: Mirror,
        comparison: Comparison,
        checkpoints: Checkpoints,
        reports: Reports,
        clock: Clock,
        *,
        nouns: Sequence[Noun[Any]] = NOUNS,
        retries: Retries | None = None,
        kind: ReportKind = ReportKind.RECONCILE,
    ) -> None:
        self._lister = lister
        self._mirror = mirror
        self._comparison = comparison
        self._checkpoints = checkpoints
        self._reports = reports
        self._clock = clock
        self._nouns = tuple(nouns)
        self._retries = retries or Retries()
        self._kind = kind

    async def run(
        self, stripe_account: str, *, repair: bool = False, oddities: Oddities | None = None
    ) -> AsyncGenerator[Compared, None]:
        """Start, or go on with an unfinished comparison of the same kind, to the end.

        `oddities` are known not to be understood: the report tells of them too. Close it
        (`aclosing`). Raises as `Backfill.run` does, and is then unfinished.
        """
        checkpoint, state = await self._retries(
            lambda: self._take_over(stripe_account, repair, oddities or Oddities())
        )
        for noun in self._nouns:
            if noun.name in state.done:
                continue
            state = replace(state, tally=state.tally.compared(noun.name, 0))
            async with aclosing(self._steps(stripe_account, noun, state)) as steps:
                async for state in steps:
                    checkpoint = await self._save(checkpoint, state)
                    yield self._compared(stripe_account, noun.name, state)
        report = self._report(stripe_account, state)
        await self._reports.put(report)
        await self._save(checkpoint, None)
        yield replace(self._compared(stripe_account, "", state), report=report)

    async def _take_over(
        self, stripe_account: str, repair: bool, oddities: Oddities
    ) -> tuple[Checkpoint, ReconcileState]:
        """The unfinished comparison, or a new one; whoever is at it learns that it is ours now."""
        checkpoint = await self._checkpoints.load(stripe_account, self._kind)
        state = _state(checkpoint)
        if state is None or state.repair is not repair:
            started_ms, known = to_milliseconds(self._clock.now()), Tally()
            for one in oddities.named:
                known = known.not_understood(one.noun, [one])
            known = replace(known, oddities=oddities)  # more are counted than are named
            state = ReconcileState(uuid4().hex, repair, started_ms, tally=known)
        return await self._save(checkpoint, state), state

    async def _steps(
        self, stripe_account: str, noun: Noun[Any], state: ReconcileState
    ) -> AsyncGenerator[ReconcileState, None]:
        """Compare a noun from where it stands; gives the state as it gets on, `done` at last."""
        try:
            async with aclosing(self._compare(stripe_account, noun, state)) as steps:
                async for state in steps:
                    yield state
        except NotUnderstood as error:  # of a page: how the list goes on is not known
            end = Oddity(noun.name, error.metadata["id"], error.why, ends_noun=True)
            log_oddities(stripe_account, [end])
            tally = state.tally.not_understood(noun.name, [end])
            yield replace(state, tally=tally, before_ms=None, done=(*state.done, noun.name))

    async def _compare(
        self, stripe_account: str, noun: Noun[Any], state: ReconcileState
    ) -> AsyncGenerator[ReconcileState, None]:
        """As `_steps`. Raises NotUnderstood for a page that does not tell how the list goes on."""

        async def read(at: Place) -> Page[Snapshot[Any]]:
            return await self._lister.page(
                noun, stripe_account, at, since_ms=None, priority=Priority.BACKFILL
            )

        before_ms = state.before_ms
        waiting: dict[str, Snapshot[Any]] = {}
        odd: Sequence[Oddity] = ()
        async with aclosing(walk(read, Place(before_ms), self._retries)) as pages:
            async for page in pages:
                # What was made since cannot be listed, and is not looked for.
                before_ms = page.version.high if before_ms is None else before_ms
                waiting |= {snapshot.id: snapshot for snapshot in page.items}
                # Its row is right where it is; should one be missed here, it is read by itself.
                listed = {one.id for one in (*odd, *page.oddities)}
                odd = page.oddities
                log_oddities(stripe_account, odd)
                state = replace(state, tally=state.tally.not_understood(noun.name, odd))
                # The second in which a page ends may go on in the next one: it waits for that.
                low_ms = page.next.before_ms if page.next else None
                if page.next is not None and low_ms is None:
                    continue
                whole = [one for one in waiting.values() if low_ms is None or _made(one) >= low_ms]
                if low_ms is not None and not whole:
                    continue
                judgement = await self._judge(
                    stripe_account, noun, whole, listed, (low_ms, before_ms), repair=state.repair
                )
                for one in whole:
                    del waiting[one.id]
                state = replace(state, tally=_judged(state.tally, noun, len(whole), judgement))
                if low_ms is None:
                    yield replace(state, before_ms=None, done=(*state.done, noun.name))
                    return
                before_ms = min(low_ms, before_ms)
                state = replace(state, before_ms=before_ms)
                yield state

    async def _judge(
        self,
        stripe_account: str,
        noun: Noun[Any],
        seen: Sequence[Snapshot[Any]],
        odd: Collection[str],
        created: tuple[int | None, int],
        *,
        repair: bool,
    ) -> Judgement:
        """Compare all that Stripe shows of a stretch of time with all rows of it.

        Those of `odd` ids are there, and are not compared.
        """
        left = {snapshot.id: snapshot for snapshot in seen}
        listed = frozenset(left).union(odd)
        judgement = Judgement()
        where = Filter(ranges={"created": created})
        after: Position | None = None
        while True:
            page = await self._mirror.list(
                noun, stripe_account, where, order=NEWEST_FIRST, after=after, limit=_ROWS
            )
            rows = {row.id: row for row in page.rows}
            both = [left.pop(row_id) for row_id in rows if row_id in left]
            extra = [row for row_id, row in rows.items() if row_id not in listed]
            judgement = judgement.plus(
                await self._comparison.judge(noun, both, rows, repair=repair)
            ).plus(await self._comparison.absent(noun, extra, repair=repair))
            after = page.next
            if after is None:
                break
        missing = list(left.values())
        for start in range(0, len(missing), _ROWS):
            some = missing[start : start + _ROWS]
            judgement = judgement.plus(await self._comparison.judge(noun, some, {}, repair=repair))
        log_oddities(stripe_account, judgement.oddities)
        return judgement

    def _compared(self, stripe_account: str, noun: str, state: ReconcileState) -> Compared:
        counts = state.tally.counts.values()
        return Compared(
            stripe_account,
            noun,
            len(state.done),
            len(self._nouns),
            sum(one.compared for one in counts),
            sum(one.drifted for one in counts),
            oddities=state.tally.oddities,
        )

    def _report(self, stripe_account: str, state: ReconcileState) -> Report:
        return Report(
            state.id,
            stripe_account,
            self._kind,
            state.repair,
            from_milliseconds(state.started_ms),
            self._clock.now(),
            tuple(state.tally.counts.values()),
            state.tally.findings,
            state.tally.oddities,
        )

    async def _save(self, checkpoint: Checkpoint, state: ReconcileState | None) -> Checkpoint:
        """Keep the state; None: the comparison is over."""
        told = {} if state is None else msgspec.to_builtins(state)
        return await self._checkpoints.save(replace(checkpoint, state=told), now=self._clock.now())


class ReconciliationWork(Work):
    """A comparison as an operation. It begins anew, so that its report is of one time."""

    kind = OperationKind.RECONCILE

    def __init__(
        self,
        reconciliation: Reconciliation,
        checkpoints: Checkpoints,
        reports: Reports,
        clock: Clock,
    ) -> None:
        self._reconciliation = reconciliation
        self._checkpoints = checkpoints
        self._reports = reports
        self._clock = clock

    @override
    async def prepare(self, operation: Operation) -> None:
        await begin_anew(self._checkpoints, operation, self._clock)

    @override
    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        meter, repair = Meter(self._clock), operation.options.repair
        run = self._reconciliation.run(operation.stripe_account, repair=repair)
        async with aclosing(run) as comparisons:
            async for compared in comparisons:
                yield Step(meter.of(compared.of_operation()), compared.report_id)

    @override
    async def report(self, operation: Operation) -> str:
        repair = operation.options.repair
        return await report_of(self._reports, operation, ReportKind.RECONCILE, repair=repair)


async def report_of(
    reports: Reports, operation: Operation, kind: ReportKind, *, repair: bool
) -> str:
    """The id of the report that an operation's comparison has left, if it is over; or nothing."""
    for report in await reports.newest(operation.stripe_account, after=None, limit=_REPORTS):
        same = report.kind is kind and report.repair is repair
        if same and report.started_at >= operation.requested_at:
            return report.id
    return ""


def _state(checkpoint: Checkpoint) -> ReconcileState | None:
    return msgspec.convert(checkpoint.state, ReconcileState) if checkpoint.state else None


def _judged(tally: Tally, noun: Noun[Any], compared: int, judgement: Judgement) -> Tally:
    """The tally once a stretch of a noun was compared."""
    told = tally.compared(noun.name, compared).found(judgement.findings)
    return told.not_understood(noun.name, judgement.oddities)


def _made(snapshot: Snapshot[Any]) -> int:
    """When the object was created, in milliseconds; a tombstone counts as made at any time."""
    if snapshot.object is None:
        return _ALWAYS
    return to_milliseconds(snapshot.object.created)


_ALWAYS: Final = to_milliseconds(dt.datetime.max.replace(tzinfo=dt.UTC))
