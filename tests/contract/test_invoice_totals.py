"""The promises of `application.invoices.totals_port`, against the same sums in plain Python."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.invoices.totals_port import TotalsFilter, TotalsRow
from application.mirror.nouns import INVOICES
from domain.invoices import STATUSES, Invoice
from domain.money import Money
from tests.contract.samples import NOON, OURS, SECOND, THEIRS, snapshot, store_new, tombstone
from tests.support.servers.stores import Stores

HOUR = dt.timedelta(hours=1)


def invoice(id_: str = "in_1", **fields: Any) -> Invoice:
    """An open invoice of 10.00, of which 4.00 are paid."""
    values = {
        "created": NOON, "currency": "usd", "status": "open", "customer": "cus_1",
        "paid": 400, "remaining": 600, "due_date": None, **fields,
    }  # fmt: skip
    paid, remaining = (
        Money(values.pop(name), values["currency"]) for name in ("paid", "remaining")
    )
    total = paid + remaining
    return Invoice(
        id_, total=total, amount_due=total, amount_paid=paid, amount_remaining=remaining, **values
    )


def totals_of(
    invoices: Sequence[Invoice], where: TotalsFilter, statuses: Sequence[str], now: dt.datetime
) -> set[TotalsRow]:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 4)
    for one in invoices:
        first, end = where.created_after or one.created, where.created_before
        outside = one.created < first or (end is not None and one.created >= end)
        if outside or one.status not in statuses or where.customer not in ("", one.customer):
            continue
        overdue = one.due_date is not None and one.due_date < now
        amount = (one.amount_paid if one.status == "paid" else one.amount_remaining).amount
        told = (1, amount, int(overdue), amount if overdue else 0)
        row = sums[one.currency, one.status]
        row[:] = map(sum, zip(row, told, strict=True))
    return {TotalsRow(*key, *row) for key, row in sums.items()}


async def test_a_row_for_each_currency_and_status(stores: Stores) -> None:
    await store_new(
        stores.mirror,
        INVOICES,
        invoice("in_1"),
        invoice("in_2", remaining=5),
        invoice("in_3", currency="eur"),
        invoice("in_4", status="paid", remaining=0),
        invoice("in_5", status="void"),
    )
    found = await stores.invoice_totals.totals(OURS, TotalsFilter(), ["open", "paid"], now=NOON)
    assert {*found} == {
        TotalsRow("usd", "open", 2, 605, 0, 0),
        TotalsRow("eur", "open", 1, 600, 0, 0),
        TotalsRow("usd", "paid", 1, 400, 0, 0),
    }
    assert len(found) == 3


async def test_overdue_is_what_was_due_before_now(stores: Stores) -> None:
    await store_new(
        stores.mirror,
        INVOICES,
        invoice("in_1", due_date=NOON - SECOND),
        invoice("in_2", due_date=NOON),
        invoice("in_3", due_date=None),
        invoice("in_4", due_date=dt.datetime(1970, 1, 1, tzinfo=dt.UTC), remaining=7),
    )
    (row,) = await stores.invoice_totals.totals(OURS, TotalsFilter(), ["open"], now=NOON)
    assert (row.count, row.overdue_count, row.overdue_amount) == (4, 2, 607)


@pytest.mark.parametrize("customer", ["", "cus_1"])
async def test_bounds_are_from_inclusive_to_exclusive(stores: Stores, customer: str) -> None:
    at = {name: NOON + number * SECOND for number, name in enumerate(("in_1", "in_2", "in_3"))}
    await store_new(stores.mirror, INVOICES, *(invoice(id_, created=at[id_]) for id_ in at))
    for after, before, count in (
        (None, None, 3),
        (at["in_2"], None, 2),
        (None, at["in_3"], 2),
        (at["in_2"], at["in_3"], 1),
    ):
        where = TotalsFilter(customer, after, before)
        (row,) = await stores.invoice_totals.totals(OURS, where, ["open"], now=NOON)
        assert row.count == count


async def test_other_accounts_and_deleted_invoices_do_not_count(stores: Stores) -> None:
    await store_new(stores.mirror, INVOICES, invoice("in_1"))
    await stores.mirror.replace(
        INVOICES,
        [(snapshot(invoice("in_2"), stripe_account=THEIRS), 0), (tombstone("in_3"), 0)],
    )
    (row,) = await stores.invoice_totals.totals(OURS, TotalsFilter(), STATUSES, now=NOON)
    assert row.count == 1
    await stores.mirror.replace(INVOICES, [(tombstone("in_1"), 1)])
    assert await stores.invoice_totals.totals(OURS, TotalsFilter(), STATUSES, now=NOON) == []


async def test_no_status_is_no_row(stores: Stores) -> None:
    await store_new(stores.mirror, INVOICES, invoice())
    assert await stores.invoice_totals.totals(OURS, TotalsFilter(), [], now=NOON) == []


async def test_sums_beyond_32_bits_are_exact(stores: Stores) -> None:
    large = 2**52 + 1
    await store_new(
        stores.mirror,
        INVOICES,
        *(invoice(f"in_{n}", remaining=large) for n in range(5)),
    )
    (row,) = await stores.invoice_totals.totals(OURS, TotalsFilter(), ["open"], now=NOON)
    assert row.amount == 5 * large


_FACTS = st.lists(
    st.tuples(
        st.integers(-5, 5),
        st.sampled_from(["usd", "eur"]),
        st.sampled_from([*STATUSES, "of tomorrow"]),
        st.sampled_from(["cus_1", "cus_2", None]),
        st.one_of(st.none(), st.integers(-3, 3)),
        st.integers(-(2**40), 2**40),
    ),
    max_size=25,
)
_HOURS = st.one_of(st.none(), st.integers(-5, 5))


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    facts=_FACTS,
    bounds=st.tuples(_HOURS, _HOURS),
    customer=st.sampled_from(["", "cus_1", "cus_2"]),
    statuses=st.lists(st.sampled_from(STATUSES), unique=True, max_size=5),
)
async def test_answers_agree_with_plain_python(
    stores: Stores,
    facts: list[tuple[int, str, str, str | None, int | None, int]],
    bounds: tuple[int | None, int | None],
    customer: str,
    statuses: list[str],
) -> None:
    account = f"acct_{uuid4().hex}"
    invoices = [
        invoice(
            f"in_{number}",
            created=NOON + created * HOUR,
            currency=currency,
            status=status,
            customer=payer,
            due_date=None if due is None else NOON + due * HOUR,
            remaining=remaining,
        )
        for number, (created, currency, status, payer, due, remaining) in enumerate(facts)
    ]
    if invoices:
        told = [(snapshot(one, stripe_account=account), 0) for one in invoices]
        await stores.mirror.replace(INVOICES, told)
    after, before = (None if hours is None else NOON + hours * HOUR for hours in bounds)
    where = TotalsFilter(customer, after, before)
    found = await stores.invoice_totals.totals(account, where, statuses, now=NOON)
    assert len(found) == len({*found})
    assert {*found} == totals_of(invoices, where, statuses, NOON)


@pytest.mark.parametrize("customer", ["", "cus_1"])
@pytest.mark.parametrize("bounds", [(None, None), (NOON, NOON + HOUR)])
async def test_an_index_answers(
    stores: Stores, customer: str, bounds: tuple[dt.datetime | None, dt.datetime | None]
) -> None:
    await store_new(stores.mirror, INVOICES, *(invoice(f"in_{n}") for n in range(20)))
    where = TotalsFilter(customer, *bounds)
    plans = await stores.explain(
        lambda: stores.invoice_totals.totals(OURS, where, STATUSES, now=NOON)
    )
    assert plans
    for plan in plans:
        assert not plan.scans, plan.text
        assert not plan.sorts, plan.text
        (index,) = plan.indexes
        if customer:
            assert index[:4] == ("stripe_account", "customer", "status", "created"), plan.text
        else:
            assert index[1:3] == ("status", "created"), plan.text
            assert plan.covered, plan.text
