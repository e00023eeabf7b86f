"""A moment divides a journal."""

import datetime as dt

import pytest

from application.wallet.moments import last_before
from tests.support.fakes.journal import JournalInMemory
from tests.support.rooms.ledger import NOON, WALLET, grant

SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize("times", [[], [0], [0, 0, 0], [0, 1, 1, 1, 5, 5, 9], [*range(9)]])
async def test_the_last_entry_before_a_moment(times: list[int]) -> None:
    journal = JournalInMemory()
    for number, second in enumerate(times):
        await journal.append(WALLET, [grant(f"g{number}", 1, at=NOON + second * SECOND)])
    for moment in range(-1, 12):
        found = await last_before(journal, "acme", NOON + moment * SECOND)
        assert (found.sequence if found else 0) == sum(second < moment for second in times)


async def test_the_entries_are_halved() -> None:
    journal, reads = JournalInMemory(), 0
    await journal.append(WALLET, [grant(f"g{n}", 1, at=NOON + n * SECOND) for n in range(1_000)])
    listed = journal.list

    async def counted(*arguments: object, **options: object) -> object:
        nonlocal reads
        reads += 1
        return await listed(*arguments, **options)  # type: ignore[arg-type]

    journal.list = counted  # type: ignore[method-assign,assignment]
    await last_before(journal, "acme", NOON + 333 * SECOND)
    assert reads <= 10
