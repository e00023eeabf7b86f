"""Lists of the mirror by page tokens, forwards and back."""

import pytest

from application.mirror.nouns import PAYOUTS
from application.mirror.ports import Filter, Order
from application.mirror.reader import MirrorReader
from application.requests.paging import Page, PageTokens
from domain.errors import InvalidArgument
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.payouts import Payout
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror

BY_ARRIVAL = Order("arrival_date")
PAID = Filter({"status": "paid"})


async def reader_of(count: int) -> MirrorReader:
    mirror = FakeMirror()
    payouts = [
        Payout(f"po_{n}", NOON, Money(n, "usd"), "paid", NOON, automatic=True) for n in range(count)
    ]
    fresh = [(Snapshot("acct_1", one.id, Version.of_event(1), one), 0) for one in payouts]
    await mirror.replace(PAYOUTS, fresh)
    return MirrorReader(mirror, PageTokens(b"k", FakeClock()))


async def listed(reader: MirrorReader, token: str, where: Filter = PAID) -> Page[Payout]:
    return await reader.list(
        PAYOUTS, "acct_1", where, page_size=2, page_token=token, order=BY_ARRIVAL
    )


async def test_a_page_is_the_same_whichever_way_it_is_reached() -> None:
    reader = await reader_of(5)
    there = [await listed(reader, "")]
    while there[-1].next_page_token:
        there.append(await listed(reader, there[-1].next_page_token))
    back = [there[-1]]
    while back[0].previous_page_token:
        back.insert(0, await listed(reader, back[0].previous_page_token))
    items = [["po_4", "po_3"], ["po_2", "po_1"], ["po_0"]]
    for pages in (there, back):
        assert [[one.id for one in page.items] for page in pages] == items
    assert there[0].previous_page_token == back[0].previous_page_token == ""


async def test_a_token_back_is_of_its_list_and_its_way() -> None:
    reader = await reader_of(3)
    second = await listed(reader, (await listed(reader, "")).next_page_token)
    back = second.previous_page_token
    assert await listed(reader, back)
    for token, where in ((back, Filter()), (back[1:], PAID), ("~", PAID), (f"~{back}", PAID)):
        with pytest.raises(InvalidArgument):
            await listed(reader, token, where)
