"""Revenue by product: parts that add up to what was captured; disputes by their closing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.charges import Charge
from domain.disputes import Dispute
from domain.evidence import ChargeEvidence, DisputeEvidence
from domain.invoices import Invoice, LineDiscount, LineTax
from domain.money import Money
from domain.refunds import Refund
from domain.revenue_lines import (
    REFUNDED,
    shares_of,
    statements_of_charge,
    statements_of_dispute,
    sums,
)
from tests.unit.domain.evidence_samples import day, line, paid


def usd(amount: int) -> Money:
    return Money(amount, "usd")


def charge(captured: int, **more: Any) -> Charge:
    return Charge(
        "ch_1", day(1), usd(captured), usd(captured), usd(0), more.pop("status", "succeeded"),
        True, False, False, customer="cus_1", **more,
    )  # fmt: skip


def invoice(*amounts: tuple[str | None, int], total: int | None = None) -> Invoice:
    lines = [
        line(amount, day(1), day(2), f"il_{place}", product=product)
        for place, (product, amount) in enumerate(amounts)
    ]
    return paid(day(1), *lines, **({} if total is None else {"total": total}))


def refund(amount: int, id_: str = "re_1", status: str = "succeeded") -> Refund:
    return Refund(id_, day(3), usd(amount), status, "ch_1")


def test_each_line_by_its_share() -> None:
    assert shares_of(1_000, invoice(("a", 600), ("b", 400))) == {
        ("product", "a"): 600,
        ("product", "b"): 400,
    }
    assert shares_of(100, invoice(("a", 1), ("b", 1), ("c", 1), total=100)) == {
        ("product", "a"): 34,
        ("product", "b"): 33,
        ("product", "c"): 33,
    }


def test_discounts_are_off_their_line_and_tax_is_a_line() -> None:
    priced = line(
        1_000, day(1), day(2), product="a", discounts=(LineDiscount("di_1", usd(100)),),
        taxes=(LineTax(usd(90), "exclusive"), LineTax(usd(50), "inclusive")),
    )  # fmt: skip
    assert shares_of(990, paid(day(1), priced, total=990)) == {
        ("product", "a"): 850,
        ("tax", ""): 140,
    }


def test_a_credit_takes_from_its_product() -> None:
    assert shares_of(500, invoice(("old", -500), ("new", 1_000))) == {
        ("product", "old"): -500,
        ("product", "new"): 1_000,
    }


@pytest.mark.parametrize(
    ("captured", "found", "rows"),
    [
        (700, None, {("unattributed", ""): 700}),
        (700, invoice(("a", 500)), {("product", "a"): 500, ("unattributed", ""): 200}),
        (700, invoice(("a", -500), total=700), {("unattributed", ""): 700}),
        (700, invoice(total=700), {("unattributed", ""): 700}),
        (700, invoice(("a", 700), total=0), {("unattributed", ""): 700}),
        (200, invoice(("a", 500)), {("product", "a"): 200}),
        (500, invoice((None, 500)), {("no_product", ""): 500}),
    ],
)
def test_what_no_line_explains_is_unattributed(captured: int, found: Any, rows: Any) -> None:
    assert shares_of(captured, found) == rows


def test_nothing_is_posted_before_the_settlement_and_of_what_took_no_money() -> None:
    found = invoice(("a", 500))
    assert statements_of_charge(ChargeEvidence(charge(500), None, found)) == ()
    assert statements_of_charge(ChargeEvidence(charge(0), day(2), found)) == ()
    failed = replace(charge(500), status="failed")
    assert statements_of_charge(ChargeEvidence(failed, day(2), found)) == ()
    (posted,) = statements_of_charge(ChargeEvidence(charge(500), day(2), found))
    assert (posted.at, posted.amount, posted.product) == (day(2), 500 * 10_000, "a")
    assert (posted.subject, posted.customer, posted.source) == ("ch_1", "cus_1", found.id)


def test_refunds_share_as_their_charge_did() -> None:
    refunded = ((refund(50), day(3)), (refund(9, "re_2", "failed"), day(4)))
    posted = statements_of_charge(
        ChargeEvidence(charge(100), day(2), invoice(("a", 60), ("b", 40)), refunded)
    )
    back = {(s.at, s.product): s.amount // 10_000 for s in posted if s.cause == REFUNDED}
    assert back == {(day(3), "a"): -30, (day(3), "b"): -20}


@pytest.mark.parametrize(
    ("status", "closed", "reversed_at", "kind", "at"),
    [
        ("won", day(5), day(4), "won", day(5)),
        ("won", None, day(4), "won", day(4)),
        ("lost", day(5), None, "lost", day(5)),
        ("lost", None, None, "undated", day(2)),
    ],
)
def test_a_dispute_is_closed_when_its_event_says_so(
    status: str, closed: Any, reversed_at: Any, kind: str, at: Any
) -> None:
    found = Dispute("dp_1", day(2), usd(700), status, "ch_1")
    (posted,) = statements_of_dispute(DisputeEvidence(found, closed, reversed_at))
    assert (posted.kind, posted.at, posted.count, posted.cause) == (kind, at, 1, status)


@pytest.mark.parametrize(
    "status", ["needs_response", "under_review", "warning_closed", "prevented"]
)
def test_what_is_neither_won_nor_lost_is_not_closed(status: str) -> None:
    found = Dispute("dp_1", day(2), usd(700), status)
    assert statements_of_dispute(DisputeEvidence(found, day(5))) == ()


LINES = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(-999, 9_999)), max_size=6)


@given(
    LINES,
    st.integers(1, 10**7),
    st.integers(0, 10**7),
    st.lists(st.integers(1, 10**6), max_size=4),
)
def test_rows_add_up_to_gross_and_what_is_refunded_whole_leaves_nothing(
    lines: Any, captured: int, total: int, parts: list[int]
) -> None:
    given_back, left = [], captured
    for place, part in enumerate([*parts, captured]):
        given_back.append((refund(min(part, left), f"re_{place}"), day(3 + place)))
        left -= min(part, left)
    posted = statements_of_charge(
        ChargeEvidence(charge(captured), day(2), invoice(*lines, total=total), tuple(given_back))
    )
    gross, back = sums(posted), sums(posted, REFUNDED)
    assert sum(gross.values()) == captured
    assert {key: -amount for key, amount in back.items()} == gross
    for refunded, at in given_back:
        share = sum(s.amount for s in posted if s.cause == REFUNDED and s.at == at)
        assert share == -refunded.amount.amount * 10_000
