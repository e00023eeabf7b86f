"""What further periods cost their sellers, on every store: once each, whoever posts them."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from application.checkouts.renewal_costs import RenewalCosts
from application.checkouts.shortness import short_since
from application.checkouts.standing_renewals import StandingRenewals
from application.wallet.aftermath import Aftermath
from application.wallet.costs import Costs
from application.wallet.low import LowBalances
from application.wallet.proof import prove
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import BillingError, Reason, Unavailable
from domain.ledger_commands import Command, PostGrant, PostOverdraft
from domain.money import Money
from domain.store_subscriptions import StoreSubscription, StripeSubscription
from domain.wallets import Wallet
from tests.support.fakes.stores import FakeClock
from tests.support.rooms.store import NOON, subscription
from tests.support.servers.stores import Opener, Stores

DAY = dt.timedelta(days=1)
SECOND_PERIOD = dt.datetime(2026, 2, 28, 12, tzinfo=dt.UTC)
THIRD_PERIOD = dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC)
ACME = Wallet("acme", None, "usd")


def sold(id_: str = "co_1", **other: Any) -> StoreSubscription:
    return replace(subscription(id_), cost=Money(368, "usd"), **other)


def costs(stores: Stores, clock: FakeClock) -> RenewalCosts:
    wallets = Wallets(stores.accounts, "usd")
    low = LowBalances(
        stores.wallet_settings, stores.outbox, clock, asyncio.Event(), asyncio.Event()
    )
    aftermath = Aftermath(
        stores.accounts, wallets, stores.journal, Costs(stores.journal, clock), low, clock
    )
    return RenewalCosts(stores.store_subscriptions, wallets, stores.journal, aftermath, clock)


async def posted(stores: Stores) -> Sequence[tuple[str, int]]:
    """Keys and amounts, in order."""
    entries = await stores.journal.list(ACME.name, limit=1_000)
    return [(entry.key, -entry.quantity) for entry in entries if entry.kind == "renewal"]


async def account(stores: Stores) -> None:
    await stores.accounts.add(Account("acme", "Acme", "usd"))


async def test_each_period_is_posted_when_it_begins_and_once(stores: Stores) -> None:
    await account(stores)
    await stores.store_subscriptions.add(sold())
    clock = FakeClock(SECOND_PERIOD - DAY)
    calendar = costs(stores, clock)
    await calendar.run()
    assert await posted(stores) == []
    clock.instant = SECOND_PERIOD
    await calendar.run()
    await calendar.run()
    assert await posted(stores) == [("renewal/co_1/2", -368)]
    clock.instant = THIRD_PERIOD + 70 * DAY
    await calendar.run()
    keys = [key for key, _ in await posted(stores)]
    assert keys == [f"renewal/co_1/{number}" for number in (2, 3, 4, 5)]
    head = await stores.journal.head(ACME.name)
    assert head is not None
    assert head.available_after == -4 * 368, "also below the overdraft"
    assert head.details["period_start"] == "2026-05-31T12:00:00+00:00"
    assert (await prove(stores.journal, ACME.name)).holds


async def test_an_entry_whose_row_was_not_written_is_not_posted_again(stores: Stores) -> None:
    await account(stores)
    first = await stores.store_subscriptions.add(sold())
    clock = FakeClock(SECOND_PERIOD)
    calendar = costs(stores, clock)
    await calendar._post(first)  # and died
    await calendar.run()
    assert await posted(stores) == [("renewal/co_1/2", -368)]
    assert await stores.store_subscriptions.list_due(now=SECOND_PERIOD, limit=9) == []


async def test_many_that_post_at_once_post_once(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        await account(one)
        for number in range(5):
            await one.store_subscriptions.add(sold(f"co_{number}"))
        clock = FakeClock(THIRD_PERIOD)
        calendars = [costs((one, other)[number % 2], clock) for number in range(6)]
        await asyncio.gather(*(calendar.run() for calendar in calendars))
        found = [key for key, _ in await posted(one)]
        assert sorted(found) == sorted(
            f"renewal/co_{number}/{period}" for number in range(5) for period in (2, 3)
        )


async def test_one_that_cannot_be_posted_keeps_no_other(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does it where all others are on later pages."""
    monkeypatch.setattr("application.checkouts.renewal_costs.MAX_SUBSCRIPTIONS", 2)
    await account(stores)
    kept = stores.store_subscriptions
    for number in range(3):
        await kept.add(sold(f"a_{number}", seller="nobody"))
    await kept.add(replace(sold("b"), cost=Money(1, "eur")))
    for number in range(3):
        await kept.add(sold(f"c_{number}"))
    calendar = costs(stores, FakeClock(SECOND_PERIOD))
    with pytest.raises(BillingError) as caught:
        await calendar.run()
    assert caught.value.reason is Reason.WRONG_CURRENCY
    assert [key for key, _ in await posted(stores)] == [f"renewal/c_{n}/2" for n in range(3)]
    with pytest.raises(BillingError):
        await calendar.run()
    told = [record for record in caplog.records if "not posted" in record.message]
    assert len(told) == 4, "each once, however often it is tried"


async def test_a_defect_keeps_no_other_and_an_absent_store_ends_the_round(stores: Stores) -> None:
    await account(stores)
    await stores.store_subscriptions.add(sold("a"))
    await stores.store_subscriptions.add(sold("b"))

    class Odd(RenewalCosts):
        error: Exception = ZeroDivisionError()

        @override
        async def _post(self, sold: StoreSubscription) -> None:
            if sold.id == "a":
                raise self.error
            await super()._post(sold)

    wired = costs(stores, FakeClock(SECOND_PERIOD))
    wired.__class__ = Odd
    with pytest.raises(ZeroDivisionError):
        await wired.run()
    assert [key for key, _ in await posted(stores)] == ["renewal/b/2"]
    Odd.error = Unavailable(Reason.STORE_UNAVAILABLE, "away")
    with pytest.raises(Unavailable):
        await wired.run()


async def test_nothing_is_due_for_what_has_ended_or_is_to_end(stores: Stores) -> None:
    await account(stores)
    kept = stores.store_subscriptions
    for id_ in ("ended", "ending", "planned", "suspended"):
        await kept.add(sold(id_))
    await kept.put(sold("ended").ended(NOON))
    await kept.put(sold("ending").ending(SECOND_PERIOD, NOON))
    planned = sold("planned").shown(NOON, past_due_since=None, ends_by=SECOND_PERIOD)
    await kept.put(planned)
    await kept.put(sold("suspended").suspended(NOON))
    calendar = costs(stores, FakeClock(SECOND_PERIOD))
    await calendar.run()
    assert await posted(stores) == [("renewal/suspended/2", -368)]
    # It goes on after all: what fell due meanwhile is owed.
    await kept.put(planned.shown(NOON, past_due_since=None, ends_by=None))
    await calendar.run()
    assert ("renewal/planned/2", -368) in await posted(stores)


async def test_since_when_a_wallet_is_short(stores: Stores) -> None:
    clock = FakeClock(NOON)
    await account(stores)

    async def post(command: Command) -> None:
        await stores.journal.append(ACME, [replace(command, at=clock.now())])

    def grant(key: str, amount: int) -> PostGrant:
        return PostGrant(key=key, payload_hash="h", actor="t", at=NOON, amount=amount)

    def overdraft(key: str, amount: int) -> PostOverdraft:
        return PostOverdraft(key=key, payload_hash="h", actor="t", at=NOON, limit=amount)

    assert await short_since(stores.journal, ACME.name, NOON) is None
    await stores.store_subscriptions.add(sold())
    await stores.store_subscriptions.add(sold("co_2"))
    await post(grant("g:1", 300))
    clock.instant = SECOND_PERIOD
    await costs(stores, clock).run()
    assert await short_since(stores.journal, ACME.name, NOON) == SECOND_PERIOD
    clock.instant += DAY
    await post(grant("g:2", 1))
    assert await short_since(stores.journal, ACME.name, NOON) == SECOND_PERIOD
    await post(overdraft("o:1", 10_000))
    assert await short_since(stores.journal, ACME.name, NOON) is None
    clock.instant += DAY
    await post(overdraft("o:2", 0))
    assert await short_since(stores.journal, ACME.name, NOON) == clock.now()


async def test_a_connection_is_needed_while_renewals_stand(stores: Stores) -> None:
    kept = stores.store_subscriptions
    work = StandingRenewals(kept)
    link = Connection("acme", "acct_acme", Mode.TEST, ConnectionKind.MANUAL, NOON)
    assert await work.needing(link, limit=5) == []
    for number in range(130):
        await kept.add(replace(sold(f"co_{number:03}"), renewal=None))
    await kept.add(sold("y"))
    elsewhere = StripeSubscription("acct_other", "sub_9")
    await kept.add(replace(sold("z"), renewal=elsewhere))
    (item,) = await work.needing(link, limit=5)
    assert item.words == "renewal y (active)"
    await kept.put(sold("y").suspended(NOON))
    assert [item.state for item in await work.needing(link, limit=1)] == ["suspended"]
    await kept.put(sold("y").suspended(NOON).ended(NOON))
    assert await work.needing(link, limit=5) == []
