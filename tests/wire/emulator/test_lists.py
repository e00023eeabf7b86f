"""Lists: order, cursors both ways, time filters, limits, expansion of pages."""

from typing import Any

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient

START = 1_700_000_000


async def make(client: stripe.StripeClient, count: int) -> list[str]:
    return [(await client.v1.customers.create_async({})).id for _ in range(count)]


def ids(page: Any) -> list[str]:
    return [item.id for item in page.data]


async def test_newest_first_with_cursors_both_ways(client: stripe.StripeClient) -> None:
    made = await make(client, 12)
    newest = made[::-1]
    customers = client.v1.customers
    page = await customers.list_async()
    assert (ids(page), page.has_more, page.url) == (newest[:10], True, "/v1/customers")
    after = await customers.list_async({"starting_after": newest[9]})
    assert (ids(after), after.has_more) == (newest[10:], False)
    before = await customers.list_async({"ending_before": newest[6], "limit": 3})
    assert (ids(before), before.has_more) == (newest[3:6], True)
    first = await customers.list_async({"ending_before": newest[2]})
    assert (ids(first), first.has_more) == (newest[:2], False)


async def test_auto_paging_reads_all_once(client: stripe.StripeClient) -> None:
    made = await make(client, 25)
    page = await client.v1.customers.list_async({"limit": 7})
    assert [item.id async for item in page.auto_paging_iter()] == made[::-1]


async def test_order_follows_created_when_the_clock_moves_back(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await control.set_clock(START)
    late = await make(client, 1)
    await control.set_clock(START - 1000)
    early = await make(client, 1)
    assert ids(await client.v1.customers.list_async()) == [*late, *early]


async def test_created_filters(client: stripe.StripeClient, control: ControlClient) -> None:
    made = []
    for instant in (START, START + 100, START + 200):
        await control.set_clock(instant)
        customer = await client.v1.customers.create_async({})
        made.append((customer.id, customer.created))
    (first, at_first), (second, at_second), (third, _) = made
    cases: list[tuple[Any, list[str]]] = [
        ({"gte": at_second}, [third, second]),
        ({"gt": at_second}, [third]),
        ({"lt": at_second}, [first]),
        ({"lte": at_second}, [second, first]),
        ({"gte": at_first, "lt": at_second}, [first]),
        (at_second, [second]),
    ]
    for created, expected in cases:
        assert ids(await client.v1.customers.list_async({"created": created})) == expected


@pytest.mark.parametrize("limit", [0, 101, -1])
async def test_limits(client: stripe.StripeClient, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.list_async({"limit": limit})
    assert refused.value.param == "limit"


async def test_an_unknown_cursor_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.list_async({"starting_after": "cus_none"})
    assert (refused.value.code, refused.value.param) == ("resource_missing", "starting_after")


async def test_pages_expand_under_data(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"source": "tok_visa"})
    await client.v1.charges.create_async(
        {"amount": 500, "currency": "usd", "customer": customer.id}
    )
    page = await client.v1.charges.list_async(
        {"customer": customer.id, "expand": ["data.customer", "data.balance_transaction"]}
    )
    assert isinstance(page.data[0].customer, stripe.Customer)
    assert isinstance(page.data[0].balance_transaction, stripe.BalanceTransaction)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.charges.list_async({"expand": ["data.amount"]})


async def test_a_deleted_customer_expands_to_its_tombstone(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"source": "tok_visa"})
    charge = await client.v1.charges.create_async(
        {"amount": 500, "currency": "usd", "customer": customer.id}
    )
    await client.v1.customers.delete_async(customer.id)
    seen = await client.v1.charges.retrieve_async(charge.id, {"expand": ["customer"]})
    assert seen.customer is not None
    assert not isinstance(seen.customer, str)
    assert seen.customer.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
