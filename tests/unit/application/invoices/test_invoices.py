"""Invoices: what may be asked, and what is then asked of the mirror and of Stripe."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from application.invoices.commands import CreateInvoice, ListInvoices, UpdateInvoice
from application.invoices.ports import InvoiceChange, InvoiceFields, InvoiceItemFields, PayInvoice
from application.invoices.totals_port import TotalsFilter, TotalsRow
from application.mutations.stripe import Unanswered
from domain.errors import (
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Reason,
    WrongState,
)
from domain.invoices import STATUSES
from domain.money import Money
from tests.support.fakes.stores import NOON
from tests.support.rooms.invoices import CALLER, InvoicesOnFakes

SENT = InvoiceFields(collection_method="send_invoice", days_until_due=14)
WORK = InvoiceItemFields(description="Work", quantity=2, unit_amount=500)
NEW = CreateInvoice("cus_1", "usd", SENT, (WORK,))


@pytest.fixture
def desk() -> InvoicesOnFakes:
    return InvoicesOnFakes()


async def violations(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refusal:
        await call
    return [violation.field for violation in refusal.value.violations]


async def test_a_list_is_narrowed_and_newest_first(desk: InvoicesOnFakes) -> None:
    for number, status in enumerate(("draft", "open", "paid", "open")):
        created = NOON + dt.timedelta(seconds=number)
        owner = {"customer": f"cus_{number % 2}", "subscription": "sub_1" if number else None}
        await desk.mirrored(f"in_{number}", status, created=created, **owner)

    async def ids(**narrowed: Any) -> list[str]:
        page = await desk.invoices.list(CALLER, ListInvoices(**narrowed))
        return [invoice.id for invoice in page.items]

    assert await ids() == ["in_3", "in_2", "in_1", "in_0"]
    assert await ids(customer="cus_1") == ["in_3", "in_1"]
    assert await ids(subscription="sub_1", statuses=("paid", "open")) == ["in_3", "in_2", "in_1"]
    assert await ids(statuses=("draft", "paid", "draft")) == ["in_2", "in_0"]
    assert await ids(statuses=("open",), created_before=NOON + dt.timedelta(seconds=3)) == ["in_1"]
    other = replace(CALLER, account="other")
    assert (await desk.invoices.list(other, ListInvoices())).items == []
    with pytest.raises(NotFound):
        await desk.invoices.get(other, "in_1")
    assert (await desk.invoices.get(CALLER, "in_1")).status == "open"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (ListInvoices(page_size=101, customer="a\n"), ["page_size", "customer"]),
        (ListInvoices(customer="cus_1", subscription="sub_1"), ["subscription"]),
        (ListInvoices(statuses=("open", "late")), ["statuses"]),
        (ListInvoices(created_after=NOON, created_before=NOON), ["created_before"]),
        (ListInvoices(page_token="forged"), ["page_token"]),
    ],
)
async def test_lists_that_are_none(
    desk: InvoicesOnFakes, query: ListInvoices, fields: list[str]
) -> None:
    assert await violations(desk.invoices.list(CALLER, query)) == fields


async def test_totals_are_told_by_currency_with_zeros(desk: InvoicesOnFakes) -> None:
    desk.totals.rows = [
        TotalsRow("usd", "open", 3, 900, 2, 500),
        TotalsRow("usd", "paid", 1, 70, 1, 70),
        TotalsRow("eur", "draft", 2, 50, 0, 0),
    ]
    where = TotalsFilter("cus_1", NOON)
    eur, usd = await desk.invoices.totals(CALLER, where)
    assert desk.totals.asked == [("acct_1", where, STATUSES, desk.clock.now())]
    assert (eur.currency, eur.draft.count, eur.draft.amount) == ("eur", 2, Money(50, "eur"))
    assert (eur.open.count, eur.paid.amount) == (0, Money(0, "eur"))
    assert (usd.open.count, usd.open.amount) == (3, Money(900, "usd"))
    assert (usd.past_due.count, usd.past_due.amount) == (2, Money(500, "usd"))
    assert (usd.paid.count, usd.paid.amount) == (1, Money(70, "usd"))
    wrong = TotalsFilter("a\n", NOON, NOON)
    fields = await violations(desk.invoices.totals(CALLER, wrong))
    assert fields == ["customer", "created_before"]


async def test_a_draft_never_advances_before_its_lines_are_there(desk: InvoicesOnFakes) -> None:
    fields = replace(SENT, auto_advance=True)
    made = await desk.invoices.create(CALLER, "r-1", replace(NEW, fields=fields))
    assert desk.stripe.sent == ["create", "add_lines", "update"]
    assert desk.stripe.sends[0][1].fields == replace(SENT, auto_advance=False)
    assert desk.stripe.sends[2][1] == InvoiceChange("in_1", InvoiceFields(auto_advance=True))
    assert (made.auto_advance, len(made.lines)) == (True, 1)
    assert await desk.invoices.get(CALLER, "in_1") == made


async def test_a_draft_that_does_not_advance_is_two_requests(desk: InvoicesOnFakes) -> None:
    await desk.invoices.create(CALLER, "r-1", NEW)
    await desk.invoices.create(CALLER, "r-1", NEW)
    assert desk.stripe.sent == ["create", "add_lines"]


REFUSED = InvalidArgument([FieldViolation("items[0].price", "names no object")])


@pytest.mark.parametrize("step", ["add_lines", "update"])
async def test_a_refusal_after_the_draft_is_made_takes_it_away(
    desk: InvoicesOnFakes, step: str
) -> None:
    command = replace(NEW, fields=replace(SENT, auto_advance=True))
    desk.stripe.refusals[step] = [REFUSED]
    for _ in range(2):
        fields = await violations(desk.invoices.create(CALLER, "r-1", command))
        assert fields == ["items[0].price"]
    assert desk.stripe.sent[-1] == "delete"
    assert desk.stripe.sent.count("delete") == 1
    assert desk.stripe.invoices == {}
    assert (await desk.invoices.list(CALLER, ListInvoices())).items == []


async def test_a_refusal_names_fields_as_the_caller_wrote_them(desk: InvoicesOnFakes) -> None:
    refused = [FieldViolation("due_time", "a"), FieldViolation("customer", "b")]
    desk.stripe.refusals["create"] = [InvalidArgument(refused)]
    fields = await violations(desk.invoices.create(CALLER, "r-1", NEW))
    assert fields == ["invoice.due_time", "invoice.customer"]
    assert desk.stripe.sent == ["create"]
    desk.stripe.add()
    desk.stripe.refusals["update"] = [InvalidArgument([FieldViolation("footer", "c")])]
    change = UpdateInvoice("in_1", InvoiceFields(description="x"))
    fields = await violations(desk.invoices.update(CALLER, "r-2", change))
    assert fields == ["invoice.footer"]


async def test_a_draft_that_somebody_took_further_stays_his(desk: InvoicesOnFakes) -> None:
    desk.stripe.refusals["add_lines"] = [WrongState("invoice", "in_1", "open")]
    desk.stripe.refusals["delete"] = [WrongState("invoice", "in_1", "open")]
    with pytest.raises(WrongState):
        await desk.invoices.create(CALLER, "r-1", NEW)
    assert "in_1" in desk.stripe.invoices


async def test_an_unknown_outcome_of_the_lines_takes_nothing_away(desk: InvoicesOnFakes) -> None:
    desk.stripe.losses["add_lines"] = [Unanswered("lost")]
    with pytest.raises(OutcomeUnknown):
        await desk.invoices.create(CALLER, "r-1", NEW)
    assert desk.stripe.sent == ["create", "add_lines"]
    assert await desk.recovered() == 1
    made = await desk.invoices.create(CALLER, "r-1", NEW)
    assert desk.stripe.sent == ["create", "add_lines", "add_lines"]
    assert [*desk.stripe.invoices] == [made.id]


@pytest.mark.parametrize(
    "outcome",
    [Unanswered("lost"), RateLimited(Reason.STRIPE_RATE_LIMITED, "", retry_after_seconds=1)],
)
async def test_a_draft_to_be_taken_away_is_taken_away_in_the_end(
    desk: InvoicesOnFakes, outcome: Exception
) -> None:
    desk.stripe.refusals["add_lines"] = [REFUSED]
    desk.stripe.refusals["delete"] = [outcome]  # type: ignore[list-item]  # either is a BillingError
    with pytest.raises(OutcomeUnknown):
        await desk.invoices.create(CALLER, "r-1", NEW)
    assert "in_1" in desk.stripe.invoices
    await desk.recovered()
    assert desk.stripe.invoices == {}
    fields = await violations(desk.invoices.create(CALLER, "r-1", NEW))
    assert fields == ["items[0].price"]
    assert desk.stripe.sent == ["create", "add_lines", "delete", "delete"]


WRONG_FIELDS = InvoiceFields(
    collection_method="by_carrier_pigeon",
    days_until_due=3_651,
    due_date=NOON,
    description="d" * 1_501,
    footer="f" * 5_001,
    default_payment_method="pm\n",
    metadata={"billing_x": "y"},
)
FOUND = [FieldViolation("invoice.id", "must be empty")]


async def test_every_violation_at_once(desk: InvoicesOnFakes) -> None:
    wrong = CreateInvoice("cus\n", "xxx", WRONG_FIELDS, (InvoiceItemFields(),))
    common = [
        "invoice.collection_method", "invoice.days_until_due", "invoice.description",
        "invoice.footer", "invoice.default_payment_method", "invoice.metadata",
        "invoice.due_time",
    ]  # fmt: skip
    undue = ["invoice.days_until_due", "invoice.due_time"]
    assert await violations(desk.invoices.create(CALLER, "", wrong, FOUND)) == [
        "invoice.id", "request_id", "invoice.customer", "invoice.currency", *common, *undue,
        "items[0]", "items[0].description",
    ]  # fmt: skip
    change = UpdateInvoice("in\n", WRONG_FIELDS, ("id",))
    assert await violations(desk.invoices.update(CALLER, "", change, FOUND)) == [
        "invoice.id", "request_id", "invoice.id", "update_mask", *common, *undue,
    ]  # fmt: skip
    assert desk.stripe.sends == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (InvoiceFields(collection_method="send_invoice"), "invoice.due_time"),
        (InvoiceFields(days_until_due=1), "invoice.days_until_due"),
        (InvoiceFields(due_date=NOON), "invoice.due_time"),
        (replace(SENT, due_date=NOON), "invoice.due_time"),
        (replace(SENT, days_until_due=-1), "invoice.days_until_due"),
        (
            InvoiceFields(collection_method="charge_automatically", due_date=NOON),
            "invoice.due_time",
        ),
    ],
)
async def test_only_what_is_sent_is_due(
    desk: InvoicesOnFakes, fields: InvoiceFields, field: str
) -> None:
    call = desk.invoices.create(CALLER, "r-1", replace(NEW, fields=fields))
    assert await violations(call) == [field]


@pytest.mark.parametrize(
    "fields",
    [
        InvoiceFields(),
        InvoiceFields(collection_method="charge_automatically"),
        InvoiceFields(collection_method="send_invoice", days_until_due=0),
        InvoiceFields(collection_method="send_invoice", due_date=NOON),
        replace(SENT, description="d" * 1_500, footer="f" * 5_000, default_payment_method="card_1"),
    ],
)
async def test_what_can_be_created(desk: InvoicesOnFakes, fields: InvoiceFields) -> None:
    assert (await desk.invoices.create(CALLER, "r-1", replace(NEW, fields=fields))).id == "in_1"


VALUES = InvoiceFields(
    due_date=NOON, description="Memo", auto_advance=False, metadata={"plan": "gold"}
)


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        ((), VALUES),
        (("due_time",), InvoiceFields(due_date=NOON)),
        (("footer", "description"), InvoiceFields(footer="", description="Memo")),
        (("default_payment_method",), InvoiceFields(default_payment_method="")),
        (
            ("auto_advance", "metadata"),
            InvoiceFields(auto_advance=False, metadata={"plan": "gold"}),
        ),
    ],
)
async def test_the_mask_says_what_counts(
    desk: InvoicesOnFakes, mask: tuple[str, ...], told: InvoiceFields
) -> None:
    desk.stripe.add()
    await desk.invoices.update(CALLER, "r-1", UpdateInvoice("in_1", VALUES, mask))
    assert desk.stripe.sends == [("update", InvoiceChange("in_1", told))]


@pytest.mark.parametrize(
    ("mask", "fields"),
    [
        ((), ["update_mask"]),
        (("customer",), ["update_mask"]),
        (("*",), ["update_mask"]),
        (("collection_method", "due_time"), ["invoice.collection_method", "invoice.due_time"]),
    ],
)
async def test_masks_that_are_none(
    desk: InvoicesOnFakes, mask: tuple[str, ...], fields: list[str]
) -> None:
    change = UpdateInvoice("in_1", InvoiceFields(), mask)
    assert await violations(desk.invoices.update(CALLER, "r-1", change)) == fields


CHANGE = UpdateInvoice("in_1", InvoiceFields(description="New"))


async def test_what_the_mirror_knows_to_be_no_draft_needs_no_read(desk: InvoicesOnFakes) -> None:
    await desk.mirrored("in_1", "open")
    with pytest.raises(WrongState) as caught:
        await desk.invoices.update(CALLER, "r-1", CHANGE)
    assert caught.value.state == "open"
    assert (desk.stripe.sends, desk.objects.reads) == ([], [])
    desk.stripe.add("open")
    assert (await desk.invoices.pay(CALLER, "r-2", PayInvoice("in_1"))).status == "paid"
    assert desk.objects.reads == []


async def test_a_draft_of_the_mirror_may_have_moved_on(desk: InvoicesOnFakes) -> None:
    await desk.mirrored("in_1", "draft")
    desk.stripe.add("open")
    with pytest.raises(WrongState) as caught:
        await desk.invoices.update(CALLER, "r-1", CHANGE)
    assert caught.value.state == "open"
    assert (await desk.invoices.pay(CALLER, "r-2", PayInvoice("in_1"))).status == "paid"
    assert desk.stripe.sent == ["pay"]


async def test_a_draft_is_not_paid(desk: InvoicesOnFakes) -> None:
    desk.stripe.add("draft")
    with pytest.raises(WrongState) as caught:
        await desk.invoices.pay(CALLER, "r-1", PayInvoice("in_1"))
    assert caught.value.state == "draft"
    assert desk.stripe.sends == []


async def test_what_was_sent_is_not_mistaken_for_anothers_doing(desk: InvoicesOnFakes) -> None:
    """Its answer lost, the change goes on although somebody has finalized the draft since."""
    desk.stripe.add("draft")
    desk.stripe.losses["update"] = [Unanswered("lost")]
    with pytest.raises(OutcomeUnknown):
        await desk.invoices.update(CALLER, "r-1", CHANGE)
    desk.stripe.invoices["in_1"] = replace(desk.stripe.invoices["in_1"], status="open")
    assert (await desk.invoices.update(CALLER, "r-1", CHANGE)).description == "New"
    desk.stripe.add("draft", "in_2")
    desk.stripe.losses["delete"] = [Unanswered("lost")]
    with pytest.raises(OutcomeUnknown):
        await desk.invoices.delete(CALLER, "r-2", "in_2")
    assert "in_2" not in desk.stripe.invoices
    await desk.invoices.delete(CALLER, "r-2", "in_2")


async def test_what_neither_the_mirror_nor_stripe_has_is_not_found(desk: InvoicesOnFakes) -> None:
    for call in (
        desk.invoices.get(CALLER, "in_1"),
        desk.invoices.update(CALLER, "r-1", CHANGE),
        desk.invoices.pay(CALLER, "r-1", PayInvoice("in_1")),
        desk.invoices.delete(CALLER, "r-1", "in_1"),
    ):
        with pytest.raises(NotFound) as caught:
            await call
        assert caught.value.metadata == {"resource": "invoice", "id": "in_1"}
    assert desk.stripe.sends == []


async def test_actions(desk: InvoicesOnFakes) -> None:
    for verb, status in (
        ("finalize", "open"), ("send", "open"), ("mark_uncollectible", "uncollectible"),
        ("void", "void"),
    ):  # fmt: skip
        desk.stripe.add()
        done = await getattr(desk.invoices, verb)(CALLER, f"r-{verb}", "in_1")
        assert done.status == status
        assert await desk.invoices.get(CALLER, "in_1") == done
        fields = await violations(getattr(desk.invoices, verb)(CALLER, "", "in\n"))
        assert fields == ["request_id", "id"]
    assert desk.stripe.sent == ["finalize", "send", "mark_uncollectible", "void"]


async def test_a_payment_is_of_one_kind(desk: InvoicesOnFakes) -> None:
    payment = PayInvoice("in\n", "pm\n", paid_out_of_band=True)
    fields = await violations(desk.invoices.pay(CALLER, "", payment))
    assert fields == ["request_id", "id", "payment_method", "paid_out_of_band"]
