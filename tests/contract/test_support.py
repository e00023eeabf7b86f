"""The promises of `application.support.ports`."""

import asyncio
import datetime as dt

from application.support.ports import SystemMessage
from tests.contract.samples import NOON, SECOND
from tests.contract.test_plans import assert_ordered, plans_or_nothing
from tests.support.servers.stores import Opener, Stores


def message(
    id_: str = "m-1",
    *,
    contact: str = "ada",
    account: str = "acme",
    at: dt.datetime = NOON,
    text: str = "Payment received: 12.00 EUR.",
) -> SystemMessage:
    return SystemMessage(id_, account, contact, text, at)


async def test_the_first_message_begins_a_conversation_and_the_next_joins_it(
    stores: Stores,
) -> None:
    first = await stores.support.post(message())
    second = await stores.support.post(message("m-2", at=NOON + SECOND))
    assert first.conversation == second.conversation
    assert await stores.support.messages("acme", "ada", limit=10) == [second, first]
    assert await stores.support.messages("acme", "ada", limit=1) == [second]


async def test_contacts_and_accounts_have_conversations_of_their_own(stores: Stores) -> None:
    posted = [
        await stores.support.post(message(contact=contact, account=account))
        for contact, account in (("ada", "acme"), ("ada", "other"))
    ]
    posted.append(await stores.support.post(message("m-2", contact="bob")))
    assert len({one.conversation for one in posted}) == 3
    assert await stores.support.messages("other", "ada", limit=10) == [posted[1]]


async def test_a_message_stands_once(opener: Opener) -> None:
    async with opener() as first:
        posted = await first.support.post(message())
    async with opener() as second:
        again = await second.support.post(message(text="other words", at=NOON + SECOND))
        assert again == posted
        assert await second.support.messages("acme", "ada", limit=10) == [posted]


async def test_posts_at_once_share_the_new_conversation(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        posted = await asyncio.gather(
            *(
                stores.support.post(message(f"m-{number // 2}"))
                for number in range(20)
                for stores in (first, second)
            )
        )
        kept = await first.support.messages("acme", "ada", limit=100)
    assert len({one.conversation for one in posted}) == 1
    assert sorted(one.message.id for one in kept) == sorted(f"m-{number}" for number in range(10))


async def test_every_query_uses_an_index_and_sorts_nothing(stores: Stores) -> None:
    for number in range(9):
        await stores.support.post(message(f"m-{number}"))
    await assert_ordered(stores, lambda: stores.support.messages("acme", "ada", limit=3))
    await plans_or_nothing(stores, lambda: stores.support.post(message("m-77")))
    await plans_or_nothing(stores, lambda: stores.support.post(message("m-78", contact="new")))
