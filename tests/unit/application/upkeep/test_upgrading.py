"""Upgrades: what is derived by other rules, and what more is read of some nouns."""

import datetime as dt
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import pytest

from application.background.retries import Retries
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.nouns import (
    BALANCE_TRANSACTIONS,
    CHARGES,
    CUSTOMERS,
    PRODUCTS,
    REFUNDS,
)
from application.mirror.writer import MirrorWriter
from application.upkeep import backfill, deriving
from application.upkeep.backfill import Backfill
from application.upkeep.deriving import Deriving
from application.upkeep.upgrade import Upgrade
from domain.balance_transactions import BalanceTransaction
from domain.customers import Customer
from domain.mirror import Facet, Snapshot, Version
from domain.money import Money
from domain.products import Product
from tests.support.fakes.lists import FakeCheckpoints, FakeHistory
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror, no_pause

ACCOUNT: Final = "acct_1"
USD: Final = Money(5, "usd")


class Killed(BaseException):
    """The process died here."""


async def no_wait(_: float) -> None:
    """Try again at once."""


def transaction(number: int, kind: str, category: str, source: str) -> BalanceTransaction:
    return BalanceTransaction(
        f"txn_{number}", NOON - dt.timedelta(seconds=number), USD, USD, USD, kind, "available",
        NOON, source, category,
    )  # fmt: skip


async def test_what_follows_from_transactions_is_derived_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deriving, "_ROWS", 2)
    mirror, checkpoints, clock = FakeMirror(), FakeCheckpoints(), FakeClock()
    told = [
        transaction(1, "refund", "partial_capture_reversal", "re_1"),
        transaction(2, "payment_failure_refund", "charge_failure", "pyr_1"),
        transaction(3, "charge", "charge", "ch_1"),
        transaction(4, "stripe_fee", "fee", "ch_1"),
        transaction(5, "refund", "refund", "re_2"),
    ]
    version = Version.of_event(5)
    await MirrorWriter(mirror).observe(
        BALANCE_TRANSACTIONS, [Snapshot(ACCOUNT, one.id, version, one) for one in told]
    )

    def stored(id_: str, name: str, txn: str) -> Facet:
        return Facet(ACCOUNT, id_, name, {"balance_transaction": txn, "net": 1}, version)

    # As the rules before had it; one is of a transaction that is not mirrored.
    await mirror.derive(
        REFUNDS, [stored("re_1", "settlement", "txn_1"), stored("re_9", "settlement", "txn_9")]
    )
    await mirror.derive(CHARGES, [stored("pyr_1", "reversal", "txn_2")])
    assert await Deriving(mirror, checkpoints, clock).run(ACCOUNT) == 5
    refunds = await mirror.fetch(REFUNDS, ACCOUNT, ["re_1", "re_2", "re_9", "pyr_1"])
    charges = await mirror.fetch(CHARGES, ACCOUNT, ["ch_1", "pyr_1"])

    def values(row: Any) -> dict[str, str]:
        return {
            name: facet.values["balance_transaction"]
            for name, facet in row.derived.items()
            if facet.values
        }

    assert values(refunds["re_1"]) == {"release": "txn_1"}
    assert values(refunds["re_2"]) == {"settlement": "txn_5", "first": "txn_5"}
    assert values(refunds["re_9"]) == {"settlement": "txn_9"}
    assert values(refunds["pyr_1"]) == {"settlement": "txn_2"}
    assert values(charges["pyr_1"]) == {}
    assert values(charges["ch_1"]) == {"settlement": "txn_3"}
    assert await Deriving(mirror, checkpoints, clock).run(ACCOUNT) == 0, "once a rule"
    monkeypatch.setattr(deriving, "RULES", deriving.RULES + 1)
    assert await Deriving(mirror, checkpoints, clock).run(ACCOUNT) == 5


async def test_deriving_goes_on_where_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deriving, "_ROWS", 2)
    mirror, checkpoints, clock = FakeMirror(), FakeCheckpoints(), FakeClock()
    told = [transaction(n, "charge", "charge", f"ch_{n}") for n in range(5)]
    await MirrorWriter(mirror).observe(
        BALANCE_TRANSACTIONS, [Snapshot(ACCOUNT, one.id, Version.of_event(5), one) for one in told]
    )
    steps: list[str] = []

    async def dies(where: str) -> None:
        steps.append(where)
        if steps.count("checkpoints.save") == 3:  # before and after each
            raise Killed

    checkpoints.pause = dies
    with pytest.raises(Killed):
        await Deriving(mirror, checkpoints, clock).run(ACCOUNT)
    checkpoints.pause = no_pause
    assert await Deriving(mirror, checkpoints, clock).run(ACCOUNT) == 3


class Service:
    """An account whose lists were read by an earlier release."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stripe = FakeHistory(self.clock)
        self.mirror, self.checkpoints = FakeMirror(), FakeCheckpoints()
        self.stripe.add(CUSTOMERS, Customer("cus_1", NOON))
        self.stripe.add(PRODUCTS, *(Product(f"prod_{n}", NOON, "P", True) for n in range(5)))

    def backfill(self, reading: int) -> Backfill:
        importer = Importer(MirrorWriter(self.mirror), self.stripe, Enrichment(self.mirror))
        nouns = (CUSTOMERS, replace(PRODUCTS, reading=reading))
        return Backfill(
            self.stripe, importer, self.checkpoints, self.clock, nouns=nouns,
            retries=Retries(tries=2, sleep=no_wait),
        )  # fmt: skip

    def upgrade(self, reading: int) -> Upgrade:
        deriving_ = Deriving(self.mirror, self.checkpoints, self.clock)
        nobody: Any = None
        return Upgrade(deriving_, self.backfill(reading), nobody)

    async def run(self, reading: int) -> None:
        async with aclosing(self.backfill(reading).run(ACCOUNT)) as pages:
            async for _ in pages:
                pass

    def listed(self) -> list[str]:
        names = [noun for noun, *_ in self.stripe.asked]
        self.stripe.asked.clear()
        return names


async def test_an_upgrade_reads_again_the_nouns_of_which_more_is_read() -> None:
    service = Service()
    await service.run(0)
    assert service.listed() == ["customer", "product", "product"]
    assert not await service.backfill(0).is_outdated(ACCOUNT)
    assert await service.backfill(1).is_outdated(ACCOUNT)
    await service.upgrade(1).upgrade(ACCOUNT)
    assert service.listed() == ["product", "product"]
    for _ in range(2):
        await service.upgrade(1).upgrade(ACCOUNT)
        assert service.listed() == []


async def test_an_upgrade_begins_no_first_backfill() -> None:
    service = Service()
    await service.upgrade(1).upgrade(ACCOUNT)
    assert service.listed() == []


async def test_an_upgrade_that_was_interrupted_goes_on() -> None:
    service = Service()
    await service.run(0)
    service.listed()
    async with aclosing(service.backfill(1).run(ACCOUNT)) as pages:
        async for progress in pages:
            assert progress.noun == "product"
            break
    assert await service.backfill(1).is_outdated(ACCOUNT)
    service.listed()
    await service.upgrade(1).upgrade(ACCOUNT)
    assert service.listed() == ["product"], "from its last page on"
    assert not await service.backfill(1).is_outdated(ACCOUNT)


async def test_a_checkpoint_of_an_earlier_release_is_read() -> None:
    service = Service()
    await service.run(0)
    kept = service.checkpoints.kept[ACCOUNT, backfill.TASK]
    nouns = {
        name: {key: value for key, value in one.items() if key != "reading"}
        for name, one in kept.state["nouns"].items()
    }
    state = {key: value for key, value in kept.state.items() if key != "again"} | {"nouns": nouns}
    service.checkpoints.kept[ACCOUNT, backfill.TASK] = replace(kept, state=state)
    assert await service.backfill(1).is_outdated(ACCOUNT)
