"""Ids of another tenant's in every field that takes one, beside ids of one's own."""

from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status

from tests.support.contract.answers import answered
from tests.support.contract.shelves import Shelf, shelf
from tests.support.contract.tenant import METHODS, Fields, Ground, fresh
from tests.support.pictures import GIF
from tests.support.servers.service import ServiceAndEmulator, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelves(here: ServiceAndEmulator) -> tuple[Shelf, Shelf]:
    """Mine and theirs."""
    mine, theirs = [Ground(here, await here.tenant()) for _ in range(2)]
    return await shelf(mine), await shelf(theirs)


def requests(mine: Shelf, theirs: Shelf) -> list[tuple[str, str, Fields]]:
    """(method, what it is refused for, request): each with one id of theirs."""
    item = {"description": "Work", "unit_amount": {"amount": 100, "currency": "usd"}}
    bill = {"customer": mine.customer, "currency": "usd"}
    create, update = "InvoiceService.CreateInvoice", "InvoiceService.UpdateInvoice"
    subscribe, change = (f"SubscriptionService.{verb}Subscription" for verb in ("Create", "Update"))
    preview, methods = "InvoiceService.PreviewInvoice", "PaymentMethodService."
    plan = {"customer": mine.customer, "items": [{"price": mine.price}]}
    named: list[tuple[str, str, Fields]] = [
        (create, "customer", {"invoice": {**bill, "customer": theirs.customer}, "items": [item]}),
        (create, "items[1].price", {"invoice": bill, "items": [item, {"price": theirs.once}]}),
        (create, "items[1].product",
         {"invoice": bill, "items": [item, {**item, "product": theirs.product}]}),
        (subscribe, "customer", {**plan, "customer": theirs.customer}),
        (subscribe, "items[1].price",
         {**plan, "items": [{"price": mine.price}, {"price": theirs.price}]}),
        (change, "subscription", {"subscription": {"id": theirs.subscription, "description": "x"}}),
        (change, "items[0].id",
         {"subscription": {"id": mine.subscription},
          "items": [{"id": theirs.item, "quantity": 2}]}),
        (change, "items[0].id",
         {"subscription": {"id": mine.subscription},
          "items": [{"id": theirs.item, "remove": True}]}),
        (change, "items[0].price",
         {"subscription": {"id": mine.subscription}, "items": [{"price": theirs.price}]}),
        (preview, "customer", {"customer": theirs.customer}),
        (preview, "subscription", {"subscription": theirs.subscription}),
        (preview, "customer", {"customer": theirs.customer, "subscription": mine.subscription}),
        (preview, "subscription",
         {"customer": mine.customer, "subscription": theirs.subscription}),
        (preview, "items[0].price",
         {"subscription": mine.subscription, "items": [{"price": theirs.price}]}),
        (preview, "items[0].price",
         {"subscription": mine.subscription, "items": [{"id": mine.item, "price": theirs.price}]}),
        (change, "items[0].price",
         {"subscription": {"id": mine.subscription},
          "items": [{"id": mine.item, "price": theirs.price}]}),
        (preview, "items[0].id",
         {"subscription": mine.subscription, "items": [{"id": theirs.item, "quantity": 2}]}),
        (methods + "ListPaymentMethods", "customer", {"customer": theirs.customer}),
        (methods + "CreateSetupIntent", "customer", {"customer": theirs.customer}),
        ("ChargeService.RefundCharge", "charge", {"id": theirs.charge}),
        ("ChargeService.RefundCharge", "charge",
         {"id": theirs.charge, "amount": {"amount": 100, "currency": "usd"}}),
        ("ChargeService.GetCharge", "charge", {"id": theirs.charge}),
        ("InvoiceService.GetInvoice", "invoice", {"id": theirs.opened}),
        ("SubscriptionService.GetSubscription", "subscription", {"id": theirs.subscription}),
    ]  # fmt: skip
    named += [*catalogue_requests(mine, theirs)]
    named += [
        (f"PayoutService.{verb}", "payout", {"id": theirs.payout})
        for verb in ("GetPayout", "ListPayoutTransactions", "SummarizePayout")
    ]
    named += [
        (f"InvoiceService.{verb}", "invoice", {"id": theirs.opened})
        for verb in (
            "FinalizeInvoice", "SendInvoice", "PayInvoice", "VoidInvoice",
            "MarkInvoiceUncollectible", "DeleteInvoice",
        )
    ]  # fmt: skip
    named += [
        (f"SubscriptionService.{verb}", "subscription", {"id": theirs.subscription, **more})
        for verb, more in (
            ("CancelSubscription", {}),
            ("CancelSubscription", {"at_period_end": True}),
            ("ResumeSubscription", {}),
            ("PauseCollection", {"behavior": "void"}),
            ("ResumeCollection", {}),
        )
    ]
    for method in (theirs.method, theirs.source):
        by: Fields = {"default_payment_method": method}
        named += [
            (create, "payment_method", {"invoice": {**bill, **by}, "items": [item]}),
            (update, "payment_method", {"invoice": {"id": mine.draft, **by}}),
            (subscribe, "payment_method", {**plan, **by}),
            (change, "payment_method", {"subscription": {"id": mine.subscription, **by}}),
            ("InvoiceService.PayInvoice", "payment_method",
             {"id": mine.opened, "payment_method": method}),
        ]  # fmt: skip
        for verb in ("SetDefault", "Detach"):
            for customer, id_ in ((mine.customer, method), (theirs.customer, mine.method)):
                fields = {"customer": customer, "id": id_}
                named.append((f"{methods}{verb}PaymentMethod", "", fields))
    for customer, id_, what in (
        (mine.customer, theirs.method, "payment_method"),
        (theirs.customer, mine.method, "customer"),
        (theirs.customer, theirs.method, ""),
    ):
        named.append((f"{methods}AttachPaymentMethod", what, {"customer": customer, "id": id_}))
    return named


def catalogue_requests(mine: Shelf, theirs: Shelf) -> Iterator[tuple[str, str, Fields]]:
    """The same of CatalogService."""
    service, cost = "CatalogService.", {"currency": "usd", "unit_amount": 800}
    for verb in ("GetProduct", "ArchiveProduct", "UnarchiveProduct", "DeleteProduct"):
        yield service + verb, "product", {"id": theirs.product}
    for verb in ("GetPrice", "ArchivePrice", "UnarchivePrice"):
        yield service + verb, "price", {"id": theirs.price}
    yield service + "UpdateProduct", "product", {"product": {"id": theirs.product, "name": "x"}}
    yield (
        service + "UpdateProduct",
        "product.default_price",
        {"product": {"id": mine.product, "default_price": theirs.once}},
    )
    yield service + "CreatePrice", "product", {"product": theirs.product, "price": cost}
    yield service + "UpdatePrice", "price", {"price": {"id": theirs.price, "nickname": "x"}}
    yield service + "ReplacePrice", "price", {"id": theirs.price, "price": {"unit_amount": 800}}
    picture = {"product": theirs.product, "size": len(GIF), "piece": GIF}
    yield service + "UploadProductImage", "product", picture


def resource_of(error: grpc.aio.AioRpcError) -> str:
    """What is not found, or the one field that is refused."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is read of a call
    for detail in status.details:
        bad = BadRequest()
        if detail.Unpack(bad):
            (violation,) = bad.field_violations
            return str(violation.field)
    return error.details() or ""


async def refusal(ground: Ground, name: str, fields: Fields) -> tuple[str, str]:
    """(reason, what it names) of a call that is refused; of another one "taken"."""
    try:
        await ground.call(name, fields)
    except grpc.aio.AioRpcError as error:
        return reason_of(error), resource_of(error)
    return "taken", ""


async def test_ids_of_another_tenant_are_nowhere_taken(shelves: tuple[Shelf, Shelf]) -> None:
    mine, theirs = shelves
    control = mine.ground.world.emulator.control
    before = await control.snapshot()
    wrong: dict[str, Any] = {}
    for place, (name, what, fields) in enumerate(requests(mine, theirs)):
        changing = "request_id" in METHODS[name][0].input_type.fields_by_name
        asked = {**fields, "request_id": fresh()} if changing else fields
        inside = "." in what  # of what is sent: that field is refused
        met = await refusal(mine.ground, name, asked)
        if inside and met != ("INVALID_FIELDS", what):
            wrong[f"{place} {name} {what}"] = met
        if not inside and (met[0] != "NOT_FOUND" or not met[1].startswith(what)):
            wrong[f"{place} {name} {what}"] = met
    assert wrong == {}
    after = await control.snapshot()
    theirs_after = [one for one in after if one.account == theirs.ground.tenant.stripe_account]
    assert [one for one in theirs_after if one not in before] == []


async def test_lists_narrowed_to_another_tenants_ids_are_empty(
    shelves: tuple[Shelf, Shelf],
) -> None:
    mine, theirs = shelves
    for name, fields, held in (
        ("InvoiceService.ListInvoices", {"customer": theirs.customer}, "invoices"),
        ("InvoiceService.ListInvoices", {"subscription": theirs.subscription}, "invoices"),
        ("SubscriptionService.ListSubscriptions", {"customer": theirs.customer}, "subscriptions"),
        ("ChargeService.ListCharges", {"customer": theirs.customer}, "charges"),
        ("ChargeService.ListRefunds", {"charge": theirs.charge}, "refunds"),
        ("InvoiceService.GetInvoiceTotals", {"customer": theirs.customer}, "currencies"),
        ("CatalogService.ListPrices", {"product": theirs.product}, "prices"),
        ("CatalogService.CountPrices", {"product": theirs.product}, "counts"),
        ("CatalogService.BatchGetProducts", {"ids": [theirs.product]}, "products"),
    ):
        assert list(getattr(await mine.ground.call(name, fields), held)) == []


def replaced(value: Any, by: Mapping[str, str]) -> Any:
    """Fields with some ids in the place of others."""
    if isinstance(value, dict):
        return {name: replaced(inner, by) for name, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, by) for inner in value]
    return by.get(value, value) if isinstance(value, str) else value


async def test_ids_of_another_tenant_are_answered_as_those_that_never_were(
    shelves: tuple[Shelf, Shelf],
) -> None:
    """Byte for byte: whoever tries ids learns not even that there is something."""
    mine, theirs = shelves
    of_theirs = {
        getattr(theirs, field.name) for field in fields_of(Shelf) if field.name != "ground"
    }
    never = {id_: f"{id_[:-4]}{'0000' if id_[-4:] != '0000' else '1111'}" for id_ in of_theirs}
    told_apart = []
    every = requests(mine, theirs)
    for name, what, fields in every:
        changing = "request_id" in METHODS[name][0].input_type.fields_by_name
        more = [{"request_id": fresh()} if changing else {} for _ in range(2)]
        other = replaced(fields, never)
        assert other != fields
        one = await answered(mine.ground, name, {**fields, **more[0]}, never)
        two = await answered(mine.ground, name, {**other, **more[1]}, never.values())
        if one != two:
            told_apart.append((name, what, one, two))
    assert told_apart == [], "\n".join(map(str, told_apart))
    assert len(every) > 70
