"""Payouts of all kinds, generated: what the store adds up equals plain sums over plain lists."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.payout_summary import UNEXPLAINED, SummaryRow
from tests.contract.test_plans import plans_of
from tests.support.rooms.payouts import CALLER, PayoutsOn, payout, transaction
from tests.support.servers.stores import Stores

Booking = tuple[str | None, int, int]
"""A category, an amount and a fee in minor units."""

CURRENCIES = ("jpy", "usd", "kwd")
"""With 0, 2 and 3 decimals."""

AMOUNTS = st.integers(1, 10**11)
FEES = st.integers(0, 10**6)


@st.composite
def sales(draw: st.DrawFn) -> list[Booking]:
    """A charge, and what may become of it."""
    amount, fee = draw(AMOUNTS), draw(FEES)
    story: list[Booking] = [("charge", amount, fee)]
    part = draw(st.integers(1, amount))
    match draw(st.sampled_from(["kept", "refunded", "bounced", "lost", "won", "failed", "partly"])):
        case "refunded":
            story.append(("refund", -part, -draw(st.integers(0, fee))))
        case "bounced":
            story += [("refund", -part, 0), ("refund_failure", part, 0)]
        case "lost":
            story.append(("dispute", -amount, draw(FEES)))
        case "won":
            story += [("dispute", -amount, fee), ("dispute_reversal", amount, -fee)]
        case "failed":
            story.append(("charge_failure", -amount, 0))
        case "partly":
            story.append(("partial_capture_reversal", -part, 0))
        case _:
            pass
    return story


OTHERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "fee",
                "tax",
                "other_adjustment",
                "network_cost",
                None,
                "",
                "quantum_refund",
                "Ünknown",
            ]
        ),
        st.integers(-(10**9), 10**9),
        FEES,
    ),
    max_size=4,
)
EARLIER = st.lists(st.tuples(st.just("payout_reversal"), AMOUNTS, st.just(0)), max_size=1)
"""The money of an earlier payout that failed."""

MANUAL = st.lists(st.tuples(st.just("payout"), AMOUNTS.map(int.__neg__), FEES), max_size=2)
"""Manual payouts, which were made since the last automatic one."""


@st.composite
def bookings(draw: st.DrawFn) -> list[Booking]:
    """What a payout holds, its own transaction included."""
    held = [one for story in draw(st.lists(sales(), max_size=6)) for one in story]
    held += draw(OTHERS) + draw(EARLIER) + draw(MANUAL)
    return [*held, ("payout", -sum(amount - fee for _, amount, fee in held), 0)]


def independent(held: list[Booking]) -> dict[str, tuple[int, int, int, int]]:
    """Count, gross, fee and net by category, over the plain list."""
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for category, amount, fee in held:
        row = rows[category or ""]
        row[0] += 1
        row[1] += amount
        row[2] += fee
        row[3] += amount - fee
    return {category: (row[0], row[1], row[2], row[3]) for category, row in rows.items()}


def table(
    rows: Sequence[SummaryRow],
) -> dict[str, tuple[int, int, int, int]]:
    return {
        "own" if row.own else row.category: (row.count, row.gross, row.fee, row.net) for row in rows
    }


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bookings(), st.sampled_from(CURRENCIES), st.data())
async def test_a_summary_equals_an_independent_sum(
    stores: Stores, held: list[Booking], currency: str, data: st.DataObject
) -> None:
    room, id_ = PayoutsOn(stores.mirror), f"po_{uuid4().hex}"
    own_id = f"{id_}_{len(held) - 1}"
    await room.hold(payout(id_, -held[-1][1], currency, balance_transaction=own_id))
    taken = data.draw(st.none() | st.integers(0, len(held) - 1))
    rows = [
        transaction(f"{id_}_{number}", category, amount, fee, currency)
        for number, (category, amount, fee) in enumerate(held)
    ]
    await room.book((row for number, row in enumerate(rows) if number != taken), id_)
    await room.read(id_, len(held), 0 if taken is None else 1)
    summary = await room.payouts.summarize(CALLER, id_)
    found = table(summary.rows)
    assert sum(row.net for row in summary.rows) == 0
    lost = 0 if taken is None else held[taken][1] - held[taken][2]
    if lost:
        assert found.pop(UNEXPLAINED) == (1, lost, 0, lost)
    kept = [one for number, one in enumerate(held) if number != taken]
    own = {} if taken == len(held) - 1 else {"own": (1, held[-1][1], 0, held[-1][1])}
    assert found == independent(kept[:-1] if own else kept) | own


async def test_a_summary_is_answered_by_the_index_alone(stores: Stores) -> None:
    room = PayoutsOn(stores.mirror)
    await room.hold(payout(balance_transaction="txn_2"))
    await room.book(
        [transaction("txn_1", "charge", 900), transaction("txn_2", "payout", -900)], "po_1"
    )
    await room.read("po_1", 2)
    plans = await plans_of(stores, lambda: room.payouts.summarize(CALLER, "po_1"))
    assert len(plans) == 3, "the payout, the grouping, and the payout's own transaction"
    (grouping,) = [plan for plan in plans if "reporting_category" in plan.text.split("WHERE")[0]]
    assert grouping.covered, grouping.text
