"""The promises of `application.connections.deployment`."""

import asyncio

from domain.connections import Mode
from tests.support.servers.stores import Opener, Stores


async def test_first_stamp_stands(stores: Stores) -> None:
    assert await stores.deployment.stamp(Mode.TEST) is Mode.TEST
    assert await stores.deployment.stamp(Mode.LIVE) is Mode.TEST
    assert await stores.deployment.stamp(Mode.TEST) is Mode.TEST


async def test_of_two_modes_at_once_one_stands_for_all(stores: Stores) -> None:
    modes = [Mode.TEST, Mode.LIVE] * 20
    answers = await asyncio.gather(*(stores.deployment.stamp(mode) for mode in modes))
    assert len(set(answers)) == 1


async def test_platform_account_is_unknown_at_first_then_kept(stores: Stores) -> None:
    assert await stores.deployment.platform_account() is None
    await stores.deployment.keep_platform_account("acct_1Platform")
    assert await stores.deployment.platform_account() == "acct_1Platform"
    await stores.deployment.keep_platform_account("acct_1Platform")
    assert await stores.deployment.platform_account() == "acct_1Platform"


async def test_a_check_leaves_everything_as_it_is(stores: Stores) -> None:
    await asyncio.gather(*(stores.deployment.check() for _ in range(5)))
    assert await stores.deployment.platform_account() is None
    assert await stores.deployment.stamp(Mode.TEST) is Mode.TEST
    await stores.deployment.check()
    assert await stores.deployment.stamp(Mode.LIVE) is Mode.TEST


async def test_stamp_and_platform_account_survive_reopening(opener: Opener) -> None:
    async with opener() as first:
        await first.deployment.stamp(Mode.LIVE)
        await first.deployment.keep_platform_account("acct_1Platform")
    async with opener() as second:
        assert await second.deployment.stamp(Mode.TEST) is Mode.LIVE
        assert await second.deployment.platform_account() == "acct_1Platform"
