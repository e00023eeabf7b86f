"""Every list over several pages with each of its filters, totals and exports, on MongoDB."""

import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import pytest
import pytest_asyncio
from billing_client.v1 import note_service_pb2 as notes_pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.contract.tenant import METHODS, Fields, Ground
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import PRIVATE, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEYOND_32_BITS: Final = 5_000_000_000
"""In sen, the minor units of rupiah: some 3,000 US dollars."""

PAGE: Final = 2

Row = Mapping[str, Any]

LISTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "customers": ("CustomerService.ListCustomers", {}),
    "invoices": ("InvoiceService.ListInvoices", {}),
    "subscriptions": ("SubscriptionService.ListSubscriptions", {"status": "all"}),
    "charges": ("ChargeService.ListCharges", {}),
    "refunds": ("ChargeService.ListRefunds", {}),
}
"""Ours, by Stripe's path and what that needs to list all."""


def subscription_of(invoice: Row) -> object:
    parent = invoice["parent"] or {}
    return (parent.get("subscription_details") or {}).get("subscription")


FILTERS: Final[Mapping[str, Mapping[str, Callable[[Row], object]]]] = {
    "customers": {"email": lambda row: row["email"]},
    "invoices": {
        "customer": lambda row: row["customer"],
        "subscription": subscription_of,
        "statuses": lambda row: row["status"],
    },
    "subscriptions": {
        "customer": lambda row: row["customer"], "statuses": lambda row: row["status"],
    },
    "charges": {
        "customer": lambda row: row["customer"],
        "payment_intent": lambda row: row["payment_intent"],
        "status": lambda row: row["status"],
    },
    "refunds": {"charge": lambda row: row["charge"]},
}  # fmt: skip
"""The filters of each list, and what an object of Stripe's has in their place."""

TOGETHER: Final = (
    ("invoices", ("customer", "statuses")),
    ("invoices", ("subscription", "statuses")),
    ("subscriptions", ("customer", "statuses")),
    ("charges", ("customer", "status")),
)
EACH: Final = [(kind, (name,)) for kind, names in FILTERS.items() for name in names]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """A tenant with some of everything, and all of it mirrored."""
    async with mongo_world(mongo_url, tmp_path_factory.mktemp("service")) as here:
        ground = Ground(here, await here.tenant())
        await fill(ground)
        await here.delivered()
        for kind in LISTS:
            wanted = [one["id"] for one in await truth(ground, kind)]
            assert len(wanted) > PAGE

            async def is_mirrored(kind: str = kind, wanted: Sequence[str] = wanted) -> bool:
                return await listed(ground, *ours(kind), {}) == wanted

            await until(is_mirrored)
        yield ground


async def fill(ground: Ground) -> None:
    for number in range(4):
        email = f"c{number % 3}@{PRIVATE.lower()}.example"
        made = await ground.mutate(
            "CustomerService.CreateCustomer",
            customer={"name": f"Ida {PRIVATE} {number}", "email": email},
        )
        await ground.mutate("InvoiceService.CreateInvoice", **large_invoice(made.id, number))
    for _ in range(2):
        await ground.mutate("InvoiceService.PayInvoice", id=await ground.opened(sent=False))
    for _ in range(3):
        await ground.subscription()
    charge = await ground.charge()
    for amount in range(100, 103):
        await ground.mutate(
            "ChargeService.RefundCharge", id=charge, amount={"amount": amount, "currency": "usd"}
        )


def large_invoice(customer: str, number: int) -> Fields:
    unit_amount = {"amount": BEYOND_32_BITS + number, "currency": "idr"}
    return {
        "invoice": {"customer": customer, "currency": "idr"},
        "items": [{"description": "Work", "unit_amount": unit_amount}],
    }


def ours(kind: str) -> tuple[str, str]:
    """The method of a list, and the field of its reply."""
    return LISTS[kind][0], kind


async def listed(ground: Ground, method: str, field: str, fields: Fields) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    token = ""
    while True:
        page = await ground.call(method, {**fields, "page_size": PAGE, "page_token": token})
        found += [one.id for one in getattr(page, field)]
        token = page.next_page_token
        if not token:
            return found


async def truth(ground: Ground, kind: str) -> list[Row]:
    """All objects of Stripe's, newest first."""
    rows = (await ground.stripe(f"/v1/{kind}", limit=100, **LISTS[kind][1]))["data"]
    return sorted(rows, key=lambda row: (row["created"], row["id"]), reverse=True)


@pytest.mark.parametrize(("kind", "names"), [*EACH, *TOGETHER])
async def test_a_list_is_narrowed(ground: Ground, kind: str, names: tuple[str, ...]) -> None:
    rows = await truth(ground, kind)

    def values_of(row: Row) -> tuple[object, ...]:
        return tuple(FILTERS[kind][name](row) for name in names)

    found = Counter(values_of(row) for row in rows if all(values_of(row)))
    assert found
    for values in found:
        where = {
            name: [value] if name == "statuses" else value
            for name, value in zip(names, values, strict=True)
        }
        wanted = [row["id"] for row in rows if values_of(row) == values]
        assert await listed(ground, *ours(kind), where) == wanted


async def test_a_list_of_several_statuses_keeps_its_order(ground: Ground) -> None:
    wanted = [row["id"] for row in await truth(ground, "invoices")]
    every = ["draft", "open", "paid", "uncollectible", "void"]
    assert await listed(ground, *ours("invoices"), {"statuses": every}) == wanted


@pytest.mark.parametrize("kind", LISTS)
async def test_a_list_is_bounded_in_time(ground: Ground, kind: str) -> None:
    rows = await truth(ground, kind)
    for at in {row["created"] for row in rows}:
        bound = Timestamp(seconds=at)
        since = [row["id"] for row in rows if row["created"] >= at]
        assert await listed(ground, *ours(kind), {"created_after": bound}) == since
        before = [row["id"] for row in rows if row["created"] < at]
        assert await listed(ground, *ours(kind), {"created_before": bound}) == before


async def test_customers_are_searched(ground: Ground) -> None:
    rows = await truth(ground, "customers")
    named = [row["id"] for row in rows if row["name"]]
    assert len(named) > PAGE
    search = ("CustomerService.SearchCustomers", "customers")
    for query in ("ida", f"{PRIVATE} id", f"ida {PRIVATE.lower()}.example"):
        assert await listed(ground, *search, {"query": query}) == named
    first = [row["id"] for row in rows if (row["email"] or "").startswith("c0@")]
    assert await listed(ground, *search, {"query": "c0 ida"}) == first
    assert await listed(ground, *search, {"query": "ida nobody"}) == []


async def test_unlinked_customers(ground: Ground) -> None:
    ids = [row["id"] for row in await truth(ground, "customers")]
    listing = ("ContactLinkService.ListUnlinkedCustomers", "customers")
    linked = ids[1]
    await ground.mutate(
        "ContactLinkService.LinkContact", customer=linked, contact=await ground.contact()
    )
    assert await listed(ground, *listing, {}) == [one for one in ids if one != linked]
    await ground.mutate("ContactLinkService.UnlinkContact", customer=linked)
    assert await listed(ground, *listing, {}) == ids


async def test_totals_beyond_32_bits(ground: Ground) -> None:
    rows = await truth(ground, "invoices")
    totals = await ground.call("InvoiceService.GetInvoiceTotals", {})
    found = {one.currency: one for one in totals.currencies}
    assert set(found) == {"idr", "usd"}
    drafts = [row["total"] for row in rows if row["currency"] == "idr"]
    assert sum(drafts) > 4 * BEYOND_32_BITS
    told = found["idr"].draft
    assert (told.count, told.amount.amount) == (len(drafts), sum(drafts))
    paid = [row["total"] for row in rows if row["status"] == "paid"]
    told = found["usd"].paid
    assert (told.count, told.amount.amount) == (len(paid), sum(paid))
    customer = next(row["customer"] for row in rows if row["currency"] == "idr")
    (own,) = (
        await ground.call("InvoiceService.GetInvoiceTotals", {"customer": customer})
    ).currencies
    of_customer = [row["total"] for row in rows if row["customer"] == customer]
    assert (own.draft.count, own.draft.amount.amount) == (len(of_customer), sum(of_customer))


async def test_notes_are_listed_and_exported(ground: Ground) -> None:
    one, other = [row["id"] for row in await truth(ground, "customers")][:2]
    made = [
        await ground.mutate(
            "NoteService.CreateNote", customer=other if number == 2 else one, text=f"=N{number}"
        )
        for number in range(6)
    ]
    made.sort(key=lambda note: (note.create_time.ToMilliseconds(), note.id), reverse=True)
    listing, author = ("NoteService.ListNotes", "notes"), made[0].author
    everything = [note.id for note in made]
    of_one = [note.id for note in made if note.customer == one]
    cut = made[2].create_time
    for where, wanted in (
        ({}, everything),
        ({"customer": one}, of_one),
        ({"author": author}, everything),
        ({"customer": one, "author": author}, of_one),
        ({"author": "nobody"}, []),
        (
            {"created_after": cut},
            [note.id for note in made if note.create_time.ToMilliseconds() >= cut.ToMilliseconds()],
        ),
        (
            {"created_before": cut, "customer": one},
            [
                note.id for note in made
                if note.create_time.ToMilliseconds() < cut.ToMilliseconds()
                and note.customer == one
            ],
        ),
    ):  # fmt: skip
        assert await listed(ground, *listing, where) == wanted, where
    method, stub = METHODS["NoteService.ExportNotes"]
    export = getattr(stub(ground.world.service.channel), method.name)(
        notes_pb.ExportNotesRequest(customer=one), metadata=ground.tenant.metadata, timeout=20
    )
    text = b"".join([part.csv async for part in export]).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(of_one)
    assert not any(cell.startswith("=") for row in rows for cell in row.values())
