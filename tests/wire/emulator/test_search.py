"""Search: its language, its pages, its lag."""

import pytest
import stripe

from sandbox.emulator.control_client import ControlClient


async def found(client: stripe.StripeClient, query: str) -> list[str | None]:
    page = await client.v1.customers.search_async({"query": query})
    return [customer.name for customer in page.data]


async def test_the_query_language(client: stripe.StripeClient, control: ControlClient) -> None:
    create = client.v1.customers.create_async
    await create({"name": "Ada", "email": "ada@example.com", "metadata": {"initial": "A"}})
    await create({"name": "Bob", "email": "bob@example.com", "metadata": {"initial": "B"}})
    await create({"name": "Cy"})
    await control.advance_clock(60)
    assert await found(client, 'email:"ADA@example.com"') == ["Ada"]
    assert await found(client, "email~'example'") == ["Bob", "Ada"]
    assert await found(client, 'metadata["initial"]:"B"') == ["Bob"]
    assert await found(client, 'email~"example" AND -name:"Ada"') == ["Bob"]
    assert await found(client, 'name:"Ada" OR name:"Cy"') == ["Cy", "Ada"]
    assert await found(client, "email:null") == ["Cy"]
    assert await found(client, "created>0 name:'Bob'") == ["Bob"]


async def test_what_was_just_made_is_not_found_yet(
    client: stripe.StripeClient, control: ControlClient
) -> None:
    await client.v1.customers.create_async({"name": "Ada"})
    assert await found(client, 'name:"Ada"') == []
    await control.advance_clock(60)
    assert await found(client, 'name:"Ada"') == ["Ada"]


async def test_pages(client: stripe.StripeClient, control: ControlClient) -> None:
    made = [(await client.v1.customers.create_async({"name": "Ada"})).id for _ in range(7)]
    await control.advance_clock(60)
    page = await client.v1.customers.search_async({"query": 'name:"Ada"', "limit": 3})
    assert page.has_more
    assert [customer.id async for customer in page.auto_paging_iter()] == made[::-1]


@pytest.mark.parametrize(
    "query", ["", "name", 'shoe:"9"', 'name:"a" AND name:"b" OR name:"c"', "created>0 " * 11]
)
async def test_queries_that_cannot_be_read(client: stripe.StripeClient, query: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.search_async({"query": query})
    assert refused.value.param == "query"
