"""Proof: what must hold of the books, computed anew from the rows of the mirror."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import msgspec
from typing_extensions import override

from application.analytics.metrics import NET_VOLUME
from application.analytics.ports import Analytics
from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.mirror.nouns import BALANCE_TRANSACTIONS, NOUN_BY_NAME, PAYOUTS
from application.mirror.ports import Filter, Mirror, Noun, Order
from application.operations.work import Meter, Step, Work, begin_anew
from application.requests.paging import Position
from application.upkeep.anchors import BalanceAnchors
from application.upkeep.ports import (
    Check,
    CheckCount,
    Difference,
    Prover,
    Report,
    ReportKind,
    Reports,
)
from application.upkeep.proof_state import (
    Moved,
    ProofState,
    ProofTally,
    Walked,
    folded,
    judged,
    month_edges,
    net_of,
    parts_checked,
    place_of,
    progress_of,
    transactions_of,
    untold_settlement,
    with_row,
)
from application.upkeep.reconciliation import report_of
from domain.attribution import settlement
from domain.balance_transactions import PAYMENTS, BalanceTransaction
from domain.mirror import Facet, Row
from domain.operations import Operation, OperationKind, OperationProgress
from domain.payouts import MEMBERSHIP, Payout
from domain.periods import from_milliseconds, to_milliseconds

TASK: Final = OperationKind.PROOF.value
_PAGE: Final = 500
_ANCHORS: Final = 100
_RECOUNTS: Final = 2
"""How often a month is counted again that seems wrong: it may have changed between two looks."""

_OLDEST_FIRST: Final = Order("created", descending=False)


class Proof:
    """Walks all rows once, oldest first, a page at a time: memory does not grow with history.

    - PARTS: of each balance transaction, amount less fee is net.
    - FIGURES: what the store answers of each UTC month, from its index, is what the rows are.
    - SETTLEMENTS: what a charge, refund, dispute or payout tells of its transaction is so.
    - BANK: from each kept balance to the next, the rows make the difference.
    - PAYOUTS: what a payout holds adds up to zero with what it paid out.
    - What `provers` prove: FACTS are what follows from their evidence.

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
        provers: Sequence[Prover] = (),
    ) -> None:
        self._provers = provers
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
        yield Step(self._progress(state))
        for walk in (self._transactions, self._payouts, self._further):
            async with aclosing(walk(stripe_account, state)) as states:
                async for state in states:
                    checkpoint = await self._save(checkpoint, state)
                    yield Step(self._progress(state))
        await self._reports.put(self._report(stripe_account, state))
        await self._save(checkpoint, None)
        yield Step(self._progress(state, done=True), state.id)

    def _progress(self, state: ProofState, *, done: bool = False) -> OperationProgress:
        return progress_of(state, [each.check for each in self._provers], done=done)

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
            tally = parts_checked(state.tally, rows)
            tally = await self._settlements(stripe_account, tally, rows)
            walked, tally = await self._counted(stripe_account, state, tally, rows)
            frontier = state.until_ms
            if not last:
                frontier = to_milliseconds(transactions_of(rows)[-1].created)
            walked, tally = await self._banked(stripe_account, walked, tally, frontier)
            if last:
                tally = await self._figures(stripe_account, walked, tally, state.until_ms)
            place = place_of(rows) or state.place
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
        while not (state.further or state.proved):
            rows, last = await self._page(PAYOUTS, stripe_account, state.place, None)
            tally = state.tally
            for row in rows:
                tally = await self._payout(stripe_account, tally, row)
            place = place_of(rows) or state.place
            state = replace(state, place=place, read=state.read + len(rows), tally=tally)
            yield state
            if last:
                return

    async def _further(
        self, stripe_account: str, state: ProofState
    ) -> AsyncGenerator[ProofState, None]:
        """Have the rooms above prove what they keep."""
        while state.proved < len(self._provers):
            prover = self._provers[state.proved]
            found = await prover.block(stripe_account, state.further)
            state = replace(
                state,
                place=None,
                further=found.place or {},
                proved=state.proved + (found.place is None),
                read=state.read + found.read,
                tally=state.tally.plus(prover.check, found.checked, found.differences),
            )
            yield state

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
            wrong += [
                each
                for facet in facets
                if (each := untold_settlement(sources.get(facet.id), facet))
            ]
        return wrong

    # --- FIGURES ---

    async def _counted(
        self, stripe_account: str, state: ProofState, tally: ProofTally, rows: Sequence[Row[Any]]
    ) -> tuple[Walked, ProofTally]:
        """Count rows to their months, and to what an anchor may have.

        A month that is over is held against what the store answers.
        """
        walked, queue = state.walked, [*state.walked.queue]
        for transaction in transactions_of(rows):
            month = transaction.created.year * 12 + transaction.created.month - 1
            if month != walked.month:
                tally = await self._figures(stripe_account, walked, tally, state.until_ms)
                walked = replace(walked, month=month, moved={})
            if (transaction.balance_type or PAYMENTS) == PAYMENTS:
                code = transaction.net.currency
                moved = {
                    **walked.moved,
                    code: with_row(walked.moved.get(code, (0, 0, 0)), transaction),
                }
                walked = replace(walked, moved=moved)
                queue.append((to_milliseconds(transaction.created), code, transaction.net.amount))
        return replace(walked, queue=tuple(queue)), tally

    async def _figures(
        self, stripe_account: str, walked: Walked, tally: ProofTally, until_ms: int
    ) -> ProofTally:
        if not walked.month:
            return tally
        low, high = month_edges(walked.month)
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
                net_of(moved.get(code)),
                net_of(figures.get(code)),
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
            for transaction in transactions_of(rows):
                if (transaction.balance_type or PAYMENTS) == PAYMENTS:
                    code = transaction.net.currency
                    moved[code] = with_row(moved.get(code, (0, 0, 0)), transaction)
            place = place_of(rows) or place
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
                walked, tally = judged(walked, tally, anchor)
            if len(due) < _ANCHORS:
                break
        rest = anchors[len(due) :]
        return folded(walked, min((rest[0].low_ms if rest else frontier), frontier)), tally

    # --- PAYOUTS ---

    async def _payout(self, stripe_account: str, tally: ProofTally, row: Row[Payout]) -> ProofTally:
        whole = row.derived.get(MEMBERSHIP)
        payout = row.snapshot.object if row.snapshot else None
        if payout is None or whole is None or not whole.values or whole.values["not_understood"]:
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
        wrong = [Difference(Check.PAYOUTS, row.id, payout.amount.currency, 0, net)] if net else []
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
