"""What a proof has walked and found so far: the sums, the differences, and where it stands.

All of it is pure: `proof` reads the rows.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from application.analytics.tie_out import MAX_WITHIN
from application.mirror.nouns import BALANCE_TRANSACTIONS, PAYOUTS
from application.upkeep.ports import MAX_FINDINGS, Check, Difference
from domain.balance_transactions import BalanceTransaction
from domain.mirror import Facet, Row
from domain.operations import OperationProgress
from domain.periods import from_milliseconds, to_milliseconds
from domain.tie_out import Anchor, Origins, common, nearest, origins

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
    row of the noun in work. `proved` is how many provers are through, `further` where the next is.
    """

    id: str
    started_ms: int
    until_ms: int
    payouts: bool = False
    place: tuple[int, str] | None = None
    read: int = 0
    walked: Walked = field(default_factory=Walked)
    tally: ProofTally = field(default_factory=ProofTally)
    proved: int = 0
    further: Mapping[str, Any] = field(default_factory=dict)


def judged(walked: Walked, tally: ProofTally, anchor: Anchor) -> tuple[Walked, ProofTally]:
    """What an anchor says beside the one before it, in each currency."""
    walked = folded(walked, anchor.low_ms)
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


def folded(walked: Walked, low_ms: int) -> Walked:
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


def parts_checked(tally: ProofTally, rows: Sequence[Row[BalanceTransaction]]) -> ProofTally:
    """The tally after the parts of each row were held against its net."""
    transactions = transactions_of(rows)
    wrong = [
        Difference(
            Check.PARTS,
            each.id,
            each.net.currency,
            each.amount.amount - each.fee.amount,
            each.net.amount,
        )
        for each in transactions
        if each.amount.amount - each.fee.amount != each.net.amount
    ]
    return tally.plus(Check.PARTS, len(transactions), wrong)


def untold_settlement(row: Row[Any] | None, facet: Facet) -> Difference | None:
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


def transactions_of(rows: Sequence[Row[BalanceTransaction]]) -> Sequence[BalanceTransaction]:
    """The balance transactions of rows."""
    return [row.snapshot.object for row in rows if row.snapshot and row.snapshot.object]


def place_of(rows: Sequence[Row[Any]]) -> tuple[int, str] | None:
    """Where a page ends."""
    last = rows[-1].snapshot.object if rows and rows[-1].snapshot else None
    return None if last is None else (to_milliseconds(last.created), last.id)


def with_row(moved: Moved, transaction: BalanceTransaction) -> Moved:
    """What rows are, and one more."""
    amount, fee, count = moved
    return amount + transaction.amount.amount, fee + transaction.fee.amount, count + 1


def net_of(moved: Moved | None) -> int:
    """Amount less fee, in minor units; zero where there are no rows."""
    return 0 if moved is None else moved[0] - moved[1]


def month_edges(month: int) -> tuple[int, int]:
    """The first instants of a month and of the next one."""
    first, following = (
        from_milliseconds(0).replace(year=each // 12, month=each % 12 + 1)
        for each in (month, month + 1)
    )
    return to_milliseconds(first), to_milliseconds(following)


def progress_of(
    state: ProofState, further: Sequence[str] = (), *, done: bool = False
) -> OperationProgress:
    """How far a proof has come, for those who wait for it; `further` are what provers prove."""
    at = state.place
    nouns = (BALANCE_TRANSACTIONS.name, PAYOUTS.name, *further)
    through = 0
    if state.payouts:
        beyond = state.proved or state.further
        through = 2 + state.proved if beyond else 1
    return OperationProgress(
        phase="prove",
        noun="" if done or through == len(nouns) else nouns[through],
        nouns_done=len(nouns) if done else through,
        nouns_total=len(nouns),
        read=state.read,
        drifted=sum(state.tally.differed.values()),
        reached=None if at is None else from_milliseconds(at[0]),
    )
