"""What a payout consists of: the nets of all rows add up to zero, whatever is missing."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domain.payout_summary import (
    PARTS,
    UNEXPLAINED,
    SummaryRow,
    of_groups,
    summarize,
    unexplained,
    waterfall,
)
from domain.reporting_categories import CATEGORIES, Part

AMOUNTS = st.integers(-(10**12), 10**12)
ROWS = st.lists(
    st.builds(
        lambda category, count, gross, fee: SummaryRow(category, count, gross, fee, gross - fee),
        st.sampled_from([*CATEGORIES, "", "quantum_refund", "newest"]),
        st.integers(1, 10**6),
        AMOUNTS,
        AMOUNTS,
    ),
    unique_by=lambda row: row.category,
)


def row(category: str, gross: int, fee: int = 0, count: int = 1) -> SummaryRow:
    return SummaryRow(category, count, gross, fee, gross - fee)


def owned(own: SummaryRow) -> SummaryRow:
    return replace(own, own=True)


def test_a_payout_is_explained_by_what_it_holds() -> None:
    own = row("payout", -9_180)
    rows = summarize([own, row("refund", -500), row("charge", 10_000, 320, 2)], own)
    assert rows == [row("charge", 10_000, 320, 2), row("refund", -500), owned(own)]
    assert unexplained(rows) == 0


def test_what_is_missing_is_a_row_before_the_payouts_own() -> None:
    own = row("payout", -9_180)
    rows = summarize([row("charge", 10_000, 320), own], own, not_understood=1)
    assert rows == [
        row("charge", 10_000, 320), SummaryRow(UNEXPLAINED, 1, -500, 0, -500),
        owned(own),
    ]  # fmt: skip
    assert unexplained(rows) == -500


def test_an_unknown_category_is_a_row_and_a_part_of_its_own() -> None:
    rows = summarize([row("payout", -7), row("newest", 5), row("", 2)], None)
    assert [(each.category, each.part) for each in rows] == [
        ("", "unknown"), ("newest", "unknown"), ("payout", "payouts"),
    ]  # fmt: skip


@given(ROWS)
def test_the_nets_of_all_rows_add_up_to_zero(rows: list[SummaryRow]) -> None:
    summary = summarize(rows, None)
    assert sum(each.net for each in summary) == 0
    assert [each for each in summary if each.category != UNEXPLAINED] == sorted(
        rows, key=summary.index
    )
    assert unexplained(summary) == -sum(each.net for each in rows)


@given(ROWS, AMOUNTS)
def test_the_waterfall_ends_at_what_was_paid_out(rows: list[SummaryRow], paid: int) -> None:
    own, others = row("payout", -paid), [each for each in rows if each.category != "payout"]
    other = [each for each in rows if each.category == "payout"]
    both = [replace(each, count=each.count + 1, gross=each.gross - paid, net=each.net - paid)
            for each in other or [SummaryRow("payout", 0, 0, 0, 0)]]  # fmt: skip
    summary = summarize([*others, *both], own)
    assert [each for each in summary if each.category == "payout"] == [*other, owned(own)]
    steps = waterfall(summary)
    assert (steps[-1].total if steps else 0) == paid
    assert sum(step.amount for step in steps) == paid


def test_all_fees_are_one_step_and_what_came_back_another() -> None:
    own = row("payout", -12_780)
    rows = summarize(
        [
            row("charge", 10_000, 300), row("refund", -1_000, -30), row("fee", -200),
            row("payout_reversal", 5_000), row("payout", -13_480, 50, 2),
        ],
        own,
    )  # fmt: skip
    assert [(step.name, step.amount, step.total) for step in waterfall(rows)] == [
        ("sales", 10_000, 10_000),
        ("refunds", -1_000, 9_000),
        ("fees", -520, 8_480),
        ("payout", -700, 7_780),
        ("payout_reversal", 5_000, 12_780),
    ]


def test_every_part_has_its_place() -> None:
    assert {part.value for part in Part} <= {*PARTS}
    assert {row(category, 1).part for category in CATEGORIES} <= {*PARTS}


def test_groups_without_a_category_are_one_row() -> None:
    groups = [(None, 1, (5, 1, 4)), ("", 2, (10, 0, 10)), ("charge", 1, (3, 0, 3))]
    assert of_groups(groups) == [SummaryRow("", 3, 15, 1, 14), row("charge", 3)]
