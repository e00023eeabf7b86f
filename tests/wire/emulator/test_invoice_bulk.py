"""Adding many lines to a draft at once, and reading the lines of a preview."""

from typing import Any

import pytest
import stripe

from tests.wire.emulator.test_invoices import drafted, payer, types


async def price_of(client: stripe.StripeClient, **more: Any) -> stripe.Price:
    """A price of 2.50."""
    params: Any = {
        "currency": "usd", "unit_amount": 250, "product_data": {"name": "Seat"}, **more,
    }  # fmt: skip
    return await client.v1.prices.create_async(params)


async def add(
    client: stripe.StripeClient, invoice: str, *lines: Any, **more: Any
) -> stripe.Invoice:
    """Add lines."""
    params: Any = {"lines": list(lines), **more}
    return await client.v1.invoices.add_lines_async(invoice, params)


async def refused(
    client: stripe.StripeClient, invoice: str, *lines: Any
) -> stripe.InvalidRequestError:
    """The refusal of lines."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await add(client, invoice, *lines)
    return caught.value


async def test_a_line_of_each_kind(client: stripe.StripeClient) -> None:
    draft = await drafted(client)
    customer = str(draft.customer)
    price = await price_of(client)
    waiting = await client.v1.invoice_items.create_async(
        {"customer": customer, "amount": 7, "currency": "usd"}
    )
    before = len(await types(client))
    filled = await add(
        client,
        draft.id,
        {"amount": 100, "description": "Work", "metadata": {"a": "b"}},
        {"amount": -30, "description": "Credit"},
        {"pricing": {"price": price.id}, "quantity": 2},
        {
            "price_data": {"currency": "usd", "product": str(price.product), "unit_amount": 5},
            "quantity": 3,
        },
        {
            "price_data": {
                "currency": "usd", "product_data": {"name": "Box"}, "unit_amount": 10,
            },
            "description": "Boxes",
        },
        {"invoice_item": waiting.id},
        invoice_metadata={"order": "7"},
    )  # fmt: skip
    assert (filled.total, filled.metadata["order"]) == (602, "7")
    told = [(line.amount, line.quantity, line.description) for line in filled.lines.data][::-1]
    assert told == [
        (100, 1, "Work"), (-30, 1, "Credit"), (500, 2, None), (15, 3, None), (10, 1, "Boxes"),
        (7, 1, None),
    ]  # fmt: skip
    assert filled.lines.data[-1].metadata["a"] == "b"
    assert [line.discountable for line in filled.lines.data[-2:]] == [False, True]
    items = await client.v1.invoice_items.list_async({"invoice": draft.id})
    assert len(items.data) == 6
    events = (await types(client))[before:]
    assert events.count("invoiceitem.created") == 5
    assert events.count("invoice.updated") == 1
    assert not (await client.v1.invoice_items.list_async({"pending": True})).data


async def test_lines_are_taken_all_or_none(client: stripe.StripeClient) -> None:
    draft = await drafted(client)
    products = len((await client.v1.products.list_async()).data)
    new = {"currency": "usd", "product_data": {"name": "Box"}, "unit_amount": 10}
    error = await refused(
        client, draft.id, {"price_data": new}, {"pricing": {"price": "price_unknown"}}
    )
    assert (error.param, error.code) == ("lines[1][pricing][price]", "resource_missing")
    assert not (await client.v1.invoices.retrieve_async(draft.id)).lines.data
    assert not (await client.v1.invoice_items.list_async()).data
    assert len((await client.v1.products.list_async()).data) == products


async def test_lines_that_are_none_are_named(client: stripe.StripeClient) -> None:
    draft = await drafted(client)
    euro = await price_of(client, currency="eur")
    monthly = await price_of(client, recurring={"interval": "month"})
    owner = await payer(client)
    foreign = await client.v1.invoice_items.create_async(
        {"customer": owner, "amount": 7, "currency": "usd"}
    )
    data = {"currency": "usd", "unit_amount": 5}
    for line, param in (
        ({"description": "nothing"}, "lines[0][amount]"),
        ({"amount": 5, "quantity": 2}, "lines[0][amount]"),
        ({"amount": 5, "pricing": {"price": euro.id}}, "lines[0][amount]"),
        ({"amount": "much"}, "lines[0][amount]"),
        ({"pricing": {"price": euro.id}}, "lines[0][pricing][price]"),
        ({"pricing": {"price": monthly.id}}, "lines[0][pricing][price]"),
        ({"pricing": {"price": euro.id}, "quantity": -1}, "lines[0][quantity]"),
        ({"price_data": {**data, "product": "prod_unknown"}}, "lines[0][price_data][product]"),
        ({"price_data": data}, "lines[0][price_data][product]"),
        ({"price_data": {**data, "currency": "eur"}}, "lines[0][price_data][currency]"),
        ({"price_data": {**data, "unit_amount": -5}}, "lines[0][price_data][unit_amount]"),
        (
            {"price_data": {"currency": "usd", "product": str(euro.product)}},
            "lines[0][price_data][unit_amount]",
        ),
        ({"invoice_item": foreign.id}, "lines[0][invoice_item]"),
        ({"invoice_item": "ii_unknown"}, "lines[0][invoice_item]"),
    ):
        assert (await refused(client, draft.id, line)).param == param, line
    assert (await client.v1.invoices.retrieve_async(draft.id)).total == 0


async def test_an_invoice_has_at_most_250_lines(client: stripe.StripeClient) -> None:
    draft = await drafted(client)
    line = {"amount": 1}
    assert (await refused(client, draft.id, *[line] * 251)).param == "lines"
    filled = await add(client, draft.id, *[line] * 250)
    assert (filled.total, filled.lines.has_more) == (250, True)
    assert (await refused(client, draft.id, line)).param == "lines"
    assert await client.v1.invoices.retrieve_async(draft.id) == filled


async def test_only_a_draft_takes_lines(client: stripe.StripeClient) -> None:
    draft = await drafted(client, 500)
    await client.v1.invoices.finalize_invoice_async(draft.id)
    assert (await refused(client, draft.id, {"amount": 1})).code == "invoice_not_editable"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await client.v1.invoices.add_lines_async("in_unknown", {"lines": [{"amount": 1}]})
    assert caught.value.http_status == 404


async def test_an_added_line_follows_its_item(client: stripe.StripeClient) -> None:
    draft = await drafted(client)
    filled = await add(client, draft.id, {"amount": 100}, {"amount": 20})
    (details,) = {
        line.parent.invoice_item_details.invoice_item
        for line in filled.lines.data
        if line.amount == 100 and line.parent and line.parent.invoice_item_details
    }
    await client.v1.invoice_items.delete_async(details)
    assert (await client.v1.invoices.retrieve_async(draft.id)).total == 20


async def test_the_lines_of_a_preview_are_read_to_their_end(client: stripe.StripeClient) -> None:
    customer = await payer(client)
    for number in range(12):
        await client.v1.invoice_items.create_async(
            {"customer": customer, "amount": number, "currency": "usd"}
        )
    found = await client.v1.invoices.create_preview_async({"customer": customer})
    assert (len(found.lines.data), found.lines.has_more) == (10, True)
    assert {line.object for line in found.lines.data} == {"line_item"}
    page = await client.v1.invoices.line_items.list_async(found.id, {"limit": 8})
    shown = [line async for line in page.auto_paging_iter()]
    assert [line.id for line in shown][:10] == [line.id for line in found.lines.data]
    assert (len(shown), {line.object for line in shown}) == (12, {"line_item"})
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.invoices.line_items.list_async("upcoming_in_unknown")
