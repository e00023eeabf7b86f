"""Proof: what must hold of the books, computed anew from the rows of the mirror."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

import msgspec
from typing_extensions import override

from application.analytics.metrics import NET_VOLUME
from application.analytics.ports import Analytics
from application.analytics.tie_out import MAX_WITHIN
from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.mirror.nouns import BALANCE_TRANSACTIONS, NOUN_BY_NAME, PAYOUTS
from application.mirror.ports import Filter, Mirror, Noun, Order
from application.operations.work import Meter, Step, Work, begin_anew
from application.requests.paging import Position
from application.upkeep.anchors import BalanceAnchors
from application.upkeep.ports import (
    MAX_FINDINGS,
    Check,
    CheckCount,
    Difference,
    Report,
    ReportKind,
    Reports,
)
from application.upkeep.reconciliation import report_of
from domain.attribution import settlement
from domain.balance_transactions import PAYMENTS, BalanceTransaction
from domain.mirror import Facet, Row
from domain.operations import Operation, OperationKind, OperationProgress
from domain.payouts import MEMBERSHIP, Payout
from domain.periods import from_milliseconds, to_milliseconds
from domain.tie_out import Anchor, Origins, common, nearest, origins

TASK: Final = OperationKind.PROOF.value
_PAGE: Final = 500
_ANCHORS: Final = 100
_RECOUNTS: Final = 2
"""How often a month is counted again that seems wrong: it may have changed between two looks."""

_OLDEST_FIRST: Final = Order("created", descending=False)
_NOTHING_BEFORE: Final[Origins] = ((0, 0),)
_TOLD: Final = ("amount", "fee", "net", "currency")

Moved = tuple[int, int, int]
"""What rows are in one currency: amount, fee, and how many."""


@dataclass(frozen=True, slots=True)
class ProofTally:
    """What was found: every check counted, the first MAX_FINDINGS differences named."""

    checked: Mapping[Check, int] = field(default_factory=dict)
    differed: Mapping[Check, int] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()

    def plus(self, check: Check, checked: int, found: Sequence[Difference] = ()) -> "ProofTally":
        """The tally after so many more of a check, of which some differ."""
        counted = {**self.checked, check: self.checked.get(check, 0) + checked}
        differed = {**self.differed, check: self.differed.get(check, 0) + len(found)}
        return ProofTally(counted, differed, (*self.differences, *found)[:MAX_FINDINGS])


@dataclass(frozen=True, slots=True)
class Walked:
    """Where the rows have come to, oldest first.

    `totals` are the nets of the rows before `queue`, by currency; the queue holds those (created,
    currency, net) that an anchor may have or not have. `anchor_ms` is the start of the last anchor
    that was met, `judged_ms` that of the last one that was judged, `origins` what that one says.
    `moved` is what the rows of `month` (of UTC, since year 0) are.
    """

    totals: Mapping[str, int] = field(default_factory=dict)
    queue: tuple[tuple[int, str, int], ...] = ()
    anchor_ms: int | None = None
    judged_ms: int | None = None
    origins: Mapping[str, Origins] = field(default_factory=dict)
    month: int = 0
    moved: Mapping[str, Moved] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProofState:
    """A proof as its checkpoint keeps it, in milliseconds.

    `until_ms` is up to when all balance transactions were known when it began. `place` is the last
    row of the noun in work.
    """

    id: str
    started_ms: int
    until_ms: int
    payouts: bool = False
    place: tuple[int, str] | None = None
    read: int = 0
    walked: Walked = field(default_factory=Walked)
    tally: ProofTally = field(default_factory=ProofTally)


class Proof:
    """Walks all rows once, oldest first, a page at a time: memory does not grow with history.

    - PARTS: of each balance transaction, amount less fee is net.
    - FIGURES: what the store answers of each UTC month, from its index, is what the rows are.
    - SETTLEMENTS: what a charge, refund, dispute or payout tells of its transaction is so.
    - BANK: from each kept balance to the next, the rows make the difference.
    - PAYOUTS: what a payout holds adds up to zero with what it paid out.

    What changes meanwhile is looked at again before it counts as a difference.
    """

    def __init__(
        self,
        mirror: Mirror,
        analytics: Analytics,
        anchors: BalanceAnchors,
        checkpoints: Checkpoints,
        reports: Reports,
        clock: Clock,
    ) -> None:
        self._mirror = mirror
        self._analytics = analytics
        self._anchors = anchors
        self._checkpoints = checkpoints
        self._reports = reports
        self._clock = clock

    async def run(self, stripe_account: str) -> AsyncGenerator[Step, None]:
        """Begin, or go on at the checkpoint, to the end; the last step has the report's id.

        Close it. Raises Conflict (REQUEST_IN_FLIGHT) where another run has taken over.
        """
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        state = (
            msgspec.convert(checkpoint.state, ProofState)
            if checkpoint.state
            else await self._begun(stripe_account)
        )
        checkpoint = await self._save(checkpoint, state)
        yield Step(_progress(state))
        for walk in (self._transactions, self._payouts):
            async with aclosing(walk(stripe_account, state)) as states:
                async for state in states:
                    checkpoint = await self._save(checkpoint, state)
                    yield Step(_progress(state))
        await self._reports.put(self._report(stripe_account, state))
        await self._save(checkpoint, None)
        yield Step(_progress(state, done=True), state.id)

    async def _begun(self, stripe_account: str) -> ProofState:
        now = to_milliseconds(self._clock.now())
        known = await self._anchors.known_ms(stripe_account)
        return ProofState(uuid4().hex[:12], now, known or now)

    async def _transactions(
        self, stripe_account: str, state: ProofState
    ) -> AsyncGenerator[ProofState, None]:
        """Look at all balance transactions; gives the state after each page."""
        if state.payouts:
            return
        while True:
            rows, last = await self._page(
                BALANCE_TRANSACTIONS, stripe_account, state.place, state.until_ms
            )
            tally = _parts_checked(state.tally, rows)
            tally = await self._settlements(stripe_account, tally, rows)
            walked, tally = await self._counted(stripe_account, state, tally, rows)
            frontier = state.until_ms
            if not last:
                frontier = to_milliseconds(_found(rows)[-1].created)
            walked, tally = await self._banked(stripe_account, walked, tally, frontier)
            if last:
                tally = await self._figures(stripe_account, walked, tally, state.until_ms)
            place = _place(rows) or state.place
            state = replace(
                state,
                payouts=last,
                place=None if last else place,
                read=state.read + len(rows),
                walked=Walked() if last else walked,
                tally=tally,
            )
            yield state
            if last:
                return

    async def _payouts(
        self, stripe_account: str, state: ProofState
    ) -> AsyncGenerator[ProofState, None]:
        """Look at all payouts whose transactions are known."""
        while True:
            rows, last = await self._page(PAYOUTS, stripe_account, state.place, None)
            tally = state.tally
            for row in rows:
                tally = await self._payout(stripe_account, tally, row)
            place = _place(rows) or state.place
            state = replace(state, place=place, read=state.read + len(rows), tally=tally)
            yield state
            if last:
                return

    async def _page(
        self,
        noun: Noun[Any],
        stripe_account: str,
        place: tuple[int, str] | None,
        until_ms: int | None,
    ) -> tuple[Sequence[Row[Any]], bool]:
        """The rows behind a place, and whether they are the last."""
        page = await self._mirror.list(
            noun,
            stripe_account,
            Filter(ranges={"created": (None, until_ms)}),
            order=_OLDEST_FIRST,
            after=Position(*place) if place else None,
            limit=_PAGE,
        )
        return page.rows, page.next is None

    # --- SETTLEMENTS ---

    async def _settlements(
        self, stripe_account: str, tally: ProofTally, rows: Sequence[Row[BalanceTransaction]]
    ) -> ProofTally:
        wrong = await self._unsettled(stripe_account, rows)
        if wrong:  # a facet is written a moment after its transaction: look again at both
            ids = sorted({each.subject for each in wrong})
            again = await self._mirror.fetch(BALANCE_TRANSACTIONS, stripe_account, ids)
            wrong = await self._unsettled(stripe_account, list(again.values()))
        told = sum(bool(row.snapshot and settlement(row.snapshot)) for row in rows)
        return tally.plus(Check.SETTLEMENTS, told, wrong)

    async def _unsettled(
        self, stripe_account: str, rows: Sequence[Row[BalanceTransaction]]
    ) -> Sequence[Difference]:
        """The transactions whose sources tell otherwise, or nothing."""
        told: dict[str, list[Facet]] = defaultdict(list)
        for row in rows:
            place = settlement(row.snapshot) if row.snapshot is not None else None
            if place is not None:
                told[place[0]].append(place[1])
        wrong = []
        for noun, facets in told.items():
            sources = await self._mirror.fetch(
                NOUN_BY_NAME[noun], stripe_account, sorted({facet.id for facet in facets})
            )
            wrong += [each for facet in facets if (each := _untold(sources.get(facet.id), facet))]
        return wrong

    # --- FIGURES ---

    async def _counted(
        self, stripe_account: str, state: ProofState, tally: ProofTally, rows: Sequence[Row[Any]]
    ) -> tuple[Walked, ProofTally]:
        """Count rows to their months, and to what an anchor may have.

        A month that is over is held against what the store answers.
        """
        walked, queue = state.walked, [*state.walked.queue]
        for found in _found(rows):
            month = found.created.year * 12 + found.created.month - 1
            if month != walked.month:
                tally = await self._figures(stripe_account, walked, tally, state.until_ms)
                walked = replace(walked, month=month, moved={})
            if (found.balance_type or PAYMENTS) == PAYMENTS:
                code = found.net.currency
                moved = {**walked.moved, code: _plus(walked.moved.get(code, (0, 0, 0)), found)}
                walked = replace(walked, moved=moved)
                queue.append((to_milliseconds(found.created), code, found.net.amount))
        return replace(walked, queue=tuple(queue)), tally

    async def _figures(
        self, stripe_account: str, walked: Walked, tally: ProofTally, until_ms: int
    ) -> ProofTally:
        if not walked.month:
            return tally
        low, high = _edges(walked.month)
        between = low, min(high, until_ms)
        moved, figures = walked.moved, await self._answered(stripe_account, between)
        for _ in range(_RECOUNTS):
            if figures == moved:
                break
            moved = await self._recounted(stripe_account, between)
            figures = await self._answered(stripe_account, between)
        codes = sorted({*figures, *moved})
        wrong = [
            Difference(
                Check.FIGURES,
                f"{walked.month // 12}-{walked.month % 12 + 1:02}",
                code,
                _net(moved.get(code)),
                _net(figures.get(code)),
            )
            for code in codes
            if moved.get(code) != figures.get(code)
        ]
        return tally.plus(Check.FIGURES, len(codes), wrong)

    async def _answered(self, stripe_account: str, between: tuple[int, int]) -> Mapping[str, Moved]:
        """What the store answers of a time."""
        edges = [from_milliseconds(each) for each in between]
        moved: dict[str, Moved] = {}
        for row in await self._analytics.figures(NET_VOLUME, stripe_account, edges):
            amount, fee, count = moved.get(row.currency, (0, 0, 0))
            moved[row.currency] = (amount + row.sums[0], fee + row.sums[1], count + row.count)
        return moved

    async def _recounted(
        self, stripe_account: str, between: tuple[int, int]
    ) -> Mapping[str, Moved]:
        """What the rows of a time are now."""
        low, high = between
        moved: dict[str, Moved] = {}
        place: tuple[int, str] = (low, "")
        last = False
        while not last:
            rows, last = await self._page(BALANCE_TRANSACTIONS, stripe_account, place, high)
            for found in _found(rows):
                if (found.balance_type or PAYMENTS) == PAYMENTS:
                    code = found.net.currency
                    moved[code] = _plus(moved.get(code, (0, 0, 0)), found)
            place = _place(rows) or place
        return moved

    # --- BANK ---

    async def _banked(
        self, stripe_account: str, walked: Walked, tally: ProofTally, frontier: int
    ) -> tuple[Walked, ProofTally]:
        """Judge the anchors before which all rows were walked; the queue keeps what is left."""
        while True:
            anchors = await self._anchors.after(stripe_account, walked.anchor_ms, limit=_ANCHORS)
            due = [each for each in anchors if each.high_ms <= frontier]
            for anchor in due:
                walked, tally = _judged(walked, tally, anchor)
            if len(due) < _ANCHORS:
                break
        rest = anchors[len(due) :]
        return _folded(walked, min((rest[0].low_ms if rest else frontier), frontier)), tally

    # --- PAYOUTS ---

    async def _payout(self, stripe_account: str, tally: ProofTally, row: Row[Payout]) -> ProofTally:
        whole = row.derived.get(MEMBERSHIP)
        found = row.snapshot.object if row.snapshot else None
        if found is None or whole is None or not whole.values or whole.values["not_understood"]:
            return tally
        groups = await self._mirror.group(
            BALANCE_TRANSACTIONS,
            stripe_account,
            Filter({"payout": row.id}),
            by=["reporting_category"],
            sums=("net",),
        )
        if sum(group.count for group in groups) != whole.values["transactions"]:
            return tally  # it is being read
        net = sum(group.sums[0] for group in groups)
        wrong = [Difference(Check.PAYOUTS, row.id, found.amount.currency, 0, net)] if net else []
        return tally.plus(Check.PAYOUTS, 1, wrong)

    def _report(self, stripe_account: str, state: ProofState) -> Report:
        tally = state.tally
        return Report(
            state.id,
            stripe_account,
            ReportKind.PROOF,
            repair=False,
            started_at=from_milliseconds(state.started_ms),
            finished_at=self._clock.now(),
            counts=(),
            checks=tuple(
                CheckCount(check, tally.checked.get(check, 0), tally.differed.get(check, 0))
                for check in Check
            ),
            differences=tally.differences,
        )

    async def _save(self, checkpoint: Checkpoint, state: ProofState | None) -> Checkpoint:
        told = {} if state is None else msgspec.to_builtins(state)
        return await self._checkpoints.save(replace(checkpoint, state=told), now=self._clock.now())


class ProofWork(Work):
    """A proof as an operation. It begins anew, so that its report is of one time."""

    kind = OperationKind.PROOF

    def __init__(
        self, proof: Proof, checkpoints: Checkpoints, reports: Reports, clock: Clock
    ) -> None:
        self._proof = proof
        self._checkpoints = checkpoints
        self._reports = reports
        self._clock = clock

    @override
    async def prepare(self, operation: Operation) -> None:
        await begin_anew(self._checkpoints, operation, self._clock)

    @override
    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        meter = Meter(self._clock)
        async with aclosing(self._proof.run(operation.stripe_account)) as steps:
            async for step in steps:
                yield Step(meter.of(step.progress), step.report_id)

    @override
    async def report(self, operation: Operation) -> str:
        return await report_of(self._reports, operation, ReportKind.PROOF, repair=False)


def _judged(walked: Walked, tally: ProofTally, anchor: Anchor) -> tuple[Walked, ProofTally]:
    """What an anchor says beside the one before it, in each currency."""
    walked = _folded(walked, anchor.low_ms)
    within = [each for each in walked.queue if each[0] < anchor.high_ms]
    if len(within) > MAX_WITHIN:
        return replace(walked, anchor_ms=anchor.start_ms), tally
    codes = {*walked.totals, *walked.origins, *anchor.totals, *(code for _, code, _ in within)}
    now, wrong, since = {}, [], walked.judged_ms
    for code in sorted(codes):
        total, before = anchor.total(code), walked.totals.get(code, 0)
        says = origins(total, before, _seconds(within, code))
        left = walked.origins.get(code, says if since is None else _NOTHING_BEFORE)
        now[code] = common(left, says) or says
        if not common(left, says):
            made = total - nearest(left, says)[0]
            wrong.append(Difference(Check.BANK, _span(since, anchor), code, made, total))
    checked = 0 if since is None else len(codes)
    tally = tally.plus(Check.BANK, checked, wrong)
    at = anchor.start_ms
    return replace(walked, anchor_ms=at, judged_ms=at, origins=now), tally


def _folded(walked: Walked, low_ms: int) -> Walked:
    """The rows before an instant are added up: no anchor is left that may not have them."""
    cut = bisect_left(walked.queue, low_ms, key=lambda each: each[0])
    if not cut:
        return walked
    totals = dict(walked.totals)
    for _, code, net in walked.queue[:cut]:
        totals[code] = totals.get(code, 0) + net
    return replace(walked, totals=totals, queue=walked.queue[cut:])


def _seconds(rows: Sequence[tuple[int, str, int]], currency: str) -> Sequence[Sequence[int]]:
    """The nets of each second, in order."""
    seconds: dict[int, list[int]] = defaultdict(list)
    for created, code, net in rows:
        if code == currency:
            seconds[created].append(net)
    return [seconds[created] for created in sorted(seconds)]


def _span(since: int | None, anchor: Anchor) -> str:
    """From the one anchor to the other, for people to read."""
    start = "the beginning" if not since else f"{from_milliseconds(since):%Y-%m-%dT%H:%M:%SZ}"
    return f"{start} to {from_milliseconds(anchor.end_ms):%Y-%m-%dT%H:%M:%SZ}"


def _parts_checked(tally: ProofTally, rows: Sequence[Row[BalanceTransaction]]) -> ProofTally:
    found = _found(rows)
    wrong = [
        Difference(
            Check.PARTS,
            each.id,
            each.net.currency,
            each.amount.amount - each.fee.amount,
            each.net.amount,
        )
        for each in found
        if each.amount.amount - each.fee.amount != each.net.amount
    ]
    return tally.plus(Check.PARTS, len(found), wrong)


def _untold(row: Row[Any] | None, facet: Facet) -> Difference | None:
    """What is wrong with what a source tells of a transaction."""
    stored = row.derived.get(facet.name) if row is not None else None
    values = {} if stored is None else stored.values
    teller = facet.values["balance_transaction"]
    if values.get("balance_transaction", teller) != teller:
        return None  # another one of the same source tells
    if all(values.get(name) == facet.values[name] for name in _TOLD):
        return None
    net = values.get("net")
    return Difference(
        Check.SETTLEMENTS, teller, str(facet.values["currency"]), int(facet.values["net"]),
        net if isinstance(net, int) else None,
    )  # fmt: skip


def _found(rows: Sequence[Row[BalanceTransaction]]) -> Sequence[BalanceTransaction]:
    return [row.snapshot.object for row in rows if row.snapshot and row.snapshot.object]


def _place(rows: Sequence[Row[Any]]) -> tuple[int, str] | None:
    """Where a page ends."""
    found = rows[-1].snapshot.object if rows and rows[-1].snapshot else None
    return None if found is None else (to_milliseconds(found.created), found.id)


def _plus(moved: Moved, found: BalanceTransaction) -> Moved:
    amount, fee, count = moved
    return amount + found.amount.amount, fee + found.fee.amount, count + 1


def _net(moved: Moved | None) -> int:
    return 0 if moved is None else moved[0] - moved[1]


def _edges(month: int) -> tuple[int, int]:
    """The first instants of a month and of the next one."""
    first, following = (
        from_milliseconds(0).replace(year=each // 12, month=each % 12 + 1)
        for each in (month, month + 1)
    )
    return to_milliseconds(first), to_milliseconds(following)


def _progress(state: ProofState, *, done: bool = False) -> OperationProgress:
    at = state.place
    return OperationProgress(
        phase="prove",
        noun="" if done else PAYOUTS.name if state.payouts else BALANCE_TRANSACTIONS.name,
        nouns_done=2 if done else int(state.payouts),
        nouns_total=2,
        read=state.read,
        drifted=sum(state.tally.differed.values()),
        reached=None if at is None else from_milliseconds(at[0]),
    )
