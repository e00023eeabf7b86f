"""What follows from entries of wallets: costs of parents, and jobs of wallets that run low."""

import asyncio
import datetime as dt
from collections.abc import Sequence

import pytest
from typing_extensions import override

from application.background.clock import Clock
from application.wallet.aftermath import Aftermath
from application.wallet.costs import PRICE, Costs
from application.wallet.low import LowBalances
from application.wallet.proof import prove
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.ledger_commands import Command, PostGrant, PostUsage
from domain.ledger_entries import Entry, EntryKind
from domain.ledger_outcomes import Appended
from domain.wallets import AutoReload, Wallet, WalletSettings
from tests.contract.samples import NOON, SECOND
from tests.support.servers.stores import Opener, Stores

PARENT = Wallet("acme", None, "usd")
CHILD = Wallet("lily", "acme", "usd")
AUTO = AutoReload(500, 1_000, "pm_1", 5_000, 20_000)


class AtNoon(Clock):
    """A clock that stands still."""

    @override
    def now(self) -> dt.datetime:
        return NOON


def usage(number: int, price: str = "0.5", quantity: int = 1) -> PostUsage:
    return PostUsage(
        key=f"u:{number}", payload_hash="h", actor="t", at=NOON, exact=0, quantity=quantity,
        details={PRICE: price, "service": "sms"},
    )  # fmt: skip


def grant(number: int, amount: int) -> PostGrant:
    return PostGrant(key=f"g:{number}", payload_hash="h", actor="t", at=NOON, amount=amount)


async def append(stores: Stores, wallet: Wallet, *commands: Command) -> Entry:
    outcomes = await stores.journal.append(wallet, commands)
    last = outcomes[-1]
    assert isinstance(last, Appended)
    return last.entry


async def costs_of_parent(stores: Stores) -> Sequence[Entry]:
    entries = await stores.journal.list(PARENT.name, limit=1_000)
    return [entry for entry in entries if entry.kind is EntryKind.COST]


def low(stores: Stores) -> LowBalances:
    return LowBalances(
        stores.wallet_settings, stores.outbox, AtNoon(), asyncio.Event(), asyncio.Event()
    )


def aftermath(stores: Stores) -> Aftermath:
    clock, journal = AtNoon(), stores.journal
    return Aftermath(
        stores.accounts, Wallets(stores.accounts, "usd"), journal, Costs(journal, clock),
        low(stores), clock,
    )  # fmt: skip


async def jobs(stores: Stores) -> list[tuple[str, int]]:
    claimed = await stores.outbox.claim("me", now=NOON + 900 * SECOND, lease=SECOND, limit=100)
    return sorted((one.job.id, one.job.payload["available"]) for one in claimed)


async def test_each_usage_costs_the_parent_once_whoever_follows_it(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        for number in range(150):
            await append(one, CHILD, *(usage(number * 6 + n) for n in range(6)))
            if number % 50 == 25:
                await asyncio.gather(
                    *(Costs(s.journal, AtNoon()).follow(CHILD, PARENT) for s in (one, other))
                )
        await Costs(one.journal, AtNoon()).follow(CHILD, PARENT)
        proof = await prove(one.journal, PARENT.name)
        assert proof.holds
        assert (proof.entries, proof.available) == (900, -900 * 50)
        keys = {entry.key for entry in await costs_of_parent(one)}
        assert keys == {f"cost/lily/{sequence}" for sequence in range(1, 901)}
        assert await Costs(one.journal, AtNoon()).pending(CHILD, PARENT) == 0


async def test_costs_begin_behind_the_last_one_and_pass_over_what_is_no_usage(
    stores: Stores,
) -> None:
    costs = Costs(stores.journal, AtNoon())
    await append(stores, CHILD, usage(1), grant(1, 5), usage(2, "0.0079", 100))
    assert await costs.pending(CHILD, PARENT) == 2
    assert await costs.follow(CHILD, PARENT) == 2
    assert await costs.follow(CHILD, PARENT) == 0
    await append(stores, CHILD, grant(2, 5), usage(3))
    assert (await costs.pending(CHILD, PARENT), await costs.follow(CHILD, PARENT)) == (1, 1)
    posted = await costs_of_parent(stores)
    assert [entry.key for entry in posted] == ["cost/lily/1", "cost/lily/3", "cost/lily/5"]
    assert posted[1].exact == 79_000_000


async def test_a_sweep_finds_what_a_process_that_died_left_undone(stores: Stores) -> None:
    await stores.accounts.add(Account("acme", "Acme", "usd"))
    await stores.accounts.add(Account("lily", "Lily", "usd", "acme"))
    await append(stores, CHILD, usage(1))
    following = aftermath(stores)
    await following.run()
    assert len(await costs_of_parent(stores)) == 1
    entry = await append(stores, CHILD, usage(2))
    await following.run()
    assert len(await costs_of_parent(stores)) == 1, "the next sweep is not due"
    following.posted(CHILD, entry)
    await following.run()
    assert len(await costs_of_parent(stores)) == 2


async def test_a_wallet_that_falls_below_its_threshold_makes_one_job(stores: Stores) -> None:
    await stores.wallet_settings.put(WalletSettings("acme", NOON, AUTO))
    looking = low(stores)
    for step, command in enumerate(
        (
            grant(1, 600), usage_of(200, 1), usage_of(10, 2), grant(2, 1_000), usage_of(950, 3)
        )
    ):  # fmt: skip
        entry = await append(stores, PARENT, command)
        await asyncio.gather(*(looking.look(PARENT, entry) for _ in range(2)))
        await looking.look(PARENT, entry)
        assert len(await jobs(stores)) == (0, 1, 0, 0, 1)[step]
    kept = await stores.wallet_settings.get("acme")
    assert kept is not None
    assert (kept.seen_available, kept.seen_sequence) == (440, 5)


async def test_a_wallet_without_a_threshold_is_never_low(stores: Stores) -> None:
    entry = await append(stores, PARENT, grant(1, 1))
    await low(stores).look(PARENT, entry)
    await stores.wallet_settings.put(WalletSettings("acme", NOON))
    await low(stores).look(PARENT, entry)
    assert await jobs(stores) == []


def usage_of(amount: int, number: int) -> PostUsage:
    return PostUsage(
        key=f"u:{number}", payload_hash="h", actor="t", at=NOON, exact=amount * 1_000_000,
        quantity=1,
    )  # fmt: skip


@pytest.mark.parametrize("threshold", [0])
async def test_a_threshold_of_zero_is_passed_by_debts_only(stores: Stores, threshold: int) -> None:
    auto = AutoReload(threshold, 1_000, "pm_1", 5_000, 20_000)
    await stores.wallet_settings.put(WalletSettings("acme", NOON, auto))
    await low(stores).look(PARENT, await append(stores, PARENT, grant(1, 7), usage_of(7, 1)))
    assert await jobs(stores) == []
