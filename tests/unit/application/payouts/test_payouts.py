"""Payouts: what may be asked, what is told of them, and when there is no sum."""

import logging
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from application.mirror.nouns import PAYOUTS
from application.payouts.commands import ListPayouts, ListPayoutTransactions
from application.payouts.membership import AT_STRIPE_SECONDS, READING_SECONDS, Membership
from domain.errors import FailedPrecondition, InvalidArgument, NotFound, NotYet, Reason
from domain.payout_summary import UNEXPLAINED
from domain.payouts import Payout
from domain.periods import to_milliseconds
from tests.support.fakes.stores import NOON, FakeMirror
from tests.support.rooms.payouts import (
    ACCOUNT,
    BANK,
    CALLER,
    OTHER,
    SECOND,
    PayoutsOn,
    facet,
    payout,
    transaction,
)


@pytest.fixture
def room() -> PayoutsOn:
    return PayoutsOn(FakeMirror())


async def refused(room: PayoutsOn, query: ListPayouts) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        await room.payouts.list(CALLER, query)
    return [violation.field for violation in caught.value.violations]


async def test_everything_wrong_is_told_at_once(room: PayoutsOn) -> None:
    query = ListPayouts(
        page_size=101,
        statuses=("paid", "lost"),
        currency="USD",
        arrival_after=NOON,
        arrival_before=NOON,
        created_after=NOON + SECOND,
        created_before=NOON,
    )
    assert await refused(room, query) == [
        "page_size", "statuses[1]", "currency", "arrival_before", "created_before",
    ]  # fmt: skip
    assert await refused(room, ListPayouts(statuses=("paid",) * 6)) == ["statuses"]
    with pytest.raises(InvalidArgument) as caught:
        await room.payouts.transactions(CALLER, ListPayoutTransactions("", -1, "", "x" * 101))
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["id", "page_size", "reporting_category"]
    for call in (room.payouts.get, room.payouts.summarize):
        with pytest.raises(InvalidArgument):
            await call(CALLER, "\0")


async def test_a_page_is_the_same_whichever_way_it_was_reached(room: PayoutsOn) -> None:
    await room.hold(*(payout(f"po_{n}", arrival_date=NOON + n // 2 * SECOND) for n in range(9)))
    query = ListPayouts(page_size=2)
    there = [await room.payouts.list(CALLER, query)]
    while token := there[-1].next_page_token:
        there.append(await room.payouts.list(CALLER, replace(query, page_token=token)))
    back = [there[-1]]
    while token := back[0].previous_page_token:
        back.insert(0, await room.payouts.list(CALLER, replace(query, page_token=token)))
    assert [len(page.items) for page in there] == [2, 2, 2, 2, 1]
    assert [page.items for page in back] == [page.items for page in there]
    assert there[0].previous_page_token == ""
    other = replace(query, page_token=there[0].next_page_token, order="created")
    with pytest.raises(InvalidArgument) as caught:
        await room.payouts.list(CALLER, other)
    assert caught.value.reason is Reason.INVALID_PAGE_TOKEN


async def test_filters(room: PayoutsOn) -> None:
    await room.hold(
        payout("po_1"),
        payout("po_2", status="failed"),
        payout("po_3", automatic=False),
        payout("po_4", currency="eur"),
        payout("po_5", arrival_date=NOON + 99 * SECOND),
        payout("po_6", created=NOON - 9 * SECOND, status="pending"),
    )

    async def ids(query: ListPayouts) -> str:
        page = await room.payouts.list(CALLER, query)
        return "".join(sorted(listed.payout.id[3:] for listed in page.items))

    for order in ("arrival_date", "created"):
        for query, expected in (
            (ListPayouts(), "123456"),
            (ListPayouts(statuses=("failed", "pending", "failed")), "26"),
            (ListPayouts(automatic=False), "3"),
            (ListPayouts(automatic=True, currency="usd"), "1256"),
            (ListPayouts(currency="eur"), "4"),
            (ListPayouts(arrival_after=NOON + 3 * SECOND), "5"),
            (ListPayouts(arrival_before=NOON + 3 * SECOND, statuses=("paid",)), "134"),
            (ListPayouts(created_after=NOON - 9 * SECOND, created_before=NOON), "6"),
        ):
            assert await ids(replace(query, order=order)) == expected, (order, query)
    assert (await room.payouts.list(OTHER, ListPayouts())).items == []


async def test_a_failed_payout_has_two_dates(room: PayoutsOn) -> None:
    failed_at = NOON + 99 * SECOND
    await room.hold(
        payout(
            status="failed",
            balance_transaction="txn_1",
            failure_balance_transaction="txn_2",
            failure_code="account_closed",
        )
    )
    made, back = transaction("txn_1", "payout", -900), transaction("txn_2", "payout_reversal", 900)
    await room.book([made, back])
    reversal = facet("po_1", "reversal", created=to_milliseconds(failed_at))
    await room.mirror.derive(PAYOUTS, [reversal])
    details = await room.payouts.get(CALLER, "po_1")
    assert details.listed.failed_at == failed_at
    assert details.listed.payout.arrival_date == NOON + 2 * SECOND
    assert (details.transaction, details.failure_transaction) == (made, back)
    assert (details.destination, details.membership) == (BANK, Membership.NOT_READ)
    assert room.stripe.asked == [(ACCOUNT, "po_1")]
    (listed,) = (await room.payouts.list(CALLER, ListPayouts())).items
    assert listed == details.listed


async def test_a_payout_without_destination_asks_nobody(room: PayoutsOn) -> None:
    await room.hold(payout(destination=None))
    details = await room.payouts.get(CALLER, "po_1")
    assert (details.destination, details.transaction, room.stripe.asked) == (None, None, [])


async def test_another_tenants_payout_is_not_found(room: PayoutsOn) -> None:
    await room.hold(payout())
    await room.read("po_1", 0)
    for call in (
        room.payouts.get(OTHER, "po_1"),
        room.payouts.summarize(OTHER, "po_1"),
        room.payouts.transactions(OTHER, ListPayoutTransactions("po_1")),
    ):
        with pytest.raises(NotFound):
            await call


@pytest.mark.parametrize(
    "found",
    [
        payout(automatic=False, reconciliation_status="not_applicable"),
        payout(automatic=False),
        payout(method="instant"),
        payout(reconciliation_status="not_applicable"),
    ],
)
async def test_manual_and_instant_payouts_are_not_reconcilable(
    room: PayoutsOn, found: Payout
) -> None:
    await room.hold(found)
    await room.read("po_1", 0)
    for call in (
        room.payouts.summarize(CALLER, "po_1"),
        room.payouts.transactions(CALLER, ListPayoutTransactions("po_1")),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            await call
        assert caught.value.reason is Reason.NOT_RECONCILABLE
    assert (await room.payouts.get(CALLER, "po_1")).membership is Membership.NOT_RECONCILABLE
    assert room.membership.due == set()


async def not_yet(room: PayoutsOn) -> int:
    """After how many seconds to ask again; the same for the sum and for the list."""
    seconds = set()
    for call in (
        room.payouts.summarize(CALLER, "po_1"),
        room.payouts.transactions(CALLER, ListPayoutTransactions("po_1")),
    ):
        with pytest.raises(NotYet) as caught:
            await call
        assert caught.value.reason is Reason.PAYOUT_NOT_RECONCILED
        seconds.add(caught.value.retry_after_seconds)
    (only,) = seconds
    return only


async def test_while_stripe_reconciles_there_is_no_sum(room: PayoutsOn) -> None:
    await room.hold(payout(reconciliation_status="in_progress"))
    await room.book([transaction("txn_1", "payout", -900)], "po_1")
    assert await not_yet(room) == AT_STRIPE_SECONDS
    assert room.membership.due == set(), "there is nothing to read yet"


async def test_a_payout_that_was_not_read_is_read_soon(room: PayoutsOn) -> None:
    await room.hold(payout())
    await room.book([transaction("txn_1", "payout", -900)], "po_1")
    assert await not_yet(room) == READING_SECONDS
    assert room.membership.due == {(ACCOUNT, "po_1")}
    await room.read("po_1", 1)
    assert (await room.payouts.get(CALLER, "po_1")).membership is Membership.READ
    await room.payouts.summarize(CALLER, "po_1")


async def test_while_a_payout_is_read_again_there_is_no_sum_of_old_and_new(
    room: PayoutsOn,
) -> None:
    """Stripe completes the reconciliation twice, the second time with one transaction more."""
    await room.hold(payout())
    own = transaction("txn_own", "payout", -900)
    await room.book([transaction("txn_1", "charge", 900), own], "po_1")
    await room.read("po_1", 2)
    before = await room.payouts.summarize(CALLER, "po_1")
    assert room.membership.looked == 0, "a payout that is whole costs no further question"
    await room.membership.ask(ACCOUNT, ["po_1"])
    assert await room.payouts.summarize(CALLER, "po_1") == before, "nothing has changed yet"
    await room.book([transaction("txn_2", "charge", 70)], "po_1")
    with pytest.raises(NotYet):
        await room.payouts.summarize(CALLER, "po_1")
    await room.book([transaction("txn_3", "refund", -70)], "po_1")
    await room.read("po_1", 4, at=2)
    room.membership.due.clear()
    after = await room.payouts.summarize(CALLER, "po_1")
    assert [(row.category, row.count, row.net) for row in after.rows] == [
        ("charge", 2, 970), ("refund", 1, -70), ("payout", 1, -900),
    ]  # fmt: skip


async def test_what_is_not_explained_is_shown_and_logged(
    room: PayoutsOn, caplog: pytest.LogCaptureFixture
) -> None:
    await room.hold(payout())
    await room.book(
        [transaction("txn_1", "charge", 800), transaction("txn_9", "payout", -900)], "po_1"
    )
    await room.read("po_1", 3, odd=1)
    with caplog.at_level(logging.WARNING):
        summary = await room.payouts.summarize(CALLER, "po_1")
    (row,) = [row for row in summary.rows if row.category == UNEXPLAINED]
    assert (row.count, row.gross, row.fee, row.net) == (1, 100, 0, 100)
    (record,) = caplog.records
    assert (record.levelname, vars(record)["payout"], vars(record)["amount"]) == (
        "WARNING", "po_1", 100,
    )  # fmt: skip


async def test_transactions_are_listed_and_narrowed(room: PayoutsOn) -> None:
    await room.hold(payout())
    held = [
        transaction("txn_1", "charge", 500, created=NOON),
        transaction("txn_2", "charge", 400, created=NOON + SECOND),
        transaction("txn_3", "payout", -900, created=NOON + 2 * SECOND),
    ]
    await room.book(held, "po_1")
    await room.book([transaction("txn_4", "charge", 5)])
    await room.read("po_1", 3)
    listed = await room.payouts.transactions(CALLER, ListPayoutTransactions("po_1"))
    assert listed.items == held[::-1]
    narrowed = ListPayoutTransactions("po_1", page_size=1, reporting_category="charge")
    first = await room.payouts.transactions(CALLER, narrowed)
    second = await room.payouts.transactions(
        CALLER, replace(narrowed, page_token=first.next_page_token)
    )
    assert [*first.items, *second.items] == held[1::-1]
    again = await room.payouts.transactions(
        CALLER, replace(narrowed, page_token=second.previous_page_token)
    )
    assert again.items == first.items


async def test_how_many_questions_are_asked_of_the_store(room: PayoutsOn) -> None:
    await room.hold(payout(balance_transaction="txn_2"))
    await room.book(
        [transaction("txn_1", "charge", 900), transaction("txn_2", "payout", -900)], "po_1"
    )
    await room.read("po_1", 2)
    calls: list[str] = []

    async def note(where: str) -> None:
        calls.append(where)

    assert isinstance(room.mirror, FakeMirror)
    room.mirror.pause = note
    asks: list[tuple[Awaitable[object], list[str]]] = [
        (room.payouts.list(CALLER, ListPayouts()), ["list"]),
        (room.payouts.get(CALLER, "po_1"), ["fetch", "fetch"]),
        (room.payouts.summarize(CALLER, "po_1"), ["fetch", "group", "fetch"]),
        (
            room.payouts.transactions(CALLER, ListPayoutTransactions("po_1")),
            ["fetch", "list"],
        ),
    ]
    for call, expected in asks:
        calls.clear()
        await call
        asked = [name for name in calls if name.startswith("mirror.")][::2]  # before and after
        assert asked == [f"mirror.{name}" for name in expected]
