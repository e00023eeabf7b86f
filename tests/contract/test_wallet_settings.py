"""The promises of `application.wallet.ports.WalletSettingsStore` and `Buyers`."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from application.wallet.ports import MAX_ENTRIES, KeptSettings
from domain.errors import AlreadyExists, Reason
from domain.wallets import AutoReload, Buyer, WalletSettings
from tests.contract.samples import NOON, OURS, SECOND
from tests.contract.test_plans import assert_ordered, plans_of
from tests.support.servers.stores import Opener, Stores

AUTO = AutoReload(500, 1_000, "pm_1", 5_000, 20_000)
SETTINGS = WalletSettings("acme", NOON, AUTO, {"sms": "1.25", "*": "2"})
BUYER = Buyer("acme", OURS, "cus_1", NOON)


async def short(stores: Stores) -> list[str]:
    return [
        kept.settings.wallet for kept in await stores.wallet_settings.list_short(after="", limit=9)
    ]


async def test_settings_are_kept_by_revision(stores: Stores) -> None:
    settings = stores.wallet_settings
    assert await settings.get("acme") is None
    assert not await settings.put(replace(SETTINGS, revision=2)), "there is no revision 1"
    assert await settings.put(SETTINGS)
    assert await settings.get("acme") == KeptSettings(SETTINGS)
    assert not await settings.put(SETTINGS)
    assert not await settings.put(replace(SETTINGS, revision=3))
    second = WalletSettings("acme", NOON + SECOND, revision=2)
    assert await settings.put(second)
    assert not await settings.put(replace(SETTINGS, revision=2))
    assert await settings.get("acme") == KeptSettings(second)
    assert await settings.get("acme@parent") is None


async def test_of_two_that_change_one_revision_one_succeeds(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        for revision in (1, 2):
            done = await asyncio.gather(
                *(
                    (one, other)[number % 2].wallet_settings.put(
                        replace(SETTINGS, revision=revision, updated_at=NOON + number * SECOND)
                    )
                    for number in range(8)
                )
            )
            assert sum(done) == 1


async def test_what_was_seen_last_stays_until_something_later_is(stores: Stores) -> None:
    settings = stores.wallet_settings
    await settings.see("acme", available=7, sequence=1)
    assert await settings.get("acme") is None
    await settings.put(SETTINGS)
    await settings.see("acme", available=700, sequence=4)
    await settings.see("acme", available=900, sequence=3)
    await settings.see("acme", available=900, sequence=4)
    assert await settings.get("acme") == KeptSettings(SETTINGS, 700, 4)
    second = replace(SETTINGS, revision=2)
    await settings.put(second)
    assert await settings.get("acme") == KeptSettings(second, 700, 4)


async def test_wallets_that_may_be_short(stores: Stores) -> None:
    settings = stores.wallet_settings
    assert await short(stores) == []
    for name in ("c", "a", "b", "off", "none"):
        auto = {"off": replace(AUTO, off_because="declined"), "none": None}.get(name, AUTO)
        await settings.put(WalletSettings(name, NOON, auto))
    assert await short(stores) == ["a", "b", "c"], "nothing is there until it is seen"
    for name in ("a", "b", "c", "off", "none"):
        await settings.see(name, available={"a": 500, "b": 499}.get(name, -1), sequence=1)
    assert await short(stores) == ["b", "c"]
    await settings.put(WalletSettings("a", NOON, replace(AUTO, threshold=501), revision=2))
    await settings.put(WalletSettings("b", NOON, None, revision=2))
    await settings.put(WalletSettings("off", NOON, AUTO, revision=2))
    assert await short(stores) == ["a", "c", "off"]
    await settings.see("c", available=1_000, sequence=2)
    assert await short(stores) == ["a", "off"]
    (second,) = await settings.list_short(after="a", limit=1)
    assert second.settings.wallet == "off"
    await settings.put(WalletSettings("zero", NOON, replace(AUTO, threshold=0)))
    assert await short(stores) == ["a", "off"]
    for limit in (0, MAX_ENTRIES + 1):
        with pytest.raises(ValueError, match="limit"):
            await settings.list_short(after="", limit=limit)


async def test_a_buyer_is_one_customer_and_a_customer_one_buyer(stores: Stores) -> None:
    buyers = stores.buyers
    assert await buyers.get("acme", OURS) is None
    assert await buyers.find(OURS, "cus_1") is None
    assert await buyers.add(BUYER) == BUYER
    assert await buyers.add(replace(BUYER, created_at=NOON + SECOND)) == BUYER
    assert await buyers.add(replace(BUYER, customer="cus_2")) == BUYER
    with pytest.raises(AlreadyExists) as refused:
        await buyers.add(replace(BUYER, account="rival"))
    assert refused.value.reason is Reason.CUSTOMER_LINKED
    elsewhere = replace(BUYER, stripe_account="acct_other")
    assert await buyers.add(elsewhere) == elsewhere
    assert await buyers.get("acme", OURS) == await buyers.find(OURS, "cus_1") == BUYER
    assert await buyers.get("rival", OURS) is None
    assert await buyers.find(OURS, "cus_2") is None


async def test_of_two_that_name_a_buyer_at_once_one_stands(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        standing = await asyncio.gather(
            *(
                (one, other)[number % 2].buyers.add(replace(BUYER, customer=f"cus_{number}"))
                for number in range(8)
            )
        )
        assert len({buyer.customer for buyer in standing}) == 1
        refusals = await asyncio.gather(
            *(
                (one, other)[number % 2].buyers.add(
                    Buyer(f"account{number}", "acct_other", "cus_1", NOON)
                )
                for number in range(8)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(refusal, AlreadyExists) for refusal in refusals) == 7


async def test_plans(stores: Stores) -> None:
    await stores.wallet_settings.put(SETTINGS)
    await stores.buyers.add(BUYER)
    listing = partial(stores.wallet_settings.list_short, after="a", limit=5)
    await assert_ordered(stores, listing)
    await plans_of(stores, partial(stores.wallet_settings.get, "acme"))
    await plans_of(stores, partial(stores.wallet_settings.put, replace(SETTINGS, revision=2)))
    await plans_of(stores, partial(stores.wallet_settings.see, "acme", available=1, sequence=1))
    await plans_of(stores, partial(stores.buyers.get, "acme", OURS))
    await plans_of(stores, partial(stores.buyers.find, OURS, "cus_1"))
